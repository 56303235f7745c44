use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Golden {
    events: Vec<(LocalMs, String, String, String, bool)>,
    watched: Vec<(LocalMs, Kind, LocalMs, [f32; 4])>,
}

fn at(day: i64, hour: i64, minute: i64) -> LocalMs {
    20_000 * DAY_MS + day * DAY_MS + hour * HOUR_MS + minute * MIN_MS
}

fn hear(home: &mut Home, role: Role, from_ms: LocalMs, to_ms: LocalMs) {
    home.push(&Event { at_ms: from_ms, role, on: true });
    home.push(&Event { at_ms: to_ms, role, on: false });
}

/// Up at about 7, breakfast 15 minutes later, to bed at about 22:30, for nine days; and in bed again.
fn settled() -> Home {
    let mut home = Home::default();
    for day in 0..9 {
        let odd = day % 3 * 5;
        hear(&mut home, Role::Bathroom, at(day, 7, odd), at(day, 7, odd + 8));
        hear(&mut home, Role::Food, at(day, 7, 15 + odd), at(day, 7, 25));
        hear(&mut home, Role::Seat, at(day, 8, 0), at(day, 12, 0));
        hear(&mut home, Role::Door, at(day, 12, 5), at(day, 12, 5));
        hear(&mut home, Role::Door, at(day, 15, 5), at(day, 15, 5));
        hear(&mut home, Role::Seat, at(day, 15, 10), at(day, 22, 0));
        hear(&mut home, Role::Bathroom, at(day, 22, 10), at(day, 22, 20));
        home.push(&Event { at_ms: at(day, 22, 30 + odd), role: Role::Bed, on: true });
        if day < 8 {
            home.push(&Event { at_ms: at(day + 1, 6, 58), role: Role::Bed, on: false });
        }
    }
    home
}

fn kinds(watches: &[Watch]) -> Vec<Kind> {
    watches.iter().map(|watch| watch.kind).collect()
}

fn get_up(home: &mut Home, at_ms: LocalMs, role: Role) {
    home.push(&Event { at_ms, role: Role::Bed, on: false });
    hear(home, role, at_ms + 1000, at_ms + 20_000);
}

#[test]
fn what_is_watched_is_what_was_judged() {
    let golden: Golden = serde_json::from_str(include_str!("../../../../../models/routine/golden.json")).unwrap();
    let mut home = Home::default();
    let mut events = golden.events.iter().peekable();
    for (now, kind, since_ms, features) in golden.watched {
        while let Some((at_ms, location, kind, room, on)) = events.next_if(|event| event.0 <= now) {
            home.push(&Event { at_ms: *at_ms, role: Role::of(location, kind, room), on: *on });
        }
        let watches = home.watch(now);
        let found = watches.iter().find(|watch| watch.kind == kind && watch.since_ms == since_ms).unwrap();
        for (found, wanted) in found.features.iter().zip(features) {
            assert!((found - wanted).abs() <= 1e-5 * wanted.abs().max(1.0), "{kind:?}: {found}, wanted {wanted}");
        }
    }
}

#[test]
fn nothing_is_said_before_a_week_is_over() {
    let mut home = Home::default();
    hear(&mut home, Role::Bathroom, at(0, 7, 0), at(0, 7, 5));
    assert_eq!(home.watch(at(6, 23, 0)), []);
}

#[test]
fn who_stays_in_bed_or_lies_beside_it_is_not_up() {
    let mut home = settled();
    let [in_bed] = home.watch(at(9, 9, 0))[..] else { panic!("only the bed") };
    let [minutes, usual, spread, _] = in_bed.features;
    assert_eq!((in_bed.kind, in_bed.since_ms), (Kind::NotUp, at(8, 22, 40)));
    assert!(minutes == 620.0 && (usual - 500.0).abs() < 10.0 && spread < 40.0, "{in_bed:?}");
    home.push(&Event { at_ms: at(9, 6, 58), role: Role::Bed, on: false });
    assert_eq!(kinds(&home.watch(at(9, 9, 0))), [Kind::NotUp]);
    get_up(&mut home, at(9, 9, 1), Role::Bathroom);
    assert!(!kinds(&home.watch(at(9, 9, 5))).contains(&Kind::NotUp));
}

#[test]
fn a_visit_to_the_bathroom_at_night_is_no_wandering_but_a_walk_through_the_home_is() {
    let mut home = settled();
    get_up(&mut home, at(9, 2, 0), Role::Bathroom);
    assert_eq!(kinds(&home.watch(at(9, 2, 10))), [Kind::LongBathroom, Kind::NoMeal]);
    hear(&mut home, Role::Living, at(9, 2, 11), at(9, 2, 11));
    let watches = home.watch(at(9, 2, 20));
    let about = watches.iter().find(|watch| watch.kind == Kind::NightWandering).unwrap();
    assert_eq!((about.since_ms, about.features[0]), (at(9, 2, 0) + 1000, 9.0));
    assert!(!kinds(&home.watch(at(9, 2, 40))).contains(&Kind::NightWandering), "sits still somewhere");
}

#[test]
fn who_leaves_at_night_by_the_door_is_out_until_heard_at_home() {
    let mut home = settled();
    get_up(&mut home, at(9, 2, 0), Role::Door);
    assert_eq!(kinds(&home.watch(at(9, 2, 50))), [Kind::NightWandering]);
}

#[test]
fn time_away_is_no_time_without_a_meal() {
    let mut home = settled();
    get_up(&mut home, at(9, 7, 0), Role::Bathroom);
    hear(&mut home, Role::Door, at(9, 7, 10), at(9, 7, 10));
    assert_eq!(home.watch(at(9, 9, 0)), [], "away");
    hear(&mut home, Role::Living, at(9, 11, 10), at(9, 11, 10));
    let [hungry] = home.watch(at(9, 11, 40))[..] else { panic!("only the meal") };
    assert_eq!((hungry.kind, hungry.features[0].round()), (Kind::NoMeal, 40.0));
    hear(&mut home, Role::Food, at(9, 11, 41), at(9, 11, 42));
    assert_eq!(home.watch(at(9, 11, 45)), []);
}

#[test]
fn who_sits_is_not_in_the_bathroom_whatever_its_motion_sensor_says() {
    let mut home = settled();
    get_up(&mut home, at(9, 7, 0), Role::Food);
    home.push(&Event { at_ms: at(9, 8, 0), role: Role::Seat, on: true });
    hear(&mut home, Role::Bathroom, at(9, 8, 30), at(9, 8, 30));
    assert_eq!(home.watch(at(9, 12, 0)), []);
    home.push(&Event { at_ms: at(9, 12, 0), role: Role::Seat, on: false });
    assert_eq!(home.watch(at(9, 13, 0)), [], "was on the seat until noon");
    hear(&mut home, Role::Bathroom, at(9, 13, 1), at(9, 13, 2));
    assert_eq!(kinds(&home.watch(at(9, 13, 30))), [Kind::LongBathroom]);
}

#[test]
fn a_gap_is_not_known_to_be_anything() {
    let mut home = settled();
    home.forget_now();
    assert_eq!(home.watch(at(9, 12, 0)), []);
}

#[test]
fn a_restart_changes_nothing() {
    let home = settled();
    let mut again: Home = postcard::from_bytes(&postcard::to_stdvec(&home).unwrap()).unwrap();
    assert_eq!(again, home);
    assert_eq!(again.watch(at(9, 9, 0)), home.clone().watch(at(9, 9, 0)));
    assert!(postcard::to_stdvec(&home).unwrap().len() < 512);
}

fn role() -> impl Strategy<Value = Role> {
    use Role::*;
    prop::sample::select(vec![Bed, Bedroom, Bathroom, Food, Kitchen, Seat, Living, Door, Other])
}

proptest! {
    #[test]
    fn whatever_comes_features_are_finite_and_little_is_kept(
        events in prop::collection::vec((-HOUR_MS..10 * HOUR_MS, role(), any::<bool>()), 0..600),
        start_ms in prop_oneof![Just(0), Just(i64::MAX - 10_000 * HOUR_MS), any::<i64>()],
    ) {
        let mut home = Home::default();
        let mut now = start_ms;
        for (step_ms, role, on) in events {
            now = now.saturating_add(step_ms);
            home.push(&Event { at_ms: now, role, on });
            for watch in home.watch(now.saturating_add(HOUR_MS)) {
                let [minutes, usual, spread, least] = watch.features;
                prop_assert!(minutes >= 0.0 && usual.is_finite() && spread > 0.0 && least.is_finite(), "{watch:?}");
            }
        }
        prop_assert!(home.nights.len().max(home.meals_min.len()).max(home.bathrooms_min.len()) <= DAYS);
    }
}
