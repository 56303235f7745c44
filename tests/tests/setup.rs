//! Setting up over the API against real devices and a real mosquitto with what Zigbee2MQTT leaves on it.

use anyhow::Context;
use ninewatch_tests::device::{self, Device};
use ninewatch_tests::gateway::{Gateway, Site, ninewatch};
use ninewatch_tests::mosquitto::Mosquitto;
use ninewatch_tests::{mosquitto, skipped_without};
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_added_is_let_in_within_a_second() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let gateway = Gateway::start(&site)?;
    let place = json!({"id": "clinic", "name": "康宁诊所", "kind": "clinic", "grid": "kaili-1"});
    gateway.post("/api/v1/places", &place)?;
    let device = json!({"id": "sos-1", "type": "ninewatch-sos", "place": "clinic", "spot": "诊室"});
    let added = gateway.post("/api/v1/devices", &device)?;
    let answered = Instant::now();
    let secret = added["credential"]["secret"].as_str().context("a secret")?;
    let mut button = Device::connect("sos-1", secret, gateway.sensor_port).await?;
    assert!(answered.elapsed() < Duration::from_secs(1), "{:?}", answered.elapsed());
    button.publish(device::sos("sos-1", device::now_s(), true)).await?;
    let raised = gateway.until_alert(|change| change["alert"]["place"] == "clinic")?;
    assert_eq!(raised["alert"]["severity"], "critical");
    // A new secret ends the former one.
    let renewed = gateway.post("/api/v1/devices/sos-1/secret", &json!({}))?;
    let renewed = renewed["secret"].as_str().context("a new secret")?;
    assert!(Device::connect("sos-1", secret, gateway.sensor_port).await.is_err());
    Device::connect("sos-1", renewed, gateway.sensor_port).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn zigbee2mqtt_beside_it_is_found_and_its_smoke_becomes_an_alert() -> anyhow::Result<()> {
    if skipped_without("mosquitto", mosquitto::find().is_some()) {
        return Ok(());
    }
    let broker = Mosquitto::start()?;
    let mut bridge = Bridge::connect(broker.port);
    bridge
        .retain("zigbee2mqtt/bridge/info", &json!({"version": "2.6.0", "coordinator": {"type": "zStack3x0"}}))
        .await?;
    bridge
        .retain(
            "zigbee2mqtt/bridge/devices",
            &json!([
                {"ieee_address": "0x00124b0000000001", "friendly_name": "Coordinator", "type": "Coordinator"},
                {"ieee_address": "0x00158d0000000002", "friendly_name": "一楼/厨房 烟感", "type": "EndDevice",
                 "definition": {"vendor": "Heiman", "model": "HS1SA-E", "description": "Smoke detector",
                                "exposes": [{"type": "binary", "property": "smoke"}]}},
                {"ieee_address": "0x00158d0000000003", "friendly_name": "lamp", "type": "Router",
                 "definition": {"vendor": "IKEA", "model": "LED1545G12",
                                "exposes": [{"type": "light", "features": [{"property": "state"}]}]}},
            ]),
        )
        .await?;

    let site = Site::new("")?;
    let gateway = Gateway::start(&site)?;
    gateway.post("/api/v1/places", &json!({"id": "inn", "name": "旅馆", "kind": "hotel", "grid": "g1"}))?;
    let url = format!("mqtt://127.0.0.1:{}", broker.port);
    let found = gateway.post("/api/v1/brokers/look", &json!({"url": url}))?;
    assert_eq!((&found["answer"], &found["zigbee2mqtt"]), (&json!("let_in"), &json!("2.6.0")));
    let devices = found["devices"].as_array().context("devices")?;
    assert_eq!(devices.len(), 2);
    assert_eq!((&devices[0]["maker"], &devices[0]["type"]), (&json!("Heiman"), &json!("zigbee2mqtt-smoke")));
    assert_eq!((&devices[0]["id"], &devices[0]["known_as"]), (&json!("0x00158d0000000002"), &json!("一楼/厨房 烟感")));
    assert_eq!((&devices[1]["name"], &devices[1]["type"]), (&json!("lamp"), &Value::Null));

    let added =
        gateway.post("/api/v1/brokers", &json!({"name": "home", "url": url, "subscribe": ["zigbee2mqtt/#"]}))?;
    assert_eq!((&added["name"], &added["fixed"]), (&json!("home"), &json!(false)));
    gateway.until_metric("ninewatch_broker_connected", |connected| connected >= 1.0).await?;
    let device = json!({
        "id": devices[0]["id"], "known_as": devices[0]["known_as"], "type": devices[0]["type"],
        "place": "inn", "spot": "厨房", "secret": false,
    });
    assert_eq!(gateway.post("/api/v1/devices", &device)?["credential"], Value::Null);
    bridge.publish("zigbee2mqtt/一楼/厨房 烟感", &json!({"smoke": true, "battery": 90, "linkquality": 80})).await?;
    let raised = gateway.until_alert(|change| change["alert"]["devices"][0] == "0x00158d0000000002")?;
    assert_eq!((&raised["alert"]["severity"], &raised["alert"]["place"]), (&json!("critical"), &json!("inn")));
    let again = gateway.post("/api/v1/brokers/look", &json!({"name": "home"}))?;
    assert_eq!(again["devices"][0]["registered"], "0x00158d0000000002");

    // It outlives a restart, and is checked with the rest.
    ninewatch(&["check", "--site", &site.file().display().to_string()])?;
    drop(gateway);
    let gateway = Gateway::start(&site)?;
    gateway.until_metric("ninewatch_broker_connected", |connected| connected >= 1.0).await?;
    delete(&gateway, "/api/v1/brokers/home")?;
    assert_eq!(gateway.get("/api/v1/brokers")?, json!({"brokers": []}));
    assert!(gateway.metric("ninewatch_broker_connected").is_err(), "it is let go of at once");
    Ok(())
}

fn delete(gateway: &Gateway, path: &str) -> anyhow::Result<()> {
    use base64::Engine as _;
    let (account, password) = &gateway.account;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("{account}:{password}"));
    ureq::delete(format!("{}{path}", gateway.console)).header("Authorization", format!("Basic {basic}")).call()?;
    Ok(())
}

/// What Zigbee2MQTT publishes, each message acknowledged by the broker.
struct Bridge {
    client: AsyncClient,
    events: rumqttc::EventLoop,
}

impl Bridge {
    fn connect(port: u16) -> Self {
        let (client, events) = AsyncClient::new(MqttOptions::new("zigbee2mqtt", "127.0.0.1", port), 10);
        Self { client, events }
    }

    async fn retain(&mut self, topic: &str, payload: &Value) -> anyhow::Result<()> {
        self.send(topic, payload, true).await
    }

    async fn publish(&mut self, topic: &str, payload: &Value) -> anyhow::Result<()> {
        self.send(topic, payload, false).await
    }

    async fn send(&mut self, topic: &str, payload: &Value, retain: bool) -> anyhow::Result<()> {
        self.client.publish(topic, QoS::AtLeastOnce, retain, payload.to_string()).await?;
        let acked = async {
            while !matches!(self.events.poll().await?, Event::Incoming(Packet::PubAck(_))) {}
            anyhow::Ok(())
        };
        tokio::time::timeout(Duration::from_secs(30), acked).await.context("the broker does not acknowledge")?
    }
}
