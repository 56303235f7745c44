//! Which level of a topic is the device.

use std::collections::BTreeSet;

use super::names::{self, compact};
use super::tree::is_id_like;

/// A topic in its levels.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Topic {
    pub(super) levels: Vec<String>,
    /// The level that is the device.
    pub(super) device: Option<usize>,
    /// That is known, not guessed.
    pub(super) sure: bool,
}

/// Topics by which brokers, bridges and people talk among themselves, not sensors.
pub(super) fn is_of_the_system(topic: &str) -> bool {
    let mut levels = topic.split('/');
    let first = levels.next().unwrap_or_default();
    let last = topic.rsplit('/').next().unwrap_or_default();
    matches!(first, "$SYS" | "homeassistant" | "cmnd")
        || levels.next() == Some("bridge")
        || matches!(last, "set" | "get" | "command" | "downlink" | "down" | "ack" | "config")
}

/// Finds the device's level in each of the topics.
pub(super) fn split(topics: &[&str]) -> Vec<Topic> {
    let split: Vec<Vec<&str>> = topics.iter().map(|topic| topic.split('/').collect()).collect();
    let mut known: Vec<Option<usize>> = split.iter().map(|levels| known_level(levels)).collect();
    // Who is known from one topic is known in all.
    let named: BTreeSet<&str> =
        split.iter().zip(&known).filter_map(|(levels, known)| levels.get((*known)?).copied()).collect();
    for (levels, known) in split.iter().zip(&mut known).filter(|(_, known)| known.is_none()) {
        *known = levels.iter().position(|level| named.contains(level));
    }
    let of_length = |length: usize| {
        let others = split.iter().zip(&known).filter(move |(levels, known)| known.is_none() && levels.len() == length);
        others.map(|(levels, _)| levels.as_slice()).collect::<Vec<_>>()
    };
    split
        .iter()
        .zip(&known)
        .map(|(levels, known)| {
            let (device, sure) = match known {
                Some(level) => (Some(*level), true),
                None => best_level(&of_length(levels.len())),
            };
            let mut levels: Vec<String> = levels.iter().map(|level| (*level).to_owned()).collect();
            if levels.first().is_some_and(|level| level == "application") && levels.len() > 3 {
                // ChirpStack's applications are numbered as a site likes.
                levels.splice(1..2, ["+".to_owned()]);
            }
            Topic { levels, device, sure }
        })
        .collect()
}

/// The device's level in the topics of well-known software.
fn known_level(levels: &[&str]) -> Option<usize> {
    match levels {
        ["zigbee2mqtt" | "tele" | "stat" | "shellies" | "homie" | "ninewatch", _, ..] => Some(1),
        ["application", _, "device", _, ..] | ["v3", _, "devices", _, ..] => Some(3),
        // Shelly's second generation, ESPHome, Alibaba's things.
        [_, "events", "rpc"] | [_, "sensor" | "binary_sensor" | "text_sensor", _, "state"] => Some(0),
        [_, "status", part] if part.contains(':') => Some(0),
        ["", "sys", _, _, "thing", ..] => Some(3),
        ["sys", _, _, "thing", ..] => Some(2),
        ["$oc", "devices", _, ..] => Some(2),
        _ => None,
    }
}

/// The level that is most like a device among topics of one length, and whether that is sure.
fn best_level(topics: &[&[&str]]) -> (Option<usize>, bool) {
    let length = topics.first().map_or(0, |levels| levels.len());
    let column = |at: usize| topics.iter().filter_map(|levels| levels.get(at).copied()).collect::<BTreeSet<_>>();
    let mut best = (0, None);
    for at in 0..length {
        let words = column(at);
        if words.iter().any(|word| is_telling(word)) {
            continue;
        }
        let after_device = at > 0
            && column(at - 1)
                .iter()
                .all(|word| matches!(compact(word).as_str(), "device" | "devices" | "dev" | "node"));
        let score = 3 * usize::from(words.len() > 1)
            + 2 * usize::from(words.iter().all(|word| is_id_like(word)))
            + 4 * usize::from(after_device);
        // Of two that are alike, the later one is the smaller thing.
        if score >= best.0 {
            best = (score, Some(at));
        }
    }
    (best.1, best.0 >= 4)
}

/// Whether a level says what is published, not who publishes.
fn is_telling(level: &str) -> bool {
    const WORDS: &str = "up uplink event events post report readings reading json info device devices dev node nodes \
        property properties gateway gw mqtt iot home site sites building community alarm heartbeat online telemetry";
    let word = compact(level);
    word.is_empty()
        || names::is_empty_word(&word)
        || WORDS.split_whitespace().any(|known| known == word)
        || (names::find(&[word], |_| true).is_some() && !is_id_like(level))
}

impl Topic {
    /// The topic as a sensor type file writes it; where the device stands in the payload, its level
    /// says nothing.
    pub(super) fn pattern(&self, device_in_topic: bool) -> String {
        let written = self.levels.iter().enumerate().map(|(at, level)| match self.device {
            Some(device) if device == at && device_in_topic => "{device}",
            Some(device) if device == at && is_id_like(level) => "+",
            _ => level.as_str(),
        });
        written.collect::<Vec<_>>().join("/")
    }

    /// Who made this, as far as the topic's form tells; else its first word that is not about the place.
    pub(super) fn maker(&self) -> Option<&str> {
        let levels: Vec<&str> = self.levels.iter().map(String::as_str).collect();
        match levels.as_slice() {
            ["tele" | "stat", ..] => Some("tasmota"),
            ["shellies", ..] | [_, "events", "rpc"] => Some("shelly"),
            ["application", ..] => Some("lorawan"),
            ["v3", _, "devices", ..] => Some("lorawan"),
            [_, "sensor" | "binary_sensor" | "text_sensor", _, "state"] => Some("esphome"),
            _ => {
                let mut words = levels.iter().enumerate().filter(|(at, _)| Some(*at) != self.device);
                words.find(|(_, word)| word.is_ascii() && !is_telling(word) && !is_id_like(word)).map(|(_, word)| *word)
            }
        }
    }

    /// The words that tell what is published: those behind the device or, where nothing is, before it.
    pub(super) fn telling_words(&self, before_too: bool) -> Vec<String> {
        let behind = self.device.map_or(0, |device| device + 1);
        let words = |from: usize, to: usize| {
            self.levels
                .get(from..to)
                .unwrap_or_default()
                .iter()
                .filter(|level| *level != "+")
                .cloned()
                .collect::<Vec<_>>()
        };
        let found = words(behind, self.levels.len());
        if found.is_empty() && before_too { words(0, self.device.unwrap_or(0)) } else { found }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_is_found_in_topics_of_many_kinds() {
        for (topics, pattern, sure) in [
            (vec!["zigbee2mqtt/kitchen"], "zigbee2mqtt/{device}", true),
            (vec!["tele/tasmota_A1/SENSOR"], "tele/{device}/SENSOR", true),
            (vec!["shellyplusht-a1/events/rpc"], "{device}/events/rpc", true),
            (vec!["application/7/device/24e124136b502217/event/up"], "application/+/device/{device}/event/up", true),
            (vec!["site/a/smoke-01/state", "site/a/smoke-02/state"], "site/a/{device}/state", true),
            (vec!["acme/g7-0012/state"], "acme/{device}/state", false),
            (vec!["devices/x/up"], "devices/{device}/up", true),
            (vec!["esp-door/sensor/temperature/state"], "{device}/sensor/temperature/state", true),
        ] {
            let topic = &split(&topics)[0];
            assert_eq!((topic.pattern(true).as_str(), topic.sure), (pattern, sure), "{topics:?}");
        }
        assert_eq!(split(&["home/temperature"])[0].device, None);
        assert!(is_of_the_system("zigbee2mqtt/bridge/state") && !is_of_the_system("zigbee2mqtt/bridge2"));
    }
}
