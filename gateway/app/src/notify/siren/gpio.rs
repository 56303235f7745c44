//! A siren, lamp or relay on a pin of the gateway's own. It is off from the start until the alerts are known, and when the
//! gateway is told to stop; a gateway that dies leaves it as it was, as far as the kernel lets it.

use anyhow::Context;
use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

use ninewatch_drivers::output::{Output, Pattern};

use super::super::channel::{Channel, SirenTest};
use super::super::config::{Manner, NotifyConfig};
use super::super::service::Failure;
use super::{Reasons, TEST, told};
use crate::engine::Stopped;
use crate::pins::{OutPin, Pin, PinError};

/// Of a lamp that blinks: once a second, as EN 54-23 has it for alarm devices (0.5 to 2 Hz).
const BLINK: Pattern = Pattern::Blink { on_ms: 500, off_ms: 500 };
/// How often a pin is looked after while it is on, or cannot be driven.
const LOOK_AFTER: Duration = Duration::from_millis(50);

/// What hangs on a pin.
pub(crate) struct Lamp {
    output: Mutex<Output<OutPin>>,
    pattern: Pattern,
    start: Instant,
}

/// Those of all channels, by the channel's name.
#[derive(Clone, Default)]
pub(crate) struct Lamps(BTreeMap<String, Arc<Lamp>>);

impl Lamps {
    /// Takes the pins of all channels that have one.
    ///
    /// # Errors
    /// Where one is not to be had: which, and what to do about it.
    pub(crate) fn open(channels: &[NotifyConfig]) -> anyhow::Result<Self> {
        let with_pin = channels.iter().filter_map(|channel| Some((channel, channel.gpio.as_ref()?)));
        let open = |(channel, gpio): (&NotifyConfig, &Pin)| {
            let lamp = Lamp::open(gpio, channel.pattern.unwrap_or_default());
            let lamp = lamp.with_context(|| {
                format!("the pin of channel `{}` cannot be opened; mend [[notify]] in site.toml", channel.name)
            })?;
            Ok((channel.name.clone(), Arc::new(lamp)))
        };
        Ok(Self(with_pin.map(open).collect::<anyhow::Result<_>>()?))
    }

    /// That of a channel.
    pub(in crate::notify) fn of(&self, channel: &str) -> Option<Arc<Lamp>> {
        self.0.get(channel).cloned()
    }

    /// Turns all off: the gateway was told to stop, and nobody watches any more.
    pub(in crate::notify) fn put_out(&self) {
        for (channel, lamp) in &self.0 {
            if let Err(error) = lamp.play(false) {
                tracing::error!(channel, "it may still be on: {error}");
            }
        }
    }
}

impl Lamp {
    fn open(gpio: &Pin, manner: Manner) -> anyhow::Result<Self> {
        let (pin, by) = gpio.output()?;
        match gpio.simulated {
            Some(_) => tracing::warn!(by, "an output is simulated"),
            None => tracing::info!(by, pin = gpio.pin, "an output has its pin"),
        }
        let pattern = match manner {
            Manner::Steady => Pattern::On,
            Manner::Blink => BLINK,
        };
        let output = Mutex::new(Output::new(pin, gpio.active_of_output())?);
        Ok(Self { output, pattern, start: Instant::now() })
    }

    fn play(&self, on: bool) -> Result<(), PinError> {
        let pattern = if on { self.pattern } else { Pattern::Off };
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        output.play(pattern, None, self.now_ms())
    }

    fn look_after(&self) -> Result<(), PinError> {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        output.poll(self.now_ms()).map(|_| ())
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Keeps up what is played, until it fails or works where it did not.
    async fn keep(&self, is_on: bool, works: bool) {
        if works && !is_on {
            return pending().await;
        }
        loop {
            tokio::time::sleep(LOOK_AFTER).await;
            if self.look_after().is_ok() != works {
                return;
            }
        }
    }
}

/// Switches the lamp as is wanted.
///
/// # Errors
/// Where the gateway stops: what fails is tried again, and said.
pub(super) async fn keep_up(
    channel: &Channel,
    lamp: &Lamp,
    wanted: watch::Receiver<Reasons>,
    tests: mpsc::Receiver<SirenTest>,
) -> anyhow::Result<()> {
    let (switched, to_tell) = watch::channel(Reasons::new());
    // Apart: no siren waits for a disk.
    tokio::select! {
        ended = switch(channel, lamp, wanted, tests, &switched) => ended,
        ended = tell(channel, to_tell) => ended,
    }
}

async fn switch(
    channel: &Channel,
    lamp: &Lamp,
    mut wanted: watch::Receiver<Reasons>,
    mut tests: mpsc::Receiver<SirenTest>,
    switched: &watch::Sender<Reasons>,
) -> anyhow::Result<()> {
    loop {
        let reasons = wanted.borrow_and_update().clone();
        let is_on = !reasons.is_empty();
        let played = lamp.play(is_on);
        channel.siren_works(played.as_ref().err().map(ToString::to_string));
        if played.is_ok() {
            switched.send_replace(reasons);
        }
        tokio::select! {
            changed = wanted.changed() => changed.context(Stopped)?,
            () = lamp.keep(is_on, played.is_ok()) => {}
            Some(reply) = tests.recv() => {
                let played = lamp.play(true);
                let works = played.is_ok();
                let _ = reply.send(played.map_err(|error| Failure::Temporary(error.to_string())));
                // What holds comes next.
                let _ = tokio::time::timeout(TEST, lamp.keep(true, works)).await;
            }
        }
    }
}

async fn tell(channel: &Channel, mut switched: watch::Receiver<Reasons>) -> anyhow::Result<()> {
    loop {
        switched.changed().await.context(Stopped)?;
        let reasons = switched.borrow_and_update().clone();
        told(channel, reasons).await;
    }
}

/// Lights it for a moment, without a gateway at work.
///
/// # Errors
/// Where its pin is not to be had or cannot be driven.
pub(in crate::notify) async fn light_once(channel: &NotifyConfig, gpio: &Pin) -> anyhow::Result<()> {
    let lamp = Lamp::open(gpio, channel.pattern.unwrap_or_default())?;
    lamp.play(true)?;
    let failed = tokio::time::timeout(TEST, lamp.keep(true, true)).await.is_ok();
    lamp.play(false)?;
    anyhow::ensure!(!failed, "the pin could not be driven all the time");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn lamp(dir: &std::path::Path, manner: Manner) -> (std::path::PathBuf, Lamp) {
        let file = dir.join("lamp");
        let pin = Pin { pin: 24, chip: None, active: None, simulated: Some(file.clone()) };
        (file, Lamp::open(&pin, manner).unwrap())
    }

    #[tokio::test]
    async fn it_is_off_from_the_first_moment_and_on_as_long_as_it_is_played() {
        let dir = tempfile::tempdir().unwrap();
        let (file, lamp) = lamp(dir.path(), Manner::Steady);
        assert_eq!(fs::read_to_string(&file).unwrap(), "off\n");
        lamp.play(true).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "on\n");
        let lamps = Lamps(BTreeMap::from([("hall".to_owned(), Arc::new(lamp))]));
        lamps.put_out();
        assert_eq!(fs::read_to_string(&file).unwrap(), "off\n", "a gateway that is told to stop leaves nothing on");
    }

    #[tokio::test]
    async fn one_that_blinks_goes_on_and_off() {
        let dir = tempfile::tempdir().unwrap();
        let (file, lamp) = lamp(dir.path(), Manner::Blink);
        lamp.play(true).unwrap();
        let blinks = async {
            for expected in ["on\n", "off\n", "on\n"] {
                while fs::read_to_string(&file).unwrap() != expected {
                    tokio::task::yield_now().await;
                }
            }
        };
        tokio::select! {
            () = lamp.keep(true, true) => panic!("its pin fails"),
            () = blinks => {}
        }
    }

    #[tokio::test]
    async fn a_pin_that_cannot_be_driven_is_tried_until_it_can() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("gone");
        fs::create_dir(&place).unwrap();
        let (file, lamp) = lamp(&place, Manner::Steady);
        fs::remove_dir_all(&place).unwrap();
        assert!(lamp.play(true).is_err());
        let mends = async {
            fs::create_dir(&place).unwrap();
            pending::<()>().await;
        };
        tokio::select! {
            () = lamp.keep(true, false) => {}
            () = mends => {}
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "on\n");
    }
}
