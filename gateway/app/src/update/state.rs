//! What is known of updates: one file, written whole or not at all. What is to be started follows from it alone, so that a
//! power cut between any two steps leaves something that can be started.

use anyhow::Context;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use ninewatch_core::alert::Text;
use ninewatch_core::time::TimeMs;

use super::content::Track;
use super::index::PROGRAM;
use super::trial::Baseline;
use crate::private;

const FILE: &str = "state.json";
const LOCK: &str = "lock";
/// A program that is started so often without having confirmed is bad: it, or what it does to the machine.
pub(super) const STARTS: u32 = 3;
const KEPT: usize = 30;

/// Numbers with points between them: `1.4.2`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(Vec<u32>);

impl Version {
    /// `None` where it is something else. It becomes a folder's name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_number =
            |part: &str| !part.is_empty() && part.len() < 10 && part.bytes().all(|sign| sign.is_ascii_digit());
        let parts = text.split('.').map(|part| part.parse().ok().filter(|_| is_number(part)));
        let numbers: Vec<u32> = parts.collect::<Option<_>>()?;
        let is_canonical = numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(".") == text;
        ((2..=4).contains(&numbers.len()) && is_canonical).then_some(Self(numbers))
    }

    /// That of the program which asks.
    pub(crate) fn of_this_program() -> Self {
        Self::parse(env!("CARGO_PKG_VERSION")).unwrap_or(Self(vec![0, 0, 0]))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(u32::to_string).collect::<Vec<_>>().join("."))
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom(format!("`{text}` is no version; write numbers: 1.4.2")))
    }
}

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct State {
    /// Of the newest index seen: an older one is a replay.
    pub(crate) serial: u64,
    /// The slot that has confirmed; `None`: the installed program.
    pub(crate) good: Option<Version>,
    /// What is gone back to from it.
    pub(crate) former: Option<Version>,
    /// Fetched and unpacked, whole, and waiting for its hour.
    pub(crate) staged: Option<Version>,
    pub(crate) trial: Option<Trial>,
    /// Not to be tried again, and why.
    pub(crate) bad: BTreeMap<String, Text>,
    /// What went wrong last and has not been mended since.
    pub(crate) trouble: Option<Text>,
    /// Why the repository cannot be read.
    pub(crate) unreachable: Option<String>,
    /// What was wrong with what lay there.
    pub(crate) refused: Option<Text>,
    /// What the repository means for this gateway.
    pub(crate) offered: Option<Version>,
    /// Why a staged version waits.
    pub(crate) waits_for: Option<Text>,
    pub(crate) looked_ms: Option<TimeMs>,
    /// What a person has asked for.
    pub(crate) wish: Option<Wish>,
    /// Sensor types with rules, and models.
    pub(crate) content: BTreeMap<String, Track>,
    /// The newest last.
    pub(crate) history: Vec<Event>,
}

/// A version that has to show that it delivers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trial {
    pub(crate) version: Version,
    /// How often it was started.
    pub(crate) starts: u32,
    /// Its doors are open.
    #[serde(default)]
    pub(crate) ready: bool,
    /// What it still has to show.
    #[serde(default)]
    pub(crate) lacks: Vec<Text>,
    pub(crate) baseline: Baseline,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) at_ms: TimeMs,
    /// As in the audit log: `update.good`.
    pub(crate) what: String,
    /// Of what, where it is not the program: `types`, `models`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
    pub(crate) version: Version,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<Text>,
    /// The audit log has it.
    #[serde(default)]
    pub(crate) told: bool,
}

/// What a person can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Wish {
    /// Look into the repository.
    Look,
    /// Look, and do not wait for the quiet hour.
    Now,
    /// Go back to the former version.
    Back,
}

/// What is to be started.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Start {
    Installed,
    Good(Version),
    Trial(Version),
    /// It has had all its starts.
    Spent(Version),
}

impl State {
    /// Reads it; nothing is there in the beginning.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(crate) fn read(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join(FILE);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| {
                format!("{} is damaged; remove it, and the installed program goes on", path.display())
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
        }
    }

    /// Changes it; what is given back is durable.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub(crate) fn change(dir: &Path, change: impl FnOnce(&mut Self)) -> anyhow::Result<Self> {
        let _lock = private::lock(dir, LOCK)?;
        let before = Self::read(dir)?;
        let mut state = before.clone();
        change(&mut state);
        if state != before {
            private::replace(dir, FILE, &serde_json::to_vec_pretty(&state)?)?;
        }
        Ok(state)
    }

    /// What is to be started where `installed` is the system's own.
    pub(super) fn start(&self, installed: &Version) -> Start {
        let current = self.current(installed);
        match (&self.trial, current) {
            (Some(trial), current) if trial.version > *current.unwrap_or(installed) => {
                let version = trial.version.clone();
                if trial.starts < STARTS { Start::Trial(version) } else { Start::Spent(version) }
            }
            (_, Some(good)) => Start::Good(good.clone()),
            (_, None) => Start::Installed,
        }
    }

    /// The slot at work; a program that somebody has installed since goes before an older slot.
    pub(super) fn current(&self, installed: &Version) -> Option<&Version> {
        self.good.as_ref().filter(|good| *good > installed)
    }

    /// `version` is no more started, and the one before it goes on.
    pub(super) fn fail(&mut self, version: &Version, why: Text, now: TimeMs) {
        self.trial.take_if(|trial| trial.version == *version);
        self.staged.take_if(|staged| staged == version);
        if self.good.as_ref() == Some(version) {
            self.good = self.former.take();
        }
        self.bad.insert(version.to_string(), why.clone());
        self.trouble = Some(Text {
            zh: format!("版本 {version} 未被采用：{}", why.zh),
            en: format!("version {version} was gone back from: {}", why.en),
        });
        self.note("update.rolled_back", None, version, Some(why), now);
    }

    /// `version` is tried from the next start on.
    pub(super) fn begin_trial(&mut self, version: &Version, baseline: Baseline, now: TimeMs) {
        self.staged = None;
        self.waits_for = None;
        self.wish = None;
        self.trial = Some(Trial { version: version.clone(), starts: 0, ready: false, lacks: Vec::new(), baseline });
        self.note("update.begin", None, version, None, now);
    }

    /// The version on trial has shown that it delivers.
    pub(super) fn confirm(&mut self, now: TimeMs) {
        let Some(trial) = self.trial.take() else { return };
        self.former = self.good.replace(trial.version.clone());
        self.trouble = None;
        self.note("update.good", None, &trial.version, None, now);
    }

    /// Goes back from the slot at work, or from the one on trial, as a person wants it; whether there is one.
    pub(super) fn go_back(&mut self, now: TimeMs) -> bool {
        self.wish = None;
        let from = self.trial.as_ref().map(|trial| &trial.version).or(self.good.as_ref()).cloned();
        let Some(version) = from else { return false };
        let why = Text { zh: "有人要求退回".into(), en: "somebody asked to go back".into() };
        self.fail(&version, why, now);
        // It is as it was wanted.
        self.trouble = None;
        true
    }

    /// Whether a start could come to it.
    pub(super) fn is_used(&self, version: &Version) -> bool {
        self.good.as_ref() == Some(version) || self.trial.as_ref().is_some_and(|trial| trial.version == *version)
    }

    /// Forgets what is no newer than `own`, the version at work: somebody has installed that by hand since.
    pub(super) fn forget_older(&mut self, own: &Version) {
        self.staged.take_if(|staged| *staged <= *own);
        self.trial.take_if(|trial| trial.version <= *own);
    }

    /// The slots that are still needed.
    pub(super) fn needs(&self, kind: &str, version: &Version) -> bool {
        if kind != PROGRAM {
            return self.content.get(kind).is_some_and(|track| track.needs(version));
        }
        let trial = self.trial.as_ref().map(|trial| &trial.version);
        [self.good.as_ref(), self.former.as_ref(), self.staged.as_ref(), trial].contains(&Some(version))
    }

    pub(super) fn note(&mut self, what: &str, kind: Option<&str>, version: &Version, why: Option<Text>, now: TimeMs) {
        let (kind, version) = (kind.map(str::to_owned), version.clone());
        self.history.push(Event { at_ms: now, what: what.into(), kind, version, why, told: false });
        self.history.drain(..self.history.len().saturating_sub(KEPT));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    fn why() -> Text {
        Text { zh: "坏".into(), en: "bad".into() }
    }

    #[test]
    fn versions_are_numbers_and_ordered_as_such() {
        assert!(version("0.10.0") > version("0.9.9") && version("1.0") < version("1.0.1"));
        for text in ["", "1", "1.", "1.x", "../1.0", "1.0-rc1", "01.2", "1.2.3.4.5", "99999999999.1", "+1.2"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_started_follows_from_what_was_written_down() {
        let installed = version("1.0.0");
        let mut state = State::default();
        assert_eq!(state.start(&installed), Start::Installed);
        state.begin_trial(&version("1.1.0"), Baseline::default(), 0);
        for starts in 0..STARTS {
            state.trial.as_mut().unwrap().starts = starts;
            assert_eq!(state.start(&installed), Start::Trial(version("1.1.0")));
        }
        state.trial.as_mut().unwrap().starts = STARTS;
        assert_eq!(state.start(&installed), Start::Spent(version("1.1.0")));
        state.confirm(1);
        assert_eq!(state.start(&installed), Start::Good(version("1.1.0")));
        // What somebody has installed by hand goes before it.
        assert_eq!(state.start(&version("1.1.0")), Start::Installed);
        state.begin_trial(&version("1.2.0"), Baseline::default(), 2);
        assert_eq!(state.start(&installed), Start::Trial(version("1.2.0")));
        assert_eq!(state.start(&version("2.0.0")), Start::Installed, "nor is an older one tried then");
        state.fail(&version("1.2.0"), why(), 3);
        assert_eq!(state.start(&installed), Start::Good(version("1.1.0")));
        state.fail(&version("1.1.0"), why(), 4);
        assert_eq!(state.start(&installed), Start::Installed);
        assert!(state.trouble.is_some() && state.bad.len() == 2);
    }

    #[test]
    fn a_person_goes_back_once_and_nothing_of_it_is_tried_again() {
        let installed = version("1.0.0");
        let mut state = State::default();
        assert!(!state.go_back(0), "there is nothing to go back from");
        for text in ["1.1.0", "1.2.0"] {
            state.begin_trial(&version(text), Baseline::default(), 0);
            state.confirm(0);
        }
        assert!(state.needs(PROGRAM, &version("1.1.0")) && state.needs(PROGRAM, &version("1.2.0")));
        assert!(state.go_back(1));
        assert_eq!(state.start(&installed), Start::Good(version("1.1.0")));
        assert!(state.bad.contains_key("1.2.0") && state.trouble.is_none() && !state.needs(PROGRAM, &version("1.2.0")));
    }

    #[test]
    fn a_change_is_on_the_disk_and_damage_is_told() {
        let dir = tempfile::tempdir().unwrap();
        State::change(dir.path(), |state| state.serial = 7).unwrap();
        assert_eq!(State::read(dir.path()).unwrap().serial, 7);
        fs::write(dir.path().join(FILE), "{").unwrap();
        let error = State::read(dir.path()).unwrap_err().to_string();
        assert!(error.contains("state.json") && error.contains("remove it"), "{error}");
    }
}
