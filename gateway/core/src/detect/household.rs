//! Homes whose routine is watched: what is known of each, fed by the devices of the place.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::asking::{Models, Question};
use super::finding;
use super::memory::Spot;
use super::routine::{Event, Home, LocalMs, Role, Watch};
use super::rule::{Bound, Condition};
use super::window::Window;
use crate::alert::Signal;
use crate::time::TimeMs;

/// How often it is asked what goes on, as in training.
pub(super) const EVERY_MS: i64 = 5 * 60_000;
/// What is older than the newest sign by more says nothing about now.
const LATE_MS: i64 = 60_000;

/// A home on its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Household {
    home: Home,
    newest_ms: LocalMs,
    /// The device that gave the last sign: an alert is about it.
    pub(super) last_device: Option<String>,
    /// What was raised, by rule: since when it goes on, if sight of it was not lost, and by which device.
    pub(super) raised: BTreeMap<Arc<str>, (Option<LocalMs>, String)>,
    /// Where somebody was noticed since sight was lost last.
    seen: Vec<Role>,
    /// When it is asked next.
    pub(super) next_ms: TimeMs,
}

/// When a home is asked first: one a second, lest hundreds come at once.
pub(super) fn first_ms(index: usize, now: TimeMs) -> TimeMs {
    let turn = i64::try_from(index).unwrap_or(0) % (EVERY_MS / 1000);
    now + EVERY_MS + turn * 1000
}

impl Household {
    /// Nothing known yet, of the home at the place with this index.
    pub(super) fn new(index: usize, now: TimeMs) -> Self {
        Self {
            home: Home::default(),
            newest_ms: LocalMs::MIN,
            last_device: None,
            raised: BTreeMap::new(),
            seen: Vec::new(),
            next_ms: first_ms(index, now),
        }
    }

    /// A device told that somebody is there, or is not any more.
    pub(super) fn sign(&mut self, device: &str, role: Role, on: bool, at_ms: LocalMs) {
        if at_ms < self.newest_ms.saturating_sub(LATE_MS) {
            return;
        }
        self.newest_ms = self.newest_ms.max(at_ms);
        self.home.push(&Event { at_ms, role, on });
        if on && !self.seen.contains(&role) {
            self.seen.push(role);
        }
        if self.last_device.as_deref() != Some(device) {
            self.last_device = Some(device.to_owned());
        }
    }

    /// Some of it is not heard: what goes on is not known any more. What was raised stays so: silence is not health.
    pub(super) fn lose_sight(&mut self) {
        self.home.forget_now();
        self.seen.clear();
        self.raised.values_mut().for_each(|(since, _)| *since = None);
    }

    /// What goes on.
    pub(super) fn watch(&mut self, now: LocalMs) -> Vec<Watch> {
        self.home.watch(now)
    }

    /// Asks the model of a rule about what goes on: a yes is raised once for as long as it goes on.
    #[allow(clippy::too_many_arguments, reason = "where it stands, and where its consequences go")]
    pub(super) fn judge(
        &mut self,
        spot: Spot<'_>,
        bound: &Bound,
        watched: &[Watch],
        now: TimeMs,
        windows: &[Window],
        models: &mut Models<'_>,
        signals: &mut Vec<Signal>,
    ) {
        let Condition::Home { watch: kind, card, .. } = &bound.condition else { return };
        let rule = &bound.rule;
        let found = watched.iter().find(|watch| watch.kind == *kind);
        let is_over = self.raised.get(&rule.id).is_some_and(|(since, _)| match since {
            Some(since) => found.is_none_or(|watch| watch.since_ms != *since),
            // Out of sight is not over: somebody has to be noticed where that says so.
            None => found.is_none() && self.seen.iter().any(|role| kind.is_over_by(*role)),
        });
        if is_over {
            self.clear(&rule.id, signals);
        }
        let Some(watch) = found else { return };
        if let Some((since, _)) = self.raised.get_mut(&rule.id) {
            since.get_or_insert(watch.since_ms);
        }
        let counts = !self.raised.contains_key(&rule.id)
            && rule.hours.is_none_or(|hours| hours.contains(spot.site.utc_offset, now));
        let (place, features) = (spot.place.id.as_str(), watch.features.to_vec());
        let question = Question { rule, card, place, about: place, features, usual: watch.usual_features().to_vec() };
        let Some(score) = models.ask(&question, counts) else { return };
        let curves = finding::curves(spot, bound, now, windows);
        signals.push(finding::routine(spot, bound, now, watch, score, curves));
        self.raised.insert(rule.id.clone(), (Some(watch.since_ms), spot.device.id.clone()));
    }

    /// What the rule had raised is over.
    pub(super) fn clear(&mut self, rule: &Arc<str>, signals: &mut Vec<Signal>) {
        if let Some((_, device)) = self.raised.remove(rule) {
            signals.push(Signal::Clear { device, rule: rule.clone() });
        }
    }
}
