//! The sensor port in a storm: thousands of connections held, hundreds that come and go every second, slow clients, stuck
//! clients, wrong passwords; and beside them devices that go on publishing, whose acknowledgements are timed.
//!
//! All of them are behind one address, as behind one router. The same devices are timed before the storm and in it, in
//! one run; load and gateway share the machine.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::device;
use crate::fuzz::mqtt::{Hello, publish, read_packet};
use crate::fuzz::resident_kib;
use crate::gateway::{Gateway, Site};

/// How hard it blows.
#[derive(Debug, Clone, Copy)]
pub struct Force {
    /// Connections held: of ten, eight are quiet, one sends a byte a second, one never finishes a packet.
    pub held: usize,
    /// Connections that come and go each second: half of devices, a quarter with wrong passwords, a quarter that
    /// never finish their CONNECT.
    pub per_s: u32,
    /// How long, before the storm and in it.
    pub seconds: u64,
}

/// Devices whose acknowledgements are timed, and how often each publishes.
const TIMED: usize = 50;
const BEAT: Duration = Duration::from_millis(100);
/// Devices that publish and never read what they are acknowledged; the first few as fast as they can.
const DEAF: usize = 40;
const DEAF_AND_LOUD: usize = 4;
/// Past this the gateway is as good as gone.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a connection may take of the gateway at most: a packet of 64 KiB that is never finished, 16 KiB read, as much to
/// be sent, and 4 KiB for the rest. Strangers have 8 KiB instead of the packet, and there are 1,024 places for them.
pub const BOUND_KIB: u64 = 100;

/// What passes between the storm and those who count.
#[derive(Default)]
struct Counts {
    /// Devices that came in the storm, and those of them that were let in.
    came: AtomicU64,
    let_in: AtomicU64,
    wrong: AtomicU64,
    unfinished: AtomicU64,
    stop: AtomicBool,
    took_ms: Mutex<Vec<f64>>,
}

type Credentials = (String, String);

/// Raises a storm of this force and gives the table.
///
/// # Errors
/// Where the gateway does not start, refuses a device that it should let in, or is gone.
pub async fn storm(force: Force) -> anyhow::Result<Value> {
    let site = Site::new("")?;
    site.add_place("block", "restaurant")?;
    let rows: Vec<_> =
        (0..TIMED + DEAF + force.held).map(|index| (format!("gas-{index}"), "block".to_owned())).collect();
    let devices = site.add_devices("ninewatch-gas", &rows)?;
    let (timed, rest) = devices.split_at(TIMED);
    let (deaf, held) = rest.split_at(DEAF);
    let gateway = Gateway::start(&site)?;
    let (at, pid) = (gateway.sensor_port, gateway.pid());
    let at_rest_kib = resident_kib(Some(pid))?;

    let counts = Arc::new(Counts::default());
    let mut publishing = JoinSet::new();
    for credentials in timed {
        publishing.spawn(publish_and_time(at, credentials.clone(), counts.clone()));
    }
    sleep(Duration::from_secs(force.seconds)).await;
    let calm = counts.take()?;

    let held_streams = hold(at, held).await?;
    let held_kib = resident_kib(Some(pid))?;
    let storm: Vec<JoinHandle<()>> = deaf
        .iter()
        .enumerate()
        .map(|(index, credentials)| {
            tokio::spawn(never_read(at, credentials.clone(), index < DEAF_AND_LOUD, counts.clone()))
        })
        .chain([tokio::spawn(drip(held_streams, counts.clone()))])
        .collect();
    // What was measured while the connections were set up belongs to neither.
    counts.take()?;
    let most_kib = blow(at, held, force, &counts, pid).await?;
    let stormy = counts.take()?;

    // It is over: all is as it was.
    counts.stop.store(true, Relaxed);
    while let Some(published) = publishing.join_next().await {
        published??;
    }
    for part in storm {
        part.await?;
    }
    let (came, let_in) = (counts.came.load(Relaxed), counts.let_in.load(Relaxed));
    ensure!(came == let_in, "of {came} devices that came in the storm, {let_in} were let in");
    let log = std::fs::read_to_string(site.folder().join("log.txt"))?;
    ensure!(!log.contains("panicked at"), "the gateway panicked: {log}");
    let refused = gateway.metric("ninewatch_sensor_port_refused_total")?;
    Ok(json!({
        "held": force.held, "per_s": force.per_s, "seconds": force.seconds, "timed_devices": TIMED,
        "calm": calm, "storm": stormy,
        "p99_ratio": stormy["p99_ms"].as_f64().zip(calm["p99_ms"].as_f64()).map(|(storm, calm)| storm / calm),
        "devices_let_in": let_in, "wrong_passwords": counts.wrong.load(Relaxed),
        "unfinished_connects": counts.unfinished.load(Relaxed), "refused": refused,
        "resident_kib": { "at_rest": at_rest_kib, "all_connected": held_kib, "most": most_kib },
        "kib_per_connection": held_kib.saturating_sub(at_rest_kib) / (force.held + TIMED) as u64,
    }))
}

impl Counts {
    /// What acknowledgements took until now, as ranks; begins anew.
    fn take(&self) -> anyhow::Result<Value> {
        let mut took = std::mem::take(&mut *self.took_ms.lock().unwrap_or_else(PoisonError::into_inner));
        took.sort_by(f64::total_cmp);
        ensure!(!took.is_empty(), "nothing was acknowledged");
        let rank = |percent: usize| took[(took.len() * percent / 100).min(took.len() - 1)];
        Ok(json!({"acknowledged": took.len(), "p50_ms": rank(50), "p99_ms": rank(99), "most_ms": took[took.len() - 1]}))
    }
}

/// A connection from loopback address `from`, let in.
async fn enter(
    at: SocketAddr,
    from: Ipv4Addr,
    (id, secret): &Credentials,
    client_id: &str,
) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let mut stream = timeout(PATIENCE, socket.connect(at)).await.context("the port takes no connection")??;
    stream.set_nodelay(true)?;
    let credentials = (id.clone(), secret.clone());
    let hello = Hello { version: 4, client_id: client_id.to_owned(), credentials, keep_alive_s: 600, will: None };
    stream.write_all(&hello.bytes(&[])).await?;
    let connack = timeout(PATIENCE, read_packet(&mut stream)).await.context("no CONNACK")??;
    ensure!(connack == [0x20, 2, 0, 0], "{id} was not let in: {connack:?}");
    Ok(stream)
}

/// A device as it should be.
async fn publish_and_time(at: SocketAddr, credentials: Credentials, counts: Arc<Counts>) -> anyhow::Result<()> {
    let mut stream = enter(at, Ipv4Addr::LOCALHOST, &credentials, "timed").await?;
    let (id, topic) = (&credentials.0, device::topic(&credentials.0));
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for packet_id in (1..u16::MAX).cycle() {
        beat.tick().await;
        if counts.stop.load(Relaxed) {
            break;
        }
        let reading = device::gas(id, device::now_s(), 2.0);
        let begun = Instant::now();
        stream.write_all(&publish(4, &topic, reading.as_bytes(), 1, packet_id)).await?;
        let puback = timeout(PATIENCE, read_packet(&mut stream)).await.context("no PUBACK")??;
        let took_ms = begun.elapsed().as_secs_f64() * 1000.0;
        let [high, low] = packet_id.to_be_bytes();
        ensure!(puback == [0x40, 2, high, low], "{id} got {puback:?}");
        counts.took_ms.lock().unwrap_or_else(PoisonError::into_inner).push(took_ms);
    }
    Ok(())
}

/// Connects them all, some at a time.
async fn hold(at: SocketAddr, devices: &[Credentials]) -> anyhow::Result<Vec<TcpStream>> {
    let mut streams = Vec::new();
    for (index, some) in devices.chunks(100).enumerate() {
        // Loopback has not ports enough for all that follows on one address.
        let from = Ipv4Addr::new(127, 0, 1, u8::try_from(index % 200 + 1)?);
        let mut entering = JoinSet::new();
        for credentials in some {
            let credentials = credentials.clone();
            entering.spawn(async move {
                enter(at, from, &credentials, "held").await.context("is `ulimit -n` high enough?")
            });
        }
        while let Some(entered) = entering.join_next().await {
            streams.push(entered??);
        }
    }
    Ok(streams)
}

/// Holds connections: one in ten begins a large packet and leaves it, one sends a byte of one every second.
async fn drip(mut streams: Vec<TcpStream>, counts: Arc<Counts>) {
    let begun = [&[0x30, 0xf0, 0xff, 0x03][..], &vec![0; 60_000]].concat();
    for stream in streams.iter_mut().step_by(10) {
        let _ = stream.write_all(&begun).await;
    }
    for stream in streams.iter_mut().skip(1).step_by(10) {
        let _ = stream.write_all(&begun[..4]).await;
    }
    let mut beat = interval(Duration::from_secs(1));
    while !counts.stop.load(Relaxed) {
        beat.tick().await;
        for stream in streams.iter_mut().skip(1).step_by(10) {
            let _ = stream.write_all(&[0]).await;
        }
    }
}

/// A device that publishes and reads nothing; it comes back when it is cut off.
async fn never_read(at: SocketAddr, credentials: Credentials, loud: bool, counts: Arc<Counts>) {
    let message =
        publish(4, &device::topic(&credentials.0), device::gas(&credentials.0, device::now_s(), 2.0).as_bytes(), 1, 7);
    let pings = [0xc0, 0].repeat(4096);
    while !counts.stop.load(Relaxed) {
        let Ok(mut stream) = enter(at, Ipv4Addr::LOCALHOST, &credentials, "deaf").await else {
            sleep(BEAT).await;
            continue;
        };
        while !counts.stop.load(Relaxed) {
            let sent =
                if loud { timeout(BEAT, stream.write_all(&pings)).await } else { Ok(stream.write_all(&message).await) };
            if matches!(sent, Ok(Err(_))) {
                break;
            }
            if !loud {
                sleep(BEAT).await;
            }
        }
    }
}

/// Lets connections come and go for as long as it shall last; gives the most memory that the gateway held.
async fn blow(
    at: SocketAddr,
    devices: &[Credentials],
    force: Force,
    counts: &Arc<Counts>,
    pid: u32,
) -> anyhow::Result<u64> {
    let mut most_kib = 0;
    let mut visits: JoinSet<anyhow::Result<()>> = JoinSet::new();
    let mut beat = interval(Duration::from_secs(1) / force.per_s);
    let visits_in_all = force.seconds * u64::from(force.per_s);
    for visit in 0..visits_in_all {
        beat.tick().await;
        let credentials = devices[usize::try_from(visit)? % devices.len()].clone();
        visits.spawn(come_and_go(at, credentials, visit, counts.clone()));
        if visit.is_multiple_of(u64::from(force.per_s / 5).max(1)) {
            most_kib = most_kib.max(resident_kib(Some(pid))?);
        }
        while let Some(ended) = visits.try_join_next() {
            ended??;
        }
    }
    while let Some(ended) = visits.join_next().await {
        ended??;
    }
    Ok(most_kib.max(resident_kib(Some(pid))?))
}

async fn come_and_go(at: SocketAddr, credentials: Credentials, visit: u64, counts: Arc<Counts>) -> anyhow::Result<()> {
    if visit.is_multiple_of(2) {
        counts.came.fetch_add(1, Relaxed);
        let mut stream = enter(at, Ipv4Addr::LOCALHOST, &credentials, "visit").await?;
        counts.let_in.fetch_add(1, Relaxed);
        stream.write_all(&[0xe0, 0]).await?;
        return Ok(());
    }
    let mut stream = TcpStream::connect(at).await?;
    let wrong = visit % 4 == 1;
    let password = if wrong { "guess".to_owned() } else { credentials.1 };
    let hello = Hello {
        version: 4,
        client_id: "visit".into(),
        credentials: (credentials.0, password),
        keep_alive_s: 60,
        will: None,
    };
    let bytes = hello.bytes(&[]);
    counts.count(wrong);
    // Whoever is turned away may be so before all is sent.
    let _ = stream.write_all(if wrong { &bytes } else { &bytes[..bytes.len() / 2] }).await;
    let mut answer = Vec::new();
    // An unfinished CONNECT is let go of in the end, too.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.context("it is not let go of")?;
    ensure!(answer.is_empty() || (wrong && answer == [0x20, 2, 0, 4]), "answered {answer:?}");
    Ok(())
}

impl Counts {
    fn count(&self, wrong: bool) {
        if wrong { &self.wrong } else { &self.unfinished }.fetch_add(1, Relaxed);
    }
}
