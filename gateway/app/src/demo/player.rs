//! One played device: a real MQTT client that reports as its class does, and as the story says.

use anyhow::Context;
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

use super::bursts;
use super::community::{self, Kind, PlayedDevice};
use super::report::Published;
use super::story::Act;
use crate::clock::Clock;

/// Starts a device; it plays until the sender of its acts is dropped.
pub(super) fn start(
    device: &PlayedDevice,
    secret: &str,
    port: SocketAddr,
    cadence_ms: i64,
    clock: Clock,
    published: Arc<Published>,
) -> mpsc::UnboundedSender<Act> {
    let mut options = MqttOptions::new(device.id.as_str(), port.ip().to_string(), port.port());
    options.set_credentials(device.id.as_str(), secret);
    options.set_keep_alive(Duration::from_secs(30));
    let (client, mut events) = AsyncClient::new(options, 64);
    let (acts, inbox) = mpsc::unbounded_channel();
    let player = Player {
        topic: format!("ninewatch/{}/readings", device.id),
        id: device.id.clone(),
        fields: community::quiet(device.class)
            .into_iter()
            .map(|field| (field.name, Field::quiet(field.kind)))
            .collect(),
        dice: Dice::new(&device.id),
        cadence_ms,
        clock,
        client,
        published,
    };
    tokio::spawn(player.play(inbox));
    tokio::spawn(async move {
        // rumqttc connects, sends and reconnects while it is polled.
        loop {
            match events.poll().await {
                Ok(Event::Outgoing(rumqttc::Outgoing::Disconnect)) => return,
                Ok(Event::Incoming(Packet::ConnAck(_)) | _) => {}
                Err(error) => {
                    tracing::debug!(%error, "a played device reconnects");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    });
    acts
}

struct Player {
    id: String,
    topic: String,
    fields: BTreeMap<&'static str, Field>,
    dice: Dice,
    cadence_ms: i64,
    clock: Clock,
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
    begins_ms: i64,
    takes_ms: i64,
}

impl Field {
    fn quiet(kind: Kind) -> Self {
        Self { kind, ramp: None }
    }

    /// What it measures at `now_ms`, with `wander` in −1 to 1.
    #[allow(clippy::cast_precision_loss, reason = "minutes of play")]
    fn measure(&self, now_ms: i64, wander: f64) -> (Option<&'static str>, f64) {
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
    async fn play(mut self, mut inbox: mpsc::UnboundedReceiver<Act>) {
        let cadence = self.real(self.cadence_ms);
        // A device reports when it comes up, and after that not in step with the others.
        if let Err(error) = self.report_all().await {
            tracing::warn!(device = self.id, "a played device could not report: {error:#}");
        }
        let begin = tokio::time::Instant::now() + cadence.mul_f64(self.dice.roll().abs());
        let mut beat = tokio::time::interval_at(begin, cadence);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                _ = beat.tick() => self.report_all().await,
                act = inbox.recv() => match act {
                    Some(Act::Vanish) | None => break,
                    Some(act) => self.act(act).await,
                },
            };
            if let Err(error) = done {
                tracing::warn!(device = self.id, "a played device could not report: {error:#}");
                break;
            }
        }
        let _ = self.client.disconnect().await;
    }

    fn real(&self, played_ms: i64) -> Duration {
        let played = Duration::from_millis(u64::try_from(played_ms).unwrap_or(0));
        played.div_f64(self.clock.speed())
    }

    async fn act(&mut self, act: Act) -> anyhow::Result<()> {
        let now = self.clock.now_ms();
        match act {
            Act::Set(name, value) => {
                self.ramp(name, value, now, 0);
                self.report_all().await
            }
            #[allow(clippy::cast_possible_truncation, reason = "minutes of play")]
            Act::Ramp(name, to, minutes) => {
                self.ramp(name, to, now, (minutes * 60_000.0) as i64);
                Ok(())
            }
            Act::Chatter(name, times) => {
                for _ in 0..times {
                    for value in [1.0, 0.0] {
                        self.ramp(name, value, self.clock.now_ms(), 0);
                        self.report_all().await?;
                        tokio::time::sleep(self.real(10_000)).await;
                    }
                }
                Ok(())
            }
            Act::Face(matched, age) => {
                let face = [
                    json!({"n": "match", "vs": matched}),
                    json!({"n": "age_years", "u": "a", "v": age}),
                    json!({"n": "person", "vs": format!("p-{:08x}", self.dice.next() >> 32)}),
                ];
                self.publish(&face).await
            }
            Act::Fall => self.publish(&[bursts::senml(&bursts::fall())]).await,
            Act::Knock => self.publish(&[bursts::senml(&bursts::knock())]).await,
            Act::Vanish => Ok(()),
        }
    }

    fn ramp(&mut self, name: &str, to: f64, begins_ms: i64, takes_ms: i64) {
        if let Some(field) = self.fields.get_mut(name) {
            let from = field.measure(begins_ms, 0.0).1;
            field.ramp = Some(Ramp { from, to, begins_ms, takes_ms });
        }
    }

    async fn report_all(&mut self) -> anyhow::Result<()> {
        let now = self.clock.now_ms();
        let mut records = Vec::with_capacity(self.fields.len());
        for (name, field) in &self.fields {
            records.push(match field.measure(now, self.dice.roll()) {
                (Some(unit), value) => json!({"n": name, "u": unit, "v": (value * 1000.0).round() / 1000.0}),
                (None, value) => json!({"n": name, "vb": value >= 0.5}),
            });
        }
        self.publish(&records).await
    }

    #[allow(clippy::cast_precision_loss, reason = "milliseconds of today are far below 2^53")]
    async fn publish(&self, records: &[Value]) -> anyhow::Result<()> {
        let mut pack = records.to_vec();
        if let Some(Value::Object(first)) = pack.first_mut() {
            first.insert("bn".into(), json!(format!("{}/", self.id)));
            first.insert("bt".into(), json!(self.clock.now_ms() as f64 / 1000.0));
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
