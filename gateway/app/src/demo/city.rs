//! The city above the demo's gateway: a little upstream that takes alert changes and gives receipts
//! for them, after `docs/upstream.md`.

pub(crate) mod endpoint;

use anyhow::{anyhow, bail};
use mqtt_protocol_core::mqtt::packet::{Packet, Qos, v5_0};
use mqtt_protocol_core::mqtt::result_code::{ConnectReasonCode, MqttError, SubackReasonCode};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::forward::UpstreamStatus;
use endpoint::Endpoint;

const USERNAME: &str = "kaili-demo";

/// What has come to the city.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Different alert changes.
    pub(crate) changes: usize,
    /// Those that came once more.
    pub(crate) repeated: usize,
}

/// A city at work until it is dropped.
pub(crate) struct City {
    address: SocketAddr,
    desk: Arc<Desk>,
    _serving: JoinSet<()>,
}

/// Where changes are filed.
struct Desk {
    password: String,
    filed: Mutex<Filed>,
}

#[derive(Default)]
struct Filed {
    sequences: BTreeSet<u64>,
    repeated: usize,
    /// The gateway's, and its first number.
    epoch: Epoch,
}

#[derive(Default, PartialEq, Deserialize)]
struct Epoch {
    epoch: String,
    first: u64,
}

impl City {
    /// Opens on a free port of loopback.
    ///
    /// # Errors
    /// Where there is none.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let secret = getrandom::u64().map_err(|error| anyhow!("the system gives no random numbers: {error}"))?;
        let desk = Arc::new(Desk { password: format!("{secret:016x}"), filed: Mutex::default() });
        let address = listener.local_addr()?;
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, desk.clone()));
        Ok(Self { address, desk, _serving: serving })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// User name and password.
    pub(crate) fn credential(&self) -> (&str, &str) {
        (USERNAME, &self.desk.password)
    }

    /// Waits until these upstreams lack no change, for `limit` at the longest. Whether they did.
    pub(crate) async fn settle(&self, upstreams: &[Arc<UpstreamStatus>], limit: Duration) -> bool {
        let all = async {
            for upstream in upstreams {
                upstream.until_backlog(0).await;
            }
        };
        tokio::time::timeout(limit, all).await.is_ok()
    }

    /// What has come so far.
    pub(crate) fn taken(&self) -> Taken {
        let filed = self.desk.filed.lock().unwrap_or_else(PoisonError::into_inner);
        Taken { changes: filed.sequences.len(), repeated: filed.repeated }
    }
}

/// Serves one gateway: a new connection ends the one before.
async fn serve(listener: TcpListener, desk: Arc<Desk>) {
    let mut gateways = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                gateways.shutdown().await;
                let desk = desk.clone();
                gateways.spawn(async move {
                    if let Err(error) = desk.talk(stream).await {
                        tracing::warn!("the city lost its gateway: {error:#}");
                    }
                });
            }
            Err(error) => {
                tracing::warn!("the city cannot take a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

impl Desk {
    async fn talk(&self, stream: TcpStream) -> anyhow::Result<()> {
        let mut gateway = Endpoint::new(stream);
        let Some(Packet::V5_0Connect(connect)) = gateway.receive().await? else { bail!("no CONNECT of MQTT 5") };
        let known = connect.user_name() == Some(USERNAME) && connect.password() == Some(self.password.as_bytes());
        let reason = if known { ConnectReasonCode::Success } else { ConnectReasonCode::BadUserNameOrPassword };
        gateway
            .send(v5_0::Connack::builder().session_present(false).reason_code(reason).build().map_err(mqtt)?)
            .await?;
        if !known {
            bail!("a wrong password");
        }
        let mut actions = None;
        // The last event that wants a receipt.
        let mut owed = None;
        while let Some(packet) = gateway.receive().await? {
            match packet {
                Packet::V5_0Subscribe(subscribe) => {
                    actions = subscribe.entries().first().map(|entry| entry.topic_filter().to_owned());
                    let codes = vec![SubackReasonCode::GrantedQos1; subscribe.entries().len()];
                    let suback = v5_0::Suback::builder().packet_id(subscribe.packet_id()).reason_codes(codes);
                    gateway.send(suback.build().map_err(mqtt)?).await?;
                }
                Packet::V5_0Publish(publish) => {
                    owed = self.file(publish.payload().as_slice())?.or(owed);
                    if let Some(id) = publish.packet_id() {
                        gateway.send(v5_0::Puback::builder().packet_id(id).build().map_err(mqtt)?).await?;
                    }
                }
                Packet::V5_0Disconnect(_) => return Ok(()),
                _ => {}
            }
            // One receipt for what came together.
            if let (Some(topic), Some(event)) = (&actions, &owed)
                && !gateway.has_received()
                && let Some(id) = gateway.packet_id()
            {
                let receipt = v5_0::Publish::builder().topic_name(topic.as_str()).map_err(mqtt)?;
                let receipt = receipt.qos(Qos::AtLeastOnce).packet_id(id).payload(self.receipt(event));
                gateway.send(receipt.build().map_err(mqtt)?).await?;
                owed = None;
            }
        }
        Ok(())
    }

    /// Files an event; gives its id if it wants a receipt.
    fn file(&self, payload: &[u8]) -> anyhow::Result<Option<String>> {
        #[derive(Deserialize)]
        struct Event {
            id: String,
            r#type: String,
            sequence: Option<String>,
            epoch: Option<String>,
            data: serde_json::Value,
        }
        let event: Event = serde_json::from_slice(payload)?;
        let mut filed = self.filed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sequence) = event.sequence {
            let sequence: u64 = sequence.parse()?;
            let is_of_another_box = sequence >= filed.epoch.first && event.epoch.as_ref() != Some(&filed.epoch.epoch);
            if !is_of_another_box && !filed.sequences.insert(sequence) {
                filed.repeated += 1;
            }
        } else if event.r#type == "cn.ninewatch.online" {
            let epoch: Epoch = serde_json::from_value(event.data)?;
            if epoch != filed.epoch {
                // The gateway was restored: it gives these numbers to other changes.
                filed.sequences.split_off(&epoch.first);
                filed.epoch = epoch;
            }
        } else {
            return Ok(None);
        }
        Ok(Some(event.id))
    }

    /// The whole truth about what is filed, as the answer to `event`.
    fn receipt(&self, event: &str) -> String {
        let filed = self.filed.lock().unwrap_or_else(PoisonError::into_inner);
        let up_to = (1..).zip(&filed.sequences).take_while(|(number, sequence)| number == *sequence).count() as u64;
        let also: Vec<u64> = filed.sequences.range(up_to + 1..).copied().collect();
        json!({
            "specversion": "1.0", "id": format!("receipt-{event}"), "source": "/city", "type": "cn.ninewatch.receipt",
            "data": {"epoch": filed.epoch.epoch, "up_to": up_to, "also": also, "answers": event},
        })
        .to_string()
    }
}

fn mqtt(error: MqttError) -> anyhow::Error {
    anyhow!("MQTT: {error:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_tells_what_is_stored_and_counts_what_comes_again() {
        let city = City::start().await.unwrap();
        let online = |id: &str, epoch: &str, first: u64| {
            let data = json!({"epoch": epoch, "first": first});
            let event = json!({"id": id, "type": "cn.ninewatch.online", "data": data});
            assert_eq!(city.desk.file(event.to_string().as_bytes()).unwrap().as_deref(), Some(id));
        };
        let change = |n: u64, epoch: &str| {
            let event = json!({
                "id": format!("a.{n}"), "type": "cn.ninewatch.alert.raised", "sequence": format!("{n:020}"),
                "epoch": epoch, "data": {},
            });
            assert_eq!(city.desk.file(event.to_string().as_bytes()).unwrap(), Some(format!("a.{n}")));
        };
        online("o1", "e1", 1);
        for n in [1, 2, 4, 2] {
            change(n, "e1");
        }
        assert_eq!(city.taken(), Taken { changes: 3, repeated: 1 });
        let receipt: serde_json::Value = serde_json::from_str(&city.desk.receipt("a.2")).unwrap();
        assert_eq!(receipt["data"], json!({"epoch": "e1", "up_to": 2, "also": [4], "answers": "a.2"}));
        let offline = json!({"id": "o", "type": "cn.ninewatch.offline", "data": {}}).to_string();
        assert_eq!(city.desk.file(offline.as_bytes()).unwrap(), None, "it wants no receipt");
        // Restored from a backup that has only the first change.
        online("o2", "e2", 2);
        change(3, "e1");
        change(2, "e2");
        let receipt: serde_json::Value = serde_json::from_str(&city.desk.receipt("a.2")).unwrap();
        assert_eq!(receipt["data"], json!({"epoch": "e2", "up_to": 2, "also": [], "answers": "a.2"}));
    }
}
