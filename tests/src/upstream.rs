//! An upstream as a city would run it: a client of a real broker that takes alerts, answers with
//! receipts and sends staff actions. Written from `docs/upstream.md` alone.

use anyhow::Context;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{AsyncClient, Event, MqttOptions};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// What the upstream has seen of one gateway.
#[derive(Debug, Default)]
pub struct Seen {
    /// Each alert event in the order of arrival, duplicates included: (id, sequence, event).
    pub events: Vec<(String, u64, Value)>,
    /// Sequence numbers taken, of the gateway's epoch and what it goes on from.
    pub taken: BTreeSet<u64>,
    /// The gateway's epoch, and its first number.
    epoch: (String, u64),
    /// Answers to staff actions, in the order of arrival, repetitions included.
    pub answers: Vec<Value>,
}

impl Seen {
    /// Events that came more than once.
    pub fn doubled(&self) -> Vec<&str> {
        let mut count: BTreeMap<&str, u32> = BTreeMap::new();
        for (id, _, _) in &self.events {
            *count.entry(id).or_default() += 1;
        }
        count.into_iter().filter(|(_, times)| *times > 1).map(|(id, _)| id).collect()
    }

    /// What the answers to an action said: `applied`, `already` or `refused`.
    pub fn answers_to(&self, action: &str) -> Vec<&str> {
        let of = self.answers.iter().filter(|answer| answer["data"]["id"] == action);
        of.filter_map(|answer| answer["type"].as_str()?.strip_prefix("cn.ninewatch.action.")).collect()
    }

    /// The highest number below which nothing is missing, and what came beyond.
    fn receipt(&self) -> Value {
        let mut up_to = 0;
        while self.taken.contains(&(up_to + 1)) {
            up_to += 1;
        }
        let also: Vec<u64> = self.taken.range(up_to + 1..).copied().collect();
        json!({"epoch": self.epoch.0, "up_to": up_to, "also": also})
    }
}

/// An upstream at work.
pub struct Upstream {
    seen: Arc<Mutex<Seen>>,
    news: Arc<Notify>,
    client: AsyncClient,
    gateway: String,
    task: tokio::task::JoinHandle<()>,
}

impl Upstream {
    /// Connects to the broker on `port` and serves `gateway`.
    ///
    /// # Errors
    /// Where the broker does not take the subscription.
    pub async fn start(port: u16, gateway: &str) -> anyhow::Result<Self> {
        let mut options = MqttOptions::new("city", "127.0.0.1", port);
        options.set_clean_start(false);
        let mut properties = rumqttc::v5::mqttbytes::v5::ConnectProperties::new();
        properties.session_expiry_interval = Some(3600);
        options.set_connect_properties(properties);
        options.set_keep_alive(Duration::from_secs(5));
        let (client, mut events) = AsyncClient::new(options, 100);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let news = Arc::new(Notify::new());
        let topics = [format!("ninewatch/v1/{gateway}/alerts"), format!("ninewatch/v1/{gateway}/status")];
        let actions = format!("ninewatch/v1/{gateway}/actions");
        let (ready, subscribed) = tokio::sync::oneshot::channel();
        let task = tokio::spawn({
            let (client, seen, news) = (client.clone(), seen.clone(), news.clone());
            let mut ready = Some(ready);
            async move {
                loop {
                    match events.poll().await {
                        Ok(Event::Incoming(Packet::ConnAck(_))) => {
                            for topic in &topics {
                                let _ = client.try_subscribe(topic.as_str(), QoS::AtLeastOnce);
                            }
                        }
                        Ok(Event::Incoming(Packet::SubAck(_))) => {
                            if let Some(ready) = ready.take() {
                                let _ = ready.send(());
                            }
                        }
                        Ok(Event::Incoming(Packet::Publish(publish))) => {
                            let Ok(event) = serde_json::from_slice::<Value>(&publish.payload) else { continue };
                            let answer = {
                                let Ok(mut seen) = seen.lock() else { return };
                                take(&mut seen, event, publish.dup)
                            };
                            news.notify_waiters();
                            if let Some(receipt) = answer {
                                let _ =
                                    client.try_publish(actions.as_str(), QoS::AtLeastOnce, false, receipt.to_string());
                            }
                        }
                        Ok(_) => {}
                        Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                    }
                }
            }
        });
        tokio::time::timeout(Duration::from_secs(10), subscribed).await.context("no SUBACK from the broker")??;
        Ok(Self { seen, news, client, gateway: gateway.to_owned(), task })
    }

    /// Looks at what came so far.
    pub fn look<T>(&self, at: impl FnOnce(&Seen) -> T) -> T {
        at(&self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Waits until what came is as wanted.
    ///
    /// # Errors
    /// Where it is not within `limit`.
    pub async fn until(&self, limit: Duration, wanted: impl Fn(&Seen) -> bool) -> anyhow::Result<()> {
        let end = Instant::now() + limit;
        loop {
            let news = self.news.notified();
            if self.look(&wanted) {
                return Ok(());
            }
            let left = end.saturating_duration_since(Instant::now());
            // A change between the look and the wait is seen at the next turn, at most 0.2 s later.
            let _ = tokio::time::timeout(left.min(Duration::from_millis(200)), news).await;
            anyhow::ensure!(
                !left.is_zero(),
                "not within {limit:?}; {} events came",
                self.look(|seen| seen.events.len())
            );
        }
    }

    /// Sends a staff action.
    ///
    /// # Errors
    /// Where the client is gone.
    pub async fn act(&self, data: Value) -> anyhow::Result<()> {
        let event = json!({
            "specversion": "1.0", "type": "cn.ninewatch.action", "source": "/city",
            "id": data["id"], "data": data,
        });
        let topic = format!("ninewatch/v1/{}/actions", self.gateway);
        Ok(self.client.publish(topic, QoS::AtLeastOnce, false, event.to_string()).await?)
    }
}

/// Takes an event; gives the receipt to answer with. What the broker delivers once more, the gateway has not sent twice.
fn take(seen: &mut Seen, event: Value, redelivered: bool) -> Option<Value> {
    let kind = event["type"].as_str().unwrap_or_default();
    let answers = event["id"].as_str()?.to_owned();
    if kind.starts_with("cn.ninewatch.alert.") {
        let sequence = event["sequence"].as_str()?.parse().ok()?;
        let (epoch, first) = &seen.epoch;
        let is_new = (sequence < *first || event["epoch"] == epoch.as_str()) && seen.taken.insert(sequence);
        if is_new || !redelivered {
            seen.events.push((answers.clone(), sequence, event));
        }
    } else if kind.starts_with("cn.ninewatch.action.") {
        seen.answers.push(event);
        return None;
    } else if kind == "cn.ninewatch.online" {
        let data = &event["data"];
        let (epoch, first) = (data["epoch"].as_str()?, data["first"].as_u64()?);
        if seen.epoch.0 != epoch {
            seen.taken.split_off(&first);
            seen.epoch = (epoch.to_owned(), first);
        }
    } else {
        return None;
    }
    let mut receipt = seen.receipt();
    receipt["answers"] = answers.into();
    Some(json!({
        "specversion": "1.0", "type": "cn.ninewatch.receipt", "source": "/city",
        "id": format!("receipt-{}", seen.events.len()), "data": receipt,
    }))
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}
