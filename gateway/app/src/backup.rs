//! One file that makes another box this gateway: what is in it, how it is taken while the gateway runs, and how it is laid
//! down. The reasons are in `docs/decisions/0009-backup.md`.

mod archive;
mod health;
mod restore;
mod seal;
pub(crate) mod site;
mod stick;
#[cfg(test)]
mod tests;

use anyhow::{Context, bail, ensure};
use indicatif::ProgressBar;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Cursor, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ninewatch_core::time::TimeMs;

use crate::audit;
use crate::clock::Clock;
use crate::config::Config;
use crate::console::{AUTHORITY, HANDOVERS, PICTURES, PLANS, WALK_TEST_KEY, WALK_TESTS};
use crate::epochs::EPOCHS;
use crate::index::DELIVERY;
use crate::intake::nodes::list;
use crate::journal::{Cut, Part};
use crate::{brokers, duty, engine, notify, people, registry_file};
pub(crate) use health::{BackupHealth, overdue};
pub(crate) use restore::{Restored, restore, tell_origin};
pub(crate) use seal::Passphrase;
use seal::{Opening, Sealing};
pub(crate) use stick::{Written, state, to_stick};

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
    list::FILE,
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

/// Sticks are slow to be told of little.
const AT_ONCE: usize = 1 << 20;

/// What a backup is written to: as it is, or sealed.
enum Out<W: Write> {
    Plain(BufWriter<W>),
    Sealed(Box<Sealing<BufWriter<W>>>),
}

impl<W: Write> Out<W> {
    fn finish(self) -> anyhow::Result<W> {
        let buffer = match self {
            Self::Plain(buffer) => buffer,
            Self::Sealed(sealing) => sealing.finish()?,
        };
        Ok(buffer.into_inner().map_err(|error| error.into_error())?)
    }
}

impl<W: Write> Write for Out<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(buffer) => buffer.write(bytes),
            Self::Sealed(sealing) => sealing.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(buffer) => buffer.flush(),
            Self::Sealed(sealing) => sealing.flush(),
        }
    }
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

/// Writes the gateway of a site file, at work or not, to the file `to`, sealed where site.toml has a passphrase; gives what it
/// holds, and how many bytes it has.
///
/// # Errors
/// Where something of it cannot be read, or `to` cannot be written or is there. Then nothing is left behind.
pub(crate) fn make(site_file: &Path, to: &Path, force: bool, progress: &ProgressBar) -> anyhow::Result<(About, u64)> {
    ensure!(force || !to.exists(), "{} is there; name another file, or add `--force` to replace it", to.display());
    let config = Config::load(site_file)?;
    let passphrase = config.backup.passphrase_file.as_deref().map(Passphrase::read).transpose()?;
    open_many();
    let (about, entries) = gather(site_file, &config)?;
    progress.set_length(entries.iter().map(|entry| entry.bytes).sum());
    let unwritable = || format!("{} cannot be written", to.display());
    let unfinished = PathBuf::from(format!("{}.part", to.display()));
    // What an earlier try left; a new file then has its mode from the beginning, and is no link.
    let _ = fs::remove_file(&unfinished);
    let out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished).with_context(unwritable)?;
    let write = || {
        let buffer = BufWriter::with_capacity(AT_ONCE, &out);
        let to_file = match &passphrase {
            Some(passphrase) => Out::Sealed(Box::new(Sealing::new(buffer, passphrase)?)),
            None => Out::Plain(buffer),
        };
        let mut archive = archive::Writer::new(to_file, &about)?;
        for entry in entries {
            archive.entry(&entry.name, entry.bytes, progress.wrap_read(entry.from))?;
        }
        archive.finish()?.0.finish()?.sync_all()?;
        let bytes = out.metadata()?.len();
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
pub(crate) fn check(
    file: &Path,
    passphrase: Option<&Passphrase>,
    progress: &ProgressBar,
) -> anyhow::Result<(About, u64)> {
    let open = File::open(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let bytes = open.metadata()?.len();
    progress.set_length(bytes);
    let read = || archive::read(unsealed(progress.wrap_read(open), passphrase)?, |_, _| Ok(()));
    Ok((read().with_context(|| unusable(file))?, bytes))
}

/// Whether a file is a sealed backup.
///
/// # Errors
/// Where it cannot be read.
pub(crate) fn is_sealed(file: &Path) -> anyhow::Result<bool> {
    let read = || seal::is_sealed(&mut BufReader::new(File::open(file)?));
    read().with_context(|| format!("{} cannot be read", file.display()))
}

/// A backup as it was before it was sealed; one that was not is as it is.
fn unsealed<'a>(from: impl Read + 'a, passphrase: Option<&Passphrase>) -> anyhow::Result<Box<dyn BufRead + 'a>> {
    let mut from = BufReader::new(from);
    if !seal::is_sealed(&mut from)? {
        return Ok(Box::new(from));
    }
    let passphrase = passphrase.context("it is sealed; give its passphrase by `--passphrase-file FILE`")?;
    Ok(Box::new(BufReader::new(Opening::new(from, passphrase)?)))
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
