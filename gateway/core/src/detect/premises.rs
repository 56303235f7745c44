//! Small places whose hours are learnt: what is known of each, fed by its doors, sensors and cameras.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::asking::{Models, Question};
use super::finding;
use super::memory::{Memory, Spot};
use super::model::{Seen, Sight};
use super::opening::{self, Event, LocalMs, Opening, Row, Sign};
use super::rule::Bound;
use crate::alert::Signal;
use crate::reading::Reading;
use crate::time::TimeMs;

/// What is older than the newest sign by more says nothing about now.
const LATE_MS: i64 = 60_000;

/// A place on its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Premises {
    opening: Opening,
    newest_ms: LocalMs,
    /// By rule, until then a yes is the same matter, whichever device noticed it.
    quiet_until_ms: BTreeMap<Arc<str>, TimeMs>,
}

impl Default for Premises {
    fn default() -> Self {
        Self { opening: Opening::default(), newest_ms: LocalMs::MIN, quiet_until_ms: BTreeMap::new() }
    }
}

impl Premises {
    /// Takes a reading of a device of the place: is it somebody, and is that out of hours?
    pub(super) fn judge(
        &mut self,
        spot: Spot<'_>,
        memory: &Memory,
        reading: &Reading,
        at: TimeMs,
        models: &mut Models<'_>,
        signals: &mut Vec<Signal>,
    ) {
        let noticed = |bound| Some((bound, memory.notices(spot, bound, reading, at)?));
        let noticed: Vec<(&Bound, Sign)> = memory.bound.iter().filter_map(noticed).collect();
        // However many rules ask, somebody was noticed once.
        let Some((_, sign)) = noticed.first() else { return };
        let row = self.sign(*sign, spot.site.utc_offset.local_ms(at));
        for (bound, sign) in noticed {
            let Some(card) = bound.condition.card() else { continue };
            let (device, seen) = (spot.device.id.as_str(), Seen::Noticed(sign));
            models.scorer.look(&Sight { card, rule: &bound.rule.id, place: &spot.place.id, device, at_ms: at, seen });
            let Some(row) = row else { continue };
            let (rule, place) = (&bound.rule, spot.place.id.as_str());
            let usual = opening::baseline(&row).to_vec();
            let question = Question { rule, card, place, about: place, features: row.to_vec(), usual };
            let in_force = rule.hours.is_none_or(|hours| hours.contains(spot.site.utc_offset, at));
            let is_quiet = self.quiet_until_ms.get(&rule.id).is_some_and(|until| at < *until);
            let Some(score) = models.ask(&question, in_force && !is_quiet) else { continue };
            self.quiet_until_ms.retain(|_, until| *until > at);
            self.quiet_until_ms.insert(rule.id.clone(), at + card.quiet.ms());
            let curves = finding::curves(spot, bound, at, memory.fields.windows());
            signals.push(finding::model(spot, bound, at, score, curves));
        }
    }

    /// Somebody was noticed. What a model sees of it, once enough is known.
    fn sign(&mut self, sign: Sign, at_ms: LocalMs) -> Option<Row> {
        if at_ms < self.newest_ms.saturating_sub(LATE_MS) {
            return None;
        }
        self.newest_ms = self.newest_ms.max(at_ms);
        self.opening.push(&Event { at_ms, sign })
    }

    /// Some of it is not heard: that nothing stirs says nothing.
    pub(super) fn lose_sight(&mut self) {
        self.opening.forget_now();
    }
}
