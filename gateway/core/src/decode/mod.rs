//! From bytes to readings, by the device's sensor type.

mod file;
mod senml;
mod sensor_type;
mod units;

pub use sensor_type::{BurstShape, Channel, Decoded, Field, FieldKind, SensorType, SensorTypes};

use thiserror::Error;

/// Why a payload, or one value in it, could not be taken. The payload is kept: see the quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{code}: {detail}")]
pub struct DecodeError {
    /// For counting, from a short fixed list: `not_json`, `unknown_unit`, `out_of_range`, …
    pub code: &'static str,
    /// What and where, for a person.
    pub detail: String,
}
