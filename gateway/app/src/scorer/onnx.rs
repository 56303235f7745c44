//! The models in use and their shadows, in ONNX Runtime.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ninewatch_core::detect::model::{Asked, ModelCard, ScoreError, Scorer};

use super::session::{NoScore, ScoringSession};
use super::shadow::{Line, ShadowLog};
use super::shelf::Shelf;
use super::watch::Watch;
use crate::clock::Clock;

/// Scores with the models in use, and asks their shadows the same.
pub(super) struct OnnxScorer {
    models: BTreeMap<String, (ModelCard, ScoringSession)>,
    shadows: Vec<Shadow>,
    watch: Arc<Watch>,
    clock: Clock,
    /// What the reason of the last score has taken so far.
    supposed_for: Duration,
}

/// A reason takes up to some hundred scores. Of a model that is slow the alert goes without: others wait.
const LONGEST_REASON: Duration = Duration::from_secs(1);

struct Shadow {
    card: ModelCard,
    session: ScoringSession,
    log: Option<ShadowLog>,
}

impl OnnxScorer {
    pub(super) fn new(
        sound: Vec<(ModelCard, ScoringSession)>,
        watch: Arc<Watch>,
        shelf: Option<&Shelf>,
        clock: Clock,
    ) -> Self {
        let (mut models, mut shadows) = (BTreeMap::new(), Vec::new());
        for (card, session) in sound {
            if card.shadow_of.is_some() {
                let log = shelf.map(|shelf| ShadowLog::new(&shelf.shadows_path(), &card.name));
                shadows.push(Shadow { card, session, log });
            } else {
                models.insert(card.name.clone(), (card, session));
            }
        }
        Self { models, shadows, watch, clock, supposed_for: Duration::ZERO }
    }

    fn ask_shadows(&mut self, asked: &Asked<'_>, score: f32) {
        let Some((active, _)) = self.models.get(asked.model) else { return };
        for Shadow { card, session, log } in &mut self.shadows {
            if card.shadow_of.as_deref() != Some(asked.model) {
                continue;
            }
            let shadow_score = session.score(asked.features).ok();
            self.watch.compared(active, score, card, shadow_score);
            if let Some(log) = log {
                log.write(&Line {
                    at_ms: self.clock.now_ms(),
                    about: asked.about.to_owned(),
                    active_version: active.version.clone(),
                    active: score,
                    active_threshold: active.threshold,
                    shadow_version: card.version.clone(),
                    shadow: shadow_score,
                    shadow_threshold: card.threshold,
                });
            }
        }
    }
}

impl Scorer for OnnxScorer {
    fn score(&mut self, asked: &Asked<'_>) -> Result<f32, ScoreError> {
        let no_score = |reason: String| ScoreError { model: asked.model.to_owned(), reason };
        let Some((_, session)) = self.models.get_mut(asked.model) else {
            return Err(no_score("there is no such model".to_owned()));
        };
        if asked.what_if {
            if self.supposed_for > LONGEST_REASON {
                return Err(no_score("it takes too long to say why".to_owned()));
            }
            let begun = Instant::now();
            let said = session.score(asked.features);
            self.supposed_for += begun.elapsed();
            return said.map_err(|why| no_score(why.to_string()));
        }
        self.supposed_for = Duration::ZERO;
        let said = session.score(asked.features);
        self.watch.scored(asked, said.as_ref().ok().copied());
        match said {
            Ok(score) => {
                self.ask_shadows(asked, score);
                Ok(score)
            }
            Err(why) => {
                if why == NoScore::Hung {
                    self.watch.hung(asked.model);
                }
                Err(no_score(why.to_string()))
            }
        }
    }
}

/// Where there is no ONNX Runtime.
pub(super) struct NoRuntime;

impl Scorer for NoRuntime {
    fn score(&mut self, asked: &Asked<'_>) -> Result<f32, ScoreError> {
        Err(ScoreError { model: asked.model.to_owned(), reason: "ONNX Runtime is not there".to_owned() })
    }
}
