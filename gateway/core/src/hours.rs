//! Hours of the local day, such as `23:00-05:00`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

use crate::time::{TimeMs, UtcOffset};

const DAY_MIN: u32 = 24 * 60;

/// From a minute of the local day, included, to another, excluded; may go over midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    from_min: u32,
    to_min: u32,
}

impl Hours {
    /// From a minute of the day to another.
    pub const fn between(from_min: u32, to_min: u32) -> Self {
        Self { from_min: from_min % DAY_MIN, to_min: to_min % DAY_MIN }
    }

    /// Whether the local time of `at` is within.
    pub fn contains(self, offset: UtcOffset, at: TimeMs) -> bool {
        let minute = offset.minute_of_day(at);
        if self.from_min < self.to_min {
            (self.from_min..self.to_min).contains(&minute)
        } else {
            minute >= self.from_min || minute < self.to_min
        }
    }

    /// The next moment after `at` at which they begin or end.
    pub(crate) fn next_change(self, offset: UtcOffset, at: TimeMs) -> TimeMs {
        next(self.from_min, offset, at).min(next(self.to_min, offset, at))
    }

    /// The next moment after `at` at which they end.
    pub fn next_end(self, offset: UtcOffset, at: TimeMs) -> TimeMs {
        next(self.to_min, offset, at)
    }

    /// The minute of the day at which they begin, and the one at which they end: at or before it, where midnight lies
    /// between.
    pub(crate) fn ends(self) -> (u32, u32) {
        (self.from_min, self.to_min)
    }

    /// How long they are.
    pub(crate) fn length_ms(self) -> i64 {
        i64::from((self.to_min + DAY_MIN - self.from_min) % DAY_MIN) * 60_000
    }
}

fn next(minute: u32, offset: UtcOffset, at: TimeMs) -> TimeMs {
    let today = offset.midnight_before(at) + i64::from(minute) * 60_000;
    if today > at { today } else { today + 86_400_000 }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from_min, self.to_min);
        write!(f, "{:02}:{:02}–{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

impl Serialize for Hours {
    /// As it is read: `23:00-05:00`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string().replace('–', "-"))
    }
}

impl<'de> Deserialize<'de> for Hours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| {
            de::Error::custom(format!("`{text}` are not hours of a day; write them like \"23:00-05:00\""))
        })
    }
}

/// The minute of the day that `text`, such as `23:00`, names.
pub(crate) fn minute(text: &str) -> Option<u32> {
    let (hour, minute) = text.trim().split_once(':')?;
    let (hour, minute): (u32, u32) = (hour.parse().ok()?, minute.parse().ok()?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

fn parse(text: &str) -> Option<Hours> {
    let (from, to) = text.split_once('-')?;
    let hours = Hours { from_min: minute(from)?, to_min: minute(to)? };
    (hours.from_min != hours.to_min).then_some(hours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_night_goes_over_midnight() {
        let night = parse("23:00-05:00").unwrap();
        let offset = UtcOffset::CHINA;
        let midnight = offset.midnight_before(1_795_467_300_000);
        let at = |hour: i64| midnight + hour * 3_600_000;
        assert!(night.contains(offset, at(23)) && night.contains(offset, at(4)) && !night.contains(offset, at(5)));
        assert_eq!(night.next_change(offset, at(12)), at(23));
        assert_eq!(night.next_change(offset, at(23)), at(29));
        assert_eq!(night.next_end(offset, at(5)), at(29));
        assert_eq!(night.length_ms(), 6 * 3_600_000);
        assert_eq!(night.to_string(), "23:00–05:00");
        for wrong in ["23:00", "24:00-05:00", "5:00-5:00", "a-b", "23:60-01:00"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
