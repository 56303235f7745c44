//! `evidence.csv`: a row for each time that a model said yes.

use anyhow::Context;
use std::path::Path;

use ninewatch_core::alert::Verdict;
use ninewatch_core::time::UtcOffset;

use super::findings::{Finding, Matter};
use super::folder::Folder;
use super::pseudonym::Pseudonyms;

pub(super) const NAME: &str = "evidence.csv";

const COLUMNS: [&str; 14] = [
    "alert",
    "raised_at",
    "closed_at",
    "place",
    "device",
    "rule",
    "model",
    "version",
    "score",
    "threshold",
    "verdict",
    "label",
    "file",
    "note",
];

/// A model's yes, and where what it saw is.
#[derive(Debug)]
pub(super) struct Row<'m> {
    pub(super) matter: &'m Matter,
    pub(super) finding: &'m Finding,
    /// Within the folder; empty where it is gone.
    pub(super) file: String,
    pub(super) note: Note,
}

/// What to know of a row's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Note {
    /// All that the model looks back on is in it.
    Whole,
    /// It begins later than the model looks back: the journal reaches no further.
    Short,
    /// There is none: the journal does not reach back to it.
    Gone,
}

/// Writes the sheet.
///
/// # Errors
/// Where it cannot be written.
pub(super) fn write(
    folder: &Folder,
    rows: &[Row<'_>],
    utc_offset: UtcOffset,
    pseudonyms: &Pseudonyms,
) -> anyhow::Result<()> {
    folder.write(NAME, |out| {
        let mut sheet = csv::Writer::from_writer(out);
        sheet.write_record(COLUMNS)?;
        for Row { matter, finding, file, note } in rows {
            sheet.write_record([
                matter.alert.as_str(),
                &utc_offset.rfc3339(matter.raised_at_ms),
                &utc_offset.rfc3339(matter.closed_at_ms),
                &pseudonyms.of("place", &matter.place),
                &pseudonyms.of("device", &matter.device),
                &matter.rule,
                &matter.model,
                &finding.version,
                &finding.score.to_string(),
                &finding.threshold.to_string(),
                verdict(matter.verdict),
                if matter.is_true() { "1" } else { "0" },
                file,
                match note {
                    Note::Whole => "",
                    Note::Short => "short",
                    Note::Gone => "gone",
                },
            ])?;
        }
        Ok(sheet.flush()?)
    })
}

/// The files that the sheet at `path` names; none where there is no sheet.
///
/// # Errors
/// Where it is no sheet.
pub(super) fn files(path: &Path) -> anyhow::Result<Vec<String>> {
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let read = || {
        let mut sheet = csv::Reader::from_path(path)?;
        let column = sheet.headers()?.iter().position(|title| title == "file").context("it has no column `file`")?;
        let file = |row: csv::StringRecord| row.get(column).filter(|file| !file.is_empty()).map(str::to_owned);
        let files = sheet.records().filter_map(|row| row.map(file).transpose());
        anyhow::Ok(files.collect::<Result<Vec<_>, _>>()?)
    };
    read().with_context(|| format!("{} is not of an earlier export; name a new folder", path.display()))
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::TrueAlarm => "true_alarm",
        Verdict::FalseAlarm => "false_alarm",
        Verdict::Test => "test",
        Verdict::Nuisance => "nuisance",
    }
}
