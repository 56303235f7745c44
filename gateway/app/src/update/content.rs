//! Sensor types with rules, and models, out of the same repository: they are put in force while the gateway runs, on trial,
//! and gone back from where they have a fault or the gateway does less than before.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ninewatch_core::alert::Text;
use ninewatch_core::time::TimeMs;

use super::trial::Baseline;
use super::{State, UpdateConfig, Version, slot};
use crate::clock::Clock;

/// Kinds of releases that are no program: a package of `types` has `sensors/*.toml` and `rules/*.toml`, one of `models` a
/// folder for each model.
pub(crate) const KINDS: [&str; 2] = ["types", "models"];

/// What lies in a package.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Delivered {
    /// Sensor types.
    Sensors,
    /// Rules.
    Rules,
    /// Models.
    Models,
}

impl Delivered {
    /// Its folder of the version in force, below the folder of updates; `None` where there is none.
    pub(crate) fn folder(self, dir: &Path) -> Option<PathBuf> {
        let (kind, within) = match self {
            Self::Sensors => ("types", "sensors"),
            Self::Rules => ("types", "rules"),
            Self::Models => ("models", ""),
        };
        // What is damaged is told by who follows updates; the built-in ones go on.
        let state = State::read(dir).ok()?;
        let folder = slot::files(dir, kind, state.content.get(kind)?.in_force()?).join(within);
        folder.is_dir().then_some(folder)
    }
}

/// How far one kind is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Track {
    pub(crate) good: Option<Version>,
    pub(crate) former: Option<Version>,
    pub(crate) staged: Option<Version>,
    pub(crate) trial: Option<Tried>,
    pub(crate) offered: Option<Version>,
    pub(crate) bad: BTreeMap<String, Text>,
}

/// A version that is in force on trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tried {
    pub(crate) version: Version,
    pub(crate) since_ms: TimeMs,
    pub(crate) baseline: Baseline,
    /// What was wrong with files and models before it.
    pub(crate) faults: BTreeSet<String>,
}

impl Track {
    /// The version that the gateway uses.
    pub(crate) fn in_force(&self) -> Option<&Version> {
        self.trial.as_ref().map(|trial| &trial.version).or(self.good.as_ref())
    }

    /// Whether a version is still to be fetched.
    pub(super) fn wants(&self, version: &Version) -> bool {
        self.in_force().is_none_or(|in_force| version > in_force)
            && self.staged.as_ref() != Some(version)
            && !self.bad.contains_key(&version.to_string())
    }

    pub(super) fn needs(&self, version: &Version) -> bool {
        [self.good.as_ref(), self.former.as_ref(), self.staged.as_ref(), self.in_force()].contains(&Some(version))
    }
}

impl State {
    /// Puts what is staged in force, on trial.
    pub(super) fn try_content(&mut self, kind: &str, baseline: Baseline, faults: BTreeSet<String>, now: TimeMs) {
        let track = self.content.entry(kind.to_owned()).or_default();
        let Some(version) = track.staged.take() else { return };
        track.trial = Some(Tried { version: version.clone(), since_ms: now, baseline, faults });
        self.waits_for = None;
        self.wish = None;
        self.note("update.begin", Some(kind), &version, None, now);
    }

    /// What is on trial stays.
    pub(super) fn confirm_content(&mut self, kind: &str, now: TimeMs) {
        let track = self.content.entry(kind.to_owned()).or_default();
        let Some(trial) = track.trial.take() else { return };
        track.former = track.good.replace(trial.version.clone());
        self.trouble = None;
        self.note("update.good", Some(kind), &trial.version, None, now);
    }

    /// What is in force is not, and the version before it goes on.
    pub(super) fn fail_content(&mut self, kind: &str, why: Text, now: TimeMs) {
        let track = self.content.entry(kind.to_owned()).or_default();
        let Some(version) = track.in_force().cloned() else { return };
        if track.trial.take().is_none() {
            track.good = track.former.take();
        }
        track.bad.insert(version.to_string(), why.clone());
        self.trouble = Some(Text {
            zh: format!("{} {version} 未被采用：{}", if kind == "models" { "模型" } else { "设备类型和规则" }, why.zh),
            en: format!("{kind} {version} were gone back from: {}", why.en),
        });
        self.note("update.rolled_back", Some(kind), &version, Some(why), now);
    }
}

/// Looks, at a start, whether what is in force is what was signed; goes back from what is not.
///
/// # Errors
/// Where it cannot be read or written.
pub(crate) fn verify(data_dir: &Path, config: &UpdateConfig) -> anyhow::Result<()> {
    let (dir, keys) = (super::dir(data_dir), config.keys()?);
    for kind in KINDS {
        // The former version may be damaged, too.
        while let Some(version) = State::read(&dir)?.content.get(kind).and_then(|track| track.in_force().cloned()) {
            let Err(error) = slot::verify(&dir, kind, &version, &keys) else { break };
            tracing::error!(kind, %version, "gone back from: {error:#}");
            let why = Text { zh: format!("{error:#}"), en: format!("{error:#}") };
            State::change(&dir, |state| state.fail_content(kind, why, Clock::System.now_ms()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_on_trial_leaves_the_former_in_force_and_is_not_taken_again() {
        let version = |text: &str| Version::parse(text).unwrap();
        let why = || Text { zh: "坏".into(), en: "bad".into() };
        let mut state = State::default();
        for (text, is_good) in [("1.0.0", true), ("1.1.0", true), ("1.2.0", false)] {
            let track = state.content.entry("types".into()).or_default();
            assert!(track.wants(&version(text)));
            track.staged = Some(version(text));
            assert!(!track.wants(&version(text)) && track.needs(&version(text)));
            state.try_content("types", Baseline::default(), BTreeSet::new(), 1);
            assert_eq!(state.content["types"].in_force(), Some(&version(text)));
            if is_good { state.confirm_content("types", 2) } else { state.fail_content("types", why(), 2) }
        }
        let track = &state.content["types"];
        assert_eq!(track.in_force(), Some(&version("1.1.0")));
        assert!(!track.wants(&version("1.2.0")) && !track.wants(&version("1.0.0")) && track.wants(&version("1.2.1")));
        assert!(state.trouble.as_ref().unwrap().en.contains("types 1.2.0"));
        state.fail_content("types", why(), 3);
        assert_eq!(state.content["types"].in_force(), Some(&version("1.0.0")), "one more can be gone back to");
        state.fail_content("types", why(), 4);
        assert_eq!(state.content["types"].in_force(), None, "then the built-in ones");
        assert_eq!(state.start(&version("0.1.0")), super::super::state::Start::Installed, "the program is none of it");
    }
}
