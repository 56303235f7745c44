//! A release in the data folder: `program/VERSION` (or `types`, `models`), with the signed index that names each file of it. What is
//! started is what was signed: the files themselves are compared each time, so nothing that came in between is run.

use anyhow::{Context, bail};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::content::KINDS;
use super::index::{Content, INDEX, Index, PROGRAM, PublicKey, Release};
use super::{ARCH, State, Version};
use crate::private::hex;

const FILES: &str = "files";
/// In a package: the program, and the format of the journal that it writes.
pub(super) const BINARY: &str = "usr/bin/ninewatch";
pub(super) const FORMAT: &str = "usr/lib/ninewatch/journal-format";

fn folder(dir: &Path, kind: &str, version: &Version) -> PathBuf {
    dir.join(kind).join(version.to_string())
}

/// Where the files of a release are.
pub(super) fn files(dir: &Path, kind: &str, version: &Version) -> PathBuf {
    folder(dir, kind, version).join(FILES)
}

/// Whether the slot is there. It came by a rename: it is whole.
pub(super) fn is_there(dir: &Path, kind: &str, version: &Version) -> bool {
    folder(dir, kind, version).is_dir()
}

/// The slot's program, after every file of it has been compared with what was signed.
///
/// # Errors
/// What is not as it was signed.
pub(super) fn program(dir: &Path, version: &Version, keys: &[PublicKey]) -> anyhow::Result<PathBuf> {
    verify(dir, PROGRAM, version, keys)?;
    Ok(files(dir, PROGRAM, version).join(BINARY))
}

/// Compares every file of a release with what was signed.
///
/// # Errors
/// What is not as it was signed.
pub(super) fn verify(dir: &Path, kind: &str, version: &Version, keys: &[PublicKey]) -> anyhow::Result<()> {
    let folder = folder(dir, kind, version);
    let text = fs::read(folder.join(INDEX)).with_context(|| format!("{} has no index", folder.display()))?;
    let index = Index::open(&text, keys)?;
    let release = index.find(kind, version).with_context(|| format!("no signed index names {version} for {ARCH}"))?;
    compare(&folder.join(FILES), &release.contents)
}

/// Unpacks a package beside the others, compares it with what was signed and gives it its name at last.
///
/// # Errors
/// Where it is damaged, holds what it should not, or the disk does not take it.
pub(super) fn unpack(dir: &Path, package: &Path, release: &Release, index: &[u8]) -> anyhow::Result<()> {
    let place = folder(dir, &release.kind, &release.version);
    let new = place.with_added_extension("new");
    remove(&new)?;
    remove(&place)?;
    let files = new.join(FILES);
    fs::create_dir_all(&files)?;
    extract(package, &files)?;
    compare(&files, &release.contents)?;
    crate::private::write(&new.join(INDEX), index)?;
    sync(&new)?;
    fs::rename(&new, &place)?;
    File::open(dir.join(&release.kind))?.sync_all()?;
    Ok(())
}

/// Unpacks a package into a folder.
pub(super) fn extract(package: &Path, into: &Path) -> anyhow::Result<()> {
    let is_archive = is_archive(package)?;
    let (tool, output) = if is_archive {
        let options = ["--extract", "--xz", "--no-same-owner", "--no-same-permissions", "--file"];
        ("tar", Command::new("tar").args(options).arg(package).arg("--directory").arg(into).output())
    } else {
        ("dpkg-deb", Command::new("dpkg-deb").arg("--extract").arg(package).arg(into).output())
    };
    let output = output.with_context(|| format!("{tool} cannot be started"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} cannot be unpacked: {}", package.display(), said.trim());
    }
    Ok(())
}

/// Whether it is compressed by xz, as what is no Debian package is.
fn is_archive(package: &Path) -> anyhow::Result<bool> {
    let mut begin = [0; 6];
    let mut file = File::open(package).with_context(|| format!("{} cannot be read", package.display()))?;
    Ok(file.read_exact(&mut begin).is_ok() && begin == *b"\xfd7zXZ\0")
}

/// The files under a folder, with what is in them.
///
/// # Errors
/// Where anything but files and folders is there.
pub(super) fn contents(root: &Path) -> anyhow::Result<Vec<Content>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))? {
            let path = entry?.path();
            let what = fs::symlink_metadata(&path)?;
            let name =
                path.strip_prefix(root)?.to_str().with_context(|| format!("{} has no plain name", path.display()))?;
            if what.is_dir() {
                folders.push(path);
            } else if what.is_file() {
                found.push(Content { path: name.to_owned(), bytes: what.len(), sha256: sha256(&path)? });
            } else {
                bail!("{name} is neither a file nor a folder");
            }
        }
    }
    found.sort();
    Ok(found)
}

fn compare(root: &Path, signed: &[Content]) -> anyhow::Result<()> {
    let found = contents(root)?;
    let (found, signed): (BTreeSet<_>, BTreeSet<_>) = (found.iter().collect(), signed.iter().collect());
    if let Some(one) = found.symmetric_difference(&signed).next() {
        bail!("{} is not as it was signed", one.path);
    }
    Ok(())
}

/// The hash of a file.
pub(super) fn sha256(path: &Path) -> anyhow::Result<String> {
    let mut file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let (mut hash, mut chunk) = (Sha256::new(), vec![0; 1 << 18]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hex(&hash.finalize())),
            read => hash.update(chunk.get(..read).unwrap_or_default()),
        }
    }
}

/// Brings a folder and all in it to the disk.
fn sync(folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { sync(&path)? } else { File::open(&path)?.sync_all()? }
    }
    Ok(File::open(folder)?.sync_all()?)
}

fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", path.display()))
        }
        _ => Ok(()),
    }
}

/// Removes slots that nothing needs, and what a power cut left half unpacked.
///
/// # Errors
/// Where one cannot be removed.
pub(super) fn sweep(dir: &Path, state: &State) -> anyhow::Result<()> {
    for kind in std::iter::once(PROGRAM).chain(KINDS) {
        let Ok(slots) = fs::read_dir(dir.join(kind)) else { continue };
        for slot in slots {
            let path = slot?.path();
            let version = path.file_name().and_then(|name| name.to_str()).and_then(Version::parse);
            if version.is_none_or(|version| !state.needs(kind, &version)) {
                remove(&path)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_as_it_was_signed_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("usr/bin")).unwrap();
        fs::write(dir.path().join("usr/bin/a"), "a").unwrap();
        let signed = contents(dir.path()).unwrap();
        assert!(compare(dir.path(), &signed).is_ok());
        fs::write(dir.path().join("usr/bin/a"), "b").unwrap();
        assert!(compare(dir.path(), &signed).unwrap_err().to_string().contains("usr/bin/a"));
        fs::write(dir.path().join("usr/bin/a"), "a").unwrap();
        fs::write(dir.path().join("usr/more"), "").unwrap();
        assert!(compare(dir.path(), &signed).unwrap_err().to_string().contains("usr/more"));
        fs::remove_file(dir.path().join("usr/more")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("usr/link")).unwrap();
        assert!(compare(dir.path(), &signed).unwrap_err().to_string().contains("usr/link"));
    }
}
