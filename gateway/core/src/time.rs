//! Time as the pipeline sees it: milliseconds that come in with each event.

use jiff::SignedDuration;
use jiff::tz::Offset;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type TimeMs = i64;

/// A length of time, written `"90s"`, `"10m"` or `"1h30m"` in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Span {
    ms: i64,
}

impl Span {
    /// `ms` milliseconds.
    pub const fn from_ms(ms: i64) -> Self {
        Self { ms }
    }

    /// `seconds` seconds.
    pub const fn from_secs(seconds: i64) -> Self {
        Self { ms: seconds * 1000 }
    }

    /// The length in milliseconds.
    pub const fn ms(self) -> i64 {
        self.ms
    }

    /// The length in whole seconds, rounded down.
    pub const fn secs(self) -> i64 {
        self.ms / 1000
    }

    /// For timers of the system; one that is negative is none at all.
    pub fn duration(self) -> Duration {
        Duration::from_millis(u64::try_from(self.ms).unwrap_or(0))
    }
}

impl fmt::Display for Span {
    /// As a person writes it: `90s`, `10m`, `1h 30m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.ms / 1000;
        let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let mut parts = Vec::new();
        for (count, unit) in [(hours, "h"), (minutes, "m"), (rest, "s")] {
            if count != 0 {
                parts.push(format!("{count}{unit}"));
            }
        }
        if parts.is_empty() { write!(f, "{}ms", self.ms) } else { f.write_str(&parts.join(" ")) }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "A length of time: \"90s\", \"10m\", \"1h30m\"." })
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = WrittenSpan::deserialize(deserializer)?.0;
        let duration: SignedDuration = text.parse().map_err(|_| {
            de::Error::custom(format!("`{text}` is not a length of time; write it like \"90s\", \"10m\" or \"1h30m\""))
        })?;
        if duration.is_negative() {
            return Err(de::Error::custom(format!("`{text}` is negative; a length of time is not")));
        }
        i64::try_from(duration.as_millis())
            .map(Self::from_ms)
            .map_err(|_| de::Error::custom(format!("`{text}` is longer than any gateway lives")))
    }
}

/// The text of a length of time; says how to write one where it is none.
struct WrittenSpan(String);

impl<'de> Deserialize<'de> for WrittenSpan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfText;
        impl de::Visitor<'_> for OfText {
            type Value = WrittenSpan;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length of time such as \"90s\", \"10m\" or \"1h30m\"")
            }

            fn visit_str<E>(self, text: &str) -> Result<WrittenSpan, E> {
                Ok(WrittenSpan(text.to_owned()))
            }
        }
        deserializer.deserialize_str(OfText)
    }
}

/// The site's offset from UTC, written `"+08:00"`. A gateway needs no time zone data base: it
/// stands in one place, and China has had no summer time since 1991.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UtcOffset(Offset);

impl UtcOffset {
    /// China Standard Time.
    pub const CHINA: Self = Self(Offset::constant(8));

    /// The local minute of the day, 0 to 1439.
    pub fn minute_of_day(self, at: TimeMs) -> u32 {
        let local_seconds = at.div_euclid(1000) + i64::from(self.0.seconds());
        u32::try_from(local_seconds.rem_euclid(86_400) / 60).unwrap_or(0)
    }

    /// Milliseconds of the local wall clock since 1970-01-01T00:00.
    pub fn local_ms(self, at: TimeMs) -> i64 {
        at + i64::from(self.0.seconds()) * 1000
    }

    /// The moment of local midnight at or before `at`.
    pub fn midnight_before(self, at: TimeMs) -> TimeMs {
        let shift = i64::from(self.0.seconds()) * 1000;
        (at + shift).div_euclid(86_400_000) * 86_400_000 - shift
    }

    /// The moment of a local date and time; `None` beyond all years.
    pub(crate) fn time_ms(self, local: jiff::civil::DateTime) -> Option<TimeMs> {
        Some(self.0.to_timestamp(local).ok()?.as_millisecond())
    }

    /// Reads `+08:00`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        parse_offset(text).map(Self)
    }

    /// `+08:00`
    fn text(self) -> String {
        let minutes = self.0.seconds() / 60;
        let sign = if minutes < 0 { '-' } else { '+' };
        format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
    }

    /// RFC 3339 with this offset, to the millisecond: `2026-11-24T07:30:00.000+08:00`.
    pub fn rfc3339(self, at: TimeMs) -> String {
        match jiff::Timestamp::from_millisecond(at) {
            Ok(stamp) => {
                let local = self.0.to_datetime(stamp).strftime("%Y-%m-%dT%H:%M:%S%.3f").to_string();
                format!("{local}{}", self.text())
            }
            Err(_) => format!("{at}ms"),
        }
    }
}

impl Serialize for UtcOffset {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for UtcOffset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| de::Error::custom(format!("`{text}` is not an offset from UTC; write it like \"+08:00\"")))
    }
}

fn parse_offset(text: &str) -> Option<Offset> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+')?),
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    if !(0..=15).contains(&hours) || !(0..60).contains(&minutes) {
        return None;
    }
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_day_follows_the_offset() {
        let offset = UtcOffset::CHINA;
        let at = 1_795_390_200_000; // 2026-11-22T23:30:00Z
        assert_eq!(offset.rfc3339(at), "2026-11-23T07:30:00.000+08:00");
        assert_eq!(offset.minute_of_day(at), 7 * 60 + 30);
        assert_eq!(offset.rfc3339(offset.midnight_before(at)), "2026-11-23T00:00:00.000+08:00");
    }

    #[test]
    fn spans_are_read_and_written_as_people_do() {
        let span: Span = serde_json::from_str("\"1h30m\"").unwrap();
        assert_eq!(span, Span::from_secs(5400));
        assert_eq!(span.to_string(), "1h 30m");
        assert!(serde_json::from_str::<Span>("\"-5s\"").is_err());
        assert!(serde_json::from_str::<Span>("\"soon\"").is_err());
    }
}
