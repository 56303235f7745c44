//! A consistent cut through a journal, also one that is being written: what a crash at that moment would have left.

use anyhow::Context;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::Path;

use ninewatch_core::alert::{AlertChange, Status};

use super::frame::Frames;
use super::{SegmentInfo, intake_segments, log};

/// So much of each file, from its beginning.
pub(crate) struct Cut {
    alerts: Vec<Part>,
    intake: Vec<Part>,
}

/// The beginning of a segment file. It is open: it can be read whatever becomes of its name.
pub(crate) struct Part {
    /// Within the journal's folder.
    pub(crate) name: String,
    pub(crate) file: File,
    pub(crate) bytes: u64,
}

impl Cut {
    /// Takes the alert log, and of the ring the newest segment that `is_whole` takes, with all behind it.
    ///
    /// The order makes it consistent. Inputs are written before what was decided from them, so inputs are cut last: what
    /// the log then lacks is decided again. The checkpoint comes first, so that the log reaches beyond it. An unfinished
    /// record at the end of a file is cut off when the journal is opened.
    ///
    /// # Errors
    /// Where there is no journal, it cannot be read, or the ring turned faster than it could be followed.
    pub(crate) fn take(journal_dir: &Path, is_whole: impl Fn(&SegmentInfo) -> bool) -> anyhow::Result<Self> {
        let segments = intake_segments(journal_dir).with_context(|| {
            format!("{} holds no journal; run the gateway once before it is backed up", journal_dir.display())
        })?;
        let checkpoint = segments.iter().rev().find(|segment| is_whole(segment));
        let checkpoint = checkpoint
            .with_context(|| format!("no segment in {} begins with a readable checkpoint", journal_dir.display()))?;
        let alerts = log::segments(&journal_dir.join("alerts"))?;
        let alerts = alerts.iter().map(|segment| Part::open(segment, "alerts")).collect::<anyhow::Result<_>>()?;
        let mut intake = Vec::new();
        for segment in intake_segments(journal_dir)?.iter().filter(|segment| segment.number >= checkpoint.number) {
            let next = checkpoint.number + intake.len() as u64;
            anyhow::ensure!(segment.number == next, "readings came faster than they could be read; try again");
            intake.push(Part::open(segment, "intake")?);
        }
        Ok(Self { alerts, intake })
    }

    /// The number of the last alert change, and how many alerts are not closed.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub(crate) fn alerts(&mut self) -> anyhow::Result<(u64, usize)> {
        let mut open = BTreeSet::new();
        let mut last = 0;
        for part in &mut self.alerts {
            let mut frames = Frames::of(Path::new(&part.name), &mut part.file, part.bytes)?;
            part.file.seek(SeekFrom::Start(0))?;
            while let Some(frame) = frames.next() {
                let Ok(AlertChange { seq, alert, .. }) = serde_json::from_slice(frame.body) else { continue };
                last = seq;
                if alert.status == Status::Closed {
                    open.remove(&alert.id);
                } else {
                    open.insert(alert.id);
                }
            }
        }
        Ok((last, open.len()))
    }

    /// All files, each at its beginning.
    pub(crate) fn into_parts(self) -> impl Iterator<Item = Part> {
        self.alerts.into_iter().chain(self.intake)
    }
}

impl Part {
    fn open(segment: &SegmentInfo, log: &str) -> anyhow::Result<Self> {
        let unreadable = || format!("{} cannot be read", segment.path.display());
        let file = File::open(&segment.path).with_context(unreadable)?;
        let bytes = file.metadata().with_context(unreadable)?.len();
        let name = segment.path.file_name().unwrap_or_default().to_string_lossy();
        Ok(Self { name: format!("{log}/{name}"), file, bytes })
    }
}
