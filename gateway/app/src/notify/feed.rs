//! The alert changes that a channel has not seen, in order and without gaps: from the engine as they come, from the alert
//! log where it missed some.

use anyhow::Context;
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::broadcast::{Receiver, error::RecvError, error::TryRecvError};
use tokio::task::JoinHandle;

use ninewatch_core::alert::AlertChange;

use crate::engine::{Engine, Stopped};
use crate::index::Progress;
use crate::journal;

/// Changes read from the log at a time.
const PAGE: usize = 256;

pub(super) struct Feed {
    journal_dir: PathBuf,
    /// The change to be given next.
    next: u64,
    /// What is durable reaches to here; the log may hold more that is not synced yet.
    durable_to: u64,
    live: Receiver<Arc<AlertChange>>,
    read: VecDeque<Arc<AlertChange>>,
    reading: Option<JoinHandle<io::Result<Vec<AlertChange>>>>,
}

impl Feed {
    /// Everything behind `after`.
    pub(super) fn new(journal_dir: PathBuf, engine: &Engine, index: &dyn Progress, after: u64) -> Self {
        // First listen, then look: nothing falls in between.
        let live = engine.changes();
        Self { journal_dir, next: after + 1, durable_to: index.last_seq(), live, read: VecDeque::new(), reading: None }
    }

    /// Whether there is more, without anything new having to happen.
    pub(super) fn has_more(&mut self) -> bool {
        let is_known = |feed: &Self| !feed.read.is_empty() || feed.next <= feed.durable_to;
        // What is heard may be old: the log was read as far as that already.
        while !is_known(self) {
            match self.live.try_recv() {
                Ok(change) => self.hear(change),
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return false,
            }
        }
        true
    }

    /// The next change. Cancel safe.
    ///
    /// # Errors
    /// Where the log cannot be read, or the gateway is stopping.
    pub(super) async fn next(&mut self) -> anyhow::Result<Arc<AlertChange>> {
        loop {
            if let Some(change) = self.read.pop_front() {
                if change.seq >= self.next {
                    self.next = change.seq + 1;
                    return Ok(change);
                }
            } else if let Some(reading) = &mut self.reading {
                let read = reading.await.context("the reader of the alert log is gone");
                self.reading = None;
                let read = read?.context("the alert log cannot be read")?;
                if read.is_empty() {
                    // What is missing is damaged; it was told when the journal was opened.
                    self.next = self.durable_to + 1;
                }
                self.read = read.into_iter().map(Arc::new).collect();
            } else if self.next <= self.durable_to {
                let (dir, from, to) = (self.journal_dir.clone(), self.next, self.durable_to);
                self.reading = Some(tokio::task::spawn_blocking(move || {
                    let changes = journal::read_alerts(&dir, from)?.filter_map(Result::ok);
                    Ok(changes.take_while(|change| change.seq <= to).take(PAGE).collect())
                }));
            } else {
                match self.live.recv().await {
                    Ok(change) => self.hear(change),
                    // The next one's number shows what was missed.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Err(Stopped.into()),
                }
            }
        }
    }

    fn hear(&mut self, change: Arc<AlertChange>) {
        if change.seq == self.next {
            self.read.push_back(change);
        } else {
            self.durable_to = self.durable_to.max(change.seq);
        }
    }
}
