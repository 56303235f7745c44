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
    /// The captured messages of this kind, with everything private hidden.
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
#[derive(Debug, PartialEq)]
pub(super) struct Reading {
    pub(super) device: String,
    /// When it was measured, where the payload says so.
    pub(super) at_ms: Option<TimeMs>,
    /// By the index of the field.
    pub(super) values: Vec<(usize, Decoded)>,
}

/// What a draft makes of a message.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Taken {
    pub(super) readings: Vec<Reading>,
    /// Codes of what is refused.
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
    /// What a captured message brings.
    pub(super) fn decode(&self, captured: &Captured, fields: &[Field]) -> Taken {
        let mut taken = Taken::default();
        let Some(tree) = self.form.open(&captured.payload, &self.nested) else { return taken };
        for element in tree::elements(&tree, self.each.as_ref()) {
            let Some(device) = self.device_of(captured, &tree, element) else {
                taken.refused.push("no_device");
                continue;
            };
            let values = self.values(element, fields, &mut taken.refused);
            let at_ms = self.time_of(&tree, element).unwrap_or_else(|code| {
                taken.refused.push(code);
                None
            });
            if !values.is_empty() {
                taken.readings.push(Reading { device, at_ms, values });
            }
        }
        taken
    }

    fn time_of(&self, root: &Value, element: Element<'_>) -> Result<Option<TimeMs>, &'static str> {
        let Some(time) = &self.time else { return Ok(None) };
        let said = tree::at(if time.outside { root } else { element.value }, &time.pointer);
        match said.filter(|said| !field::is_nothing(said)) {
            Some(said) => time::read(said, time.format).map(Some).ok_or("bad_time"),
            None => Ok(None),
        }
    }

    fn values(&self, element: Element<'_>, fields: &[Field], refused: &mut Vec<&'static str>) -> Vec<(usize, Decoded)> {
        let mut values = Vec::new();
        for (index, pointer) in &self.fields {
            let sent = tree::at(element.value, pointer).filter(|value| !value.is_null());
            let (Some(sent), Some(field)) = (sent, fields.get(*index)) else { continue };
            match field.decode(sent) {
                Ok(value) => values.push((*index, value)),
                Err(code) => refused.push(code),
            }
        }
        values
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

/// No token is longer, in bytes.
const LONGEST_WORD: usize = 128;

impl Field {
    /// The value that is decoded of what was sent, or the code of its refusal.
    pub(super) fn decode(&self, sent: &Value) -> Result<Decoded, &'static str> {
        match &self.kind {
            Kind::Measure(measure) => measure.of(sent).map(Decoded::Number),
            Kind::State(state) => match state.decode(sent) {
                Some(on) => Ok(Decoded::Bool(on)),
                None if state.is_usual() || !sent.is_string() => Err("wrong_type"),
                None => Err("unknown_word"),
            },
            Kind::Word { words, map } => {
                let text = match sent {
                    Value::String(text) => text.clone(),
                    Value::Number(number) => number.to_string(),
                    _ => return Err("wrong_type"),
                };
                match map.iter().find(|(from, _)| *from == text) {
                    Some((_, to)) => Ok(Decoded::Word(to.clone())),
                    None if words.is_empty() && text.len() > LONGEST_WORD => Err("out_of_range"),
                    None if words.is_empty() || words.contains(&text) => Ok(Decoded::Word(text)),
                    None => Err("unknown_word"),
                }
            }
            Kind::Burst { channels, .. } => match field::burst(std::slice::from_ref(sent)) {
                Some(Kind::Burst { samples, channels: sent }) if sent == *channels => Ok(Decoded::Samples(samples)),
                _ => Err("wrong_type"),
            },
        }
    }
}

impl State {
    fn decode(&self, sent: &Value) -> Option<bool> {
        if let Some(least) = self.at_least {
            return Some(field::number(sent)? >= least);
        }
        if !self.is_usual() {
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
    pub(super) captured: Captured,
    pub(super) taken: Taken,
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
        // First one of each kind, then those that show another state or word; one of which a value
        // is refused only where there is no other.
        for (others, refused) in [(false, false), (false, true), (true, false)] {
            for (kind, message, captured) in all() {
                let fits = captured.payload.len() <= LONGEST || message.captured.len() == 1;
                if kept.len() >= most || !fits || (!others && kept.iter().any(|(known, _)| *known == kind)) {
                    continue;
                }
                let taken = message.decode(captured, &self.fields);
                let shown = self.shows(&taken);
                let is_new = kept.iter().all(|(known, example)| *known != kind || self.shows(&example.taken) != shown);
                if !taken.readings.is_empty() && is_new && (taken.refused.is_empty() || refused) {
                    kept.push((kind, Example { captured: captured.clone(), taken }));
                }
            }
        }
        kept.into_iter().map(|(_, example)| example).collect()
    }

    /// What tells one example from another: fields and states, not numbers.
    fn shows(&self, taken: &Taken) -> BTreeSet<String> {
        let of = |(index, value): &(usize, Decoded)| match value {
            Decoded::Bool(_) | Decoded::Word(_) => format!("{index} {value:?}"),
            _ => index.to_string(),
        };
        taken.readings.iter().flat_map(|reading| reading.values.iter().map(of)).collect()
    }
}

/// The pointer from the payload to something in the elements of `each`.
pub(super) fn from_root(each: Option<&Each>, pointer: &str) -> String {
    each.map_or_else(|| pointer.to_owned(), |each| format!("{}/{}{pointer}", each.pointer, escaped("*")))
}
