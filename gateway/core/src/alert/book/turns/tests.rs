use super::*;
use crate::alert::{Finding, LONGEST_TURN, QUIET_WITHIN, Scene, Severity, Signal, Text};

const NOW: TimeMs = 1_795_000_000_000;

/// A book in which things happen, in one place.
#[derive(Default)]
struct Kitchen {
    book: AlertBook,
    settings: AlertSettings,
    changes: Vec<AlertChange>,
}

impl Kitchen {
    fn alarm(&mut self, device: &str, lasting: bool, now: TimeMs) -> Alert {
        let text = || Text { zh: "烟雾报警".into(), en: "Smoke".into() };
        let (rule, reason, series) = ("smoke-alarm".into(), text(), Vec::new());
        let finding = Finding {
            place: "kitchen".into(),
            group: "fire".into(),
            scene: Scene::Fire,
            severity: Severity::Critical,
            lasting,
            title: text(),
            evidence: Evidence { at_ms: now, device: device.into(), rule, reason, series, score: None },
        };
        self.book.signal("g", &self.settings, Signal::Raise(Box::new(finding)), now, &mut self.changes);
        self.changes.last().unwrap().alert.clone()
    }

    fn quiet(&mut self, device: &str, now: TimeMs) {
        let clear = Signal::Clear { device: device.into(), rule: "smoke-alarm".into() };
        self.book.signal("g", &self.settings, clear, now, &mut self.changes);
    }

    fn turn(&mut self, device: &str, step: TurnStep, now: TimeMs) -> Result<(), TurnError> {
        self.turn_of("w1", device, step, now)
    }

    fn turn_of(&mut self, walk_test: &str, device: &str, step: TurnStep, now: TimeMs) -> Result<(), TurnError> {
        let turn = WalkTurn { walk_test: walk_test.into(), device: device.into(), by: "zhao".into(), step };
        self.book.turn(&self.settings, &turn, now, &mut self.changes)
    }

    fn act(&mut self, alert: &Alert, verb: Verb, now: TimeMs) {
        let id = format!("{}-{now}", alert.id);
        let action = StaffAction::new(id, alert.id.clone(), "wang", verb);
        self.changes.extend(self.book.act(&self.settings, &action, now).unwrap().1);
    }

    /// Lets time pass as the pipeline does; gives what that changed.
    fn until(&mut self, now: TimeMs) -> Vec<AlertChange> {
        let from = self.changes.len();
        while let Some(due) = self.book.next_due().filter(|due| *due <= now) {
            self.book.on_time(&self.settings, due, &mut self.changes);
        }
        self.changes[from..].to_vec()
    }

    fn now(&self, alert: &Alert) -> Alert {
        self.changes.iter().rev().find(|change| change.alert.id == alert.id).unwrap().alert.clone()
    }
}

#[test]
fn what_is_raised_in_a_turn_is_marked_and_as_grave_as_ever() {
    let mut kitchen = Kitchen::default();
    let real = kitchen.alarm("smoke-1", true, NOW);
    kitchen.quiet("smoke-1", NOW + 1);
    kitchen.turn("smoke-1", TurnStep::Begin, NOW + 2).unwrap();
    let test = kitchen.alarm("smoke-1", true, NOW + 3);
    assert_eq!(test.walk_test.as_deref(), Some("w1"));
    let Alert { severity, group, status, drill, .. } = &test;
    assert_eq!((severity, &**group, status, *drill), (&Severity::Critical, "fire", &Status::Raised, false));
    assert!(test.may_sound() && test.id != real.id, "it joins nothing real");
    let wait = |alert: &Alert| alert.next_rung_at_ms.unwrap() - alert.raised_at_ms;
    assert_eq!(wait(&test), wait(&real), "it climbs as any other");
    let climbed = kitchen.until(NOW + 65_000);
    assert!(climbed.iter().any(|change| change.kind == ChangeKind::Escalated && change.alert.id == test.id));
}

#[test]
fn a_real_fire_beside_a_test_is_an_alert_of_its_own() {
    let mut kitchen = Kitchen::default();
    kitchen.turn("smoke-1", TurnStep::Begin, NOW).unwrap();
    let test = kitchen.alarm("smoke-1", true, NOW + 1);
    let fire = kitchen.alarm("smoke-2", true, NOW + 2);
    assert!(fire.walk_test.is_none() && fire.id != test.id);
    // And a further device's turn is one of its own, too.
    kitchen.turn("smoke-3", TurnStep::Begin, NOW + 3).unwrap();
    let next = kitchen.alarm("smoke-3", true, NOW + 4);
    assert!(next.walk_test.is_some() && next.id != test.id);
    // The same again in the same turn is the same alert, and told, as all that is critical.
    assert_eq!(kitchen.alarm("smoke-1", false, NOW + 5).id, test.id);
}

#[test]
fn whoever_runs_the_test_closes_it_as_one_when_it_is_quiet() {
    let mut kitchen = Kitchen::default();
    kitchen.turn("smoke-1", TurnStep::Begin, NOW).unwrap();
    let test = kitchen.alarm("smoke-1", true, NOW + 1000);
    kitchen.act(&test, Verb::Accept, NOW + 5000);
    kitchen.quiet("smoke-1", NOW + 9000);
    kitchen.turn("smoke-1", TurnStep::End, NOW + 10_000).unwrap();
    let closed = kitchen.changes.last().unwrap();
    assert_eq!((closed.kind, closed.by.as_deref()), (ChangeKind::Closed, Some("zhao")));
    assert_eq!((closed.alert.verdict, closed.alert.accepted_by.as_deref()), (Some(Verdict::Test), Some("wang")));
    assert_eq!(closed.alert.walk_test.as_deref(), Some("w1"), "the mark stays in the records");
    // The very next alarm is real.
    let fire = kitchen.alarm("smoke-1", true, NOW + 10_001);
    assert!(fire.walk_test.is_none() && fire.id != test.id && fire.status == Status::Raised);
}

#[test]
fn what_nobody_of_the_duty_room_accepted_is_accepted_by_the_tester() {
    let mut kitchen = Kitchen::default();
    kitchen.turn("sos-1", TurnStep::Begin, NOW).unwrap();
    let test = kitchen.alarm("sos-1", false, NOW + 1000);
    kitchen.turn("sos-1", TurnStep::End, NOW + 2000).unwrap();
    let test = kitchen.now(&test);
    assert_eq!((test.status, test.accepted_by.as_deref()), (Status::Closed, Some("zhao")));
}

#[test]
fn what_goes_on_after_its_turn_is_a_real_alert_whoever_had_it_in_hand() {
    for in_hand in [None, Some(Verb::Accept), Some(Verb::Close { verdict: Verdict::Test })] {
        let mut kitchen = Kitchen::default();
        kitchen.turn("smoke-1", TurnStep::Begin, NOW).unwrap();
        let test = kitchen.alarm("smoke-1", true, NOW + 1000);
        for verb in in_hand.iter().flat_map(|verb| [Verb::Accept, verb.clone()]) {
            kitchen.act(&test, verb, NOW + 2000);
        }
        kitchen.turn("smoke-1", TurnStep::End, NOW + 3000).unwrap();
        let over = NOW + 3000 + QUIET_WITHIN.ms();
        kitchen.until(over - 1);
        assert!(kitchen.now(&test).walk_test.is_some());
        assert!(kitchen.changes.iter().all(|change| change.alert.id == test.id));
        let changes = kitchen.until(over);
        let real = &changes.iter().find(|change| change.kind == ChangeKind::Raised).unwrap().alert;
        assert_eq!((real.severity, real.status), (Severity::Critical, Status::Raised));
        assert!(real.walk_test.is_none() && real.next_rung_at_ms.is_some() && real.devices == ["smoke-1"]);
        assert_eq!(kitchen.now(&test).verdict, Some(Verdict::Test));
        // It is over when it is over.
        kitchen.quiet("smoke-1", over + 1);
        let recovered = kitchen.changes.last().unwrap();
        assert_eq!((recovered.kind, &recovered.alert.id), (ChangeKind::Recovered, &real.id));
    }
}

#[test]
fn what_no_person_says_to_be_a_test_is_none_when_the_time_is_over() {
    let mut kitchen = Kitchen::default();
    kitchen.turn("sos-1", TurnStep::Begin, NOW).unwrap();
    let test = kitchen.alarm("sos-1", false, NOW + 1000);
    let late = NOW + LONGEST_TURN.ms();
    assert!(kitchen.alarm("sos-1", false, late).walk_test.is_none(), "the turn is over by itself");
    let changes = kitchen.until(late + QUIET_WITHIN.ms());
    let dropped = changes.iter().find(|change| change.kind == ChangeKind::Repeated).unwrap();
    assert_eq!((&dropped.alert.id, &dropped.alert.walk_test), (&test.id, &None));
    assert_eq!(dropped.alert.status, Status::Raised);
    // To say so late closes nothing that is real.
    kitchen.turn("sos-1", TurnStep::End, late + QUIET_WITHIN.ms() + 1).unwrap();
    assert_eq!(kitchen.now(&test).status, Status::Raised);
}

#[test]
fn a_turn_does_not_begin_while_another_goes_on_or_the_last_one_still_alarms() {
    let mut kitchen = Kitchen::default();
    kitchen.turn("smoke-1", TurnStep::Begin, NOW).unwrap();
    let other = kitchen.turn_of("w2", "smoke-1", TurnStep::Begin, NOW + 1);
    assert_eq!(other, Err(TurnError::OtherTest("w1".into())));
    let test = kitchen.alarm("smoke-1", true, NOW + 2);
    let again = kitchen.turn("smoke-1", TurnStep::Begin, NOW + 3);
    assert_eq!(again, Err(TurnError::StillAlarms(test.number)));
    kitchen.turn_of("w2", "smoke-1", TurnStep::End, NOW + 4).unwrap();
    assert_eq!(kitchen.now(&test).status, Status::Raised, "nobody ends another's turn");
    kitchen.quiet("smoke-1", NOW + 5);
    kitchen.turn("smoke-1", TurnStep::Begin, NOW + 6).unwrap();
}

#[test]
fn a_device_that_falls_silent_in_its_turn_is_not_tested_by_that() {
    let mut kitchen = Kitchen::default();
    kitchen.turn("smoke-1", TurnStep::Begin, NOW).unwrap();
    let silent = Finding {
        place: "kitchen".into(),
        group: "device_health".into(),
        scene: Scene::Fire,
        severity: Severity::Major,
        lasting: true,
        title: Text::default(),
        evidence: Evidence {
            at_ms: NOW,
            device: "smoke-1".into(),
            rule: "silent".into(),
            reason: Text::default(),
            series: Vec::new(),
            score: None,
        },
    };
    kitchen.book.signal("g", &kitchen.settings, Signal::Raise(Box::new(silent)), NOW, &mut kitchen.changes);
    assert!(kitchen.changes.last().unwrap().alert.walk_test.is_none());
}
