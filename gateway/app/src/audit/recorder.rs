//! How the gateway adds to the audit log: a thread of its own, so that whoever acts waits for the disk and nobody else does.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

use ninewatch_core::ailment::Ailment;
use ninewatch_core::alert::Text;

use super::{AuditLog, Deed};
use crate::clock::Clock;
use crate::health::Part;

/// Takes deeds for the audit log. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Recorder(Arc<Inner>);

struct Inner {
    to_write: mpsc::Sender<(Deed, Option<oneshot::Sender<bool>>)>,
    state: Arc<State>,
    lately: Mutex<HashMap<Deed, Instant>>,
}

#[derive(Default)]
struct State {
    entries: AtomicU64,
    /// Since the last one that could be written.
    missed: AtomicU64,
}

/// How much it matters that each time is noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Importance {
    /// Each time, and on the disk before anybody goes on.
    Action,
    /// Once in [`LATELY`]: an open page asks again and again.
    Look,
}

/// A page that stays open is one look in this time.
const LATELY: Duration = Duration::from_secs(10 * 60);
const REMEMBERED: usize = 4096;
/// Deeds that may wait for the disk; beyond, those who act wait too, and looks are missed.
const WAITING: usize = 256;
const TOGETHER: usize = 64;

impl Recorder {
    /// Opens the audit log of the data folder.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub(crate) fn open(data_dir: &Path, clock: Clock) -> anyhow::Result<Self> {
        let log = AuditLog::open(data_dir, clock)?;
        let (to_write, deeds) = mpsc::channel(WAITING);
        let state = Arc::new(State::default());
        state.entries.store(log.head().seq, Relaxed);
        // Where the console ends, its recorder does, and with it this thread.
        std::thread::Builder::new().name("audit".into()).spawn({
            let state = state.clone();
            move || write(log, deeds, &state)
        })?;
        Ok(Self(Arc::new(Inner { to_write, state, lately: Mutex::default() })))
    }

    /// Notes a deed. An action is on the disk when this returns, or it is said loudly that it is not: what was done is done,
    /// and whoever answers alerts is not kept from it by the log.
    pub(crate) async fn note(&self, deed: Deed, importance: Importance) {
        if importance == Importance::Look {
            // Nobody is kept from looking by a disk that hangs.
            if self.is_news(&deed) && self.0.to_write.try_send((deed, None)).is_err() {
                self.0.state.missed.fetch_add(1, Relaxed);
            }
            return;
        }
        let (told, written) = oneshot::channel();
        if self.0.to_write.send((deed, Some(told))).await.is_ok() {
            let _ = written.await;
        }
    }

    fn is_news(&self, deed: &Deed) -> bool {
        let now = Instant::now();
        let mut lately = self.0.lately.lock().unwrap_or_else(PoisonError::into_inner);
        if lately.get(deed).is_some_and(|at| now.duration_since(*at) < LATELY) {
            return false;
        }
        if lately.len() >= REMEMBERED {
            lately.retain(|_, at| now.duration_since(*at) < LATELY);
        }
        if lately.len() < REMEMBERED {
            lately.insert(deed.clone(), now);
        }
        true
    }
}

fn write(mut log: AuditLog, mut deeds: mpsc::Receiver<(Deed, Option<oneshot::Sender<bool>>)>, state: &State) {
    while let Some(first) = deeds.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < TOGETHER
            && let Ok(next) = deeds.try_recv()
        {
            batch.push(next);
        }
        let (mut batch, told): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let count = batch.len() as u64;
        let missed = state.missed.load(Relaxed);
        if missed > 0 {
            batch.insert(0, Deed::of_the_gateway("audit.missed", format!("{missed} entries could not be written")));
        }
        let written = log.add(&batch);
        if let Err(error) = &written {
            state.missed.fetch_add(count, Relaxed);
            tracing::error!(count, "the audit log could not be written: {error:#}");
        } else {
            state.missed.fetch_sub(missed, Relaxed);
        }
        state.entries.store(log.head().seq, Relaxed);
        for told in told.into_iter().flatten() {
            let _ = told.send(written.is_ok());
        }
    }
}

impl Part for Recorder {
    fn name(&self) -> String {
        "audit".into()
    }

    fn ails(&self) -> Vec<(Ailment, Text)> {
        if self.0.state.missed.load(Relaxed) == 0 {
            return Vec::new();
        }
        let text = Text {
            zh: "审计日志无法写入，已有缺漏".into(),
            en: "the audit log cannot be written, and lacks entries".into(),
        };
        vec![(Ailment::AuditFailed, text)]
    }

    fn metrics(&self, out: &mut String) {
        crate::metrics::header(out, "ninewatch_audit_entries_total", "counter", "Entries of the audit log.");
        let _ = writeln!(out, "ninewatch_audit_entries_total {}", self.0.state.entries.load(Relaxed));
    }
}
