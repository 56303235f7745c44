//! A connection that was let in, to its end: one task, so that nothing of it is shared.
//!
//! Nothing piles up here: while the engine is behind, or the device does not read, the device is
//! not read either.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::select;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Duration, Instant, sleep, timeout};

use super::Shared;
use super::arrival::Admitted;
use super::counters::PortCounters;
use super::ending::End;
use super::packets::Version;
use super::roster::{Downward, Seated};
use super::session::Session;
use super::wire::Wire;
use crate::engine::{Acked, Engine, Entrance, Stopped};

/// Acks taken at once.
const ACKS: usize = 256;

/// A connection at work.
pub(super) struct Connection<S> {
    shared: Arc<Shared>,
    entrance: Entrance,
    wire: Wire<S>,
    session: Session,
    version: Version,
    acks: mpsc::UnboundedReceiver<Acked>,
    downlink: mpsc::Receiver<Downward>,
    cut: oneshot::Receiver<End>,
    /// One and a half times the keep-alive, and since when no packet came whole (MQTT 5, 3.1.2.10): a byte now and then
    /// keeps nothing alive.
    patience: Duration,
    heard: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(shared: Arc<Shared>, engine: Engine, wire: Wire<S>, admitted: Admitted) -> Self {
        let Admitted { connect, seated: Seated { seat, cut, downlink, .. }, keep_alive_s, .. } = admitted;
        let (to_session, acks) = mpsc::unbounded_channel();
        let version = connect.version;
        let session = Session::new(*connect, seat, &shared, to_session);
        let patience = Duration::from_millis(u64::from(keep_alive_s) * 1500);
        let entrance = engine.entrance(session.device());
        Self { shared, entrance, wire, session, version, acks, downlink, cut, patience, heard: Instant::now() }
    }

    /// Looks after it until it has ended.
    ///
    /// # Errors
    /// That the engine has stopped.
    pub(super) async fn run(mut self) -> Result<(), Stopped> {
        let end = {
            let _present = Present::new(&self.shared.counters);
            self.work().await?
        };
        self.shared.counters.count_ended(end);
        if let Some(will) = self.session.will(end) {
            self.entrance.submit(vec![will]).await?;
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
            if let Some(end) = self.hand_in().await? {
                return Ok(end);
            }
            if let Some(end) = self.flush().await {
                return Ok(end);
            }
            let open = self.session.can_take();
            if !open {
                // Nor is it while it waits for acks.
                self.heard = Instant::now();
            }
            select! {
                end = &mut self.cut => return Ok(end.unwrap_or(End::Stopping)),
                read = self.wire.read(), if open => match read {
                    Ok(count) => _ = self.shared.counters.bytes.fetch_add(count as u64, Relaxed),
                    Err(_) => return Ok(End::Gone),
                },
                _ = self.acks.recv_many(&mut acked, ACKS) => {
                    if let Err(end) = acked.drain(..).try_for_each(|acked| self.session.acked(acked, &mut self.wire.out)) {
                        return Ok(end);
                    }
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
    async fn hand_in(&mut self) -> Result<Option<End>, Stopped> {
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
        self.shared.counters.packets.fetch_add(packets, Relaxed);
        if packets > 0 {
            self.heard = Instant::now();
        }
        if !inbound.is_empty() {
            self.entrance.submit(inbound).await?;
            // If that took long, it was not the device that was silent.
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
