//! The way down to a device.

use mqtt_protocol_core::mqtt::packet::{MaximumPacketSize, Property, Qos, ReceiveMaximum};

use super::super::packets::Version::{V3_1_1, V5};
use super::*;
use raw::Hello;

const QOS0: Qos = Qos::AtMostOnce;
const QOS1: Qos = Qos::AtLeastOnce;
const QOS2: Qos = Qos::ExactlyOnce;

#[tokio::test]
async fn a_device_may_subscribe_to_its_own_downlink_only() {
    let desk = Desk::new().await;
    for (version, not_authorized, not_shared) in [(V3_1_1, 0x80, 0x80), (V5, 0x87, 0x9e)] {
        let mut raw = Raw::let_in(&desk, version, "c", GAS).await;
        for (filter, qos, code) in [
            ("ninewatch/gas-1/downlink", QOS0, 0),
            ("ninewatch/gas-1/downlink", QOS1, 1),
            ("ninewatch/gas-1/downlink/#", QOS2, 1),
            ("ninewatch/door-1/downlink", QOS0, not_authorized),
            ("ninewatch/gas-1/#", QOS0, not_authorized),
            ("ninewatch/+/downlink", QOS0, not_authorized),
            ("#", QOS0, not_authorized),
            ("$SYS/#", QOS0, not_authorized),
            ("$share/g/ninewatch/gas-1/downlink", QOS0, not_shared),
        ] {
            assert_eq!(raw.subscribe(filter, qos).await, code, "{filter}");
        }
        raw.expect_nothing().await;
    }
    assert_eq!(desk.counters.foreign_subscriptions.load(Relaxed), 12);
}

#[tokio::test]
async fn a_message_goes_down_at_the_granted_qos_to_whom_subscribed() {
    let desk = Desk::new().await;
    assert!(!desk.downlink.send(GAS, "", b"nobody is there"));
    for version in [V3_1_1, V5] {
        let mut raw = Raw::let_in(&desk, version, "c", GAS).await;
        let mut door = Raw::let_in(&desk, version, "c", DOOR).await;
        door.subscribe("ninewatch/door-1/downlink/#", QOS1).await;
        assert!(!desk.downlink.send(GAS, "", b"nobody subscribed"));

        raw.subscribe("ninewatch/gas-1/downlink", QOS0).await;
        assert!(!desk.downlink.send(GAS, "config", b"below what was subscribed"));
        assert!(desk.downlink.send(GAS, "", b"hello"));
        let no_properties: &[u8] = if version == V5 { &[0] } else { &[] };
        raw.expect(&packet(0x30, "ninewatch/gas-1/downlink", &[no_properties, b"hello"].concat())).await;

        raw.subscribe("ninewatch/gas-1/downlink/#", QOS1).await;
        for (subtopic, topic) in
            [("", "ninewatch/gas-1/downlink"), ("config/led", "ninewatch/gas-1/downlink/config/led")]
        {
            assert!(desk.downlink.send(GAS, subtopic, b"hello"));
            let got = raw.packet().await.unwrap();
            let at = 4 + topic.len();
            let packet_id = &got[at..at + 2];
            assert_eq!(got, packet(0x32, topic, &[packet_id, no_properties, b"hello"].concat()), "{topic}");
            raw.send(&[&[0x40, 2], packet_id].concat()).await;
        }
        raw.send(&unsubscribe(version, "ninewatch/gas-1/downlink/#")).await;
        raw.packet().await.unwrap();
        assert!(!desk.downlink.send(GAS, "config", b"no longer"));
        door.expect_nothing().await;
    }
}

#[tokio::test]
async fn a_device_that_does_not_acknowledge_is_not_sent_more_than_it_takes() {
    let desk = Desk::new().await;
    let properties = vec![Property::ReceiveMaximum(ReceiveMaximum::new(2).unwrap())];
    let mut raw = Raw::welcome(desk.at, &Hello { properties, ..Hello::of(&desk, V5, "c", GAS) }).await;
    raw.subscribe("ninewatch/gas-1/downlink", QOS1).await;
    let mut sent = 0;
    while desk.downlink.send(GAS, "", b"x") {
        sent += 1;
        tokio::task::yield_now().await;
    }
    let (first, second) = (raw.packet().await.unwrap(), raw.packet().await.unwrap());
    raw.expect_nothing().await;
    assert!(sent <= 2 + 16 + 1, "{sent}");
    raw.send(&[&[0x40, 2], &first[28..30]].concat()).await;
    let third = raw.packet().await.unwrap();
    assert_ne!(third[28..30], second[28..30], "each has a packet id of its own");
    raw.expect_nothing().await;
}

#[tokio::test]
async fn a_device_is_not_sent_a_packet_that_is_too_large_for_it() {
    let desk = Desk::new().await;
    let properties = vec![Property::MaximumPacketSize(MaximumPacketSize::new(50).unwrap())];
    let mut raw = Raw::welcome(desk.at, &Hello { properties, ..Hello::of(&desk, V5, "c", GAS) }).await;
    raw.subscribe("ninewatch/gas-1/downlink", QOS0).await;
    desk.downlink.send(GAS, "", &[b'x'; 50]);
    desk.downlink.send(GAS, "", b"small");
    assert!(raw.packet().await.unwrap().ends_with(b"small"));
}

#[tokio::test]
async fn a_subscription_identifier_is_refused_as_it_was_told() {
    let desk = Desk::new().await;
    let mut raw = Raw::let_in(&desk, V5, "c", GAS).await;
    raw.send(b"\x82\x08\0\x01\x02\x0b\x01\0\0\0").await;
    raw.expect_end(0xa1).await;
}

/// A PUBLISH with this first byte.
fn packet(first: u8, topic: &str, rest: &[u8]) -> Vec<u8> {
    let length = 2 + topic.len() + rest.len();
    [&[first, u8::try_from(length).unwrap(), 0, u8::try_from(topic.len()).unwrap()], topic.as_bytes(), rest].concat()
}

fn unsubscribe(version: super::super::packets::Version, filter: &str) -> Vec<u8> {
    let properties: &[u8] = if version == V5 { &[0] } else { &[] };
    let body = [&[0, 3], properties, &[0, u8::try_from(filter.len()).unwrap()], filter.as_bytes()].concat();
    [&[0xa2, u8::try_from(body.len()).unwrap()], &body[..]].concat()
}
