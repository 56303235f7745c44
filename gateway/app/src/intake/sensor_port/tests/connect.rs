//! Who is let in, who is not, and when it ends.

use mqtt_protocol_core::mqtt::packet::{AuthenticationMethod, Property, Qos, TopicAliasMaximum};

use super::super::packets::Version::{V3_1_1, V5};
use super::*;
use crate::config::SensorPortConfig;
use ninewatch_core::time::Span;
use raw::Hello;

const QOS1: Qos = Qos::AtLeastOnce;

/// What is wrong with a CONNECT, and the CONNACK's codes in 3.1.1 and 5.
type Mistake = (fn(&mut Hello), u8, u8, &'static str);

#[tokio::test]
async fn who_may_not_come_in_is_told_why() {
    let desk = Desk::new().await;
    let mistakes: [Mistake; 7] = [
        (|hello| hello.password = "guess".into(), 4, 0x86, "credentials"),
        (|hello| hello.user_name = Some("nobody".into()), 4, 0x86, "credentials"),
        (|hello| hello.user_name = None, 4, 0x86, "credentials"),
        (|hello| hello.client_id = "c".repeat(257), 2, 0x85, "client_id"),
        (|hello| hello.will = Some(("ninewatch/door-1/readings".into(), false)), 5, 0x90, "will_topic"),
        (|hello| hello.will = Some(("ninewatch/gas-1/+".into(), false)), 5, 0x90, "will_topic"),
        (|hello| hello.will = Some(("ninewatch/gas-1".into(), false)), 5, 0x90, "will_topic"),
    ];
    let mut counts: HashMap<&str, u64> = HashMap::new();
    for (make, code, reason, label) in mistakes {
        for (version, expected) in [(V3_1_1, code), (V5, reason)] {
            let mut hello = Hello::of(&desk, version, "c", GAS);
            make(&mut hello);
            let (mut raw, connack) = Raw::hello(desk.at, &hello).await;
            assert_eq!(connack[3], expected, "{label} in {version:?}");
            assert_eq!(raw.packet().await, None);
            *counts.entry(label).or_default() += 1;
        }
        assert_eq!(desk.counters.refused()[label], counts[label]);
    }
    let mut hello = Hello::of(&desk, V5, "c", GAS);
    hello.will = Some(("ninewatch/gas-1/status".into(), true));
    assert_eq!(Raw::hello(desk.at, &hello).await.1[3], 0x9a, "a retained will");
    hello.will = None;
    hello.properties = vec![Property::AuthenticationMethod(AuthenticationMethod::new("SCRAM-SHA-1").unwrap())];
    assert_eq!(Raw::hello(desk.at, &hello).await.1[3], 0x8c, "extended authentication");
}

#[tokio::test]
async fn mqtt_3_1_and_later_versions_are_told_that_they_are_not_spoken() {
    let desk = Desk::new().await;
    for connect in
        [&b"\x10\x10\0\x06MQIsdp\x03\x02\0\x3c\0\x02ab"[..], &b"\x10\x0f\0\x04MQTT\x06\x02\0\x3c\0\0\x02ab"[..]]
    {
        let mut raw = Raw::open(desk.at).await;
        raw.send(connect).await;
        raw.expect(&[0x20, 2, 0, 1]).await;
        assert_eq!(raw.packet().await, None);
    }
    assert_eq!(desk.counters.refused()["version"], 2);
}

#[tokio::test]
async fn mqtt_5_is_told_the_terms() {
    let config = SensorPortConfig { receive_maximum: 0x123, max_packet_bytes: 0x1_0203, ..config() };
    let desk = Desk::with(config, |_| {}).await;
    let hello = Hello { keep_alive_s: 0, client_id: String::new(), ..Hello::of(&desk, V5, "", GAS) };
    let (_, connack) = Raw::hello(desk.at, &hello).await;
    assert_eq!(connack[2..4], [0, 0], "no session present, success");
    let properties = &connack[5..];
    for (property, says) in [
        (&[0x11, 0, 0, 0, 0][..], "session expiry 0"),
        (&[0x21, 0x01, 0x23], "receive maximum"),
        (&[0x27, 0, 1, 2, 3], "maximum packet size"),
        (&[0x25, 0], "no retained messages"),
        (&[0x2a, 0], "no shared subscriptions"),
        (&[0x29, 0], "no subscription identifiers"),
        (&[0x13, 0x02, 0x58], "the keep-alive is 600 s"),
        (b"\x12\0\x15auto-", "a client id is assigned"),
    ] {
        assert!(properties.windows(property.len()).any(|window| window == property), "{says}: {properties:x?}");
    }
    assert!(!properties.contains(&0x24), "no maximum QoS: it is 2");
}

#[tokio::test]
async fn a_client_without_an_id_gets_one_unless_it_wants_its_session_kept() {
    let desk = Desk::new().await;
    let hello = Hello { clean: true, ..Hello::of(&desk, V3_1_1, "", GAS) };
    let _first = Raw::welcome(desk.at, &hello).await;
    let mut second = Raw::welcome(desk.at, &hello).await;
    second.expect_nothing().await;
    assert_eq!(desk.counters.connections.load(Relaxed), 2, "they are two clients");
    let (_, connack) = Raw::hello(desk.at, &Hello { clean: false, ..hello }).await;
    assert_eq!(connack[3], 2);
}

/// `mqtt-protocol-core`'s own connection panics on this one.
#[tokio::test]
async fn a_topic_alias_maximum_of_0_is_nothing_special() {
    let desk = Desk::new().await;
    let properties = vec![Property::TopicAliasMaximum(TopicAliasMaximum::new(0).unwrap())];
    let mut raw = Raw::welcome(desk.at, &Hello { properties, ..Hello::of(&desk, V5, "c", GAS) }).await;
    raw.expect_nothing().await;
}

#[tokio::test]
async fn who_does_not_come_to_the_point_is_cut_off() {
    let config = SensorPortConfig { connect_timeout: Span::from_ms(20), ..config() };
    let desk = Desk::with(config, |_| {}).await;
    let mut silent = Raw::open(desk.at).await;
    assert_eq!(silent.packet().await, None);
    let mut half = Raw::open(desk.at).await;
    half.send(&Hello::of(&desk, V5, "c", GAS).bytes()[..20]).await;
    assert_eq!(half.packet().await, None);
    assert_eq!(desk.counters.refused()["timeout"], 2);
}

#[tokio::test]
async fn what_is_not_mqtt_is_cut_off() {
    let desk = Desk::new().await;
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xc0, 0], &[0x10, 0xff, 0xff, 0xff, 0xff, 0xff], &[0x10, 2, 0, 4]] {
        let mut raw = Raw::open(desk.at).await;
        raw.send(bytes).await;
        assert_eq!(raw.packet().await, None, "{bytes:?}");
    }
    let mut raw = Raw::let_in(&desk, V5, "c", GAS).await;
    raw.send(&Hello::of(&desk, V5, "c", GAS).bytes()).await;
    raw.expect_end(0x82).await;
    assert_eq!(desk.counters.refused()["malformed"], 4);
    assert_eq!(desk.counters.ended()["protocol_error"], 1);
}

#[tokio::test]
async fn there_are_so_many_connections_and_no_more() {
    let desk = Desk::with(SensorPortConfig { max_connections: 2, ..config() }, |_| {}).await;
    let _unknown = (Raw::open(desk.at).await, Raw::open(desk.at).await);
    let one = Raw::let_in(&desk, V5, "c", GAS).await;
    let _two = Raw::let_in(&desk, V5, "c", DOOR).await;
    for (version, code) in [(V3_1_1, 3), (V5, 0x89)] {
        let (mut raw, connack) = Raw::hello(desk.at, &Hello::of(&desk, version, "more", GAS)).await;
        assert_eq!(connack[3], code);
        assert_eq!(raw.packet().await, None);
    }
    assert_eq!(desk.counters.refused(), [("full", 2)].into());
    drop(one);
    desk.ended("gone", 1).await;
    until(|| desk.counters.connections.load(Relaxed) == 1).await;
    Raw::let_in(&desk, V5, "more", GAS).await;
}

#[tokio::test]
async fn those_who_are_not_let_in_yet_are_so_many_and_the_oldest_goes_first() {
    let desk = Desk::with(config(), |shared| shared.limits.arriving = 3).await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        idle.push(Raw::open(desk.at).await);
    }
    // Half a CONNECT is no CONNECT.
    idle[0].send(&Hello::of(&desk, V5, "c", GAS).bytes()[..20]).await;
    let mut device = Raw::let_in(&desk, V5, "c", DOOR).await;
    assert_eq!(idle[0].packet().await, None, "it was there for longest");
    assert_eq!(desk.counters.refused(), [("crowded_out", 1)].into());
    // The device has given its place back.
    let _next = Raw::open(desk.at).await;
    device.expect_nothing().await;
    assert_eq!(desk.counters.refused(), [("crowded_out", 1)].into());
}

#[tokio::test]
async fn a_device_has_so_many_connections_and_no_more() {
    let desk = Desk::with(SensorPortConfig { max_connections_per_device: 2, ..config() }, |_| {}).await;
    let one = Raw::let_in(&desk, V5, "1", GAS).await;
    let _two = Raw::let_in(&desk, V5, "2", GAS).await;
    let (_, connack) = Raw::hello(desk.at, &Hello::of(&desk, V5, "3", GAS)).await;
    assert_eq!(connack[3], 0x97);
    let _other_device = Raw::let_in(&desk, V5, "3", DOOR).await;
    let _taken_over = Raw::let_in(&desk, V5, "2", GAS).await;
    drop(one);
    desk.ended("gone", 1).await;
    Raw::let_in(&desk, V5, "3", GAS).await;
}

#[tokio::test]
async fn a_second_connection_of_the_same_client_takes_over() {
    let mut desk = Desk::new().await;
    let will = Some(("ninewatch/gas-1/status".to_owned(), false));
    for version in [V3_1_1, V5] {
        let mut first =
            Raw::welcome(desk.at, &Hello { will: will.clone(), ..Hello::of(&desk, version, "c", GAS) }).await;
        let mut other = Raw::let_in(&desk, version, "c", DOOR).await;
        let mut second = Raw::let_in(&desk, version, "c", GAS).await;
        second.publish(GAS, "here", Qos::AtMostOnce, 0).await;
        first.expect_end(0x8e).await;
        assert_eq!(desk.inbound().await.payload, b"gone", "the will is taken before what the second one says");
        assert_eq!(desk.inbound().await.payload, b"here");
        other.expect_nothing().await;
    }
    assert_eq!(desk.counters.ended()["taken_over"], 2);
}

#[tokio::test]
async fn silence_for_one_and_a_half_keep_alives_ends_it() {
    let desk = Desk::with(SensorPortConfig { max_keep_alive: Span::from_secs(1), ..config() }, |_| {}).await;
    let begun = Instant::now();
    let mut unlimited = Raw::welcome(desk.at, &Hello { keep_alive_s: 0, ..Hello::of(&desk, V5, "1", GAS) }).await;
    let mut longer = Raw::welcome(desk.at, &Hello { keep_alive_s: 60, ..Hello::of(&desk, V3_1_1, "2", GAS) }).await;
    unlimited.expect_end(0x8d).await;
    longer.expect_end(0x8d).await;
    assert!(begun.elapsed() >= Duration::from_millis(1500));
    assert_eq!(desk.counters.ended()["keep_alive"], 2);
}

#[tokio::test]
async fn a_byte_now_and_then_keeps_nothing_alive() {
    let desk = Desk::with(SensorPortConfig { max_keep_alive: Span::from_secs(1), ..config() }, |_| {}).await;
    let mut slow = Raw::let_in(&desk, V5, "c", GAS).await;
    // A PUBLISH of 16 KiB that comes byte by byte.
    slow.send(&[0x30, 0x80, 0x80, 0x01]).await;
    while slow.try_send(&[0]).await && desk.counters.ended().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    desk.ended("keep_alive", 1).await;
}

#[tokio::test]
async fn a_device_that_is_removed_or_renewed_is_cut_off() {
    let mut desk = Desk::new().await;
    let will = Some(("ninewatch/gas-1/status".to_owned(), false));
    let mut gas = Raw::welcome(desk.at, &Hello { will, ..Hello::of(&desk, V5, "c", GAS) }).await;
    let mut door = Raw::let_in(&desk, V5, "c", DOOR).await;
    desk.change(|devices| devices.retain(|device| device.id != GAS));
    gas.expect_end(0x87).await;
    door.expect_nothing().await;
    let (_, connack) = Raw::hello(desk.at, &Hello::of(&desk, V5, "c", GAS)).await;
    assert_eq!(connack[3], 0x86);

    let renewed = Secret::generate().unwrap();
    desk.change(|devices| devices[0].secret = renewed.stored().unwrap());
    door.expect_end(0x87).await;
    let (_, connack) = Raw::hello(desk.at, &Hello::of(&desk, V5, "c", DOOR)).await;
    assert_eq!(connack[3], 0x86);
    let hello = Hello { password: renewed.shown(), ..Hello::of(&desk, V5, "c", DOOR) };
    Raw::welcome(desk.at, &hello).await;
    assert!(desk.is_quiet(), "the will of one who is not let in is not taken");
}

#[tokio::test]
async fn an_address_that_keeps_guessing_is_turned_away_early() {
    let desk = Desk::with(config(), |shared| shared.throttle = Throttle::new(20.0, 0.0)).await;
    let mut inside = Raw::let_in(&desk, V5, "c", GAS).await;
    let guess = Hello { password: "guess".into(), ..Hello::of(&desk, V5, "c", GAS) };
    for _ in 0..20 {
        Raw::hello(desk.at, &guess).await;
    }
    assert_eq!(Raw::open(desk.at).await.packet().await, None);
    assert_eq!(desk.counters.refused(), [("credentials", 20), ("throttled", 1)].into());
    inside.expect_nothing().await;
}

#[tokio::test]
async fn a_good_device_behind_the_same_router_as_a_bad_one_is_let_in() {
    let desk = Desk::new().await;
    let guess = Hello { password: "guess".into(), ..Hello::of(&desk, V5, "c", GAS) };
    for round in 0..10 {
        for _ in 0..20 {
            Raw::hello(desk.at, &guess).await;
        }
        Raw::let_in(&desk, V5, &format!("{round}"), DOOR).await;
    }
    assert_eq!(desk.counters.refused(), [("credentials", 200)].into());
}

#[tokio::test]
async fn an_oversize_packet_is_refused_before_it_comes() {
    let desk = Desk::with(SensorPortConfig { max_packet_bytes: 1024, ..config() }, |_| {}).await;
    // A PUBLISH of 1025 bytes, and none of them but the length.
    let header = [0x30, 0xfe, 0x07];
    for version in [V3_1_1, V5] {
        let mut raw = Raw::let_in(&desk, version, "c", GAS).await;
        raw.send(&header).await;
        raw.expect_end(0x95).await;
    }
    let mut stranger = Raw::open(desk.at).await;
    stranger.send(&[0x10, 0xfe, 0x07]).await;
    assert_eq!(stranger.packet().await, None);
    assert_eq!(desk.counters.ended()["oversize"], 2);
    assert_eq!(desk.counters.refused()["malformed"], 1);

    // A stranger may make the port set aside 8 KiB, whatever devices may send.
    let desk = Desk::new().await;
    let mut stranger = Raw::open(desk.at).await;
    stranger.send(&[0x10, 0xfe, 0x3f]).await;
    assert_eq!(stranger.packet().await, None);
    assert_eq!(desk.counters.refused()["malformed"], 1);
    let mut device = Raw::let_in(&desk, V5, "c", GAS).await;
    device.publish(GAS, &"x".repeat(60_000), QOS1, 1).await;
    device.send(&raw::PINGREQ).await;
    device.expect(&raw::PINGRESP).await;
}

#[tokio::test]
async fn who_does_not_read_is_cut_off() {
    let desk = Desk::with(config(), |shared| shared.limits.write_timeout = Duration::from_millis(20)).await;
    let mut raw = Raw::let_in(&desk, V3_1_1, "c", GAS).await;
    let pings = raw::PINGREQ.repeat(8192);
    // Until what it is sent fills all buffers on the way.
    while raw.try_send(&pings).await {}
    desk.ended("stuck", 1).await;
}

#[tokio::test]
async fn when_the_gateway_stops_devices_are_told() {
    let mut desk = Desk::new().await;
    let will = Some(("ninewatch/gas-1/status".to_owned(), false));
    let mut raw = Raw::welcome(desk.at, &Hello { will, ..Hello::of(&desk, V5, "c", GAS) }).await;
    let (other, _) = watch::channel(Arc::default());
    drop(std::mem::replace(&mut desk.registry, other));
    raw.expect_end(0x8b).await;
    (&mut desk.serving).await.unwrap().unwrap();
    assert!(desk.is_quiet(), "a will says that the device is gone, not the gateway");
}

#[tokio::test]
async fn when_the_engine_stops_the_port_stops() {
    let mut desk = Desk::new().await;
    let mut talks = Raw::let_in(&desk, V5, "1", GAS).await;
    let mut listens = Raw::let_in(&desk, V5, "2", GAS).await;
    desk.commands.close();
    talks.publish(GAS, "x", QOS1, 1).await;
    assert_eq!(talks.packet().await, None, "no PUBACK");
    listens.expect_end(0x8b).await;
    (&mut desk.serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let desk = Desk::new().await;
    let told = SensorPort::bind(&SensorPortConfig { listen: Some(desk.at), ..config() }).err().unwrap();
    assert!(format!("{told:#}").starts_with(&format!("{} cannot be listened on", desk.at)), "{told:#}");
}

#[tokio::test]
async fn counters_are_told_as_prometheus_reads_them() {
    let desk = Desk::new().await;
    let mut raw = Raw::let_in(&desk, V5, "c", GAS).await;
    raw.expect_nothing().await;
    let mut out = String::new();
    desk.counters.render(&mut out);
    for line in [
        "# TYPE ninewatch_sensor_port_connections gauge",
        "ninewatch_sensor_port_connections 1",
        "ninewatch_sensor_port_accepted_total 1",
        "ninewatch_sensor_port_packets_total 1",
        "ninewatch_sensor_port_bytes_total 2",
    ] {
        assert!(out.lines().any(|have| have == line), "{line} in\n{out}");
    }
    raw.send(&[0xe0, 0]).await;
    desk.ended("left", 1).await;
    let mut out = String::new();
    desk.counters.render(&mut out);
    assert!(out.contains("ninewatch_sensor_port_ended_total{reason=\"left\"} 1"), "{out}");
}
