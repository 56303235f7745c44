//! rumqttc, a client that we did not write, in both versions.

use super::*;

/// What a device publishes at each QoS, ten messages each.
fn plan() -> Vec<(u8, String)> {
    (0..30).map(|number| (number % 3, format!("{number}"))).collect()
}

async fn takes_the_plan_once(desk: &mut Desk) {
    let mut taken = Vec::new();
    for _ in plan() {
        let inbound = desk.inbound().await;
        if inbound.ack.is_some() {
            acknowledge(&inbound, false);
        }
        taken.push(String::from_utf8(inbound.payload).unwrap());
    }
    let planned: Vec<String> = plan().into_iter().map(|(_, payload)| payload).collect();
    assert_eq!(taken, planned);
}

#[tokio::test]
async fn rumqttc_gets_its_answers_at_every_qos() {
    use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
    let mut desk = Desk::new().await;
    let mut options = MqttOptions::new("c", "127.0.0.1", desk.at.port());
    options.set_credentials(GAS, desk.secret(GAS));
    let (client, mut events) = AsyncClient::new(options, 100);
    for (qos, payload) in plan() {
        let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(qos)];
        client.publish("ninewatch/gas-1/readings", qos, false, payload).await.unwrap();
    }
    let answered = tokio::spawn(async move {
        let (mut acknowledged, mut complete) = (0, 0);
        while (acknowledged, complete) != (10, 10) {
            match events.poll().await.unwrap() {
                Event::Incoming(Packet::PubAck(_)) => acknowledged += 1,
                Event::Incoming(Packet::PubComp(_)) => complete += 1,
                _ => {}
            }
        }
    });
    takes_the_plan_once(&mut desk).await;
    answered.await.unwrap();
    assert!(desk.is_quiet());
}

#[tokio::test]
async fn rumqttc_gets_its_answers_at_every_qos_in_mqtt_5() {
    use rumqttc::v5::mqttbytes::{QoS, v5::Packet};
    use rumqttc::v5::{AsyncClient, Event, MqttOptions};
    let mut desk = Desk::new().await;
    let mut options = MqttOptions::new("c", "127.0.0.1", desk.at.port());
    options.set_credentials(GAS, desk.secret(GAS));
    let (client, mut events) = AsyncClient::new(options, 100);
    for (qos, payload) in plan() {
        let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(qos)];
        client.publish("ninewatch/gas-1/readings", qos, false, payload).await.unwrap();
    }
    let answered = tokio::spawn(async move {
        let (mut acknowledged, mut complete) = (0, 0);
        while (acknowledged, complete) != (10, 10) {
            match events.poll().await.unwrap() {
                Event::Incoming(Packet::PubAck(_)) => acknowledged += 1,
                Event::Incoming(Packet::PubComp(_)) => complete += 1,
                _ => {}
            }
        }
    });
    takes_the_plan_once(&mut desk).await;
    answered.await.unwrap();
    assert!(desk.is_quiet());
}

#[tokio::test]
async fn rumqttc_is_told_that_its_password_is_wrong() {
    let desk = Desk::new().await;
    let mut options = rumqttc::MqttOptions::new("c", "127.0.0.1", desk.at.port());
    options.set_credentials(GAS, desk.secret(DOOR));
    let refused = rumqttc::AsyncClient::new(options, 10).1.poll().await.unwrap_err();
    let rumqttc::ConnectionError::ConnectionRefused(code) = refused else { panic!("{refused}") };
    assert_eq!(code, rumqttc::ConnectReturnCode::BadUserNamePassword);
}
