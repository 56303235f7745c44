//! Laying a backup down: read through first, then written beside, then moved into place.

use anyhow::{Context, ensure};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ninewatch_core::time::{TimeMs, UtcOffset};

use super::{About, JOURNAL, Passphrase, archive, site, sync_folder_of, unsealed, unusable};
use crate::clock::Clock;
use crate::{epochs, private};

/// The note in the data folder that says where it is from.
const NOTE: &str = "restored.json";

/// What the note says.
#[derive(Debug, Serialize, Deserialize)]
struct Origin {
    backup: About,
    restored_at_ms: TimeMs,
}

/// A gateway that was restored.
pub(crate) struct Restored {
    pub(crate) about: About,
    pub(crate) bytes: u64,
    pub(crate) data_dir: PathBuf,
    pub(crate) site_file: PathBuf,
    /// Where the one is that was there before.
    pub(crate) former: Option<PathBuf>,
}

/// Makes `data_dir` the data folder of the gateway in a backup.
///
/// # Errors
/// Where the backup is not whole, the folder holds a gateway (unless `force` has it moved aside) or one is at work in it,
/// or it cannot be written. Then all is as it was.
pub(crate) fn restore(
    file: &Path,
    passphrase: Option<&Passphrase>,
    data_dir: &Path,
    force: bool,
    progress: &ProgressBar,
) -> anyhow::Result<Restored> {
    let mut open = File::open(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let bytes = open.metadata()?.len();
    progress.set_length(2 * bytes);
    unsealed(progress.wrap_read(&open), passphrase)
        .and_then(|plain| archive::read(plain, |_, _| Ok(())))
        .with_context(|| format!("{}, and nothing was touched", unusable(file)))?;
    let place = Place::look(data_dir, force)?;

    open.seek(SeekFrom::Start(0))?;
    let unwritable = || format!("{} cannot be written; run this as its owner or as root", place.beside.display());
    DirBuilder::new()
        .mode(0o700)
        .create(&place.beside)
        .with_context(|| format!("{}; remove it if an earlier restore was interrupted", unwritable()))?;
    let stopped = || format!("{} could not be restored, and nothing is changed", file.display());
    let laid = unsealed(progress.wrap_read(&open), passphrase)
        .and_then(|plain| lay_down(plain, &place))
        .with_context(stopped)
        .and_then(|about| Ok((about, place.move_in()?)));
    if laid.is_err() {
        let _ = fs::remove_dir_all(&place.beside);
    }
    let (about, former) = laid?;
    let site_file = place.data_dir.join(site::FOLDER).join(site::FILE);
    Ok(Restored { about, bytes, data_dir: place.data_dir, site_file, former })
}

/// Writes everything beside the data folder.
fn lay_down(plain: impl BufRead, place: &Place) -> anyhow::Result<About> {
    let beside = &place.beside;
    // The file is checked again on the way: it may have changed since it was read through.
    let about = archive::read(plain, |name, body| write(beside, name, body))?;
    let site_file = beside.join(site::FOLDER).join(site::FILE);
    let text = fs::read_to_string(&site_file).context("there is no site file in it")?;
    private::write(&site_file, site::settled(&text, &place.data_dir)?.as_bytes())?;
    let note = Origin { backup: about.clone(), restored_at_ms: Clock::System.now_ms() };
    private::write(&beside.join(NOTE), &serde_json::to_vec_pretty(&note)?)?;
    // What this box decides has other numbers than what that one went on to decide, even where they are the same.
    epochs::end(beside)?;
    place.settle(beside)?;
    Ok(about)
}

fn write(folder: &Path, name: &str, body: &mut dyn Read) -> anyhow::Result<()> {
    let path = folder.join(name);
    let mut write = || {
        if let Some(parent) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        // All is new here, so nothing is followed and nothing is written over.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        io::copy(body, &mut file)
    };
    write().map(drop).with_context(|| format!("{} cannot be written", path.display()))
}

/// Where a gateway is to be.
struct Place {
    /// As the person named it: systemd has a link there.
    data_dir: PathBuf,
    /// What that leads to.
    real: PathBuf,
    /// Where it is written first, on the same disk.
    beside: PathBuf,
    /// Where what is there goes.
    aside: Option<PathBuf>,
    /// Whose the folder is that is there.
    owner: Option<(u32, u32)>,
    /// The lock of the journal that is there: no gateway can begin in it meanwhile.
    _lock: Option<File>,
}

impl Place {
    fn look(data_dir: &Path, force: bool) -> anyhow::Result<Self> {
        let data_dir = std::path::absolute(data_dir)?;
        let real = data_dir.canonicalize().unwrap_or_else(|_| data_dir.clone());
        let with = |ending: &str| PathBuf::from(format!("{}.{ending}", real.display()));
        let beside = with("restoring");
        let unreadable = || format!("{} cannot be read; run this as its owner or as root", data_dir.display());
        let mut entries = match fs::read_dir(&real) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { data_dir, real, beside, aside: None, owner: None, _lock: None });
            }
            Err(error) => return Err(error).with_context(unreadable),
        };
        let meta = fs::metadata(&real).with_context(unreadable)?;
        let owner = Some((meta.uid(), meta.gid()));
        if entries.next().is_none() {
            return Ok(Self { data_dir, real, beside, aside: None, owner, _lock: None });
        }
        ensure!(
            force,
            "{} holds a gateway or other things; name a new folder, or add `--force` to have it moved aside",
            data_dir.display()
        );
        let lock = File::open(real.join(JOURNAL).join("lock")).ok();
        let is_at_work = lock.as_ref().is_some_and(|lock| lock.try_lock().is_err());
        ensure!(!is_at_work, "a gateway is at work in {}; stop it first", data_dir.display());
        let now = UtcOffset::CHINA.rfc3339(Clock::System.now_ms());
        let now: String = now.chars().take(19).filter(|sign| *sign != ':').collect();
        let aside = with(&format!("before-{now}"));
        ensure!(!aside.exists(), "{} is there already; try again in a second", aside.display());
        Ok(Self { data_dir, real, beside, aside: Some(aside), owner, _lock: lock })
    }

    /// Brings what was written beside to the disk, as the owner's of the folder that was there.
    fn settle(&self, path: &Path) -> io::Result<()> {
        let meta = fs::symlink_metadata(path)?;
        if let Some((user, group)) = self.owner.filter(|(user, _)| *user != meta.uid()) {
            std::os::unix::fs::lchown(path, Some(user), Some(group))?;
        }
        if meta.is_dir() {
            for entry in fs::read_dir(path)? {
                self.settle(&entry?.path())?;
            }
        }
        File::open(path)?.sync_all()
    }

    /// Puts what was written beside in its place; gives where the former one is.
    fn move_in(&self) -> anyhow::Result<Option<PathBuf>> {
        if let Some(aside) = &self.aside {
            fs::rename(&self.real, aside)
                .with_context(|| format!("{} cannot be moved aside", self.data_dir.display()))?;
        }
        let moved = fs::rename(&self.beside, &self.real);
        if let (Err(_), Some(aside)) = (&moved, &self.aside) {
            let _ = fs::rename(aside, &self.real);
        }
        moved.with_context(|| format!("{} cannot be put in place", self.data_dir.display()))?;
        sync_folder_of(&self.real)?;
        Ok(self.aside.clone())
    }
}

/// Tells the log at each start that this gateway came from another box.
pub(crate) fn tell_origin(data_dir: &Path) {
    let Ok(note) = fs::read(data_dir.join(NOTE)) else { return };
    let Ok(Origin { backup, restored_at_ms }) = serde_json::from_slice(&note) else { return };
    tracing::info!(
        gateway = backup.gateway,
        made = UtcOffset::CHINA.rfc3339(backup.made_at_ms),
        restored = UtcOffset::CHINA.rfc3339(restored_at_ms),
        last_seq = backup.last_seq,
        "this gateway was restored from a backup; the box that it was made on has to stay off"
    );
}
