//! Small places whose hours are learnt: what is known of each, fed by its doors, sensors and cameras.

use serde::{Deserialize, Serialize};

use super::asking::{Models, Question};
use super::finding;
use super::memory::{Memory, Spot};
use super::model::{Seen, Sight};
use super::opening::{self, Event, LocalMs, Opening, Row, Sign};
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
    /// Until then a yes is the same matter, whichever device noticed it.
    quiet_until_ms: TimeMs,
}

impl Default for Premises {
    fn default() -> Self {
        Self { opening: Opening::default(), newest_ms: LocalMs::MIN, quiet_until_ms: TimeMs::MIN }
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
        let noticed = memory.bound.iter().find_map(|bound| Some((bound, memory.notices(spot, bound, reading, at)?)));
        let Some((bound, sign)) = noticed else { return };
        let Some(card) = bound.condition.card() else { return };
        let (device, seen) = (spot.device.id.as_str(), Seen::Noticed(sign));
        models.scorer.look(&Sight { card, rule: &bound.rule.id, place: &spot.place.id, device, at_ms: at, seen });
        let Some(row) = self.sign(sign, spot.site.utc_offset.local_ms(at)) else { return };
        let (rule, place) = (&bound.rule, spot.place.id.as_str());
        let usual = opening::baseline(&row).to_vec();
        let question = Question { rule, card, place, about: place, features: row.to_vec(), usual };
        let in_force = rule.hours.is_none_or(|hours| hours.contains(spot.site.utc_offset, at));
        let Some(score) = models.ask(&question, in_force && at >= self.quiet_until_ms) else { return };
        self.quiet_until_ms = at + card.quiet.ms();
        let curves = finding::curves(spot, bound, at, memory.fields.windows());
        signals.push(finding::model(spot, bound, at, score, curves));
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
