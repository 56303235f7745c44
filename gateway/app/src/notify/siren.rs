//! A siren at a broker: on while an alert waits for somebody to accept it. It tells a state and not a message, so it needs
//! no queue: whenever the line is there, what holds is published, and again each minute while it is on.

use anyhow::{Context, bail};
use rumqttc::{AsyncClient, Event, EventLoop, Packet, QoS};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, mpsc, watch};

use ninewatch_core::alert::{Alert, AlertChange, AlertId, ChangeKind, Severity, Status};

use super::channel::{Channel, SirenTest};
use super::config::NotifyConfig;
use super::ledger::{Entry, Notification, Outcome};
use super::service::Failure;
use crate::config::MqttServer;
use crate::engine::{Engine, Stopped};
use crate::index::{AlertQuery, Index};
use crate::mqtt_client::{Access, KEEP_ALIVE, network_options, polled};

/// A siren that was away, or whose own time is up, sounds again after this time.
const AGAIN: Duration = Duration::from_secs(60);
/// How often it looks whether quiet hours have begun or ended, for what is not critical.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// How long a test sounds.
const TEST: Duration = Duration::from_secs(3);
/// For the broker to take a test.
const PATIENCE: Duration = Duration::from_secs(10);

/// The alerts for which it sounds.
type Reasons = BTreeMap<AlertId, Severity>;

/// Everything that a siren goes by.
pub(super) struct Siren {
    pub(super) channel: Arc<Channel>,
    pub(super) server: MqttServer,
    pub(super) engine: Engine,
    pub(super) index: Index,
    pub(super) tests: mpsc::Receiver<SirenTest>,
}

impl Siren {
    /// Sounds when it has to, until the gateway stops.
    ///
    /// # Errors
    /// None: what fails is tried again, and said.
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let Self { channel, server, engine, index, tests } = self;
        let Some((link, _)) = &channel.siren else { return Ok(()) };
        let (reasons, wanted) = watch::channel(Reasons::new());
        let tests = tokio::sync::Mutex::new(tests);
        let watching = watch_alerts(&channel, &engine, &index, &reasons);
        // The line has no end of its own: the engine's is the gateway's.
        let kept_up = link.keep_up(|| async {
            let access = Access::read(&server)?;
            let mut options = access.v4(&format!("ninewatch-{}-{}", channel.shared.source.gateway, channel.name()));
            options.set_clean_session(true);
            let (client, mut events) = AsyncClient::new(options, 16);
            events.set_network_options(network_options());
            let line = Line { channel: &channel, client, sent: Mutex::default(), wanted: wanted.clone() };
            let mut tests = tests.lock().await;
            let (connected, is_up) = watch::channel(false);
            tokio::select! {
                ended = line.drive(events, &connected) => ended,
                ended = line.speak(is_up, &mut tests) => ended,
            }
        });
        tokio::select! {
            ended = watching => ended,
            () = kept_up => Ok(()),
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
    let look = async || {
        let index = index.clone();
        let all = AlertQuery { open_only: true, limit: usize::MAX, ..AlertQuery::default() };
        let open = tokio::task::spawn_blocking(move || index.alerts(&all)).await.context("the index is gone")?;
        let now = open.into_iter().filter(&sounds).map(|alert| (alert.id, alert.severity)).collect();
        reasons.send_if_modified(|reasons: &mut Reasons| replaced(reasons, now));
        anyhow::Ok(())
    };
    let mut hours = tokio::time::interval(LOOK_AGAIN);
    loop {
        let next = tokio::select! {
            next = live.recv() => next,
            // Quiet hours may have begun or ended; the first look is at once.
            _ = hours.tick() => {
                look().await?;
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
                look().await?;
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

/// What a publish of ours is about.
enum Sent {
    State(Reasons),
    Test(SirenTest),
}

/// One connection.
struct Line<'c> {
    channel: &'c Arc<Channel>,
    client: AsyncClient,
    /// What was published and not acknowledged, in order: a broker acknowledges in order (MQTT 3.1.1, 4.6).
    sent: Mutex<VecDeque<Sent>>,
    wanted: watch::Receiver<Reasons>,
}

impl Line<'_> {
    /// Moves packets until the connection is lost: that is the error.
    async fn drive(&self, mut events: EventLoop, connected: &watch::Sender<bool>) -> anyhow::Result<()> {
        loop {
            match polled(KEEP_ALIVE, events.poll()).await? {
                Event::Incoming(Packet::ConnAck(_)) => {
                    if let Some((link, _)) = &self.channel.siren {
                        link.up();
                    }
                    connected.send_replace(true);
                }
                Event::Incoming(Packet::PubAck(_)) => {
                    let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    match sent {
                        Some(Sent::State(reasons)) => self.told(reasons).await,
                        Some(Sent::Test(reply)) => _ = reply.send(Ok(())),
                        None => {}
                    }
                }
                _ => {}
            }
        }
    }

    /// Publishes what holds, as long as the connection is there.
    async fn speak(
        &self,
        mut is_up: watch::Receiver<bool>,
        tests: &mut mpsc::Receiver<SirenTest>,
    ) -> anyhow::Result<()> {
        let mut wanted = self.wanted.clone();
        loop {
            tokio::select! {
                up = is_up.wait_for(|up| *up) => {
                    up.context(Stopped)?;
                    break;
                }
                // Whoever tries it is told that there is nobody.
                Some(reply) = tests.recv() => {
                    let _ = reply.send(Err(Failure::Temporary(self.away())));
                }
            }
        }
        loop {
            let reasons = wanted.borrow_and_update().clone();
            let is_on = !reasons.is_empty();
            self.publish(is_on, Sent::State(reasons))?;
            tokio::select! {
                changed = wanted.changed() => changed.context(Stopped)?,
                () = tokio::time::sleep(AGAIN), if is_on => {}
                Some(reply) = tests.recv() => {
                    self.publish(true, Sent::Test(reply))?;
                    tokio::time::sleep(TEST).await;
                    // What holds is published next.
                }
            }
        }
    }

    fn away(&self) -> String {
        self.channel.trouble().map_or_else(|| "not connected".into(), |trouble| trouble.said)
    }

    fn publish(&self, is_on: bool, sent: Sent) -> anyhow::Result<()> {
        let NotifyConfig { topic, on, off, .. } = &self.channel.config;
        let payload = if is_on { on } else { off };
        let topic = topic.as_deref().unwrap_or_default();
        // Not retained: a siren that is switched on in a year must not be told of today.
        self.client.try_publish(topic, QoS::AtLeastOnce, false, payload.as_bytes())?;
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).push_back(sent);
        Ok(())
    }

    /// The broker has taken it: what is new in it is written down.
    async fn told(&self, reasons: Reasons) {
        let channel = self.channel;
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
}

/// Lets a siren sound for a moment, on a connection of its own.
///
/// # Errors
/// Where the broker cannot be reached, or does not take it.
pub(super) async fn sound_once(config: &NotifyConfig, server: &MqttServer, client_id: &str) -> anyhow::Result<()> {
    let topic = config.topic.as_deref().unwrap_or_default();
    let mut options = Access::read(server)?.v4(client_id);
    options.set_clean_session(true);
    let (client, mut events) = AsyncClient::new(options, 16);
    events.set_network_options(network_options());
    let publish = |payload: &str| client.try_publish(topic, QoS::AtLeastOnce, false, payload.as_bytes());
    let acknowledged = async |events: &mut EventLoop| -> anyhow::Result<()> {
        loop {
            if let Event::Incoming(Packet::PubAck(_)) = polled(KEEP_ALIVE, events.poll()).await? {
                return Ok(());
            }
        }
    };
    let late = || format!("`{}` has not taken it within {} s", server.name, PATIENCE.as_secs());
    publish(&config.on)?;
    tokio::time::timeout(PATIENCE, acknowledged(&mut events)).await.with_context(late)??;
    tokio::time::sleep(TEST).await;
    publish(&config.off)?;
    match tokio::time::timeout(PATIENCE, acknowledged(&mut events)).await {
        Ok(acknowledged) => acknowledged,
        Err(_) => bail!("it is on, and `{}` has not taken that it is over", server.name),
    }
}
