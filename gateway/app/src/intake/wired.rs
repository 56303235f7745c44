//! The wired door: contacts, buttons, thermometers and radars on the gateway's own pins.
//!
//! What can keep the others waiting (a bus that hangs, a port) has a thread of its own: a press is not late because a
//! thermometer is.

mod config;
mod line;
mod radar;
#[cfg(test)]
mod tests;

use anyhow::Context;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

use ninewatch_core::ailment::Ailment;
use ninewatch_core::alert::Text;
use ninewatch_drivers::contact::Contact;
use ninewatch_drivers::sht3x::Sht3x;
use ninewatch_drivers::sos::SosButton;
use ninewatch_drivers::tmp102::Tmp102;

pub(crate) use config::WiredInput;
use config::bus_path;
use line::{ButtonLine, ClimateLine, ContactLine, Gives, Line, SimulatedLine, ThermometerLine};
use radar::RadarLine;

use crate::engine::{Engine, Inbound, Stopped};
use crate::health::Part;
use crate::metrics::header;
use crate::pins::{Simulated, is_simulated};

/// How often inputs are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Messages that wait for the engine before inputs do.
const HELD: usize = 1024;

/// The inputs of the gateway's own pins, by what they can keep waiting.
pub(crate) struct Wired {
    groups: BTreeMap<String, Vec<Input>>,
}

/// An input and the device that it speaks for.
struct Input {
    device: Arc<str>,
    line: Box<dyn Line>,
    status: Arc<Status>,
}

/// How an input is, for those who want to know.
struct Status {
    device: String,
    field: String,
    /// What gives it: a chip, a bus, a port or a file.
    by: String,
    is_simulated: bool,
    /// Why it cannot be relied on, where it cannot.
    failing: Mutex<Option<String>>,
}

impl Wired {
    /// Opens the pins, buses and ports. Without any input no hardware is touched.
    ///
    /// # Errors
    /// Where a pin, bus or port is not to be had: what to do about it.
    pub(crate) fn open(inputs: &[WiredInput]) -> anyhow::Result<Self> {
        let mut groups: BTreeMap<String, Vec<Input>> = BTreeMap::new();
        for of in inputs {
            let opened = open(of).with_context(|| {
                format!("the wired input of device `{}` cannot be opened; mend [[wired]] in site.toml", of.device)
            })?;
            let (group, by, line) = opened;
            let is_simulated = of.simulated().is_some();
            match is_simulated {
                true => tracing::warn!(device = of.device, field = of.field, by, "a wired input is simulated"),
                false => tracing::info!(device = of.device, field = of.field, by, "a wired input is open"),
            }
            let failing = Mutex::default();
            let status = Status { device: of.device.clone(), field: of.field.clone(), by, is_simulated, failing };
            let input = Input { device: of.device.as_str().into(), line, status: Arc::new(status) };
            groups.entry(group).or_default().push(input);
        }
        Ok(Self { groups })
    }

    /// Each input, for those who want to know how it is.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Arc<dyn Part>> {
        self.groups.values().flatten().map(|input| input.status.clone() as Arc<dyn Part>)
    }

    /// Reads the inputs until the engine stops.
    ///
    /// # Errors
    /// Where it stops, or a thread is not to be had.
    pub(crate) async fn serve(self, engine: Engine) -> anyhow::Result<()> {
        let (sender, mut heard) = mpsc::channel(HELD);
        let start = Instant::now();
        for (group, mut inputs) in self.groups {
            let sender = sender.clone();
            let watch = move || {
                while !sender.is_closed() {
                    for message in looked(&mut inputs, start.elapsed()) {
                        // The gateway is stopping.
                        let Ok(()) = sender.blocking_send(message) else { return };
                    }
                    std::thread::sleep(LOOK_EVERY);
                }
            };
            let begun = std::thread::Builder::new().name("wired".into()).spawn(watch);
            begun.with_context(|| format!("no thread is to be had for the inputs on {group}"))?;
        }
        drop(sender);
        let mut messages = Vec::new();
        while heard.recv_many(&mut messages, HELD).await > 0 {
            engine.submit(std::mem::take(&mut messages)).await?;
        }
        Err(Stopped.into())
    }
}

fn looked(inputs: &mut [Input], since_start: Duration) -> Vec<Inbound> {
    let now_ms = u64::try_from(since_start.as_millis()).unwrap_or(u64::MAX);
    inputs.iter_mut().filter_map(|input| input.look(now_ms)).collect()
}

impl Input {
    fn look(&mut self, now_ms: u64) -> Option<Inbound> {
        match self.line.look(now_ms) {
            Ok(told) => {
                let told = told?;
                self.status.is_well();
                Some(Inbound {
                    door: "wired".into(),
                    device: Some(self.device.clone()),
                    topic: format!("ninewatch/{}/readings", self.device),
                    payload: Value::Array(told).to_string().into(),
                    redelivered: false,
                    ack: None,
                })
            }
            // What cannot be read says nothing, and so becomes a silent device besides.
            Err(error) => {
                self.status.fails(format!("{error:#}"));
                None
            }
        }
    }
}

/// What an input can keep waiting, what gives it, and its line.
type Opened = (String, String, Box<dyn Line>);

fn open(input: &WiredInput) -> anyhow::Result<Opened> {
    let field = input.field.clone();
    if let Some(contact) = &input.contact {
        let pin = contact.pin();
        let (opened, by) = pin.input()?;
        let contact = Contact::new(opened, pin.active_of_input(), contact.settle_ms());
        return Ok(("pins".into(), by, Box::new(ContactLine::new(field, contact))));
    }
    if let Some(pin) = &input.button {
        let (opened, by) = pin.input()?;
        let button = SosButton::new(opened, pin.active_of_input());
        return Ok(("pins".into(), by, Box::new(ButtonLine::new(field, button))));
    }
    if let Some(file) = input.simulated() {
        let gives = match &input.sht3x {
            Some(sht3x) => Gives::Numbers(std::iter::once(field).chain(sht3x.humidity.clone()).collect()),
            None if input.thermometer.is_some() => Gives::Numbers(vec![field]),
            None => Gives::State(field),
        };
        let line = SimulatedLine::new(Simulated::new(file), gives);
        return Ok(("files".into(), is_simulated(file), Box::new(line)));
    }
    if let Some(on) = &input.thermometer {
        let (bus, path) = open_bus(on.i2c_bus)?;
        let line = ThermometerLine::new(field, Tmp102::new(bus, on.address));
        return Ok((path.clone(), path, Box::new(line)));
    }
    if let Some(on) = &input.sht3x {
        let (bus, path) = open_bus(on.i2c_bus)?;
        let line = ClimateLine::new(field, on.humidity.clone(), Sht3x::new(bus, on.address));
        return Ok((path.clone(), path, Box::new(line)));
    }
    let on = input.ld2410.as_ref().context("it is wired to nothing")?;
    let path = on.port.display().to_string();
    Ok((path.clone(), path, Box::new(RadarLine::open(field, &on.port)?)))
}

/// An I²C bus of the kernel's, the same on every board.
fn open_bus(number: u8) -> anyhow::Result<(linux_embedded_hal::I2cdev, String)> {
    let path = bus_path(number).display().to_string();
    let bus = linux_embedded_hal::I2cdev::new(&path).with_context(|| {
        format!(
            "the I²C bus {path} is not to be had: switch I²C on (dtparam=i2c_arm=on, and i2c-dev in /etc/modules), and \
             put the gateway's user into the group `i2c`"
        )
    })?;
    Ok((bus, path))
}

impl Status {
    fn is_well(&self) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if failing.take().is_some() {
            tracing::info!(device = self.device, field = self.field, "the wired input works again");
        }
    }

    /// It is told when it begins, not at every look.
    fn fails(&self, why: String) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if failing.as_ref() != Some(&why) {
            tracing::error!(device = self.device, field = self.field, by = self.by, "a wired input fails: {why}");
            *failing = Some(why);
        }
    }
}

impl Part for Status {
    fn name(&self) -> String {
        format!("wired:{}:{}", self.device, self.field)
    }

    fn ails(&self) -> Vec<(Ailment, Text)> {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let failing = failing.map(|why| (Ailment::PinFailed, Text { zh: format!("接线输入故障：{why}"), en: why }));
        let simulated = self.is_simulated.then(|| {
            let text = Text {
                zh: "输入是模拟的，没有真实传感器".into(), en: "it is simulated: no sensor".into()
            };
            (Ailment::PinSimulated, text)
        });
        failing.into_iter().chain(simulated).collect()
    }

    fn metrics(&self, out: &mut String) {
        let name = "ninewatch_wired_input_up";
        header(out, name, "gauge", "1 where a wired input can be relied on; `by`: what gives it.");
        let is_up = self.failing.lock().unwrap_or_else(PoisonError::into_inner).is_none();
        let Self { device, field, by, .. } = self;
        // A path may have what a label may not.
        let by = by.replace(['"', '\\', '\n'], "_");
        let _ = writeln!(out, "{name}{{device=\"{device}\",field=\"{field}\",by=\"{by}\"}} {}", u8::from(is_up));
    }
}
