//! The site as data: its places, devices and the people they care for.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

use crate::alert::GRID;
use crate::fault::Fault;

/// Where a device is: one of the nine small places, a home, or a key site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each name says it all")]
pub enum PlaceKind {
    School,
    Clinic,
    Shop,
    Restaurant,
    Hotel,
    Entertainment,
    InternetCafe,
    BeautyBath,
    Workshop,
    Home,
    KeySite,
}

impl PlaceKind {
    /// The nine small places, then homes and key sites.
    pub const ALL: [Self; 11] = [
        Self::School,
        Self::Clinic,
        Self::Shop,
        Self::Restaurant,
        Self::Hotel,
        Self::Entertainment,
        Self::InternetCafe,
        Self::BeautyBath,
        Self::Workshop,
        Self::Home,
        Self::KeySite,
    ];
}

/// Why a person needs care, as far as a rule may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each name says it all")]
pub enum PersonCategory {
    Elder,
    ElderAlone,
    Disabled,
    Child,
    Patient,
    Other,
}

/// A premises, home or key site. Belongs to a grid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Short, stable, unique: `[a-z0-9-]`, at most 64.
    pub id: String,
    /// As people call it.
    pub name: String,
    /// Which kind of place.
    pub kind: PlaceKind,
    /// The grid it belongs to.
    pub grid: String,
    /// For the duty officer who sends somebody.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub address: String,
}

/// A sensing device that is let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Unique: `[A-Za-z0-9._-]`, at most 64. It is the device's MQTT user name and topic level.
    pub id: String,
    /// Which sensor type it is.
    #[serde(rename = "type")]
    pub sensor_type: String,
    /// The id of the place where it is.
    pub place: String,
    /// Where in the place, as people say it: `kitchen`, `front door`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub spot: String,
    /// What its own system calls it, where that is not its id: a name with spaces, a MAC with colons.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub known_as: String,
    /// The category of the person it cares for, if any. Never the person's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonCategory>,
    /// The salted SHA-256 of its generated secret, as `sha256:<salt hex>:<hash hex>`; empty for a
    /// device that comes in by a broker or by a TLS client certificate.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub secret: String,
}

/// All places and devices of a site: the file `registry.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// By order of entry.
    #[serde(default, rename = "place")]
    pub places: Vec<Place>,
    /// By order of entry.
    #[serde(default, rename = "device")]
    pub devices: Vec<Device>,
}

impl Registry {
    /// Reads a registry and checks it: ids well-formed and unique, every device's place there.
    ///
    /// # Errors
    /// Every fault found, each with its line.
    pub fn parse(file: &str, source: &str) -> Result<Self, Vec<Fault>> {
        let registry: Self = toml::from_str(source).map_err(|error| vec![Fault::from_toml(file, source, &error)])?;
        let faults: Vec<Fault> = registry
            .problems()
            .into_iter()
            .map(|(key, problem, mend)| Fault::at_key(file, source, &key, problem, mend))
            .collect();
        if faults.is_empty() { Ok(registry) } else { Err(faults) }
    }

    /// What is wrong in it, as (key, problem, mend).
    pub fn problems(&self) -> Vec<(String, String, String)> {
        let mut problems = Vec::new();
        let mut seen = BTreeMap::new();
        for (index, place) in self.places.iter().enumerate() {
            let key = format!("place.{index}.id");
            if !is_id(&place.id) {
                problems.push((key, format!("`{}` is not an id", place.id), ID_MEND.to_owned()));
            } else if seen.insert(place.id.as_str(), ()).is_some() {
                problems.push((key, format!("place `{}` is there twice", place.id), "remove one".to_owned()));
            }
        }
        let mut devices = BTreeMap::new();
        let mut called = BTreeMap::new();
        for (index, device) in self.devices.iter().enumerate() {
            let key = format!("device.{index}.id");
            if !is_id(&device.id) {
                problems.push((key, format!("`{}` is not an id", device.id), ID_MEND.to_owned()));
            } else if devices.insert(device.id.as_str(), ()).is_some() {
                problems.push((key, format!("device `{}` is there twice", device.id), "remove one".to_owned()));
            }
            let names = [device.id.as_str(), device.known_as.as_str()];
            let own = if names[0] == names[1] { &names[..1] } else { &names[..] };
            for name in own.iter().filter(|name| !name.is_empty()) {
                if let Some(other) = called.insert((device.sensor_type.as_str(), *name), device.id.as_str())
                    && other != device.id
                {
                    let problem = format!("`{other}` of the same type is called `{name}`, too");
                    problems.push((format!("device.{index}.known_as"), problem, "give one another name".to_owned()));
                }
            }
            if !seen.contains_key(device.place.as_str()) {
                problems.push((
                    format!("device.{index}.place"),
                    format!("there is no place `{}`", device.place),
                    "add it with `ninewatch place add`".to_owned(),
                ));
            }
        }
        problems
    }

    /// The grid in which an alert's place is: that of a registered place, or the one that a `grid:` names.
    pub fn grid_of<'a>(&'a self, place: &'a str) -> Option<&'a str> {
        place.strip_prefix(GRID).or_else(|| self.place(place).map(|place| place.grid.as_str()))
    }

    /// All grids, by name.
    pub fn grids(&self) -> BTreeSet<&str> {
        self.places.iter().map(|place| place.grid.as_str()).collect()
    }

    /// The place with this id.
    pub fn place(&self, id: &str) -> Option<&Place> {
        self.places.iter().find(|place| place.id == id)
    }

    /// The device with this id.
    pub fn device(&self, id: &str) -> Option<&Device> {
        self.devices.iter().find(|device| device.id == id)
    }
}

const ID_MEND: &str = "use 1 to 64 of A-Z a-z 0-9 . _ -";

/// Whether `text` may name a place or a device: safe in a topic, a path and a URL.
pub fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}
