//! One file that makes another box this gateway: what is in it, how it is taken while the gateway runs, and how it is laid
//! down. The reasons are in `docs/decisions/0009-backup.md`.

mod archive;
mod restore;
pub(crate) mod site;
#[cfg(test)]
mod tests;

use anyhow::{Context, bail, ensure};
use indicatif::ProgressBar;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, BufWriter, Cursor, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ninewatch_core::time::TimeMs;

use crate::audit;
use crate::clock::Clock;
use crate::config::Config;
use crate::console::{AUTHORITY, HANDOVERS, PICTURES, PLANS, WALK_TEST_KEY, WALK_TESTS};
use crate::epochs::EPOCHS;
use crate::index::DELIVERY;
use crate::journal::{Cut, Part};
use crate::{brokers, duty, engine, notify, people, registry_file};
pub(crate) use restore::{Restored, restore, tell_origin};

/// In the data folder, with the journal. The index is not among them: it is rebuilt. Sessions are not: at a new box people log in.
const FILES: &[&str] = &[
    DELIVERY,
    EPOCHS,
    notify::LOG,
    notify::FORMER_LOG,
    audit::HEAD,
    audit::LOG,
    AUTHORITY,
    WALK_TEST_KEY,
    HANDOVERS,
    PLANS,
    "registry.toml",
    "accounts.toml",
    brokers::FILE,
    duty::ROSTER,
    duty::LADDERS,
    people::residents::FILE,
    people::grid_codes::FILE,
    "site.key",
    "models/refused.json",
];
/// Models to go back to, pictures of plans, and what is held of persons: what is over is deleted when the restored gateway starts.
const FOLDERS: &[&str] =
    &["models/in_use", "models/former", PICTURES, WALK_TESTS, brokers::PASSWORDS, people::PHOTOS, people::MATTERS];
const JOURNAL: &str = "journal";

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct About {
    pub(crate) gateway: String,
    /// The version of the program that made it.
    pub(crate) program: String,
    pub(crate) made_at_ms: TimeMs,
    pub(crate) places: usize,
    pub(crate) devices: usize,
    pub(crate) open_alerts: usize,
    /// The number of the last alert change.
    pub(crate) last_seq: u64,
}

/// Something that goes into a backup.
struct Entry {
    name: String,
    bytes: u64,
    from: Box<dyn Read>,
}

impl Entry {
    fn of(name: String, part: Part) -> Self {
        Self { name, bytes: part.bytes, from: Box::new(part.file) }
    }
}

/// Writes the gateway of a site file, at work or not, to the file `to`; gives what it holds, and how many bytes it has.
///
/// # Errors
/// Where something of it cannot be read, or `to` cannot be written or is there. Then nothing is left behind.
pub(crate) fn make(site_file: &Path, to: &Path, force: bool, progress: &ProgressBar) -> anyhow::Result<(About, u64)> {
    ensure!(force || !to.exists(), "{} is there; name another file, or add `--force` to replace it", to.display());
    let config = Config::load(site_file)?;
    open_many();
    let (about, entries) = gather(site_file, &config)?;
    progress.set_length(entries.iter().map(|entry| entry.bytes).sum());
    let unwritable = || format!("{} cannot be written", to.display());
    let unfinished = PathBuf::from(format!("{}.part", to.display()));
    // What an earlier try left; a new file then has its mode from the beginning, and is no link.
    let _ = fs::remove_file(&unfinished);
    let out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished).with_context(unwritable)?;
    let write = || {
        let mut archive = archive::Writer::new(BufWriter::new(&out), &about)?;
        for entry in entries {
            archive.entry(&entry.name, entry.bytes, progress.wrap_read(entry.from))?;
        }
        let (buffer, bytes) = archive.finish()?;
        buffer.into_inner().map_err(|error| error.into_error())?.sync_all()?;
        fs::rename(&unfinished, to)?;
        sync_folder_of(to)?;
        anyhow::Ok(bytes)
    };
    let written = write().with_context(unwritable);
    if written.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    Ok((about, written?))
}

/// Reads a backup through; gives what it holds, and how many bytes it has.
///
/// # Errors
/// Where it is torn, damaged, or not a backup that this program reads.
pub(crate) fn check(file: &Path, progress: &ProgressBar) -> anyhow::Result<(About, u64)> {
    let open = File::open(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let bytes = open.metadata()?.len();
    progress.set_length(bytes);
    let about =
        archive::read(BufReader::new(progress.wrap_read(open)), |_, _| Ok(())).with_context(|| unusable(file))?;
    Ok((about, bytes))
}

fn unusable(file: &Path) -> String {
    format!("{} cannot be used as a backup", file.display())
}

/// Lets this program open as many files as it may: all are open before one is written, so that what is deleted meanwhile is
/// whole in the backup, and there are thousands of residents' reports and photos.
fn open_many() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
}

/// Opens everything that goes into the backup, in an order that fits together.
fn gather(site_file: &Path, config: &Config) -> anyhow::Result<(About, Vec<Entry>)> {
    let data_dir = &config.gateway.data_dir;
    let mut entries = Vec::new();
    // The delivery cursors come before the journal: they never speak of a change that it lacks.
    for &name in FILES {
        entries.extend(plain(name.to_owned(), &data_dir.join(name))?);
    }
    for &name in FOLDERS {
        folder(name, &data_dir.join(name), &mut entries)?;
    }
    let site = site::read(site_file)?;
    let text = site.text.into_bytes();
    let name = format!("{}/{}", site::FOLDER, site::FILE);
    entries.push(Entry { name, bytes: text.len() as u64, from: Box::new(Cursor::new(text)) });
    for (name, path) in &site.named {
        let name = format!("{}/{name}", site::FOLDER);
        if path.is_dir() {
            folder(&name, path, &mut entries)?;
        } else {
            // A person named this one: a link is what they meant.
            let path = path.canonicalize().with_context(|| format!("{} cannot be read", path.display()))?;
            entries.extend(plain(name, &path)?);
        }
    }
    let registry = registry_file::load(data_dir)?;
    let mut cut = Cut::take(&data_dir.join(JOURNAL), |segment| engine::restore(segment).is_some())?;
    let (last_seq, open_alerts) = cut.alerts()?;
    entries.extend(cut.into_parts().map(|part| Entry::of(format!("{JOURNAL}/{}", part.name), part)));
    let about = About {
        gateway: config.gateway.id.clone(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        made_at_ms: Clock::System.now_ms(),
        places: registry.places.len(),
        devices: registry.devices.len(),
        open_alerts,
        last_seq,
    };
    Ok((about, entries))
}

/// A file, if it is there.
fn plain(name: String, path: &Path) -> anyhow::Result<Option<Entry>> {
    let unreadable = || format!("{} cannot be read; run this as its owner or as root", path.display());
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() => {
            let file = File::open(path).with_context(unreadable)?;
            let bytes = file.metadata().with_context(unreadable)?.len();
            Ok(Some(Entry { name, bytes, from: Box::new(file) }))
        }
        // What a link leads to may be anything, and is not this gateway's.
        Ok(_) => bail!("{} is a link or no file; put the file itself there", path.display()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(unreadable),
    }
}

/// All files in a folder and its folders, if it is there.
fn folder(name: &str, path: &Path, entries: &mut Vec<Entry>) -> anyhow::Result<()> {
    let unreadable = || format!("{} cannot be read; run this as its owner or as root", path.display());
    let found = match fs::read_dir(path) {
        Ok(found) => found.collect::<Result<Vec<_>, _>>().with_context(unreadable)?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(unreadable),
    };
    for found in found {
        let path = found.path();
        let file_name = found.file_name();
        let file_name = file_name.to_str().with_context(|| format!("the name of {} is not UTF-8", path.display()))?;
        let name = format!("{name}/{file_name}");
        if found.file_type().with_context(unreadable)?.is_dir() {
            folder(&name, &path, entries)?;
        } else {
            entries.extend(plain(name, &path)?);
        }
    }
    Ok(())
}

/// Makes a new name durable.
fn sync_folder_of(path: &Path) -> anyhow::Result<()> {
    let path = std::path::absolute(path)?;
    let folder = path.parent().unwrap_or(&path);
    File::open(folder)?.sync_all().with_context(|| format!("{} cannot be synced", folder.display()))
}
