//! A condition over time: since when it holds, and when that has been long enough.
//!
//! What a reading says holds until the next one, but for no longer than the device may be silent:
//! then it is unknown. Unknown ends a stretch that was still filling, and never clears one that was
//! told: silence is not health.

use serde::{Deserialize, Serialize};

use crate::hours::Hours;
use crate::time::{TimeMs, UtcOffset};

/// What a stretch is measured by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// How long the condition has to hold.
    pub(super) for_ms: i64,
    /// How long a reading stands for what comes after it.
    pub(super) gap_ms: i64,
    /// The local hours outside of which it does not count.
    pub(super) hours: Option<(Hours, UtcOffset)>,
}

impl Terms {
    fn count_at(&self, at: TimeMs) -> bool {
        self.hours.is_none_or(|(hours, offset)| hours.contains(offset, at))
    }
}

/// What a stretch came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It has held long enough, at this time.
    Raise(TimeMs),
    /// It holds no longer.
    Clear(TimeMs),
}

/// Where a condition stands.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Stretch {
    /// What the last reading said.
    held: bool,
    /// When that reading was made.
    read_ms: TimeMs,
    /// How far time has been followed.
    at_ms: TimeMs,
    /// Since when it holds and counts.
    since_ms: Option<TimeMs>,
    /// Since when it has held long enough.
    raised_ms: Option<TimeMs>,
    /// When it was raised lately, cleared since or not.
    told_ms: Vec<TimeMs>,
}

/// How many of the last times it was raised are remembered, so that rereading tells none again.
const TOLD: usize = 8;

impl Stretch {
    /// Whether the last reading said yes.
    pub(super) fn held(&self) -> bool {
        self.held
    }

    /// Whether a reading of `at` comes after one that was made later.
    pub(super) fn is_behind(&self, at: TimeMs) -> bool {
        at < self.read_ms
    }

    /// Whether it was raised and not cleared.
    pub(super) fn is_raised(&self) -> bool {
        self.raised_ms.is_some()
    }

    /// Takes what the reading of `at` says; readings come by their time here.
    pub(super) fn read(&mut self, at: TimeMs, holds: bool, terms: &Terms, turns: &mut Vec<Turn>) {
        self.elapse(at, terms, turns);
        self.held = holds;
        self.read_ms = at;
        self.count(at, terms, turns);
        self.fill(at, terms, turns);
    }

    /// Lets time pass to `to` without a reading.
    pub(super) fn elapse(&mut self, to: TimeMs, terms: &Terms, turns: &mut Vec<Turn>) {
        if !self.held {
            self.at_ms = self.at_ms.max(to);
            return;
        }
        let known_until = self.read_ms.saturating_add(terms.gap_ms);
        let end = to.min(known_until);
        if let Some((hours, offset)) = terms.hours {
            let mut change = hours.next_change(offset, self.at_ms);
            while change <= end {
                self.fill(change, terms, turns);
                self.count(change, terms, turns);
                change = hours.next_change(offset, change);
            }
        }
        self.fill(end, terms, turns);
        if to > known_until {
            self.held = false;
            self.since_ms = None;
        }
        self.at_ms = self.at_ms.max(to);
    }

    /// When time alone next changes something.
    pub(super) fn next_due(&self, terms: &Terms) -> Option<TimeMs> {
        if !self.held {
            return None;
        }
        let full = self.since_ms.filter(|_| self.raised_ms.is_none()).map(|since| since.saturating_add(terms.for_ms));
        let change = terms.hours.map(|(hours, offset)| hours.next_change(offset, self.at_ms));
        let known_until = self.read_ms.saturating_add(terms.gap_ms);
        [full, change].into_iter().flatten().filter(|due| *due <= known_until).min()
    }

    /// Begins or ends the stretch, by what held and by the hour.
    fn count(&mut self, at: TimeMs, terms: &Terms, turns: &mut Vec<Turn>) {
        if self.held && terms.count_at(at) {
            self.since_ms.get_or_insert(at);
        } else {
            self.since_ms = None;
            if self.raised_ms.take().is_some() {
                turns.push(Turn::Clear(at));
            }
        }
    }

    fn fill(&mut self, by: TimeMs, terms: &Terms, turns: &mut Vec<Turn>) {
        if let (None, Some(since)) = (self.raised_ms, self.since_ms) {
            let full = since.saturating_add(terms.for_ms);
            if full <= by {
                self.raised_ms = Some(full);
                self.remember(full);
                turns.push(Turn::Raise(full));
            }
        }
    }

    fn remember(&mut self, told: TimeMs) {
        self.told_ms.push(told);
        if self.told_ms.len() > TOLD {
            self.told_ms.remove(0);
        }
    }

    /// Reads everything again because readings came to lie among earlier ones, none before `from`.
    /// `times` are those of all readings, in order; `says` tells what each says, given what held
    /// before. Raises what now turns out to have held long enough since `from` and was not told, also
    /// where it is over.
    pub(super) fn reread(
        &mut self,
        from: TimeMs,
        times: impl Iterator<Item = TimeMs>,
        mut says: impl FnMut(TimeMs, bool) -> Option<bool>,
        terms: &Terms,
        turns: &mut Vec<Turn>,
    ) {
        let mut again = Self::default();
        let mut seen = Vec::new();
        let mut first = None;
        for at in times {
            if let Some(holds) = says(at, again.held) {
                first.get_or_insert(at);
                again.read(at, holds, terms, &mut seen);
            }
        }
        again.elapse(self.at_ms, terms, &mut seen);
        // The window may not reach back to where it began.
        if again.held && again.since_ms.is_some() && again.since_ms == first {
            again.since_ms = again.since_ms.min(self.since_ms.or(again.since_ms));
            again.raised_ms = again.raised_ms.or(self.raised_ms);
        }
        let mut missed = Vec::new();
        for (index, turn) in seen.iter().enumerate() {
            let Turn::Raise(raised) = *turn else { continue };
            let end = match seen.get(index + 1) {
                Some(Turn::Clear(end)) => *end,
                _ => TimeMs::MAX,
            };
            let stretch = raised.saturating_sub(terms.for_ms)..=end;
            let told = self.told_ms.iter().chain(&self.raised_ms).any(|told| stretch.contains(told));
            if end >= from && !told {
                missed.push(Turn::Raise(raised));
            }
        }
        again.told_ms.clear();
        let told = self.told_ms.iter().copied();
        let new = missed.iter().map(|turn| match turn {
            Turn::Raise(at) | Turn::Clear(at) => *at,
        });
        let mut all: Vec<TimeMs> = told.chain(new).collect();
        all.sort_unstable();
        all.into_iter().for_each(|told| again.remember(told));
        let was_raised = self.raised_ms.is_some() || !missed.is_empty();
        turns.extend(missed);
        *self = again;
        if was_raised && self.raised_ms.is_none() {
            turns.push(Turn::Clear(from));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Terms = Terms { for_ms: 100, gap_ms: 50, hours: None };

    fn read(stretch: &mut Stretch, readings: &[(TimeMs, bool)], terms: &Terms) -> Vec<Turn> {
        let mut turns = Vec::new();
        for (at, holds) in readings {
            stretch.read(*at, *holds, terms, &mut turns);
        }
        turns
    }

    #[test]
    fn it_is_raised_when_full_and_cleared_when_over() {
        let mut stretch = Stretch::default();
        let turns = read(&mut stretch, &[(0, false), (10, true), (50, true), (90, true), (130, true)], &PLAIN);
        assert_eq!(turns, [Turn::Raise(110)]);
        assert_eq!(read(&mut stretch, &[(140, false)], &PLAIN), [Turn::Clear(140)]);
    }

    #[test]
    fn time_fills_it_without_a_reading_while_the_last_one_stands() {
        let mut stretch = Stretch::default();
        read(&mut stretch, &[(0, true), (40, true), (80, true)], &PLAIN);
        assert_eq!(stretch.next_due(&PLAIN), Some(100));
        let mut turns = Vec::new();
        stretch.elapse(100, &PLAIN, &mut turns);
        assert_eq!(turns, [Turn::Raise(100)]);
    }

    #[test]
    fn a_gap_is_unknown_it_ends_what_was_filling_and_clears_nothing() {
        let mut stretch = Stretch::default();
        assert_eq!(read(&mut stretch, &[(0, true), (40, true), (120, true), (160, true)], &PLAIN), []);
        assert_eq!(read(&mut stretch, &[(200, true), (220, true)], &PLAIN), [Turn::Raise(220)]);
        let mut turns = Vec::new();
        stretch.elapse(10_000, &PLAIN, &mut turns);
        assert_eq!(turns, [], "still raised");
        assert_eq!(read(&mut stretch, &[(10_010, false)], &PLAIN), [Turn::Clear(10_010)]);
    }

    #[test]
    fn hours_begin_and_end_it() {
        let offset = UtcOffset::CHINA;
        let night: Hours = serde_json::from_str("\"23:00-05:00\"").unwrap();
        let midnight = offset.midnight_before(1_795_467_300_000);
        let hour = 3_600_000;
        let terms = Terms { for_ms: 0, gap_ms: 12 * hour, hours: Some((night, offset)) };
        let mut stretch = Stretch::default();
        assert_eq!(read(&mut stretch, &[(midnight + 20 * hour, true)], &terms), []);
        assert_eq!(stretch.next_due(&terms), Some(midnight + 23 * hour));
        let mut turns = Vec::new();
        stretch.elapse(midnight + 23 * hour, &terms, &mut turns);
        assert_eq!(turns, [Turn::Raise(midnight + 23 * hour)]);
        assert_eq!(read(&mut stretch, &[(midnight + 30 * hour, true)], &terms), [Turn::Clear(midnight + 29 * hour)]);
    }

    #[test]
    fn a_late_reading_can_fill_a_stretch_and_can_empty_one() {
        let terms = Terms { gap_ms: 60, ..PLAIN };
        let mut readings = vec![(0, true), (30, true), (160, true)];
        let mut stretch = Stretch::default();
        assert_eq!(read(&mut stretch, &readings, &terms), []);
        readings.insert(2, (85, true));
        let mut turns = Vec::new();
        let times = readings.iter().map(|(at, _)| *at);
        let says = |at, _| readings.iter().find(|(time, _)| *time == at).map(|(_, holds)| *holds);
        stretch.reread(85, times, says, &terms, &mut turns);
        assert_eq!(turns, [Turn::Raise(100)]);
        readings.insert(2, (70, false));
        let mut turns = Vec::new();
        let times = readings.iter().map(|(at, _)| *at);
        let says = |at, _| readings.iter().find(|(time, _)| *time == at).map(|(_, holds)| *holds);
        stretch.reread(70, times, says, &terms, &mut turns);
        assert_eq!(turns, [Turn::Clear(70)]);
    }

    #[test]
    fn what_was_over_before_it_was_heard_of_is_told_once() {
        let at_once = Terms { for_ms: 0, ..PLAIN };
        let readings = [(0, false), (40, true), (60, false), (90, false)];
        let mut stretch = Stretch::default();
        assert_eq!(read(&mut stretch, &[(0, false), (90, false)], &at_once), []);
        let says = |at, _| readings.iter().find(|(time, _)| *time == at).map(|(_, holds)| *holds);
        let mut turns = Vec::new();
        stretch.reread(40, readings.iter().map(|(at, _)| *at), says, &at_once, &mut turns);
        assert_eq!(turns, [Turn::Raise(40), Turn::Clear(40)]);
        let mut turns = Vec::new();
        stretch.reread(60, readings.iter().map(|(at, _)| *at), says, &at_once, &mut turns);
        assert_eq!(turns, [], "told already");
    }
}
