//! Backups to a stick: several generations, of which none goes before a newer one is whole and was read back.

use anyhow::{Context, ensure};
use indicatif::ProgressBar;
use rustix::fs::{Advice, fadvise};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use ninewatch_core::time::TimeMs;

use super::seal::Passphrase;
use super::{About, check, make, sync_folder_of};
use crate::clock::Clock;
use crate::config::Config;
use crate::private;

/// In the data folder: how the last one went. It is of this box, and not in a backup.
const STATE: &str = "backup.json";
/// What they end in: `20261129-030012.nwb`.
const ENDING: &str = ".nwb";

/// How backups to a stick go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct State {
    /// Since when they are wanted.
    pub(crate) wanted_since_ms: TimeMs,
    /// When the last one was whole and checked.
    pub(crate) done_at_ms: Option<TimeMs>,
    pub(crate) bytes: u64,
    /// How many are on that stick.
    pub(crate) generations: usize,
    /// Why the last try failed, if it did.
    pub(crate) failed: Option<String>,
}

/// A backup that was written.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) about: About,
    pub(crate) bytes: u64,
    pub(crate) file: PathBuf,
    /// How many there are with it.
    pub(crate) generations: usize,
    /// How many of what was there before were let go.
    pub(crate) let_go: usize,
}

/// Reads how backups go; nothing where none was ever wanted.
///
/// # Errors
/// Where that cannot be read.
pub(crate) fn state(data_dir: &Path) -> anyhow::Result<Option<State>> {
    let path = data_dir.join(STATE);
    match fs::read(&path) {
        Ok(json) => Ok(Some(serde_json::from_slice(&json).with_context(|| format!("{} is damaged", path.display()))?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

pub(super) fn keep(data_dir: &Path, state: &State) -> anyhow::Result<()> {
    private::replace(data_dir, STATE, &serde_json::to_vec(state)?)
}

/// Writes a backup to a stick that is mounted at `stick`, if site.toml wants that; keeps how it went.
///
/// # Errors
/// Where it cannot be written or read back. Then all that was there is there.
pub(crate) fn to_stick(site_file: &Path, stick: &Path, progress: &ProgressBar) -> anyhow::Result<Option<Written>> {
    let config = Config::load(site_file)?;
    if !config.backup.usb {
        return Ok(None);
    }
    let data_dir = &config.gateway.data_dir;
    let written = write(site_file, &config, stick, progress);
    let now = Clock::System.now_ms();
    // A damaged note is as none: this one takes its place.
    let before = state(data_dir).ok().flatten().unwrap_or(State { wanted_since_ms: now, ..State::default() });
    let after = match &written {
        Ok(written) => State {
            done_at_ms: Some(now),
            bytes: written.bytes,
            generations: written.generations,
            failed: None,
            ..before
        },
        Err(error) => State { failed: Some(format!("{error:#}")), ..before },
    };
    let kept = keep(data_dir, &after);
    let written = written?;
    kept.context("the backup is written, but the gateway does not know of it")?;
    Ok(Some(written))
}

fn write(site_file: &Path, config: &Config, stick: &Path, progress: &ProgressBar) -> anyhow::Result<Written> {
    let passphrase = config.backup.passphrase_file.as_deref().context("there is no passphrase")?;
    let passphrase = Passphrase::read(passphrase)?;
    let folder = stick.join(format!("ninewatch-{}", config.gateway.id));
    let unwritable = || format!("{} cannot be written; is the stick write-protected?", folder.display());
    ensure!(stick.is_dir(), "{} is not there; is the stick mounted?", stick.display());
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).with_context(unwritable)?;
    for name in names(&folder)? {
        // What a stick that was pulled out has kept of one that was not finished.
        if name.ends_with(".new") || name.ends_with(".part") {
            fs::remove_file(folder.join(name)).with_context(unwritable)?;
        }
    }
    let now = Clock::System.now_ms();
    let digits: String = config.gateway.utc_offset.rfc3339(now).chars().take(19).filter(char::is_ascii_digit).collect();
    let (day, time) = digits.split_at_checked(8).context("the time cannot be written down")?;
    let name = format!("{day}-{time}{ENDING}");
    let (new, file) = (folder.join(format!("{name}.new")), folder.join(&name));
    let (about, bytes) = match make(site_file, &new, false, progress) {
        Ok(made) => made,
        Err(error) if is_full(&error) => {
            return Err(error.context("the stick is full; take a larger one, or remove what else is on it"));
        }
        Err(error) => return Err(error),
    };
    let checked = read_back(&new, &passphrase).and_then(|read| {
        ensure!(read == (about.clone(), bytes), "what was read back is another backup");
        fs::rename(&new, &file)?;
        sync_folder_of(&file)
    });
    if checked.is_err() {
        let _ = fs::remove_file(&new);
    }
    checked.with_context(|| format!("{name} did not come back as it was written; is the stick broken?"))?;
    let (generations, let_go) = let_go(&folder, &name, config.backup.keep, &passphrase)?;
    Ok(Written { about, bytes, file, generations, let_go })
}

pub(super) fn is_full(error: &anyhow::Error) -> bool {
    let is_full = |error: &std::io::Error| matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    error.chain().filter_map(|cause| cause.downcast_ref()).any(is_full)
}

/// Reads it from the stick, and not from what the system remembers of it.
fn read_back(file: &Path, passphrase: &Passphrase) -> anyhow::Result<(About, u64)> {
    fadvise(File::open(file)?, 0, None, Advice::DontNeed)?;
    check(file, Some(passphrase), &ProgressBar::hidden())
}

/// Keeps the newest whole one of each of the newest `most` days that have one, and lets the others go; those that cannot be
/// read count for nothing, and stay until there are enough without them. Gives how many whole ones there are, and how many went.
fn let_go(folder: &Path, newest: &str, most: usize, passphrase: &Passphrase) -> anyhow::Result<(usize, usize)> {
    let mut others: Vec<String> = names(folder)?.into_iter().filter(|name| is_ours(name) && name != newest).collect();
    others.sort_unstable_by(|one, other| other.cmp(one));
    let day_of = |name: &str| name.split('-').next().unwrap_or_default().to_owned();
    // A clock that was wrong may have given the new one any name: it stays, and is the first of its day.
    let mut days = BTreeSet::from([day_of(newest)]);
    let (mut spare, mut unreadable) = (Vec::new(), Vec::new());
    for name in others {
        if days.len() >= most || days.contains(&day_of(&name)) {
            spare.push(name);
        } else if read_back(&folder.join(&name), passphrase).is_ok() {
            days.insert(day_of(&name));
        } else {
            unreadable.push(name);
        }
    }
    if days.len() >= most {
        spare.append(&mut unreadable);
    }
    for name in &spare {
        fs::remove_file(folder.join(name)).with_context(|| format!("{name} cannot be removed from the stick"))?;
    }
    sync_folder_of(&folder.join(newest))?;
    Ok((days.len(), spare.len()))
}

fn names(folder: &Path) -> anyhow::Result<Vec<String>> {
    let unreadable = || format!("{} cannot be read", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        names.extend(entry.with_context(unreadable)?.file_name().into_string());
    }
    Ok(names)
}

/// Whether a file is one that this program named.
fn is_ours(name: &str) -> bool {
    let shape = |stem: &str| {
        stem.len() == 15
            && stem.char_indices().all(|(at, sign)| if at == 8 { sign == '-' } else { sign.is_ascii_digit() })
    };
    name.strip_suffix(ENDING).is_some_and(shape)
}
