//! Which of the models there are is used: of each name the first that is sound and not refused.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ninewatch_core::detect::features;
use ninewatch_core::fault::Fault;

use super::check::{self, NotSound};
use super::model_files::{Files, ModelFile};
use super::session::{Runtime, ScoringSession};
use super::shelf::Shelf;

/// What is used, and what was passed over for it.
#[derive(Default)]
pub(super) struct Choice {
    /// By name.
    pub(super) sound: BTreeMap<String, (ModelFile, ScoringSession)>,
    /// Those with another version to go back to.
    pub(super) can_go_back: BTreeSet<String>,
    /// Went astray here.
    pub(super) refused: Vec<ModelFile>,
    pub(super) broken: Vec<(ModelFile, Fault)>,
    /// Whether one of the broken may be sound.
    pub(super) out_of_time: bool,
}

const MEND: &str = "put the file there that the card was made for, or train the model again";

/// Chooses. Takes a moment: each candidate is tried out first.
pub(super) fn choose(files: Files, shelf: Option<&Shelf>, runtime: &Runtime, library: &Path) -> Choice {
    let mut choice = Choice::default();
    let is_refused = |file: &ModelFile| shelf.is_some_and(|shelf| shelf.refuses(&file.card));
    for (name, candidates) in files.candidates(shelf) {
        let mut left = candidates.into_iter();
        while let Some(file) = left.next() {
            if is_refused(&file) {
                choice.refused.push(file);
                continue;
            }
            match try_out(runtime, library, &file) {
                Ok(session) => {
                    let others = left.filter(|other| other.card.sha256 != file.card.sha256);
                    if others.filter(|other| !is_refused(other)).count() > 0 {
                        choice.can_go_back.insert(name.clone());
                    }
                    choice.sound.insert(name, (file, session));
                    break;
                }
                Err((key, why)) => {
                    choice.out_of_time |= why == NotSound::OutOfTime;
                    let fault = file.fault(key, format!("`{}` cannot be used: {why}", file.card.file), MEND);
                    choice.broken.push((file, fault));
                }
            }
        }
    }
    choice.drop_lone_shadows();
    choice
}

impl Choice {
    /// A shadow of nothing, or of what sees something else, has nothing to be compared with.
    fn drop_lone_shadows(&mut self) {
        let in_use = self.sound.iter().filter(|(_, (file, _))| file.card.shadow_of.is_none());
        let features: BTreeMap<String, String> =
            in_use.map(|(name, (file, _))| (name.clone(), file.card.features.clone())).collect();
        let is_lone = |file: &ModelFile| {
            let of = file.card.shadow_of.as_ref();
            of.is_some_and(|of| features.get(of) != Some(&file.card.features))
        };
        for (_, (file, _)) in self.sound.extract_if(.., |_, (file, _)| is_lone(file)) {
            let of = file.card.shadow_of.as_deref().unwrap_or_default();
            let problem = format!("no model `{of}` with the features `{}` is in use", file.card.features);
            let fault = file.fault("shadow_of", problem, "name one that is, or leave it out");
            self.broken.push((file, fault));
        }
    }
}

/// The model, or which key of its card it fails, and why.
fn try_out(runtime: &Runtime, library: &Path, file: &ModelFile) -> Result<ScoringSession, (&'static str, NotSound)> {
    let inputs = features::of(&file.card.features).len();
    let mut session = check::model(library, &file.onnx, &file.card.usual_rows())
        .and_then(|()| Ok(ScoringSession::new(runtime, &file.onnx, inputs)?))
        .map_err(|why| ("file", why))?;
    // What says yes to what is usual explains nothing by it, and alarms everybody.
    match session.score(&file.card.usual_features()) {
        Ok(score) if f64::from(score) < file.card.threshold => Ok(session),
        Ok(score) => Err(("usual", format!("it says {score} to what is usual, which is a yes").into())),
        Err(why) => Err(("usual", format!("it gives no score of what is usual: {why}").into())),
    }
}
