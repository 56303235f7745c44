//! A reading: one timed set of values from one device, and the nine classes of devices.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

use crate::time::TimeMs;

/// What kind of thing a device senses. Every sensor type belongs to exactly one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each name says it all")]
pub enum SensorClass {
    FaceCamera,
    Bracelet,
    Smoke,
    Gas,
    Electrical,
    Door,
    Presence,
    Sos,
    Water,
}

impl SensorClass {
    /// All nine, in the order in which people list them.
    pub const ALL: [Self; 9] = [
        Self::FaceCamera,
        Self::Bracelet,
        Self::Smoke,
        Self::Gas,
        Self::Electrical,
        Self::Door,
        Self::Presence,
        Self::Sos,
        Self::Water,
    ];

    /// Whether people's lives hang on what such devices say of their own: their messages go before all others.
    pub const fn is_life_safety(self) -> bool {
        matches!(self, Self::Smoke | Self::Gas | Self::Sos | Self::Bracelet)
    }

    /// The name in files, the API and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FaceCamera => "face_camera",
            Self::Bracelet => "bracelet",
            Self::Smoke => "smoke",
            Self::Gas => "gas",
            Self::Electrical => "electrical",
            Self::Door => "door",
            Self::Presence => "presence",
            Self::Sos => "sos",
            Self::Water => "water",
        }
    }
}

impl fmt::Display for SensorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One value of a reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// A finite number in the field's unit. Switches are 0 and 1.
    Number(f64),
    /// A word out of the field's `words`, or an identity token.
    Text(Arc<str>),
    /// A stretch of equally spaced samples, such as an accelerometer's around an impact.
    Burst(Arc<Burst>),
}

/// Equally spaced samples of several channels, in the units that the sensor type states.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Burst {
    /// Samples per second, of each channel.
    pub rate_hz: f32,
    /// How many channels each sample has; their names stand in the sensor type.
    pub channels: usize,
    /// Interleaved: sample 0 channel 0, sample 0 channel 1, … Length is a multiple of `channels`.
    pub samples: Vec<f32>,
}

/// One timed set of values from one device.
///
/// `values` has one slot for each field of the device's sensor type, in the type's order; a field
/// that this reading does not carry is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// When the device says it measured. The pipeline corrects it by the device's clock skew.
    /// `None` where the payload has no time: then the arrival stands for it.
    pub event_ms: Option<TimeMs>,
    /// By the index of the field in the sensor type.
    pub values: Vec<Option<Value>>,
}

impl Reading {
    /// The number in field `index`, if this reading carries one.
    pub fn number(&self, index: usize) -> Option<f64> {
        match self.values.get(index) {
            Some(Some(Value::Number(number))) => Some(*number),
            _ => None,
        }
    }
}
