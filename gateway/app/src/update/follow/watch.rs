//! What is on trial shows that it delivers, or is gone back from.

use std::time::Instant;

use ninewatch_core::alert::Text;
use ninewatch_core::time::TimeMs;

use super::super::State;
use super::super::trial::Shown;
use super::{Following, PATIENCE};

impl Following {
    /// On trial: what still lacks, and whether it is enough.
    pub(super) async fn show(&mut self, state: &State) -> anyhow::Result<()> {
        let Some(trial) = &state.trial else { return Ok(()) };
        let lacks = match tokio::time::timeout(PATIENCE, self.heard()).await {
            Ok(Some(heard)) if trial.ready => trial.baseline.lacks(&self.shown(heard, self.begun_ms)),
            _ => vec![Text { zh: "核心尚未应答".into(), en: "the engine does not answer yet".into() }],
        };
        if lacks.is_empty() {
            let since = *self.well_since.get_or_insert_with(Instant::now);
            // Something that breaks at once is seen.
            if since.elapsed() >= self.ground.config.trial.duration() / 10 {
                let now = self.ground.clock.now_ms();
                self.updates.change(|state| state.confirm(now))?;
                tracing::info!(
                    after_s = self.begun.elapsed().as_secs(),
                    "this version has shown that it delivers, and stays"
                );
            }
        } else {
            self.well_since = None;
        }
        if lacks != trial.lacks {
            self.updates.change(|state| state.trial.iter_mut().for_each(|trial| trial.lacks.clone_from(&lacks)))?;
        }
        Ok(())
    }

    /// Sensor types, rules or models on trial: a fault in them is the end of it at once, what lacks when the time is over, too.
    pub(super) async fn watch(&self, state: &State) -> anyhow::Result<()> {
        let trials = state.content.iter().filter_map(|(kind, track)| Some((kind, track.trial.as_ref()?)));
        for (kind, trial) in trials {
            let now = self.ground.clock.now_ms();
            if let Some(fault) = self.faults().difference(&trial.faults).next() {
                let why = Text { zh: fault.clone(), en: fault.clone() };
                self.updates.change(|state| state.fail_content(kind, why, now))?;
                continue;
            }
            if now - trial.since_ms < self.ground.config.trial.ms() {
                continue;
            }
            let heard = self.heard().await.unwrap_or_default();
            // Nothing was started anew: receipts from before count.
            let lacks = trial.baseline.lacks(&self.shown(heard, trial.since_ms));
            self.updates.change(|state| match lacks.first() {
                Some(why) => state.fail_content(kind, why.clone(), now),
                None => state.confirm_content(kind, now),
            })?;
        }
        Ok(())
    }
    /// What the gateway does now, of devices those that were heard since.
    fn shown(&self, heard: Vec<(String, TimeMs)>, since: TimeMs) -> Shown {
        Shown {
            upstreams: self.upstreams(|status| status.has_receipted()),
            devices: heard.into_iter().filter(|(_, at)| *at >= since).map(|(device, _)| device).collect(),
            ailments: self.ailments(),
        }
    }
}
