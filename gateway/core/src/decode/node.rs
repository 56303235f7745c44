//! A payload as a tree, borrowed from its bytes where it can be.

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

use crate::decode::DecodeError;

/// A JSON value, or bytes that are no JSON.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node<'a> {
    Null,
    Bool(bool),
    /// Whole numbers are kept apart: bits are taken from them.
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    List(Vec<Node<'a>>),
    /// In the payload's order; of a name that is there twice, the last counts.
    Map(Vec<(Cow<'a, str>, Node<'a>)>),
}

impl<'a> Node<'a> {
    /// Reads JSON.
    ///
    /// # Errors
    /// `not_json`, with where.
    pub(super) fn from_json(payload: &'a [u8]) -> Result<Self, DecodeError> {
        serde_json::from_slice(bare(payload))
            .map_err(|error| DecodeError { code: "not_json", detail: error.to_string() })
    }

    /// The payload as one text, without the white space around it.
    ///
    /// # Errors
    /// `not_text` where it is not UTF-8.
    pub(super) fn from_text(payload: &'a [u8]) -> Result<Self, DecodeError> {
        match std::str::from_utf8(bare(payload)) {
            Ok(text) => Ok(Self::Text(Cow::Borrowed(text.trim()))),
            Err(error) => Err(DecodeError { code: "not_text", detail: error.to_string() }),
        }
    }

    /// The same, standing by itself.
    pub(super) fn into_owned(self) -> Node<'static> {
        match self {
            Self::Null => Node::Null,
            Self::Bool(on) => Node::Bool(on),
            Self::Int(number) => Node::Int(number),
            Self::Float(number) => Node::Float(number),
            Self::Text(text) => Node::Text(Cow::Owned(text.into_owned())),
            Self::Bytes(bytes) => Node::Bytes(Cow::Owned(bytes.into_owned())),
            Self::List(items) => Node::List(items.into_iter().map(Node::into_owned).collect()),
            Self::Map(members) => Node::Map(
                members.into_iter().map(|(name, node)| (Cow::Owned(name.into_owned()), node.into_owned())).collect(),
            ),
        }
    }

    /// The member with this name.
    pub(super) fn member(&self, name: &str) -> Option<&Self> {
        let Self::Map(members) = self else { return None };
        members.iter().rev().find(|(there, _)| there == name).map(|(_, node)| node)
    }

    /// A text, number or boolean as people write it.
    pub(super) fn text(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Bool(on) => Cow::Borrowed(if *on { "true" } else { "false" }),
            Self::Int(number) => Cow::Owned(number.to_string()),
            Self::Float(number) => Cow::Owned(number.to_string()),
            Self::Null | Self::Bytes(_) | Self::List(_) | Self::Map(_) => return None,
        })
    }

    /// A finite number, also one that was sent as a text.
    #[allow(clippy::cast_precision_loss, reason = "no sensor counts past 2^53")]
    pub(super) fn number(&self) -> Option<f64> {
        let number = match self {
            Self::Int(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.filter(|number| number.is_finite())
    }

    /// A number without a fraction: `33.0` is how some programs write 33.
    #[allow(clippy::cast_possible_truncation, reason = "within 2^53 and whole")]
    pub(super) fn whole(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Float(number) => (number.fract() == 0.0 && number.abs() < 9e15).then_some(*number as i64),
            _ => None,
        }
    }

    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a text",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "a list",
            Self::Map(_) => "an object",
        }
    }
}

/// Without the byte order mark before it and the zero bytes behind it that some firmware sends.
fn bare(payload: &[u8]) -> &[u8] {
    let payload = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload);
    let end = payload.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    payload.get(..end).unwrap_or(payload)
}

impl<'de: 'a, 'a> Deserialize<'de> for Node<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, on: bool) -> Result<Node<'de>, E> {
        Ok(Node::Bool(on))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Node<'de>, E> {
        Ok(Node::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Node<'de>, E> {
        // Beyond 63 bits it is an identity, of which no digit may be lost; as a text it is a number all the same.
        Ok(i64::try_from(number).map_or_else(|_| Node::Text(Cow::Owned(number.to_string())), Node::Int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Node<'de>, E> {
        Ok(Node::Float(number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node<'de>, A::Error> {
        let mut members = Vec::with_capacity(12);
        while let Some(Str(name)) = map.next_key()? {
            members.push((name, map.next_value()?));
        }
        Ok(Node::Map(members))
    }
}

/// A string that borrows from the payload unless it is escaped.
pub(super) struct Str<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Str<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(StrVisitor)
    }
}

struct StrVisitor;

impl<'de> Visitor<'de> for StrVisitor {
    type Value = Str<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Str<'de>, E> {
        Ok(Str(Cow::Borrowed(text)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Str<'de>, E> {
        Ok(Str(Cow::Owned(text.to_owned())))
    }
}

impl Serialize for Node<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            // JSON has no bytes; a payload of bytes is not written again.
            Self::Null | Self::Bytes(_) => serializer.serialize_unit(),
            Self::Bool(on) => serializer.serialize_bool(*on),
            Self::Int(number) => serializer.serialize_i64(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Map(members) => serializer.collect_map(members.iter().map(|(name, node)| (name, node))),
        }
    }
}
