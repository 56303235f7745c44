//! `[[message]]` as it stands in a file.

use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

use crate::decode::convert::Literal;
use crate::decode::file::field::EndianWord;
use crate::decode::file::{Literals, Texts};
use crate::time::Span;

/// One kind of message that it sends.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::decode::file) struct MessageTable {
    /// Where it comes: a topic or several; `{name}` captures a level or a part of one, `{name...}` several levels.
    pub(in crate::decode::file) topic: Texts,
    /// How the payload is read.
    #[serde(default)]
    pub(in crate::decode::file) payload: PayloadWord,
    /// A source of the device's name; left out: the capture `{device}`. "*": it is about all devices of the type.
    pub(in crate::decode::file) device: Option<String>,
    /// When it was measured; left out: when it arrived.
    pub(in crate::decode::file) time: Option<TimeTable>,
    /// A pointer to a list or an object of which every element is a reading.
    pub(in crate::decode::file) each: Option<String>,
    /// Tests that must all hold.
    #[serde(default)]
    pub(in crate::decode::file) when: Vec<TestTable>,
    /// Tests of which one suffices for the message to be passed over.
    #[serde(default)]
    pub(in crate::decode::file) ignore: Vec<TestTable>,
    /// Steps that open what is packed in the payload.
    #[serde(default)]
    pub(in crate::decode::file) unpack: Vec<UnpackTable>,
    /// Where this kind has which field; left out: all that have a `from`.
    pub(in crate::decode::file) fields: Option<BTreeMap<String, Texts>>,
    /// What a message of this kind means by itself.
    #[serde(default)]
    pub(in crate::decode::file) set: BTreeMap<String, Literal>,
    /// Pointers to what is replaced by "*" before anything is stored or decided.
    #[serde(default)]
    pub(in crate::decode::file) discard: Vec<String>,
}

/// How a payload is read.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::decode::file) enum PayloadWord {
    /// JSON.
    #[default]
    Json,
    /// All of it is one text.
    Text,
    /// Binary, for `unpack`.
    Bytes,
    /// SenML (RFC 8428) JSON.
    Senml,
}

/// When it was measured.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::decode::file) struct TimeTable {
    /// A source of the time; left out: the arrival, from which `step` goes.
    pub(in crate::decode::file) from: Option<String>,
    /// `s` `ms` `us` `ns` `rfc3339` `ago_s` `ago_ms`, or a pattern of strftime.
    pub(in crate::decode::file) format: Option<String>,
    /// What numbers count from, where it is not 1970 (RFC 3339).
    pub(in crate::decode::file) epoch: Option<String>,
    /// For a time without an offset: "+08:00"; left out: the site's.
    pub(in crate::decode::file) zone: Option<String>,
    /// What is added to it.
    pub(in crate::decode::file) plus: Option<LengthTable>,
    /// How far apart the elements of `each` are: "10s", or where the payload says it.
    pub(in crate::decode::file) step: Option<StepTable>,
    /// Whether the time is that of the first element or of the last.
    pub(in crate::decode::file) stamp: Option<StampWord>,
}

/// How far apart elements are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a length of time as \"10s\", or { from = \"/interval\", unit = \"ms\" }")]
pub(in crate::decode::file) enum StepTable {
    /// Always so.
    Fixed(Span),
    /// As the payload says.
    Sent(LengthTable),
}

/// A length of time that the payload tells.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::decode::file) struct LengthTable {
    /// A source of a number.
    pub(in crate::decode::file) from: String,
    /// Its unit: us, ms, s, min, h, d.
    pub(in crate::decode::file) unit: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::decode::file) enum StampWord {
    /// The time is that of the first element.
    First,
    /// The time is that of the last element.
    Last,
}

/// A question to a message.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::decode::file) struct TestTable {
    /// A source.
    pub(in crate::decode::file) at: String,
    /// It is one of these.
    pub(in crate::decode::file) is: Option<Literals>,
    /// It is none of these, or not there.
    pub(in crate::decode::file) not: Option<Literals>,
    /// It is there, or not.
    pub(in crate::decode::file) exists: Option<bool>,
    /// A list has one of these, or a text has one as a part.
    pub(in crate::decode::file) has: Option<Literals>,
    /// It is a number from this on.
    pub(in crate::decode::file) at_least: Option<f64>,
    /// It is a number below this.
    pub(in crate::decode::file) below: Option<f64>,
}

/// A step that opens what is packed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::decode::file) struct UnpackTable {
    /// A pointer to it; "" is the whole payload.
    pub(in crate::decode::file) at: String,
    /// How it is packed.
    #[serde(rename = "as")]
    pub(in crate::decode::file) packed: PackedWord,
    /// What stands between the items of pairs or a list.
    pub(in crate::decode::file) between: Option<String>,
    /// What stands between the name and the value of a pair.
    pub(in crate::decode::file) sign: Option<String>,
    /// Which byte of a number comes first.
    pub(in crate::decode::file) endian: Option<EndianWord>,
    /// How many bytes it must have: a number, or [least, most].
    pub(in crate::decode::file) length: Option<Length>,
    /// Between tag and value stands how long the value is, in so many bytes.
    pub(in crate::decode::file) length_bytes: Option<usize>,
    /// What stands where.
    #[serde(default)]
    pub(in crate::decode::file) bytes: Vec<EntryTable>,
    /// What stands behind which tag.
    #[serde(default)]
    pub(in crate::decode::file) tags: Vec<TagTable>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::decode::file) enum PackedWord {
    /// JSON in a text.
    Json,
    /// `T=21.5;H=40`
    Pairs,
    /// `21.5,40`
    List,
    /// Binary in base64.
    Base64,
    /// Binary in hex.
    Hex,
    /// Binary as it is, or a list of numbers from 0 to 255.
    Bytes,
    /// A list of numbers from 0 to 65535, each of two bytes, the highest first.
    Registers,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a number of bytes, or [least, most]")]
pub(in crate::decode::file) enum Length {
    /// So many.
    Exactly(usize),
    /// From the first to the second.
    Between(usize, usize),
}

/// A value in binary, at its place.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::decode::file) struct EntryTable {
    /// What pointers call it.
    pub(in crate::decode::file) name: String,
    /// Of its first byte, from 0; below 0: from the end.
    #[serde(default)]
    pub(in crate::decode::file) offset: isize,
    /// How it is written.
    #[serde(rename = "type")]
    pub(in crate::decode::file) form: FormWord,
    /// Which byte of a number comes first.
    pub(in crate::decode::file) endian: Option<EndianWord>,
    /// How many bytes it takes, or each record does.
    pub(in crate::decode::file) size: Option<usize>,
    /// A payload too short for it is no fault.
    #[serde(default)]
    pub(in crate::decode::file) optional: bool,
    /// What stands where within it.
    #[serde(default)]
    pub(in crate::decode::file) bytes: Vec<EntryTable>,
}

/// A value in binary, behind its tag.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::decode::file) struct TagTable {
    /// In hex.
    pub(in crate::decode::file) tag: String,
    /// What pointers call it; left out: it is passed over.
    pub(in crate::decode::file) name: Option<String>,
    /// How it is written.
    #[serde(rename = "type")]
    pub(in crate::decode::file) form: Option<FormWord>,
    /// Which byte of a number comes first.
    pub(in crate::decode::file) endian: Option<EndianWord>,
    /// How many bytes it takes.
    pub(in crate::decode::file) size: Option<usize>,
    /// What stands where within it.
    #[serde(default)]
    pub(in crate::decode::file) bytes: Vec<EntryTable>,
    /// It may come several times: all of them are a list.
    #[serde(default)]
    pub(in crate::decode::file) list: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::decode::file) enum FormWord {
    U8,
    I8,
    U16,
    I16,
    U24,
    I24,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
    /// Two decimal digits a byte.
    Bcd,
    /// UTF-8 up to a zero byte.
    Text,
    /// As lower-case hex.
    Hex,
    /// A list to the end.
    Records,
}
