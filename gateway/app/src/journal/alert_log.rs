//! Reading the alert log: all of it in order, or only who changed and where that stands.

use serde::Deserialize;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::Path;

use ninewatch_core::alert::{AlertChange, AlertId, Severity};

use super::frame::{Damage, Frames};
use super::{SegmentInfo, log};

fn segments_from(journal_dir: &Path, seq: u64) -> io::Result<Vec<SegmentInfo>> {
    let mut segments = log::segments(&journal_dir.join("alerts"))?;
    // The last one that begins at or before the wanted change holds it.
    let first = segments.partition_point(|segment| segment.number <= seq).saturating_sub(1);
    segments.drain(..first);
    Ok(segments)
}

/// Reads alert changes from `from_seq` on, in order. Usable while the gateway runs.
///
/// # Errors
/// Where there is no journal.
pub(crate) fn read_alerts(
    journal_dir: &Path,
    from_seq: u64,
) -> io::Result<impl Iterator<Item = Result<AlertChange, Damage>> + use<>> {
    let changes = segments_from(journal_dir, from_seq)?.into_iter().flat_map(|segment| {
        let mut frames = Some(Frames::open(&segment.path));
        let mut damage = Vec::new().into_iter();
        std::iter::from_fn(move || {
            if let Some(Ok(open)) = &mut frames {
                if let Some(frame) = open.next() {
                    let change = serde_json::from_slice::<AlertChange>(frame.body);
                    return Some(change.map_err(|error| Damage::unknown_record(&segment.path, &error)));
                }
                damage = open.damage().to_vec().into_iter();
            }
            match frames.take() {
                Some(Err(error)) => Some(Err(Damage::unreadable(&segment.path, &error))),
                _ => damage.next().map(Err),
            }
        })
    });
    Ok(changes.filter(move |change| change.as_ref().map_or(true, |change| change.seq >= from_seq)))
}

/// Where a change stands in its segment, which the change's number tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    offset: u32,
    bytes: u32,
}

/// A change without what it says.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) seq: u64,
    pub(crate) alert: AlertId,
    pub(crate) critical: bool,
    pub(crate) spot: Spot,
}

/// How far the log has been read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    segment: u64,
    offset: u64,
}

/// A piece of the log, read for its heads.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    pub(crate) heads: Vec<Head>,
    /// Where reading goes on.
    pub(crate) end: Option<Mark>,
    /// It reaches as far as was asked, or as the log does.
    pub(crate) is_all: bool,
}

/// What of a change's JSON a head needs; passing over the rest is several times as fast as reading it.
#[derive(Deserialize)]
struct HeadJson {
    seq: u64,
    alert: AlertJson,
}

#[derive(Deserialize)]
struct AlertJson {
    id: AlertId,
    severity: Severity,
}

/// Reads the heads from `from` to `to`, as far as one segment holds them. Begins at `mark`, if that is at `from` or
/// before it. Damaged changes are missing.
///
/// # Errors
/// Where the log cannot be read.
pub(crate) fn read_heads(journal_dir: &Path, mark: Option<Mark>, from: u64, to: u64) -> io::Result<Heads> {
    let mut segments = segments_from(journal_dir, mark.map_or(from, |mark| mark.segment))?.into_iter();
    let Some(segment) = segments.next() else { return Ok(Heads { is_all: true, ..Heads::default() }) };
    let begin = mark.filter(|mark| mark.segment == segment.number).map_or(0, |mark| mark.offset);
    let mut file = File::open(&segment.path)?;
    file.seek(SeekFrom::Start(begin))?;
    let mut frames = Frames::of(&segment.path, &mut file, u64::MAX)?;
    let mark = |offset| Some(Mark { segment: segment.number, offset });
    let (mut heads, mut end) = (Vec::new(), begin);
    while let Some(frame) = frames.next() {
        // Damage was told when the journal was opened; here it shows as a gap.
        let Ok(HeadJson { seq, alert }) = serde_json::from_slice(frame.body) else { continue };
        if seq > to {
            return Ok(Heads { heads, end: mark(end), is_all: true });
        }
        let offset = begin + frame.offset;
        end = begin + frames.good_bytes();
        if seq >= from {
            let too_long = |_| io::Error::other(format!("{} is longer than 4 GiB", segment.path.display()));
            let spot = Spot {
                offset: offset.try_into().map_err(too_long)?,
                bytes: (end - offset).try_into().map_err(too_long)?,
            };
            heads.push(Head { seq, alert: alert.id, critical: alert.severity == Severity::Critical, spot });
        }
    }
    Ok(match segments.next() {
        Some(next) => Heads { heads, end: Some(Mark { segment: next.number, offset: 0 }), is_all: false },
        None => Heads { heads, end: mark(end), is_all: true },
    })
}

/// Reads changes by number and spot; one that is damaged is `None`.
///
/// # Errors
/// Where the log cannot be read.
pub(crate) fn read_alerts_at(
    journal_dir: &Path,
    wanted: &[(u64, Spot)],
) -> io::Result<Vec<(u64, Option<AlertChange>)>> {
    let Some(first) = wanted.iter().map(|(seq, _)| *seq).min() else { return Ok(Vec::new()) };
    let segments = segments_from(journal_dir, first)?;
    let mut open: Option<(u64, File)> = None;
    let mut changes = Vec::new();
    for (seq, spot) in wanted {
        let index = segments.partition_point(|segment| segment.number <= *seq).saturating_sub(1);
        let gone = || io::Error::new(io::ErrorKind::NotFound, format!("the segment of change {seq} is gone"));
        let segment = segments.get(index).ok_or_else(gone)?;
        let file = match &mut open {
            Some((number, file)) if *number == segment.number => file,
            _ => &mut open.insert((segment.number, File::open(&segment.path)?)).1,
        };
        file.seek(SeekFrom::Start(spot.offset.into()))?;
        let mut frames = Frames::of(&segment.path, file, spot.bytes.into())?;
        let change = frames.next().and_then(|frame| serde_json::from_slice::<AlertChange>(frame.body).ok());
        changes.push((*seq, change.filter(|change| change.seq == *seq)));
    }
    Ok(changes)
}
