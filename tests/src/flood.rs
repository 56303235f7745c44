//! Floods: devices that send as fast as the gateway reads, and what is asked of it meanwhile.
//!
//! The senders write MQTT by hand, so that they cost less than what they load.

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::device;
use crate::gateway::Gateway;

/// How a sender sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// MQTT 3.1.1 without acknowledgements.
    Qos0,
    /// MQTT 3.1.1 with them.
    Qos1,
    /// MQTT 5 with them, and with refusals.
    Qos1V5,
}

/// Messages that a sender has without their acknowledgement.
const WINDOW: u64 = 200;
/// Messages written at once.
const BURST: u64 = 100;

/// What senders have sent, and what they were told.
#[derive(Debug, Default)]
pub struct Sent {
    /// Messages written.
    pub written: AtomicU64,
    /// Messages acknowledged as taken.
    pub taken: AtomicU64,
    /// Messages answered with MQTT 5's "quota exceeded".
    pub refused: AtomicU64,
}

/// Senders at work.
pub struct Flood {
    stop: Arc<AtomicBool>,
    senders: Vec<JoinHandle<anyhow::Result<()>>>,
    /// What they have sent.
    pub sent: Arc<Sent>,
}

impl Flood {
    /// Lets each of these water sensors (id, secret, manner) send without a pause, `each` messages or for ever.
    pub fn start(port: SocketAddr, devices: Vec<(String, String, Manner)>, each: Option<u64>) -> Self {
        Self::start_with(port, devices, each, false)
    }

    /// The same with a leak at every second message: an alert, and its end.
    pub fn start_leaking(port: SocketAddr, devices: Vec<(String, String, Manner)>, each: u64) -> Self {
        Self::start_with(port, devices, Some(each), true)
    }

    fn start_with(port: SocketAddr, devices: Vec<(String, String, Manner)>, each: Option<u64>, leaking: bool) -> Self {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(Sent::default()));
        let senders = devices
            .into_iter()
            .map(|(id, secret, manner)| {
                let (stop, sent) = (stop.clone(), sent.clone());
                tokio::spawn(async move {
                    let sender = Sender::connect(&id, &secret, port, manner, leaking).await?;
                    sender.send(&id, each.unwrap_or(u64::MAX), &stop, &sent).await.with_context(|| id)
                })
            })
            .collect();
        Self { stop, senders, sent }
    }

    /// Waits until each has sent its number.
    ///
    /// # Errors
    /// Where a sender was cut off.
    pub async fn finish(self) -> anyhow::Result<Arc<Sent>> {
        for sender in self.senders {
            sender.await??;
        }
        Ok(self.sent)
    }

    /// Stops the senders; what they have written is with the gateway then, or on its way in TCP.
    ///
    /// # Errors
    /// Where one was cut off before.
    pub async fn stop(self) -> anyhow::Result<Arc<Sent>> {
        self.stop.store(true, Relaxed);
        self.finish().await
    }
}

struct Sender {
    stream: TcpStream,
    manner: Manner,
    leaking: bool,
    answers: Vec<u8>,
}

impl Sender {
    async fn connect(id: &str, secret: &str, port: SocketAddr, manner: Manner, leaking: bool) -> anyhow::Result<Self> {
        let mut body = vec![0, 4, b'M', b'Q', b'T', b'T'];
        // Version, user name with password and a clean start, a minute of keep-alive, no properties.
        body.push(if manner == Manner::Qos1V5 { 5 } else { 4 });
        body.extend([0b1100_0010, 0, 60]);
        if manner == Manner::Qos1V5 {
            body.push(0);
        }
        for text in [id, id, secret] {
            put_text(&mut body, text)?;
        }
        let mut packet = vec![0x10];
        put_length(&mut packet, body.len());
        packet.extend(body);
        let mut sender = Self { stream: TcpStream::connect(port).await?, manner, leaking, answers: Vec::new() };
        sender.stream.write_all(&packet).await?;
        loop {
            if let Some((0x20, body)) = sender.next_answer()? {
                ensure!(body.get(1) == Some(&0), "{id} is not let in: {body:?}");
                return Ok(sender);
            }
            sender.read().await?;
        }
    }

    async fn send(mut self, id: &str, each: u64, stop: &AtomicBool, sent: &Sent) -> anyhow::Result<()> {
        let (topic, base) = (device::topic(id), device::now_s());
        let (mut written, mut answered) = (0, 0);
        let mut packets = Vec::new();
        while written < each && !stop.load(Relaxed) {
            let window = if self.manner == Manner::Qos0 { BURST } else { WINDOW - (written - answered) };
            let burst = BURST.min(window).min(each - written);
            packets.clear();
            for _ in 0..burst {
                written += 1;
                // Of those that go on for ever, many have the time of the one before: it must not run ahead.
                #[allow(clippy::cast_precision_loss)]
                let at_s = if self.leaking { base + written as f64 / 1000.0 } else { device::now_s() };
                let leak = self.leaking && written % 2 == 1;
                self.put_publish(&mut packets, &topic, written, &device::water(id, at_s, 0.3, leak))?;
            }
            self.stream.write_all(&packets).await?;
            sent.written.fetch_add(burst, Relaxed);
            while self.manner != Manner::Qos0 && written - answered > WINDOW - BURST {
                answered += self.take_answers(sent).await?;
            }
        }
        while self.manner != Manner::Qos0 && answered < written {
            answered += self.take_answers(sent).await?;
        }
        // DISCONNECT; the gateway closes when it has read it, and so all before it.
        self.stream.write_all(&[0xe0, 0]).await?;
        while self.stream.read(&mut [0; 256]).await.unwrap_or(0) > 0 {}
        Ok(())
    }

    fn put_publish(&self, out: &mut Vec<u8>, topic: &str, number: u64, payload: &str) -> anyhow::Result<()> {
        let qos_1 = self.manner != Manner::Qos0;
        let (id, properties) = (2 * usize::from(qos_1), usize::from(self.manner == Manner::Qos1V5));
        out.push(0x30 | u8::from(qos_1) << 1);
        put_length(out, 2 + topic.len() + id + properties + payload.len());
        put_text(out, topic)?;
        if qos_1 {
            // From 1 to 65,535, and anew.
            let packet_id = u16::try_from(number % 65_535)? + 1;
            out.extend(packet_id.to_be_bytes());
        }
        if self.manner == Manner::Qos1V5 {
            out.push(0);
        }
        out.extend(payload.as_bytes());
        Ok(())
    }

    /// Waits for answers; gives how many there were.
    async fn take_answers(&mut self, sent: &Sent) -> anyhow::Result<u64> {
        self.read().await?;
        let mut count = 0;
        while let Some((kind, body)) = self.next_answer()? {
            ensure!(kind == 0x40, "a packet {kind:#x} in place of a PUBACK");
            count += 1;
            match body.get(2) {
                None | Some(0) => sent.taken.fetch_add(1, Relaxed),
                Some(0x97) => sent.refused.fetch_add(1, Relaxed),
                Some(reason) => bail!("a reading was answered with {reason:#x}"),
            };
        }
        Ok(count)
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        let read = self.stream.read_buf(&mut self.answers).await?;
        ensure!(read > 0, "the gateway closed the connection");
        Ok(())
    }

    /// The first byte and the body of the next packet, if it is whole. None of these is 128 bytes long.
    fn next_answer(&mut self) -> anyhow::Result<Option<(u8, Vec<u8>)>> {
        let &[kind, length, ..] = self.answers.as_slice() else { return Ok(None) };
        ensure!(length < 128, "a longer answer than was expected");
        let end = 2 + usize::from(length);
        if self.answers.len() < end {
            return Ok(None);
        }
        let body = self.answers.drain(..end).skip(2).collect();
        Ok(Some((kind, body)))
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) -> anyhow::Result<()> {
    out.extend(u16::try_from(text.len())?.to_be_bytes());
    out.extend(text.as_bytes());
    Ok(())
}

/// MQTT's variable byte integer.
fn put_length(out: &mut Vec<u8>, mut length: usize) {
    loop {
        #[allow(clippy::cast_possible_truncation, reason = "seven bits")]
        let byte = (length % 128) as u8;
        length /= 128;
        out.push(if length > 0 { byte | 0x80 } else { byte });
        if length == 0 {
            return;
        }
    }
}

/// What came in at the doors, and what became of it.
///
/// # Errors
/// Where the gateway does not tell.
pub fn balance(gateway: &Gateway) -> anyhow::Result<Balance> {
    let text = gateway.metrics()?;
    let count = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse::<u64>().ok());
        value.with_context(|| format!("there is no metric {name}"))
    };
    let decided = |became: &str| count(&format!("ninewatch_decided_messages_total{{became=\"{became}\"}}"));
    let by_lane = |name: &str, lane: &str| count(&format!("ninewatch_{name}_messages_total{{lane=\"{lane}\"}}"));
    let shed = |how: &str| count(&format!("ninewatch_shed_messages_total{{how=\"{how}\"}}"));
    Ok(Balance {
        input: by_lane("input", "preferred")? + by_lane("input", "routine")?,
        preferred: by_lane("input", "preferred")?,
        raised: decided("raised")?,
        folded: decided("folded")?,
        quiet: decided("quiet")?,
        rejected: decided("rejected")?,
        refused: shed("refused")?,
        dropped: shed("dropped")?,
        disk_full: shed("disk_full")?,
        waiting: count("ninewatch_waiting_messages")?,
        deferred: by_lane("deferred", "preferred")? + by_lane("deferred", "routine")?,
    })
}

/// Messages, by what became of them.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "docs/metrics.md says it")]
pub struct Balance {
    pub input: u64,
    pub preferred: u64,
    pub raised: u64,
    pub folded: u64,
    pub quiet: u64,
    pub rejected: u64,
    pub refused: u64,
    pub dropped: u64,
    pub disk_full: u64,
    pub waiting: u64,
    pub deferred: u64,
}

impl Balance {
    /// Messages that were decided.
    pub fn decided(&self) -> u64 {
        self.raised + self.folded + self.quiet + self.rejected
    }

    /// Whether each message that came in has one fate.
    pub fn holds(&self) -> bool {
        self.input == self.decided() + self.refused + self.dropped + self.disk_full + self.waiting
    }

    /// As JSON.
    pub fn to_json(&self) -> Value {
        json!({
            "input": self.input, "raised": self.raised, "folded": self.folded, "quiet": self.quiet,
            "rejected": self.rejected, "refused": self.refused, "dropped": self.dropped, "disk_full": self.disk_full,
            "waiting": self.waiting,
            "holds": self.holds(), "deferred": self.deferred,
        })
    }
}

/// Waits until nothing that came in waits any more; gives the balance then.
///
/// # Errors
/// Where something waits for longer than `limit`.
pub async fn settled(gateway: &Gateway, limit: Duration) -> anyhow::Result<Balance> {
    let begun = Instant::now();
    loop {
        let balance = balance(gateway)?;
        if balance.waiting == 0 {
            return Ok(balance);
        }
        ensure!(begun.elapsed() < limit, "messages wait for longer than {limit:?}: {balance:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
