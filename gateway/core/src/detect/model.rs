//! Models: what a card says of one, and what scores it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;

use super::features;
use super::opening;
use super::routine::Role;
use crate::reading::Burst;
use crate::site::is_id;
use crate::time::{Span, TimeMs};

/// The machine-readable part of a model's card: `model.toml`. All down to `usual` say how to serve it, the rest what
/// to think of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelCard {
    /// Unique: what a rule's `model` names.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// SHA-256 of the ONNX file, hex.
    pub sha256: String,
    /// The ONNX file beside the card.
    pub file: String,
    /// Which feature extraction makes its input; see [`super::features`].
    pub features: String,
    /// At and above this score the model says yes.
    pub threshold: f64,
    /// How far the verdicts of a place may raise the threshold there; nowhere where it is not given.
    #[serde(default)]
    pub threshold_most: Option<f64>,
    /// After a yes of a device the model's next are the same matter for so long.
    #[serde(default)]
    pub quiet: Span,
    /// It alerts nobody: its scores are compared with those of the model of this name.
    #[serde(default)]
    pub shadow_of: Option<String>,
    /// More alerts than this, by device and day, and the gateway goes back to the former version.
    #[serde(default)]
    pub most_alerts_per_device_day: Option<f64>,
    /// Its score where nothing was amiss.
    pub usual_score: Usual,
    /// What each feature was where nothing was amiss, by name.
    pub usual: BTreeMap<String, Usual>,
    /// What the features are made of.
    #[serde(default)]
    pub input: Option<ModelInput>,
    /// What it learnt from.
    #[serde(default)]
    pub data: Option<ModelData>,
    /// What it is worth, by name: `sensitivity`, `specificity`, …
    #[serde(default)]
    pub figures: BTreeMap<String, Figure>,
    /// What it takes to score it once.
    #[serde(default)]
    pub cost: Option<Cost>,
}

impl ModelCard {
    /// What is wrong in it beyond its form, as (key, problem, mend).
    pub fn problem(&self) -> Option<(String, String, String)> {
        let told = |key: &str, problem: &str, mend: &str| Some((key.to_owned(), problem.to_owned(), mend.to_owned()));
        // It names folders, too: `..` must not be one.
        if !is_id(&self.name) || self.name.starts_with('.') {
            return told("name", "is not a name", "use 1 to 64 of A-Z a-z 0-9 . _ - that do not begin with a dot");
        }
        let scores = 0.0..=1.0;
        if !scores.contains(&self.threshold) {
            return told("threshold", "is not a score", "give a number from 0 to 1");
        }
        if self.threshold_most.is_some_and(|most| !(self.threshold..=1.0).contains(&most)) {
            return told("threshold_most", "is not between the threshold and 1", "give a higher one, or leave it out");
        }
        if self.most_alerts_per_device_day.is_some_and(|most| most.is_nan() || most <= 0.0) {
            return told("most_alerts_per_device_day", "is no bound", "give a number above 0, or leave it out");
        }
        let features = features::of(&self.features);
        if features.is_empty() {
            let known: Vec<&str> = features::KINDS.iter().map(|(kind, _)| *kind).collect();
            let problem = format!("there is no feature extraction `{}`", self.features);
            return told("features", &problem, &format!("use one of {}", known.join(", ")));
        }
        let mend = "train the model again, which writes it";
        if let Some(missing) = features.iter().find(|feature| !self.usual.contains_key(feature.name)) {
            return told("usual", &format!("does not say what `{}` usually is", missing.name), mend);
        }
        if let Some(unknown) = self.usual.keys().find(|name| !features.iter().any(|feature| feature.name == **name)) {
            let problem = format!("`{}` has no feature `{unknown}`", self.features);
            return told(&format!("usual.{unknown}"), &problem, mend);
        }
        let unordered = |usual: &Usual| !(usual.low <= usual.middle && usual.middle <= usual.high);
        if let Some((name, _)) = self.usual.iter().find(|(_, usual)| unordered(usual)) {
            return told(&format!("usual.{name}"), "is not in order: low, middle, high", mend);
        }
        if unordered(&self.usual_score) || self.usual_score.middle >= self.threshold {
            return told("usual_score", "is not in order below the threshold: low, middle, high", mend);
        }
        None
    }

    /// The features where nothing is amiss, in order.
    pub fn usual_features(&self) -> Vec<f32> {
        self.usual_row(|usual| usual.middle)
    }

    /// The features in the middle and at both ends of what is usual.
    pub fn usual_rows(&self) -> [Vec<f32>; 3] {
        [self.usual_features(), self.usual_row(|usual| usual.low), self.usual_row(|usual| usual.high)]
    }

    fn usual_row(&self, pick: fn(&Usual) -> f64) -> Vec<f32> {
        let value = |name: &str| self.usual.get(name).map_or(0.0, pick);
        #[allow(clippy::cast_possible_truncation, reason = "written from an f32")]
        features::of(&self.features).iter().map(|feature| value(feature.name) as f32).collect()
    }
}

/// The middle of what is usual, and between what 98 % of it lies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "each name says it all")]
pub struct Usual {
    pub middle: f64,
    pub low: f64,
    pub high: f64,
}

/// What a score takes, as `ninewatch model bench` measured it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Microseconds of one core, the median.
    pub score_us: f64,
    /// Of the model in memory, besides ONNX Runtime itself.
    pub memory_kib: f64,
    /// On what machine.
    pub measured_on: String,
}

/// What a model's features are made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelInput {
    /// Samples a second; none where events are told as they happen.
    #[serde(default)]
    pub rate_hz: Option<f64>,
    /// How much is needed, from the first sample to the last.
    pub seconds: f64,
    /// Each with its unit, in order: `ax m/s²`.
    pub channels: Vec<String>,
    /// When a device sends it.
    pub when: String,
}

/// What a model learnt from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelData {
    /// Whose data, in which version, and which part of it.
    pub source: String,
    /// Licence and terms.
    pub terms: String,
    /// How the figures were found.
    pub judged_by: String,
}

/// A measured value and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "each name says it all")]
pub struct Figure {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

/// What a model is asked.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Which model.
    pub model: &'a str,
    /// The device or place that it is about.
    pub about: &'a str,
    /// One row of features.
    pub features: &'a [f32],
    /// Nothing measured: what the score would be, for the reason of an alert.
    pub what_if: bool,
}

/// What a model looks at before features are made of it: decoded, in the model's units, by the corrected clock.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'a> {
    /// The model.
    pub card: &'a ModelCard,
    /// The rule that asks it; of a home the first that does.
    pub rule: &'a str,
    /// The device's place.
    pub place: &'a str,
    /// The device.
    pub device: &'a str,
    /// When it was.
    pub at_ms: TimeMs,
    /// What there was.
    pub seen: Seen<'a>,
}

/// What a model sees of a device.
#[derive(Debug, Clone, Copy)]
pub enum Seen<'a> {
    /// A burst.
    Burst(&'a Burst),
    /// A reading: one value for each of [`features::series::channels`].
    Reading(&'a [Option<f64>]),
    /// A switch that tells what goes on in a home.
    Sign {
        /// The switch's name in the sensor type.
        field: &'a str,
        /// What it tells of.
        role: Role,
        /// Whether it is on.
        on: bool,
    },
    /// Somebody was noticed at a place whose hours are learnt.
    Noticed(opening::Sign),
}

/// Scores a model. The gateway does it with ONNX Runtime; replay with what was recorded.
pub trait Scorer {
    /// The score: 0 to 1.
    ///
    /// # Errors
    /// Where the model cannot be scored: then the rules stand alone, and the gateway says so.
    fn score(&mut self, asked: &Asked<'_>) -> Result<f32, ScoreError>;

    /// Is told all that models look at, for whoever keeps it.
    fn look(&mut self, _sight: &Sight<'_>) {}
}

/// Why there is no score.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("model `{model}` gave no score: {reason}")]
pub struct ScoreError {
    /// Which model.
    pub model: String,
    /// Why.
    pub reason: String,
}
