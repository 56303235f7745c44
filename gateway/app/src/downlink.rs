//! The way down to devices: by the door at which they were heard.

use thiserror::Error;

use crate::brokers::Brokers;
use crate::engine::LastHeard;
use crate::intake::sensor_port::Downlink;

/// All ways down.
#[derive(Default)]
pub(crate) struct Downlinks {
    /// `None` where there is no sensor port.
    pub(crate) port: Option<Downlink>,
    pub(crate) brokers: Option<Brokers>,
}

/// Why a message was not handed to anybody. It is not kept for later.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum NotSent {
    #[error("device `{0}` is not connected to the sensor port, or has not subscribed to its downlink")]
    NotListening(String),
    #[error("`{0}` is not connected")]
    NotConnected(String),
    #[error("at the sensor port a device is told something on ninewatch/{device}/downlink, not on `{topic}`")]
    WrongTopic { device: String, topic: String },
    #[error("there is no way down through `{0}`")]
    NoWay(String),
}

impl Downlinks {
    /// Sends `payload` to `device`, which was heard so.
    ///
    /// # Errors
    /// Why nobody took it.
    pub(crate) async fn send(
        &self,
        heard: &LastHeard,
        device: &str,
        topic: String,
        payload: String,
    ) -> Result<(), NotSent> {
        if let Some(name) = heard.door.strip_prefix("broker:") {
            let broker = self.brokers.as_ref().and_then(|brokers| brokers.find(name));
            let broker = broker.ok_or_else(|| NotSent::NoWay(heard.door.to_string()))?;
            let sent = broker.publish(topic, payload.into_bytes()).await;
            return if sent { Ok(()) } else { Err(NotSent::NotConnected(heard.door.to_string())) };
        }
        let port = self.port.as_ref().filter(|_| &*heard.door == "sensor_port");
        let port = port.ok_or_else(|| NotSent::NoWay(heard.door.to_string()))?;
        let own = format!("ninewatch/{device}/downlink");
        let below =
            topic.strip_prefix(&own).and_then(|rest| if rest.is_empty() { Some("") } else { rest.strip_prefix('/') });
        let wrong = || NotSent::WrongTopic { device: device.to_owned(), topic: topic.clone() };
        let below = below.ok_or_else(wrong)?;
        if port.send(device, below, payload.as_bytes()) {
            Ok(())
        } else {
            Err(NotSent::NotListening(device.to_owned()))
        }
    }
}
