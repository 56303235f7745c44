//! Time is not trusted, and silence is not health.

use crate::town::{HOUR, MIDNIGHT, MINUTE, Says, Town, settings};
use ninewatch_core::alert::{ChangeKind, StaffAction, Verb};
use ninewatch_core::pipeline::{Event, Pipeline};
use proptest::prelude::*;

#[test]
fn a_press_heard_hours_later_is_found_once_at_its_own_time() {
    let mut town = Town::new();
    let noon = MIDNIGHT + 12 * HOUR;
    town.switch(noon - 6 * HOUR, "home-sos", "sos", false);
    town.switch(noon, "home-sos", "sos", false);
    town.hear("home-sos", r#"{"n":"sos","vb":true}"#, noon - 3 * HOUR, noon + 1);
    town.hear("home-sos", r#"{"n":"sos","vb":false}"#, noon - 3 * HOUR + MINUTE, noon + 2);
    assert_eq!(town.found("sos"), [format!("home-sos @{}", 9 * 60)]);
    let evidence = town.changes[0].evidence.as_ref().unwrap();
    assert_eq!(evidence.series[0].points.last(), Some(&(noon - 3 * HOUR, 1.0)));
}

#[test]
fn what_was_sent_twice_is_found_once() {
    let mut town = Town::new();
    let press = r#"{"n":"sos","vb":true}"#;
    town.hear("home-sos", press, MIDNIGHT, MIDNIGHT);
    let again = town.hear_as("home-sos", press, MIDNIGHT, MIDNIGHT + 3000, true);
    assert_eq!(again.intake.unwrap().unwrap().duplicates, 1);
    town.hear_as("home-sos", r#"{"n":"sos","vb":false}"#, MIDNIGHT + 5000, MIDNIGHT + 6000, false);
    town.hear_as("home-sos", press, MIDNIGHT, MIDNIGHT + 9000, true);
    assert_eq!(town.found("sos").len(), 1);
}

#[test]
fn a_backlog_tells_its_story_in_its_own_order_and_time() {
    // Half an hour of 120 ppm, over before any of it was heard.
    let mut town = Town::new();
    let readings: Vec<(i64, f64)> = (0..60).map(|m| (m, if (10..40).contains(&m) { 120.0 } else { 2.0 })).collect();
    let back = MIDNIGHT + 2 * HOUR;
    for (order, (minute, ppm)) in readings.iter().enumerate() {
        let records = format!("{{\"n\":\"co_ppm\",\"v\":{ppm}}}");
        town.hear("shop-gas", &records, MIDNIGHT + minute * MINUTE, back + order as i64 * 20);
    }
    town.tick(back + 10_000);
    assert_eq!(town.found("co-curve"), ["shop-gas @20"]);
    assert_eq!(town.kinds(), [ChangeKind::Raised, ChangeKind::Recovered]);
}

#[test]
fn nothing_is_concluded_from_half_a_backlog() {
    let mut town = Town::new();
    let night = MIDNIGHT + 24 * HOUR;
    town.switch(night - 90 * MINUTE, "home-door", "open", false);
    // Opened for a minute at night; both messages come in an hour later, the second 400 ms behind.
    town.hear("home-door", r#"{"n":"open","vb":true}"#, night, night + HOUR);
    town.tick(night + HOUR + 200);
    town.hear("home-door", r#"{"n":"open","vb":false}"#, night + MINUTE, night + HOUR + 400);
    town.tick(night + 2 * HOUR);
    assert_eq!(town.found("home-door-night"), Vec::<String>::new());
}

#[test]
fn a_clock_an_hour_ahead_is_seen_through() {
    let mut town = Town::new();
    // 22:45 by the wall, 23:45 by the door: the night has not begun.
    let at = MIDNIGHT + 22 * HOUR + 45 * MINUTE;
    town.hear("shop-door", r#"{"n":"open","vb":true}"#, at + HOUR, at);
    town.hear("shop-door", r#"{"n":"open","vb":false}"#, at + HOUR + 2 * MINUTE, at + 2 * MINUTE);
    town.tick(at + 2 * HOUR);
    assert_eq!(town.found("night-door"), Vec::<String>::new());
    let door = town.pipeline.devices().into_iter().find(|status| status.device == "shop-door").unwrap();
    assert_eq!(door.skew_ms, Some(HOUR));
}

#[test]
fn a_clock_that_was_never_set_does_not_count() {
    let mut town = Town::new();
    town.hear("home-sos", r#"{"n":"sos","vb":true}"#, 86_400_000 * 365, MIDNIGHT + MINUTE);
    assert_eq!(town.found("sos"), ["home-sos @1"]);
}

#[test]
fn a_silent_device_is_an_alert_and_its_voice_the_end_of_it() {
    let mut town = Town::with(settings());
    town.number(MIDNIGHT, "shop-gas", "co_ppm", 2.0);
    town.tick(MIDNIGHT + 5 * MINUTE - 1);
    assert!(!town.found("silent-lifesafety").contains(&"shop-gas @5".to_owned()));
    town.tick(MIDNIGHT + 5 * MINUTE);
    assert!(town.found("silent-lifesafety").contains(&"shop-gas @5".to_owned()));
    let devices = town.pipeline.devices();
    assert!(devices.iter().find(|status| status.device == "shop-gas").unwrap().silent);
    town.number(MIDNIGHT + 7 * MINUTE, "shop-gas", "co_ppm", 2.0);
    let devices = town.pipeline.devices();
    assert!(!devices.iter().find(|status| status.device == "shop-gas").unwrap().silent);
}

#[test]
fn while_the_gateway_was_down_nobody_was_silent() {
    let mut town = Town::with(settings());
    town.number(MIDNIGHT, "shop-gas", "co_ppm", 2.0);
    let up = MIDNIGHT + 3 * HOUR;
    let changes = town.pipeline.step(Event::Start, up, &mut Says(0.0)).changes;
    assert_eq!(changes, []);
    town.tick(up + 5 * MINUTE);
    assert!(town.found("silent-lifesafety").contains(&format!("shop-gas @{}", 3 * 60 + 5)));
}

#[test]
fn a_gap_is_unknown_and_not_fine() {
    let mut town = Town::new();
    for minute in 0..=10 {
        town.number(MIDNIGHT + minute * MINUTE, "shop-gas", "co_ppm", 120.0);
    }
    assert_eq!(town.found("co-curve").len(), 1);
    town.tick(MIDNIGHT + HOUR);
    assert!(town.changes.iter().all(|change| change.kind != ChangeKind::Recovered), "silence clears nothing");
    town.number(MIDNIGHT + 61 * MINUTE, "shop-gas", "co_ppm", 2.0);
    assert!(town.pipeline.open_alerts().any(|alert| alert.recovered_at_ms.is_some() && alert.group.as_ref() == "fire"));
}

#[test]
fn what_somebody_has_in_hand_does_not_swallow_something_graver() {
    let mut town = Town::new();
    for minute in 0..=12 {
        town.number(MIDNIGHT + minute * MINUTE, "home-bracelet", "body_temperature_c", 39.5);
    }
    let first = town.changes[0].alert.id.clone();
    let accept = StaffAction::new("a", first.clone(), "duty", Verb::Accept);
    let acted = town.pipeline.step(Event::Action(&accept), MIDNIGHT + 12 * MINUTE, &mut Says(0.0));
    assert!(acted.action.is_some_and(|acted| acted.is_ok_and(|acted| !acted.again)));
    town.switch(MIDNIGHT + 13 * MINUTE, "home-sos", "sos", true);
    let sos = town.changes.last().unwrap();
    assert_eq!((sos.kind, sos.alert.id != first), (ChangeKind::Raised, true));
}

/// A day's events: (minute heard, lateness in minutes, ppm).
fn readings() -> impl Strategy<Value = Vec<(i64, f64)>> {
    let level = prop_oneof![Just(2.0), Just(40.0), Just(70.0), Just(150.0)];
    proptest::collection::vec((1_i64..12, level), 10..40).prop_map(|runs| {
        let mut minute = 0;
        let mut readings = Vec::new();
        for (length, ppm) in runs {
            for _ in 0..length {
                readings.push((minute, ppm));
                minute += 1;
            }
        }
        readings
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However often anybody looks at the clock, the same alerts come at the same times.
    #[test]
    fn ticks_change_nothing(readings in readings(), ticks in proptest::collection::vec(0_i64..400 * 60, 0..50)) {
        let mut plain = Town::new();
        let mut ticked = Town::new();
        let mut ticks: Vec<i64> = ticks.into_iter().map(|second| MIDNIGHT + second * 1000 + 7).collect();
        ticks.sort_unstable();
        let mut ticks = ticks.into_iter().peekable();
        for (minute, ppm) in readings {
            let at = MIDNIGHT + minute * MINUTE;
            while let Some(tick) = ticks.next_if(|tick| *tick <= at) {
                ticked.tick(tick);
            }
            plain.number(at, "shop-gas", "co_ppm", ppm);
            ticked.number(at, "shop-gas", "co_ppm", ppm);
        }
        plain.tick(MIDNIGHT + 10 * HOUR);
        ticked.tick(MIDNIGHT + 10 * HOUR);
        prop_assert_eq!(&plain.changes, &ticked.changes);
    }

    /// A pipeline brought back from its checkpoint goes on as the one that never stopped.
    #[test]
    fn a_checkpoint_holds_everything(readings in readings(), cut in 0_usize..200) {
        let mut whole = Town::new();
        let mut broken = Town::new();
        for (index, (minute, ppm)) in readings.into_iter().enumerate() {
            if index == cut {
                let state = broken.pipeline.checkpoint().unwrap();
                broken.pipeline = Pipeline::restore(&state).unwrap();
                prop_assert_eq!(broken.pipeline.checkpoint().unwrap(), state);
            }
            let at = MIDNIGHT + minute * MINUTE;
            whole.number(at, "shop-gas", "co_ppm", ppm);
            broken.number(at, "shop-gas", "co_ppm", ppm);
        }
        whole.tick(MIDNIGHT + 10 * HOUR);
        broken.tick(MIDNIGHT + 10 * HOUR);
        prop_assert_eq!(&whole.changes, &broken.changes);
        prop_assert_eq!(whole.pipeline.checkpoint().unwrap(), broken.pipeline.checkpoint().unwrap());
    }

    /// Readings that come in another order, in one go after an outage, tell of the same stretches.
    #[test]
    fn the_order_of_arrival_does_not_decide(readings in readings(), seed in any::<u64>()) {
        let back = MIDNIGHT + 10 * HOUR;
        let mut in_order = Town::new();
        let mut shuffled = Town::new();
        let mut order: Vec<usize> = (0..readings.len()).collect();
        order.sort_by_key(|index| (*index as u64 ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40);
        for (turn, index) in order.iter().enumerate() {
            let heard = back + turn as i64;
            let reading = |index: usize| {
                let (minute, ppm) = readings[index];
                (MIDNIGHT + minute * MINUTE, format!("{{\"n\":\"co_ppm\",\"v\":{ppm}}}"))
            };
            let (made, records) = reading(turn);
            in_order.hear("shop-gas", &records, made, heard);
            let (made, records) = reading(*index);
            shuffled.hear("shop-gas", &records, made, heard);
        }
        in_order.tick(back + HOUR);
        shuffled.tick(back + HOUR);
        prop_assert_eq!(in_order.found("co-curve"), shuffled.found("co-curve"));
        prop_assert_eq!(in_order.kinds(), shuffled.kinds());
    }
}
