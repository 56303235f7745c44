//! What a stranger, a broken device or a bad one may do at the sensor port: streams of packets, nearly right.

use anyhow::Context;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use super::Dice;
use crate::device;

/// 4 for MQTT 3.1.1, 5 for MQTT 5.
pub type Version = u8;

/// What a connection does, from beginning to end.
pub struct Visit {
    from: Ipv4Addr,
    /// What it sends, piece by piece.
    pieces: Vec<Vec<u8>>,
    pause: Duration,
    ending: Ending,
}

enum Ending {
    /// It is gone, with whatever it has not read.
    Drop,
    /// It says that it sends no more, and reads to the end.
    HalfClose,
    /// It stays for a while and neither reads nor sends.
    Stick(Duration),
}

/// Longer than the port takes to see a half-closed connection off.
const FAREWELL: Duration = Duration::from_secs(30);

impl Visit {
    /// Of somebody who may know the secrets of `devices` (id, secret).
    pub fn new(dice: &mut Dice, devices: &[(String, String)]) -> Self {
        let mut bytes = if dice.once_in(12) { dice.bytes(400) } else { stream(dice, devices) };
        if dice.once_in(2) {
            for _ in 0..=dice.below(4) {
                dice.mutate(&mut bytes);
            }
        }
        let most = *dice.pick(&[1_usize, 3, 40, 1 << 20]);
        let mut pieces = Vec::new();
        while !bytes.is_empty() && pieces.len() < 60 {
            let rest = bytes.split_off(bytes.len().min(1 + dice.below(most)));
            pieces.push(std::mem::replace(&mut bytes, rest));
        }
        pieces.push(bytes);
        let ending = match dice.below(4) {
            0 => Ending::Drop,
            1 => Ending::Stick(Duration::from_millis(dice.any() % 30)),
            _ => Ending::HalfClose,
        };
        let pause = Duration::from_millis(if dice.once_in(10) { dice.any() % 4 } else { 0 });
        // Addresses of its own: it is not to be turned away for what others did.
        let address = u32::try_from(dice.below(1 << 16)).unwrap_or(0);
        Self { from: Ipv4Addr::from(0x7f02_0000 + address), pieces, pause, ending }
    }

    /// Pays it.
    ///
    /// # Errors
    /// Where the port takes no connection, or does not let go of one that has ended.
    pub async fn pay(self, at: SocketAddr) -> anyhow::Result<()> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((self.from, 0).into())?;
        let stream = timeout(FAREWELL, socket.connect(at)).await.context("it takes no connection")??;
        let (mut reader, mut writer) = stream.into_split();
        let pause = self.pause;
        let sending = async {
            for piece in self.pieces {
                // The port may have had enough.
                if writer.write_all(&piece).await.is_err() {
                    break;
                }
                if pause > Duration::ZERO {
                    sleep(pause).await;
                }
            }
            writer
        };
        match self.ending {
            Ending::Drop => drop(sending.await),
            Ending::Stick(how_long) => {
                let _stuck = sending.await;
                sleep(how_long).await;
            }
            Ending::HalfClose => {
                let mut answers = Vec::new();
                let both = async {
                    let sending = async {
                        let mut writer = sending.await;
                        let _ = writer.shutdown().await;
                    };
                    // A reset is an end too.
                    let _ = tokio::join!(sending, reader.read_to_end(&mut answers));
                };
                timeout(FAREWELL, both).await.context("it does not let go of a connection that has ended")?;
            }
        }
        Ok(())
    }
}

/// A CONNECT and packets behind it, each whole.
fn stream(dice: &mut Dice, devices: &[(String, String)]) -> Vec<u8> {
    let version = *dice.pick(&[4, 5]);
    let (id, secret) = dice.pick(devices).clone();
    let wrong = dice.once_in(6);
    let password = if wrong { String::from_utf8_lossy(&dice.bytes(40)).into_owned() } else { secret };
    let will = dice.once_in(4).then(|| topic(dice, &id));
    let client_id = format!("fuzz-{}", dice.below(30));
    let keep_alive_s = *dice.pick(&[0, 1, 60, u16::MAX]);
    let hello = Hello { version, client_id, credentials: (id.clone(), password), keep_alive_s, will };
    let mut bytes = hello.bytes(&properties(dice, version));
    for _ in 0..dice.below(14) {
        bytes.extend(packet(dice, version, &id));
    }
    bytes
}

/// What a CONNECT says.
pub struct Hello {
    /// The protocol version.
    pub version: Version,
    /// The client id.
    pub client_id: String,
    /// User name and password.
    pub credentials: (String, String),
    /// 0: none.
    pub keep_alive_s: u16,
    /// The topic of its will.
    pub will: Option<String>,
}

impl Hello {
    /// The packet; `properties` are MQTT 5's, without their length.
    pub fn bytes(&self, properties: &[u8]) -> Vec<u8> {
        let mut body = text("MQTT");
        let flags = 0xc2 | if self.will.is_some() { 0x0c } else { 0 };
        body.extend([self.version, flags]);
        body.extend(self.keep_alive_s.to_be_bytes());
        body.extend(in_version(self.version, properties));
        body.extend(text(&self.client_id));
        if let Some(topic) = &self.will {
            body.extend(in_version(self.version, &[]));
            body.extend(text(topic));
            body.extend(text("gone"));
        }
        body.extend(text(&self.credentials.0));
        body.extend(text(&self.credentials.1));
        framed(0x10, &body)
    }
}

/// A PUBLISH; packet id 0 for QoS 0.
pub fn publish(version: Version, topic: &str, payload: &[u8], qos: u8, packet_id: u16) -> Vec<u8> {
    let mut body = text(topic);
    if qos > 0 {
        body.extend(packet_id.to_be_bytes());
    }
    body.extend(in_version(version, &[]));
    body.extend(payload);
    framed(0x30 | qos << 1, &body)
}

fn packet(dice: &mut Dice, version: Version, id: &str) -> Vec<u8> {
    let packet_id = u16::try_from(dice.below(4)).unwrap_or(0);
    let [high, low] = packet_id.to_be_bytes();
    match dice.below(12) {
        0..=4 => {
            let topic = topic(dice, id);
            let mut payload = match dice.below(3) {
                0 => device::gas(id, device::now_s(), 2.0).into_bytes(),
                1 => device::sos(id, device::now_s(), dice.once_in(2)).into_bytes(),
                _ => dice.bytes(300),
            };
            if dice.once_in(2) {
                dice.mutate(&mut payload);
            }
            let qos = *dice.pick(&[0, 1, 2]);
            let mut packet = publish(version, &topic, &payload, qos, packet_id);
            // DUP, RETAIN
            packet[0] |= if dice.once_in(4) { *dice.pick(&[0x08, 0x01]) } else { 0 };
            packet
        }
        // PUBACK, PUBREC, PUBREL, PUBCOMP
        5 | 6 => vec![*dice.pick(&[0x40, 0x50, 0x62, 0x70]), 2, high, low],
        7 | 8 => {
            let kind = *dice.pick(&[0x82, 0xa2]);
            let mut body = vec![high, low];
            body.extend(in_version(version, &properties(dice, version)));
            let filters = [format!("ninewatch/{id}/downlink"), format!("ninewatch/{id}/downlink/#"), "#".to_owned()];
            for _ in 0..=dice.below(3) {
                body.extend(text(&dice.pick(&filters).clone()));
                if kind == 0x82 {
                    body.push(u8::try_from(dice.below(3)).unwrap_or(0));
                }
            }
            framed(kind, &body)
        }
        9 => vec![0xc0, 0],
        // DISCONNECT, AUTH, a second CONNECT, and what is far too long
        10 => dice
            .pick(&[vec![0xe0, 0], vec![0xe0, 1, 4], vec![0xf0, 0], vec![0x10, 0], vec![0x30, 0xff, 0xff, 0xff, 0x7f]])
            .clone(),
        _ => {
            let (kind, body) = (dice.byte(), dice.bytes(200));
            framed(kind, &body)
        }
    }
}

fn topic(dice: &mut Dice, id: &str) -> String {
    let own = format!("ninewatch/{id}/readings");
    dice.pick(&[
        own.clone(),
        own,
        format!("ninewatch/{id}/"),
        "ninewatch/else/readings".into(),
        "+/#".into(),
        String::new(),
    ])
    .clone()
}

/// Properties of MQTT 5, right and wrong ones.
fn properties(dice: &mut Dice, version: Version) -> Vec<u8> {
    let mut properties = Vec::new();
    while version == 5 && dice.once_in(2) {
        properties.extend(
            dice.pick(&[
                &b"\x21\0\x01"[..], // Receive Maximum
                b"\x21\0\0",
                b"\x27\0\0\0\x10",       // Maximum Packet Size
                b"\x22\0\0",             // Topic Alias Maximum
                b"\x11\xff\xff\xff\xff", // Session Expiry
                b"\x15\0\x01x",          // Authentication Method
                b"\x26\0\x01k\0\x01v",   // User Property
                b"\x0b\x01",             // Subscription Identifier
                b"\x23\0\x01",           // Topic Alias
                b"\xff",
            ])
            .iter(),
        );
    }
    properties
}

fn in_version(version: Version, properties: &[u8]) -> Vec<u8> {
    if version == 5 { framed_length(properties) } else { Vec::new() }
}

fn framed_length(body: &[u8]) -> Vec<u8> {
    let mut length = body.len();
    let mut out = Vec::new();
    loop {
        let digit = u8::try_from(length & 0x7f).unwrap_or(0);
        length >>= 7;
        out.push(if length > 0 { digit | 0x80 } else { digit });
        if length == 0 {
            break;
        }
    }
    out.extend(body);
    out
}

fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
    [vec![kind], framed_length(body)].concat()
}

fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes()[..], text.as_bytes()].concat()
}

/// Reads one packet of an answer, whole.
///
/// # Errors
/// Where the connection ends before it is whole.
pub async fn read_packet(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut packet = vec![stream.read_u8().await?];
    let mut length = 0;
    for shift in [0, 7, 14, 21] {
        let digit = stream.read_u8().await?;
        packet.push(digit);
        length |= usize::from(digit & 0x7f) << shift;
        if digit & 0x80 == 0 {
            break;
        }
    }
    let head = packet.len();
    packet.resize(head + length, 0);
    stream.read_exact(&mut packet[head..]).await?;
    Ok(packet)
}
