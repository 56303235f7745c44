//! What becomes of messages.

use mqtt_protocol_core::mqtt::packet::Qos;

use super::super::packets::Version::{V3_1_1, V5};
use super::*;
use raw::{Hello, publish};

const QOS0: Qos = Qos::AtMostOnce;
const QOS1: Qos = Qos::AtLeastOnce;
const QOS2: Qos = Qos::ExactlyOnce;
const PUBACK: u8 = 0x40;
const PUBREC: u8 = 0x50;
const PUBCOMP: u8 = 0x70;
const NOT_AUTHORIZED: u8 = 0x87;
const PAYLOAD_FORMAT_INVALID: u8 = 0x99;

#[tokio::test]
async fn puback_and_pubrec_come_only_after_the_engine_has_it() {
    let mut desk = Desk::new().await;
    for version in [V3_1_1, V5] {
        let mut raw = Raw::let_in(&desk, version, "c", GAS).await;
        for (qos, answer) in [(QOS1, PUBACK), (QOS2, PUBREC)] {
            raw.publish(GAS, "x", qos, 7).await;
            let inbound = desk.inbound().await;
            assert_eq!(inbound.device.as_deref(), Some(GAS));
            assert_eq!((inbound.topic.as_str(), inbound.payload.as_slice()), ("ninewatch/gas-1/readings", &b"x"[..]));
            assert_eq!(&*inbound.door, "sensor_port");
            assert!(!inbound.redelivered);
            raw.expect_nothing().await;
            acknowledge(&inbound, false);
            raw.expect(&[answer, 2, 0, 7]).await;
        }
        raw.pubrel(7).await;
        raw.expect(&[PUBCOMP, 2, 0, 7]).await;
    }
}

#[tokio::test]
async fn qos_0_is_taken_without_a_word() {
    let mut desk = Desk::new().await;
    let mut raw = Raw::let_in(&desk, V5, "c", GAS).await;
    raw.publish(GAS, "x", QOS0, 0).await;
    assert!(desk.inbound().await.ack.is_none());
    raw.expect_nothing().await;
}

#[tokio::test]
async fn answers_keep_the_order_of_the_messages() {
    let mut desk = Desk::new().await;
    let mut raw = Raw::let_in(&desk, V5, "c", GAS).await;
    raw.publish(GAS, "a", QOS1, 1).await;
    raw.publish(GAS, "b", QOS2, 2).await;
    raw.publish(DOOR, "not its own", QOS1, 3).await;
    raw.publish(GAS, "c", QOS1, 4).await;
    let (a, b, c) = (desk.inbound().await, desk.inbound().await, desk.inbound().await);
    acknowledge(&c, false);
    acknowledge(&b, false);
    raw.expect_nothing().await;
    acknowledge(&a, false);
    raw.expect(&[PUBACK, 2, 0, 1]).await;
    raw.expect(&[PUBREC, 2, 0, 2]).await;
    raw.expect(&[PUBACK, 3, 0, 3, NOT_AUTHORIZED]).await;
    raw.expect(&[PUBACK, 2, 0, 4]).await;
}

#[tokio::test]
async fn a_message_that_brought_nothing_is_answered_so_in_mqtt_5() {
    let mut desk = Desk::new().await;
    let mut raw = Raw::let_in(&desk, V5, "c", GAS).await;
    for (qos, answer) in [(QOS1, PUBACK), (QOS2, PUBREC)] {
        raw.publish(GAS, "?", qos, 7).await;
        acknowledge(&desk.inbound().await, true);
        raw.expect(&[answer, 3, 0, 7, PAYLOAD_FORMAT_INVALID]).await;
    }
    raw.pubrel(7).await;
    raw.expect(&[PUBCOMP, 3, 0, 7, 0x92]).await;
    raw.publish(GAS, "new", QOS2, 7).await;
    assert_eq!(desk.take().await, "new", "the packet id is free again");

    let mut old = Raw::let_in(&desk, V3_1_1, "c3", GAS).await;
    old.publish(GAS, "?", QOS1, 7).await;
    acknowledge(&desk.inbound().await, true);
    old.expect(&[PUBACK, 2, 0, 7]).await;
}

#[tokio::test]
async fn a_foreign_topic_is_refused() {
    let mut desk = Desk::new().await;
    let foreign =
        ["ninewatch/door-1/readings", "ninewatch/gas-1", "ninewatch/gas-1/", "ninewatch/gas-10/x", "readings", "/"];
    let mut raw = Raw::let_in(&desk, V5, "c", GAS).await;
    for topic in foreign {
        raw.send(&publish(V5, topic, "x", QOS0, 0, false)).await;
        raw.send(&publish(V5, topic, "x", QOS1, 1, false)).await;
        raw.expect(&[PUBACK, 3, 0, 1, NOT_AUTHORIZED]).await;
        raw.send(&publish(V5, topic, "x", QOS2, 2, false)).await;
        raw.expect(&[PUBREC, 3, 0, 2, NOT_AUTHORIZED]).await;

        let mut old = Raw::let_in(&desk, V3_1_1, "c3", GAS).await;
        old.send(&publish(V3_1_1, topic, "x", QOS1, 1, false)).await;
        old.expect_end(0).await;
    }
    raw.expect_nothing().await;
    assert!(desk.is_quiet());
    let refused = foreign.len() as u64;
    assert_eq!(desk.counters.foreign_topics.load(Relaxed), 4 * refused);
    assert_eq!(desk.counters.ended()["foreign_topic"], refused);
}

#[tokio::test]
async fn what_mqtt_forbids_ends_the_connection() {
    let mut desk = Desk::new().await;
    let own = "ninewatch/gas-1/readings";
    let with = |change: fn(&mut Vec<u8>)| {
        let mut bytes = publish(V5, own, "x", QOS1, 1, false);
        change(&mut bytes);
        bytes
    };
    for (bytes, reason, what) in [
        (with(|bytes| bytes[0] |= 1), 0x9a, "retain, where it was told that there is none"),
        (with(|bytes| bytes[0] |= 0b110), 0x81, "QoS 3"),
        (with(|bytes| bytes[28..30].fill(0)), 0x82, "packet id 0"),
        (with(|bytes| bytes[20] = b'#'), 0x90, "a wildcard in a topic name"),
        (with(|bytes| bytes[20] = 0), 0x90, "NUL in a topic name"),
        (with(|bytes| bytes[20] = 0xff), 0x81, "no UTF-8"),
        (vec![0x62, 2, 0, 0], 0x81, "PUBREL of packet id 0"),
        (vec![0x60, 2, 0, 1], 0x81, "PUBREL with wrong flags"),
        (vec![0x50, 2, 0, 1], 0x82, "PUBREC of what was never sent"),
        (vec![0xd0, 0], 0x82, "PINGRESP from a client"),
        (vec![0xf0, 0], 0x82, "AUTH without extended authentication"),
        (vec![0x00, 0], 0x82, "a packet type that does not exist"),
        (b"\x32\x0f\0\0\0\x01\x03\x23\0\x01payload".to_vec(), 0x94, "a topic alias, where none was offered"),
    ] {
        let mut raw = Raw::let_in(&desk, V5, "c", GAS).await;
        raw.send(&bytes).await;
        let disconnect = raw.packet().await.unwrap();
        assert_eq!((disconnect[0], disconnect[2]), (0xe0, reason), "{what}");
        assert_eq!(raw.packet().await, None, "{what}");
    }
    assert!(desk.is_quiet());
}

#[tokio::test]
async fn qos_2_is_handed_in_once() {
    let mut desk = Desk::new().await;
    for version in [V3_1_1, V5] {
        let mut raw = Raw::let_in(&desk, version, "c", GAS).await;
        raw.publish(GAS, "once", QOS2, 5).await;
        let inbound = desk.inbound().await;
        raw.publish_again(GAS, "once", 5).await;
        raw.expect_nothing().await;
        acknowledge(&inbound, false);
        raw.expect(&[PUBREC, 2, 0, 5]).await;
        raw.publish_again(GAS, "once", 5).await;
        raw.expect(&[PUBREC, 2, 0, 5]).await;
        raw.pubrel(5).await;
        raw.expect(&[PUBCOMP, 2, 0, 5]).await;
        assert!(desk.is_quiet());
        raw.publish(GAS, "another", QOS2, 5).await;
        assert_eq!(desk.take().await, "another");
    }
    assert_eq!(desk.counters.repeated.load(Relaxed), 4);
}

#[tokio::test]
async fn qos_2_is_handed_in_once_across_a_reconnect() {
    let mut desk = Desk::new().await;
    for version in [V3_1_1, V5] {
        let mut raw = Raw::let_in(&desk, version, "c", GAS).await;
        for packet_id in [1, 2] {
            raw.publish(GAS, "taken", QOS2, packet_id).await;
            desk.take().await;
            raw.expect(&[PUBREC, 2, 0, u8::try_from(packet_id).unwrap()]).await;
        }
        raw.publish(GAS, "in doubt", QOS2, 3).await;
        desk.inbound().await;
        // One connection after the other, each of which takes over and leaves things open.
        let _ = Raw::let_in(&desk, version, "c", GAS).await;
        let mut raw = Raw::let_in(&desk, version, "c", GAS).await;
        raw.publish_again(GAS, "taken", 1).await;
        raw.expect(&[PUBREC, 2, 0, 1]).await;
        raw.pubrel(1).await;
        raw.expect(&[PUBCOMP, 2, 0, 1]).await;
        assert!(desk.is_quiet());

        raw.publish(GAS, "a new message of a client that forgot", QOS2, 2).await;
        assert_eq!(desk.take().await, "a new message of a client that forgot");
        raw.expect(&[PUBREC, 2, 0, 2]).await;
        raw.publish_again(GAS, "in doubt", 3).await;
        let again = desk.inbound().await;
        assert!(again.redelivered, "it had no PUBREC: the pipeline is told that it may know it");
        acknowledge(&again, false);
        raw.expect(&[PUBREC, 2, 0, 3]).await;

        let clean = Hello { clean: true, ..Hello::of(&desk, version, "c", GAS) };
        let mut raw = Raw::welcome(desk.at, &clean).await;
        raw.publish_again(GAS, "all is new", 3).await;
        assert_eq!(desk.take().await, "all is new");
    }
}

#[tokio::test]
async fn a_pubrel_before_its_pubrec_is_a_fault_and_one_for_nothing_is_answered() {
    let mut desk = Desk::new().await;
    let mut raw = Raw::let_in(&desk, V5, "c", GAS).await;
    raw.pubrel(9).await;
    raw.expect(&[PUBCOMP, 3, 0, 9, 0x92]).await;
    raw.publish(GAS, "x", QOS2, 5).await;
    desk.inbound().await;
    raw.pubrel(5).await;
    raw.expect_end(0x82).await;
    let mut old = Raw::let_in(&desk, V3_1_1, "c3", GAS).await;
    old.pubrel(9).await;
    old.expect(&[PUBCOMP, 2, 0, 9]).await;
}

#[tokio::test]
async fn mqtt_5_is_held_to_the_receive_maximum() {
    let mut desk = Desk::with(SensorPortConfig { receive_maximum: 3, ..config() }, |_| {}).await;
    let mut raw = Raw::let_in(&desk, V5, "c", GAS).await;
    raw.publish(GAS, "a", QOS1, 1).await;
    raw.publish(GAS, "b", QOS2, 2).await;
    raw.publish(GAS, "c", QOS1, 3).await;
    raw.publish(GAS, "not counted", QOS0, 0).await;
    for _ in 0..3 {
        desk.take().await;
    }
    for answer in [[PUBACK, 2, 0, 1], [PUBREC, 2, 0, 2], [PUBACK, 2, 0, 3]] {
        raw.expect(&answer).await;
    }
    desk.inbound().await;
    // The QoS 2 message still counts.
    for packet_id in [4, 5] {
        raw.publish(GAS, "x", QOS1, packet_id).await;
        desk.inbound().await;
    }
    raw.publish(GAS, "too much", QOS1, 6).await;
    raw.expect_end(0x93).await;
    assert!(desk.is_quiet());
}

#[tokio::test]
async fn mqtt_3_1_1_waits_in_tcp_past_the_receive_maximum() {
    let mut desk = Desk::with(SensorPortConfig { receive_maximum: 3, ..config() }, |_| {}).await;
    let mut raw = Raw::let_in(&desk, V3_1_1, "c", GAS).await;
    let mut other = Raw::let_in(&desk, V3_1_1, "c", DOOR).await;
    for packet_id in 1..=10 {
        raw.publish(GAS, &packet_id.to_string(), QOS1, packet_id).await;
    }
    let mut waiting = VecDeque::new();
    for packet_id in 1..=10_u8 {
        while waiting.len() < 3 && usize::from(packet_id) + waiting.len() <= 10 {
            waiting.push_back(desk.inbound().await);
        }
        other.expect_nothing().await;
        assert!(desk.is_quiet(), "no more than three wait");
        let first = waiting.pop_front().unwrap();
        assert_eq!(first.payload, packet_id.to_string().as_bytes());
        acknowledge(&first, false);
        raw.expect(&[PUBACK, 2, 0, packet_id]).await;
    }
    for packet_id in 1..=3 {
        raw.publish(GAS, "x", QOS2, packet_id).await;
        desk.take().await;
        raw.packet().await.unwrap();
    }
    raw.publish(GAS, "x", QOS2, 4).await;
    raw.expect_end(0).await;
}

#[tokio::test]
async fn what_one_read_brought_is_handed_in_together_and_acknowledged_together() {
    let mut desk = Desk::new().await;
    let mut raw = Raw::let_in(&desk, V3_1_1, "c", GAS).await;
    let all: Vec<u8> =
        (1..=5).flat_map(|packet_id| publish(V3_1_1, "ninewatch/gas-1/r", "x", QOS1, packet_id, false)).collect();
    raw.send(&all).await;
    let Some(Command::Messages(messages)) = desk.commands.recv().await else { panic!("the port is gone") };
    assert_eq!(messages.len(), 5);
    messages.iter().for_each(|message| acknowledge(message, false));
    let expected: Vec<u8> = (1..=5).flat_map(|packet_id| [PUBACK, 2, 0, packet_id]).collect();
    assert_eq!(raw.read_some().await, expected);
}

#[tokio::test]
async fn the_will_is_taken_when_a_device_is_gone_without_a_word() {
    let mut desk = Desk::new().await;
    let topic = "ninewatch/gas-1/status".to_owned();
    for version in [V3_1_1, V5] {
        let hello = Hello { will: Some((topic.clone(), false)), ..Hello::of(&desk, version, "c", GAS) };
        drop(Raw::welcome(desk.at, &hello).await);
        let will = desk.inbound().await;
        assert_eq!((will.topic.as_str(), will.payload.as_slice()), (topic.as_str(), &b"gone"[..]));
        assert_eq!(will.device.as_deref(), Some(GAS));

        let mut raw = Raw::welcome(desk.at, &hello).await;
        raw.send(&[0xe0, 0]).await;
        assert_eq!(raw.packet().await, None);
    }
    assert!(desk.is_quiet(), "a DISCONNECT takes the will back");
    let hello = Hello { will: Some((topic, false)), ..Hello::of(&desk, V5, "c", GAS) };
    Raw::welcome(desk.at, &hello).await.send(&[0xe0, 1, 0x04]).await;
    assert_eq!(desk.inbound().await.payload, b"gone", "Disconnect with Will Message");
    assert_eq!(desk.counters.wills.load(Relaxed), 3);
}

#[tokio::test]
async fn while_the_engine_is_behind_the_device_waits_in_tcp() {
    const MESSAGES: usize = 3000;
    let mut desk = Desk::new().await;
    let mut raw = Raw::let_in(&desk, V5, "c", GAS).await;
    let message = publish(V5, "ninewatch/gas-1/log", &"x".repeat(10_000), QOS0, 0, false);
    let publishing = tokio::spawn(async move {
        for _ in 0..MESSAGES {
            raw.send(&message).await;
        }
        raw
    });
    until(|| desk.commands.len() == desk.commands.max_capacity()).await;
    // What waits was read 16 KiB at a time, at most.
    assert!(desk.counters.bytes.load(Relaxed) <= 16 * 1024 * (desk.commands.max_capacity() as u64 + 1));
    for _ in 0..MESSAGES {
        desk.inbound().await;
    }
    publishing.await.unwrap().expect_nothing().await;
}
