//! The audit log as a file: a line an entry, each with a hash over the entry and the hash before it.
//!
//! ```text
//! <SHA-256 of the former hash and this JSON, hex> {"seq":1,"at_ms":…,"who":"…", …}
//! ```
//! The JSON is hashed as it stands, byte for byte, so that a program of ten lines can check it. The hash before the first
//! is 32 zero bytes.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};

use ninewatch_core::time::TimeMs;

use crate::private::{hex, unhex};

/// Something that somebody did, or tried to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// 1, 2, 3 … without gaps.
    pub(crate) seq: u64,
    pub(crate) at_ms: TimeMs,
    /// An account; `uid:0` for whoever gives a command on the box; `gateway` for what it does by itself.
    pub(crate) who: String,
    /// An address; `cli` for a command on the box.
    pub(crate) from: String,
    /// What was done: `alert.accept`, `account.add`.
    pub(crate) what: String,
    /// To what: an alert's or a device's id, an account's name.
    pub(crate) of: String,
    /// `ok`, or why not.
    pub(crate) result: String,
}

/// A link of the chain.
pub(crate) type Hash = [u8; 32];

/// Where the chain stands: how many entries, the last one's hash, and where it ends in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Head {
    pub(crate) seq: u64,
    pub(crate) hash: Hash,
    pub(crate) bytes: u64,
}

impl Head {
    /// As people note it, to compare with later: `57:ab12…`.
    pub(crate) fn shown(&self) -> String {
        format!("{}:{}", self.seq, hex(&self.hash))
    }

    /// As `audit.head` holds it.
    pub(super) fn line(&self) -> String {
        format!("{} {} {}\n", self.seq, hex(&self.hash), self.bytes)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_suffix('\n')?.split(' ');
        let (seq, hash, bytes) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { seq: seq.parse().ok()?, hash: parse_hash(hash)?, bytes: bytes.parse().ok()? })
    }

    /// Adds an entry; gives its line.
    pub(super) fn add(&mut self, entry: &Entry) -> anyhow::Result<String> {
        let json = serde_json::to_string(entry)?;
        self.hash = link(&self.hash, json.as_bytes());
        self.seq = entry.seq;
        let line = format!("{} {json}\n", hex(&self.hash));
        self.bytes += line.len() as u64;
        Ok(line)
    }
}

fn parse_hash(text: &str) -> Option<Hash> {
    unhex(text)?.try_into().ok()
}

fn link(former: &Hash, json: &[u8]) -> Hash {
    Sha256::new().chain_update(former).chain_update(json).finalize().into()
}

/// A line as it was found.
#[derive(Debug)]
pub(super) enum Found {
    /// It follows from what is before it.
    Whole(Entry),
    /// It is an entry, but not the one that comes next.
    Alien { entry: Entry, hash: Hash },
    /// It is no entry.
    Damaged,
}

/// Reads a log line by line.
pub(super) struct Lines {
    file: BufReader<File>,
    /// Up to the last entry.
    pub(super) head: Head,
    /// The number of the last line read, from 1.
    pub(super) line: u64,
    /// Where the last line read begins and ends.
    pub(super) from: u64,
    pub(super) to: u64,
}

/// No entry of ours is longer; what is, is none.
const LONGEST_LINE: u64 = 64 << 10;

impl Lines {
    /// From behind `head`, which has to be where an entry ends.
    pub(super) fn behind(mut file: File, head: Head) -> anyhow::Result<Self> {
        file.seek(SeekFrom::Start(head.bytes))?;
        Ok(Self { file: BufReader::new(file), head, line: head.seq, from: head.bytes, to: head.bytes })
    }

    /// The next line; `None` at the end. A last line without its end is [`Found::Damaged`].
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Found>> {
        let mut bytes = Vec::new();
        let read = (&mut self.file).take_line(&mut bytes).context("the audit log cannot be read")?;
        if read == 0 {
            return Ok(None);
        }
        self.line += 1;
        (self.from, self.to) = (self.to, self.to + read);
        let Some((hash, json, entry)) = parse(&bytes) else { return Ok(Some(Found::Damaged)) };
        let follows = entry.seq == self.head.seq + 1 && hash == link(&self.head.hash, json);
        // What comes behind an alien entry is held against that one.
        self.head = Head { seq: entry.seq, hash, bytes: self.to };
        Ok(Some(if follows { Found::Whole(entry) } else { Found::Alien { entry, hash } }))
    }
}

fn parse(line: &[u8]) -> Option<(Hash, &[u8], Entry)> {
    let (hash, json) = line.strip_suffix(b"\n")?.split_at_checked(65)?;
    let hash = parse_hash(std::str::from_utf8(hash.strip_suffix(b" ")?).ok()?)?;
    Some((hash, json, serde_json::from_slice(json).ok()?))
}

trait TakeLine {
    /// Reads through the next line end, or to the end; gives how many bytes that were. Keeps no more than a line can have.
    fn take_line(self, into: &mut Vec<u8>) -> std::io::Result<u64>;
}

impl TakeLine for &mut BufReader<File> {
    fn take_line(self, into: &mut Vec<u8>) -> std::io::Result<u64> {
        let mut read = 0;
        loop {
            let buffer = self.fill_buf()?;
            if buffer.is_empty() {
                return Ok(read);
            }
            let end = buffer.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            let part = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default();
            if into.len() as u64 <= LONGEST_LINE {
                into.extend_from_slice(part);
            }
            let taken = part.len();
            self.consume(taken);
            read += taken as u64;
            if end.is_some() {
                return Ok(read);
            }
        }
    }
}
