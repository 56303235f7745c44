//! Made-up motions of a wrist, 50 Hz, as a bracelet reports them around an impact.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Accelerations in m/s² and turn rates in rad/s: ax, ay, az, gx, gy, gz.
type Sample = [f64; 6];

const RATE_HZ: f64 = 50.0;
const G: f64 = 9.81;

/// A stumble while walking, half a second of falling, an impact, and lying still.
pub(super) fn fall() -> Vec<Sample> {
    motion(6.0, |t| {
        let swing = (t * 11.0).sin();
        if t < 2.0 {
            [1.5 * swing, -9.2 + 1.2 * swing, 2.0, 0.8 * swing, 0.3, 0.5 * swing]
        } else if t < 2.5 {
            let fallen = (t - 2.0) / 0.5;
            [1.0, -9.2 * (1.0 - fallen) + 0.8, 1.5, 3.5 * fallen, -4.0 * fallen, 2.0 * fallen]
        } else if t < 2.7 {
            let hit = (-((t - 2.56) / 0.03_f64).powi(2)).exp();
            let bounce = (-((t - 2.64) / 0.03_f64).powi(2)).exp();
            [4.0 + 22.0 * hit, 5.0 + 26.0 * hit - 8.0 * bounce, 6.0 + 20.0 * hit, -6.0 * hit, 7.0 * hit, -3.0 * bounce]
        } else {
            let settling = (-(t - 2.7) * 4.0).exp();
            [G * 0.55 + 2.0 * settling * swing, 0.4, G * 0.83 + 1.5 * settling, 0.5 * settling, 0.2 * settling, 0.0]
        }
    })
}

/// Clapping hands: sharp, but the wrist stays as it is held.
pub(super) fn knock() -> Vec<Sample> {
    motion(6.0, |t| {
        let clap = |at: f64| (-((t - at) / 0.02).powi(2)).exp();
        let claps = clap(2.0) + 0.9 * clap(2.5) + 0.9 * clap(3.0) + 0.8 * clap(3.5);
        let swing = (t * 12.6).sin();
        [2.0 + 14.0 * claps, -1.0 + 1.5 * swing, 9.4 + 4.0 * claps, 0.4 * swing, 1.2 * swing, 0.2]
    })
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
