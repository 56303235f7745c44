use std::sync::Arc;

use super::*;
use crate::alert::{AlertBook, AlertSettings, ChangeKind, Drill, DrillError, Evidence, Finding, Signal, Text};
use crate::alert::{Matter, StaffAction, Verb};

const OFFSET: UtcOffset = UtcOffset::CHINA;
const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
/// 2026-11-23T00:00+08:00, a Monday.
const MONDAY: TimeMs = 1_795_363_200_000;

const LADDERS: &str = r#"
[[ladder]]
name = "养老"
scenes = ["elder_care"]
kinds = ["home"]

[[ladder.rung]]
titles = ["grid_member"]
channels = ["grid"]

[[ladder.rung]]
after = "2m"
titles = ["duty_officer"]

[[ladder.rung]]
after = "5m"
people = ["zhang"]
channels = ["head"]

[[ladder]]
name = "夜间一般"
severities = ["minor"]
grids = ["g1"]
rung = [{ titles = ["guard"] }]

[[quiet]]
hours = "22:00-07:00"
severities = ["minor", "major"]
"#;

fn registry() -> Registry {
    let text = "[[place]]\nid = \"home\"\nname = \"家\"\nkind = \"home\"\ngrid = \"g1\"\n\
                [[place]]\nid = \"shop\"\nname = \"店\"\nkind = \"shop\"\ngrid = \"g2\"\n";
    Registry::parse("registry.toml", text).unwrap()
}

fn compile(text: &str) -> (Ladders, Vec<String>) {
    let file = SourceFile { name: "ladders.toml".into(), text: text.into() };
    let (ladders, faults) = Ladders::compile(&[file], &registry());
    (ladders, faults.iter().map(ToString::to_string).collect())
}

fn settings(text: &str) -> AlertSettings {
    let (ladders, faults) = compile(text);
    assert_eq!(faults, [""; 0]);
    AlertSettings { ladders, ..AlertSettings::default() }
}

fn finding(place: &str, scene: Scene, severity: Severity, rule: &str) -> Signal {
    let text = Text { zh: "报警".into(), en: "alarm".into() };
    Signal::Raise(Box::new(Finding {
        place: place.into(),
        group: Arc::from(scene.name()),
        scene,
        severity,
        lasting: true,
        title: text.clone(),
        evidence: Evidence {
            at_ms: MONDAY,
            device: format!("{place}-device"),
            rule: rule.into(),
            reason: text,
            series: Vec::new(),
            score: None,
        },
    }))
}

/// Lets time pass up to `until`; gives when each climbed, in seconds since Monday, and to which rung.
fn climbs(book: &mut AlertBook, settings: &AlertSettings, until: TimeMs) -> Vec<(i64, u8)> {
    let mut changes = Vec::new();
    while let Some(due) = book.next_due().filter(|due| *due <= until) {
        book.on_time(settings, due, &mut changes);
    }
    let climbed = changes.iter().filter(|change| change.kind == ChangeKind::Escalated);
    climbed.map(|change| ((change.at_ms - MONDAY) / SECOND, change.alert.escalation)).collect()
}

fn raised(settings: &AlertSettings, signal: Signal) -> AlertBook {
    let mut book = AlertBook::default();
    book.signal("g", settings, signal, MONDAY, &mut Vec::new());
    book
}

#[test]
fn the_first_ladder_that_fits_says_when_each_rung_is_climbed() {
    let settings = settings(LADDERS);
    let at = |place: &str, scene, severity| {
        let mut book = raised(&settings, finding(place, scene, severity, "r"));
        climbs(&mut book, &settings, MONDAY + 100 * MINUTE)
    };
    assert_eq!(at("home", Scene::ElderCare, Severity::Major), [(120, 1), (300, 2)]);
    assert_eq!(at("home", Scene::Fire, Severity::Minor), [], "one rung");
    // None fits: as the settings have it.
    assert_eq!(at("shop", Scene::ElderCare, Severity::Critical), [(60, 1), (180, 2), (600, 3)]);
    assert_eq!(at("shop", Scene::Fire, Severity::Minor), [(3600, 1)]);
    assert_eq!(at("gone", Scene::ElderCare, Severity::Notice), []);
}

#[test]
fn an_alert_that_becomes_graver_begins_its_ladder_anew_and_skips_no_rung() {
    let settings = AlertSettings::default();
    let mut book = raised(&settings, finding("shop", Scene::Fire, Severity::Minor, "warm"));
    let graver = MONDAY + 30 * MINUTE;
    // The condition still holds, so it joins however long after.
    let joins = finding("shop", Scene::Fire, Severity::Critical, "warm");
    book.signal("g", &settings, joins, graver, &mut Vec::new());
    assert_eq!(book.open().next().and_then(|alert| alert.next_rung_at_ms), Some(graver + MINUTE));
    let climbed = climbs(&mut book, &settings, graver + 20 * MINUTE);
    assert_eq!(climbed, [(1860, 1), (1980, 2), (2400, 3)], "each in its own time");
}

#[test]
fn a_ladder_goes_on_where_it_was_after_a_checkpoint_and_from_the_alert_log() {
    let settings = settings(LADDERS);
    let mut book = AlertBook::default();
    let mut changes = Vec::new();
    book.signal("g", &settings, finding("home", Scene::ElderCare, Severity::Major, "r"), MONDAY, &mut changes);
    book.on_time(&settings, MONDAY + 2 * MINUTE, &mut changes);
    let written = postcard::to_allocvec(&book).unwrap();
    let mut again = postcard::from_bytes::<AlertBook>(&written).unwrap().settled(Default::default());
    assert_eq!(again, book);
    assert_eq!(climbs(&mut again, &settings, MONDAY + 100 * MINUTE), [(300, 2)]);
    let mut adopted = AlertBook::default();
    for change in &changes {
        let json = serde_json::to_string(change).unwrap();
        adopted.adopt(&settings, &serde_json::from_str(&json).unwrap());
    }
    assert_eq!(climbs(&mut adopted, &settings, MONDAY + 100 * MINUTE), [(300, 2)]);
    let alert = book.open().next().unwrap().id.clone();
    let accept = StaffAction::new("1", alert.clone(), "li", Verb::Accept);
    book.act(&settings, &accept, MONDAY + 3 * MINUTE).unwrap();
    assert_eq!(book.open().next().unwrap().next_rung_at_ms, None);
    assert_eq!(climbs(&mut book.clone(), &settings, MONDAY + 100 * MINUTE), [], "somebody has it");
    let undo = StaffAction::new("2", alert, "li", Verb::Undo { action: "1".into() });
    let (_, change) = book.act(&settings, &undo, MONDAY + 7 * MINUTE / 2).unwrap();
    assert_eq!(change.unwrap().alert.next_rung_at_ms, Some(MONDAY + 5 * MINUTE));
    assert_eq!(climbs(&mut book, &settings, MONDAY + 100 * MINUTE), [(300, 2)], "nobody has it any more");
}

#[test]
fn what_a_resident_reported_of_a_grid_climbs_the_ladder_of_the_grid() {
    let settings = settings(LADDERS);
    let mut book = AlertBook::default();
    let mut name = |grid: &str| {
        let matter = Matter { id: grid.into(), grid: grid.into(), scene: Scene::Employment };
        let (_, change) = book.report("g", &settings, &matter, MONDAY);
        let alert = change.unwrap().alert;
        let ladder = settings.ladders.of(&alert).map(|ladder| ladder.name.clone());
        (ladder, settings.ladders.grid(&alert).map(str::to_owned))
    };
    assert_eq!(name("g1"), (Some("夜间一般".into()), Some("g1".into())));
    assert_eq!(name("g2"), (None, Some("g2".into())));
}

#[test]
fn nothing_keeps_a_critical_alert_quiet() {
    let (ladders, faults) = compile(LADDERS);
    assert_eq!(faults, [""; 0]);
    let alert = |severity| {
        let book = raised(&AlertSettings::default(), finding("home", Scene::Fire, severity, "r"));
        book.open().next().unwrap().clone()
    };
    let until = |severity, hour: i64| ladders.quiet_until(&alert(severity), OFFSET, MONDAY + hour * 60 * MINUTE);
    assert_eq!(until(Severity::Minor, 23), Some(MONDAY + 31 * 60 * MINUTE));
    assert_eq!(until(Severity::Major, 6), Some(MONDAY + 7 * 60 * MINUTE), "past midnight");
    assert_eq!((until(Severity::Minor, 7), until(Severity::Minor, 21)), (None, None));
    assert_eq!((until(Severity::Notice, 23), until(Severity::Critical, 23)), (None, None));
    // Also not by a rule for all severities, and not by one that says so: it is refused.
    let (all, _) = compile("[[quiet]]\nhours = \"22:00-07:00\"\n");
    assert_eq!(all.quiet_until(&alert(Severity::Critical), OFFSET, MONDAY + 23 * 60 * MINUTE), None);
    assert!(all.quiet_until(&alert(Severity::Notice), OFFSET, MONDAY + 23 * 60 * MINUTE).is_some());
    let (none, faults) = compile("[[quiet]]\nhours = \"22:00-07:00\"\nseverities = [\"minor\", \"critical\"]\n");
    assert!(none.quiet().is_empty());
    assert!(faults[0].contains("ladders.toml:2") && faults[0].contains("critical"), "{faults:?}");
}

#[test]
fn what_is_wrong_with_a_ladder_is_named_and_the_others_stand() {
    let rungs = |more: &str| format!("{LADDERS}\n[[ladder]]\nname = \"x\"\n{more}");
    for (text, word) in [
        (rungs("rung = [{}, { after = \"5m\" }, { after = \"2m\" }]\n"), "not after the one before"),
        (rungs("rung = [{ after = \"1m\" }, { after = \"2m\" }]\n"), "told at once"),
        (rungs("rung = [{}]\n"), "nobody else would be told"),
        (rungs("rung = [{}, { after = \"2h\" }]\n"), "nobody else would be told"),
        (rungs("rung = []\n"), "tells nobody"),
        (rungs("rung = [{ roles = [\"x\"] }]\n"), "unknown field"),
    ] {
        let (ladders, faults) = compile(&text);
        assert_eq!((ladders.ladders().len(), ladders.quiet().len(), faults.len()), (2, 1, 1), "{faults:?}");
        assert!(faults[0].contains(word), "{word} is not in: {faults:?}");
    }
}

fn drill(place: &str, siren: bool) -> Drill {
    let (scene, severity) = (Scene::Fire, Severity::Critical);
    Drill { place: place.into(), scene, severity, siren, by: "wang".into(), note: None }
}

#[test]
fn a_drill_and_what_really_happens_are_never_one_alert() {
    let settings = AlertSettings::default();
    let mut book = AlertBook::default();
    let begun = book.drill("g", &settings, &drill("shop", false), MONDAY).unwrap();
    assert!(begun.alert.drill && !begun.alert.may_sound() && begun.by.as_deref() == Some("wang"));
    assert_eq!(begun.alert.next_rung_at_ms, Some(MONDAY + MINUTE), "it climbs as a real one");
    let mut changes = Vec::new();
    book.signal("g", &settings, finding("shop", Scene::Fire, Severity::Critical, "r"), MONDAY + 1, &mut changes);
    assert_eq!(changes[0].kind, ChangeKind::Raised);
    assert!(!changes[0].alert.drill && changes[0].alert.may_sound());
    // And the other way round; but two drills at one place would only confuse.
    assert_eq!(book.drill("g", &settings, &drill("shop", true), MONDAY), Err(DrillError::StillOpen(1)));
    let second = book.drill("g", &settings, &drill("home", true), MONDAY + 2).unwrap();
    assert!(second.alert.drill && second.alert.may_sound());
    assert_eq!(book.open().count(), 3);
    let again =
        postcard::from_bytes::<AlertBook>(&postcard::to_allocvec(&book).unwrap()).unwrap().settled(Default::default());
    assert_eq!(again, book);
    // In a checkpoint what is new in an alert takes no byte: those from before are read, and by the program from before.
    let plain = crate::alert::Alert { drill: false, next_rung_at_ms: None, ..second.alert.clone() };
    assert_eq!(postcard::to_allocvec(&plain).unwrap(), postcard::to_allocvec(&second.alert).unwrap());
}
