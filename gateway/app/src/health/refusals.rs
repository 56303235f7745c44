//! Whether wrong credentials come again and again.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A person mistypes a few times, a device with a wrong secret comes back each half minute at the latest.
const MANY: usize = 20;
const WITHIN: Duration = Duration::from_secs(600);

/// The last refusals at a door.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<VecDeque<Instant>>);

impl Refusals {
    /// Somebody was refused.
    pub(crate) fn note(&self, now: Instant) {
        if let Ok(mut last) = self.0.lock() {
            if last.len() >= MANY {
                last.pop_front();
            }
            last.push_back(now);
        }
    }

    /// Whether there were many of late.
    pub(crate) fn are_many(&self, now: Instant) -> bool {
        self.0.lock().is_ok_and(|last| {
            last.len() >= MANY && last.front().is_some_and(|first| now.saturating_duration_since(*first) < WITHIN)
        })
    }

    /// In words: how many in which time.
    pub(crate) fn text(zh_what: &str, en_what: &str) -> ninewatch_core::alert::Text {
        let minutes = WITHIN.as_secs() / 60;
        ninewatch_core::alert::Text {
            zh: format!("{minutes} 分钟内 {MANY} 次以上{zh_what}"),
            en: format!("{en_what}, {MANY} times or more in {minutes} min"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_of_late_count_and_few_or_old_ones_do_not() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        for _ in 1..MANY {
            refusals.note(start);
        }
        assert!(!refusals.are_many(start));
        refusals.note(start);
        assert!(refusals.are_many(start));
        assert!(!refusals.are_many(start + WITHIN), "it has ended");
        for minutes in 0..2 * u32::try_from(MANY).unwrap() {
            refusals.note(start + Duration::from_secs(60) * minutes);
            assert!(refusals.0.lock().unwrap().len() <= MANY);
        }
        assert!(!refusals.are_many(start + Duration::from_secs(60) * 39), "one a minute is a person, or nobody");
    }
}
