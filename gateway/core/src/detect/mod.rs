//! From readings to findings: windows, clock skew, rules and models, device by device.

pub mod features;
pub mod model;

use serde::{Deserialize, Serialize};

use crate::alert::Signal;
use crate::detect::model::{ModelCard, Scorer};
use crate::fault::Fault;
use crate::pipeline::{Site, SourceFile};
use crate::reading::Reading;
use crate::time::TimeMs;

/// The rules of a site, compiled.
#[derive(Debug, Clone, Default)]
pub struct Rules {}

impl Rules {
    /// Compiles rule files against the sensor types' fields and the models there are; a rule that
    /// has a fault is left out and told.
    pub fn compile(
        files: &[SourceFile],
        types: &crate::decode::SensorTypes,
        models: &[ModelCard],
    ) -> (Self, Vec<Fault>) {
        let _ = (files, types, models);
        (Self::default(), Vec::new())
    }
}

/// Where a reading came to lie in its device's window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Newer than all before.
    Newest,
    /// Among the ones before, by its own time.
    Late,
    /// Known already.
    Duplicate,
    /// Older than the window reaches: kept in the journal, decides nothing.
    TooLate,
}

/// How a device is, for the console and the API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeviceStatus {
    /// The device's id.
    pub device: String,
    /// When it was last heard (arrival), if ever.
    pub seen_ms: Option<TimeMs>,
    /// Whether it has been unheard for longer than its type allows.
    pub silent: bool,
    /// Its battery in percent, if it tells.
    pub battery_percent: Option<f64>,
    /// How far its clock is ahead (+) or behind (−) the gateway's, if it tells the time.
    pub skew_ms: Option<i64>,
    /// The newest value of each field: name, unit, value (a number or a word).
    pub values: Vec<(String, String, serde_json::Value)>,
}

/// Everything that detection remembers. Part of the checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Detector {}

impl Detector {
    /// Fits the memory to a changed site at `now`: new devices begin, gone ones are forgotten,
    /// fields keep their history by name.
    pub fn configure(&mut self, site: &Site, now: TimeMs) {
        let _ = (site, now);
    }

    /// Takes a reading of the device `site.registry.devices[device]` and says what it means.
    #[allow(clippy::too_many_arguments)]
    pub fn reading(
        &mut self,
        site: &Site,
        device: usize,
        reading: &Reading,
        redelivered: bool,
        now: TimeMs,
        scorer: &mut dyn Scorer,
        signals: &mut Vec<Signal>,
    ) -> Placement {
        let _ = (site, device, reading, redelivered, now, scorer, signals);
        Placement::Newest
    }

    /// When time alone next means something: a device falls silent, a duration is full.
    pub fn next_due(&self) -> Option<TimeMs> {
        None
    }

    /// Says what the passing of time means at `now`, which is [`Self::next_due`].
    pub fn on_time(&mut self, site: &Site, now: TimeMs, signals: &mut Vec<Signal>) {
        let _ = (site, now, signals);
    }

    /// How the device `site.registry.devices[device]` is.
    pub fn status(&self, site: &Site, device: usize) -> DeviceStatus {
        let id = site.registry.devices.get(device).map(|device| device.id.clone()).unwrap_or_default();
        DeviceStatus {
            device: id,
            seen_ms: None,
            silent: false,
            battery_percent: None,
            skew_ms: None,
            values: Vec::new(),
        }
    }
}
