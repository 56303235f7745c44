//! What if the site had been set up otherwise? A recording decided on two sides at once: as it was
//! recorded, and with changed settings.

use super::{Recorded, RecordedScores, ReplayError, not_recorded};
use crate::alert::StaffAction;
use crate::detect::model::{Asked, ScoreError, Scorer};
use crate::fault::Fault;
use crate::pipeline::{CheckpointError, Effects, Event, Pipeline, Settings, Site};
use crate::time::TimeMs;

/// A recording on its way through two pipelines.
#[derive(Debug)]
pub struct WhatIf<C> {
    recorded: Pipeline,
    changed: Pipeline,
    change: C,
}

/// What followed from an event, on both sides.
#[derive(Debug, Default)]
pub struct Both {
    /// As it was recorded.
    pub recorded: Effects,
    /// With the settings changed.
    pub changed: Effects,
    /// Where the recorded site changed: the faults that the changed settings have and it has not.
    pub faults: Vec<Fault>,
}

impl<C: Fn(&mut Settings)> WhatIf<C> {
    /// Begins where `recorded` is, with `change` made to its settings. Also gives the faults that
    /// the changed settings have and the recorded ones have not.
    ///
    /// # Errors
    /// Where the state cannot be taken over.
    pub fn new(recorded: Pipeline, change: C) -> Result<(Self, Vec<Fault>), CheckpointError> {
        let mut changed = Pipeline::restore(&recorded.checkpoint()?)?;
        let mut settings = recorded.settings().clone();
        change(&mut settings);
        let faults = new_faults(recorded.settings(), &settings);
        changed.step(Event::Configure(&settings), recorded.now_ms(), &mut Known::default());
        Ok((Self { recorded, changed, change }, faults))
    }

    /// The side that decides as it was recorded.
    pub fn recorded(&self) -> &Pipeline {
        &self.recorded
    }

    /// Takes a recorded event on both sides. The change is made to each recorded change of the site
    /// too; staff do on the changed side what they did, where there is an alert to do it on.
    ///
    /// # Errors
    /// Where a recorded change of the site is not readable.
    pub fn step(&mut self, recorded: &Recorded<'_>, now: TimeMs) -> Result<Both, ReplayError> {
        let mut known = Known::default();
        let mut faults = Vec::new();
        let changed = match recorded {
            Recorded::Configure(settings) => {
                let recorded: Settings = serde_json::from_str(settings)?;
                let mut settings = recorded.clone();
                (self.change)(&mut settings);
                faults = new_faults(&recorded, &settings);
                Some(self.changed.step(Event::Configure(&settings), now, &mut known))
            }
            Recorded::Action(action) => {
                let action = self.counterpart(action);
                let event = action.as_ref().map_or(Event::Tick, Event::Action);
                Some(self.changed.step(event, now, &mut known))
            }
            _ => None,
        };
        let scores = &mut RecordedScores(recorded.scores().iter());
        let as_recorded = self.recorded.step_scored(recorded, now, &mut Labelled { scores, known: &mut known })?;
        let changed = match changed {
            Some(effects) => effects,
            None => self.changed.step_scored(recorded, now, &mut known)?,
        };
        Ok(Both { recorded: as_recorded, changed, faults })
    }

    /// The same action on the alert of the changed side that is about the same: of the same place
    /// and group, and raised at about the same time.
    fn counterpart(&self, action: &StaffAction) -> Option<StaffAction> {
        let meant = self.recorded.open_alerts().find(|alert| alert.id == action.alert)?;
        let alike = self.changed.open_alerts().filter(|alert| alert.place == meant.place && alert.group == meant.group);
        let nearest = alike.min_by_key(|alert| {
            (alert.id != meant.id, alert.raised_at_ms.saturating_sub(meant.raised_at_ms).saturating_abs())
        })?;
        Some(StaffAction { alert: nearest.id.clone(), ..action.clone() })
    }
}

/// The faults of `changed` that `recorded` has not.
fn new_faults(recorded: &Settings, changed: &Settings) -> Vec<Fault> {
    let (_, known) = Site::compile(recorded);
    let (_, mut faults) = Site::compile(changed);
    faults.retain(|fault| !known.contains(fault));
    faults
}

/// Scores that were recorded, with what they are of: other rules may ask for them in another order.
#[derive(Default)]
struct Known(Vec<(String, Vec<f32>, f32)>);

impl Scorer for Known {
    fn score(&mut self, asked: &Asked<'_>) -> Result<f32, ScoreError> {
        let found = self.0.iter().find(|(name, of, _)| name == asked.model && of == asked.features);
        found.map(|(.., score)| *score).ok_or_else(|| not_recorded(asked.model))
    }
}

/// Gives the recorded scores in their order, and notes what they are of.
struct Labelled<'a, 'r> {
    scores: &'a mut RecordedScores<'r>,
    known: &'a mut Known,
}

impl Scorer for Labelled<'_, '_> {
    fn score(&mut self, asked: &Asked<'_>) -> Result<f32, ScoreError> {
        let score = self.scores.score(asked)?;
        self.known.0.push((asked.model.to_owned(), asked.features.to_vec(), score));
        Ok(score)
    }
}
