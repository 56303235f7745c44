//! The report of a shift: what came, how fast it was seen to, how it was judged, and which sensors cried wolf.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

use ninewatch_core::alert::{ChangeKind, MATTER, Scene, Severity, Verdict};
use ninewatch_core::pipeline::Site;
use ninewatch_core::time::TimeMs;

use super::Shared;
use super::drills::DrillReport;
use super::gate::Who;
use super::problem::Problem;
use super::rights::OfPeople;
use crate::index::{AlertQuery, AlertRecord};

/// Of which time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shift {
    from_ms: TimeMs,
    to_ms: TimeMs,
}

/// The longest time that a report is of: a year and a day.
const LONGEST_MS: TimeMs = 366 * 86_400_000;

/// `GET /report`: of the alerts raised from `from_ms` until before `to_ms`.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Report {
    from_ms: TimeMs,
    to_ms: TimeMs,
    severities: BTreeMap<Severity, Seen>,
    scenes: BTreeMap<Scene, Seen>,
    /// Those among them that residents reported.
    matters: BTreeMap<Scene, Seen>,
    verdicts: BTreeMap<Verdict, usize>,
    /// By account.
    people: BTreeMap<String, Work>,
    /// Those with most false alarms and nuisances first.
    devices: Vec<DeviceReport>,
    /// Oldest first; they are counted nowhere else.
    drills: Vec<DrillReport>,
    /// What devices raised while they were tested, unless it turned out to be true; counted nowhere else.
    walk_tests: usize,
}

/// How alerts were seen to.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Seen {
    raised: usize,
    accepted: usize,
    /// Climbed a rung because nobody accepted.
    escalated: usize,
    closed: usize,
    /// From raised to accepted: the median and the slowest, ms; `null` where none was accepted.
    accept_median_ms: Option<TimeMs>,
    accept_slowest_ms: Option<TimeMs>,
    /// From raised to closed: the median, ms.
    close_median_ms: Option<TimeMs>,
    #[serde(skip)]
    accept_ms: Vec<TimeMs>,
    #[serde(skip)]
    close_ms: Vec<TimeMs>,
}

/// What a person did.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Work {
    accepted: usize,
    dispatched: usize,
    handled: usize,
    closed: usize,
}

/// How the alerts that a device had a part in were judged.
#[derive(Debug, Default, PartialEq, Serialize)]
struct DeviceReport {
    device: String,
    place: String,
    alerts: usize,
    true_alarms: usize,
    false_alarms: usize,
    nuisances: usize,
}

/// Answers `GET /report`.
pub(super) async fn report(
    State(shared): State<Arc<Shared>>,
    who: Who,
    shift: Result<Query<Shift>, QueryRejection>,
) -> Result<(Option<Extension<OfPeople>>, Json<Report>), Problem> {
    let Query(Shift { from_ms, to_ms }) = shift?;
    if to_ms <= from_ms || to_ms.saturating_sub(from_ms) > LONGEST_MS {
        return Err(Problem::bad("the time is none", "give from_ms before to_ms, and at most a year between"));
    }
    let places = who.rights.places(&shared.site());
    let query = AlertQuery { from_ms: Some(from_ms), to_ms: Some(to_ms), places, ..AlertQuery::default() };
    let notify = shared.state.notify.clone();
    let look = move |_: &Site, records: &mut dyn Iterator<Item = AlertRecord>| {
        let (mut drills, mut walk_tests) = (Vec::new(), 0);
        let real = records.filter(|record| {
            if record.alert.drill {
                drills.push(DrillReport::of(record, &notify.notifications(&record.alert.id)));
            }
            let is_test = record.alert.walk_test.is_some() && record.alert.verdict != Some(Verdict::TrueAlarm);
            walk_tests += usize::from(is_test);
            !record.alert.drill && !is_test
        });
        let report = Report::of(from_ms, to_ms, real);
        drills.reverse();
        Report { drills, walk_tests, ..report }
    };
    let (shown, report) = shared.look_back(query, look).await?;
    Ok((shown, Json(report)))
}

impl Report {
    fn of(from_ms: TimeMs, to_ms: TimeMs, records: impl Iterator<Item = AlertRecord>) -> Self {
        let mut report = Self { from_ms, to_ms, ..Self::default() };
        let mut devices: BTreeMap<String, DeviceReport> = BTreeMap::new();
        for record in records {
            report.severities.entry(record.alert.severity).or_default().take(&record);
            report.scenes.entry(record.alert.scene).or_default().take(&record);
            let is_matter = *record.alert.group == *MATTER;
            if is_matter {
                report.matters.entry(record.alert.scene).or_default().take(&record);
            }
            if let Some(verdict) = record.alert.verdict {
                *report.verdicts.entry(verdict).or_default() += 1;
            }
            for step in record.standing() {
                let Some(by) = &step.by else { continue };
                let work = report.people.entry(by.clone()).or_default();
                match step.kind {
                    ChangeKind::Accepted => work.accepted += 1,
                    ChangeKind::Dispatched => work.dispatched += 1,
                    ChangeKind::Handled => work.handled += 1,
                    ChangeKind::Closed => work.closed += 1,
                    _ => {}
                }
            }
            for device in record.alert.devices.iter().filter(|_| !is_matter) {
                devices.entry(device.clone()).or_default().take(device, &record);
            }
        }
        let Self { severities, scenes, matters, .. } = &mut report;
        severities.values_mut().chain(scenes.values_mut()).chain(matters.values_mut()).for_each(Seen::finish);
        report.devices = devices.into_values().collect();
        report.devices.sort_by_key(|device| std::cmp::Reverse((device.false_alarms + device.nuisances, device.alerts)));
        report
    }
}

impl Seen {
    fn take(&mut self, record: &AlertRecord) {
        let alert = &record.alert;
        // The clock may have been set back in between.
        let since_raised = |kind: ChangeKind| {
            let step = record.standing().find(|step| step.kind == kind)?;
            Some((step.at_ms - alert.raised_at_ms).max(0))
        };
        self.raised += 1;
        self.escalated += usize::from(alert.escalation > 0);
        self.accept_ms.extend(since_raised(ChangeKind::Accepted));
        self.close_ms.extend(since_raised(ChangeKind::Closed));
    }

    fn finish(&mut self) {
        self.accept_ms.sort_unstable();
        self.close_ms.sort_unstable();
        (self.accepted, self.closed) = (self.accept_ms.len(), self.close_ms.len());
        self.accept_median_ms = median(&self.accept_ms);
        self.accept_slowest_ms = self.accept_ms.last().copied();
        self.close_median_ms = median(&self.close_ms);
    }
}

/// Of sorted times; of an even number the lower of the two in the middle.
fn median(sorted: &[TimeMs]) -> Option<TimeMs> {
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

impl DeviceReport {
    fn take(&mut self, device: &str, AlertRecord { alert, .. }: &AlertRecord) {
        device.clone_into(&mut self.device);
        self.place.clone_from(&alert.place);
        self.alerts += 1;
        match alert.verdict {
            Some(Verdict::TrueAlarm) => self.true_alarms += 1,
            Some(Verdict::FalseAlarm) => self.false_alarms += 1,
            Some(Verdict::Nuisance) => self.nuisances += 1,
            Some(Verdict::Test) | None => {}
        }
    }
}
