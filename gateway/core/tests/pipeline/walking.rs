//! A walk-test over the shipped rules: decided again, after a checkpoint or from the recording, it is the same.

use ninewatch_core::alert::{AlertChange, ChangeKind, Status, TurnError, TurnStep, Verdict, WalkTurn};
use ninewatch_core::pipeline::{Event, Message, Pipeline};
use ninewatch_core::replay::Recorded;
use ninewatch_core::time::TimeMs;

use crate::town::{MIDNIGHT, MINUTE, Says, Town, payload};

fn turn(device: &str, step: TurnStep) -> WalkTurn {
    WalkTurn { walk_test: "w1".into(), device: device.into(), by: "zhao".into(), step }
}

/// What happens, and when.
enum Happens {
    Turn(TurnStep),
    Smoke(&'static str, bool),
    Nothing,
}

fn walk() -> Vec<(TimeMs, Happens)> {
    let at = |seconds: i64| MIDNIGHT + 10 * MINUTE + 1000 * seconds;
    vec![
        (at(0), Happens::Turn(TurnStep::Begin)),
        (at(5), Happens::Smoke("shop-smoke", true)),
        (at(6), Happens::Smoke("shop-smoke-2", true)),
        (at(20), Happens::Turn(TurnStep::End)),
        (at(150), Happens::Nothing),
        (at(160), Happens::Smoke("shop-smoke", false)),
        (at(300), Happens::Nothing),
    ]
}

fn step(pipeline: &mut Pipeline, (at, happens): &(TimeMs, Happens)) -> Vec<AlertChange> {
    match happens {
        Happens::Turn(step) => {
            let recorded = Recorded::Turn(turn("shop-smoke", *step));
            let written = postcard::to_allocvec(&recorded).unwrap();
            pipeline.step_again(&postcard::from_bytes(&written).unwrap(), *at).unwrap().changes
        }
        Happens::Smoke(device, alarm) => {
            let payload = payload(device, &format!("{{\"n\":\"smoke_alarm\",\"vb\":{alarm}}}"), *at);
            let topic = format!("ninewatch/{device}/readings");
            let message =
                Message { device: Some(device), topic: &topic, payload: payload.as_bytes(), redelivered: false };
            pipeline.step(Event::Message(message), *at, &mut Says(0.0)).changes
        }
        Happens::Nothing => pipeline.step(Event::Tick, *at, &mut Says(0.0)).changes,
    }
}

#[test]
fn a_detector_that_does_not_stop_and_the_fire_beside_it_are_real() {
    let mut pipeline = Town::new().pipeline;
    let changes: Vec<AlertChange> = walk().iter().flat_map(|event| step(&mut pipeline, event)).collect();
    let raised: Vec<_> = changes.iter().filter(|change| change.kind == ChangeKind::Raised).collect();
    let told = |change: &&AlertChange| (change.alert.devices.join(" "), change.alert.walk_test.is_some());
    assert_eq!(
        raised.iter().map(told).collect::<Vec<_>>(),
        [("shop-smoke".into(), true), ("shop-smoke-2".into(), false), ("shop-smoke".into(), false)]
    );
    let last = changes.iter().rev().find(|change| change.alert.walk_test.is_some()).unwrap();
    assert_eq!((last.alert.status, last.alert.verdict), (Status::Closed, Some(Verdict::Test)));
    let climbs = changes.iter().filter(|change| change.kind == ChangeKind::Escalated);
    assert!(climbs.filter(|change| change.alert.walk_test.is_none()).count() >= 2, "the real ones climb on");
}

#[test]
fn a_checkpoint_anywhere_in_a_walk_goes_on_as_if_nothing_had_been() {
    let walk = walk();
    for cut in 0..=walk.len() {
        let mut whole = Town::new().pipeline;
        let mut broken = Town::new().pipeline;
        let expected: Vec<_> = walk.iter().map(|event| step(&mut whole, event)).collect();
        let before: Vec<_> = walk.iter().take(cut).map(|event| step(&mut broken, event)).collect();
        let mut broken = Pipeline::restore(&broken.checkpoint().unwrap()).unwrap();
        let behind: Vec<_> = walk.iter().skip(cut).map(|event| step(&mut broken, event)).collect();
        assert_eq!([before, behind].concat(), expected, "cut before event {cut}");
        assert_eq!(broken.checkpoint().unwrap(), whole.checkpoint().unwrap());
    }
}

#[test]
fn there_is_no_turn_of_what_is_not_registered() {
    let mut pipeline = Town::new().pipeline;
    let unknown = turn("nobody", TurnStep::Begin);
    let effects = pipeline.step(Event::Turn(&unknown), MIDNIGHT, &mut Says(0.0));
    assert_eq!(effects.turn, Some(TurnError::NoDevice("nobody".into())));
}
