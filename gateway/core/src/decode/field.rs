//! What a sensor type measures.

use serde::Deserialize;
use std::sync::Arc;

use super::convert::Conversion;
use super::source::Source;
use super::units::Unit;
use crate::alert::Text;
use crate::decode::DecodeError;

/// One thing that a sensor type measures.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// With its unit at the end, such as `co_ppm`.
    pub name: Arc<str>,
    /// As people call it.
    pub label: Text,
    /// What its values are, and what they mean between readings.
    pub kind: FieldKind,
    /// How a value is made out of what the payload has.
    pub(super) conversion: Conversion,
}

/// What the values of a field are, and what they mean between readings.
#[derive(Debug, Clone, PartialEq)]
#[allow(private_interfaces, reason = "units and sources are named by their texts outside of decode")]
pub enum FieldKind {
    /// A quantity that is sampled.
    Measure {
        /// What payloads are converted to.
        unit: Unit,
        /// The lowest value that the sensor can measure.
        min: f64,
        /// The highest.
        max: f64,
        /// A faster change than this, per second, is a fault of the sensor, not of the world.
        max_change_per_s: Option<f64>,
    },
    /// A switch, 0 or 1, that holds until it changes.
    State,
    /// A word, true at its moment.
    Word {
        /// The words that may come; empty for a token such as a pseudonym.
        words: Vec<Arc<str>>,
    },
    /// Equally spaced samples; see [`Burst`](crate::reading::Burst).
    Burst(BurstShape),
}

/// What a burst looks like.
#[derive(Debug, Clone, PartialEq)]
pub struct BurstShape {
    /// Samples per second, of each channel, where the payload does not tell.
    pub rate_hz: f32,
    /// Where the payload tells.
    pub(super) rate_from: Option<Source>,
    /// How many samples of each channel are taken at most.
    pub max_samples: usize,
    /// In the order in which a sample holds them.
    pub channels: Vec<Channel>,
    pub(super) sent_as: SentAs,
    /// Where each channel is a list of its own.
    pub(super) columns: Vec<Source>,
}

/// How samples are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SentAs {
    /// int16, interleaved.
    Base64 {
        big_endian: bool,
    },
    Hex {
        big_endian: bool,
    },
    /// Of numbers, of lists, or of objects.
    List,
}

/// A channel of a burst.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Channel {
    /// Such as `ax`.
    pub name: String,
    /// Such as `m/s²`.
    pub unit: String,
    /// How much of the unit one count is.
    pub per_count: f32,
}

impl Field {
    /// The unit as people write it; empty for a switch or a word.
    pub fn unit(&self) -> &'static str {
        match &self.kind {
            FieldKind::Measure { unit, .. } => unit.shown,
            _ => "",
        }
    }

    /// What kind it is, as files call it.
    pub fn kind_name(&self) -> &'static str {
        match &self.kind {
            FieldKind::Measure { .. } => "measure",
            FieldKind::State => "state",
            FieldKind::Word { .. } => "word",
            FieldKind::Burst(_) => "burst",
        }
    }

    /// Whether it says how full the device's battery is.
    pub fn is_battery(&self) -> bool {
        matches!(&self.kind, FieldKind::Measure { unit, .. } if unit.is_battery())
    }

    pub(super) fn refuse(&self, code: &'static str, what: &str) -> DecodeError {
        DecodeError { code, detail: format!("`{}` {what}", self.name) }
    }
}
