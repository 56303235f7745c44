//! SenML (RFC 8428) JSON: a pack of records becomes resolved values with their own times.

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

use super::node::Str;
use crate::decode::DecodeError;
use crate::time::TimeMs;

/// The version of RFC 8428; a pack may ask for less, not for more.
const VERSION: u64 = 10;
/// Times below 2²⁸ s are relative to now (section 4.5.3).
const RELATIVE_BELOW_S: f64 = 268_435_456.0;
/// More records than any device sends in one message.
const MOST_RECORDS: usize = 4096;

/// A resolved record: base values applied.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record<'a> {
    /// What stands before the last `/` or `:` of the name; empty where the record names no device.
    pub(super) device: Cow<'a, str>,
    /// What stands behind it.
    pub(super) name: Cow<'a, str>,
    /// `None`: the payload has no time, so it is of now.
    pub(super) at_ms: Option<TimeMs>,
    pub(super) unit: Option<Cow<'a, str>>,
    pub(super) value: Value<'a>,
}

/// A record's value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    Number(f64),
    Text(Cow<'a, str>),
    Bool(bool),
    /// base64url, as it came.
    Data(Cow<'a, str>),
}

/// Resolves a pack, in its order.
///
/// # Errors
/// Where it is not SenML, or has a label that must be understood and is not.
pub(super) fn parse(payload: &[u8], arrival_ms: TimeMs) -> Result<Vec<Record<'_>>, DecodeError> {
    let mut records = Vec::new();
    let pack = Pack { records: &mut records, base: Base::default(), arrival_ms };
    let not_text = |error: std::str::Utf8Error| DecodeError { code: "not_json", detail: error.to_string() };
    let mut json = serde_json::Deserializer::from_str(std::str::from_utf8(payload).map_err(not_text)?);
    pack.deserialize(&mut json).and_then(|()| json.end()).map_err(|error| {
        let code = match error.classify() {
            serde_json::error::Category::Data => "not_senml",
            _ => "not_json",
        };
        DecodeError { code, detail: error.to_string() }
    })?;
    Ok(records)
}

/// What a record says before base values are applied.
#[derive(Default)]
struct Raw<'a> {
    name: Option<Cow<'a, str>>,
    unit: Option<Cow<'a, str>>,
    time_s: Option<f64>,
    number: Option<f64>,
    text: Option<Cow<'a, str>>,
    bool: Option<bool>,
    data: Option<Cow<'a, str>>,
    /// `s`: an integrated value. No native device sends it alone.
    sum: Option<f64>,
}

/// Base values hold until another record changes them (section 4.1).
#[derive(Default)]
struct Base<'a> {
    name: Cow<'a, str>,
    unit: Option<Cow<'a, str>>,
    time_s: Option<f64>,
    number: Option<f64>,
}

struct Pack<'r, 'a> {
    records: &'r mut Vec<Record<'a>>,
    base: Base<'a>,
    arrival_ms: TimeMs,
}

impl<'a> DeserializeSeed<'a> for Pack<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'a> Visitor<'a> for Pack<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a SenML pack: a list of records")
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(raw) = seq.next_element_seed(RecordSeed { base: &mut self.base })? {
            if let Some(record) = resolve(&self.base, raw, self.arrival_ms).map_err(de::Error::custom)? {
                self.records.push(record);
            }
            if self.records.len() > MOST_RECORDS {
                return Err(de::Error::custom(format_args!("a pack of more than {MOST_RECORDS} records")));
            }
        }
        Ok(())
    }
}

fn resolve<'a>(base: &Base<'a>, raw: Raw<'a>, arrival_ms: TimeMs) -> Result<Option<Record<'a>>, String> {
    let full = join(&base.name, raw.name);
    let value = match (raw.number, raw.text, raw.bool, raw.data) {
        (Some(number), None, None, None) => Value::Number(base.number.unwrap_or(0.0) + number),
        (None, Some(text), None, None) => Value::Text(text),
        (None, None, Some(bool), None) => Value::Bool(bool),
        (None, None, None, Some(data)) => Value::Data(data),
        (None, None, None, None) => match base.number {
            Some(number) if raw.sum.is_none() && !full.is_empty() => Value::Number(number),
            // A record of base values only, or of a sum only.
            _ => return Ok(None),
        },
        _ => return Err(format!("the record `{full}` has more than one value")),
    };
    let (device, name) = split(full);
    if name.is_empty() {
        return Err("a record without a name".to_owned());
    }
    let at_ms = resolve_time(base.time_s, raw.time_s, arrival_ms)?;
    let unit = raw.unit.or_else(|| base.unit.clone());
    Ok(Some(Record { device, name, at_ms, unit, value }))
}

fn join<'a>(base: &Cow<'a, str>, name: Option<Cow<'a, str>>) -> Cow<'a, str> {
    match name {
        None => base.clone(),
        Some(name) if base.is_empty() => name,
        Some(name) => Cow::Owned(format!("{base}{name}")),
    }
}

/// A full name into device and field: `gas-7/co_ppm`, `urn:dev:ow:10e2073a0108006:co_ppm`.
fn split(full: Cow<'_, str>) -> (Cow<'_, str>, Cow<'_, str>) {
    match full {
        Cow::Borrowed(full) => match full.rfind(['/', ':']) {
            Some(at) => (Cow::Borrowed(&full[..at]), Cow::Borrowed(&full[at + 1..])),
            None => (Cow::Borrowed(""), Cow::Borrowed(full)),
        },
        Cow::Owned(mut full) => match full.rfind(['/', ':']) {
            Some(at) => {
                let name = full.split_off(at + 1);
                full.truncate(at);
                (Cow::Owned(full), Cow::Owned(name))
            }
            None => (Cow::Borrowed(""), Cow::Owned(full)),
        },
    }
}

#[allow(clippy::cast_possible_truncation, reason = "bounded below")]
fn resolve_time(base_s: Option<f64>, time_s: Option<f64>, arrival_ms: TimeMs) -> Result<Option<TimeMs>, String> {
    if base_s.is_none() && time_s.is_none() {
        return Ok(None);
    }
    let seconds = base_s.unwrap_or(0.0) + time_s.unwrap_or(0.0);
    // The year 2286: beyond it the number is not of seconds.
    if !(-1e10..1e10).contains(&seconds) {
        return Err(format!("the time {seconds} is not in seconds since 1970"));
    }
    let ms = (seconds * 1000.0).round() as TimeMs;
    Ok(match seconds {
        0.0 => None,
        relative if relative < RELATIVE_BELOW_S => Some(arrival_ms + ms),
        _ => Some(ms),
    })
}

struct RecordSeed<'b, 'a> {
    base: &'b mut Base<'a>,
}

impl<'a> DeserializeSeed<'a> for RecordSeed<'_, 'a> {
    type Value = Raw<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Raw<'a>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for RecordSeed<'_, 'a> {
    type Value = Raw<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a SenML record: an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Raw<'a>, A::Error> {
        let mut raw = Raw::default();
        while let Some(Str(label)) = map.next_key()? {
            match label.as_ref() {
                "bn" => self.base.name = map.next_value::<Str<'a>>()?.0,
                "bt" => self.base.time_s = Some(map.next_value()?),
                "bu" => self.base.unit = Some(map.next_value::<Str<'a>>()?.0),
                "bv" => self.base.number = Some(map.next_value()?),
                "bver" => {
                    let version: u64 = map.next_value()?;
                    if version > VERSION {
                        return Err(de::Error::custom(format_args!("SenML version {version} is not understood")));
                    }
                }
                "n" => raw.name = Some(map.next_value::<Str<'a>>()?.0),
                "u" => raw.unit = Some(map.next_value::<Str<'a>>()?.0),
                "t" => raw.time_s = Some(map.next_value()?),
                "v" => raw.number = Some(map.next_value()?),
                "vs" => raw.text = Some(map.next_value::<Str<'a>>()?.0),
                "vb" => raw.bool = Some(map.next_value()?),
                "vd" => raw.data = Some(map.next_value::<Str<'a>>()?.0),
                "s" => raw.sum = Some(map.next_value()?),
                // Section 4.4: what ends in `_` changes the meaning of the rest.
                other if other.ends_with('_') => {
                    return Err(de::Error::custom(format_args!("the label `{other}` must be understood and is not")));
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARRIVAL: TimeMs = 1_795_467_300_000;

    fn parsed(text: &str) -> Vec<Record<'_>> {
        parse(text.as_bytes(), ARRIVAL).unwrap()
    }

    #[test]
    fn base_values_hold_until_they_change() {
        let records = parsed(
            r#"[{"bn":"gas-7/","bt":1795467000,"bu":"ppm","n":"co_ppm","v":12},
                {"n":"temperature_c","u":"Cel","t":0.5,"v":21.5},
                {"bn":"gas-8/","n":"co_ppm","v":3}]"#,
        );
        assert_eq!(records[0].device, "gas-7");
        assert_eq!(records[0].name, "co_ppm");
        assert_eq!(records[0].unit.as_deref(), Some("ppm"));
        assert_eq!(records[1].at_ms, Some(1_795_467_000_500));
        assert_eq!(records[1].unit.as_deref(), Some("Cel"));
        assert_eq!(records[2].device, "gas-8");
        assert_eq!(records[2].at_ms, Some(1_795_467_000_000));
    }

    #[test]
    fn small_times_are_relative_to_the_arrival_and_none_is_now() {
        assert_eq!(parsed(r#"[{"n":"a","t":-2.5,"v":1}]"#)[0].at_ms, Some(ARRIVAL - 2500));
        assert_eq!(parsed(r#"[{"n":"a","v":1}]"#)[0].at_ms, None);
        let ms = parse(br#"[{"n":"a","t":1795467000000,"v":1}]"#, ARRIVAL).unwrap_err();
        assert!(ms.to_string().contains("not in seconds since 1970"), "{ms}");
    }

    #[test]
    fn names_split_at_the_last_slash_or_colon() {
        let records = parsed(r#"[{"bn":"urn:dev:ow:10e2073a01080063:","n":"temp","v":23.1},{"bn":"","n":"x","v":1}]"#);
        assert_eq!((records[0].device.as_ref(), records[0].name.as_ref()), ("urn:dev:ow:10e2073a01080063", "temp"));
        assert_eq!((records[1].device.as_ref(), records[1].name.as_ref()), ("", "x"));
    }

    #[test]
    fn what_is_not_senml_says_why() {
        for (text, code, part) in [
            ("[{", "not_json", "EOF"),
            ("[1]", "not_senml", "object"),
            ("{}", "not_senml", "a SenML pack"),
            (r#"[{"n":"a","v":1}] x"#, "not_json", "trailing"),
            (r#"[{"n":"a","v":1,"vb":true}]"#, "not_senml", "more than one value"),
            (r#"[{"bver":11,"n":"a","v":1}]"#, "not_senml", "version 11"),
            (r#"[{"n":"a","v":1,"must_":1}]"#, "not_senml", "must be understood"),
            (r#"[{"v":1}]"#, "not_senml", "without a name"),
            (r#"[{"n":"a","v":"x"}]"#, "not_senml", "string"),
        ] {
            let error = parse(text.as_bytes(), ARRIVAL).unwrap_err();
            assert_eq!(error.code, code, "{text}");
            assert!(error.detail.contains(part), "{text}: {error}");
        }
    }
}
