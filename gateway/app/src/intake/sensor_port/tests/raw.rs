//! A client that sends exactly what it is told to, and shows exactly what it gets.

use mqtt_protocol_core::mqtt::packet::{Property, Qos, SubEntry, SubOpts, v3_1_1, v5_0};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::packets::Version;
use super::*;

pub(super) struct Raw {
    stream: TcpStream,
    pub(super) version: Version,
}

/// What a CONNECT says.
pub(super) struct Hello {
    pub(super) version: Version,
    pub(super) client_id: String,
    pub(super) user_name: Option<String>,
    pub(super) password: String,
    pub(super) clean: bool,
    pub(super) keep_alive_s: u16,
    /// Topic and whether it is to be retained.
    pub(super) will: Option<(String, bool)>,
    pub(super) properties: Vec<Property>,
}

impl Hello {
    /// Of a device that may come in, without a clean start.
    pub(super) fn of(desk: &Desk, version: Version, client_id: &str, device: &str) -> Self {
        Self::new(version, client_id, device, desk.secret(device))
    }

    pub(super) fn new(version: Version, client_id: &str, device: &str, password: String) -> Self {
        Self {
            version,
            client_id: client_id.to_owned(),
            user_name: Some(device.to_owned()),
            password,
            clean: false,
            keep_alive_s: 60,
            will: None,
            properties: Vec::new(),
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        // The builders of the two versions have no type in common.
        macro_rules! fill {
            ($connect:expr) => {{
                let mut connect = $connect.client_id(&*self.client_id).unwrap().keep_alive(self.keep_alive_s);
                if let Some(user_name) = &self.user_name {
                    connect = connect.user_name(&**user_name).unwrap().password(&*self.password).unwrap();
                }
                if let Some((topic, retain)) = &self.will {
                    connect = connect.will_message(&**topic, "gone", Qos::AtLeastOnce, *retain).unwrap();
                }
                connect
            }};
        }
        match self.version {
            Version::V3_1_1 => {
                fill!(v3_1_1::Connect::builder().clean_session(self.clean)).build().unwrap().to_continuous_buffer()
            }
            Version::V5 => {
                let connect = fill!(v5_0::Connect::builder().clean_start(self.clean));
                connect.props(self.properties.clone()).build().unwrap().to_continuous_buffer()
            }
        }
    }
}

/// A PUBLISH; packet id 0 for QoS 0.
pub(super) fn publish(version: Version, topic: &str, payload: &str, qos: Qos, packet_id: u16, dup: bool) -> Vec<u8> {
    let id = (packet_id != 0).then_some(packet_id);
    match version {
        Version::V3_1_1 => {
            let publish = v3_1_1::Publish::builder().topic_name(topic).unwrap().qos(qos).packet_id(id);
            publish.dup(dup).payload(payload).build().unwrap().to_continuous_buffer()
        }
        Version::V5 => {
            let publish = v5_0::Publish::builder().topic_name(topic).unwrap().qos(qos).packet_id(id);
            publish.dup(dup).payload(payload).build().unwrap().to_continuous_buffer()
        }
    }
}

pub(super) const PINGREQ: [u8; 2] = [0xc0, 0];
pub(super) const PINGRESP: [u8; 2] = [0xd0, 0];

impl Raw {
    pub(super) async fn open(at: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(at).await.unwrap(), version: Version::V5 }
    }

    /// Says hello and gives the CONNACK.
    pub(super) async fn hello(at: SocketAddr, hello: &Hello) -> (Self, Vec<u8>) {
        let mut raw = Self { version: hello.version, ..Self::open(at).await };
        raw.send(&hello.bytes()).await;
        let connack = raw.packet().await.expect("a CONNACK");
        assert_eq!(connack[0], 0x20);
        (raw, connack)
    }

    /// A client that was let in.
    pub(super) async fn welcome(at: SocketAddr, hello: &Hello) -> Self {
        let (raw, connack) = Self::hello(at, hello).await;
        assert_eq!(connack[2..4], [0, 0], "{connack:?}");
        raw
    }

    /// A client of this device that was let in, without a clean start.
    pub(super) async fn let_in(desk: &Desk, version: Version, client_id: &str, device: &str) -> Self {
        Self::welcome(desk.at, &Hello::of(desk, version, client_id, device)).await
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends, unless the connection is closed before all is sent.
    pub(super) async fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// What has come, as it came.
    pub(super) async fn read_some(&mut self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1024);
        self.stream.read_buf(&mut bytes).await.unwrap();
        bytes
    }

    /// Publishes `payload` as a reading of `device`.
    pub(super) async fn publish(&mut self, device: &str, payload: &str, qos: Qos, packet_id: u16) {
        let topic = format!("ninewatch/{device}/readings");
        self.send(&publish(self.version, &topic, payload, qos, packet_id, false)).await;
    }

    pub(super) async fn publish_again(&mut self, device: &str, payload: &str, packet_id: u16) {
        let topic = format!("ninewatch/{device}/readings");
        self.send(&publish(self.version, &topic, payload, Qos::ExactlyOnce, packet_id, true)).await;
    }

    pub(super) async fn pubrel(&mut self, packet_id: u16) {
        let [high, low] = packet_id.to_be_bytes();
        self.send(&[0x62, 2, high, low]).await;
    }

    /// Subscribes to one filter and gives the SUBACK's code.
    pub(super) async fn subscribe(&mut self, filter: &str, qos: Qos) -> u8 {
        let entry = SubEntry::new(filter, SubOpts::new().set_qos(qos)).unwrap();
        let subscribe = match self.version {
            Version::V3_1_1 => {
                v3_1_1::Subscribe::builder().packet_id(9).entries(vec![entry]).build().unwrap().to_continuous_buffer()
            }
            Version::V5 => {
                v5_0::Subscribe::builder().packet_id(9).entries(vec![entry]).build().unwrap().to_continuous_buffer()
            }
        };
        self.send(&subscribe).await;
        let suback = self.packet().await.unwrap();
        assert_eq!(suback[0], 0x90);
        *suback.last().unwrap()
    }

    /// The next packet; `None` where the port has closed the connection.
    pub(super) async fn packet(&mut self) -> Option<Vec<u8>> {
        let mut packet = vec![self.stream.read_u8().await.ok()?];
        let mut length = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.stream.read_u8().await.unwrap();
            packet.push(byte);
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let head = packet.len();
        packet.resize(head + length, 0);
        self.stream.read_exact(&mut packet[head..]).await.unwrap();
        Some(packet)
    }

    /// Asserts that the next packet is this.
    pub(super) async fn expect(&mut self, packet: &[u8]) {
        assert_eq!(self.packet().await.as_deref(), Some(packet));
    }

    /// Asserts that everything that was sent is worked through and nothing but this comes back:
    /// packets are worked through in order, so the answer to a ping is a barrier.
    pub(super) async fn expect_nothing(&mut self) {
        self.send(&PINGREQ).await;
        self.expect(&PINGRESP).await;
    }

    /// Asserts that the port says DISCONNECT with this reason (MQTT 5) and closes.
    pub(super) async fn expect_end(&mut self, reason: u8) {
        if self.version == Version::V5 {
            let disconnect = self.packet().await.expect("a DISCONNECT");
            assert_eq!((disconnect[0], disconnect[2]), (0xe0, reason), "{disconnect:?}");
        }
        assert_eq!(self.packet().await, None);
    }
}
