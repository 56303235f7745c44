//! What models look at, as deciding again shows it.

use crate::detection::burst;
use crate::town::{HOUR, MIDNIGHT, MINUTE, payload, settings};
use ninewatch_core::detect::model::{Seen, Sight};
use ninewatch_core::detect::routine::Role;
use ninewatch_core::fault::SourceFile;
use ninewatch_core::pipeline::Pipeline;
use ninewatch_core::replay::Recorded;
use ninewatch_core::time::TimeMs;

const RULES: &str = r#"
[[rule]]
id = "loop"
title = { zh = "水压异常", en = "Water loop" }
severity = "major"
source = "test"
reason = { zh = "{why}", en = "{why}" }
model = { name = "supply", fields = { pressure = "pressure_mpa" } }

[[rule]]
id = "long-in-bathroom"
title = { zh = "久在卫生间", en = "Long in the bathroom" }
severity = "major"
source = "test"
reason = { zh = "{why}", en = "{why}" }
model = { name = "routine", watch = "long_bathroom", signs = ["presence"] }
"#;

#[test]
fn what_models_look_at_is_shown_in_their_units_and_by_the_corrected_clock() {
    let mut settings = settings();
    settings.rules.retain(|file| file.name == "care.toml");
    settings.rules.push(SourceFile { name: "own.toml".into(), text: RULES.into() });
    for device in &mut settings.registry.devices {
        device.spot = "卫生间".into();
    }
    let (mut pipeline, faults) = Pipeline::new(settings, MIDNIGHT);
    assert_eq!(faults, []);
    let mut shown: Vec<String> = Vec::new();
    let mut hear = |device: &str, records: &str, made: TimeMs, heard: TimeMs| {
        let payload = payload(device, records, made);
        let message = Recorded::Message {
            door: "sensor_port",
            device: Some(device),
            topic: &format!("ninewatch/{device}/readings"),
            payload: payload.as_bytes(),
            redelivered: false,
            scores: vec![0.1],
            rejected: None,
        };
        let look = &mut |sight: &Sight<'_>| {
            let what = match sight.seen {
                Seen::Burst(burst) => format!("{} samples", burst.samples.len() / burst.channels),
                Seen::Reading(values) => {
                    format!("{:.1} bar, {} more", values[0].unwrap(), values.iter().flatten().count() - 1)
                }
                Seen::Noticed(sign) => format!("{sign:?}"),
                Seen::Sign { field, role, on } => {
                    assert_eq!(role, Role::Bathroom);
                    format!("{field} {on}")
                }
            };
            let minute = (sight.at_ms - MIDNIGHT) as f64 / MINUTE as f64;
            shown.push(format!("{} {} {} @{minute}: {what}", sight.card.name, sight.place, sight.device));
        };
        pipeline.step_again_looking(&message, heard, look).unwrap();
    };
    // Its clock is an hour ahead.
    hear("school-water", r#"{"n":"pressure_mpa","v":0.31}"#, MIDNIGHT + HOUR, MIDNIGHT);
    hear("school-water", r#"{"n":"leak","vb":false}"#, MIDNIGHT + HOUR + MINUTE, MIDNIGHT + MINUTE);
    hear("home-bracelet", &burst(), MIDNIGHT + 2 * MINUTE, MIDNIGHT + 2 * MINUTE);
    // It comes twice, and counts once.
    for _ in 0..2 {
        hear("home-presence", r#"{"n":"presence","vb":true}"#, MIDNIGHT + 3 * MINUTE, MIDNIGHT + 3 * MINUTE);
    }
    hear("shop-presence", r#"{"n":"presence","vb":true}"#, MIDNIGHT + 4 * MINUTE, MIDNIGHT + 4 * MINUTE);
    let wanted = [
        "supply school school-water @0: 3.1 bar, 0 more",
        "fall home home-bracelet @2: 300 samples",
        "routine home home-presence @3: presence true",
        "routine shop shop-presence @4: presence true",
    ];
    assert_eq!(shown, wanted);
}
