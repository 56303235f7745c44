//! Kills the gateway again and again under load, and counts what was lost or doubled.
//!
//! Half of the kills come while a PUBLISH is out and its PUBACK is not in, half right after a
//! PUBACK. At the end every acknowledged press of an SOS button has to be in the journal, each has
//! to have its alert change at the upstream, and no change may have come there twice.

use anyhow::Context;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::device::{self, Device};
use crate::gateway::{Gateway, Site, ninewatch};
use crate::mosquitto::Mosquitto;
use crate::upstream::Upstream;

/// The devices of the load: each presses and releases as fast as it gets acknowledgements.
const DEVICES: usize = 8;

/// What the devices know: who acknowledged what.
#[derive(Default)]
struct Ledger {
    /// Event times, in ms, of acknowledged presses by device.
    acked: Mutex<BTreeMap<String, BTreeSet<i64>>>,
    out: AtomicU64,
    acks: AtomicU64,
}

/// Kills the gateway `kills` times and gives the table: kills, acked, lost, doubled, slowest_start_ms.
///
/// # Errors
/// Where a part cannot be started, or the upstream does not get what it should.
pub async fn torture(kills: u32) -> anyhow::Result<Value> {
    let broker = Mosquitto::start()?;
    let upstream = Upstream::start(broker.port, "test").await?;
    let site = Site::new(&format!("[[upstream]]\nname = \"city\"\nurl = \"mqtt://127.0.0.1:{}\"\n", broker.port))?;
    let mut rows = Vec::new();
    for index in 0..DEVICES {
        site.add_place(&format!("home-{index}"), "home")?;
        rows.push((format!("sos-{index}"), format!("home-{index}")));
    }
    let devices = site.add_devices("ninewatch-sos", &rows)?;

    let ledger = Arc::new(Ledger::default());
    let mut slowest_start = Duration::ZERO;
    for round in 0..kills {
        let begun = Instant::now();
        let mut gateway = Gateway::start(&site)?;
        slowest_start = slowest_start.max(begun.elapsed());
        let stop = Arc::new(AtomicBool::new(false));
        let load: Vec<_> = devices
            .iter()
            .map(|(id, secret)| {
                tokio::spawn(press(id.clone(), secret.clone(), gateway.sensor_port, ledger.clone(), stop.clone()))
            })
            .collect();
        wait_for_moment(round, &ledger).await;
        gateway.kill()?;
        stop.store(true, SeqCst);
        for task in load {
            task.await?;
        }
        if round % 20 == 19 {
            eprintln!("  {}/{kills} kills, {} acknowledged", round + 1, ledger.acks.load(SeqCst));
        }
    }

    // One last time, to let everything reach the upstream.
    let gateway = Gateway::start(&site)?;
    let data = site.data().display().to_string();
    let decided: Vec<Value> =
        ninewatch(&["replay", &data])?.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let wanted = decided.last().and_then(|change| change["seq"].as_u64()).unwrap_or(0);
    upstream
        .until(Duration::from_secs(120), |seen| seen.taken.range(..=wanted).count() as u64 == wanted)
        .await
        .context("the upstream is missing alert changes")?;
    drop(gateway);

    let acked = ledger.acked.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    let recorded = recorded_presses(&data)?;
    let presses = || acked.iter().flat_map(|(device, times)| times.iter().map(move |at| (device, *at)));
    let mut lost = Vec::new();
    for (device, at) in presses() {
        if !recorded.contains(&(device.clone(), at)) {
            lost.push(format!("the reading of {device} at {at}"));
        }
        if !upstream.look(|seen| has_alert(seen, device, at)) {
            lost.push(format!("the alert for {device} at {at}"));
        }
    }
    for lost in &lost {
        eprintln!("  lost: {lost}");
    }
    let doubled = upstream.look(|seen| seen.doubled().len());
    Ok(json!({
        "kills": kills,
        "acked": presses().count(),
        "recorded": recorded.len(),
        "changes": wanted,
        "lost": lost.len(),
        "doubled": doubled,
        "slowest_start_ms": u64::try_from(slowest_start.as_millis())?,
    }))
}

/// Waits for the moment of the kill: odd rounds right after a PUBACK, even ones while a PUBLISH is out.
async fn wait_for_moment(round: u32, ledger: &Ledger) {
    // Some load first, of a length that differs from round to round.
    let after = ledger.acks.load(SeqCst) + 5 + u64::from(round.wrapping_mul(7919) % 60);
    let begun = Instant::now();
    while ledger.acks.load(SeqCst) < after && begun.elapsed() < Duration::from_secs(10) {
        tokio::task::yield_now().await;
    }
    if round.is_multiple_of(2) {
        while ledger.out.load(SeqCst) == 0 && begun.elapsed() < Duration::from_secs(10) {
            tokio::task::yield_now().await;
        }
    }
}

/// Releases and presses until stopped or cut off. A release comes first, so that each press is one: who
/// presses what is pressed already changes nothing.
async fn press(id: String, secret: String, port: std::net::SocketAddr, ledger: Arc<Ledger>, stop: Arc<AtomicBool>) {
    let Ok(mut device) = Device::connect(&id, &secret, port).await else { return };
    while !stop.load(SeqCst) {
        for pressed in [false, true] {
            #[allow(clippy::cast_possible_truncation)]
            let at_ms = (device::now_s() * 1000.0) as i64;
            ledger.out.fetch_add(1, SeqCst);
            #[allow(clippy::cast_precision_loss)]
            let sent = device.publish(device::sos(&id, at_ms as f64 / 1000.0, pressed)).await;
            ledger.out.fetch_sub(1, SeqCst);
            if sent.is_err() {
                return;
            }
            if pressed && let Ok(mut acked) = ledger.acked.lock() {
                acked.entry(id.clone()).or_default().insert(at_ms);
            }
            ledger.acks.fetch_add(1, SeqCst);
            // Presses of one millisecond would be one.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// (device, event time in ms) of each press in the journal.
fn recorded_presses(data: &str) -> anyhow::Result<BTreeSet<(String, i64)>> {
    let mut presses = BTreeSet::new();
    for line in ninewatch(&["journal", data])?.lines() {
        let message: Value = serde_json::from_str(line)?;
        let Some(device) = message["device"].as_str() else { continue };
        let payload: Value = serde_json::from_str(message["payload"].as_str().context("a payload")?)?;
        if payload[0]["vb"] == true {
            #[allow(clippy::cast_possible_truncation)]
            let at_ms = (payload[0]["bt"].as_f64().context("a time")? * 1000.0).round() as i64;
            presses.insert((device.to_owned(), at_ms));
        }
    }
    Ok(presses)
}

/// Whether the upstream was told of this very press.
fn has_alert(seen: &crate::upstream::Seen, device: &str, at_ms: i64) -> bool {
    seen.events.iter().any(|(_, _, event)| {
        let evidence = &event["data"]["evidence"];
        evidence["device"] == device && evidence["at_ms"].as_i64() == Some(at_ms)
    })
}
