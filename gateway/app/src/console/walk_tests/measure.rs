//! What came of a turn: the device's signal, its alert, and how far that went.

use serde::Serialize;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::task::AbortHandle;

use ninewatch_core::alert::{AlertChange, AlertId, ChangeKind, LONGEST_TURN};
use ninewatch_core::detect::{DeviceStatus, Latest};
use ninewatch_core::time::TimeMs;

use super::super::Shared;
use super::super::problem::Problem;
use super::kept::{Measured, Spot, TestAlert, WalkTest};
use crate::clock::Clock;
use crate::index::{AlertQuery, AlertRecord, Index, Progress as _};

/// How the desk's part went.
#[derive(Debug, Clone, Serialize)]
pub(super) struct DutyRoom {
    /// Who accepted a test's alert first, other than whoever ran the test.
    pub(super) accepted_by: String,
    /// Which alert, as people say it on the phone.
    pub(super) number: u64,
    /// From when it was raised.
    pub(super) accepted_ms: TimeMs,
}

/// How an upstream's part went.
#[derive(Debug, Clone, Serialize)]
pub(super) struct UpstreamTried {
    pub(super) name: String,
    pub(super) connected: bool,
    /// Whether its receipt for a test's alert is there.
    pub(super) receipted: bool,
}

/// How long it took until alerts of walk-tests were on the disk and told.
#[derive(Debug, Default)]
pub(super) struct Ready {
    took_ms: Mutex<HashMap<AlertId, i64>>,
    /// Who takes the times, by walk-test and device.
    listening: Mutex<HashMap<(String, String), AbortHandle>>,
}

/// More are only there where nobody has ended a turn.
const REMEMBERED: usize = 1024;

impl Ready {
    fn of(&self, id: &AlertId) -> Option<i64> {
        self.took_ms.lock().unwrap_or_else(PoisonError::into_inner).get(id).copied()
    }

    /// Takes the time of what a device raises, as long as its turn can last; a turn that begins anew takes the place of the
    /// former. Holds nothing of the engine: that ends when nobody can ask it any more.
    pub(super) fn listen(
        self: &Arc<Self>,
        mut changes: broadcast::Receiver<Arc<AlertChange>>,
        clock: Clock,
        of: (String, String),
    ) {
        let ready = self.clone();
        let (walk_test, device) = of.clone();
        let longest = Duration::from_millis(LONGEST_TURN.ms().unsigned_abs());
        let listening = tokio::spawn(tokio::time::timeout(longest, async move {
            loop {
                let change = match changes.recv().await {
                    Ok(change) => change,
                    Err(broadcast::error::RecvError::Lagged(_)) => continue,
                    Err(broadcast::error::RecvError::Closed) => return,
                };
                let alert = &change.alert;
                let is_of = alert.walk_test.as_deref() == Some(&*walk_test) && alert.devices.contains(&device);
                if change.kind == ChangeKind::Raised && is_of {
                    let mut times = ready.took_ms.lock().unwrap_or_else(PoisonError::into_inner);
                    if times.len() >= REMEMBERED {
                        times.clear();
                    }
                    times.insert(alert.id.clone(), (clock.now_ms() - change.at_ms).max(0));
                }
            }
        }));
        let mut all = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, one| !one.is_finished());
        if let Some(former) = all.insert(of, listening.abort_handle()) {
            former.abort();
        }
    }
}

/// What the gateway has seen in the turn of `spot`.
pub(super) fn measure(
    index: &Index,
    ready: &Ready,
    test: &WalkTest,
    spot: &Spot,
    status: Option<&DeviceStatus>,
) -> Measured {
    let Some(from_ms) = spot.turn_at_ms else { return Measured::default() };
    let alert = alert_of(index, test, spot, from_ms).map(|record| TestAlert {
        seq: record.life.first().map_or(0, |step| step.seq),
        ready_ms: ready.of(&record.alert.id),
        id: record.alert.id,
        number: record.alert.number,
        severity: record.alert.severity,
        status: record.alert.status,
        raised_at_ms: record.alert.raised_at_ms,
        recovered_at_ms: record.alert.recovered_at_ms,
    });
    let seen_at = status.and_then(|status| status.seen_ms).filter(|at| *at >= from_ms);
    let signal = status.and_then(|status| status.values.iter().find(|value| &*value.field == "signal_dbm"));
    Measured {
        signal_at_ms: alert.as_ref().map(|alert| alert.raised_at_ms).or(seen_at),
        alert,
        battery_percent: status.and_then(|status| status.battery_percent),
        signal_dbm: signal.and_then(|signal| match signal.value {
            Latest::Number(dbm) => Some(dbm),
            Latest::Word(_) => None,
        }),
    }
}

/// The first alert of the turn.
fn alert_of(index: &Index, test: &WalkTest, spot: &Spot, from_ms: TimeMs) -> Option<AlertRecord> {
    let query = AlertQuery {
        place: Some(spot.place.clone()),
        from_ms: Some(from_ms),
        limit: usize::MAX,
        ..AlertQuery::default()
    };
    let alerts = index.alerts(&query);
    let first = alerts
        .iter()
        .rev()
        .find(|alert| alert.walk_test.as_deref() == Some(&*test.id) && alert.devices.contains(&spot.device))?;
    index.alert(&first.id)
}

/// Whoever accepted an alert of the test at a desk, first.
pub(super) fn duty_room(index: &Index, test: &WalkTest) -> Option<DutyRoom> {
    let accepted = test.devices.iter().filter_map(|spot| {
        let record = index.alert(&spot.measured.alert.as_ref()?.id)?;
        let step = record
            .standing()
            .find(|step| step.kind == ChangeKind::Accepted && step.by.is_some() && step.by != spot.tested_by)?;
        let accepted_ms = (step.at_ms - record.alert.raised_at_ms).max(0);
        Some((step.at_ms, DutyRoom { accepted_by: step.by.clone()?, number: record.alert.number, accepted_ms }))
    });
    accepted.min_by_key(|(at, _)| *at).map(|(_, duty)| duty)
}

/// Whether each upstream has receipted an alert of the test.
pub(super) fn upstreams(shared: &Shared, test: &WalkTest) -> Vec<UpstreamTried> {
    let seqs: Vec<u64> =
        test.devices.iter().filter_map(|spot| spot.measured.alert.as_ref()).map(|alert| alert.seq).collect();
    let tried = shared.state.upstreams.iter().map(|upstream| {
        let name = upstream.link.name();
        let delivered = shared.state.index.delivery(name);
        UpstreamTried {
            name: name.to_owned(),
            connected: upstream.link.watch().borrow().since.is_some(),
            receipted: seqs.iter().any(|seq| delivered.holds(*seq)),
        }
    });
    tried.collect()
}

/// How each device is, by id.
pub(super) async fn statuses(shared: &Shared) -> Result<HashMap<String, DeviceStatus>, Problem> {
    let statuses = shared.state.engine.devices().await?;
    Ok(statuses.into_iter().map(|status| (status.device.clone(), status)).collect())
}
