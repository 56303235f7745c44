//! Photos of alerts: each a file named by the hash of its content, and beside it a note that says whose it is.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ninewatch_core::alert::AlertId;
use ninewatch_core::site::is_id;
use ninewatch_core::time::TimeMs;

use super::picture::{Format, Picture};
use super::{erase, files, has_room, sha256, written_ms};
use crate::journal::DiskRoom;
use crate::private;

/// What is known of a photo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Photo {
    /// SHA-256 of the picture.
    pub(crate) id: String,
    pub(crate) media_type: String,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) bytes: u64,
    pub(crate) at_ms: TimeMs,
    /// The account; `None`: the resident who reported the matter.
    pub(crate) by: Option<String>,
    /// The staff action that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) action: Option<String>,
}

/// Why a photo, or what a resident wrote, is not taken.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// So many are there.
    TooMany(usize),
    /// All that may be kept is kept.
    Full,
    /// The disk has no room besides what alerts need.
    DiskShort,
    /// It could not be written.
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// All photos.
pub(crate) struct Photos {
    dir: PathBuf,
    most_bytes: u64,
    room: Arc<DiskRoom>,
    /// One writes at a time.
    writing: Mutex<()>,
}

/// Of one alert.
const MOST: usize = 12;
/// Of these, by the resident who reported it.
const MOST_OF_A_RESIDENT: usize = 3;

impl Photos {
    pub(super) fn open(dir: &Path, most_bytes: u64, room: Arc<DiskRoom>) -> Self {
        Self { dir: dir.to_owned(), most_bytes, room, writing: Mutex::default() }
    }

    /// Keeps a photo of an alert; it is on the disk when this returns. The same again is the one that is there.
    ///
    /// # Errors
    /// Where it is not taken.
    pub(crate) fn keep(
        &self,
        alert: &AlertId,
        picture: &Picture,
        by: Option<&str>,
        at_ms: TimeMs,
    ) -> Result<Photo, Refusal> {
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let there = self.of(alert)?;
        let id = sha256(&picture.bytes);
        if let Some(known) = there.iter().find(|photo| photo.id == id) {
            return Ok(known.clone());
        }
        if there.len() >= MOST {
            return Err(Refusal::TooMany(there.len()));
        }
        let bytes = picture.bytes.len() as u64;
        if by.is_none() {
            let theirs = there.iter().filter(|photo| photo.by.is_none()).count();
            if theirs >= MOST_OF_A_RESIDENT {
                return Err(Refusal::TooMany(theirs));
            }
            // The other half is for staff, whatever is sent by a code on a poster.
            if used_by_residents(&self.dir)? + bytes > self.most_bytes / 2 {
                return Err(Refusal::Full);
            }
        }
        if used(&self.dir)? + bytes > self.most_bytes {
            return Err(Refusal::Full);
        }
        if !has_room(&self.room, bytes) {
            return Err(Refusal::DiskShort);
        }
        let photo = Photo {
            media_type: picture.format.media_type().to_owned(),
            width: picture.width,
            height: picture.height,
            bytes,
            at_ms,
            by: by.map(str::to_owned),
            action: None,
            id,
        };
        let dir = self.folder(alert).context("the alert's id names no folder")?;
        private::make_data_dir(&dir)?;
        fs::File::open(&self.dir).and_then(|dir| dir.sync_all()).context("the photos' folder cannot be synced")?;
        // The note is last: without it there is no photo.
        private::replace(&dir, &format!("{}.{}", photo.id, picture.format.ending()), &picture.bytes)?;
        write_note(&dir, &photo)?;
        Ok(photo)
    }

    /// The photos of an alert, oldest first.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub(crate) fn of(&self, alert: &AlertId) -> anyhow::Result<Vec<Photo>> {
        let Some(dir) = self.folder(alert) else { return Ok(Vec::new()) };
        let mut photos: Vec<Photo> = files(&dir, "json")?.iter().filter_map(|note| read_note(note)).collect();
        photos.sort_by(|one, other| (one.at_ms, &one.id).cmp(&(other.at_ms, &other.id)));
        Ok(photos)
    }

    /// A photo of an alert, as its media type and bytes; `None` where there is none.
    ///
    /// # Errors
    /// Where it cannot be read, or is not what was written.
    pub(crate) fn read(&self, alert: &AlertId, id: &str) -> anyhow::Result<Option<(&'static str, Vec<u8>)>> {
        let Some(photo) = self.of(alert)?.into_iter().find(|photo| photo.id == id) else { return Ok(None) };
        let format = Format::ALL.into_iter().find(|format| format.media_type() == photo.media_type);
        let (Some(format), Some(dir)) = (format, self.folder(alert)) else { return Ok(None) };
        let bytes = match fs::read(dir.join(format!("{id}.{}", format.ending()))) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.with_context(|| format!("the photo {id} cannot be read"))?,
        };
        anyhow::ensure!(sha256(&bytes) == id, "the photo {id} is damaged");
        Ok(Some((format.media_type(), bytes)))
    }

    /// Notes that photos of an alert belong to a staff action. Gives the first that is not there: then nothing is noted.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn belong_to(&self, alert: &AlertId, ids: &[String], action: &str) -> anyhow::Result<Option<String>> {
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let there = self.of(alert)?;
        if let Some(missing) = ids.iter().find(|id| !there.iter().any(|photo| photo.id == **id)) {
            return Ok(Some(missing.clone()));
        }
        let Some(dir) = self.folder(alert) else { return Ok(None) };
        for photo in there.into_iter().filter(|photo| ids.contains(&photo.id) && photo.action.is_none()) {
            write_note(&dir, &Photo { action: Some(action.to_owned()), ..photo })?;
        }
        Ok(None)
    }

    /// Takes away what a power cut left half written, and notes whose picture is away.
    pub(super) fn clear_up(&self) -> anyhow::Result<()> {
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        for folder in folders(&self.dir)? {
            files(&folder, "new")?.iter().try_for_each(|path| erase(path))?;
            for note in files(&folder, "json")? {
                if !Format::ALL.iter().any(|format| note.with_extension(format.ending()).exists()) {
                    erase(&note)?;
                }
            }
            // Where it is empty.
            let _ = fs::remove_dir(&folder);
        }
        Ok(())
    }

    fn folder(&self, alert: &AlertId) -> Option<PathBuf> {
        // A ULID; what else was asked for leads nowhere.
        (is_id(alert.as_str()) && !alert.as_str().contains('.')).then(|| self.dir.join(alert.as_str()))
    }
}

fn write_note(dir: &Path, photo: &Photo) -> anyhow::Result<()> {
    private::replace(dir, &format!("{}.json", photo.id), &serde_json::to_vec(photo)?)
}

fn read_note(path: &Path) -> Option<Photo> {
    let photo = fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if photo.is_none() {
        tracing::error!(note = %path.display(), "the note of a photo cannot be read; it is passed over");
    }
    photo
}

/// The folders of alerts that have photos.
fn folders(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    match fs::read_dir(dir) {
        Ok(found) => Ok(found.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", dir.display())),
    }
}

/// How many bytes all photos have.
fn used(dir: &Path) -> anyhow::Result<u64> {
    let mut used = 0;
    for folder in folders(dir)? {
        for format in Format::ALL {
            let sizes = files(&folder, format.ending())?.into_iter().filter_map(|path| fs::metadata(path).ok());
            used += sizes.map(|meta| meta.len()).sum::<u64>();
        }
    }
    Ok(used)
}

/// How many bytes the photos have that residents sent.
fn used_by_residents(dir: &Path) -> anyhow::Result<u64> {
    let mut used = 0;
    for folder in folders(dir)? {
        let theirs = files(&folder, "json")?.into_iter().filter_map(|note| read_note(&note));
        used += theirs.filter(|photo| photo.by.is_none()).map(|photo| photo.bytes).sum::<u64>();
    }
    Ok(used)
}

/// A photo as a file, for those who delete it.
pub(super) struct Kept {
    /// The alert.
    pub(super) of: String,
    pub(super) at_ms: TimeMs,
    paths: Vec<PathBuf>,
}

impl Kept {
    /// Of the picture as it now lies there.
    pub(super) fn sha256(&self) -> anyhow::Result<String> {
        let path = self.paths.first().context("a photo has no file")?;
        Ok(sha256(&fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?))
    }

    pub(super) fn erase(&self) -> anyhow::Result<()> {
        self.paths.iter().try_for_each(|path| erase(path))?;
        // The last one of its alert.
        self.paths.first().and_then(|path| path.parent()).map(fs::remove_dir);
        Ok(())
    }
}

/// All photos of a data folder. A picture without a note (a crash came between) counts as old as its file.
pub(super) fn kept(dir: &Path) -> anyhow::Result<Vec<Kept>> {
    let mut kept = Vec::new();
    for folder in folders(dir)? {
        let of = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        for format in Format::ALL {
            for path in files(&folder, format.ending())? {
                let note = path.with_extension("json");
                let at_ms = if note.exists() { read_note(&note).map(|photo| photo.at_ms) } else { None };
                let at_ms = at_ms.unwrap_or_else(|| written_ms(&path));
                // The picture first: a note without it is nothing.
                kept.push(Kept { of: of.clone(), at_ms, paths: vec![path, note] });
            }
        }
    }
    Ok(kept)
}
