//! One log: a folder of segment files, appended to at the end.

use anyhow::Context;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::SegmentInfo;
use super::disk::{Appending, Disk};
use super::frame::Frames;
use super::room::is_full;

const EXTENSION: &str = "log";

/// The appending end of a log.
#[derive(Debug)]
pub(super) struct Log {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segment: Option<Segment>,
    /// What is held on the disk behind the end of the segment.
    reserve: u64,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Segment {
    file: Box<dyn Appending>,
    bytes: u64,
    held_to: u64,
}

impl Log {
    /// Opens or makes the log in `dir`; cuts off what a crash tore at the end of the newest segment.
    pub(super) fn open(disk: Arc<dyn Disk>, dir: &Path, reserve: u64) -> anyhow::Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
        let newest = segments(dir)?.pop();
        let segment = newest.map(|newest| Segment::reopen(&*disk, &newest)).transpose()?;
        disk.sync_names(dir)?;
        Ok(Self { disk, dir: dir.to_owned(), segment, reserve, buffer: Vec::new() })
    }

    /// Removes the oldest segment, if its number is below `keep_from`; whether it did. Its blocks are free then.
    pub(super) fn let_go(&self, keep_from: u64) -> io::Result<bool> {
        let segments = self.segments()?;
        let Some(oldest) = segments.first().filter(|oldest| oldest.number < keep_from) else { return Ok(false) };
        self.disk.remove(&oldest.path)?;
        self.disk.sync_names(&self.dir)?;
        Ok(true)
    }

    /// What can be written whatever others do with the disk.
    pub(super) fn held(&self) -> u64 {
        self.segment.as_ref().map_or(0, |segment| segment.held_to.saturating_sub(segment.bytes))
    }

    /// Makes the reserve whole where it has grown small, as far as the disk allows.
    pub(super) fn hold(&mut self) -> io::Result<()> {
        let (held, reserve) = (self.held(), self.reserve);
        let Some(segment) = self.segment.as_mut().filter(|_| held < reserve / 2) else { return Ok(()) };
        match segment.file.hold(segment.bytes, reserve) {
            Ok(()) => segment.held_to = segment.bytes + reserve,
            Err(error) if is_full(&error) => {}
            // A file system that cannot: the disk counts as short, and says so.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                tracing::error!(dir = %self.dir.display(), %error, "this file system can hold nothing in reserve; use ext4");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    pub(super) fn segments(&self) -> io::Result<Vec<SegmentInfo>> {
        segments(&self.dir)
    }

    /// What is appended next goes to a new segment.
    pub(super) fn begin_segment(&mut self, number: u64) -> io::Result<()> {
        let path = segment_path(&self.dir, number);
        let file = self.disk.create(&path)?;
        self.disk.sync_names(&self.dir)?;
        if let Some(mut full) = self.segment.replace(Segment { file, bytes: 0, held_to: 0 }) {
            // What it still held is for others.
            full.file.cut(full.bytes)?;
        }
        Ok(())
    }

    /// Whether there is no segment yet, or a full one.
    pub(super) fn needs_segment(&self, full: u64) -> bool {
        self.segment.as_ref().is_none_or(|segment| segment.bytes >= full)
    }

    pub(super) fn append(&mut self, frames: &[u8]) {
        self.buffer.extend_from_slice(frames);
    }

    /// Where the next commit's bytes are gathered.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Leaves only the first bytes of the newest segment.
    pub(super) fn cut(&mut self, bytes: u64) -> io::Result<()> {
        let Some(segment) = &mut self.segment else { return Ok(()) };
        segment.file.cut(bytes)?;
        (segment.bytes, segment.held_to) = (bytes, bytes);
        Ok(())
    }

    /// What the next commit writes.
    pub(super) fn pending_bytes(&self) -> u64 {
        self.buffer.len() as u64
    }

    /// Writes and syncs what was appended; gives its bytes.
    pub(super) fn commit(&mut self) -> io::Result<u64> {
        if self.buffer.is_empty() {
            return Ok(0);
        }
        let segment = self.segment.as_mut().ok_or_else(|| io::Error::other("no segment was begun"))?;
        segment.file.append(&self.buffer)?;
        segment.file.sync()?;
        let bytes = self.buffer.len() as u64;
        segment.bytes += bytes;
        self.buffer.clear();
        Ok(bytes)
    }
}

impl Segment {
    fn reopen(disk: &dyn Disk, info: &SegmentInfo) -> anyhow::Result<Self> {
        let path = &info.path;
        let mut frames = Frames::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
        while frames.next().is_some() {}
        let good = frames.good_bytes();
        let mut file = disk.open(path).with_context(|| format!("{} cannot be written", path.display()))?;
        if good < info.bytes {
            tracing::info!(segment = %path.display(), bytes = info.bytes - good, "cut off what the last stop left unfinished");
        }
        let held_to = file.held_to()?;
        if good < info.bytes {
            file.cut(good)?;
            // That has let go of what was held, too.
            if held_to > info.bytes
                && let Err(error) = file.hold(good, held_to - good)
            {
                tracing::warn!(%error, "the reserve for alerts is not whole");
                return Ok(Self { file, bytes: good, held_to: good });
            }
        } else {
            // What the crash left in the page cache counts from here on: make it durable.
            file.sync()?;
        }
        Ok(Self { file, bytes: good, held_to })
    }
}

/// Where a segment of the log in `dir` is.
pub(super) fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:020}.{EXTENSION}"))
}

/// The segments of the log in `dir`, by number.
pub(super) fn segments(dir: &Path) -> io::Result<Vec<SegmentInfo>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        if path.extension().is_some_and(|extension| extension == EXTENSION)
            && let Some(number) = stem.and_then(|stem| stem.parse().ok())
        {
            segments.push(SegmentInfo { number, bytes: entry.metadata()?.len(), path });
        }
    }
    segments.sort_by_key(|segment| segment.number);
    Ok(segments)
}
