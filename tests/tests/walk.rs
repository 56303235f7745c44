//! A walk-test through the whole chain: marked upstream, receipted there, accepted at a desk, through a kill, and replayed.

use anyhow::Context;
use ninewatch_tests::device::{self, Device};
use ninewatch_tests::gateway::{self, Gateway, Site};
use ninewatch_tests::mosquitto::{self, Mosquitto};
use ninewatch_tests::skipped_without;
use ninewatch_tests::upstream::Upstream;
use serde_json::{Value, json};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_test_is_marked_to_the_end_of_the_chain_and_what_comes_after_it_is_not() -> anyhow::Result<()> {
    if skipped_without("mosquitto", mosquitto::find().is_some()) {
        return Ok(());
    }
    let broker = Mosquitto::start()?;
    let city = Upstream::start(broker.port, "test").await?;
    let site = Site::new(&format!("[[upstream]]\nname = \"city\"\nurl = \"mqtt://127.0.0.1:{}\"\n", broker.port))?;
    site.add_place("home", "home")?;
    let sos = site.add_devices("ninewatch-sos", &[("sos-1".into(), "home".into())])?;
    let mut gateway = Gateway::start(&site)?;
    let test = gateway.post("/api/v1/walk-tests", &json!({"places": ["home"]}))?;
    let id = test["id"].as_str().context("an id")?.to_owned();
    let turn = format!("/api/v1/walk-tests/{id}/devices/sos-1");
    assert_eq!(test["upstreams"][0]["receipted"], false);

    gateway.post(&turn, &json!({"step": "begin"}))?;
    // The turn is in the journal: a power cut does not make a real alert of the test, nor a test of a real one.
    gateway.kill()?;
    gateway = Gateway::start(&site)?;
    let mut button = Device::connect(&sos[0].0, &sos[0].1, gateway.sensor_port).await?;
    button.publish(device::sos("sos-1", device::now_s(), true)).await?;
    city.until(LIMIT, |seen| seen.taken.len() == 1).await?;
    let event = city.look(|seen| seen.events[0].2.clone());
    assert_eq!(event["data"]["alert"]["walk_test"], json!(id));
    assert_eq!(event["data"]["alert"]["severity"], "critical");
    gateway.until_metric("ninewatch_upstream_backlog", |count| count == 0.0).await?;
    let seen = gateway.get(&format!("/api/v1/walk-tests/{id}"))?;
    assert_eq!(seen["upstreams"][0]["receipted"], true);
    assert_eq!(seen["devices"][0]["measured"]["alert"]["severity"], "critical");

    button.publish(device::sos("sos-1", device::now_s(), false)).await?;
    let ended = gateway.post(&turn, &json!({"step": "end"}))?;
    assert_eq!((&ended["devices"][0]["passed"], &ended["lacks"]), (&json!(true), &json!(["duty_room"])));
    button.publish(device::sos("sos-1", device::now_s(), true)).await?;
    // The next press is real: it joins no test and has no mark.
    let is_real = |change: &Value| change["kind"] == "raised" && change["alert"].get("walk_test").is_none();
    let real = gateway.until_alert(is_real)?;
    assert_eq!(real["alert"]["severity"], "critical");
    let reasons = json!({"reasons": {"duty_room": "夜间施工，次日补测"}});
    let done = gateway.post(&format!("/api/v1/walk-tests/{id}/finish"), &reasons)?;
    assert_eq!(done["valid"], true);

    let verdict = |event: &Value| event["data"]["alert"]["verdict"] == "test";
    city.until(LIMIT, |seen| seen.events.iter().any(|(.., event)| verdict(event))).await?;
    // Decided again out of the journal, it is the same.
    gateway.terminate(LIMIT)?;
    gateway::ninewatch(&["replay", &site.data().to_string_lossy(), "--verify"])?;
    Ok(())
}
