//! `[[field]]` as it stands in a file.

use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

use crate::alert::Text;
use crate::decode::convert::Literal;
use crate::decode::file::{Literals, Texts};

/// One thing that it measures.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::decode::file) struct FieldTable {
    /// a-z 0-9 _, unique, the unit at its end: `co_ppm`.
    pub(in crate::decode::file) name: String,
    /// As people call it.
    pub(in crate::decode::file) label: Text,
    /// What its values are.
    #[serde(default)]
    pub(in crate::decode::file) kind: KindWord,
    /// Where the payload has it: a source, or several of which the first that is there counts.
    #[serde(default)]
    pub(in crate::decode::file) from: Texts,
    /// The unit of a measure.
    #[serde(default)]
    pub(in crate::decode::file) unit: String,
    /// The lowest value that the sensor can measure.
    pub(in crate::decode::file) min: Option<f64>,
    /// The highest value that the sensor can measure.
    pub(in crate::decode::file) max: Option<f64>,
    /// A faster change is a glitch, until the next reading bears it out.
    pub(in crate::decode::file) max_change_per_s: Option<f64>,
    /// The words that may come; leave out for a token.
    #[serde(default)]
    pub(in crate::decode::file) words: Texts,
    /// What it is where a message has none.
    pub(in crate::decode::file) missing: Option<Literal>,
    /// Which of several sources counts.
    #[serde(default)]
    pub(in crate::decode::file) pick: PickWord,
    /// What is sent where there is no value: a value or several.
    #[serde(default)]
    pub(in crate::decode::file) absent: Literals,
    /// An integer of so many bits that is sent without its sign.
    pub(in crate::decode::file) signed: Option<u32>,
    /// These bits of an integer, where they are; for a state: on where one of them is set.
    pub(in crate::decode::file) mask: Option<i64>,
    /// One bit of an integer; 0 is the lowest.
    pub(in crate::decode::file) bit: Option<u32>,
    /// [first, count]: several bits of an integer, as a number.
    pub(in crate::decode::file) bits: Option<(u32, u32)>,
    /// What a text, number or boolean that was sent means.
    #[serde(default)]
    pub(in crate::decode::file) map: BTreeMap<String, Literal>,
    /// What any other value means.
    #[serde(rename = "else")]
    pub(in crate::decode::file) otherwise: Option<Literal>,
    /// The values that mean on.
    #[serde(default)]
    pub(in crate::decode::file) on: Literals,
    /// The values that mean off.
    #[serde(default)]
    pub(in crate::decode::file) off: Literals,
    /// On where the list or text has one of these.
    #[serde(default)]
    pub(in crate::decode::file) has: Literals,
    /// On from this number on.
    pub(in crate::decode::file) at_least: Option<f64>,
    /// On below this number.
    pub(in crate::decode::file) below: Option<f64>,
    /// What was sent is multiplied by this.
    pub(in crate::decode::file) scale: Option<f64>,
    /// This is added behind `scale`.
    pub(in crate::decode::file) offset: Option<f64>,
    /// Straight lines between these points [sent, meant], flat beyond them.
    #[serde(default)]
    pub(in crate::decode::file) curve: Vec<(f64, f64)>,
    /// The payload's unit, where it is not the field's.
    pub(in crate::decode::file) sent_unit: Option<String>,
    /// A source of the payload's unit.
    pub(in crate::decode::file) sent_unit_from: Option<String>,
    /// What that source calls which unit.
    #[serde(default)]
    pub(in crate::decode::file) sent_unit_map: BTreeMap<String, String>,
    /// Samples per second of a burst.
    pub(in crate::decode::file) rate_hz: Option<f32>,
    /// A source of the samples per second.
    pub(in crate::decode::file) rate_from: Option<String>,
    /// How many samples of each channel are taken at most.
    pub(in crate::decode::file) max_samples: Option<usize>,
    /// How the samples of a burst are written.
    pub(in crate::decode::file) sent_as: Option<SentAsWord>,
    /// Which byte of an int16 comes first.
    pub(in crate::decode::file) endian: Option<EndianWord>,
    /// The channels of a burst, in the order in which a sample holds them.
    #[serde(default)]
    pub(in crate::decode::file) channels: Vec<ChannelTable>,
}

/// A channel of a burst.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::decode::file) struct ChannelTable {
    /// Such as `ax`.
    pub(in crate::decode::file) name: String,
    /// Such as `m/s²`.
    pub(in crate::decode::file) unit: String,
    /// How much of the unit one count is.
    #[serde(default = "one")]
    pub(in crate::decode::file) per_count: f32,
    /// Where its samples are a list by themselves.
    pub(in crate::decode::file) from: Option<String>,
}

const fn one() -> f32 {
    1.0
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::decode::file) enum KindWord {
    /// A quantity that is sampled.
    #[default]
    Measure,
    /// A switch that holds until it changes.
    State,
    /// A word, true at its moment.
    Word,
    /// Equally spaced samples of several channels.
    Burst,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::decode::file) enum PickWord {
    /// The first that is there.
    #[default]
    First,
    /// On where any is on.
    Any,
    /// The highest.
    Max,
    /// The lowest.
    Min,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::decode::file) enum SentAsWord {
    /// int16, interleaved, in base64.
    Base64,
    /// int16, interleaved, in hex.
    Hex,
    /// A list of numbers, of lists, or of objects.
    List,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::decode::file) enum EndianWord {
    /// The highest byte first.
    Big,
    /// The lowest byte first.
    Little,
    /// Words of two bytes in reverse order, the highest byte of each first: CDAB, as many Modbus devices send numbers.
    BigSwapped,
    /// Words of two bytes in order, the lowest byte of each first: BADC.
    LittleSwapped,
}
