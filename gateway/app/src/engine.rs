//! The engine: one thread that steps the pipeline, one that makes its effects durable.
//!
//! ```text
//! doors, console, upstream ─Command─▶ decide ─Batch─▶ write ─▶ acks, replies, changes
//!                                     (pipeline)      (journal: fdatasync)
//! ```
//! Nobody is answered before the journal holds what they sent and what followed from it.

use std::sync::Arc;
use tokio::sync::{broadcast, mpsc, oneshot};

use ninewatch_core::alert::{ActionError, AlertChange, StaffAction};
use ninewatch_core::detect::DeviceStatus;
use ninewatch_core::fault::Fault;
use ninewatch_core::pipeline::Settings;

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
}

/// A message is in the journal, on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Acked {
    pub(crate) token: u64,
    /// It is kept, but brought no reading: see the quarantine.
    pub(crate) rejected: bool,
}

/// What the engine is asked.
pub(crate) enum Command {
    Messages(Vec<Inbound>),
    Act(StaffAction, oneshot::Sender<Result<bool, ActionError>>),
    Configure(Box<Settings>, oneshot::Sender<Vec<Fault>>),
    Devices(oneshot::Sender<Vec<DeviceStatus>>),
}

/// The way to the engine, for everybody else. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Engine {
    commands: mpsc::Sender<Command>,
    changes: broadcast::Sender<Arc<AlertChange>>,
}

/// The engine has stopped, as it does at the end of the program or when its disk fails.
#[derive(Debug, thiserror::Error)]
#[error("the gateway is stopping")]
pub(crate) struct Stopped;

impl Engine {
    /// Hands in messages, in order; waits while the engine is behind. Acks come when durable.
    pub(crate) async fn submit(&self, messages: Vec<Inbound>) -> Result<(), Stopped> {
        self.commands.send(Command::Messages(messages)).await.map_err(|_| Stopped)
    }

    /// Takes a staff action; durable when this returns. `Ok(false)`: it had been taken before.
    pub(crate) async fn act(&self, action: StaffAction) -> Result<Result<bool, ActionError>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Act(action, reply)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// Puts a changed site in force and says what of it was set aside.
    pub(crate) async fn configure(&self, settings: Settings) -> Result<Vec<Fault>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Configure(Box::new(settings), reply)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// How each device is.
    pub(crate) async fn devices(&self) -> Result<Vec<DeviceStatus>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Devices(reply)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// Alert changes from now on, each once it is durable and in the index.
    pub(crate) fn changes(&self) -> broadcast::Receiver<Arc<AlertChange>> {
        self.changes.subscribe()
    }
}
