//! One played device: a real MQTT client that reports as its class does, and as the story says.

use anyhow::Context;
use rumqttc::{AsyncClient, ConnectionError, Event, MqttOptions, Outgoing, Packet, QoS};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ninewatch_core::time::TimeMs;

use super::bursts;
use super::community::{self, Kind, PlayedDevice};
use super::report::Published;
use super::story::Act;

/// A device at play: it does what is due at the time it is told.
pub(super) struct Player {
    id: String,
    topic: String,
    fields: BTreeMap<&'static str, Field>,
    dice: Dice,
    cadence_ms: TimeMs,
    /// When it reports by itself next.
    due_ms: TimeMs,
    /// Whether it has reported.
    is_up: bool,
    /// Switches that flip later, in order: when, which, to what.
    flips: VecDeque<(TimeMs, &'static str, f64)>,
    client: AsyncClient,
    published: Arc<Published>,
}

/// A field's way: where it is, where it goes.
struct Field {
    kind: Kind,
    ramp: Option<Ramp>,
}

struct Ramp {
    from: f64,
    to: f64,
    begins_ms: TimeMs,
    takes_ms: TimeMs,
}

impl Field {
    fn quiet(kind: Kind) -> Self {
        Self { kind, ramp: None }
    }

    /// What it measures at `now_ms`, with `wander` in −1 to 1.
    #[allow(clippy::cast_precision_loss, reason = "minutes of play")]
    fn measure(&self, now_ms: TimeMs, wander: f64) -> (Option<&'static str>, f64) {
        let (unit, middle, spread) = match self.kind {
            Kind::Number(unit, middle, spread) => (Some(unit), middle, spread),
            Kind::Switch(on) => (None, f64::from(u8::from(on)), 0.0),
        };
        let value = match &self.ramp {
            None => middle + wander * spread,
            Some(ramp) => {
                let done = match ramp.takes_ms {
                    0 => 1.0,
                    takes_ms => ((now_ms - ramp.begins_ms) as f64 / takes_ms as f64).clamp(0.0, 1.0),
                };
                ramp.from + (ramp.to - ramp.from) * done
            }
        };
        (unit, value)
    }
}

impl Player {
    /// A device with a connection of its own, that reports at `now_ms` for the first time.
    pub(super) fn connect(
        device: &PlayedDevice,
        secret: &str,
        port: SocketAddr,
        cadence_ms: TimeMs,
        now_ms: TimeMs,
        published: Arc<Published>,
    ) -> Self {
        let mut options = MqttOptions::new(device.id.as_str(), port.ip().to_string(), port.port());
        options.set_credentials(device.id.as_str(), secret);
        options.set_keep_alive(Duration::from_secs(30));
        let (client, mut events) = AsyncClient::new(options, 64);
        let acknowledged = published.clone();
        tokio::spawn(async move {
            // rumqttc connects, sends and reconnects while it is polled.
            loop {
                match events.poll().await {
                    Ok(Event::Outgoing(Outgoing::Disconnect)) | Err(ConnectionError::RequestsDone) => return,
                    Ok(Event::Incoming(Packet::PubAck(_))) => acknowledged.acknowledge(),
                    Ok(_) => {}
                    Err(error) => {
                        tracing::debug!(%error, "a played device reconnects");
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                }
            }
        });
        let fields = community::quiet(device.class).into_iter();
        Self {
            topic: format!("ninewatch/{}/readings", device.id),
            id: device.id.clone(),
            fields: fields.map(|field| (field.name, Field::quiet(field.kind))).collect(),
            dice: Dice::new(&device.id),
            cadence_ms,
            due_ms: now_ms,
            is_up: false,
            flips: VecDeque::new(),
            client,
            published,
        }
    }

    /// Reports what is due by now.
    ///
    /// # Errors
    /// Where the MQTT client is gone.
    pub(super) async fn play(&mut self, now_ms: TimeMs) -> anyhow::Result<()> {
        while self.flips.front().is_some_and(|(at_ms, ..)| *at_ms <= now_ms)
            && let Some((_, name, value)) = self.flips.pop_front()
        {
            self.ramp(name, value, now_ms, 0);
            self.report_all(now_ms).await?;
        }
        if self.due_ms <= now_ms {
            self.report_all(now_ms).await?;
            self.due_ms += self.until_next();
        }
        Ok(())
    }

    /// Does what the story says.
    ///
    /// # Errors
    /// Where the MQTT client is gone.
    #[allow(clippy::cast_possible_truncation, reason = "minutes of play")]
    pub(super) async fn act(&mut self, act: Act, now_ms: TimeMs) -> anyhow::Result<()> {
        match act {
            Act::Set(name, value) => {
                self.ramp(name, value, now_ms, 0);
                self.report_all(now_ms).await
            }
            Act::Ramp(name, to, minutes) => {
                self.ramp(name, to, now_ms, (minutes * 60_000.0) as TimeMs);
                Ok(())
            }
            Act::Chatter(name, times) => {
                let flips = (0..times).flat_map(|_| [1.0, 0.0]).zip(0..);
                self.flips.extend(flips.map(|(value, flip)| (now_ms + flip * 10_000, name, value)));
                Ok(())
            }
            Act::Face(matched, age) => {
                let face = [
                    json!({"n": "match", "vs": matched}),
                    json!({"n": "age_years", "u": "a", "v": age}),
                    json!({"n": "person", "vs": format!("p-{:08x}", self.dice.next() >> 32)}),
                ];
                self.publish(&face, now_ms).await
            }
            Act::Fall => self.publish(&[bursts::senml(&bursts::fall())], now_ms).await,
            Act::Knock => self.publish(&[bursts::senml(&bursts::knock())], now_ms).await,
            Act::Vanish => self.client.disconnect().await.context("the MQTT client is gone"),
        }
    }

    /// It reports when it comes up, and after that not in step with the others.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "minutes of play")]
    fn until_next(&mut self) -> TimeMs {
        if std::mem::replace(&mut self.is_up, true) {
            self.cadence_ms
        } else {
            (self.cadence_ms as f64 * self.dice.roll().abs()) as TimeMs
        }
    }

    fn ramp(&mut self, name: &str, to: f64, begins_ms: TimeMs, takes_ms: TimeMs) {
        if let Some(field) = self.fields.get_mut(name) {
            let from = field.measure(begins_ms, 0.0).1;
            field.ramp = Some(Ramp { from, to, begins_ms, takes_ms });
        }
    }

    async fn report_all(&mut self, now_ms: TimeMs) -> anyhow::Result<()> {
        let mut records = Vec::with_capacity(self.fields.len());
        for (name, field) in &self.fields {
            records.push(match field.measure(now_ms, self.dice.roll()) {
                (Some(unit), value) => json!({"n": name, "u": unit, "v": (value * 1000.0).round() / 1000.0}),
                (None, value) => json!({"n": name, "vb": value >= 0.5}),
            });
        }
        self.publish(&records, now_ms).await
    }

    #[allow(clippy::cast_precision_loss, reason = "milliseconds of today are far below 2^53")]
    async fn publish(&self, records: &[Value], now_ms: TimeMs) -> anyhow::Result<()> {
        let mut pack = records.to_vec();
        if let Some(Value::Object(first)) = pack.first_mut() {
            first.insert("bn".into(), json!(format!("{}/", self.id)));
            first.insert("bt".into(), json!(now_ms as f64 / 1000.0));
        }
        let payload = serde_json::to_vec(&pack)?;
        self.published.note(&self.id, Instant::now());
        self.client
            .publish(self.topic.as_str(), QoS::AtLeastOnce, false, payload)
            .await
            .context("the MQTT client is gone")
    }
}

/// Chance that is the same each time: xorshift64*, seeded by the device's name.
struct Dice(u64);

impl Dice {
    fn new(seed: &str) -> Self {
        let mixed = seed.bytes().fold(0x9E37_79B9_7F4A_7C15_u64, |state, byte| {
            (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        });
        Self(mixed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// −1 to 1.
    #[allow(clippy::cast_precision_loss, reason = "53 bits are taken")]
    fn roll(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}
