//! The gateway's own pins: which hardware gives them, and files in their place where somebody says so.
//!
//! ```text
//! /dev/gpiomem (Raspberry Pi OS) ─▶ rppal ───┐
//! /dev/gpiochipN (any kernel) ───▶ gpiocdev ─┼─▶ embedded-hal's InputPin and OutputPin ─▶ drivers
//! a file that somebody named ────▶ simulated ┘
//! ```
//! Which, and why both: `docs/decisions/0024-pins.md`.

mod simulated;
#[cfg(test)]
mod tests;

use anyhow::{Context, bail};
use embedded_hal::digital::{ErrorKind, ErrorType, InputPin, OutputPin, PinState};
use gpiocdev::line::{Bias, Value};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use ninewatch_drivers::contact::Active;

pub(crate) use simulated::{Simulated, is_on};

/// A pin, as `site.toml` names it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pin {
    /// The number of the line on its chip: on a Raspberry Pi the GPIO number (BCM).
    pub(crate) pin: u32,
    /// `/dev/gpiochip0`; found by itself where there is one that can be meant.
    pub(crate) chip: Option<PathBuf>,
    /// The level that means pressed, made or on.
    pub(crate) active: Option<Level>,
    /// A file in the place of the pin.
    pub(crate) simulated: Option<PathBuf>,
}

/// Which level of a pin means that a contact is made, or that something is on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// The contact pulls to ground.
    #[default]
    Low,
    /// The contact pulls to the supply.
    High,
}

impl From<Level> for Active {
    fn from(level: Level) -> Self {
        match level {
            Level::Low => Self::Low,
            Level::High => Self::High,
        }
    }
}

impl Pin {
    /// The level of an input: a contact to ground is the usual wiring.
    pub(crate) fn active_of_input(&self) -> Active {
        self.active.unwrap_or(Level::Low).into()
    }

    /// The level of an output: most relays are switched by a high pin.
    pub(crate) fn active_of_output(&self) -> Active {
        self.active.unwrap_or(Level::High).into()
    }

    /// Takes it as an input, pulled to its other level. With it comes what gives it.
    ///
    /// # Errors
    /// Where there is no such pin, or somebody else has it.
    pub(crate) fn input(&self) -> anyhow::Result<(InPin, String)> {
        let active = self.active_of_input();
        if let Some(file) = &self.simulated {
            return Ok((InPin::Simulated(Simulated::new(file), active), is_simulated(file)));
        }
        let gpio = Gpio::find(self.chip.as_deref())?;
        let by = gpio.to_string();
        let pin = match &gpio {
            Gpio::Pi(pi) => {
                let pin = self.of_pi(pi)?;
                InPin::Pi(match active {
                    Active::Low => pin.into_input_pullup(),
                    Active::High => pin.into_input_pulldown(),
                })
            }
            Gpio::Chip(chip) => {
                let bias = match active {
                    Active::Low => Bias::PullUp,
                    Active::High => Bias::PullDown,
                };
                let mut line = self.line_of(chip);
                line.as_input().with_bias(bias);
                let taken = line.request().map_err(|error| self.refused(chip, &error))?;
                InPin::Chip(gpiocdev_embedded_hal::InputPin::try_from(taken).context("it is no input")?)
            }
        };
        Ok((pin, by))
    }

    /// Takes it as an output that is off. With it comes what gives it.
    ///
    /// # Errors
    /// Where there is no such pin, or somebody else has it.
    pub(crate) fn output(&self) -> anyhow::Result<(OutPin, String)> {
        let active = self.active_of_output();
        if let Some(file) = &self.simulated {
            return Ok((OutPin::Simulated(Simulated::new(file), active), is_simulated(file)));
        }
        let gpio = Gpio::find(self.chip.as_deref())?;
        let by = gpio.to_string();
        let pin = match &gpio {
            Gpio::Pi(pi) => {
                let pin = self.of_pi(pi)?;
                let mut pin = match active {
                    Active::Low => pin.into_output_high(),
                    Active::High => pin.into_output_low(),
                };
                // A gateway that dies while it sounds must not fall silent for that.
                pin.set_reset_on_drop(false);
                OutPin::Pi(pin)
            }
            Gpio::Chip(chip) => {
                let off = if active == Active::Low { Value::Active } else { Value::Inactive };
                let mut line = self.line_of(chip);
                line.as_output(off);
                let taken = line.request().map_err(|error| self.refused(chip, &error))?;
                OutPin::Chip(gpiocdev_embedded_hal::OutputPin::try_from(taken).context("it is no output")?)
            }
        };
        Ok((pin, by))
    }

    fn of_pi(&self, pi: &rppal::gpio::Gpio) -> anyhow::Result<rppal::gpio::Pin> {
        let number = u8::try_from(self.pin).ok();
        let pin = number.and_then(|number| pi.get(number).ok());
        pin.with_context(|| format!("GPIO {} is not to be had: the header has 2 to 27, each for one use", self.pin))
    }

    fn line_of(&self, chip: &Chip) -> gpiocdev::request::Builder {
        let mut line = gpiocdev::Request::builder();
        line.on_chip(&chip.path).with_consumer("ninewatch").with_line(self.pin);
        line
    }

    fn refused(&self, chip: &Chip, error: &gpiocdev::Error) -> anyhow::Error {
        anyhow::anyhow!(
            "line {} of {} is not to be had ({error}): `gpioinfo` names its lines and who has them; the gateway's user \
             has to be in the group that may use the chip",
            self.pin,
            chip.path.display()
        )
    }
}

/// What is said of a file in the place of hardware.
pub(crate) fn is_simulated(file: &Path) -> String {
    format!("simulated by {}", file.display())
}

/// What gives pins on this machine.
enum Gpio {
    /// Raspberry Pi OS: a pin keeps its level when the gateway dies.
    Pi(rppal::gpio::Gpio),
    /// Any other kernel.
    Chip(Chip),
}

/// What gives these pins on this machine, each once; simulated ones left out.
pub(crate) fn hardware<'p>(pins: impl Iterator<Item = &'p Pin>) -> Vec<anyhow::Result<String>> {
    let chips: BTreeSet<Option<&Path>> =
        pins.filter(|pin| pin.simulated.is_none()).map(|pin| pin.chip.as_deref()).collect();
    chips.into_iter().map(|chip| Gpio::find(chip).map(|gpio| gpio.to_string())).collect()
}

/// A GPIO chip of the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Chip {
    path: PathBuf,
    label: String,
}

/// The device of Raspberry Pi OS, and its name on a Pi 5.
const GPIOMEM: [&str; 2] = ["/dev/gpiomem", "/dev/gpiomem0"];

/// The chips that the header of a Raspberry Pi hangs on: 1 to 3, 4, 5.
const PI_HEADERS: [&str; 3] = ["pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1"];

impl Gpio {
    /// What gives pins here; where `chip` is named, that one.
    ///
    /// # Errors
    /// Where there is none, or it is not clear which is meant: what to do about it.
    fn find(chip: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(path) = chip {
            let open = Chip::open(path);
            return open.map(Self::Chip).with_context(|| format!("{} is not to be had", path.display()));
        }
        if GPIOMEM.iter().any(|path| Path::new(path).exists()) {
            match rppal::gpio::Gpio::new() {
                Ok(pi) => return Ok(Self::Pi(pi)),
                Err(error) => tracing::warn!("rppal cannot use this machine's GPIO, so the kernel is asked: {error}"),
            }
        }
        // Where /dev has none, that is not an error of its own.
        let paths = gpiocdev::chip::chips().unwrap_or_default();
        let (mut chips, mut refused) = (Vec::new(), None);
        for path in paths {
            match Chip::open(&path) {
                Ok(chip) => chips.push(chip),
                Err(error) => refused = Some(error.context(format!("{} is not to be had", path.display()))),
            }
        }
        match (chips.as_slice(), refused) {
            ([], Some(refused)) => Err(refused),
            (chips, _) => pick(chips).cloned().map(Self::Chip),
        }
    }
}

impl fmt::Display for Gpio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pi(_) => f.write_str("rppal, /dev/gpiomem"),
            Self::Chip(chip) => write!(f, "gpiocdev, {} ({})", chip.path.display(), chip.label),
        }
    }
}

impl Chip {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let info = gpiocdev::Chip::from_path(path).and_then(|chip| chip.info());
        let info = info.context("name a /dev/gpiochip*, and put the gateway's user into the group that may use it")?;
        Ok(Self { path: path.to_owned(), label: info.label })
    }
}

/// The chip that a number without a chip means. A wrong guess would switch something else.
fn pick(chips: &[Chip]) -> anyhow::Result<&Chip> {
    if let Some(header) = chips.iter().find(|chip| PI_HEADERS.contains(&chip.label.as_str())) {
        return Ok(header);
    }
    match chips {
        [] => bail!(
            "this machine has no GPIO, neither /dev/gpiomem nor a /dev/gpiochip*: take a Raspberry Pi or another board \
             with pins, or write simulated = \"FILE\" beside `pin` to try it without"
        ),
        [only] => Ok(only),
        several => {
            let named = several.iter().map(|chip| format!("{} ({})", chip.path.display(), chip.label));
            let named: Vec<String> = named.collect();
            bail!("there are several GPIO chips; write chip = \"…\" beside `pin`, one of {}", named.join(", "))
        }
    }
}

/// An input.
pub(crate) enum InPin {
    /// By rppal.
    Pi(rppal::gpio::InputPin),
    /// By the kernel.
    Chip(gpiocdev_embedded_hal::InputPin),
    /// A file that says `on` or `off`, and the level that is on.
    Simulated(Simulated, Active),
}

/// An output.
pub(crate) enum OutPin {
    /// By rppal.
    Pi(rppal::gpio::OutputPin),
    /// By the kernel.
    Chip(gpiocdev_embedded_hal::OutputPin),
    /// A file that is told `on` or `off`, and the level that is on.
    Simulated(Simulated, Active),
}

/// A pin that cannot be read or driven, in words.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(crate) struct PinError(String);

impl embedded_hal::digital::Error for PinError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

impl ErrorType for InPin {
    type Error = PinError;
}

impl InputPin for InPin {
    fn is_high(&mut self) -> Result<bool, PinError> {
        match self {
            Self::Pi(pin) => Ok(pin.is_high()),
            Self::Chip(pin) => pin.is_high().map_err(|error| PinError(error.to_string())),
            Self::Simulated(file, active) => {
                let said = file.read().and_then(|said| is_on(&said));
                let on = said.map_err(|error| PinError(format!("{error:#}")))?;
                Ok(on == (*active == Active::High))
            }
        }
    }

    fn is_low(&mut self) -> Result<bool, PinError> {
        self.is_high().map(|high| !high)
    }
}

impl ErrorType for OutPin {
    type Error = PinError;
}

impl OutputPin for OutPin {
    fn set_low(&mut self) -> Result<(), PinError> {
        self.set_state(PinState::Low)
    }

    fn set_high(&mut self) -> Result<(), PinError> {
        self.set_state(PinState::High)
    }

    fn set_state(&mut self, state: PinState) -> Result<(), PinError> {
        let high = state == PinState::High;
        match self {
            Self::Pi(pin) if high => pin.set_high(),
            Self::Pi(pin) => pin.set_low(),
            Self::Chip(pin) => pin.set_state(state).map_err(|error| PinError(error.to_string()))?,
            Self::Simulated(file, active) => {
                let on = high == (*active == Active::High);
                file.write(if on { "on\n" } else { "off\n" }).map_err(|error| PinError(format!("{error:#}")))?;
            }
        }
        Ok(())
    }
}
