//! A siren at a broker: whenever the line is there, what holds is published, and again each minute while it is on.

use anyhow::{Context, bail};
use rumqttc::{AsyncClient, Event, EventLoop, Packet, QoS};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

use super::super::channel::{Channel, SirenTest};
use super::super::config::NotifyConfig;
use super::super::service::Failure;
use super::{Reasons, TEST, told};
use crate::config::MqttServer;
use crate::engine::Stopped;
use crate::mqtt_client::{Access, KEEP_ALIVE, network_options, polled};

/// A siren that was away, or whose own time is up, sounds again after this time.
const AGAIN: Duration = Duration::from_secs(60);
/// For the broker to take a test.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tells what is wanted, on one connection after the other.
///
/// # Errors
/// None: a connection that breaks is made anew, and said.
pub(super) async fn keep_up(
    channel: &Arc<Channel>,
    server: &MqttServer,
    wanted: &watch::Receiver<Reasons>,
    tests: mpsc::Receiver<SirenTest>,
) -> anyhow::Result<()> {
    let Some(link) = channel.link() else { return Ok(()) };
    let tests = tokio::sync::Mutex::new(tests);
    // The line has no end of its own: the engine's is the gateway's.
    link.keep_up(|| async {
        let access = Access::read(server)?;
        let mut options = access.v4(&format!("ninewatch-{}-{}", channel.shared.source.gateway, channel.name()));
        options.set_clean_session(true);
        let (client, mut events) = AsyncClient::new(options, 16);
        events.set_network_options(network_options());
        let line = Line { channel, client, sent: Mutex::default(), wanted: wanted.clone() };
        let mut tests = tests.lock().await;
        let (connected, is_up) = watch::channel(false);
        tokio::select! {
            ended = line.drive(events, &connected) => ended,
            ended = line.speak(is_up, &mut tests) => ended,
        }
    })
    .await;
    Ok(())
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
                    if let Some(link) = self.channel.link() {
                        link.up();
                    }
                    connected.send_replace(true);
                }
                Event::Incoming(Packet::PubAck(_)) => {
                    let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    match sent {
                        Some(Sent::State(reasons)) => told(self.channel, reasons).await,
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
}

/// Lets a siren sound for a moment, on a connection of its own.
///
/// # Errors
/// Where the broker cannot be reached, or does not take it.
pub(in crate::notify) async fn sound_once(
    config: &NotifyConfig,
    server: &MqttServer,
    client_id: &str,
) -> anyhow::Result<()> {
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
