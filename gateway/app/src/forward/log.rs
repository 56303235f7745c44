//! Reading the alert log for the outbox: who waits, and the bodies of the next ones. It takes disk
//! and processor time, so it runs on a thread for such work.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use ninewatch_core::alert::{AlertChange, AlertId, Severity};

use crate::journal;

/// Changes whose bodies are read at once.
pub(super) const PAGE: usize = 256;

/// The log from some change on.
pub(super) struct Reader {
    at: u64,
    changes: Box<dyn Iterator<Item = io::Result<AlertChange>> + Send>,
}

/// What was read from the log.
#[derive(Default)]
pub(super) struct Read {
    /// New changes: number, alert, whether it is critical.
    pub(super) headers: Vec<(u64, AlertId, bool)>,
    pub(super) bodies: Vec<AlertChange>,
    /// How far the log was read for headers.
    pub(super) scanned_to: Option<u64>,
    /// The change whose body was wanted; if it is not among them, the log has lost it.
    pub(super) wanted: Option<u64>,
    /// Whether only critical alerts were read, and by which reader.
    pub(super) reader: Option<(bool, Reader)>,
}

pub(super) fn is_critical(change: &AlertChange) -> bool {
    change.alert.severity == Severity::Critical
}

/// Reads who waits from `from` to `to`, and the first bodies. Not beyond `to`: the writer may have
/// written what is not synced yet.
pub(super) fn scan(journal_dir: &Path, from: u64, to: u64) -> io::Result<Read> {
    let mut read = Read { scanned_to: Some(to), ..Read::default() };
    let mut reader = Reader::open(journal_dir, from)?;
    while let Some(change) = reader.next(from)?.filter(|change| change.seq <= to) {
        read.headers.push((change.seq, change.alert.id.clone(), is_critical(&change)));
        if read.bodies.len() < PAGE {
            read.bodies.push(change);
        }
    }
    Ok(read)
}

/// Reads the bodies from `wanted` on: of all alerts, or only of some. Goes on with a reader that is
/// there, unless it is past `wanted`, or at the end of the log as it was when it was opened.
pub(super) fn page(
    journal_dir: &Path,
    reader: Option<Reader>,
    wanted: u64,
    only: Option<&HashSet<AlertId>>,
) -> io::Result<Read> {
    let mut next = None;
    let mut going_on = reader.filter(|reader| reader.at <= wanted);
    if let Some(reader) = &mut going_on {
        next = reader.next(wanted)?;
    }
    let mut reader = match going_on {
        Some(reader) if next.is_some() => reader,
        _ => {
            let mut reader = Reader::open(journal_dir, wanted)?;
            next = reader.next(wanted)?;
            reader
        }
    };
    let mut bodies = Vec::new();
    while let Some(change) = next.take() {
        if only.is_none_or(|alerts| alerts.contains(&change.alert.id)) {
            bodies.push(change);
        }
        if bodies.len() < PAGE {
            next = reader.next(wanted)?;
        }
    }
    Ok(Read { bodies, wanted: Some(wanted), reader: Some((only.is_some(), reader)), ..Read::default() })
}

impl Reader {
    fn open(journal_dir: &Path, from: u64) -> io::Result<Self> {
        let changes = journal::read_alerts(journal_dir, from)?.filter_map(|change| match change {
            Ok(change) => Some(Ok(change)),
            Err(damage) if damage.whole_file => Some(Err(io::Error::other(damage.to_string()))),
            // Told when the journal was opened; here it shows as a gap.
            Err(_) => None,
        });
        Ok(Self { at: from, changes: Box::new(changes) })
    }

    /// The next change that is not before `from`.
    fn next(&mut self, from: u64) -> io::Result<Option<AlertChange>> {
        for change in &mut self.changes {
            let change = change?;
            if change.seq >= from {
                self.at = change.seq + 1;
                return Ok(Some(change));
            }
        }
        Ok(None)
    }
}
