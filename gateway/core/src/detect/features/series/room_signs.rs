//! `room_signs_v1`: light, and whether the air of a room is being breathed.

use serde::{Deserialize, Serialize};

use super::{Channel, FadingMean, Feature, MINUTE_MS, name};

pub(super) const CHANNELS: &[Channel] = &[Channel { name: "light", unit: "lx" }, Channel { name: "co2", unit: "ppm" }];
pub(super) const FEATURES: &[Feature] = &[
    name("light_lx", "lx", "光照", "light"),
    name("co2_trend_ppm_per_min", "ppm/min", "二氧化碳变化", "trend of CO2"),
];

/// Sunlight on the sensor says no more than a lit room.
const LIGHT_MAX_LX: f64 = 2000.0;
/// CO2 flickers from minute to minute; two means, one older than the other, give its trend over half an hour.
const NEW_MIN: i64 = 3;
const OLD_MIN: i64 = 30;
const TREND_MAX: f64 = 20.0;

/// What came lately.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Learnt {
    light_lx: f64,
    co2_new: FadingMean,
    co2_old: FadingMean,
    /// Since the last CO2 value.
    silent_ms: i64,
}

impl Learnt {
    #[allow(clippy::cast_precision_loss, reason = "minutes")]
    pub(super) fn push(&mut self, passed_ms: i64, [light_lx, co2_ppm]: [Option<f64>; 2]) -> Vec<f64> {
        self.light_lx = light_lx.map_or(self.light_lx, |light| light.clamp(0.0, LIGHT_MAX_LX));
        self.silent_ms = self.silent_ms.saturating_add(passed_ms);
        if let Some(co2) = co2_ppm {
            self.co2_new.push(co2, self.silent_ms, NEW_MIN * MINUTE_MS);
            self.co2_old.push(co2, self.silent_ms, OLD_MIN * MINUTE_MS);
            self.silent_ms = 0;
        }
        let trend = match (self.co2_new.0, self.co2_old.0) {
            (Some(new), Some(old)) => (new - old) / (OLD_MIN - NEW_MIN) as f64,
            _ => 0.0,
        };
        vec![self.light_lx, trend.clamp(-TREND_MAX, TREND_MAX)]
    }
}
