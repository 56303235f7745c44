//! The line to an upstream's server: one MQTT 5 connection, its packets moved and sorted by who has
//! to hear of them.

use anyhow::anyhow;
#[cfg(test)]
use rumqttc::v5::Request;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnAck, Filter, Packet, PubAckReason, Publish, PublishProperties, SubAck};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::mpsc;

use super::UpstreamStatus;
use super::cloudevent::{CONTENT_TYPE, Receipt};
use crate::mqtt_client::{KEEP_ALIVE, polled};

/// Changes that may be on their way to the server unacknowledged.
pub(super) const IN_FLIGHT: u16 = 32;
/// Events from the upstream that may be with us unacknowledged (MQTT 5's Receive Maximum).
pub(super) const RECEIVE_MAXIMUM: u16 = 32;
/// What can wait to be written at one time: changes; an answer and an acknowledgement for each event from the upstream;
/// SUBSCRIBE and `online`. mosquitto 2.0 has as many events unacknowledged as its own `max_inflight_messages` says, whatever
/// we ask; this is more than it queues by default.
const REQUESTS: usize = 4096;

/// What the forwarding has to hear about.
pub(super) enum Heard {
    Connected(ConnAck),
    Subscribed(SubAck),
    /// The server took a change, or gave it to nobody, or refused it.
    Acknowledged(u64, PubAckReason),
    Receipt(Receipt),
}

/// What comes to whoever listens to the upstream.
pub(super) enum Came {
    /// An event of its, to be acknowledged.
    Event(Box<Publish>),
    /// Its server has taken our answer with this number, or will not.
    AnswerTaken(u64),
}

/// What can wait for whoever listens.
pub(super) const COMING: usize = 2 * RECEIVE_MAXIMUM as usize;

/// What a PUBLISH of ours is about.
pub(super) enum Sent {
    Change(u64),
    Answer(u64),
    Status,
}

/// A line that ends here: a test takes what is sent.
#[cfg(test)]
pub(super) fn loose() -> (Publisher, flume::Receiver<Request>) {
    let (client, requests) = flume::bounded(REQUESTS);
    (Publisher { client: AsyncClient::from_senders(client), order: Mutex::default() }, requests)
}

/// Opens a line; it connects when [`drive`] runs.
pub(super) fn open(options: MqttOptions) -> (Publisher, EventLoop) {
    let (client, events) = AsyncClient::new(options, REQUESTS);
    (Publisher { client, order: Mutex::default() }, events)
}

/// The line's sending end.
pub(super) struct Publisher {
    client: AsyncClient,
    /// What was handed to rumqttc, in order: it tells the packet id only when it writes a publish.
    order: Mutex<VecDeque<Sent>>,
}

impl Publisher {
    pub(super) fn publish(&self, topic: &str, event: Vec<u8>, retain: bool, sent: Sent) -> anyhow::Result<()> {
        let properties = PublishProperties {
            payload_format_indicator: Some(1),
            content_type: Some(CONTENT_TYPE.to_owned()),
            ..PublishProperties::default()
        };
        self.client.try_publish_with_properties(topic, QoS::AtLeastOnce, retain, event, properties)?;
        self.order.lock().map_err(|_| anyhow!("the order is lost"))?.push_back(sent);
        Ok(())
    }

    pub(super) fn subscribe(&self, filter: Filter) -> anyhow::Result<()> {
        Ok(self.client.try_subscribe_many([filter])?)
    }

    pub(super) fn acknowledge(&self, publish: &Publish) -> anyhow::Result<()> {
        Ok(self.client.try_ack(publish)?)
    }

    /// What the publish that was just written is about.
    pub(super) fn written(&self) -> Option<Sent> {
        self.order.lock().ok()?.pop_front()
    }
}

/// Moves packets until the connection is lost: that is the error. Events from the upstream go to
/// `deliver`, with the fate of our answers to them, all else that matters to `hear`.
pub(super) async fn drive(
    mut events: EventLoop,
    publisher: &Publisher,
    status: &UpstreamStatus,
    hear: &mpsc::Sender<Heard>,
    deliver: &mpsc::Sender<Came>,
) -> anyhow::Result<()> {
    let mut unacknowledged: HashMap<u16, Sent> = HashMap::new();
    loop {
        let event = polled(events.options.keep_alive(), events.poll()).await?;
        match event {
            Event::Outgoing(rumqttc::Outgoing::Publish(id)) => {
                if let Some(sent) = publisher.written() {
                    status.sent.fetch_add(u64::from(matches!(sent, Sent::Change(_))), Relaxed);
                    unacknowledged.insert(id, sent);
                }
            }
            Event::Incoming(Packet::PubAck(ack)) => match unacknowledged.remove(&ack.pkid) {
                Some(Sent::Change(seq)) => hear.send(Heard::Acknowledged(seq, ack.reason)).await?,
                Some(sent) => {
                    if !matches!(ack.reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers) {
                        status.link.complain(&format!("the server refused our status: {:?}", ack.reason));
                    }
                    if let Sent::Answer(answer) = sent {
                        deliver.send(Came::AnswerTaken(answer)).await?;
                    }
                }
                None => {}
            },
            Event::Incoming(Packet::Publish(publish)) => deliver.send(Came::Event(Box::new(publish))).await?,
            Event::Incoming(Packet::ConnAck(ack)) => {
                // rumqttc takes a server's "no keep-alive" as "ping without a pause".
                if events.options.keep_alive().is_zero() {
                    events.options.set_keep_alive(KEEP_ALIVE);
                }
                hear.send(Heard::Connected(ack)).await?;
            }
            Event::Incoming(Packet::SubAck(ack)) => hear.send(Heard::Subscribed(ack)).await?,
            _ => {}
        }
    }
}
