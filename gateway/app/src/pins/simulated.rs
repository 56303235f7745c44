//! A file in the place of hardware, for trying a site out without any. Whoever has one is told so at every turn.

use anyhow::Context;
use std::path::{Path, PathBuf};

/// A file that says what hardware would.
#[derive(Debug, Clone)]
pub(crate) struct Simulated {
    file: PathBuf,
}

impl Simulated {
    /// Nothing is read yet.
    pub(crate) fn new(file: &Path) -> Self {
        Self { file: file.to_owned() }
    }

    /// What it says.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(crate) fn read(&self) -> anyhow::Result<String> {
        let said = std::fs::read_to_string(&self.file);
        let said = said.with_context(|| format!("the simulating file {} cannot be read", self.file.display()))?;
        Ok(said.trim().to_owned())
    }

    /// Says so, whole or not at all: somebody may be reading it.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn write(&self, says: &str) -> anyhow::Result<()> {
        let new = self.file.with_extension("new");
        std::fs::write(&new, says)
            .and_then(|()| std::fs::rename(&new, &self.file))
            .with_context(|| format!("the simulating file {} cannot be written", self.file.display()))
    }
}

/// Whether what a file says is `on`.
///
/// # Errors
/// Where it is neither `on` nor `off`.
pub(crate) fn is_on(said: &str) -> anyhow::Result<bool> {
    match said {
        "on" => Ok(true),
        "off" => Ok(false),
        other => anyhow::bail!("`{other}` is neither `on` nor `off`"),
    }
}
