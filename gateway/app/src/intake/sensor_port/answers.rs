//! The packets that the port sends, in the version that the device speaks.

use mqtt_protocol_core::mqtt::packet::{
    AssignedClientIdentifier, GenericPacketTrait, MaximumPacketSize, Property, Qos, ReceiveMaximum, RetainAvailable,
    ServerKeepAlive, SessionExpiryInterval, SharedSubscriptionAvailable, SubscriptionIdentifierAvailable, v3_1_1, v5_0,
};
use mqtt_protocol_core::mqtt::result_code::{
    ConnectReasonCode, ConnectReturnCode, DisconnectReasonCode, MqttError, PubackReasonCode, PubcompReasonCode,
    PubrecReasonCode, SubackReasonCode, SubackReturnCode, UnsubackReasonCode,
};

use super::packets::Version;

/// What became of a QoS 1 or 2 message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is durable.
    Taken,
    /// It is durable, but brought no reading.
    Rejected,
    /// Its topic is not the device's; it is not taken.
    Foreign,
    /// More comes in than can be taken; it is not. Only where the version has a word for it.
    Refused,
}

/// What an accepted connection is told of the port. MQTT 3.1.1 has no words for it.
pub(super) struct Terms {
    pub(super) receive_maximum: u16,
    pub(super) packet_bytes: u32,
    /// Where the device left its client id to the port.
    pub(super) assigned_client_id: Option<String>,
    /// Where it is not what the device asked for.
    pub(super) keep_alive_s: Option<u16>,
}

/// Bytes on their way to a device.
pub(super) type Out = bytes::BytesMut;

fn put(out: &mut Out, packet: Result<impl GenericPacketTrait, MqttError>) {
    match packet {
        Ok(packet) => out.extend_from_slice(&packet.to_continuous_buffer()),
        Err(error) => tracing::error!(%error, "an answer could not be made"),
    }
}

impl Terms {
    fn properties(&self) -> Result<Vec<Property>, MqttError> {
        let mut properties = vec![
            Property::SessionExpiryInterval(SessionExpiryInterval::new(0)?),
            Property::ReceiveMaximum(ReceiveMaximum::new(self.receive_maximum)?),
            Property::MaximumPacketSize(MaximumPacketSize::new(self.packet_bytes)?),
            Property::RetainAvailable(RetainAvailable::new(0)?),
            Property::SharedSubscriptionAvailable(SharedSubscriptionAvailable::new(0)?),
            Property::SubscriptionIdentifierAvailable(SubscriptionIdentifierAvailable::new(0)?),
        ];
        if let Some(client_id) = &self.assigned_client_id {
            properties.push(Property::AssignedClientIdentifier(AssignedClientIdentifier::new(client_id)?));
        }
        if let Some(seconds) = self.keep_alive_s {
            properties.push(Property::ServerKeepAlive(ServerKeepAlive::new(seconds)?));
        }
        Ok(properties)
    }
}

impl Version {
    /// CONNACK: come in. No session is kept.
    pub(super) fn welcome(self, out: &mut Out, terms: &Terms) {
        match self {
            Self::V3_1_1 => self.refuse(out, ConnectReturnCode::Accepted, ConnectReasonCode::Success),
            Self::V5 => put(
                out,
                terms.properties().and_then(|properties| {
                    let connack = v5_0::Connack::builder().reason_code(ConnectReasonCode::Success);
                    connack.session_present(false).props(properties).build()
                }),
            ),
        }
    }

    /// CONNACK with the code of this version.
    pub(super) fn refuse(self, out: &mut Out, code: ConnectReturnCode, reason: ConnectReasonCode) {
        match self {
            Self::V3_1_1 => {
                put(out, v3_1_1::Connack::builder().return_code(code).session_present(false).build());
            }
            Self::V5 => put(out, v5_0::Connack::builder().reason_code(reason).session_present(false).build()),
        }
    }

    /// PUBACK. MQTT 3.1.1 has no word for a message that is kept but brought nothing.
    pub(super) fn puback(self, out: &mut Out, packet_id: u16, answer: Answer) {
        match self {
            Self::V3_1_1 => put(out, v3_1_1::Puback::builder().packet_id(packet_id).build()),
            Self::V5 => {
                let puback = v5_0::Puback::builder().packet_id(packet_id);
                put(
                    out,
                    match answer {
                        Answer::Taken => puback.build(),
                        Answer::Rejected => puback.reason_code(PubackReasonCode::PayloadFormatInvalid).build(),
                        Answer::Foreign => puback.reason_code(PubackReasonCode::NotAuthorized).build(),
                        Answer::Refused => puback.reason_code(PubackReasonCode::QuotaExceeded).build(),
                    },
                );
            }
        }
    }

    /// PUBREC. Gives whether a PUBREL is to come.
    pub(super) fn pubrec(self, out: &mut Out, packet_id: u16, answer: Answer) -> bool {
        match self {
            Self::V3_1_1 => {
                put(out, v3_1_1::Pubrec::builder().packet_id(packet_id).build());
                true
            }
            Self::V5 => {
                let pubrec = v5_0::Pubrec::builder().packet_id(packet_id);
                put(
                    out,
                    match answer {
                        Answer::Taken => pubrec.build(),
                        Answer::Rejected => pubrec.reason_code(PubrecReasonCode::PayloadFormatInvalid).build(),
                        Answer::Foreign => pubrec.reason_code(PubrecReasonCode::NotAuthorized).build(),
                        Answer::Refused => pubrec.reason_code(PubrecReasonCode::QuotaExceeded).build(),
                    },
                );
                answer == Answer::Taken
            }
        }
    }

    /// PUBCOMP.
    pub(super) fn pubcomp(self, out: &mut Out, packet_id: u16, known: bool) {
        match self {
            Self::V3_1_1 => put(out, v3_1_1::Pubcomp::builder().packet_id(packet_id).build()),
            Self::V5 if known => put(out, v5_0::Pubcomp::builder().packet_id(packet_id).build()),
            Self::V5 => {
                let pubcomp = v5_0::Pubcomp::builder().packet_id(packet_id);
                put(out, pubcomp.reason_code(PubcompReasonCode::PacketIdentifierNotFound).build());
            }
        }
    }

    /// SUBACK: the granted QoS of each filter, 0 or 1, or why not.
    pub(super) fn suback(self, out: &mut Out, packet_id: u16, granted: &[Result<Qos, SubackReasonCode>]) {
        match self {
            Self::V3_1_1 => {
                let code = |granted: &Result<Qos, _>| match granted {
                    Ok(Qos::AtMostOnce) => SubackReturnCode::SuccessMaximumQos0,
                    Ok(_) => SubackReturnCode::SuccessMaximumQos1,
                    Err(_) => SubackReturnCode::Failure,
                };
                let codes = granted.iter().map(code).collect();
                put(out, v3_1_1::Suback::builder().packet_id(packet_id).return_codes(codes).build());
            }
            Self::V5 => {
                let code = |granted: &Result<Qos, _>| match granted {
                    Ok(Qos::AtMostOnce) => SubackReasonCode::GrantedQos0,
                    Ok(_) => SubackReasonCode::GrantedQos1,
                    Err(reason) => *reason,
                };
                let codes = granted.iter().map(code).collect();
                put(out, v5_0::Suback::builder().packet_id(packet_id).reason_codes(codes).build());
            }
        }
    }

    /// UNSUBACK: whether there was such a subscription, for each filter.
    pub(super) fn unsuback(self, out: &mut Out, packet_id: u16, existed: &[bool]) {
        match self {
            Self::V3_1_1 => put(out, v3_1_1::Unsuback::builder().packet_id(packet_id).build()),
            Self::V5 => {
                let code = |existed: &bool| match existed {
                    true => UnsubackReasonCode::Success,
                    false => UnsubackReasonCode::NoSubscriptionExisted,
                };
                let codes = existed.iter().map(code).collect();
                put(out, v5_0::Unsuback::builder().packet_id(packet_id).reason_codes(codes).build());
            }
        }
    }

    /// PINGRESP.
    pub(super) fn pingresp(self, out: &mut Out) {
        match self {
            Self::V3_1_1 => put(out, v3_1_1::Pingresp::builder().build()),
            Self::V5 => put(out, v5_0::Pingresp::builder().build()),
        }
    }

    /// PUBLISH; a packet id makes it QoS 1.
    pub(super) fn publish(self, out: &mut Out, topic: &str, payload: &[u8], packet_id: Option<u16>) {
        let qos = if packet_id.is_some() { Qos::AtLeastOnce } else { Qos::AtMostOnce };
        match self {
            Self::V3_1_1 => put(
                out,
                v3_1_1::Publish::builder()
                    .topic_name(topic)
                    .and_then(|publish| publish.qos(qos).packet_id(packet_id).payload(payload).build()),
            ),
            Self::V5 => put(
                out,
                v5_0::Publish::builder()
                    .topic_name(topic)
                    .and_then(|publish| publish.qos(qos).packet_id(packet_id).payload(payload).build()),
            ),
        }
    }

    /// DISCONNECT, which only MQTT 5 has for servers.
    pub(super) fn disconnect(self, out: &mut Out, reason: DisconnectReasonCode) {
        if self == Self::V5 {
            put(out, v5_0::Disconnect::builder().reason_code(reason).build());
        }
    }
}
