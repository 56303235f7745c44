//! When a node's uptime was 0, by the gateway's clock: nodes have no time of their own.

use ninewatch_core::time::TimeMs;

/// What a node was told by a gateway that ran before is kept within this: its reports keep their times.
const CLOSE_MS: i64 = 2_000;
/// A node whose clock has drifted by more is told anew.
const DRIFT_MS: i64 = 200;
/// The soonest of so many answers counts: a line can be slow, and none is early.
const ANSWERS: u32 = 32;

/// What a node is told of the time.
#[derive(Debug, Default)]
pub(super) struct Epoch {
    told_ms: Option<TimeMs>,
    /// The soonest so far, and of how many answers.
    soonest: Option<(TimeMs, u32)>,
}

impl Epoch {
    /// What it is told.
    pub(super) fn get(&self) -> Option<TimeMs> {
        self.told_ms
    }

    /// The node says who it is, and what it was told before.
    pub(super) fn begin(&mut self, now_ms: TimeMs, uptime_ms: u64, own: Option<TimeMs>) {
        let reckoned = now_ms.saturating_sub_unsigned(uptime_ms);
        let kept = own.filter(|own| own.abs_diff(reckoned) <= CLOSE_MS.unsigned_abs());
        self.told_ms = Some(kept.unwrap_or(reckoned));
        self.soonest = None;
    }

    /// The node has answered now.
    pub(super) fn learn(&mut self, now_ms: TimeMs, uptime_ms: u64) {
        let Some(told_ms) = self.told_ms else { return };
        let reckoned = now_ms.saturating_sub_unsigned(uptime_ms);
        let (soonest, answers) =
            self.soonest.map_or((reckoned, 1), |(soonest, count)| (soonest.min(reckoned), count + 1));
        self.soonest = Some((soonest, answers));
        if answers >= ANSWERS {
            self.soonest = None;
            if soonest.abs_diff(told_ms) > DRIFT_MS.unsigned_abs() {
                self.told_ms = Some(soonest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: TimeMs = 1_795_467_300_000;

    #[test]
    fn a_gateway_that_starts_anew_keeps_what_the_node_has_of_its_predecessor() {
        let mut epoch = Epoch::default();
        epoch.begin(NOW, 10_000, Some(NOW - 10_000 + CLOSE_MS));
        assert_eq!(epoch.get(), Some(NOW - 8_000));
        epoch.begin(NOW, 10_000, Some(NOW - 10_000 + CLOSE_MS + 1));
        assert_eq!(epoch.get(), Some(NOW - 10_000), "that one's clock was wrong");
    }

    #[test]
    fn a_slow_answer_moves_nothing_and_a_clock_that_drifts_is_set_right() {
        let mut epoch = Epoch::default();
        epoch.begin(NOW, 0, None);
        for answer in 1..=i64::from(ANSWERS) {
            let late_ms = if answer % 2 == 0 { 900 } else { 0 };
            epoch.learn(NOW + answer * 100 + late_ms, (answer * 100).unsigned_abs());
        }
        assert_eq!(epoch.get(), Some(NOW));
        // The node's clock runs slow by 250 ms.
        (1..=i64::from(ANSWERS))
            .for_each(|answer| epoch.learn(NOW + 250 + answer * 100, (answer * 100).unsigned_abs()));
        assert_eq!(epoch.get(), Some(NOW + 250));
    }
}
