//! The broker door against a broker that the test plays, and against a real mosquitto.

use mqtt_protocol_core::mqtt::packet::{Packet, Qos, v3_1_1};
use mqtt_protocol_core::mqtt::result_code::{ConnectReturnCode, SubackReturnCode};
use ninewatch_tests::mosquitto::{self, Mosquitto};
use ninewatch_tests::skipped_without;
use std::collections::BTreeSet;
use std::sync::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use ninewatch_core::ailment::Ailment;

use super::*;
use crate::demo::city::endpoint::Endpoint;
use crate::engine::Command;
use crate::health::Part;

/// Nothing in a test takes this long unless it hangs.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(60);

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.expect("it hangs")
}

fn server(port: u16) -> MqttServer {
    MqttServer {
        name: "hall".into(),
        url: format!("mqtt://127.0.0.1:{port}"),
        username: None,
        password_file: None,
        ca: None,
        cert: None,
        key: None,
        subscribe: vec!["sensors/#".into()],
    }
}

/// A door at work; dropped as by a kill.
struct Open {
    status: Arc<BrokerStatus>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Open {
    fn new(port: u16, engine: &Engine) -> Self {
        let (status, reading) = start(server(port), "kaili-01", engine.clone()).unwrap();
        Self { status, task: tokio::spawn(reading) }
    }

    async fn until_connections(&self, connections: u64) {
        let mut link = self.status.link.watch();
        within(link.wait_for(|state| state.connections == connections && state.since.is_some())).await.unwrap();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A broker's end of one connection.
struct Line(Endpoint<TcpStream>);

impl Line {
    async fn accept(listener: &TcpListener, session_present: bool) -> Self {
        let mut line = Self(Endpoint::new(within(listener.accept()).await.unwrap().0));
        let Packet::V3_1_1Connect(connect) = line.packet().await else { panic!("no CONNECT of MQTT 3.1.1") };
        assert_eq!((connect.client_id(), connect.clean_session()), ("ninewatch-kaili-01-hall", false));
        let connack = v3_1_1::Connack::builder().session_present(session_present);
        line.0.send(connack.return_code(ConnectReturnCode::Accepted).build().unwrap()).await.unwrap();
        line
    }

    async fn packet(&mut self) -> Packet {
        within(self.0.receive()).await.unwrap().expect("the door is gone")
    }

    async fn grant(&mut self) {
        self.answer(SubackReturnCode::SuccessMaximumQos1).await;
    }

    async fn answer(&mut self, code: SubackReturnCode) {
        let Packet::V3_1_1Subscribe(subscribe) = self.packet().await else { panic!("no SUBSCRIBE") };
        assert_eq!(subscribe.entries()[0].topic_filter(), "sensors/#");
        assert_eq!(subscribe.entries()[0].sub_opts().qos(), Qos::AtLeastOnce);
        let suback = v3_1_1::Suback::builder().packet_id(subscribe.packet_id());
        let suback = suback.return_codes(vec![code]);
        self.0.send(suback.build().unwrap()).await.unwrap();
    }

    /// Publishes at QoS 1; gives the packet id.
    async fn publish(&mut self, payload: impl Into<Vec<u8>>) -> u16 {
        let id = self.0.packet_id().unwrap();
        let publish = v3_1_1::Publish::builder().topic_name("sensors/a").unwrap().qos(Qos::AtLeastOnce);
        self.0.send(publish.packet_id(id).payload(payload.into()).build().unwrap()).await.unwrap();
        id
    }

    async fn puback(&mut self) -> u16 {
        let Packet::V3_1_1Puback(puback) = self.packet().await else { panic!("no PUBACK") };
        puback.packet_id()
    }
}

/// The next messages that the door hands in.
async fn handed_in(commands: &mut mpsc::Receiver<Command>) -> Vec<Inbound> {
    match within(commands.recv()).await {
        Some(Command::Messages(messages)) => messages,
        _ => panic!("only messages come"),
    }
}

async fn one(commands: &mut mpsc::Receiver<Command>) -> Inbound {
    handed_in(commands).await.pop().unwrap()
}

/// Tells the door that the message is durable, as the engine does.
fn durable(inbound: &Inbound) {
    let ack = inbound.ack.as_ref().unwrap();
    let _ = ack.to.send(Acked { token: ack.token, fate: Fate::Taken });
}

#[tokio::test]
async fn an_acknowledgement_of_a_former_connection_goes_nowhere() {
    let (engine, mut commands) = Engine::for_tests();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _door = Open::new(listener.local_addr().unwrap().port(), &engine);

    let mut line = Line::accept(&listener, false).await;
    line.grant().await;
    assert_eq!(line.publish("old").await, 1);
    let old = one(&mut commands).await;
    assert_eq!((&*old.door, &*old.topic, &*old.payload), ("broker:hall", "sensors/a", &b"old"[..]));
    drop(line);

    let mut line = Line::accept(&listener, true).await;
    assert_eq!(line.publish("new").await, 1, "the same packet id, another message");
    let new = one(&mut commands).await;
    assert_eq!(new.payload, b"new");
    durable(&old);
    assert_eq!(line.publish("third").await, 2);
    durable(&one(&mut commands).await);
    assert_eq!(line.puback().await, 2, "the first acknowledgement that is sent");
    durable(&new);
    assert_eq!(line.puback().await, 1);
}

#[tokio::test]
async fn a_broker_that_lets_us_in_and_not_read_is_none() {
    let (engine, _commands) = Engine::for_tests();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = Open::new(listener.local_addr().unwrap().port(), &engine);
    let ails = || door.status.ails().into_iter().map(|(ailment, text)| (ailment, text.en)).collect::<Vec<_>>();
    assert_eq!(ails(), [(Ailment::BrokerDown, "not connected yet".to_owned())]);
    let mut line = Line::accept(&listener, false).await;
    line.answer(SubackReturnCode::Failure).await;
    door.until_connections(1).await;
    let why = "it is connected, and does not let us read sensors/#";
    assert_eq!(ails(), [(Ailment::BrokerDown, why.to_owned())]);
    drop(line);
    let mut line = Line::accept(&listener, false).await;
    line.grant().await;
    door.until_connections(2).await;
    assert_eq!(ails(), []);
}

#[tokio::test]
async fn it_subscribes_again_when_the_broker_has_forgotten_it() {
    let (engine, _commands) = Engine::for_tests();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = Open::new(listener.local_addr().unwrap().port(), &engine);
    // At the first connection always: the filters may be others than those of the session.
    let mut line = Line::accept(&listener, true).await;
    line.grant().await;
    door.until_connections(1).await;
    drop(line);
    let line = Line::accept(&listener, true).await;
    door.until_connections(2).await;
    drop(line);
    Line::accept(&listener, false).await.grant().await;
}

#[tokio::test]
async fn while_the_engine_is_behind_no_more_is_read_than_the_window() {
    let (engine, mut commands) = Engine::for_tests();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _door = Open::new(listener.local_addr().unwrap().port(), &engine);
    let mut line = Line::accept(&listener, false).await;
    line.grant().await;
    let all = WINDOW + 50;
    for n in 0..all {
        line.publish(n.to_string()).await;
    }
    let mut messages = Vec::new();
    while messages.len() < WINDOW {
        messages.extend(handed_in(&mut commands).await);
    }
    // rumqttc reads up to ten packets at once.
    assert!(messages.len() < WINDOW + 10);
    let more = tokio::time::timeout(std::time::Duration::from_millis(200), commands.recv()).await;
    assert!(more.is_err(), "it reads on");
    messages.iter().for_each(durable);
    while messages.len() < all {
        messages.extend(handed_in(&mut commands).await);
    }
    let payloads: Vec<_> = messages.iter().map(|inbound| inbound.payload.clone()).collect();
    assert_eq!(payloads, (0..all).map(|n| n.to_string().into_bytes()).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_too_long_to_be_a_reading_is_passed_over() {
    let (engine, mut commands) = Engine::for_tests();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = Open::new(listener.local_addr().unwrap().port(), &engine);
    let mut line = Line::accept(&listener, false).await;
    line.grant().await;
    let long = line.publish(vec![b'x'; LARGEST_PAYLOAD + 1]).await;
    assert_eq!(line.puback().await, long);
    line.publish("short").await;
    assert_eq!(one(&mut commands).await.payload, b"short");
    let mut text = String::new();
    render(&door.status, &mut text);
    assert!(text.contains("ninewatch_broker_oversize_total{broker=\"hall\"} 1"), "{text}");
    assert!(text.contains("ninewatch_broker_messages_total{broker=\"hall\"} 1"), "{text}");
}

#[test]
fn a_wrong_filter_or_file_is_named() {
    let (engine, _commands) = Engine::for_tests();
    let mut broker = server(1883);
    broker.subscribe = vec!["sensors/#/a".into()];
    let error = start(broker, "kaili-01", engine.clone()).err().unwrap();
    assert!(error.to_string().contains("`sensors/#/a` is no topic filter"), "{error}");
    let mut broker = server(1883);
    (broker.username, broker.password_file) = (Some("nine".into()), Some("/nowhere/password".into()));
    let error = start(broker, "kaili-01", engine).err().unwrap();
    assert!(error.to_string().contains("/nowhere/password"), "{error}");
}

/// A device that publishes numbers at QoS 1, one after the other, and writes down which of them the
/// broker acknowledged.
async fn publish(port: u16, numbers: std::ops::Range<u32>, acknowledged: Arc<Mutex<Vec<u32>>>) {
    let (client, mut events) = AsyncClient::new(rumqttc::MqttOptions::new("device", "127.0.0.1", port), 10);
    for n in numbers {
        client.publish("sensors/a", QoS::AtLeastOnce, false, payload(n)).await.unwrap();
        loop {
            match events.poll().await {
                Ok(Event::Incoming(rumqttc::Packet::PubAck(_))) => break,
                Ok(_) => {}
                Err(_) => {
                    // The broker is down; a session of ours it does not know, so publish anew.
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                    events.pending.clear();
                    client.try_publish("sensors/a", QoS::AtLeastOnce, false, payload(n)).unwrap();
                }
            }
        }
        acknowledged.lock().unwrap().push(n);
    }
}

fn payload(number: u32) -> String {
    format!("<{number:06}>")
}

fn number(inbound: &Inbound) -> u32 {
    std::str::from_utf8(&inbound.payload).unwrap().trim_matches(['<', '>']).parse().unwrap()
}

#[tokio::test]
async fn what_mosquitto_holds_comes_at_least_once_through_kills_of_either_side() {
    if skipped_without("mosquitto", mosquitto::find().is_some()) {
        return;
    }
    let mut broker = Mosquitto::start().unwrap();
    let (engine, mut commands) = Engine::for_tests();
    let door = Open::new(broker.port, &engine);
    // Another broker that is down stops nothing.
    let _absent = Open::new(ninewatch_tests::free_port().unwrap(), &engine);
    door.until_connections(1).await;
    let acknowledged = Arc::new(Mutex::new(Vec::new()));

    // We are killed before the journal has anything: all of it comes again.
    within(publish(broker.port, 0..50, acknowledged.clone())).await;
    let mut before = Vec::new();
    while before.len() < 50 {
        before.extend(handed_in(&mut commands).await);
    }
    drop(door);
    let door = Open::new(broker.port, &engine);
    let mut again = Vec::new();
    while again.len() < 50 {
        again.extend(handed_in(&mut commands).await);
    }
    assert_eq!(again.iter().map(number).collect::<Vec<_>>(), (0..50).collect::<Vec<_>>());
    assert!(again.iter().all(|inbound| inbound.redelivered));
    again.iter().for_each(durable);

    // The broker is killed under load, while the journal is behind by 80 messages.
    let load = tokio::spawn(publish(broker.port, 50..2000, acknowledged.clone()));
    let mut held = Vec::new();
    while held.len() < 80 {
        held.extend(handed_in(&mut commands).await);
    }
    let last = payload(held.iter().map(number).max().unwrap());
    while !broker.has_saved(&last) {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    broker.kill().unwrap();
    assert!(!load.is_finished(), "the kill came too late to be under load");
    let saved: BTreeSet<u32> = (50..2000).filter(|n| broker.has_saved(&payload(*n))).collect();
    assert!(held.iter().all(|inbound| saved.contains(&number(inbound))), "nothing was acknowledged to the broker");
    held.iter().for_each(durable);
    // And the one whose acknowledgement was on its way to the device.
    let acknowledged_before = acknowledged.lock().unwrap().len() + 1;
    broker.restart().unwrap();

    // mosquitto keeps the order of what one device publishes: the last number is the last to come.
    let mut came = BTreeSet::new();
    while !came.contains(&1999) {
        for inbound in handed_in(&mut commands).await {
            durable(&inbound);
            came.insert(number(&inbound));
        }
    }
    within(load).await.unwrap();
    let acknowledged = acknowledged.lock().unwrap();
    let owed: BTreeSet<u32> = acknowledged.iter().skip(acknowledged_before).copied().chain(saved).collect();
    assert_eq!(owed.difference(&came).collect::<Vec<_>>(), Vec::<&u32>::new());
    assert_eq!(door.status.link.watch().borrow().connections, 2);
}
