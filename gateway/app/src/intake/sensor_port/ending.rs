//! Why a connection is not let in, and why one that was let in ends.

use mqtt_protocol_core::mqtt::result_code::{ConnectReasonCode, ConnectReturnCode, DisconnectReasonCode, MqttError};

/// Why a connection is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// There are as many devices connected as the port takes.
    Full,
    /// All places for those who are not let in yet were taken, and it had been there for longest.
    CrowdedOut,
    /// Its address failed again and again just now.
    Throttled,
    /// The TLS handshake failed.
    Tls,
    /// It took longer than `connect_timeout`.
    Timeout,
    /// It went away before it was let in.
    Gone,
    /// What it sent is not an MQTT CONNECT, or larger than the port takes.
    Malformed,
    /// Another version than 3.1.1 and 5.
    Version,
    /// MQTT 5's extended authentication.
    Authentication,
    /// No such device, or not its secret. Which one is not told.
    Credentials,
    /// None with a session to keep (MQTT 3.1.1), or longer than is reasonable.
    ClientId,
    /// A will on a topic that is not the device's.
    WillTopic,
    /// A retained will (MQTT 5, where the port says that it retains nothing).
    WillRetain,
    /// The device has as many connections as it may have.
    DeviceFull,
}

impl Refused {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::CrowdedOut => "crowded_out",
            Self::Throttled => "throttled",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Gone => "gone",
            Self::Malformed => "malformed",
            Self::Version => "version",
            Self::Authentication => "authentication",
            Self::Credentials => "credentials",
            Self::ClientId => "client_id",
            Self::WillTopic => "will_topic",
            Self::WillRetain => "will_retain",
            Self::DeviceFull => "device_full",
        }
    }

    /// Whether its address is the worse for it.
    pub(super) fn is_suspicious(self) -> bool {
        matches!(self, Self::Tls | Self::Malformed | Self::Credentials)
    }

    /// The CONNACK's codes in MQTT 3.1.1 and 5; `None` for those who are not told.
    pub(super) fn codes(self) -> Option<(ConnectReturnCode, ConnectReasonCode)> {
        use ConnectReasonCode as V5;
        use ConnectReturnCode as V3;
        Some(match self {
            Self::CrowdedOut | Self::Throttled | Self::Tls | Self::Timeout | Self::Gone | Self::Malformed => {
                return None;
            }
            Self::Full => (V3::ServerUnavailable, V5::ServerBusy),
            Self::Version => (V3::UnacceptableProtocolVersion, V5::UnsupportedProtocolVersion),
            Self::Authentication => (V3::NotAuthorized, V5::BadAuthenticationMethod),
            Self::Credentials => (V3::BadUserNameOrPassword, V5::BadUserNameOrPassword),
            Self::ClientId => (V3::IdentifierRejected, V5::ClientIdentifierNotValid),
            Self::WillTopic => (V3::NotAuthorized, V5::TopicNameInvalid),
            Self::WillRetain => (V3::NotAuthorized, V5::RetainNotSupported),
            Self::DeviceFull => (V3::ServerUnavailable, V5::QuotaExceeded),
        })
    }
}

/// Why a connection that was let in ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The device said DISCONNECT.
    Left { with_will: bool },
    /// The network connection was closed without a word.
    Gone,
    /// What it sent is not MQTT, or not what it may send at this point.
    Fault(MqttError),
    /// MQTT 3.1.1 has no other way to refuse a message.
    ForeignTopic,
    /// Nothing came for one and a half times the keep-alive.
    KeepAlive,
    /// It does not read what it is sent.
    Stuck,
    /// The same client connected again.
    TakenOver,
    /// The device was removed, or its secret changed.
    Revoked,
    /// The gateway's disk is full: a message of it was let go.
    DiskFull,
    /// The gateway is stopping.
    Stopping,
    /// By a fault of the gateway itself.
    Broken,
}

impl End {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Left { .. } => "left",
            Self::Gone => "gone",
            Self::Fault(MqttError::PacketTooLarge) => "oversize",
            Self::Fault(_) => "protocol_error",
            Self::ForeignTopic => "foreign_topic",
            Self::KeepAlive => "keep_alive",
            Self::Stuck => "stuck",
            Self::TakenOver => "taken_over",
            Self::Revoked => "revoked",
            Self::DiskFull => "disk_full",
            Self::Stopping => "stopping",
            Self::Broken => "broken",
        }
    }

    /// What MQTT 5's DISCONNECT says; `None` where nobody listens.
    pub(super) fn reason(self) -> Option<DisconnectReasonCode> {
        Some(match self {
            Self::Left { .. } | Self::Gone | Self::Stuck | Self::Broken => return None,
            Self::Fault(error) => error.into(),
            Self::ForeignTopic | Self::Revoked => DisconnectReasonCode::NotAuthorized,
            Self::KeepAlive => DisconnectReasonCode::KeepAliveTimeout,
            Self::TakenOver => DisconnectReasonCode::SessionTakenOver,
            Self::DiskFull => DisconnectReasonCode::QuotaExceeded,
            Self::Stopping => DisconnectReasonCode::ServerShuttingDown,
        })
    }

    /// Whether the device's will is taken. Not from one that is no longer let in; and that the
    /// gateway stops says nothing about the device.
    pub(super) fn leaves_will(self) -> bool {
        match self {
            Self::Left { with_will } => with_will,
            Self::Revoked | Self::Stopping => false,
            _ => true,
        }
    }
}

impl From<MqttError> for End {
    fn from(error: MqttError) -> Self {
        Self::Fault(error)
    }
}
