//! A recording decided twice: as it was, and with other rules.

use crate::detection::burst;
use crate::town::{MIDNIGHT, MINUTE, payload, settings};
use ninewatch_core::alert::{AlertChange, ChangeKind, StaffAction, Verb};
use ninewatch_core::fault::Fault;
use ninewatch_core::pipeline::{Pipeline, Settings};
use ninewatch_core::replay::{Both, Recorded, WhatIf};
use ninewatch_core::site::{Place, PlaceKind};
use ninewatch_core::time::TimeMs;

type Change = fn(&mut Settings);

/// A recording that is made up while it is decided.
struct Tape {
    what_if: WhatIf<Change>,
    recorded: Vec<AlertChange>,
    changed: Vec<AlertChange>,
    faults: Vec<Fault>,
}

impl Tape {
    fn new(settings: Settings, change: Change) -> Self {
        let (pipeline, _) = Pipeline::new(settings, MIDNIGHT);
        let (what_if, faults) = WhatIf::new(pipeline, change).unwrap();
        Self { what_if, recorded: Vec::new(), changed: Vec::new(), faults }
    }

    fn step(&mut self, at: TimeMs, recorded: &Recorded<'_>) -> Both {
        let both = self.what_if.step(recorded, at).unwrap();
        self.recorded.extend(both.recorded.changes.clone());
        self.changed.extend(both.changed.changes.clone());
        both
    }

    fn hear(&mut self, at: TimeMs, device: &str, records: &str, scores: &[f32]) -> Both {
        let payload = payload(device, records, at);
        let message = Recorded::Message {
            door: "sensor_port",
            device: Some(device),
            topic: &format!("ninewatch/{device}/readings"),
            payload: payload.as_bytes(),
            redelivered: false,
            scores: scores.to_vec(),
            rejected: None,
        };
        self.step(at, &message)
    }

    fn co(&mut self, minutes: std::ops::Range<i64>, ppm: f64) {
        for minute in minutes {
            self.hear(MIDNIGHT + minute * MINUTE, "shop-gas", &format!("{{\"n\":\"co_ppm\",\"v\":{ppm}}}"), &[]);
        }
    }
}

fn healthy() -> Settings {
    let mut settings = settings();
    settings.rules.retain(|file| file.name != "device-health.toml");
    settings
}

fn replace(settings: &mut Settings, from: &str, to: &str) {
    let before = settings.rules.clone();
    settings.rules.iter_mut().for_each(|file| file.text = file.text.replace(from, to));
    assert_ne!(settings.rules, before, "`{from}` stands in a rule");
}

/// 50 ppm are an alert after 20 minutes, and the examples say so.
fn twenty_minutes(settings: &mut Settings) {
    replace(settings, "above = 50, clear = 45, for = \"60m\"", "above = 50, clear = 45, for = \"20m\"");
    replace(settings, "after = \"60m\"", "after = \"20m\"");
    replace(settings, "for = \"59m\"", "for = \"19m\"");
}

fn raised(changes: &[AlertChange], rule: &str) -> Vec<TimeMs> {
    let of_rule = |change: &&AlertChange| change.evidence.as_ref().is_some_and(|evidence| evidence.rule == rule);
    changes.iter().filter(of_rule).map(|change| (change.at_ms - MIDNIGHT) / MINUTE).collect()
}

#[test]
fn without_a_change_both_sides_come_to_the_same() {
    let mut tape = Tape::new(settings(), |_| {});
    tape.co(0..90, 60.0);
    tape.hear(MIDNIGHT + 100 * MINUTE, "home-bracelet", &burst(), &[0.9]);
    assert!(!tape.recorded.is_empty());
    assert_eq!(tape.recorded, tape.changed);
    assert_eq!(tape.faults, []);
}

#[test]
fn other_rules_stay_in_force_when_the_recorded_site_changes() {
    let mut tape = Tape::new(healthy(), twenty_minutes);
    tape.co(0..10, 60.0);
    let mut larger = healthy();
    let annex =
        Place { id: "annex".into(), name: "annex".into(), kind: PlaceKind::Shop, ..larger.registry.places[0].clone() };
    larger.registry.places.push(annex);
    let json = serde_json::to_string(&larger).unwrap();
    tape.step(MIDNIGHT + 10 * MINUTE, &Recorded::Configure(json.into()));
    tape.co(10..70, 60.0);
    assert_eq!(raised(&tape.recorded, "co-curve"), [60]);
    assert_eq!(raised(&tape.changed, "co-curve"), [20]);
    assert_eq!(tape.what_if.recorded().settings(), &larger, "what was recorded is not touched");
}

#[test]
fn a_recorded_score_serves_whoever_asks_for_it() {
    let twice: Change = |settings| {
        // Another rule of the same model comes first.
        let again = "[[rule]]\nid = \"fall-again\"\ntitle = { zh = \"\", en = \"\" }\nseverity = \"minor\"\nsource = \"a test\"\n\
                     reason = { zh = \"{why}\", en = \"{why}\" }\ngroup = \"again\"\nmodel = { name = \"fall\", field = \"motion\" }\n\n";
        settings.rules.iter_mut().for_each(|file| {
            if file.name == "care.toml" {
                file.text.insert_str(0, again);
            }
        });
    };
    let mut tape = Tape::new(healthy(), twice);
    let both = tape.hear(MIDNIGHT + MINUTE, "home-bracelet", &burst(), &[0.9]);
    // What was not asked then, such as why, is not known.
    let known = |scores: Vec<f32>| scores.into_iter().filter(|score| !score.is_nan()).collect::<Vec<_>>();
    assert_eq!((known(both.recorded.scores), known(both.changed.scores)), (vec![0.9], vec![0.9, 0.9]));
    assert_eq!(raised(&tape.changed, "fall"), [1]);
    assert_eq!(raised(&tape.changed, "fall-again"), [1]);
}

#[test]
fn what_was_never_scored_is_told_and_not_guessed() {
    let mut without = healthy();
    replace(&mut without, "model = { name = \"fall\", field = \"motion\" }", "state = { field = \"worn\", is = true }");
    let with: Change = |settings| *settings = healthy();
    let mut tape = Tape::new(without, with);
    let both = tape.hear(MIDNIGHT + MINUTE, "home-bracelet", &burst(), &[]);
    assert_eq!(both.recorded.score_errors, []);
    assert_eq!(both.changed.score_errors.len(), 1);
    assert_eq!(raised(&tape.changed, "fall"), Vec::<TimeMs>::new());
}

#[test]
fn staff_do_the_same_on_the_other_side() {
    let mut tape = Tape::new(healthy(), twenty_minutes);
    // The changed side has an alert more by then, so that numbers and ids differ.
    tape.co(0..30, 60.0);
    tape.hear(MIDNIGHT + 30 * MINUTE, "home-sos", "{\"n\":\"sos\",\"vb\":true}", &[]);
    let alert = tape.recorded[0].alert.id.clone();
    assert!(tape.changed.iter().all(|change| change.alert.id != alert));
    let action = StaffAction::new("a", alert, "li", Verb::Accept);
    tape.step(MIDNIGHT + 31 * MINUTE, &Recorded::Action(action));
    let accepted: Vec<_> = tape.changed.iter().filter(|change| change.kind == ChangeKind::Accepted).collect();
    assert_eq!(accepted.len(), 1);
    assert_eq!(accepted[0].alert.place, "home");
    // There is nobody to accept what was never raised.
    let nowhere = StaffAction::new("b", "01".into(), "li", Verb::Accept);
    let both = tape.step(MIDNIGHT + 32 * MINUTE, &Recorded::Action(nowhere));
    assert!(both.recorded.action.unwrap().is_err() && both.changed.action.is_none());
}

#[test]
fn only_faults_that_the_change_brings_are_told() {
    let mut recorded = healthy();
    replace(&mut recorded, "at_least = 5", "at_least = 50");
    let change: Change = |settings| replace(settings, "below = 0.14", "below = 0.05");
    let tape = Tape::new(recorded, change);
    assert!(!tape.faults.is_empty());
    assert!(tape.faults.iter().all(|fault| fault.file == "water.toml"), "{:?}", tape.faults);
}
