//! Frames: how a record stands in a segment file.
//!
//! | bytes | what |
//! |--|--|
//! | 4 | the magic `9WF1`, to find the next frame behind damage |
//! | 4 | length of the body, little-endian |
//! | 8 | milliseconds since 1970, little-endian |
//! | 4 | CRC-32 (IEEE) of the 12 bytes before it and the body |
//! | … | the body |

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ninewatch_core::time::TimeMs;

const MAGIC: [u8; 4] = *b"9WF1";
const HEADER: usize = 20;
/// No body is longer; a length beyond it is damage. A checkpoint of a large site is a few MiB.
const LONGEST: usize = 1 << 30;

/// Begins a frame whose body the caller appends; [`finish`] completes it.
pub(super) fn begin(out: &mut Vec<u8>, at_ms: TimeMs) -> usize {
    let start = out.len();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&at_ms.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    start
}

/// Completes the frame that begins at `start`.
pub(super) fn finish(out: &mut [u8], start: usize) {
    let Some(frame) = out.get_mut(start..) else { return };
    let length = u32::try_from(frame.len() - HEADER).unwrap_or(u32::MAX);
    frame[4..8].copy_from_slice(&length.to_le_bytes());
    let crc = checksum(frame);
    frame[16..20].copy_from_slice(&crc.to_le_bytes());
}

fn checksum(frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&frame[4..16]);
    hasher.update(&frame[HEADER..]);
    hasher.finalize()
}

/// A record that came out whole.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) at_ms: TimeMs,
    pub(crate) body: &'a [u8],
    /// Where it begins, from where reading began.
    pub(crate) offset: u64,
}

/// A stretch of a segment that holds no frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) segment: PathBuf,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    /// The file could not be read at all: nothing is known of what it holds.
    pub(crate) whole_file: bool,
    why: String,
}

impl Damage {
    pub(super) fn unreadable(segment: &Path, error: &io::Error) -> Self {
        Self { segment: segment.to_owned(), offset: 0, bytes: 0, whole_file: true, why: error.to_string() }
    }

    pub(super) fn unknown_record(segment: &Path, error: &serde_json::Error) -> Self {
        Self { segment: segment.to_owned(), offset: 0, bytes: 0, whole_file: false, why: error.to_string() }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: {} ({} bytes passed over)", self.segment.display(), self.offset, self.why, self.bytes)
    }
}

impl std::error::Error for Damage {}

/// When the first record of a segment was written; `None` where that cannot be told.
pub(super) fn first_at_ms(segment: &Path) -> Option<TimeMs> {
    let mut header = [0; HEADER];
    File::open(segment).ok()?.read_exact(&mut header).ok()?;
    (header[..4] == MAGIC).then(|| i64::from_le_bytes(array(&header[8..16])))
}

/// Reads a segment's frames one by one.
#[derive(Debug)]
pub(crate) struct Frames {
    path: PathBuf,
    bytes: Vec<u8>,
    at: usize,
    /// Where the last good frame ends.
    good: usize,
    damage: Vec<Damage>,
}

impl Frames {
    /// Opens a segment file.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::of(path, &mut File::open(path)?, u64::MAX)
    }

    /// Reads no more than `limit` bytes of an open segment file.
    pub(super) fn of(path: &Path, file: &mut File, limit: u64) -> io::Result<Self> {
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(Self { path: path.to_owned(), bytes, at: 0, good: 0, damage: Vec::new() })
    }

    /// The next good frame; passes over damage.
    pub(crate) fn next(&mut self) -> Option<Frame<'_>> {
        let mut at = self.at;
        let length = loop {
            if at >= self.bytes.len() {
                self.note_damage(self.bytes.len());
                self.at = self.bytes.len();
                return None;
            }
            match frame_at(&self.bytes[at..]) {
                Some(length) => break length,
                None => at += 1 + next_magic(&self.bytes[at + 1..]),
            }
        };
        self.note_damage(at);
        self.at = at + length;
        self.good = self.at;
        let frame = &self.bytes[at..at + length];
        Some(Frame { at_ms: i64::from_le_bytes(array(&frame[8..16])), body: &frame[HEADER..], offset: at as u64 })
    }

    /// What was passed over so far. At the end of the newest segment it is what a crash tore off.
    pub(crate) fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// Where the last good frame ends.
    pub(super) fn good_bytes(&self) -> u64 {
        self.good as u64
    }

    fn note_damage(&mut self, to: usize) {
        if to > self.good {
            self.damage.push(Damage {
                segment: self.path.clone(),
                offset: self.good as u64,
                bytes: (to - self.good) as u64,
                whole_file: false,
                why: "no readable record".to_owned(),
            });
        }
    }
}

/// The length of the frame that `bytes` begins with, if a good one does.
fn frame_at(bytes: &[u8]) -> Option<usize> {
    let header = bytes.get(..HEADER)?;
    if header[..4] != MAGIC {
        return None;
    }
    let body = usize::try_from(u32::from_le_bytes(array(&header[4..8]))).ok().filter(|body| *body <= LONGEST)?;
    let frame = bytes.get(..HEADER + body)?;
    (checksum(frame) == u32::from_le_bytes(array(&header[16..20]))).then_some(frame.len())
}

/// How far it is to the next magic, or to the end.
fn next_magic(bytes: &[u8]) -> usize {
    bytes.windows(MAGIC.len()).position(|window| window == MAGIC).unwrap_or(bytes.len())
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    array
}
