//! A small file system of its own for a gateway's data: ext4 in a file, where this machine allows to mount one.

use anyhow::Context;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) struct Volume {
    image: PathBuf,
    at: PathBuf,
}

impl Volume {
    /// Makes and mounts one of `mib`; `Err` of the inner result says what this machine does not allow.
    pub(super) fn new(folder: &Path, at: &Path, mib: u64) -> anyhow::Result<Result<Self, String>> {
        let image = folder.join("disk.img");
        std::fs::File::create(&image)?.set_len(mib << 20)?;
        std::fs::create_dir_all(at)?;
        let volume = Self { image, at: at.to_owned() };
        let made =
            command("mkfs.ext4", &["-q", "-F", &volume.image.display().to_string()]).and_then(|()| volume.mount());
        Ok(match made {
            Ok(()) => Ok(volume),
            Err(why) => Err(format!("no file system of our own can be mounted here: {why:#}")),
        })
    }

    fn mount(&self) -> anyhow::Result<()> {
        command("mount", &["-o", "loop", &self.image.display().to_string(), &self.at.display().to_string()])
    }

    /// From now on nothing can be written, also by those who have files open: as the kernel does it when a card fails.
    pub(super) fn fail(&self) -> anyhow::Result<()> {
        command("mount", &["-o", "remount,abort", &self.at.display().to_string()])
    }

    /// Checks it and mounts it again.
    pub(super) fn repair(&self) -> anyhow::Result<()> {
        command("umount", &[&self.at.display().to_string()])?;
        // 1: errors were corrected.
        let status = Command::new("e2fsck").arg("-fy").arg(&self.image).output()?.status;
        anyhow::ensure!(matches!(status.code(), Some(0 | 1)), "e2fsck ended with {status}");
        self.mount()
    }

    /// Fills it to the last byte.
    pub(super) fn fill(&self) -> anyhow::Result<()> {
        use std::io::Write;
        let mut filler = std::fs::OpenOptions::new().create(true).append(true).open(self.filler())?;
        for size in [64 << 10, 512, 1] {
            let bytes = vec![b'x'; size];
            loop {
                match filler.write(&bytes) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        // Until then the file system may only have promised the blocks.
        Ok(filler.sync_all()?)
    }

    pub(super) fn free(&self) -> anyhow::Result<()> {
        std::fs::remove_file(self.filler()).context("the disk was not filled")
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.at).output();
    }
}

fn command(name: &str, args: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(name).args(args).output().with_context(|| format!("{name} is not on this machine"))?;
    anyhow::ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
