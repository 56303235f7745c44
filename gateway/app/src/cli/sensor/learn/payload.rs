//! What a payload looks like before anybody says so: JSON, text, pairs, a list, or bytes.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// How a payload is to be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    Json,
    Senml,
    /// `T=21.5;H=40`
    Pairs {
        between: &'static str,
        sign: &'static str,
    },
    /// `21.5,40`
    List {
        between: &'static str,
    },
    Text,
    /// Bytes, as they are or written as `hex` or `base64`.
    Packed(&'static str),
}

/// The name of the one entry that a table of bytes begins with.
pub(super) const FIRST_BYTE: &str = "first_byte";

impl Form {
    pub(super) fn of(payload: &[u8]) -> Self {
        let Ok(text) = std::str::from_utf8(payload) else { return Self::Packed("bytes") };
        if text.chars().any(|sign| sign.is_control() && !sign.is_whitespace()) {
            return Self::Packed("bytes");
        }
        match serde_json::from_str::<Value>(text) {
            Ok(Value::Array(list)) if is_senml(&list) => Self::Senml,
            Ok(Value::Object(_) | Value::Array(_) | Value::String(_)) => Self::Json,
            Ok(_) => Self::Text,
            Err(_) => pairs(text.trim())
                .or_else(|| list(text.trim()))
                .or_else(|| blob(text).map(Self::Packed))
                .unwrap_or(Self::Text),
        }
    }

    /// Whether a message of this form can be made of a payload, well or badly.
    pub(super) fn reads(&self, payload: &[u8]) -> bool {
        match self {
            Self::Json => serde_json::from_slice::<IgnoredAny>(payload).is_ok(),
            Self::Packed("bytes") => true,
            Self::Text => std::str::from_utf8(payload).is_ok(),
            other => Self::of(payload) == *other,
        }
    }

    /// Where these payloads have JSON in a text, wherever they have anything there; lists on the way
    /// are `*`.
    pub(super) fn nested<'p>(&self, payloads: impl Iterator<Item = &'p [u8]>) -> BTreeSet<String> {
        let (mut packed, mut plain) = (BTreeSet::new(), BTreeSet::new());
        if *self == Self::Json {
            for tree in payloads.filter_map(|payload| serde_json::from_slice(payload).ok()) {
                survey(&tree, "", &mut packed, &mut plain);
            }
        }
        packed.retain(|pattern| !plain.iter().any(|pointer| fits(pointer, pattern)));
        let all = packed.clone();
        packed.retain(|pattern| !all.iter().any(|wider| wider != pattern && fits(pattern, wider)));
        packed
    }

    /// A payload as a tree of values, with what is packed in texts at `nested` opened; `None` where
    /// it is not of this form.
    pub(super) fn open(&self, payload: &[u8], nested: &BTreeSet<String>) -> Option<Value> {
        let text = || std::str::from_utf8(payload).ok().map(str::trim);
        let tree = match self {
            Self::Json => {
                let mut tree = serde_json::from_slice(payload).ok()?;
                unfold(&mut tree, "", nested);
                tree
            }
            Self::Senml => serde_json::from_slice::<Vec<Value>>(payload).ok()?.into_iter().filter_map(record).collect(),
            Self::Text => Value::String(text()?.to_owned()),
            Self::Pairs { between, sign } => {
                let parts = text()?.split(between).filter(|part| !part.is_empty());
                let pairs = parts.filter_map(|part| part.split_once(sign));
                pairs.map(|(key, value)| (key.trim().to_owned(), Value::from(value.trim()))).collect()
            }
            Self::List { between } => text()?.split(between).map(|part| Value::from(part.trim())).collect(),
            Self::Packed(by) => {
                let first = *bytes_of(by, payload)?.first()?;
                Value::Object(Map::from_iter([(FIRST_BYTE.to_owned(), first.into())]))
            }
        };
        Some(tree)
    }
}

fn bytes_of(by: &str, payload: &[u8]) -> Option<Vec<u8>> {
    match by {
        "bytes" => Some(payload.to_vec()),
        _ => decoded(std::str::from_utf8(payload).ok()?).map(|(_, bytes)| bytes),
    }
}

fn is_senml(list: &[Value]) -> bool {
    let is_record = |value: &Value| value.get("n").is_some_and(Value::is_string) && value_of_record(value).is_some();
    !list.is_empty() && list.iter().all(is_record)
}

fn value_of_record(record: &Value) -> Option<&Value> {
    ["v", "vb", "vs"].into_iter().find_map(|key| record.get(key))
}

fn record(record: Value) -> Option<(String, Value)> {
    let name = record.get("n")?.as_str()?;
    let name = name.rsplit(['/', ':']).next().unwrap_or(name);
    Some((name.to_owned(), value_of_record(&record)?.clone()))
}

/// The JSON in a text.
fn packed_in(value: &Value) -> Option<Value> {
    let text = value.as_str().filter(|text| text.trim_start().starts_with(['{', '[']))?;
    serde_json::from_str(text).ok()
}

/// Finds where JSON stands in texts, and where other values stand.
fn survey(value: &Value, pointer: &str, packed: &mut BTreeSet<String>, plain: &mut BTreeSet<String>) {
    let inner = packed_in(value);
    match &inner {
        Some(_) => _ = packed.insert(pointer.to_owned()),
        None => _ = plain.insert(pointer.to_owned()),
    }
    match inner.as_ref().unwrap_or(value) {
        Value::Object(map) => {
            for (key, value) in map {
                survey(value, &format!("{pointer}/{}", escaped(key)), packed, plain);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| survey(value, &format!("{pointer}/*"), packed, plain)),
        _ => {}
    }
}

fn unfold(value: &mut Value, pointer: &str, nested: &BTreeSet<String>) {
    if let Some(inner) = packed_in(value).filter(|_| nested.contains(pointer)) {
        *value = inner;
    }
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                unfold(value, &format!("{pointer}/{}", escaped(key)), nested);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| unfold(value, &format!("{pointer}/*"), nested)),
        _ => {}
    }
}

/// Whether a pattern with `*` for any element names what a pointer does.
fn fits(pointer: &str, pattern: &str) -> bool {
    let mut segments = pointer.split('/');
    let all =
        pattern.split('/').all(|wanted| segments.next().is_some_and(|segment| wanted == "*" || wanted == segment));
    all && segments.next().is_none()
}

/// Whether a key can stand in a pointer of a sensor type file, where some signs have a meaning.
pub(super) fn is_plain(key: &str) -> bool {
    !(key.contains(['{', '}']) || key == "*" || (key.starts_with('[') && key.ends_with(']')))
}

/// A key as a JSON Pointer writes it.
pub(super) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn pairs(text: &str) -> Option<Form> {
    const BETWEEN: [&str; 6] = [";", "&", "|", "\n", ",", " "];
    let is_key = |key: &str| {
        key.chars().next().is_some_and(char::is_alphabetic)
            && key.chars().all(|sign| sign.is_alphanumeric() || "_-.".contains(sign))
    };
    BETWEEN.into_iter().find_map(|between| {
        let parts: Vec<&str> = text.split(between).filter(|part| !part.is_empty()).collect();
        let sign = ["=", ":"].into_iter().find(|sign| {
            let fit = |part: &&str| {
                part.split_once(sign).is_some_and(|(key, value)| is_key(key.trim()) && !value.trim().is_empty())
            };
            parts.len() > 1 && parts.iter().all(fit)
        })?;
        Some(Form::Pairs { between, sign })
    })
}

fn list(text: &str) -> Option<Form> {
    let is_number = |part: &&str| part.trim().parse::<f64>().is_ok();
    [";", "|", "\t", ",", " "].into_iter().find_map(|between| {
        let parts: Vec<&str> = text.split(between).collect();
        let numbers = parts.iter().copied().filter(|part| is_number(part)).count();
        // `21.5 °C` is no list.
        let enough = if between == " " { parts.len() } else { parts.len().div_ceil(2) };
        (parts.len() > 1 && numbers >= enough && parts.iter().all(|part| part.len() <= 40))
            .then_some(Form::List { between })
    })
}

/// Whether a text is bytes in disguise: how, and which.
pub(super) fn decoded(text: &str) -> Option<(&'static str, Vec<u8>)> {
    let by = blob(text)?;
    let bytes = match by {
        "hex" => {
            let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
            let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
            digits.chunks(2).map(byte).collect::<Option<_>>()?
        }
        _ => STANDARD.decode(text).or_else(|_| URL_SAFE_NO_PAD.decode(text)).ok()?,
    };
    Some((by, bytes))
}

fn blob(text: &str) -> Option<&'static str> {
    let text = text.trim();
    let has = |wanted: fn(&u8) -> bool| text.bytes().any(|byte| wanted(&byte));
    // Six bytes are rather an address.
    let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
    let only_digits = text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b' ');
    if only_digits && digits >= 14 && digits.is_multiple_of(2) && has(u8::is_ascii_digit) {
        return Some("hex");
    }
    let mixed = has(u8::is_ascii_uppercase) && (has(u8::is_ascii_lowercase) || text.ends_with('='));
    let base64 = STANDARD.decode(text).is_ok() || URL_SAFE_NO_PAD.decode(text).is_ok();
    (text.len() >= 8 && mixed && has(|byte| byte.is_ascii_digit() || b"+=".contains(byte)) && base64)
        .then_some("base64")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn payloads_are_told_apart() {
        for (payload, form) in [
            (r#"{"a":1}"#, Form::Json),
            (r#"[{"n":"co_ppm","v":1}]"#, Form::Senml),
            (r#""{\"a\":1}""#, Form::Json),
            ("21.5", Form::Text),
            ("21.5 °C", Form::Text),
            ("ON", Form::Text),
            ("T=21.5;H=40", Form::Pairs { between: ";", sign: "=" }),
            ("T: 21.5, H: 40", Form::Pairs { between: ",", sign: ":" }),
            ("1795467300,21.5,40,OK", Form::List { between: "," }),
            ("01 75 64 03 67 f8 00", Form::Packed("hex")),
            ("0175640367f8000500", Form::Packed("hex")),
            ("AXVkA2f4AAUA", Form::Packed("base64")),
            ("\u{1}\u{2}", Form::Packed("bytes")),
        ] {
            assert_eq!(Form::of(payload.as_bytes()), form, "{payload}");
        }
    }

    #[test]
    fn json_in_texts_is_opened_where_it_always_stands() {
        let nested_in = |payloads: &[&str]| Form::Json.nested(payloads.iter().map(|payload| payload.as_bytes()));
        let payload = r#"{"a/b":[{"d":"{\"x\":\"[1]\"}"}]}"#;
        let nested = nested_in(&[payload]);
        assert_eq!(nested.iter().collect::<Vec<_>>(), ["/a~1b/*/d", "/a~1b/*/d/x"]);
        assert_eq!(Form::Json.open(payload.as_bytes(), &nested), Some(json!({"a/b": [{"d": {"x": [1]}}]})));
        assert!(nested_in(&[r#"{"a":"[1]"}"#, r#"{"a":7}"#]).is_empty());
    }
}
