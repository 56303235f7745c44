//! The broker door against a real mosquitto that is killed and restarted in the middle.

use anyhow::Context;
use ninewatch_tests::gateway::{Gateway, Site, ninewatch};
use ninewatch_tests::mosquitto::Mosquitto;
use ninewatch_tests::{device, mosquitto, skipped_without};
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use std::collections::BTreeSet;
use std::time::Duration;

const READINGS: usize = 600;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_broker_acknowledged_reaches_the_gateway_though_the_broker_is_killed() -> anyhow::Result<()> {
    if skipped_without("mosquitto", mosquitto::find().is_some()) {
        return Ok(());
    }
    let mut broker = Mosquitto::start()?;
    let second = Mosquitto::start()?;
    let table = |name: &str, port: u16| {
        format!(
            "[[broker]]\nname = \"{name}\"\nurl = \"mqtt://127.0.0.1:{port}\"\nsubscribe = [\"ninewatch/+/readings\"]\n"
        )
    };
    let site = Site::new(&format!("{}{}", table("one", broker.port), table("two", second.port)))?;
    site.add_place("kitchen", "restaurant")?;
    site.add_devices("ninewatch-gas", &[("gas-1".into(), "kitchen".into()), ("gas-2".into(), "kitchen".into())])?;
    let gateway = Gateway::start(&site)?;
    gateway.until_metric("ninewatch_broker_connected", |connected| connected >= 2.0).await?;

    let mut sent = BTreeSet::new();
    let mut publisher = Publisher::new("gas-1", broker.port);
    for index in 0..READINGS {
        if index == READINGS / 2 {
            // mosquitto keeps what it acknowledged in memory and writes it now and then: let it.
            gateway.until_metric("ninewatch_readings_total{class=\"gas\"}", |read| read >= index as f64).await?;
            broker.kill_and_restart()?;
        }
        let at = 1_795_467_300.0 + index as f64;
        publisher.publish(device::gas("gas-1", at, 2.0)).await?;
        sent.insert(index);
    }
    // The other broker went on all the while.
    Publisher::new("gas-2", second.port).publish(device::gas("gas-2", 1_795_467_300.0, 2.0)).await?;

    let wanted = (READINGS + 1) as f64;
    gateway.until_metric("ninewatch_readings_total{class=\"gas\"}", |read| read >= wanted).await?;
    assert_eq!(gateway.metric("ninewatch_readings_total{class=\"gas\"}")?, wanted);
    let doors: BTreeSet<String> = ninewatch(&["journal", &site.data().display().to_string()])?
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| message["door"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(doors, BTreeSet::from(["broker:one".to_owned(), "broker:two".to_owned()]));
    Ok(())
}

/// Publishes one message after the other, each until the broker has acknowledged it.
struct Publisher {
    device: &'static str,
    client: AsyncClient,
    events: rumqttc::EventLoop,
}

impl Publisher {
    fn new(device: &'static str, port: u16) -> Self {
        let mut options = MqttOptions::new(format!("publisher-{device}"), "127.0.0.1", port);
        options.set_clean_session(false);
        options.set_keep_alive(Duration::from_secs(5));
        let (client, events) = AsyncClient::new(options, 10);
        Self { device, client, events }
    }

    async fn publish(&mut self, payload: String) -> anyhow::Result<()> {
        self.client.publish(device::topic(self.device), QoS::AtLeastOnce, false, payload).await?;
        let acked = async {
            loop {
                match self.events.poll().await {
                    Ok(Event::Incoming(Packet::PubAck(_))) => return,
                    Ok(_) => {}
                    // The broker is being restarted; rumqttc sends again what was not acknowledged.
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), acked).await.context("the broker does not acknowledge")
    }
}
