//! What the shipped rules find, and what they leave alone.

use crate::town::{HOUR, MIDNIGHT, MINUTE, Town};
use ninewatch_core::alert::{ChangeKind, Scene, Severity};

#[test]
fn carbon_monoxide_counts_by_how_much_and_how_long() {
    for (ppm, after_min) in [(30.0, 120), (60.0, 60), (120.0, 10), (350.0, 3)] {
        let mut town = Town::new();
        for minute in 0..=130 {
            town.number(MIDNIGHT + minute * MINUTE, "shop-gas", "co_ppm", if minute < 5 { 2.0 } else { ppm });
        }
        assert_eq!(town.found("co-curve")[0], format!("shop-gas @{}", 5 + after_min), "{ppm} ppm");
        let change = &town.changes[0];
        assert_eq!(change.alert.severity, Severity::Critical);
        assert_eq!(change.alert.scene, Scene::Fire);
        let reason = &change.evidence.as_ref().unwrap().reason;
        assert!(reason.zh.contains(&format!("一氧化碳 {ppm} ppm")), "{}", reason.zh);
        assert!(reason.en.contains(&format!("is {ppm} ppm, at or above")), "{}", reason.en);
    }
}

#[test]
fn carbon_monoxide_below_the_curve_is_left_alone() {
    let mut town = Town::new();
    for minute in 0..59 {
        town.number(MIDNIGHT + minute * MINUTE, "shop-gas", "co_ppm", 60.0);
    }
    town.number(MIDNIGHT + 59 * MINUTE, "shop-gas", "co_ppm", 20.0);
    for minute in 60..300 {
        town.number(MIDNIGHT + minute * MINUTE, "shop-gas", "co_ppm", 29.0);
    }
    assert_eq!(town.kinds(), []);
}

#[test]
fn a_dip_within_the_hysteresis_does_not_start_the_hour_anew() {
    let mut town = Town::new();
    for minute in 0..=60 {
        town.number(MIDNIGHT + minute * MINUTE, "shop-gas", "co_ppm", if minute % 7 == 3 { 46.0 } else { 55.0 });
    }
    assert_eq!(town.found("co-curve"), ["shop-gas @60"]);
}

#[test]
fn a_devices_own_alarm_always_becomes_an_alert() {
    let mut town = Town::new();
    town.at(MIDNIGHT + 1, "shop-smoke", r#"{"n":"smoke_alarm","vb":true},{"n":"temperature_c","v":9999}"#);
    town.switch(MIDNIGHT + 2, "shop-gas", "gas_alarm", true);
    town.switch(MIDNIGHT + 3, "home-sos", "sos", true);
    assert_eq!(town.found("smoke-alarm").len() + town.found("gas-alarm").len() + town.found("sos").len(), 3);
    assert_eq!(town.refused.len(), 1, "the wild temperature is told: {:?}", town.refused);
}

#[test]
fn smoke_and_heat_of_one_place_are_one_alert_with_both_reasons() {
    let mut town = Town::new();
    town.at(MIDNIGHT, "shop-smoke", r#"{"n":"smoke_alarm","vb":true},{"n":"temperature_c","v":24}"#);
    town.switch(MIDNIGHT + MINUTE, "shop-smoke-2", "smoke_alarm", true);
    for minute in 1..6 {
        town.number(MIDNIGHT + minute * MINUTE, "shop-smoke", "temperature_c", 24.0 + 9.0 * minute as f64);
    }
    let kinds = town.kinds();
    assert_eq!(kinds.iter().filter(|kind| **kind == ChangeKind::Raised).count(), 1, "{kinds:?}");
    let alert = &town.changes.last().unwrap().alert;
    assert_eq!(alert.devices, ["shop-smoke", "shop-smoke-2"]);
    assert_eq!(alert.rules, ["smoke-alarm", "heat-rise", "heat"]);
}

#[test]
fn an_overheating_cable_is_major_and_then_critical() {
    let mut town = Town::new();
    for minute in 0..20 {
        town.number(MIDNIGHT + minute * MINUTE, "shop-power", "cable_temperature_c", 60.0 + 2.0 * minute as f64);
    }
    assert_eq!(town.kinds(), [ChangeKind::Raised, ChangeKind::Repeated]);
    let severities: Vec<_> = town.pipeline.open_alerts().map(|alert| alert.severity).collect();
    assert_eq!((town.changes[0].alert.severity, severities), (Severity::Major, vec![Severity::Critical]));
}

#[test]
fn a_door_that_stands_open_when_the_night_begins_is_found_then() {
    let mut town = Town::new();
    let evening = MIDNIGHT + 22 * HOUR;
    town.switch(evening, "shop-door", "open", true);
    town.tick(evening + HOUR);
    assert_eq!(town.found("night-door"), Vec::<String>::new());
    town.switch(evening + 80 * MINUTE, "shop-door", "open", true);
    town.tick(evening + 2 * HOUR);
    assert_eq!(town.found("night-door"), [format!("shop-door @{}", 23 * 60 + 30)]);
    town.switch(evening + 3 * HOUR, "shop-door", "open", false);
    assert_eq!(town.kinds().last(), Some(&ChangeKind::Recovered));
}

#[test]
fn minors_are_a_matter_of_internet_cafes_and_not_of_schools() {
    let mut town = Town::new();
    let face =
        |age: u32| format!(r#"{{"n":"match","vs":"known"}},{{"n":"age_years","v":{age}}},{{"n":"person","vs":"p-1"}}"#);
    town.at(MIDNIGHT + 9 * HOUR, "school-camera", &face(12));
    town.at(MIDNIGHT + 9 * HOUR, "cafe-camera", &face(18));
    assert_eq!(town.kinds(), []);
    town.at(MIDNIGHT + 10 * HOUR, "cafe-camera", &face(14));
    assert_eq!(town.changes[0].alert.scene, Scene::ChildProtection);
    let reason = &town.changes[0].evidence.as_ref().unwrap().reason;
    assert!(reason.zh.contains("估计年龄 14 岁"), "{}", reason.zh);
    assert_eq!(town.changes[0].alert.recovered_at_ms, None);
}

#[test]
fn a_stranger_lingers_at_the_third_sighting_within_half_an_hour() {
    let mut town = Town::new();
    let seen = |minute: i64, token: u32, town: &mut Town| {
        let records = format!(r#"{{"n":"match","vs":"stranger"}},{{"n":"person","vs":"p-{token}"}}"#);
        town.at(MIDNIGHT + 12 * HOUR + minute * MINUTE, "school-camera", &records);
    };
    for (minute, token) in [(0, 1), (25, 2), (40, 3)] {
        seen(minute, token, &mut town);
    }
    assert_eq!(town.found("stranger-lingers"), Vec::<String>::new());
    seen(50, 4, &mut town);
    assert_eq!(town.found("stranger-lingers").len(), 1);
    assert!(town.changes[0].alert.reason.en.starts_with("3 sightings"), "{}", town.changes[0].alert.reason.en);
}

#[test]
fn vital_signs_score_as_news2_does() {
    let mut town = Town::new();
    for minute in 0..10 {
        // 2 for the pulse, 3 for the oxygen.
        let records =
            r#"{"n":"heart_rate_bpm","v":118},{"n":"spo2_percent","v":91},{"n":"body_temperature_c","v":36.6}"#;
        town.at(MIDNIGHT + minute * MINUTE, "home-bracelet", records);
    }
    assert_eq!(town.found("vital-signs"), ["home-bracelet @3"]);
    let reason = &town.changes[0].alert.reason;
    assert_eq!(reason.zh, "NEWS2 评分 5 分，已持续 3 分钟：心率 118 bpm（2 分）、血氧饱和度 91%（3 分）");
}

#[test]
fn who_does_not_get_up_is_found_and_who_stirs_in_another_room_is_not() {
    let day = |stir: Option<(i64, &str)>, from: i64| {
        let mut town = Town::new();
        for minute in (from..600).step_by(5) {
            for device in ["home-presence", "home-presence-2"] {
                let on = stir == Some((minute, device));
                town.switch(MIDNIGHT + minute * MINUTE, device, "presence", on);
            }
        }
        town
    };
    let lying = day(None, 0);
    assert_eq!(lying.found("not-up"), [format!("home-presence @{}", 8 * 60 + 30)]);
    assert!(lying.changes[0].alert.reason.zh.starts_with("05:00–08:30 家中没有任何活动"));
    assert_eq!(day(Some((420, "home-presence-2")), 0).found("not-up"), Vec::<String>::new());
    assert_eq!(day(None, 360).found("not-up"), Vec::<String>::new(), "nothing is known of the time before six");
    let mut up_late = day(None, 0);
    up_late.switch(MIDNIGHT + 640 * MINUTE, "home-presence-2", "presence", true);
    assert_eq!(up_late.kinds(), [ChangeKind::Raised, ChangeKind::Recovered]);
}

#[test]
fn a_fall_is_what_the_model_says_at_or_above_its_threshold() {
    let burst = burst();
    let mut town = Town::new();
    town.score = 0.01;
    town.at(MIDNIGHT, "home-bracelet", &burst);
    assert_eq!(town.found("fall"), Vec::<String>::new());
    town.score = 0.99;
    let effects = town.hear("home-bracelet", &burst, MIDNIGHT + MINUTE, MIDNIGHT + MINUTE);
    assert_eq!(effects.scores[0], 0.99);
    assert_eq!(town.found("fall"), ["home-bracelet @1"]);
    let evidence = town.changes[0].evidence.as_ref().unwrap();
    let score = evidence.score.as_ref().unwrap();
    assert_eq!((score.model.as_str(), score.features.is_empty()), ("fall", false));
    let [by] = &score.moved_by[..] else { panic!("{:?}", score.moved_by) };
    let said = format!(
        "得分 0.99（阈值 0.38），依据：{} {}（平常 {}）",
        by.label.zh,
        short(by.value, &by.unit),
        short(by.usual, &by.unit)
    );
    assert!(evidence.reason.zh.ends_with(&said), "{} is not {said}", evidence.reason.zh);
    assert_eq!(evidence.series.len(), 2);
    assert_eq!(evidence.series[0].points.last().unwrap().0, MIDNIGHT + MINUTE);
}

/// As sentences have numbers.
fn short(value: f64, unit: &str) -> String {
    let digits = if value.abs() >= 10.0 { 1 } else { 2 };
    let text = format!("{value:.digits$}");
    format!("{} {unit}", text.trim_end_matches('0').trim_end_matches('.')).trim_end().to_owned()
}

/// Six seconds of a wrist at rest, at 50 Hz.
pub(crate) fn burst() -> String {
    use base64::Engine as _;
    let sample = [0_i16, 0, 981, 0, 0, 0];
    let bytes: Vec<u8> = (0..300).flat_map(|_| sample).flat_map(i16::to_le_bytes).collect();
    format!(r#"{{"n":"motion","vd":"{}"}}"#, base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
}

#[test]
fn a_value_faster_than_physics_is_doubted_until_the_next_bears_it_out() {
    let mut town = Town::new();
    town.number(MIDNIGHT, "shop-smoke", "temperature_c", 21.0);
    town.number(MIDNIGHT + 10_000, "shop-smoke", "temperature_c", 120.0);
    assert_eq!(town.kinds(), [], "one wild value is no fire");
    assert_eq!(town.refused, ["implausible_change: `temperature_c` jumped to 120, faster than 5 per second"]);
    town.number(MIDNIGHT + 20_000, "shop-smoke", "temperature_c", 118.0);
    assert_eq!(town.found("heat").len(), 1, "two are");
}
