//! The files that go with a card. They hold what nobody can read again, so they are on the disk before the card is
//! written; and they get their names only when it is whole, so that none speaks of a card that is none.

use anyhow::{Context, ensure};
use std::fs;
use std::path::{Path, PathBuf};

use crate::private::{give_to_owner_of_folder, write};

/// Files that wait for their card.
pub(crate) struct Papers {
    waiting: Vec<(PathBuf, PathBuf)>,
}

impl Papers {
    /// Writes them, for this user alone. Those of an earlier card are replaced if `again`.
    ///
    /// # Errors
    /// Where one is there, or cannot be written.
    pub(crate) fn write(files: &[(&Path, &str)], again: bool) -> anyhow::Result<Self> {
        let mut papers = Self { waiting: Vec::new() };
        for (path, text) in files {
            ensure!(
                again || !path.exists(),
                "{} is there already, and may be another card's; move it away, or name another file",
                path.display()
            );
            let mut name = path.as_os_str().to_owned();
            name.push(".unfinished");
            let waiting = PathBuf::from(name);
            papers.waiting.push((waiting.clone(), path.to_path_buf()));
            write(&waiting, text.as_bytes())?;
            give_to_owner_of_folder(&waiting).with_context(|| format!("{} cannot be given away", waiting.display()))?;
        }
        Ok(papers)
    }

    /// The card is whole.
    ///
    /// # Errors
    /// Where one cannot get its name; the message says how it is called.
    pub(crate) fn keep(mut self) -> anyhow::Result<()> {
        for (waiting, path) in std::mem::take(&mut self.waiting) {
            fs::rename(&waiting, &path).with_context(|| {
                format!("{} cannot be called {}; do that by hand", waiting.display(), path.display())
            })?;
        }
        Ok(())
    }
}

impl Drop for Papers {
    fn drop(&mut self) {
        for (waiting, _) in &self.waiting {
            let _ = fs::remove_file(waiting);
        }
    }
}
