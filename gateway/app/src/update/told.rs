//! How updates stand, for the engine, the console and the metrics; and what a person wants of them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

use ninewatch_core::ailment::Ailment;
use ninewatch_core::alert::Text;

use super::{ARCH, State, Wish, version};
use crate::health::Part;
use crate::metrics::header;

/// How updates stand, for those who tell it.
pub(crate) struct Updates {
    pub(super) dir: PathBuf,
    /// The site file has a repository.
    followed: bool,
    state: Mutex<State>,
    /// Why updates cannot be followed, where that is so: a file of theirs is damaged, or the disk is.
    unwell: Mutex<Option<String>>,
    /// Another program is to be started.
    pub(super) relaunch: Notify,
}

impl Updates {
    /// As it was left; what cannot be read is told and taken as nothing.
    pub(crate) fn open(data_dir: &Path, followed: bool) -> Arc<Self> {
        let dir = super::dir(data_dir);
        let state = State::read(&dir).unwrap_or_else(|error| {
            tracing::error!("{error:#}");
            State::default()
        });
        Arc::new(Self { dir, followed, state: Mutex::new(state), unwell: Mutex::default(), relaunch: Notify::new() })
    }

    /// As it is.
    pub(crate) fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether there is a repository that it follows.
    pub(crate) fn is_followed(&self) -> bool {
        self.followed
    }

    /// What a person wants; durable when this returns.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn wish(&self, wish: Wish) -> anyhow::Result<()> {
        self.change(|state| state.wish = Some(wish)).map(drop)
    }

    /// Says once why updates cannot be followed.
    pub(super) fn ail(&self, why: Option<String>) {
        let mut unwell = self.unwell.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = why.as_ref().filter(|why| unwell.as_ref() != Some(why)) {
            tracing::error!("updates: {why}");
        }
        *unwell = why;
    }

    /// Waits until another program is to be started in the place of this one.
    pub(crate) async fn relaunched(&self) {
        self.relaunch.notified().await;
    }

    /// Changes it; what is given back is durable, and what the others see.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub(super) fn change(&self, change: impl FnOnce(&mut State)) -> anyhow::Result<State> {
        let state = State::change(&self.dir, change)?;
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state.clone();
        Ok(state)
    }
}

impl Part for Updates {
    fn name(&self) -> String {
        "update".into()
    }

    fn ails(&self) -> Vec<(Ailment, Text)> {
        let state = self.state();
        let unwell = self.unwell.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let unwell = unwell
            .map(|why| Text { zh: format!("无法进行更新：{why}"), en: format!("updates cannot go on: {why}") });
        unwell.or(state.trouble).or(state.refused).map(|text| (Ailment::UpdateFailed, text)).into_iter().collect()
    }

    fn metrics(&self, out: &mut String) {
        let state = self.state();
        header(out, "ninewatch_build_info", "gauge", "1; the version at work.");
        let _ = writeln!(out, "ninewatch_build_info{{version=\"{}\",arch=\"{ARCH}\"}} 1", version());
        for (name, help, value) in [
            (
                "ninewatch_update_on_trial",
                "1 while a new program has to show that it delivers.",
                i64::from(state.trial.is_some()),
            ),
            ("ninewatch_update_staged", "1 while a new program waits for its hour.", i64::from(state.staged.is_some())),
            (
                "ninewatch_update_bad_versions",
                "Versions that were gone back from.",
                i64::try_from(state.bad.len()).unwrap_or(i64::MAX),
            ),
            (
                "ninewatch_update_looked_seconds",
                "When the repository was looked at last (Unix time).",
                state.looked_ms.unwrap_or(0) / 1000,
            ),
        ] {
            header(out, name, "gauge", help);
            let _ = writeln!(out, "{name} {value}");
        }
    }
}
