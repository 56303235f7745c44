//! What is remembered of one device, and how it takes a reading.

mod signs;
mod watch;

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;

use super::DeviceStatus;
use super::asking::{Models, Question};
use super::fields::Fields;
use super::finding::{self, Found};
use super::recent::Recent;
use super::rule::{Bound, Condition, Input, Rule, Step};
use super::skew::{self, Skew};
use super::stretch::{Stretch, Terms, Turn};
use super::window::Window;
use crate::alert::{Score, Signal};
use crate::decode::{DecodeError, SensorType};
use crate::detect::features;
use crate::detect::model::{ModelCard, Seen, Sight};
use crate::pipeline::Site;
use crate::reading::{Reading, Value};
use crate::site::{Device, Place};
use crate::time::TimeMs;
pub(super) use watch::Watch;

/// A reading that is older than this when it arrives comes out of a backlog.
const BACKLOG_MS: i64 = 5_000;
/// A backlog may come in any order, so what lasts is judged when nothing more of it has come for so
/// long. What happens, or is an alarm by itself, is judged at once.
const BACKLOG_REST_MS: i64 = 2_000;
/// A device that is always late is judged all the same.
const LONGEST_REST_MS: i64 = 30_000;

/// Where a device stands in its site. All lookups are done.
#[derive(Clone, Copy)]
pub(super) struct Spot<'a> {
    pub(super) site: &'a Site,
    pub(super) device: &'a Device,
    pub(super) place: &'a Place,
    pub(super) sensor_type: &'a SensorType,
}

impl<'a> Spot<'a> {
    /// Of the device `site.registry.devices[device]`. `None` where its type is not in use.
    pub(super) fn find(site: &'a Site, device: usize) -> Option<Self> {
        let place = site.place_of(device)?;
        let device = site.registry.devices.get(device)?;
        let sensor_type = site.sensor_types.get(&device.sensor_type)?;
        Some(Self { site, device, place, sensor_type })
    }

    pub(super) fn terms(&self, bound: &Bound, for_ms: i64) -> Terms {
        let hours = bound.rule.hours.map(|hours| (hours, self.site.utc_offset));
        Terms { for_ms, gap_ms: self.sensor_type.silent_after.ms(), hours }
    }
}

/// What is remembered of one device.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Memory {
    pub(super) id: String,
    /// Since when it is expected to be heard.
    since_ms: TimeMs,
    seen_ms: Option<TimeMs>,
    silent: bool,
    backlog: Option<Backlog>,
    skew: Skew,
    recent: Recent,
    pub(super) fields: Fields,
    watches: Vec<(Arc<str>, Watch)>,
    #[serde(skip)]
    pub(super) bound: Vec<Bound>,
    /// The earliest timer that is set for it.
    #[serde(skip)]
    pub(super) timer_ms: Option<TimeMs>,
}

/// Readings out of a backlog that are placed and not yet judged.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Backlog {
    /// The earliest of them.
    from_ms: TimeMs,
    /// When the first of them came in.
    since_ms: TimeMs,
    /// When they will be judged.
    rest_until_ms: TimeMs,
}

impl Backlog {
    fn with(before: Option<Self>, at: TimeMs, now: TimeMs) -> Self {
        let (from_ms, since_ms) = before.map_or((at, now), |before| (before.from_ms.min(at), before.since_ms));
        Self { from_ms, since_ms, rest_until_ms: (now + BACKLOG_REST_MS).min(since_ms + LONGEST_REST_MS) }
    }
}

impl Memory {
    /// A device that is expected to be heard from `now` on.
    pub(super) fn new(id: &str, now: TimeMs) -> Self {
        Self {
            id: id.to_owned(),
            since_ms: now,
            seen_ms: None,
            silent: false,
            backlog: None,
            skew: Skew::default(),
            recent: Recent::default(),
            fields: Fields::default(),
            watches: Vec::new(),
            bound: Vec::new(),
            timer_ms: None,
        }
    }

    /// Fits the memory to the site: fields keep their history by name, rules theirs by id. What was
    /// raised by a rule that is gone is cleared.
    pub(super) fn fit(&mut self, spot: Option<Spot<'_>>, now: TimeMs, signals: &mut Vec<Signal>) {
        self.timer_ms = None;
        let Some(spot) = spot else {
            // Its type is set aside: it is remembered for the day when it is back.
            self.bound.clear();
            return;
        };
        self.bound = spot.site.rules.bind(spot.device, spot.place, spot.sensor_type);
        let mut before = std::mem::take(&mut self.watches);
        for bound in &self.bound {
            let kept = before.iter().position(|(id, watch)| *id == bound.rule.id && watch.fits(bound));
            self.watches.push(match kept {
                Some(index) => before.swap_remove(index),
                None => (bound.rule.id.clone(), Watch::new(bound, spot.site, now)),
            });
        }
        for (rule, watch) in before {
            self.clear_dropped(rule, &watch, signals);
        }
        let reach = |field: usize| {
            let looked_at = self.bound.iter().filter(|bound| bound.condition.fields().contains(&&field));
            looked_at.map(|bound| bound.condition.reach_ms()).max().unwrap_or(0)
        };
        self.fields.fit(spot.sensor_type, reach);
    }

    /// Clears what this device has raised: it or a rule of it is gone.
    pub(super) fn clear_all(&mut self, signals: &mut Vec<Signal>) {
        for (rule, watch) in std::mem::take(&mut self.watches) {
            self.clear_dropped(rule, &watch, signals);
        }
    }

    fn clear_dropped(&self, rule: Arc<str>, watch: &Watch, signals: &mut Vec<Signal>) {
        let raised = match watch {
            Watch::Lasting(stretches) => stretches.iter().any(Stretch::is_raised),
            Watch::Inactive { raised, .. } => *raised,
            Watch::Silent => self.silent,
            Watch::Event(_) | Watch::Model { .. } | Watch::Place => false,
        };
        if raised {
            signals.push(Signal::Clear { device: self.id.clone(), rule });
        }
    }

    /// Takes a reading that came in at `now`.
    pub(super) fn read(
        &mut self,
        spot: Spot<'_>,
        reading: &Reading,
        redelivered: bool,
        now: TimeMs,
        models: &mut Models<'_>,
        out: &mut Out<'_>,
    ) -> Option<Placed> {
        // What others say of a device that is gone is no sign of life.
        if !spot.sensor_type.says_offline(reading) {
            self.heard(now, out.signals);
        }
        let told = reading.event_ms.filter(|event| skew::is_set(*event));
        if self.recent.knows(told, reading, redelivered) {
            return None;
        }
        self.recent.note(told.unwrap_or(now), reading);
        let at = match told {
            None => now,
            Some(event) => {
                self.skew.learn(event, now, redelivered);
                event - self.skew.ahead_ms()
            }
        };
        if now - at > BACKLOG_MS {
            self.backlog = Some(Backlog::with(self.backlog, at, now));
        }
        let late = self.fields.newest_ms().is_some_and(|newest| at < newest);
        self.fields.keep(spot.sensor_type, reading, at, late, out.refused);
        let bound = std::mem::take(&mut self.bound);
        for (index, rule) in bound.iter().enumerate() {
            self.judge(spot, rule, index, reading, at, models, out);
        }
        self.bound = bound;
        Some(Placed { at, late })
    }

    /// It gave a sign of life.
    pub(super) fn heard(&mut self, now: TimeMs, signals: &mut Vec<Signal>) {
        self.seen_ms = Some(now);
        if std::mem::take(&mut self.silent) {
            let silent = |bound: &&Bound| matches!(bound.condition, Condition::Silent);
            signals.extend(
                self.bound
                    .iter()
                    .filter(silent)
                    .map(|bound| Signal::Clear { device: self.id.clone(), rule: bound.rule.id.clone() }),
            );
        }
    }

    #[allow(clippy::too_many_arguments, reason = "one call site; a struct would only rename them")]
    fn judge(
        &mut self,
        spot: Spot<'_>,
        bound: &Bound,
        index: usize,
        reading: &Reading,
        at: TimeMs,
        models: &mut Models<'_>,
        Out { signals, refused }: &mut Out<'_>,
    ) {
        let Some((_, watch)) = self.watches.get_mut(index) else { return };
        match (&bound.condition, watch) {
            (Condition::Lasting(steps), Watch::Lasting(stretches)) => {
                let mut turns = Vec::new();
                for (number, (step, stretch)) in steps.iter().zip(stretches).enumerate() {
                    let rests = self.backlog.is_some() && step.for_ms > 0;
                    if rests || !step.test.asks_for(reading) {
                        continue;
                    }
                    let terms = spot.terms(bound, step.for_ms);
                    let mut told = Vec::new();
                    if stretch.is_behind(at) {
                        reread(step, stretch, at, self.fields.windows(), &terms, &mut told);
                    } else if let Some(holds) = step.test.holds(self.fields.windows(), at, stretch.held(), terms.gap_ms)
                    {
                        stretch.read(at, holds, &terms, &mut told);
                    }
                    turns.extend(told.into_iter().map(|turn| (number, turn)));
                }
                self.turn(spot, bound, index, turns, signals);
            }
            (Condition::Event { clauses, times, within_ms }, Watch::Event(happened)) => {
                if !counts(bound, spot, at)
                    || !clauses.iter().all(|clause| clause.says(reading, self.fields.windows(), at))
                {
                    return;
                }
                let count = count_around(happened, at, *within_ms, *times);
                if count >= *times {
                    let found = Found { at, severity: bound.rule.severity, lasting: false };
                    signals.push(finding::event(spot, bound, &found, reading, count, *within_ms));
                }
            }
            (Condition::Burst { field, card }, Watch::Model { quiet_until_ms, .. }) => {
                let Some(Some(Value::Burst(burst))) = reading.values.get(*field) else { return };
                models.scorer.look(&sight(spot, &bound.rule, card, at, Seen::Burst(burst)));
                match features::extract(&card.features, burst) {
                    Ok(features) => {
                        let question = question(spot, &bound.rule, card, features);
                        if let Some(score) = said_anew(models, &question, at, quiet_until_ms, counts(bound, spot, at)) {
                            let curves = finding::burst(spot, *field, burst, at);
                            signals.push(finding::model(spot, bound, at, score, curves));
                        }
                    }
                    Err(error) => refused.push(DecodeError { code: "unusable_burst", detail: error.to_string() }),
                }
            }
            (Condition::Series { inputs, card }, Watch::Model { quiet_until_ms, learnt: Some(learnt) }) => {
                let value = |input: &Option<Input<usize>>| {
                    let Input { field, scale, offset, .. } = input.as_ref()?;
                    let number = reading.number(*field)?;
                    // What cannot be believed was not kept, and no model learns from it.
                    let kept = self.fields.windows().get(*field)?.at_or_before(at);
                    (kept == Some((at, number))).then_some(number * scale + offset)
                };
                let values: Vec<Option<f64>> = inputs.iter().map(value).collect();
                if values.iter().any(Option::is_some) {
                    models.scorer.look(&sight(spot, &bound.rule, card, at, Seen::Reading(&values)));
                }
                let Some(features) = learnt.push(at, &values) else { return };
                let question = question(spot, &bound.rule, card, features);
                if let Some(score) = said_anew(models, &question, at, quiet_until_ms, counts(bound, spot, at)) {
                    let curves = finding::curves(spot, bound, at, self.fields.windows());
                    signals.push(finding::model(spot, bound, at, score, curves));
                }
            }
            // Activity and routine concern the whole place, silence only time.
            _ => {}
        }
    }

    /// Tells what the steps of a lasting condition came to.
    fn turn(&self, spot: Spot<'_>, bound: &Bound, index: usize, turns: Vec<(usize, Turn)>, signals: &mut Vec<Signal>) {
        let Condition::Lasting(steps) = &bound.condition else { return };
        let mut cleared = false;
        for (number, turn) in turns {
            match turn {
                Turn::Raise(at) => {
                    let Some(step) = steps.get(number) else { continue };
                    let found = Found { at, severity: step.severity, lasting: true };
                    signals.push(finding::lasting(spot, bound, step, &found, self.fields.windows()));
                }
                Turn::Clear(_) => cleared = true,
            }
        }
        let raised = matches!(self.watches.get(index), Some((_, Watch::Lasting(stretches)))
            if stretches.iter().any(Stretch::is_raised));
        if cleared && !raised {
            signals.push(Signal::Clear { device: self.id.clone(), rule: bound.rule.id.clone() });
        }
    }

    /// Lets time pass to `now`. Gives the rules whose hours of activity have ended, with when.
    pub(super) fn elapse(
        &mut self,
        spot: Spot<'_>,
        listening_ms: TimeMs,
        now: TimeMs,
        signals: &mut Vec<Signal>,
    ) -> Vec<(usize, TimeMs)> {
        let mut ended = Vec::new();
        if !self.silent && now >= self.silent_at(spot.sensor_type, listening_ms) {
            self.silent = true;
            let silent = |bound: &&Bound| matches!(bound.condition, Condition::Silent);
            let unheard = self.unheard_since(listening_ms);
            for bound in self.bound.iter().filter(silent) {
                signals.push(finding::silent(spot, bound, now, now - unheard));
            }
        }
        if self.backlog.is_some_and(|backlog| now < backlog.rest_until_ms) {
            return ended;
        }
        let unjudged = self.backlog.take();
        let bound = std::mem::take(&mut self.bound);
        for (index, rule) in bound.iter().enumerate() {
            let Some((_, watch)) = self.watches.get_mut(index) else { continue };
            match (&rule.condition, watch) {
                (Condition::Lasting(steps), Watch::Lasting(stretches)) => {
                    let mut turns = Vec::new();
                    for (number, (step, stretch)) in steps.iter().zip(stretches).enumerate() {
                        let mut told = Vec::new();
                        let terms = spot.terms(rule, step.for_ms);
                        if let Some(backlog) = unjudged.filter(|_| step.for_ms > 0) {
                            reread(step, stretch, backlog.from_ms, self.fields.windows(), &terms, &mut told);
                        }
                        stretch.elapse(now, &terms, &mut told);
                        turns.extend(told.into_iter().map(|turn| (number, turn)));
                    }
                    if !turns.is_empty() {
                        self.turn(spot, rule, index, turns, signals);
                    }
                }
                (Condition::Inactive { between, .. }, Watch::Inactive { ends_ms, .. }) if *ends_ms <= now => {
                    ended.push((index, *ends_ms));
                    *ends_ms = between.next_end(spot.site.utc_offset, now);
                }
                _ => {}
            }
        }
        self.bound = bound;
        ended
    }

    /// When time alone next means something.
    pub(super) fn next_due(&self, spot: Spot<'_>, listening_ms: TimeMs) -> Option<TimeMs> {
        let silence = (!self.silent).then(|| self.silent_at(spot.sensor_type, listening_ms));
        let due = |(bound, (_, watch)): (&Bound, &(Arc<str>, Watch))| match (&bound.condition, watch) {
            (Condition::Lasting(steps), Watch::Lasting(stretches)) => {
                let due = steps
                    .iter()
                    .zip(stretches)
                    .filter_map(|(step, stretch)| stretch.next_due(&spot.terms(bound, step.for_ms)));
                due.min()
            }
            (Condition::Inactive { .. }, Watch::Inactive { ends_ms, .. }) => Some(*ends_ms),
            _ => None,
        };
        let rules = match self.backlog {
            Some(backlog) => Some(backlog.rest_until_ms),
            None => self.bound.iter().zip(&self.watches).filter_map(due).min(),
        };
        [silence, rules].into_iter().flatten().min()
    }

    fn unheard_since(&self, listening_ms: TimeMs) -> TimeMs {
        self.seen_ms.unwrap_or(self.since_ms).max(listening_ms)
    }

    fn silent_at(&self, sensor_type: &SensorType, listening_ms: TimeMs) -> TimeMs {
        self.unheard_since(listening_ms) + sensor_type.silent_after.ms()
    }

    /// The device is not heard.
    pub(super) fn is_silent(&self) -> bool {
        self.silent
    }

    /// The watch of the rule with this id.
    pub(super) fn watch_mut(&mut self, rule: &str) -> Option<&mut Watch> {
        self.watches.iter_mut().find(|(id, _)| **id == *rule).map(|(_, watch)| watch)
    }

    /// How it is, for people.
    pub(super) fn status(&self, spot: Option<Spot<'_>>) -> DeviceStatus {
        let fields = spot.map_or(&[][..], |spot| spot.sensor_type.fields.as_slice());
        DeviceStatus {
            device: self.id.clone(),
            seen_ms: self.seen_ms,
            silent: self.silent,
            battery_percent: self.fields.battery_percent(fields),
            skew_ms: self.skew.is_known().then(|| self.skew.ahead_ms()),
            values: self.fields.latest(fields),
        }
    }
}

/// Where a reading came to lie in its device's window.
pub(super) struct Placed {
    /// By the device's corrected clock.
    pub(super) at: TimeMs,
    /// Behind what was there.
    pub(super) late: bool,
}

/// Whether the rule is in force at `at`.
fn counts(bound: &Bound, spot: Spot<'_>, at: TimeMs) -> bool {
    bound.rule.hours.is_none_or(|hours| hours.contains(spot.site.utc_offset, at))
}

fn question<'a>(spot: Spot<'a>, rule: &'a Rule, card: &'a ModelCard, features: Vec<f32>) -> Question<'a> {
    let (place, about) = (spot.place.id.as_str(), spot.device.id.as_str());
    Question { rule, card, place, about, features, usual: card.usual_features() }
}

fn sight<'a>(spot: Spot<'a>, rule: &'a Rule, card: &'a ModelCard, at_ms: TimeMs, seen: Seen<'a>) -> Sight<'a> {
    Sight { card, rule: &rule.id, place: &spot.place.id, device: &spot.device.id, at_ms, seen }
}

/// What the model says, if it is a yes that is not the same matter as the last one.
fn said_anew(
    models: &mut Models<'_>,
    question: &Question<'_>,
    at: TimeMs,
    quiet_until_ms: &mut TimeMs,
    counts: bool,
) -> Option<Score> {
    let said = models.ask(question, counts && at >= *quiet_until_ms)?;
    *quiet_until_ms = at + question.card.quiet.ms();
    Some(said)
}

/// Where a reading's consequences go.
pub(super) struct Out<'a> {
    pub(super) signals: &'a mut Vec<Signal>,
    pub(super) refused: &'a mut Vec<DecodeError>,
}

/// Judges a step by all its readings again, because some came to lie at `from` or behind it.
fn reread(
    step: &Step<usize>,
    stretch: &mut Stretch,
    from: TimeMs,
    windows: &[Window],
    terms: &Terms,
    turns: &mut Vec<Turn>,
) {
    let times = times(windows, &step.test.fields());
    let says = |at, held| step.test.holds(windows, at, held, terms.gap_ms);
    stretch.reread(from, times.into_iter(), says, terms, turns);
}

/// The times at which any of the fields was read, in order.
fn times(windows: &[Window], fields: &[&usize]) -> Vec<TimeMs> {
    let of = |field: &&usize| windows.get(**field);
    let mut times: Vec<TimeMs> = fields
        .iter()
        .filter_map(of)
        .flat_map(|window| window.between(TimeMs::MIN, TimeMs::MAX))
        .map(|(time, _)| time)
        .collect();
    times.sort_unstable();
    times.dedup();
    times
}

/// Notes that it happened at `at`; gives the most that happened within `within_ms` around it.
fn count_around(happened: &mut VecDeque<TimeMs>, at: TimeMs, within_ms: i64, times: usize) -> usize {
    let index = happened.partition_point(|time| *time <= at);
    happened.insert(index, at);
    if happened.len() > 2 * times {
        happened.pop_front();
    }
    let within = |end: &TimeMs| happened.iter().filter(|time| (end - within_ms..=*end).contains(time)).count();
    happened.iter().filter(|end| (at..=at + within_ms).contains(end)).map(within).max().unwrap_or(1)
}
