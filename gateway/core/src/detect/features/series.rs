//! From readings that come one at a time to the numbers that a model sees. What was learnt of a device is kept beside
//! it and fits on a page: nothing is looked up in old readings, so a restart goes on where it stopped.

mod loop_deviation;
mod room_signs;
mod smoke_signs;
mod temperature_records;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::{Feature, FeatureError, name};
use crate::time::TimeMs;

/// How a temperature stands to the records of the last four weeks.
pub const TEMPERATURE_RECORDS_V1: &str = "temperature_records_v1";
/// How far a water loop is from what it was when it was learnt.
pub const LOOP_DEVIATION_V1: &str = "loop_deviation_v1";
/// Light in a room, and how its CO2 changes.
pub const ROOM_SIGNS_V1: &str = "room_signs_v1";
/// Gas, warmth and water vapour of a room beside what they were.
pub const SMOKE_SIGNS_V1: &str = "smoke_signs_v1";
/// All that there are.
pub const KINDS: [&str; 4] = [TEMPERATURE_RECORDS_V1, LOOP_DEVIATION_V1, ROOM_SIGNS_V1, SMOKE_SIGNS_V1];

/// Values beyond this are a broken sensor's.
const PLAUSIBLE: f64 = 1e6;

/// What is read of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channel {
    /// As rules call it.
    pub name: &'static str,
    /// As people write it.
    pub unit: &'static str,
}

/// What is read of a device for the features of `kind`, in the order in which [`Series::push`] wants it. The first has
/// to be there; others may be missing. Empty where `kind` is not made from a series.
pub fn channels(kind: &str) -> &'static [Channel] {
    Series::new(kind).map_or(&[], |series| series.channels())
}

/// The features of `kind`, in the order of [`Series::push`]; empty where it is not made from a series.
pub(super) fn features(kind: &str) -> &'static [Feature] {
    match kind {
        TEMPERATURE_RECORDS_V1 => temperature_records::FEATURES,
        LOOP_DEVIATION_V1 => loop_deviation::FEATURES,
        ROOM_SIGNS_V1 => room_signs::FEATURES,
        SMOKE_SIGNS_V1 => smoke_signs::FEATURES,
        _ => &[],
    }
}

/// What has been learnt of one device so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    newest_ms: Option<TimeMs>,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    TemperatureRecordsV1(Box<temperature_records::Learnt>),
    LoopDeviationV1(Box<loop_deviation::Learnt>),
    RoomSignsV1(room_signs::Learnt),
    SmokeSignsV1(Box<smoke_signs::Learnt>),
}

impl Series {
    /// Nothing learnt yet.
    ///
    /// # Errors
    /// Where there is no such extraction.
    pub fn new(kind: &str) -> Result<Self, FeatureError> {
        let kind = match kind {
            TEMPERATURE_RECORDS_V1 => Kind::TemperatureRecordsV1(Box::default()),
            LOOP_DEVIATION_V1 => Kind::LoopDeviationV1(Box::default()),
            ROOM_SIGNS_V1 => Kind::RoomSignsV1(room_signs::Learnt::default()),
            SMOKE_SIGNS_V1 => Kind::SmokeSignsV1(Box::default()),
            _ => return Err(FeatureError::UnknownSeries(kind.to_owned())),
        };
        Ok(Self { newest_ms: None, kind })
    }

    /// Whether its features are those of `kind`.
    pub fn is_of(&self, kind: &str) -> bool {
        match self.kind {
            Kind::TemperatureRecordsV1(_) => kind == TEMPERATURE_RECORDS_V1,
            Kind::LoopDeviationV1(_) => kind == LOOP_DEVIATION_V1,
            Kind::RoomSignsV1(_) => kind == ROOM_SIGNS_V1,
            Kind::SmokeSignsV1(_) => kind == SMOKE_SIGNS_V1,
        }
    }

    fn channels(&self) -> &'static [Channel] {
        match self.kind {
            Kind::TemperatureRecordsV1(_) => temperature_records::CHANNELS,
            Kind::LoopDeviationV1(_) => loop_deviation::CHANNELS,
            Kind::RoomSignsV1(_) => room_signs::CHANNELS,
            Kind::SmokeSignsV1(_) => smoke_signs::CHANNELS,
        }
    }

    /// Takes the next reading: one value for each of [`channels`], `None` where the device does not tell it. The features, all
    /// finite, as soon as enough has been learnt. A reading that is no newer than the last, or tells none of the
    /// channels, changes nothing.
    pub fn push(&mut self, at_ms: TimeMs, values: &[Option<f64>]) -> Option<Vec<f32>> {
        let value = |channel: usize| {
            let value = values.get(channel).copied().flatten();
            value.filter(|value| value.abs() <= PLAUSIBLE)
        };
        let told = (0..self.channels().len()).any(|channel| value(channel).is_some());
        if !told || self.newest_ms.is_some_and(|newest| at_ms <= newest) {
            return None;
        }
        // A clock that was set anew must not look like years.
        let passed_ms = self.newest_ms.map_or(0, |newest| at_ms.saturating_sub(newest)).min(31 * DAY_MS);
        self.newest_ms = Some(at_ms);
        let features = match &mut self.kind {
            Kind::TemperatureRecordsV1(learnt) => learnt.push(passed_ms, value(0)?),
            Kind::LoopDeviationV1(learnt) => learnt.push(std::array::from_fn(value)),
            Kind::RoomSignsV1(learnt) => Some(learnt.push(passed_ms, [value(0), value(1)])),
            Kind::SmokeSignsV1(learnt) => learnt.push(passed_ms, std::array::from_fn(value)),
        }?;
        #[allow(clippy::cast_possible_truncation, reason = "far inside an f32: plausible values, capped ratios")]
        Some(features.into_iter().map(|feature| feature as f32).collect())
    }
}

const DAY_MS: i64 = 24 * HOUR_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const MINUTE_MS: i64 = 60_000;

/// A mean in which what is older counts less: `lasting_ms` ago counts 1/e.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct FadingMean(Option<f64>);

impl FadingMean {
    #[allow(clippy::cast_precision_loss, reason = "spans of up to a month")]
    fn push(&mut self, value: f64, passed_ms: i64, lasting_ms: i64) -> f64 {
        let before = self.0.unwrap_or(value);
        let weight = -(-(passed_ms as f64) / lasting_ms as f64).exp_m1();
        let mean = before + weight * (value - before);
        self.0 = Some(mean);
        mean
    }
}
