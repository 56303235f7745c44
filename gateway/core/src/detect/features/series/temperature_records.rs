//! `temperature_records_v1`: is it warmer, or colder, than at any time in the last four weeks?
//!
//! A machine has its own habits: a daily round, stops, a hard day's work. What it did within four weeks is habit;
//! beyond that is news. It is asked of the mean over an hour (a fire, a seized bearing), six hours and a day (a slow
//! rise, a machine that stands still), and the answer is in units of what it does on a usual day.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

use super::{Channel, DAY_MS, FadingMean, Feature, HOUR_MS, name};

pub(super) const CHANNELS: &[Channel] = &[Channel { name: "temperature", unit: "°C" }];
/// In swings of a usual day.
pub(super) const FEATURES: &[Feature] = &[
    name(
        "above_record_1h",
        "×",
        "一小时均温高出四周最高的日波幅倍数",
        "hour's mean above the highest of four weeks, in daily swings",
    ),
    name(
        "below_record_1h",
        "×",
        "一小时均温低于四周最低的日波幅倍数",
        "hour's mean below the lowest of four weeks, in daily swings",
    ),
    name(
        "above_record_6h",
        "×",
        "六小时均温高出四周最高的日波幅倍数",
        "six hours' mean above the highest of four weeks, in daily swings",
    ),
    name(
        "below_record_6h",
        "×",
        "六小时均温低于四周最低的日波幅倍数",
        "six hours' mean below the lowest of four weeks, in daily swings",
    ),
    name(
        "above_record_24h",
        "×",
        "全天均温高出四周最高的日波幅倍数",
        "day's mean above the highest of four weeks, in daily swings",
    ),
    name(
        "below_record_24h",
        "×",
        "全天均温低于四周最低的日波幅倍数",
        "day's mean below the lowest of four weeks, in daily swings",
    ),
];

const SPANS_MS: [i64; 3] = [HOUR_MS, 6 * HOUR_MS, 24 * HOUR_MS];
/// A week has all the days that a machine knows; before those nothing is said.
const DAYS_MIN: usize = 7;
/// Four weeks: long enough for rare habits, short enough to go along with the seasons.
const DAYS_MAX: usize = 28;
/// What a day's swing is at least taken for, °C: twice what a cheap sensor may be off.
const SWING_MIN_C: f64 = 1.0;
const CAP: f64 = 10.0;

/// The records so far, by span.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Learnt {
    spans: [Span; SPANS_MS.len()],
    /// How much of the present day has passed; a day begins when the first reading came.
    day_ms: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Span {
    mean: FadingMean,
    today: Option<Range>,
    /// Not a habit yet: what began just before midnight must not be usual just after it.
    yesterday: Option<Range>,
    /// The whole days before, the oldest first.
    days: VecDeque<Range>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Range {
    lowest: f64,
    highest: f64,
}

impl Learnt {
    pub(super) fn push(&mut self, passed_ms: i64, temperature_c: f64) -> Option<Vec<f64>> {
        self.day_ms += passed_ms;
        let day_over = self.day_ms >= DAY_MS;
        self.day_ms %= DAY_MS;
        let mut features = Vec::with_capacity(FEATURES.len());
        for (span, span_ms) in self.spans.iter_mut().zip(SPANS_MS) {
            if day_over {
                span.end_day();
            }
            // A mean that fades with half the span is as old, on average, as one over the span.
            let mean = span.mean.push(temperature_c, passed_ms, span_ms / 2);
            features.extend(span.beyond(mean).into_iter().flatten());
            span.note(mean);
        }
        (features.len() == FEATURES.len()).then_some(features)
    }
}

impl Span {
    /// A day without readings is not one.
    fn end_day(&mut self) {
        if let Some(today) = self.today.take() {
            self.days.extend(self.yesterday.replace(today));
        }
        if self.days.len() > DAYS_MAX {
            self.days.pop_front();
        }
    }

    fn note(&mut self, mean: f64) {
        let today = self.today.get_or_insert(Range { lowest: mean, highest: mean });
        *today = Range { lowest: today.lowest.min(mean), highest: today.highest.max(mean) };
    }

    /// How far above the highest and below the lowest, in usual days' swings.
    #[allow(clippy::cast_precision_loss, reason = "up to 28 days")]
    fn beyond(&self, mean: f64) -> Option<[f64; 2]> {
        if self.days.len() < DAYS_MIN {
            return None;
        }
        let lowest = self.days.iter().map(|day| day.lowest).fold(f64::INFINITY, f64::min);
        let highest = self.days.iter().map(|day| day.highest).fold(f64::NEG_INFINITY, f64::max);
        let swings: f64 = self.days.iter().map(|day| day.highest - day.lowest).sum();
        let swing = (swings / self.days.len() as f64).max(SWING_MIN_C);
        Some([(mean - highest) / swing, (lowest - mean) / swing].map(|beyond| beyond.clamp(-CAP, CAP)))
    }
}
