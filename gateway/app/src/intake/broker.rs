//! The broker door: readings from an MQTT broker that is there already, such as mosquitto's,
//! Zigbee2MQTT's or ChirpStack's.
//!
//! MQTT 3.1.1, a persistent session, and manual acknowledgements: the broker keeps a message until
//! the journal has it. It subscribes at QoS 1. QoS 2 would add nothing, for readings that come twice
//! are known by their time, and rumqttc 0.25 ends each connection on which a broker completes a
//! QoS 2 delivery that began on an earlier one.

#[cfg(test)]
mod tests;

use anyhow::bail;
use rumqttc::{
    AsyncClient, ConnAck, Event, EventLoop, Packet, PubAck, Publish, QoS, StateError, SubAck, SubscribeFilter,
    SubscribeReasonCode,
};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::config::MqttServer;
use crate::engine::{Ack, Acked, Engine, Fate, Inbound};
use crate::mqtt_client::{Access, KEEP_ALIVE, Link, link_metrics, metric, network_options, polled};

/// Messages that may wait for the journal before no more are read. Brokers have a limit of their
/// own, 20 in mosquitto.
const WINDOW: usize = 256;
/// Messages down that may wait for the connection.
const DOWNWARD: usize = 16;
/// No reading is longer. A longer message is passed over: kept, it would only come again.
const LARGEST_PAYLOAD: usize = 256 << 10;
/// The longest packet taken at all. It ends the connection, and an MQTT 3.1.1 broker sends it again
/// at the next one: so it is far from what anybody publishes.
const LARGEST_PACKET: usize = 16 << 20;

/// How a broker is.
#[derive(Debug)]
pub(crate) struct BrokerStatus {
    pub(crate) link: Link,
    /// Messages taken in.
    pub(crate) messages: AtomicU64,
    /// Messages too long to be a reading.
    pub(crate) oversize: AtomicU64,
    /// Topic filters that the broker does not let us read.
    not_let: std::sync::Mutex<Vec<String>>,
    downward: mpsc::Sender<Downward>,
}

/// What a device behind the broker is told.
#[derive(Debug)]
struct Downward {
    topic: String,
    payload: Vec<u8>,
    /// Whether it was handed to the connection.
    done: oneshot::Sender<bool>,
}

impl BrokerStatus {
    /// The topic filters that the broker does not let us read, if there are any.
    pub(crate) fn not_let_read(&self) -> Option<String> {
        let filters = self.not_let.lock().ok()?;
        (!filters.is_empty()).then(|| filters.join(", "))
    }

    /// Publishes to a device behind the broker, at QoS 1. Says whether there is a connection that
    /// took it; it is not kept for later.
    pub(crate) async fn publish(&self, topic: String, payload: Vec<u8>) -> bool {
        let (done, handed) = oneshot::channel();
        let connected = self.link.watch().borrow().since.is_some();
        let downward = Downward { topic, payload, done };
        connected && self.downward.try_send(downward).is_ok() && handed.await.unwrap_or(false)
    }
}

/// As the broker knows us: it keeps our session by it.
pub(crate) fn client_id(gateway: &str, name: &str) -> String {
    format!("ninewatch-{gateway}-{name}")
}

/// Starts reading from a broker. The future ends when the gateway stops.
///
/// # Errors
/// Where the broker's files or topic filters cannot be used.
pub(crate) fn start(
    server: MqttServer,
    gateway: &str,
    engine: Engine,
) -> anyhow::Result<(Arc<BrokerStatus>, impl Future<Output = anyhow::Result<()>> + Send + use<>)> {
    Access::read(&server)?;
    if let Some(filter) = server.subscribe.iter().find(|filter| !rumqttc::valid_filter(filter)) {
        bail!("`{}`: `{filter}` is no topic filter; `#` stands last, `+` alone in its level", server.name);
    }
    let (downward, waiting) = mpsc::channel(DOWNWARD);
    let status = Arc::new(BrokerStatus {
        link: Link::new("broker", &server.name),
        messages: AtomicU64::new(0),
        oversize: AtomicU64::new(0),
        not_let: std::sync::Mutex::default(),
        downward,
    });
    let door = Door {
        name: format!("broker:{}", server.name).into(),
        client_id: client_id(gateway, &server.name),
        server,
        engine,
        status: status.clone(),
        subscribed: AtomicBool::new(false),
        downward: Mutex::new(waiting),
    };
    let reading = async move {
        door.status.link.keep_up(|| door.connection()).await;
        Ok(())
    };
    Ok((status, reading))
}

/// Adds what it counts in Prometheus' text format.
pub(crate) fn render(broker: &BrokerStatus, out: &mut String) {
    link_metrics(out, &broker.link);
    for (name, help, counter) in [
        ("messages", "Messages read from the broker.", &broker.messages),
        ("oversize", "Messages from the broker too long to be a reading.", &broker.oversize),
    ] {
        metric(out, &format!("ninewatch_broker_{name}_total"), "counter", help, &broker.link, counter.load(Relaxed));
    }
}

struct Door {
    name: Arc<str>,
    client_id: String,
    server: MqttServer,
    engine: Engine,
    status: Arc<BrokerStatus>,
    /// Whether the broker's session is known to hold the subscriptions of the present `site.toml`.
    subscribed: AtomicBool,
    /// Taken by the one connection that there is at a time.
    downward: Mutex<mpsc::Receiver<Downward>>,
}

impl Door {
    /// Reads until the connection is lost, which is the error, or the gateway stops.
    ///
    /// Acknowledgements come back over a channel of this connection. One that comes later goes
    /// nowhere: a packet id means another message on the next connection.
    async fn connection(&self) -> anyhow::Result<()> {
        let mut options = Access::read(&self.server)?.v4(&self.client_id);
        options.set_clean_session(false).set_manual_acks(true).set_max_packet_size(LARGEST_PACKET, LARGEST_PACKET);
        let (client, mut events) = AsyncClient::new(options, 2 * DOWNWARD);
        events.set_network_options(network_options());
        let (ack_to, mut acked) = mpsc::unbounded_channel();
        let mut unacked = 0;
        let mut downward = self.downward.lock().await;
        loop {
            // A poll that is left for an acknowledgement loses nothing: it has only been reading.
            let event = tokio::select! {
                biased;
                Some(first) = acked.recv() => {
                    unacked -= polled(KEEP_ALIVE, acknowledge(&mut events, first, &mut acked)).await?;
                    continue;
                }
                Some(Downward { topic, payload, done }) = downward.recv() => {
                    let handed = client.try_publish(topic, QoS::AtLeastOnce, false, payload).is_ok();
                    let _ = done.send(handed);
                    continue;
                }
                event = polled(KEEP_ALIVE, events.poll()), if unacked < WINDOW => event?,
            };
            let mut batch = Vec::new();
            // What came with it is taken along.
            for event in std::iter::once(event).chain(std::mem::take(&mut events.state.events)) {
                match event {
                    Event::Incoming(Packet::Publish(publish)) => {
                        unacked += usize::from(publish.qos != QoS::AtMostOnce);
                        batch.extend(self.inbound(publish, &ack_to));
                    }
                    Event::Incoming(Packet::ConnAck(ack)) => self.connected(&ack, &client)?,
                    Event::Incoming(Packet::SubAck(ack)) => self.subscribed(&ack),
                    _ => {}
                }
            }
            if !batch.is_empty() && self.engine.submit(batch).await.is_err() {
                return Ok(());
            }
        }
    }

    /// What the engine gets of a message.
    fn inbound(&self, publish: Publish, ack_to: &mpsc::UnboundedSender<Acked>) -> Option<Inbound> {
        let ack = (publish.qos != QoS::AtMostOnce).then(|| Ack {
            to: ack_to.clone(),
            token: publish.pkid.into(),
            can_refuse: false,
        });
        if publish.payload.len() > LARGEST_PAYLOAD {
            if self.status.oversize.fetch_add(1, Relaxed) == 0 {
                let (name, topic, bytes) = (&self.server.name, &publish.topic, publish.payload.len());
                tracing::warn!("broker `{name}`: passed over {bytes} bytes on {topic}; subscribe to sensors only");
            }
            if let Some(ack) = ack {
                let _ = ack.to.send(Acked { token: ack.token, fate: Fate::Rejected });
            }
            return None;
        }
        self.status.messages.fetch_add(1, Relaxed);
        Some(Inbound {
            door: self.name.clone(),
            device: None,
            topic: publish.topic,
            payload: publish.payload.into(),
            // What the broker had retained may have come before, too.
            redelivered: publish.dup || publish.retain,
            ack,
        })
    }

    fn connected(&self, ack: &ConnAck, client: &AsyncClient) -> anyhow::Result<()> {
        if ack.session_present && self.subscribed.load(Relaxed) {
            self.status.link.up();
            return Ok(());
        }
        self.subscribed.store(false, Relaxed);
        let filters = self.server.subscribe.iter();
        client.try_subscribe_many(filters.map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtLeastOnce)))?;
        Ok(())
    }

    fn subscribed(&self, ack: &SubAck) {
        self.subscribed.store(true, Relaxed);
        let answers = self.server.subscribe.iter().zip(&ack.return_codes);
        let refused = answers.filter(|(_, code)| **code == SubscribeReasonCode::Failure);
        let not_let: Vec<String> = refused.map(|(filter, _)| filter.clone()).collect();
        if let Ok(mut kept) = self.status.not_let.lock() {
            kept.clone_from(&not_let);
        }
        self.status.link.up();
        for filter in not_let {
            self.status.link.complain(&format!("the broker does not let us read {filter}"));
        }
    }
}

/// Writes the PUBACK for `first` and for what else is durable by now, all at once; gives how many.
/// rumqttc's own way, a request for each, reads up to ten messages for each one that it writes.
async fn acknowledge(
    events: &mut EventLoop,
    first: Acked,
    acked: &mut mpsc::UnboundedReceiver<Acked>,
) -> Result<usize, StateError> {
    let network = events.network.as_mut().ok_or(StateError::ConnectionAborted)?;
    let mut written = 0;
    let mut next = Some(first);
    while let Some(Acked { token, .. }) = next {
        // Tokens are packet ids.
        network.write(Packet::PubAck(PubAck::new(u16::try_from(token).unwrap_or_default()))).await?;
        written += 1;
        next = acked.try_recv().ok();
    }
    network.flush().await?;
    Ok(written)
}
