//! What every scenario stands on: a gateway under load, and the reckoning at the end.

use anyhow::Context;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::device::{self, Device};
use crate::gateway::{Gateway, Site, ninewatch};
use crate::mosquitto::Mosquitto;
use crate::upstream::{Seen, Upstream};

/// The devices of the load: each presses and releases as fast as it gets acknowledgements.
const DEVICES: usize = 8;

/// A press: device and event time in ms.
pub(super) type Press = (String, i64);

/// What the devices know: who acknowledged what.
#[derive(Default)]
pub(super) struct Ledger {
    acked: Mutex<BTreeSet<Press>>,
    pub(super) out: AtomicU64,
    pub(super) acks: AtomicU64,
}

impl Ledger {
    pub(super) fn note(&self, device: &str, at_ms: i64) {
        self.acked.lock().unwrap_or_else(PoisonError::into_inner).insert((device.to_owned(), at_ms));
        self.acks.fetch_add(1, SeqCst);
    }

    pub(super) fn acked(&self) -> BTreeSet<Press> {
        self.acked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A site with its broker and upstream, and what is counted.
pub(super) struct Ground {
    pub(super) broker: Mosquitto,
    pub(super) upstream: Upstream,
    pub(super) site: Site,
    /// Id and secret of each button.
    pub(super) buttons: Vec<(String, String)>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) kills: u32,
    slowest_start: Duration,
    /// Presses that damage to the journal took, by what it held before and after.
    pub(super) damaged: BTreeSet<Press>,
}

impl Ground {
    pub(super) async fn new(journal: &str) -> anyhow::Result<Self> {
        let broker = Mosquitto::start()?;
        let port = broker.port;
        Self::behind(broker, port, Site::new("")?, journal).await
    }

    /// The gateway finds the broker at `port`; the site's data folder may be somewhere of its own.
    pub(super) async fn behind(broker: Mosquitto, port: u16, site: Site, journal: &str) -> anyhow::Result<Self> {
        let upstream = Upstream::start(broker.port, "test").await?;
        let before = std::fs::read_to_string(site.file())?;
        let more = format!("{journal}\n\n[[upstream]]\nname = \"city\"\nurl = \"mqtt://127.0.0.1:{port}\"\n");
        site.write(&format!("{before}\n{more}"))?;
        let mut rows = Vec::new();
        for index in 0..DEVICES {
            site.add_place(&format!("home-{index}"), "home")?;
            rows.push((format!("sos-{index}"), format!("home-{index}")));
        }
        let buttons = site.add_devices("ninewatch-sos", &rows)?;
        Ok(Self {
            broker,
            upstream,
            site,
            buttons,
            ledger: Arc::default(),
            kills: 0,
            slowest_start: Duration::ZERO,
            damaged: BTreeSet::new(),
        })
    }

    pub(super) fn start(&mut self) -> anyhow::Result<Gateway> {
        let begun = Instant::now();
        let gateway = Gateway::start(&self.site)?;
        self.slowest_start = self.slowest_start.max(begun.elapsed());
        Ok(gateway)
    }

    /// Puts all buttons to work.
    pub(super) fn load(&self, gateway: &Gateway) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let press = |(id, secret): &(String, String)| {
            tokio::spawn(press(id.clone(), secret.clone(), gateway.sensor_port, self.ledger.clone(), stop.clone()))
        };
        let tasks = self.buttons.iter().map(press).collect();
        Load { stop, tasks }
    }

    /// Waits for so many acknowledgements more.
    pub(super) async fn acknowledged(&self, more: u64) -> anyhow::Result<()> {
        let wanted = self.ledger.acks.load(SeqCst) + more;
        let begun = Instant::now();
        while self.ledger.acks.load(SeqCst) < wanted {
            anyhow::ensure!(begun.elapsed() < Duration::from_secs(60), "no acknowledgements come");
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    pub(super) fn kill(&mut self, gateway: &mut Gateway) -> anyhow::Result<()> {
        self.kills += 1;
        gateway.kill()
    }

    /// Waits until the upstream has every alert change that the gateway has decided.
    pub(super) async fn delivered(&self) -> anyhow::Result<u64> {
        let data = self.site.data().display().to_string();
        let last = ninewatch(&["replay", &data])?.lines().last().map(serde_json::from_str::<Value>).transpose()?;
        // Of a quiet ring the replay tells nothing: then the log's number counts.
        let wanted = last.and_then(|change| change["seq"].as_u64()).unwrap_or(0);
        self.upstream
            .until(Duration::from_secs(120), |seen| seen.taken.range(..=wanted).count() as u64 == wanted)
            .await
            .context("the upstream is missing alert changes")?;
        Ok(wanted)
    }

    /// (device, event time in ms) of each press in the journal.
    pub(super) fn recorded(&self) -> anyhow::Result<BTreeSet<Press>> {
        let mut presses = BTreeSet::new();
        for line in ninewatch(&["journal", &self.site.data().display().to_string()])?.lines() {
            let message: Value = serde_json::from_str(line)?;
            let Some(device) = message["device"].as_str() else { continue };
            let payload: Value = serde_json::from_str(message["payload"].as_str().context("a payload")?)?;
            if payload[0]["n"] == "sos" && payload[0]["vb"] == true {
                #[allow(clippy::cast_possible_truncation)]
                let at_ms = (payload[0]["bt"].as_f64().context("a time")? * 1000.0).round() as i64;
                presses.insert((device.to_owned(), at_ms));
            }
        }
        Ok(presses)
    }

    /// Takes note of the readings that a full disk let go of, which are older than those that are there; gives how many.
    pub(super) fn let_go(&mut self) -> anyhow::Result<usize> {
        // Buttons are pressed side by side: one segment ends with what the next begins with, give or take that.
        const SIDE_BY_SIDE_MS: i64 = 1000;
        let recorded = self.recorded()?;
        let oldest_ms = recorded.iter().map(|(_, at_ms)| *at_ms).min().context("nothing is recorded")?;
        let is_let_go = |press: &Press| press.1 < oldest_ms + SIDE_BY_SIDE_MS && !recorded.contains(press);
        let gone: Vec<Press> = self.ledger.acked().into_iter().filter(is_let_go).collect();
        let count = gone.len();
        self.damaged.extend(gone);
        Ok(count)
    }

    /// Lets everything reach the upstream, and counts.
    pub(super) async fn reckon(self) -> anyhow::Result<Value> {
        self.reckon_by(has_alert).await
    }

    /// The same where a clock that was set has moved the times of alerts: then each device's are counted.
    pub(super) async fn reckon_devices(self) -> anyhow::Result<Value> {
        let acked = self.ledger.acked();
        let enough = move |seen: &Seen, (device, _): &Press| {
            let of_device =
                |(_, _, event): &&(String, u64, Value)| event["data"]["evidence"]["device"] == device.as_str();
            seen.events.iter().filter(of_device).count() >= acked.iter().filter(|(other, _)| other == device).count()
        };
        self.reckon_by(enough).await
    }

    async fn reckon_by(mut self, has_alert: impl Fn(&Seen, &Press) -> bool) -> anyhow::Result<Value> {
        let gateway = self.start()?;
        let changes = self.delivered().await?;
        drop(gateway);
        let acked = self.ledger.acked();
        let recorded = self.recorded()?;
        let mut lost = Vec::new();
        for press in &acked {
            if !recorded.contains(press) && !self.damaged.contains(press) {
                lost.push(format!("the reading of {press:?}"));
            }
            if !self.upstream.look(|seen| has_alert(seen, press)) {
                lost.push(format!("the alert for {press:?}"));
            }
        }
        for lost in lost.iter().take(20) {
            eprintln!("  lost: {lost}");
        }
        Ok(json!({
            "kills": self.kills,
            "acked": acked.len(),
            "recorded": recorded.len(),
            "changes": changes,
            "lost": lost.len(),
            "doubled": self.upstream.look(|seen| seen.doubled().len()),
            "disordered": self.upstream.look(disordered),
            "slowest_start_ms": u64::try_from(self.slowest_start.as_millis())?,
        }))
    }
}

/// Buttons at work.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    /// Waits until each is done, or cut off.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        self.stop.store(true, SeqCst);
        for task in self.tasks {
            task.await?;
        }
        Ok(())
    }
}

/// Releases and presses until stopped or cut off. A release comes first, so that each press is one: who
/// presses what is pressed already changes nothing.
async fn press(id: String, secret: String, port: SocketAddr, ledger: Arc<Ledger>, stop: Arc<AtomicBool>) {
    let Ok(mut device) = Device::connect(&id, &secret, port).await else { return };
    while !stop.load(SeqCst) {
        for pressed in [false, true] {
            let at_ms = now_ms();
            ledger.out.fetch_add(1, SeqCst);
            let sent = device.publish(sos(&id, at_ms, pressed)).await;
            ledger.out.fetch_sub(1, SeqCst);
            if sent.is_err() {
                return;
            }
            if pressed {
                ledger.note(&id, at_ms);
            } else {
                ledger.acks.fetch_add(1, SeqCst);
            }
            // Presses of one millisecond would be one.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

#[allow(clippy::cast_possible_truncation)]
pub(super) fn now_ms() -> i64 {
    (device::now_s() * 1000.0) as i64
}

#[allow(clippy::cast_precision_loss)]
pub(super) fn sos(id: &str, at_ms: i64, pressed: bool) -> String {
    device::sos(id, at_ms as f64 / 1000.0, pressed)
}

/// Whether the upstream was told of this very press.
fn has_alert(seen: &Seen, (device, at_ms): &Press) -> bool {
    seen.events.iter().any(|(_, _, event)| {
        let evidence = &event["data"]["evidence"];
        evidence["device"] == device.as_str() && evidence["at_ms"].as_i64() == Some(*at_ms)
    })
}

/// How many changes came after a later one of their alert.
fn disordered(seen: &Seen) -> usize {
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    let mut known = BTreeSet::new();
    let mut count = 0;
    for (id, sequence, event) in &seen.events {
        if known.insert(id) {
            let last = last.entry(event["data"]["alert"]["id"].to_string()).or_default();
            count += usize::from(*sequence < *last);
            *last = (*last).max(*sequence);
        }
    }
    count
}
