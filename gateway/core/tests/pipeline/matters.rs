//! What residents report is an alert of its own, once, and decided again it is the same.

use ninewatch_core::alert::{
    AlertChange, AlertId, ChangeKind, Matter, Regrade, Scene, Severity, StaffAction, Status, Verb, Verdict,
};
use ninewatch_core::pipeline::{Event, Pipeline};
use ninewatch_core::replay::Recorded;

use crate::town::{MIDNIGHT, MINUTE, Says, settings};

fn matter(id: &str, scene: Scene) -> Matter {
    Matter { id: id.into(), grid: "kaili-1".into(), scene }
}

fn report(pipeline: &mut Pipeline, matter: &Matter, minute: i64) -> (AlertId, Vec<AlertChange>) {
    let effects = pipeline.step(Event::Report(matter), MIDNIGHT + minute * MINUTE, &mut Says(0.0));
    // Devices of the town that nobody hears fall silent meanwhile.
    let is_of_it = |change: &AlertChange| change.kind != ChangeKind::Escalated && change.alert.place == matter.place();
    let changes = effects.changes.into_iter().filter(is_of_it);
    (effects.reported.unwrap(), changes.collect())
}

#[test]
fn two_matters_of_one_grid_at_one_time_are_two_alerts() {
    let (mut pipeline, _) = Pipeline::new(settings(), MIDNIGHT);
    let (first, changes) = report(&mut pipeline, &matter("a", Scene::Fire), 1);
    assert_eq!(changes.len(), 1);
    let alert = &changes[0].alert;
    assert_eq!((alert.scene, alert.severity, alert.status), (Scene::Fire, Severity::Major, Status::Raised));
    assert_eq!((&*alert.place, &*alert.group, &*alert.devices[0]), ("grid:kaili-1", "resident", "resident:a"));
    assert_eq!(alert.title.zh, "居民上报：消防");
    let (second, changes) = report(&mut pipeline, &matter("b", Scene::Fire), 1);
    assert_eq!(changes[0].kind, ChangeKind::Raised);
    assert_ne!(first, second);
    let (_, changes) = report(&mut pipeline, &matter("c", Scene::Employment), 1);
    assert_eq!(changes[0].alert.severity, Severity::Minor);
}

#[test]
fn no_scene_makes_a_matter_critical() {
    for scene in [Scene::Security, Scene::Fire, Scene::ElderCare, Scene::ChildProtection, Scene::Employment] {
        let (mut pipeline, _) = Pipeline::new(settings(), MIDNIGHT);
        let (_, changes) = report(&mut pipeline, &matter("a", scene), 1);
        assert!(changes[0].alert.severity < Severity::Critical, "{scene:?}");
    }
}

#[test]
fn the_same_report_again_is_the_same_alert_also_when_it_is_closed_or_came_back_from_the_log() {
    let (mut pipeline, _) = Pipeline::new(settings(), MIDNIGHT);
    let (id, first) = report(&mut pipeline, &matter("a", Scene::Security), 1);
    assert_eq!(report(&mut pipeline, &matter("a", Scene::Security), 2), (id.clone(), Vec::new()));
    let mut log = first;
    for (number, verb) in [Verb::Accept, Verb::Close { verdict: Verdict::Nuisance }].into_iter().enumerate() {
        let action = StaffAction::new(number.to_string(), id.clone(), "li", verb);
        log.extend(pipeline.step(Event::Action(&action), MIDNIGHT + 3 * MINUTE, &mut Says(0.0)).changes);
    }
    assert_eq!(log.last().unwrap().alert.status, Status::Closed);
    assert_eq!(report(&mut pipeline, &matter("a", Scene::Security), 4), (id.clone(), Vec::new()));
    let (mut adopted, _) = Pipeline::new(settings(), MIDNIGHT);
    log.iter().for_each(|change| adopted.adopt(change));
    assert_eq!(report(&mut adopted, &matter("a", Scene::Security), 5), (id, Vec::new()));
}

#[test]
fn what_was_recorded_gives_the_same_alert_again_and_holds_nothing_of_the_resident() {
    let (mut pipeline, _) = Pipeline::new(settings(), MIDNIGHT);
    let (_, changes) = report(&mut pipeline, &matter("a", Scene::ElderCare), 1);
    let recorded = Recorded::Report(matter("a", Scene::ElderCare));
    let (mut again, _) = Pipeline::new(settings(), MIDNIGHT);
    assert_eq!(again.step_again(&recorded, MIDNIGHT + MINUTE).unwrap().changes, changes);
    let restored = Pipeline::restore(&pipeline.checkpoint().unwrap()).unwrap();
    assert_eq!(restored.open_alerts().collect::<Vec<_>>(), pipeline.open_alerts().collect::<Vec<_>>());
}

#[test]
fn the_desk_makes_a_matter_graver_and_it_climbs_the_ladder_of_what_it_now_is() {
    let (mut pipeline, _) = Pipeline::new(settings(), MIDNIGHT);
    let (id, _) = report(&mut pipeline, &matter("a", Scene::Fire), 0);
    let regrade = Regrade { alert: id.clone(), severity: Severity::Critical, by: "li".into() };
    let at = MIDNIGHT + MINUTE / 2;
    let effects = pipeline.step(Event::Regrade(&regrade), at, &mut Says(0.0));
    assert_eq!(effects.regraded, Some(Ok(())));
    let change = &effects.changes[0];
    assert_eq!((change.kind, change.alert.severity), (ChangeKind::Joined, Severity::Critical));
    assert_eq!(change.by.as_deref(), Some("li"));
    assert!(change.alert.reason.zh.ends_with("（人工提级为紧急）"), "{}", change.alert.reason.zh);
    // A critical one that nobody accepts climbs after a minute, not after five.
    let later = pipeline.step(Event::Tick, at + MINUTE, &mut Says(0.0)).changes;
    assert!(later.iter().any(|change| change.kind == ChangeKind::Escalated && change.alert.id == id));

    let mut regraded = |severity| {
        let regrade = Regrade { severity, ..regrade.clone() };
        pipeline.step(Event::Regrade(&regrade), at + MINUTE, &mut Says(0.0)).changes.len()
    };
    assert_eq!((regraded(Severity::Critical), regraded(Severity::Minor)), (0, 0), "again, or less, is nothing");
    let unknown = Regrade { alert: AlertId::from("0"), ..regrade.clone() };
    let refused = pipeline.step(Event::Regrade(&unknown), at + MINUTE, &mut Says(0.0)).regraded;
    assert!(matches!(refused, Some(Err(_))));

    let (mut again, _) = Pipeline::new(settings(), MIDNIGHT);
    again.step_again(&Recorded::Report(matter("a", Scene::Fire)), MIDNIGHT).unwrap();
    assert_eq!(again.step_again(&Recorded::Regrade(regrade), at).unwrap().changes, effects.changes);
}

#[test]
fn each_time_that_somebody_makes_an_alert_graver_is_told_however_often_it_has_repeated() {
    let (mut pipeline, _) = Pipeline::new(settings(), MIDNIGHT);
    let (id, _) = report(&mut pipeline, &matter("a", Scene::Employment), 0);
    // Each of them is one more finding by the same rule, which would be folded if it said nothing new.
    let mut told = Vec::new();
    for severity in [Severity::Minor, Severity::Major, Severity::Critical] {
        let regrade = Regrade { alert: id.clone(), severity, by: "li".into() };
        let changes = pipeline.step(Event::Regrade(&regrade), MIDNIGHT, &mut Says(0.0)).changes;
        told.extend(changes.into_iter().map(|change| (change.kind, change.alert.severity)));
    }
    assert_eq!(told, [(ChangeKind::Joined, Severity::Major), (ChangeKind::Repeated, Severity::Critical)]);
}
