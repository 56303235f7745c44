//! When somebody is usually at a small place (shop, school, workshop, …), and what stirs there when nobody should.
//!
//! An [`Opening`] takes the signs of doors, motion sensors and cameras as they come and keeps of each quarter of an hour
//! of the last [`DAYS`] days whether there were any. Once it knows [`LEAST_DAYS`] of them it says of each sign how usual
//! it is to hear one at this time ([`Row`]); a model scores that. Nothing is compared with other places.
//!
//! **What is learnt is not poisoned by an entry**: the first days are believed as they are; once something is said, a
//! quarter in which the place is not usually open is doubted and counts half, until the same hours have been heard
//! on about five days of late, or on this weekday of the last two weeks. So an entry is not usual the next night, nor a
//! week later, and new hours are after a week or two.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

use super::features::{Feature, name};

/// Milliseconds of the place's own wall clock since 1970-01-01T00:00: opening hours follow local time.
pub type LocalMs = i64;

const MIN_MS: i64 = 60_000;
const QUARTER_MS: i64 = 15 * MIN_MS;
const QUARTERS: usize = 96;

/// How many days are remembered.
const DAYS: usize = 28;
/// Before so many days are known of an hour nothing is said.
pub const LEAST_DAYS: u8 = 3;
/// "At this time" is this quarter of an hour, and so many before and after: no more than an hour off.
const AROUND: usize = 3;
/// A weekday on which the place was open so near to this time, but not at it, says what all days say: nobody opens to
/// the minute.
const NEAR: usize = 8;
/// With signs in fewer quarters of an hour around this time a day was one of rest: it tells of its weekday only.
const LEAST_OPEN: usize = 4;
/// A day counts so much less than the day after it: hours may change.
const FADING: f32 = 0.9;
/// Below these shares of days (of the same weekday) a sign is doubted.
const DOUBTED: (f32, f32) = (0.2, 0.4);
/// Signs within it belong together.
const BOUT_MS: i64 = 10 * MIN_MS;
/// A sensor that repeats itself sooner says nothing new.
const REPEAT_MS: i64 = MIN_MS;
/// Longer silence says no more.
const QUIET_MOST_MIN: f32 = 1440.0;
/// How quiet it is between signs in business hours.
const BUSY_QUIET_MIN: f32 = 10.0;

/// Of a [`Row`], in order.
pub(super) const FEATURES: &[Feature] = &[
    name(
        "open_share",
        "",
        "近几周营业日此时段有人的占比",
        "share of recent business days with somebody here at this time",
    ),
    name("weekday_share", "", "同一星期几此时段有人的占比", "the same of this weekday only"),
    name("quiet_min", "min", "此前无动静的时间", "quiet before"),
    name("odd_share", "", "近几周有反常动静的天数占比", "share of recent days with signs at unusual times"),
    name("days", "", "此时段已了解的天数", "days known of this time"),
    name("kinds", "", "十分钟内有动静的传感器种类", "kinds of sensors that noticed within 10 minutes"),
    name("signs", "", "十分钟内动静次数", "signs within 10 minutes"),
];

/// What the model sees of a sign: see [`features::of`](super::features::of).
pub type Row = [f32; 7];

/// What noticed somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// A door or window was opened or closed.
    Door,
    /// A motion or presence sensor noticed somebody.
    Presence,
    /// A camera saw somebody.
    Camera,
}

/// Somebody was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at_ms: LocalMs,
    /// By what.
    pub sign: Sign,
}

/// What is known of when a place is open.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Opening {
    last_ms: Option<LocalMs>,
    /// Every quarter of an hour up to that of `last_ms`.
    quarters: VecDeque<Quarter>,
    /// The signs of the last ten minutes.
    bout: VecDeque<Event>,
    /// The last sign before these.
    before_ms: Option<LocalMs>,
    /// Nothing is known from `last_ms` on.
    is_forgotten: bool,
}

/// What was heard in a quarter of an hour, the more certain the higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Quarter {
    Quiet,
    Unknown,
    Doubted,
    Open,
}

/// At this time on the days before, each day faded by its age.
#[derive(Debug, Clone, Copy, Default)]
struct Usual {
    open: f32,
    known: f32,
}

impl Usual {
    fn add(&mut self, open: f32, weight: f32) {
        self.open += open * weight;
        self.known += weight;
    }

    fn share(self) -> Option<f32> {
        (self.known > 0.0).then(|| self.open / self.known)
    }
}

impl Opening {
    /// Takes a sign; one that comes late counts as if it came now. Gives what the model sees of it, once enough of this
    /// time of day is known.
    pub fn push(&mut self, event: &Event) -> Option<Row> {
        let now = self.last_ms.map_or(event.at_ms, |last| event.at_ms.max(last));
        self.pass_time(now);
        self.hear(Event { at_ms: now, ..*event });
        let (days, open, weekday) = self.usual();
        let is_known = days >= f32::from(LEAST_DAYS);
        let is_doubted = is_known && open < DOUBTED.0 && weekday < DOUBTED.1;
        if let Some(quarter) = self.quarters.back_mut() {
            *quarter = (*quarter).max(if is_doubted { Quarter::Doubted } else { Quarter::Open });
        }
        let quiet_min = self.quiet_min()?;
        #[allow(clippy::cast_precision_loss, reason = "a few dozen")]
        is_known.then(|| {
            let (kinds, signs) = (self.kinds() as f32, self.bout.len() as f32);
            [open, weekday, quiet_min, self.odd_share(), days, kinds, signs]
        })
    }

    /// Sensors were not heard for a while, from the last sign to the next: that nothing was heard says nothing.
    pub fn forget_now(&mut self) {
        self.is_forgotten = true;
        self.bout.clear();
        self.before_ms = None;
    }

    fn pass_time(&mut self, now: LocalMs) {
        let last_ms = self.last_ms.replace(now).unwrap_or(now);
        let passed = now.div_euclid(QUARTER_MS) - last_ms.div_euclid(QUARTER_MS);
        let kept = (DAYS + 1) * QUARTERS;
        let passed = usize::try_from(passed).unwrap_or(kept).min(kept);
        let heard = if std::mem::take(&mut self.is_forgotten) { Quarter::Unknown } else { Quarter::Quiet };
        self.quarters.extend(std::iter::repeat_n(heard, passed.max(usize::from(self.quarters.is_empty()))));
        self.quarters.drain(..self.quarters.len().saturating_sub(kept));
    }

    fn hear(&mut self, event: Event) {
        while let Some(first_ms) = self.bout.front().map(|first| first.at_ms)
            && event.at_ms.saturating_sub(first_ms) > BOUT_MS
        {
            self.before_ms = Some(first_ms);
            self.bout.pop_front();
        }
        let repeats = |heard: &Event| heard.sign == event.sign && event.at_ms.saturating_sub(heard.at_ms) < REPEAT_MS;
        if !self.bout.iter().any(repeats) {
            self.bout.push_back(event);
        }
    }

    /// How many days are known of this time, and the shares of those on which the place opened at all, and of those of
    /// this weekday, with somebody here.
    fn usual(&self) -> (f32, f32, f32) {
        let (mut days, mut all, mut weekdays, mut nearly) = (0.0, Usual::default(), Usual::default(), 0.0);
        let mut weight = 1.0;
        for ago in 1..=DAYS {
            weight *= FADING;
            let Some(open) = self.open(ago, AROUND) else { continue };
            days += 1.0;
            if self.opened(ago) {
                all.add(open, weight);
            }
            if ago % 7 == 0 {
                weekdays.add(open, weight);
                nearly += weight * (self.open(ago, NEAR).unwrap_or(open) - open);
            }
        }
        let open = all.share().unwrap_or_default();
        weekdays.open += nearly * open;
        (days, open, weekdays.share().unwrap_or(open))
    }

    /// Whether somebody was here about this time so many days ago.
    fn open(&self, days_ago: usize, around: usize) -> Option<f32> {
        let middle = days_ago * QUARTERS;
        let quarters = (middle - around..=middle + around).map(|ago| self.quarter(ago));
        match quarters.max()? {
            Quarter::Open => Some(1.0),
            Quarter::Doubted => Some(0.5),
            Quarter::Quiet => Some(0.0),
            Quarter::Unknown => None,
        }
    }

    /// Whether that was a day of business.
    fn opened(&self, days_ago: usize) -> bool {
        let middle = days_ago * QUARTERS;
        let quarters = middle - QUARTERS / 2..middle + QUARTERS / 2;
        quarters.filter(|ago| self.quarter(*ago) >= Quarter::Doubted).count() >= LEAST_OPEN
    }

    fn quarter(&self, ago: usize) -> Quarter {
        let index = self.quarters.len().checked_sub(ago + 1);
        index.and_then(|index| self.quarters.get(index)).copied().unwrap_or(Quarter::Unknown)
    }

    /// Today is left out: what goes on now is no habit yet.
    #[allow(clippy::cast_precision_loss, reason = "a few dozen days")]
    fn odd_share(&self) -> f32 {
        let is_odd =
            |day: &usize| (day * QUARTERS..(day + 1) * QUARTERS).any(|ago| self.quarter(ago) == Quarter::Doubted);
        let days = (self.quarters.len() / QUARTERS).clamp(2, DAYS + 1) - 1;
        (1..=days).filter(is_odd).count() as f32 / days as f32
    }

    /// How long nothing was heard before the signs of the last ten minutes.
    #[allow(clippy::cast_precision_loss, reason = "no more than a day counts")]
    fn quiet_min(&self) -> Option<f32> {
        let quiet_ms = self.bout.front()?.at_ms.saturating_sub(self.before_ms?);
        Some((quiet_ms as f32 / MIN_MS as f32).min(QUIET_MOST_MIN))
    }

    fn kinds(&self) -> usize {
        let heard = |sign: &&Sign| self.bout.iter().any(|event| event.sign == **sign);
        [Sign::Door, Sign::Presence, Sign::Camera].iter().filter(heard).count()
    }
}

/// The same place, had the sign come in business hours: what differs from that moved the score.
pub fn baseline(row: &Row) -> Row {
    let [_, _, _, odd_share, days, _, _] = *row;
    [1.0, 1.0, BUSY_QUIET_MIN, odd_share, days, 1.0, 1.0]
}
