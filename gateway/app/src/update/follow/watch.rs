//! What is on trial shows that it delivers, or is gone back from.

use std::time::Instant;

use ninewatch_core::alert::Text;

use super::super::State;
use super::super::trial::Shown;
use super::{Following, PATIENCE, duration};

impl Following {
    /// On trial: what still lacks, and whether it is enough.
    pub(super) async fn show(&mut self, state: &State) -> anyhow::Result<()> {
        let Some(trial) = &state.trial else { return Ok(()) };
        let lacks = match tokio::time::timeout(PATIENCE, self.heard()).await {
            Ok(Some(heard)) if trial.ready => {
                let devices =
                    heard.into_iter().filter(|(_, at)| *at >= self.begun_ms).map(|(device, _)| device).collect();
                let upstreams = self.upstreams(|status| status.has_receipted());
                trial.baseline.lacks(&Shown { upstreams, devices, ailments: self.ailments() })
            }
            _ => vec![Text { zh: "核心尚未应答".into(), en: "the engine does not answer yet".into() }],
        };
        if lacks.is_empty() {
            let since = *self.well_since.get_or_insert_with(Instant::now);
            // Something that breaks at once is seen.
            if since.elapsed() >= duration(self.ground.config.trial) / 10 {
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
    pub(super) async fn watch(&mut self, state: &State) -> anyhow::Result<()> {
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
            let devices = heard.into_iter().filter(|(_, at)| *at >= trial.since_ms).map(|(device, _)| device).collect();
            // Nothing was started anew: receipts from before count.
            let shown = Shown {
                upstreams: self.upstreams(|status| status.has_receipted()),
                devices,
                ailments: self.ailments(),
            };
            let lacks = trial.baseline.lacks(&shown);
            self.updates.change(|state| match lacks.first() {
                Some(why) => state.fail_content(kind, why.clone(), now),
                None => state.confirm_content(kind, now),
            })?;
        }
        Ok(())
    }
}
