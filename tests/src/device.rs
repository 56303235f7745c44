//! Devices as real MQTT clients (rumqttc), and the payloads they send.

use anyhow::{Context, bail};
use base64::Engine as _;
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::root;

/// Seconds since 1970, as SenML's base time.
pub fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// A gas detector's reading, about 200 bytes.
pub fn gas(device: &str, at_s: f64, co_ppm: f64) -> String {
    format!(
        "[{{\"bn\":\"{device}/\",\"bt\":{at_s:.3},\"n\":\"co_ppm\",\"u\":\"ppm\",\"v\":{co_ppm}}},\
         {{\"n\":\"lel_percent\",\"u\":\"%\",\"v\":0.4}},{{\"n\":\"gas_alarm\",\"vb\":false}},\
         {{\"n\":\"temperature_c\",\"u\":\"Cel\",\"v\":21.5}}]"
    )
}

/// A water sensor's reading, about 150 bytes.
pub fn water(device: &str, at_s: f64, pressure_mpa: f64, leak: bool) -> String {
    format!(
        "[{{\"bn\":\"{device}/\",\"bt\":{at_s:.3},\"n\":\"pressure_mpa\",\"u\":\"MPa\",\"v\":{pressure_mpa}}},\
         {{\"n\":\"leak\",\"vb\":{leak}}}]"
    )
}

/// An SOS button's reading.
pub fn sos(device: &str, at_s: f64, pressed: bool) -> String {
    format!("[{{\"bn\":\"{device}/\",\"bt\":{at_s:.3},\"n\":\"sos\",\"vb\":{pressed}}}]")
}

/// A made-up fall, as a bracelet sends it: int16, 0.01 m/s² and 0.002 rad/s a count.
///
/// # Errors
/// Where the model's golden bursts are not there.
pub fn fall(device: &str, at_s: f64) -> anyhow::Result<String> {
    let golden: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(root().join("models/fall/golden.json"))?)?;
    let tumble = golden.iter().find(|burst| burst["name"] == "tumble").context("a tumble")?;
    let samples = tumble["samples"].as_array().context("its samples")?.iter().filter_map(Value::as_f64);
    let per_count = [0.01, 0.01, 0.01, 0.002, 0.002, 0.002].into_iter().cycle();
    #[allow(clippy::cast_possible_truncation, reason = "as on the wire")]
    let bytes: Vec<u8> =
        samples.zip(per_count).flat_map(|(value, unit)| ((value / unit).round() as i16).to_le_bytes()).collect();
    let data = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    Ok(format!("[{{\"bn\":\"{device}/\",\"bt\":{at_s:.3},\"n\":\"motion\",\"vd\":\"{data}\"}}]"))
}

/// The topic of a device's readings.
pub fn topic(device: &str) -> String {
    format!("ninewatch/{device}/readings")
}

/// Options of a device that connects to the sensor port.
pub fn options(device: &str, secret: &str, port: SocketAddr) -> MqttOptions {
    let mut options = MqttOptions::new(device, port.ip().to_string(), port.port());
    options.set_credentials(device, secret);
    options.set_keep_alive(Duration::from_secs(30));
    options
}

/// A connected device that sends one message after the other.
pub struct Device {
    id: String,
    client: AsyncClient,
    events: EventLoop,
}

impl Device {
    /// Connects.
    ///
    /// # Errors
    /// Where the port refuses it.
    pub async fn connect(device: &str, secret: &str, port: SocketAddr) -> anyhow::Result<Self> {
        let (client, mut events) = AsyncClient::new(options(device, secret, port), 100);
        loop {
            if let Event::Incoming(Packet::ConnAck(_)) = events.poll().await? {
                return Ok(Self { id: device.to_owned(), client, events });
            }
        }
    }

    /// Publishes with QoS 1 and waits for the PUBACK.
    ///
    /// # Errors
    /// Where the connection ends before it comes.
    pub async fn publish(&mut self, payload: String) -> anyhow::Result<()> {
        self.client.publish(topic(&self.id), QoS::AtLeastOnce, false, payload).await.context("the client is gone")?;
        loop {
            match tokio::time::timeout(Duration::from_secs(30), self.events.poll()).await {
                Ok(Ok(Event::Incoming(Packet::PubAck(_)))) => return Ok(()),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => bail!(error),
                Err(_) => bail!("no PUBACK within 30 s"),
            }
        }
    }
}
