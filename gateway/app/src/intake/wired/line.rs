//! What hangs on a pin or a bus: when it is looked at, and what there is to tell.

use embedded_hal::digital::InputPin;
use embedded_hal::i2c::I2c;
use serde_json::{Value, json};
use std::fmt::Display;

use ninewatch_drivers::contact::Contact;
use ninewatch_drivers::sht3x::{MEASURE_MS, Sht3x};
use ninewatch_drivers::sos::{self, SosButton};
use ninewatch_drivers::tmp102::{CONVERSION_MS, Tmp102};

use crate::pins::{Simulated, is_on};

/// How often a level that did not change is told all the same, as a sign of life.
pub(super) const TELL_EVERY_MS: u64 = 60_000;
/// How often a thermometer is read: heat detection wants several a minute.
pub(super) const READ_EVERY_MS: u64 = 10_000;
/// How often a file in the place of hardware is looked at.
const SIMULATED_EVERY_MS: u64 = 100;

/// Something that is looked at again and again.
pub(super) trait Line: Send {
    /// What there is to tell at `now_ms` since the start, if anything: records of SenML.
    ///
    /// # Errors
    /// Where it cannot be read, or what it says cannot be relied on.
    fn look(&mut self, now_ms: u64) -> anyhow::Result<Option<Vec<Value>>>;
}

/// A state as a record of SenML. Without a time: it is of now.
pub(super) fn state(field: &str, on: bool) -> Value {
    json!({"n": field, "vb": on})
}

fn number(field: &str, value: f64) -> Value {
    json!({"n": field, "v": value})
}

/// In hundredths: no sensor here knows more, and it is stored with every reading.
fn hundredths(value: f32) -> f64 {
    (f64::from(value) * 100.0).round() / 100.0
}

/// The drivers' errors as words.
fn hardware(error: impl Display) -> anyhow::Error {
    anyhow::anyhow!("{error}")
}

/// A dry contact.
pub(super) struct ContactLine<P> {
    pub(super) field: String,
    pub(super) contact: Contact<P>,
    next_ms: u64,
}

impl<P> ContactLine<P> {
    pub(super) fn new(field: String, contact: Contact<P>) -> Self {
        Self { field, contact, next_ms: TELL_EVERY_MS }
    }
}

impl<P: InputPin<Error: Display> + Send> Line for ContactLine<P> {
    fn look(&mut self, now_ms: u64) -> anyhow::Result<Option<Vec<Value>>> {
        let changed = self.contact.poll(now_ms).map_err(hardware)?;
        if self.contact.is_unsteady(now_ms) {
            anyhow::bail!("the contact does not settle: look for a loose wire, or hum on a long one");
        }
        let due = (now_ms >= self.next_ms).then(|| self.contact.is_made()).flatten();
        let Some(made) = changed.or(due) else { return Ok(None) };
        self.next_ms = now_ms + TELL_EVERY_MS;
        Ok(Some(vec![state(&self.field, made)]))
    }
}

/// An SOS button.
pub(super) struct ButtonLine<P> {
    field: String,
    button: SosButton<P>,
    is_stuck: bool,
    next_ms: u64,
}

impl<P> ButtonLine<P> {
    pub(super) fn new(field: String, button: SosButton<P>) -> Self {
        Self { field, button, is_stuck: false, next_ms: TELL_EVERY_MS }
    }
}

impl<P: InputPin<Error: Display> + Send> Line for ButtonLine<P> {
    fn look(&mut self, now_ms: u64) -> anyhow::Result<Option<Vec<Value>>> {
        let told = match self.button.poll(now_ms).map_err(hardware)? {
            Some(sos::Event::Pressed) => Some(true),
            Some(sos::Event::Released { .. }) => {
                self.is_stuck = false;
                Some(false)
            }
            // The press was told, and is one.
            Some(sos::Event::Held) => None,
            Some(sos::Event::Stuck) => {
                self.is_stuck = true;
                None
            }
            None => None,
        };
        if self.is_stuck {
            let seconds = sos::STUCK_AFTER_MS / 1000;
            anyhow::bail!(
                "the button is pressed for more than {seconds} s: it is stuck, and no new press can be heard"
            );
        }
        if self.button.is_unsteady(now_ms) {
            anyhow::bail!("the button does not settle, so that no press can be heard: look for a loose wire");
        }
        let due = now_ms >= self.next_ms && !self.button.is_pressed();
        let Some(pressed) = told.or(due.then_some(false)) else { return Ok(None) };
        self.next_ms = now_ms + TELL_EVERY_MS;
        Ok(Some(vec![state(&self.field, pressed)]))
    }
}

/// A TMP102 or its like.
pub(super) struct ThermometerLine<I> {
    field: String,
    sensor: Tmp102<I>,
    next_ms: u64,
}

impl<I> ThermometerLine<I> {
    pub(super) fn new(field: String, sensor: Tmp102<I>) -> Self {
        Self { field, sensor, next_ms: 0 }
    }
}

impl<I: I2c + Send> Line for ThermometerLine<I> {
    fn look(&mut self, now_ms: u64) -> anyhow::Result<Option<Vec<Value>>> {
        if now_ms < self.next_ms {
            return Ok(None);
        }
        self.next_ms = now_ms + READ_EVERY_MS;
        // Each time: one that lost its power has forgotten, and measures in steps of half a degree.
        if !self.sensor.is_set_up().map_err(hardware)? {
            self.sensor.setup().map_err(hardware)?;
            self.next_ms = now_ms + u64::from(CONVERSION_MS);
            return Ok(None);
        }
        let celsius = self.sensor.read_c().map_err(hardware)?;
        Ok(Some(vec![number(&self.field, hundredths(celsius))]))
    }
}

/// An SHT3x.
pub(super) struct ClimateLine<I> {
    temperature: String,
    humidity: Option<String>,
    sensor: Sht3x<I>,
    is_measuring: bool,
    next_ms: u64,
}

impl<I> ClimateLine<I> {
    pub(super) fn new(temperature: String, humidity: Option<String>, sensor: Sht3x<I>) -> Self {
        Self { temperature, humidity, sensor, is_measuring: false, next_ms: 0 }
    }
}

impl<I: I2c + Send> Line for ClimateLine<I> {
    fn look(&mut self, now_ms: u64) -> anyhow::Result<Option<Vec<Value>>> {
        if now_ms < self.next_ms {
            return Ok(None);
        }
        if !std::mem::take(&mut self.is_measuring) {
            self.next_ms = now_ms + READ_EVERY_MS;
            self.sensor.start().map_err(hardware)?;
            self.is_measuring = true;
            self.next_ms = now_ms + u64::from(MEASURE_MS);
            return Ok(None);
        }
        self.next_ms = now_ms + READ_EVERY_MS;
        let climate = self.sensor.finish().map_err(hardware)?;
        let temperature = number(&self.temperature, hundredths(climate.temperature_c));
        let humidity = self.humidity.as_ref().map(|field| number(field, hundredths(climate.humidity_percent)));
        Ok(Some(std::iter::once(temperature).chain(humidity).collect()))
    }
}

/// A file in the place of what is no pin.
pub(super) struct SimulatedLine {
    file: Simulated,
    gives: Gives,
    last: Option<String>,
    next_ms: u64,
    tell_ms: u64,
}

/// What a file stands for.
pub(super) enum Gives {
    /// `on` or `off`.
    State(String),
    /// A number for each of the fields, with blanks between.
    Numbers(Vec<String>),
}

impl SimulatedLine {
    pub(super) fn new(file: Simulated, gives: Gives) -> Self {
        Self { file, gives, last: None, next_ms: 0, tell_ms: 0 }
    }
}

impl Line for SimulatedLine {
    fn look(&mut self, now_ms: u64) -> anyhow::Result<Option<Vec<Value>>> {
        if now_ms < self.next_ms {
            return Ok(None);
        }
        self.next_ms = now_ms + SIMULATED_EVERY_MS;
        let said = self.file.read()?;
        if now_ms < self.tell_ms && self.last.as_ref() == Some(&said) {
            return Ok(None);
        }
        let (told, every_ms) = match &self.gives {
            Gives::State(field) => (vec![state(field, is_on(&said)?)], TELL_EVERY_MS),
            Gives::Numbers(fields) => (numbers(fields, &said)?, READ_EVERY_MS),
        };
        self.last = Some(said);
        self.tell_ms = now_ms + every_ms;
        Ok(Some(told))
    }
}

fn numbers(fields: &[String], said: &str) -> anyhow::Result<Vec<Value>> {
    let values: Vec<f64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    if values.len() != fields.len() || values.len() != said.split_whitespace().count() {
        anyhow::bail!("`{said}` is not a number for each of {}", fields.join(", "));
    }
    Ok(fields.iter().zip(values).map(|(field, value)| number(field, value)).collect())
}
