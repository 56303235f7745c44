//! What the play showed: what came, what was missed, what nobody expected, and how fast.

use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::sync::watch;

use ninewatch_core::alert::{AlertChange, ChangeKind, Scene};

use super::story::{EXPECTED, Expected};

/// What the devices published. Shared by the devices, the stage and the report.
#[derive(Default)]
pub(super) struct Published {
    /// When each device did last.
    last: Mutex<HashMap<String, Instant>>,
    /// How many of all their messages lack an acknowledgement.
    owed: watch::Sender<usize>,
}

impl Published {
    pub(super) fn note(&self, device: &str, at: Instant) {
        self.owed.send_modify(|owed| *owed += 1);
        if let Ok(mut last) = self.last.lock() {
            last.insert(device.to_owned(), at);
        }
    }

    pub(super) fn acknowledge(&self) {
        self.owed.send_modify(|owed| *owed = owed.saturating_sub(1));
    }

    /// Waits until the gateway has decided all that was published, and made it durable.
    pub(super) async fn acknowledged(&self) {
        let _ = self.owed.subscribe().wait_for(|owed| *owed == 0).await;
    }

    fn last(&self, device: &str) -> Option<Instant> {
        self.last.lock().ok()?.get(device).copied()
    }
}

/// The report, as `--report` writes it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Findings that the script wants by the time at which the play ended.
    #[serde(skip)]
    pub(super) due: usize,
    /// New readings by sensor class.
    pub(super) readings: BTreeMap<&'static str, u64>,
    /// Alerts raised by scene.
    pub(super) alerts: BTreeMap<Scene, u64>,
    /// Incidents of the script that raised nothing in time.
    pub(super) missed: Vec<&'static str>,
    /// What was raised although the script does not expect it.
    pub(super) unexpected: Vec<String>,
    /// From a device's PUBLISH to the alert on the live feed, in real milliseconds.
    pub(super) publish_to_alert_ms: Percentiles,
    pub(super) upstream: UpstreamReport,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Percentiles {
    pub(super) p50: f64,
    pub(super) p99: f64,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct UpstreamReport {
    /// Alert changes published.
    pub(super) sent: u64,
    /// Those that the city has told it stored.
    pub(super) receipts: u64,
    /// Those that reached the city more than once.
    pub(super) repeated: usize,
}

impl Report {
    /// Whether everything came as the script says.
    pub(super) fn is_good(&self) -> bool {
        self.missed.is_empty() && self.unexpected.is_empty()
    }
}

/// Watches the alert changes of the play.
pub(super) struct Watcher {
    published: Arc<Published>,
    found: BTreeSet<(String, String)>,
    unexpected: Vec<String>,
    alerts: BTreeMap<Scene, u64>,
    latencies_ms: Vec<f64>,
}

impl Watcher {
    pub(super) fn new(published: Arc<Published>) -> Self {
        Self {
            published,
            found: BTreeSet::new(),
            unexpected: Vec::new(),
            alerts: BTreeMap::new(),
            latencies_ms: Vec::new(),
        }
    }

    /// Takes a change that came on the live feed at `at`.
    pub(super) fn take(&mut self, change: &AlertChange, at: Instant) {
        if change.kind == ChangeKind::Raised {
            *self.alerts.entry(change.alert.scene).or_default() += 1;
        }
        let Some(evidence) = &change.evidence else { return };
        let (rule, device) = (evidence.rule.as_str(), evidence.device.as_str());
        match EXPECTED.iter().find(|expected| expected.rule == rule && expected.device == device) {
            Some(expected) => {
                let first = self.found.insert((rule.to_owned(), device.to_owned()));
                if first && expected.by_reading {
                    let latency = self.published.last(device).map(|published| at.duration_since(published));
                    self.latencies_ms.extend(latency.map(|latency| latency.as_secs_f64() * 1000.0));
                }
            }
            None => self.unexpected.push(format!("{rule} on {device}: {}", evidence.reason.en)),
        }
    }

    /// The report at `minute` of play.
    pub(super) fn report(
        mut self,
        minute: f64,
        readings: BTreeMap<&'static str, u64>,
        upstream: UpstreamReport,
    ) -> Report {
        let due = EXPECTED.iter().filter(|expected| expected.by_min <= minute);
        let missed =
            |expected: &&Expected| !self.found.contains(&(expected.rule.to_owned(), expected.device.to_owned()));
        let missed = due.clone().filter(missed).map(|expected| expected.incident).collect();
        self.latencies_ms.sort_by(f64::total_cmp);
        Report {
            due: due.count(),
            readings,
            alerts: self.alerts,
            missed,
            unexpected: self.unexpected,
            publish_to_alert_ms: percentiles(&self.latencies_ms),
            upstream,
        }
    }
}

/// Nearest-rank percentiles of sorted values.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small counts")]
fn percentiles(sorted: &[f64]) -> Percentiles {
    let rank = |share: f64| {
        let index = ((share * sorted.len() as f64).ceil() as usize).saturating_sub(1);
        sorted.get(index).map_or(0.0, |value| (value * 100.0).round() / 100.0)
    };
    Percentiles { p50: rank(0.50), p99: rank(0.99) }
}
