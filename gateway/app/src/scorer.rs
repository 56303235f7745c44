//! Models, scored with ONNX Runtime.
//!
//! A model is a folder with `model.toml` and its ONNX file: the built-in ones, and those of a folder. Each is tried
//! out in a child process with limits before it is used. What is broken is a [`Fault`]; the rest runs. Without the
//! library or without a sound model the gateway runs on rules, and says so.

mod check;
mod library;
mod model_files;
mod session;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ninewatch_core::alert::Text;
use ninewatch_core::detect::features;
use ninewatch_core::detect::model::{Asked, ModelCard, ScoreError, Scorer};
use ninewatch_core::fault::Fault;

pub(crate) use check::{CHECK_COMMAND, be_checked};
use model_files::ModelFile;
use session::{Runtime, ScoringSession};

/// What there is to score with.
pub(crate) struct Loaded {
    pub(crate) scorer: Box<dyn Scorer + Send>,
    /// Every sound model; without ONNX Runtime every one that could be sound, so that rules that name it stay in force
    /// and say at each reading that it gave no score.
    pub(crate) cards: Vec<ModelCard>,
    /// What was set aside.
    pub(crate) faults: Vec<Fault>,
    pub(crate) status: ScorerStatus,
}

/// How scoring is, for the health page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScorerStatus {
    /// The ONNX Runtime in use.
    pub(crate) library: Option<PathBuf>,
    degraded: Option<Text>,
}

impl ScorerStatus {
    /// Why some models or all give no scores, if so.
    pub(crate) fn degraded(&self) -> Option<&Text> {
        self.degraded.as_ref()
    }
}

/// The cards of the models that [`load`] would try out, for whoever scores nothing.
pub(crate) fn cards(models_dir: Option<&Path>) -> Vec<ModelCard> {
    let (files, _) = model_files::read(models_dir);
    by_name(files)
}

/// Loads the built-in models and those in the folders of `models_dir`, which win over built-in ones of their name, with
/// the ONNX Runtime at `library`, or else the one that is found. Takes a moment: each model is tried out first.
pub(crate) fn load(models_dir: Option<&Path>, library: Option<&Path>) -> Loaded {
    let (files, faults) = model_files::read(models_dir);
    let found = library::find(library).and_then(|path| {
        check::library(&path)?;
        Ok((Runtime::load(&path)?, path))
    });
    let loaded = match found {
        Ok((runtime, path)) => with_runtime(files, faults, &runtime, path),
        Err(why) => without_runtime(files, faults, &why),
    };
    for fault in &loaded.faults {
        tracing::error!(%fault, "set aside");
    }
    if let Some(text) = loaded.status.degraded() {
        tracing::error!("{}", text.en);
    }
    loaded
}

fn with_runtime(files: Vec<ModelFile>, mut faults: Vec<Fault>, runtime: &Runtime, library: PathBuf) -> Loaded {
    let mut sound = BTreeMap::new();
    for file in files {
        match try_out(runtime, &library, &file) {
            Ok(session) => {
                // A built-in one comes first, and makes room for a sound one of its name.
                sound.insert(file.card.name.clone(), (file.card, session));
            }
            Err(fault) => faults.push(fault),
        }
    }
    let (used, set_aside) = (sound.len(), faults.len());
    let degraded = (set_aside > 0 || used == 0).then(|| Text {
        zh: format!("模型评分受限：{used} 个模型在用，{set_aside} 处故障；运行 ninewatch check 查看"),
        en: format!("scoring is degraded: models in use: {used}, faults: {set_aside}; `ninewatch check` names them"),
    });
    let cards = sound.values().map(|(card, _)| card.clone()).collect();
    let sessions = sound.into_iter().map(|(name, (_, session))| (name, session)).collect();
    let status = ScorerStatus { library: Some(library), degraded };
    Loaded { scorer: Box::new(OnnxScorer { sessions }), cards, faults, status }
}

fn try_out(runtime: &Runtime, library: &Path, file: &ModelFile) -> Result<ScoringSession, Fault> {
    let inputs = features::of(&file.card.features).len();
    let tried = check::model(library, &file.onnx, inputs);
    tried.and_then(|()| ScoringSession::new(runtime, &file.onnx, inputs)).map_err(|why| {
        let mend = "put the file there that the card was made for, or train the model again";
        file.fault("file", format!("`{}` cannot be used: {why}", file.card.file), mend)
    })
}

fn without_runtime(files: Vec<ModelFile>, faults: Vec<Fault>, why: &str) -> Loaded {
    let degraded = Text {
        zh: format!("模型评分已停用，目前只按规则判断：{why}"),
        en: format!("no model is scored, the rules stand alone: {why}"),
    };
    let status = ScorerStatus { library: None, degraded: Some(degraded) };
    Loaded { scorer: Box::new(NoRuntime), cards: by_name(files), faults, status }
}

/// Each model once: those of a folder come later and win.
fn by_name(files: Vec<ModelFile>) -> Vec<ModelCard> {
    let cards: BTreeMap<_, _> = files.into_iter().map(|file| (file.card.name.clone(), file.card)).collect();
    cards.into_values().collect()
}

struct OnnxScorer {
    sessions: BTreeMap<String, ScoringSession>,
}

impl Scorer for OnnxScorer {
    fn score(&mut self, asked: &Asked<'_>) -> Result<f32, ScoreError> {
        let session = self.sessions.get_mut(asked.model).ok_or_else(|| "there is no such model".to_owned());
        let score = session.and_then(|session| session.score(asked.features));
        score.map_err(|reason| ScoreError { model: asked.model.to_owned(), reason })
    }
}

struct NoRuntime;

impl Scorer for NoRuntime {
    fn score(&mut self, asked: &Asked<'_>) -> Result<f32, ScoreError> {
        Err(ScoreError { model: asked.model.to_owned(), reason: "ONNX Runtime is not there".to_owned() })
    }
}
