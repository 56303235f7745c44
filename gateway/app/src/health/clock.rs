//! Whether the system's time can be right: a box without a battery for its clock begins somewhere in the past, and
//! somebody may set the clock while the gateway runs.

use rustix::time::{ClockId, clock_gettime};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ninewatch_core::ailment::Ailment;
use ninewatch_core::alert::Text;
use ninewatch_core::time::{TimeMs, UtcOffset};

use super::Part;
use crate::clock::Clock;
use crate::metrics::header;

/// 2026-01-01T00:00:00Z. This version was not there before.
const EARLIEST_MS: TimeMs = 1_767_225_600_000;
/// Time synchronisation slews by 0.5 ms a second, and a busy machine is late by a second or two. A step is more.
const STEP_MS: i64 = 10_000;
/// A machine that has just begun may still be fetching the time.
const PATIENCE_MS: i64 = 120_000;
/// Where systemd-timesyncd, which the image has, says by a file that it has got the time. Others keep the time as they
/// like: of theirs nothing is known.
const TIMESYNCD: &str = "/run/systemd/timesync";
/// For how long a jump is told.
const TOLD_MS: i64 = 600_000;

/// The system's time, held against what is known of it.
#[derive(Debug)]
pub(crate) struct ClockHealth {
    utc_offset: UtcOffset,
    judge: Mutex<Judge>,
}

#[derive(Debug)]
struct Judge {
    /// The first look, in milliseconds since the machine began; it counts on while the machine sleeps.
    begun_ms: i64,
    /// The last look: since the machine began, and what time it was said to be.
    last: (i64, TimeMs),
    /// The latest time there was: decisions do not go back behind it.
    latest_ms: TimeMs,
    wrong_since_ms: Option<i64>,
    /// When a jump was seen, from what time to what time.
    jump: Option<(i64, TimeMs, TimeMs)>,
    jumps: u64,
    is_unsynced: bool,
}

impl ClockHealth {
    /// `recorded_ms` is the last time in the journal, 0 where there is none.
    pub(crate) fn new(recorded_ms: TimeMs, utc_offset: UtcOffset) -> Self {
        Self { utc_offset, judge: Mutex::new(Judge::new(recorded_ms, running_ms(), Clock::System.now_ms())) }
    }

    fn look(&self) -> Vec<(Ailment, Text)> {
        let mut judge = self.judge.lock().unwrap_or_else(PoisonError::into_inner);
        judge.look(running_ms(), Clock::System.now_ms());
        judge.is_unsynced = is_unsynced(Path::new(TIMESYNCD));
        judge.ails(self.utc_offset)
    }
}

/// Whether the time is still to come from the network.
fn is_unsynced(timesyncd: &Path) -> bool {
    timesyncd.is_dir() && !timesyncd.join("synchronized").exists()
}

/// Milliseconds since the machine began.
fn running_ms() -> i64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000)
}

impl Judge {
    fn new(recorded_ms: TimeMs, running_ms: i64, now: TimeMs) -> Self {
        let latest_ms = recorded_ms.max(EARLIEST_MS);
        let mut judge = Self {
            begun_ms: running_ms,
            last: (running_ms, now),
            latest_ms,
            wrong_since_ms: None,
            jump: None,
            jumps: 0,
            is_unsynced: false,
        };
        judge.look(running_ms, now);
        judge
    }

    fn look(&mut self, running_ms: i64, now: TimeMs) {
        let (ran_ms, was) = self.last;
        let expected = was + (running_ms - ran_ms);
        // What was wrong and comes right is no jump to tell of; nor is the first synchronisation after a start.
        let is_settled = self.wrong_since_ms.is_none() && running_ms - self.begun_ms > PATIENCE_MS;
        if now - expected > STEP_MS {
            self.jumps += 1;
            if is_settled {
                self.jump = Some((running_ms, expected, now));
            }
        }
        self.last = (running_ms, now);
        if now < self.latest_ms - STEP_MS {
            self.wrong_since_ms.get_or_insert(running_ms);
        } else {
            self.wrong_since_ms = None;
            self.latest_ms = self.latest_ms.max(now);
        }
    }

    fn ails(&self, utc_offset: UtcOffset) -> Vec<(Ailment, Text)> {
        let mut ails = Vec::new();
        let (running_ms, _) = self.last;
        if self.wrong_since_ms.is_some_and(|since| running_ms - since >= PATIENCE_MS) {
            let known = utc_offset.rfc3339(self.latest_ms);
            let text = Text {
                zh: format!("系统时间早于已知的 {known}：计时停在该时刻，失联、持续时间和升级均无法判断"),
                en: format!(
                    "the clock is behind {known}, which has been: time stands still there, and with it silence, \
                     durations and escalation"
                ),
            };
            ails.push((Ailment::ClockWrong, text));
        } else if self.is_unsynced {
            let text = Text {
                zh: "开机以来尚未与网络校时，预警中的时刻可能有偏差".into(),
                en: "the network has not confirmed the time since the machine began: times in alerts may be off".into(),
            };
            ails.push((Ailment::ClockUnsynced, text));
        }
        if let Some((_, from, to)) = self.jump.filter(|(at_ms, ..)| running_ms - at_ms < TOLD_MS) {
            let [from, to] = [from, to].map(|time| utc_offset.rfc3339(time));
            let text = Text {
                zh: format!("系统时间从 {from} 跳到 {to}"),
                en: format!("the clock went from {from} to {to}"),
            };
            ails.push((Ailment::ClockJumped, text));
        }
        ails
    }
}

impl Part for ClockHealth {
    fn name(&self) -> String {
        "clock".into()
    }

    fn ails(&self) -> Vec<(Ailment, Text)> {
        self.look()
    }

    fn metrics(&self, out: &mut String) {
        self.look();
        let judge = self.judge.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, kind, help, value) in [
            (
                "ninewatch_clock_trusted",
                "gauge",
                "0 while the system's time is one that has been, or is still to come from the network.",
                u64::from(judge.wrong_since_ms.is_none() && !judge.is_unsynced),
            ),
            ("ninewatch_clock_jumps_total", "counter", "Times that the system's time was set forward.", judge.jumps),
        ] {
            header(out, name, kind, help);
            let _ = writeln!(out, "{name} {value}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: TimeMs = EARLIEST_MS + 300 * 86_400_000;
    const HOUR: i64 = 3_600_000;

    /// The time is as set, and then goes on for so long.
    fn go_on(judge: &mut Judge, mut now: TimeMs, for_ms: i64) -> Vec<Ailment> {
        let mut running_ms = judge.last.0;
        for _ in 0..=for_ms / 1000 {
            running_ms += 1000;
            now += 1000;
            judge.look(running_ms, now);
        }
        judge.ails(UtcOffset::CHINA).into_iter().map(|(ailment, _)| ailment).collect()
    }

    #[test]
    fn a_box_without_a_clock_says_so_unless_it_gets_the_time_soon() {
        for (recorded, begins) in [(0, 0), (NOON, NOON - 20_000), (NOON, NOON - 10 * 365 * 24 * HOUR)] {
            let mut judge = Judge::new(recorded, 5_000, begins);
            assert_eq!(go_on(&mut judge, begins, if begins == NOON - 20_000 { 1_000 } else { 60_000 }), []);
            // It is told the time.
            assert_eq!(go_on(&mut judge, NOON + HOUR, 60_000), [], "that is how such a box begins");
        }
        let mut judge = Judge::new(NOON, 5_000, 0);
        assert_eq!(go_on(&mut judge, 0, PATIENCE_MS), [Ailment::ClockWrong]);
        assert_eq!(go_on(&mut judge, NOON + HOUR, 1_000), [], "and it is well when it has got the time");
    }

    #[test]
    fn a_clock_that_is_set_while_the_gateway_runs_is_told_for_a_while() {
        let mut judge = Judge::new(NOON, 5_000, NOON);
        assert_eq!(go_on(&mut judge, NOON, 2 * PATIENCE_MS), []);
        let now = judge.last.1;
        assert_eq!(go_on(&mut judge, now + HOUR, 10_000), [Ailment::ClockJumped]);
        let said = judge.ails(UtcOffset::CHINA).remove(0).1;
        assert!(said.en.contains("08:04:0") && said.en.contains("09:04:0"), "{}", said.en);
        let now = judge.last.1;
        assert_eq!(go_on(&mut judge, now, TOLD_MS), []);
        // Back by an hour: time stands still until it is made up for.
        let now = judge.last.1;
        assert_eq!(go_on(&mut judge, now - HOUR, PATIENCE_MS), [Ailment::ClockWrong]);
        let now = judge.last.1;
        assert_eq!(go_on(&mut judge, now, HOUR), []);
        assert_eq!(judge.jumps, 1);
    }

    #[test]
    fn a_time_that_nobody_confirmed_is_told() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_unsynced(&folder.path().join("absent")), "of other services nothing is known");
        assert!(is_unsynced(folder.path()));
        std::fs::write(folder.path().join("synchronized"), "").unwrap();
        assert!(!is_unsynced(folder.path()));

        let mut judge = Judge::new(0, 5_000, NOON);
        judge.is_unsynced = true;
        assert_eq!(go_on(&mut judge, NOON, 1_000), [Ailment::ClockUnsynced]);
    }

    #[test]
    fn slewing_and_a_busy_machine_are_no_jump() {
        let mut judge = Judge::new(NOON, 5_000, NOON);
        for second in 0..1_000 {
            judge.look(5_000 + second * 1_000, NOON + second * 1_005);
        }
        judge.look(5_000 + 1_100_000, NOON + 1_105_000);
        assert_eq!((judge.ails(UtcOffset::CHINA), judge.jumps), (Vec::new(), 0));
    }
}
