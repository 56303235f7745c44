//! From a burst, or a series of readings, to the numbers that a model sees. Training calls this very code: what a
//! model learnt from is what the gateway computes.

pub mod series;
#[cfg(test)]
mod tests;
mod vector;
mod wrist_motion;

use thiserror::Error;

use crate::reading::Burst;

/// Why a burst cannot be turned into features.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum FeatureError {
    /// No extraction has this name.
    #[error("there is no feature extraction `{0}`; there is `{WRIST_MOTION_V1}`")]
    UnknownKind(String),
    /// No extraction from a series has this name.
    #[error("there is no feature extraction `{0}` from a series; there are {known}", known = series::KINDS.join(", "))]
    UnknownSeries(String),
    /// The channels are not those that the extraction needs.
    #[error("the burst has {found} channels, {needed} are needed: {names}")]
    Channels {
        /// How many there are.
        found: usize,
        /// How many there should be.
        needed: usize,
        /// What they are, in order.
        names: &'static str,
    },
    /// Sampled too slowly or too fast.
    #[error("the burst has {found} samples a second; {min} to {max} are needed")]
    Rate {
        /// As the burst says.
        found: f32,
        /// The slowest that is taken.
        min: f32,
        /// The fastest that is taken.
        max: f32,
    },
    /// Too little to look at, or the last sample is not whole.
    #[error("the burst has {found} values; a multiple of {channels} from {min} to {max} is needed")]
    Length {
        /// How many there are.
        found: usize,
        /// Values of one sample.
        channels: usize,
        /// The fewest that are taken.
        min: usize,
        /// The most that are taken.
        max: usize,
    },
    /// A sample is NaN or infinite.
    #[error("value {index} of the burst is not a finite number")]
    NotFinite {
        /// Which, counted from 0 through the interleaved samples.
        index: usize,
    },
}

/// The motion of a wrist around an impact: see [`wrist_motion`].
pub const WRIST_MOTION_V1: &str = "wrist_motion_v1";

/// The names of the features of `kind`, in the order of [`extract`]; empty where there is no such kind.
pub fn names(kind: &str) -> &'static [&'static str] {
    if kind == WRIST_MOTION_V1 { wrist_motion::NAMES } else { &[] }
}

/// The features of `kind`, all finite.
///
/// # Errors
/// Where there is no such kind, or the burst is not what it needs.
pub fn extract(kind: &str, burst: &Burst) -> Result<Vec<f32>, FeatureError> {
    if kind == WRIST_MOTION_V1 { wrist_motion::extract(burst) } else { Err(FeatureError::UnknownKind(kind.to_owned())) }
}
