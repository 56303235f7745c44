//! The engine without its threads: the simulator says which step comes next.

use anyhow::Context;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use tokio::sync::broadcast;

use ninewatch_core::pipeline::Settings;

use super::decide::{Batch, Decide, TAKE, Tells};
use super::lanes::{Inbox, Lane, Lanes, PREFERRED};
use super::write::Write;
use super::{CHANGES, Command, Engine, Inbound, recover};
use crate::clock::Clock;
use crate::config::JournalConfig;
use crate::index::Progress;
use crate::journal::{Disk, Journal, Sizes};
use crate::scorer::Serving;
use crate::sim::{Bug, planted};

pub(crate) struct Stepped {
    pub(crate) engine: Engine,
    inbox: Inbox,
    decide: Decide,
    waiting: Receiver<Batch>,
    write: Write,
}

impl Stepped {
    /// Recovers as [`Engine::start`] does; the index is opened by `progress`, when the journal is whole.
    pub(crate) fn start(
        journal_dir: &Path,
        (disk, sizes): (Arc<dyn Disk>, Sizes),
        settings: Settings,
        serving: Serving,
        clock: Clock,
        progress: impl FnOnce(&Path) -> anyhow::Result<Arc<dyn Progress>>,
    ) -> anyhow::Result<Self> {
        let (mut journal, opened) = Journal::open_on(disk, journal_dir, sizes)?;
        let recover::Recovered { pipeline, faults, .. } =
            recover::recover(journal_dir, &mut journal, &opened, settings, clock.now_ms(), |_| Ok(()))?;
        anyhow::ensure!(faults.is_empty(), "the settings have a fault: {faults:?}");
        let index = progress(journal_dir)?;
        let (lanes, inbox) = Lanes::new(Arc::default());
        let changes = broadcast::channel(CHANGES).0;
        // Whoever fills it by a slow disk would hang here: there is no other thread.
        let (batches, waiting) = std::sync::mpsc::sync_channel(PREFERRED);
        let room = journal.room();
        Ok(Self {
            engine: Engine { lanes: lanes.clone(), changes: changes.clone() },
            inbox,
            decide: Decide::new(
                pipeline,
                serving,
                clock,
                Tells { load: lanes.load.clone(), life_safety: lanes.life_safety, ..Tells::default() },
                (sizes, room),
                batches,
            ),
            waiting,
            write: Write {
                journal,
                index,
                changes,
                counters: Arc::default(),
                commit_wait: JournalConfig::default().commit_wait,
            },
        })
    }

    /// Hands in messages, as [`Engine::submit`] does.
    pub(crate) fn submit(&self, messages: Vec<Inbound>) {
        // Where too much waits they are lost, as on a connection that is cut.
        self.engine.lanes.load.come_in(Lane::Preferred, messages.len());
        let _ = self.engine.lanes.preferred.try_send(Command::Messages(messages));
    }

    /// One turn of the thread that decides.
    pub(crate) fn decide(&mut self) -> anyhow::Result<()> {
        let mut commands = Vec::new();
        self.inbox.try_take(&mut commands, TAKE);
        for command in &mut commands {
            if let Command::Act(action, _) = command {
                if planted(Bug::ActionTwice) {
                    action.id = format!("{}-{}", action.id, self.decide.now_ms());
                }
                if planted(Bug::ClosedUnseen) {
                    action.upon = None;
                }
            }
        }
        let time = commands.is_empty();
        self.decide.turn(&mut commands, time).ok().context("the deciding thread has stopped")
    }

    /// One turn of the thread that writes, with up to `most` batches; whether there were any.
    pub(crate) fn write(&mut self, most: usize) -> anyhow::Result<bool> {
        let mut group: Vec<Batch> = self.waiting.try_iter().take(most).collect();
        if group.is_empty() {
            self.write.rest()?;
            return Ok(false);
        }
        if planted(Bug::ChangeLost)
            && let Some(batch) = group.iter_mut().find(|batch| batch.changes.len() > 1)
        {
            batch.changes.remove(0);
        }
        if planted(Bug::AckBeforeSync) {
            for batch in &mut group {
                batch.acks.drain(..).for_each(|(ack, acked)| _ = ack.to.send(acked));
            }
        }
        let acks: Vec<_> = group.iter().flat_map(|batch| &batch.acks).cloned().collect();
        let written = self.write.write(&mut group);
        if written.is_err() && planted(Bug::FullDiskAcknowledges) {
            acks.iter().for_each(|(ack, acked)| _ = ack.to.send(*acked));
        }
        written.map(|_| true)
    }

    /// All state as it is decided, durable or not.
    pub(crate) fn checkpoint(&self) -> anyhow::Result<Vec<u8>> {
        self.decide.checkpoint()
    }
}
