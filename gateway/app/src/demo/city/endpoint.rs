//! One MQTT client as its server sees it: packets in, packets out. The protocol is
//! `mqtt-protocol-core`'s; this moves its bytes over a stream.

use anyhow::bail;
use bytes::BytesMut;
use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::connection::{ConnectionOptions, Event};
use mqtt_protocol_core::mqtt::packet::{GenericPacketTrait as _, Packet};
use mqtt_protocol_core::mqtt::{Connection, Version, role};
use std::collections::VecDeque;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Far above any alert; a longer packet ends the connection.
const MAX_PACKET_BYTES: u32 = 4 << 20;

/// A client's connection. Which version of MQTT it speaks, its CONNECT says.
pub(crate) struct Endpoint<S> {
    stream: S,
    core: Connection<role::Server>,
    incoming: BytesMut,
    outgoing: BytesMut,
    received: VecDeque<Packet>,
    /// The protocol says that this is the end, once everything is sent.
    closing: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Endpoint<S> {
    pub(crate) fn new(stream: S) -> Self {
        let options = ConnectionOptions::new().maximum_packet_size_recv(MAX_PACKET_BYTES);
        let mut core = Connection::with_options(Version::Undetermined, options);
        core.set_auto_ping_response(true);
        Self {
            stream,
            core,
            incoming: BytesMut::with_capacity(16 << 10),
            outgoing: BytesMut::new(),
            received: VecDeque::new(),
            closing: false,
        }
    }

    /// The next packet; `None` when the client is gone, or has to go. Cancel safe.
    pub(crate) async fn receive(&mut self) -> anyhow::Result<Option<Packet>> {
        loop {
            self.flush().await?;
            if let Some(packet) = self.received.pop_front() {
                return Ok(Some(packet));
            }
            if self.closing {
                return Ok(None);
            }
            self.incoming.clear();
            if self.stream.read_buf(&mut self.incoming).await? == 0 {
                return Ok(None);
            }
            let bytes = self.incoming.split();
            let mut cursor = Cursor::new(&bytes[..]);
            while (cursor.position() as usize) < bytes.len() {
                let events = self.core.recv(&mut cursor);
                self.take(events)?;
            }
            self.incoming.reserve(16 << 10);
        }
    }

    /// Whether a packet is here already.
    pub(crate) fn has_received(&self) -> bool {
        !self.received.is_empty()
    }

    /// Sends a packet.
    pub(crate) async fn send(&mut self, packet: impl Into<Packet>) -> anyhow::Result<()> {
        let events = self.core.send(packet.into());
        self.take(events)?;
        self.flush().await
    }

    /// An id for a QoS 1 publish; `None` while the client takes no more.
    pub(crate) fn packet_id(&mut self) -> Option<u16> {
        if self.core.get_receive_maximum_vacancy_for_send() == Some(0) {
            return None;
        }
        self.core.acquire_packet_id().ok()
    }

    fn take(&mut self, events: Vec<Event>) -> anyhow::Result<()> {
        for event in events {
            match event {
                Event::NotifyPacketReceived(packet) => self.received.push_back(packet),
                Event::RequestSendPacket { packet, .. } => {
                    self.outgoing.extend_from_slice(&packet.to_continuous_buffer());
                }
                Event::NotifyError(error) => bail!("MQTT: {error:?}"),
                Event::RequestClose => self.closing = true,
                // Loopback: a client that is gone shows by its socket, not by its silence.
                Event::RequestTimerReset { .. } | Event::RequestTimerCancel(_) | Event::NotifyPacketIdReleased(_) => {}
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        while !self.outgoing.is_empty() {
            self.stream.write_buf(&mut self.outgoing).await?;
        }
        Ok(())
    }
}
