//! What decisions depend on besides readings: as a person wrote it, and made ready for use.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

use super::{Called, Message};
use crate::alert::AlertSettings;
use crate::decode::{Hears, SensorType, SensorTypes};
use crate::detect::Rules;
use crate::detect::model::ModelCard;
use crate::duty::Ladders;
use crate::fault::{Fault, SourceFile};
use crate::site::{Place, Registry};
use crate::time::UtcOffset;

/// All that decisions depend on besides readings. It is journaled, so that a replay needs nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// This gateway's id.
    pub gateway: String,
    /// Local time, for rules with hours.
    pub utc_offset: UtcOffset,
    /// How alerts fold, join and escalate.
    pub alerts: AlertSettings,
    /// Places and devices, without secrets.
    pub registry: Registry,
    /// Sensor type files.
    pub sensor_types: Vec<SourceFile>,
    /// Rule files.
    pub rules: Vec<SourceFile>,
    /// The models that can be scored.
    pub models: Vec<ModelCard>,
    /// Ladders and quiet rules: one file, or none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ladders: Vec<SourceFile>,
}

impl Settings {
    /// These settings, but for files that have come to have a fault: of those the former version goes
    /// on, unless that has a fault, too, and leaves less in force. Tells every fault.
    pub fn or_former(mut self, former: &Self) -> (Self, Vec<Fault>) {
        let (mut site, found) = Site::compile(&self);
        let mut told = Vec::new();
        let kinds =
            [(Kind::SensorTypes, &former.sensor_types), (Kind::Rules, &former.rules), (Kind::Ladders, &former.ladders)];
        for (kind, before) in kinds {
            for index in 0..kind.files(&mut self).len() {
                let Some(new) = kind.files(&mut self).get(index).cloned() else { continue };
                let is_faulty = |fault: &&Fault| fault.file == new.name;
                let replaced = before.iter().find(|old| old.bare_name() == new.bare_name() && old.text != new.text);
                let (true, Some(old)) = (found.iter().any(|fault| is_faulty(&fault)), replaced) else { continue };
                let mut with_old = self.clone();
                if let Some(file) = kind.files(&mut with_old).get_mut(index) {
                    *file = old.clone();
                }
                let (old_site, old_faults) = Site::compile(&with_old);
                let is_whole = !old_faults.iter().any(|fault| fault.file == old.name);
                if is_whole || old_site.size() > site.size() {
                    let set_aside = found.iter().filter(is_faulty).cloned();
                    told.extend(set_aside.map(|fault| Fault { former_goes_on: true, ..fault }));
                    (self, site) = (with_old, old_site);
                }
            }
        }
        told.extend(if told.is_empty() { found } else { Site::compile(&self).1 });
        (self, told)
    }
}

/// The kinds of files that people write.
#[derive(Clone, Copy)]
enum Kind {
    SensorTypes,
    Rules,
    Ladders,
}

impl Kind {
    fn files(self, settings: &mut Settings) -> &mut Vec<SourceFile> {
        match self {
            Self::SensorTypes => &mut settings.sensor_types,
            Self::Rules => &mut settings.rules,
            Self::Ladders => &mut settings.ladders,
        }
    }
}

/// [`Settings`] made ready for use.
#[derive(Debug, Clone)]
pub struct Site {
    /// This gateway's id.
    pub gateway: String,
    /// Local time, for rules with hours.
    pub utc_offset: UtcOffset,
    /// How alerts fold, join and escalate.
    pub alerts: AlertSettings,
    /// Places and devices.
    pub registry: Registry,
    /// The sensor types without fault.
    pub sensor_types: SensorTypes,
    /// The rules without fault.
    pub rules: Rules,
    /// The models that can be scored.
    pub models: Vec<ModelCard>,
    device_index: HashMap<String, usize>,
    /// Devices by their ids and by what their own systems call them.
    called: HashMap<String, Vec<usize>>,
    /// The sensor types that devices are of.
    types_in_use: Vec<String>,
    /// The sensor types that have something that must not be stored, whether devices are of them or not: what
    /// nobody registered is kept as a sample, too.
    discarding: Vec<String>,
    /// Where in the registry the place of each device is.
    device_places: Vec<Option<usize>>,
}

impl Site {
    /// Makes settings ready. What has a fault is set aside and told; the rest runs.
    pub fn compile(settings: &Settings) -> (Self, Vec<Fault>) {
        let (sensor_types, mut faults) = SensorTypes::compile(&settings.sensor_types);
        let (rules, rule_faults) = Rules::compile(&settings.rules, &sensor_types, &settings.models);
        faults.extend(rule_faults);
        faults.extend(untyped(&settings.registry, &sensor_types));
        let (ladders, ladder_faults) = Ladders::compile(&settings.ladders, &settings.registry);
        faults.extend(ladder_faults);
        let mut site = Self::new(settings, sensor_types, rules);
        site.alerts.ladders = ladders;
        (site, faults)
    }

    /// A site of these sensor types and rules; those of the settings are passed over.
    pub(crate) fn new(settings: &Settings, sensor_types: SensorTypes, rules: Rules) -> Self {
        let registry = settings.registry.clone();
        let device_index =
            registry.devices.iter().enumerate().map(|(index, device)| (device.id.clone(), index)).collect();
        let mut called: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, device) in registry.devices.iter().enumerate() {
            let known_as = (!device.known_as.is_empty() && device.known_as != device.id).then_some(&device.known_as);
            for name in std::iter::once(&device.id).chain(known_as) {
                called.entry(name.clone()).or_default().push(index);
            }
        }
        let mut types_in_use: Vec<String> = registry.devices.iter().map(|device| device.sensor_type.clone()).collect();
        types_in_use.sort_unstable();
        types_in_use.dedup();
        types_in_use.retain(|id| sensor_types.get(id).is_some());
        let discarding = sensor_types.iter().filter(|known| known.discards).map(|known| known.id.clone()).collect();
        let places: HashMap<&str, usize> =
            registry.places.iter().enumerate().map(|(index, place)| (place.id.as_str(), index)).collect();
        let device_places = registry.devices.iter().map(|device| places.get(device.place.as_str()).copied()).collect();
        Self {
            gateway: settings.gateway.clone(),
            utc_offset: settings.utc_offset,
            alerts: settings.alerts.clone(),
            registry,
            sensor_types,
            rules,
            models: settings.models.clone(),
            device_index,
            called,
            types_in_use,
            discarding,
            device_places,
        }
    }

    /// How much is in force.
    fn size(&self) -> usize {
        self.sensor_types.iter().count() + self.rules.iter().count() + self.alerts.ladders.len()
    }

    /// Where in the registry the device with this id is.
    pub fn device_index(&self, id: &str) -> Option<usize> {
        self.device_index.get(id).copied()
    }

    /// The type of the device `registry.devices[device]`, if it is in use.
    pub fn sensor_type_of(&self, device: usize) -> Option<&SensorType> {
        self.sensor_types.get(&self.registry.devices.get(device)?.sensor_type)
    }

    /// The place of the device `registry.devices[device]`.
    pub(crate) fn place_of(&self, device: usize) -> Option<&Place> {
        let place = *self.device_places.get(device)?;
        self.registry.places.get(place?)
    }

    /// Where in the registry the device of this type is that is called so, and in which way it is.
    pub(super) fn device_called(&self, sensor_type: &SensorType, name: &str) -> Option<(usize, Called)> {
        self.called.get(name)?.iter().find_map(|index| {
            let device = self.registry.devices.get(*index).filter(|device| device.sensor_type == sensor_type.id)?;
            Some((*index, if device.id == name { Called::Id } else { Called::KnownAs }))
        })
    }

    /// The types in use of which devices may be meant by a broker's `topic`, and the device where the
    /// topic names it.
    pub(super) fn meant_by<'s>(&'s self, topic: &'s str) -> impl Iterator<Item = (&'s SensorType, Option<usize>)> {
        self.types_in_use.iter().filter_map(|id| self.sensor_types.get(id)).filter_map(move |sensor_type| {
            match sensor_type.hears(topic)? {
                Hears::PayloadTells => Some((sensor_type, None)),
                Hears::Device(name) => Some((sensor_type, Some(self.device_called(sensor_type, &name)?.0))),
            }
        })
    }

    /// The payload of a message without what must not be stored; `None` where all of it may be. The
    /// types of the devices that are meant say what; where none is, all types do.
    pub fn without_discarded(&self, message: Message<'_>) -> Option<Vec<u8>> {
        if self.discarding.is_empty() {
            return None;
        }
        let of_device = message.device.and_then(|id| self.sensor_type_of(self.device_index(id)?));
        if let Some(sensor_type) = of_device {
            return sensor_type.without_discarded(message.topic, message.payload);
        }
        let mut types: Vec<&SensorType> = match message.device {
            Some(_) => Vec::new(),
            None => self.meant_by(message.topic).map(|(sensor_type, _)| sensor_type).collect(),
        };
        if types.is_empty() {
            types.extend(self.discarding.iter().filter_map(|id| self.sensor_types.get(id)));
        }
        types.into_iter().fold(None, |masked: Option<Vec<u8>>, sensor_type| {
            let payload = masked.as_deref().unwrap_or(message.payload);
            sensor_type.without_discarded(message.topic, payload).or(masked)
        })
    }
}

/// A fault for each sensor type that devices name and that is not in use.
fn untyped(registry: &Registry, sensor_types: &SensorTypes) -> Vec<Fault> {
    let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for device in registry.devices.iter().filter(|device| sensor_types.get(&device.sensor_type).is_none()) {
        missing.entry(&device.sensor_type).or_default().push(&device.id);
    }
    let fault = |(sensor_type, devices): (&str, Vec<&str>)| Fault {
        file: "registry.toml".to_owned(),
        line: None,
        key: "device.type".to_owned(),
        problem: format!(
            "no sensor type `{sensor_type}` is in use, and nothing of {} devices is taken: {}",
            devices.len(),
            devices.join(", ")
        ),
        mend: "mend its file, or correct the devices' type".to_owned(),
        former_goes_on: false,
    };
    missing.into_iter().map(fault).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::Registry;

    const GAS: &str = include_str!("../../../sensors/ninewatch-gas.toml");
    const DOOR: &str = include_str!("../../../sensors/ninewatch-door.toml");

    fn file(name: &str, text: &str) -> SourceFile {
        SourceFile { name: name.into(), text: text.into() }
    }

    fn settings(sensor_types: Vec<SourceFile>) -> Settings {
        let registry = "[[place]]\nid = \"p\"\nname = \"p\"\nkind = \"home\"\ngrid = \"g\"\n\
                        [[device]]\nid = \"d\"\ntype = \"ninewatch-gas\"\nplace = \"p\"\n";
        Settings {
            gateway: "g".into(),
            utc_offset: UtcOffset::CHINA,
            alerts: AlertSettings::default(),
            registry: Registry::parse("registry.toml", registry).unwrap(),
            sensor_types,
            rules: Vec::new(),
            models: Vec::new(),
            ladders: Vec::new(),
        }
    }

    #[test]
    fn of_a_file_that_came_to_have_a_fault_the_former_version_goes_on() {
        let former = settings(vec![file("built-in gas.toml", GAS), file("door.toml", DOOR)]);
        let broken = GAS.replace("co_ppm = 12,", "co_ppm = 13,");
        let changed = DOOR.replace("cadence = \"30m\"", "cadence = \"20m\"");
        // One in the folder takes the built-in one's place.
        let given = settings(vec![file("/etc/gas.toml", &broken), file("door.toml", &changed)]);
        let (in_force, faults) = given.or_former(&former);
        assert_eq!(in_force.sensor_types, [file("built-in gas.toml", GAS), file("door.toml", &changed)]);
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 1, "its devices lack nothing: {told:?}");
        assert!(told[0].starts_with("/etc/gas.toml:") && told[0].ends_with("(the former version goes on)"), "{told:?}");
    }

    #[test]
    fn without_a_former_version_that_is_better_the_fault_is_told_and_the_rest_runs() {
        let broken = GAS.replace("unit = \"ppm\"", "unit = \"ppn\"");
        for former in [settings(vec![file("door.toml", DOOR)]), settings(vec![file("gas.toml", "id = 1")])] {
            let given = settings(vec![file("gas.toml", &broken), file("door.toml", DOOR)]);
            let (in_force, faults) = given.clone().or_former(&former);
            assert_eq!(in_force, given);
            let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
            assert!(told[0].contains("the unit `ppn` is not known") && !told[0].contains("former"), "{told:?}");
            assert!(told[1].contains("no sensor type `ninewatch-gas` is in use"), "{told:?}");
        }
    }

    #[test]
    fn a_rule_file_that_breaks_loses_no_rule_that_was_in_force() {
        let rule = |id: &str, field: &str| {
            format!(
                "[[rule]]\nid = \"{id}\"\ntitle = {{ zh = \"报警\", en = \"Alarm\" }}\nseverity = \"critical\"\nsource = \"test\"\n\
                 reason = {{ zh = \"报警\", en = \"Alarm\" }}\nstate = {{ field = \"{field}\", is = true }}\n"
            )
        };
        let with_rules = |text: String| {
            let mut settings = settings(vec![file("gas.toml", GAS)]);
            settings.rules = vec![file("own.toml", &text)];
            settings
        };
        // One of its rules has a fault; the other is in force.
        let former = with_rules(rule("good", "gas_alarm") + &rule("bad", "nothing"));
        let (in_force, faults) = with_rules(former.rules[0].text.clone() + "[[rule").or_former(&former);
        assert_eq!(in_force.rules, former.rules);
        assert!(faults.iter().any(|fault| fault.former_goes_on), "{faults:?}");
        assert!(faults.iter().any(|fault| !fault.former_goes_on && fault.problem.contains("nothing")), "{faults:?}");
        // As much in force as before: the new version is what its writer means.
        let mended = with_rules(rule("good", "gas_alarm") + &rule("bad", "nowhere"));
        let (in_force, faults) = mended.clone().or_former(&former);
        assert_eq!(in_force, mended);
        assert!(faults.iter().all(|fault| !fault.former_goes_on), "{faults:?}");
    }
}
