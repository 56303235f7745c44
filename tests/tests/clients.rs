//! The sensor port, spoken to by clients that we did not write: rumqttc, paho-mqtt, mosquitto_pub.

use anyhow::Context;
use ninewatch_tests::device::{self, Device};
use ninewatch_tests::gateway::{Gateway, Site};
use ninewatch_tests::skipped_without;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

/// (id, secret) of each device.
type Secrets = Vec<(String, String)>;

/// A gateway with an SOS button for each name, each in a home of its own.
fn buttons(more: &str, names: &[&str]) -> anyhow::Result<(Site, Gateway, Secrets)> {
    let site = Site::new(more)?;
    let mut rows = Vec::new();
    for name in names {
        site.add_place(&format!("home-{name}"), "home")?;
        rows.push(((*name).to_owned(), format!("home-{name}")));
    }
    let secrets = site.add_devices("ninewatch-sos", &rows)?;
    let gateway = Gateway::start(&site)?;
    Ok((site, gateway, secrets))
}

/// The places that have an open alert.
fn alarmed(gateway: &Gateway) -> anyhow::Result<Vec<String>> {
    let alerts = gateway.get("/api/v1/alerts?open=true")?;
    let alerts = alerts["alerts"].as_array().context("a list of alerts")?;
    let mut places: Vec<String> = alerts.iter().filter_map(|alert| Some(alert["place"].as_str()?.to_owned())).collect();
    places.sort();
    Ok(places)
}

#[tokio::test]
async fn rumqttc_speaks_3_1_1_and_its_acknowledged_press_is_an_alert() -> anyhow::Result<()> {
    let (_site, gateway, secrets) = buttons("", &["a"])?;
    let (id, secret) = &secrets[0];
    let mut button = Device::connect(id, secret, gateway.sensor_port).await?;
    button.publish(device::sos(id, device::now_s(), true)).await?;
    assert_eq!(alarmed(&gateway)?, ["home-a"]);
    Ok(())
}

#[tokio::test]
async fn rumqttc_speaks_5_with_every_qos() -> anyhow::Result<()> {
    use rumqttc::v5::mqttbytes::QoS;
    use rumqttc::v5::mqttbytes::v5::Packet;
    use rumqttc::v5::{AsyncClient, Event, MqttOptions};
    let (_site, gateway, secrets) = buttons("", &["a", "b", "c"])?;
    for ((id, secret), qos) in secrets.iter().zip([QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]) {
        let port = gateway.sensor_port;
        let mut options = MqttOptions::new(id.as_str(), port.ip().to_string(), port.port());
        options.set_credentials(id, secret);
        let (client, mut events) = AsyncClient::new(options, 10);
        client.publish(device::topic(id), qos, false, device::sos(id, device::now_s(), true)).await?;
        // A QoS 0 message is followed by one that is acknowledged, on the same connection.
        if qos == QoS::AtMostOnce {
            client.publish(device::topic(id), QoS::AtLeastOnce, false, device::sos(id, device::now_s(), false)).await?;
        }
        loop {
            match tokio::time::timeout(Duration::from_secs(10), events.poll()).await?? {
                Event::Incoming(Packet::PubAck(_)) if qos != QoS::ExactlyOnce => break,
                Event::Incoming(Packet::PubComp(_)) => break,
                _ => {}
            }
        }
    }
    assert_eq!(alarmed(&gateway)?, ["home-a", "home-b", "home-c"]);
    Ok(())
}

#[tokio::test]
async fn a_device_is_told_something_by_the_api() -> anyhow::Result<()> {
    use rumqttc::{AsyncClient, Event, Packet, QoS};
    let (_site, gateway, secrets) = buttons("", &["a"])?;
    let (id, secret) = &secrets[0];
    let light = serde_json::json!({"to": "led", "payload": {"on": true}});
    let path = format!("/api/v1/devices/{id}/downlink");
    assert!(gateway.post(&path, &light).is_err(), "nobody is there to take it");
    let (client, mut events) = AsyncClient::new(device::options(id, secret, gateway.sensor_port), 10);
    client.subscribe(format!("ninewatch/{id}/downlink/#"), QoS::AtLeastOnce).await?;
    while !matches!(events.poll().await?, Event::Incoming(Packet::SubAck(_))) {}
    assert_eq!(gateway.post(&path, &light)?["sent"], true);
    loop {
        if let Event::Incoming(Packet::Publish(publish)) = events.poll().await? {
            assert_eq!(publish.topic, format!("ninewatch/{id}/downlink/led"));
            assert_eq!(publish.payload.as_ref(), br#"{"on":true}"#);
            return Ok(());
        }
    }
}

/// The Python that has paho-mqtt; `make test` makes it.
fn python() -> PathBuf {
    std::env::var_os("NINEWATCH_PYTHON")
        .map_or_else(|| ninewatch_tests::root().join("target/py/bin/python"), PathBuf::from)
}

fn paho(args: &[&str]) -> anyhow::Result<ExitStatus> {
    let script = ninewatch_tests::root().join("tests/clients/paho_device.py");
    Command::new(python()).arg(script).args(args).status().context("paho_device.py cannot be started")
}

#[test]
fn paho_speaks_3_1_1_and_5_with_every_qos() -> anyhow::Result<()> {
    if skipped_without("paho-mqtt", python().is_file()) {
        return Ok(());
    }
    let (_site, gateway, secrets) = buttons("", &["a", "b", "c", "d"])?;
    let port = gateway.sensor_port.port().to_string();
    for ((id, secret), (version, qos)) in secrets.iter().zip([("3", "1"), ("3", "2"), ("5", "1"), ("5", "2")]) {
        let press = device::sos(id, device::now_s(), true);
        assert!(paho(&["127.0.0.1", &port, id, secret, version, qos, &press])?.success(), "MQTT {version}, QoS {qos}");
        assert!(!paho(&["127.0.0.1", &port, id, "wrong", version, qos, &press])?.success());
    }
    assert_eq!(alarmed(&gateway)?, ["home-a", "home-b", "home-c", "home-d"]);
    Ok(())
}

#[test]
fn mosquitto_pub_is_let_in_with_its_secret_only() -> anyhow::Result<()> {
    let tool = Path::new("/usr/bin/mosquitto_pub");
    if skipped_without("mosquitto_pub", tool.is_file()) {
        return Ok(());
    }
    let (_site, gateway, secrets) = buttons("", &["a"])?;
    let (id, secret) = &secrets[0];
    let publish = |secret: &str, topic: &str, version: &str| {
        Command::new(tool)
            .args(["-h", "127.0.0.1", "-p", &gateway.sensor_port.port().to_string(), "-u", id, "-P", secret, "-i", id])
            .args(["-V", version, "-q", "1", "-t", topic, "-m", &device::sos(id, device::now_s(), true)])
            .output()
    };
    assert!(!publish("wrong", &device::topic(id), "mqttv311")?.status.success());
    let foreign = publish(secret, "ninewatch/other/readings", "mqttv5")?;
    assert!(String::from_utf8_lossy(&foreign.stderr).contains("Not authorized"), "{foreign:?}");
    assert_eq!(alarmed(&gateway)?, Vec::<String>::new());
    assert!(publish(secret, &device::topic(id), "mqttv311")?.status.success());
    assert_eq!(alarmed(&gateway)?, ["home-a"]);
    Ok(())
}

#[test]
fn tls_is_spoken_with_a_certificate_on_either_side() -> anyhow::Result<()> {
    let tool = Path::new("/usr/bin/mosquitto_pub");
    if skipped_without("mosquitto_pub", tool.is_file()) {
        return Ok(());
    }
    let keys = tempfile::tempdir()?;
    let file = |name: &str| keys.path().join(name).display().to_string();
    ninewatch_tests::certificates(keys.path(), "b")?;
    let tls = format!(
        "[sensor_port.tls]\nlisten = \"127.0.0.1:0\"\ncert = \"{}\"\nkey = \"{}\"\nclient_ca = \"{}\"\n",
        file("server.pem"),
        file("server.key"),
        file("ca.pem")
    );
    let (_site, gateway, secrets) = buttons(&tls, &["a", "b"])?;
    let port = gateway.sensor_port_tls.context("a TLS port")?.port().to_string();
    let publish = |id: &str, more: &[&str]| {
        Command::new(tool)
            .args(["-h", "localhost", "-p", &port, "--cafile", &file("ca.pem"), "-i", id, "-q", "1"])
            .args(["-t", &device::topic(id), "-m", &device::sos(id, device::now_s(), true)])
            .args(more)
            .output()
    };
    let (a, secret) = &secrets[0];
    let with_secret = publish(a, &["-u", a, "-P", secret])?;
    assert!(with_secret.status.success(), "{with_secret:?}");
    let with_certificate = publish("b", &["--cert", &file("device.pem"), "--key", &file("device.key")])?;
    assert!(with_certificate.status.success(), "{with_certificate:?}");
    assert!(!publish("b", &[])?.status.success(), "no credential at all");
    assert_eq!(alarmed(&gateway)?, ["home-a", "home-b"]);
    Ok(())
}
