//! What the gateway keeps of the models that an operator gave it: the one in use, the one before, and which ones it
//! refuses because they went astray here.
//!
//! ```text
//! DATA/models/in_use/NAME/{model.toml,*.onnx}    DATA/models/former/NAME/…    DATA/models/refused.json
//! ```

use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

use ninewatch_core::detect::model::ModelCard;
use ninewatch_core::time::TimeMs;

use super::model_files::{self, CARD, ModelFile};
use crate::private;

const REFUSED: &str = "refused.json";

/// A folder of the gateway's own.
#[derive(Debug, Clone)]
pub(crate) struct Shelf {
    folder: PathBuf,
}

/// A model that is not used any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refused {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) sha256: String,
    /// What it did.
    pub(crate) why: String,
    pub(crate) at_ms: TimeMs,
}

impl Refused {
    pub(super) fn is(&self, card: &ModelCard) -> bool {
        self.name == card.name && self.sha256 == card.sha256
    }
}

impl Shelf {
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self { folder: data_dir.join("models") }
    }

    /// The model of this name that was in use last, and the one before.
    pub(super) fn versions(&self, name: &str) -> Vec<ModelFile> {
        let read = |which: &str| model_files::read_folder(&self.folder.join(which).join(name)).ok();
        ["in_use", "former"].into_iter().filter_map(read).collect()
    }

    /// Keeps a model that has come into use; the one that was becomes the former.
    pub(super) fn keep(&self, model: &ModelFile) -> anyhow::Result<()> {
        let name = &model.card.name;
        let (in_use, former) = (self.folder.join("in_use").join(name), self.folder.join("former").join(name));
        match model_files::read_folder(&in_use) {
            Ok(before) if before.card.sha256 == model.card.sha256 && before.card == model.card => return Ok(()),
            Ok(before) if before.card.sha256 != model.card.sha256 && !self.refuses(&before.card) => {
                fs::create_dir_all(self.folder.join("former"))?;
                let _ = fs::remove_dir_all(&former);
                fs::rename(&in_use, &former)?;
            }
            _ => {}
        }
        // The card comes last: without it there is no model.
        let _ = fs::remove_dir_all(&in_use);
        fs::create_dir_all(&in_use)?;
        private::write(&in_use.join(&model.card.file), &model.onnx)?;
        private::write(&in_use.join(CARD), model.source.as_bytes())?;
        Ok(())
    }

    /// What is refused.
    pub(crate) fn refused(&self) -> Vec<Refused> {
        let Ok(bytes) = fs::read(self.refused_path()) else { return Vec::new() };
        serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            tracing::error!(path = %self.refused_path().display(), %error, "which models are refused is not readable");
            Vec::new()
        })
    }

    pub(super) fn refuses(&self, card: &ModelCard) -> bool {
        self.refused().iter().any(|refused| refused.is(card))
    }

    /// Refuses a model from now on.
    pub(super) fn refuse(&self, card: &ModelCard, why: &str, at_ms: TimeMs) -> anyhow::Result<()> {
        let mut refused = self.refused();
        let ModelCard { name, version, sha256, .. } = card.clone();
        refused.push(Refused { name, version, sha256, why: why.to_owned(), at_ms });
        self.write(&refused)
    }

    /// Refuses the models of this name no more; gives how many those were.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub(crate) fn forgive(&self, name: &str) -> anyhow::Result<usize> {
        let mut refused = self.refused();
        let before = refused.len();
        refused.retain(|refused| refused.name != name);
        let forgiven = before - refused.len();
        if forgiven > 0 {
            self.write(&refused)?;
        }
        Ok(forgiven)
    }

    /// Whole or not at all: a gateway that reads half of it would take up what it refuses.
    fn write(&self, refused: &[Refused]) -> anyhow::Result<()> {
        fs::create_dir_all(&self.folder)?;
        private::replace(&self.folder, REFUSED, &serde_json::to_vec_pretty(refused)?)
    }

    pub(crate) fn refused_path(&self) -> PathBuf {
        self.folder.join(REFUSED)
    }

    /// Where the scores of shadows are logged.
    pub(crate) fn shadows_path(&self) -> PathBuf {
        self.folder.join("shadows")
    }
}
