//! When it was measured: which key says so, and how it is written.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde_json::Value;
use std::collections::BTreeMap;

use ninewatch_core::time::TimeMs;

use super::names;
use super::tree::Leaf;

/// Where a time stands and how it is written, as a sensor type file says it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Time {
    pub(super) pointer: String,
    /// It stands in the payload around the element.
    pub(super) outside: bool,
    pub(super) format: &'static str,
}

/// Times without an offset are local; in examples that is +08:00.
const EXAMPLE_OFFSET: Offset = Offset::constant(8);

/// Patterns of `strftime` that makers use.
const PATTERNS: [&str; 9] = [
    "%Y%m%d%H%M%S",
    "%Y/%m/%d %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%d-%m-%Y %H:%M:%S",
    "%Y.%m.%d %H:%M:%S",
    "%Y年%m月%d日 %H:%M:%S",
    "%Y年%m月%d日 %H时%M分%S秒",
    "%Y-%m-%d %H:%M",
    "%Y/%m/%d %H:%M",
];

/// From 2001 to 2100: what lies beyond is no time since 1970 in this unit.
const SECONDS: std::ops::Range<f64> = 978_307_200.0..4_102_444_800.0;

/// The surest time among what was seen at each pointer. Numbers of a plain list have no key; there
/// any number that is as large as a time of today is one.
pub(super) fn find(leaves: &[Leaf], in_list: bool) -> Option<(String, &'static str)> {
    /// What is known by its form alone is less sure than what any key says.
    const BY_FORM: usize = 1000;
    let mut seen: BTreeMap<&str, (usize, Vec<&Value>)> = BTreeMap::new();
    // All of a payload is no time of something in it.
    for leaf in leaves.iter().filter(|leaf| !leaf.pointer.is_empty()) {
        let by_key = leaf.path.last().and_then(|key| names::time_rank(key));
        let is_clock = leaf.value.as_str().is_some_and(is_rfc3339);
        let rank = by_key.or((is_clock || in_list).then_some(BY_FORM));
        if let Some(rank) = rank.filter(|_| !super::field::is_nothing(&leaf.value)) {
            // What stands deeper tells of a part of the message.
            seen.entry(&leaf.pointer).or_insert((rank + 10 * leaf.path.len(), Vec::new())).1.push(&leaf.value);
        }
    }
    let mut found: Vec<_> = seen.into_iter().collect();
    found.sort_by_key(|(_, (rank, _))| *rank);
    found.into_iter().find_map(|(pointer, (_, values))| Some((pointer.to_owned(), format_of(&values)?)))
}

/// How all of these times are written.
pub(super) fn format_of(values: &[&Value]) -> Option<&'static str> {
    ["s", "ms", "us", "ns", "rfc3339"]
        .into_iter()
        .chain(PATTERNS)
        .find(|format| !values.is_empty() && values.iter().all(|value| read(value, format).is_some()))
}

/// The time that a value says.
pub(super) fn read(value: &Value, format: &str) -> Option<TimeMs> {
    let ms = match format {
        "s" => 1e3,
        "ms" => 1.0,
        "us" => 1e-3,
        "ns" => 1e-6,
        "rfc3339" => return rfc3339(value.as_str()?),
        pattern => {
            let text = value.as_str().map(str::to_owned).or_else(|| Some(value.as_u64()?.to_string()))?;
            return local(DateTime::strptime(pattern, text.trim()).ok()?);
        }
    };
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    #[allow(clippy::cast_possible_truncation, reason = "the range is checked")]
    SECONDS.contains(&(number * ms / 1e3)).then(|| (number * ms).round() as TimeMs)
}

fn is_rfc3339(text: &str) -> bool {
    let text = text.as_bytes();
    let signs = [(4, b"-".as_slice()), (7, b"-"), (10, b"Tt "), (13, b":"), (16, b":")];
    text.len() >= 19 && signs.iter().all(|(at, wanted)| text.get(*at).is_some_and(|sign| wanted.contains(sign)))
}

fn rfc3339(text: &str) -> Option<TimeMs> {
    if !is_rfc3339(text) {
        return None;
    }
    match text.parse::<Timestamp>() {
        Ok(stamp) => Some(stamp.as_millisecond()),
        Err(_) => local(text.parse().ok()?),
    }
}

fn local(time: DateTime) -> Option<TimeMs> {
    Some(EXAMPLE_OFFSET.to_timestamp(time).ok()?.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_are_known_by_their_magnitude_or_their_form() {
        const AT: TimeMs = 1_795_469_700_000;
        for (value, format) in [
            (json!(1_795_469_700), "s"),
            (json!("1795469700"), "s"),
            (json!(1_795_469_700_000_i64), "ms"),
            (json!(1_795_469_700_000_000_i64), "us"),
            (json!(1_795_469_700_000_000_000_i64), "ns"),
            (json!("2026-11-23T21:35:00Z"), "rfc3339"),
            (json!("2026-11-24T05:35:00+08:00"), "rfc3339"),
            (json!("2026-11-24 05:35:00"), "rfc3339"),
            (json!("20261124053500"), "%Y%m%d%H%M%S"),
            (json!(20_261_124_053_500_i64), "%Y%m%d%H%M%S"),
            (json!("24/11/2026 05:35:00"), "%d/%m/%Y %H:%M:%S"),
            (json!("2026年11月24日 05:35:00"), "%Y年%m月%d日 %H:%M:%S"),
        ] {
            assert_eq!(format_of(&[&value]), Some(format), "{value}");
            assert_eq!(read(&value, format), Some(AT), "{value}");
        }
        assert_eq!(format_of(&[&json!(12_345)]), None, "seconds since it was switched on");
    }
}
