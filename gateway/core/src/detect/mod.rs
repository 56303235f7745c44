//! From readings to findings: windows, clock skew, rules and models, device by device.

mod asking;
mod condition;
mod example;
pub mod features;
mod fields;
mod finding;
mod household;
mod memory;
pub mod model;
pub mod opening;
mod past;
mod premises;
mod reason;
mod recent;
pub mod routine;
mod rule;
mod rule_file;
mod skew;
mod stretch;
mod threshold;
mod window;

pub use example::ExampleCount;
pub use past::Past;
pub use rule::{CheckedRule, Rule, Rules};
pub use threshold::Lesson;

use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;

use crate::alert::{Severity, Signal};
use crate::decode::DecodeError;
use crate::detect::model::{ModelCard, Scorer, Seen};
use crate::pipeline::Site;
use crate::reading::Reading;
use crate::time::TimeMs;
use asking::Models;
use finding::Found;
use household::Household;
use memory::{Memory, Out, Spot, Watch};
use premises::Premises;
use rule::{Bound, Condition};
use threshold::Thresholds;

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
    /// By place, the homes whose routine is watched.
    homes: BTreeMap<String, Household>,
    /// By place, the premises whose hours are learnt.
    premises: BTreeMap<String, Premises>,
    thresholds: Thresholds,
    /// When to look at what; some come too early and find nothing to do.
    #[serde(skip)]
    timers: BinaryHeap<Reverse<(TimeMs, Timer)>>,
    /// The devices of each place.
    #[serde(skip)]
    places: HashMap<String, Vec<usize>>,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// The device with this index in the registry.
    Device(usize),
    /// The home at the place with this index in the registry.
    Home(usize),
}

/// What verdicts have made of a model's threshold at a place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LearntThreshold {
    /// The place's id.
    pub place: String,
    /// The model's name.
    pub model: String,
    /// At and above it the model's score is a yes there.
    pub threshold: f64,
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
        self.thresholds.keep_places(|place| site.registry.place(place).is_some());
        self.timers.clear();
        for device in 0..self.devices.len() {
            if let Some(spot) = Spot::find(site, device) {
                self.set_timer(spot, device, TimeMs::MIN);
            }
        }
        self.configure_homes(site, now, signals);
        let is_learnt = |place: &str| {
            let devices = self.places.get(place).into_iter().flatten().filter_map(|device| self.devices.get(*device));
            devices.flat_map(|memory| &memory.bound).any(|bound| matches!(bound.condition, Condition::Place { .. }))
        };
        let mut before = std::mem::take(&mut self.premises);
        let places = site.registry.places.iter().map(|place| &place.id).filter(|place| is_learnt(place));
        self.premises = places.map(|place| (place.clone(), before.remove(place).unwrap_or_default())).collect();
    }

    /// Homes go on by their place; one whose routine nobody watches any more is forgotten.
    fn configure_homes(&mut self, site: &Site, now: TimeMs, signals: &mut Vec<Signal>) {
        let mut before = std::mem::take(&mut self.homes);
        for (index, place) in site.registry.places.iter().enumerate() {
            let rules = self.home_rules(&place.id);
            if rules.is_empty() {
                continue;
            }
            let mut home = before.remove(&place.id).unwrap_or_else(|| Household::new(index, now));
            let is_gone = |rule: &Arc<str>| !rules.iter().any(|(_, bound)| bound.rule.id == *rule);
            let gone: Vec<Arc<str>> = home.raised.keys().filter(|rule| is_gone(rule)).cloned().collect();
            gone.into_iter().for_each(|rule| home.clear(&rule, signals));
            self.timers.push(Reverse((home.next_ms, Timer::Home(index))));
            self.homes.insert(place.id.clone(), home);
        }
        for home in before.values_mut() {
            let raised: Vec<Arc<str>> = home.raised.keys().cloned().collect();
            raised.into_iter().for_each(|rule| home.clear(&rule, signals));
        }
    }

    /// The gateway listens from `now` on: while it did not, no device was silent.
    pub fn start(&mut self, now: TimeMs) {
        self.listening_ms = now;
        for (index, home) in self.homes.values_mut().enumerate() {
            home.lose_sight();
            if home.next_ms <= now {
                home.next_ms = household::first_ms(index, now);
            }
        }
        self.premises.values_mut().for_each(Premises::lose_sight);
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
        let mut models = Models { scorer, thresholds: &self.thresholds };
        let mut out = Out { signals, refused };
        let placed = memory.read(spot, reading, redelivered, now, &mut models, &mut out);
        if let Some(placed) = &placed {
            if let Some(premises) = self.premises.get_mut(&spot.place.id) {
                premises.judge(spot, memory, reading, placed.at, &mut models, signals);
            }
            if let Some(home) = self.homes.get_mut(&spot.place.id) {
                for sight in memory.signs(spot, reading, placed.at) {
                    models.scorer.look(&sight);
                    if let Seen::Sign { role, on, .. } = sight.seen {
                        home.sign(&spot.device.id, role, on, site.utc_offset.local_ms(placed.at));
                    }
                }
            }
            self.end_inactivity(device, spot, reading, signals);
        }
        self.set_timer(spot, device, TimeMs::MIN);
        match placed {
            None => Placement::Duplicate,
            Some(placed) if placed.late => Placement::Late,
            Some(_) => Placement::Newest,
        }
    }

    /// Takes what a verdict teaches on an alert at this place, found by these rules.
    pub fn learn(&mut self, site: &Site, place: &str, rules: &[String], lesson: Lesson) {
        let of_model = |id: &String| {
            let rule = site.rules.get(id).filter(|rule| rule.severity < Severity::Critical)?;
            rule.condition.card().cloned()
        };
        // Where other rules had a part in it, the verdict may be about those.
        let Some(mut cards) = rules.iter().map(of_model).collect::<Option<Vec<_>>>() else { return };
        // One verdict is one, however many rules asked the model.
        cards.sort_by(|a, b| a.name.cmp(&b.name));
        cards.dedup_by(|a, b| a.name == b.name);
        for card in cards {
            self.thresholds.learn(place, &card, lesson);
        }
    }

    /// What verdicts have made of the models' thresholds.
    pub fn thresholds(&self, site: &Site) -> Vec<LearntThreshold> {
        let of = |place: &str, card: &ModelCard| {
            let threshold = self.thresholds.learnt(place, card)?;
            Some(LearntThreshold { place: place.to_owned(), model: card.name.clone(), threshold })
        };
        let places = site.registry.places.iter();
        places.flat_map(|place| site.models.iter().filter_map(|card| of(&place.id, card))).collect()
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
    pub fn on_time(&mut self, site: &Site, now: TimeMs, scorer: &mut dyn Scorer, signals: &mut Vec<Signal>) {
        let mut due = Vec::new();
        while let Some(Reverse((at, timer))) = self.timers.peek().copied() {
            if at > now {
                break;
            }
            self.timers.pop();
            due.push(timer);
        }
        due.sort_unstable();
        due.dedup();
        for timer in due {
            let device = match timer {
                Timer::Device(device) => device,
                Timer::Home(place) => {
                    self.ask_home(site, place, now, scorer, signals);
                    continue;
                }
            };
            let (Some(spot), Some(memory)) = (Spot::find(site, device), self.devices.get_mut(device)) else { continue };
            memory.timer_ms = None;
            let due = memory.next_due(spot, self.listening_ms).is_some_and(|due| due <= now);
            if due {
                let was_silent = memory.is_silent();
                let ended = memory.elapse(spot, self.listening_ms, now, signals);
                if memory.is_silent() && !was_silent {
                    let place = spot.place.id.as_str();
                    let tells_of =
                        |is: fn(&Condition<usize>) -> bool| memory.bound.iter().any(|bound| is(&bound.condition));
                    if tells_of(|condition| matches!(condition, Condition::Place { .. }))
                        && let Some(premises) = self.premises.get_mut(place)
                    {
                        premises.lose_sight();
                    }
                    // At once: it may be heard again before the home is asked next.
                    if tells_of(|condition| matches!(condition, Condition::Home { .. }))
                        && let Some(home) = self.homes.get_mut(place)
                    {
                        home.lose_sight();
                    }
                }
                for (rule, ended_ms) in ended {
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
            self.timers.push(Reverse((due, Timer::Device(device))));
        }
    }

    /// What goes on in the home at the place with this index, and is it out of the usual?
    fn ask_home(&mut self, site: &Site, place: usize, now: TimeMs, scorer: &mut dyn Scorer, signals: &mut Vec<Signal>) {
        let Some(place_id) = site.registry.places.get(place).map(|place| place.id.as_str()) else { return };
        let rules = self.home_rules(place_id);
        let Some(home) = self.homes.get_mut(place_id) else { return };
        if home.next_ms <= now {
            home.next_ms = now + household::EVERY_MS;
            let is_heard =
                |(device, _): &(usize, Bound)| self.devices.get(*device).is_none_or(|memory| !memory.is_silent());
            if rules.iter().all(is_heard) {
                let watched = home.watch(site.utc_offset.local_ms(now));
                let mut models = Models { scorer, thresholds: &self.thresholds };
                let mut asked = BTreeSet::new();
                for first in &rules {
                    // Each rule is asked once, about the device that gave the last sign or else the first.
                    let is_last = |(peer, other): &&(usize, Bound)| {
                        other.rule.id == first.1.rule.id
                            && self.devices.get(*peer).map(|memory| &memory.id) == home.last_device.as_ref()
                    };
                    // With its own fields: the devices of a home are of several types.
                    let (device, bound) = rules.iter().find(is_last).unwrap_or(first);
                    let (Some(spot), Some(memory)) = (Spot::find(site, *device), self.devices.get(*device)) else {
                        continue;
                    };
                    if asked.insert(bound.rule.id.clone()) {
                        home.judge(spot, bound, &watched, now, memory.fields.windows(), &mut models, signals);
                    }
                }
            } else {
                home.lose_sight();
            }
        }
        self.timers.push(Reverse((home.next_ms, Timer::Home(place))));
    }

    /// The devices of a place to which rules about its routine apply, with each of those.
    fn home_rules(&self, place: &str) -> Vec<(usize, Bound)> {
        let of_home = |device: &usize| {
            let memory = self.devices.get(*device)?;
            let of_home = |bound: &&Bound| matches!(bound.condition, Condition::Home { .. });
            Some(memory.bound.iter().filter(of_home).map(|bound| (*device, bound.clone())).collect::<Vec<_>>())
        };
        self.places.get(place).into_iter().flatten().filter_map(of_home).flatten().collect()
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

    /// Whether a critical rule looks at what the device `site.registry.devices[device]` reads.
    pub fn can_be_critical(&self, device: usize) -> bool {
        self.devices.get(device).is_some_and(|memory| memory.bound.iter().any(Bound::is_critical))
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
