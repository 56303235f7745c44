use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;

use ninewatch_core::detect::model::{ModelCard, Seen, Sight};
use ninewatch_core::detect::routine::Role;
use ninewatch_core::time::{TimeMs, UtcOffset};

use super::findings::Matter;
use super::*;

/// 2026-11-24 00:00 in China.
const MIDNIGHT: TimeMs = 1_795_449_600_000;
const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

const SUPPLY: &str = include_str!("../../../../../models/supply/model.toml");
const OVERHEAT: &str = include_str!("../../../../../models/overheat/model.toml");
const PRESENCE: &str = include_str!("../../../../../models/presence/model.toml");
const ROUTINE: &str = include_str!("../../../../../models/routine/model.toml");

/// An alert of the pump room that a model raised at these times, closed an hour after the last of them.
fn alert(judged: &mut Judged, number: u64, model: &str, verdict: &str, found: &[(&str, TimeMs)]) {
    let mut open = HashMap::new();
    let closed_at = found.iter().map(|(_, at)| at).max().unwrap() + 60 * MINUTE;
    let change = |at: TimeMs, evidence: Value, verdict: Value| {
        json!({
            "seq": 1, "at_ms": at, "kind": if verdict.is_null() { "raised" } else { "closed" }, "by": "li", "note": "Mrs Yang",
            "evidence": evidence,
            "alert": {
                "id": format!("ALERT{number}"), "number": number, "gateway": "g", "place": "pump-room", "group": "fire",
                "scene": "fire", "severity": "major", "status": "closed", "title": {"zh": "", "en": ""},
                "reason": {"zh": "", "en": ""}, "raised_at_ms": found[0].1, "updated_at_ms": at,
                "recovered_at_ms": null, "devices": [], "rules": [], "occurrences": 1, "escalation": 0,
                "accepted_by": "li", "dispatched_to": null, "verdict": verdict,
            },
        })
    };
    for (device, at) in found {
        let score = (!model.is_empty())
            .then(|| json!({"model": model, "version": "1.0.0", "value": 0.9, "threshold": 0.5, "features": []}));
        let evidence = json!({
            "at_ms": at, "device": device, "rule": "r", "reason": {"zh": "", "en": ""}, "series": [], "score": score,
        });
        judged.take(serde_json::from_value(change(*at, evidence, Value::Null)).unwrap(), &mut open);
    }
    judged.take(serde_json::from_value(change(closed_at, Value::Null, json!(verdict))).unwrap(), &mut open);
}

/// Whoever had judged it takes that back.
fn undone(judged: &mut Judged, number: u64) {
    let change = json!({
        "seq": 1, "at_ms": MIDNIGHT, "kind": "undone", "by": "li", "note": null, "evidence": null,
        "alert": {
            "id": format!("ALERT{number}"), "number": number, "gateway": "g", "place": "pump-room", "group": "fire",
            "scene": "fire", "severity": "major", "status": "handled", "title": {"zh": "", "en": ""},
            "reason": {"zh": "", "en": ""}, "raised_at_ms": MIDNIGHT, "updated_at_ms": MIDNIGHT,
            "recovered_at_ms": null, "devices": [], "rules": [], "occurrences": 1, "escalation": 0,
            "accepted_by": "li", "dispatched_to": null, "verdict": null,
        },
    });
    judged.take(serde_json::from_value(change).unwrap(), &mut HashMap::new());
}

fn card(toml: &str) -> ModelCard {
    toml::from_str(toml).unwrap()
}

/// A folder with a recording's windows in it, which begins at `begins_ms`.
struct Exported {
    folder: tempfile::TempDir,
    rows: Vec<(u64, String, Note)>,
    pseudonyms: Pseudonyms,
}

fn export(judged: &Judged, begins_ms: TimeMs, play: impl FnOnce(&mut Windows<'_>)) -> Exported {
    let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut windows = Windows::of(&judged.matters);
    windows.begin(begins_ms, UtcOffset::CHINA);
    play(&mut windows);
    let pseudonyms = Pseudonyms::open(data.path()).unwrap();
    let rows = write(&Folder::open(folder.path().to_owned(), false).unwrap(), &windows, &pseudonyms).unwrap();
    let rows = rows.into_iter().map(|row| (row.matter.number, row.file, row.note)).collect();
    Exported { folder, rows, pseudonyms }
}

impl Exported {
    fn lines(&self, file: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join(file)).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

fn reading(windows: &mut Windows<'_>, card: &ModelCard, device: &str, at_ms: TimeMs, values: &[Option<f64>]) {
    let seen = Seen::Reading(values);
    windows.look(&Sight { card, rule: "r", place: "pump-room", device, at_ms, seen });
}

#[test]
fn only_what_a_model_said_and_staff_judged_is_evidence() {
    let mut judged = Judged::default();
    alert(&mut judged, 1, "supply", "test", &[("pump", MIDNIGHT)]);
    alert(&mut judged, 2, "", "false_alarm", &[("pump", MIDNIGHT)]);
    alert(&mut judged, 3, "supply", "nuisance", &[("pump", MIDNIGHT + 2), ("well", MIDNIGHT + 1), ("pump", MIDNIGHT)]);
    // Judged to be real, elsewhere, after it was closed here.
    alert(&mut judged, 4, "supply", "test", &[("pump", MIDNIGHT)]);
    alert(&mut judged, 4, "", "true_alarm", &[("pump", MIDNIGHT)]);
    // Taken back for good, and to be judged anew.
    for number in [5, 6] {
        alert(&mut judged, number, "supply", "true_alarm", &[("pump", MIDNIGHT)]);
        undone(&mut judged, number);
    }
    alert(&mut judged, 6, "", "false_alarm", &[("pump", MIDNIGHT)]);
    judged.settle();
    let of = |matter: &Matter| {
        let times: Vec<i64> = matter.findings.iter().map(|finding| finding.at_ms - MIDNIGHT).collect();
        (matter.number, matter.device.clone(), times, matter.is_true())
    };
    let found: Vec<_> = judged.matters.iter().map(of).collect();
    assert_eq!(
        found,
        [
            (3, "pump".into(), vec![0, 2], false),
            (3, "well".into(), vec![1], false),
            (4, "pump".into(), vec![0], true),
            (6, "pump".into(), vec![0], false)
        ]
    );
    assert_eq!(judged.tests, 1);
}

#[test]
fn a_water_loops_readings_are_labelled_within_the_alert() {
    let mut judged = Judged::default();
    let found = MIDNIGHT + 1000 * 1000;
    alert(&mut judged, 1, "supply", "true_alarm", &[("pump", found), ("well", found)]);
    alert(&mut judged, 2, "supply", "false_alarm", &[("pump", MIDNIGHT - DAY)]);
    let card = card(SUPPLY);
    let exported = export(&judged, MIDNIGHT + 700_000, |windows| {
        for second in 0..3000 {
            let values = [Some(0.25), Some(32.0), None, Some(230.0), None, None, None, Some(0.04)];
            for device in ["pump", "well", "other"] {
                reading(windows, &card, device, MIDNIGHT + second * 1000, &values);
            }
        }
    });
    let files: Vec<_> = exported.rows.iter().map(|(number, file, note)| (*number, file.as_str(), *note)).collect();
    let [first, second, third] = files[..] else { panic!("{files:?}") };
    assert_eq!(first, (1, "skab/ALERT1.csv", Note::Short), "the journal begins within the 400 s before it");
    assert_eq!(second, (1, "skab/ALERT1-2.csv", Note::Short));
    assert_eq!(third, (2, "", Note::Gone));
    let lines = exported.lines("skab/ALERT1.csv");
    assert_eq!(
        lines[0],
        "datetime;Accelerometer1RMS;Accelerometer2RMS;Current;Pressure;Temperature;Thermocouple;Voltage;Volume Flow RateRMS;anomaly"
    );
    assert_eq!(lines[1], "2026-11-24 00:10:00;nan;0.04;nan;0.25;nan;nan;230;32;0");
    assert_eq!(lines.len() - 1, 400 + 601, "400 s before it, and ten minutes in which it would be the same matter");
    assert_eq!(lines.iter().filter(|line| line.ends_with(";1")).count(), 601);
    let sheet = exported.lines("evidence.csv");
    assert!(
        sheet[1].starts_with("ALERT1,2026-11-24T00:16:40.000+08:00,2026-11-24T01:16:40.000+08:00,"),
        "{}",
        sheet[1]
    );
    assert!(sheet[1].ends_with(",r,supply,1.0.0,0.9,0.5,true_alarm,1,skab/ALERT1.csv,short"), "{}", sheet[1]);
    assert!(sheet[3].ends_with(",false_alarm,0,,gone"), "{}", sheet[3]);
    let sheet = sheet.join("\n");
    for secret in ["pump", "well", "Yang", "li,"] {
        assert!(!sheet.contains(secret), "{secret} stays at home: {sheet}");
    }
}

#[test]
fn a_machines_windows_are_those_that_were_true() {
    let mut judged = Judged::default();
    let found = MIDNIGHT + 9 * DAY;
    alert(&mut judged, 1, "overheat", "true_alarm", &[("pump", found)]);
    alert(&mut judged, 2, "overheat", "false_alarm", &[("well", found)]);
    let card = card(OVERHEAT);
    let exported = export(&judged, MIDNIGHT, |windows| {
        for minute in (0..12 * 24 * 60).step_by(30) {
            reading(windows, &card, "pump", MIDNIGHT + minute * MINUTE, &[Some(70.5)]);
            reading(windows, &card, "well", MIDNIGHT + minute * MINUTE, &[Some(70.5)]);
        }
    });
    let lines = exported.lines("nab/ALERT2.csv");
    assert_eq!(lines[..2], ["timestamp,value", "2026-11-25 00:00:00,70.5"]);
    let windows: Value = serde_json::from_str(&exported.lines("nab/windows.json").join("")).unwrap();
    // The alert was closed an hour after it.
    assert_eq!(windows, json!({"ALERT1.csv": [["2026-12-03 00:00:00", "2026-12-03 01:00:00"]]}));
    assert!(exported.rows.iter().all(|(.., note)| *note == Note::Whole));
}

#[test]
fn a_room_is_said_to_be_occupied_within_the_alert() {
    let mut judged = Judged::default();
    alert(&mut judged, 1, "presence", "true_alarm", &[("desk", MIDNIGHT + 60 * MINUTE)]);
    let card = card(PRESENCE);
    let exported = export(&judged, MIDNIGHT, |windows| {
        for minute in 0..90 {
            reading(windows, &card, "desk", MIDNIGHT + minute * MINUTE, &[Some(400.0), Some(650.0)]);
        }
    });
    let lines = exported.lines("uci-occupancy/ALERT1.txt");
    assert_eq!(lines[0], "no,date,Temperature,Humidity,Light,CO2,HumidityRatio,Occupancy");
    assert_eq!(lines[1], "1,2026-11-24 00:30:00,,,400,650,,0");
    assert_eq!(lines.last().unwrap(), "46,2026-11-24 01:15:00,,,400,650,,1", "a yes counts for a quarter of an hour");
}

#[test]
fn a_homes_week_is_one_file_in_words_that_say_nothing_about_it() {
    let mut judged = Judged::default();
    let found = MIDNIGHT + 8 * DAY;
    alert(&mut judged, 1, "routine", "true_alarm", &[("band", found)]);
    alert(&mut judged, 2, "routine", "false_alarm", &[("band", found + DAY)]);
    let card = card(ROUTINE);
    let exported = export(&judged, MIDNIGHT, |windows| {
        let mut sign = |at_ms, place, on| {
            let seen = Seen::Sign { field: "in_bed", role: Role::Bed, on };
            windows.look(&Sight { card: &card, rule: "r", place, device: "mat", at_ms, seen });
        };
        for day in 0..9 {
            sign(MIDNIGHT + day * DAY - 2500, "pump-room", true);
            sign(MIDNIGHT + day * DAY + 7 * 60 * MINUTE, "pump-room", false);
            sign(MIDNIGHT + day * DAY, "next-door", true);
        }
    });
    let path = homes::path(&exported.pseudonyms.of("place", "pump-room"));
    assert_eq!(exported.rows, [(1, path.clone(), Note::Whole), (2, path.clone(), Note::Whole)]);
    let lines = exported.lines(&path);
    assert_eq!(
        lines[..2],
        [
            "Start time\tEnd time\tLocation\tType\tPlace",
            "2026-11-25 23:59:57\t2026-11-26 07:00:00\tBed\tPressure\tBedroom",
        ]
    );
    assert_eq!(lines.len() - 1, 7, "the week before the first of them, and what there is up to the second");
    let files = std::fs::read_dir(Path::new(exported.folder.path()).join("uci-adl")).unwrap();
    assert_eq!(files.count(), 1);
}
