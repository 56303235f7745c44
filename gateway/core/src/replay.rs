//! Deciding again from what was recorded.

mod what_if;

pub use what_if::{Both, WhatIf};

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

use crate::ailment::Complaint;
use crate::alert::{Drill, Matter, Regrade, StaffAction, WalkTurn};
use crate::detect::model::{Asked, ScoreError, Scorer, Sight};
use crate::pipeline::{Effects, Event, Message, Pipeline, Settings};
use crate::time::TimeMs;

/// An event as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Recorded<'a> {
    /// All state up to here, as [`Pipeline::checkpoint`] wrote it: each segment begins with one.
    Checkpoint(#[serde(borrow, with = "serde_bytes")] Cow<'a, [u8]>),
    /// A message, with the scores that were made of it.
    Message {
        /// The door it came in by.
        door: &'a str,
        /// See [`Message::device`].
        device: Option<&'a str>,
        /// The MQTT topic.
        topic: &'a str,
        /// The payload.
        #[serde(with = "serde_bytes")]
        payload: &'a [u8],
        /// See [`Message::redelivered`].
        redelivered: bool,
        /// In the order of scoring; NaN where a model failed.
        scores: Vec<f32>,
        /// Why it was rejected, if it was.
        rejected: Option<Cow<'a, str>>,
    },
    /// The gateway began to listen.
    Start,
    /// A tick that had an effect.
    Tick {
        /// In the order of scoring; NaN where a model failed.
        scores: Vec<f32>,
    },
    /// A staff action that was taken.
    Action(StaffAction),
    /// The site changed; [`Settings`] as JSON.
    Configure(Cow<'a, str>),
    /// All that ailed the gateway, where that changed.
    Complaints(Vec<Complaint>),
    /// A drill that was begun.
    Drill(Drill),
    /// What a resident reported, without what is theirs.
    Report(Matter),
    /// A person made an alert graver.
    Regrade(Regrade),
    /// A device's turn in a walk-test began or was over.
    Turn(WalkTurn),
}

/// Why a recording cannot be decided again.
#[derive(Debug, thiserror::Error)]
#[error("the recorded settings cannot be read: {0}")]
pub struct ReplayError(#[from] serde_json::Error);

impl Pipeline {
    /// Takes a recorded event as [`Pipeline::step`] takes a live one, with the recorded scores.
    /// A checkpoint is passed by: the state is there already.
    ///
    /// # Errors
    /// Where a recorded change of the site is not readable.
    pub fn step_again(&mut self, recorded: &Recorded<'_>, now: TimeMs) -> Result<Effects, ReplayError> {
        self.step_scored(recorded, now, &mut RecordedScores(recorded.scores().iter()))
    }

    /// The same, and shows `look` all that models look at.
    ///
    /// # Errors
    /// As [`Self::step_again`].
    pub fn step_again_looking(
        &mut self,
        recorded: &Recorded<'_>,
        now: TimeMs,
        look: &mut dyn FnMut(&Sight<'_>),
    ) -> Result<Effects, ReplayError> {
        self.step_scored(recorded, now, &mut Looking { scores: RecordedScores(recorded.scores().iter()), look })
    }

    fn step_scored(
        &mut self,
        recorded: &Recorded<'_>,
        now: TimeMs,
        scorer: &mut dyn Scorer,
    ) -> Result<Effects, ReplayError> {
        let event = match recorded {
            Recorded::Checkpoint(_) => return Ok(Effects::default()),
            Recorded::Message { device, topic, payload, redelivered, .. } => {
                Event::Message(Message { device: *device, topic, payload, redelivered: *redelivered })
            }
            Recorded::Start => Event::Start,
            Recorded::Tick { .. } => Event::Tick,
            Recorded::Action(action) => Event::Action(action),
            Recorded::Complaints(complaints) => Event::Complaints(complaints),
            Recorded::Drill(drill) => Event::Drill(drill),
            Recorded::Report(matter) => Event::Report(matter),
            Recorded::Regrade(regrade) => Event::Regrade(regrade),
            Recorded::Turn(turn) => Event::Turn(turn),
            Recorded::Configure(settings) => {
                let settings: Settings = serde_json::from_str(settings)?;
                return Ok(self.step(Event::Configure(&settings), now, scorer));
            }
        };
        Ok(self.step(event, now, scorer))
    }
}

impl Recorded<'_> {
    fn scores(&self) -> &[f32] {
        match self {
            Self::Message { scores, .. } | Self::Tick { scores } => scores,
            _ => &[],
        }
    }
}

struct RecordedScores<'a>(std::slice::Iter<'a, f32>);

impl Scorer for RecordedScores<'_> {
    fn score(&mut self, asked: &Asked<'_>) -> Result<f32, ScoreError> {
        self.0.next().copied().ok_or_else(|| not_recorded(asked.model))
    }
}

struct Looking<'a> {
    scores: RecordedScores<'a>,
    look: &'a mut dyn FnMut(&Sight<'_>),
}

impl Scorer for Looking<'_> {
    fn score(&mut self, asked: &Asked<'_>) -> Result<f32, ScoreError> {
        self.scores.score(asked)
    }

    fn look(&mut self, sight: &Sight<'_>) {
        (self.look)(sight);
    }
}

fn not_recorded(model: &str) -> ScoreError {
    ScoreError { model: model.to_owned(), reason: "no score was recorded".to_owned() }
}
