//! From readings to findings: windows, clock skew, rules and models, device by device.

mod condition;
mod example;
pub mod features;
mod fields;
mod finding;
mod hours;
mod memory;
pub mod model;
pub mod opening;
mod reason;
mod recent;
pub mod routine;
mod rule;
mod rule_file;
mod skew;
mod stretch;
mod window;

pub use example::ExampleCount;
pub use rule::{CheckedRule, Rule, Rules};

use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use crate::alert::Signal;
use crate::decode::DecodeError;
use crate::detect::model::Scorer;
use crate::pipeline::Site;
use crate::reading::Reading;
use crate::time::TimeMs;
use finding::Found;
use memory::{Memory, Out, Spot, Watch};
use rule::{Bound, Condition};

/// Where a reading came to lie in its device's window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Newer than all before.
    Newest,
    /// Among the ones before, by its own time.
    Late,
    /// Known already.
    Duplicate,
}

/// How a device is, for the console and the API.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
    /// The newest value of each field that was heard.
    pub values: Vec<FieldValue>,
}

/// The newest value of a field.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldValue {
    /// The field's name in the sensor type.
    pub field: Arc<str>,
    /// The unit as people write it; empty for a switch or a word.
    pub unit: String,
    /// When it was measured.
    pub at_ms: TimeMs,
    /// What was measured.
    pub value: Latest,
}

/// A number (a switch is 0 or 1), or a word.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[allow(missing_docs, reason = "each name says it all")]
pub enum Latest {
    Number(f64),
    Word(Arc<str>),
}

/// Everything that detection remembers. Part of the checkpoint.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Detector {
    /// Since when the gateway has been listening without a break: nobody is silent before.
    listening_ms: TimeMs,
    /// In the registry's order.
    devices: Vec<Memory>,
    /// When to look at which device; some come too early and find nothing to do.
    #[serde(skip)]
    timers: BinaryHeap<Reverse<(TimeMs, usize)>>,
    /// The devices of each place.
    #[serde(skip)]
    places: HashMap<String, Vec<usize>>,
}

impl Detector {
    /// Fits the memory to a changed site at `now`: new devices begin, gone ones are forgotten,
    /// fields keep their history by name.
    pub fn configure(&mut self, site: &Site, now: TimeMs, signals: &mut Vec<Signal>) {
        let mut before: HashMap<String, Memory> =
            self.devices.drain(..).map(|memory| (memory.id.clone(), memory)).collect();
        self.places.clear();
        for (index, device) in site.registry.devices.iter().enumerate() {
            let mut memory = before.remove(&device.id).unwrap_or_else(|| Memory::new(&device.id, now));
            memory.fit(Spot::find(site, index), now, signals);
            self.devices.push(memory);
            self.places.entry(device.place.clone()).or_default().push(index);
        }
        let mut gone: Vec<Memory> = before.into_values().collect();
        gone.sort_by(|a, b| a.id.cmp(&b.id));
        gone.iter_mut().for_each(|memory| memory.clear_all(signals));
        self.timers.clear();
        for device in 0..self.devices.len() {
            if let Some(spot) = Spot::find(site, device) {
                self.set_timer(spot, device, TimeMs::MIN);
            }
        }
    }

    /// The gateway listens from `now` on: while it did not, no device was silent.
    pub fn start(&mut self, now: TimeMs) {
        self.listening_ms = now;
    }

    /// Takes a reading of the device `site.registry.devices[device]` that came in at `now` and says
    /// what it means. What of it cannot be believed is added to `refused`.
    #[allow(clippy::too_many_arguments, reason = "where it comes from, and where its consequences go")]
    pub fn reading(
        &mut self,
        site: &Site,
        device: usize,
        reading: &Reading,
        redelivered: bool,
        now: TimeMs,
        scorer: &mut dyn Scorer,
        signals: &mut Vec<Signal>,
        refused: &mut Vec<DecodeError>,
    ) -> Placement {
        let (Some(spot), Some(memory)) = (Spot::find(site, device), self.devices.get_mut(device)) else {
            return Placement::Duplicate;
        };
        let mut out = Out { signals, refused };
        let placement = memory.read(spot, reading, redelivered, now, scorer, &mut out);
        if placement != Placement::Duplicate {
            self.end_inactivity(device, spot, reading, signals);
        }
        self.set_timer(spot, device, TimeMs::MIN);
        placement
    }

    /// The device `site.registry.devices[device]` gave a sign of life and no reading.
    pub fn heard(&mut self, site: &Site, device: usize, now: TimeMs, signals: &mut Vec<Signal>) {
        let (Some(spot), Some(memory)) = (Spot::find(site, device), self.devices.get_mut(device)) else { return };
        memory.heard(now, signals);
        self.set_timer(spot, device, TimeMs::MIN);
    }

    /// When time alone next means something: a device falls silent, a duration is full. May be too
    /// early, never too late.
    pub fn next_due(&self) -> Option<TimeMs> {
        self.timers.peek().map(|Reverse((due, _))| *due)
    }

    /// Says what the passing of time means at `now`, which is [`Self::next_due`].
    pub fn on_time(&mut self, site: &Site, now: TimeMs, signals: &mut Vec<Signal>) {
        let mut due = Vec::new();
        while let Some(Reverse((at, device))) = self.timers.peek().copied() {
            if at > now {
                break;
            }
            self.timers.pop();
            due.push(device);
        }
        due.sort_unstable();
        due.dedup();
        for device in due {
            let (Some(spot), Some(memory)) = (Spot::find(site, device), self.devices.get_mut(device)) else { continue };
            memory.timer_ms = None;
            let due = memory.next_due(spot, self.listening_ms).is_some_and(|due| due <= now);
            if due {
                for (rule, ended_ms) in memory.elapse(spot, self.listening_ms, now, signals) {
                    self.judge_inactivity(site, device, rule, ended_ms, signals);
                }
            }
            // After now, lest time stand still.
            self.set_timer(spot, device, now + 1);
        }
    }

    /// How the device `site.registry.devices[device]` is.
    pub fn status(&self, site: &Site, device: usize) -> Option<DeviceStatus> {
        Some(self.devices.get(device)?.status(Spot::find(site, device)))
    }

    /// Sees to it that the device is looked at when something falls due, not before `earliest`.
    fn set_timer(&mut self, spot: Spot<'_>, device: usize, earliest: TimeMs) {
        let Some(memory) = self.devices.get_mut(device) else { return };
        let Some(due) = memory.next_due(spot, self.listening_ms).map(|due| due.max(earliest)) else { return };
        // A timer that is too early corrects itself; one that is too late must be preceded.
        if memory.timer_ms.is_none_or(|set| due < set) {
            memory.timer_ms = Some(due);
            self.timers.push(Reverse((due, device)));
        }
    }

    /// Hours of activity have ended for a device: did anything in its place stir?
    fn judge_inactivity(&mut self, site: &Site, device: usize, rule: usize, to: TimeMs, signals: &mut Vec<Signal>) {
        let Some(bound) = self.devices.get(device).and_then(|memory| memory.bound.get(rule)).cloned() else { return };
        let Condition::Inactive { between, .. } = &bound.condition else { return };
        let from = to - between.length_ms();
        let mut known = None;
        for (peer, other) in self.peers(site, device, &bound) {
            // Each place is judged once, by the first of its devices.
            if peer < device {
                return;
            }
            let Condition::Inactive { field, is, .. } = &other.condition else { continue };
            let Some((spot, memory)) = self.spot_and_memory(site, peer) else { continue };
            let activity = memory.fields.activity(*field, *is, from, to, spot.sensor_type.silent_after.ms());
            if activity.seen {
                return;
            }
            if activity.known && known.is_none() {
                known = Some((peer, other));
            }
        }
        // Where nobody was heard all the time, nothing is known: that is the silent devices' alert.
        let Some((peer, bound)) = known else { return };
        let Some((spot, memory)) = self.spot_and_memory(site, peer) else { return };
        let found = Found { at: to, severity: bound.rule.severity, lasting: true };
        signals.push(finding::inactive(spot, &bound, &found, from, memory.fields.windows()));
        if let Some(Watch::Inactive { raised, .. }) =
            self.devices.get_mut(peer).and_then(|memory| memory.watch_mut(&bound.rule.id))
        {
            *raised = true;
        }
    }

    /// Somebody stirred: what was raised for want of it is over, anywhere in the place.
    #[allow(clippy::float_cmp, reason = "a switch is 0 or 1")]
    fn end_inactivity(&mut self, device: usize, spot: Spot<'_>, reading: &Reading, signals: &mut Vec<Signal>) {
        let Some(memory) = self.devices.get(device) else { return };
        let stirred = |bound: &&Bound| match &bound.condition {
            Condition::Inactive { field, is, .. } => reading.number(*field) == Some(*is),
            _ => false,
        };
        let rules: Vec<Arc<str>> = memory.bound.iter().filter(stirred).map(|bound| bound.rule.id.clone()).collect();
        for rule in rules {
            for peer in self.places.get(&spot.device.place).into_iter().flatten() {
                let Some(memory) = self.devices.get_mut(*peer) else { continue };
                if let Some(Watch::Inactive { raised, .. }) = memory.watch_mut(&rule)
                    && std::mem::take(raised)
                {
                    signals.push(Signal::Clear { device: memory.id.clone(), rule: rule.clone() });
                }
            }
        }
    }

    /// The devices of the same place that the same rule applies to, itself included.
    fn peers(&self, site: &Site, device: usize, bound: &Bound) -> Vec<(usize, Bound)> {
        let place = site.registry.devices.get(device).map(|device| device.place.as_str()).unwrap_or_default();
        let same = |peer: &usize| {
            let memory = self.devices.get(*peer)?;
            let other = memory.bound.iter().find(|other| other.rule.id == bound.rule.id)?;
            Some((*peer, other.clone()))
        };
        self.places.get(place).into_iter().flatten().filter_map(same).collect()
    }

    fn spot_and_memory<'s>(&'s self, site: &'s Site, device: usize) -> Option<(Spot<'s>, &'s Memory)> {
        Some((Spot::find(site, device)?, self.devices.get(device)?))
    }
}
