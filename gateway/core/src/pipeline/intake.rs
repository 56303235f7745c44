//! What came in, and whose it is.

use thiserror::Error;

use super::Site;
use crate::decode::{Arrival, DecodeError, Decoded, Hears, Said, SensorType, Speaker};
use crate::reading::Reading;
use crate::time::TimeMs;

/// Bytes that came in by a door.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The device that proved to be itself; `None` at a broker, where the topic tells.
    pub device: Option<&'a str>,
    /// The MQTT topic.
    pub topic: &'a str,
    /// The payload.
    pub payload: &'a [u8],
    /// Whether the sender marked it as sent before (MQTT's DUP).
    pub redelivered: bool,
}

/// What a message brought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Intake {
    /// Where its device is in the registry, the first of several; `None` where a batch holds nobody.
    pub device: Option<usize>,
    /// New readings.
    pub readings: u32,
    /// Readings that were there already.
    pub duplicates: u32,
    /// Readings placed before newer ones.
    pub late: u32,
    /// Values in it that could not be taken.
    pub refused: Vec<DecodeError>,
}

/// Why a message brought nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Reject {
    /// Nobody registered this device.
    #[error("unknown_device: no device is registered for topic `{0}`")]
    UnknownDevice(String),
    /// The device's type is not there, or was set aside for a fault.
    #[error("unknown_type: device `{device}` is of type `{sensor_type}`, which is not in use")]
    UnknownType {
        /// The device.
        device: String,
        /// Its type.
        sensor_type: String,
    },
    /// Devices of its type publish elsewhere.
    #[error("wrong_topic: device `{device}` sent to `{topic}`; its type publishes to `{wanted}`")]
    WrongTopic {
        /// The device.
        device: String,
        /// Where it published.
        topic: String,
        /// Where its type publishes.
        wanted: String,
    },
    /// The payload is not as the type says.
    #[error("device `{device}`: {error}")]
    Decode {
        /// The device.
        device: String,
        /// What is wrong.
        error: DecodeError,
    },
}

impl Reject {
    /// A short fixed word, for counting.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownDevice(_) => "unknown_device",
            Self::UnknownType { .. } => "unknown_type",
            Self::WrongTopic { .. } => "wrong_topic",
            Self::Decode { error, .. } => error.code,
        }
    }
}

/// What devices of the registry said in a message.
pub(super) struct Understood {
    /// A device that it is of.
    pub(super) first: Option<usize>,
    /// By device; without a reading it is a sign of life.
    pub(super) readings: Vec<(usize, Option<Reading>)>,
    pub(super) refused: Vec<DecodeError>,
}

/// Reads a message.
///
/// # Errors
/// Why it brings nothing.
pub(super) fn understand(site: &Site, message: &Message<'_>, now: TimeMs) -> Result<Understood, Reject> {
    match message.device {
        Some(id) => understand_device(site, id, message, now),
        None => understand_any(site, message, now),
    }
}

/// Reads a message of the device that proved to be `id`: it speaks for itself alone.
fn understand_device(site: &Site, id: &str, message: &Message<'_>, now: TimeMs) -> Result<Understood, Reject> {
    let unknown = || Reject::UnknownDevice(message.topic.to_owned());
    let first = site.device_index(id).ok_or_else(unknown)?;
    let device = site.registry.devices.get(first).ok_or_else(unknown)?;
    let reject = |error| Reject::Decode { device: device.id.clone(), error };
    let sensor_type = site
        .sensor_types
        .get(&device.sensor_type)
        .ok_or_else(|| Reject::UnknownType { device: device.id.clone(), sensor_type: device.sensor_type.clone() })?;
    if sensor_type.hears(message.topic).is_none() {
        return Err(Reject::WrongTopic {
            device: device.id.clone(),
            topic: message.topic.to_owned(),
            wanted: sensor_type.topics().collect::<Vec<_>>().join(", "),
        });
    }
    let arrival = Arrival { at_ms: now, utc_offset: site.utc_offset };
    let Decoded { said, mut refused } = sensor_type.decode(message.topic, message.payload, arrival).map_err(reject)?;
    let mut readings = Vec::with_capacity(said.len());
    for Said { speaker, reading } in said {
        match speaker {
            Speaker::Device(name) if *name != *device.id && *name != *device.known_as => refused.push(DecodeError {
                code: "wrong_device",
                detail: format!("the message names the device `{name}`, its sender is `{id}`"),
            }),
            Speaker::Device(_) | Speaker::All => readings.push((first, reading)),
        }
    }
    if readings.is_empty()
        && let Some(error) = refused.pop()
    {
        return Err(reject(error));
    }
    Ok(Understood { first: Some(first), readings, refused })
}

/// Reads a message from a broker, where topic and payload tell whose it is.
fn understand_any(site: &Site, message: &Message<'_>, now: TimeMs) -> Result<Understood, Reject> {
    let arrival = Arrival { at_ms: now, utc_offset: site.utc_offset };
    let mut first_reject = None;
    for sensor_type in site.types_in_use.iter().filter_map(|id| site.sensor_types.get(id)) {
        let device = match sensor_type.hears(message.topic) {
            None => continue,
            Some(Hears::PayloadTells) => None,
            Some(Hears::Device(name)) => match site.device_called(sensor_type, &name) {
                None => continue,
                known => known,
            },
        };
        match sensor_type.decode(message.topic, message.payload, arrival) {
            Ok(decoded) => {
                if let Some(understood) = attribute(site, sensor_type, decoded) {
                    return Ok(understood);
                }
            }
            Err(error) => {
                let named = device.and_then(|index| site.registry.devices.get(index));
                let device = named.map_or_else(|| format!("? ({})", sensor_type.id), |device| device.id.clone());
                first_reject = first_reject.or(Some(Reject::Decode { device, error }));
            }
        }
    }
    Err(first_reject.unwrap_or_else(|| Reject::UnknownDevice(message.topic.to_owned())))
}

/// Finds the devices that spoke in the registry; `None` where none of them is there.
fn attribute(site: &Site, sensor_type: &SensorType, decoded: Decoded<'_>) -> Option<Understood> {
    let mut readings = Vec::with_capacity(decoded.said.len());
    let mut refused = decoded.refused;
    for Said { speaker, reading } in decoded.said {
        match speaker {
            Speaker::All => {
                let all = site.registry.devices.iter().enumerate();
                let own = all.filter(|(_, device)| device.sensor_type == sensor_type.id);
                readings.extend(own.map(|(index, _)| (index, reading.clone())));
            }
            Speaker::Device(name) => match site.device_called(sensor_type, &name) {
                Some(index) => readings.push((index, reading)),
                None => refused.push(DecodeError {
                    code: "unknown_device",
                    detail: format!("no device of type `{}` is called `{name}`", sensor_type.id),
                }),
            },
        }
    }
    let first = readings.first().map(|(index, _)| *index);
    // A batch that holds nobody is understood; one that holds strangers alone is not.
    (first.is_some() || refused.is_empty()).then_some(Understood { first, readings, refused })
}
