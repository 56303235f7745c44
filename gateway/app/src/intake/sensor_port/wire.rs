//! Bytes in, bytes out: a connection's stream with its buffers, both bounded.

use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::result_code::MqttError;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::answers::Out;
use super::packets::{Decoder, Packet};

/// What is read at once from a quiet device, and from one that sends faster.
const INBOX: usize = 1024;
const INBOX_MAX: usize = 16 * 1024;
/// How long a device has to take its last packet, and how much it may have on the way to us then:
/// a connection that is closed on unread bytes is reset, and the packet lost.
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELL_BYTES: usize = 1024 * 1024;

pub(super) struct Wire<S> {
    stream: S,
    decoder: Decoder,
    inbox: Vec<u8>,
    /// Of the inbox: what was decoded, and what was read.
    decoded: usize,
    filled: usize,
    /// Answers that wait for the next flush.
    pub(super) out: Out,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(stream: S, max_packet_bytes: u32) -> Self {
        let decoder = Decoder::new(max_packet_bytes);
        Self { stream, decoder, inbox: vec![0; INBOX], decoded: 0, filled: 0, out: Out::new() }
    }

    /// The next packet in what was read.
    ///
    /// # Errors
    /// See [`Decoder::next`].
    pub(super) fn next(&mut self) -> Result<Option<Packet>, MqttError> {
        let mut bytes = Cursor::new(self.inbox.get(self.decoded..self.filled).unwrap_or_default());
        let packet = self.decoder.next(&mut bytes);
        self.decoded += usize::try_from(bytes.position()).unwrap_or(usize::MAX);
        packet
    }

    /// Reads on, once [`Self::next`] has no more; gives how much, at least 1. Nothing is lost if
    /// this is dropped before it is done.
    ///
    /// # Errors
    /// Where the connection is closed.
    pub(super) async fn read(&mut self) -> io::Result<usize> {
        if self.filled == self.inbox.len() && self.filled < INBOX_MAX {
            self.inbox.resize(2 * self.filled, 0);
        }
        let count = self.stream.read(&mut self.inbox).await?;
        (self.decoded, self.filled) = (0, count);
        if count == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(count) }
    }

    /// Sends the answers. If this is dropped before it is done, the next one goes on from there.
    ///
    /// # Errors
    /// Where the connection is closed.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all_buf(&mut self.out).await?;
        self.stream.flush().await
    }

    /// Sends the last answers and closes.
    pub(super) async fn close(mut self) {
        let farewell = async {
            self.flush().await?;
            self.stream.shutdown().await?;
            let mut unread = FAREWELL_BYTES;
            while unread > 0 {
                let count = self.read().await?;
                unread = unread.saturating_sub(count);
            }
            io::Result::Ok(())
        };
        // However it goes, it ends here.
        let _ = timeout(FAREWELL, farewell).await;
    }
}
