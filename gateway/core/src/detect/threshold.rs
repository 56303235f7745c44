//! How high a model has to score at a place before it alerts there: what staff's verdicts have taught.
//!
//! A verdict of `false_alarm` or `nuisance` takes the threshold a quarter of the way that is left to the most that the
//! model's card allows; a true alarm takes half of it back. Rules of severity `critical` know the card's threshold
//! only, and nothing goes below that.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::model::ModelCard;
use super::rule::Rule;
use crate::alert::{Acted, Severity, Verdict};

/// What is learnt, by place and model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Thresholds(BTreeMap<String, BTreeMap<String, Learnt>>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Learnt {
    /// Another version scores otherwise: of it nothing is known.
    version: String,
    /// Of the way from the card's threshold to the most that it allows: 0 to 1.
    way: f64,
}

/// What a verdict teaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lesson {
    /// An alert was judged so.
    Judged(Verdict),
    /// It had been judged so, and that was taken back.
    Withdrawn(Verdict),
}

impl Lesson {
    /// What an action teaches, if anything.
    pub fn of(acted: &Acted) -> Option<Self> {
        acted.judged.map(Self::Judged).or_else(|| acted.withdrawn.map(Self::Withdrawn))
    }
}

const A_FALSE_ONE: f64 = 0.25;
const A_TRUE_ONE: f64 = 0.5;

impl Thresholds {
    /// At and above it the model's score is a yes at this place.
    pub(super) fn of(&self, place: &str, rule: &Rule, card: &ModelCard) -> f64 {
        let may_learn = rule.severity < Severity::Critical;
        if may_learn { self.learnt(place, card).unwrap_or(card.threshold) } else { card.threshold }
    }

    /// What verdicts have made of the model's threshold at this place, if anything.
    pub(super) fn learnt(&self, place: &str, card: &ModelCard) -> Option<f64> {
        let most = card.threshold_most?;
        let learnt = self.0.get(place)?.get(&card.name).filter(|learnt| learnt.version == card.version)?;
        Some(card.threshold + learnt.way * (most - card.threshold))
    }

    /// Takes the verdict on an alert of this place that was the model's alone, or takes it back: then the threshold is where
    /// it would be without it, as far as nothing else was learnt in that minute.
    pub(super) fn learn(&mut self, place: &str, card: &ModelCard, lesson: Lesson) {
        let (Lesson::Judged(verdict) | Lesson::Withdrawn(verdict)) = lesson;
        if card.threshold_most.is_none() || verdict == Verdict::Test {
            return;
        }
        let models = self.0.entry(place.to_owned()).or_default();
        let nothing = || Learnt { version: card.version.clone(), way: 0.0 };
        let learnt = models.entry(card.name.clone()).or_insert_with(nothing);
        if learnt.version != card.version {
            *learnt = nothing();
        }
        let is_true = verdict == Verdict::TrueAlarm;
        learnt.way = match lesson {
            Lesson::Judged(_) if is_true => learnt.way * (1.0 - A_TRUE_ONE),
            Lesson::Judged(_) => learnt.way + A_FALSE_ONE * (1.0 - learnt.way),
            Lesson::Withdrawn(_) if is_true => (learnt.way / (1.0 - A_TRUE_ONE)).min(1.0),
            Lesson::Withdrawn(_) => ((learnt.way - A_FALSE_ONE) / (1.0 - A_FALSE_ONE)).max(0.0),
        };
    }

    /// Forgets places that are gone.
    pub(super) fn keep_places(&mut self, is_there: impl Fn(&str) -> bool) {
        self.0.retain(|place, _| is_there(place));
    }
}
