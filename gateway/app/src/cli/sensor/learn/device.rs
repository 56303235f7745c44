//! What names the device: a level of the topic, a key of the payload, or the key of an element.

use serde_json::Value;
use std::collections::BTreeSet;

use super::draft::Device;
use super::names;
use super::topic::Topic;
use super::tree::{Each, Leaf, is_id_like};

/// What may name the device, the likeliest first.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) candidates: Vec<Candidate>,
    pub(super) sure: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) device: Device,
    /// Some of the names that it gives.
    pub(super) names: Vec<String>,
}

/// Decides for one of what was found, for the messages of a topic; the other is whether that is sure.
pub(super) type Choose<'a> = dyn FnMut(&str, Found) -> anyhow::Result<(Device, bool)> + 'a;

/// What names the device.
pub(super) fn find(topic: &Topic, topics: &[&str], leaves: &[Leaf], outside: &[Leaf], each: Option<&Each>) -> Found {
    let in_topics: BTreeSet<&str> = topics.iter().filter_map(|text| text.split('/').nth(topic.device?)).collect();
    let by_topic = Candidate { device: Device::Topic, names: some(in_topics.iter().copied()) };
    let inside = by_keys(leaves, Device::Inside);
    let around = by_keys(outside, Device::Outside);
    let mut candidates = Vec::new();
    let sure;
    if each.is_some_and(|each| each.keyed) {
        candidates.push(Candidate { device: Device::Key, names: Vec::new() });
        sure = true;
    } else if each.is_some() && !inside.is_empty() {
        // A list of devices comes from a gateway; the topic is the gateway's.
        sure = true;
    } else if topic.sure {
        candidates.push(by_topic.clone());
        sure = true;
    } else {
        let of_payload = inside.first().or_else(|| around.first()).map_or(0, |first| first.1);
        // One topic for many devices says nothing of them.
        let payload_tells_more = of_payload > in_topics.len().max(1);
        let is_id = topic.device.is_some() && in_topics.iter().all(|name| is_id_like(name));
        let is_the_same = inside.first().is_some_and(|(first, _)| first.names == by_topic.names);
        if of_payload == 0 || is_the_same || (is_id && !payload_tells_more) {
            candidates.push(by_topic.clone());
        }
        sure = payload_tells_more
            || is_the_same
            || (of_payload == 0 && is_id)
            || (of_payload > 0 && topic.device.is_none());
    }
    candidates.extend(inside.into_iter().chain(around).map(|(candidate, _)| candidate));
    if !candidates.iter().any(|candidate| candidate.device == Device::Topic) {
        candidates.push(by_topic);
    }
    Found { candidates, sure }
}

/// Keys that hold ids, the likeliest first, with how many different ones.
fn by_keys(leaves: &[Leaf], of: impl Fn(String) -> Device) -> Vec<(Candidate, usize)> {
    let mut found: Vec<(usize, &str, BTreeSet<String>)> = Vec::new();
    for leaf in leaves {
        let Some(rank) = leaf.path.last().and_then(|key| names::id_rank(key)) else { continue };
        let name = match &leaf.value {
            Value::String(text) if !text.is_empty() => text.clone(),
            Value::Number(number) if number.is_u64() => number.to_string(),
            _ => continue,
        };
        // What stands deeper may be the id of a part.
        let rank = rank + 100 * leaf.path.len().saturating_sub(1);
        match found.iter_mut().find(|(_, pointer, _)| *pointer == leaf.pointer) {
            Some((_, _, names)) => _ = names.insert(name),
            None => found.push((rank, &leaf.pointer, BTreeSet::from([name]))),
        }
    }
    found.sort_by_key(|(rank, ..)| *rank);
    let candidate = |pointer: &str, names: &BTreeSet<String>| Candidate {
        device: of(pointer.to_owned()),
        names: some(names.iter().map(String::as_str)),
    };
    found.iter().map(|(_, pointer, names)| (candidate(pointer, names), names.len())).collect()
}

fn some<'n>(names: impl Iterator<Item = &'n str>) -> Vec<String> {
    names.take(3).map(str::to_owned).collect()
}
