//! The codes on the grids' posters, 一格一码: who scans one may report a matter of that grid, and nothing else. A code that
//! got into wrong hands is made anew; the old poster then leads nowhere.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use subtle::ConstantTimeEq;

use ninewatch_core::time::TimeMs;

use crate::private::{lock, replace, typable};

/// In the data folder.
pub(crate) const FILE: &str = "grid_codes.json";
/// Five groups of four symbols: 100 bits.
const GROUPS: usize = 5;

/// The code of a grid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GridCode {
    pub(crate) code: String,
    /// Since when it is in force.
    pub(crate) since_ms: TimeMs,
    /// Who made it.
    pub(crate) by: String,
}

/// By grid.
pub(crate) type GridCodes = BTreeMap<String, GridCode>;

/// The codes in force.
///
/// # Errors
/// Where the file cannot be read.
pub(crate) fn load(data_dir: &Path) -> anyhow::Result<GridCodes> {
    let path = data_dir.join(FILE);
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("{} is not readable", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(GridCodes::new()),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

/// Makes a grid's code anew; the former one is in force no more.
///
/// # Errors
/// Where it cannot be written.
pub(crate) fn renew(data_dir: &Path, grid: &str, by: &str, at_ms: TimeMs) -> anyhow::Result<GridCode> {
    let code = GridCode { code: typable(GROUPS)?, since_ms: at_ms, by: by.to_owned() };
    change(data_dir, |codes| _ = codes.insert(grid.to_owned(), code.clone()))?;
    Ok(code)
}

/// Takes a grid's code out of force; tells whether there was one.
///
/// # Errors
/// Where it cannot be written.
pub(crate) fn revoke(data_dir: &Path, grid: &str) -> anyhow::Result<bool> {
    change(data_dir, |codes| codes.remove(grid).is_some())
}

fn change<T>(data_dir: &Path, change: impl FnOnce(&mut GridCodes) -> T) -> anyhow::Result<T> {
    let _lock = lock(data_dir, "grid_codes.lock")?;
    let mut codes = load(data_dir)?;
    let changed = change(&mut codes);
    replace(data_dir, FILE, &serde_json::to_vec_pretty(&codes)?)?;
    Ok(changed)
}

/// The grid of a code. How long it takes does not depend on how much of the code is right.
pub(crate) fn grid_of<'a>(codes: &'a GridCodes, given: &str) -> Option<&'a str> {
    let is_it = |code: &GridCode| bool::from(code.code.as_bytes().ct_eq(given.as_bytes()));
    // All of them, also behind the one that fits.
    codes.iter().fold(None, |found, (grid, code)| if is_it(code) { Some(grid.as_str()) } else { found })
}
