//! The log of shadows: each score beside that of the model in use, for `ninewatch model compare`.

use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use ninewatch_core::time::TimeMs;

/// Two files of this size are kept for each shadow.
const MAX_BYTES: u64 = 8 << 20;

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) at_ms: TimeMs,
    /// The device or place.
    pub(crate) about: String,
    pub(crate) active_version: String,
    pub(crate) active: f32,
    pub(crate) active_threshold: f64,
    pub(crate) shadow_version: String,
    /// None where the shadow gave no score.
    pub(crate) shadow: Option<f32>,
    pub(crate) shadow_threshold: f64,
}

/// The log of one shadow, being written.
pub(super) struct ShadowLog {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    written: u64,
    /// The last line could not be written.
    fails: bool,
}

impl ShadowLog {
    /// Of the shadow `name`; nothing is made until there is something to write.
    pub(super) fn new(folder: &Path, name: &str) -> Self {
        Self { path: folder.join(format!("{name}.jsonl")), file: None, written: 0, fails: false }
    }

    /// Adds a line. Where the disk fails it is left out; that is said once, until one can be written again.
    pub(super) fn write(&mut self, line: &Line) {
        let written = self.try_write(line);
        if let Err(error) = &written {
            if !self.fails {
                tracing::warn!(path = %self.path.display(), %error, "a shadow's scores cannot be logged");
            }
            // Begun anew, whatever became of the file.
            (self.file, self.written) = (None, 0);
        }
        self.fails = written.is_err();
    }

    fn try_write(&mut self, line: &Line) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        if self.written >= MAX_BYTES {
            self.file = None;
            fs::rename(&self.path, self.path.with_extension("1.jsonl"))?;
        }
        if self.file.is_none() {
            fs::create_dir_all(self.path.parent().unwrap_or(Path::new("")))?;
            let file = OpenOptions::new().create(true).append(true).open(&self.path)?;
            self.written = file.metadata()?.len();
            self.file = Some(BufWriter::new(file));
        }
        if let Some(file) = &mut self.file {
            file.write_all(&bytes)?;
            // A line is worth no more than what the next second brings, and readers want whole ones.
            file.flush()?;
        }
        self.written += bytes.len() as u64;
        Ok(())
    }
}

/// The lines of a shadow's log, the oldest first. One that a crash has cut is passed over.
///
/// # Errors
/// Where there is no such log.
pub(crate) fn read(folder: &Path, name: &str) -> io::Result<Vec<Line>> {
    let path = folder.join(format!("{name}.jsonl"));
    let before = fs::read_to_string(path.with_extension("1.jsonl")).unwrap_or_default();
    let text = before + &fs::read_to_string(&path)?;
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// The shadows that have a log.
pub(crate) fn logged(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let mut names: Vec<String> =
        files.filter_map(|file| Some(file.to_str()?.strip_suffix(".jsonl")?.to_owned())).collect();
    names.sort();
    // `x.1` is the older part of `x`.
    let older: Vec<String> = names.iter().map(|name| format!("{name}.1")).collect();
    names.retain(|name| !older.contains(name));
    names
}
