//! Values that a file may write in more than one way.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

use crate::decode::convert::Literal;

/// A text, or a list of texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::decode) struct Texts(pub(in crate::decode) Vec<String>);

/// A value, or a list of values.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::decode) struct Literals(pub(in crate::decode) Vec<Literal>);

impl<'de> Deserialize<'de> for Literal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfLiteral;
        impl Visitor<'_> for OfLiteral {
            type Value = Literal;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, true or false")
            }

            fn visit_bool<E>(self, on: bool) -> Result<Literal, E> {
                Ok(Literal::Bool(on))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Literal, E> {
                Ok(Literal::Int(number))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Literal, E> {
                Ok(Literal::Float(number))
            }

            fn visit_str<E>(self, text: &str) -> Result<Literal, E> {
                Ok(Literal::Text(text.to_owned()))
            }
        }
        deserializer.deserialize_any(OfLiteral)
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfTexts;
        impl<'de> Visitor<'de> for OfTexts {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Texts, A::Error> {
                all(seq).map(Texts)
            }
        }
        deserializer.deserialize_any(OfTexts)
    }
}

impl<'de> Deserialize<'de> for Literals {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfLiterals;
        impl<'de> Visitor<'de> for OfLiterals {
            type Value = Literals;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, true, false, or a list of them")
            }

            fn visit_bool<E>(self, on: bool) -> Result<Literals, E> {
                Ok(Literals(vec![Literal::Bool(on)]))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Literals, E> {
                Ok(Literals(vec![Literal::Int(number)]))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Literals, E> {
                Ok(Literals(vec![Literal::Float(number)]))
            }

            fn visit_str<E>(self, text: &str) -> Result<Literals, E> {
                Ok(Literals(vec![Literal::Text(text.to_owned())]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Literals, A::Error> {
                all(seq).map(Literals)
            }
        }
        deserializer.deserialize_any(OfLiterals)
    }
}

fn all<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(mut seq: A) -> Result<Vec<T>, A::Error> {
    let mut items = Vec::new();
    while let Some(item) = seq.next_element()? {
        items.push(item);
    }
    if items.is_empty() { Err(de::Error::custom("an empty list says nothing")) } else { Ok(items) }
}

impl JsonSchema for Literal {
    fn schema_name() -> Cow<'static, str> {
        "Value".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

impl JsonSchema for Texts {
    fn schema_name() -> Cow<'static, str> {
        "Texts".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [{ "type": "string" }, { "type": "array", "minItems": 1, "items": { "type": "string" } }]
        })
    }
}

impl JsonSchema for Literals {
    fn schema_name() -> Cow<'static, str> {
        "Values".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let one = ["string", "number", "boolean"];
        json_schema!({ "anyOf": [{ "type": one }, { "type": "array", "minItems": 1, "items": { "type": one } }] })
    }
}
