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

    is_verified_elsewhere(&site, &gateway, &done)?;

    let verdict = |event: &Value| event["data"]["alert"]["verdict"] == "test";
    city.until(LIMIT, |seen| seen.events.iter().any(|(.., event)| verdict(event))).await?;
    // Decided again out of the journal, it is the same.
    gateway.terminate(LIMIT)?;
    gateway::ninewatch(&["replay", &site.data().to_string_lossy(), "--verify"])?;
    is_told_when_it_is_overdue(&site, &id).await
}

/// By the file and the key that was noted down, and by what the QR code says.
fn is_verified_elsewhere(site: &Site, gateway: &Gateway, done: &Value) -> anyhow::Result<()> {
    let at = |name: &str| site.folder().join(name).display().to_string();
    let (walk, key, password) = (at("walk.json"), at("key.pem"), at("password"));
    std::fs::write(&walk, done.to_string())?;
    let text = |of: &Value| of.as_str().map(str::to_owned).context("a text");
    std::fs::write(&key, text(&done["certificate"]["public_key"])?)?;
    std::fs::write(&password, &gateway.account.1)?;
    let said = gateway::ninewatch(&["--lang", "en", "walk", "verify", &walk, "--key", &key])?;
    assert!(said.contains("gateway test: handed over with reasons") && said.contains("Valid: signed"), "{said}");
    let (console, id) = (gateway.console.trim_end_matches('/'), text(&done["id"])?);
    let by_code = |sha256: &str| {
        let address = format!("{console}/#/walk/{id}?sha256={sha256}");
        let asked = ["--account", &gateway.account.0, "--password-file", &password];
        gateway::ninewatch(&[&["--lang", "en", "walk", "verify", &address, "--key", &key], &asked[..]].concat())
    };
    assert!(by_code(&text(&done["certificate"]["sha256"])?)?.contains("1 of 1 devices passed"));
    let refused = by_code("00").err().context("another hash is refused")?.to_string();
    assert!(refused.contains("not the certificate that the QR code is of"), "{refused}");
    std::fs::write(&walk, done.to_string().replace("夜间施工", "无需施工"))?;
    let refused = gateway::ninewatch(&["--lang", "en", "walk", "verify", &walk]).err().context("changed")?;
    assert!(refused.to_string().contains("NOT VALID"), "{refused:#}");
    Ok(())
}

/// A quarter later. What makes an alert of it is decided as for any ailment: `gateway/core/tests/pipeline/ailments.rs`.
async fn is_told_when_it_is_overdue(site: &Site, id: &str) -> anyhow::Result<()> {
    let file = site.data().join("walk-tests").join(format!("{id}.json"));
    let mut kept: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    let begun = kept["begun_at_ms"].as_i64().context("when")?;
    kept["begun_at_ms"] = json!(begun - 91 * 86_400_000);
    std::fs::write(&file, kept.to_string())?;
    let gateway = Gateway::start(site)?;
    gateway.until_metric("ninewatch_walk_tests_overdue", |count| count == 1.0).await?;
    let health = gateway.get("/api/v1/health")?;
    let part = health["parts"].as_array().and_then(|parts| parts.iter().find(|part| part["name"] == "walk_test:home"));
    let part = part.context("the place is a part that ails")?;
    assert!(
        part["text"]["en"].as_str().is_some_and(|text| text.starts_with("the walk-test of home was due on")),
        "{part}"
    );
    Ok(())
}
