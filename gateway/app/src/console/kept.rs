//! A small file of JSON in the data folder: read once, written anew at each change, on the disk before the change counts.

use anyhow::Context;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::problem::Problem;
use crate::private;

/// What the file `name` holds; the default where there is none.
pub(super) struct Kept<T> {
    data_dir: PathBuf,
    name: &'static str,
    value: Mutex<Option<T>>,
}

impl<T: Clone + Default + Serialize + DeserializeOwned> Kept<T> {
    /// It is read when somebody asks for the first time.
    pub(super) fn new(data_dir: PathBuf, name: &'static str) -> Self {
        Self { data_dir, name, value: Mutex::new(None) }
    }

    /// Looks at it.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub(super) fn look<R>(&self, look: impl FnOnce(&T) -> R) -> Result<R, Problem> {
        let mut value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = self.read(&mut value)?;
        Ok(look(kept))
    }

    /// Changes it; what `change` refuses, or cannot be written, has not happened.
    ///
    /// # Errors
    /// What `change` says, or where the file cannot be read or written.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut T) -> Result<R, Problem>) -> Result<R, Problem> {
        let mut value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = self.read(&mut value)?.clone();
        let result = change(&mut changed)?;
        let written = serde_json::to_vec_pretty(&changed)
            .map_err(anyhow::Error::from)
            .and_then(|json| private::replace(&self.data_dir, self.name, &json));
        written.map_err(|error| {
            Problem::unavailable("not_kept", format!("{error:#}"), "make room on the disk, and send it again")
        })?;
        *value = Some(changed);
        Ok(result)
    }

    fn read<'v>(&self, value: &'v mut Option<T>) -> Result<&'v T, Problem> {
        if value.is_none() {
            let path = self.data_dir.join(self.name);
            let read = match std::fs::read(&path) {
                Ok(json) => serde_json::from_slice(&json).context("it is damaged"),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(T::default()),
                Err(error) => Err(error.into()),
            };
            let read = read.map_err(|error| {
                let mend = format!("mend it, or move {} away to begin with nothing", path.display());
                Problem::unavailable("not_readable", format!("{} cannot be read: {error:#}", path.display()), mend)
            })?;
            *value = Some(read);
        }
        value.as_ref().ok_or_else(|| Problem::unavailable("not_readable", "it was not read", "try again"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damaged_is_told_and_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let kept = || Kept::<Vec<u8>>::new(dir.path().to_owned(), "list.json");
        kept()
            .change(|list| {
                list.push(7);
                Ok(())
            })
            .unwrap();
        assert_eq!(kept().look(Clone::clone).unwrap(), [7], "it outlives a restart");
        std::fs::write(dir.path().join("list.json"), "[7, 8").unwrap();
        assert!(kept().look(Clone::clone).is_err());
        assert!(
            kept()
                .change(|list| {
                    list.clear();
                    Ok(())
                })
                .is_err()
        );
        assert_eq!(std::fs::read_to_string(dir.path().join("list.json")).unwrap(), "[7, 8");
    }

    #[test]
    fn what_is_refused_has_not_happened() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::<Vec<u8>>::new(dir.path().to_owned(), "list.json");
        let refused: Result<(), Problem> = kept.change(|list| {
            list.push(1);
            Err(Problem::bad("no", "no"))
        });
        assert!(refused.is_err() && kept.look(Vec::is_empty).unwrap());
    }
}
