//! What models found and staff judged, from the alert log.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;

use ninewatch_core::alert::{AlertChange, AlertId, ChangeKind, Evidence, Verdict};
use ninewatch_core::time::TimeMs;

use crate::journal;

/// All closed alerts that a model had a part in.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// By the order of closing.
    pub(super) matters: Vec<Matter>,
    /// How many alerts were judged to be tests: they say nothing about a model.
    pub(super) tests: usize,
    /// Of alerts whose verdict was taken back.
    withdrawn: Vec<Matter>,
}

/// What one rule found with a model on one device, within one alert.
#[derive(Debug)]
pub(super) struct Matter {
    pub(super) alert: AlertId,
    pub(super) number: u64,
    pub(super) raised_at_ms: TimeMs,
    pub(super) closed_at_ms: TimeMs,
    pub(super) place: String,
    pub(super) verdict: Verdict,
    pub(super) device: String,
    pub(super) rule: String,
    pub(super) model: String,
    /// By time; there is one at least.
    pub(super) findings: Vec<Finding>,
}

/// A model's yes.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) at_ms: TimeMs,
    pub(super) version: String,
    pub(super) score: f64,
    pub(super) threshold: f64,
}

/// After its last yes a matter goes on for so long at least.
const A_LITTLE_MS: i64 = 10 * 60_000;

impl Matter {
    /// Whether there was what the model said.
    pub(super) fn is_true(&self) -> bool {
        self.verdict == Verdict::TrueAlarm
    }

    /// From the first yes to the end of the time in which a further one is the same matter; no longer than the alert.
    pub(super) fn stretch(&self, quiet_ms: i64) -> (TimeMs, TimeMs) {
        let first = self.findings.first().map_or(self.raised_at_ms, |finding| finding.at_ms);
        let last = self.findings.last().map_or(first, |finding| finding.at_ms);
        (first, last.saturating_add(quiet_ms.max(A_LITTLE_MS)).min(self.closed_at_ms).max(last))
    }
}

/// Reads the alert log.
///
/// # Errors
/// Where there is none.
pub(super) fn read(journal: &Path) -> io::Result<Judged> {
    let mut judged = Judged::default();
    let mut open: HashMap<AlertId, Vec<Evidence>> = HashMap::new();
    for change in journal::read_alerts(journal, 1)? {
        match change {
            Ok(change) => judged.take(change, &mut open),
            Err(damage) => tracing::warn!(%damage, "the alert log is damaged"),
        }
    }
    judged.settle();
    Ok(judged)
}

impl Judged {
    /// All has been taken: verdicts stand as they are.
    pub(super) fn settle(&mut self) {
        let tests: HashSet<AlertId> =
            self.matters.extract_if(.., |matter| matter.verdict == Verdict::Test).map(|matter| matter.alert).collect();
        self.tests += tests.len();
    }

    pub(super) fn take(&mut self, change: AlertChange, open: &mut HashMap<AlertId, Vec<Evidence>>) {
        let AlertChange { at_ms, kind, alert, evidence, .. } = change;
        if let Some(evidence) = evidence.filter(|evidence| evidence.score.is_some()) {
            open.entry(alert.id.clone()).or_default().push(evidence);
        }
        let Some(verdict) = alert.verdict else {
            if kind == ChangeKind::Undone {
                // Whoever judged it took that back: it is nothing to learn from before it is judged again.
                self.withdrawn.extend(self.matters.extract_if(.., |matter| matter.alert == alert.id));
            }
            return;
        };
        for matter in self.withdrawn.extract_if(.., |matter| matter.alert == alert.id) {
            self.matters.push(Matter { verdict, closed_at_ms: at_ms, ..matter });
        }
        let Some(found) = open.remove(&alert.id) else {
            // Somebody elsewhere has judged it otherwise.
            let matters = self.matters.iter_mut().filter(|matter| matter.alert == alert.id);
            matters.for_each(|matter| matter.verdict = verdict);
            return;
        };
        let first = self.matters.len();
        for Evidence { at_ms: found_at_ms, device, rule, score, .. } in found {
            let Some(score) = score else { continue };
            let finding =
                Finding { at_ms: found_at_ms, version: score.version, score: score.value, threshold: score.threshold };
            let mut of_alert = self.matters.iter_mut().skip(first);
            let same =
                |matter: &&mut Matter| matter.device == device && matter.rule == rule && matter.model == score.model;
            match of_alert.find(same) {
                Some(matter) => matter.findings.push(finding),
                None => self.matters.push(Matter {
                    alert: alert.id.clone(),
                    number: alert.number,
                    raised_at_ms: alert.raised_at_ms,
                    closed_at_ms: at_ms,
                    place: alert.place.clone(),
                    verdict,
                    device,
                    rule,
                    model: score.model,
                    findings: vec![finding],
                }),
            }
        }
        for matter in self.matters.iter_mut().skip(first) {
            matter.findings.sort_by_key(|finding| finding.at_ms);
        }
    }
}
