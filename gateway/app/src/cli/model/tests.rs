//! What a person types, and what becomes of it; and what a log comes to.

use clap::Parser;
use serde_json::{Value, json};
use std::fs;

use ninewatch_core::time::{Span, TimeMs};

use super::comparison::{Comparison, Meaning, Moment, OneAlert};
use super::*;
use crate::scorer::shadow::Line;
use crate::scorer::tests::shipped;

const HOUR: TimeMs = 3_600_000;
/// 2026-11-24, 00:00 in China.
const BEGIN: TimeMs = 1_795_449_600_000;

#[derive(Parser)]
enum Ninewatch {
    Model(ModelArgs),
}

/// A site and what a person types.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        fs::create_dir(desk.0.path().join("models")).unwrap();
        desk.write("site.toml", "[gateway]\nid = \"test\"\ndata_dir = \"data\"\n[files]\nmodels = \"models\"\n");
        desk
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Puts the shipped model `fall` there under another name, with `more` in its card.
    fn add(&self, name: &str, more: &str) {
        let card = include_str!("../../../../../models/fall/model.toml");
        let card = card.replace("name = \"fall\"", &format!("name = \"{name}\"\n{more}"));
        self.write(&format!("models/{name}/model.toml"), card.replace("\"1.0.0\"", "\"1.1.0\""));
        self.write(&format!("models/{name}/fall.onnx"), include_bytes!("../../../../../models/fall/fall.onnx"));
    }

    /// Runs `ninewatch model` with these words; gives standard output.
    fn say(&self, words: &str) -> anyhow::Result<String> {
        let site = self.0.path().join("site.toml").display().to_string();
        let words = ["ninewatch", "model"].into_iter().chain(words.split(' ')).chain(["--site", &site]);
        let Ninewatch::Model(args) = Ninewatch::try_parse_from(words)?;
        let mut out = Vec::new();
        run_to(&args, Lang::En, &mut out)?;
        Ok(String::from_utf8(out)?)
    }

    fn json(&self, words: &str) -> Value {
        serde_json::from_str(&self.say(words).unwrap()).unwrap()
    }
}

fn refusal(sha256: &str) -> String {
    json!([{"name": "fall", "version": "1.1.0", "sha256": sha256, "why": "it gave no score 3 times in a row", "at_ms": BEGIN}])
        .to_string()
}

#[test]
fn every_model_is_listed_with_how_it_stands() {
    if shipped().is_none() {
        return;
    }
    let desk = Desk::new();
    desk.add("fall2", "shadow_of = \"fall\"");
    desk.add("lone", "shadow_of = \"flood\"");
    desk.write("models/typo/model.toml", "nmae = \"typo\"\n");
    let listed = desk.json("list --json");
    let states: Vec<(&str, &str)> = listed["models"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| (model["name"].as_str().unwrap(), model["state"].as_str().unwrap()))
        .filter(|(name, _)| ["fall", "fall2", "lone"].contains(name))
        .collect();
    assert_eq!(states, [("fall", "in_use"), ("fall2", "shadow"), ("lone", "broken")]);
    assert!(listed["faults"][0].as_str().unwrap().contains("nmae"), "{listed}");

    let said = desk.say("list").unwrap();
    let line = |name: &str| said.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(line("fall ").contains("in use") && line("fall ").ends_with("built in"), "{said}");
    assert!(line("fall2 ").contains("shadow of fall") && line("fall2 ").contains("a burst, 6 channels, 6s"), "{said}");
    assert!(said.contains("no model `flood` with the features `wrist_motion_v1` is in use"), "{said}");
    assert!(said.contains("sensitivity") && !said.contains("specificity young"), "{said}");
}

#[test]
fn without_a_runtime_the_models_are_listed_all_the_same() {
    let desk = Desk::new();
    desk.write("site.toml", "[gateway]\nid = \"test\"\ndata_dir = \"data\"\n[files]\nonnxruntime = \"nowhere.so\"\n");
    let said = desk.say("list").unwrap();
    assert!(said.contains("not scored") && said.contains("there is no ONNX Runtime at"), "{said}");
    assert!(desk.say("bench").unwrap_err().to_string().starts_with("no model can be scored: there is no ONNX Runtime"));
}

#[test]
fn what_is_refused_is_listed_with_why_and_can_be_taken_up_again() {
    let desk = Desk::new();
    assert!(desk.say("retry fall").unwrap_err().to_string().starts_with("no version of `fall` is refused"));

    let card: toml::Table = include_str!("../../../../../models/fall/model.toml").parse().unwrap();
    desk.write("data/models/refused.json", refusal(card["sha256"].as_str().unwrap()));
    desk.add("fall", "");
    if shipped().is_some() {
        let said = desk.say("list").unwrap();
        assert!(said.contains("1.1.0 is refused since 2026-11-24T00:00:00.000+08:00: it gave no score"), "{said}");
    }
    assert!(desk.say("retry fall").unwrap().contains("fall 1.1.0 is refused no more"));
    assert_eq!(fs::read_to_string(desk.0.path().join("data/models/refused.json")).unwrap(), "[]");
}

#[test]
fn scores_are_measured() {
    if shipped().is_none() {
        return;
    }
    let desk = Desk::new();
    let measured = desk.json("bench fall --json");
    let fall = &measured["models"][0];
    assert_eq!((fall["name"].as_str(), measured["models"].as_array().unwrap().len()), (Some("fall"), 1));
    assert!(fall["us_p99"].as_f64() >= fall["us_per_score"].as_f64() && fall["us_per_score"].as_f64() > Some(0.0));
    assert!(fall["scores_per_second"].as_f64() > Some(10.0) && measured["machine"]["cores"].as_u64() > Some(0));
    assert_eq!(fall["features"].as_array().unwrap().len(), 40);
    assert!(
        desk.say("bench flood").unwrap_err().to_string().starts_with("there is no sound model `flood`; there are ")
    );
}

#[test]
fn a_shadow_without_a_log_is_told_with_those_that_have_one() {
    let desk = Desk::new();
    let told = |name: &str| desk.say(&format!("compare {name}")).unwrap_err().to_string();
    assert!(told("fall2").contains("there is no log of any shadow. `shadow_of` in a model's card"));
    desk.write("data/models/shadows/fall2.jsonl", "");
    desk.write("data/models/shadows/fall2.1.jsonl", "");
    assert!(told("fall3").contains("there are logs of fall2. "), "{}", told("fall3"));
    assert!(told("fall2").contains("holds no score yet"));
}

#[test]
fn a_shadow_is_compared_from_its_log() {
    let desk = Desk::new();
    let log = [line(0, "b-1", 0.1, Some(0.9)), line(2, "b-2", 0.9, Some(0.8)), line(30, "b-1", 0.1, None)];
    let lines: String = log.iter().map(|line| serde_json::to_string(line).unwrap() + "\n").collect();
    desk.write("data/models/shadows/fall2.jsonl", lines + "{\"at_ms\":17");
    let said = desk.say("compare fall2").unwrap();
    assert!(said.starts_with("shadow fall2 2.0.0 beside 1.0.0 in use\n2026-11-24T00:00:00.000+08:00 to "), "{said}");
    assert!(said.contains("b-1              1                  2026-11-24T00:00:00.000+08:00 (0.10 / 0.90)"), "{said}");
    assert!(said.ends_with("mend it, and do not put it in use.\n"), "{said}");
    let compared = desk.json("compare fall2 --json");
    assert_eq!((compared["scores"].as_u64(), compared["errors"].as_u64()), (Some(2), Some(1)));
    assert_eq!(compared["meaning"], "fails");
}

/// A line of a log, so many hours after it began. Both thresholds are 0.5.
fn line(hours: i64, about: &str, active: f32, shadow: Option<f32>) -> Line {
    Line {
        at_ms: BEGIN + hours * HOUR,
        about: about.to_owned(),
        active_version: "1.0.0".to_owned(),
        active,
        active_threshold: 0.5,
        shadow_version: "2.0.0".to_owned(),
        shadow,
        shadow_threshold: 0.5,
    }
}

fn compared(log: &[Line]) -> Comparison {
    let one_alert = OneAlert { active: Span::from_secs(600), shadow: Span::from_ms(3 * HOUR) };
    Comparison::of(log, one_alert).unwrap()
}

/// Two days in which two devices give a no of both, every quarter of an hour.
fn two_calm_days() -> Vec<Line> {
    let devices = |quarter: i64| {
        ["a", "b"].map(|about| Line { at_ms: BEGIN + quarter * HOUR / 4, ..line(0, about, 0.1, Some(0.2)) })
    };
    (0..=192).flat_map(devices).collect()
}

#[test]
fn an_empty_log_compares_nothing() {
    let one_alert = OneAlert { active: Span::default(), shadow: Span::default() };
    assert_eq!(Comparison::of(&[], one_alert), None);
}

#[test]
fn answers_and_differences_are_counted() {
    let found = compared(&[
        line(0, "a", 0.9, Some(0.9)),
        line(1, "a", 0.5, Some(0.25)),
        line(2, "b", 0.25, Some(0.5)),
        line(3, "b", 0.0, Some(0.0)),
        line(4, "b", 0.0, None),
    ]);
    let counts = (found.scores, found.both_yes, found.only_active_yes, found.only_shadow_yes, found.errors);
    assert_eq!(counts, (4, 1, 1, 1, 1));
    assert_eq!((found.mean_difference, found.most_difference), (0.125, 0.25));
    assert_eq!((found.devices, found.to_ms - found.from_ms, found.meaning), (2, 4 * HOUR, Meaning::Fails));
}

#[test]
fn yeses_of_a_device_within_the_quiet_time_are_one_alert() {
    let mut log = two_calm_days();
    log.iter_mut()
        .filter(|line| line.about == "a")
        .take(9)
        .for_each(|line| (line.active, line.shadow) = (0.9, Some(0.9)));
    let found = compared(&log);
    // 2 hours of a yes every 15 minutes; two devices over two days.
    assert_eq!(found.active_alerts_per_device_day, Some(9.0 / 4.0));
    assert_eq!(found.shadow_alerts_per_device_day, Some(1.0 / 4.0));
    assert_eq!((found.both_yes, found.meaning), (9, Meaning::Same));
    assert_eq!(compared(&log[..4]).active_alerts_per_device_day, None, "15 minutes give no rate");
}

#[test]
fn former_versions_do_not_count() {
    let former = Line { active_version: "0.9.0".to_owned(), ..line(0, "old", 0.9, Some(0.1)) };
    let found = compared(&[former, line(1, "a", 0.1, Some(0.1))]);
    assert_eq!((found.former, found.scores, found.devices, found.from_ms), (1, 1, 1, BEGIN + HOUR));
}

#[test]
fn the_devices_that_differ_most_come_first_with_their_last_moments() {
    let mut log = vec![line(0, "seldom", 0.9, Some(0.1)), line(0, "never", 0.1, Some(0.1))];
    log.extend((1..=5).map(|hour| line(hour, "often", 0.25, Some(0.75))));
    let found = compared(&log);
    let told: Vec<_> = found.differing.iter().map(|device| (device.about.as_str(), device.times)).collect();
    assert_eq!(told, [("often", 5), ("seldom", 1)]);
    let hours: Vec<i64> = found.differing[0].last.iter().map(|moment| (moment.at_ms - BEGIN) / HOUR).collect();
    assert_eq!(hours, [3, 4, 5]);
    assert_eq!(found.differing[1].last, [Moment { at_ms: BEGIN, active: 0.9, shadow: 0.1 }]);
}

#[test]
fn what_it_means_follows_from_the_alerts() {
    let with = |active: f32, shadow: f32| {
        let mut log = two_calm_days();
        (log[0].active, log[0].shadow) = (active, Some(shadow));
        compared(&log).meaning
    };
    assert_eq!(with(0.1, 0.1), Meaning::Same);
    assert_eq!(with(0.1, 0.9), Meaning::Louder);
    assert_eq!(with(0.9, 0.1), Meaning::Quieter);
    let mut log = two_calm_days();
    log[0].active = 0.9;
    log[40].shadow = Some(0.9);
    assert_eq!(compared(&log).meaning, Meaning::Other);
    assert_eq!(compared(&log[..100]).meaning, Meaning::TooLittle);
}
