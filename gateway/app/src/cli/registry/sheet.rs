//! A CSV file that a person made, read so that each fault names its line and column.

use anyhow::Context;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use ninewatch_core::fault::Fault;
use ninewatch_core::site::is_id;

use crate::config::Faults;

/// The rows of a CSV file with a header, each id once, and what is wrong in it.
pub(super) struct Sheet {
    rows: Vec<Row>,
    faults: Vec<Fault>,
}

/// A row by its columns.
pub(super) struct Row {
    file: Rc<str>,
    line: usize,
    cells: BTreeMap<&'static str, String>,
}

impl Row {
    /// The text in this column; empty where the sheet has no such column.
    pub(super) fn text(&self, column: &str) -> String {
        self.cells.get(column).cloned().unwrap_or_default()
    }

    /// What the word in this column stands for, such as a kind of place.
    ///
    /// # Errors
    /// That it is none of the words there are.
    pub(super) fn word<T: DeserializeOwned>(&self, column: &str) -> Result<T, Fault> {
        super::from_word(&self.text(column)).map_err(|problem| self.fault(column, problem, ""))
    }

    /// What is wrong in this column.
    pub(super) fn fault(&self, column: &str, problem: impl Into<String>, mend: impl Into<String>) -> Fault {
        fault(&self.file, self.line, column, problem, mend)
    }

    /// What is wrong in it by itself.
    fn check(&self, required: &[&str]) -> Option<Fault> {
        if let Some(empty) = required.iter().find(|column| self.text(column).is_empty()) {
            return Some(self.fault(empty, "is empty", "fill it in"));
        }
        let id = self.text("id");
        (!is_id(&id)).then(|| self.fault("id", format!("`{id}` is not an id"), "use 1 to 64 of A-Z a-z 0-9 . _ -"))
    }
}

impl Sheet {
    /// Reads a file whose header has all of `required`, any of `optional`, and nothing else, in
    /// any order.
    ///
    /// # Errors
    /// Where it cannot be read, is not UTF-8, or has another header.
    pub(super) fn read(path: &Path, required: &[&'static str], optional: &[&'static str]) -> anyhow::Result<Self> {
        let file: Rc<str> = path.display().to_string().into();
        let bytes = std::fs::read(path).with_context(|| format!("{file} cannot be read"))?;
        let text = utf8(&file, &bytes)?;
        let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
        let columns = columns(&file, reader.headers()?, required, optional)?;
        let mut sheet = Self { rows: Vec::new(), faults: Vec::new() };
        let mut lines = BTreeMap::new();
        for record in reader.records() {
            let record = record?;
            if record.iter().all(str::is_empty) {
                // Spreadsheets save rows that were once filled.
                continue;
            }
            let line = record.position().map_or(0, |position| usize::try_from(position.line()).unwrap_or(0));
            let cells = columns.iter().copied().zip(record.iter().map(str::to_owned)).collect();
            let row = Row { file: file.clone(), line, cells };
            let twice = lines.insert(row.text("id"), line);
            if record.len() > columns.len() {
                let problem = format!("there are {} cells for {} columns", record.len(), columns.len());
                sheet.faults.push(row.fault("", problem, "put a text with a comma in \"quotes\""));
            } else if let Some(fault) = row.check(required) {
                sheet.faults.push(fault);
            } else if let Some(first) = twice {
                let problem = format!("`{}` is also in line {first}", row.text("id"));
                sheet.faults.push(row.fault("id", problem, "remove one"));
            } else {
                sheet.rows.push(row);
            }
        }
        Ok(sheet)
    }

    /// What `value` makes of each row.
    ///
    /// # Errors
    /// Every fault of the sheet and those that `value` found, by line.
    pub(super) fn each<T>(mut self, value: impl FnMut(&Row) -> Result<T, Fault>) -> Result<Vec<T>, Faults> {
        let results: Vec<Result<T, Fault>> = self.rows.iter().map(value).collect();
        let mut values = Vec::with_capacity(results.len());
        for result in results {
            match result {
                Ok(value) => values.push(value),
                Err(fault) => self.faults.push(fault),
            }
        }
        self.faults.sort_by_key(|fault| fault.line);
        if self.faults.is_empty() { Ok(values) } else { Err(Faults(self.faults)) }
    }
}

/// The text without the mark that spreadsheets put before it.
fn utf8<'b>(file: &str, bytes: &'b [u8]) -> Result<&'b str, Faults> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Faults(vec![fault(file, line, "", "this is not UTF-8", "save the sheet as \"CSV UTF-8\"")])
    })?;
    Ok(text.trim_start_matches('\u{feff}'))
}

/// The columns that a header names.
fn columns(
    file: &str,
    header: &csv::StringRecord,
    required: &[&'static str],
    optional: &[&'static str],
) -> Result<Vec<&'static str>, Faults> {
    let known: Vec<&'static str> = required.iter().chain(optional).copied().collect();
    let mut columns = Vec::new();
    let mut faults = Vec::new();
    for name in header {
        match known.iter().find(|column| **column == name) {
            Some(column) if columns.contains(column) => {
                faults.push(fault(file, 1, name, "the column is there twice", "remove one"));
            }
            Some(column) => columns.push(*column),
            None => {
                let mend = format!("the columns are {}", known.join(","));
                faults.push(fault(file, 1, name, "there is no such column", mend));
            }
        }
    }
    for missing in required.iter().filter(|column| !columns.contains(column)) {
        faults.push(fault(file, 1, missing, "the column is missing", "name it in the first line"));
    }
    if faults.is_empty() { Ok(columns) } else { Err(Faults(faults)) }
}

fn fault(file: &str, line: usize, column: &str, problem: impl Into<String>, mend: impl Into<String>) -> Fault {
    let (problem, mend) = (problem.into(), mend.into());
    Fault { file: file.to_owned(), line: Some(line), key: column.to_owned(), problem, mend, former_goes_on: false }
}
