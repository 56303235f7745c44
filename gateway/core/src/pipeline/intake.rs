//! What came in, and whose it is.

use std::collections::BTreeSet;
use thiserror::Error;

use super::Site;
use crate::decode::{Arrival, DecodeError, Said, SensorType, Speaker};
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
    /// The devices that it is of, one entry for each reading or sign of life.
    pub devices: Vec<Heard>,
    /// New readings.
    pub readings: u32,
    /// Readings that were there already.
    pub duplicates: u32,
    /// Readings placed before newer ones.
    pub late: u32,
    /// Values in it that could not be taken.
    pub refused: Vec<DecodeError>,
}

/// A device that was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Where it is in the registry.
    pub device: usize,
    /// How the message called it.
    pub called: Called,
    /// Whether it brought a reading that was not there yet.
    pub new_reading: bool,
}

/// How a message calls a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Called {
    /// By its id.
    Id,
    /// By what its own system calls it.
    KnownAs,
    /// Not at all: the message is about all of its type.
    NotByName,
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
#[derive(Default)]
pub(super) struct Understood {
    /// Without a reading it is a sign of life.
    pub(super) said: Vec<(usize, Called, Option<Reading>)>,
    pub(super) refused: Vec<DecodeError>,
}

impl Site {
    /// What the device `registry.devices[device]` measured, of a message that came at `now`; nothing where it is of others.
    pub(crate) fn readings_of(&self, device: usize, message: &Message<'_>, now: TimeMs) -> Vec<Reading> {
        let Some(wanted) = self.registry.devices.get(device) else { return Vec::new() };
        let may_be_of_it = match message.device {
            Some(id) => id == wanted.id,
            None => self.meant_by(message.topic).any(|(sensor_type, named)| {
                sensor_type.id == wanted.sensor_type && named.is_none_or(|named| named == device)
            }),
        };
        // Most messages are of others: nothing of them is read.
        let understood = may_be_of_it.then(|| understand(self, message, now).ok()).flatten();
        let said = understood.map(|understood| understood.said).unwrap_or_default();
        said.into_iter().filter(|(of, ..)| *of == device).filter_map(|(.., reading)| reading).collect()
    }
}

/// Reads a message.
///
/// # Errors
/// Why it brings nothing.
pub(super) fn understand(site: &Site, message: &Message<'_>, now: TimeMs) -> Result<Understood, Reject> {
    let arrival = Arrival { at_ms: now, utc_offset: site.utc_offset };
    match message.device {
        Some(id) => understand_device(site, id, message, arrival),
        None => understand_any(site, message, arrival),
    }
}

/// Reads a message of the device that proved to be `id`: it speaks for itself alone.
fn understand_device(site: &Site, id: &str, message: &Message<'_>, arrival: Arrival) -> Result<Understood, Reject> {
    let unknown = || Reject::UnknownDevice(message.topic.to_owned());
    let index = site.device_index(id).ok_or_else(unknown)?;
    let device = site.registry.devices.get(index).ok_or_else(unknown)?;
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
    let decoded = sensor_type.decode(message.topic, message.payload, arrival).map_err(reject)?;
    let mut understood = Understood { said: Vec::with_capacity(decoded.said.len()), refused: decoded.refused };
    for Said { speaker, reading, .. } in decoded.said {
        match speaker {
            Speaker::Device(name) if *name != *device.id && *name != *device.known_as => {
                understood.refused.push(DecodeError {
                    code: "wrong_device",
                    detail: format!("the message names the device `{name}`, its sender is `{id}`"),
                });
            }
            Speaker::Device(_) | Speaker::All => understood.said.push((index, Called::Id, reading)),
        }
    }
    if understood.said.is_empty()
        && let Some(error) = understood.refused.pop()
    {
        return Err(reject(error));
    }
    Ok(understood)
}

/// Reads a message from a broker, where topic and payload tell whose it is. A batch may hold devices
/// of several types, so every type that hears the topic is asked.
fn understand_any(site: &Site, message: &Message<'_>, arrival: Arrival) -> Result<Understood, Reject> {
    let mut understood = Understood::default();
    // By what they are called; another type may know them.
    let (mut strangers, mut known) = (BTreeSet::new(), BTreeSet::new());
    let (mut heard, mut first_reject) = (false, None);
    for (sensor_type, device) in site.meant_by(message.topic) {
        match sensor_type.decode(message.topic, message.payload, arrival) {
            Ok(decoded) => {
                heard |= decoded.said.is_empty();
                understood.refused.extend(decoded.refused);
                for Said { speaker, reading, .. } in decoded.said {
                    let Speaker::Device(name) = speaker else {
                        say_to_all(site, sensor_type, reading.as_ref(), &mut understood);
                        continue;
                    };
                    match site.device_called(sensor_type, &name) {
                        Some((index, called)) => {
                            understood.said.push((index, called, reading));
                            known.insert(name.into_owned());
                        }
                        None => _ = strangers.insert(name.into_owned()),
                    }
                }
            }
            Err(error) => {
                let named = device.and_then(|index| site.registry.devices.get(index));
                let device = named.map_or_else(|| format!("? ({})", sensor_type.id), |device| device.id.clone());
                first_reject = first_reject.or(Some(Reject::Decode { device, error }));
            }
        }
    }
    // A batch that holds nobody is understood; one that holds strangers alone is not.
    if understood.said.is_empty() && !(heard && strangers.is_empty()) {
        return Err(first_reject.unwrap_or_else(|| Reject::UnknownDevice(message.topic.to_owned())));
    }
    if let Some(Reject::Decode { error, .. }) = first_reject {
        understood.refused.push(error);
    }
    understood.refused.extend(strangers.difference(&known).map(|name| DecodeError {
        code: "unknown_device",
        detail: format!("no device that comes on this topic is called `{name}`"),
    }));
    Ok(understood)
}

/// What is said of all devices of a type. That it is passed over is nobody's sign of life.
fn say_to_all(site: &Site, sensor_type: &SensorType, reading: Option<&Reading>, understood: &mut Understood) {
    let Some(reading) = reading else { return };
    let devices = site.registry.devices.iter().enumerate();
    let own = devices.filter(|(_, device)| device.sensor_type == sensor_type.id);
    understood.said.extend(own.map(|(index, _)| (index, Called::NotByName, Some(reading.clone()))));
}
