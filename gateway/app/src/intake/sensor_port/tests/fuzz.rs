//! Whatever bytes come, the port neither breaks nor takes what it should not, and the next device
//! is served.

use mqtt_protocol_core::mqtt::packet::Qos;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::net::Ipv4Addr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::super::packets::Version::{self, V3_1_1, V5};
use super::*;
use raw::{Hello, publish};

/// Far more than a case takes.
const LIMIT: Duration = Duration::from_secs(30);

/// What a device may be up to. Its CONNECT is made with the secret, which differs in each run.
#[derive(Debug, Clone)]
enum Stream {
    Bytes(Vec<u8>),
    Packets { version: Version, packets: Vec<Vec<u8>>, mutations: Vec<(Index, u8, u8)> },
}

impl Stream {
    fn bytes(&self, secret: &str) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Packets { version, packets, mutations } => {
                let hello = Hello::new(*version, "c", GAS, secret.to_owned());
                let mut bytes = hello.bytes();
                bytes.extend(packets.concat());
                for (index, kind, value) in mutations {
                    let at = index.index(bytes.len());
                    match kind {
                        0 => bytes[at] ^= 1 << (value % 8),
                        1 => bytes[at] = *value,
                        2 => bytes.insert(at, *value),
                        3 if bytes.len() > 1 => _ = bytes.remove(at),
                        _ => bytes.truncate(at + 1),
                    }
                }
                bytes
            }
        }
    }
}

fn packet(version: Version) -> impl Strategy<Value = Vec<u8>> {
    let topics = ["ninewatch/gas-1/readings", "ninewatch/gas-1/downlink", "ninewatch/door-1/readings", "x"];
    let qos = select(vec![Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce]);
    let message = (select(topics.to_vec()), ".{0,40}", qos, 1..4_u16, any::<bool>()).prop_map(
        move |(topic, payload, qos, packet_id, dup)| {
            let packet_id = if qos == Qos::AtMostOnce { 0 } else { packet_id };
            publish(version, topic, &payload, qos, packet_id, dup)
        },
    );
    // PUBACK, PUBREC, PUBREL, PUBCOMP
    let answer = (select(vec![0x40, 0x50, 0x62, 0x70]), 0..4_u8).prop_map(|(first, id)| vec![first, 2, 0, id]);
    let properties: &[u8] = if version == V5 { &[0] } else { &[] };
    let filters = [&b"\0\x18ninewatch/gas-1/downlink"[..], b"\0\x1aninewatch/gas-1/downlink/#", b"\0\x01#"];
    let subscribe = (select(filters.to_vec()), 0..3_u8, any::<bool>()).prop_map(move |(filter, qos, subscribe)| {
        let qos: &[u8] = if subscribe { &[qos] } else { &[] };
        let body = [&[0, 1], properties, filter, qos].concat();
        [&[if subscribe { 0x82 } else { 0xa2 }, u8::try_from(body.len()).unwrap()], &body[..]].concat()
    });
    let plain = select(vec![raw::PINGREQ.to_vec(), vec![0xe0, 0], vec![0xf0, 0], vec![0x30, 0xff, 0xff, 0xff, 0x7f]]);
    prop_oneof![6 => message, 3 => answer, 2 => subscribe, 1 => plain, 1 => vec(any::<u8>(), 0..20)]
}

fn stream() -> impl Strategy<Value = Stream> {
    let packets = select(vec![V3_1_1, V5]).prop_flat_map(|version| {
        let mutation = (any::<Index>(), 0..5_u8, any::<u8>());
        (vec(packet(version), 0..12), vec(mutation, 0..4)).prop_map(move |(packets, mutations)| Stream::Packets {
            version,
            packets,
            mutations,
        })
    });
    prop_oneof![1 => vec(any::<u8>(), 0..400).prop_map(Stream::Bytes), 6 => packets]
}

/// Sends bytes from an address of its own, as if no other had ever failed; gives what came back.
async fn send(at: SocketAddr, from: Ipv4Addr, bytes: &[u8]) -> Vec<u8> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let (mut reader, mut writer) = socket.connect(at).await.unwrap().into_split();
    let mut answers = Vec::new();
    let sending = async {
        // The port may have had enough.
        let _ = writer.write_all(bytes).await;
        drop(writer);
    };
    let _ = tokio::join!(sending, reader.read_to_end(&mut answers)).1;
    answers
}

impl Desk {
    /// Is the engine; what a device hands in must be on its own topics.
    async fn judge(&mut self) {
        loop {
            let inbound = self.inbound().await;
            let device = inbound.device.as_deref().expect("a device that came in");
            assert!(own_topic(device, &inbound.topic).is_some(), "{device}: {}", inbound.topic);
            if let Some(ack) = inbound.ack {
                // The connection may be gone.
                let fate = if inbound.payload.len() % 2 == 1 { Fate::Rejected } else { Fate::Taken };
                let _ = ack.to.send(Acked { token: ack.token, fate });
            }
        }
    }

    async fn survives(&mut self, case: u32, bytes: &[u8]) {
        let from = Ipv4Addr::from(0x7f01_0000 + case);
        let at = self.at;
        let answers = tokio::select! {
            answers = timeout(LIMIT, send(at, from, bytes)) => answers.expect("in time"),
            () = self.judge() => unreachable!("it goes on"),
        };
        assert!(answers.len() <= 100 + 2 * bytes.len(), "{} bytes for {}", answers.len(), bytes.len());
        let mut good = Raw::let_in(self, V5, "good", DOOR).await;
        good.publish(DOOR, "even", Qos::AtLeastOnce, 1).await;
        tokio::select! {
            puback = good.packet() => assert_eq!(puback.as_deref(), Some(&[0x40, 2, 0, 1][..])),
            () = self.judge() => unreachable!("it goes on"),
        }
        assert!(!self.counters.ended().contains_key("broken"), "a connection's task panicked");
    }
}

#[test]
fn whatever_comes_the_next_device_is_served() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let desk = std::cell::RefCell::new(runtime.block_on(Desk::new()));
    let case = std::cell::Cell::new(1);
    proptest!(ProptestConfig::with_cases(500), |(stream in stream())| {
        let mut desk = desk.borrow_mut();
        let bytes = stream.bytes(&desk.secret(GAS));
        runtime.block_on(desk.survives(case.get(), &bytes));
        case.set(case.get() + 1);
    });
    // That it was neither all noise nor all well-behaved.
    let ended = desk.borrow().counters.ended();
    for reason in ["foreign_topic", "gone", "oversize", "protocol_error"] {
        assert!(ended.contains_key(reason), "{reason} in {ended:?}");
    }
}
