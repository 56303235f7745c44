//! From captured messages to a draft.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

use ninewatch_core::alert::Text;
use ninewatch_core::reading::SensorClass;
use ninewatch_core::time::{Span, TimeMs};

use super::capture::Captured;
use super::device;
use super::draft::{Device, Draft, Message, from_root};
use super::field::{self, Doubt, Field, Kind};
use super::names::{self, compact};
use super::payload::{self, Form, Opened};
use super::privacy;
use super::time::{self, Time};
use super::topic::{self, Topic};
use super::tree::{self, Each, Leaf};

/// Drafts a sensor type out of captured messages; `None` where nothing in them is a value.
pub(super) fn draft(captured: &[Captured], choose: &mut device::Choose<'_>) -> anyhow::Result<Option<Draft>> {
    let captured: Vec<&Captured> = captured.iter().filter(|one| !topic::is_of_the_system(&one.topic)).collect();
    let mut fields = Fields::default();
    let mut messages = Vec::new();
    for (topic, form, captured) in kinds(&captured) {
        let opened: Vec<(&Captured, Opened)> =
            captured.into_iter().filter_map(|one| Some((one, form.open(&one.payload)?))).collect();
        let message = message(topic, form, &opened, &mut fields, choose)?;
        if !message.fields.is_empty() {
            messages.push(message);
        }
    }
    let Fields { mut fields } = fields;
    trust_the_battery(&mut fields);
    if fields.is_empty() {
        return Ok(None);
    }
    let (class, class_is_sure) = class_of(&fields);
    let cadence = cadence(&messages, &fields);
    let (id, label) = (String::new(), Text { zh: String::new(), en: String::new() });
    Ok(Some(Draft { id, class, class_is_sure, label, cadence, messages, fields }))
}

impl Draft {
    /// Names what depends on the class, once that is settled.
    pub(super) fn name_by_class(&mut self) {
        let (zh, en) = names::class_words(self.class);
        let class = self.class.name().replace('_', "-");
        (self.id, self.label) = match maker_of(&self.messages) {
            Some(maker) => {
                (format!("{maker}-{class}"), Text { zh: format!("{maker} {zh}"), en: format!("{maker} {en}") })
            }
            None => (format!("my-{class}"), Text { zh: zh.to_owned(), en: en.to_owned() }),
        };
        name_the_alarm(&mut self.fields, self.class);
    }
}

/// The messages by their kind: what their topic says besides the device, and the payload's form.
fn kinds<'c>(captured: &[&'c Captured]) -> Vec<(Topic, Form, Vec<&'c Captured>)> {
    let topics: Vec<&str> = captured.iter().map(|one| one.topic.as_str()).collect();
    let mut kinds: Vec<(Topic, Form, Vec<&Captured>)> = Vec::new();
    for (topic, one) in topic::split(&topics).into_iter().zip(captured) {
        let form = Form::of(&one.payload);
        let is_it = |(known, known_form, _): &&mut (Topic, Form, Vec<_>)| {
            known.pattern(true) == topic.pattern(true) && *known_form == form
        };
        match kinds.iter_mut().find(is_it) {
            Some((_, _, there)) => there.push(one),
            None => kinds.push((topic, form, vec![one])),
        }
    }
    kinds
}

fn message(
    mut topic: Topic,
    form: Form,
    opened: &[(&Captured, Opened)],
    fields: &mut Fields,
    choose: &mut device::Choose<'_>,
) -> anyhow::Result<Message> {
    let each = opened.iter().find_map(|(_, opened)| tree::find_each(&opened.tree)).filter(|_| form == Form::Json);
    let leaves: Vec<Leaf> = opened
        .iter()
        .flat_map(|(_, opened)| tree::elements(&opened.tree, each.as_ref()))
        .flat_map(|element| tree::leaves(element.value, None))
        .collect();
    let outside: Vec<Leaf> = match &each {
        Some(each) => opened.iter().flat_map(|(_, opened)| tree::leaves(&opened.tree, Some(&each.pointer))).collect(),
        None => Vec::new(),
    };
    let time = time_of(&leaves, &outside, &form, each.as_ref());
    let topics: Vec<&str> = opened.iter().map(|(one, _)| one.topic.as_str()).collect();
    let found = device::find(&topic, &topics, &leaves, &outside, each.as_ref());
    let (device, device_is_sure) = choose(&topic.pattern(true), found)?;
    if device == Device::Topic && topic.device.is_none() {
        // Somebody has to be it: what stands first is the largest thing that publishes.
        topic.device = Some(0);
    }
    let mut message = Message {
        nested: opened.iter().flat_map(|(_, opened)| opened.nested.iter().cloned()).collect(),
        discard: discard(opened, &form),
        captured: opened.iter().map(|(one, _)| (*one).clone()).collect(),
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

fn discard(opened: &[(&Captured, Opened)], form: &Form) -> Vec<String> {
    if *form != Form::Json {
        return Vec::new();
    }
    // Opened, so that what stands in texts is found too.
    let hidden = opened.iter().flat_map(|(_, opened)| privacy::hide(&mut opened.tree.clone()));
    hidden.collect::<BTreeSet<_>>().into_iter().collect()
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
            let hidden = from_root(self.each.as_ref(), &pointer);
            let is_hidden = self.discard.iter().any(|there| is_below(&hidden, there));
            if is_time || self.device == Device::Inside(pointer.clone()) || is_hidden {
                continue;
            }
            // Where a network server has opened the payload, what stands beside it is about the radio.
            let is_beside = decoded && !is_decoded(&pointer) && !is_radio_signal(&pointer);
            let is_another_time = path.last().is_some_and(|key| names::TIME_KEYS.contains(&compact(key).as_str()))
                && time::format_of(&values.iter().collect::<Vec<_>>()).is_some();
            if is_beside || is_another_time || is_about_the_device(&path) && !is_radio_signal(&pointer) {
                self.passed_over.push(pointer);
                continue;
            }
            if self.form != Form::Senml
                && !matches!(self.form, Form::Packed(_))
                && let Some((by, bytes)) = values.first().and_then(Value::as_str).and_then(payload::decoded)
            {
                self.blobs.push((hidden, by, bytes));
                continue;
            }
            let whole_path: Vec<String> = words.iter().chain(&path).cloned().collect();
            match field::guess(&whole_path, &values) {
                Some(mut field) => {
                    if matches!(self.form, Form::Packed(_)) {
                        field.doubts = vec![Doubt::Bytes];
                    }
                    let taken: Vec<usize> = self.fields.iter().map(|(index, _)| *index).collect();
                    self.fields.extend(fields.take(field, &whole_path, &taken).map(|index| (index, pointer)));
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
    let is_id = |key: &String| names::ID_KEYS.contains(&compact(key).as_str());
    path.iter().any(|key| names::is_about_the_device(key)) || path.last().is_some_and(is_id)
}

/// Whether a pointer is `above` or below it; `*` in `above` is any element.
fn is_below(pointer: &str, above: &str) -> bool {
    let (mut pointer, above) = (pointer.split('/'), above.split('/'));
    above.into_iter().all(|wanted| pointer.next().is_some_and(|segment| wanted == "*" || wanted == segment))
}

/// The fields of all kinds of messages; those of one name are one.
#[derive(Default)]
struct Fields {
    fields: Vec<Field>,
}

impl Fields {
    /// Adds a field, or finds that it is there already from another kind of message. `taken` are
    /// those that this kind has from elsewhere in it.
    fn take(&mut self, mut field: Field, path: &[String], taken: &[usize]) -> Option<usize> {
        let at = |fields: &[Field], name: &str| fields.iter().position(|there| there.name == name);
        if let Some(index) = at(&self.fields, &field.name) {
            let there = self.fields.get_mut(index)?;
            if !taken.contains(&index) && there.merge(&field) {
                return Some(index);
            }
            // The same in Fahrenheit beside it.
            if matches!(&field.kind, Kind::Measure(measure) if measure.offset != 0.0) {
                return None;
            }
            let telling = path.iter().rev().skip(1).find(|key| !names::is_empty_word(&compact(key)));
            let prefix = field::snake(telling.or_else(|| path.last())?);
            let name = format!("{prefix}_{}", field.name);
            let number = (2..).find(|number| at(&self.fields, &format!("{}_{number}", field.name)).is_none())?;
            field.label.zh = format!("{} {}", path.last()?, field.label.zh);
            field.label.en = format!("{} {}", path.last()?, field.label.en);
            field.name = if at(&self.fields, &name).is_none() { name } else { format!("{}_{number}", field.name) };
            if !field.doubts.contains(&Doubt::Meaning) {
                field.doubts.push(Doubt::Meaning);
            }
        }
        self.fields.push(field);
        Some(self.fields.len() - 1)
    }
}

impl Field {
    /// Takes in what another kind of message sends of the same field, where both can be read alike.
    fn merge(&mut self, other: &Self) -> bool {
        match (&mut self.kind, &other.kind) {
            (Kind::State(mine), Kind::State(theirs)) if mine.at_least == theirs.at_least => {
                if (mine.on.is_empty()) != (theirs.on.is_empty()) {
                    return false;
                }
                for (mine, theirs) in [(&mut mine.on, &theirs.on), (&mut mine.off, &theirs.off)] {
                    mine.extend(theirs.iter().filter(|value| !mine.contains(value)).cloned().collect::<Vec<_>>());
                }
            }
            (Kind::Word { words, map }, Kind::Word { words: other_words, map: other_map }) if map == other_map => {
                words.extend(other_words.iter().filter(|word| !words.contains(word)).cloned().collect::<Vec<_>>());
            }
            (mine, theirs) if mine == theirs => {}
            _ => return false,
        }
        self.doubts
            .extend(other.doubts.iter().filter(|doubt| !self.doubts.contains(doubt)).copied().collect::<Vec<_>>());
        true
    }
}

/// The class by what its fields are, and whether that is sure.
fn class_of(fields: &[Field]) -> (SensorClass, bool) {
    let mut votes: BTreeMap<SensorClass, u32> = BTreeMap::new();
    for field in fields {
        if let Some(class) = names::common(&field.name).and_then(|known| known.class) {
            // What it judges itself tells more than what it measures besides.
            *votes.entry(class).or_default() += if matches!(field.kind, Kind::Measure(_)) { 1 } else { 3 };
        }
    }
    let mut votes: Vec<(u32, SensorClass)> = votes.into_iter().map(|(class, votes)| (votes, class)).collect();
    votes.sort();
    match votes.as_slice() {
        [] if fields.iter().any(|field| field.name == "temperature_c") => (SensorClass::Smoke, false),
        [] => (SensorClass::Presence, false),
        [(_, class)] => (*class, true),
        [.., (second, _), (first, class)] => (*class, *first >= 2 * *second),
    }
}

/// A device's alarm gets the name that the rules of its class go by.
fn name_the_alarm(fields: &mut [Field], class: SensorClass) {
    let name = names::alarm_of(class);
    if fields.iter().any(|field| field.name == name) {
        return;
    }
    let Some(known) = names::common(name) else { return };
    if let Some(field) = fields.iter_mut().find(|field| field.name == names::ALARM) {
        field.name = name.to_owned();
        field.label = Text { zh: known.zh.to_owned(), en: known.en.to_owned() };
    }
}

impl Draft {
    /// Two devices that have nothing in common, and so are of two types.
    pub(super) fn strangers(&self) -> Option<(String, String)> {
        // Any device may have these.
        const OF_ALL: [&str; 7] =
            ["battery_percent", "battery_voltage_v", "battery_low", "signal_dbm", "online", "tamper", "fault"];
        let mut has: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for message in &self.messages {
            for captured in &message.captured {
                for reading in message.decode(captured, &self.fields) {
                    let names =
                        reading.values.iter().filter_map(|(index, _)| Some(self.fields.get(*index)?.name.as_str()));
                    has.entry(reading.device).or_default().extend(names.filter(|name| !OF_ALL.contains(name)));
                }
            }
        }
        has.retain(|_, fields| !fields.is_empty());
        let (first, fields) = has.iter().next()?;
        let (other, _) = has.iter().find(|(_, others)| others.is_disjoint(fields))?;
        Some((first.clone(), other.clone()))
    }
}

/// What has a battery sends that battery's voltage.
fn trust_the_battery(fields: &mut [Field]) {
    if fields.iter().any(|field| field.name == "battery_percent" || field.name == "battery_low") {
        let voltage = fields.iter_mut().filter(|field| field.name == "battery_voltage_v");
        voltage.for_each(|field| field.doubts.retain(|doubt| *doubt != Doubt::Scale));
    }
}

/// How often a device is heard: the middle of the times between its messages of one kind, or
/// between its readings, as a person would say it.
fn cadence(messages: &[Message], fields: &[Field]) -> Option<Span> {
    messages.iter().filter_map(|message| middle_gap_ms(message, fields)).min().map(|gap| {
        const STEPS_S: [i64; 18] =
            [5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400];
        // A tenth is the play of timers.
        let fits = |step: &i64| gap <= step * 1100;
        Span::from_secs(STEPS_S.into_iter().find(fits).unwrap_or(86_400))
    })
}

fn middle_gap_ms(message: &Message, fields: &[Field]) -> Option<i64> {
    let mut heard: BTreeMap<String, [BTreeSet<TimeMs>; 2]> = BTreeMap::new();
    for captured in &message.captured {
        for reading in message.decode(captured, fields) {
            let [arrivals, times] = heard.entry(reading.device).or_default();
            arrivals.extend(captured.arrival_ms);
            times.extend(reading.at_ms);
        }
    }
    let gaps = |of: usize| {
        let of_devices = heard.values().filter_map(move |both| both.get(of));
        let all = of_devices.flat_map(|times| times.iter().zip(times.iter().skip(1)).map(|(a, b)| b - a));
        let mut gaps: Vec<i64> = all.filter(|gap| *gap >= 1000).collect();
        gaps.sort_unstable();
        gaps
    };
    let (arrivals, times) = (gaps(0), gaps(1));
    let gaps = if arrivals.is_empty() { times } else { arrivals };
    gaps.get(gaps.len() / 2).copied()
}

/// The model that the payload names, else what the topic begins with.
fn maker_of(messages: &[Message]) -> Option<String> {
    const MODEL: [&str; 7] = [
        "/model",
        "/modelid",
        "/model_id",
        "/device/model",
        "/deviceModel",
        "/product",
        "/deviceInfo/deviceProfileName",
    ];
    let in_payload = messages.iter().flat_map(|message| &message.captured).find_map(|captured| {
        let tree = Form::Json.open(&captured.payload)?.tree;
        MODEL.iter().find_map(|pointer| tree.pointer(pointer)?.as_str().map(str::to_owned))
    });
    let maker = in_payload.or_else(|| messages.iter().find_map(|message| message.topic.maker().map(str::to_owned)));
    maker.filter(|maker| maker.is_ascii()).map(|word| field::snake(&word).replace('_', "-"))
}
