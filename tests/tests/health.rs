//! Health that tells: what ails the gateway is an alert of its own, and where nobody can be reached there is a sign on
//! the spot.

use anyhow::Context;
use ninewatch_tests::device::{self, Device};
use ninewatch_tests::gateway::{Gateway, Site};
use ninewatch_tests::mosquitto::Mosquitto;
use ninewatch_tests::upstream::Upstream;
use ninewatch_tests::{mosquitto, skipped_without};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);
const SOON: &str = "[alerts]\nlink_down_after = \"5s\"\n";

fn upstream(port: u16) -> String {
    format!("[[upstream]]\nname = \"city\"\nurl = \"mqtt://127.0.0.1:{port}\"\n")
}

/// Waits for a change of this kind of an alert that the rule is in.
fn until(gateway: &Gateway, rule: &str, kind: &str) -> anyhow::Result<Value> {
    gateway.until_alert(|change| {
        change["kind"] == kind && change["alert"]["rules"].as_array().is_some_and(|rules| rules.contains(&json!(rule)))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_away_is_an_alert_that_recovers_and_reaches_it() -> anyhow::Result<()> {
    if skipped_without("mosquitto", mosquitto::find().is_some()) {
        return Ok(());
    }
    let mut broker = Mosquitto::start()?;
    let city = Upstream::start(broker.port, "test").await?;
    let site = Site::new(&format!("{SOON}{}", upstream(broker.port)))?;
    let gateway = Gateway::start(&site)?;
    gateway.until_metric("ninewatch_upstream_connected", |up| up == 1.0).await?;
    assert_eq!(gateway.metric("ninewatch_ailment{ailment=\"upstream_down\"}")?, 0.0);

    broker.kill()?;
    let raised = until(&gateway, "gateway-upstream-down", "raised")?;
    let alert = &raised["alert"];
    assert_eq!((&alert["scene"], &alert["severity"]), (&json!("operations"), &json!("major")));
    assert_eq!((&alert["place"], &alert["devices"]), (&json!("gateway:test"), &json!(["gateway:upstream:city"])));
    assert_eq!(gateway.metric("ninewatch_ailment{ailment=\"upstream_down\"}")?, 1.0);
    let health = gateway.get("/api/v1/health")?;
    let part = health["parts"].as_array().and_then(|parts| parts.iter().find(|part| part["name"] == "upstream:city"));
    // Why may have changed in between: cut off first, then refused.
    let said = part.and_then(|part| part["text"]["zh"].as_str()).unwrap_or_default();
    let reason = alert["reason"]["zh"].as_str().unwrap_or_default();
    assert!(said.starts_with("未连接：") && reason.starts_with("未连接："), "health: {said}; the alert: {reason}");
    assert!(reason.contains("请检查外网"), "{reason}");
    let found = gateway.get("/api/v1/alerts?scene=operations&open=true")?;
    assert_eq!(found["alerts"].as_array().map(Vec::len), Some(1));

    broker.restart()?;
    let recovered = until(&gateway, "gateway-upstream-down", "recovered")?;
    assert_eq!(recovered["alert"]["id"], alert["id"]);
    let last = recovered["seq"].as_u64().unwrap_or(0);
    city.until(LIMIT, |seen| (1..=last).all(|seq| seen.taken.contains(&seq))).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_again_and_again_are_an_alert_for_each_door() -> anyhow::Result<()> {
    let site = Site::new("")?;
    site.add_place("home", "home")?;
    let sos = site.add_devices("ninewatch-sos", &[("sos-1".into(), "home".into())])?;
    let gateway = Gateway::start(&site)?;
    // A few are somebody's mistake. One that is right comes between, so that the address is not turned away.
    for attempt in 0..20 {
        if attempt == 10 {
            assert_eq!(gateway.metric("ninewatch_ailment{ailment=\"door_refused\"}")?, 0.0);
            Device::connect(&sos[0].0, &sos[0].1, gateway.sensor_port).await?;
        }
        assert!(Device::connect(&sos[0].0, "wrong", gateway.sensor_port).await.is_err());
    }
    let raised = until(&gateway, "gateway-door-refused", "raised")?;
    assert_eq!(raised["alert"]["devices"], json!(["gateway:sensor_port"]));
    assert_eq!(raised["alert"]["severity"], "minor");
    assert_eq!(gateway.metric("ninewatch_ailment{ailment=\"door_refused\"}")?, 1.0);
    assert_eq!(gateway.get("/api/v1/health")?["status"], "degraded");
    Ok(())
}

/// What the hook has written so far.
fn written(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

/// Waits until what the hook has written is as wanted: the hook is a process that nobody here can wait for.
async fn until_written(file: &Path, wanted: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !wanted(&written(file)) {
        anyhow::ensure!(begun.elapsed() < LIMIT, "the hook wrote:\n{}", written(file));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn sign(file: &Path) -> String {
    let hook = |what: &str| {
        let script = format!("echo {what} $NINEWATCH_SIGN $NINEWATCH_ALERTS $NINEWATCH_TEXT_EN >> {}", file.display());
        format!("[\"/bin/sh\", \"-c\", \"{script}\"]")
    };
    format!(
        "[local_sign]\nafter = \"1s\"\nevery = \"1s\"\ncommand = {}\noff_command = {}\n",
        hook("sounds"),
        hook("ends")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sign_is_on_while_a_critical_alert_does_not_get_out() -> anyhow::Result<()> {
    if skipped_without("mosquitto", mosquitto::find().is_some()) {
        return Ok(());
    }
    let mut broker = Mosquitto::start()?;
    let city = Upstream::start(broker.port, "test").await?;
    let folder = tempfile::tempdir()?;
    let hook = folder.path().join("hook.txt");
    let site = Site::new(&format!("{}{}", sign(&hook), upstream(broker.port)))?;
    site.add_place("home", "home")?;
    let sos = site.add_devices("ninewatch-sos", &[("sos-1".into(), "home".into())])?;
    let gateway = Gateway::start(&site)?;
    gateway.until_metric("ninewatch_upstream_connected", |up| up == 1.0).await?;
    let mut button = Device::connect(&sos[0].0, &sos[0].1, gateway.sensor_port).await?;
    // One that gets out needs no sign.
    button.publish(device::sos("sos-1", device::now_s(), true)).await?;
    city.until(LIMIT, |seen| seen.taken.contains(&1)).await?;

    broker.kill()?;
    gateway.until_metric("ninewatch_upstream_connected", |up| up == 0.0).await?;
    assert_eq!((gateway.metric("ninewatch_local_sign_on")?, written(&hook)), (0.0, String::new()));
    button.publish(device::sos("sos-1", device::now_s() + 1.0, false)).await?;
    button.publish(device::sos("sos-1", device::now_s() + 2.0, true)).await?;
    until_written(&hook, |said| said.matches("sounds on 1 SOS\n").count() >= 2).await?;
    assert_eq!(gateway.metric("ninewatch_local_sign_on")?, 1.0);
    assert!(!written(&hook).contains("ends"));

    broker.restart()?;
    until_written(&hook, |said| said.ends_with("ends off 0\n")).await?;
    gateway.until_metric("ninewatch_local_sign_on", |on| on == 0.0).await?;
    city.until(LIMIT, |seen| seen.taken.contains(&3) || seen.taken.contains(&2)).await?;
    assert_eq!(gateway.metric("ninewatch_ailment{ailment=\"sign_failed\"}")?, 0.0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_upstream_the_sign_is_on_until_a_page_is_open_or_somebody_accepts() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let hook = folder.path().join("hook.txt");
    let site = Site::new(&sign(&hook))?;
    site.add_place("home", "home")?;
    let sos = site.add_devices("ninewatch-sos", &[("sos-1".into(), "home".into())])?;
    site.add_place("next-door", "home")?;
    let other = site.add_devices("ninewatch-sos", &[("sos-2".into(), "next-door".into())])?;
    let mut gateway = Gateway::start(&site)?;
    let mut button = Device::connect(&sos[0].0, &sos[0].1, gateway.sensor_port).await?;
    button.publish(device::sos("sos-1", device::now_s(), true)).await?;
    until_written(&hook, |said| said.contains("sounds on 1")).await?;

    // It is still so after a kill.
    gateway.kill()?;
    std::fs::remove_file(&hook)?;
    let gateway = Gateway::start(&site)?;
    until_written(&hook, |said| said.contains("sounds on 1")).await?;

    // A page that is open sounds by itself.
    let listening = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let page = scope.spawn(|| {
            gateway.listen(LIMIT, |_, _| listening.load(std::sync::atomic::Ordering::Relaxed)).ok();
        });
        let ended = (|| {
            let begun = Instant::now();
            while !written(&hook).ends_with("ends off 0\n") {
                anyhow::ensure!(begun.elapsed() < LIMIT, "the hook wrote:\n{}", written(&hook));
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(())
        })();
        listening.store(false, std::sync::atomic::Ordering::Relaxed);
        // Any news lets the page see that it is to close.
        let open = gateway.get("/api/v1/alerts?open=true&severity=critical")?;
        let alert = open["alerts"][0]["id"].as_str().unwrap_or_default().to_owned();
        gateway.post(&format!("/api/v1/alerts/{alert}/accept"), &json!({}))?;
        page.join().ok();
        ended
    })?;
    gateway.until_metric("ninewatch_console_listeners", |count| count == 0.0).await?;
    // Nobody listens any more: another alert sounds, and the one that was accepted does not.
    std::fs::remove_file(&hook)?;
    let mut button = Device::connect(&other[0].0, &other[0].1, gateway.sensor_port).await?;
    button.publish(device::sos("sos-2", device::now_s(), true)).await?;
    until_written(&hook, |said| said.contains("SOS")).await?;
    assert_eq!(written(&hook).lines().next(), Some("sounds on 1 SOS"));
    assert_eq!(gateway.metric("ninewatch_local_sign_failures_total")?, 0.0);
    Ok(())
}

#[tokio::test]
async fn a_gateway_whose_disk_cannot_be_used_says_so_by_the_sign() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let hook = folder.path().join("hook.txt");
    let site = Site::new(&sign(&hook))?;
    // There is no way into the journal's folder, whoever asks.
    std::fs::create_dir(site.data())?;
    std::fs::write(site.data().join("journal"), "")?;
    assert!(Gateway::start(&site).is_err());
    assert_eq!(written(&hook), "sounds on 0 the gateway has stopped: its disk cannot be used\n");
    // Two gateways on one folder are somebody's mistake, and nothing is wrong with the disk.
    let site = Site::new(&sign(&hook))?;
    let _first = Gateway::start(&site)?;
    std::fs::remove_file(&hook)?;
    assert!(Gateway::start(&site).is_err());
    assert_eq!(written(&hook), "");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn how_much_is_logged_changes_while_it_runs() -> anyhow::Result<()> {
    let site = Site::new("")?;
    site.add_place("school", "school")?;
    let mut doors = site.add_devices("ninewatch-door", &[("door".into(), "school".into())])?;
    let (id, secret) = doors.pop().context("a door")?;
    let gateway = Gateway::start(&site)?;
    let mut door = Device::connect(&id, &secret, gateway.sensor_port).await?;
    let reading = |open: bool| format!("[{{\"n\":\"open\",\"vb\":{open}}}]");
    door.publish(reading(false)).await?;
    assert!(!site.log()?.contains("ninewatch/door/readings"), "{}", site.log()?);

    assert_eq!(gateway.get("/api/v1/log")?, json!({"changed": null}));
    let changed = gateway.put("/api/v1/log", &json!({"level": "debug", "minutes": 5}))?;
    assert_eq!(changed["changed"]["level"], "debug");
    door.publish(reading(true)).await?;
    assert!(site.log()?.contains("ninewatch/door/readings"), "{}", site.log()?);
    gateway.put("/api/v1/log", &json!({"level": "info", "minutes": 5}))?;
    let before = site.log()?.matches("ninewatch/door/readings").count();
    door.publish(reading(false)).await?;
    assert_eq!(site.log()?.matches("ninewatch/door/readings").count(), before);
    Ok(())
}
