//! A gateway moves to another box: all that it was is there, and nobody upstream notices.

use anyhow::Context;
use ninewatch_tests::device::{self, Device};
use ninewatch_tests::gateway::{Gateway, Site, ninewatch};
use ninewatch_tests::mosquitto::Mosquitto;
use ninewatch_tests::upstream::Upstream;
use ninewatch_tests::{mosquitto, skipped_without};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_moves_to_another_box() -> anyhow::Result<()> {
    if skipped_without("mosquitto", mosquitto::find().is_some()) {
        return Ok(());
    }
    let broker = Mosquitto::start()?;
    let city = Upstream::start(broker.port, "test").await?;
    let old = Site::new(&format!(
        "[[upstream]]\nname = \"city\"\nurl = \"mqtt://127.0.0.1:{}\"\nusername = \"test\"\npassword_file = \"city.password\"\n",
        broker.port
    ))?;
    std::fs::write(old.folder().join("city.password"), "secret")?;
    old.add_place("home", "home")?;
    old.add_place("kitchen", "restaurant")?;
    let sos = old.add_devices("ninewatch-sos", &[("sos-1".into(), "home".into())])?;
    let gas = old.add_devices("ninewatch-gas", &[("gas-1".into(), "kitchen".into())])?;
    let mut gateway = Gateway::start(&old)?;
    let mut button = Device::connect(&sos[0].0, &sos[0].1, gateway.sensor_port).await?;
    button.publish(device::sos("sos-1", device::now_s(), true)).await?;
    city.until(LIMIT, |seen| seen.taken.len() == 1).await?;
    let alert = city.look(|seen| seen.events[0].2["subject"].as_str().unwrap_or_default().to_owned());
    gateway.post(&format!("/api/v1/alerts/{alert}/accept"), &json!({}))?;
    city.until(LIMIT, |seen| seen.taken.len() == 2).await?;
    gateway.until_metric("ninewatch_upstream_backlog", |backlog| backlog == 0.0).await?;
    until_delivered(&old, 2).await?;
    let life = gateway.get(&format!("/api/v1/alerts/{alert}"))?;

    // Backed up while readings come in.
    let stop = Arc::new(AtomicBool::new(false));
    let mut detector = Device::connect(&gas[0].0, &gas[0].1, gateway.sensor_port).await?;
    let sending = tokio::spawn({
        let stop = stop.clone();
        async move {
            let mut sent = 0;
            while !stop.load(Ordering::Relaxed) {
                detector.publish(device::gas("gas-1", device::now_s(), 1.0)).await?;
                sent += 1;
            }
            anyhow::Ok(sent)
        }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let file = old.folder().join("gateway.backup").display().to_string();
    let site_file = old.file().display().to_string();
    let told = ninewatch(&["--lang", "en", "backup", "--site", &site_file, "--to", &file])?;
    stop.store(true, Ordering::Relaxed);
    assert!(sending.await?? > 20, "readings came in meanwhile");
    assert!(told.contains("2 places, 2 devices, 1 open alerts, last sequence number 2, "), "{told}");
    assert_eq!(ninewatch(&["--lang", "en", "backup", "--check", &file])?, told);
    assert!(ninewatch(&["--lang", "zh", "backup", "--check", &file])?.contains("未办结预警 1"));
    gateway.kill()?;
    drop(button);

    let new = Site::new("")?;
    let data = new.data().display().to_string();
    ninewatch(&["restore", &file, "--data-dir", &data])?;
    let again = ninewatch(&["restore", &file, "--data-dir", &data]).unwrap_err().to_string();
    assert!(again.contains("--force"), "{again}");
    // As an installer puts it where the service looks; the account is as it was.
    std::fs::copy(new.data().join("site/site.toml"), new.file())?;
    std::fs::copy(old.folder().join("account"), new.folder().join("account"))?;
    assert_eq!(std::fs::read(new.data().join("site/city.password"))?, b"secret");
    std::fs::remove_dir_all(old.data())?;

    until_delivered(&new, 2).await?;
    let gateway = Gateway::start(&new)?;
    let log = std::fs::read_to_string(new.folder().join("log.txt"))?;
    assert!(log.contains("this gateway was restored from a backup"), "{log}");
    assert_eq!(
        gateway.get(&format!("/api/v1/alerts/{alert}"))?,
        life,
        "the alert and its life, asked for by the old account"
    );
    let mut button = Device::connect(&sos[0].0, &sos[0].1, gateway.sensor_port).await?;
    Device::connect(&gas[0].0, &gas[0].1, gateway.sensor_port).await?;
    button.publish(device::sos("sos-1", device::now_s(), false)).await?;
    button.publish(device::sos("sos-1", device::now_s(), true)).await?;
    gateway.post(&format!("/api/v1/alerts/{alert}/dispatch"), &json!({"to": "grid-3"}))?;
    let last = gateway.get("/api/v1/alerts")?["last_seq"].as_u64().unwrap_or(0);
    assert!(last > 2, "{last}");
    city.until(LIMIT, |seen| seen.taken.len() as u64 == last).await?;
    gateway.until_metric("ninewatch_upstream_backlog", |backlog| backlog == 0.0).await?;
    let (doubled, order) = city.look(|seen| {
        let order: Vec<u64> = seen.events.iter().map(|(_, sequence, _)| *sequence).collect();
        (seen.doubled().len(), order)
    });
    assert_eq!(doubled, 0);
    assert_eq!(order, (1..=last).collect::<Vec<u64>>(), "the numbers go on, without a gap");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_old_box_went_on_to_decide_is_not_taken_for_what_the_new_one_does() -> anyhow::Result<()> {
    if skipped_without("mosquitto", mosquitto::find().is_some()) {
        return Ok(());
    }
    let broker = Mosquitto::start()?;
    let city = Upstream::start(broker.port, "test").await?;
    let old = Site::new(&format!("[[upstream]]\nname = \"city\"\nurl = \"mqtt://127.0.0.1:{}\"\n", broker.port))?;
    old.add_place("home", "home")?;
    let sos = old.add_devices("ninewatch-sos", &[("sos-1".into(), "home".into())])?;
    let mut gateway = Gateway::start(&old)?;
    let mut button = Device::connect(&sos[0].0, &sos[0].1, gateway.sensor_port).await?;
    button.publish(device::sos("sos-1", device::now_s(), true)).await?;
    city.until(LIMIT, |seen| seen.taken.len() == 1).await?;
    until_delivered(&old, 1).await?;
    let file = old.folder().join("gateway.backup").display().to_string();
    ninewatch(&["backup", "--site", &old.file().display().to_string(), "--to", &file])?;
    // The old box goes on for a while, and the city has it all.
    let alert = city.look(|seen| seen.events[0].2["subject"].as_str().unwrap_or_default().to_owned());
    gateway.post(&format!("/api/v1/alerts/{alert}/accept"), &json!({}))?;
    gateway.post(&format!("/api/v1/alerts/{alert}/dispatch"), &json!({"to": "grid-1"}))?;
    gateway.post(&format!("/api/v1/alerts/{alert}/handle"), &json!({}))?;
    city.until(LIMIT, |seen| seen.taken.len() == 4).await?;
    gateway.kill()?;
    drop(button);

    let new = Site::new("")?;
    ninewatch(&["restore", &file, "--data-dir", &new.data().display().to_string()])?;
    std::fs::copy(new.data().join("site/site.toml"), new.file())?;
    std::fs::copy(old.folder().join("account"), new.folder().join("account"))?;
    // Cut off, the new box gives the same numbers, and more, to other changes of the same alert.
    let new_broker = std::fs::read_to_string(new.file())?;
    new.write(&new_broker.replace(&broker.port.to_string(), "1"))?;
    let mut gateway = Gateway::start(&new)?;
    for grid in 0..6 {
        if grid == 0 {
            gateway.post(&format!("/api/v1/alerts/{alert}/accept"), &json!({}))?;
        }
        gateway.post(&format!("/api/v1/alerts/{alert}/dispatch"), &json!({"to": format!("grid-{grid}")}))?;
    }
    gateway.kill()?;
    new.write(&new_broker)?;
    let gateway = Gateway::start(&new)?;
    let last = gateway.get("/api/v1/alerts")?["last_seq"].as_u64().context("a number")?;
    assert!(last > 4, "{last}");
    city.until(LIMIT, |seen| seen.taken.len() as u64 == last).await?;
    gateway.until_metric("ninewatch_upstream_backlog", |backlog| backlog == 0.0).await?;
    let mut decided = Vec::new();
    gateway.listen_from(0, LIMIT, |event, change| {
        if event == "alert" {
            decided.push((change["seq"].as_u64(), change["alert"].clone()));
        }
        (decided.len() as u64) < last
    })?;
    city.look(|seen| {
        assert_eq!(seen.doubled(), Vec::<&str>::new(), "what both boxes share came once");
        // What came last under a number is what the new box decided.
        let newest: std::collections::BTreeMap<_, _> =
            seen.events.iter().map(|(_, seq, event)| (Some(*seq), event["data"]["alert"].clone())).collect();
        assert_eq!(newest.into_iter().collect::<Vec<_>>(), decided);
        assert_eq!(seen.events.len() as u64, last + 3, "and the old box's three are there beside them");
    });
    Ok(())
}

/// Waits until the data folder says that the city has all up to a change.
async fn until_delivered(site: &Site, up_to: u64) -> anyhow::Result<()> {
    let said =
        || -> anyhow::Result<Value> { Ok(serde_json::from_slice(&std::fs::read(site.data().join("delivery.json"))?)?) };
    let begun = Instant::now();
    while !said().is_ok_and(|said| said["city"]["up_to"] == up_to) {
        anyhow::ensure!(begun.elapsed() < LIMIT, "delivery.json says {:?}", said());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_in_a_storm_of_alerts_has_all_that_was_acknowledged_before() -> anyhow::Result<()> {
    let old = Site::new("")?;
    old.add_place("home", "home")?;
    let names: Vec<(String, String)> = (0..4).map(|number| (format!("sos-{number}"), "home".into())).collect();
    let buttons = old.add_devices("ninewatch-sos", &names)?;
    let gateway = Gateway::start(&old)?;
    let mut pressing = Vec::new();
    for (id, secret) in buttons {
        let mut button = Device::connect(&id, &secret, gateway.sensor_port).await?;
        pressing.push(tokio::spawn(async move {
            for press in 0_u64.. {
                // It ends with the gateway.
                if button.publish(device::sos(&id, device::now_s(), press % 2 == 0)).await.is_err() {
                    return;
                }
            }
        }));
    }
    let mut backups = Vec::new();
    for number in 0..5 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let before = gateway.get("/api/v1/alerts")?["last_seq"].as_u64().context("a number")?;
        let file = old.folder().join(format!("{number}.backup")).display().to_string();
        ninewatch(&["backup", "--site", &old.file().display().to_string(), "--to", &file])?;
        backups.push((before, file));
    }
    drop(gateway);
    for task in pressing {
        task.await?;
    }
    let all = changes(&old)?;
    for (before, file) in backups {
        let new = Site::new("")?;
        let data = new.data().display().to_string();
        ninewatch(&["restore", &file, "--data-dir", &data])?;
        std::fs::copy(new.data().join("site/site.toml"), new.file())?;
        std::fs::copy(old.folder().join("account"), new.folder().join("account"))?;
        drop(Gateway::start(&new)?);
        let there = changes(&new)?;
        assert!(there.len() as u64 >= before && before > 0, "{} changes, {before} were told before", there.len());
        // Beyond the backup the new box goes its own way, but for what it decided again it has the same numbers.
        let same = there.iter().zip(&all).take_while(|(one, other)| one == other).count();
        assert!(same as u64 >= before, "{same} changes are the same, {before} were told before");
        let numbers: Vec<u64> = there.iter().filter_map(|change| change["seq"].as_u64()).collect();
        assert_eq!(numbers, (1..=there.len() as u64).collect::<Vec<_>>());
    }
    Ok(())
}

/// All alert changes in a gateway's log.
fn changes(site: &Site) -> anyhow::Result<Vec<Value>> {
    let gateway = Gateway::start(site)?;
    let last = gateway.get("/api/v1/alerts")?["last_seq"].as_u64().context("a number")?;
    let mut changes = Vec::new();
    gateway.listen_from(0, LIMIT, |event, change| {
        if event == "alert" {
            changes.push(change.clone());
        }
        (changes.len() as u64) < last
    })?;
    Ok(changes)
}
