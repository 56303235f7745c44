//! `smoke_signs_v1`: what smoke does to the air of a room, beside what breath, steam and heating do to it.
//!
//! Smoke comes within minutes: the last minute's gas, warmth and water vapour are compared with those of the last ten, in
//! units of what the room does anyway, so that a good sensor and a cheap one, a busy room and a store room are read alike.

use serde::{Deserialize, Serialize};

use super::{Channel, DAY_MS, FadingMean, Feature, MINUTE_MS, name};

pub(super) const CHANNELS: &[Channel] = &[
    Channel { name: "temperature", unit: "°C" },
    Channel { name: "humidity", unit: "%RH" },
    Channel { name: "eco2", unit: "ppm" },
];
/// In units of what the room does anyway and of what is shrugged off.
pub(super) const FEATURES: &[Feature] = &[
    name("gas_surge", "×", "气体十分钟内骤升的倍数", "gas above the last ten minutes', in the room's usual swings"),
    name("warming", "×", "十分钟内升温的倍数", "warmth above the last ten minutes', in the room's usual swings"),
    name(
        "moistening",
        "×",
        "水汽十分钟内增加的倍数",
        "water vapour above the last ten minutes', in the room's usual swings",
    ),
];

/// Long enough for a sensor's flicker, short enough for a fire.
const NEW_MS: i64 = MINUTE_MS;
const OLD_MS: i64 = 10 * MINUTE_MS;
/// A gas sensor runs in after it was switched on.
const SILENT_AT_FIRST_MS: i64 = 5 * MINUTE_MS;
/// What is shrugged off: a tenth more gas, 1 °C, a tenth more vapour.
const SHRUGGED_OFF: [f64; COUNT] = [0.1, 1.0, 0.1];
const COUNT: usize = 3;
/// In units: one event must not make a room numb.
const LEARNT_MOST: f64 = 3.0;
const CAP: f64 = 10.0;

/// What came lately, by feature.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Learnt {
    known_ms: i64,
    traces: [Trace; COUNT],
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Trace {
    new: FadingMean,
    old: FadingMean,
    /// Of the new above the old.
    squares: FadingMean,
    above: f64,
    /// Since the last value.
    silent_ms: i64,
}

impl Learnt {
    pub(super) fn push(
        &mut self,
        passed_ms: i64,
        [temperature_c, humidity, eco2_ppm]: [Option<f64>; 3],
    ) -> Option<Vec<f64>> {
        self.known_ms = self.known_ms.saturating_add(passed_ms);
        // A doubling is a doubling, whatever a sensor takes for fresh air.
        let gas = eco2_ppm.map(|ppm| ppm.clamp(100.0, 60_000.0).ln());
        let warmth = temperature_c.map(|celsius| celsius.clamp(-60.0, 150.0));
        // Relative humidity falls as air gets warm; what is in the air does not.
        let vapour = warmth
            .zip(humidity)
            .map(|(celsius, humidity)| humidity.clamp(1.0, 100.0).ln() + 17.62 * celsius / (243.12 + celsius));
        let values = [gas, warmth, vapour].into_iter().zip(SHRUGGED_OFF);
        let traces = self.traces.iter_mut().zip(values);
        let features =
            traces.map(|(trace, (value, shrugged_off))| trace.push(passed_ms, value, shrugged_off)).collect();
        (self.known_ms >= SILENT_AT_FIRST_MS).then_some(features)
    }
}

impl Trace {
    /// How far the new is above the old, in units.
    fn push(&mut self, passed_ms: i64, value: Option<f64>, shrugged_off: f64) -> f64 {
        self.silent_ms = self.silent_ms.saturating_add(passed_ms);
        match value {
            Some(value) => {
                let above = self.new.push(value, self.silent_ms, NEW_MS) - self.old.push(value, self.silent_ms, OLD_MS);
                let unit = shrugged_off.hypot(self.squares.0.unwrap_or(0.0).sqrt());
                let learnt = above.abs().min(LEARNT_MOST * unit);
                self.squares.push(learnt * learnt, self.silent_ms, DAY_MS);
                self.above = (above / unit).clamp(-CAP, CAP);
                self.silent_ms = 0;
            }
            // A channel that broke off must not keep its last word.
            None if self.silent_ms > OLD_MS => self.above = 0.0,
            None => {}
        }
        self.above
    }
}
