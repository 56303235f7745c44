//! Models: what a card says of one, and what scores it.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The machine-readable part of a model's card: `model.toml`.
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
    /// Which feature extraction makes its input; see [`crate::detect`].
    pub features: String,
    /// At and above this score the model says yes.
    pub threshold: f64,
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
