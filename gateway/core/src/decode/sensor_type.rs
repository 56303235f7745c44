//! Sensor types: how one make and model reports, and the decoding of what it sent.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use std::sync::Arc;

use super::senml::{self, Record};
use super::units::{self, Unit};
use crate::alert::Text;
use crate::decode::{DecodeError, file};
use crate::fault::Fault;
use crate::fault::SourceFile;
use crate::reading::{Burst, Reading, SensorClass, Value};
use crate::time::{Span, TimeMs};

/// How one make and model reports.
#[derive(Debug, Clone, PartialEq)]
pub struct SensorType {
    /// Unique: what a device's `type` names.
    pub id: String,
    /// Its class.
    pub class: SensorClass,
    /// As people call it.
    pub label: Text,
    /// Where it publishes.
    pub topic: Topic,
    /// What it measures, in the order of [`Reading::values`].
    pub fields: Vec<Field>,
    /// How often a healthy device is heard.
    pub cadence: Span,
    /// After how long unheard it counts as silent, and what it said last as unknown.
    pub silent_after: Span,
}

/// One thing that a sensor type measures.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// With its unit at the end, such as `co_ppm`.
    pub name: Arc<str>,
    /// As people call it.
    pub label: Text,
    /// What its values are, and what they mean between readings.
    pub kind: FieldKind,
}

/// What the values of a field are, and what they mean between readings.
#[derive(Debug, Clone, PartialEq)]
#[allow(private_interfaces, reason = "units are named by their symbols outside of decode")]
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
    /// Equally spaced samples; see [`Burst`].
    Burst(BurstShape),
}

/// What a burst looks like: int16 samples, little-endian, interleaved, as base64url.
#[derive(Debug, Clone, PartialEq)]
pub struct BurstShape {
    /// Samples per second, of each channel.
    pub rate_hz: f32,
    /// How many samples of each channel are taken at most.
    pub max_samples: usize,
    /// In the order in which a sample holds them.
    pub channels: Vec<Channel>,
}

/// A channel of a burst.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
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

    /// Whether it says how full the device's battery is.
    pub fn is_battery(&self) -> bool {
        matches!(&self.kind, FieldKind::Measure { unit, .. } if unit.is_battery())
    }
}

/// A topic with one level that is the device's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    before: String,
    after: String,
}

impl Topic {
    const DEVICE: &str = "{device}";

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (before, after) = text.split_once(Self::DEVICE)?;
        let whole_level = (before.is_empty() || before.ends_with('/')) && (after.is_empty() || after.starts_with('/'));
        (whole_level && !text.contains(['#', '+']) && !after.contains(['{', '}']) && !before.contains(['{', '}']))
            .then(|| Self { before: before.to_owned(), after: after.to_owned() })
    }

    /// The device's id in `topic`, if it is a topic of this form.
    pub fn device<'t>(&self, topic: &'t str) -> Option<&'t str> {
        let id = topic.strip_prefix(self.before.as_str())?.strip_suffix(self.after.as_str())?;
        (!id.is_empty() && !id.contains('/')).then_some(id)
    }

    /// As it stands in the file.
    pub fn text(&self) -> String {
        format!("{}{}{}", self.before, Self::DEVICE, self.after)
    }
}

/// All sensor types that are in use.
#[derive(Debug, Clone, Default)]
pub struct SensorTypes {
    types: Vec<SensorType>,
}

impl SensorTypes {
    /// Compiles the files; one that has a fault is left out and told.
    pub fn compile(files: &[SourceFile]) -> (Self, Vec<Fault>) {
        let mut types: Vec<SensorType> = Vec::new();
        let mut faults = Vec::new();
        for source in files {
            match file::read(source) {
                Ok(new) if types.iter().any(|there| there.id == new.id) => {
                    let problem = format!("there is another type `{}`", new.id);
                    faults.push(source.fault("id", problem, "give it an id of its own"));
                }
                Ok(new) => types.push(new),
                Err(found) => faults.extend(found),
            }
        }
        types.sort_by(|a, b| a.id.cmp(&b.id));
        (Self { types }, faults)
    }

    /// The type with this id.
    pub fn get(&self, id: &str) -> Option<&SensorType> {
        let at = self.types.binary_search_by(|there| there.id.as_str().cmp(id)).ok()?;
        self.types.get(at)
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &SensorType> {
        self.types.iter()
    }
}

/// What came out of a payload.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decoded {
    /// In the payload's order.
    pub readings: Vec<Reading>,
    /// Values that could not be taken. The others count all the same: a wild temperature must not
    /// take the alarm beside it away.
    pub refused: Vec<DecodeError>,
}

impl SensorType {
    /// Turns a payload of `device` into readings.
    ///
    /// # Errors
    /// Names what is wrong and where, if nothing in the payload counts.
    pub fn decode(&self, device: &str, payload: &[u8], arrival_ms: TimeMs) -> Result<Decoded, DecodeError> {
        let mut decoded = Decoded::default();
        for record in senml::parse(payload, arrival_ms)? {
            if !record.device.is_empty() && !names(&record.device, device) {
                let detail = format!("the payload names the device `{}`, its sender is `{device}`", record.device);
                return Err(DecodeError { code: "wrong_device", detail });
            }
            // Devices may measure more than their type file cares for.
            let Some(index) = self.fields.iter().position(|field| *field.name == record.name) else { continue };
            let Some(field) = self.fields.get(index) else { continue };
            match field.value(&record) {
                Ok(value) => self.put(&mut decoded.readings, record.at_ms, index, value),
                Err(error) => decoded.refused.push(error),
            }
        }
        if decoded.readings.is_empty() {
            return Err(decoded.refused.pop().unwrap_or_else(|| DecodeError {
                code: "no_known_field",
                detail: format!("none of its names is a field of `{}`", self.id),
            }));
        }
        Ok(decoded)
    }

    fn put(&self, readings: &mut Vec<Reading>, event_ms: Option<TimeMs>, index: usize, value: Value) {
        let free = |reading: &&mut Reading| {
            reading.event_ms == event_ms && reading.values.get(index).is_some_and(Option::is_none)
        };
        if let Some(slot) = readings.iter_mut().rfind(free).and_then(|reading| reading.values.get_mut(index)) {
            *slot = Some(value);
            return;
        }
        let mut values = vec![None; self.fields.len()];
        if let Some(slot) = values.get_mut(index) {
            *slot = Some(value);
        }
        readings.push(Reading { event_ms, values });
    }
}

/// Whether the device part of a SenML name is `device`: itself, or at the end of a URN.
fn names(given: &str, device: &str) -> bool {
    given.strip_suffix(device).is_some_and(|before| before.is_empty() || before.ends_with([':', '/']))
}

impl Field {
    fn value(&self, record: &Record<'_>) -> Result<Value, DecodeError> {
        match (&self.kind, &record.value) {
            (FieldKind::Measure { unit, min, max, .. }, senml::Value::Number(number)) => {
                self.measure(*number, record.unit.as_deref(), *unit, *min..=*max)
            }
            (FieldKind::State, senml::Value::Bool(on)) => Ok(Value::Number(f64::from(u8::from(*on)))),
            (FieldKind::State, senml::Value::Number(number)) if *number == 0.0 || *number == 1.0 => {
                Ok(Value::Number(*number))
            }
            (FieldKind::Word { words }, senml::Value::Text(text)) => self.word(text, words),
            (FieldKind::Burst(shape), senml::Value::Data(data)) => self.burst(data, shape),
            (kind, _) => {
                let wanted = match kind {
                    FieldKind::Measure { .. } => "a number (`v`)",
                    FieldKind::State => "true or false (`vb`)",
                    FieldKind::Word { .. } => "a word (`vs`)",
                    FieldKind::Burst(_) => "base64url data (`vd`)",
                };
                Err(self.refuse("wrong_type", format!("has to be {wanted}")))
            }
        }
    }

    fn measure(
        &self,
        number: f64,
        given: Option<&str>,
        unit: Unit,
        range: std::ops::RangeInclusive<f64>,
    ) -> Result<Value, DecodeError> {
        let value = match given {
            // Many devices leave the unit out; then it is the type's.
            None => number,
            Some(symbol) => units::find(symbol)
                .ok_or_else(|| self.refuse("unknown_unit", format!("the unit `{symbol}` is not known")))?
                .convert(number, unit)
                .ok_or_else(|| self.refuse("wrong_unit", format!("`{symbol}` does not convert to `{}`", unit.shown)))?,
        };
        if range.contains(&value) {
            return Ok(Value::Number(value));
        }
        let (min, max) = range.into_inner();
        Err(self.refuse("out_of_range", format!("{value} {} is not from {min} to {max}", unit.shown)))
    }

    fn word(&self, text: &str, words: &[Arc<str>]) -> Result<Value, DecodeError> {
        const LONGEST: usize = 128;
        match words.iter().find(|word| ***word == *text) {
            Some(word) => Ok(Value::Text(word.clone())),
            None if words.is_empty() && text.len() <= LONGEST => Ok(Value::Text(text.into())),
            None if words.is_empty() => Err(self.refuse("out_of_range", format!("is longer than {LONGEST} bytes"))),
            None => Err(self.refuse("unknown_word", format!("`{text}` is none of {}", words.join(", ")))),
        }
    }

    fn burst(&self, data: &str, shape: &BurstShape) -> Result<Value, DecodeError> {
        let channels = shape.channels.len();
        let longest = shape.max_samples.saturating_mul(channels).saturating_mul(2);
        let bytes = (data.len() / 4 * 3 <= longest.saturating_add(2))
            .then(|| BASE64URL.decode(data))
            .ok_or_else(|| self.refuse("out_of_range", format!("has more than {} samples", shape.max_samples)))?
            .map_err(|error| self.refuse("not_base64", error.to_string()))?;
        if bytes.is_empty() || bytes.len() % (2 * channels) != 0 {
            let detail = format!("{} bytes are no whole samples of {channels} int16", bytes.len());
            return Err(self.refuse("wrong_type", detail));
        }
        let (counts, _) = bytes.as_chunks::<2>();
        let per_count = shape.channels.iter().map(|channel| channel.per_count).cycle();
        let samples = counts.iter().zip(per_count).map(|(count, unit)| f32::from(i16::from_le_bytes(*count)) * unit);
        Ok(Value::Burst(Arc::new(Burst { rate_hz: shape.rate_hz, channels, samples: samples.collect() })))
    }

    fn refuse(&self, code: &'static str, what: String) -> DecodeError {
        DecodeError { code, detail: format!("`{}` {what}", self.name) }
    }
}

/// RFC 8428 says without padding; some devices pad all the same.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests;
