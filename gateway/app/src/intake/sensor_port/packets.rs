//! The packets that a device sends, the same for both protocol versions.
//!
//! Framing and parsing are `mqtt-protocol-core`'s. Its `Connection` is not used: it answers a
//! repeated QoS 2 message by itself, before the first one is durable, and it panics (0.7.9) on a
//! Topic Alias Maximum of 0 and on a repeated QoS 2 message with packet id 0.

use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::connection::{PacketBuildResult, PacketBuilder, PacketData, RawPacket};
use mqtt_protocol_core::mqtt::packet::{Property, Qos, v3_1_1, v5_0};
use mqtt_protocol_core::mqtt::result_code::{DisconnectReasonCode, MqttError};
use std::sync::Arc;

/// The protocol version that a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V3_1_1,
    V5,
}

/// What a device may send.
pub(super) enum Packet {
    Connect(Box<Connect>),
    Publish(Publish),
    Puback(u16),
    Pubrel(u16),
    Subscribe(Subscribe),
    Unsubscribe(u16, Vec<String>),
    Pingreq,
    /// `with_will`: MQTT 5's “Disconnect with Will Message”.
    Disconnect {
        with_will: bool,
    },
}

/// The first packet of a connection.
pub(super) struct Connect {
    pub(super) version: Version,
    pub(super) client_id: String,
    pub(super) clean_start: bool,
    /// 0: none.
    pub(super) keep_alive_s: u16,
    pub(super) user_name: Option<String>,
    pub(super) password: Option<Vec<u8>>,
    pub(super) will: Option<Will>,
    /// MQTT 5: how many QoS 1 messages the device takes before it has acknowledged one.
    pub(super) receive_maximum: u16,
    /// MQTT 5: the largest packet that the device takes.
    pub(super) packet_bytes: u32,
    /// MQTT 5: it asks for an authentication that goes back and forth.
    pub(super) extended_authentication: bool,
}

/// What to publish for a device that is gone.
pub(super) struct Will {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) retain: bool,
}

pub(super) struct Publish {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) qos: Qos,
    /// 0 for QoS 0, and only then.
    pub(super) packet_id: u16,
    pub(super) dup: bool,
    pub(super) retain: bool,
    /// MQTT 5: it uses a topic alias.
    pub(super) aliased: bool,
}

pub(super) struct Subscribe {
    pub(super) packet_id: u16,
    pub(super) filters: Vec<(String, Qos)>,
    /// MQTT 5: it has a subscription identifier.
    pub(super) identified: bool,
}

/// Finds the packets in a stream of bytes.
pub(super) struct Decoder {
    frames: PacketBuilder,
    begun: bool,
    version: Option<Version>,
    max_packet_bytes: u32,
}

/// The largest CONNECT: ids, a secret and a will. Before it, anybody can be at the other end.
const MAX_CONNECT_BYTES: u32 = 8 * 1024;

impl Decoder {
    /// A packet larger than `max_packet_bytes` is an error as soon as its length is known; so is a CONNECT that is larger
    /// than [`MAX_CONNECT_BYTES`].
    pub(super) fn new(max_packet_bytes: u32) -> Self {
        let frames = PacketBuilder::with_maximum_packet_size(max_packet_bytes.min(MAX_CONNECT_BYTES));
        Self { frames, begun: false, version: None, max_packet_bytes }
    }

    /// The next packet; `None` when all bytes are taken and it is not whole yet.
    ///
    /// # Errors
    /// Where this is not what MQTT allows at this point. There is no going on then.
    pub(super) fn next(&mut self, bytes: &mut Cursor<&[u8]>) -> Result<Option<Packet>, MqttError> {
        if let (false, Some(first)) = (self.begun, bytes.remaining_slice().first()) {
            // Whoever speaks HTTP is not waited for.
            if first >> 4 != CONNECT {
                return Err(MqttError::ProtocolError);
            }
            self.begun = true;
        }
        match self.frames.feed(bytes) {
            PacketBuildResult::Complete(raw) => self.parse(&raw).map(Some),
            PacketBuildResult::Incomplete => Ok(None),
            PacketBuildResult::Error(error) => Err(error),
        }
    }

    fn parse(&mut self, raw: &RawPacket) -> Result<Packet, MqttError> {
        let flags_expected = match raw.packet_type() {
            PUBLISH => raw.flags(),
            PUBREL | SUBSCRIBE | UNSUBSCRIBE => 0b0010,
            _ => 0,
        };
        if raw.flags() != flags_expected {
            return Err(MqttError::MalformedPacket);
        }
        match (self.version, raw.packet_type()) {
            (None, CONNECT) => {
                let connect = connect(raw)?;
                self.version = Some(connect.version);
                self.frames = PacketBuilder::with_maximum_packet_size(self.max_packet_bytes);
                Ok(Packet::Connect(Box::new(connect)))
            }
            (Some(Version::V3_1_1), kind) => parse_v3_1_1(kind, raw),
            (Some(Version::V5), kind) => parse_v5(kind, raw),
            (None, _) => Err(MqttError::ProtocolError),
        }
    }
}

// MQTT 5, 2.1.2, table 2-1.
const CONNECT: u8 = 1;
const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
const PUBREL: u8 = 6;
const SUBSCRIBE: u8 = 8;
const UNSUBSCRIBE: u8 = 10;
const PINGREQ: u8 = 12;
const DISCONNECT: u8 = 14;

fn connect(raw: &RawPacket) -> Result<Connect, MqttError> {
    // Behind the protocol name: its version and the flags.
    let (version, flags) = match raw.data_as_slice() {
        [0, 4, b'M', b'Q', b'T', b'T', version, flags, ..] => (*version, *flags),
        [0, 6, b'M', b'Q', b'I', b's', b'd', b'p', ..] => return Err(MqttError::UnsupportedProtocolVersion),
        _ => return Err(MqttError::MalformedPacket),
    };
    let will_qos = flags >> 3 & 0b11;
    if flags & 1 != 0 || will_qos > 2 || (flags & 0b100 == 0 && flags & 0b11_1000 != 0) {
        return Err(MqttError::MalformedPacket);
    }
    match version {
        4 => raw.parse_exact(v3_1_1::Connect::parse).map(|packet| connect_v3_1_1(&packet)),
        5 => raw.parse_exact(v5_0::Connect::parse).map(|packet| connect_v5(&packet)),
        _ => Err(MqttError::UnsupportedProtocolVersion),
    }
}

fn will(topic: Option<&str>, payload: Option<&[u8]>, retain: bool) -> Option<Will> {
    Some(Will { topic: topic?.to_owned(), payload: payload?.to_vec(), retain })
}

fn connect_v3_1_1(packet: &v3_1_1::Connect) -> Connect {
    Connect {
        version: Version::V3_1_1,
        client_id: packet.client_id().to_owned(),
        clean_start: packet.clean_session(),
        keep_alive_s: packet.keep_alive(),
        user_name: packet.user_name().map(str::to_owned),
        password: packet.password().map(<[u8]>::to_vec),
        will: will(packet.will_topic(), packet.will_payload(), packet.will_retain()),
        receive_maximum: u16::MAX,
        packet_bytes: u32::MAX,
        extended_authentication: false,
    }
}

fn connect_v5(packet: &v5_0::Connect) -> Connect {
    let mut connect = Connect {
        version: Version::V5,
        client_id: packet.client_id().to_owned(),
        clean_start: packet.clean_start(),
        keep_alive_s: packet.keep_alive(),
        user_name: packet.user_name().map(str::to_owned),
        password: packet.password().map(<[u8]>::to_vec),
        will: will(packet.will_topic(), packet.will_payload(), packet.will_retain()),
        receive_maximum: u16::MAX,
        packet_bytes: u32::MAX,
        extended_authentication: false,
    };
    for property in packet.props() {
        match property {
            Property::ReceiveMaximum(maximum) => connect.receive_maximum = maximum.val(),
            Property::MaximumPacketSize(maximum) => connect.packet_bytes = maximum.val(),
            Property::AuthenticationMethod(_) => connect.extended_authentication = true,
            _ => {}
        }
    }
    connect
}

fn parse_v3_1_1(kind: u8, raw: &RawPacket) -> Result<Packet, MqttError> {
    Ok(match kind {
        PUBLISH => {
            let (packet, _) = v3_1_1::Publish::parse(raw.flags(), publish_bytes(raw)?)?;
            Packet::Publish(Publish {
                topic: packet.topic_name().to_owned(),
                payload: packet.payload().as_slice().to_vec(),
                qos: packet.qos(),
                packet_id: publish_id(packet.qos(), packet.packet_id())?,
                dup: packet.dup(),
                retain: packet.retain(),
                aliased: false,
            })
        }
        PUBACK => Packet::Puback(raw.parse_exact(v3_1_1::Puback::parse)?.packet_id()),
        PUBREL => Packet::Pubrel(raw.parse_exact(v3_1_1::Pubrel::parse)?.packet_id()),
        SUBSCRIBE => {
            let packet = raw.parse_exact(v3_1_1::Subscribe::parse)?;
            let filters =
                packet.entries().iter().map(|entry| (entry.topic_filter().to_owned(), entry.sub_opts().qos()));
            Packet::Subscribe(Subscribe {
                packet_id: not_zero(packet.packet_id())?,
                filters: filters.collect(),
                identified: false,
            })
        }
        UNSUBSCRIBE => {
            let packet = raw.parse_exact(v3_1_1::Unsubscribe::parse)?;
            let filters = packet.entries().iter().map(|filter| filter.as_str().to_owned()).collect();
            Packet::Unsubscribe(not_zero(packet.packet_id())?, filters)
        }
        PINGREQ => raw.parse_exact(v3_1_1::Pingreq::parse).map(|_| Packet::Pingreq)?,
        DISCONNECT => raw.parse_exact(v3_1_1::Disconnect::parse).map(|_| Packet::Disconnect { with_will: false })?,
        _ => return Err(MqttError::ProtocolError),
    })
}

fn parse_v5(kind: u8, raw: &RawPacket) -> Result<Packet, MqttError> {
    Ok(match kind {
        PUBLISH => {
            let (packet, _) = v5_0::Publish::parse(raw.flags(), publish_bytes(raw)?)?;
            Packet::Publish(Publish {
                topic: packet.topic_name().to_owned(),
                payload: packet.payload().as_slice().to_vec(),
                qos: packet.qos(),
                packet_id: publish_id(packet.qos(), packet.packet_id())?,
                dup: packet.dup(),
                retain: packet.retain(),
                aliased: packet.props().iter().any(|property| matches!(property, Property::TopicAlias(_))),
            })
        }
        PUBACK => Packet::Puback(raw.parse_exact(v5_0::Puback::parse)?.packet_id()),
        PUBREL => Packet::Pubrel(raw.parse_exact(v5_0::Pubrel::parse)?.packet_id()),
        SUBSCRIBE => {
            let packet = raw.parse_exact(v5_0::Subscribe::parse)?;
            let filters =
                packet.entries().iter().map(|entry| (entry.topic_filter().to_owned(), entry.sub_opts().qos()));
            Packet::Subscribe(Subscribe {
                packet_id: not_zero(packet.packet_id())?,
                filters: filters.collect(),
                identified: packet
                    .props()
                    .iter()
                    .any(|property| matches!(property, Property::SubscriptionIdentifier(_))),
            })
        }
        UNSUBSCRIBE => {
            let packet = raw.parse_exact(v5_0::Unsubscribe::parse)?;
            let filters = packet.entries().iter().map(|filter| filter.as_str().to_owned()).collect();
            Packet::Unsubscribe(not_zero(packet.packet_id())?, filters)
        }
        PINGREQ => raw.parse_exact(v5_0::Pingreq::parse).map(|_| Packet::Pingreq)?,
        DISCONNECT => {
            let reason = raw.parse_exact(v5_0::Disconnect::parse)?.reason_code();
            let with_will = reason.is_some_and(|reason| reason != DisconnectReasonCode::NormalDisconnection);
            Packet::Disconnect { with_will }
        }
        _ => return Err(MqttError::ProtocolError),
    })
}

fn publish_bytes(raw: &RawPacket) -> Result<Arc<[u8]>, MqttError> {
    match &raw.data {
        PacketData::Publish(bytes) => Ok(bytes.clone()),
        PacketData::Normal(_) => Err(MqttError::MalformedPacket),
    }
}

fn publish_id(qos: Qos, packet_id: Option<u16>) -> Result<u16, MqttError> {
    match (qos, packet_id) {
        (Qos::AtMostOnce, _) => Ok(0),
        (_, Some(packet_id)) => not_zero(packet_id),
        (_, None) => Err(MqttError::MalformedPacket),
    }
}

fn not_zero(packet_id: u16) -> Result<u16, MqttError> {
    if packet_id == 0 { Err(MqttError::ProtocolError) } else { Ok(packet_id) }
}
