//! A replay decides as the gateway did, each time, byte for byte, also while the gateway runs.

use anyhow::Context;
use ninewatch_tests::device::{self, Device};
use ninewatch_tests::gateway::{Gateway, Site, ninewatch};
use serde_json::{Value, json};

#[tokio::test]
async fn a_replay_prints_the_alerts_that_the_gateway_wrote_down() -> anyhow::Result<()> {
    let site = Site::new("")?;
    site.add_place("home", "home")?;
    site.add_place("kitchen", "restaurant")?;
    let gas = site.add_devices("ninewatch-gas", &[("gas-1".into(), "kitchen".into())])?;
    let sos = site.add_devices("ninewatch-sos", &[("sos-1".into(), "home".into())])?;
    let data = site.data().display().to_string();

    let mut gateway = Gateway::start(&site)?;
    let mut detector = Device::connect(&gas[0].0, &gas[0].1, gateway.sensor_port).await?;
    let mut button = Device::connect(&sos[0].0, &sos[0].1, gateway.sensor_port).await?;
    // Two hours of 60 ppm that come in late, out of order in part, and one message twice.
    let begin = device::now_s() - 7200.0;
    for minute in (0..60).chain((60..90).rev()).chain(85..120) {
        detector.publish(device::gas("gas-1", begin + f64::from(minute) * 60.0, 60.0)).await?;
    }
    for press in 0..5 {
        button.publish(device::sos("sos-1", begin + f64::from(press), press % 2 == 0)).await?;
    }
    // A backlog is judged when no more of it has come for a while.
    gateway.until_alert(|change| change["evidence"]["rule"] == "co-curve")?;
    let alert = first_alert(&gateway, "home")?;
    gateway.post(&format!("/api/v1/alerts/{alert}/accept"), &json!({"note": "on my way"}))?;

    let running = ninewatch(&["replay", &data, "--verify"])?;
    gateway.kill()?;
    // The second life begins with a segment of its own, and with a changed site.
    site.add_place("annex", "shop")?;
    let gateway = Gateway::start(&site)?;
    gateway.post(&format!("/api/v1/alerts/{alert}/dispatch"), &json!({"to": "grid-3"}))?;
    let once = ninewatch(&["replay", &data, "--verify"])?;
    let twice = ninewatch(&["replay", &data])?;
    assert_eq!(once, twice);
    assert!(once.starts_with(&running), "what was decided stays decided");

    let changes: Vec<Value> = once.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let kinds: Vec<&str> = changes.iter().filter_map(|change| change["kind"].as_str()).collect();
    for kind in ["raised", "repeated", "recovered", "accepted", "dispatched"] {
        assert!(kinds.contains(&kind), "{kind} is not among {kinds:?}");
    }
    Ok(())
}

fn first_alert(gateway: &Gateway, place: &str) -> anyhow::Result<String> {
    let alerts = gateway.get(&format!("/api/v1/alerts?place={place}"))?;
    Ok(alerts["alerts"][0]["id"].as_str().context("an alert")?.to_owned())
}
