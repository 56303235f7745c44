//! The outbox: which alert changes a sink still has to be given.
//!
//! It stores nothing of its own. The changes are the journal's alert log, and how far a sink is
//! stands in the index. A sink takes what [`JournalOutbox::next`] gives, and says what became of it.

use anyhow::Context;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::{self, error::RecvError, error::TryRecvError};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use ninewatch_core::alert::{AlertChange, AlertId, ChangeKind, Severity};

use super::cloudevent::Receipt;
use super::queue::Queue;
use crate::engine::{Engine, Stopped};
use crate::index::{Delivered, Progress};
use crate::journal::{self, Heads, Mark, Spot};

/// Changes whose bodies are read at once.
const PAGE: usize = 256;

/// A change to send.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) seq: u64,
    /// `None` where the log's record of it is damaged.
    pub(crate) change: Option<Arc<AlertChange>>,
}

/// What was read from the log, on a thread for such work.
enum Read {
    /// As far as this number.
    Heads(u64, Heads),
    Bodies(Vec<(u64, Option<AlertChange>)>),
}

/// A change that was given out, with all it takes to give it out again.
struct Given {
    alert: AlertId,
    spot: Option<Spot>,
    change: Option<Arc<AlertChange>>,
}

/// What one sink has still to be given, out of the journal.
pub(crate) struct JournalOutbox {
    sink: String,
    journal_dir: PathBuf,
    engine: Engine,
    index: Arc<dyn Progress>,
    delivered: Delivered,
    /// Given out, and the next hop has it, but no receipt came yet: since when.
    unreceipted: BTreeMap<u64, Instant>,
    /// Of those that got their receipt, since when the newest had been with the next hop.
    receipted: Option<Instant>,
    /// Given out, and nothing is known of it.
    under_way: HashMap<u64, Given>,
    queue: Queue,
    /// The bodies of some that wait.
    bodies: BTreeMap<u64, Option<Arc<AlertChange>>>,
    live: broadcast::Receiver<Arc<AlertChange>>,
    /// The last change that was heard live.
    heard_to: u64,
    /// Everything up to here is in the queue, or past it.
    known_to: u64,
    /// What is durable reaches at least to here.
    durable_to: u64,
    /// The log has not been read as far as it went when it was begun with: only critical alerts go out.
    catching_up: bool,
    /// Beyond `known_to`, but in the queue or past it: of alerts that were seen from their first change on.
    ahead: BTreeSet<u64>,
    seen_whole: HashSet<AlertId>,
    /// How far the log has been read for heads.
    mark: Option<Mark>,
    /// The log is being read.
    reading: Option<JoinHandle<io::Result<Read>>>,
}

impl JournalOutbox {
    /// The outbox of the sink with this name, at the place where it was left.
    pub(crate) fn new(sink: &str, journal_dir: PathBuf, engine: Engine, index: Arc<dyn Progress>) -> Self {
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
            receipted: None,
            under_way: HashMap::new(),
            queue: Queue::default(),
            bodies: BTreeMap::new(),
            known_to: 0,
            heard_to: 0,
            durable_to: last,
            catching_up: true,
            ahead: BTreeSet::new(),
            seen_whole: HashSet::new(),
            mark: None,
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
        self.receipted = None;
        self.catching_up = true;
        self.ahead.clear();
        self.seen_whole.clear();
        self.mark = None;
        self.reading = None;
    }

    /// Waits for the next change to send, or for the next of a critical alert. Critical alerts come first; of each
    /// alert one change is under way at a time, until [`Self::arrived`] or [`Self::put_back`]. Cancel safe.
    ///
    /// # Errors
    /// Where the log cannot be read, or the gateway is stopping.
    pub(crate) async fn next(&mut self, only_critical: bool) -> anyhow::Result<Outgoing> {
        // Among what is not known yet may be something critical; but others wait for one look only.
        let mut looked = false;
        loop {
            self.hear()?;
            let others = !only_critical && !self.catching_up && (looked || !self.is_behind());
            if let Some(outgoing) = self.give_out(others) {
                return Ok(outgoing);
            }
            if let Some(reading) = &mut self.reading {
                let read = reading.await.context("the reader of the alert log is gone");
                self.reading = None;
                self.take_in(read?.context("the alert log cannot be read")?);
                continue;
            }
            let wanted = self.wanted(others);
            let dir = self.journal_dir.clone();
            if !wanted.is_empty() {
                self.read(move || Ok(Read::Bodies(journal::read_alerts_at(&dir, &wanted)?)));
            } else if self.is_behind() {
                looked = true;
                let (mark, from, to) = (self.mark, self.known_to + 1, self.durable_to);
                self.read(move || Ok(Read::Heads(to, journal::read_heads(&dir, mark, from, to)?)));
            } else {
                self.catching_up = false;
                self.seen_whole.clear();
                if only_critical || self.queue.first().is_none() {
                    let heard = self.live.recv().await;
                    self.learn(heard)?;
                }
            }
        }
    }

    /// Whether more is durable than is known.
    fn is_behind(&self) -> bool {
        self.known_to < self.durable_to
    }

    /// What could be given out next if its body were there.
    fn wanted(&self, others: bool) -> Vec<(u64, Spot)> {
        let wanted = |critical| -> Vec<(u64, Spot)> {
            let lacks_body =
                |(seq, spot): (u64, Option<Spot>)| Some((seq, spot?)).filter(|_| !self.bodies.contains_key(&seq));
            self.queue.firsts(critical).filter_map(lacks_body).take(PAGE).collect()
        };
        let critical = wanted(true);
        if critical.is_empty() && others { wanted(false) } else { critical }
    }

    fn read(&mut self, read: impl FnOnce() -> io::Result<Read> + Send + 'static) {
        self.reading = Some(tokio::task::spawn_blocking(read));
    }

    /// The next hop has taken the change. For a sink that sends no receipts, that is delivery.
    pub(crate) fn arrived(&mut self, seq: u64) {
        let Some(given) = self.under_way.remove(&seq) else { return };
        self.queue.done(&given.alert);
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
        if let Some(Given { alert, spot, change }) = self.under_way.remove(&seq) {
            self.bodies.insert(seq, change);
            self.queue.put_back(seq, spot, &alert);
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
        for since in self.unreceipted.extract_if(.., |seq, _| self.delivered.holds(*seq)).map(|(_, since)| since) {
            self.receipted = self.receipted.max(Some(since));
        }
        self.keep();
        self.delivered.count().saturating_sub(before)
    }

    /// How many changes are with the next hop without a receipt.
    pub(crate) fn unreceipted(&self) -> usize {
        self.unreceipted.len()
    }

    /// A change without a receipt, while one that arrived more than `by` later has its own.
    pub(crate) fn passed_over(&self, by: Duration) -> Option<u64> {
        let (seq, since) = self.unreceipted.iter().min_by_key(|(_, since)| **since)?;
        (self.receipted? > *since + by).then_some(*seq)
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
            Ok(change) => self.hear_of(change),
            // The number of the next one shows what was missed, and the log has it.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return Err(Stopped.into()),
        }
        Ok(())
    }

    fn hear_of(&mut self, change: Arc<AlertChange>) {
        let (seq, critical) = (change.seq, change.alert.severity == Severity::Critical);
        self.durable_to = self.durable_to.max(seq);
        if seq != self.heard_to + 1 {
            self.seen_whole.clear();
        }
        self.heard_to = seq;
        // A critical one shall not have to be looked for in the log because others fill the memory.
        let bodies = if critical { 4 * PAGE } else { 2 * PAGE };
        if seq <= self.known_to {
            return;
        }
        if self.bodies.len() >= bodies {
            self.seen_whole.remove(&change.alert.id);
            return;
        }
        if seq == self.known_to + 1 {
            self.known_to = seq;
        } else if critical && (change.kind == ChangeKind::Raised || self.seen_whole.contains(&change.alert.id)) {
            // What lies before it has to be read first, but none of that is of this alert.
            self.seen_whole.insert(change.alert.id.clone());
            self.ahead.insert(seq);
        } else {
            return;
        }
        if self.enqueue(seq, None, &change.alert.id, critical) {
            self.bodies.insert(seq, Some(change));
        }
    }

    fn take_in(&mut self, read: Read) {
        match read {
            Read::Heads(to, read) => self.take_heads(to, read),
            Read::Bodies(bodies) => {
                for (seq, change) in bodies {
                    if self.queue.is_a_first(seq) {
                        self.bodies.insert(seq, change.map(Arc::new));
                    }
                }
            }
        }
    }

    fn take_heads(&mut self, to: u64, read: Heads) {
        for head in read.heads {
            if head.seq <= self.known_to {
                continue;
            }
            // Numbers have no gaps: what is missing before one that is there is damaged.
            while self.known_to + 1 < head.seq {
                self.known_to += 1;
                let lost = self.known_to;
                if !self.ahead.remove(&lost) && self.enqueue(lost, None, &AlertId::from(""), false) {
                    tracing::error!(sink = self.sink, seq = lost, "the alert log has lost a change");
                    self.bodies.insert(lost, None);
                }
            }
            self.known_to = head.seq;
            if !self.ahead.remove(&head.seq) {
                self.enqueue(head.seq, Some(head.spot), &head.alert, head.critical);
            }
        }
        self.mark = read.end;
        if read.is_all && to == self.durable_to {
            // What is damaged at the log's end shows as a gap when the next change comes.
            self.durable_to = self.known_to;
        }
    }

    /// Takes note of a change; whether it waits.
    fn enqueue(&mut self, seq: u64, spot: Option<Spot>, alert: &AlertId, critical: bool) -> bool {
        let waits = !self.delivered.holds(seq);
        if waits {
            self.queue.push(seq, spot, alert, critical);
        }
        waits
    }

    /// Gives out what is first, if its body is there.
    fn give_out(&mut self, others: bool) -> Option<Outgoing> {
        loop {
            let (seq, _) = self.queue.first().filter(|(_, critical)| *critical || others)?;
            let delivered = self.delivered.holds(seq);
            let body = self.bodies.remove(&seq);
            if body.is_none() && !delivered {
                return None;
            }
            let (seq, spot, alert) = self.queue.take()?;
            match body {
                Some(change) if !delivered => {
                    self.under_way.insert(seq, Given { alert, spot, change: change.clone() });
                    return Some(Outgoing { seq, change });
                }
                // A receipt came while it waited.
                _ => self.queue.done(&alert),
            }
        }
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

    /// Takes note that this change has been.
    pub(crate) fn add(&mut self, seq: u64) {
        self.also.insert(seq);
        self.compact();
    }

    /// Draws together what has no gap.
    pub(crate) fn compact(&mut self) {
        self.also = self.also.split_off(&(self.up_to + 1));
        while self.also.remove(&(self.up_to + 1)) {
            self.up_to += 1;
        }
    }
}
