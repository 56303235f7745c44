//! The wired door: contacts and thermometers on the gateway's own pins.

use anyhow::Context;
use embedded_hal::digital::InputPin;
use embedded_hal::i2c::I2c;
use serde_json::json;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ninewatch_core::time::Span;
use ninewatch_drivers::contact::Contact;
use ninewatch_drivers::tmp102::Tmp102;

use crate::config::{Level, WiredInput};
use crate::engine::{Engine, Inbound, Stopped};

/// How often contacts are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How often a level that did not change is told all the same, as a sign of life.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// How often a thermometer is read: heat detection wants several a minute.
const READ_EVERY: Duration = Duration::from_secs(10);

/// The inputs of the gateway's own pins.
pub(crate) struct Wired {
    inputs: Vec<Input>,
}

/// An input and the device that it speaks for.
struct Input {
    device: Arc<str>,
    field: String,
    line: Box<dyn Line>,
    /// An error is told when it begins, not at every look.
    failing: bool,
}

/// What is on a pin or a bus.
trait Line: Send {
    /// What there is to tell `since_start` after the start, if anything: a SenML value.
    fn look(&mut self, since_start: Duration) -> anyhow::Result<Option<(&'static str, serde_json::Value)>>;
}

impl Wired {
    /// Opens the pins and buses. Without any input no hardware is touched.
    ///
    /// # Errors
    /// Where this is no Raspberry Pi, or a pin or bus is not to be had.
    pub(crate) fn open(inputs: &[WiredInput]) -> anyhow::Result<Self> {
        let open = |input: &WiredInput| {
            let line = open_line(input).with_context(|| {
                format!("the wired input of device `{}` cannot be opened; mend [[wired]] in site.toml", input.device)
            })?;
            Ok(Input { device: input.device.as_str().into(), field: input.field.clone(), line, failing: false })
        };
        Ok(Self { inputs: inputs.iter().map(open).collect::<anyhow::Result<_>>()? })
    }

    /// Reads the inputs until the engine stops.
    pub(crate) async fn serve(mut self, engine: Engine) -> Result<(), Stopped> {
        let start = Instant::now();
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            let messages = self.look(start.elapsed());
            if !messages.is_empty() {
                engine.submit(messages).await?;
            }
        }
    }

    fn look(&mut self, since_start: Duration) -> Vec<Inbound> {
        self.inputs.iter_mut().filter_map(|input| input.look(since_start)).collect()
    }
}

impl Input {
    fn look(&mut self, since_start: Duration) -> Option<Inbound> {
        match self.line.look(since_start) {
            Ok(told) => {
                self.failing = false;
                let (label, value) = told?;
                // Without a time: it is of now.
                let payload = json!([{"n": self.field, label: value}]).to_string();
                Some(Inbound {
                    door: "wired".into(),
                    device: Some(self.device.clone()),
                    topic: format!("ninewatch/{}/readings", self.device),
                    payload: payload.into(),
                    redelivered: false,
                    ack: None,
                })
            }
            // What cannot be read says nothing, and so becomes a silent device.
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(device = %self.device, "a wired input cannot be read: {error:#}");
                }
                None
            }
        }
    }
}

fn open_line(input: &WiredInput) -> anyhow::Result<Box<dyn Line>> {
    if let Some(contact) = &input.contact {
        let gpio = rppal::gpio::Gpio::new().context("this machine's GPIO is not that of a Raspberry Pi")?;
        let pin = gpio.get(contact.pin).with_context(|| format!("GPIO {} is not to be had", contact.pin))?;
        let pin = match contact.active {
            Level::Low => pin.into_input_pullup(),
            Level::High => pin.into_input_pulldown(),
        };
        return Ok(Box::new(ContactLine::new(pin, contact.active, contact.settle)));
    }
    let thermometer = input.thermometer.as_ref().context("it is wired to nothing")?;
    let bus = rppal::i2c::I2c::with_bus(thermometer.i2c_bus)
        .with_context(|| format!("I²C bus {} is not to be had: is it switched on?", thermometer.i2c_bus))?;
    Ok(Box::new(ThermometerLine { sensor: Tmp102::new(bus, thermometer.address), next: Duration::ZERO }))
}

struct ContactLine<P> {
    contact: Contact<P>,
    next: Duration,
}

impl<P: InputPin> ContactLine<P> {
    fn new(pin: P, active: Level, settle: Span) -> Self {
        let settle_ms = u32::try_from(settle.ms()).unwrap_or(u32::MAX);
        Self { contact: Contact::new(pin, active.into(), settle_ms), next: TELL_EVERY }
    }
}

impl<P: InputPin + Send> Line for ContactLine<P> {
    fn look(&mut self, since_start: Duration) -> anyhow::Result<Option<(&'static str, serde_json::Value)>> {
        let now_ms = u64::try_from(since_start.as_millis()).unwrap_or(u64::MAX);
        let changed = self.contact.poll(now_ms).map_err(|error| hardware(&error))?;
        let due = (since_start >= self.next).then(|| self.contact.is_made()).flatten();
        let Some(made) = changed.or(due) else { return Ok(None) };
        self.next = since_start + TELL_EVERY;
        Ok(Some(("vb", made.into())))
    }
}

struct ThermometerLine<I> {
    sensor: Tmp102<I>,
    next: Duration,
}

impl<I: I2c + Send> Line for ThermometerLine<I> {
    fn look(&mut self, since_start: Duration) -> anyhow::Result<Option<(&'static str, serde_json::Value)>> {
        if since_start < self.next {
            return Ok(None);
        }
        self.next = since_start + READ_EVERY;
        let celsius = self.sensor.read_c().map_err(|error| hardware(&error))?;
        Ok(Some(("v", f64::from(celsius).into())))
    }
}

/// embedded-hal's errors say what they are only by `Debug`.
fn hardware(error: &dyn Debug) -> anyhow::Error {
    anyhow::anyhow!("{error:?}")
}

#[cfg(test)]
mod tests {
    use embedded_hal_mock::eh1::digital::{Mock as Pin, State, Transaction as Get};
    use embedded_hal_mock::eh1::i2c::{Mock as Bus, Transaction};

    use super::*;
    use crate::config::WiredContact;

    fn wired(line: Box<dyn Line>, field: &str) -> Wired {
        Wired { inputs: vec![Input { device: "pump".into(), field: field.into(), line, failing: false }] }
    }

    fn payloads(messages: Vec<Inbound>) -> Vec<String> {
        messages.into_iter().map(|message| String::from_utf8(message.payload.to_vec()).unwrap()).collect()
    }

    #[test]
    fn a_contact_is_told_when_it_changes_and_as_a_sign_of_life() {
        let levels = [State::High, State::High, State::Low, State::Low, State::Low].map(Get::get);
        let mut pin = Pin::new(&levels);
        let mut wired = wired(Box::new(ContactLine::new(pin.clone(), Level::Low, Span::from_ms(20))), "leak");
        let mut said = Vec::new();
        for ms in [0, 30, 40, 70, 60_100] {
            said.push(payloads(wired.look(Duration::from_millis(ms))));
        }
        let leak = |on: bool| vec![format!("[{{\"n\":\"leak\",\"vb\":{on}}}]")];
        assert_eq!(said, [vec![], leak(false), vec![], leak(true), leak(true)]);
        pin.done();
    }

    #[test]
    fn a_thermometer_that_does_not_answer_says_nothing_and_is_asked_again() {
        let missing = embedded_hal::i2c::ErrorKind::NoAcknowledge(embedded_hal::i2c::NoAcknowledgeSource::Address);
        let mut bus = Bus::new(&[
            Transaction::write(0x48, vec![0]).with_error(missing),
            Transaction::write(0x48, vec![0]),
            Transaction::read(0x48, vec![0x19, 0]),
        ]);
        let line = ThermometerLine { sensor: Tmp102::new(bus.clone(), 0x48), next: Duration::ZERO };
        let mut wired = wired(Box::new(line), "temperature_c");
        assert_eq!(payloads(wired.look(Duration::ZERO)), Vec::<String>::new());
        assert_eq!(payloads(wired.look(Duration::from_secs(1))), Vec::<String>::new());
        assert_eq!(payloads(wired.look(Duration::from_secs(11))), ["[{\"n\":\"temperature_c\",\"v\":25.0}]"]);
        bus.done();
    }

    #[test]
    fn without_the_hardware_it_is_refused_in_words() {
        let input = WiredInput {
            device: "pump".into(),
            field: "leak".into(),
            contact: Some(WiredContact { pin: 17, active: Level::Low, settle: Span::from_ms(50) }),
            thermometer: None,
        };
        if let Err(error) = Wired::open(&[input]) {
            assert!(format!("{error:#}").starts_with("the wired input of device `pump` cannot be opened"), "{error:#}");
        }
        assert!(Wired::open(&[]).is_ok(), "without inputs no hardware is needed");
    }
}
