//! What the gateway counts, as Prometheus reads it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use ninewatch_core::alert::{AlertChange, ChangeKind, Scene};
use ninewatch_core::reading::SensorClass;

/// Counters of the reading's way. Each is written by one thread and read by anybody.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    readings: [AtomicU64; SensorClass::ALL.len()],
    pub(crate) messages: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    pub(crate) late: AtomicU64,
    pub(crate) folded: AtomicU64,
    pub(crate) score_errors: AtomicU64,
    /// Messages that wait for room on the disk.
    pub(crate) deferred: AtomicU64,
    pub(crate) commits: AtomicU64,
    commit_us: AtomicU64,
    pub(crate) journal_bytes: AtomicU64,
    rejected: Mutex<BTreeMap<&'static str, u64>>,
    changes: Mutex<BTreeMap<(Scene, ChangeKind), u64>>,
}

impl Counters {
    pub(crate) fn count_readings(&self, class: SensorClass, count: u64) {
        if let Some(counter) = self.readings.get(class as usize) {
            counter.fetch_add(count, Relaxed);
        }
    }

    pub(crate) fn readings(&self, class: SensorClass) -> u64 {
        self.readings.get(class as usize).map_or(0, |counter| counter.load(Relaxed))
    }

    pub(crate) fn count_rejected(&self, code: &'static str) {
        if let Ok(mut rejected) = self.rejected.lock() {
            *rejected.entry(code).or_default() += 1;
        }
    }

    /// Rejected messages by reason.
    pub(crate) fn rejected(&self) -> BTreeMap<&'static str, u64> {
        self.rejected.lock().map(|rejected| rejected.clone()).unwrap_or_default()
    }

    pub(crate) fn count_change(&self, change: &AlertChange) {
        if let Ok(mut changes) = self.changes.lock() {
            *changes.entry((change.alert.scene, change.kind)).or_default() += 1;
        }
    }

    pub(crate) fn count_commit(&self, took: Duration, journal_bytes: u64) {
        self.commits.fetch_add(1, Relaxed);
        self.commit_us.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
        self.journal_bytes.fetch_add(journal_bytes, Relaxed);
    }

    /// Prometheus' text format.
    pub(crate) fn render(&self) -> String {
        let mut out = String::new();
        header(&mut out, "ninewatch_readings_total", "counter", "New readings by sensor class.");
        for class in SensorClass::ALL {
            let _ = writeln!(out, "ninewatch_readings_total{{class=\"{class}\"}} {}", self.readings(class));
        }
        header(&mut out, "ninewatch_rejected_total", "counter", "Messages that brought no reading, by reason.");
        for (code, count) in self.rejected() {
            let _ = writeln!(out, "ninewatch_rejected_total{{reason=\"{code}\"}} {count}");
        }
        header(&mut out, "ninewatch_alert_changes_total", "counter", "Alert changes by scene and kind.");
        if let Ok(changes) = self.changes.lock() {
            for ((scene, kind), count) in &*changes {
                let (scene, kind) = (word(scene), word(kind));
                let _ = writeln!(out, "ninewatch_alert_changes_total{{scene={scene},kind={kind}}} {count}");
            }
        }
        let singles = [
            ("ninewatch_messages_total", "Messages taken in by any door.", &self.messages),
            ("ninewatch_duplicate_readings_total", "Readings that were there already.", &self.duplicates),
            ("ninewatch_late_readings_total", "Readings placed before newer ones.", &self.late),
            ("ninewatch_folded_findings_total", "Findings folded into an alert without a change.", &self.folded),
            ("ninewatch_score_errors_total", "Models that gave no score.", &self.score_errors),
            ("ninewatch_journal_commits_total", "Commits of the journal.", &self.commits),
            ("ninewatch_journal_bytes_total", "Bytes written to the journal.", &self.journal_bytes),
        ];
        for (name, help, counter) in singles {
            header(&mut out, name, "counter", help);
            let _ = writeln!(out, "{name} {}", counter.load(Relaxed));
        }
        header(&mut out, "ninewatch_journal_commit_seconds_total", "counter", "Time spent in commits of the journal.");
        let commits = Duration::from_micros(self.commit_us.load(Relaxed));
        let _ = writeln!(out, "ninewatch_journal_commit_seconds_total {}", commits.as_secs_f64());
        header(&mut out, "ninewatch_waiting_for_disk_messages", "gauge", "Messages that wait for room on the disk.");
        let _ = writeln!(out, "ninewatch_waiting_for_disk_messages {}", self.deferred.load(Relaxed));
        out
    }
}

/// One metric's two lines of introduction.
pub(crate) fn header(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// A unit variant as its quoted snake_case word.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
