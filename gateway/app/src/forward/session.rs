//! One connection to an upstream, from its CONNECT to its loss.
//!
//! Three loops side by side: [`line::drive`] moves packets, [`Session::listen`] takes what the
//! upstream sends (in [`super::listening`]), [`Session::forward`] sends what it lacks.

use anyhow::{Context, anyhow, bail};
use rumqttc::v5::MqttOptions;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    Filter, LastWill, LastWillProperties, PubAckReason, RetainForwardRule, SubscribeReasonCode,
};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::cloudevent::{self, CONTENT_TYPE, Receipt};
use super::line::{self, COMING, Came, Heard, IN_FLIGHT, Publisher, RECEIVE_MAXIMUM, Sent};
use super::outbox::{JournalOutbox, Outgoing};
use super::{Patience, Source, UpstreamStatus};
use crate::config::MqttServer;
use crate::engine::{Engine, Stopped};
use crate::mqtt_client::{Access, CONNECT_TIMEOUT};

/// The longest packet taken: a receipt that names 100,000 numbers.
const MAX_PACKET_BYTES: u32 = 1 << 20;
/// Changes that may be with the upstream's server without a receipt while all goes well. Half of what
/// mosquitto queues for a client before it drops.
const UNRECEIPTED: usize = 500;
/// The same for critical alerts, which do not wait with the others: still less than mosquitto drops.
const CRITICAL_UNRECEIPTED: usize = 900;
/// How long the server keeps staff actions for a gateway that is away: a long holiday's outage.
const SESSION_EXPIRY_SECS: u32 = 7 * 24 * 3600;
/// More than a PUBLISH of ours needs besides topic and payload.
const PACKET_OVERHEAD: usize = 128;

/// What a session needs to know, whichever connection it is.
pub(super) struct Session {
    patience: Patience,
    pub(super) server: MqttServer,
    client_id: String,
    pub(super) source: Source,
    alerts: String,
    pub(super) status_topic: String,
    pub(super) actions: String,
    pub(super) engine: Engine,
    pub(super) status: Arc<UpstreamStatus>,
}

impl Session {
    pub(super) fn new(
        patience: Patience,
        server: MqttServer,
        source: Source,
        engine: Engine,
        status: Arc<UpstreamStatus>,
    ) -> Self {
        let gateway = &source.gateway;
        let topic = |level| format!("ninewatch/v1/{gateway}/{level}");
        Self {
            patience,
            client_id: format!("ninewatch-{gateway}-{}", server.name),
            server,
            alerts: topic("alerts"),
            status_topic: topic("status"),
            actions: topic("actions"),
            source,
            engine,
            status,
        }
    }

    /// Connects and forwards until the connection is lost, which is the error, or the gateway stops.
    pub(super) async fn run(&self, outbox: &mut JournalOutbox) -> anyhow::Result<()> {
        let unique = getrandom::u64().map_err(|error| anyhow!("the system gives no random numbers: {error}"))?;
        let online = format!("online-{unique:016x}");
        let (publisher, events) = line::open(self.options(&online)?);
        let (hear, mut heard) = mpsc::channel(usize::from(IN_FLIGHT));
        let (deliver, mut delivered) = mpsc::channel(COMING);
        let ended = tokio::select! {
            ended = line::drive(events, &publisher, &self.status, &hear, &deliver) => ended,
            ended = self.talk(outbox, &publisher, &hear, &mut heard, &mut delivered, &online) => ended,
        };
        match ended {
            Err(error) if error.is::<Stopped>() => Ok(()),
            ended => ended,
        }
    }

    /// Listens and forwards, whoever moves the packets.
    pub(super) async fn talk(
        &self,
        outbox: &mut JournalOutbox,
        publisher: &Publisher,
        hear: &mpsc::Sender<Heard>,
        heard: &mut mpsc::Receiver<Heard>,
        delivered: &mut mpsc::Receiver<Came>,
        online: &str,
    ) -> anyhow::Result<()> {
        // The order of looking is fixed, here and below, so that the same events come to the same.
        tokio::select! {
            biased;
            ended = self.listen(delivered, publisher, hear) => ended,
            ended = self.forward(outbox, heard, publisher, online) => ended,
        }
    }

    fn options(&self, online: &str) -> anyhow::Result<MqttOptions> {
        let mut options = Access::read(&self.server)?.v5(&self.client_id);
        let will = LastWill::new(
            self.status_topic.as_str(),
            cloudevent::offline(&self.source, online)?,
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
        // Nothing goes out then; else critical alerts do not wait for receipts either.
        let mut nobody_reads = false;
        loop {
            self.status.moved.send_replace(());
            let paused = paused_until.is_some();
            let critical_goes = !nobody_reads && outbox.unreceipted() < CRITICAL_UNRECEIPTED;
            tokio::select! {
                biased;
                news = heard.recv() => match news.context("there is no connection")? {
                    Heard::Acknowledged(seq, reason) => {
                        in_flight -= 1;
                        match reason {
                            PubAckReason::Success => {
                                outbox.arrived(seq);
                                if outbox.unreceipted() >= UNRECEIPTED {
                                    paused_until = Some(Instant::now() + self.patience.receipt);
                                    nobody_reads = false;
                                }
                            }
                            PubAckReason::NoMatchingSubscribers => {
                                self.status.link.complain(&format!("nobody there reads {}", self.alerts));
                                outbox.put_back(seq);
                                paused_until = Some(Instant::now() + self.patience.nobody_reads);
                                nobody_reads = true;
                            }
                            refused => bail!("the server refused a change: {refused:?}"),
                        }
                    }
                    Heard::Receipt(receipt) => {
                        self.count(outbox.receipt(receipt));
                        // Its server took it and the upstream never got it, as when a queue was full:
                        // the answer to the next `online` says so.
                        if let Some(seq) = outbox.passed_over(self.patience.passed_over) {
                            bail!("receipts pass over change {seq}; connecting anew to ask");
                        }
                        // Somebody does read.
                        paused_until = None;
                    }
                    Heard::Connected(_) | Heard::Subscribed(_) => {}
                },
                outgoing = outbox.next(paused), if in_flight < window && (!paused || critical_goes) => {
                    let Outgoing { seq, change } = outgoing?;
                    let event = match &change {
                        Some(change) => cloudevent::alert(&self.source, change, max_bytes)?,
                        None => cloudevent::lost(&self.source, seq)?,
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
        publisher.subscribe(filter)?;
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
        publisher.publish(&self.status_topic, cloudevent::online(&self.source, online)?, true, Sent::Status)?;
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
        let latest = Instant::now() + patience;
        let mut deadline = latest;
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
                    deadline = latest.min(Instant::now() + self.patience.quiet);
                }
            }
        }
    }

    fn count(&self, receipted: u64) {
        self.status.receipted.fetch_add(receipted, Relaxed);
    }
}

/// Waits until `at`, if there is such a time.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
