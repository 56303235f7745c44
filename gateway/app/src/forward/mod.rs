//! Forward: alert changes to the upstreams, receipts and staff actions back.
//!
//! One task for each upstream, CloudEvents over MQTT 5. The contract is `docs/upstream.md`; what an
//! upstream still lacks is the [`outbox`]'s to know, one connection is a [`session`].

pub(crate) mod cloudevent;
mod line;
mod listening;
pub(crate) mod outbox;
mod queue;
mod session;
#[cfg(test)]
pub(crate) mod stepped;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, watch};

use crate::config::MqttServer;
use crate::engine::Engine;
use crate::index::{Index, Progress};
use crate::mqtt_client::{Access, Link, link_metrics, metric};
pub(crate) use cloudevent::Source;
use outbox::JournalOutbox;
use session::Session;

/// How an upstream is.
#[derive(Debug)]
pub(crate) struct UpstreamStatus {
    pub(crate) link: Link,
    /// Changes published, repetitions counted.
    pub(crate) sent: AtomicU64,
    /// Changes that the upstream has told it stored.
    pub(crate) receipted: AtomicU64,
    /// Staff actions that came and were taken, now or before.
    pub(crate) actions: AtomicU64,
    /// Staff actions that the life of the alert did not allow.
    pub(crate) refused: AtomicU64,
    /// Events that could not be read.
    pub(crate) malformed: AtomicU64,
    /// A receipt has come since the start.
    pub(crate) answered: AtomicBool,
    index: Arc<dyn Progress>,
    /// Since when the oldest alert waits that it lacks.
    lacks_since: std::sync::Mutex<Option<Instant>>,
    /// Something was delivered.
    moved: watch::Sender<()>,
}

impl UpstreamStatus {
    fn new(name: &str, index: Arc<dyn Progress>) -> Self {
        Self {
            link: Link::new("upstream", name),
            sent: AtomicU64::new(0),
            receipted: AtomicU64::new(0),
            actions: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            malformed: AtomicU64::new(0),
            answered: AtomicBool::new(false),
            index,
            lacks_since: std::sync::Mutex::default(),
            moved: watch::Sender::default(),
        }
    }

    /// It is told here since when the oldest alert waits that it lacks.
    pub(crate) fn lacks_since(&self, since: Option<Instant>) {
        if let Ok(mut kept) = self.lacks_since.lock() {
            *kept = since;
        }
    }

    /// How long the oldest alert has waited that it lacks.
    pub(crate) fn lacks_for(&self) -> Option<Duration> {
        Some(self.lacks_since.lock().ok()?.as_ref()?.elapsed())
    }

    /// How many changes it does not have yet.
    pub(crate) fn backlog(&self) -> u64 {
        self.index.last_seq().saturating_sub(self.index.delivery(self.link.name()).count())
    }

    /// Waits until it lacks no more than `backlog` changes.
    pub(crate) async fn until_backlog(&self, backlog: u64) {
        let mut moved = self.moved.subscribe();
        while self.backlog() > backlog {
            // The sender is ours: it does not go away.
            let _ = moved.changed().await;
        }
    }
}

/// How patient a session is. Real time, whatever the gateway's clock does.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// For the receipt that answers `online`, from an upstream that has sent receipts before.
    answer: Duration,
    /// The same, from one that never has.
    first_answer: Duration,
    /// A receipt that does not say what it answers counts as the answer when no other follows it.
    quiet: Duration,
    /// For a receipt, while many changes wait for one.
    receipt: Duration,
    /// While nobody reads the alerts at the upstream's server.
    nobody_reads: Duration,
    /// For the receipt of a change, from the sending of another that has its own.
    passed_over: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(10),
            first_answer: Duration::from_secs(2),
            quiet: Duration::from_millis(500),
            receipt: Duration::from_secs(2),
            nobody_reads: Duration::from_secs(30),
            passed_over: Duration::from_secs(60),
        }
    }
}

/// Starts forwarding to one upstream. The future ends when the gateway stops; dropped, it leaves
/// the will to say so.
///
/// # Errors
/// Where the upstream's files cannot be used.
pub(crate) fn start(
    server: MqttServer,
    source: Source,
    journal_dir: PathBuf,
    engine: Engine,
    index: Index,
) -> anyhow::Result<(Arc<UpstreamStatus>, impl Future<Output = anyhow::Result<()>> + Send + use<>)> {
    start_with(Patience::default(), server, source, journal_dir, engine, index)
}

fn start_with(
    patience: Patience,
    server: MqttServer,
    source: Source,
    journal_dir: PathBuf,
    engine: Engine,
    index: Index,
) -> anyhow::Result<(Arc<UpstreamStatus>, impl Future<Output = anyhow::Result<()>> + Send + use<>)> {
    Access::read(&server)?;
    let index: Arc<dyn Progress> = Arc::new(index);
    let status = Arc::new(UpstreamStatus::new(&server.name, index.clone()));
    let outbox = JournalOutbox::new(&server.name, journal_dir, engine.clone(), index);
    let session = Session::new(patience, server, source, engine, status.clone());
    let outbox = Mutex::new(outbox);
    let kept = status.clone();
    let forwarding = async move {
        // One session at a time: nobody ever waits for the outbox.
        kept.link.keep_up(|| async { session.run(&mut *outbox.lock().await).await }).await;
        Ok(())
    };
    Ok((status, forwarding))
}

/// Adds what it counts in Prometheus' text format.
pub(crate) fn render(upstream: &UpstreamStatus, out: &mut String) {
    link_metrics(out, &upstream.link);
    for (name, help, counter) in [
        ("sent", "Alert changes published, repetitions counted.", &upstream.sent),
        ("receipted", "Alert changes that the upstream told it stored.", &upstream.receipted),
        ("actions", "Staff actions taken from the upstream.", &upstream.actions),
        ("actions_refused", "Staff actions that the alert's life did not allow.", &upstream.refused),
        ("malformed", "Events from the upstream that could not be read.", &upstream.malformed),
    ] {
        let name = format!("ninewatch_upstream_{name}_total");
        metric(out, &name, "counter", help, &upstream.link, counter.load(Relaxed));
    }
    let help = "Alert changes that the upstream does not have yet.";
    metric(out, "ninewatch_upstream_backlog", "gauge", help, &upstream.link, upstream.backlog());
}
