//! A replay decides as the gateway did, each time, byte for byte, also while the gateway runs; and it
//! tells what other rules would have raised.

use anyhow::Context;
use ninewatch_tests::device::{self, Device};
use ninewatch_tests::gateway::{Gateway, Site, ninewatch};
use serde_json::{Value, json};
use std::time::Duration;

/// A kitchen with a gas detector and a home with an SOS button, both connected.
struct Watched {
    site: Site,
    gateway: Gateway,
    detector: Device,
    button: Device,
}

impl Watched {
    async fn start() -> anyhow::Result<Self> {
        let site = Site::new("")?;
        site.add_place("home", "home")?;
        site.add_place("kitchen", "restaurant")?;
        let gas = site.add_devices("ninewatch-gas", &[("gas-1".into(), "kitchen".into())])?;
        let sos = site.add_devices("ninewatch-sos", &[("sos-1".into(), "home".into())])?;
        let gateway = Gateway::start(&site)?;
        let detector = Device::connect(&gas[0].0, &gas[0].1, gateway.sensor_port).await?;
        let button = Device::connect(&sos[0].0, &sos[0].1, gateway.sensor_port).await?;
        Ok(Self { site, gateway, detector, button })
    }
}

#[tokio::test]
async fn a_replay_prints_the_alerts_that_the_gateway_wrote_down() -> anyhow::Result<()> {
    let Watched { site, mut gateway, mut detector, mut button } = Watched::start().await?;
    let data = site.data().display().to_string();
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

/// A rule file that takes the place of the shipped one of its name.
const SOONER: &str = r#"
[[rule]]
id = "co-curve"
title = { zh = "一氧化碳超标", en = "Carbon monoxide" }
severity = "critical"
source = "a trial"
reason = { zh = "{spot}一氧化碳 {value}", en = "CO at {spot} is {value}" }
level = [{ field = "co_ppm", above = 50, clear = 45, for = "30m" }]

[[rule.example]]
readings = [{ co_ppm = 55, for = "31m" }]
raises = "critical"
after = "30m"

[[rule.example]]
readings = [{ co_ppm = 55, for = "29m" }]
raises = false
"#;

#[tokio::test]
async fn a_replay_with_other_rules_counts_what_they_would_have_raised() -> anyhow::Result<()> {
    let Watched { site, mut gateway, mut detector, mut button } = Watched::start().await?;
    let data = site.data().display().to_string();
    // 40 minutes of 60 ppm: too short for the shipped rule. In the middle the site changes.
    let begin = device::now_s() - 2400.0;
    for minute in 0..20 {
        detector.publish(device::gas("gas-1", begin + f64::from(minute) * 60.0, 60.0)).await?;
    }
    site.add_place("annex", "shop")?;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    for minute in 20..40 {
        detector.publish(device::gas("gas-1", begin + f64::from(minute) * 60.0, 60.0)).await?;
    }
    // A backlog is judged when no more of it has come for a while; the press is recorded behind that.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    button.publish(device::sos("sos-1", device::now_s(), true)).await?;
    gateway.until_alert(|change| change["evidence"]["rule"] == "sos")?;
    gateway.kill()?;

    let rules = site.folder().join("gas.toml");
    std::fs::write(&rules, SOONER)?;
    let rules = rules.display().to_string();
    let report: Value = serde_json::from_str(&ninewatch(&["replay", &data, "--rules", &rules, "--json"])?)?;
    let of = |rule: &str| report["rules"].as_array()?.iter().find(|counts| counts["rule"] == rule);
    let curve = of("co-curve").context("the rule raises something on one side")?;
    assert_eq!((&curve["recorded"]["alerts"], &curve["what_if"]["alerts"]), (&json!(0), &json!(1)));
    assert_eq!(curve["what_if"]["by_severity"], json!({"critical": 1}));
    let press = of("sos").context("the press is there on both sides")?;
    assert_eq!(press["recorded"], press["what_if"]);
    let total = |side: &str| report["total"][side]["alerts"].as_u64();
    assert_eq!(total("what_if"), total("recorded").map(|alerts| alerts + 1));
    let alerts = report["alerts"]["what_if"].as_array().context("the alerts themselves")?;
    assert!(alerts.iter().any(|alert| alert["place"] == "kitchen" && alert["rules"] == json!(["co-curve"])));

    let printed = ninewatch(&["--lang", "en", "replay", &data, "--rules", &rules, "--last", "7d"])?;
    let row = printed.lines().find(|line| line.starts_with("co-curve")).context("a row of the rule")?;
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["co-curve", "0", "1", "+1", "0", "1", "+1"]);

    std::fs::write(&rules, SOONER.replace("\"31m\"", "\"21m\""))?;
    let fault = ninewatch(&["replay", &data, "--rules", &rules]).err().context("a faulty rule decides nothing")?;
    assert!(format!("{fault}").contains("gas.toml:12: `rule.0.example.0.raises`: it raises nothing"), "{fault}");
    Ok(())
}

fn first_alert(gateway: &Gateway, place: &str) -> anyhow::Result<String> {
    let alerts = gateway.get(&format!("/api/v1/alerts?place={place}"))?;
    Ok(alerts["alerts"][0]["id"].as_str().context("an alert")?.to_owned())
}
