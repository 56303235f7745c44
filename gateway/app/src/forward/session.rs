//! One connection to an upstream, from its CONNECT to its loss.
//!
//! Three loops side by side: [`Session::drive`] moves packets, [`Session::listen`] takes what the
//! upstream sends, [`Session::forward`] sends what it lacks.

use anyhow::{Context, anyhow, bail};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, Filter, LastWill, LastWillProperties, Packet, PubAckReason, Publish, PublishProperties, RetainForwardRule,
    SubAck, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use ninewatch_core::alert::StaffAction;

use super::cloudevent::{self, CONTENT_TYPE, Incoming, Receipt};
use super::outbox::{JournalOutbox, Outgoing};
use super::{Patience, UpstreamStatus};
use crate::config::MqttServer;
use crate::engine::{Engine, Stopped};
use crate::mqtt_client::{Access, CONNECT_TIMEOUT, KEEP_ALIVE, polled};

/// Changes that may be on their way to the server unacknowledged.
const IN_FLIGHT: u16 = 32;
/// Events from the upstream that may be with us unacknowledged (MQTT 5's Receive Maximum).
const RECEIVE_MAXIMUM: u16 = 32;
/// What can wait to be written at one time: changes; a refusal and an acknowledgement for each
/// event from the upstream; SUBSCRIBE and `online`.
const REQUESTS: usize = (IN_FLIGHT + 2 * RECEIVE_MAXIMUM + 2) as usize;
/// The longest packet taken: a receipt that names 100,000 numbers.
const MAX_PACKET_BYTES: u32 = 1 << 20;
/// How long the server keeps staff actions for a gateway that is away: a long holiday's outage.
const SESSION_EXPIRY_SECS: u32 = 7 * 24 * 3600;
/// More than a PUBLISH of ours needs besides topic and payload.
const PACKET_OVERHEAD: usize = 128;

/// What a session needs to know, whichever connection it is.
pub(super) struct Session {
    patience: Patience,
    server: MqttServer,
    client_id: String,
    gateway: String,
    alerts: String,
    status_topic: String,
    actions: String,
    engine: Engine,
    status: Arc<UpstreamStatus>,
}

/// What [`Session::forward`] has to hear about.
enum Heard {
    Connected(ConnAck),
    Subscribed(SubAck),
    /// The server took a change, or gave it to nobody, or refused it.
    Acknowledged(u64, PubAckReason),
    Receipt(Receipt),
}

/// What a PUBLISH of ours is about.
enum Sent {
    Change(u64),
    Status,
}

/// The sending half, with what went out in the order in which it did: rumqttc tells the packet id of
/// a publish only when it is written.
struct Publisher {
    client: AsyncClient,
    order: Mutex<VecDeque<Sent>>,
}

impl Session {
    pub(super) fn new(
        patience: Patience,
        server: MqttServer,
        gateway: &str,
        engine: Engine,
        status: Arc<UpstreamStatus>,
    ) -> Self {
        let topic = |level| format!("ninewatch/v1/{gateway}/{level}");
        Self {
            patience,
            client_id: format!("ninewatch-{gateway}-{}", server.name),
            server,
            gateway: gateway.to_owned(),
            alerts: topic("alerts"),
            status_topic: topic("status"),
            actions: topic("actions"),
            engine,
            status,
        }
    }

    /// Connects and forwards until the connection is lost, which is the error, or the gateway stops.
    pub(super) async fn run(&self, outbox: &mut JournalOutbox) -> anyhow::Result<()> {
        let unique = getrandom::u64().map_err(|error| anyhow!("the system gives no random numbers: {error}"))?;
        let online = format!("online-{unique:016x}");
        let (client, mut events) = AsyncClient::new(self.options(&online)?, REQUESTS);
        let publisher = Publisher { client, order: Mutex::default() };
        let (hear, mut heard) = mpsc::channel(usize::from(IN_FLIGHT));
        let (deliver, mut delivered) = mpsc::channel(usize::from(RECEIVE_MAXIMUM));
        let ended = tokio::select! {
            ended = self.drive(&mut events, &publisher, &hear, &deliver) => ended,
            ended = self.listen(&mut delivered, &publisher, &hear) => ended,
            ended = self.forward(outbox, &mut heard, &publisher, &online) => ended,
        };
        match ended {
            Err(error) if error.is::<Stopped>() => Ok(()),
            ended => ended,
        }
    }

    fn options(&self, online: &str) -> anyhow::Result<MqttOptions> {
        let mut options = Access::read(&self.server)?.v5(&self.client_id);
        let will = LastWill::new(
            self.status_topic.as_str(),
            cloudevent::offline(&self.gateway, online)?,
            QoS::AtLeastOnce,
            true,
            Some(LastWillProperties {
                delay_interval: None,
                payload_format_indicator: Some(1),
                message_expiry_interval: None,
                content_type: Some(CONTENT_TYPE.to_owned()),
                response_topic: None,
                correlation_data: None,
                user_properties: Vec::new(),
            }),
        );
        options
            // The server keeps the session, and in it the staff actions of the time in between. What
            // we sent is not left to it: the receipt after `online` says what has arrived.
            .set_clean_start(false)
            .set_session_expiry_interval(Some(SESSION_EXPIRY_SECS))
            .set_receive_maximum(Some(RECEIVE_MAXIMUM))
            .set_max_packet_size(Some(MAX_PACKET_BYTES))
            .set_outgoing_inflight_upper_limit(2 * IN_FLIGHT)
            .set_manual_acks(true)
            .set_last_will(will);
        Ok(options)
    }

    /// Moves packets and sorts what comes.
    async fn drive(
        &self,
        events: &mut EventLoop,
        publisher: &Publisher,
        hear: &mpsc::Sender<Heard>,
        deliver: &mpsc::Sender<Publish>,
    ) -> anyhow::Result<()> {
        let mut unacknowledged: HashMap<u16, Sent> = HashMap::new();
        loop {
            let event = polled(events.options.keep_alive(), events.poll()).await?;
            let heard = match event {
                Event::Outgoing(rumqttc::Outgoing::Publish(id)) => {
                    if let Some(sent) = publisher.written() {
                        self.status.sent.fetch_add(u64::from(matches!(sent, Sent::Change(_))), Relaxed);
                        unacknowledged.insert(id, sent);
                    }
                    continue;
                }
                Event::Incoming(Packet::PubAck(ack)) => match unacknowledged.remove(&ack.pkid) {
                    Some(Sent::Change(seq)) => Heard::Acknowledged(seq, ack.reason),
                    Some(Sent::Status) | None => continue,
                },
                Event::Incoming(Packet::Publish(publish)) => {
                    deliver.send(publish).await?;
                    continue;
                }
                Event::Incoming(Packet::ConnAck(ack)) => {
                    // rumqttc takes a server's "no keep-alive" as "ping without a pause".
                    if events.options.keep_alive().is_zero() {
                        events.options.set_keep_alive(KEEP_ALIVE);
                    }
                    Heard::Connected(ack)
                }
                Event::Incoming(Packet::SubAck(ack)) => Heard::Subscribed(ack),
                _ => continue,
            };
            hear.send(heard).await?;
        }
    }

    /// Takes receipts and staff actions, in order. Each is acknowledged when it is dealt with.
    async fn listen(
        &self,
        delivered: &mut mpsc::Receiver<Publish>,
        publisher: &Publisher,
        hear: &mpsc::Sender<Heard>,
    ) -> anyhow::Result<()> {
        while let Some(publish) = delivered.recv().await {
            match cloudevent::read(&publish.payload) {
                Ok(Incoming::Receipt(receipt)) => hear.send(Heard::Receipt(receipt)).await?,
                Ok(Incoming::Action(action)) => self.act(action, publisher).await?,
                Ok(Incoming::Other) => {}
                Err(what) => {
                    self.status.malformed.fetch_add(1, Relaxed);
                    tracing::warn!(upstream = self.server.name, "passed over an event on {}: {what}", self.actions);
                }
            }
            publisher.client.try_ack(&publish)?;
        }
        Ok(())
    }

    async fn act(&self, action: StaffAction, publisher: &Publisher) -> anyhow::Result<()> {
        let Err(refusal) = self.engine.act(action.clone()).await? else {
            self.status.actions.fetch_add(1, Relaxed);
            return Ok(());
        };
        self.status.refused.fetch_add(1, Relaxed);
        tracing::info!(upstream = self.server.name, action = action.id, "refused: {refusal}");
        let event = cloudevent::refused(&self.gateway, &action, &refusal)?;
        publisher.publish(&self.status_topic, event, false, Sent::Status)
    }

    /// Introduces the gateway, then sends what the upstream lacks.
    async fn forward(
        &self,
        outbox: &mut JournalOutbox,
        heard: &mut mpsc::Receiver<Heard>,
        publisher: &Publisher,
        online: &str,
    ) -> anyhow::Result<()> {
        let Some(Heard::Connected(connack)) = heard.recv().await else { bail!("there is no connection") };
        self.status.link.up();
        let limits = connack.properties.as_ref();
        let window = usize::from(limits.and_then(|limits| limits.receive_max).unwrap_or(IN_FLIGHT).min(IN_FLIGHT));
        let max_bytes = limits
            .and_then(|limits| usize::try_from(limits.max_packet_size?).ok())
            .map_or(usize::MAX, |max| max.saturating_sub(self.alerts.len() + PACKET_OVERHEAD));
        self.introduce(outbox, heard, publisher, online).await?;
        outbox.rewind();

        let mut in_flight = 0;
        let mut paused_until: Option<Instant> = None;
        loop {
            self.status.moved.send_replace(());
            tokio::select! {
                news = heard.recv() => match news.context("there is no connection")? {
                    Heard::Acknowledged(seq, reason) => {
                        in_flight -= 1;
                        match reason {
                            PubAckReason::Success => outbox.arrived(seq),
                            PubAckReason::NoMatchingSubscribers => {
                                self.status.link.complain(&format!("nobody there reads {}", self.alerts));
                                outbox.put_back(seq);
                                paused_until = Some(Instant::now() + self.patience.nobody_reads);
                            }
                            refused => bail!("the server refused a change: {refused:?}"),
                        }
                    }
                    Heard::Receipt(receipt) => {
                        self.count(outbox.receipt(receipt));
                        self.ensure_none_passed_over(outbox)?;
                        // Somebody does read.
                        paused_until = None;
                    }
                    Heard::Connected(_) | Heard::Subscribed(_) => {}
                },
                outgoing = outbox.next(), if in_flight < window && paused_until.is_none() => {
                    let Outgoing { seq, change } = outgoing?;
                    let event = match &change {
                        Some(change) => cloudevent::alert(&self.gateway, change, max_bytes)?,
                        None => cloudevent::lost(&self.gateway, seq)?,
                    };
                    publisher.publish(&self.alerts, event, false, Sent::Change(seq))?;
                    in_flight += 1;
                }
                () = until(paused_until) => paused_until = None,
            }
        }
    }

    /// Subscribes, says `online` and waits for the receipt that answers it: it tells what need not
    /// be sent again.
    async fn introduce(
        &self,
        outbox: &mut JournalOutbox,
        heard: &mut mpsc::Receiver<Heard>,
        publisher: &Publisher,
        online: &str,
    ) -> anyhow::Result<()> {
        // What the server may have retained there is an old receipt or an old action.
        let mut filter = Filter::new(self.actions.as_str(), QoS::AtLeastOnce);
        filter.retain_forward_rule = RetainForwardRule::Never;
        publisher.client.try_subscribe_many([filter])?;
        loop {
            let news = timeout(CONNECT_TIMEOUT, heard.recv()).await.context("SUBSCRIBE is not answered")?;
            match news.context("there is no connection")? {
                Heard::Receipt(receipt) => self.count(outbox.receipt(receipt)),
                Heard::Subscribed(ack) => {
                    // Alerts go out all the same.
                    if !matches!(ack.return_codes.first(), Some(SubscribeReasonCode::Success(_))) {
                        self.status.link.complain(&format!("we may not read {}: {:?}", self.actions, ack.return_codes));
                    }
                    break;
                }
                Heard::Connected(_) | Heard::Acknowledged(..) => {}
            }
        }
        publisher.publish(&self.status_topic, cloudevent::online(&self.gateway, online)?, true, Sent::Status)?;
        match self.answer(outbox, heard, online).await? {
            Some(receipt) => self.count(outbox.restate(receipt)),
            None => tracing::info!(upstream = self.server.name, "no receipt answers; what has none is sent again"),
        }
        Ok(())
    }

    /// Waits for the receipt that answers `online`.
    async fn answer(
        &self,
        outbox: &mut JournalOutbox,
        heard: &mut mpsc::Receiver<Heard>,
        online: &str,
    ) -> anyhow::Result<Option<Receipt>> {
        let patience = if outbox.is_receipted() { self.patience.answer } else { self.patience.first_answer };
        let mut deadline = Instant::now() + patience;
        let mut newest = None;
        loop {
            let Ok(news) = timeout_at(deadline, heard.recv()).await else { return Ok(newest) };
            let Heard::Receipt(receipt) = news.context("there is no connection")? else { continue };
            match receipt.answers.as_deref() {
                Some(answers) if answers == online => return Ok(Some(receipt)),
                // It was under way before.
                Some(_) => self.count(outbox.receipt(receipt)),
                None => {
                    newest = Some(receipt);
                    deadline = deadline.min(Instant::now() + self.patience.quiet);
                }
            }
        }
    }

    /// A change that the upstream's server took and later receipts do not know got lost between the
    /// two: the answer to the next `online` says so, and it is sent again.
    fn ensure_none_passed_over(&self, outbox: &JournalOutbox) -> anyhow::Result<()> {
        match outbox.oldest_unreceipted() {
            Some((seq, since)) if since.elapsed() > self.patience.passed_over => {
                bail!("receipts pass over change {seq}; connecting anew to ask")
            }
            _ => Ok(()),
        }
    }

    fn count(&self, receipted: u64) {
        self.status.receipted.fetch_add(receipted, Relaxed);
    }
}

impl Publisher {
    fn publish(&self, topic: &str, event: Vec<u8>, retain: bool, sent: Sent) -> anyhow::Result<()> {
        let properties = PublishProperties {
            payload_format_indicator: Some(1),
            content_type: Some(CONTENT_TYPE.to_owned()),
            ..PublishProperties::default()
        };
        self.client.try_publish_with_properties(topic, QoS::AtLeastOnce, retain, event, properties)?;
        self.order.lock().map_err(|_| anyhow!("the order is lost"))?.push_back(sent);
        Ok(())
    }

    /// What the publish that was just written is about.
    fn written(&self) -> Option<Sent> {
        self.order.lock().ok()?.pop_front()
    }
}

/// Waits until `at`, if there is such a time.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
