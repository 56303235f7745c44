//! How fast a channel may speak, and how long it waits when it was not heard.

use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

use super::service::Limits;

/// A little longer than the services' own minute: messages take different times to get there.
const MINUTE: Duration = Duration::from_millis(61_000);
const SECOND: Duration = Duration::from_millis(1_100);

/// When messages were sent, against what the service takes.
#[derive(Debug)]
pub(super) struct Pace {
    limits: Limits,
    sent: VecDeque<Instant>,
}

impl Pace {
    /// `ago`: how long ago messages were sent before the gateway's start, oldest first.
    pub(super) fn new(limits: Limits, ago: impl IntoIterator<Item = Duration>, now: Instant) -> Self {
        let sent = ago.into_iter().filter(|ago| *ago < MINUTE).filter_map(|ago| now.checked_sub(ago)).collect();
        Self { limits, sent }
    }

    /// A message goes out.
    pub(super) fn sent(&mut self, now: Instant) {
        self.sent.push_back(now);
        while self.sent.front().is_some_and(|at| *at + MINUTE <= now) {
            self.sent.pop_front();
        }
    }

    /// How many may go out within this minute.
    pub(super) fn free(&self, now: Instant) -> usize {
        let Some(limit) = self.limits.per_minute else { return usize::MAX };
        limit.saturating_sub(self.sent.iter().filter(|at| **at + MINUTE > now).count())
    }

    /// Until when the next one has to wait for more than `reserve` to be free, if it has to.
    pub(super) fn free_at(&self, reserve: usize, now: Instant) -> Option<Instant> {
        let within = |limit: Option<usize>, window: Duration| {
            let before = limit?.max(1) - 1;
            // The one that is so many back has to be out of the window.
            let at = *self.sent.iter().rev().nth(before)? + window;
            (at > now).then_some(at)
        };
        let minute = self.limits.per_minute.map(|limit| limit.saturating_sub(reserve));
        within(minute, MINUTE).max(within(self.limits.per_second, SECOND))
    }

    /// Kept free for critical alerts.
    pub(super) fn reserve(&self) -> usize {
        self.limits.per_minute.map_or(0, |limit| limit / 4)
    }
}

/// Growing pauses, half of each by chance: hundreds of gateways do not come back in step.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The next pause, up to `longest`.
    pub(super) fn pause(&mut self, longest: Duration) -> Duration {
        let full = (Duration::from_secs(1) * 2_u32.pow(self.failures.min(12))).min(longest);
        self.failures = self.failures.saturating_add(1);
        let chance = f64::from(getrandom::u32().unwrap_or(0)) / f64::from(u32::MAX);
        full.div_f64(2.0) + full.div_f64(2.0).mul_f64(chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_minute_and_no_second_holds_more_than_the_service_takes() {
        let limits = Limits { per_minute: Some(20), per_second: Some(5), bytes: 0 };
        let begun = Instant::now();
        let mut pace = Pace::new(limits, (0..3).map(|n| Duration::from_secs(40 - n)), begun);
        let mut now = begun;
        let mut sent: Vec<Instant> = (0..3).map(|n| begun - Duration::from_secs(40 - n)).collect();
        while sent.len() < 100 {
            match pace.free_at(0, now) {
                Some(at) => now = at,
                None => {
                    pace.sent(now);
                    sent.push(now);
                }
            }
        }
        for at in &sent {
            let within = |window: u64| {
                sent.iter().filter(|other| **other >= *at && **other < *at + Duration::from_secs(window)).count()
            };
            assert!(within(60) <= 20 && within(1) <= 5, "{} {}", within(60), within(1));
        }
        // And no slower than it has to be: five windows.
        assert!(now - begun < Duration::from_secs(5 * 61));
    }

    #[test]
    fn a_reserve_is_left() {
        let limits = Limits { per_minute: Some(20), per_second: None, bytes: 0 };
        let now = Instant::now();
        let mut pace = Pace::new(limits, [], now);
        for _ in 0..15 {
            assert_eq!(pace.free_at(pace.reserve(), now), None);
            pace.sent(now);
        }
        assert_eq!(pace.free_at(pace.reserve(), now), Some(now + MINUTE));
        assert_eq!((pace.free_at(0, now), pace.free(now)), (None, 5));
    }
}
