//! What channels have in common: where alerts come from, who is on duty, and what was told.

use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

use ninewatch_core::duty::Ladders;
use ninewatch_core::pipeline::Settings;

use super::config::NotifyConfig;
use super::ledger::Ledger;
use super::rungs::Rungs;
use crate::clock::Clock;
use crate::duty::RosterFile;
use crate::forward::Source;

/// What channels have in common.
pub(super) struct Shared {
    pub(super) source: Source,
    pub(super) settings: watch::Receiver<Arc<Settings>>,
    pub(super) clock: Clock,
    pub(super) ledger: Ledger,
    pub(super) roster: RosterFile,
    /// All channels.
    channels: Vec<NotifyConfig>,
    /// Made of the settings once, and not for every alert.
    ladders: Mutex<(Arc<Settings>, Arc<Ladders>)>,
}

impl Shared {
    pub(super) fn new(
        source: Source,
        settings: watch::Receiver<Arc<Settings>>,
        (roster, channels): (RosterFile, Vec<NotifyConfig>),
        clock: Clock,
        ledger: Ledger,
    ) -> Self {
        let now = settings.borrow().clone();
        let ladders = Mutex::new((now.clone(), Arc::new(ladders_of(&now))));
        Self { source, settings, clock, ledger, roster, channels, ladders }
    }

    /// Looks at what is in force.
    pub(super) fn with_rungs<T>(&self, look: impl FnOnce(Rungs<'_>) -> T) -> T {
        let settings = self.settings.borrow().clone();
        let ladders = {
            let mut ready = self.ladders.lock().unwrap_or_else(PoisonError::into_inner);
            if !Arc::ptr_eq(&ready.0, &settings) {
                *ready = (settings.clone(), Arc::new(ladders_of(&settings)));
            }
            ready.1.clone()
        };
        look(Rungs { settings: &settings, ladders: &ladders, channels: &self.channels })
    }
}

/// What is set aside has been told when the engine took the settings.
fn ladders_of(settings: &Settings) -> Ladders {
    Ladders::compile(&settings.ladders, &settings.registry).0
}
