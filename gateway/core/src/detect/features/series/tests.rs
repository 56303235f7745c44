use proptest::prelude::*;

use super::*;

const GOLDEN: [(&str, &str); 4] = [
    (TEMPERATURE_RECORDS_V1, include_str!("../../../../../../models/overheat/golden.json")),
    (LOOP_DEVIATION_V1, include_str!("../../../../../../models/supply/golden.json")),
    (ROOM_SIGNS_V1, include_str!("../../../../../../models/presence/golden.json")),
    (SMOKE_SIGNS_V1, include_str!("../../../../../../models/smoke/golden.json")),
];

/// Made-up readings and what training got of the last one.
#[derive(Deserialize)]
struct Golden {
    name: String,
    every_ms: i64,
    values: Vec<Vec<Option<f64>>>,
    features: Vec<f32>,
}

fn series(kind: &str) -> Series {
    Series::new(kind).unwrap()
}

/// The features after the last of `values`, which come `every_ms`.
fn last(series: &mut Series, every_ms: i64, values: impl IntoIterator<Item = Vec<Option<f64>>>) -> Option<Vec<f32>> {
    let from = series.newest_ms.map_or(0, |newest| newest + every_ms);
    values.into_iter().zip(0..).fold(None, |_, (values, index)| series.push(from + index * every_ms, &values))
}

/// A temperature every hour that goes up and down by 5 °C around 60 °C each day.
fn usual_days(days: i32) -> Vec<Vec<Option<f64>>> {
    let daily = |hour: i32| 60.0 + 5.0 * (f64::from(hour) / 24.0 * std::f64::consts::TAU).sin();
    (0..days * 24).map(|hour| vec![Some(daily(hour))]).collect()
}

/// A room read every quarter of a minute: 21 °C, 45 % and 500 ppm, and what is added to them with each reading.
fn room(readings: i32, added: [f64; 3]) -> impl Iterator<Item = Vec<Option<f64>>> {
    (1..=readings).map(move |at| {
        [21.0, 45.0, 500.0].into_iter().zip(added).map(|(usual, added)| Some(usual + f64::from(at) * added)).collect()
    })
}

const QUARTER_MS: i64 = MINUTE_MS / 4;

/// A loop that flickers as little as such a sum does.
fn steady_loop(readings: i32) -> Vec<Vec<Option<f64>>> {
    let usual = [0.2, 50.0, 2.0, 230.0, 70.0, 25.0, 0.1, 0.2];
    (0..readings).map(|at| usual.map(|usual| Some(usual * (1.0 + 0.001 * f64::from(at % 3)))).to_vec()).collect()
}

#[test]
fn features_are_those_that_the_model_learnt_from() {
    for (kind, golden) in GOLDEN {
        for Golden { name, every_ms, values, features } in serde_json::from_str::<Vec<Golden>>(golden).unwrap() {
            let found = last(&mut series(kind), every_ms, values).unwrap();
            assert_eq!(found.len(), features.len());
            for (found, wanted) in found.iter().zip(&features) {
                assert!(
                    (found - wanted).abs() <= 1e-5 * wanted.abs().max(1.0),
                    "{kind}, {name}: {found}, not {wanted}"
                );
            }
        }
    }
}

#[test]
fn every_feature_has_a_name_and_what_is_unknown_is_told() {
    for (kind, count) in KINDS.into_iter().zip([6, 8, 2, 3]) {
        let names: std::collections::BTreeSet<_> = features(kind).iter().map(|feature| feature.name).collect();
        assert_eq!(names.len(), count);
    }
    let told = Series::new("gait").unwrap_err().to_string();
    assert!(told.contains("`gait` from a series; there are temperature_records_v1, loop_deviation_v1"), "{told}");
}

#[test]
fn what_a_machine_does_every_day_is_no_record_and_a_hot_hour_is() {
    let mut machine = series(TEMPERATURE_RECORDS_V1);
    assert_eq!(last(&mut machine, HOUR_MS, usual_days(8)), None);
    let usual = last(&mut machine, HOUR_MS, usual_days(3)).unwrap();
    assert!(usual.iter().all(|beyond| *beyond < 0.05), "{usual:?}");
    // Midnight passes meanwhile.
    let hot = last(&mut machine, HOUR_MS / 4, vec![vec![Some(75.0)]; 4]).unwrap();
    assert!(hot[0] > 0.5 && hot[1] < -1.0, "{hot:?}");
}

#[test]
fn a_month_later_last_months_record_is_forgotten() {
    let mut machine = series(TEMPERATURE_RECORDS_V1);
    last(&mut machine, HOUR_MS, usual_days(7));
    last(&mut machine, HOUR_MS, vec![vec![Some(90.0)]; 24]);
    let soon = last(&mut machine, HOUR_MS, usual_days(20)).unwrap();
    let later = last(&mut machine, HOUR_MS, usual_days(12)).unwrap();
    assert!(soon[0] < -1.5 && later[0] > -1.1, "{soon:?} {later:?}");
}

#[test]
fn a_fault_in_a_loop_stands_out_and_what_it_was_before_is_usual_again_after_it() {
    let mut water = series(LOOP_DEVIATION_V1);
    assert_eq!(last(&mut water, 1000, steady_loop(400)), None);
    let usual = last(&mut water, 1000, steady_loop(60)).unwrap();
    assert!(usual.iter().all(|off| *off < 0.1), "{usual:?}");
    let throttled = steady_loop(300).into_iter().map(|mut values| {
        values[1] = Some(45.0);
        values
    });
    let fault = last(&mut water, 1000, throttled).unwrap();
    assert!(fault[1] > 5.0 && fault.iter().enumerate().all(|(index, off)| index == 1 || *off < 0.1), "{fault:?}");
    let after = last(&mut water, 1000, steady_loop(120)).unwrap();
    assert!(after[1] < 0.4, "{after:?}");
}

#[test]
fn a_channel_that_a_loop_does_not_have_is_no_deviation() {
    let without_pressure = |readings| {
        steady_loop(readings).into_iter().map(|mut values| {
            values[0] = None;
            values
        })
    };
    let mut water = series(LOOP_DEVIATION_V1);
    last(&mut water, 1000, without_pressure(400));
    // It comes later than could be learnt from.
    let found = last(&mut water, 1000, steady_loop(10)).unwrap();
    assert!(found[0] == 0.0 && found[1] < 0.1, "{found:?}");
}

#[test]
fn breath_shows_in_the_trend_of_co2() {
    let breathed =
        |ppm_per_min: f64| (0..90).map(move |at| vec![Some(400.0), Some(600.0 + ppm_per_min * f64::from(at))]);
    for ppm_per_min in [-4.0, 0.0, 3.0] {
        let found = last(&mut series(ROOM_SIGNS_V1), MINUTE_MS, breathed(ppm_per_min)).unwrap();
        assert!((f64::from(found[1]) - ppm_per_min).abs() < 0.3, "{found:?}");
    }
}

#[test]
fn smoke_is_more_gas_in_minutes_than_breath_is() {
    let mut quiet = series(SMOKE_SIGNS_V1);
    assert_eq!(last(&mut quiet, QUARTER_MS, room(20, [0.0; 3])), None, "a gas sensor runs in");
    assert_eq!(last(&mut quiet, QUARTER_MS, room(400, [0.0; 3])), Some(vec![0.0; 3]));
    let breath = last(&mut quiet.clone(), QUARTER_MS, room(12, [0.0, 0.0, 2.5])).unwrap();
    let smoke = last(&mut quiet.clone(), QUARTER_MS, room(12, [0.0, 0.0, 60.0])).unwrap();
    assert!(breath[0] < 0.5 && smoke[0] > 4.0, "{breath:?} {smoke:?}");
    assert!(smoke[1..] == [0.0, 0.0], "{smoke:?}");
}

#[test]
fn heating_dries_no_air_and_a_shower_moistens_it() {
    let mut quiet = series(SMOKE_SIGNS_V1);
    last(&mut quiet, QUARTER_MS, room(400, [0.0; 3]));
    // 21 °C at 45 % hold as much water as 25 °C at 35.4 %.
    let heating = last(&mut quiet.clone(), QUARTER_MS, room(20, [0.2, -0.48, 0.0])).unwrap();
    let shower = last(&mut quiet.clone(), QUARTER_MS, room(20, [0.02, 1.5, 0.0])).unwrap();
    assert!(heating[1] > 1.5 && heating[2].abs() < 0.2, "{heating:?}");
    assert!(shower[1] < 0.3 && shower[2] > 2.0, "{shower:?}");
}

#[test]
fn in_a_room_with_sharp_habits_as_much_gas_says_less() {
    let mut steady = series(SMOKE_SIGNS_V1);
    let mut kitchen = series(SMOKE_SIGNS_V1);
    for _ in 0..8 {
        last(&mut steady, QUARTER_MS, room(240, [0.0; 3]));
        last(&mut kitchen, QUARTER_MS, room(80, [0.0, 0.0, 10.0]));
        last(&mut kitchen, QUARTER_MS, room(160, [0.0; 3]));
    }
    let smoke = |room_: &mut Series| last(room_, QUARTER_MS, room(12, [0.0, 0.0, 60.0])).unwrap()[0];
    let (in_steady, in_kitchen) = (smoke(&mut steady), smoke(&mut kitchen));
    assert!(in_kitchen > 1.0 && in_kitchen < 0.8 * in_steady, "{in_kitchen} {in_steady}");
}

#[test]
fn a_gas_sensor_that_breaks_off_amid_a_surge_does_not_keep_its_last_word() {
    let mut one = series(SMOKE_SIGNS_V1);
    last(&mut one, QUARTER_MS, room(400, [0.0; 3]));
    last(&mut one, QUARTER_MS, room(12, [0.0, 0.0, 60.0]));
    let without_gas = |readings| room(readings, [0.0; 3]).map(|values| values[..2].to_vec());
    assert!(last(&mut one, QUARTER_MS, without_gas(4)).unwrap()[0] > 4.0);
    assert_eq!(last(&mut one, QUARTER_MS, without_gas(40)).unwrap(), vec![0.0; 3]);
}

#[test]
fn what_comes_late_twice_or_empty_changes_nothing() {
    for kind in KINDS {
        let mut one = series(kind);
        last(&mut one, MINUTE_MS, steady_loop(10));
        let before = one.clone();
        let values = [Some(99.0), Some(99.0)];
        assert_eq!(one.push(MINUTE_MS * 9, &values), None);
        assert_eq!(one.push(MINUTE_MS * 2, &values), None);
        assert_eq!(one.push(MINUTE_MS * 20, &[None, Some(f64::NAN)]), None);
        assert_eq!(one.push(MINUTE_MS * 20, &[]), None);
        assert_eq!(one, before);
    }
}

#[test]
fn what_was_learnt_survives_a_restart_and_fits_on_a_page() {
    for kind in KINDS {
        let mut one = series(kind);
        last(&mut one, HOUR_MS, steady_loop(40 * 24));
        let text = serde_json::to_string(&one).unwrap();
        assert!(text.len() < 9000, "{kind}: {}", text.len());
        let mut other: Series = serde_json::from_str(&text).unwrap();
        assert_eq!(last(&mut one, HOUR_MS, steady_loop(50)), last(&mut other, HOUR_MS, steady_loop(50)));
    }
}

proptest! {
    #[test]
    fn any_readings_at_all_give_finite_features_or_none(
        readings in prop::collection::vec(
            (any::<i64>(), prop::collection::vec(prop::option::of(any::<f64>()), 0..10)),
            0..50,
        ),
        gaps_ms in prop::collection::vec(0..DAY_MS * 2, 500),
        scale in prop_oneof![Just(0.0), Just(1e-200), 0.0..2e6_f64],
    ) {
        for kind in KINDS {
            let mut one = series(kind);
            let mut at_ms = 0;
            for (gap_ms, values) in gaps_ms.iter().zip(steady_loop(500)) {
                at_ms += gap_ms;
                let values: Vec<_> = values.into_iter().map(|value| value.map(|value| value * scale)).collect();
                let found = one.push(at_ms, &values);
                prop_assert!(found.iter().flatten().all(|feature| feature.is_finite()), "{kind} {found:?}");
            }
            for (at_ms, values) in &readings {
                let found = one.push(*at_ms, values);
                prop_assert!(found.iter().flatten().all(|feature| feature.is_finite()), "{kind} {found:?}");
            }
        }
    }
}
