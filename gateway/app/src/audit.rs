//! The audit log: who looked at what of people, and who did what. Entries are chained by hashes; `docs/audit.md` says what
//! that proves and what it does not.
//!
//! The gateway and commands on the same box write to it, in turns. What is added is on the disk before the call returns.

mod chain;
mod recorder;
#[cfg(test)]
mod tests;
mod verify;

use anyhow::Context;
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::clock::Clock;
use crate::private::{self, hex, random};
pub(crate) use chain::{Entry, Head};
use chain::{Found, Lines};
pub(crate) use recorder::{Importance, Recorder};
pub(crate) use verify::{Wanted, read, verify};

/// In the data folder. A backup takes the head first: it never speaks of an entry that the log lacks.
pub(crate) const LOG: &str = "audit.log";
pub(crate) const HEAD: &str = "audit.head";
const LOCK: &str = "audit.lock";

/// Something to be put into the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Deed {
    pub(crate) who: String,
    pub(crate) from: String,
    pub(crate) what: &'static str,
    pub(crate) of: String,
    pub(crate) result: String,
}

impl Deed {
    /// What the gateway does by itself.
    pub(crate) fn of_the_gateway(what: &'static str, of: String) -> Self {
        Self { who: "gateway".into(), from: "gateway".into(), what, of, result: "ok".into() }
    }
}

/// The audit log of a data folder, for whoever adds to it.
pub(crate) struct AuditLog {
    data_dir: PathBuf,
    /// As this process saw it last; others may have added to it since.
    head: Head,
    clock: Clock,
}

impl AuditLog {
    /// Opens it and mends its end; begins it if it is not there.
    ///
    /// # Errors
    /// Where the folder cannot be read or written.
    pub(crate) fn open(data_dir: &Path, clock: Clock) -> anyhow::Result<Self> {
        let mut log = Self { data_dir: data_dir.to_owned(), head: Head::default(), clock };
        log.add(&[])?;
        Ok(log)
    }

    /// Where it stands.
    pub(crate) fn head(&self) -> Head {
        self.head
    }

    /// Adds entries, and brings them to the disk.
    ///
    /// # Errors
    /// Where it cannot be written. Part of the entries may be there all the same.
    pub(crate) fn add(&mut self, deeds: &[Deed]) -> anyhow::Result<()> {
        let unwritable = || format!("{LOG} in {} cannot be written", self.data_dir.display());
        let _lock = private::lock(&self.data_dir, LOCK)?;
        let path = self.data_dir.join(LOG);
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path).with_context(unwritable)?;
        private::give_to_owner(&self.data_dir, &path).with_context(unwritable)?;
        let (mut head, notes) = self.catch_up(&mut file)?;
        let mut lines = String::new();
        for deed in notes.iter().chain(deeds) {
            let Deed { who, from, what, of, result } = deed.clone();
            let what = what.to_owned();
            lines +=
                &head.add(&Entry { seq: head.seq + 1, at_ms: self.clock.now_ms(), who, from, what, of, result })?;
        }
        if !lines.is_empty() {
            file.write_all(lines.as_bytes()).with_context(unwritable)?;
            file.sync_all().with_context(unwritable)?;
            // Behind the log, so that after a power cut it speaks of nothing that is not there.
            private::replace(&self.data_dir, HEAD, head.line().as_bytes())?;
        }
        self.head = head;
        Ok(())
    }

    /// Reads what others have added, cuts off what a crash left half written, and gives where the log then stands, with
    /// what is to be noted of that.
    fn catch_up(&self, file: &mut File) -> anyhow::Result<(Head, Vec<Deed>)> {
        let told = read_head(&self.data_dir).unwrap_or_else(|error| {
            tracing::error!("{error:#}");
            None
        });
        let known = [Some(self.head), told].into_iter().flatten().max_by_key(|head| head.seq).unwrap_or_default();
        let bytes = file.metadata()?.len();
        // Behind what is known, or from the beginning where that is not there any more.
        let start = if ends_an_entry(file, &known)? { known } else { Head::default() };
        let mut lines = Lines::behind(file.try_clone()?, start)?;
        let (mut notes, mut torn) = (Vec::new(), None);
        while let Some(found) = lines.next()? {
            match found {
                // Something stands behind it: this is not what a crash leaves.
                Found::Whole(_) | Found::Alien { .. } => torn = None,
                Found::Damaged => torn = torn.or(Some(lines.from)),
            }
        }
        let mut head = lines.head;
        if head.seq < known.seq {
            tracing::error!(known = known.seq, found = head.seq, "the audit log has lost entries");
            let lost = format!("{} entries up to {} should be here", known.seq, known.shown());
            notes.push(Deed::of_the_gateway("audit.lost", lost));
            // What is there now stays as it is, for those who look into it.
            if torn.is_some() && !ends_with_line(file, bytes)? {
                file.write_all(b"\n")?;
            }
            head.bytes = file.metadata()?.len();
        } else if told.is_none() && head.seq > 1 {
            tracing::error!(
                "the audit log stands alone: audit.head, which says how many entries there are, is not there"
            );
            notes.push(Deed::of_the_gateway("audit.lost", "audit.head was not there, or was damaged".into()));
        }
        if head.seq >= known.seq
            && let Some(from) = torn
        {
            let mut cut = Vec::new();
            file.seek(SeekFrom::Start(from))?;
            file.read_to_end(&mut cut)?;
            file.set_len(from)?;
            let what = format!("{} bytes with SHA-256 {}", cut.len(), hex(&Sha256::digest(&cut)));
            tracing::warn!("what a crash left half written at the end of the audit log was cut off: {what}");
            notes.push(Deed::of_the_gateway("audit.mended", what));
        }
        if head.seq == 0 && notes.is_empty() {
            // No two logs are alike from their first entry on.
            notes.push(Deed::of_the_gateway("audit.begin", hex(&random::<16>()?)));
        }
        Ok((head, notes))
    }
}

fn ends_with_line(file: &mut File, bytes: u64) -> anyhow::Result<bool> {
    let Some(last) = bytes.checked_sub(1) else { return Ok(true) };
    file.seek(SeekFrom::Start(last))?;
    let mut byte = [0];
    file.read_exact(&mut byte)?;
    Ok(byte == *b"\n")
}

/// Whether the log has, up to these bytes, an entry with this hash at its end.
fn ends_an_entry(file: &mut File, head: &Head) -> anyhow::Result<bool> {
    if head.seq == 0 {
        return Ok(true);
    }
    if file.metadata()?.len() < head.bytes {
        return Ok(false);
    }
    // The line before `bytes`, which is shorter than this.
    let from = head.bytes.saturating_sub(64 << 10);
    let mut before = vec![0; usize::try_from(head.bytes - from)?];
    file.seek(SeekFrom::Start(from))?;
    file.read_exact(&mut before)?;
    let Some(body) = before.strip_suffix(b"\n") else { return Ok(false) };
    let begin = body.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let line = body.get(begin..).unwrap_or_default();
    Ok(line.starts_with(hex(&head.hash).as_bytes()))
}

/// What `audit.head` says; `None` where there is none.
fn read_head(data_dir: &Path) -> anyhow::Result<Option<Head>> {
    let path = data_dir.join(HEAD);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(Head::parse(&text).with_context(|| format!("{} is damaged", path.display()))?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

/// Notes what a command on this box did, or why it did not.
///
/// # Errors
/// Where it cannot be noted; what was done is done.
pub(crate) fn note_command<T>(
    data_dir: &Path,
    what: &'static str,
    of: &str,
    done: anyhow::Result<T>,
) -> anyhow::Result<T> {
    let result = if done.is_ok() { "ok" } else { "refused" };
    let deed = Deed { who: who_commands(), from: "cli".into(), what, of: of.to_owned(), result: result.into() };
    let noted = AuditLog::open(data_dir, Clock::System).and_then(|mut log| log.add(&[deed]));
    match (done, noted) {
        (Ok(done), Ok(())) => Ok(done),
        (Ok(_), Err(error)) => Err(error.context("it is done, but the audit log does not have it")),
        (Err(refused), _) => Err(refused),
    }
}

/// Whose user id gives the command. `sudo` says who became root; root could say anything.
fn who_commands() -> String {
    let uid = rustix::process::getuid().as_raw();
    let sudo = std::env::var("SUDO_USER").ok().filter(|name| ninewatch_core::site::is_id(name));
    sudo.map_or_else(|| format!("uid:{uid}"), |name| format!("uid:{uid} (sudo by {name})"))
}
