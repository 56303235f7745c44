//! The index: fast answers about alerts, and how far each upstream is. sled 0.34.7.
//!
//! It holds nothing that the journal (or, for delivery, the upstream's next receipt) cannot give
//! back. So it is opened with suspicion: what a crash leaves behind is removed, everything in it is
//! read through once, and whatever fails is set aside and rebuilt. The rules it is used by, and the
//! measurements behind them, are in `docs/decisions/0001-journal-and-index.md`.

use anyhow::Context;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::fs::{self, File};
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ninewatch_core::alert::{
    Alert, AlertChange, AlertId, ChangeKind, Evidence, Scene, Severity, Status, TakenAction, Verdict,
};
use ninewatch_core::time::TimeMs;

use crate::journal;
use crate::private;

/// Which change seqs an upstream has receipted: all up to one, and some beyond.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delivered {
    pub(crate) up_to: u64,
    #[serde(default)]
    pub(crate) also: BTreeSet<u64>,
    /// Whether it has ever sent a receipt. Until then, what its server took counts as receipted.
    #[serde(default)]
    pub(crate) receipted: bool,
}

/// An alert with its life and evidence. Of an alert that repeats for hours it holds the beginning and
/// the latest; the journal has it all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct AlertRecord {
    pub(crate) alert: Alert,
    pub(crate) life: Vec<Step>,
    pub(crate) evidence: Vec<Evidence>,
}

impl AlertRecord {
    /// The steps of the life, without what staff took back.
    pub(crate) fn standing(&self) -> impl DoubleEndedIterator<Item = &Step> {
        let undone: HashSet<_> = self.life.iter().filter_map(Step::undoes).collect();
        self.life.iter().filter(move |step| {
            !step.action.as_ref().is_some_and(|action| undone.contains(&(action.via.as_deref(), action.id.as_str())))
        })
    }

    /// Keeps a value small: sled writes it whole at each change.
    fn thin(&mut self) {
        const FIRST: usize = 4;
        const EVIDENCE: usize = 24;
        const STEPS: usize = 200;
        if self.evidence.len() > EVIDENCE {
            self.evidence.remove(FIRST);
        }
        let comes_and_goes = |step: &Step| matches!(step.kind, ChangeKind::Repeated | ChangeKind::Recovered);
        while self.life.len() > STEPS
            && let Some(at) = self.life.iter().skip(FIRST).position(comes_and_goes)
        {
            self.life.remove(FIRST + at);
        }
    }
}

/// One step of an alert's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) seq: u64,
    pub(crate) at_ms: TimeMs,
    pub(crate) kind: ChangeKind,
    pub(crate) by: Option<String>,
    pub(crate) note: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) action: Option<TakenAction>,
}

impl Step {
    /// Whose action, by which id, it takes back.
    fn undoes(&self) -> Option<(Option<&str>, &str)> {
        let action = self.action.as_ref()?;
        Some((action.via.as_deref(), action.undoes.as_deref()?))
    }
}

/// Which alerts are wanted, newest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct AlertQuery {
    pub(crate) status: Option<Status>,
    /// Only those that are not closed.
    pub(crate) open_only: bool,
    pub(crate) scene: Option<Scene>,
    pub(crate) severity: Option<Severity>,
    pub(crate) place: Option<String>,
    /// Only at these, where not all may be seen.
    pub(crate) places: Option<HashSet<String>>,
    pub(crate) verdict: Option<Verdict>,
    /// Raised at or after.
    pub(crate) from_ms: Option<TimeMs>,
    /// Raised before.
    pub(crate) to_ms: Option<TimeMs>,
    pub(crate) says: Option<Says>,
    /// Only older ones than this.
    pub(crate) before: Option<AlertId>,
    pub(crate) limit: usize,
}

/// What is looked for in an alert's words.
#[derive(Debug, Clone, Default)]
pub(crate) struct Says {
    text: String,
    /// The places that are called so.
    places: Vec<String>,
}

impl Says {
    pub(crate) fn new(text: &str, places: Vec<String>) -> Self {
        Self { text: text.trim().to_lowercase(), places }
    }

    fn is_said_by(&self, alert: &Alert) -> bool {
        let words = [&alert.title.zh, &alert.title.en, &alert.reason.zh, &alert.reason.en, &alert.place];
        let people = [&alert.accepted_by, &alert.dispatched_to].into_iter().flatten();
        let mut all = words.into_iter().chain(people).chain(&alert.devices).chain(&alert.rules);
        self.places.contains(&alert.place)
            || self.text.parse() == Ok(alert.number)
            || all.any(|word| word.to_lowercase().contains(&self.text))
    }
}

impl AlertQuery {
    fn wants(&self, alert: &Alert) -> bool {
        self.from_ms.is_none_or(|from| alert.raised_at_ms >= from)
            && self.to_ms.is_none_or(|to| alert.raised_at_ms < to)
            && self.verdict.is_none_or(|verdict| alert.verdict == Some(verdict))
            && self.says.as_ref().is_none_or(|says| says.is_said_by(alert))
            && self.status.is_none_or(|status| alert.status == status)
            && self.scene.is_none_or(|scene| alert.scene == scene)
            && self.severity.is_none_or(|severity| alert.severity == severity)
            && self.place.as_ref().is_none_or(|place| alert.place == *place)
            && self.places.as_ref().is_none_or(|places| places.contains(&alert.place))
    }
}

/// Whether the index had to be made anew.
#[derive(Debug, Clone, Default)]
pub(crate) struct IndexOpened {
    pub(crate) rebuilt: bool,
    pub(crate) why: String,
}

/// The index. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Index(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: sled::Db,
    /// Alert id → [`AlertRecord`].
    alerts: sled::Tree,
    /// Ids of alerts that are not closed.
    open: sled::Tree,
    /// Upstream name → [`Delivered`]; and under [`LAST_SEQ`] the last change applied.
    state: sled::Tree,
    /// sled's own data file: its flush does not sync it.
    file: File,
    flushed: Mutex<Instant>,
    /// The data folder, where [`DELIVERY`] is.
    data_dir: PathBuf,
    /// A delivery cursor has changed since [`DELIVERY`] was written.
    moved: AtomicBool,
    /// It could not be written, last time.
    failing: AtomicBool,
    /// sled has failed, and takes nothing more until it is opened anew.
    broken: AtomicBool,
    /// One flush at a time.
    flushing: Mutex<()>,
}

/// The delivery cursors once more, in the data folder: a backup cannot read sled's files while they are in use, and an
/// index that is made anew goes on from it.
pub(crate) const DELIVERY: &str = "delivery.json";

/// How far things are, for those who take the alert changes further: the writer and the outboxes.
pub(crate) trait Progress: fmt::Debug + Send + Sync {
    /// Takes alert changes; one that it has is passed over.
    ///
    /// # Errors
    /// Where they cannot be kept. The journal has the changes all the same.
    fn apply(&self, changes: &[AlertChange]) -> anyhow::Result<()>;
    /// The sequence number of the last change applied.
    fn last_seq(&self) -> u64;
    /// What an upstream has receipted.
    fn delivery(&self, upstream: &str) -> Delivered;
    /// Remembers what an upstream has receipted.
    fn set_delivery(&self, upstream: &str, delivered: &Delivered);
    /// Brings to disk what is due. Called between commits of the journal.
    fn maintain(&self);
    /// Brings everything to disk.
    fn flush(&self);
}

const LAST_SEQ: &[u8] = b"\0last_seq";
/// How stale what is on disk may be: losing it costs a rebuild of that much, or a repeated question
/// to the upstream.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// A slow card takes seconds. What is not on the disk by then is made anew at the next start.
const LONGEST_FLUSH: Duration = Duration::from_secs(5);
const CACHE_BYTES: u64 = 16 << 20;
/// The layout of values. Another one is rebuilt.
const VERSION: u8 = 1;

impl Index {
    /// Opens the index in `dir` and brings it up to the alert log.
    ///
    /// # Errors
    /// Where the folder cannot be used, or the journal not be read.
    pub(crate) fn open(dir: &Path, journal_dir: &Path) -> anyhow::Result<(Self, IndexOpened)> {
        let mut opened = IndexOpened::default();
        let was_there = dir.join("db").is_file();
        let index = match Self::open_whole(dir) {
            Ok(index) => index,
            Err(why) => {
                let aside = set_aside(dir)?;
                opened = IndexOpened { rebuilt: true, why: format!("{why:#}; the old one is in {}", aside.display()) };
                Self::open_whole(dir).context("the index cannot be made")?
            }
        };
        if index.is_new()? && was_there && !opened.rebuilt {
            opened = IndexOpened { rebuilt: true, why: "nothing was left in it".to_owned() };
        }
        let mut batch = Vec::new();
        for change in journal::read_alerts(journal_dir, index.last_seq() + 1)? {
            // Damage was told when the journal was opened.
            batch.extend(change.ok());
            if batch.len() >= 1000 {
                index.apply(&batch)?;
                batch.clear();
            }
        }
        index.apply(&batch)?;
        index.take_up_cursors();
        Ok((index, opened))
    }

    /// Whether it has never been opened. sled takes some damage for the end of what was written, and begins anew.
    fn is_new(&self) -> anyhow::Result<bool> {
        let made = self.0.db.open_tree("made")?;
        let is_new = made.insert(b"made", b"")?.is_none();
        if is_new {
            self.flush();
        }
        Ok(is_new)
    }

    /// Goes on from the cursors in the data folder, where the index has none.
    fn take_up_cursors(&self) {
        let Ok(kept) = fs::read(self.0.data_dir.join(DELIVERY)) else { return };
        // Without them the upstream tells at the next connection.
        let Ok(kept) = serde_json::from_slice::<BTreeMap<String, Delivered>>(&kept) else { return };
        for (upstream, delivered) in kept {
            let is_of_this_journal = delivered.up_to <= self.last_seq();
            if is_of_this_journal && self.read::<Delivered>(&self.0.state, upstream.as_bytes()).is_none() {
                self.set_delivery(&upstream, &delivered);
            }
        }
    }

    /// Writes the cursors to the data folder, if one has moved.
    fn keep_cursors(&self) -> anyhow::Result<()> {
        if !self.0.moved.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        // What cannot be written now is to be written still.
        let kept = self.write_cursors();
        if kept.is_err() {
            self.0.moved.store(true, Ordering::Relaxed);
        }
        kept
    }

    fn write_cursors(&self) -> anyhow::Result<()> {
        let mut cursors: BTreeMap<String, Delivered> = BTreeMap::new();
        for entry in &self.0.state {
            let (upstream, delivered) = entry?;
            if upstream != LAST_SEQ {
                cursors.insert(String::from_utf8_lossy(&upstream).into_owned(), unpack(&delivered)?);
            }
        }
        private::replace(&self.0.data_dir, DELIVERY, &serde_json::to_vec(&cursors)?)
    }

    /// Opens what is there and reads it all through once, so that damage shows now and not at night.
    fn open_whole(dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
        remove_half_snapshots(dir)?;
        // sled panics on some damage.
        let opened = catch_unwind(AssertUnwindSafe(|| -> anyhow::Result<Self> {
            let db = sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(None).open()?;
            let inner = Inner {
                alerts: db.open_tree("alerts")?,
                open: db.open_tree("open")?,
                state: db.open_tree("state")?,
                file: File::open(dir.join("db")).context("sled's data file")?,
                flushed: Mutex::new(Instant::now()),
                data_dir: dir.parent().unwrap_or(dir).to_owned(),
                moved: AtomicBool::new(false),
                failing: AtomicBool::new(false),
                broken: AtomicBool::new(false),
                flushing: Mutex::new(()),
                db,
            };
            for entry in &inner.alerts {
                unpack::<AlertRecord>(&entry?.1)?;
            }
            for entry in &inner.state {
                unpack::<serde_json::Value>(&entry?.1)?;
            }
            for entry in &inner.open {
                let (id, _) = entry?;
                anyhow::ensure!(inner.alerts.contains_key(id)?, "an open alert is not there");
            }
            Ok(Self(Arc::new(inner)))
        }));
        opened.unwrap_or_else(|_| anyhow::bail!("sled panicked"))
    }

    /// Whether it could not be brought to disk, last time.
    pub(crate) fn is_failing(&self) -> bool {
        self.0.failing.load(Ordering::Relaxed) || self.0.broken.load(Ordering::Relaxed)
    }

    /// An alert with its life and evidence.
    pub(crate) fn alert(&self, id: &AlertId) -> Option<AlertRecord> {
        self.read(&self.0.alerts, id.as_str().as_bytes())
    }

    /// The alerts that a query wants, newest first.
    pub(crate) fn alerts(&self, query: &AlertQuery) -> Vec<Alert> {
        self.records(query).map(|record| record.alert).take(query.limit).collect()
    }

    /// The same with their lives, read one by one, without a limit.
    pub(crate) fn records<'a>(&'a self, query: &'a AlertQuery) -> impl Iterator<Item = AlertRecord> + 'a {
        let open_only = query.open_only || query.status.is_some_and(|status| status != Status::Closed);
        let ids = if open_only { &self.0.open } else { &self.0.alerts };
        // An id begins with the time of raising.
        let from = query.from_ms.map(AlertId::least_at);
        let until = query.to_ms.map(AlertId::least_at).into_iter().chain(query.before.clone()).min();
        let keys = (
            from.as_ref().map_or(Bound::Unbounded, |id| Bound::Included(id.as_str().as_bytes())),
            until.as_ref().map_or(Bound::Unbounded, |id| Bound::Excluded(id.as_str().as_bytes())),
        );
        ids.range::<&[u8], _>(keys).rev().filter_map(move |entry| {
            let (id, value) = entry.ok()?;
            let record: AlertRecord = if open_only { self.read(&self.0.alerts, &id)? } else { unpack(&value).ok()? };
            query.wants(&record.alert).then_some(record)
        })
    }

    fn read<T: DeserializeOwned>(&self, tree: &sled::Tree, key: &[u8]) -> Option<T> {
        let value = tree.get(key).ok()??;
        unpack(&value).inspect_err(|error| tracing::error!("a value of the index is damaged: {error:#}")).ok()
    }
}

impl Inner {
    /// Whether sled did it; where it did not, it is left alone from then on.
    fn done<T>(&self, done: sled::Result<T>) -> anyhow::Result<T> {
        if done.is_err() {
            self.broken.store(true, Ordering::Relaxed);
        }
        Ok(done?)
    }

    fn is_whole(&self) -> anyhow::Result<()> {
        anyhow::ensure!(!self.broken.load(Ordering::Relaxed), "sled has failed before");
        Ok(())
    }

    /// sled's flush writes, but does not sync: that is done on a handle of our own.
    fn bring_to_disk(&self) {
        let _turn = self.flushing.lock().unwrap_or_else(PoisonError::into_inner);
        let flushed = self.is_whole().and_then(|()| self.done(self.db.flush()));
        let done = flushed.and_then(|_| Ok(self.file.sync_data()?));
        // Said once: it does not mend before the next start.
        if let Err(error) = &done
            && !self.failing.load(Ordering::Relaxed)
        {
            tracing::error!("the index could not be brought to disk, it is rebuilt at the next start: {error:#}");
        }
        self.failing.store(done.is_err(), Ordering::Relaxed);
    }
}

impl Index {
    /// Begins to bring it to disk, and gives what ends when that is done. On a thread of its own: where the disk was full,
    /// sled 0.34 can wait for ever for what it could not write, and alarms must not wait with it.
    fn begin_flush(&self) -> mpsc::Receiver<()> {
        let (done, flushed) = mpsc::channel();
        let inner = self.0.clone();
        let begun = std::thread::Builder::new().name("index".into()).spawn(move || {
            inner.bring_to_disk();
            // Whoever waits may open it anew.
            drop(inner);
            drop(done);
        });
        if let Err(error) = begun {
            tracing::error!("the index is not brought to disk: {error}");
        }
        flushed
    }

    fn cursors_to_disk(&self) {
        if let Err(error) = self.keep_cursors() {
            tracing::warn!("a backup will lack what upstreams have taken last: {error:#}");
        }
    }
}

impl Progress for Index {
    fn apply(&self, changes: &[AlertChange]) -> anyhow::Result<()> {
        self.0.is_whole()?;
        let mut last = self.last_seq();
        for change in changes {
            if change.seq <= last {
                continue;
            }
            let id = change.alert.id.as_str();
            let mut record = self.alert(&change.alert.id).unwrap_or_else(|| AlertRecord {
                alert: change.alert.clone(),
                life: Vec::new(),
                evidence: Vec::new(),
            });
            record.alert = change.alert.clone();
            record.life.push(Step {
                seq: change.seq,
                at_ms: change.at_ms,
                kind: change.kind,
                by: change.by.clone(),
                note: change.note.clone(),
                action: change.action.clone(),
            });
            record.evidence.extend(change.evidence.clone());
            record.thin();
            self.0.done(self.0.alerts.insert(id, pack(&record)?))?;
            if change.alert.status == Status::Closed {
                self.0.done(self.0.open.remove(id))?;
            } else {
                self.0.done(self.0.open.insert(id, &[]))?;
            }
            last = change.seq;
            // Last: what is applied twice after a crash is passed over, what is missed is not.
            self.0.done(self.0.state.insert(LAST_SEQ, pack(&last)?))?;
        }
        Ok(())
    }

    fn last_seq(&self) -> u64 {
        self.read(&self.0.state, LAST_SEQ).unwrap_or(0)
    }

    fn delivery(&self, upstream: &str) -> Delivered {
        self.read(&self.0.state, upstream.as_bytes()).unwrap_or_default()
    }

    fn set_delivery(&self, upstream: &str, delivered: &Delivered) {
        let written = self.0.is_whole().and_then(|()| pack(delivered));
        let written = written.and_then(|value| self.0.done(self.0.state.insert(upstream.as_bytes(), value)));
        self.0.moved.store(true, Ordering::Relaxed);
        if let Err(error) = written {
            // Harmless: the upstream tells again at the next connection.
            tracing::warn!(upstream, "the delivery cursor could not be kept: {error:#}");
        }
    }

    fn maintain(&self) {
        let is_due = self.0.flushed.lock().is_ok_and(|mut flushed| {
            let is_due = flushed.elapsed() >= FLUSH_EVERY;
            if is_due {
                *flushed = Instant::now();
            }
            is_due
        });
        // The one before may still be at it.
        if is_due && self.0.flushing.try_lock().is_ok() {
            drop(self.begin_flush());
            self.cursors_to_disk();
        }
    }

    fn flush(&self) {
        // It ends by an error: nothing is ever sent.
        if let Err(RecvTimeoutError::Timeout) = self.begin_flush().recv_timeout(LONGEST_FLUSH) {
            tracing::error!("the index does not come to disk, it is rebuilt at the next start");
        }
        self.cursors_to_disk();
    }
}

/// version | crc32 | JSON
fn pack(value: &impl Serialize) -> anyhow::Result<Vec<u8>> {
    let mut packed = vec![VERSION, 0, 0, 0, 0];
    serde_json::to_writer(&mut packed, value)?;
    let crc = crc32fast::hash(&packed[5..]);
    packed[1..5].copy_from_slice(&crc.to_le_bytes());
    Ok(packed)
}

fn unpack<T: DeserializeOwned>(packed: &[u8]) -> anyhow::Result<T> {
    let (head, body) = packed.split_at_checked(5).context("a value is cut short")?;
    anyhow::ensure!(head[0] == VERSION, "a value of layout {}", head[0]);
    anyhow::ensure!(head[1..] == crc32fast::hash(body).to_le_bytes(), "a value's checksum is wrong");
    Ok(serde_json::from_slice(body)?)
}

/// A kill while sled opens leaves half a snapshot that it would take for the newest one, and then
/// refuse to open for ever.
fn remove_half_snapshots(dir: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Moves a damaged index out of the way.
fn set_aside(dir: &Path) -> anyhow::Result<PathBuf> {
    for number in 1.. {
        let aside = dir.with_extension(format!("damaged-{number}"));
        if !aside.exists() {
            fs::rename(dir, &aside).with_context(|| format!("{} cannot be set aside", dir.display()))?;
            return Ok(aside);
        }
    }
    anyhow::bail!("there is no name left for a damaged index")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::JournalConfig;
    use crate::journal::Journal;

    fn index() -> (tempfile::TempDir, Index) {
        let dir = tempfile::tempdir().unwrap();
        let journal_dir = dir.path().join("journal");
        Journal::open(&journal_dir, &JournalConfig::default()).unwrap();
        let (index, _) = Index::open(&dir.path().join("index"), &journal_dir).unwrap();
        (dir, index)
    }

    /// sled once waited for ever for what a full disk had not taken, and every acknowledgement with it.
    #[test]
    fn nobody_waits_for_a_flush_that_does_not_end() {
        let (_dir, index) = index();
        let _does_not_end = index.0.flushing.lock().unwrap();
        *index.0.flushed.lock().unwrap() = Instant::now().checked_sub(FLUSH_EVERY).unwrap();
        index.maintain();
    }

    #[test]
    fn once_sled_has_failed_it_is_left_alone_and_that_is_told() {
        let (_dir, index) = index();
        index.flush();
        assert!(!index.is_failing());
        assert!(index.0.done::<()>(Err(sled::Error::ReportableBug(String::new()))).is_err());
        assert!(index.is_failing());
        assert_eq!(index.apply(&[]).unwrap_err().to_string(), "sled has failed before");
        index.set_delivery("city", &Delivered { up_to: 7, ..Delivered::default() });
        index.flush();
        assert_eq!((index.delivery("city"), index.is_failing()), (Delivered::default(), true));
    }
}
