//! The thread that makes decisions durable, and only then tells anybody.

use anyhow::Context;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tokio::sync::broadcast;

use ninewatch_core::alert::AlertChange;
use ninewatch_core::time::Span;

use super::decide::Batch;
use crate::index::Progress;
use crate::journal::Journal;
use crate::metrics::Counters;

pub(super) struct Write {
    pub(super) journal: Journal,
    pub(super) index: Arc<dyn Progress>,
    pub(super) changes: broadcast::Sender<Arc<AlertChange>>,
    pub(super) counters: Arc<Counters>,
    pub(super) commit_wait: Span,
}

/// A commit this full waits for no more company.
const FULL: usize = 64;

impl Write {
    /// Writes until the deciding thread is gone.
    ///
    /// # Errors
    /// Where the journal cannot be written. Then nobody has been told of what was lost with it.
    pub(super) fn run(mut self, batches: &Receiver<Batch>) -> anyhow::Result<()> {
        let longest_wait = self.commit_wait.duration();
        let mut last_commit = Duration::ZERO;
        let mut group = Vec::new();
        loop {
            // Delivery cursors are flushed now and then, also while nothing comes in.
            match batches.recv_timeout(Duration::from_secs(1)) {
                Ok(batch) => group.push(batch),
                Err(RecvTimeoutError::Timeout) => {
                    self.rest()?;
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    self.index.flush();
                    return Ok(());
                }
            }
            gather(batches, &mut group, (last_commit / 2).min(longest_wait));
            last_commit = self.write(&mut group)?;
        }
    }

    /// What there is to do while nothing comes in.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub(super) fn rest(&mut self) -> anyhow::Result<()> {
        self.journal.make_room().context("no room can be made on the disk")?;
        self.index.maintain();
        Ok(())
    }

    /// Makes the group durable, and only then tells; gives how long the disk took.
    ///
    /// # Errors
    /// Where the journal cannot be written. Then nobody is told.
    pub(super) fn write(&mut self, group: &mut Vec<Batch>) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let bytes = self.commit(group)?;
        let took = begun.elapsed();
        self.counters.count_commit(took, bytes);
        self.tell(group);
        Ok(took)
    }

    /// Makes the group durable; gives the bytes that it took.
    pub(super) fn commit(&mut self, group: &[Batch]) -> anyhow::Result<u64> {
        let before = self.journal.bytes_written();
        for batch in group {
            if let Some(now) = batch.begins_segment {
                // What stands before it must be on disk in its own segment.
                self.journal.commit().context("the journal cannot be written")?;
                self.journal.begin_segment(now).context("the journal cannot begin a segment")?;
            }
            self.journal.append_intake(&batch.intake);
            for change in &batch.changes {
                self.journal.append_alert(change)?;
            }
        }
        self.journal.commit().context("the journal cannot be written")?;
        Ok(self.journal.bytes_written() - before)
    }

    pub(super) fn tell(&self, group: &mut Vec<Batch>) {
        // The index first: whoever has an acknowledgement finds the alert that came of it.
        for batch in &*group {
            if let Err(error) = self.index.apply(&batch.changes) {
                tracing::error!(%error, "the index could not take a change; it is made anew");
            }
        }
        for batch in group.drain(..) {
            for (ack, acked) in batch.acks {
                // A connection that is gone will send again what it was not acknowledged.
                let _ = ack.to.send(acked);
            }
            for change in batch.changes {
                self.counters.count_change(&change);
                let _ = self.changes.send(Arc::new(change));
            }
            for reply in batch.replies {
                reply();
            }
        }
        self.index.maintain();
    }
}

/// Takes what waits, and waits a little for more where the disk is slow.
fn gather(batches: &Receiver<Batch>, group: &mut Vec<Batch>, wait: Duration) {
    let until = Instant::now() + wait;
    let mut messages: usize = group.iter().map(|batch| batch.messages).sum();
    while let Ok(batch) = batches.try_recv() {
        messages += batch.messages;
        group.push(batch);
    }
    while messages < FULL {
        let Ok(batch) = batches.recv_timeout(until.saturating_duration_since(Instant::now())) else { return };
        messages += batch.messages;
        group.push(batch);
    }
}
