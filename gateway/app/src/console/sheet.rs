//! Alerts as a sheet: a row each, for a spreadsheet. UTF-8 with a mark that spreadsheets want.

use anyhow::Context;
use serde::Serialize;

use ninewatch_core::alert::ChangeKind;
use ninewatch_core::pipeline::Site;
use ninewatch_core::time::TimeMs;

use crate::index::AlertRecord;

/// More rows than these are for a database.
const MOST_ROWS: usize = 50_000;
const HEADER: [&str; 22] = [
    "number",
    "raised_at",
    "severity",
    "scene",
    "title_zh",
    "title_en",
    "place",
    "place_name",
    "grid",
    "status",
    "accepted_at",
    "accepted_by",
    "dispatched_at",
    "dispatched_to",
    "handled_at",
    "closed_at",
    "verdict",
    "findings",
    "reason_zh",
    "reason_en",
    "id",
    "drill",
];

/// Writes them.
///
/// # Errors
/// That there are too many.
pub(super) fn write(site: &Site, records: impl Iterator<Item = AlertRecord>) -> anyhow::Result<Vec<u8>> {
    let mut out = csv::Writer::from_writer("\u{feff}".as_bytes().to_vec());
    out.write_record(HEADER)?;
    for (row, record) in records.enumerate() {
        anyhow::ensure!(row < MOST_ROWS, "there are more than {MOST_ROWS} alerts");
        out.write_record(cells(site, &record).map(|cell| harmless(&cell)))?;
    }
    out.into_inner().context("the sheet cannot be finished")
}

fn cells(site: &Site, record: &AlertRecord) -> [String; 22] {
    let alert = &record.alert;
    let time = |at_ms: TimeMs| site.utc_offset.rfc3339(at_ms);
    // The last of its kind: somebody else may have been sent.
    let when = |kind: ChangeKind| {
        let step = record.standing().rev().find(|step| step.kind == kind);
        step.map(|step| time(step.at_ms)).unwrap_or_default()
    };
    let place = site.registry.places.iter().find(|place| place.id == alert.place);
    [
        alert.number.to_string(),
        time(alert.raised_at_ms),
        word(&alert.severity),
        word(&alert.scene),
        alert.title.zh.clone(),
        alert.title.en.clone(),
        alert.place.clone(),
        place.map(|place| place.name.clone()).unwrap_or_default(),
        site.registry.grid_of(&alert.place).unwrap_or_default().to_owned(),
        word(&alert.status),
        when(ChangeKind::Accepted),
        alert.accepted_by.clone().unwrap_or_default(),
        when(ChangeKind::Dispatched),
        alert.dispatched_to.clone().unwrap_or_default(),
        when(ChangeKind::Handled),
        when(ChangeKind::Closed),
        alert.verdict.as_ref().map(word).unwrap_or_default(),
        alert.occurrences.to_string(),
        alert.reason.zh.clone(),
        alert.reason.en.clone(),
        alert.id.to_string(),
        match &alert.walk_test {
            _ if alert.drill => "drill".to_owned(),
            Some(_) => "walk_test".to_owned(),
            None => String::new(),
        },
    ]
}

/// The API's word.
fn word(of: &impl Serialize) -> String {
    serde_json::to_value(of).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// What staff typed must not be a formula in somebody's spreadsheet (CWE-1236).
fn harmless(cell: &str) -> String {
    if cell.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠', '\t', '\r', '\n']) {
        format!("'{cell}")
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn no_cell_is_a_formula() {
        for formula in ["=HYPERLINK(\"x\")", "+1", "-1", "@SUM(A1)", "\t=1", "＝1"] {
            assert_eq!(harmless(formula), format!("'{formula}"));
        }
        assert_eq!(harmless("银饰作坊"), "银饰作坊");
    }
}
