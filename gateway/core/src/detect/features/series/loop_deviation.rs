//! `loop_deviation_v1`: how far a pumped water loop, read once a second, is from what it was when it was learnt.
//!
//! The first 400 readings say what is usual and how much each channel flickers. From then on each channel's mean over
//! about half a minute is compared with the usual, in units of its flicker and of what an engineer would shrug off.
//! The usual follows slowly, as a loop warms up, but by no more than one unit in twenty minutes: a fault of minutes
//! does not become the usual.

use serde::{Deserialize, Serialize};

use super::{Channel, Feature, name};

pub(super) const CHANNELS: &[Channel] = &[
    Channel { name: "pressure", unit: "bar" },
    Channel { name: "flow", unit: "l/min" },
    Channel { name: "current", unit: "A" },
    Channel { name: "voltage", unit: "V" },
    Channel { name: "motor_temperature", unit: "°C" },
    Channel { name: "water_temperature", unit: "°C" },
    Channel { name: "vibration_1", unit: "g" },
    Channel { name: "vibration_2", unit: "g" },
];
/// In units of flicker and of what is shrugged off.
pub(super) const FEATURES: &[Feature] = &[
    name("pressure", "×", "水压偏离正常波动的倍数", "pressure off its usual, in its usual flickers"),
    name("flow", "×", "流量偏离正常波动的倍数", "flow off its usual, in its usual flickers"),
    name("current", "×", "电流偏离正常波动的倍数", "current off its usual, in its usual flickers"),
    name("voltage", "×", "电压偏离正常波动的倍数", "voltage off its usual, in its usual flickers"),
    name(
        "motor_temperature",
        "×",
        "电机温度偏离正常波动的倍数",
        "motor temperature off its usual, in its usual flickers",
    ),
    name("water_temperature", "×", "水温偏离正常波动的倍数", "water temperature off its usual, in its usual flickers"),
    name("vibration_1", "×", "振动一偏离正常波动的倍数", "vibration 1 off its usual, in its usual flickers"),
    name("vibration_2", "×", "振动二偏离正常波动的倍数", "vibration 2 off its usual, in its usual flickers"),
];

/// What is shrugged off beside flicker: a share of the usual, and something in the channel's own unit.
const SHRUGGED_OFF: [(f64, f64); COUNT] = [
    // Pressure on a small loop flickers by more than it means.
    (0.05, 0.05),
    (0.015, 0.0),
    (0.05, 0.0),
    (0.05, 0.0),
    (0.0, 4.0),
    (0.0, 1.0),
    // Vibration grows by half and more when something is loose or out of balance.
    (0.10, 0.0),
    (0.10, 0.0),
];
const COUNT: usize = 8;
/// As many as the leaderboard of the public recordings allows.
const LEARNT_FROM: u32 = 400;
/// Readings: how slowly the mean forgets, and how slowly the usual follows.
const SMOOTH: f64 = 15.0;
const FOLLOW: f64 = 1200.0;
const CAP: f64 = 30.0;

/// What is usual, by channel.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Learnt {
    readings: u32,
    channels: [Trace; COUNT],
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Trace {
    values: u32,
    usual: f64,
    /// While learning: the sum of squares around the usual.
    squares: f64,
    mean: f64,
}

impl Learnt {
    pub(super) fn push(&mut self, values: [Option<f64>; COUNT]) -> Option<Vec<f64>> {
        let learning = self.readings < LEARNT_FROM;
        self.readings += u32::from(learning);
        let mut features = vec![0.0; COUNT];
        for (index, (channel, value)) in self.channels.iter_mut().zip(values).enumerate() {
            let Some(value) = value else { continue };
            channel.smooth(value);
            if learning {
                channel.learn(value);
            } else if channel.values >= LEARNT_FROM / 2 {
                features[index] = channel.deviation(SHRUGGED_OFF[index]);
            }
        }
        (!learning).then_some(features)
    }
}

impl Trace {
    fn smooth(&mut self, value: f64) {
        self.mean = if self.values == 0 { value } else { self.mean + (value - self.mean) / SMOOTH };
    }

    /// After Welford: mean and spread without keeping the values.
    fn learn(&mut self, value: f64) {
        self.values += 1;
        let off = value - self.usual;
        self.usual += off / f64::from(self.values);
        self.squares += off * (value - self.usual);
    }

    /// The deviation in units, without its sign; lets the usual follow.
    fn deviation(&mut self, (share, own): (f64, f64)) -> f64 {
        let flicker = self.squares / f64::from(self.values);
        let unit = (flicker + (share * self.usual).powi(2) + own.powi(2)).sqrt();
        // A channel that never changed and is 0: any change is one.
        let off = if unit > 0.0 { (self.mean - self.usual) / unit } else { 0.0 };
        self.usual += unit * off.clamp(-1.0, 1.0) / FOLLOW;
        off.abs().min(CAP)
    }
}
