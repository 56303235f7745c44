//! What ails the gateway becomes an alert of its own, and none of a hiccup.

use ninewatch_core::ailment::{Ailment, Complaint};
use ninewatch_core::alert::{
    AlertChange, AlertSettings, ChangeKind, Scene, Severity, StaffAction, Status, Text, Verb, Verdict,
};
use ninewatch_core::fault::SourceFile;
use ninewatch_core::pipeline::{Event, Pipeline};
use ninewatch_core::replay::Recorded;
use ninewatch_core::time::TimeMs;

use crate::town::{HOUR, MIDNIGHT, MINUTE, Says, settings};

const SECOND: i64 = 1_000;

/// Every ailment: its severity, how long it holds before it is told, how long it is over before that is told.
const TABLE: [(Ailment, &str, Severity, i64, i64); 28] = [
    (Ailment::UpstreamDown, "upstream_down", Severity::Major, 60, 30),
    (Ailment::UpstreamBehind, "upstream_behind", Severity::Major, 0, 60),
    (Ailment::BrokerDown, "broker_down", Severity::Major, 60, 30),
    (Ailment::DoorRefused, "door_refused", Severity::Minor, 0, 60),
    (Ailment::DiskFilling, "disk_filling", Severity::Major, 60, 300),
    (Ailment::DiskFull, "disk_full", Severity::Critical, 0, 60),
    (Ailment::DiskFailed, "disk_failed", Severity::Critical, 0, 60),
    (Ailment::JournalDamaged, "journal_damaged", Severity::Major, 0, 60),
    (Ailment::IndexRebuilt, "index_rebuilt", Severity::Notice, 0, 0),
    (Ailment::ClockWrong, "clock_wrong", Severity::Major, 0, 0),
    (Ailment::ClockJumped, "clock_jumped", Severity::Minor, 0, 0),
    (Ailment::ClockUnsynced, "clock_unsynced", Severity::Minor, 600, 0),
    (Ailment::ModelDegraded, "model_degraded", Severity::Minor, 60, 60),
    (Ailment::SiteFaults, "site_faults", Severity::Minor, 60, 10),
    (Ailment::Overloaded, "overloaded", Severity::Major, 0, 60),
    (Ailment::SignFailed, "sign_failed", Severity::Minor, 0, 60),
    (Ailment::AuditFailed, "audit_failed", Severity::Major, 60, 60),
    (Ailment::ChannelFailed, "channel_failed", Severity::Major, 180, 60),
    (Ailment::LineDown, "line_down", Severity::Major, 10, 30),
    (Ailment::LineNoisy, "line_noisy", Severity::Minor, 60, 300),
    (Ailment::NodeSilent, "node_silent", Severity::Major, 0, 30),
    (Ailment::NodeRefused, "node_refused", Severity::Major, 0, 60),
    (Ailment::NodeFault, "node_fault", Severity::Major, 10, 30),
    (Ailment::PinFailed, "pin_failed", Severity::Major, 15, 60),
    (Ailment::PinSimulated, "pin_simulated", Severity::Notice, 0, 0),
    (Ailment::WalkOverdue, "walk_overdue", Severity::Notice, 60, 0),
    (Ailment::BackupOverdue, "backup_overdue", Severity::Minor, 60, 60),
    (Ailment::UpdateFailed, "update_failed", Severity::Minor, 0, 0),
];

struct Gateway {
    pipeline: Pipeline,
    recorded: Vec<(TimeMs, Recorded<'static>)>,
    changes: Vec<AlertChange>,
}

impl Gateway {
    fn new() -> Self {
        let mut settings = settings();
        settings.rules.clear();
        let (pipeline, faults) = Pipeline::new(settings, MIDNIGHT);
        assert_eq!(faults, []);
        Self { pipeline, recorded: Vec::new(), changes: Vec::new() }
    }

    fn complains(&mut self, second: i64, of: &[(&str, Ailment)]) -> Vec<ChangeKind> {
        let complaint = |(part, ailment): &(&str, Ailment)| Complaint {
            part: (*part).to_owned(),
            ailment: *ailment,
            text: Text { zh: "连不上".into(), en: "cannot connect".into() },
        };
        let complaints: Vec<Complaint> = of.iter().map(complaint).collect();
        self.recorded.push((MIDNIGHT + second * SECOND, Recorded::Complaints(complaints.clone())));
        self.step(second, Event::Complaints(&complaints))
    }

    /// The kinds of the changes, escalations left out.
    fn step(&mut self, second: i64, event: Event<'_>) -> Vec<ChangeKind> {
        let mut changes = self.pipeline.step(event, MIDNIGHT + second * SECOND, &mut Says(0.0)).changes;
        changes.retain(|change| change.kind != ChangeKind::Escalated);
        let kinds = changes.iter().map(|change| change.kind).collect();
        self.changes.extend(changes);
        kinds
    }
}

#[test]
fn each_ailment_is_an_alert_when_it_lasts_and_recovers_when_it_stays_away() {
    assert_eq!(TABLE.map(|row| row.0), Ailment::ALL, "each is in the table");
    for (ailment, name, severity, holds_s, over_s) in TABLE {
        assert_eq!((ailment.name(), ailment.severity()), (name, severity));
        let alerts = AlertSettings::default();
        assert_eq!((ailment.holds(&alerts).secs(), ailment.over(&alerts).secs()), (holds_s, over_s), "{name}");
        let mut gateway = Gateway::new();
        let there = [("part:x", ailment)];
        if holds_s > 0 {
            gateway.complains(0, &there);
            assert_eq!(gateway.complains(holds_s - 1, &[]), [], "{name}: a hiccup is no alert");
            assert_eq!(gateway.step(HOUR / SECOND, Event::Tick), [], "{name}: nor later");
        }
        let begun = 2 * HOUR / SECOND;
        let mut kinds = gateway.complains(begun, &there);
        kinds.extend(gateway.step(begun + holds_s, Event::Tick));
        assert_eq!(kinds, [ChangeKind::Raised], "{name}");
        let raised = gateway.changes.last().unwrap();
        assert_eq!(raised.at_ms, MIDNIGHT + (begun + holds_s) * SECOND, "{name}: at its own time");
        let (alert, evidence) = (&raised.alert, raised.evidence.as_ref().unwrap());
        assert_eq!(
            (alert.scene, alert.severity, alert.status),
            (Scene::Operations, severity, Status::Raised),
            "{name}"
        );
        assert_eq!((alert.place.as_str(), alert.devices.as_slice()), ("gateway:test", &["gateway:part:x".into()][..]));
        assert_eq!(alert.rules, [ailment.rule()]);
        assert_eq!(alert.title, ailment.title());
        for (reason, says, mend) in [
            (&evidence.reason.zh, "连不上", ailment.mend().zh),
            (&evidence.reason.en, "cannot connect", ailment.mend().en),
        ] {
            assert!(reason.starts_with(says) && reason.ends_with(&mend) && !mend.is_empty(), "{name}: {reason}");
        }
        let well = begun + 600;
        let mut kinds = gateway.complains(well, &[]);
        if over_s > 0 {
            assert_eq!(gateway.complains(well + over_s - 1, &there), [], "{name}: it was not over");
            kinds.extend(gateway.complains(well + over_s, &[]));
            kinds.extend(gateway.step(well + 2 * over_s, Event::Tick));
        }
        assert_eq!(kinds, [ChangeKind::Recovered], "{name}");
        // An hour later it comes again, and is the same thing to see to.
        let mut kinds = gateway.complains(well + 4_000, &there);
        kinds.extend(gateway.step(well + 4_000 + holds_s, Event::Tick));
        assert_eq!(kinds, [ChangeKind::Repeated], "{name}");
        assert_eq!(gateway.changes.iter().map(|change| change.alert.number).max(), Some(1), "{name}");
    }
}

#[test]
fn their_names_and_rules_are_each_their_own() {
    let names: std::collections::BTreeSet<_> = Ailment::ALL.iter().flat_map(|of| [of.name(), of.rule()]).collect();
    assert_eq!(names.len(), 2 * Ailment::ALL.len());
    assert!(Ailment::ALL.iter().all(|of| of.rule() == format!("gateway-{}", of.name().replace('_', "-"))));
}

#[test]
fn parts_with_one_ailment_are_one_alert_and_others_are_their_own() {
    let mut gateway = Gateway::new();
    let city = ("upstream:city", Ailment::UpstreamDown);
    gateway.complains(0, &[city, ("upstream:county", Ailment::UpstreamDown), ("disk", Ailment::DiskFailed)]);
    gateway.step(60, Event::Tick);
    let said: Vec<_> = gateway.changes.iter().map(|change| (change.kind, change.alert.devices.len())).collect();
    assert_eq!(said, [(ChangeKind::Raised, 1), (ChangeKind::Raised, 1), (ChangeKind::Joined, 2)]);
    gateway.complains(100, &[city]);
    assert_eq!(gateway.step(400, Event::Tick), [ChangeKind::Recovered], "the disk; one upstream is still away");
    gateway.complains(500, &[]);
    assert_eq!(gateway.step(600, Event::Tick), [ChangeKind::Recovered]);
}

#[test]
fn it_has_the_life_of_any_alert_and_after_it_is_closed_another_one_begins() {
    let mut gateway = Gateway::new();
    gateway.complains(0, &[("disk", Ailment::DiskFailed)]);
    let alert = gateway.changes[0].alert.id.clone();
    for (id, verb) in [("1", Verb::Accept), ("2", Verb::Close { verdict: Verdict::Nuisance })] {
        let action = StaffAction::new(id, alert.clone(), "li", verb);
        gateway.step(1, Event::Action(&action));
    }
    assert_eq!(gateway.changes.last().unwrap().alert.status, Status::Closed);
    assert_eq!(gateway.step(4_000, Event::Tick), [], "it still ails, and somebody has judged that");
    gateway.complains(4_000, &[]);
    gateway.complains(4_100, &[("disk", Ailment::DiskFailed)]);
    let last = gateway.changes.last().unwrap();
    assert_eq!((last.kind, last.alert.number), (ChangeKind::Raised, 2));
}

#[test]
fn only_what_is_new_counts_and_a_start_begins_what_was_not_told_anew() {
    let mut gateway = Gateway::new();
    let down = |text: &str| Complaint {
        part: "upstream:city".into(),
        ailment: Ailment::UpstreamDown,
        text: Text { zh: text.into(), en: text.into() },
    };
    assert!(gateway.pipeline.knows(&[]));
    assert!(!gateway.pipeline.knows(&[down("refused")]));
    gateway.step(0, Event::Complaints(&[down("refused")]));
    assert!(gateway.pipeline.knows(&[down("refused")]) && !gateway.pipeline.knows(&[]));
    assert!(!gateway.pipeline.knows(&[down("no route")]), "the newest words are those of the alert");
    gateway.step(1, Event::Complaints(&[down("no route")]));
    // The gateway was off while it would have become an alert: nobody knows how the line was.
    assert_eq!(gateway.step(500, Event::Start), []);
    assert!(gateway.pipeline.knows(&[]));
    gateway.step(501, Event::Complaints(&[down("no route")]));
    assert_eq!(gateway.step(561, Event::Tick), [ChangeKind::Raised]);
    assert!(gateway.changes[0].alert.reason.en.starts_with("no route. "));
    // What is an alert outlives a start, and is over when it is told so.
    assert_eq!(gateway.step(600, Event::Start), []);
    gateway.step(601, Event::Complaints(&[]));
    assert_eq!(gateway.step(700, Event::Tick), [ChangeKind::Recovered]);
}

#[test]
fn deciding_again_comes_to_the_same_and_a_checkpoint_holds_it() {
    let mut gateway = Gateway::new();
    let all = Ailment::ALL.map(|ailment| ("part", ailment));
    gateway.complains(0, &all);
    let early = gateway.pipeline.checkpoint().unwrap();
    gateway.complains(90, &all[..7]);
    gateway.complains(2_000, &all[3..]);
    gateway.complains(9_000, &[]);
    let mut again = Pipeline::restore(&early).unwrap();
    let mut changes: Vec<AlertChange> = gateway.changes.iter().take(again.last_seq() as usize).cloned().collect();
    for (at, recorded) in &gateway.recorded[1..] {
        let taken = again.step_again(recorded, *at).unwrap().changes;
        changes.extend(taken.into_iter().filter(|change| change.kind != ChangeKind::Escalated));
    }
    assert!(changes.len() > 30, "{}", changes.len());
    assert_eq!(changes, gateway.changes);
    assert_eq!(again.checkpoint().unwrap(), gateway.pipeline.checkpoint().unwrap());
}

#[test]
fn no_rule_can_have_the_scene() {
    let mut settings = settings();
    let rule = "[[rule]]\nid = \"mine\"\ntitle = { zh = \"报警\", en = \"Alarm\" }\nseverity = \"minor\"\nsource = \"test\"\n\
                scene = \"operations\"\nreason = { zh = \"报警\", en = \"Alarm\" }\nstate = { field = \"gas_alarm\", is = true }\n";
    settings.rules = vec![SourceFile { name: "own.toml".into(), text: rule.into() }];
    let (_, faults) = Pipeline::new(settings, MIDNIGHT);
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert!(told.len() == 1 && told[0].contains("`operations` is what ails the gateway itself"), "{told:?}");
}

/// Whatever the sensor type, a device that falls silent is an alert; so is one that was never heard.
#[test]
fn the_silence_of_every_shipped_sensor_type_is_an_alert() {
    let mut settings = settings();
    let (types, _) = ninewatch_core::decode::SensorTypes::compile(&settings.sensor_types);
    settings.registry.devices.clear();
    let mut longest = 0;
    let blank = crate::town::settings().registry.devices[0].clone();
    for known in types.iter() {
        longest = longest.max(known.silent_after.ms());
        let device =
            ninewatch_core::site::Device { id: known.id.clone(), sensor_type: known.id.clone(), ..blank.clone() };
        settings.registry.devices.push(device);
    }
    settings.rules.retain(|file| file.name == "device-health.toml");
    let count = settings.registry.devices.len();
    assert!(count > 50);
    let (mut pipeline, _) = Pipeline::new(settings, MIDNIGHT);
    let changes = pipeline.step(Event::Tick, MIDNIGHT + longest + MINUTE, &mut Says(0.0)).changes;
    let mut silent: Vec<&str> = changes
        .iter()
        .filter_map(|change| change.evidence.as_ref())
        .filter(|evidence| evidence.rule.starts_with("silent"))
        .map(|evidence| evidence.device.as_str())
        .collect();
    silent.sort_unstable();
    silent.dedup();
    assert_eq!(silent.len(), count, "{silent:?}");
}
