//! The world of a run: some devices that send until they are acknowledged.

use ninewatch_core::alert::AlertSettings;
use ninewatch_core::fault::SourceFile;
use ninewatch_core::pipeline::Settings;
use ninewatch_core::site::{Device, Place, PlaceKind, Registry};
use ninewatch_core::time::{TimeMs, UtcOffset};

use super::chance::Chance;

pub(super) const GATEWAY: &str = "sim";
/// 2026-11-24, a Tuesday, 12:00 in China.
pub(super) const NOON: TimeMs = 1_795_492_800_000;

/// (device, sensor type, place, the field by which it alarms)
const DEVICES: [(&str, &str, &str, &str); 5] = [
    ("sos", "ninewatch-sos", "home", "sos"),
    ("bath", "ninewatch-sos", "home", "sos"),
    ("smoke", "ninewatch-smoke", "shop", "smoke_alarm"),
    ("gas", "ninewatch-gas", "shop", "gas_alarm"),
    ("door", "ninewatch-door", "school", "open"),
];

/// The shipped types with a rule for each alarm: doors are the backlog that the others overtake.
pub(super) fn settings() -> Settings {
    let mut registry = Registry::default();
    for (place, kind) in [("home", PlaceKind::Home), ("shop", PlaceKind::Shop), ("school", PlaceKind::School)] {
        registry.places.push(Place {
            id: place.into(),
            name: place.into(),
            kind,
            grid: "g".into(),
            address: String::new(),
        });
    }
    for (id, sensor_type, place, _) in DEVICES {
        registry.devices.push(Device {
            id: id.into(),
            sensor_type: sensor_type.into(),
            place: place.into(),
            spot: String::new(),
            known_as: String::new(),
            person: None,
            secret: String::new(),
        });
    }
    let rule = |id: &str, severity: &str, scene: &str, condition: &str| {
        format!(
            "[[rule]]\nid = \"{id}\"\ntitle = {{ zh = \"报警\", en = \"{id}\" }}\nseverity = \"{severity}\"\n\
             scene = \"{scene}\"\nsource = \"the device\"\nreason = {{ zh = \"报警\", en = \"alarm\" }}\n\
             state = {{ {condition} }}\n\n"
        )
    };
    let rules = [
        rule("sos", "critical", "elder_care", "field = \"sos\", is = true"),
        rule("smoke", "critical", "fire", "field = \"smoke_alarm\", is = true"),
        rule("gas", "critical", "fire", "field = \"gas_alarm\", is = true"),
        rule("door", "minor", "security", "field = \"open\", is = true"),
        rule("door-long", "major", "security", "field = \"open\", is = true, for = \"1m\""),
    ];
    Settings {
        gateway: GATEWAY.into(),
        utc_offset: UtcOffset::CHINA,
        alerts: AlertSettings::default(),
        registry,
        sensor_types: vec![
            sensor_type("sos.toml", include_str!("../../../sensors/ninewatch-sos.toml")),
            sensor_type("smoke.toml", include_str!("../../../sensors/ninewatch-smoke.toml")),
            sensor_type("gas.toml", include_str!("../../../sensors/ninewatch-gas.toml")),
            sensor_type("door.toml", include_str!("../../../sensors/ninewatch-door.toml")),
        ],
        rules: vec![SourceFile { name: "rules.toml".into(), text: rules.concat() }],
        models: Vec::new(),
        ladders: Vec::new(),
    }
}

/// Examples are played at each start, and have a test of their own: here one is enough. And nobody is silent: a
/// rule about that is not simulated.
fn sensor_type(name: &str, text: &str) -> SourceFile {
    let end = text.match_indices("[[example]]").nth(1).map_or(text.len(), |(second, _)| second);
    let lines =
        text[..end].lines().map(|line| if line.starts_with("silent_after") { "silent_after = \"720h\"" } else { line });
    SourceFile { name: name.into(), text: lines.collect::<Vec<_>>().join("\n") }
}

/// A message of a device, until it is acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// Unique in the run.
    pub(super) token: u64,
    pub(super) payload: String,
    pub(super) alarm: bool,
    /// It was sent, now or on another connection.
    pub(super) sent_before: bool,
    /// It was sent on this connection.
    pub(super) under_way: bool,
}

pub(super) struct Sender {
    pub(super) id: &'static str,
    field: &'static str,
    /// Whether each of its alarms has to be an alert change: those of critical rules are never folded.
    pub(super) never_folded: bool,
    alarm: bool,
    /// How far its clock is ahead.
    skew_ms: TimeMs,
    pub(super) waiting: Vec<Message>,
    /// The last one that was acknowledged: its PUBACK may be lost.
    pub(super) last: Option<Message>,
    /// A hole can have come into the record of several messages of its: an all-clear that comes again behind the alarm
    /// that followed it makes no two alarms of one.
    pub(super) torn: bool,
    /// How many alarms were acknowledged.
    pub(super) acknowledged_alarms: u64,
}

pub(super) fn senders(odd_clocks: bool, chance: &mut Chance) -> Vec<Sender> {
    let sender = |(id, _, _, field): &(&'static str, _, _, &'static str)| Sender {
        id,
        field,
        never_folded: *id != "door",
        // It begins with a sign of life, so that each alarm after it is one.
        alarm: true,
        skew_ms: if odd_clocks && chance.one_in(2) {
            20_000 - TimeMs::try_from(chance.below(40_000)).unwrap()
        } else {
            0
        },
        waiting: Vec::new(),
        last: None,
        torn: false,
        acknowledged_alarms: 0,
    };
    DEVICES.iter().map(sender).collect()
}

impl Sender {
    /// Makes a reading: alarm and all-clear by turns.
    pub(super) fn read(&mut self, token: u64, now: TimeMs) {
        self.alarm = !self.alarm;
        let made_ms = now + self.skew_ms;
        let payload = format!(
            "[{{\"bt\":{}.{:03},\"n\":\"{}\",\"vb\":{}}}]",
            made_ms / 1000,
            made_ms % 1000,
            self.field,
            self.alarm
        );
        let alarm = self.alarm;
        self.waiting.push(Message { token, payload, alarm, sent_before: false, under_way: false });
    }

    /// Its connection is gone: what has no PUBACK is sent again on the next one.
    pub(super) fn disconnect(&mut self) {
        self.waiting.iter_mut().for_each(|message| message.under_way = false);
    }

    /// What was not synced came back with holes.
    pub(super) fn tear(&mut self) {
        self.torn |= self.waiting.iter().filter(|message| message.under_way).count() > 1;
    }

    /// Takes a PUBACK.
    pub(super) fn acknowledged(&mut self, token: u64) -> Option<&Message> {
        let at = self.waiting.iter().position(|message| message.token == token)?;
        let message = self.waiting.remove(at);
        self.acknowledged_alarms += u64::from(message.alarm);
        self.last = Some(message);
        self.last.as_ref()
    }
}
