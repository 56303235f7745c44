//! How often each rule raised something, on both sides.

use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;

use ninewatch_core::alert::{Alert, AlertChange, AlertId, ChangeKind, Severity};
use ninewatch_core::pipeline::Effects;
use ninewatch_core::time::{TimeMs, UtcOffset};

use crate::cli::table;
use crate::lang::{self, Lang};

/// What was raised on both sides.
#[derive(Debug, Default)]
pub(super) struct Counted {
    from_ms: TimeMs,
    to_ms: TimeMs,
    recorded: Side,
    what_if: Side,
    /// Bursts without a recorded score, by model.
    unscored: BTreeMap<String, u64>,
}

#[derive(Debug, Default)]
struct Side {
    rules: BTreeMap<String, Count>,
    alerts: BTreeMap<AlertId, Alert>,
}

/// What a rule raised.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
struct Count {
    /// Alerts that it opened.
    alerts: u64,
    /// Those by the severity that they opened with.
    by_severity: BTreeMap<Severity, u64>,
    /// What it found and was told to staff: new alerts, and what joined one or came again.
    findings: u64,
}

impl Counted {
    /// Counts from one time to the other.
    pub(super) fn new(from_ms: TimeMs, to_ms: TimeMs) -> Self {
        Self { from_ms, to_ms, ..Self::default() }
    }

    /// Takes what followed from an event on both sides.
    pub(super) fn take(&mut self, recorded: &Effects, what_if: &Effects) {
        let counts = |change: &&AlertChange| change.at_ms >= self.from_ms;
        recorded.changes.iter().filter(counts).for_each(|change| self.recorded.take(change));
        what_if.changes.iter().filter(counts).for_each(|change| self.what_if.take(change));
        for error in &what_if.score_errors {
            *self.unscored.entry(error.model.clone()).or_default() += 1;
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "days of a recording")]
    fn days(&self) -> f64 {
        (self.to_ms - self.from_ms).max(1) as f64 / 86_400_000.0
    }

    /// Every rule that raised something on one side at least.
    fn rules(&self) -> impl Iterator<Item = (&str, Count, Count)> {
        let mut ids: Vec<&String> = self.recorded.rules.keys().chain(self.what_if.rules.keys()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter().map(|id| (id.as_str(), self.recorded.of(id), self.what_if.of(id)))
    }

    /// For people.
    pub(super) fn print(&self, out: &mut impl Write, utc_offset: UtcOffset, lang: Lang) -> anyhow::Result<()> {
        let (from, to, days) = (utc_offset.rfc3339(self.from_ms), utc_offset.rfc3339(self.to_ms), self.days());
        match lang {
            Lang::Zh => writeln!(out, "{from} 至 {to}，{days:.1} 天\n")?,
            Lang::En => writeln!(out, "{from} to {to}, {days:.1} days\n")?,
        }
        let header = match lang {
            Lang::Zh => ["规则", "预警：记录", "假设", "差", "发现：记录", "假设", "差"],
            Lang::En => ["RULE", "ALERTS: RECORDED", "WHAT IF", "CHANGE", "FINDINGS: RECORDED", "WHAT IF", "CHANGE"],
        };
        let row = |(name, recorded, what_if): (&str, Count, Count)| {
            let [a, b, c] = compared(recorded.alerts, what_if.alerts);
            let [d, e, f] = compared(recorded.findings, what_if.findings);
            [name.to_owned(), a, b, c, d, e, f]
        };
        let total = (lang.pick("合计", "total"), self.recorded.total(), self.what_if.total());
        table::print(out, header, self.rules().chain([total]).map(row))?;
        writeln!(out)?;
        let header = match lang {
            Lang::Zh => ["预警级别", "记录", "假设", "差"],
            Lang::En => ["ALERTS BY SEVERITY", "RECORDED", "WHAT IF", "CHANGE"],
        };
        let (recorded, what_if) = (self.recorded.by_severity(), self.what_if.by_severity());
        let of = |counts: &BTreeMap<Severity, u64>, severity| counts.get(&severity).copied().unwrap_or(0);
        let row = |severity| {
            let [a, b, c] = compared(of(&recorded, severity), of(&what_if, severity));
            [lang::severity(severity, lang).to_owned(), a, b, c]
        };
        let (before, after) = (self.recorded.per_day(self.days()), self.what_if.per_day(self.days()));
        let per_day = [
            lang.pick("每天", "a day").to_owned(),
            format!("{before:.1}"),
            format!("{after:.1}"),
            format!("{:+.1}", after - before),
        ];
        let severities = [Severity::Critical, Severity::Major, Severity::Minor, Severity::Notice];
        table::print(out, header, severities.into_iter().map(row).chain([per_day]))?;
        for (model, count) in &self.unscored {
            match lang {
                Lang::Zh => writeln!(out, "\n模型 {model}：{count} 段波形没有记录的得分，无法判断")?,
                Lang::En => {
                    writeln!(out, "\nmodel {model}: {count} bursts have no recorded score and were not judged")?
                }
            }
        }
        Ok(())
    }

    /// For programs: one object, with the alerts of both sides.
    pub(super) fn print_json(&self, out: &mut impl Write, utc_offset: UtcOffset) -> anyhow::Result<()> {
        let rule = |(rule, recorded, what_if): (&str, Count, Count)| json!({ "rule": rule, "recorded": recorded, "what_if": what_if });
        let side = |side: &Side| {
            let (total, by_severity) = (side.total(), side.by_severity());
            json!({
                "alerts": total.alerts,
                "findings": total.findings,
                "by_severity": by_severity,
                "alerts_per_day": side.per_day(self.days()),
            })
        };
        let report = json!({
            "from": utc_offset.rfc3339(self.from_ms),
            "to": utc_offset.rfc3339(self.to_ms),
            "rules": self.rules().map(rule).collect::<Vec<_>>(),
            "total": { "recorded": side(&self.recorded), "what_if": side(&self.what_if) },
            "unscored": self.unscored,
            "alerts": {
                "recorded": self.recorded.alerts.values().collect::<Vec<_>>(),
                "what_if": self.what_if.alerts.values().collect::<Vec<_>>(),
            },
        });
        Ok(writeln!(out, "{report}")?)
    }
}

impl Side {
    fn take(&mut self, change: &AlertChange) {
        let alert = &change.alert;
        if let Some(evidence) = &change.evidence {
            let count = self.rules.entry(evidence.rule.clone()).or_default();
            count.findings += 1;
            if change.kind == ChangeKind::Raised {
                count.alerts += 1;
                *count.by_severity.entry(alert.severity).or_default() += 1;
            }
        }
        // What was open before the time that counts is not of it.
        if change.kind == ChangeKind::Raised || self.alerts.contains_key(&alert.id) {
            self.alerts.insert(alert.id.clone(), alert.clone());
        }
    }

    fn of(&self, rule: &str) -> Count {
        self.rules.get(rule).cloned().unwrap_or_default()
    }

    /// The alerts by the gravest that they came to be.
    fn by_severity(&self) -> BTreeMap<Severity, u64> {
        let mut counts = BTreeMap::new();
        for alert in self.alerts.values() {
            *counts.entry(alert.severity).or_default() += 1;
        }
        counts
    }

    fn total(&self) -> Count {
        let sum = |of: fn(&Count) -> u64| self.rules.values().map(of).sum();
        Count {
            alerts: sum(|count| count.alerts),
            findings: sum(|count| count.findings),
            by_severity: self.by_severity(),
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "alerts of a recording")]
    fn per_day(&self, days: f64) -> f64 {
        self.alerts.len() as f64 / days
    }
}

/// Both numbers and how they differ, as people read them.
fn compared(recorded: u64, what_if: u64) -> [String; 3] {
    let change = i128::from(what_if) - i128::from(recorded);
    let change = if change == 0 { String::new() } else { format!("{change:+}") };
    [recorded.to_string(), what_if.to_string(), change]
}
