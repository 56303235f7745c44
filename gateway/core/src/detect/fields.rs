//! What a device's fields said: numbers in windows, the last word, and doubts.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

use super::window::Window;
use super::{FieldValue, Latest};
use crate::decode::{DecodeError, Field, FieldKind, SensorType};
use crate::reading::{Reading, Value};
use crate::time::TimeMs;

/// How far back every field is kept, whatever rules ask: for the chart beside an alert.
pub(super) const SHOWN_MS: i64 = 30 * 60_000;

/// One slot for each field of the sensor type, in its order.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Fields {
    names: Vec<Arc<str>>,
    windows: Vec<Window>,
    /// The last word of each field that has words.
    words: Vec<Option<(TimeMs, Arc<str>)>>,
    /// A value that came too fast to be believed by itself.
    doubted: Vec<Option<(TimeMs, f64)>>,
    /// How far back each is kept.
    #[serde(skip)]
    keep_ms: Vec<i64>,
}

impl Fields {
    /// Fits them to a sensor type, of which rules look back so far at each field: history is kept by
    /// name.
    pub(super) fn fit(&mut self, sensor_type: &SensorType, reach_ms: impl Fn(usize) -> i64) {
        let same = self.names.len() == sensor_type.fields.len()
            && self.names.iter().zip(&sensor_type.fields).all(|(name, field)| *name == field.name);
        if !same {
            let mut before = std::mem::take(self);
            for field in &sensor_type.fields {
                let was = before.names.iter().position(|name| *name == field.name);
                let window = was.and_then(|was| before.windows.get_mut(was)).map(std::mem::take);
                self.names.push(field.name.clone());
                self.windows.push(window.unwrap_or_default());
                self.words.push(was.and_then(|was| before.words.get_mut(was)?.take()));
                self.doubted.push(None);
            }
        }
        let keep = |field| reach_ms(field).max(SHOWN_MS) + sensor_type.silent_after.ms();
        self.keep_ms = (0..self.names.len()).map(keep).collect();
    }

    pub(super) fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// The time of the newest number.
    pub(super) fn newest_ms(&self) -> Option<TimeMs> {
        self.windows.iter().filter_map(Window::newest).map(|(time, _)| time).max()
    }

    /// Puts a reading's values where they belong. What cannot be believed is added to `refused`.
    pub(super) fn keep(
        &mut self,
        sensor_type: &SensorType,
        reading: &Reading,
        at: TimeMs,
        late: bool,
        refused: &mut Vec<DecodeError>,
    ) {
        let slots = self.windows.iter_mut().zip(&mut self.words).zip(self.doubted.iter_mut().zip(&self.keep_ms));
        for ((field, value), ((window, word), (doubted, keep_ms))) in
            sensor_type.fields.iter().zip(&reading.values).zip(slots)
        {
            match value {
                Some(Value::Number(number)) => {
                    let limit = match field.kind {
                        FieldKind::Measure { max_change_per_s: Some(limit), .. } if !late => limit,
                        _ => f64::INFINITY,
                    };
                    if is_doubtful(window.newest(), doubted, (at, *number), limit) {
                        let detail = format!("`{}` jumped to {number}, faster than {limit} per second", field.name);
                        refused.push(DecodeError { code: "implausible_change", detail });
                        continue;
                    }
                    window.insert(at, *number);
                    window.trim(window.newest().map_or(at, |(newest, _)| newest) - keep_ms);
                }
                Some(Value::Text(text)) if word.as_ref().is_none_or(|(time, _)| *time <= at) => {
                    *word = Some((at, text.clone()));
                }
                Some(Value::Text(_) | Value::Burst(_)) | None => {}
            }
        }
    }

    /// The newest value of each field that was heard.
    pub(super) fn latest(&self, fields: &[Field]) -> Vec<FieldValue> {
        let mut latest = Vec::new();
        for ((field, window), word) in fields.iter().zip(&self.windows).zip(&self.words) {
            let (at_ms, value) = match (window.newest(), word) {
                (Some((at_ms, number)), _) => (at_ms, Latest::Number(number)),
                (None, Some((at_ms, word))) => (*at_ms, Latest::Word(word.clone())),
                (None, None) => continue,
            };
            latest.push(FieldValue { field: field.name.clone(), unit: field.unit().to_owned(), at_ms, value });
        }
        latest
    }

    /// How full the battery is, if the device tells.
    pub(super) fn battery_percent(&self, fields: &[Field]) -> Option<f64> {
        let index = fields.iter().position(Field::is_battery)?;
        Some(self.windows.get(index)?.newest()?.1)
    }

    /// Whether `field` was `is` at any time from `from` to `to`.
    #[allow(clippy::float_cmp, reason = "a switch is 0 or 1")]
    pub(super) fn activity(&self, field: usize, is: f64, from: TimeMs, to: TimeMs, gap_ms: i64) -> Activity {
        let Some(window) = self.windows.get(field) else { return Activity { seen: false, known: false } };
        let before = window.at_or_before(from).is_some_and(|(time, value)| value == is && from - time <= gap_ms);
        let within = window.between(from, to).any(|(_, value)| value == is);
        Activity { seen: before || within, known: window.is_known(from, to, gap_ms) }
    }
}

/// What an ended period of hours showed in one device.
pub(super) struct Activity {
    pub(super) seen: bool,
    /// Whether it was heard all the time.
    pub(super) known: bool,
}

/// Whether a value changed faster than physics allows. One that is borne out by the next is
/// believed: then it was the world and not a glitch.
fn is_doubtful(
    newest: Option<(TimeMs, f64)>,
    doubted: &mut Option<(TimeMs, f64)>,
    (at, value): (TimeMs, f64),
    limit_per_s: f64,
) -> bool {
    #[allow(clippy::cast_precision_loss, reason = "milliseconds between two readings")]
    let near = |(time, other): (TimeMs, f64)| {
        let seconds = ((at - time).max(0) as f64 / 1000.0).max(1.0);
        (value - other).abs() <= limit_per_s * seconds
    };
    let doubt = newest.is_some_and(|newest| !near(newest)) && !doubted.is_some_and(near);
    *doubted = doubt.then_some((at, value));
    doubt
}
