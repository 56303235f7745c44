//! Whether the engine decides in time, by how long it takes to answer.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ninewatch_core::ailment::Ailment;
use ninewatch_core::alert::Text;

use super::Part;
use crate::metrics::header;

/// It answers in milliseconds; an alarm that waits so long is late.
const LATE: Duration = Duration::from_secs(5);
/// A late answer counts for so long.
const REMEMBERED: Duration = Duration::from_secs(60);

/// How long the engine takes to answer the watcher, whose question waits in line with readings.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    asked: Option<Instant>,
    took: Duration,
    late_at: Option<Instant>,
}

impl Pace {
    /// The engine is asked now.
    pub(super) fn ask(&self) -> Instant {
        let now = Instant::now();
        self.lock().asked = Some(now);
        now
    }

    /// It has answered what it was `asked` then.
    pub(super) fn answered(&self, asked: Instant) {
        self.took(asked, Instant::now());
    }

    fn took(&self, asked: Instant, now: Instant) {
        let mut state = self.lock();
        state.asked = None;
        state.took = now.duration_since(asked);
        if state.took > LATE {
            state.late_at = Some(now);
        }
    }

    fn is_late(&self, now: Instant) -> bool {
        let state = self.lock();
        let passed = |since: Option<Instant>| since.map(|since| now.saturating_duration_since(since));
        passed(state.asked).is_some_and(|waits| waits > LATE)
            || passed(state.late_at).is_some_and(|ago| ago < REMEMBERED)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Part for Pace {
    fn name(&self) -> String {
        "decisions".into()
    }

    fn ails(&self) -> Vec<(Ailment, Text)> {
        if !self.is_late(Instant::now()) {
            return Vec::new();
        }
        let late = LATE.as_secs();
        let text = Text {
            zh: format!("判断延迟超过 {late} 秒"),
            en: format!("decisions come more than {late} s late"),
        };
        vec![(Ailment::Overloaded, text)]
    }

    fn metrics(&self, out: &mut String) {
        let name = "ninewatch_decision_delay_seconds";
        header(out, name, "gauge", "How long the engine took to answer last, in line with readings.");
        let _ = writeln!(out, "{name} {:.6}", self.lock().took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_late_or_does_not_come_counts_and_is_forgotten() {
        let (pace, start) = (Pace::default(), Instant::now());
        assert!(!pace.is_late(start));
        pace.took(start, start + LATE);
        assert!(!pace.is_late(start + LATE));
        pace.lock().asked = Some(start);
        let second = Duration::from_secs(1);
        assert!(!pace.is_late(start + LATE) && pace.is_late(start + LATE + second), "it does not answer");
        pace.took(start, start + LATE + second);
        assert!(pace.is_late(start + LATE + 2 * second) && pace.ails()[0].0 == Ailment::Overloaded);
        assert!(!pace.is_late(start + LATE + second + REMEMBERED));
    }
}
