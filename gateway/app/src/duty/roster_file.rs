//! The files in the data folder. The roster holds names and telephone numbers, so it is its owner's alone, and no part of
//! the journal; ladders decide when alerts climb, so they are.

use sha2::{Digest, Sha256};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;

use ninewatch_core::duty::Roster;
use ninewatch_core::fault::{Fault, SourceFile};

use crate::config::Faults;
use crate::private::{hex, lock, replace};

/// Who is on duty; written by people and by the page.
pub(crate) const ROSTER: &str = "roster.toml";
/// Who is told after whom, and what can wait; written by people.
pub(crate) const LADDERS: &str = "ladders.toml";
const HEADER: &str = "# Written by the console's page of the roster too; comments are lost when it does.\n\n";
/// A file this long is none that a person wrote.
const LONGEST: u64 = 1 << 20;

/// The roster in force, and its file. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct RosterFile(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    data_dir: PathBuf,
    in_force: watch::Sender<Arc<Roster>>,
}

/// Why the file was not written.
#[derive(Debug)]
pub(crate) enum RosterRefused {
    /// Somebody else has changed it since.
    Changed,
    /// As (key, problem, mend).
    Wrong(Vec<(String, String, String)>),
    /// The file that is there has a fault, which would be lost unseen.
    Broken(Vec<Fault>),
    /// The disk does not take it.
    Unwritable(anyhow::Error),
}

impl RosterFile {
    /// Reads the file. One that has a fault is told, and nobody is on duty: whole channels are told then.
    pub(crate) fn open(data_dir: &Path) -> (Self, Vec<Fault>) {
        let (roster, faults) = match load(data_dir) {
            Ok((roster, _)) => (roster, Vec::new()),
            Err(faults) => (Roster::default(), faults),
        };
        let in_force = watch::Sender::new(Arc::new(roster));
        (Self(Arc::new(Inner { data_dir: data_dir.to_owned(), in_force })), faults)
    }

    /// A roster of nobody, for what runs without files.
    #[cfg(test)]
    pub(crate) fn empty(data_dir: &Path) -> Self {
        Self::open(data_dir).0
    }

    /// What is in force.
    pub(crate) fn in_force(&self) -> Arc<Roster> {
        self.0.in_force.borrow().clone()
    }

    /// Reads the file again. Where it has come to have a fault the former roster goes on; the faults are given.
    pub(crate) fn refresh(&self) -> Vec<Fault> {
        match load(&self.0.data_dir) {
            Ok((roster, _)) => {
                let new = Arc::new(roster);
                self.0.in_force.send_if_modified(|roster| {
                    let differs = **roster != *new;
                    if differs {
                        roster.clone_from(&new);
                    }
                    differs
                });
                Vec::new()
            }
            Err(faults) => faults.into_iter().map(|fault| Fault { former_goes_on: true, ..fault }).collect(),
        }
    }

    /// What stands in the file, and its version.
    ///
    /// # Errors
    /// Every fault in it.
    pub(crate) fn stored(&self) -> Result<(Roster, String), Vec<Fault>> {
        load(&self.0.data_dir)
    }

    /// Puts a roster in the place of the one whose version somebody has seen. In force when this returns.
    ///
    /// # Errors
    /// Why not; nothing has changed then.
    pub(crate) fn change(&self, seen: &str, roster: &Roster) -> Result<String, RosterRefused> {
        let problems = roster.problems();
        if !problems.is_empty() {
            return Err(RosterRefused::Wrong(problems));
        }
        let _lock = lock(&self.0.data_dir, "roster.lock").map_err(RosterRefused::Unwritable)?;
        let (_, version) = load(&self.0.data_dir).map_err(RosterRefused::Broken)?;
        if version != seen {
            return Err(RosterRefused::Changed);
        }
        let text = toml::to_string(roster).map_err(|error| RosterRefused::Unwritable(error.into()))?;
        let text = format!("{HEADER}{text}");
        replace(&self.0.data_dir, ROSTER, text.as_bytes()).map_err(RosterRefused::Unwritable)?;
        self.0.in_force.send_replace(Arc::new(roster.clone()));
        Ok(version_of(&text))
    }
}

/// The roster in a data folder and the version of its file; one that is not there is empty.
///
/// # Errors
/// Every fault in it.
pub(crate) fn load(data_dir: &Path) -> Result<(Roster, String), Vec<Fault>> {
    let Some(file) = read(data_dir, ROSTER) else { return Ok((Roster::default(), version_of(""))) };
    // What cannot be read is told as TOML tells it.
    file.parse::<toml::Table>().map_err(|fault| vec![fault])?;
    Ok((Roster::parse(&file.name, &file.text)?, version_of(&file.text)))
}

/// The file of ladders in a data folder, where there is one.
pub(crate) fn ladders(data_dir: &Path) -> Vec<SourceFile> {
    read(data_dir, LADDERS).into_iter().collect()
}

fn version_of(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes())).chars().take(16).collect()
}

fn read(data_dir: &Path, name: &str) -> Option<SourceFile> {
    let path = data_dir.join(name);
    let shown = path.display().to_string();
    let read = match fs::metadata(&path) {
        Ok(meta) if meta.len() > LONGEST => Err(format!("it is longer than {LONGEST} bytes")),
        Ok(_) => fs::read_to_string(&path).map_err(|error| error.to_string()),
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => Err(error.to_string()),
    };
    Some(match read {
        Ok(text) => {
            // Some editors put a byte order mark first.
            let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
            SourceFile { name: shown, text }
        }
        Err(why) => SourceFile::unreadable(shown, &format!("it cannot be read: {why}")),
    })
}

impl std::fmt::Display for RosterRefused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Changed => f.write_str("somebody else has changed the roster since"),
            Self::Wrong(problems) => {
                let lines: Vec<String> =
                    problems.iter().map(|(key, problem, mend)| format!("{key}: {problem}; {mend}")).collect();
                f.write_str(&lines.join(" · "))
            }
            Self::Broken(faults) => Faults(faults.clone()).fmt(f),
            Self::Unwritable(error) => write!(f, "{error:#}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const ONE: &str = "[[person]]\nid = \"zhao\"\nname = \"赵敏\"\nphone = \"13800138000\"\n\
                       [[shift]]\ntitle = \"duty_officer\"\ndays = [\"mon\"]\nhours = \"20:00-08:00\"\npeople = [\"zhao\"]\n";

    #[test]
    fn what_is_written_is_in_force_at_once_and_nobody_writes_over_another() {
        let dir = tempfile::tempdir().unwrap();
        let file = RosterFile::empty(dir.path());
        let (_, empty) = file.stored().unwrap();
        let roster = Roster::parse("x", ONE).unwrap();
        let version = file.change(&empty, &roster).unwrap();
        assert_eq!(*file.in_force(), roster);
        assert_eq!(file.stored().unwrap(), (roster.clone(), version.clone()), "hours and days come back");
        assert_eq!(fs::metadata(dir.path().join(ROSTER)).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(file.change(&empty, &Roster::default()), Err(RosterRefused::Changed)));
        let mut wrong = roster.clone();
        wrong.people.clear();
        assert!(matches!(file.change(&version, &wrong), Err(RosterRefused::Wrong(_))));
        assert_eq!(*file.in_force(), roster);
    }

    #[test]
    fn of_a_file_that_came_to_have_a_fault_the_former_roster_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(ROSTER), ONE).unwrap();
        let (file, faults) = RosterFile::open(dir.path());
        assert!(faults.is_empty());
        let before = file.in_force();
        fs::write(dir.path().join(ROSTER), ONE.replace("[\"zhao\"]", "[\"li\"]")).unwrap();
        let faults = file.refresh();
        assert!(faults[0].former_goes_on && faults[0].to_string().contains("no person `li`"), "{faults:?}");
        assert_eq!(file.in_force(), before);
        assert!(matches!(file.change("", &Roster::default()), Err(RosterRefused::Broken(_))));
        fs::remove_file(dir.path().join(ROSTER)).unwrap();
        assert!(file.refresh().is_empty());
        assert_eq!(*file.in_force(), Roster::default());
    }
}
