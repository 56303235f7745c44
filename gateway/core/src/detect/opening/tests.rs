use proptest::prelude::*;

use super::*;

/// When, what, its features and its score.
type Golden = (LocalMs, Option<Sign>, Option<Row>, Option<f32>);

const HOUR_MS: i64 = 60 * MIN_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

fn at(day: i64, hour: i64, minute: i64) -> LocalMs {
    20_000 * DAY_MS + day * DAY_MS + hour * HOUR_MS + minute * MIN_MS
}

fn hear(place: &mut Opening, at_ms: LocalMs) -> Option<Row> {
    place.push(&Event { at_ms, sign: Sign::Presence })
}

fn open(place: &mut Opening, day: i64, from: i64, to: i64) {
    for minute in (from * 60..to * 60).step_by(15) {
        hear(place, at(day, 0, minute));
    }
}

/// Open from 8 to 18; on every seventh day closed.
fn shop(days: i64) -> Opening {
    let mut place = Opening::default();
    for day in (0..days).filter(|day| day % 7 != 6) {
        open(&mut place, day, 8, 18);
    }
    place
}

#[test]
fn what_is_made_of_a_sign_is_what_was_judged() {
    let golden = include_str!("../../../../../models/night_entry/golden.json");
    let golden: Vec<Golden> = serde_json::from_str(golden).unwrap();
    let mut place = Opening::default();
    for (at_ms, sign, wanted, _) in golden {
        let Some(sign) = sign else {
            place.forget_now();
            continue;
        };
        let found = place.push(&Event { at_ms, sign });
        assert_eq!(found.is_some(), wanted.is_some(), "{at_ms}");
        for (found, wanted) in found.into_iter().flatten().zip(wanted.into_iter().flatten()) {
            assert!((found - wanted).abs() <= 1e-5 * wanted.abs().max(1.0), "{found}, wanted {wanted}");
        }
    }
}

#[test]
fn nothing_is_said_before_three_days_are_known() {
    assert_eq!(hear(&mut shop(2), at(2, 9, 0)), None);
    assert!(hear(&mut shop(4), at(4, 9, 0)).is_some());
}

#[test]
fn business_hours_are_usual_and_the_night_is_not() {
    let mut place = shop(8);
    let [open_share, weekday_share, quiet_min, odd_share, days, kinds, signs] = hear(&mut place, at(8, 2, 0)).unwrap();
    assert_eq!((open_share, weekday_share, odd_share, days, kinds, signs), (0.0, 0.0, 0.0, 7.0, 1.0, 1.0));
    assert_eq!(quiet_min, 495.0);
    let [open_share, weekday_share, ..] = hear(&mut place, at(8, 12, 0)).unwrap();
    assert!(open_share > 0.8 && weekday_share == 1.0);
}

#[test]
fn the_day_of_rest_is_learnt_in_a_week() {
    let [open_share, weekday_share, ..] = hear(&mut shop(13), at(13, 12, 0)).unwrap();
    assert!(open_share > 0.8 && weekday_share == 0.0);
}

#[test]
fn an_entry_is_not_usual_the_next_night_nor_a_week_later() {
    let mut place = shop(8);
    hear(&mut place, at(8, 2, 0));
    let [open_share, weekday_share, _, odd_share, ..] = hear(&mut place, at(9, 2, 0)).unwrap();
    assert!(open_share < 0.1 && weekday_share == 0.0 && odd_share > 0.0);
    let [open_share, weekday_share, ..] = hear(&mut place, at(15, 2, 0)).unwrap();
    assert!(open_share < 0.2 && weekday_share < 0.4);
}

#[test]
fn new_hours_are_followed_within_two_weeks() {
    let mut place = shop(15);
    for day in 15..29 {
        open(&mut place, day, 20, 22);
    }
    let [open_share, weekday_share, ..] = hear(&mut place, at(29, 21, 0)).unwrap();
    assert!(open_share > 0.5 && weekday_share > 0.5, "{open_share}, {weekday_share}");
}

#[test]
fn a_bout_of_signs_is_one_matter() {
    let mut place = shop(8);
    hear(&mut place, at(8, 2, 0));
    place.push(&Event { at_ms: at(8, 2, 1), sign: Sign::Door });
    let row = place.push(&Event { at_ms: at(8, 2, 2), sign: Sign::Camera }).unwrap();
    assert_eq!((row[2], row[5], row[6]), (495.0, 3.0, 3.0));
    assert_eq!(place.push(&Event { at_ms: at(8, 2, 2), sign: Sign::Camera }), Some(row), "repeated");
    let [_, _, quiet_min, .., signs] = hear(&mut place, at(8, 2, 15)).unwrap();
    assert_eq!((quiet_min, signs), (13.0, 1.0));
}

#[test]
fn a_gap_is_not_known_to_be_quiet() {
    let mut place = shop(8);
    place.forget_now();
    assert_eq!(hear(&mut place, at(12, 12, 0)), None, "how long it was quiet is not known");
    let [open_share, _, quiet_min, _, days, ..] = hear(&mut place, at(12, 12, 20)).unwrap();
    assert!(open_share > 0.8 && quiet_min == 20.0 && days == 8.0, "{open_share}, {days}");
}

#[test]
fn in_business_hours_only_the_sign_differs() {
    let row = hear(&mut shop(8), at(8, 2, 0)).unwrap();
    assert_eq!(baseline(&row), [1.0, 1.0, 10.0, row[3], row[4], 1.0, 1.0]);
    assert_eq!(row.len(), FEATURES.len());
}

#[test]
fn a_restart_changes_nothing() {
    let mut place = shop(40);
    let kept = postcard::to_stdvec(&place).unwrap();
    assert!(kept.len() < 3000, "{}", kept.len());
    let mut again: Opening = postcard::from_bytes(&kept).unwrap();
    assert_eq!(again, place);
    assert_eq!(hear(&mut again, at(40, 2, 0)), hear(&mut place, at(40, 2, 0)));
}

fn sign() -> impl Strategy<Value = Sign> {
    prop::sample::select(vec![Sign::Door, Sign::Presence, Sign::Camera])
}

proptest! {
    #[test]
    fn whatever_comes_features_are_finite_and_little_is_kept(
        events in prop::collection::vec((-HOUR_MS..10 * HOUR_MS, sign(), any::<bool>()), 0..400),
        start_ms in prop_oneof![Just(0), Just(i64::MIN), Just(i64::MAX - 1000 * HOUR_MS), any::<i64>()],
    ) {
        let mut place = Opening::default();
        let mut now = start_ms;
        for (step_ms, sign, is_gap) in events {
            now = now.saturating_add(step_ms);
            if is_gap && step_ms > 9 * HOUR_MS {
                place.forget_now();
            }
            for value in place.push(&Event { at_ms: now, sign }).into_iter().flatten() {
                prop_assert!(value.is_finite() && value >= 0.0);
            }
        }
        place.push(&Event { at_ms: i64::MAX, sign: Sign::Door });
        prop_assert!(place.quarters.len() <= (DAYS + 1) * QUARTERS && place.bout.len() <= 33);
    }
}
