//! The index: fast answers about alerts, and how far each upstream is. sled 0.34.7.
//!
//! It holds nothing that the journal (or, for delivery, the upstream's next receipt) cannot give
//! back. So it is opened with suspicion: what a crash leaves behind is removed, everything in it is
//! read through once, and whatever fails is set aside and rebuilt, at a start or while the gateway runs. The rules it is
//! used by, and the measurements behind them, are in `docs/decisions/0001-journal-and-index.md`.

mod query;
mod record;
mod store;

pub(crate) use query::{AlertQuery, Says};
pub(crate) use record::AlertRecord;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ninewatch_core::alert::{Alert, AlertChange, AlertId, Status};

use crate::journal;
use crate::private;
use store::{LAST_SEQ, Store, unpack};

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

/// Whether the index had to be made anew.
#[derive(Debug, Clone, Default)]
pub(crate) struct IndexOpened {
    pub(crate) rebuilt: bool,
    pub(crate) why: String,
}

/// The index. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Index(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// `index` in the data folder; one that was made while the gateway ran is in `index.1` and so on, until the next start.
    dir: PathBuf,
    journal_dir: PathBuf,
    /// Where [`DELIVERY`] is.
    data_dir: PathBuf,
    store: RwLock<Arc<Store>>,
    flushed: Mutex<Instant>,
    /// A delivery cursor has changed since [`DELIVERY`] was written.
    moved: AtomicBool,
    renewal: Mutex<Renewal>,
}

/// How often it was made anew since the start, and when the next try may be.
#[derive(Debug)]
struct Renewal {
    tries: u32,
    next: Instant,
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

/// How stale what is on disk may be: losing it costs a rebuild of that much, or a repeated question
/// to the upstream.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// A slow card takes seconds. What is not on the disk by then is made anew at the next start.
const LONGEST_FLUSH: Duration = Duration::from_secs(5);
/// How long after a failure a new index is tried; twice as long each time. What failed stays in memory, some 16 MiB.
const FIRST_RENEWAL: Duration = Duration::from_secs(2);
/// Without this much room on the disk it would only fail again.
const ROOM: u64 = 8 << 20;

impl Index {
    /// Opens the index in `dir` and brings it up to the alert log.
    ///
    /// # Errors
    /// Where the folder cannot be used, or the journal not be read.
    pub(crate) fn open(dir: &Path, journal_dir: &Path) -> anyhow::Result<(Self, IndexOpened)> {
        let mut opened = IndexOpened::default();
        take_renewed(dir)?;
        let was_there = dir.join("db").is_file();
        let store = match Store::open(dir) {
            Ok(store) => store,
            Err(why) => {
                let aside = set_aside(dir)?;
                opened = IndexOpened { rebuilt: true, why: format!("{why:#}; the old one is in {}", aside.display()) };
                Store::open(dir).context("the index cannot be made")?
            }
        };
        let is_new = store.is_new()?;
        if is_new && was_there && !opened.rebuilt {
            opened = IndexOpened { rebuilt: true, why: "nothing was left in it".to_owned() };
        }
        let index = Self(Arc::new(Shared {
            dir: dir.to_owned(),
            journal_dir: journal_dir.to_owned(),
            data_dir: dir.parent().unwrap_or(dir).to_owned(),
            flushed: Mutex::new(Instant::now()),
            moved: AtomicBool::new(false),
            renewal: Mutex::new(Renewal { tries: 0, next: Instant::now() }),
            store: RwLock::new(Arc::new(store)),
        }));
        if is_new {
            index.flush();
        }
        let store = index.store();
        catch_up(&store, journal_dir)?;
        index.0.take_up_cursors(&store);
        Ok((index, opened))
    }

    fn store(&self) -> Arc<Store> {
        self.0.store.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it could not be brought to disk, last time.
    pub(crate) fn is_failing(&self) -> bool {
        self.store().is_failing()
    }

    /// An alert with its life and evidence.
    pub(crate) fn alert(&self, id: &AlertId) -> Option<AlertRecord> {
        let store = self.store();
        store.read(&store.alerts, id.as_str().as_bytes())
    }

    /// The alerts that a query wants, newest first.
    pub(crate) fn alerts(&self, query: &AlertQuery) -> Vec<Alert> {
        self.records(query).map(|record| record.alert).take(query.limit).collect()
    }

    /// The same with their lives, read one by one, without a limit.
    pub(crate) fn records<'a>(&self, query: &'a AlertQuery) -> impl Iterator<Item = AlertRecord> + use<'a> {
        let store = self.store();
        let open_only = query.open_only || query.status.is_some_and(|status| status != Status::Closed);
        let ids = if open_only { &store.open } else { &store.alerts };
        // An id begins with the time of raising.
        let from = query.from_ms.map(AlertId::least_at);
        let until = query.to_ms.map(AlertId::least_at).into_iter().chain(query.before.clone()).min();
        let keys = (
            from.as_ref().map_or(Bound::Unbounded, |id| Bound::Included(id.as_str().as_bytes())),
            until.as_ref().map_or(Bound::Unbounded, |id| Bound::Excluded(id.as_str().as_bytes())),
        );
        ids.range::<&[u8], _>(keys).rev().filter_map(move |entry| {
            let (id, value) = entry.ok()?;
            let record: AlertRecord = if open_only { store.read(&store.alerts, &id)? } else { unpack(&value).ok()? };
            query.wants(&record.alert).then_some(record)
        })
    }

    /// Begins to bring it to disk, and gives what ends when that is done. On a thread of its own: where the disk was full,
    /// sled 0.34 can wait for ever for what it could not write, and alarms must not wait with it.
    fn begin_flush(&self) -> mpsc::Receiver<()> {
        let store = self.store();
        on_its_own_thread(move || {
            store.bring_to_disk();
            // Whoever waits may open it anew.
            drop(store);
        })
    }

    /// Makes it anew from the journal after sled has failed, when it is time for that and there is room.
    fn begin_renewal(&self) {
        let Ok(mut renewal) = self.0.renewal.try_lock() else { return };
        let has_room = rustix::fs::statvfs(&self.0.data_dir).is_ok_and(|disk| disk.f_bavail * disk.f_frsize >= ROOM);
        if !self.store().is_broken() || Instant::now() < renewal.next || !has_room {
            return;
        }
        renewal.next = Instant::now() + FIRST_RENEWAL * 2_u32.saturating_pow(renewal.tries.min(20));
        renewal.tries += 1;
        let (shared, number) = (self.0.clone(), renewal.tries);
        drop(on_its_own_thread(move || match shared.renew(number) {
            Ok(()) => tracing::info!("the index was made anew from the journal"),
            Err(error) => tracing::error!("the index cannot be made anew, it is tried again: {error:#}"),
        }));
    }
}

impl Shared {
    /// Makes the index anew beside the one that failed. That one is never touched again, not even to close it: it may
    /// wait for ever, or write into its folder.
    fn renew(&self, number: u32) -> anyhow::Result<()> {
        let dir = renewed(&self.dir, number);
        let made = || {
            let store = Store::open(&dir)?;
            store.is_new()?;
            catch_up(&store, &self.journal_dir)?;
            anyhow::Ok(store)
        };
        let store = made().inspect_err(|_| _ = fs::remove_dir_all(&dir))?;
        // Most of it is done while others go on, the rest while the writer waits.
        let mut current = self.store.write().unwrap_or_else(PoisonError::into_inner);
        catch_up(&store, &self.journal_dir)?;
        self.take_up_cursors(&store);
        std::mem::forget(std::mem::replace(&mut *current, Arc::new(store)));
        Ok(())
    }

    /// Goes on from the cursors in the data folder, where the index has none.
    fn take_up_cursors(&self, store: &Store) {
        let Ok(kept) = fs::read(self.data_dir.join(DELIVERY)) else { return };
        // Without them the upstream tells at the next connection.
        let Ok(kept) = serde_json::from_slice::<BTreeMap<String, Delivered>>(&kept) else { return };
        for (upstream, delivered) in kept {
            let is_of_this_journal = delivered.up_to <= last_seq(store);
            if is_of_this_journal && store.read::<Delivered>(&store.state, upstream.as_bytes()).is_none() {
                self.set_delivery(store, &upstream, &delivered);
            }
        }
    }

    fn set_delivery(&self, store: &Store, upstream: &str, delivered: &Delivered) {
        let written = store.put(&store.state, upstream.as_bytes(), delivered);
        self.moved.store(true, Ordering::Relaxed);
        if let Err(error) = written {
            // Harmless: the upstream tells again at the next connection.
            tracing::warn!(upstream, "the delivery cursor could not be kept: {error:#}");
        }
    }

    /// Writes the cursors to the data folder, if one has moved.
    fn keep_cursors(&self, store: &Store) {
        if !self.moved.swap(false, Ordering::Relaxed) {
            return;
        }
        let kept = store.cursors().and_then(|cursors| {
            let cursors: BTreeMap<String, Delivered> = cursors.into_iter().collect();
            private::replace(&self.data_dir, DELIVERY, &serde_json::to_vec(&cursors)?)
        });
        // What cannot be written now is to be written still.
        if let Err(error) = kept {
            self.moved.store(true, Ordering::Relaxed);
            tracing::warn!("a backup will lack what upstreams have taken last: {error:#}");
        }
    }
}

/// Runs it, and gives what ends when it has ended.
fn on_its_own_thread(work: impl FnOnce() + Send + 'static) -> mpsc::Receiver<()> {
    let (done, ended) = mpsc::channel();
    let begun = std::thread::Builder::new().name("index".into()).spawn(move || {
        work();
        drop(done);
    });
    if let Err(error) = begun {
        tracing::error!("the index is not looked after: {error}");
    }
    ended
}

fn last_seq(store: &Store) -> u64 {
    store.read(&store.state, LAST_SEQ).unwrap_or(0)
}

fn apply(store: &Store, changes: &[AlertChange]) -> anyhow::Result<()> {
    store.is_whole()?;
    let mut last = last_seq(store);
    for change in changes {
        if change.seq <= last {
            continue;
        }
        let id = change.alert.id.as_str().as_bytes();
        let mut record = store.read(&store.alerts, id).unwrap_or_else(|| AlertRecord {
            alert: change.alert.clone(),
            life: Vec::new(),
            evidence: Vec::new(),
        });
        record.take(change);
        store.put(&store.alerts, id, &record)?;
        if change.alert.status == Status::Closed {
            store.done(store.open.remove(id))?;
        } else {
            store.done(store.open.insert(id, &[]))?;
        }
        last = change.seq;
        // Last: what is applied twice after a crash is passed over, what is missed is not.
        store.put(&store.state, LAST_SEQ, &last)?;
    }
    Ok(())
}

/// Brings it up to the alert log.
fn catch_up(store: &Store, journal_dir: &Path) -> anyhow::Result<()> {
    let mut batch = Vec::new();
    for change in journal::read_alerts(journal_dir, last_seq(store) + 1)? {
        // Damage was told when the journal was opened.
        batch.extend(change.ok());
        if batch.len() >= 1000 {
            apply(store, &batch)?;
            batch.clear();
        }
    }
    apply(store, &batch)
}

impl Progress for Index {
    fn apply(&self, changes: &[AlertChange]) -> anyhow::Result<()> {
        // Held meanwhile: what is made anew has all that was applied to the one before.
        let store = self.0.store.read().unwrap_or_else(PoisonError::into_inner);
        apply(&store, changes)
    }

    fn last_seq(&self) -> u64 {
        last_seq(&self.store())
    }

    fn delivery(&self, upstream: &str) -> Delivered {
        let store = self.store();
        store.read(&store.state, upstream.as_bytes()).unwrap_or_default()
    }

    fn set_delivery(&self, upstream: &str, delivered: &Delivered) {
        self.0.set_delivery(&self.store(), upstream, delivered);
    }

    fn maintain(&self) {
        let is_due = self.0.flushed.lock().is_ok_and(|mut flushed| {
            let is_due = flushed.elapsed() >= FLUSH_EVERY;
            if is_due {
                *flushed = Instant::now();
            }
            is_due
        });
        if !is_due {
            return;
        }
        let store = self.store();
        if store.is_broken() {
            self.begin_renewal();
        } else if store.flushing.try_lock().is_ok() {
            // The one before may still be at it.
            drop(self.begin_flush());
        }
        self.0.keep_cursors(&store);
    }

    fn flush(&self) {
        // It ends by an error: nothing is ever sent.
        if let Err(RecvTimeoutError::Timeout) = self.begin_flush().recv_timeout(LONGEST_FLUSH) {
            tracing::error!("the index does not come to disk, it is rebuilt at the next start");
        }
        self.0.keep_cursors(&self.store());
    }
}

fn renewed(dir: &Path, number: u32) -> PathBuf {
    dir.with_extension(number.to_string())
}

/// Puts the last index that was made while the gateway ran in the place of the one that failed then.
fn take_renewed(dir: &Path) -> anyhow::Result<()> {
    let parent = dir.parent().unwrap_or(dir);
    let Ok(entries) = fs::read_dir(parent) else { return Ok(()) };
    let mut newer = BTreeMap::new();
    for entry in entries {
        let path = entry.with_context(|| format!("{} cannot be read", parent.display()))?.path();
        let number = path.extension().and_then(|number| number.to_str()?.parse::<u32>().ok());
        if let Some(number) = number.filter(|number| path == renewed(dir, *number)) {
            newer.insert(number, path);
        }
    }
    for path in newer.into_values() {
        let put = || -> std::io::Result<()> {
            if dir.exists() {
                fs::remove_dir_all(dir)?;
            }
            fs::rename(&path, dir)
        };
        put().with_context(|| format!("{} cannot be put in the place of the former index", path.display()))?;
    }
    Ok(())
}

/// Moves a damaged index out of the way, in the place of the one before.
fn set_aside(dir: &Path) -> anyhow::Result<PathBuf> {
    let aside = dir.with_extension("damaged");
    let moved = || -> std::io::Result<()> {
        if aside.exists() {
            fs::remove_dir_all(&aside)?;
        }
        fs::rename(dir, &aside)
    };
    moved().with_context(|| format!("{} cannot be set aside", dir.display()))?;
    Ok(aside)
}

#[cfg(test)]
mod tests;
