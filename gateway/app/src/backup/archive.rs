//! A backup as a file: lines of JSON, and the bytes of the entries between them.
//!
//! ```text
//! ninewatch backup 1
//! {"gateway":"kaili-01", …}                        what it holds
//! {"entry":{"name":"registry.toml","bytes":512}}
//! … 512 bytes …
//! {"end":{"sha256":"…"}}                           of everything before this line
//! ```
//!
//! There are only plain files in it: it has no way to say link, owner or mode.

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::io::{self, BufRead, Read, Write};
use std::path::{Component, Path};

use super::About;
use crate::private::hex;

const FORMAT: &str = "ninewatch backup ";
const VERSION: u32 = 1;
/// No line of ours is longer.
const LONGEST_LINE: u64 = 64 << 10;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mark {
    Entry { name: String, bytes: u64 },
    End { sha256: String },
}

/// Writes a backup from its beginning to its end.
pub(super) struct Writer<W> {
    out: W,
    digest: Sha256,
    bytes: u64,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(out: W, about: &About) -> anyhow::Result<Self> {
        let mut writer = Self { out, digest: Sha256::new(), bytes: 0 };
        writeln!(writer, "{FORMAT}{VERSION}")?;
        writer.line(about)?;
        Ok(writer)
    }

    /// Adds the next `bytes` of `from`, no more and no fewer.
    pub(super) fn entry(&mut self, name: &str, bytes: u64, from: impl Read) -> anyhow::Result<()> {
        ensure!(is_within(name), "`{name}` cannot name a file in a backup");
        self.line(&Mark::Entry { name: name.to_owned(), bytes })?;
        let copied = io::copy(&mut from.take(bytes), self)?;
        ensure!(copied == bytes, "{name} became shorter while it was read; try again");
        Ok(())
    }

    /// Adds the end mark; gives back what was written to, and how many bytes that was.
    pub(super) fn finish(mut self) -> anyhow::Result<(W, u64)> {
        let sha256 = hex(&self.digest.clone().finalize());
        self.line(&Mark::End { sha256 })?;
        Ok((self.out, self.bytes))
    }

    fn line(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        Ok(writeln!(self, "{}", serde_json::to_string(value)?)?)
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.digest.update(bytes.get(..written).unwrap_or_default());
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Reads a backup to its end, with `each` for every entry. What `each` saw counts only if this gives no error.
///
/// # Errors
/// Where it is no backup, of another version, torn, or damaged at any place.
pub(super) fn read(
    from: impl BufRead,
    mut each: impl FnMut(&str, &mut dyn Read) -> anyhow::Result<()>,
) -> anyhow::Result<About> {
    let mut from = Digested { from, digest: Sha256::new() };
    let head = from.line().unwrap_or_default();
    match head.strip_prefix(FORMAT).map(str::parse) {
        Some(Ok(VERSION)) => {}
        Some(Ok(version)) => bail!(
            "it is a backup of version {version}, and this program reads version {VERSION}; restore it with the program \
             that made it, or a newer one"
        ),
        _ => bail!("it does not begin as a backup does; name a file that `ninewatch backup` wrote"),
    }
    let about: About = serde_json::from_str(&from.line()?)?;
    let mut names = BTreeSet::new();
    loop {
        let before = hex(&from.digest.clone().finalize());
        let line = from.line()?;
        match serde_json::from_str(&line)? {
            Mark::Entry { name, bytes } => {
                ensure!(is_within(&name), "`{name}` would lie outside of the data folder");
                let mut body = from.by_ref().take(bytes);
                each(&name, &mut body)?;
                io::copy(&mut body, &mut io::sink())?;
                ensure!(body.limit() == 0, "it is torn: {name} is cut short");
                ensure!(names.insert(name), "a file is in it twice");
            }
            Mark::End { sha256 } => {
                // The line itself is in no checksum: it has to be exactly ours.
                ensure!(
                    line == serde_json::to_string(&Mark::End { sha256: before })?,
                    "the checksum {sha256} is wrong"
                );
                ensure!(from.read(&mut [0])? == 0, "something follows its end");
                return Ok(about);
            }
        }
    }
}

/// Whether a name stays below the folder that it is put in.
fn is_within(name: &str) -> bool {
    let parts: Option<Vec<&str>> = Path::new(name)
        .components()
        .map(|part| match part {
            Component::Normal(part) => part.to_str(),
            _ => None,
        })
        .collect();
    !name.contains('\0') && parts.is_some_and(|parts| !parts.is_empty() && parts.join("/") == name)
}

struct Digested<R> {
    from: R,
    digest: Sha256,
}

impl<R: BufRead> Digested<R> {
    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = Vec::new();
        self.from.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)?;
        self.digest.update(&line);
        let line = line.strip_suffix(b"\n").context("it is torn: the end is missing")?;
        Ok(std::str::from_utf8(line)?.to_owned())
    }
}

impl<R: BufRead> Read for Digested<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.digest.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}
