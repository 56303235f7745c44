//! The outbox: which alert changes a sink still has to be given.
//!
//! It stores nothing of its own. The changes are the journal's alert log, and how far a sink is
//! stands in the index. A sink takes what [`JournalOutbox::next`] gives, and says what became of it.

use anyhow::Context;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::broadcast::{self, error::RecvError, error::TryRecvError};
use tokio::task::JoinHandle;

use ninewatch_core::alert::{AlertChange, AlertId, Severity};

use super::cloudevent::Receipt;
use super::queue::Queue;
use crate::engine::{Engine, Stopped};
use crate::index::{Delivered, Index};
use crate::journal;

/// A change to send.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) seq: u64,
    /// `None` where the log's record of it is damaged.
    pub(crate) change: Option<Arc<AlertChange>>,
}

/// Changes read from the log at once, and about as many as are held in memory.
const PAGE: usize = 256;

/// What one sink has still to be given, out of the journal.
pub(crate) struct JournalOutbox {
    sink: String,
    journal_dir: PathBuf,
    engine: Engine,
    index: Index,
    delivered: Delivered,
    /// Given out, and the next hop has it, but no receipt came yet: since when.
    unreceipted: BTreeMap<u64, Instant>,
    /// Given out, and nothing is known of it.
    under_way: HashMap<u64, AlertId>,
    queue: Queue,
    /// The bodies of some that wait.
    bodies: BTreeMap<u64, Option<Arc<AlertChange>>>,
    live: broadcast::Receiver<Arc<AlertChange>>,
    /// Everything up to here is in the queue, or past it.
    known_to: u64,
    /// What is durable reaches at least to here.
    durable_to: u64,
    /// Where the log was read last for changes of critical alerts, and for others.
    readers: [Option<Reader>; 2],
    /// The log is being read on another thread.
    reading: Option<JoinHandle<io::Result<Read>>>,
}

/// The log from some change on.
struct Reader {
    at: u64,
    changes: Box<dyn Iterator<Item = AlertChange> + Send>,
}

/// What was read from the log.
#[derive(Default)]
struct Read {
    /// New changes: number, alert, whether it is critical.
    headers: Vec<(u64, AlertId, bool)>,
    bodies: Vec<AlertChange>,
    /// How far the log was read for headers.
    scanned_to: Option<u64>,
    /// The change whose body was wanted; if it is not among them, the log has lost it.
    wanted: Option<u64>,
    /// Whether only critical alerts were read, and by which reader.
    reader: Option<(bool, Reader)>,
}

impl JournalOutbox {
    /// The outbox of the sink with this name, at the place where it was left.
    pub(crate) fn new(sink: &str, journal_dir: PathBuf, engine: Engine, index: Index) -> Self {
        let mut delivered = index.delivery(sink);
        let last = index.last_seq();
        if delivered.up_to > last {
            tracing::warn!(sink, delivered.up_to, last, "this sink's cursor is of another journal: all is sent");
            delivered = Delivered::default();
        }
        let mut outbox = Self {
            sink: sink.to_owned(),
            journal_dir,
            live: engine.changes(),
            engine,
            index,
            delivered,
            unreceipted: BTreeMap::new(),
            under_way: HashMap::new(),
            queue: Queue::default(),
            bodies: BTreeMap::new(),
            known_to: 0,
            durable_to: last,
            readers: [None, None],
            reading: None,
        };
        outbox.rewind();
        outbox
    }

    /// Whether the sink has ever sent a receipt: then receipts alone say what it has.
    pub(crate) fn is_receipted(&self) -> bool {
        self.delivered.receipted
    }

    /// The last change that is known to be durable.
    fn last_seq(&self) -> u64 {
        self.known_to.max(self.durable_to).max(self.index.last_seq())
    }

    /// Begins anew with everything that the sink is not known to have.
    pub(crate) fn rewind(&mut self) {
        // First listen, then look: what comes in between is seen twice rather than not at all.
        self.live = self.engine.changes();
        self.durable_to = self.durable_to.max(self.index.last_seq());
        self.known_to = self.delivered.up_to;
        self.queue = Queue::default();
        self.bodies.clear();
        self.under_way.clear();
        self.unreceipted.clear();
        self.readers = [None, None];
        self.reading = None;
    }

    /// Waits for the next change to send. Critical alerts come first; of each alert one change is
    /// under way at a time, until [`Self::arrived`] or [`Self::put_back`]. Cancel safe.
    ///
    /// # Errors
    /// Where the log cannot be read, or the gateway is stopping.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Outgoing> {
        loop {
            self.hear()?;
            if let Some(reading) = &mut self.reading {
                let read = reading.await.context("the reader of the alert log is gone");
                self.reading = None;
                self.take_in(read?.context("the alert log cannot be read")?);
            } else if self.known_to < self.durable_to {
                let (dir, from, to) = (self.journal_dir.clone(), self.known_to + 1, self.durable_to);
                self.reading = Some(tokio::task::spawn_blocking(move || scan(&dir, from, to)));
            } else if let Some(outgoing) = self.give_out() {
                return Ok(outgoing);
            } else if let Some((first, critical)) = self.queue.first() {
                let dir = self.journal_dir.clone();
                let only = critical.then(|| self.queue.critical_alerts());
                let reader = self.readers[usize::from(critical)].take();
                self.reading = Some(tokio::task::spawn_blocking(move || page(&dir, reader, first, only.as_ref())));
            } else {
                self.readers = [None, None];
                let heard = self.live.recv().await;
                self.learn(heard)?;
            }
        }
    }

    /// The next hop has taken the change. For a sink that sends no receipts, that is delivery.
    pub(crate) fn arrived(&mut self, seq: u64) {
        let Some(alert) = self.under_way.remove(&seq) else { return };
        self.queue.done(&alert);
        if self.delivered.receipted {
            if !self.delivered.holds(seq) {
                self.unreceipted.insert(seq, Instant::now());
            }
        } else {
            self.delivered.add(seq);
            self.keep();
        }
    }

    /// The next hop has not taken the change: it is to be sent again.
    pub(crate) fn put_back(&mut self, seq: u64) {
        if let Some(alert) = self.under_way.remove(&seq) {
            self.queue.put_back(seq, &alert);
        }
    }

    /// Takes a receipt; gives how many changes it was the first to speak of.
    pub(crate) fn receipt(&mut self, receipt: Receipt) -> u64 {
        // The first one ever ends the time in which arrival counted as delivery.
        let whole = !self.delivered.receipted;
        self.take_receipt(receipt, whole)
    }

    /// Takes a receipt that is known to be the newest, and so says also what the sink does not have.
    pub(crate) fn restate(&mut self, receipt: Receipt) -> u64 {
        self.take_receipt(receipt, true)
    }

    fn take_receipt(&mut self, receipt: Receipt, whole: bool) -> u64 {
        let last = self.last_seq();
        let reaches = receipt.also.last().copied().unwrap_or(0).max(receipt.up_to);
        if reaches > last {
            tracing::error!(
                sink = self.sink,
                "passed over a receipt for change {reaches}: the last one here is {last}. The sink knows this gateway \
                 by an older journal and has to forget it"
            );
            return 0;
        }
        let before = self.delivered.count();
        if whole {
            self.delivered = Delivered { up_to: receipt.up_to, also: receipt.also, receipted: true };
        } else {
            self.delivered.also.extend(receipt.also);
            self.delivered.up_to = self.delivered.up_to.max(receipt.up_to);
        }
        self.delivered.compact();
        let delivered = &self.delivered;
        self.unreceipted.retain(|seq, _| !delivered.holds(*seq));
        self.keep();
        self.delivered.count().saturating_sub(before)
    }

    /// Since when a change has been with the next hop without a receipt, longest first.
    pub(crate) fn oldest_unreceipted(&self) -> Option<(u64, Instant)> {
        self.unreceipted.iter().min_by_key(|(_, since)| **since).map(|(seq, since)| (*seq, *since))
    }

    fn keep(&self) {
        self.index.set_delivery(&self.sink, &self.delivered);
    }

    /// Takes in what has been announced.
    fn hear(&mut self) -> anyhow::Result<()> {
        loop {
            let heard = match self.live.try_recv() {
                Ok(change) => Ok(change),
                Err(TryRecvError::Lagged(missed)) => Err(RecvError::Lagged(missed)),
                Err(TryRecvError::Closed) => Err(RecvError::Closed),
                Err(TryRecvError::Empty) => return Ok(()),
            };
            self.learn(heard)?;
        }
    }

    fn learn(&mut self, heard: Result<Arc<AlertChange>, RecvError>) -> anyhow::Result<()> {
        match heard {
            Ok(change) => {
                let seq = change.seq;
                self.durable_to = self.durable_to.max(seq);
                // Another number is known already, or what lies before it has to be read first.
                if seq == self.known_to + 1 {
                    self.enqueue(seq, &change.alert.id, is_critical(&change));
                    if self.bodies.len() < 2 * PAGE {
                        self.bodies.insert(seq, Some(change));
                    }
                }
            }
            // The log has what was missed here.
            Err(RecvError::Lagged(_)) => self.durable_to = self.durable_to.max(self.index.last_seq()),
            Err(RecvError::Closed) => return Err(Stopped.into()),
        }
        Ok(())
    }

    fn take_in(&mut self, read: Read) {
        for (seq, alert, critical) in read.headers {
            if seq <= self.known_to {
                continue;
            }
            // Numbers have no gaps: what is missing before one that is there is damaged.
            while self.known_to + 1 < seq {
                let lost = self.known_to + 1;
                tracing::error!(sink = self.sink, seq = lost, "the alert log has lost a change");
                self.enqueue(lost, &AlertId::from(""), false);
                self.bodies.insert(lost, None);
            }
            self.enqueue(seq, &alert, critical);
        }
        for change in read.bodies {
            if self.queue.holds(change.seq, &change.alert.id) {
                self.bodies.insert(change.seq, Some(Arc::new(change)));
            }
        }
        if let Some(wanted) = read.wanted {
            self.bodies.entry(wanted).or_insert(None);
        }
        if let Some((critical, reader)) = read.reader {
            self.readers[usize::from(critical)] = Some(reader);
        }
        if read.scanned_to == Some(self.durable_to) {
            // What is damaged at the log's end shows as a gap when the next change comes.
            self.durable_to = self.known_to;
        }
    }

    fn enqueue(&mut self, seq: u64, alert: &AlertId, critical: bool) {
        self.known_to = seq;
        if !self.delivered.holds(seq) {
            self.queue.push(seq, alert, critical);
        }
    }

    fn give_out(&mut self) -> Option<Outgoing> {
        loop {
            let (seq, _) = self.queue.first()?;
            let delivered = self.delivered.holds(seq);
            let body = self.bodies.remove(&seq);
            if body.is_none() && !delivered {
                return None;
            }
            let (seq, alert) = self.queue.take()?;
            match body {
                Some(change) if !delivered => {
                    self.under_way.insert(seq, alert);
                    return Some(Outgoing { seq, change });
                }
                // A receipt came while it waited.
                _ => self.queue.done(&alert),
            }
        }
    }
}

fn is_critical(change: &AlertChange) -> bool {
    change.alert.severity == Severity::Critical
}

/// Reads who waits from `from` to `to`, and the first bodies. Not beyond `to`: the writer may have
/// written what is not synced yet.
fn scan(journal_dir: &Path, from: u64, to: u64) -> io::Result<Read> {
    let mut read = Read { scanned_to: Some(to), ..Read::default() };
    // Damage was told when the journal was opened; here it shows as a gap.
    for change in journal::read_alerts(journal_dir, from)?.flatten().take_while(|change| change.seq <= to) {
        read.headers.push((change.seq, change.alert.id.clone(), is_critical(&change)));
        if read.bodies.len() < PAGE {
            read.bodies.push(change);
        }
    }
    Ok(read)
}

/// Reads the bodies from `wanted` on: of all alerts, or only of some. Goes on with a reader that is
/// there, unless it is past `wanted`, or at the end of the log as it was when it was opened.
fn page(journal_dir: &Path, reader: Option<Reader>, wanted: u64, only: Option<&HashSet<AlertId>>) -> io::Result<Read> {
    let going_on =
        reader.filter(|reader| reader.at <= wanted).and_then(|mut reader| Some((reader.next(wanted)?, reader)));
    let (first, mut reader) = match going_on {
        Some((first, reader)) => (Some(first), reader),
        None => {
            let changes = Box::new(journal::read_alerts(journal_dir, wanted)?.flatten());
            let mut reader = Reader { at: wanted, changes };
            (reader.next(wanted), reader)
        }
    };
    let changes = first.into_iter().chain(std::iter::from_fn(|| reader.next(wanted)));
    let wants = |change: &AlertChange| only.is_none_or(|alerts| alerts.contains(&change.alert.id));
    let bodies = changes.filter(wants).take(PAGE).collect();
    Ok(Read { bodies, wanted: Some(wanted), reader: Some((only.is_some(), reader)), ..Read::default() })
}

impl Reader {
    /// The next change that is not before `from`.
    fn next(&mut self, from: u64) -> Option<AlertChange> {
        let change = self.changes.find(|change| change.seq >= from)?;
        self.at = change.seq + 1;
        Some(change)
    }
}

impl Delivered {
    /// Whether the change with this number has been delivered.
    pub(crate) fn holds(&self, seq: u64) -> bool {
        seq <= self.up_to || self.also.contains(&seq)
    }

    /// How many have been.
    pub(crate) fn count(&self) -> u64 {
        self.up_to + self.also.len() as u64
    }

    fn add(&mut self, seq: u64) {
        self.also.insert(seq);
        self.compact();
    }

    /// Draws together what has no gap.
    fn compact(&mut self) {
        self.also = self.also.split_off(&(self.up_to + 1));
        while self.also.remove(&(self.up_to + 1)) {
            self.up_to += 1;
        }
    }
}
