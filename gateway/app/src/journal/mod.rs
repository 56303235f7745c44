//! The journal: what is durable, and the only truth.
//!
//! Two logs of CRC-framed records in segment files under one folder:
//!
//! * `intake/`: the inputs of the pipeline, postcard. A ring: whole old segments go when it is full, when they are too
//!   old, and when the disk is full. Each segment begins with a checkpoint, so that any of them can be decided again by itself.
//! * `alerts/`: every alert change, JSON. Kept. Each segment is named by its first change.
//!
//! Behind the end of the segments that are written, blocks of the disk are held: alerts have them when all else is full.
//!
//! A frame damaged by the disk costs that frame: reading goes on at the next good one. A torn tail
//! is what a crash leaves behind, and is cut off when the journal is opened.

mod alert_log;
mod cut;
mod disk;
mod frame;
mod log;
mod room;

use anyhow::Context;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ninewatch_core::alert::AlertChange;
use ninewatch_core::replay::Recorded;
use ninewatch_core::time::TimeMs;

use crate::config::JournalConfig;

pub(crate) use alert_log::{Heads, Mark, Spot, read_alerts, read_alerts_at, read_heads};
pub(crate) use cut::{Cut, Part};
#[cfg(test)]
pub(crate) use disk::Appending;
pub(crate) use disk::Disk;
pub(crate) use frame::{Damage, Frame, Frames};
use log::Log;
pub(crate) use room::DiskRoom;
use room::Room;

/// Which programs can read what this one writes: raised whenever an older one could not. A gateway takes no update that
/// writes another by itself, since it could not go back. A package says it in `usr/lib/ninewatch/journal-format`.
pub(crate) const FORMAT: u32 = 1;

/// Appends one recorded event as a frame.
///
/// # Errors
/// Where it cannot be serialised.
pub(crate) fn encode(out: &mut Vec<u8>, at_ms: TimeMs, recorded: &Recorded<'_>) -> Result<(), postcard::Error> {
    let start = frame::begin(out, at_ms);
    // postcard extends the vector in place: no copy of the payload on the hot path.
    let taken = std::mem::take(out);
    *out = postcard::to_extend(recorded, taken)?;
    frame::finish(out, start);
    Ok(())
}

impl Frame<'_> {
    /// The recorded event.
    ///
    /// # Errors
    /// Where another version wrote it.
    pub(crate) fn recorded(&self) -> Result<Recorded<'_>, postcard::Error> {
        postcard::from_bytes(self.body)
    }
}

/// The journal's writing end. There is one at a time: a lock file sees to it.
#[derive(Debug)]
pub(crate) struct Journal {
    intake: Log,
    alerts: Log,
    room: Room,
    /// Recovery begins with this segment of the ring, so none from it on is let go.
    keep_from: u64,
    /// Begun, and not yet on disk with its checkpoint.
    begun: Option<u64>,
    sizes: Sizes,
    bytes_written: u64,
    /// After a failed sync nobody knows what the disk holds: nothing more is promised.
    poisoned: bool,
    _lock: File,
}

/// How large the journal gets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// The ring of the intake log.
    pub(crate) ring_bytes: u64,
    /// The size at which a segment is full.
    pub(crate) segment_bytes: u64,
    /// What is older leaves the ring, by whole segments.
    pub(crate) oldest_ms: i64,
    /// What alerts get on a full disk. As much again is kept free.
    pub(crate) reserve_bytes: u64,
}

impl From<&JournalConfig> for Sizes {
    fn from(config: &JournalConfig) -> Self {
        Self {
            ring_bytes: config.readings_max_mib << 20,
            segment_bytes: config.segment_bytes(),
            oldest_ms: config.readings_max_age.ms(),
            reserve_bytes: config.reserve_bytes(),
        }
    }
}

/// What opening found.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    /// The sequence number of the last alert change in the log; 0 where there is none.
    pub(crate) last_alert_seq: u64,
    /// Where the newest segment of the log lacks a change that stands before another.
    pub(crate) gap: Option<Gap>,
    /// What of that segment could not be read.
    pub(crate) damage: Vec<Damage>,
}

/// A place in the alert log behind which a change is missing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gap {
    /// The change before it.
    pub(crate) after_seq: u64,
    /// Where that one ends in the segment.
    at: u64,
}

/// Takes the lock, if nobody has it. Whoever had it may just have begun a program, which holds it for the moment until it
/// runs: that is waited for.
fn is_locked(lock: &File) -> bool {
    const TRIES: u32 = 20;
    (0..TRIES).any(|before| {
        if before > 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
        lock.try_lock().is_ok()
    })
}

impl Journal {
    /// Opens or makes the journal in `dir`, and cuts torn tails off.
    ///
    /// # Errors
    /// Where the folder cannot be used, or another gateway uses it.
    pub(crate) fn open(dir: &Path, config: &JournalConfig) -> anyhow::Result<(Self, Opened)> {
        Self::open_on(Arc::new(disk::RealDisk), dir, config.into())
    }

    /// Whether a gateway uses the journal in `dir` now; nothing is changed.
    ///
    /// # Errors
    /// Where it cannot be told: it may not be read.
    pub(crate) fn is_in_use(dir: &Path) -> io::Result<bool> {
        match File::open(dir.join("lock")) {
            Ok(lock) => Ok(!is_locked(&lock)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The same as [`Self::open`] on any disk.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn open_on(disk: Arc<dyn Disk>, dir: &Path, sizes: Sizes) -> anyhow::Result<(Self, Opened)> {
        fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
        let lock_path = dir.join("lock");
        let lock = File::create(&lock_path).with_context(|| format!("{} cannot be written", lock_path.display()))?;
        if !is_locked(&lock) {
            anyhow::bail!(
                "another gateway is using {}; stop it first, or give this one its own `data_dir`",
                dir.display()
            );
        }
        let intake = Log::open(disk.clone(), &dir.join("intake"), sizes.reserve_bytes / 2)?;
        let alerts = Log::open(disk.clone(), &dir.join("alerts"), sizes.reserve_bytes / 2)?;
        let room = Room::new(disk, dir, sizes.reserve_bytes);
        let mut opened = Opened::default();
        if let Some(last) = alerts.segments()?.last() {
            // The name bounds it from below, should the segment hold no readable change.
            opened.last_alert_seq = last.number.saturating_sub(1);
            let mut frames = Frames::open(&last.path)?;
            let mut at = 0;
            while let Some(frame) = frames.next() {
                if let Ok(change) = serde_json::from_slice::<AlertChange>(frame.body) {
                    if change.seq > opened.last_alert_seq + 1 && opened.gap.is_none() {
                        opened.gap = Some(Gap { after_seq: opened.last_alert_seq, at });
                    }
                    opened.last_alert_seq = change.seq;
                }
                at = frames.good_bytes();
            }
            opened.damage = frames.damage().to_vec();
        }
        Ok((
            Self {
                intake,
                alerts,
                room,
                keep_from: 0,
                begun: None,
                sizes,
                bytes_written: 0,
                poisoned: false,
                _lock: lock,
            },
            opened,
        ))
    }

    /// The next intake bytes go to a new segment; the oldest go where the ring is full or they are too old at `now`.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub(crate) fn begin_segment(&mut self, now: TimeMs) -> io::Result<()> {
        let next = self.intake.segments()?.last().map_or(1, |last| last.number + 1);
        self.intake.begin_segment(next)?;
        self.begun = Some(next);
        let segments = self.intake.segments()?;
        let mut used: u64 = segments.iter().map(|segment| segment.bytes).sum();
        let begins: Vec<_> = segments.iter().map(|segment| frame::first_at_ms(&segment.path)).collect();
        let expired = expired(&begins, now, self.sizes.oldest_ms);
        for (index, segment) in segments.iter().enumerate() {
            if !(used > self.sizes.ring_bytes || index < expired) || !self.intake.let_go(self.keep_from)? {
                break;
            }
            used -= segment.bytes;
        }
        Ok(())
    }

    /// Takes frames that [`encode`] made.
    pub(crate) fn append_intake(&mut self, frames: &[u8]) {
        self.intake.append(frames);
    }

    /// Takes an alert change.
    ///
    /// # Errors
    /// Where it cannot be serialised, or a segment cannot be begun.
    pub(crate) fn append_alert(&mut self, change: &AlertChange) -> anyhow::Result<()> {
        // A new one holds nothing yet, which on a full disk is no place for an alert.
        let stays = self.alerts.held() > 0 && self.room.told().is_short();
        if self.alerts.needs_segment(self.sizes.segment_bytes) && !stays {
            self.commit().context("the journal cannot be written")?;
            self.alerts.begin_segment(change.seq).context("the alert log cannot begin a segment")?;
        }
        let out = self.alerts.buffer();
        let start = frame::begin(out, change.at_ms);
        serde_json::to_writer(&mut *out, change)?;
        frame::finish(out, start);
        Ok(())
    }

    /// Cuts off what stands in the alert log behind a gap: it is to be taken anew.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub(crate) fn cut_alerts(&mut self, gap: Gap) -> io::Result<()> {
        self.alerts.cut(gap.at)
    }

    /// Makes everything taken durable: first the inputs, then what was decided from them, so that a
    /// decision in the log always has its inputs.
    ///
    /// # Errors
    /// Where the disk refuses. Nothing taken since the last commit may be promised then, nor
    /// anything later.
    pub(crate) fn commit(&mut self) -> io::Result<()> {
        if self.poisoned {
            return Err(io::Error::other("an earlier write failed; the gateway has to start anew"));
        }
        self.make_room()?;
        self.poisoned = true;
        self.bytes_written += self.intake.commit()?;
        if let Some(begun) = self.begun.take() {
            self.keep_from = begun;
        }
        self.bytes_written += self.alerts.commit()?;
        self.poisoned = false;
        Ok(())
    }

    /// Looks whether the disk has room, and makes some where it has not.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub(crate) fn make_room(&mut self) -> io::Result<()> {
        let bytes = self.intake.pending_bytes() + self.alerts.pending_bytes();
        let held = self.intake.held() + self.alerts.held();
        let (intake, keep_from) = (&self.intake, self.keep_from);
        if self.room.make(bytes, held, || intake.let_go(keep_from))? {
            self.intake.hold()?;
            self.alerts.hold()?;
        }
        Ok(())
    }

    /// Whether a segment that is begun now would have to do without what the one before holds.
    pub(crate) fn stays_in_segment(&self) -> bool {
        self.room.told().is_short() && self.intake.held() > 0
    }

    /// Recovery began with this segment of the ring.
    pub(crate) fn recovered_from(&mut self, number: u64) {
        self.keep_from = number;
    }

    /// How the disk is.
    pub(crate) fn room(&self) -> Arc<DiskRoom> {
        self.room.told()
    }

    /// Bytes written since the journal was opened.
    pub(crate) fn bytes_written(&self) -> u64 {
        self.bytes_written
    }
}

/// How many of the first segments are too old at `now`, by when each of them began: all that is in a segment is older
/// than what the next one begins with.
///
/// A clock can jump by years. So what passed between two beginnings counts up to a quarter of `oldest_ms`: while the
/// gateway works a segment begins at least each eighth.
fn expired(begins: &[Option<TimeMs>], now: TimeMs, oldest_ms: i64) -> usize {
    let (mut age_ms, mut later) = (0_i64, now);
    for (index, begin) in begins.iter().enumerate().skip(1).rev() {
        let begin = begin.unwrap_or(later);
        age_ms = age_ms.saturating_add(later.saturating_sub(begin).clamp(0, oldest_ms / 4));
        if age_ms > oldest_ms {
            return index;
        }
        later = begin;
    }
    0
}

/// A segment file of the intake log.
#[derive(Debug, Clone)]
pub(crate) struct SegmentInfo {
    pub(crate) path: PathBuf,
    /// Counts up; for alerts, the sequence number of the first change.
    pub(crate) number: u64,
    pub(crate) bytes: u64,
}

impl SegmentInfo {
    /// When its first record was written; `None` where that cannot be told.
    pub(crate) fn begun_at_ms(&self) -> Option<TimeMs> {
        frame::first_at_ms(&self.path)
    }
}

/// The intake log's segments, oldest first.
///
/// # Errors
/// Where there is no journal.
pub(crate) fn intake_segments(journal_dir: &Path) -> io::Result<Vec<SegmentInfo>> {
    log::segments(&journal_dir.join("intake"))
}

/// Reads an intake segment's frames.
///
/// # Errors
/// Where the file cannot be read.
pub(crate) fn read_intake(segment: &SegmentInfo) -> io::Result<Frames> {
    Frames::open(&segment.path)
}

#[cfg(test)]
mod tests;
