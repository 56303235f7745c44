//! A newer program, out of a signed repository: fetched, unpacked beside the one at work, tried in a quiet hour, kept when
//! it delivers and gone back from when it does not. The reasons are in `docs/decisions/0030-updates.md`.
//!
//! ```text
//! repository ─ fetch ─▶ slot ─ follow: when ─▶ trial ─┬─▶ good
//!                                   launch: watches ──┴─▶ bad: the former goes on
//! ```
//! What is known of it all stands in one small file, [`State`].

mod content;
mod fetch;
mod follow;
mod index;
mod launch;
pub(crate) mod release;
mod slot;
mod state;
mod told;
mod trial;
mod when;

use serde::Deserialize;
use std::path::{Path, PathBuf};

use ninewatch_core::hours::Hours;
use ninewatch_core::time::Span;

pub(crate) use content::{Delivered, Track, verify as verify_content};
pub(crate) use follow::Ground;
pub(crate) use index::PublicKey;
pub(crate) use launch::{LaunchArgs, run as launch};
pub(crate) use state::{Event, State, Version, Wish};
pub(crate) use told::Updates;

/// `[update]` of the site file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateConfig {
    /// `https://…`, `http://…`, or a folder.
    pub(crate) repository: String,
    /// Whose signature counts; several while one follows another.
    pub(crate) key: Keys,
    #[serde(default = "all")]
    pub(crate) ring: String,
    /// When a program may be changed for another, in local time.
    #[serde(default = "before_dawn")]
    pub(crate) quiet: Hours,
    /// How often the repository is looked at.
    #[serde(default = "six_hours")]
    pub(crate) every: Span,
    /// PEM; without it the system's roots are trusted.
    pub(crate) ca: Option<PathBuf>,
    /// How long a new program has to show that it delivers.
    #[serde(default = "quarter_of_an_hour")]
    pub(crate) trial: Span,
    /// How long it has to open its doors.
    #[serde(default = "three_minutes")]
    pub(crate) ready_within: Span,
}

/// One key, or a list.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Keys {
    One(String),
    Several(Vec<String>),
}

fn all() -> String {
    "all".into()
}

fn before_dawn() -> Hours {
    Hours::between(2 * 60, 5 * 60)
}

fn six_hours() -> Span {
    Span::from_secs(6 * 3600)
}

fn quarter_of_an_hour() -> Span {
    Span::from_secs(900)
}

fn three_minutes() -> Span {
    Span::from_secs(180)
}

impl UpdateConfig {
    /// What is wrong in it: key, problem, how to mend it.
    pub(crate) fn problems(&self) -> Vec<(&'static str, String, &'static str)> {
        let mut problems = Vec::new();
        if let Err(error) = self.keys() {
            problems.push(("key", format!("{error:#}"), "copy the line that `ninewatch release key` prints"));
        }
        if self.every.ms() < 1000 || self.trial.ms() < 1000 || self.ready_within.ms() < 1000 {
            problems.push((
                "every",
                "`every`, `trial` or `ready_within` is no time at all".into(),
                "give a second at least",
            ));
        }
        if self.ring.is_empty() {
            problems.push(("ring", "is empty".into(), "write `all`, or a ring of the repository"));
        }
        problems
    }

    /// The keys, as they are used.
    ///
    /// # Errors
    /// Where one is none, or there is none.
    pub(crate) fn keys(&self) -> anyhow::Result<Vec<PublicKey>> {
        let texts = match &self.key {
            Keys::One(key) => std::slice::from_ref(key),
            Keys::Several(keys) => keys.as_slice(),
        };
        anyhow::ensure!(!texts.is_empty(), "there is no key in the list");
        texts.iter().map(|text| PublicKey::parse(text)).collect()
    }

    /// Makes relative paths those of the site file's folder.
    pub(crate) fn resolve(&mut self, base: &Path) {
        self.ca.iter_mut().for_each(|path| *path = base.join(&*path));
        if !self.repository.starts_with("http://") && !self.repository.starts_with("https://") {
            let path = self.repository.strip_prefix("file://").unwrap_or(&self.repository);
            self.repository = base.join(path).display().to_string();
        }
    }
}

/// In the data folder.
pub(crate) fn dir(data_dir: &Path) -> PathBuf {
    data_dir.join("update")
}

/// What this machine is, as Debian calls it.
pub(crate) const ARCH: &str = match std::env::consts::ARCH.as_bytes() {
    b"x86_64" => "amd64",
    b"aarch64" => "arm64",
    _ => std::env::consts::ARCH,
};

/// Set by the launcher: that there is one.
const LAUNCHED: &str = "NINEWATCH_LAUNCHED";
/// Set by the launcher: the version of the slot that it runs.
const SLOT: &str = "NINEWATCH_SLOT";
/// Set by the launcher for a program on trial: the launcher's own process id.
const TRIED_BY: &str = "NINEWATCH_TRIED_BY";

/// The version at work.
pub(crate) fn version() -> Version {
    std::env::var(SLOT).ok().and_then(|text| Version::parse(&text)).unwrap_or_else(Version::of_this_program)
}

/// A program on trial ends with its launcher: two gateways must never be at work on one folder.
///
/// # Errors
/// Where the launcher is gone already.
pub(crate) fn end_with_launcher() -> anyhow::Result<()> {
    let Ok(launcher) = std::env::var(TRIED_BY) else { return Ok(()) };
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().to_string());
    anyhow::ensure!(parent.as_ref() == Some(&launcher), "the launcher that tries this program is gone");
    Ok(())
}

/// The program on trial has opened its doors.
///
/// # Errors
/// Where that cannot be written down.
pub(crate) fn tell_ready(data_dir: &Path) -> anyhow::Result<()> {
    if std::env::var_os(TRIED_BY).is_none() {
        return Ok(());
    }
    State::change(&dir(data_dir), |state| state.trial.iter_mut().for_each(|trial| trial.ready = true)).map(drop)
}
