//! The door of the nodes: serial lines on which each node is asked in turn.
//!
//! ```text
//! nodes.toml ─ list ─▶ line ─ asks ─▶ port ══ RS-485 ══ node
//!                       │  ◀─ answers ─┘
//!                       ├ peer     what a node is asked, and what becomes of what it says
//!                       │  ├ reports  as the engine takes them; acknowledged when on disk
//!                       │  ├ epoch    the time that nodes do not have
//!                       │  └ orders   what it is told to do: its table, a program, to blink
//!                       └ status   for the console and health
//! ```
//! How a line works, and why: `docs/decisions/0026-lines.md`. What is said on it: the crate `ninewatch-wire`.

mod boards;
mod config;
mod epoch;
mod line;
pub(crate) mod list;
mod orders;
mod part;
mod peer;
mod port;
mod reports;
mod status;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

use ninewatch_wire::frame::NodeId;

pub(crate) use boards::{board_name, board_named};
pub(crate) use config::LineConfig;
pub(crate) use orders::{NotDone, Switch, Task};
pub(crate) use part::ails;
pub(crate) use status::{LineStatus, NodeStatus, UpdateStatus};

use crate::clock::Clock;
use crate::engine::Engine;
use crate::site_files::fingerprint;
use line::Line;
use list::{NodeEntry, NodeList};

/// How often the list is looked at for changes.
const LOOK: Duration = Duration::from_secs(1);
/// Orders that wait for a line.
const ORDERS: usize = 64;
/// A node that is there answers in a second; one with a long log in a few.
const PATIENCE: Duration = Duration::from_secs(15);

/// The nodes of all lines. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Nodes(Arc<Inner>);

struct Inner {
    data_dir: PathBuf,
    lines: Vec<(Arc<LineStatus>, mpsc::Sender<NodeOrder>)>,
    listed: watch::Sender<Arc<Listed>>,
    fault: Mutex<Option<ListFault>>,
}

/// What is wrong with the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListFault {
    pub(crate) what: String,
    /// Otherwise no node is heard: there was none at the start.
    pub(crate) former_goes_on: bool,
}

/// The list that is in force, and how each of its nodes is.
#[derive(Default)]
struct Listed {
    lines: Vec<String>,
    nodes: Vec<(Arc<NodeEntry>, Arc<NodeStatus>)>,
}

impl Listed {
    fn on<'a>(&'a self, line: &'a str) -> impl Iterator<Item = (&'a Arc<NodeEntry>, &'a Arc<NodeStatus>)> {
        let is_only = self.lines.len() == 1;
        self.nodes.iter().filter(move |(entry, _)| entry.is_on(line, is_only)).map(|(entry, status)| (entry, status))
    }
}

/// A task of the gateway.
type Work = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

/// Something to do for a node of a line.
struct NodeOrder {
    node: NodeId,
    task: Task,
    reply: oneshot::Sender<Result<String, NotDone>>,
}

impl Nodes {
    /// Reads the list and begins to ask; the tasks are the lines, and who follows the list.
    pub(crate) fn start(lines: &[LineConfig], data_dir: PathBuf, engine: &Engine, clock: Clock) -> (Self, Vec<Work>) {
        let names: Vec<String> = lines.iter().map(|line| line.name.clone()).collect();
        let seen = fingerprint(vec![list::path(&data_dir)]);
        // Without a line there is nobody to hear, and a list from before does no harm.
        let read = if lines.is_empty() { Ok(NodeList::default()) } else { list::load(&data_dir, Some(&names)) };
        // All other doors are to open, whatever somebody wrote into this file.
        let (list, fault) = match read {
            Ok(list) => (list, None),
            Err(error) => {
                tracing::error!("the list of nodes has a fault, and no node is heard: {error:#}");
                (NodeList::default(), Some(ListFault { what: format!("{error:#}"), former_goes_on: false }))
            }
        };
        let (listed, _) = watch::channel(Arc::new(take_over(list, &Listed { lines: names, ..Listed::default() })));
        let mut work: Vec<Work> = Vec::new();
        let mut ways = Vec::new();
        for config in lines {
            let status = Arc::new(LineStatus::new(&config.name));
            let (orders, waiting) = mpsc::channel(ORDERS);
            let ground = (engine.clone(), clock);
            work.push(Box::pin(Line::new(config.clone(), status.clone(), ground, waiting, listed.subscribe()).serve()));
            ways.push((status, orders));
        }
        let nodes = Self(Arc::new(Inner { data_dir, lines: ways, listed, fault: Mutex::new(fault) }));
        if !lines.is_empty() {
            let following = nodes.clone();
            work.push(Box::pin(async move { following.follow(seen).await }));
        }
        (nodes, work)
    }

    /// No lines, and so no nodes.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        let (data_dir, listed, fault) = (PathBuf::new(), watch::channel(Arc::default()).0, Mutex::default());
        Self(Arc::new(Inner { data_dir, lines: Vec::new(), listed, fault }))
    }

    /// Puts every change of the list in force.
    async fn follow(self, mut seen: crate::site_files::Fingerprint) -> anyhow::Result<()> {
        let mut look = tokio::time::interval(LOOK);
        // Whether any list is in force: the start may have found a fault.
        let mut heard = self.fault().is_none();
        loop {
            look.tick().await;
            let now = fingerprint(vec![list::path(&self.0.data_dir)]);
            if now == seen {
                continue;
            }
            seen = now;
            let before = self.0.listed.borrow().clone();
            let fault = match list::load(&self.0.data_dir, Some(&before.lines)) {
                Ok(list) => {
                    tracing::info!(nodes = list.nodes.len(), "the list of nodes changed");
                    self.0.listed.send_replace(Arc::new(take_over(list, &before)));
                    heard = true;
                    None
                }
                Err(error) if heard => {
                    tracing::error!("the list of nodes has a fault, and the former one goes on: {error:#}");
                    Some(ListFault { what: format!("{error:#}"), former_goes_on: true })
                }
                Err(error) => {
                    tracing::error!("the list of nodes has a fault, and no node is heard: {error:#}");
                    Some(ListFault { what: format!("{error:#}"), former_goes_on: false })
                }
            };
            *self.0.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
        }
    }

    /// The lines, as they are.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &Arc<LineStatus>> {
        self.0.lines.iter().map(|(status, _)| status)
    }

    /// What is wrong with the list.
    pub(crate) fn fault(&self) -> Option<ListFault> {
        self.0.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The nodes, as they are, with what is fitted to them.
    pub(crate) fn all(&self) -> Vec<(Arc<NodeEntry>, Arc<NodeStatus>)> {
        self.0.listed.borrow().nodes.clone()
    }

    /// The node that people call so, by its name or id.
    pub(crate) fn find(&self, called: &str) -> Option<Arc<NodeStatus>> {
        let id = list::parse_id(called);
        self.all().into_iter().map(|(_, status)| status).find(|node| node.name == called || Some(node.id) == id)
    }

    /// Whether the line of a node is open.
    pub(crate) fn line_is_open(&self, line: &str) -> bool {
        self.lines().any(|status| status.name == line && status.look().0)
    }

    /// Tells a node to do something; gives what it said.
    ///
    /// # Errors
    /// Why it has not done it.
    pub(crate) async fn tell(&self, node: &NodeStatus, task: Task) -> Result<String, NotDone> {
        let line = self.0.lines.iter().find(|(status, _)| status.name == node.line).ok_or(NotDone::NoAnswer)?;
        let (reply, answer) = oneshot::channel();
        line.1.try_send(NodeOrder { node: node.id, task, reply }).map_err(|_| NotDone::NoAnswer)?;
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(said)) => said,
            Ok(Err(_)) | Err(_) => Err(NotDone::NoAnswer),
        }
    }
}

/// The new list with what is known of the nodes that stay.
fn take_over(list: NodeList, before: &Listed) -> Listed {
    let lines = before.lines.clone();
    let with_status = |entry: NodeEntry| {
        let line = entry.line.clone().or_else(|| lines.first().cloned()).unwrap_or_default();
        let same = before.nodes.iter().find(|(other, status)| {
            other.id == entry.id && other.key == entry.key && status.name == entry.name && status.line == line
        });
        let new = || Arc::new(NodeStatus::new(entry.id, &entry.name, &line));
        let status = same.map_or_else(new, |(_, status)| status.clone());
        (Arc::new(entry), status)
    };
    Listed { nodes: list.nodes.into_iter().map(with_status).collect(), lines: before.lines.clone() }
}
