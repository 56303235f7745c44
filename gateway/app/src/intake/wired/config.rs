//! `[[wired]]` of `site.toml`: what hangs on the gateway's own pins, and for which device it speaks.

use serde::Deserialize;
use std::path::{Path, PathBuf};

use ninewatch_core::pipeline::Site;
use ninewatch_core::time::Span;
use ninewatch_drivers::{sht3x, tmp102};

use crate::pins::{Level, Pin};

/// A sensor on the gateway's own pins: one of the five.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WiredInput {
    /// The registered device that it speaks for.
    pub(crate) device: String,
    /// The field of the device's sensor type that it gives; of an SHT3x, that of the temperature.
    pub(crate) field: String,
    pub(super) contact: Option<Contact>,
    /// An SOS button or a pull cord.
    pub(super) button: Option<Pin>,
    /// A TMP102, TMP105 or TMP75.
    pub(super) thermometer: Option<Thermometer>,
    pub(super) sht3x: Option<Sht3x>,
    pub(super) ld2410: Option<Radar>,
}

/// A dry contact: a smoke head's relay, a reed switch, a leak rope.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Contact {
    pin: u32,
    chip: Option<PathBuf>,
    active: Option<Level>,
    /// How long a level must hold to count.
    #[serde(default = "settle")]
    settle: Span,
    simulated: Option<PathBuf>,
}

fn settle() -> Span {
    Span::from_ms(50)
}

impl Contact {
    /// The pin alone.
    pub(super) fn pin(&self) -> Pin {
        Pin { pin: self.pin, chip: self.chip.clone(), active: self.active, simulated: self.simulated.clone() }
    }

    /// How long a level must hold to count.
    pub(super) fn settle_ms(&self) -> u32 {
        u32::try_from(self.settle.ms()).unwrap_or(u32::MAX)
    }
}

/// A thermometer on an I²C bus.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Thermometer {
    /// 1 on the header of every Raspberry Pi.
    pub(super) i2c_bus: u8,
    #[serde(default = "tmp102_address")]
    pub(super) address: u8,
    /// A file that says °C.
    simulated: Option<PathBuf>,
}

fn tmp102_address() -> u8 {
    tmp102::DEFAULT_ADDRESS
}

/// An SHT30, SHT31 or SHT35 on an I²C bus.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sht3x {
    pub(super) i2c_bus: u8,
    #[serde(default = "sht3x_address")]
    pub(super) address: u8,
    /// The field that gets the humidity; without it only the temperature is told.
    pub(super) humidity: Option<String>,
    /// A file that says °C, and %RH where there is `humidity`.
    simulated: Option<PathBuf>,
}

fn sht3x_address() -> u8 {
    sht3x::DEFAULT_ADDRESS
}

/// An LD2410 on a serial port.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Radar {
    /// `/dev/serial0` of Raspberry Pi OS, `/dev/ttyAMA0`, `/dev/ttyUSB0`.
    pub(super) port: PathBuf,
    /// A file that says `on` or `off`.
    simulated: Option<PathBuf>,
}

/// An I²C bus as the kernel names it.
pub(super) fn bus_path(number: u8) -> PathBuf {
    format!("/dev/i2c-{number}").into()
}

/// The addresses that a TMP102, TMP105 or TMP75 can be set to.
const TMP102_ADDRESSES: std::ops::RangeInclusive<u8> = 0x48..=0x4f;

impl WiredInput {
    /// What is wrong in it, as (key, problem, mend).
    pub(crate) fn problems(&self) -> Vec<(&'static str, String, &'static str)> {
        let mut problems = Vec::new();
        let there = [
            self.contact.is_some(),
            self.button.is_some(),
            self.thermometer.is_some(),
            self.sht3x.is_some(),
            self.ld2410.is_some(),
        ];
        if there.into_iter().filter(|there| *there).count() != 1 {
            let mend = "give one of `contact`, `button`, `thermometer`, `sht3x` and `ld2410`";
            problems.push(("device", "is wired to nothing, or to two things".into(), mend));
        }
        if let Some(address) = self.thermometer.as_ref().map(|on| on.address)
            && !TMP102_ADDRESSES.contains(&address)
        {
            let mend = "write 0x48 to 0x4f, as its address pins are set";
            problems.push(("thermometer", format!("no TMP102 or its like is at {address:#04x}"), mend));
        }
        if let Some(address) = self.sht3x.as_ref().map(|on| on.address)
            && ![sht3x::DEFAULT_ADDRESS, sht3x::OTHER_ADDRESS].contains(&address)
        {
            let mend = "write 0x44, or 0x45 where its pin ADDR is at the supply";
            problems.push(("sht3x", format!("no SHT3x is at {address:#04x}"), mend));
        }
        problems
    }

    /// Its pin, where it has one.
    pub(crate) fn pin(&self) -> Option<Pin> {
        self.contact.as_ref().map(Contact::pin).or_else(|| self.button.clone())
    }

    /// The bus or port that it hangs on, where it is no pin.
    pub(crate) fn port(&self) -> Option<PathBuf> {
        if self.simulated().is_some() {
            return None;
        }
        let bus = self.thermometer.as_ref().map(|on| on.i2c_bus).or(self.sht3x.as_ref().map(|on| on.i2c_bus));
        bus.map(bus_path).or_else(|| self.ld2410.as_ref().map(|on| on.port.clone()))
    }

    /// The file in the place of its hardware, where there is one.
    pub(crate) fn simulated(&self) -> Option<&Path> {
        let contact = self.contact.as_ref().map(|on| &on.simulated);
        let button = self.button.as_ref().map(|on| &on.simulated);
        let thermometer = self.thermometer.as_ref().map(|on| &on.simulated);
        let sht3x = self.sht3x.as_ref().map(|on| &on.simulated);
        let radar = self.ld2410.as_ref().map(|on| &on.simulated);
        [contact, button, thermometer, sht3x, radar].into_iter().flatten().find_map(|file| file.as_deref())
    }

    /// Every path in it that is relative to the site file.
    pub(crate) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let contact = self.contact.as_mut().map(|on| &mut on.simulated);
        let button = self.button.as_mut().map(|on| &mut on.simulated);
        let thermometer = self.thermometer.as_mut().map(|on| &mut on.simulated);
        let sht3x = self.sht3x.as_mut().map(|on| &mut on.simulated);
        let radar = self.ld2410.as_mut().map(|on| &mut on.simulated);
        [contact, button, thermometer, sht3x, radar].into_iter().flatten().flatten()
    }

    /// The fields that it gives.
    fn fields(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.field).chain(self.sht3x.iter().filter_map(|on| on.humidity.as_ref()))
    }

    /// What it names and the site has not, as (problem, mend): else its readings would be nobody's.
    pub(crate) fn unknown(&self, site: &Site) -> Option<(String, String)> {
        let id = &self.device;
        let Some(device) = site.registry.devices.iter().find(|device| device.id == *id) else {
            return Some((format!("no device is called `{id}`"), "add it with `ninewatch device add`".into()));
        };
        let of = &device.sensor_type;
        // A type that is not there, or has faults, is told as such.
        let sensor_type = site.sensor_types.get(of)?;
        if !sensor_type.topics().any(|topic| topic == "ninewatch/{device}/readings") {
            let problem = format!("`{id}` is of the type `{of}`, which does not report as wired devices do");
            return Some((problem, "give the device a type whose name begins with `ninewatch-`".into()));
        }
        let fields: Vec<&str> = sensor_type.fields.iter().map(|field| &*field.name).collect();
        let missing = self.fields().find(|field| !fields.contains(&field.as_str()))?;
        Some((format!("`{of}` has no field `{missing}`"), format!("name one of {}", fields.join(", "))))
    }
}
