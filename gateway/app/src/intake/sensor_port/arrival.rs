//! A connection from its accept to its CONNACK: who is it, and may it come in?

use mqtt_protocol_core::mqtt::result_code::MqttError;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::select;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::answers::Terms;
use super::arrivals::Place;
use super::connection::Connection;
use super::ending::Refused;
use super::packets::{Connect, Packet, Version};
use super::roster::Seated;
use super::throttle::Look;
use super::wire::Wire;
use super::{NOT_IN_TOPICS, Shared, own_topic, tls};
use crate::engine::{Engine, Stopped};

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
    let place = shared.arrivals.take(peer, shared.limits.arriving);
    let look = if tls.is_some() { Look::Tls } else { Look::Plain };
    let arrival = Arrival { shared, engine, peer, look, deadline, place };
    // Boxed, so that a connection takes the memory of what it is, not of all that it could be.
    let Some(acceptor) = tls else { return Box::pin(arrival.let_in(tcp, &[])).await };
    let shaken = Box::pin(async {
        select! {
            shaken = timeout_at(deadline, acceptor.accept(tcp)) => Some(shaken),
            () = arrival.place.pushed_out() => None,
        }
    });
    match shaken.await {
        None => arrival.turn_away(Refused::CrowdedOut),
        Some(Ok(Ok(stream))) => {
            let names = tls::client_names(stream.get_ref().1);
            return Box::pin(arrival.let_in(stream, &names)).await;
        }
        Some(Ok(Err(_))) => arrival.turn_away(Refused::Tls),
        Some(Err(_)) => arrival.turn_away(Refused::Timeout),
    }
    Ok(())
}

/// A connection that is not let in yet.
struct Arrival {
    shared: Arc<Shared>,
    engine: Engine,
    peer: IpAddr,
    look: Look,
    deadline: Instant,
    place: Place,
}

impl Arrival {
    /// Lets a device in, or not, and looks after it until it is gone. `certified`: the names in
    /// its TLS client certificate, if there is one.
    async fn let_in<S>(self, stream: S, certified: &[String]) -> Result<(), Stopped>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut wire = Wire::new(stream, self.shared.limits.packet_bytes);
        let admitted = Box::pin(async {
            select! {
                admitted = timeout_at(self.deadline, self.admit(&mut wire, certified)) => {
                    admitted.unwrap_or(Err(Refused::Timeout))
                }
                () = self.place.pushed_out() => Err(Refused::CrowdedOut),
            }
        });
        match admitted.await {
            Ok(admitted) => {
                drop(self.place);
                Box::pin(Connection::new(self.shared, self.engine, wire, admitted).run()).await
            }
            Err(refused) => {
                self.turn_away(refused);
                // Whom nobody told anything is owed no good-bye.
                if refused.codes().is_some() {
                    select! {
                        () = wire.close() => {}
                        () = self.place.pushed_out() => {}
                    }
                }
                Ok(())
            }
        }
    }

    fn turn_away(&self, refused: Refused) {
        self.shared.counters.count_refused(refused);
        if refused.is_suspicious() {
            self.shared.throttle.failed(self.peer, self.look, std::time::Instant::now());
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
        if self.shared.counters.connections.load(Relaxed) >= self.shared.limits.connections as u64 {
            return Err(Refused::Full);
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
        Ok(Admitted { connect, seated, keep_alive_s, terms })
    }
}

/// What a connection has when it is let in.
pub(super) struct Admitted {
    pub(super) connect: Box<Connect>,
    pub(super) seated: Seated,
    pub(super) keep_alive_s: u16,
    terms: Terms,
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
