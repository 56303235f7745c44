//! The index as far as the way upstream needs it: of what it was told, a stop keeps all that it
//! flushed, and of the rest as much as chance will have.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::Instant;

use ninewatch_core::alert::AlertChange;

use super::chance::Chance;
use super::{Bug, planted};
use crate::index::{Delivered, Progress};
use crate::journal;

/// As the real one.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Default)]
pub(super) struct SimProgress(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    last_seq: u64,
    /// The cursor as it was flushed, and each that came since; never empty once there was one.
    cursors: Vec<Delivered>,
    flushed: Option<Instant>,
    flushes: u64,
}

impl SimProgress {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Opens it after a stop.
    pub(super) fn open(&self, journal_dir: &Path) -> anyhow::Result<Arc<dyn Progress>> {
        let mut state = self.state();
        state.last_seq = 0;
        for change in journal::read_alerts(journal_dir, 1)? {
            state.last_seq = change?.seq;
        }
        Ok(Arc::new(self.clone()))
    }

    /// What a stop leaves of it.
    pub(super) fn stop(&self, chance: &mut Chance) {
        let mut state = self.state();
        if !state.cursors.is_empty() {
            let kept = chance.index(state.cursors.len());
            state.cursors = vec![state.cursors[kept].clone()];
        }
    }

    /// How often what it holds was made durable.
    pub(super) fn flushes(&self) -> u64 {
        self.state().flushes
    }
}

impl Progress for SimProgress {
    fn apply(&self, changes: &[AlertChange]) -> anyhow::Result<()> {
        let mut state = self.state();
        state.last_seq = changes.iter().map(|change| change.seq).fold(state.last_seq, u64::max);
        Ok(())
    }

    fn last_seq(&self) -> u64 {
        self.state().last_seq
    }

    fn delivery(&self, _: &str) -> Delivered {
        self.state().cursors.last().cloned().unwrap_or_default()
    }

    fn set_delivery(&self, _: &str, delivered: &Delivered) {
        let mut delivered = delivered.clone();
        if planted(Bug::CursorForgotten) {
            return;
        }
        if planted(Bug::CursorAhead) {
            delivered.up_to += 1;
        }
        let mut state = self.state();
        if state.cursors.is_empty() {
            state.cursors.push(Delivered::default());
        }
        state.cursors.push(delivered);
    }

    fn maintain(&self) {
        let mut state = self.state();
        let now = Instant::now();
        if state.flushed.is_some_and(|at| now - at < FLUSH_EVERY) {
            return;
        }
        state.flushed = Some(now);
        drop(state);
        self.flush();
    }

    fn flush(&self) {
        let mut state = self.state();
        state.flushes += 1;
        let older = state.cursors.len().saturating_sub(1);
        state.cursors.drain(..older);
    }
}
