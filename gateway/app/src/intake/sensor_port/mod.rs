//! The sensor port: an MQTT 3.1.1 and 5 endpoint that devices connect to.
//!
//! ```text
//! accept ─▶ connection (one task each) ── packets ─▶ session ── Inbound ─▶ engine
//!              │ TLS, CONNECT, limits       answers ◀─────────── Acked ◀─ (fsync)
//!              └─▶ roster: take-over, cut-off, downlink
//! ```
//! It is not a broker: a device publishes under `ninewatch/{its id}/` and subscribes to
//! `ninewatch/{its id}/downlink`, nothing else. What it is acknowledged is on the disk.

mod answers;
mod arrival;
mod arrivals;
mod connection;
mod counters;
mod credentials;
mod ending;
mod handles;
mod packets;
mod roster;
mod session;
mod throttle;
mod tls;
mod wire;

#[cfg(test)]
mod tests;

use anyhow::Context;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::select;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use ninewatch_core::site::Registry;

use crate::config::SensorPortConfig;
use crate::engine::{Engine, Stopped};
use arrivals::Arrivals;
use credentials::Devices;
use ending::{End, Refused};
use roster::Roster;
use throttle::{Look, Throttle};

pub(crate) use counters::PortCounters;
pub(crate) use roster::Downlink;

/// Connections that the system keeps until they are accepted: after a power cut all devices come
/// at once. Linux caps it at net.core.somaxconn.
const BACKLOG: u32 = 4096;
/// Connections at once that are not let in yet. After a power cut all devices come together; each needs a few ms.
const ARRIVING: usize = 1024;
/// How long a device may leave unread what it is sent.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the connections have to say good-bye when the gateway stops.
const STOP: Duration = Duration::from_secs(1);
/// What no topic name may hold: wildcards (MQTT 5, 4.7.1) and NUL (1.5.4).
const NOT_IN_TOPICS: [char; 3] = ['+', '#', '\0'];

/// The port, listening; nobody is let in before [`Self::serve`].
pub(crate) struct SensorPort {
    plain: Option<TcpListener>,
    tls: Option<(TcpListener, TlsAcceptor)>,
    shared: Arc<Shared>,
}

/// What all connections share.
struct Shared {
    limits: Limits,
    /// The name of this door in each [`crate::engine::Inbound`].
    door: Arc<str>,
    counters: Arc<PortCounters>,
    roster: Arc<Roster>,
    throttle: Throttle,
    arrivals: Arc<Arrivals>,
    devices: RwLock<Arc<Devices>>,
}

struct Limits {
    connections: usize,
    arriving: usize,
    connect_timeout: Duration,
    write_timeout: Duration,
    packet_bytes: u32,
    receive_maximum: u16,
    keep_alive_s: u16,
}

impl SensorPort {
    /// Listens where `config` says. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// Where an address cannot be listened on, or a certificate or key is not right.
    pub(crate) fn bind(config: &SensorPortConfig) -> anyhow::Result<Self> {
        let tls = match &config.tls {
            None => None,
            Some(tls) => Some((listen(tls.listen, "sensor_port.tls.listen")?, tls::acceptor(tls)?)),
        };
        let (connections, arriving) = handles::make_room(config.max_connections, ARRIVING);
        let shared = Shared {
            limits: Limits {
                connections,
                arriving,
                connect_timeout: config.connect_timeout.duration(),
                write_timeout: WRITE_TIMEOUT,
                packet_bytes: config.max_packet_bytes,
                receive_maximum: config.receive_maximum,
                keep_alive_s: u16::try_from(config.max_keep_alive.secs()).unwrap_or(u16::MAX).max(1),
            },
            door: "sensor_port".into(),
            counters: Arc::default(),
            roster: Arc::new(Roster::new(config.max_connections_per_device)),
            throttle: Throttle::default(),
            arrivals: Arc::default(),
            devices: RwLock::default(),
        };
        let plain = config.listen.map(|address| listen(address, "sensor_port.listen")).transpose()?;
        Ok(Self { plain, tls, shared: Arc::new(shared) })
    }

    /// Where it listens in plain TCP.
    pub(crate) fn plain(&self) -> Option<SocketAddr> {
        self.plain.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Where it listens in TLS.
    pub(crate) fn tls(&self) -> Option<SocketAddr> {
        self.tls.as_ref().and_then(|(listener, _)| listener.local_addr().ok())
    }

    /// What it counts.
    pub(crate) fn counters(&self) -> Arc<PortCounters> {
        self.shared.counters.clone()
    }

    /// The way down to connected devices.
    pub(crate) fn downlink(&self) -> Downlink {
        Downlink { roster: self.shared.roster.clone() }
    }

    /// Lets devices of the registry in, and cuts off those that a change of it no longer lets in.
    /// Runs until the engine stops or nobody holds the sending end of `registry` any more: then
    /// devices are told that the gateway is stopping.
    ///
    /// # Errors
    /// It does not fail by itself: a connection that cannot be accepted is logged.
    pub(crate) async fn serve(
        self,
        engine: Engine,
        mut registry: watch::Receiver<Arc<Registry>>,
    ) -> anyhow::Result<()> {
        let Self { plain, tls, shared } = self;
        shared.learn(&registry.borrow_and_update());
        let plain = plain.map(|listener| (listener, None));
        let tls = tls.map(|(listener, acceptor)| (listener, Some(acceptor)));
        let mut connections = JoinSet::new();
        loop {
            let (accepted, acceptor) = select! {
                accepted = accept(plain.as_ref()) => accepted,
                accepted = accept(tls.as_ref()) => accepted,
                changed = registry.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    shared.learn(&registry.borrow_and_update());
                    continue;
                }
                Some(ended) = connections.join_next() => {
                    match ended {
                        Ok(Ok(())) => continue,
                        Ok(Err(Stopped)) => break,
                        Err(error) => {
                            tracing::error!(%error, "a connection ended by a fault of the gateway; please report it");
                            shared.counters.count_ended(End::Broken);
                            continue;
                        }
                    }
                }
            };
            match accepted {
                Ok((_, peer)) if shared.turns_away(peer, acceptor.is_some()) => {
                    shared.counters.count_refused(Refused::Throttled);
                }
                Ok((stream, peer)) => {
                    connections.spawn(arrival::attend(shared.clone(), engine.clone(), stream, peer.ip(), acceptor));
                }
                Err(error) => {
                    tracing::warn!(%error, "a device could not be accepted");
                    // Out of file handles, most likely: some must be given back first.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        shared.roster.cut_off(End::Stopping, |_, _| false);
        // Those who do not go by themselves go when the set is dropped.
        let _ = tokio::time::timeout(STOP, async { while connections.join_next().await.is_some() {} }).await;
        Ok(())
    }
}

impl Shared {
    fn devices(&self) -> Arc<Devices> {
        self.devices.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts a registry in force.
    fn learn(&self, registry: &Registry) {
        let devices = Arc::new(Devices::of(registry));
        *self.devices.write().unwrap_or_else(PoisonError::into_inner) = devices.clone();
        self.roster.cut_off(End::Revoked, |device, proof| devices.still_admit(device, proof));
    }

    /// Whether a connection that was just accepted is not even looked at.
    fn turns_away(&self, peer: SocketAddr, tls: bool) -> bool {
        let look = if tls { Look::Tls } else { Look::Plain };
        self.throttle.turns_away(peer.ip(), look, Instant::now())
    }
}

fn listen(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().with_context(|| format!("{address} cannot be listened on; is it in use? `{key}` says otherwise"))
}

type Listening = (TcpListener, Option<TlsAcceptor>);

/// The next connection on a listener, and how it is to be greeted; never, where there is none.
async fn accept(listening: Option<&Listening>) -> (io::Result<(TcpStream, SocketAddr)>, Option<TlsAcceptor>) {
    match listening {
        Some((listener, acceptor)) => (listener.accept().await, acceptor.clone()),
        None => std::future::pending().await,
    }
}

/// What is behind `ninewatch/{device}/` in a topic or a filter; `None` where it is not the device's.
fn own_topic<'t>(device: &str, topic: &'t str) -> Option<&'t str> {
    let rest = topic.strip_prefix("ninewatch/")?.strip_prefix(device)?.strip_prefix('/')?;
    (!rest.is_empty()).then_some(rest)
}
