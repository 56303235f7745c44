//! Epochs: the numbers of the alert log that one box has given.
//!
//! A gateway that is restored from a backup goes on from the backup's last number, and the box that it was made on may
//! have given the same numbers to other changes. So a new epoch begins where the restored gateway decides by itself for
//! the first time, and upstream a number counts with its epoch only. A new journal begins one too.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::private;

/// The file in the data folder.
pub(crate) const EPOCHS: &str = "epochs.json";

/// Some numbers in a row, and the name for them that no other gateway gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Epoch {
    pub(crate) id: String,
    /// The first number.
    pub(crate) first: u64,
}

/// The epochs of a gateway, the last of them under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Epochs {
    former: Vec<Epoch>,
    current: Epoch,
}

/// What the file holds.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    epochs: Vec<Epoch>,
    /// The next start begins another.
    #[serde(default)]
    ended: bool,
}

impl Epochs {
    /// The epochs of the gateway in `data_dir`, whose last change is `last_seq`: a new one where it has none, or was
    /// restored.
    ///
    /// # Errors
    /// Where the file cannot be read or written.
    pub(crate) fn open(data_dir: &Path, last_seq: u64) -> anyhow::Result<Self> {
        let mut kept = read(data_dir)?;
        let current = match kept.epochs.pop() {
            Some(current) if !kept.ended => return Ok(Self { former: kept.epochs, current }),
            former => {
                kept.epochs.extend(former);
                Epoch { id: private::hex(&private::random::<8>()?), first: last_seq + 1 }
            }
        };
        // One that came to no change leaves nothing.
        kept.epochs.retain(|epoch| epoch.first < current.first);
        let this = Self { former: kept.epochs, current };
        let epochs = this.former.iter().chain([&this.current]).cloned().collect();
        private::replace(data_dir, EPOCHS, &serde_json::to_vec(&Kept { epochs, ended: false })?)?;
        Ok(this)
    }

    /// The one under way.
    pub(crate) fn current(&self) -> &Epoch {
        &self.current
    }

    /// The epoch of a number; none for one from before there were epochs.
    pub(crate) fn of(&self, seq: u64) -> Option<&str> {
        let epochs = std::iter::once(&self.current).chain(self.former.iter().rev());
        epochs.into_iter().find(|epoch| epoch.first <= seq).map(|epoch| epoch.id.as_str())
    }
}

/// The gateway in `data_dir` is from a backup: its next start begins an epoch.
///
/// # Errors
/// Where the file cannot be read or written.
pub(crate) fn end(data_dir: &Path) -> anyhow::Result<()> {
    let kept = Kept { ended: true, ..read(data_dir)? };
    private::replace(data_dir, EPOCHS, &serde_json::to_vec(&kept)?)
}

fn read(data_dir: &Path) -> anyhow::Result<Kept> {
    let path = data_dir.join(EPOCHS);
    match fs::read(&path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            tracing::error!(%error, "{} is damaged: a new epoch begins with the next change", path.display());
            Kept::default()
        })),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Kept::default()),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

#[cfg(test)]
impl Epochs {
    /// One from the beginning on.
    pub(crate) fn one(id: &str) -> Self {
        Self::two(&[], (id, 1))
    }

    pub(crate) fn two(former: &[(&str, u64)], current: (&str, u64)) -> Self {
        let epoch = |(id, first): (&str, u64)| Epoch { id: id.to_owned(), first };
        Self { former: former.iter().copied().map(epoch).collect(), current: epoch(current) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_the_epoch_of_the_box_that_gave_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = Epochs::open(dir.path(), 0).unwrap();
        assert_eq!(Epochs::open(dir.path(), 70).unwrap(), first, "a restart is none");
        end(dir.path()).unwrap();
        let second = Epochs::open(dir.path(), 120).unwrap();
        assert_eq!(Epochs::open(dir.path(), 130).unwrap(), second);
        let (one, two) = (first.current().id.as_str(), second.current().id.as_str());
        assert_ne!(one, two);
        assert_eq!([1, 120, 121, 900].map(|seq| second.of(seq).unwrap()), [one, one, two, two]);
        // Restored twice from the same backup: the same numbers, and again another epoch.
        end(dir.path()).unwrap();
        let third = Epochs::open(dir.path(), 120).unwrap();
        assert_eq!(third.current().first, 121);
        assert!(third.current().id != two && third.of(121) != Some(two) && third.of(120) == Some(one));
        // A gateway from before there were epochs.
        let older = tempfile::tempdir().unwrap();
        let begun = Epochs::open(older.path(), 5).unwrap();
        assert_eq!((begun.of(5), begun.of(6)), (None, Some(begun.current().id.as_str())));
    }
}
