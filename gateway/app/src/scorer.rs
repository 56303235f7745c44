//! Models, scored with ONNX Runtime.
//!
//! A model is a folder with `model.toml` and its ONNX file: the built-in ones, and those of a folder. Each is tried
//! out in a child process with limits before it is used. What is broken is a [`Fault`]; the rest runs. Without the
//! library or without a sound model the gateway runs on rules, and says so.
//!
//! Whatever comes into use is kept ([`Shelf`]), so that there is something to go back to: when a file turns out to be
//! broken, and when a model goes astray at work ([`Watch`]).

mod bench;
mod check;
mod choice;
mod inventory;
mod library;
mod model_files;
mod onnx;
mod session;
pub(crate) mod shadow;
mod shelf;
#[cfg(test)]
pub(crate) mod tests;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ninewatch_core::alert::Text;
use ninewatch_core::detect::model::{ModelCard, Scorer};
use ninewatch_core::fault::Fault;

use crate::clock::Clock;
use crate::site_files::Fingerprint;
use crate::update::Delivered;
pub(crate) use bench::{Measured, measure};
use check::NotSound;
pub(crate) use check::{CHECK_COMMAND, be_checked};
use choice::Choice;
pub(crate) use inventory::{Inventory, Known, Standing, inventory};
use model_files::Files;
pub(crate) use model_files::built_in_names;
use onnx::{NoRuntime, OnnxScorer};
use session::Runtime;
pub(crate) use shelf::{Refused, Shelf};
pub(crate) use watch::{ModelReport, Watch};

/// Where models come from.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    /// A folder of models; those in it win over built-in ones of their name.
    pub(crate) models_dir: Option<PathBuf>,
    /// Where an update lays models down, if there are updates; those in it win over built-in ones of their name, too.
    pub(crate) updates: Option<PathBuf>,
    /// ONNX Runtime, where it is not to be looked for.
    pub(crate) library: Option<PathBuf>,
    /// What the gateway keeps of them; nothing where it is only looked whether they are sound.
    pub(crate) shelf: Option<Shelf>,
    pub(crate) clock: Clock,
}

impl Sources {
    /// To look whether models are sound.
    pub(crate) fn to_check(models_dir: Option<&Path>, library: Option<&Path>) -> Self {
        Self {
            models_dir: models_dir.map(Path::to_owned),
            updates: None,
            library: library.map(Path::to_owned),
            shelf: None,
            clock: Clock::System,
        }
    }

    fn delivered(&self) -> Option<PathBuf> {
        Delivered::Models.folder(self.updates.as_deref()?)
    }
}

/// What scores, and how that goes.
pub(crate) struct Serving {
    pub(crate) scorer: Box<dyn Scorer + Send>,
    pub(crate) watch: Arc<Watch>,
}

/// What there is to score with.
pub(crate) struct Loaded {
    pub(crate) serving: Serving,
    /// Every sound model; without ONNX Runtime every one that could be sound, and else also one of which no version
    /// is, so that rules that name it stay in force and say at each reading that it gave no score.
    pub(crate) cards: Vec<ModelCard>,
    /// What was set aside.
    pub(crate) faults: Vec<Fault>,
    pub(crate) status: ScorerStatus,
}

/// How scoring is, for the health page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ScorerStatus {
    /// The ONNX Runtime in use.
    pub(crate) library: Option<PathBuf>,
    degraded: Option<Text>,
    /// The models that have another version to go back to.
    can_go_back: BTreeSet<String>,
    /// Whether something may be sound and the machine was too busy to find out.
    pub(crate) out_of_time: bool,
}

impl ScorerStatus {
    /// Why some models or all give no scores, if so.
    pub(crate) fn degraded(&self) -> Option<&Text> {
        self.degraded.as_ref()
    }
}

/// The cards of the models that [`load`] would try out, for whoever scores nothing.
pub(crate) fn cards(models_dir: Option<&Path>) -> Vec<ModelCard> {
    by_name(model_files::read(models_dir, None))
}

/// The models of a gateway: loaded, loaded anew when their files change, gone back from when they go astray. Cheap to
/// clone.
#[derive(Clone)]
pub(crate) struct Models {
    sources: Sources,
    state: Arc<Mutex<(ScorerStatus, Arc<Watch>)>>,
}

impl Models {
    pub(crate) fn new(sources: Sources) -> Self {
        Self { sources, state: Arc::default() }
    }

    /// Loads what there is. Takes a moment.
    pub(crate) fn load(&self) -> Loaded {
        let loaded = load(&self.sources, Some(&self.watch()));
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) =
            (loaded.status.clone(), loaded.serving.watch.clone());
        loaded
    }

    /// Loads what there is now. Nothing where ONNX Runtime cannot be found any more while it is at work: nothing new
    /// can be tried out then, and what scores goes on.
    pub(crate) fn load_anew(&self) -> Option<Loaded> {
        if self.status().library.is_some()
            && let Err(why) = find_runtime(&self.sources)
        {
            tracing::error!(%why, "models changed and cannot be tried out; those in use go on");
            return None;
        }
        Some(self.load())
    }

    pub(crate) fn status(&self) -> ScorerStatus {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    pub(crate) fn watch(&self) -> Arc<Watch> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    /// What is refused, because it went astray here.
    pub(crate) fn refused(&self) -> Vec<Refused> {
        self.sources.shelf.as_ref().map(Shelf::refused).unwrap_or_default()
    }

    /// What the files look like from outside: it changes when one of them does.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let entries =
            |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut paths: Vec<PathBuf> = Vec::new();
        let folders = self.sources.models_dir.clone().into_iter().chain(self.sources.delivered());
        for folder in folders.flat_map(|folder| entries(&folder).collect::<Vec<_>>()) {
            paths.extend(entries(&folder));
        }
        paths.extend(self.sources.shelf.as_ref().map(Shelf::refused_path));
        crate::site_files::fingerprint(paths)
    }

    /// Refuses each model that has gone astray and has another version to go back to. The fingerprint tells that.
    pub(crate) fn refuse_astray(&self) {
        let now = self.sources.clock.now_ms();
        let Some(shelf) = &self.sources.shelf else { return };
        let can_go_back = self.status().can_go_back;
        for (card, why) in self.watch().astray() {
            if !can_go_back.contains(&card.name) || shelf.refuses(&card) {
                continue;
            }
            let (model, version) = (&card.name, &card.version);
            match shelf.refuse(&card, &why, now) {
                Ok(()) => {
                    tracing::error!(%model, %version, %why, "a model went astray; going back to the former version")
                }
                Err(error) => {
                    tracing::error!(%model, %version, %why, "a model went astray, and stays in use: {error:#}")
                }
            }
        }
    }

    /// Those that have gone astray and are in use all the same, for want of another, with why.
    pub(crate) fn astray(&self) -> Vec<(String, String)> {
        self.watch().astray().into_iter().map(|(card, why)| (card.name, why)).collect()
    }
}

/// Loads the models of `sources` that are sound. Takes a moment: each is tried out first.
pub(crate) fn load(sources: &Sources, before: Option<&Watch>) -> Loaded {
    let files = model_files::read(sources.models_dir.as_deref(), sources.delivered().as_deref());
    let loaded = match find_runtime(sources) {
        Ok((runtime, path)) => with_runtime(files, sources, &runtime, path, before),
        Err(why) => without_runtime(files, &why),
    };
    for fault in &loaded.faults {
        tracing::error!(%fault, "set aside");
    }
    if let Some(text) = loaded.status.degraded() {
        tracing::error!("{}", text.en);
    }
    loaded
}

/// ONNX Runtime, loaded, and where it lies.
fn find_runtime(sources: &Sources) -> Result<(Runtime, PathBuf), NotSound> {
    let path = library::find(sources.library.as_deref())?;
    check::library(&path)?;
    Ok((Runtime::load(&path)?, path))
}

fn with_runtime(
    files: Files,
    sources: &Sources,
    runtime: &Runtime,
    library: PathBuf,
    before: Option<&Watch>,
) -> Loaded {
    let mut faults = files.faults.clone();
    let shelf = sources.shelf.as_ref();
    let Choice { sound, can_go_back, refused, broken, out_of_time } = choice::choose(files, shelf, runtime, &library);
    // Where no version is sound the first card stays: what its rules have learnt must not be forgotten over it.
    let mut idle: BTreeMap<String, ModelCard> = BTreeMap::new();
    for (file, fault) in broken {
        if file.card.shadow_of.is_none() && !sound.contains_key(&file.card.name) {
            idle.entry(file.card.name.clone()).or_insert(file.card);
        }
        faults.push(fault);
    }
    for (file, _) in sound.values().filter(|(file, _)| file.is_given && file.card.shadow_of.is_none()) {
        if let Some(Err(error)) = shelf.map(|shelf| shelf.keep(file)) {
            tracing::warn!(model = file.card.name, "a model is not kept to go back to: {error:#}");
        }
    }
    let (used, set_aside) = (sound.len(), faults.len());
    let degraded = if set_aside > 0 || used == 0 {
        Some(Text {
            zh: format!("模型评分受限：{used} 个模型在用，{set_aside} 处故障；运行 ninewatch check 查看"),
            en: format!(
                "scoring is degraded: models in use: {used}, faults: {set_aside}; `ninewatch check` names them"
            ),
        })
    } else if refused.is_empty() {
        None
    } else {
        let refused: Vec<String> =
            refused.iter().map(|file| format!("{} {}", file.card.name, file.card.version)).collect();
        Some(Text {
            zh: format!(
                "模型已自动回退：{} 表现异常，改用先前版本；运行 ninewatch model list 查看",
                refused.join("、")
            ),
            en: format!(
                "gone back to a former version: {} went astray; `ninewatch model list` says why",
                refused.join(", ")
            ),
        })
    };
    let mut cards: Vec<ModelCard> = sound.values().map(|(file, _)| file.card.clone()).collect();
    let watch = Arc::new(Watch::new(&cards, before));
    let sessions = sound.into_values().map(|(file, session)| (file.card, session)).collect();
    let scorer = Box::new(OnnxScorer::new(sessions, watch.clone(), shelf, sources.clock));
    cards.extend(idle.into_values());
    let status = ScorerStatus { library: Some(library), degraded, can_go_back, out_of_time };
    Loaded { serving: Serving { scorer, watch }, cards, faults, status }
}

fn without_runtime(files: Files, why: &NotSound) -> Loaded {
    let degraded = Text {
        zh: format!("模型评分已停用，目前只按规则判断：{why}"),
        en: format!("no model is scored, the rules stand alone: {why}"),
    };
    let out_of_time = *why == NotSound::OutOfTime;
    let status = ScorerStatus { degraded: Some(degraded), out_of_time, ..ScorerStatus::default() };
    let faults = files.faults.clone();
    let serving = Serving { scorer: Box::new(NoRuntime), watch: Arc::default() };
    Loaded { serving, cards: by_name(files), faults, status }
}

/// Each model once: the first of its candidates.
fn by_name(files: Files) -> Vec<ModelCard> {
    files.candidates(None).into_values().filter_map(|files| Some(files.into_iter().next()?.card)).collect()
}
