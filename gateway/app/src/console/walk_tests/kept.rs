//! Walk-tests as they are kept: a file each in the data folder.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ninewatch_core::alert::{AlertId, Severity, Status};
use ninewatch_core::reading::SensorClass;
use ninewatch_core::time::TimeMs;

use super::super::problem::Problem;
use super::certificate::Signed;
use crate::private;

/// The folder in the data folder.
pub(crate) const WALK_TESTS: &str = "walk-tests";

/// How long they are kept.
const KEPT_MS: TimeMs = 5 * 366 * 86_400_000;
/// So many fit into that time, at one a place and a quarter for a gateway of 25 places. Beyond, the oldest that was never
/// finished makes room; a finished one never does.
const MOST: usize = 500;

/// A walk-test.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct WalkTest {
    pub(super) id: String,
    pub(super) begun_at_ms: TimeMs,
    pub(super) by: String,
    pub(super) places: Vec<Site>,
    pub(super) devices: Vec<Spot>,
    pub(super) certificate: Option<Signed>,
}

/// A place as it was called then.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Site {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) grid: String,
    pub(super) address: String,
}

/// A device, and what came of its turn.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Spot {
    pub(super) device: String,
    pub(super) place: String,
    pub(super) spot: String,
    pub(super) class: Option<SensorClass>,
    #[serde(rename = "type")]
    pub(super) sensor_type: String,
    pub(super) tested_by: Option<String>,
    /// When its last turn began, and when a person said that it was over.
    pub(super) turn_at_ms: Option<TimeMs>,
    pub(super) ended_at_ms: Option<TimeMs>,
    /// `None` before its turn is over.
    pub(super) passed: Option<bool>,
    /// Why it did not pass.
    pub(super) reason: Option<String>,
    pub(super) measured: Measured,
}

/// What the gateway saw in a turn.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Measured {
    /// When a signal of the device was taken up.
    pub(super) signal_at_ms: Option<TimeMs>,
    pub(super) alert: Option<TestAlert>,
    pub(super) battery_percent: Option<f64>,
    pub(super) signal_dbm: Option<f64>,
}

/// The alert that a device raised in its turn.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct TestAlert {
    pub(super) id: AlertId,
    pub(super) number: u64,
    pub(super) severity: Severity,
    pub(super) status: Status,
    /// The change that raised it.
    pub(super) seq: u64,
    pub(super) raised_at_ms: TimeMs,
    pub(super) recovered_at_ms: Option<TimeMs>,
    /// From when the signal was taken up until the alert was on the disk and told to all who listen; `None` where the
    /// gateway started anew in between.
    pub(super) ready_ms: Option<i64>,
}

impl Spot {
    /// Whether it is its turn now, as far as a person has said.
    pub(super) fn has_its_turn(&self) -> bool {
        self.turn_at_ms.is_some() && self.ended_at_ms.is_none()
    }

    /// Whether it keeps the test from being finished.
    pub(super) fn is_lacking(&self) -> bool {
        match self.passed {
            Some(true) => false,
            Some(false) => self.reason.is_none(),
            None => true,
        }
    }

    /// What was measured is enough: of what lives hang on, that it raises an alert; of all others, that they are heard.
    pub(super) fn is_passed_by(&self, measured: &Measured) -> bool {
        let raises = self.class.is_some_and(SensorClass::is_life_safety);
        measured.signal_at_ms.is_some() && (measured.alert.is_some() || !raises)
    }
}

/// Whether somebody walks through devices: a test that is not finished, and moved within the last two hours.
///
/// # Errors
/// Where the folder cannot be read.
pub(crate) fn is_walked(data_dir: &Path, now: TimeMs) -> anyhow::Result<bool> {
    const LONG_AGO_MS: i64 = 2 * 3_600_000;
    let moved =
        |test: &WalkTest| test.devices.iter().filter_map(|spot| spot.turn_at_ms).chain([test.begun_at_ms]).max();
    let tests = WalkTests::new(data_dir).list()?;
    Ok(tests.iter().any(|test| test.certificate.is_none() && moved(test).is_some_and(|at| now - at < LONG_AGO_MS)))
}

/// The folder, and turns to change it.
pub(super) struct WalkTests {
    data_dir: PathBuf,
    turn: Mutex<()>,
}

impl WalkTests {
    pub(super) fn new(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned(), turn: Mutex::new(()) }
    }

    pub(super) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// All of them, newest first. What is older than they are kept is gone.
    ///
    /// # Errors
    /// Where the folder or a file cannot be read.
    pub(super) fn all(&self, now: TimeMs) -> Result<Vec<WalkTest>, Problem> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.list_kept(now).map_err(|error| unreadable(&error))
    }

    /// Keeps a new one.
    ///
    /// # Errors
    /// Where there are too many that are finished, or it cannot be written.
    pub(super) fn add(&self, test: &WalkTest) -> Result<(), Problem> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = self.list_kept(test.begun_at_ms).map_err(|error| unreadable(&error))?;
        if kept.len() >= MOST {
            let Some(oldest) = kept.iter().rev().find(|one| one.certificate.is_none()) else {
                let detail = format!("{MOST} walk-tests are kept, all finished");
                return Err(Problem::conflict("walk_tests_full", detail, "test several places in one"));
            };
            self.erase(&oldest.id).map_err(|error| unwritable(&error))?;
        }
        self.write(test)
    }

    /// One of them.
    ///
    /// # Errors
    /// Where there is none, or it cannot be read.
    pub(super) fn one(&self, id: &str) -> Result<WalkTest, Problem> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.read(id)
    }

    /// Changes one; what `change` refuses, or cannot be written, has not happened. What has a certificate does not change.
    ///
    /// # Errors
    /// What `change` says, and as [`Self::one`].
    pub(super) fn change(
        &self,
        id: &str,
        change: impl FnOnce(&mut WalkTest) -> Result<(), Problem>,
    ) -> Result<WalkTest, Problem> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut test = self.read(id)?;
        if test.certificate.is_some() {
            return Err(Problem::conflict("walk_finished", "this walk-test is finished", "begin another one"));
        }
        change(&mut test)?;
        self.write(&test)?;
        Ok(test)
    }

    fn read(&self, id: &str) -> Result<WalkTest, Problem> {
        let is_id = !id.is_empty() && id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let read = if is_id { read(&self.path(id)) } else { Ok(None) };
        read.map_err(|error| unreadable(&error))?.ok_or_else(|| {
            let detail = format!("no walk-test has the id `{id}`");
            Problem::not_found("no_walk_test", detail, "GET /api/v1/walk-tests lists them")
        })
    }

    /// Takes away those whose time is over; gives the others, newest first.
    fn list_kept(&self, now: TimeMs) -> anyhow::Result<Vec<WalkTest>> {
        let (over, kept) = self.list()?.into_iter().partition(|test| test.begun_at_ms < now - KEPT_MS);
        let over: Vec<WalkTest> = over;
        over.iter().try_for_each(|test| self.erase(&test.id))?;
        Ok(kept)
    }

    /// All that there are, newest first.
    ///
    /// # Errors
    /// Where the folder or a file cannot be read.
    pub(super) fn list(&self) -> anyhow::Result<Vec<WalkTest>> {
        let dir = self.data_dir.join(WALK_TESTS);
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", dir.display())),
        };
        let mut list = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_none_or(|end| end != "json") {
                continue;
            }
            list.extend(read(&path)?);
        }
        list.sort_by(|one, other| (other.begun_at_ms, &other.id).cmp(&(one.begun_at_ms, &one.id)));
        Ok(list)
    }

    fn write(&self, test: &WalkTest) -> Result<(), Problem> {
        let dir = self.data_dir.join(WALK_TESTS);
        let write = || {
            private::make_data_dir(&dir)?;
            private::replace(&dir, &format!("{}.json", test.id), &serde_json::to_vec(test)?)
        };
        write().map_err(|error: anyhow::Error| unwritable(&error))
    }

    fn erase(&self, id: &str) -> anyhow::Result<()> {
        let path = self.path(id);
        fs::remove_file(&path).with_context(|| format!("{} cannot be removed", path.display()))
    }

    fn path(&self, id: &str) -> PathBuf {
        self.data_dir.join(WALK_TESTS).join(format!("{id}.json"))
    }
}

fn read(path: &Path) -> anyhow::Result<Option<WalkTest>> {
    match fs::read(path) {
        Ok(json) => Ok(Some(serde_json::from_slice(&json).with_context(|| format!("{} is damaged", path.display()))?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

fn unreadable(error: &anyhow::Error) -> Problem {
    Problem::unavailable("not_readable", format!("{error:#}"), "mend the file, or move it away")
}

fn unwritable(error: &anyhow::Error) -> Problem {
    Problem::unavailable("not_kept", format!("{error:#}"), "make room on the disk, and send it again")
}
