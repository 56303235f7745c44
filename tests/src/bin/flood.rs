//! `make bench`: how soon an alarm comes through when everything else waits, and what becomes of a flood.
//!
//! * backlog: alert changes wait for the upstream, readings flood the door; a new critical alarm goes to the live feed
//!   and to the upstream, which has just come back.
//! * overload: senders offer 20 times what the gateway can take for some seconds; what became of each message.

use anyhow::Context;
use ninewatch_tests::device::{self, Device};
use ninewatch_tests::flood::{Flood, Manner, balance, settled};
use ninewatch_tests::gateway::{Gateway, Site};
use ninewatch_tests::mosquitto::Mosquitto;
use ninewatch_tests::upstream::Upstream;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Devices whose alerts wait, one to a place.
const LEAKING: usize = 250;
/// Devices that flood.
const FLOODING: usize = 40;
/// How many times the rate that the gateway can take is offered.
const TIMES: f64 = 20.0;
const OVERLOAD: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(900);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (mut report, mut changes, mut alarms) = (None, 100_000, 200);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match (arg.as_str(), args.next()) {
            ("--report", Some(path)) => report = Some(PathBuf::from(path)),
            ("--changes", Some(count)) => changes = count.parse()?,
            ("--alarms", Some(count)) => alarms = count.parse()?,
            _ => anyhow::bail!("there are --report FILE, --changes N and --alarms N"),
        }
    }
    let backlog = backlog(changes, alarms).await?;
    eprintln!("{backlog:#}");
    let table = json!({"backlog": backlog, "overload": overload(alarms / 2).await?});
    println!("{table:#}");
    if let Some(report) = report {
        std::fs::write(&report, format!("{table:#}\n"))
            .with_context(|| format!("{} cannot be written", report.display()))?;
    }
    Ok(())
}

/// A site with devices that leak, devices that flood and alarm buttons, each button in a home of its own.
struct Town {
    site: Site,
    leaking: Vec<(String, String)>,
    flooding: Vec<(String, String)>,
    buttons: Vec<(String, String)>,
}

fn town(more: &str, leaking: usize, buttons: usize) -> anyhow::Result<Town> {
    let site = Site::new(more)?;
    let rows = |name: &str, place: &str, count: usize| -> anyhow::Result<Vec<(String, String)>> {
        let row = |index| (format!("{name}-{index}"), format!("{place}-{index}"));
        let rows: Vec<_> = (0..count).map(row).collect();
        rows.iter().try_for_each(|(_, place_id)| site.add_place(place_id, "home"))?;
        Ok(rows)
    };
    let leaking = match leaking {
        0 => Vec::new(),
        count => site.add_devices("ninewatch-water", &rows("leak", "wet", count)?)?,
    };
    let flooding = site.add_devices("ninewatch-water", &rows("flood", "dry", FLOODING)?)?;
    let buttons = site.add_devices("ninewatch-sos", &rows("sos", "home", buttons)?)?;
    Ok(Town { site, leaking, flooding, buttons })
}

/// Presses the buttons one after the other; gives when each home's button was pressed, and when its alert was on the
/// live feed.
async fn press(
    gateway: &Arc<Gateway>,
    buttons: &[(String, String)],
    every: Duration,
) -> anyhow::Result<(BTreeMap<String, Instant>, BTreeMap<String, Instant>)> {
    let seen: Arc<Mutex<BTreeMap<String, Instant>>> = Arc::default();
    let (count, (ready, listening)) = (buttons.len(), tokio::sync::oneshot::channel());
    let listener = std::thread::spawn({
        let (gateway, seen, mut ready) = (gateway.clone(), seen.clone(), Some(ready));
        move || {
            gateway.listen(LIMIT, |_, data| {
                let at = Instant::now();
                if let Some(ready) = ready.take() {
                    let _ = ready.send(());
                }
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                if let (Some("critical"), Some(place)) =
                    (data["alert"]["severity"].as_str(), data["alert"]["place"].as_str())
                {
                    seen.entry(place.to_owned()).or_insert(at);
                }
                seen.len() < count
            })
        }
    });
    listening.await?;
    let mut devices = Vec::new();
    for (id, secret) in buttons {
        devices.push((id, Device::connect(id, secret, gateway.sensor_port).await?));
    }
    let mut pressed = BTreeMap::new();
    for (id, mut device) in devices {
        pressed.insert(id.replace("sos", "home"), Instant::now());
        device.publish(device::sos(id, device::now_s(), true)).await?;
        tokio::time::sleep(every).await;
    }
    tokio::task::spawn_blocking(move || listener.join()).await?.map_err(|_| anyhow::anyhow!("the listener died"))??;
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok((pressed, seen))
}

fn with_manner(devices: Vec<(String, String)>, manners: &[Manner]) -> Vec<(String, String, Manner)> {
    devices.into_iter().zip(manners.iter().cycle()).map(|((id, secret), manner)| (id, secret, *manner)).collect()
}

async fn backlog(changes: u64, alarms: usize) -> anyhow::Result<Value> {
    let mut broker = Mosquitto::start_in_memory()?;
    let url = format!(
        "[alerts]\njoin_window = \"1ms\"\n\n[[upstream]]\nname = \"city\"\nurl = \"mqtt://127.0.0.1:{}\"\n",
        broker.port
    );
    let Town { site, leaking, flooding, buttons } = town(&url, LEAKING, alarms)?;
    broker.kill()?;
    let gateway = Arc::new(Gateway::start(&site)?);
    let last_seq = || -> anyhow::Result<u64> { Ok(gateway.get("/api/v1/alerts")?["last_seq"].as_u64().unwrap_or(0)) };
    let begun = Instant::now();
    // A leak and its end are two changes; some come so close on each other that they are one alert.
    while last_seq()? < changes {
        let each = (changes - last_seq()?).div_ceil(LEAKING as u64).max(4);
        Flood::start_leaking(gateway.sensor_port, with_manner(leaking.clone(), &[Manner::Qos1]), each).finish().await?;
    }
    let (waiting, raising_s) = (last_seq()?, begun.elapsed().as_secs_f64());
    eprintln!("  {waiting} changes wait for the upstream, after {raising_s:.0} s");

    let manners = [Manner::Qos0, Manner::Qos1, Manner::Qos1V5];
    let before = balance(&gateway)?;
    let flood = Flood::start(gateway.sensor_port, with_manner(flooding, &manners), None);
    broker.restart()?;
    let city = Upstream::start_light(broker.port, "test").await?;
    city.until(LIMIT, |seen| !seen.taken.is_empty()).await?;
    let begun = Instant::now();
    let backlog = |city: &Upstream| city.look(|seen| waiting.saturating_sub(seen.taken.len() as u64));
    let backlog_then = backlog(&city);
    let (pressed, on_feed) = press(&gateway, &buttons, Duration::from_millis(100)).await?;
    city.until(LIMIT, |seen| seen.critical.len() == alarms).await?;
    let (backlog_after, lasted) = (backlog(&city), begun.elapsed().as_secs_f64());
    let sent = flood.stop().await?;
    let after = settled(&gateway, LIMIT).await?;
    let at_city = city.look(|seen| seen.critical.clone());
    #[allow(clippy::cast_precision_loss)]
    let rate = (after.decided() - before.decided()) as f64 / lasted;
    Ok(json!({
        "changes_waiting": waiting, "open_alerts_raised_in_s": raising_s,
        "changes_waiting_at_the_first_alarm": backlog_then, "and_at_the_last": backlog_after,
        "flood_written": sent.written.load(Relaxed), "readings_per_s_meanwhile": rate, "alarms": alarms,
        "to_the_live_feed": took(&pressed, &on_feed), "to_the_upstream": took(&pressed, &at_city),
        "balance": after.to_json(), "resident_kib": gateway.resident_kib()?,
    }))
}

async fn overload(alarms: usize) -> anyhow::Result<Value> {
    let Town { site, flooding, buttons, .. } = town("", 0, alarms)?;
    let gateway = Arc::new(Gateway::start(&site)?);
    let resident_kib_at_start = gateway.resident_kib()?;
    let port = gateway.sensor_port;

    // What it can take: senders that wait for each acknowledgement.
    let flood = Flood::start(port, with_manner(flooding.clone(), &[Manner::Qos1]), None);
    let (begun, before) = (Instant::now(), balance(&gateway)?);
    tokio::time::sleep(OVERLOAD / 2).await;
    let (took_s, after) = (begun.elapsed().as_secs_f64(), balance(&gateway)?);
    flood.stop().await?;
    let before_flood = settled(&gateway, LIMIT).await?;
    #[allow(clippy::cast_precision_loss)]
    let sustainable = (after.decided() - before.decided()) as f64 / took_s;

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let each = (sustainable * TIMES * OVERLOAD.as_secs_f64()) as u64 / FLOODING as u64;
    let manners = [Manner::Qos0, Manner::Qos1, Manner::Qos1V5, Manner::Qos0];
    let flood = Flood::start(port, with_manner(flooding, &manners), Some(each));
    let begun = Instant::now();
    let (pressed, on_feed) = press(&gateway, &buttons, Duration::from_millis(50)).await?;
    tokio::time::sleep(OVERLOAD.saturating_sub(begun.elapsed())).await;
    let lasted_s = begun.elapsed().as_secs_f64();
    let resident_kib = gateway.resident_kib()?;
    let sent = flood.stop().await?;
    let after = settled(&gateway, LIMIT).await?;
    let (offered, written) = (each * FLOODING as u64, sent.written.load(Relaxed));
    let came_in = after.input - before_flood.input;
    anyhow::ensure!(after.holds(), "the counts do not balance: {after:?}");
    anyhow::ensure!(came_in == written + alarms as u64, "{came_in} came in of {written} readings and {alarms} alarms");
    let since = |count: fn(&ninewatch_tests::flood::Balance) -> u64| count(&after) - count(&before_flood);
    Ok(json!({
        "sustainable_per_s": sustainable, "times": TIMES, "lasted_s": lasted_s, "alarms": alarms,
        "offered": offered + alarms as u64, "deferred_at_the_senders": offered - written, "input": came_in,
        "raised": since(|b| b.raised), "folded": since(|b| b.folded), "quiet": since(|b| b.quiet),
        "rejected": since(|b| b.rejected), "refused": since(|b| b.refused), "dropped": since(|b| b.dropped),
        "holds": after.holds(), "to_the_live_feed": took(&pressed, &on_feed),
        "resident_kib_at_start": resident_kib_at_start, "resident_kib": resident_kib,
    }))
}

/// From each press to its arrival.
fn took(pressed: &BTreeMap<String, Instant>, arrived: &BTreeMap<String, Instant>) -> Value {
    let took = |(place, at): (&String, &Instant)| Some(arrived.get(place)?.duration_since(*at).as_secs_f64() * 1000.0);
    let mut took_ms: Vec<f64> = pressed.iter().filter_map(took).collect();
    took_ms.sort_by(f64::total_cmp);
    let rank = |percent: usize| took_ms.get((took_ms.len() * percent).div_ceil(100).saturating_sub(1)).copied();
    json!({"alarms": took_ms.len(), "p50_ms": rank(50), "p99_ms": rank(99), "max_ms": took_ms.last()})
}
