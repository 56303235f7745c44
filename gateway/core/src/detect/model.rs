//! Models: what a card says of one, and what scores it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;

/// The machine-readable part of a model's card: `model.toml`. The first six say how to serve it, the rest what to
/// think of it.
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
    /// What the features are made of.
    #[serde(default)]
    pub input: Option<ModelInput>,
    /// What it learnt from.
    #[serde(default)]
    pub data: Option<ModelData>,
    /// What it is worth, by name: `sensitivity`, `specificity`, …
    #[serde(default)]
    pub figures: BTreeMap<String, Figure>,
}

/// What a model's features are made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelInput {
    /// Samples a second.
    pub rate_hz: f64,
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

/// Scores a model. The gateway does it with ONNX Runtime; replay with what was recorded.
pub trait Scorer {
    /// The score of `model` for one row of features.
    ///
    /// # Errors
    /// Where the model cannot be scored: then the rules stand alone, and the gateway says so.
    fn score(&mut self, model: &str, features: &[f32]) -> Result<f32, ScoreError>;
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
