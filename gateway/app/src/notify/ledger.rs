//! The ledger: what was told on which channel, and how far each channel is. A small log in the data folder, a line for each
//! alert that was told, on disk before the next message goes out.
//!
//! A kill between a service's answer and the line that follows from it makes that one message go out twice; nothing makes
//! one go missing, because the alerts themselves stand in the journal.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ninewatch_core::alert::{AlertId, ChangeKind, Severity};
use ninewatch_core::time::TimeMs;

use crate::index::Delivered;

/// The newest lines.
pub(crate) const LOG: &str = "notify.log";
/// Those before them.
pub(crate) const FORMER_LOG: &str = "notify.1.log";
/// A file this long is put aside: of some 20,000 messages the console can tell what became of them.
const LONGEST: u64 = 4 << 20;

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// The service took it.
    Sent,
    /// It was one of many in a message.
    Digest,
    /// For a day nothing got through, and by then nobody needs to know. Never of a critical alert.
    GivenUp,
    /// It has not been taken yet.
    Waiting,
}

/// What one channel told of one alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notification {
    pub(crate) channel: String,
    pub(crate) at_ms: TimeMs,
    /// The steps of the alert's life that it spoke of.
    pub(crate) told: Vec<ChangeKind>,
    pub(crate) result: Outcome,
    pub(crate) attempts: u32,
    /// What the service said last, where it did not take it at first.
    pub(crate) error: Option<String>,
    /// The rungs of the ladder on which it was; 0 is the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) rungs: Vec<u8>,
    /// Ids of those of the roster whom it called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) people: Vec<String>,
    /// It waits for the end of the quiet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) quiet: bool,
}

impl Notification {
    /// Whether the service took it.
    pub(crate) fn was_told(&self) -> bool {
        matches!(self.result, Outcome::Sent | Outcome::Digest)
    }
}

/// A notification, with what the channel remembers by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) alert: AlertId,
    pub(super) severity: Severity,
    /// The changes that are settled by it.
    pub(super) seqs: Vec<u64>,
    /// There is nothing more to tell of the alert.
    pub(super) over: bool,
    #[serde(flatten)]
    pub(super) notification: Notification,
}

/// How far a channel is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) delivered: Delivered,
    /// Of which alerts it has told, that are not over, and at which severity.
    pub(super) told: BTreeMap<AlertId, Severity>,
    /// When it last sent something, for its rate.
    #[serde(skip)]
    pub(super) sent_at: Vec<TimeMs>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// Everything up to this change is settled.
    UpTo {
        channel: String,
        up_to: u64,
    },
    Told {
        up_to: u64,
        entry: Entry,
    },
    /// Stands at the beginning of a file, so that the ones before it are not needed.
    Place {
        channel: String,
        place: Place,
    },
}

/// The log, open. What it says is in memory, so that nobody who asks waits for the disk.
pub(super) struct Ledger {
    data_dir: PathBuf,
    memory: Mutex<Memory>,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Memory {
    places: BTreeMap<String, Place>,
    notifications: HashMap<AlertId, Vec<Notification>>,
}

struct Log {
    file: File,
    bytes: u64,
}

impl Ledger {
    /// Opens it, without what a crash left of its last line.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub(super) fn open(data_dir: &Path) -> anyhow::Result<Self> {
        let (log, memory) = open(data_dir)?;
        Ok(Self { data_dir: data_dir.to_owned(), memory: Mutex::new(memory), log: Mutex::new(log) })
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at how far a channel is; none where it has never been.
    pub(super) fn look<T>(&self, channel: &str, look: impl FnOnce(Option<&Place>) -> T) -> T {
        look(self.memory().places.get(channel))
    }

    /// What was told of an alert, oldest first.
    pub(super) fn notifications(&self, alert: &AlertId) -> Vec<Notification> {
        self.memory().notifications.get(alert).cloned().unwrap_or_default()
    }

    /// Writes down what was told, down to the disk.
    ///
    /// # Errors
    /// Where it cannot be written. It counts all the same, until the gateway starts anew.
    pub(super) fn tell(&self, up_to: u64, entries: Vec<Entry>) -> anyhow::Result<()> {
        self.write(entries.into_iter().map(|entry| Line::Told { up_to, entry }).collect())
    }

    /// Writes down how far a channel is that has told nothing.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn move_to(&self, channel: &str, up_to: u64) -> anyhow::Result<()> {
        self.write(vec![Line::UpTo { channel: channel.to_owned(), up_to }])
    }

    /// Puts a channel at the end of a journal that it does not know.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn begin_at(&self, channel: &str, up_to: u64) -> anyhow::Result<()> {
        let delivered = Delivered { up_to, also: BTreeSet::new(), receipted: false };
        let place = Place { delivered, ..Place::default() };
        self.write(vec![Line::Place { channel: channel.to_owned(), place }])
    }

    fn write(&self, lines: Vec<Line>) -> anyhow::Result<()> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = Vec::new();
        for line in &lines {
            serde_json::to_writer(&mut bytes, line)?;
            bytes.push(b'\n');
        }
        {
            let mut memory = self.memory();
            lines.into_iter().for_each(|line| memory.take(line));
        }
        let unwritable = || format!("{LOG} in {} cannot be written", self.data_dir.display());
        let written = log.file.write_all(&bytes).and_then(|()| log.file.sync_data());
        if let Err(error) = written {
            // Half a line must not stand before a whole one.
            let _ = log.file.set_len(log.bytes);
            return Err(error).with_context(unwritable);
        }
        log.bytes += bytes.len() as u64;
        if log.bytes > LONGEST { self.turn_over(&mut log).with_context(unwritable) } else { Ok(()) }
    }

    /// Begins a new file, with what the old ones come to.
    fn turn_over(&self, log: &mut Log) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        for (channel, place) in &self.memory().places {
            serde_json::to_writer(&mut bytes, &Line::Place { channel: channel.clone(), place: place.clone() })?;
            bytes.push(b'\n');
        }
        let new = self.data_dir.join("notify.log.new");
        crate::private::write(&new, &bytes)?;
        // A crash in between leaves the old file in the former one's place, and its places are read from there.
        fs::rename(self.data_dir.join(LOG), self.data_dir.join(FORMER_LOG))?;
        fs::rename(&new, self.data_dir.join(LOG))?;
        File::open(&self.data_dir)?.sync_all()?;
        let (opened, memory) = open(&self.data_dir)?;
        *log = opened;
        *self.memory() = memory;
        Ok(())
    }
}

fn open(data_dir: &Path) -> anyhow::Result<(Log, Memory)> {
    let path = data_dir.join(LOG);
    let unusable = || format!("{} cannot be read and written; run this as its owner", path.display());
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path).with_context(unusable)?;
    let mut memory = Memory::default();
    memory.read(&data_dir.join(FORMER_LOG)).with_context(unusable)?;
    let bytes = memory.read(&path).with_context(unusable)?;
    file.set_len(bytes).with_context(unusable)?;
    Ok((Log { file, bytes }, memory))
}

impl Memory {
    /// Takes in the lines of a file, as far as they are whole; gives how far that is.
    fn read(&mut self, path: &Path) -> std::io::Result<u64> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error),
        };
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines = text.get(..whole).unwrap_or_default().split(|byte| *byte == b'\n');
        for line in lines.filter(|line| !line.is_empty()) {
            match serde_json::from_slice(line) {
                Ok(line) => self.take(line),
                Err(error) => {
                    tracing::error!("a line of {} is damaged; what it told may be told again: {error}", path.display());
                }
            }
        }
        Ok(whole as u64)
    }

    fn take(&mut self, line: Line) {
        match line {
            Line::Place { channel, place } => _ = self.places.insert(channel, place),
            Line::UpTo { channel, up_to } => self.places.entry(channel).or_default().settle_to(up_to),
            Line::Told { up_to, entry } => {
                let place = self.places.entry(entry.notification.channel.clone()).or_default();
                place.settle_to(up_to);
                entry.seqs.iter().for_each(|seq| place.delivered.add(*seq));
                if entry.over {
                    place.told.remove(&entry.alert);
                } else if entry.notification.result != Outcome::GivenUp {
                    place.told.insert(entry.alert.clone(), entry.severity);
                }
                place.sent(&entry.notification);
                self.notifications.entry(entry.alert).or_default().push(entry.notification);
            }
        }
    }
}

impl Place {
    /// All that one message spoke of bears the same time.
    fn sent(&mut self, notification: &Notification) {
        if notification.result == Outcome::GivenUp || self.sent_at.last() == Some(&notification.at_ms) {
            return;
        }
        self.sent_at.push(notification.at_ms);
        // More than any service takes in a minute.
        if self.sent_at.len() > 512 {
            self.sent_at.drain(..256);
        }
    }

    fn settle_to(&mut self, up_to: u64) {
        self.delivered.up_to = self.delivered.up_to.max(up_to);
        self.delivered.compact();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(channel: &str, alert: &str, seq: u64, over: bool) -> Entry {
        Entry {
            alert: AlertId::from(alert),
            severity: Severity::Major,
            seqs: vec![seq],
            over,
            notification: Notification {
                channel: channel.into(),
                at_ms: 1_795_467_300_000 + i64::try_from(seq).unwrap(),
                told: vec![ChangeKind::Raised],
                result: Outcome::Sent,
                attempts: 1,
                error: None,
                rungs: Vec::new(),
                people: Vec::new(),
                quiet: false,
            },
        }
    }

    #[test]
    fn what_was_told_is_known_after_a_crash_and_a_torn_line() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        ledger.begin_at("duty", 10).unwrap();
        ledger.tell(12, vec![entry("duty", "a", 14, false), entry("duty", "b", 13, false)]).unwrap();
        ledger.tell(14, vec![entry("duty", "b", 15, true)]).unwrap();
        ledger.move_to("duty", 20).unwrap();
        drop(ledger);
        let mut file = OpenOptions::new().append(true).open(dir.path().join(LOG)).unwrap();
        file.write_all(b"{\"told\":{\"up_to\":99,").unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        let place = ledger.look("duty", |place| place.cloned()).unwrap();
        assert_eq!((place.delivered.up_to, place.delivered.also.len()), (20, 0));
        assert_eq!(place.told.keys().map(AlertId::as_str).collect::<Vec<_>>(), ["a"]);
        assert_eq!(ledger.notifications(&AlertId::from("b")).len(), 2);
        // What is written next is not spoilt by the torn line.
        ledger.move_to("duty", 21).unwrap();
        let again = Ledger::open(dir.path()).unwrap();
        assert_eq!(again.look("duty", |place| place.unwrap().delivered.up_to), 21);
        assert!(again.look("other", |place| place.is_none()));
    }

    #[test]
    fn the_log_stays_small_and_forgets_no_channel() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        ledger.tell(1, vec![entry("rare", "old", 2, false)]).unwrap();
        let many: Vec<Entry> = (0..15_000).map(|n| entry("duty", &format!("alert-{n}"), n + 3, true)).collect();
        for _ in 0..4 {
            ledger.tell(2, many.clone()).unwrap();
        }
        drop(ledger);
        let bytes = |name: &str| fs::metadata(dir.path().join(name)).unwrap().len();
        assert!(bytes(LOG) < 2 * LONGEST && bytes(FORMER_LOG) < 2 * LONGEST);
        let ledger = Ledger::open(dir.path()).unwrap();
        assert!(ledger.look("rare", |place| place.unwrap().told.contains_key(&AlertId::from("old"))));
        assert_eq!(ledger.look("duty", |place| place.unwrap().delivered.up_to), 15_002);
    }
}
