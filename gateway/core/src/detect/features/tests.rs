use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Golden {
    name: String,
    samples: Vec<f32>,
    features: Vec<f32>,
}

/// Made-up motions and what training got of them.
fn golden() -> Vec<Golden> {
    serde_json::from_str(include_str!("../../../../../models/fall/golden.json")).unwrap()
}

fn burst(samples: Vec<f32>) -> Burst {
    Burst { rate_hz: 50.0, channels: 6, samples }
}

fn features(samples: Vec<f32>) -> Vec<f32> {
    extract(WRIST_MOTION_V1, &burst(samples)).unwrap()
}

fn assert_close(found: &[f32], wanted: &[f32], tolerance: f32, of: &str) {
    assert_eq!(found.len(), wanted.len());
    for ((name, found), wanted) in names().iter().zip(found).zip(wanted) {
        let off = (found - wanted).abs() / wanted.abs().max(1.0);
        assert!(off <= tolerance, "{of}: {name} is {found}, wanted {wanted}");
    }
}

fn names() -> Vec<&'static str> {
    of(WRIST_MOTION_V1).iter().map(|feature| feature.name).collect()
}

#[test]
fn every_feature_has_a_name_of_its_own() {
    let names = names();
    let distinct: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!((names.len(), distinct.len()), (40, 40));
    assert!(of("wrist_motion_v0").is_empty());
}

#[test]
fn features_are_those_that_the_model_learnt_from() {
    for golden in golden() {
        assert_close(&features(golden.samples), &golden.features, 1e-5, &golden.name);
    }
}

#[test]
fn what_a_wrist_at_rest_feels_is_gravity_and_nothing_else() {
    let found = features([0.0, 0.0, 9.806_65, 0.0, 0.0, 0.0].repeat(300));
    for (name, value) in names().iter().zip(found) {
        let wanted = match *name {
            "peak_mps2" | "peak_100ms_mps2" | "peak_300ms_mps2" | "low_mps2" | "before_peak_mps2"
            | "rest_peak_mps2" => 9.806_65,
            "still_share" => 1.0,
            _ => 0.0,
        };
        assert!((value - wanted).abs() < 1e-4, "{name}: {value}");
    }
}

#[test]
fn an_impact_after_a_free_fall_is_seen_as_such() {
    // Half a second of free fall is 4.9 m/s and 1.2 m, stopping takes 0.4 m more; after that the wrist turns by 90° within a second.
    let turn_radps = std::f32::consts::FRAC_PI_2;
    let felt = |index: u16| match index {
        0..75 => [0.0, 0.0, 9.806_65, 0.0, 0.0, 0.0],
        75..100 => [0.0; 6],
        100..108 => [0.0, 0.0, 39.0, 0.0, 0.0, 0.0],
        _ => {
            let turning = (130..180).contains(&index);
            let (sin, cos) = ((f32::from(index) - 130.0).clamp(0.0, 50.0) / 50.0 * turn_radps).sin_cos();
            [0.0, 9.806_65 * sin, 9.806_65 * cos, if turning { turn_radps } else { 0.0 }, 0.0, 0.0]
        }
    };
    let found = features((0..300).flat_map(felt).collect());
    let feature = |name: &str| found[names().iter().position(|other| *other == name).unwrap()];
    assert!((feature("weightless_mps") - 4.9).abs() < 0.2);
    assert!((feature("descent_mps") - 4.9).abs() < 0.3);
    assert!((feature("drop_m") - 1.6).abs() < 0.2);
    assert!((feature("tilt_end_deg") - 90.0).abs() < 0.1);
    assert_eq!((feature("knocks"), feature("low_mps2")), (1.0, 0.0));
}

#[test]
fn a_burst_that_is_not_what_is_needed_is_an_error_that_says_so() {
    let rest = [0.0, 0.0, 9.8, 0.0, 0.0, 0.0].repeat(300);
    let told = |burst: Burst| extract(WRIST_MOTION_V1, &burst).unwrap_err().to_string();
    assert_eq!(
        told(Burst { channels: 3, ..burst(rest.clone()) }),
        "the burst has 3 channels, 6 are needed: ax, ay, az in m/s², gx, gy, gz in rad/s"
    );
    assert_eq!(
        told(Burst { rate_hz: 100.0, ..burst(rest.clone()) }),
        "the burst has 100 samples a second; 45 to 55 are needed"
    );
    assert!(told(Burst { rate_hz: f32::NAN, ..burst(rest.clone()) }).contains("NaN samples a second"));
    assert!(told(burst(rest[..600].to_vec())).contains("600 values; a multiple of 6 from 1200 to 18000"));
    assert!(told(burst(rest[..1501].to_vec())).contains("1501 values"));
    assert!(told(burst(rest.repeat(20))).contains("36000 values"));
    let mut broken = rest.clone();
    broken[7] = f32::INFINITY;
    assert_eq!(told(burst(broken)), "value 7 of the burst is not a finite number");
    assert!(extract("gait", &burst(rest)).unwrap_err().to_string().contains("`gait`; there is `wrist_motion_v1`"));
}

/// Turns both sensors as one, by the angles of a yaw, a pitch and a roll.
fn turned(samples: &[f32], [yaw, pitch, roll]: [f64; 3]) -> Vec<f32> {
    let about = |[a, b]: [f64; 2], angle: f64| [a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()];
    let turn = |vector: &[f32]| {
        let [x, y, z] = [0, 1, 2].map(|axis| f64::from(vector[axis]));
        let [x, y] = about([x, y], yaw);
        let [x, z] = about([x, z], pitch);
        let [y, z] = about([y, z], roll);
        [x, y, z].map(|part| part as f32)
    };
    samples.chunks_exact(3).flat_map(turn).collect()
}

proptest! {
    #[test]
    fn however_the_bracelet_is_worn_the_features_are_the_same(angles in prop::array::uniform3(-3.2..3.2_f64)) {
        for golden in golden() {
            let worn_so = features(turned(&golden.samples, angles));
            assert_close(&worn_so, &golden.features, 1e-3, &golden.name);
        }
    }

    #[test]
    fn any_finite_burst_gives_finite_features(
        samples in prop::collection::vec(prop_oneof![-100.0..100.0_f32, any::<f32>()], 1200..3000),
        rate_hz in 45.0..55.0_f32,
    ) {
        let mut samples: Vec<f32> = samples.into_iter().map(|value| if value.is_finite() { value } else { 0.0 }).collect();
        samples.truncate(samples.len() / 6 * 6);
        let features = extract(WRIST_MOTION_V1, &Burst { rate_hz, channels: 6, samples }).unwrap();
        prop_assert!(features.iter().all(|feature| feature.is_finite()), "{features:?}");
    }

    #[test]
    fn any_burst_at_all_gives_features_or_an_error(
        samples in prop::collection::vec(any::<f32>(), 0..2000),
        channels in 0..9_usize,
        rate_hz in any::<f32>(),
    ) {
        let _ = extract(WRIST_MOTION_V1, &Burst { rate_hz, channels, samples });
    }
}
