//! What was measured and is not yet on the gateway's disk: two lanes of reports.
//!
//! A report stays until the gateway has acknowledged its number. Both lanes are bounded. The routine lane lets its
//! oldest go, and counts it. The urgent lane folds instead: of each channel the first of its gravest reports and the
//! newest stay, and what lies between yields. Its room is for more than two of every channel, so folding always finds
//! one: an alarm is never let go of unless an earlier one of the same channel, as grave, still waits to be told.

use core::mem::discriminant;

use heapless::Vec;
use ninewatch_wire::message::{Lane, Line, MAX_REPORTS, Measure, Report};
use ninewatch_wire::table::MAX_CHANNELS;

/// What each channel can measure, at most: temperature and humidity.
const MEASURES: usize = 2;
/// Urgent reports that find room. Two of each channel's measures always stay.
const URGENT: usize = 64;
const _: () = assert!(URGENT > 2 * MEASURES * MAX_CHANNELS);
/// Routine reports that find room: of twelve sensors that tell once a minute, ten minutes.
const ROUTINE: usize = 128;
/// A batch that has arrived but is not acknowledged is sent again after this: the gateway may have died with it.
const RESEND_MS: u64 = 2_000;

/// What waits to be acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    urgent: Queue<URGENT>,
    routine: Queue<ROUTINE>,
    let_go: u32,
    /// The batch in the frame that was sent last, and up to which number its lane had been sent before.
    last: Option<(Lane, u32)>,
}

impl Outbox {
    /// Takes what a channel has measured.
    pub(crate) fn file(&mut self, lane: Lane, channel: u8, measure: Measure, uptime_ms: u64) {
        match lane {
            Lane::Urgent => {
                if self.urgent.is_full() {
                    self.urgent.fold();
                }
                self.urgent.push(channel, measure, uptime_ms);
            }
            Lane::Routine => {
                if self.routine.is_full() {
                    self.routine.waiting.remove(0);
                    self.let_go = self.let_go.saturating_add(1);
                }
                self.routine.push(channel, measure, uptime_ms);
            }
        }
    }

    /// Takes what the gateway has said of what it has: `arrived` of the frame that was sent last, `acked` of each
    /// lane.
    pub(crate) fn told(&mut self, arrived: bool, acked: [u32; 2], uptime_ms: u64) {
        if let Some((lane, before)) = self.last.take().filter(|_| !arrived) {
            match lane {
                Lane::Urgent => self.urgent.sent = before,
                Lane::Routine => self.routine.sent = before,
            }
        }
        let [urgent, routine] = acked;
        self.urgent.release(urgent, uptime_ms);
        self.routine.release(routine, uptime_ms);
    }

    /// The next reports of a lane to tell. `epoch_ms` is the Unix time at the uptime 0.
    pub(crate) fn batch(&mut self, lane: Lane, epoch_ms: i64, uptime_ms: u64) -> Option<Vec<Report, MAX_REPORTS>> {
        let (before, reports) = match lane {
            Lane::Urgent => self.urgent.batch(epoch_ms, uptime_ms),
            Lane::Routine => self.routine.batch(epoch_ms, uptime_ms),
        }?;
        self.last = Some((lane, before));
        Some(reports)
    }

    /// Sends all that waits once more: another session has begun, whose gateway may know nothing of it.
    pub(crate) fn rewind(&mut self) {
        self.last = None;
        self.urgent.sent = 0;
        self.routine.sent = 0;
    }

    /// Lets go of what these channels have measured: they are other sensors now.
    pub(crate) fn forget(&mut self, is_other: impl Fn(u8) -> bool) {
        self.urgent.waiting.retain(|waiting| !is_other(waiting.channel));
        self.routine.waiting.retain(|waiting| !is_other(waiting.channel));
    }

    /// Whether all that is urgent is on the gateway's disk.
    pub(crate) fn has_no_alarms(&self) -> bool {
        self.urgent.waiting.is_empty()
    }

    /// Routine reports that found no room, since the start.
    pub(crate) fn let_go(&self) -> u32 {
        self.let_go
    }
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    number: u32,
    channel: u8,
    measure: Measure,
    uptime_ms: u64,
    /// As it was told first, and ever since: the gateway knows what it has had by its time.
    at_ms: Option<i64>,
}

#[derive(Debug, Default)]
struct Queue<const N: usize> {
    waiting: Vec<Waiting, N>,
    /// Given out so far.
    numbered: u32,
    /// Up to which number reports were sent.
    sent: u32,
    /// Since when it waits for an acknowledgement without getting one.
    waits_since_ms: u64,
}

impl<const N: usize> Queue<N> {
    fn is_full(&self) -> bool {
        self.waiting.is_full()
    }

    fn push(&mut self, channel: u8, measure: Measure, uptime_ms: u64) {
        self.numbered = self.numbered.wrapping_add(1);
        // The caller has made room.
        let _ = self.waiting.push(Waiting { number: self.numbered, channel, measure, uptime_ms, at_ms: None });
    }

    fn release(&mut self, acked: u32, uptime_ms: u64) {
        let before = self.waiting.len();
        // What was never sent cannot have arrived.
        self.waiting.retain(|waiting| waiting.number > acked || waiting.at_ms.is_none());
        if self.waiting.len() < before {
            self.waits_since_ms = uptime_ms;
        }
    }

    fn batch(&mut self, epoch_ms: i64, uptime_ms: u64) -> Option<(u32, Vec<Report, MAX_REPORTS>)> {
        let is_waiting = self.waiting.first().is_some_and(|first| first.number <= self.sent);
        if is_waiting && uptime_ms.saturating_sub(self.waits_since_ms) >= RESEND_MS {
            self.sent = 0;
        }
        let before = self.sent;
        let mut reports = Vec::new();
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.number > before).take(MAX_REPORTS) {
            let at_ms = *waiting.at_ms.get_or_insert_with(|| epoch_ms.saturating_add_unsigned(waiting.uptime_ms));
            let Waiting { number, channel, measure, .. } = *waiting;
            self.sent = number;
            // As many as are taken.
            let _ = reports.push(Report { number, channel, at_ms, measure });
        }
        if reports.is_empty() {
            return None;
        }
        if self.waiting.first().is_some_and(|first| first.number > before) {
            self.waits_since_ms = uptime_ms;
        }
        Some((before, reports))
    }

    /// Gives up one report that is neither the first of its channel's gravest, nor its newest: the oldest such.
    fn fold(&mut self) {
        let is_spare = |(place, report): (usize, &Waiting)| {
            let same = |other: &&Waiting| {
                other.channel == report.channel && discriminant(&other.measure) == discriminant(&report.measure)
            };
            let graver_or_as_grave_before = self
                .waiting
                .iter()
                .take(place)
                .filter(same)
                .any(|other| gravity(other.measure) >= gravity(report.measure));
            let mut after = self.waiting.iter().skip(place + 1).filter(same);
            let graver_after = after.clone().any(|other| gravity(other.measure) > gravity(report.measure));
            after.next().is_some() && (graver_or_as_grave_before || graver_after)
        };
        if let Some(place) = self.waiting.iter().enumerate().position(is_spare) {
            self.waiting.remove(place);
        }
    }
}

/// How grave a measure is, beside others of its kind.
fn gravity(measure: Measure) -> f32 {
    match measure {
        Measure::Made(true) | Measure::Pressed(true) | Measure::Present(true) => 1.0,
        Measure::Made(false) | Measure::Pressed(false) | Measure::Present(false) | Measure::Line(Line::Normal) => 0.0,
        Measure::Line(Line::Open | Line::Short) => 1.0,
        Measure::Line(Line::Alarm) => 2.0,
        Measure::Temperature(value) | Measure::Humidity(value) | Measure::Gas(value) | Measure::Current(value) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    extern crate std;
    use std::vec::Vec;

    /// All that waits in the urgent lane, as a gateway that hears everything is told of it.
    fn told(outbox: &mut Outbox) -> Vec<(u8, Measure)> {
        let mut told = Vec::new();
        while let Some(batch) = outbox.batch(Lane::Urgent, 0, 0) {
            told.extend(batch.iter().map(|report| (report.channel, report.measure)));
        }
        told
    }

    #[test]
    fn folding_keeps_the_first_alarm_and_the_newest_state_of_each_channel() {
        let mut outbox = Outbox::default();
        outbox.file(Lane::Urgent, 0, Measure::Made(false), 0);
        outbox.file(Lane::Urgent, 0, Measure::Made(true), 1);
        outbox.file(Lane::Urgent, 0, Measure::Made(false), 2);
        // A loose contact fills the lane many times.
        for time in 0..1_000 {
            outbox.file(Lane::Urgent, 1, Measure::Made(time % 2 == 0), 3 + time);
        }
        let told = told(&mut outbox);
        assert!(told.contains(&(0, Measure::Made(true))), "the alarm of the other channel is there");
        assert_eq!(told.iter().find(|(channel, _)| *channel == 1), Some(&(1, Measure::Made(true))));
        assert_eq!(told.last(), Some(&(1, Measure::Made(false))), "and the newest state");
    }

    #[test]
    fn however_many_channels_raise_alarms_none_is_let_go_of() {
        let mut outbox = Outbox::default();
        for time in 0..2_000 {
            let channel = u8::try_from(time % MAX_CHANNELS as u64).unwrap();
            let alarm = time == 1_000 + u64::from(channel);
            outbox.file(Lane::Urgent, channel, Measure::Line(if alarm { Line::Alarm } else { Line::Open }), time);
            outbox.file(Lane::Urgent, channel, Measure::Temperature(if alarm { 90.0 } else { 20.0 }), time);
        }
        let told = told(&mut outbox);
        let with_alarm = told.iter().filter(|(_, measure)| *measure == Measure::Line(Line::Alarm)).count();
        let hot = told.iter().filter(|(_, measure)| *measure == Measure::Temperature(90.0)).count();
        let alarms = (0..MAX_CHANNELS as u64).filter(|channel| (1_000 + channel) % 12 == *channel).count();
        assert_eq!((with_alarm, hot), (alarms, alarms));
    }

    #[test]
    fn the_oldest_routine_reports_yield_and_are_counted() {
        let mut outbox = Outbox::default();
        for time in 0..ROUTINE as u64 + 10 {
            outbox.file(Lane::Routine, 0, Measure::Made(true), time);
        }
        assert_eq!(outbox.let_go(), 10);
        assert_eq!(outbox.batch(Lane::Routine, 0, 0).unwrap()[0].number, 11);
    }

    #[test]
    fn an_acknowledgement_of_what_was_never_sent_releases_nothing() {
        let mut outbox = Outbox::default();
        outbox.file(Lane::Urgent, 0, Measure::Pressed(true), 0);
        outbox.told(true, [u32::MAX; 2], 0);
        assert!(!outbox.has_no_alarms());
        assert_eq!(outbox.batch(Lane::Urgent, 5, 0).unwrap()[0].at_ms, 5);
        outbox.told(true, [1, 0], 0);
        assert!(outbox.has_no_alarms());
    }

    #[test]
    fn what_has_arrived_waits_two_seconds_for_its_acknowledgement_and_what_has_not_does_not() {
        let mut outbox = Outbox::default();
        outbox.file(Lane::Urgent, 0, Measure::Pressed(true), 0);
        let first = outbox.batch(Lane::Urgent, 0, 100).unwrap();
        outbox.told(false, [0, 0], 200);
        assert_eq!(outbox.batch(Lane::Urgent, 7, 200), Some(first.clone()), "lost: at once, with the same time");
        outbox.told(true, [0, 0], 300);
        assert_eq!(outbox.batch(Lane::Urgent, 7, 300), None);
        outbox.file(Lane::Urgent, 1, Measure::Pressed(true), 400);
        assert_eq!(outbox.batch(Lane::Urgent, 7, 400).unwrap()[0].number, 2, "a new alarm waits for nobody");
        assert_eq!(outbox.batch(Lane::Urgent, 7, 2_199), None);
        assert_eq!(outbox.batch(Lane::Urgent, 7, 2_200).unwrap()[0], first[0]);
    }
}
