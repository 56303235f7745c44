//! Made-up motions of a wrist, 50 Hz, as a bracelet reports them around an impact.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Accelerations in m/s² and turn rates in rad/s: ax, ay, az, gx, gy, gz.
type Sample = [f64; 6];

const RATE_HZ: f64 = 50.0;
const G: f64 = 9.81;

/// A stumble while walking: half a second of falling, knees and hands on the ground, a last roll, and lying still.
/// What a person gains in speed the ground takes away again.
pub(super) fn fall() -> Vec<Sample> {
    let walking = |t: f64| 1.0 - step(t, 1.4, 1.6);
    let tumbling = |t: f64| step(t, 2.0, 2.05) * (-(t - 2.0).max(0.0) / 0.45).exp();
    // How far the forearm has turned, rad: it swings, is thrown forwards, hits the ground, comes to rest.
    let turned = move |t: f64| {
        let swing = 0.3 * walking(t) * wave(t, 0.9);
        swing + 1.1 * step(t, 1.55, 1.95) + 0.5 * step(t, 2.05, 2.7) + 0.3 * tumbling(t) * wave(t - 2.0, 4.0)
    };
    motion(6.0, |t| {
        let falling = step(t, 1.5, 1.6) - step(t, 1.95, 2.0);
        let (walking, tumbling) = (walking(t), tumbling(t));
        let up = 1.8 * walking * wave(t, 1.8) - 5.5 * falling
            + 26.0 * pulse(t, 2.01, 0.03)
            + 18.0 * pulse(t, 2.17, 0.03)
            + 6.0 * tumbling * wave(t, 5.0);
        let forwards = 1.2 * walking * wave(t + 0.14, 1.8) + 1.5 * falling - 22.0 * pulse(t, 2.02, 0.025)
            + 5.0 * tumbling * wave(t + 0.04, 4.0);
        let sideways = 0.8 * walking * wave(t, 0.9) + 9.0 * pulse(t, 2.03, 0.03) - 7.0 * pulse(t, 2.2, 0.03)
            + 5.0 * tumbling * wave(t + 0.05, 6.0);
        let (sin, cos) = turned(t).sin_cos();
        let felt_up = up + G;
        let turn_rate = (turned(t + 1e-4) - turned(t - 1e-4)) / 2e-4;
        [sideways, cos * forwards + sin * felt_up, cos * felt_up - sin * forwards, turn_rate, 0.0, 0.0]
    })
}

/// Clapping hands: sharp, but the wrist stays as it is held.
pub(super) fn knock() -> Vec<Sample> {
    motion(6.0, |t| {
        let clap = |at: f64| pulse(t, at, 0.02);
        let claps = clap(2.0) + 0.9 * clap(2.5) + 0.9 * clap(3.0) + 0.8 * clap(3.5);
        let swing = wave(t, 2.0);
        [2.0 + 14.0 * claps, -1.0 + 1.5 * swing, 9.4 + 4.0 * claps, 0.4 * swing, 1.2 * swing, 0.2]
    })
}

/// From 0 at `from` smoothly to 1 at `to`.
fn step(t: f64, from: f64, to: f64) -> f64 {
    let part = ((t - from) / (to - from)).clamp(0.0, 1.0);
    part * part * (3.0 - 2.0 * part)
}

/// 1 at `at`, and gone `width` later and earlier.
fn pulse(t: f64, at: f64, width: f64) -> f64 {
    (-((t - at) / width).powi(2)).exp()
}

fn wave(t: f64, hz: f64) -> f64 {
    (std::f64::consts::TAU * hz * t).sin()
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few seconds")]
fn motion(seconds: f64, at: impl Fn(f64) -> Sample) -> Vec<Sample> {
    (0..(seconds * RATE_HZ) as u32).map(|index| at(f64::from(index) / RATE_HZ)).collect()
}

/// The burst's SenML record: int16, little-endian, interleaved; 0.01 m/s² and 0.002 rad/s a count.
#[allow(clippy::cast_possible_truncation, reason = "clamped to an int16")]
pub(super) fn senml(samples: &[Sample]) -> Value {
    const PER_COUNT: Sample = [0.01, 0.01, 0.01, 0.002, 0.002, 0.002];
    let counts = samples.iter().flat_map(|sample| sample.iter().zip(PER_COUNT).map(|(value, unit)| value / unit));
    let bytes: Vec<u8> = counts
        .map(|count| count.round().clamp(f64::from(i16::MIN), f64::from(i16::MAX)) as i16)
        .flat_map(i16::to_le_bytes)
        .collect();
    json!({"n": "motion", "vd": URL_SAFE_NO_PAD.encode(bytes)})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scorer;
    use ninewatch_core::detect::features;
    use ninewatch_core::reading::Burst;

    #[test]
    #[allow(clippy::cast_possible_truncation, reason = "as on the wire")]
    fn the_shipped_model_tells_the_fall_from_the_knock() {
        let Some(mut loaded) = scorer::tests::shipped() else { return };
        let card = loaded.cards.iter().find(|card| card.name == "fall").cloned().unwrap();
        let mut score = |motion: &[Sample]| {
            let samples = motion.iter().flatten().map(|value| *value as f32).collect();
            let burst = Burst { rate_hz: 50.0, channels: 6, samples };
            let inputs = features::extract(&card.features, &burst).unwrap();
            f64::from(scorer::tests::score(&mut loaded, &card.name, &inputs).unwrap())
        };
        let (fall, knock) = (score(&fall()), score(&knock()));
        assert!(fall > card.threshold + 0.3, "fall: {fall}");
        assert!(knock < card.threshold - 0.3, "knock: {knock}");
    }
}
