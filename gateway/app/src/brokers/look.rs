//! What is at an address where a broker may be: whether it lets us in, and whether Zigbee2MQTT is there with devices.

use rumqttc::{AsyncClient, ConnectReturnCode, ConnectionError, Event, Packet, QoS, SubscribeFilter};
use serde::Serialize;
use serde_json::Value;
use std::time::{Duration, Instant};

use crate::mqtt_client::{Access, network_options};
use crate::private::typable;

/// A box beside us answers in milliseconds; a person waits for this.
const PATIENCE: Duration = Duration::from_secs(6);
/// What is retained comes right after the subscription.
const RETAINED: Duration = Duration::from_millis(1500);
/// A list of 200 devices has some 2 MiB.
const LARGEST: usize = 16 << 20;
const INFO: &str = "zigbee2mqtt/bridge/info";
const DEVICES: &str = "zigbee2mqtt/bridge/devices";

/// What came of knocking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    LetIn,
    /// It wants a user name and a password.
    NeedsPassword,
    /// The ones given are wrong, or not enough.
    WrongPassword,
    /// Nobody listens there.
    Unreachable,
    /// Somebody listens, and it is no broker, or its certificate is not trusted.
    NoBroker,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Found {
    pub(crate) answer: Answer,
    /// Its version, where Zigbee2MQTT is there.
    pub(crate) zigbee2mqtt: Option<String>,
    #[serde(skip)]
    pub(crate) devices: Vec<Zigbee>,
}

/// A device as Zigbee2MQTT lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Zigbee {
    /// `0x` and the EUI-64.
    pub(crate) address: String,
    /// As it is called in topics.
    pub(crate) name: String,
    pub(crate) maker: String,
    pub(crate) model: String,
    pub(crate) about: String,
    /// The first of these that is in use fits it best.
    pub(crate) types: Vec<&'static str>,
}

/// Knocks, and looks around where it is let in. Nothing is left behind at the broker.
///
/// # Errors
/// That the system has no randomness.
pub(crate) async fn look(access: Access, has_login: bool) -> anyhow::Result<Found> {
    let mut options = access.v4(&format!("ninewatch-look-{}", typable(2)?));
    options.set_clean_session(true).set_max_packet_size(LARGEST, LARGEST);
    let (client, mut events) = AsyncClient::new(options, 4);
    events.set_network_options(network_options());
    let begun = Instant::now();
    let mut found = Found { answer: Answer::Unreachable, zigbee2mqtt: None, devices: Vec::new() };
    let (mut until, mut has_devices) = (PATIENCE, false);
    while let Some(left) = until.checked_sub(begun.elapsed()) {
        let Ok(event) = tokio::time::timeout(left, events.poll()).await else { break };
        match event {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                found.answer = Answer::LetIn;
                let filters = [INFO, DEVICES].map(|topic| SubscribeFilter::new(topic.to_owned(), QoS::AtMostOnce));
                client.try_subscribe_many(filters)?;
            }
            Ok(Event::Incoming(Packet::SubAck(_))) => until = begun.elapsed() + RETAINED,
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                let said = serde_json::from_slice(&publish.payload).unwrap_or(Value::Null);
                if publish.topic == INFO {
                    found.zigbee2mqtt = said["version"].as_str().map(|version| version.chars().take(40).collect());
                } else if publish.topic == DEVICES {
                    found.devices = devices(&said);
                    has_devices = true;
                }
                if has_devices && found.zigbee2mqtt.is_some() {
                    break;
                }
            }
            Ok(_) => {}
            Err(error) => {
                if found.answer != Answer::LetIn {
                    found.answer = why(&error, has_login);
                }
                break;
            }
        }
    }
    let _ = client.try_disconnect();
    let _ = tokio::time::timeout(Duration::from_millis(200), async { while events.poll().await.is_ok() {} }).await;
    Ok(found)
}

fn why(error: &ConnectionError, has_login: bool) -> Answer {
    let refused = if has_login { Answer::WrongPassword } else { Answer::NeedsPassword };
    match error {
        ConnectionError::ConnectionRefused(
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized,
        ) => refused,
        ConnectionError::Io(error)
            if matches!(error.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof) =>
        {
            Answer::NoBroker
        }
        ConnectionError::Io(_) | ConnectionError::NetworkTimeout => Answer::Unreachable,
        _ => Answer::NoBroker,
    }
}

/// The devices of `zigbee2mqtt/bridge/devices`, without the coordinator and those that are switched off.
pub(super) fn devices(list: &Value) -> Vec<Zigbee> {
    /// More than a Zigbee network has.
    const MOST: usize = 1000;
    let text = |value: &Value| value.as_str().unwrap_or_default().chars().take(120).collect::<String>();
    let of = |device: &Value| {
        let (address, name) = (text(&device["ieee_address"]), text(&device["friendly_name"]));
        let is_one = device["type"] != "Coordinator" && device["disabled"] != true && !address.is_empty();
        let definition = &device["definition"];
        let mut properties = Vec::new();
        collect(&definition["exposes"], 0, &mut properties);
        (is_one && !name.is_empty()).then(|| Zigbee {
            address,
            name,
            maker: text(&definition["vendor"]),
            model: text(&definition["model"]),
            about: text(&definition["description"]),
            types: types(&properties),
        })
    };
    list.as_array().into_iter().flatten().filter_map(of).take(MOST).collect()
}

/// All `property` in what a device exposes; some are within `features` of others.
fn collect<'v>(exposes: &'v Value, depth: usize, properties: &mut Vec<&'v str>) {
    const DEEPEST: usize = 4;
    for one in exposes.as_array().into_iter().flatten() {
        properties.extend(one["property"].as_str());
        if depth < DEEPEST {
            collect(&one["features"], depth + 1, properties);
        }
    }
}

/// What a device that measures this is, the gravest first: a smoke detector with a temperature is a smoke detector.
const BY_PROPERTY: [(&str, &str); 13] = [
    ("smoke", "zigbee2mqtt-smoke"),
    ("gas", "zigbee2mqtt-gas"),
    ("carbon_monoxide", "zigbee2mqtt-co"),
    ("sos", "zigbee2mqtt-sos"),
    ("water_leak", "zigbee2mqtt-leak"),
    ("contact", "zigbee2mqtt-contact"),
    ("vibration", "zigbee2mqtt-vibration"),
    ("target_distance", "zigbee2mqtt-radar"),
    ("presence", "zigbee2mqtt-radar"),
    ("occupancy", "zigbee2mqtt-occupancy"),
    ("power", "zigbee2mqtt-plug"),
    ("current", "zigbee2mqtt-plug"),
    ("energy", "zigbee2mqtt-plug"),
];

fn types(properties: &[&str]) -> Vec<&'static str> {
    BY_PROPERTY.iter().filter(|(property, _)| properties.contains(property)).map(|(_, of)| *of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn devices_are_listed_with_the_type_that_fits_what_they_measure() {
        let list = json!([
            {"ieee_address": "0x00124b0000000000", "friendly_name": "Coordinator", "type": "Coordinator"},
            {"ieee_address": "0x00158d0001", "friendly_name": "一楼/厨房 烟感", "type": "EndDevice", "definition": {
                "vendor": "Heiman", "model": "HS1SA", "description": "Smoke detector",
                "exposes": [{"type": "binary", "property": "smoke"}, {"type": "numeric", "property": "temperature"}]}},
            {"ieee_address": "0x00158d0002", "friendly_name": "plug", "type": "Router", "definition": {
                "vendor": "Tuya", "model": "TS011F",
                "exposes": [{"type": "switch", "features": [{"property": "state"}]}, {"property": "power"}]}},
            {"ieee_address": "0x00158d0003", "friendly_name": "new", "type": "EndDevice", "definition": null},
            {"ieee_address": "0x00158d0004", "friendly_name": "off", "type": "EndDevice", "disabled": true},
        ]);
        let found = devices(&list);
        let seen: Vec<(&str, Vec<&str>)> = found.iter().map(|one| (one.name.as_str(), one.types.clone())).collect();
        let expected =
            [("一楼/厨房 烟感", vec!["zigbee2mqtt-smoke"]), ("plug", vec!["zigbee2mqtt-plug"]), ("new", vec![])];
        assert_eq!(seen, expected);
        assert_eq!((found[0].maker.as_str(), found[0].model.as_str()), ("Heiman", "HS1SA"));
        for broken in [json!(null), json!({}), json!([1, "x", {}, {"ieee_address": 1}])] {
            assert_eq!(devices(&broken), []);
        }
    }

    #[test]
    fn every_type_that_is_offered_is_built_in() {
        for (_, of) in BY_PROPERTY {
            let path = format!("{}/../sensors/{of}.toml", env!("CARGO_MANIFEST_DIR"));
            assert!(std::path::Path::new(&path).is_file(), "{of}");
        }
    }
}
