//! Readings out of SenML, which native devices speak.

use std::borrow::Cow;

use super::message::{MessageKind, Said, Speaker, SpeakerFrom, Taken};
use super::node::Node;
use super::senml::{self, Record};
use super::sensor_type::SensorType;
use super::topic::Captured;
use crate::decode::DecodeError;
use crate::reading::{Reading, Value};
use crate::time::TimeMs;

/// Takes a SenML pack.
///
/// # Errors
/// Where it names another device than its topic.
pub(super) fn take<'a>(
    sensor_type: &SensorType,
    kind: &MessageKind,
    captured: &Captured<'a>,
    payload: &'a [u8],
    arrival_ms: TimeMs,
    refused: &mut Vec<DecodeError>,
) -> Result<Taken<'a>, DecodeError> {
    let records = match senml::parse(payload, arrival_ms) {
        Ok(records) => records,
        Err(error) => return Ok(Taken::NotThisKind(Some(error))),
    };
    let sender = kind.speaker_of(captured);
    let mut said: Vec<Said<'a>> = Vec::new();
    for record in records {
        let device = match (&sender, record.device.as_ref()) {
            (Some(sender), "") => sender.clone(),
            (Some(sender), named) if names(named, sender) => sender.clone(),
            (Some(sender), named) => {
                let detail = format!("the payload names the device `{named}`, its sender is `{sender}`");
                return Err(DecodeError { code: "wrong_device", detail });
            }
            (None, "") if kind.speaker != SpeakerFrom::All => {
                let detail = "the record has no base name that says which device it is of".to_owned();
                refused.push(DecodeError { code: "no_device", detail });
                continue;
            }
            (None, named) => Cow::Owned(named.to_owned()),
        };
        // Devices may measure more than their type file cares for.
        let Some((index, value)) = value(sensor_type, &record) else { continue };
        match value {
            Ok(None) => said.push(Said { speaker: Speaker::Device(device), reading: None, element: 0 }),
            Ok(Some(value)) => put(sensor_type.fields.len(), &mut said, device, record.at_ms, index, value),
            Err(error) => refused.push(error),
        }
    }
    Ok(Taken::Said(said))
}

/// Whether the device part of a SenML name is `device`: itself, or at the end of a URN.
fn names(given: &str, device: &str) -> bool {
    given.strip_suffix(device).is_some_and(|before| before.is_empty() || before.ends_with([':', '/']))
}

/// The field that a record is of, and its value; `None` where it says that there is none.
fn value(sensor_type: &SensorType, record: &Record<'_>) -> Option<(usize, Result<Option<Value>, DecodeError>)> {
    let called = |name: &str| *name == *record.name;
    let index = sensor_type
        .fields
        .iter()
        .position(|field| called(&field.name) || field.conversion.senml_names.iter().any(|name| called(name)))?;
    let field = sensor_type.fields.get(index)?;
    let node = match &record.value {
        senml::Value::Number(number) => Node::Float(*number),
        senml::Value::Bool(on) => Node::Bool(*on),
        senml::Value::Text(text) | senml::Value::Data(text) => Node::Text(Cow::Borrowed(text)),
    };
    if field.is_absent(&node) {
        return Some((index, Ok(None)));
    }
    let unit = record.unit.as_deref().map(|symbol| field.unit_named(symbol)).transpose();
    Some((index, unit.and_then(|unit| field.value(&node, unit.or(field.conversion.sent_unit)).map(Some))))
}

/// Puts a value into the reading of its device and time, the last that has room for it.
fn put<'a>(
    fields: usize,
    said: &mut Vec<Said<'a>>,
    device: Cow<'a, str>,
    event_ms: Option<TimeMs>,
    index: usize,
    value: Value,
) {
    let speaker = Speaker::Device(device);
    let slot = said.iter_mut().rev().filter(|said| said.speaker == speaker).find_map(|said| {
        let reading = said.reading.as_mut().filter(|reading| reading.event_ms == event_ms)?;
        reading.values.get_mut(index).filter(|slot| slot.is_none())
    });
    if let Some(slot) = slot {
        *slot = Some(value);
        return;
    }
    let mut values = vec![None; fields];
    if let Some(slot) = values.get_mut(index) {
        *slot = Some(value);
    }
    said.push(Said { speaker, reading: Some(Reading { event_ms, values }), element: 0 });
}
