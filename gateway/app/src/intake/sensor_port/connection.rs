//! One connection, from its accept to its end: one task, so that nothing of it is shared.
//!
//! Nothing piles up here: while the engine is behind, or the device does not read, the device is
//! not read either.

use mqtt_protocol_core::mqtt::result_code::MqttError;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::select;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Duration, Instant, sleep, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::answers::Terms;
use super::counters::PortCounters;
use super::ending::{End, Refused};
use super::packets::{Connect, Packet, Version};
use super::roster::{Downward, Seated};
use super::session::Session;
use super::wire::Wire;
use super::{NOT_IN_TOPICS, Shared, own_topic, tls};
use crate::engine::{Acked, Engine, Stopped};

/// Acks taken at once.
const ACKS: usize = 256;
/// The longest client id. MQTT asks for 23 bytes at least.
const CLIENT_ID_MAX: usize = 256;

/// Looks after a connection until it has ended.
///
/// # Errors
/// That the engine has stopped.
pub(super) async fn attend(
    shared: Arc<Shared>,
    engine: Engine,
    tcp: TcpStream,
    peer: IpAddr,
    tls: Option<TlsAcceptor>,
) -> Result<(), Stopped> {
    // Acks are small and must not wait for company.
    let _ = tcp.set_nodelay(true);
    let deadline = Instant::now() + shared.limits.connect_timeout;
    let door = Door { shared, engine, peer, deadline };
    let Some(acceptor) = tls else { return door.let_in(tcp, &[]).await };
    match timeout_at(deadline, acceptor.accept(tcp)).await {
        Ok(Ok(stream)) => {
            let names = tls::client_names(stream.get_ref().1);
            return door.let_in(stream, &names).await;
        }
        Ok(Err(_)) => door.turn_away(Refused::Tls),
        Err(_) => door.turn_away(Refused::Timeout),
    }
    Ok(())
}

/// Where a connection stands until it is let in.
struct Door {
    shared: Arc<Shared>,
    engine: Engine,
    peer: IpAddr,
    deadline: Instant,
}

impl Door {
    /// `certified`: the names in the TLS client certificate, if there is one.
    async fn let_in<S>(self, stream: S, certified: &[String]) -> Result<(), Stopped>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut wire = Wire::new(stream, self.shared.limits.packet_bytes);
        let admitted = timeout_at(self.deadline, self.admit(&mut wire, certified)).await;
        match admitted.unwrap_or(Err(Refused::Timeout)) {
            Ok(admitted) => {
                self.shared.throttle.succeeded(self.peer);
                Connection::new(self.shared, self.engine, wire, admitted).run().await
            }
            Err(refused) => {
                self.turn_away(refused);
                wire.close().await;
                Ok(())
            }
        }
    }

    fn turn_away(&self, refused: Refused) {
        self.shared.counters.count_refused(refused);
        if refused.is_suspicious() {
            self.shared.throttle.failed(self.peer, std::time::Instant::now());
        }
    }

    /// Takes the CONNECT and answers it.
    async fn admit<S>(&self, wire: &mut Wire<S>, certified: &[String]) -> Result<Admitted, Refused>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (version, admitted) = match first_packet(wire).await {
            Ok(connect) => (connect.version, self.examine(connect, certified).await),
            // Whatever version it is, it is answered as 3.1.1 says.
            Err(refused) => (Version::V3_1_1, Err(refused)),
        };
        match &admitted {
            Ok(admitted) => version.welcome(&mut wire.out, &admitted.terms),
            Err(refused) => {
                if let Some((code, reason)) = refused.codes() {
                    version.refuse(&mut wire.out, code, reason);
                }
            }
        }
        admitted
    }

    async fn examine(&self, mut connect: Box<Connect>, certified: &[String]) -> Result<Admitted, Refused> {
        if connect.extended_authentication {
            return Err(Refused::Authentication);
        }
        let (device, proof) = self.shared.devices().identify(&connect, certified).ok_or(Refused::Credentials)?;
        let assigned_client_id = assign_client_id(&mut connect)?;
        if let Some(will) = &connect.will {
            if will.retain && connect.version == Version::V5 {
                return Err(Refused::WillRetain);
            }
            if own_topic(&device, &will.topic).is_none_or(|topic| topic.contains(NOT_IN_TOPICS)) {
                self.shared.counters.foreign_topics.fetch_add(1, Relaxed);
                return Err(Refused::WillTopic);
            }
        }
        let client_id = connect.client_id.as_str().into();
        let mut seated = self.shared.roster.seat(&device, client_id, proof.clone()).ok_or(Refused::DeviceFull)?;
        if let Some(former) = seated.former.take() {
            // Told by being dropped.
            let _ = former.await;
        }
        // Whoever was removed while it came in was not yet on the roster to be cut off.
        if !self.shared.devices().still_admit(&device, &proof) {
            return Err(Refused::Credentials);
        }
        let limits = &self.shared.limits;
        let asked_s = connect.keep_alive_s;
        let keep_alive_s = if asked_s == 0 { limits.keep_alive_s } else { asked_s.min(limits.keep_alive_s) };
        let terms = Terms {
            receive_maximum: limits.receive_maximum,
            packet_bytes: limits.packet_bytes,
            assigned_client_id,
            keep_alive_s: (keep_alive_s != asked_s).then_some(keep_alive_s),
        };
        Ok(Admitted { connect, seated, terms, keep_alive_s })
    }
}

/// What a connection has when it is let in.
struct Admitted {
    connect: Box<Connect>,
    seated: Seated,
    terms: Terms,
    keep_alive_s: u16,
}

async fn first_packet<S>(wire: &mut Wire<S>) -> Result<Box<Connect>, Refused>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match wire.next() {
            Ok(Some(Packet::Connect(connect))) => return Ok(connect),
            Ok(None) => _ = wire.read().await.map_err(|_| Refused::Gone)?,
            Err(MqttError::UnsupportedProtocolVersion) => return Err(Refused::Version),
            Ok(Some(_)) | Err(_) => return Err(Refused::Malformed),
        }
    }
}

/// Gives a client id to a device that has none; `None` where it has.
fn assign_client_id(connect: &mut Connect) -> Result<Option<String>, Refused> {
    if connect.client_id.len() > CLIENT_ID_MAX {
        return Err(Refused::ClientId);
    }
    if !connect.client_id.is_empty() {
        return Ok(None);
    }
    if connect.version == Version::V3_1_1 && !connect.clean_start {
        return Err(Refused::ClientId);
    }
    // Not a count: a device may come back with it after the gateway was restarted.
    connect.client_id = format!("auto-{:016x}", getrandom::u64().map_err(|_| Refused::ClientId)?);
    Ok(Some(connect.client_id.clone()))
}

/// A connection that was let in.
struct Connection<S> {
    shared: Arc<Shared>,
    engine: Engine,
    wire: Wire<S>,
    session: Session,
    version: Version,
    acks: mpsc::UnboundedReceiver<Acked>,
    downlink: mpsc::Receiver<Downward>,
    cut: oneshot::Receiver<End>,
    /// One and a half times the keep-alive, and since when nothing came.
    patience: Duration,
    heard: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    fn new(shared: Arc<Shared>, engine: Engine, wire: Wire<S>, admitted: Admitted) -> Self {
        let Admitted { connect, seated: Seated { seat, cut, downlink, .. }, keep_alive_s, .. } = admitted;
        let (to_session, acks) = mpsc::unbounded_channel();
        let version = connect.version;
        let session = Session::new(*connect, seat, &shared, to_session);
        let patience = Duration::from_millis(u64::from(keep_alive_s) * 1500);
        Self { shared, engine, wire, session, version, acks, downlink, cut, patience, heard: Instant::now() }
    }

    async fn run(mut self) -> Result<(), Stopped> {
        let end = {
            let _present = Present::new(&self.shared.counters);
            self.work().await?
        };
        self.shared.counters.count_ended(end);
        if let Some(will) = self.session.will(end) {
            self.engine.submit(vec![will]).await?;
        }
        self.session.leave();
        if let Some(reason) = end.reason() {
            self.version.disconnect(&mut self.wire.out, reason);
        }
        self.wire.close().await;
        Ok(())
    }

    /// Works until there is a reason to end.
    async fn work(&mut self) -> Result<End, Stopped> {
        let mut silence = pin!(sleep(self.patience));
        let mut acked = Vec::new();
        loop {
            if let Some(end) = self.take().await? {
                return Ok(end);
            }
            if let Some(end) = self.flush().await {
                return Ok(end);
            }
            let open = self.session.can_take();
            if !open {
                // It is not the device that is silent.
                self.heard = Instant::now();
            }
            select! {
                end = &mut self.cut => return Ok(end.unwrap_or(End::Stopping)),
                read = self.wire.read(), if open => match read {
                    Ok(count) => _ = self.shared.counters.bytes.fetch_add(count as u64, Relaxed),
                    Err(_) => return Ok(End::Gone),
                },
                _ = self.acks.recv_many(&mut acked, ACKS) => {
                    acked.drain(..).for_each(|acked| self.session.acked(acked, &mut self.wire.out));
                }
                Some(message) = self.downlink.recv(), if self.session.can_send() => {
                    self.session.send(&message, &mut self.wire.out);
                }
                () = &mut silence, if open => {
                    if self.heard.elapsed() >= self.patience {
                        return Ok(End::KeepAlive);
                    }
                    silence.as_mut().reset(self.heard + self.patience);
                }
            }
        }
    }

    /// Takes the packets that were read, as far as they may be taken, and hands in what they brought.
    async fn take(&mut self) -> Result<Option<End>, Stopped> {
        let mut inbound = Vec::new();
        let mut packets = 0;
        let mut end = None;
        while end.is_none() && self.session.can_take() {
            match self.wire.next() {
                Ok(Some(packet)) => {
                    packets += 1;
                    end = self.session.take(packet, &mut inbound, &mut self.wire.out).err();
                }
                Ok(None) => break,
                Err(error) => end = Some(error.into()),
            }
        }
        if !inbound.is_empty() {
            self.engine.submit(inbound).await?;
        }
        if packets > 0 {
            self.shared.counters.packets.fetch_add(packets, Relaxed);
            self.heard = Instant::now();
        }
        Ok(end)
    }

    /// Sends the answers; a reason to end where that does not go on.
    async fn flush(&mut self) -> Option<End> {
        if self.wire.out.is_empty() {
            return None;
        }
        select! {
            biased;
            sent = timeout(self.shared.limits.write_timeout, self.wire.flush()) => match sent {
                Ok(Ok(())) => None,
                Ok(Err(_)) => Some(End::Gone),
                Err(_) => Some(End::Stuck),
            },
            end = &mut self.cut => Some(end.unwrap_or(End::Stopping)),
        }
    }
}

/// Counts a connection as there, also where its task is aborted.
struct Present(Arc<PortCounters>);

impl Present {
    fn new(counters: &Arc<PortCounters>) -> Self {
        counters.accepted.fetch_add(1, Relaxed);
        counters.connections.fetch_add(1, Relaxed);
        Self(counters.clone())
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}
