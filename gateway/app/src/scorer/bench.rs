//! What a score takes, through the very session that the gateway scores with: for `ninewatch model bench`.

use anyhow::{Context, anyhow};
use serde::Serialize;
use std::time::{Duration, Instant};

use ninewatch_core::detect::model::ModelCard;

use super::model_files::{self, ModelFile};
use super::session::{Runtime, ScoringSession};
use super::{Sources, choice, find_runtime};

/// Scores before the first one that counts.
const WARM_UP: usize = 100;
/// So many that what one takes stands out from whatever else the process does.
const SESSIONS: u16 = 20;

/// What a model takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) sha256: String,
    /// What it was asked: the features where nothing is amiss.
    pub(crate) features: Vec<f32>,
    pub(crate) scores_per_second: f64,
    /// Of a score, the median.
    pub(crate) us_per_score: f64,
    pub(crate) us_p99: f64,
    /// Of one more session.
    pub(crate) memory_kib: f64,
}

/// Measures each sound model, or those of these names, for so long; tells the name of each before.
///
/// # Errors
/// Where no model can be scored, or there is no sound one of a name.
pub(crate) fn measure(
    sources: &Sources,
    names: &[String],
    time: Duration,
    mut begin: impl FnMut(&str),
) -> anyhow::Result<Vec<Measured>> {
    let (runtime, library) = find_runtime(sources).map_err(|why| anyhow!("no model can be scored: {why}"))?;
    let files = model_files::read(sources.models_dir.as_deref(), sources.delivered().as_deref());
    let mut sound = choice::choose(files, sources.shelf.as_ref(), &runtime, &library).sound;
    if let Some(name) = names.iter().find(|name| !sound.contains_key(*name)) {
        let there: Vec<&str> = sound.keys().map(String::as_str).collect();
        let there = there.join(", ");
        anyhow::bail!("there is no sound model `{name}`; there are {there}; `ninewatch model list` says more");
    }
    // Everything is kept to the end: memory that one model gives back would be taken by the next without being seen.
    let mut kept = Vec::new();
    let is_wanted = |file: &ModelFile| names.is_empty() || names.contains(&file.card.name);
    let mut measured = Vec::new();
    for (file, session) in sound.values_mut().filter(|(file, _)| is_wanted(file)) {
        begin(&file.card.name);
        let of = Measured::of(&file.card, session, time)?;
        measured.push(Measured { memory_kib: memory(&runtime, file, &mut kept)?, ..of });
    }
    Ok(measured)
}

impl Measured {
    /// All but the memory.
    fn of(card: &ModelCard, session: &mut ScoringSession, time: Duration) -> anyhow::Result<Self> {
        let features = card.usual_features();
        for _ in 0..WARM_UP {
            session.score(&features)?;
        }
        let mut took = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < time {
            let one = Instant::now();
            session.score(&features)?;
            took.push(one.elapsed());
        }
        let all = begun.elapsed();
        took.sort_unstable();
        let at = |percent: usize| took.get(took.len() * percent / 100).map_or(0.0, |took| took.as_secs_f64() * 1e6);
        #[allow(clippy::cast_precision_loss, reason = "a count of scores")]
        let scores_per_second = took.len() as f64 / all.as_secs_f64();
        let ModelCard { name, version, sha256, .. } = card.clone();
        let (us_per_score, us_p99) = (at(50), at(99));
        Ok(Self { name, version, sha256, features, scores_per_second, us_per_score, us_p99, memory_kib: 0.0 })
    }
}

/// What one more session of the model takes.
fn memory(runtime: &Runtime, file: &ModelFile, kept: &mut Vec<ScoringSession>) -> anyhow::Result<f64> {
    let features = file.card.usual_features();
    let mut open = || {
        for _ in 0..SESSIONS {
            let session = ScoringSession::new(runtime, &file.onnx, features.len());
            let mut session = session.map_err(|why| anyhow!("{}: {why}", file.card.name))?;
            // What it takes to score comes with the first score.
            session.score(&features)?;
            kept.push(session);
        }
        resident_kib()
    };
    // The first ones fill what lies free.
    let before = open()?;
    Ok((open()? - before).max(0.0) / f64::from(SESSIONS))
}

/// Of this process. `smaps_rollup` is exact; `status` lags behind by pages of each core.
fn resident_kib() -> anyhow::Result<f64> {
    let path = "/proc/self/smaps_rollup";
    let text = std::fs::read_to_string(path).with_context(|| format!("{path} cannot be read"))?;
    let kib = text.lines().find_map(|line| line.strip_prefix("Rss:")?.strip_suffix("kB")?.trim().parse().ok());
    kib.with_context(|| format!("{path} does not say what is resident"))
}
