//! The engine: one thread that decides, one that makes the decisions durable.
//!
//! ```text
//! doors, console, upstream ═Command═▶ decide ─Batch─▶ write ─▶ acks, replies, changes
//!                        (two lanes)  (pipeline)      (journal: fdatasync, then the index)
//! ```
//! Nobody is answered before the journal holds what they sent and what followed from it.

mod decide;
mod deferred;
#[cfg(test)]
mod fuzz;
mod lanes;
mod load;
mod quarantine;
mod recover;
#[cfg(test)]
pub(crate) mod stepped;
mod write;

pub(crate) use lanes::Entrance;
pub(crate) use load::Load;
pub(crate) use recover::restore;

use anyhow::Context;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::{broadcast, mpsc, oneshot};

use ninewatch_core::ailment::Complaint;
use ninewatch_core::alert::{
    Acted, ActionError, AlertChange, AlertId, Drill, DrillError, Matter, Regrade, StaffAction, TurnError, WalkTurn,
};
use ninewatch_core::detect::{DeviceStatus, LearntThreshold};
use ninewatch_core::fault::Fault;
use ninewatch_core::pipeline::{Called, Settings};
use ninewatch_core::time::TimeMs;

use crate::clock::Clock;
use crate::config::JournalConfig;
use crate::epochs::Epochs;
use crate::index::{Index, IndexOpened};
use crate::journal::{Damage, DiskRoom, Journal};
use crate::metrics::Counters;
use crate::scorer::Serving;
use decide::Tells;
use lanes::Lanes;

/// A message on its way in.
#[derive(Debug)]
pub(crate) struct Inbound {
    /// Which door: `sensor_port`, `broker:NAME`, `wired`.
    pub(crate) door: Arc<str>,
    /// The device that proved to be itself; `None` at a broker, where the topic tells.
    pub(crate) device: Option<Arc<str>>,
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    /// MQTT's DUP flag.
    pub(crate) redelivered: bool,
    /// Whom to tell that it is durable; `None` for QoS 0.
    pub(crate) ack: Option<Ack>,
}

/// Whom to tell that a message is durable.
#[derive(Debug, Clone)]
pub(crate) struct Ack {
    pub(crate) to: mpsc::UnboundedSender<Acked>,
    /// The sender's own mark for the message.
    pub(crate) token: u64,
    /// Whether the sender's protocol has a word for "not taken".
    pub(crate) can_refuse: bool,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Acked {
    pub(crate) token: u64,
    pub(crate) fate: Fate,
}

/// What the sender of a message is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is in the journal, on disk.
    Taken,
    /// So it is, but it brought no reading: see the quarantine.
    Rejected,
    /// It was not taken: more comes in than can be.
    Refused,
    /// It was not taken, and nothing that comes after it on this connection can be acknowledged: the disk is full. The
    /// connection ends, so that it is sent again on the next one.
    LetGo,
}

/// What the engine is asked.
pub(crate) enum Command {
    Messages(Vec<Inbound>),
    Act(StaffAction, oneshot::Sender<Result<Acted, ActionError>>),
    Drill(Drill, oneshot::Sender<Result<AlertId, DrillError>>),
    Turn(WalkTurn, oneshot::Sender<Result<(), TurnError>>),
    /// With what scores from now on, where that changed.
    Configure(Box<Settings>, Option<Serving>, oneshot::Sender<InForce>),
    Devices(oneshot::Sender<Vec<DeviceStatus>>),
    Thresholds(oneshot::Sender<Vec<LearntThreshold>>),
    Heard(String, oneshot::Sender<Option<LastHeard>>),
    /// All that ails the gateway now.
    Complaints(Vec<Complaint>, oneshot::Sender<()>),
    Report(Matter, oneshot::Sender<AlertId>),
    Regrade(Regrade, oneshot::Sender<Result<(), ActionError>>),
}

/// Where and as what a device was heard last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LastHeard {
    /// See [`Inbound::door`].
    pub(crate) door: Arc<str>,
    pub(crate) topic: String,
    /// Its id, or what its own system calls it.
    pub(crate) called: Called,
}

/// What is in force of the settings that were given.
#[derive(Debug)]
pub(crate) struct InForce {
    /// Of files with a fault the former version, where there was one.
    pub(crate) settings: Settings,
    /// Every fault in what was given.
    pub(crate) faults: Vec<Fault>,
}

/// How many batches may wait for the disk before the engine waits too.
const BATCHES: usize = 4;
/// How many changes a listener may be behind before it has to catch up from the index.
const CHANGES: usize = 1024;

/// The way to the engine, for everybody else. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Engine {
    lanes: Lanes,
    changes: broadcast::Sender<Arc<AlertChange>>,
}

/// The engine has stopped, as it does at the end of the program or when its disk fails.
#[derive(Debug, thiserror::Error)]
#[error("the gateway is stopping")]
pub(crate) struct Stopped;

/// What the engine stands on.
pub(crate) struct Ground<'a> {
    pub(crate) data_dir: &'a Path,
    pub(crate) journal: &'a JournalConfig,
    pub(crate) settings: Settings,
    pub(crate) serving: Serving,
    pub(crate) clock: Clock,
    pub(crate) counters: Arc<Counters>,
}

/// The engine's threads, at work until the last [`Engine`] is gone.
pub(crate) struct Running {
    pub(crate) index: Index,
    pub(crate) index_opened: IndexOpened,
    pub(crate) in_force: InForce,
    /// Whose the numbers of alert changes are.
    pub(crate) epochs: Epochs,
    /// What of the journal could not be read.
    pub(crate) damage: Vec<Damage>,
    /// The last time in the journal; 0 where there is none.
    pub(crate) recorded_ms: TimeMs,
    pub(crate) room: Arc<DiskRoom>,
    decide: JoinHandle<()>,
    write: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    /// Waits until everything handed in is durable and the threads are done.
    ///
    /// # Errors
    /// Where the journal could not be written.
    pub(crate) fn join(self) -> anyhow::Result<()> {
        let decided = self.decide.join();
        let written = self.write.join();
        match (decided, written) {
            (Ok(()), Ok(result)) => result,
            _ => anyhow::bail!("a thread of the engine ended by a panic; please report it with the log"),
        }
    }
}

impl Engine {
    /// Recovers from the journal, puts the settings in force and starts. `on_stop` is called when
    /// the engine stops by itself, because its disk failed.
    ///
    /// # Errors
    /// Where the data folder cannot be used.
    pub(crate) fn start(
        ground: Ground<'_>,
        on_stop: impl FnOnce() + Send + 'static,
    ) -> anyhow::Result<(Self, Running)> {
        let journal_dir = ground.data_dir.join("journal");
        let (mut journal, opened) = Journal::open(&journal_dir, ground.journal)
            .with_context(|| format!("the journal in {} cannot be opened", journal_dir.display()))?;
        let (now, mut epochs) = (ground.clock.now_ms(), None);
        let recovered = recover::recover(&journal_dir, &mut journal, &opened, ground.settings, now, |last_seq| {
            epochs = Some(Epochs::open(ground.data_dir, last_seq)?);
            Ok(())
        })?;
        let recover::Recovered { pipeline, faults, damage, recorded_ms } = recovered;
        let epochs = epochs.context("recovery did not end")?;
        let in_force = InForce { settings: pipeline.settings().clone(), faults };
        let (index, index_opened) = Index::open(&ground.data_dir.join("index"), &journal_dir)?;
        if index_opened.rebuilt {
            tracing::warn!(why = %index_opened.why, "the index was rebuilt from the journal");
        }
        let load = Arc::new(Load::default());
        let (lanes, inbox) = Lanes::new(load.clone());
        let (changes, _) = broadcast::channel(CHANGES);
        let (batches, waiting) = std::sync::mpsc::sync_channel(BATCHES);
        let room = journal.room();
        let decide = decide::Decide::new(
            pipeline,
            ground.serving,
            ground.clock,
            Tells { counters: ground.counters.clone(), load, life_safety: lanes.life_safety.clone() },
            (ground.journal.into(), room.clone()),
            batches,
        );
        let write = write::Write {
            journal,
            index: Arc::new(index.clone()),
            changes: changes.clone(),
            counters: ground.counters,
            commit_wait: ground.journal.commit_wait,
        };
        let decide = std::thread::Builder::new().name("decide".into()).spawn(move || decide.run(inbox))?;
        let write = std::thread::Builder::new().name("write".into()).spawn(move || {
            let result = write.run(&waiting);
            if let Err(error) = &result {
                tracing::error!("{error:#}; nothing since then was acknowledged");
                on_stop();
            }
            result
        })?;
        let running = Running { index, index_opened, in_force, epochs, damage, recorded_ms, room, decide, write };
        Ok((Self { lanes, changes }, running))
    }

    /// Hands in messages by the preferred lane, in order; waits while the engine is behind. Acks come when durable.
    pub(crate) async fn submit(&self, messages: Vec<Inbound>) -> Result<(), Stopped> {
        self.lanes.prefer(messages).await
    }

    /// What comes in and what becomes of it.
    pub(crate) fn load(&self) -> Arc<Load> {
        self.lanes.load.clone()
    }

    /// Takes a staff action; durable and in the index when this returns.
    pub(crate) async fn act(&self, action: StaffAction) -> Result<Result<Acted, ActionError>, Stopped> {
        self.ask(|reply| Command::Act(action, reply)).await
    }

    /// Begins a drill; its alert is durable and in the index when this returns.
    pub(crate) async fn drill(&self, drill: Drill) -> Result<Result<AlertId, DrillError>, Stopped> {
        self.ask(|reply| Command::Drill(drill, reply)).await
    }

    /// Begins or ends a device's turn in a walk-test; durable when this returns.
    pub(crate) async fn turn(&self, turn: WalkTurn) -> Result<Result<(), TurnError>, Stopped> {
        self.ask(|reply| Command::Turn(turn, reply)).await
    }

    /// Puts a changed site in force, as far as it is without fault.
    pub(crate) async fn configure(&self, settings: Settings, serving: Option<Serving>) -> Result<InForce, Stopped> {
        self.ask(|reply| Command::Configure(Box::new(settings), serving, reply)).await
    }

    /// What verdicts have made of the models' thresholds.
    pub(crate) async fn thresholds(&self) -> Result<Vec<LearntThreshold>, Stopped> {
        self.ask(Command::Thresholds).await
    }

    /// Tells all that ails the gateway now; what became of it is durable when this returns.
    pub(crate) async fn complain(&self, complaints: Vec<Complaint>) -> Result<(), Stopped> {
        self.ask(|reply| Command::Complaints(complaints, reply)).await
    }

    /// Takes what a resident reported; its alert is durable and in the index when this returns. The same again gives the
    /// same alert.
    pub(crate) async fn report(&self, matter: Matter) -> Result<AlertId, Stopped> {
        self.ask(|reply| Command::Report(matter, reply)).await
    }

    /// Makes an alert graver; durable and in the index when this returns.
    pub(crate) async fn regrade(&self, regrade: Regrade) -> Result<Result<(), ActionError>, Stopped> {
        self.ask(|reply| Command::Regrade(regrade, reply)).await
    }

    /// How each device is.
    pub(crate) async fn devices(&self) -> Result<Vec<DeviceStatus>, Stopped> {
        self.ask(Command::Devices).await
    }

    /// Where a device that can be told something was heard last, since the gateway started.
    pub(crate) async fn heard(&self, device: &str) -> Result<Option<LastHeard>, Stopped> {
        self.ask(|reply| Command::Heard(device.to_owned(), reply)).await
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.lanes.preferred.send(command(reply)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// Alert changes from now on, each once it is durable and in the index.
    pub(crate) fn changes(&self) -> broadcast::Receiver<Arc<AlertChange>> {
        self.changes.subscribe()
    }
}

#[cfg(test)]
impl Engine {
    /// An engine that does nothing: the test takes the commands.
    pub(crate) fn for_tests() -> (Self, mpsc::Receiver<Command>) {
        let (commands, inbox) = mpsc::channel(lanes::PREFERRED);
        let lanes =
            Lanes { preferred: commands.clone(), routine: commands, load: Arc::default(), life_safety: Arc::default() };
        (Self { lanes, changes: broadcast::channel(CHANGES).0 }, inbox)
    }

    /// Tells listeners of a change, as the writer does.
    pub(crate) fn announce(&self, change: AlertChange) {
        let _ = self.changes.send(Arc::new(change));
    }
}

#[cfg(test)]
mod tests;
