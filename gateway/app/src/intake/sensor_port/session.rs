//! What passes between a device that was let in and the engine: a state machine without I/O.
//!
//! Promises:
//! - PUBACK and PUBREC leave only when the engine says that the message is durable, or, with MQTT 5's reason, that
//!   it was not taken; they leave in
//!   the order of their PUBLISHes. PUBCOMP answers a PUBREL, which comes only after a PUBREC.
//! - A QoS 2 message is handed in once from its PUBLISH to its PUBREL. When the client reconnects
//!   (without a clean start) while the gateway runs, that still holds for what had its PUBREC; the
//!   repetition is known by its DUP flag and packet id. What had none yet is handed in again, marked
//!   as redelivered, and so is what comes again after the gateway was restarted: the pipeline knows
//!   a reading that it has.

use mqtt_protocol_core::mqtt::packet::Qos;
use mqtt_protocol_core::mqtt::result_code::{MqttError, SubackReasonCode};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::mpsc;

use super::answers::{Answer, Out};
use super::counters::PortCounters;
use super::ending::End;
use super::packets::{Connect, Packet, Publish, Subscribe, Version, Will};
use super::roster::{Downward, PacketIds, Seat, Subscriptions};
use super::{NOT_IN_TOPICS, Shared, own_topic};
use crate::engine::{Ack, Acked, Fate, Inbound};

/// QoS 1 messages to a device that may wait for its PUBACK.
const DOWNLINK_WINDOW: u16 = 16;

pub(super) struct Session {
    version: Version,
    seat: Seat,
    door: Arc<str>,
    counters: Arc<PortCounters>,
    will: Option<Will>,
    /// Messages that may wait for their answer, and QoS 2 messages for their PUBREL.
    receive_maximum: usize,
    acks: mpsc::UnboundedSender<Acked>,
    /// QoS 1 and 2 messages without an answer, in order.
    pending: VecDeque<Pending>,
    /// The token of the first of them; those behind it count up from there.
    first_token: u64,
    /// QoS 2 messages of this connection that wait for their PUBREL.
    unreleased: PacketIds,
    /// The same of the client's former connection.
    unreleased_before: PacketIds,
    subscriptions: Subscriptions,
    /// The largest packet that the device takes.
    packet_bytes: u32,
    window: usize,
    /// QoS 1 messages to the device that wait for its PUBACK.
    sent: HashSet<u16>,
    last_sent: u16,
}

struct Pending {
    packet_id: u16,
    qos: Qos,
    /// What became of it, as soon as that is known.
    answer: Option<Answer>,
}

impl Session {
    pub(super) fn new(connect: Connect, seat: Seat, shared: &Shared, acks: mpsc::UnboundedSender<Acked>) -> Self {
        let left = seat.resume();
        Self {
            version: connect.version,
            seat,
            door: shared.door.clone(),
            counters: shared.counters.clone(),
            will: connect.will,
            receive_maximum: usize::from(shared.limits.receive_maximum),
            acks,
            pending: VecDeque::new(),
            first_token: 0,
            unreleased: PacketIds::new(),
            unreleased_before: if connect.clean_start { PacketIds::new() } else { left },
            subscriptions: Subscriptions::default(),
            packet_bytes: connect.packet_bytes,
            window: usize::from(connect.receive_maximum.min(DOWNLINK_WINDOW)),
            sent: HashSet::new(),
            last_sent: 0,
        }
    }

    /// Who it is.
    pub(super) fn device(&self) -> &str {
        self.seat.device()
    }

    /// Whether it may be fed another packet. When not, the device waits in TCP.
    pub(super) fn can_take(&self) -> bool {
        // MQTT 5 was told how much it may send, and is held to it.
        self.version == Version::V5 || self.pending.len() < self.receive_maximum
    }

    /// Whether it may be given a message for the device.
    pub(super) fn can_send(&self) -> bool {
        self.sent.len() < self.window
    }

    /// Takes a packet. What it brings goes to `inbound`, what it is answered now to `out`.
    ///
    /// # Errors
    /// Why the connection must end.
    pub(super) fn take(&mut self, packet: Packet, inbound: &mut Vec<Inbound>, out: &mut Out) -> Result<(), End> {
        match packet {
            Packet::Publish(publish) => {
                inbound.extend(self.publish(publish)?);
                self.answer(out);
            }
            Packet::Pubrel(packet_id) => self.pubrel(packet_id, out)?,
            Packet::Puback(packet_id) => _ = self.sent.remove(&packet_id),
            Packet::Subscribe(subscribe) => self.subscribe(&subscribe, out)?,
            Packet::Unsubscribe(packet_id, filters) => self.unsubscribe(packet_id, &filters, out),
            Packet::Pingreq => self.version.pingresp(out),
            Packet::Disconnect { with_will } => return Err(End::Left { with_will }),
            Packet::Connect(_) => return Err(MqttError::ProtocolError.into()),
        }
        Ok(())
    }

    fn publish(&mut self, publish: Publish) -> Result<Option<Inbound>, End> {
        let Publish { topic, payload, qos, packet_id, dup, retain, aliased } = publish;
        if aliased {
            // None were offered.
            return Err(MqttError::TopicAliasInvalid.into());
        }
        if topic.contains(NOT_IN_TOPICS) {
            return Err(MqttError::TopicNameInvalid.into());
        }
        if retain && self.version == Version::V5 {
            // It was told so. MQTT 3.1.1 cannot be: there the flag means nothing here.
            return Err(MqttError::RetainNotSupported.into());
        }
        if qos == Qos::ExactlyOnce && self.is_repetition(packet_id, dup) {
            self.counters.repeated.fetch_add(1, Relaxed);
            return Ok(None);
        }
        self.check_quota(qos)?;
        let foreign = own_topic(self.seat.device(), &topic).is_none();
        if foreign {
            self.counters.foreign_topics.fetch_add(1, Relaxed);
            if self.version == Version::V3_1_1 {
                return Err(End::ForeignTopic);
            }
        }
        let ack = (qos != Qos::AtMostOnce).then(|| {
            let token = self.first_token + self.pending.len() as u64;
            self.pending.push_back(Pending { packet_id, qos, answer: foreign.then_some(Answer::Foreign) });
            Ack { to: self.acks.clone(), token, can_refuse: self.version == Version::V5 }
        });
        Ok((!foreign).then(|| self.inbound(topic, payload, dup, ack)))
    }

    fn inbound(&self, topic: String, payload: Vec<u8>, redelivered: bool, ack: Option<Ack>) -> Inbound {
        Inbound { door: self.door.clone(), device: Some(self.seat.device().clone()), topic, payload, redelivered, ack }
    }

    /// Whether a QoS 2 message was taken before. If so, it is answered again; if its PUBREC is
    /// still to come, by that.
    fn is_repetition(&mut self, packet_id: u16, dup: bool) -> bool {
        if self.pending.iter().any(|pending| pending.is_qos2(packet_id)) {
            return true;
        }
        // A client that forgot its former connection uses the same ids for new messages, without DUP.
        let before = self.unreleased_before.remove(&packet_id) && dup;
        if !before && !self.unreleased.contains(&packet_id) {
            return false;
        }
        self.pending.push_back(Pending { packet_id, qos: Qos::ExactlyOnce, answer: Some(Answer::Taken) });
        true
    }

    fn check_quota(&self, qos: Qos) -> Result<(), End> {
        let used = match (self.version, qos) {
            (_, Qos::AtMostOnce) | (Version::V3_1_1, Qos::AtLeastOnce) => return Ok(()),
            // What is pending waits in TCP, but a PUBREL that is missing cannot be waited for.
            (Version::V3_1_1, Qos::ExactlyOnce) => self.unreleased.len(),
            (Version::V5, _) => self.unreleased.len() + self.pending.len(),
        };
        if used < self.receive_maximum { Ok(()) } else { Err(MqttError::ReceiveMaximumExceeded.into()) }
    }

    fn pubrel(&mut self, packet_id: u16, out: &mut Out) -> Result<(), End> {
        if self.pending.iter().any(|pending| pending.is_qos2(packet_id)) {
            // It has no PUBREC yet.
            return Err(MqttError::ProtocolError.into());
        }
        let known = self.unreleased.remove(&packet_id) | self.unreleased_before.remove(&packet_id);
        self.version.pubcomp(out, packet_id, known);
        Ok(())
    }

    /// Takes the engine's word on what became of a message.
    ///
    /// # Errors
    /// Where nothing more can be acknowledged here.
    pub(super) fn acked(&mut self, acked: Acked, out: &mut Out) -> Result<(), End> {
        let index = acked.token.checked_sub(self.first_token).and_then(|index| usize::try_from(index).ok());
        if let Some(pending) = index.and_then(|index| self.pending.get_mut(index)) {
            pending.answer = Some(match acked.fate {
                Fate::Taken => Answer::Taken,
                Fate::Rejected => Answer::Rejected,
                Fate::Refused => Answer::Refused,
                Fate::LetGo => return Err(End::DiskFull),
            });
        }
        self.answer(out);
        Ok(())
    }

    /// Answers the messages of which is known what became, up to the first of which it is not.
    fn answer(&mut self, out: &mut Out) {
        while let Some(Pending { packet_id, qos, answer: Some(answer) }) = self.pending.front() {
            let (packet_id, qos, answer) = (*packet_id, *qos, *answer);
            self.pending.pop_front();
            self.first_token += 1;
            if qos == Qos::AtLeastOnce {
                self.version.puback(out, packet_id, answer);
            } else if self.version.pubrec(out, packet_id, answer) {
                self.unreleased.insert(packet_id);
            }
        }
    }

    fn subscribe(&mut self, subscribe: &Subscribe, out: &mut Out) -> Result<(), End> {
        if subscribe.identified {
            // It was told that there are none.
            return Err(MqttError::SubscriptionIdentifiersNotSupported.into());
        }
        let granted: Vec<_> = subscribe.filters.iter().map(|(filter, qos)| self.grant(filter, *qos)).collect();
        self.seat.subscribe(self.subscriptions);
        self.version.suback(out, subscribe.packet_id, &granted);
        Ok(())
    }

    fn grant(&mut self, filter: &str, qos: Qos) -> Result<Qos, SubackReasonCode> {
        let granted = if qos == Qos::AtMostOnce { qos } else { Qos::AtLeastOnce };
        if let Some(subscription) = self.subscription(filter) {
            *subscription = Some(granted);
            return Ok(granted);
        }
        self.counters.foreign_subscriptions.fetch_add(1, Relaxed);
        Err(if filter.starts_with("$share/") {
            SubackReasonCode::SharedSubscriptionsNotSupported
        } else {
            SubackReasonCode::NotAuthorized
        })
    }

    fn unsubscribe(&mut self, packet_id: u16, filters: &[String], out: &mut Out) {
        let existed: Vec<bool> = filters
            .iter()
            .map(|filter| self.subscription(filter).and_then(|subscription| subscription.take()).is_some())
            .collect();
        self.seat.subscribe(self.subscriptions);
        self.version.unsuback(out, packet_id, &existed);
    }

    /// What stands for a topic filter; `None` where the device may not have it.
    fn subscription(&mut self, filter: &str) -> Option<&mut Option<Qos>> {
        match own_topic(self.seat.device(), filter)? {
            "downlink" => Some(&mut self.subscriptions.exact),
            "downlink/#" => Some(&mut self.subscriptions.tree),
            _ => None,
        }
    }

    /// Sends a message to the device.
    pub(super) fn send(&mut self, message: &Downward, out: &mut Out) {
        let packet_id = (message.qos != Qos::AtMostOnce).then(|| self.free_packet_id());
        let before = out.len();
        self.version.publish(out, &message.topic, &message.payload, packet_id);
        if out.len() - before > usize::try_from(self.packet_bytes).unwrap_or(usize::MAX) {
            // MQTT 5, 3.1.2.11.4: as if it had been sent.
            out.truncate(before);
            return;
        }
        self.sent.extend(packet_id);
        self.counters.downlinks.fetch_add(1, Relaxed);
    }

    fn free_packet_id(&mut self) -> u16 {
        loop {
            self.last_sent = self.last_sent.checked_add(1).unwrap_or(1);
            // There are more than the window holds.
            if !self.sent.contains(&self.last_sent) {
                return self.last_sent;
            }
        }
    }

    /// The device's will, if it is due.
    pub(super) fn will(&mut self, end: End) -> Option<Inbound> {
        let Will { topic, payload, .. } = self.will.take().filter(|_| end.leaves_will())?;
        self.counters.wills.fetch_add(1, Relaxed);
        Some(self.inbound(topic, payload, false, None))
    }

    /// Leaves what is open to the client's next connection, which may be waiting for this.
    pub(super) fn leave(self) {
        let mut open = self.unreleased;
        // What a client does not release in so many connections is forgotten.
        open.extend(self.unreleased_before.into_iter().take(self.receive_maximum));
        self.seat.leave(open);
    }
}

impl Pending {
    fn is_qos2(&self, packet_id: u16) -> bool {
        self.qos == Qos::ExactlyOnce && self.packet_id == packet_id
    }
}
