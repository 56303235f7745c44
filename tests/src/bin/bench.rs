//! `make bench`: the whole gateway beside a bare subscriber on mosquitto, in one run.
//!
//! * readings/s, QoS 1: through the gateway (durable, decoded, decided) until every PUBACK is in;
//!   and through mosquitto, in memory, until a bare rumqttc subscriber that only counts has them all. The same
//!   publishers send the same bytes to both, in turn; the ratio is taken pair by pair.
//! * memory of the gateway with 1,000 devices connected and reporting.
//! * from PUBLISH to the alert on the live feed at 500 readings/s.
//! * from PUBLISH to the alert's card in the document of 20 real browsers, at the same rate.
//! * bytes written to the disk per reading.
//!
//! `--decoding FILE` takes in what the example `decoding` of `ninewatch-core` has measured, `--models FILE` what
//! `models/bench.py` has, `--flood FILE` what `flood` has.

use anyhow::Context;
use ninewatch_tests::browsers::{self, Browsers};
use ninewatch_tests::device;
use ninewatch_tests::gateway::{Gateway, Site};
use ninewatch_tests::mosquitto::Mosquitto;
use ninewatch_tests::skipped_without;
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const CLIENTS: usize = 50;
const MESSAGES: usize = 100_000;
const PAIRS: usize = 5;
const CONNECTED: usize = 1_000;
const RATE: u32 = 500;
const BROWSERS: usize = 20;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (mut report, mut decoding, mut models, mut flood) = (None, Value::Null, Value::Null, Value::Null);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match (arg.as_str(), args.next()) {
            ("--report", Some(path)) => report = Some(PathBuf::from(path)),
            ("--decoding", Some(path)) => decoding = serde_json::from_str(&std::fs::read_to_string(path)?)?,
            ("--models", Some(path)) => models = serde_json::from_str(&std::fs::read_to_string(path)?)?,
            ("--flood", Some(path)) => flood = serde_json::from_str(&std::fs::read_to_string(path)?)?,
            _ => anyhow::bail!("there are --report FILE, --decoding FILE, --models FILE and --flood FILE"),
        }
    }
    let throughput = throughput().await?;
    let memory = memory().await?;
    let latency = latency().await?;
    let browsers = alert_to_browser().await?;
    let wear = ninewatch_tests::wear::wear().await?;
    let table = json!({
        "wear": wear, "throughput": throughput, "memory": memory, "publish_to_alert": latency,
        "publish_to_browser": browsers, "decoding": decoding, "models": models, "flood": flood
    });
    println!("{}", serde_json::to_string_pretty(&table)?);
    if let Some(report) = report {
        std::fs::write(&report, format!("{}\n", serde_json::to_string_pretty(&table)?))
            .with_context(|| format!("{} cannot be written", report.display()))?;
    }
    Ok(())
}

/// A gateway with gas detectors, ten to a place.
fn gas_site(devices: usize) -> anyhow::Result<(Site, Vec<(String, String)>)> {
    let site = Site::new("")?;
    let mut rows = Vec::new();
    for index in 0..devices {
        if index % 10 == 0 {
            site.add_place(&format!("place-{}", index / 10), "restaurant")?;
        }
        rows.push((format!("gas-{index}"), format!("place-{}", index / 10)));
    }
    let secrets = site.add_devices("ninewatch-gas", &rows)?;
    Ok((site, secrets))
}

async fn throughput() -> anyhow::Result<Value> {
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        // A gateway that has heard nothing: readings run ahead of the clock, and would be known to one that has.
        let (site, devices) = gas_site(CLIENTS)?;
        let gateway = Gateway::start(&site)?;
        let options = devices.iter().map(|(id, secret)| (id.clone(), device::options(id, secret, gateway.sensor_port)));
        let our = publish_all(options.collect(), None).await?;
        // Nothing was taken for a duplicate or refused: all of it was decided.
        let read = gateway.metric("ninewatch_readings_total{class=\"gas\"}")?;
        #[allow(clippy::cast_precision_loss)]
        let all = read == MESSAGES as f64;
        anyhow::ensure!(all, "{read} of {MESSAGES} readings were decided");
        drop(gateway);
        let broker = Mosquitto::start_in_memory()?;
        let counter = count_on(broker.port).await?;
        let options = devices.iter().map(|(id, _)| {
            let mut options = MqttOptions::new(id.as_str(), "127.0.0.1", broker.port);
            options.set_keep_alive(Duration::from_secs(30));
            (id.clone(), options)
        });
        let their = publish_all(options.collect(), Some(counter)).await?;
        eprintln!("  pair {}: ninewatch {our:.0}/s, mosquitto and a counter {their:.0}/s", pair + 1);
        ours.push(our);
        theirs.push(their);
        ratios.push(our / their);
    }
    Ok(json!({
        "clients": CLIENTS, "messages": MESSAGES, "pairs": PAIRS,
        "ninewatch_readings_per_s": median(&mut ours),
        "mosquitto_counter_readings_per_s": median(&mut theirs),
        "ratio": median(&mut ratios),
        "ratios": ratios,
    }))
}

/// Publishes all messages over all clients; gives messages/s until all are acknowledged and, where
/// there is one, the counter has them all.
async fn publish_all(
    clients: Vec<(String, MqttOptions)>,
    counter: Option<tokio::task::JoinHandle<anyhow::Result<()>>>,
) -> anyhow::Result<f64> {
    let each = MESSAGES / clients.len();
    let mut connected = Vec::new();
    for (id, mut options) in clients {
        options.set_inflight(100);
        let (client, mut events) = AsyncClient::new(options, 200);
        while !matches!(events.poll().await?, Event::Incoming(Packet::ConnAck(_))) {}
        connected.push((id, client, events));
    }
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for (id, client, mut events) in connected {
        tasks.push(tokio::spawn(async move {
            let base = device::now_s();
            let sender = tokio::spawn({
                let client = client.clone();
                async move {
                    let topic = device::topic(&id);
                    for index in 0..each {
                        #[allow(clippy::cast_precision_loss)]
                        let payload = device::gas(&id, base + index as f64 / 1000.0, 2.0 + (index % 10) as f64 / 10.0);
                        client.publish(topic.as_str(), QoS::AtLeastOnce, false, payload).await?;
                    }
                    anyhow::Ok(())
                }
            });
            let mut acked = 0;
            while acked < each {
                if let Event::Incoming(Packet::PubAck(_)) = events.poll().await? {
                    acked += 1;
                }
            }
            sender.await??;
            anyhow::Ok((client, events))
        }));
    }
    let mut still_connected = Vec::new();
    for task in tasks {
        still_connected.push(task.await??);
    }
    if let Some(counter) = counter {
        counter.await??;
    }
    let took = begun.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss)]
    Ok((each * still_connected.len()) as f64 / took)
}

/// A bare subscriber that only counts, until it has them all.
async fn count_on(port: u16) -> anyhow::Result<tokio::task::JoinHandle<anyhow::Result<()>>> {
    let mut options = MqttOptions::new("counter", "127.0.0.1", port);
    options.set_inflight(100);
    let (client, mut events) = AsyncClient::new(options, 200);
    client.subscribe("ninewatch/+/readings", QoS::AtLeastOnce).await?;
    while !matches!(events.poll().await?, Event::Incoming(Packet::SubAck(_))) {}
    Ok(tokio::spawn(async move {
        let mut count = 0;
        while count < MESSAGES / CLIENTS * CLIENTS {
            if let Event::Incoming(Packet::Publish(_)) = events.poll().await? {
                count += 1;
            }
        }
        drop(client);
        Ok(())
    }))
}

async fn memory() -> anyhow::Result<Value> {
    let (site, devices) = gas_site(CONNECTED)?;
    let gateway = Gateway::start(&site)?;
    let before = gateway.resident_kib()?;
    let mut connected = Vec::new();
    for (id, secret) in &devices {
        connected.push((id.clone(), device::Device::connect(id, secret, gateway.sensor_port).await?));
    }
    // Two hours of readings each, so that windows are as full as the CO curve makes them.
    let base = device::now_s() - 7200.0;
    for minute in 0..120 {
        for (id, device) in &mut connected {
            device.publish(device::gas(id, base + f64::from(minute) * 60.0, 2.0)).await?;
        }
    }
    let after = gateway.resident_kib()?;
    Ok(json!({"devices": CONNECTED, "readings_each": 120, "resident_kib_at_start": before, "resident_kib": after}))
}

async fn latency() -> anyhow::Result<Value> {
    const PRESSES: usize = 200;
    let (site, gas, buttons) = gas_and_buttons(PRESSES)?;
    let gateway = Arc::new(Gateway::start(&site)?);
    let seen: Arc<Mutex<BTreeMap<String, Instant>>> = Arc::default();
    let listener = std::thread::spawn({
        let (gateway, seen) = (gateway.clone(), seen.clone());
        move || {
            gateway.listen(Duration::from_secs(300), |event, data| {
                let at = Instant::now();
                let mut seen = seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if event == "alert"
                    && let Some(place) = data["alert"]["place"].as_str()
                {
                    seen.entry(place.to_owned()).or_insert(at);
                }
                seen.len() < PRESSES
            })
        }
    });
    let background = report_on(&gateway, gas);
    let mut sent = BTreeMap::new();
    for (index, (id, secret)) in buttons.iter().enumerate() {
        let mut button = device::Device::connect(id, secret, gateway.sensor_port).await?;
        sent.insert(format!("home-{index}"), Instant::now());
        button.publish(device::sos(id, device::now_s(), true)).await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::task::spawn_blocking(move || listener.join()).await?.map_err(|_| anyhow::anyhow!("the listener died"))??;
    drop(background);
    let seen = seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut took: Vec<f64> =
        sent.iter().filter_map(|(place, at)| Some((*seen.get(place)? - *at).as_secs_f64() * 1000.0)).collect();
    let [p50_ms, p99_ms] = percentiles(&mut took);
    Ok(json!({"readings_per_s": RATE, "alerts": took.len(), "p50_ms": p50_ms, "p99_ms": p99_ms}))
}

/// The same, up to the card that a person sees, in each of the browsers.
async fn alert_to_browser() -> anyhow::Result<Value> {
    const PRESSES: usize = 40;
    /// Twenty browsers beside the gateway draw for a while: what they draw of one alert is not the next one's time.
    const PAUSE: Duration = Duration::from_millis(1500);
    if skipped_without("chromium", browsers::are_here()) {
        return Ok(Value::Null);
    }
    let (site, gas, buttons) = gas_and_buttons(PRESSES)?;
    let gateway = Gateway::start(&site)?;
    let browsers = Browsers::open(&gateway, BROWSERS)?;
    let background = report_on(&gateway, gas);
    let mut sent = BTreeMap::new();
    for (index, (id, secret)) in buttons.iter().enumerate() {
        let mut button = device::Device::connect(id, secret, gateway.sensor_port).await?;
        let place = format!("home-{index}");
        tokio::time::sleep(PAUSE).await;
        sent.insert(place.clone(), device::now_s() * 1000.0);
        button.publish(device::sos(id, device::now_s(), true)).await?;
        tokio::time::sleep(PAUSE).await;
        // As in life: somebody takes it, and the twenty screens fall silent.
        let raised = gateway.get(&format!("/api/v1/alerts?place={place}"))?;
        let id = raised["alerts"][0]["id"].as_str().with_context(|| format!("no alert of {place}"))?;
        gateway.post(&format!("/api/v1/alerts/{id}/accept"), &json!({}))?;
    }
    let seen = tokio::task::spawn_blocking(move || browsers.seen(PRESSES)).await??;
    drop(background);
    let mut took = Vec::new();
    for (place, at_ms) in &sent {
        let cards = seen.get(place).with_context(|| format!("no browser shows {place}"))?;
        anyhow::ensure!(cards.len() == BROWSERS, "{} of {BROWSERS} browsers show {place}", cards.len());
        took.extend(cards.iter().map(|shown_ms| shown_ms - at_ms));
    }
    let [p50_ms, p99_ms] = percentiles(&mut took);
    eprintln!("  alert to {BROWSERS} browsers at {RATE} readings/s: p50 {p50_ms:.0} ms, p99 {p99_ms:.0} ms");
    Ok(json!({
        "readings_per_s": RATE, "browsers": BROWSERS, "alerts": PRESSES, "p50_ms": p50_ms, "p99_ms": p99_ms
    }))
}

/// (id, secret) of each device.
type Secrets = Vec<(String, String)>;

/// A site with 100 gas detectors and `buttons` homes with an SOS button each.
fn gas_and_buttons(buttons: usize) -> anyhow::Result<(Site, Secrets, Secrets)> {
    let (site, gas) = gas_site(100)?;
    let mut rows = Vec::new();
    for index in 0..buttons {
        site.add_place(&format!("home-{index}"), "home")?;
        rows.push((format!("sos-{index}"), format!("home-{index}")));
    }
    let buttons = site.add_devices("ninewatch-sos", &rows)?;
    Ok((site, gas, buttons))
}

/// Lets the 100 gas detectors report, `RATE` readings a second in all, until what is given is dropped.
fn report_on(gateway: &Gateway, gas: Secrets) -> tokio::task::JoinSet<anyhow::Result<()>> {
    let port = gateway.sensor_port;
    let mut reporting = tokio::task::JoinSet::new();
    for (id, secret) in gas {
        reporting.spawn(async move {
            let mut device = device::Device::connect(&id, &secret, port).await?;
            let mut beat = tokio::time::interval(Duration::from_secs(100) / RATE);
            loop {
                beat.tick().await;
                device.publish(device::gas(&id, device::now_s(), 2.0)).await?;
            }
        });
    }
    reporting
}

/// The 50th and the 99th percentile.
fn percentiles(values: &mut [f64]) -> [f64; 2] {
    values.sort_by(f64::total_cmp);
    [0.5, 0.99].map(|share| {
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let index = ((share * values.len() as f64).ceil() as usize).saturating_sub(1);
        values.get(index).copied().unwrap_or(f64::NAN)
    })
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
