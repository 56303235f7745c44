//! The folder that is written.

use anyhow::Context;
use std::fs::{self, DirBuilder, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

use super::sheet;

/// Where the export goes.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes it, for its owner alone, if absent.
    ///
    /// # Errors
    /// Where it holds other things and nobody insists, or cannot be made.
    pub(super) fn open(path: PathBuf, force: bool) -> anyhow::Result<Self> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.with_context(|| format!("the folder {} cannot be made", path.display()))?;
        let mut entries = fs::read_dir(&path).with_context(|| format!("{} cannot be listed", path.display()))?;
        let is_ours = force || path.join(sheet::NAME).is_file() || entries.next().is_none();
        anyhow::ensure!(
            is_ours,
            "{} holds other things than an earlier export; name a new folder, or add `--force` to write beside them",
            path.display()
        );
        Ok(Self { path })
    }

    /// Removes the files of an earlier export, as its sheet names them.
    ///
    /// # Errors
    /// Where one cannot be removed.
    pub(super) fn clear(&self) -> anyhow::Result<()> {
        for file in sheet::files(&self.path.join(sheet::NAME))? {
            let path = Path::new(&file);
            let is_within = path.components().all(|part| matches!(part, Component::Normal(_)));
            for path in [path.to_owned(), PathBuf::from(file.replace("_accel.csv", "_gyro.csv"))] {
                let path = self.path.join(path);
                if is_within && path.is_file() {
                    fs::remove_file(&path).with_context(|| format!("{} cannot be removed", path.display()))?;
                }
            }
        }
        Ok(())
    }

    /// Writes a file by its path within the folder.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn write(
        &self,
        file: &str,
        content: impl FnOnce(&mut BufWriter<File>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let path = self.path.join(file);
        let write = || {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            let mut out = BufWriter::new(File::create(&path)?);
            content(&mut out)?;
            anyhow::Ok(out.flush()?)
        };
        write().with_context(|| format!("{} cannot be written", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_export_is_left_alone_unless_somebody_insists() {
        let home = tempfile::tempdir().unwrap();
        let open = |force| Folder::open(home.path().to_owned(), force);
        assert!(open(false).is_ok(), "it is empty");
        fs::write(home.path().join("diary.txt"), "mine").unwrap();
        let refused = open(false).unwrap_err().to_string();
        assert!(refused.contains("name a new folder, or add `--force`"), "{refused}");
        assert!(open(true).is_ok());
    }

    #[test]
    fn only_what_an_earlier_export_wrote_goes() {
        let home = tempfile::tempdir().unwrap();
        let to = home.path().join("to");
        let outside = home.path().join("outside.csv");
        let folder = Folder::open(to.clone(), false).unwrap();
        for file in ["skab/a.csv", "skab/mine.csv", "weda-fall/50Hz/F00/S01_R01_accel.csv"] {
            folder.write(file, |_| Ok(())).unwrap();
        }
        folder.write("weda-fall/50Hz/F00/S01_R01_gyro.csv", |_| Ok(())).unwrap();
        fs::write(&outside, "").unwrap();
        let sheet = "alert,file\n1,skab/a.csv\n2,weda-fall/50Hz/F00/S01_R01_accel.csv\n3,../outside.csv\n4,\n";
        fs::write(to.join(sheet::NAME), sheet).unwrap();
        Folder::open(to.clone(), false).unwrap().clear().unwrap();
        assert!(!to.join("skab/a.csv").exists() && to.join("skab/mine.csv").exists() && outside.exists());
        assert_eq!(fs::read_dir(to.join("weda-fall/50Hz/F00")).unwrap().count(), 0);
    }
}
