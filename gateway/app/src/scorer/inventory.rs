//! Every model there is for a gateway, and how it stands with each: for `ninewatch model list`.

use std::path::PathBuf;

use ninewatch_core::detect::model::ModelCard;
use ninewatch_core::fault::Fault;

use super::choice::{self, Choice};
use super::model_files::{self, ModelFile};
use super::shelf::Refused;
use super::{Sources, find_runtime};

/// What there is.
#[derive(Debug)]
pub(crate) struct Inventory {
    /// The ONNX Runtime that scores, or why there is none: then no model is known to be sound.
    pub(crate) runtime: Result<PathBuf, String>,
    pub(crate) models: Vec<Known>,
    /// What is wrong with folders that hold no readable card, and the like.
    pub(crate) faults: Vec<Fault>,
}

/// A model whose card says something.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) card: ModelCard,
    /// Its folder; none where it is built in.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) standing: Standing,
}

#[derive(Debug)]
pub(crate) enum Standing {
    /// It decides, or as a shadow is asked the same.
    Used,
    /// It would be, if there were an ONNX Runtime.
    Unscored,
    Refused(Refused),
    Broken(Fault),
}

/// Looks at all of them as a gateway would, and changes nothing. Takes a moment: each is tried out.
pub(crate) fn inventory(sources: &Sources) -> Inventory {
    let files = model_files::read(sources.models_dir.as_deref(), sources.delivered().as_deref());
    let faults = files.faults.clone();
    let shelf = sources.shelf.as_ref();
    let (runtime, library) = match find_runtime(sources) {
        Ok(found) => found,
        Err(why) => {
            let first = files.candidates(None).into_values().filter_map(|files| files.into_iter().next());
            let models = first.map(|file| Known::new(file, Standing::Unscored)).collect();
            return Inventory { runtime: Err(why.to_string()), models, faults };
        }
    };
    let Choice { sound, refused, broken, .. } = choice::choose(files, shelf, &runtime, &library);
    let why = |file: &ModelFile| {
        let refused = shelf.map(|shelf| shelf.refused()).unwrap_or_default();
        refused.into_iter().find(|refused| refused.is(&file.card))
    };
    let mut models: Vec<Known> = sound.into_values().map(|(file, _)| Known::new(file, Standing::Used)).collect();
    for file in refused {
        // The same file may lie in the models' folder and among what is kept.
        let is_told = |known: &Known| matches!(&known.standing, Standing::Refused(other) if other.is(&file.card));
        if let Some(why) = why(&file).filter(|_| !models.iter().any(is_told)) {
            models.push(Known::new(file, Standing::Refused(why)));
        }
    }
    models.extend(broken.into_iter().map(|(file, fault)| Known::new(file, Standing::Broken(fault))));
    models.sort_by(|a, b| a.card.name.cmp(&b.card.name));
    Inventory { runtime: Ok(library), models, faults }
}

impl Known {
    fn new(file: ModelFile, standing: Standing) -> Self {
        Self { folder: file.folder(), card: file.card, standing }
    }
}
