//! Sensor types as an integrator changes them while the gateway runs, and devices behind a real broker.

use anyhow::Context;
use ninewatch_tests::device::{self, Device};
use ninewatch_tests::gateway::{Gateway, Site, ninewatch};
use ninewatch_tests::mosquitto::Mosquitto;
use ninewatch_tests::{mosquitto, skipped_without};
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

const GAS_TYPE: &str = include_str!("../../gateway/sensors/ninewatch-gas.toml");
const CHANGES: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn a_type_file_that_changes_under_load_loses_no_reading_and_drops_no_connection() -> anyhow::Result<()> {
    let site = Site::new("[files]\nsensors = \"sensors\"\n")?;
    let file = site.folder().join("sensors/ninewatch-gas.toml");
    std::fs::create_dir_all(site.folder().join("sensors"))?;
    std::fs::write(&file, GAS_TYPE)?;
    site.add_place("home", "home")?;
    let given = site.add_devices("ninewatch-gas", &[("gas-1".into(), "home".into())])?;
    let gateway = Gateway::start(&site)?;
    let mut detector = Device::connect(&given[0].0, &given[0].1, gateway.sensor_port).await?;

    let mut sent = 0;
    for change in 0..CHANGES {
        // Every other one fails its own test: then the former version goes on.
        let broken = change % 2 == 1;
        let label = format!("en = \"Detector, change {change}\"");
        let text = GAS_TYPE.replace("en = \"Combustible gas and CO detector\"", &label);
        let text = if broken { text.replace("co_ppm = 12,", "co_ppm = 99,") } else { text };
        std::fs::write(&file, text)?;
        let begun = Instant::now();
        // One connection publishes all the while; each message waits for its acknowledgement.
        while is_set_aside(&gateway)? != broken || (!broken && !in_force(&site, &label)?) {
            for _ in 0..20 {
                sent += 1;
                detector.publish(device::gas("gas-1", 1_795_467_300.0 + f64::from(sent), 2.0)).await?;
            }
            anyhow::ensure!(begun.elapsed() < Duration::from_secs(60), "change {change} does not come into force");
        }
    }
    assert_eq!(gateway.metric("ninewatch_readings_total{class=\"gas\"}")?, f64::from(sent), "of {sent} sent");
    assert_eq!(gateway.metric("ninewatch_sensor_port_connections")?, 1.0);
    let rejected = gateway.metric("ninewatch_rejected_total");
    assert!(rejected.is_err() || rejected.is_ok_and(|rejected| rejected == 0.0));

    // A restart changes nothing of it: the former version still goes on.
    drop(detector);
    drop(gateway);
    let gateway = Gateway::start(&site)?;
    assert!(is_set_aside(&gateway)?, "it is told again");
    let mut detector = Device::connect(&given[0].0, &given[0].1, gateway.sensor_port).await?;
    detector.publish(device::gas("gas-1", device::now_s(), 2.0)).await?;
    gateway.until_metric("ninewatch_readings_total{class=\"gas\"}", |read| read >= 1.0).await
}

/// Whether the gateway says that a file is set aside and its former version goes on.
fn is_set_aside(gateway: &Gateway) -> anyhow::Result<bool> {
    let health = gateway.get("/api/v1/health")?;
    let parts = health["parts"].as_array().context("parts")?;
    let files = parts.iter().find(|part| part["name"] == "site_files").context("site_files")?;
    Ok(files["text"]["en"].as_str().is_some_and(|text| text.contains("the former version goes on")))
}

/// Whether the journal has the site with this in it: only what is in force is written there.
fn in_force(site: &Site, part: &str) -> anyhow::Result<bool> {
    holds(&site.data().join("journal"), &part.replace('"', "\\\""))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plug_behind_zigbee2mqtt_is_heard_by_its_own_name_and_told_to_switch_off() -> anyhow::Result<()> {
    if skipped_without("mosquitto", mosquitto::find().is_some()) {
        return Ok(());
    }
    let broker = Mosquitto::start()?;
    let port = broker.port;
    let table =
        format!("[[broker]]\nname = \"hall\"\nurl = \"mqtt://127.0.0.1:{port}\"\nsubscribe = [\"zigbee2mqtt/#\"]\n");
    let site = Site::new(&table)?;
    site.add_place("shop", "shop")?;
    let data = site.data().display().to_string();
    let add = ["--type", "zigbee2mqtt-plug", "--place", "shop", "--spot", "冷柜", "--known-as", "一楼/冷柜 插座"];
    ninewatch(&[&["device", "--data-dir", &data, "add", "plug-1"][..], &add[..]].concat())?;
    let gateway = Gateway::start(&site)?;
    gateway.until_metric("ninewatch_broker_connected", |connected| connected >= 1.0).await?;
    assert_refused(&gateway.post("/api/v1/devices/plug-1/commands/switch_off", &json!({})), "409");

    let mut plug = Client::connect(port, "plug").await?;
    plug.subscribe("zigbee2mqtt/一楼/冷柜 插座/set").await?;
    plug.publish(
        "zigbee2mqtt/一楼/冷柜 插座",
        r#"{"state":"ON","power":86.5,"voltage":229,"current":0.38,"energy":12.4}"#,
    )
    .await?;
    gateway.until_metric("ninewatch_readings_total{class=\"electrical\"}", |read| read >= 1.0).await?;
    let devices = gateway.get("/api/v1/devices")?;
    let values = devices["devices"][0]["values"].as_array().context("values")?;
    let power = values.iter().find(|value| value["field"] == "power_w").context("power_w")?;
    assert_eq!((&power["value"], &power["unit"]), (&json!(86.5), &json!("W")));

    let commands = gateway.get("/api/v1/devices/plug-1/commands")?;
    let names: Vec<&Value> = commands["commands"].as_array().context("commands")?.iter().map(|c| &c["name"]).collect();
    assert_eq!(names, ["switch_on", "switch_off"]);
    assert_refused(&gateway.post("/api/v1/devices/plug-1/commands/explode", &json!({})), "404");
    assert_refused(&gateway.post("/api/v1/devices/plug-1/commands/switch_off", &json!({"when": 5})), "400");
    assert_eq!(gateway.post("/api/v1/devices/plug-1/commands/switch_off", &json!({}))?, json!({"sent": true}));
    assert_eq!(plug.next().await?, ("zigbee2mqtt/一楼/冷柜 插座/set".to_owned(), r#"{"state":"OFF"}"#.to_owned()));
    Ok(())
}

const SIREN_TYPE: &str = r#"
id = "acme-siren"
class = "smoke"
label = { zh = "警笛", en = "Siren" }
cadence = "1m"
silent_after = "5m"
[[message]]
topic = "ninewatch/{device}/{line}/state"
[[field]]
name = "smoke_alarm"
label = { zh = "烟雾报警", en = "Smoke alarm" }
kind = "state"
from = "/alarm"
[[command]]
name = "siren_on"
label = { zh = "打开警笛", en = "Siren on" }
topic = "ninewatch/{device}/downlink/{line}"
payload = '{"siren":{seconds},"tone":"{tone}"}'
parameters = [
  { name = "seconds", label = { zh = "秒", en = "Seconds" }, min = 1, max = 300, default = 30 },
  { name = "tone", label = { zh = "声音", en = "Tone" }, words = ["fire", "test"] },
]
example = { device = "s", line = "1", tone = "test", topic = "ninewatch/s/downlink/1", payload = '{"siren":30,"tone":"test"}' }
[[example]]
topic = "ninewatch/s/1/state"
payload = '{"alarm":false}'
readings = [{ smoke_alarm = false }]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_siren_at_the_sensor_port_is_told_to_sound_whatever_it_is_called_elsewhere() -> anyhow::Result<()> {
    let site = Site::new("[files]\nsensors = \"sensors\"\n")?;
    std::fs::create_dir_all(site.folder().join("sensors"))?;
    std::fs::write(site.folder().join("sensors/acme-siren.toml"), SIREN_TYPE)?;
    site.add_place("home", "home")?;
    let data = site.data().display().to_string();
    let add = ["--type", "acme-siren", "--place", "home", "--known-as", "厨房"];
    let secret = ninewatch(&[&["device", "--data-dir", &data, "add", "siren-1"][..], &add[..]].concat())?;
    let gateway = Gateway::start(&site)?;
    let (client, events) = AsyncClient::new(device::options("siren-1", secret.trim(), gateway.sensor_port), 10);
    let mut siren = Client { client, events };
    siren.until(|packet| matches!(packet, Packet::ConnAck(_)).then_some(())).await?;
    siren.subscribe("ninewatch/siren-1/downlink/#").await?;
    let send = |body: Value| gateway.post("/api/v1/devices/siren-1/commands/siren_on", &body);
    assert_refused(&send(json!({"tone": "test"})), "409");
    siren.publish("ninewatch/siren-1/kitchen/state", r#"{"alarm":false}"#).await?;
    for wrong in [json!({}), json!({"tone": "loud"}), json!({"tone": "test", "seconds": 900}), json!({"tone": "\"}"})] {
        assert_refused(&send(wrong), "400");
    }
    assert_eq!(send(json!({"tone": "fire", "seconds": 10}))?, json!({"sent": true}));
    let told = ("ninewatch/siren-1/downlink/kitchen".to_owned(), r#"{"siren":10,"tone":"fire"}"#.to_owned());
    assert_eq!(siren.next().await?, told);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_be_stored_is_nowhere_on_the_disk() -> anyhow::Result<()> {
    if skipped_without("mosquitto", mosquitto::find().is_some()) {
        return Ok(());
    }
    let broker = Mosquitto::start()?;
    let port = broker.port;
    let table =
        format!("[[broker]]\nname = \"hall\"\nurl = \"mqtt://127.0.0.1:{port}\"\nsubscribe = [\"hikvision/#\"]\n");
    let site = Site::new(&table)?;
    site.add_place("school", "school")?;
    site.add_devices("hikvision-face", &[("gate".into(), "school".into())])?;
    let data = site.data().display().to_string();
    let gateway = Gateway::start(&site)?;
    gateway.until_metric("ninewatch_broker_connected", |connected| connected >= 1.0).await?;
    let mut camera = Client::connect(port, "camera").await?;
    let event = json!({
        "dateTime": "2026-11-24T09:00:00+08:00", "eventType": "alarmResult", "eventState": "active",
        "alarmResult": [{"modelData": "RU1CRURESU5H", "faces": [{"faceId": 1, "modeldata": "RU1CRURESU5H", "identify": [
            {"candidate": [{"human_id": "2", "reserve_field": {"name": "张三丰"}, "FDLibName": "residents-of-the-east"}]}]}]}]
    });
    camera.publish("hikvision/gate/event", &event.to_string()).await?;
    // So is what a camera sends that nobody registered.
    camera.publish("hikvision/cellar/event", &event.to_string()).await?;
    // What cannot be understood is kept as a sample, and may hold a face as well.
    camera.publish("hikvision/gate/event", r#"{"alarmResult":[{"modelData":"RU1CRURESU5H","faces":"#).await?;
    gateway.until_metric("ninewatch_readings_total{class=\"face_camera\"}", |read| read >= 1.0).await?;
    gateway.until_metric("ninewatch_messages_total", |messages| messages >= 3.0).await?;
    // What may be stored is there, once it is.
    let begun = Instant::now();
    while !holds(&site.data(), "residents-of-the-east")? || ninewatch(&["quarantine", &data])?.lines().count() < 2 {
        anyhow::ensure!(begun.elapsed() < Duration::from_secs(30), "nothing is written");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(gateway);
    for secret in ["RU1CRURESU5H", "张三丰"] {
        assert!(!holds(&site.data(), secret)?, "{secret} is on the disk");
    }
    Ok(())
}

fn assert_refused(answer: &anyhow::Result<Value>, status: &str) {
    let told = answer.as_ref().map_err(ToString::to_string);
    assert!(told.as_ref().is_err_and(|told| told.contains(status)), "{told:?} is not {status}");
}

/// Whether a file in `dir` or below has `part` in it.
fn holds(dir: &Path, part: &str) -> anyhow::Result<bool> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let found = if path.is_dir() {
            holds(&path, part)?
        } else {
            std::fs::read(&path)?.windows(part.len()).any(|window| window == part.as_bytes())
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Something else at the broker.
struct Client {
    client: AsyncClient,
    events: EventLoop,
}

impl Client {
    async fn connect(port: u16, name: &str) -> anyhow::Result<Self> {
        let mut options = MqttOptions::new(name, "127.0.0.1", port);
        options.set_keep_alive(Duration::from_secs(30));
        let (client, events) = AsyncClient::new(options, 10);
        let mut client = Self { client, events };
        client.until(|packet| matches!(packet, Packet::ConnAck(_)).then_some(())).await?;
        Ok(client)
    }

    async fn subscribe(&mut self, filter: &str) -> anyhow::Result<()> {
        self.client.subscribe(filter, QoS::AtLeastOnce).await?;
        self.until(|packet| matches!(packet, Packet::SubAck(_)).then_some(())).await
    }

    async fn publish(&mut self, topic: &str, payload: &str) -> anyhow::Result<()> {
        self.client.publish(topic, QoS::AtLeastOnce, false, payload).await?;
        self.until(|packet| matches!(packet, Packet::PubAck(_)).then_some(())).await
    }

    /// The next message that it subscribed to.
    async fn next(&mut self) -> anyhow::Result<(String, String)> {
        self.until(|packet| match packet {
            Packet::Publish(publish) => {
                Some((publish.topic.clone(), String::from_utf8_lossy(&publish.payload).into_owned()))
            }
            _ => None,
        })
        .await
    }

    async fn until<T>(&mut self, wanted: impl Fn(&Packet) -> Option<T>) -> anyhow::Result<T> {
        let work = async {
            loop {
                if let Event::Incoming(packet) = self.events.poll().await?
                    && let Some(found) = wanted(&packet)
                {
                    return anyhow::Ok(found);
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), work).await.context("the broker does not answer")?
    }
}
