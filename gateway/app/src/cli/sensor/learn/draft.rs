//! A draft of a sensor type, and what it makes of a captured message.

use serde_json::Value;
use std::collections::BTreeSet;

use ninewatch_core::alert::Text;
use ninewatch_core::reading::SensorClass;
use ninewatch_core::time::{Span, TimeMs};

use super::capture::Captured;
use super::field::{self, Field, Kind, State};
use super::payload::{Form, escaped};
use super::time::{self, Time};
use super::topic::Topic;
use super::tree::{self, Each, Element};

/// A sensor type as drafted.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) id: String,
    pub(super) class: SensorClass,
    pub(super) class_is_sure: bool,
    pub(super) label: Text,
    /// How often a device was heard, where that shows.
    pub(super) cadence: Option<Span>,
    pub(super) messages: Vec<Message>,
    pub(super) fields: Vec<Field>,
}

/// One kind of message.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) topic: Topic,
    pub(super) form: Form,
    pub(super) device: Device,
    pub(super) device_is_sure: bool,
    pub(super) each: Option<Each>,
    pub(super) time: Option<Time>,
    /// Where JSON stands in texts.
    pub(super) nested: BTreeSet<String>,
    /// Pointers to what is removed.
    pub(super) discard: Vec<String>,
    /// Fields by their index, and where they stand.
    pub(super) fields: Vec<(usize, String)>,
    /// Texts that are bytes in disguise: where, how, and the first one.
    pub(super) blobs: Vec<(String, &'static str, Vec<u8>)>,
    /// What was seen and not drafted.
    pub(super) passed_over: Vec<String>,
    /// The captured messages of this kind.
    pub(super) captured: Vec<Captured>,
}

/// What names the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Device {
    /// A level of the topic.
    Topic,
    /// A pointer in the element.
    Inside(String),
    /// A pointer in the payload around the element.
    Outside(String),
    /// The key of the element.
    Key,
}

impl Device {
    /// As a sensor type file writes it.
    pub(super) fn source(&self) -> String {
        match self {
            Self::Topic => "{device}".to_owned(),
            Self::Inside(pointer) => pointer.clone(),
            Self::Outside(pointer) => format!("${pointer}"),
            Self::Key => "{key}".to_owned(),
        }
    }
}

/// What a draft makes of one element of a message.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Reading {
    pub(super) device: String,
    /// When it was measured, where the payload says so.
    pub(super) at_ms: Option<TimeMs>,
    /// By the index of the field.
    pub(super) values: Vec<(usize, Decoded)>,
    /// Codes of values that are refused.
    pub(super) refused: Vec<&'static str>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Decoded {
    Number(f64),
    Bool(bool),
    Word(String),
    /// So many samples.
    Samples(usize),
}

impl Message {
    /// The readings of a captured message, those that have a value.
    pub(super) fn decode(&self, captured: &Captured, fields: &[Field]) -> Vec<Reading> {
        let Some(opened) = self.form.open(&captured.payload) else { return Vec::new() };
        let elements = tree::elements(&opened.tree, self.each.as_ref());
        let readings = elements.into_iter().filter_map(|element| self.reading(captured, &opened.tree, element, fields));
        readings.collect()
    }

    fn reading(&self, captured: &Captured, root: &Value, element: Element<'_>, fields: &[Field]) -> Option<Reading> {
        let mut reading = Reading { device: self.device_of(captured, root, element)?, ..Reading::default() };
        reading.at_ms = self.time.as_ref().and_then(|at| {
            let value = tree::at(if at.outside { root } else { element.value }, &at.pointer)?;
            time::read(value, at.format)
        });
        for (index, pointer) in &self.fields {
            let field = fields.get(*index)?;
            match tree::at(element.value, pointer).filter(|value| !value.is_null()).map(|value| field.decode(value)) {
                None => {}
                Some(Ok(value)) => reading.values.push((*index, value)),
                Some(Err(code)) => reading.refused.push(code),
            }
        }
        (!reading.values.is_empty()).then_some(reading)
    }

    fn device_of(&self, captured: &Captured, root: &Value, element: Element<'_>) -> Option<String> {
        let value = match &self.device {
            Device::Topic => return captured.topic.split('/').nth(self.topic.device?).map(str::to_owned),
            Device::Key => return element.key.map(str::to_owned),
            Device::Inside(pointer) => tree::at(element.value, pointer)?,
            Device::Outside(pointer) => tree::at(root, pointer)?,
        };
        match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// Where a field stands, as a sensor type file writes it.
    pub(super) fn source(&self, pointer: &str) -> String {
        match self.form {
            // There the names of the fields are the payload's own.
            Form::Senml => pointer.trim_start_matches('/').replace("~1", "/").replace("~0", "~"),
            _ => pointer.to_owned(),
        }
    }
}

impl Field {
    /// The value that is decoded of what was sent, or the code of its refusal.
    pub(super) fn decode(&self, sent: &Value) -> Result<Decoded, &'static str> {
        match &self.kind {
            Kind::Measure(measure) => {
                let value = measure.of(field::number(sent).ok_or("wrong_type")?);
                match measure.range {
                    Some((min, max)) if !(min..=max).contains(&value) => Err("out_of_range"),
                    _ => Ok(Decoded::Number(value)),
                }
            }
            Kind::State(state) => state.decode(sent).map(Decoded::Bool).ok_or("unknown_word"),
            Kind::Word { words, map } => {
                let text = sent.as_str().map(str::to_owned).unwrap_or_else(|| sent.to_string());
                match map.iter().find(|(from, _)| *from == text) {
                    Some((_, to)) => Ok(Decoded::Word(to.clone())),
                    None if words.is_empty() || words.contains(&text) => Ok(Decoded::Word(text)),
                    None => Err("unknown_word"),
                }
            }
            Kind::Burst { .. } => sent.as_array().map(|list| Decoded::Samples(list.len())).ok_or("wrong_type"),
        }
    }
}

impl State {
    fn decode(&self, sent: &Value) -> Option<bool> {
        if let Some(least) = self.at_least {
            return Some(field::number(sent)? >= least);
        }
        if !(self.on.is_empty() && self.off.is_empty()) {
            let off = || self.off.contains(sent).then_some(false);
            return self.on.contains(sent).then_some(true).or_else(off);
        }
        match sent {
            Value::Bool(on) => Some(*on),
            Value::Number(number) if number.as_f64() == Some(1.0) => Some(true),
            Value::Number(number) if number.as_f64() == Some(0.0) => Some(false),
            Value::String(text) => match text.to_lowercase().as_str() {
                "on" | "true" => Some(true),
                "off" | "false" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }
}

/// A captured message to show in the file, and what comes of it.
#[derive(Debug)]
pub(super) struct Example {
    pub(super) topic: String,
    /// With everything private hidden.
    pub(super) payload: Vec<u8>,
    pub(super) arrival_ms: Option<TimeMs>,
    pub(super) readings: Vec<Reading>,
}

impl Draft {
    /// Leaves a field out.
    pub(super) fn remove(&mut self, field: usize) {
        self.fields.remove(field);
        for message in &mut self.messages {
            message.fields.retain(|(index, _)| *index != field);
            for (index, _) in &mut message.fields {
                *index -= usize::from(*index > field);
            }
        }
        self.messages.retain(|message| !message.fields.is_empty());
    }

    /// Where a field stands, in the first kind of message that has it.
    pub(super) fn source_of(&self, field: usize) -> String {
        let of = |message: &Message| {
            let (_, pointer) = message.fields.iter().find(|(index, _)| *index == field)?;
            Some(if pointer.is_empty() { message.topic.pattern(true) } else { message.source(pointer) })
        };
        self.messages.iter().find_map(of).unwrap_or_default()
    }

    /// A few messages that show different things, and one of each kind.
    pub(super) fn examples(&self) -> Vec<Example> {
        /// A longer payload does not help to understand the type.
        const LONGEST: usize = 4096;
        let most = self.messages.len().clamp(3, 12);
        let mut kept: Vec<(usize, Example)> = Vec::new();
        let all = || {
            self.messages
                .iter()
                .enumerate()
                .flat_map(|(kind, message)| message.captured.iter().map(move |captured| (kind, message, captured)))
        };
        // First one of each kind, then those that show another state or word.
        for others in [false, true] {
            for (kind, message, captured) in all() {
                let fits = captured.payload.len() <= LONGEST || message.captured.len() == 1;
                if kept.len() >= most || !fits || (!others && kept.iter().any(|(known, _)| *known == kind)) {
                    continue;
                }
                let readings = message.decode(captured, &self.fields);
                let shown = self.shows(&readings);
                let is_new =
                    kept.iter().all(|(known, example)| *known != kind || self.shows(&example.readings) != shown);
                if !readings.is_empty() && is_new {
                    let payload = message.without_private(&captured.payload);
                    let (topic, arrival_ms) = (captured.topic.clone(), captured.arrival_ms);
                    kept.push((kind, Example { topic, payload, arrival_ms, readings }));
                }
            }
        }
        kept.into_iter().map(|(_, example)| example).collect()
    }

    /// What tells one example from another: fields and states, not numbers.
    fn shows(&self, readings: &[Reading]) -> BTreeSet<String> {
        let of = |(index, value): &(usize, Decoded)| match value {
            Decoded::Bool(_) | Decoded::Word(_) => format!("{index} {value:?}"),
            _ => index.to_string(),
        };
        readings.iter().flat_map(|reading| reading.values.iter().map(of)).collect()
    }
}

impl Message {
    fn without_private(&self, payload: &[u8]) -> Vec<u8> {
        let as_it_is = || payload.to_vec();
        if self.form != Form::Json {
            return as_it_is();
        }
        let Ok(mut value) = serde_json::from_slice::<Value>(payload) else { return as_it_is() };
        if super::privacy::hide(&mut value).is_empty() { as_it_is() } else { value.to_string().into_bytes() }
    }
}

/// The pointer from the payload to something in the elements of `each`.
pub(super) fn from_root(each: Option<&Each>, pointer: &str) -> String {
    each.map_or_else(|| pointer.to_owned(), |each| format!("{}/{}{pointer}", each.pointer, escaped("*")))
}
