//! What a draft says of the type as a whole: class, id, label, cadence.

use std::collections::{BTreeMap, BTreeSet};

use ninewatch_core::alert::Text;
use ninewatch_core::reading::SensorClass;
use ninewatch_core::time::{Span, TimeMs};

use super::draft::{Draft, Message};
use super::field::{self, Doubt, Field, Kind};
use super::names;
use super::payload::Form;

impl Draft {
    /// Names what depends on the class, once that is settled.
    pub(super) fn name_by_class(&mut self) {
        let (zh, en) = names::class_words(self.class);
        let class = self.class.name().replace('_', "-");
        (self.id, self.label) = match maker_of(&self.messages) {
            Some(maker) => {
                (format!("{maker}-{class}"), Text { zh: format!("{maker} {zh}"), en: format!("{maker} {en}") })
            }
            None => (format!("my-{class}"), Text { zh: zh.to_owned(), en: en.to_owned() }),
        };
        name_the_alarm(&mut self.fields, self.class);
    }
}

/// The class by what its fields are, and whether that is sure.
pub(super) fn class_of(fields: &[Field]) -> (SensorClass, bool) {
    let mut votes: BTreeMap<SensorClass, u32> = BTreeMap::new();
    for field in fields {
        if let Some(class) = names::common(&field.name).and_then(|known| known.class) {
            // What it judges itself tells more than what it measures besides.
            *votes.entry(class).or_default() += if matches!(field.kind, Kind::Measure(_)) { 1 } else { 3 };
        }
    }
    let mut votes: Vec<(u32, SensorClass)> = votes.into_iter().map(|(class, votes)| (votes, class)).collect();
    votes.sort();
    match votes.as_slice() {
        [] if fields.iter().any(|field| field.name == "temperature_c") => (SensorClass::Smoke, false),
        [] => (SensorClass::Presence, false),
        [(_, class)] => (*class, true),
        [.., (second, _), (first, class)] => (*class, *first >= 2 * *second),
    }
}

/// A device's alarm gets the name that the rules of its class go by.
fn name_the_alarm(fields: &mut [Field], class: SensorClass) {
    let name = names::alarm_of(class);
    if fields.iter().any(|field| field.name == name) {
        return;
    }
    let Some(known) = names::common(name) else { return };
    if let Some(field) = fields.iter_mut().find(|field| field.name == names::ALARM) {
        field.name = name.to_owned();
        field.label = Text { zh: known.zh.to_owned(), en: known.en.to_owned() };
    }
}

impl Draft {
    /// Two devices that have nothing in common, and so are of two types.
    pub(super) fn strangers(&self) -> Option<(String, String)> {
        // Any device may have these.
        const OF_ALL: [&str; 7] =
            ["battery_percent", "battery_voltage_v", "battery_low", "signal_dbm", "online", "tamper", "fault"];
        let mut has: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for message in &self.messages {
            for captured in &message.captured {
                for reading in message.decode(captured, &self.fields).readings {
                    let names =
                        reading.values.iter().filter_map(|(index, _)| Some(self.fields.get(*index)?.name.as_str()));
                    has.entry(reading.device).or_default().extend(names.filter(|name| !OF_ALL.contains(name)));
                }
            }
        }
        has.retain(|_, fields| !fields.is_empty());
        let (first, fields) = has.iter().next()?;
        let (other, _) = has.iter().find(|(_, others)| others.is_disjoint(fields))?;
        Some((first.clone(), other.clone()))
    }
}

/// What has a battery sends that battery's voltage.
pub(super) fn trust_the_battery(fields: &mut [Field]) {
    if fields.iter().any(|field| field.name == "battery_percent" || field.name == "battery_low") {
        let voltage = fields.iter_mut().filter(|field| field.name == "battery_voltage_v");
        voltage.for_each(|field| field.doubts.retain(|doubt| *doubt != Doubt::Scale));
    }
}

/// How often a device is heard: the middle of the times between its messages of one kind, or
/// between its readings, as a person would say it.
pub(super) fn cadence(messages: &[Message], fields: &[Field]) -> Option<Span> {
    messages.iter().filter_map(|message| middle_gap_ms(message, fields)).min().map(|gap| {
        const STEPS_S: [i64; 18] =
            [5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400];
        // A tenth is the play of timers.
        let fits = |step: &i64| gap <= step * 1100;
        Span::from_secs(STEPS_S.into_iter().find(fits).unwrap_or(86_400))
    })
}

fn middle_gap_ms(message: &Message, fields: &[Field]) -> Option<i64> {
    let mut heard: BTreeMap<String, [BTreeSet<TimeMs>; 2]> = BTreeMap::new();
    for captured in &message.captured {
        for reading in message.decode(captured, fields).readings {
            let [arrivals, times] = heard.entry(reading.device).or_default();
            arrivals.extend(captured.arrival_ms);
            times.extend(reading.at_ms);
        }
    }
    let gaps = |of: usize| {
        let of_devices = heard.values().filter_map(move |both| both.get(of));
        let all = of_devices.flat_map(|times| times.iter().zip(times.iter().skip(1)).map(|(a, b)| b - a));
        let mut gaps: Vec<i64> = all.filter(|gap| *gap >= 1000).collect();
        gaps.sort_unstable();
        gaps
    };
    let (arrivals, times) = (gaps(0), gaps(1));
    let gaps = if arrivals.is_empty() { times } else { arrivals };
    gaps.get(gaps.len() / 2).copied()
}

/// The model that the payload names, else what the topic begins with.
fn maker_of(messages: &[Message]) -> Option<String> {
    const MODEL: [&str; 7] = [
        "/model",
        "/modelid",
        "/model_id",
        "/device/model",
        "/deviceModel",
        "/product",
        "/deviceInfo/deviceProfileName",
    ];
    let in_payload = messages.iter().flat_map(|message| &message.captured).find_map(|captured| {
        let tree = Form::Json.open(&captured.payload, &BTreeSet::new())?;
        MODEL.iter().find_map(|pointer| tree.pointer(pointer)?.as_str().map(str::to_owned))
    });
    let maker = in_payload.or_else(|| messages.iter().find_map(|message| message.topic.maker().map(str::to_owned)));
    maker.filter(|maker| maker.is_ascii()).map(|word| field::snake(&word).replace('_', "-"))
}

impl Draft {
    /// What devices of the class usually do.
    pub(super) fn usual_cadence(&self) -> Span {
        Span::from_secs(match self.class {
            SensorClass::Smoke | SensorClass::Door | SensorClass::Sos => 4 * 3600,
            SensorClass::Water | SensorClass::Presence => 1800,
            SensorClass::Bracelet | SensorClass::Gas | SensorClass::Electrical | SensorClass::FaceCamera => 300,
        })
    }
}

/// Four times as long as the cadence: one message may be lost, and the next may be late.
pub(super) fn silent_after(cadence: Span) -> Span {
    Span::from_ms(cadence.ms() * 4)
}
