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

/// A number that a model sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feature {
    /// As evidence and cards call it.
    pub name: &'static str,
    /// As people write it; empty for a count or a share.
    pub unit: &'static str,
    /// A few words for people, in Chinese.
    pub zh: &'static str,
    /// The same in English.
    pub en: &'static str,
}

pub(super) const fn name(name: &'static str, unit: &'static str, zh: &'static str, en: &'static str) -> Feature {
    Feature { name, unit, zh, en }
}

/// What features are made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// One burst of a device: [`extract`].
    Burst,
    /// The readings of a device, one by one: [`series::Series`].
    Series,
    /// What goes on in a home: [`super::routine::Home`].
    Home,
    /// Signs of somebody at a small place: [`super::opening::Opening`].
    Place,
}

/// The motion of a wrist around an impact: see [`wrist_motion`].
pub const WRIST_MOTION_V1: &str = "wrist_motion_v1";
/// What goes on in a home beside what is usual there: see [`super::routine`].
pub const ROUTINE_V1: &str = "routine_v1";
/// A sign of somebody at a small place beside when it is usually open: see [`super::opening`].
pub const OPENING_V1: &str = "opening_v1";

/// All extractions by name, with what they are made from.
pub const KINDS: [(&str, Source); 7] = [
    (WRIST_MOTION_V1, Source::Burst),
    (series::TEMPERATURE_RECORDS_V1, Source::Series),
    (series::LOOP_DEVIATION_V1, Source::Series),
    (series::ROOM_SIGNS_V1, Source::Series),
    (series::SMOKE_SIGNS_V1, Source::Series),
    (ROUTINE_V1, Source::Home),
    (OPENING_V1, Source::Place),
];

/// What the features of `kind` are made from; `None` where there is no such kind.
pub fn source(kind: &str) -> Option<Source> {
    KINDS.iter().find(|(name, _)| *name == kind).map(|(_, source)| *source)
}

/// The features of `kind`, in the order in which a model wants them; empty where there is no such kind.
pub fn of(kind: &str) -> &'static [Feature] {
    match source(kind) {
        Some(Source::Burst) => wrist_motion::FEATURES,
        Some(Source::Series) => series::features(kind),
        Some(Source::Home) => super::routine::FEATURES,
        Some(Source::Place) => super::opening::FEATURES,
        None => &[],
    }
}

/// The features of `kind`, all finite.
///
/// # Errors
/// Where there is no such kind, or the burst is not what it needs.
pub fn extract(kind: &str, burst: &Burst) -> Result<Vec<f32>, FeatureError> {
    if kind == WRIST_MOTION_V1 { wrist_motion::extract(burst) } else { Err(FeatureError::UnknownKind(kind.to_owned())) }
}
