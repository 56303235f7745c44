//! A little town with the shipped sensor types and rules, for tests that speak in readings and alerts.

use ninewatch_core::alert::{Acted, ActionError, AlertChange, AlertSettings, ChangeKind, StaffAction};
use ninewatch_core::detect::model::{Asked, ModelCard, ScoreError, Scorer};
use ninewatch_core::pipeline::{Effects, Event, Message, Pipeline, Settings};
use ninewatch_core::site::{Device, PersonCategory, Place, PlaceKind, Registry};
use ninewatch_core::time::{TimeMs, UtcOffset};

use std::sync::OnceLock;

use crate::shipped::files;

/// 2026-11-24, a Tuesday, 00:00 in China.
pub(crate) const MIDNIGHT: TimeMs = 1_795_449_600_000;
pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const HOUR: i64 = 60 * MINUTE;

/// (id, kind, devices as (name, type, person))
type Row = (&'static str, PlaceKind, &'static [(&'static str, &'static str)]);

const PLACES: &[Row] = &[
    (
        "shop",
        PlaceKind::Shop,
        &[
            ("door", "door"),
            ("presence", "presence"),
            ("smoke", "smoke"),
            ("smoke-2", "smoke"),
            ("gas", "gas"),
            ("power", "electrical"),
        ],
    ),
    ("cafe", PlaceKind::InternetCafe, &[("camera", "face-camera"), ("door", "door")]),
    ("school", PlaceKind::School, &[("camera", "face-camera"), ("water", "water")]),
    (
        "home",
        PlaceKind::Home,
        &[
            ("presence", "presence"),
            ("presence-2", "presence"),
            ("bracelet", "bracelet"),
            ("sos", "sos"),
            ("door", "door"),
        ],
    ),
];

/// The shipped settings.
pub(crate) fn settings() -> Settings {
    let mut registry = Registry::default();
    for (place, kind, devices) in PLACES {
        registry.places.push(Place {
            id: (*place).into(),
            name: (*place).into(),
            kind: *kind,
            grid: "g1".into(),
            address: String::new(),
        });
        for (device, sensor_type) in *devices {
            registry.devices.push(Device {
                id: format!("{place}-{device}"),
                sensor_type: format!("ninewatch-{sensor_type}"),
                place: (*place).into(),
                spot: String::new(),
                person: (*kind == PlaceKind::Home).then_some(PersonCategory::ElderAlone),
                known_as: String::new(),
                secret: String::new(),
            });
        }
    }
    Settings {
        gateway: "test".into(),
        utc_offset: UtcOffset::CHINA,
        alerts: AlertSettings::default(),
        registry,
        sensor_types: files("sensors"),
        rules: files("rules"),
        models: cards(),
        ladders: Vec::new(),
    }
}

/// The shipped models' cards.
pub(crate) fn cards() -> Vec<ModelCard> {
    static CARDS: OnceLock<Vec<ModelCard>> = OnceLock::new();
    CARDS.get_or_init(read_cards).clone()
}

fn read_cards() -> Vec<ModelCard> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let folders = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path().join("model.toml"));
    let mut cards: Vec<ModelCard> = folders
        .filter(|path| path.is_file())
        .map(|path| toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
        .collect();
    cards.sort_by(|a, b| a.name.cmp(&b.name));
    cards
}

/// Scores as told.
pub(crate) struct Says(pub(crate) f32);

impl Scorer for Says {
    fn score(&mut self, asked: &Asked<'_>) -> Result<f32, ScoreError> {
        // Any input is all of the reason.
        Ok(if asked.what_if { 0.0 } else { self.0 })
    }
}

/// A native device's payload: SenML records without the time, made at `made`.
pub(crate) fn payload(device: &str, records: &str, made: TimeMs) -> String {
    let made_s = made as f64 / 1000.0;
    format!("[{{\"bn\":\"{device}/\",\"bt\":{made_s}}},{records}]")
}

fn without_examples(rules: &str) -> String {
    let tables = rules.split_inclusive("\n\n");
    tables.filter(|table| !table.starts_with("[[rule.example]]")).collect()
}

/// The town at work.
pub(crate) struct Town {
    pub(crate) pipeline: Pipeline,
    pub(crate) changes: Vec<AlertChange>,
    pub(crate) refused: Vec<String>,
    pub(crate) score: f32,
}

impl Town {
    /// A town in which nobody minds that most devices are never heard.
    pub(crate) fn new() -> Self {
        let mut settings = settings();
        settings.rules.retain(|file| file.name != "device-health.toml");
        Self::with(settings)
    }

    /// A town with these settings. Examples of rules have tests of their own; towns are built by the hundred.
    pub(crate) fn with(mut settings: Settings) -> Self {
        settings.rules.iter_mut().for_each(|file| file.text = without_examples(&file.text));
        let (pipeline, faults) = Pipeline::new(settings, MIDNIGHT);
        assert_eq!(faults, [], "the shipped files have no fault");
        Self { pipeline, changes: Vec::new(), refused: Vec::new(), score: 0.0 }
    }

    /// A reading of `device` made at `made` and heard at `heard`: SenML records without the time.
    pub(crate) fn hear(&mut self, device: &str, records: &str, made: TimeMs, heard: TimeMs) -> Effects {
        self.hear_as(device, records, made, heard, false)
    }

    pub(crate) fn hear_as(
        &mut self,
        device: &str,
        records: &str,
        made: TimeMs,
        heard: TimeMs,
        redelivered: bool,
    ) -> Effects {
        let payload = payload(device, records, made);
        let topic = format!("ninewatch/{device}/readings");
        let message = Message { device: Some(device), topic: &topic, payload: payload.as_bytes(), redelivered };
        let effects = self.pipeline.step(Event::Message(message), heard, &mut Says(self.score));
        match effects.intake.as_ref().unwrap() {
            Ok(intake) => self.refused.extend(intake.refused.iter().map(ToString::to_string)),
            Err(reject) => panic!("{reject}"),
        }
        self.changes.extend(effects.changes.clone());
        effects
    }

    /// A reading that is heard when it is made.
    pub(crate) fn at(&mut self, at: TimeMs, device: &str, records: &str) {
        self.hear(device, records, at, at);
    }

    pub(crate) fn number(&mut self, at: TimeMs, device: &str, field: &str, value: f64) {
        self.at(at, device, &format!("{{\"n\":\"{field}\",\"v\":{value}}}"));
    }

    pub(crate) fn switch(&mut self, at: TimeMs, device: &str, field: &str, on: bool) {
        self.at(at, device, &format!("{{\"n\":\"{field}\",\"vb\":{on}}}"));
    }

    pub(crate) fn tick(&mut self, at: TimeMs) {
        let changes = self.pipeline.step(Event::Tick, at, &mut Says(0.0)).changes;
        self.changes.extend(changes);
    }

    /// A person acts, here or elsewhere; it comes at `at`.
    pub(crate) fn act(&mut self, action: &StaffAction, at: TimeMs) -> Result<Acted, ActionError> {
        let effects = self.pipeline.step(Event::Action(action), at, &mut Says(0.0));
        self.changes.extend(effects.changes);
        effects.action.unwrap()
    }

    /// What was found so far, as `rule device @minute-of-the-day`, for rules of this name.
    pub(crate) fn found(&self, rule: &str) -> Vec<String> {
        let evidence = self.changes.iter().filter_map(|change| change.evidence.as_ref());
        let wanted = evidence.filter(|evidence| evidence.rule == rule);
        wanted.map(|found| format!("{} @{}", found.device, (found.at_ms - MIDNIGHT) as f64 / MINUTE as f64)).collect()
    }

    /// The kinds of the changes so far, escalations left out.
    pub(crate) fn kinds(&self) -> Vec<ChangeKind> {
        let kinds = self.changes.iter().map(|change| change.kind);
        kinds.filter(|kind| *kind != ChangeKind::Escalated).collect()
    }
}
