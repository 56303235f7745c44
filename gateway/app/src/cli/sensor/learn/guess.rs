//! From captured messages to a draft.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

use ninewatch_core::alert::Text;

use super::capture::Captured;
use super::device;
use super::draft::{Device, Draft, Message, from_root};
use super::field::Doubt;
use super::fields::Fields;
use super::meaning;
use super::names;
use super::payload::{self, Form};
use super::privacy::{self, Cleared};
use super::time::{self, Time};
use super::topic::{self, Topic};
use super::tree::{self, Each, Leaf};
use super::whole::{cadence, class_of, trust_the_battery};

/// Drafts a sensor type out of captured messages; `None` where nothing in them is a value.
pub(super) fn draft(captured: &[Captured], choose: &mut device::Choose<'_>) -> anyhow::Result<Option<Draft>> {
    let captured = captured.iter().filter(|one| !topic::is_of_the_system(&one.topic));
    let captured: Vec<Cleared> = captured.filter_map(privacy::clear).collect();
    let mut fields = Fields::default();
    let mut messages = Vec::new();
    for (topic, form, captured) in kinds(&captured) {
        let message = message(topic, form, &captured, &mut fields, choose)?;
        if !message.fields.is_empty() {
            messages.push(message);
        }
    }
    let Fields { mut fields } = fields;
    trust_the_battery(&mut fields);
    let (class, class_is_sure) = class_of(&fields);
    let cadence = cadence(&messages, &fields);
    let (id, label) = (String::new(), Text { zh: String::new(), en: String::new() });
    let mut draft = Draft { id, class, class_is_sure, label, cadence, messages, fields };
    draft.remove_what_nobody_sent();
    Ok(Some(draft).filter(|draft| !draft.fields.is_empty()))
}

impl Draft {
    /// Where an element does not say whose it is, what stands in it is of no use.
    fn remove_what_nobody_sent(&mut self) {
        let mut sent = BTreeSet::new();
        for message in &self.messages {
            let readings = message.captured.iter().flat_map(|captured| message.decode(captured, &self.fields).readings);
            sent.extend(readings.flat_map(|reading| reading.values).map(|(index, _)| index));
        }
        for index in (0..self.fields.len()).rev().filter(|index| !sent.contains(index)) {
            self.remove(index);
        }
    }
}

/// The messages by their kind: what their topic says besides the device, and the payload's form.
fn kinds(captured: &[Cleared]) -> Vec<(Topic, Form, Vec<&Cleared>)> {
    let topics: Vec<&str> = captured.iter().map(|one| one.captured.topic.as_str()).collect();
    let mut kinds: Vec<(Topic, Form, Vec<&Cleared>)> = Vec::new();
    for (topic, one) in topic::split(&topics).into_iter().zip(captured) {
        let form = Form::of(&one.captured.payload);
        let is_it = |(known, known_form, _): &&mut (Topic, Form, Vec<_>)| {
            known.pattern(true) == topic.pattern(true) && *known_form == form
        };
        match kinds.iter_mut().find(is_it) {
            Some((_, _, there)) => there.push(one),
            None => kinds.push((topic, form, vec![one])),
        }
    }
    // A kind takes what it can read: what reads anything comes last.
    kinds.sort_by_key(|(_, form, _)| match form {
        Form::Json | Form::Senml => 0,
        Form::Pairs { .. } | Form::List { .. } | Form::Packed("hex" | "base64") => 1,
        Form::Text => 2,
        Form::Packed(_) => 3,
    });
    // A payload that an earlier kind of the same topic can read never gets to a later one.
    let places: Vec<(String, Form)> =
        kinds.iter().map(|(topic, form, _)| (topic.pattern(true), form.clone())).collect();
    for (place, (topic, _, captured)) in kinds.iter_mut().enumerate() {
        let pattern = topic.pattern(true);
        let earlier = places.iter().take(place).filter(|(earlier, _)| *earlier == pattern);
        captured.retain(|one| !earlier.clone().any(|(_, form)| form.reads(&one.captured.payload)));
    }
    kinds.retain(|(.., captured)| !captured.is_empty());
    kinds
}

fn message(
    mut topic: Topic,
    form: Form,
    captured: &[&Cleared],
    fields: &mut Fields,
    choose: &mut device::Choose<'_>,
) -> anyhow::Result<Message> {
    let discard: BTreeSet<String> = captured.iter().flat_map(|one| one.hidden.iter().cloned()).collect();
    let is_hidden = |pointer: &str| discard.iter().any(|hidden| is_below(pointer, hidden));
    let mut nested = form.nested(captured.iter().map(|one| one.captured.payload.as_slice()));
    nested.retain(|packed| !is_hidden(packed));
    let trees: Vec<Value> = captured.iter().filter_map(|one| form.open(&one.captured.payload, &nested)).collect();
    let each = trees.iter().find_map(tree::find_each).filter(|_| form == Form::Json);
    let leaves: Vec<Leaf> = trees
        .iter()
        .flat_map(|tree| tree::elements(tree, each.as_ref()))
        .flat_map(|element| tree::leaves(element.value, None))
        .filter(|leaf| !is_hidden(&from_root(each.as_ref(), &leaf.pointer)))
        .collect();
    let outside: Vec<Leaf> = match &each {
        Some(each) => {
            let around = trees.iter().flat_map(|tree| tree::leaves(tree, Some(&each.pointer)));
            around.filter(|leaf| !is_hidden(&leaf.pointer)).collect()
        }
        None => Vec::new(),
    };
    let time = time_of(&leaves, &outside, &form, each.as_ref());
    let topics: Vec<&str> = captured.iter().map(|one| one.captured.topic.as_str()).collect();
    let found = device::find(&topic, &topics, &leaves, &outside, each.as_ref());
    let (device, device_is_sure) = choose(&topic.pattern(true), found)?;
    if device == Device::Topic && topic.device.is_none() {
        // Somebody has to be it: what stands first is the largest thing that publishes.
        topic.device = Some(0);
    }
    let mut message = Message {
        discard: discard.into_iter().collect(),
        nested,
        captured: captured.iter().map(|one| one.captured.clone()).collect(),
        topic,
        form,
        device,
        device_is_sure,
        each,
        time,
        fields: Vec::new(),
        blobs: Vec::new(),
        passed_over: Vec::new(),
    };
    message.take_fields(leaves, fields);
    message.passed_over.extend(outside.iter().map(|leaf| format!("${}", leaf.pointer)).collect::<BTreeSet<_>>());
    message.passed_over.retain(|pointer| *pointer != message.device.source());
    Ok(message)
}

fn time_of(leaves: &[Leaf], outside: &[Leaf], form: &Form, each: Option<&Each>) -> Option<Time> {
    if *form == Form::Senml {
        return None;
    }
    let in_list = matches!(form, Form::List { .. });
    let inside = time::find(leaves, in_list).map(|(pointer, format)| Time { pointer, outside: false, format });
    inside.or_else(|| {
        let (pointer, format) = time::find(outside, false).filter(|_| each.is_some())?;
        Some(Time { pointer, outside: true, format })
    })
}

impl Message {
    /// Finds what was measured among all leaves of the elements.
    fn take_fields(&mut self, leaves: Vec<Leaf>, fields: &mut Fields) {
        let mut order = Vec::new();
        let mut seen: BTreeMap<String, (Vec<String>, Vec<Value>)> = BTreeMap::new();
        for leaf in leaves {
            let there = seen.entry(leaf.pointer.clone()).or_insert_with(|| {
                order.push(leaf.pointer);
                (leaf.path, Vec::new())
            });
            there.1.push(leaf.value);
        }
        let decoded = order.iter().any(|pointer| is_decoded(pointer));
        let words = self.topic.telling_words(self.form == Form::Text);
        for pointer in order {
            let Some((path, values)) = seen.remove(&pointer) else { continue };
            let is_time = self.time.as_ref().is_some_and(|time| !time.outside && time.pointer == pointer);

            if is_time || self.device == Device::Inside(pointer.clone()) {
                continue;
            }
            // Where a network server has opened the payload, what stands beside it is about the radio.
            let is_beside = decoded && !is_decoded(&pointer) && !is_radio_signal(&pointer);
            let is_another_time = path.last().is_some_and(|key| names::time_rank(key).is_some())
                && time::format_of(&values.iter().collect::<Vec<_>>()).is_some();
            if is_beside || is_another_time || is_about_the_device(&path) && !is_radio_signal(&pointer) {
                self.passed_over.push(pointer);
                continue;
            }
            if self.form != Form::Senml
                && !matches!(self.form, Form::Packed(_))
                && let Some((by, bytes)) = values.first().and_then(Value::as_str).and_then(payload::decoded)
            {
                self.blobs.push((from_root(self.each.as_ref(), &pointer), by, bytes));
                continue;
            }
            let whole_path: Vec<String> = words.iter().chain(&path).cloned().collect();
            match meaning::guess(&whole_path, &values) {
                Some(mut field) => {
                    if matches!(self.form, Form::Packed(_)) {
                        field.doubts = vec![Doubt::Bytes];
                    }
                    let taken: Vec<usize> = self.fields.iter().map(|(index, _)| *index).collect();
                    match fields.take(field, &whole_path, &taken) {
                        Some(index) => self.fields.push((index, pointer)),
                        None => self.passed_over.push(pointer),
                    }
                }
                None => self.passed_over.push(pointer),
            }
        }
    }
}

/// Whether a network server opened this: ChirpStack's `object`, The Things Stack's `decoded_payload`.
fn is_decoded(pointer: &str) -> bool {
    pointer.starts_with("/object/") || pointer.contains("/decoded_payload/")
}

fn is_radio_signal(pointer: &str) -> bool {
    ["/rxInfo/0/rssi", "/uplink_message/rx_metadata/0/rssi"].contains(&pointer)
}

fn is_about_the_device(path: &[String]) -> bool {
    path.iter().any(|key| names::is_about_the_device(key))
        || path.last().is_some_and(|key| names::id_rank(key).is_some())
}

/// Whether a pointer is `above` or below it; `*` in `above` is any element.
fn is_below(pointer: &str, above: &str) -> bool {
    let (mut pointer, above) = (pointer.split('/'), above.split('/'));
    above.into_iter().all(|wanted| pointer.next().is_some_and(|segment| wanted == "*" || wanted == segment))
}
