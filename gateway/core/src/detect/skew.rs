//! How far a device's clock is off, judged by when its readings arrive.
//!
//! A reading cannot arrive before it was made, so the least delay seen lately is how far the clock
//! is behind; a negative one is how far it is ahead (the minimum filter of NTP, RFC 5905 section 10,
//! with one way only). A clock that is ahead shows at once. One that is behind looks like a late
//! reading at first, so it takes three minutes of readings that are all late before it is believed:
//! a backlog that comes in one go after an outage fills one of them.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

use crate::time::TimeMs;

/// Delays of the network and of whole-second clocks are not worth correcting.
const TOLERANCE_MS: i64 = 2_000;
const MINUTES: usize = 3;
/// A clock that says less has never been set: 2020-01-01T00:00:00Z.
const UNSET_BEFORE_MS: TimeMs = 1_577_836_800_000;

/// What is known of one device's clock.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Skew {
    /// (minute of arrival, least delay in it), the last few in which something came.
    least: VecDeque<(i64, i64)>,
}

impl Skew {
    /// Takes what a reading says about the clock. One that was sent before says nothing.
    pub(super) fn learn(&mut self, event: TimeMs, arrival: TimeMs, redelivered: bool) {
        let delay = arrival - event;
        if redelivered && delay > 0 {
            return;
        }
        let minute = arrival.div_euclid(60_000);
        match self.least.back_mut() {
            Some((newest, least)) if *newest == minute => *least = delay.min(*least),
            _ => self.least.push_back((minute, delay)),
        }
        if self.least.len() > MINUTES {
            self.least.pop_front();
        }
    }

    /// How far the clock is ahead (+) or behind (−) of the gateway's; 0 within the tolerance.
    pub(super) fn ahead_ms(&self) -> i64 {
        let least = self.least.iter().map(|(_, delay)| *delay).min().unwrap_or(0);
        let believed = least < -TOLERANCE_MS || (least > TOLERANCE_MS && self.least.len() == MINUTES);
        if believed { -least } else { 0 }
    }

    /// Whether the device has told the time at all.
    pub(super) fn is_known(&self) -> bool {
        !self.least.is_empty()
    }
}

/// Whether a device's time is one that was ever set.
pub(super) fn is_set(event: TimeMs) -> bool {
    event >= UNSET_BEFORE_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: TimeMs = 1_795_467_300_000;
    const MINUTE: i64 = 60_000;

    #[test]
    fn a_clock_ahead_shows_at_once() {
        let mut skew = Skew::default();
        skew.learn(T + 3_600_000, T + 40, false);
        assert_eq!(skew.ahead_ms(), 3_599_960);
    }

    #[test]
    fn a_clock_behind_is_believed_after_three_minutes_of_readings() {
        let mut skew = Skew::default();
        for minute in 0..3 {
            assert_eq!(skew.ahead_ms(), 0);
            let at = T + minute * MINUTE;
            skew.learn(at - 90_000, at + 50, false);
        }
        assert_eq!(skew.ahead_ms(), -90_050);
    }

    #[test]
    fn a_backlog_after_an_outage_is_late_and_not_skewed() {
        let mut skew = Skew::default();
        skew.learn(T, T + 30, false);
        let back = T + 120 * MINUTE;
        for minute in 1..120 {
            skew.learn(T + minute * MINUTE, back + minute * 20, false);
        }
        assert_eq!(skew.ahead_ms(), 0);
    }

    #[test]
    fn small_delays_and_repeats_say_nothing() {
        let mut skew = Skew::default();
        for minute in 0..5 {
            let at = T + minute * MINUTE;
            skew.learn(at - 1_500, at, false);
            skew.learn(at - 900_000, at, true);
        }
        assert_eq!(skew.ahead_ms(), 0);
    }
}
