//! One log: a folder of segment files, appended to at the end.

use anyhow::Context;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::SegmentInfo;
use super::disk::{Appending, Disk};
use super::frame::Frames;

const EXTENSION: &str = "log";

/// The appending end of a log.
#[derive(Debug)]
pub(super) struct Log {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segment: Option<Segment>,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Segment {
    file: Box<dyn Appending>,
    bytes: u64,
}

impl Log {
    /// Opens or makes the log in `dir`; cuts off what a crash tore at the end of the newest segment.
    pub(super) fn open(disk: Arc<dyn Disk>, dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
        let newest = segments(dir)?.pop();
        let segment = newest.map(|newest| Segment::reopen(&*disk, &newest)).transpose()?;
        disk.sync_names(dir)?;
        Ok(Self { disk, dir: dir.to_owned(), segment, buffer: Vec::new() })
    }

    /// Removes a segment.
    pub(super) fn remove(&self, segment: &SegmentInfo) -> io::Result<()> {
        self.disk.remove(&segment.path)
    }

    pub(super) fn segments(&self) -> io::Result<Vec<SegmentInfo>> {
        segments(&self.dir)
    }

    /// What is appended next goes to a new segment.
    pub(super) fn begin_segment(&mut self, number: u64) -> io::Result<()> {
        let path = self.dir.join(format!("{number:020}.{EXTENSION}"));
        let file = self.disk.create(&path)?;
        self.disk.sync_names(&self.dir)?;
        self.segment = Some(Segment { file, bytes: 0 });
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
        segment.bytes = bytes;
        Ok(())
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
        // What the crash left in the page cache counts from here on: make it durable.
        file.cut(good)?;
        Ok(Self { file, bytes: good })
    }
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
