//! A siren: on while an alert waits for somebody to accept it. It tells a state and not a message, so it needs no queue:
//! whenever there is a way to it, it is made as it has to be. The ways are a topic of a broker and a pin of the gateway's own.

mod gpio;
mod mqtt;

use anyhow::Context;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, mpsc, watch};

use ninewatch_core::alert::{Alert, AlertChange, AlertId, ChangeKind, Severity, Status};

use super::channel::{Channel, SirenTest};
use super::ledger::{Entry, Notification, Outcome};
use crate::config::MqttServer;
use crate::engine::{Engine, Stopped};
use crate::index::{AlertQuery, Index};
pub(crate) use gpio::Lamps;
pub(super) use gpio::{Lamp, light_once};
pub(super) use mqtt::sound_once;

/// How often it looks whether quiet hours have begun or ended, for what is not critical.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// How long a test sounds.
const TEST: Duration = Duration::from_secs(3);

/// The alerts for which it sounds.
type Reasons = BTreeMap<AlertId, Severity>;

/// Everything that a siren goes by.
pub(super) struct Siren {
    pub(super) channel: Arc<Channel>,
    pub(super) way: Way,
    pub(super) engine: Engine,
    pub(super) index: Index,
    pub(super) tests: mpsc::Receiver<SirenTest>,
}

/// How a siren is switched.
pub(super) enum Way {
    Broker(MqttServer),
    Pin(Arc<Lamp>),
}

impl Siren {
    /// Sounds when it has to, until the gateway stops.
    ///
    /// # Errors
    /// None: what fails is tried again, and said.
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let Self { channel, way, engine, index, tests } = self;
        let (reasons, mut wanted) = watch::channel(Reasons::new());
        let watching = watch_alerts(&channel, &engine, &index, &reasons);
        let switching = async {
            // Before the alerts are known, none is over.
            wanted.changed().await.context(Stopped)?;
            wanted.mark_changed();
            match way {
                Way::Broker(server) => mqtt::keep_up(&channel, &server, &wanted, tests).await,
                Way::Pin(lamp) => gpio::keep_up(&channel, &lamp, wanted, tests).await,
            }
        };
        tokio::select! {
            ended = watching => ended,
            ended = switching => ended,
        }
    }
}

/// Keeps the reasons as the alerts have them.
async fn watch_alerts(
    channel: &Channel,
    engine: &Engine,
    index: &Index,
    reasons: &watch::Sender<Reasons>,
) -> anyhow::Result<()> {
    // First listen, then look.
    let mut live = engine.changes();
    let sounds = |alert: &Alert| {
        let now = channel.shared.clock.now_ms();
        alert.status == Status::Raised && channel.shared.with_rungs(|rungs| rungs.sounds(&channel.config, alert, now))
    };
    let look = async |is_first: bool| {
        let index = index.clone();
        let all = AlertQuery { open_only: true, limit: usize::MAX, ..AlertQuery::default() };
        let open = tokio::task::spawn_blocking(move || index.alerts(&all)).await.context("the index is gone")?;
        let now = open.into_iter().filter(&sounds).map(|alert| (alert.id, alert.severity)).collect();
        reasons.send_if_modified(|reasons: &mut Reasons| replaced(reasons, now) || is_first);
        anyhow::Ok(())
    };
    look(true).await?;
    let mut hours = tokio::time::interval(LOOK_AGAIN);
    loop {
        let next = tokio::select! {
            next = live.recv() => next,
            // Quiet hours may have begun or ended.
            _ = hours.tick() => {
                look(false).await?;
                continue;
            }
        };
        match next {
            Ok(change) => {
                let AlertChange { alert, .. } = &*change;
                let sounds = sounds(alert);
                reasons.send_if_modified(|reasons| {
                    if sounds {
                        reasons.insert(alert.id.clone(), alert.severity).is_none()
                    } else {
                        reasons.remove(&alert.id).is_some()
                    }
                });
            }
            Err(RecvError::Lagged(_)) => {
                live = catch_up(live);
                look(false).await?;
            }
            // The gateway is stopping.
            Err(RecvError::Closed) => return Ok(()),
        }
    }
}

/// What was announced before the look into the index needs no look of its own.
fn catch_up(mut live: broadcast::Receiver<Arc<AlertChange>>) -> broadcast::Receiver<Arc<AlertChange>> {
    while !matches!(live.try_recv(), Err(TryRecvError::Empty | TryRecvError::Closed)) {}
    live
}

fn replaced(reasons: &mut Reasons, now: Reasons) -> bool {
    let differs = *reasons != now;
    *reasons = now;
    differs
}

/// It is as it should be for these reasons: what is new in them is written down.
async fn told(channel: &Channel, reasons: Reasons) {
    let told = channel.shared.ledger.look(channel.name(), |place| place.map(|place| place.told.clone()));
    let told = told.unwrap_or_default();
    let at_ms = channel.shared.clock.now_ms();
    let entry = |alert: &AlertId, severity: Severity, over: bool| Entry {
        alert: alert.clone(),
        severity,
        seqs: Vec::new(),
        over,
        notification: Notification {
            channel: channel.name().to_owned(),
            at_ms,
            told: vec![if over { ChangeKind::Accepted } else { ChangeKind::Raised }],
            result: Outcome::Sent,
            attempts: 1,
            error: None,
            rungs: Vec::new(),
            people: Vec::new(),
            quiet: false,
        },
    };
    let begun = reasons.iter().filter(|(alert, _)| !told.contains_key(alert));
    let ended = told.iter().filter(|(alert, _)| !reasons.contains_key(alert));
    let begun = begun.map(|(alert, severity)| entry(alert, *severity, false));
    let entries: Vec<Entry> = begun.chain(ended.map(|(alert, severity)| entry(alert, *severity, true))).collect();
    if !entries.is_empty() {
        channel.siren_told();
        channel.write(move |ledger, _| ledger.tell(0, entries)).await;
    }
}
