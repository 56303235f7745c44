//! The nodes on serial lines: how each is, and what they can be told.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use ninewatch_core::alert::Text;
use ninewatch_core::time::TimeMs;
use ninewatch_wire::message::Board;

use super::Shared;
use super::body::Sent;
use super::downlink::Sending;
use super::gate::Who;
use super::problem::Problem;
use crate::intake::nodes::list::NodeEntry;
use crate::intake::nodes::{NodeStatus, NotDone, Switch, Task, UpdateStatus, ails, board_name, board_named};

/// No board has a slot that takes more.
pub(super) const LARGEST_PROGRAM: usize = 1024 * 1024;

/// `GET /nodes`
#[derive(Debug, Serialize)]
pub(super) struct NodesView {
    nodes: Vec<NodeView>,
}

#[derive(Debug, Serialize)]
struct NodeView {
    id: String,
    name: String,
    line: String,
    /// `ok`, `silent`, `refused`, `faulty`, or `new` where it was not heard yet.
    status: &'static str,
    /// What is wrong, where something is.
    text: Option<Text>,
    /// When it answered last, since the gateway started.
    heard_ms: Option<TimeMs>,
    board: Option<&'static str>,
    firmware: Option<String>,
    /// How often it has started in its life.
    boot: Option<u32>,
    /// Whether it can take a new program over the line.
    two_slots: Option<bool>,
    /// The devices that it speaks for, in the order of its channels.
    devices: Vec<String>,
    /// The new program on its way to it, or the last one.
    update: Option<UpdateStatus>,
}

/// Answers `GET /nodes`.
pub(super) async fn list(State(shared): State<Arc<Shared>>, _: Who) -> Json<NodesView> {
    let nodes = &shared.state.nodes;
    let view = |(entry, status): (Arc<NodeEntry>, Arc<NodeStatus>)| {
        let state = status.look();
        let ails = ails(&entry, &state, nodes.line_is_open(&status.line));
        let status_word = match (&state.heard, state.refused) {
            (_, Some(_)) => "refused",
            _ if state.is_silent() => "silent",
            (None, _) => "new",
            _ if !ails.is_empty() => "faulty",
            _ => "ok",
        };
        NodeView {
            id: entry.id.to_string(),
            name: entry.name.clone(),
            line: status.line.clone(),
            status: status_word,
            text: ails.into_iter().next().map(|(_, text)| text),
            heard_ms: state.heard.map(|(_, at_ms)| at_ms),
            board: state.hello.map(|hello| board_name(hello.board)),
            firmware: state.hello.map(|hello| hello.firmware.map(|number| number.to_string()).join(".")),
            boot: state.hello.map(|_| state.boot),
            two_slots: state.hello.map(|hello| hello.two_slots),
            devices: entry.channels.iter().map(|channel| channel.device.clone()).collect(),
            update: state.update,
        }
    };
    Json(NodesView { nodes: nodes.all().into_iter().map(view).collect() })
}

/// `POST /nodes/{id}/blink`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Blink {
    seconds: u8,
}

impl Default for Blink {
    fn default() -> Self {
        Self { seconds: 30 }
    }
}

/// Answers `POST /nodes/{id}/blink`.
pub(super) async fn blink(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    who: Who,
    Sent(Blink { seconds }): Sent<Blink>,
) -> Result<Json<Sending>, Problem> {
    tell(&shared, &who, &id, Task::Blink(seconds)).await.map(|_| Json(Sending::done()))
}

/// `POST /nodes/{id}/switch`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    channel: u8,
    on: bool,
    /// It goes off by itself after so many seconds; 0: when it is told.
    #[serde(default)]
    for_s: u16,
}

/// Answers `POST /nodes/{id}/switch`, when the node has done it.
pub(super) async fn switch(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    who: Who,
    Sent(Wanted { channel, on, for_s }): Sent<Wanted>,
) -> Result<Json<Sending>, Problem> {
    tell(&shared, &who, &id, Task::Switch(Switch { channel, on, for_s })).await.map(|_| Json(Sending::done()))
}

/// Answers `POST /nodes/{id}/restart`, when the node has said that it will.
pub(super) async fn restart(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    who: Who,
) -> Result<Json<Sending>, Problem> {
    tell(&shared, &who, &id, Task::Restart).await.map(|_| Json(Sending::done()))
}

/// `POST /nodes/{id}/log`
#[derive(Debug, Serialize)]
pub(super) struct LogView {
    /// Line by line, oldest first, each with the seconds since the node's start.
    log: String,
}

/// Answers `POST /nodes/{id}/log`.
pub(super) async fn log(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    who: Who,
) -> Result<Json<LogView>, Problem> {
    tell(&shared, &who, &id, Task::Log).await.map(|log| Json(LogView { log }))
}

/// For which board the program is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct For {
    board: String,
}

/// Answers `POST /nodes/{id}/update`, when the node awaits the first part; `GET /nodes` tells how it goes on.
pub(super) async fn update(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    who: Who,
    wanted: Result<Query<For>, QueryRejection>,
    sent: Result<Bytes, BytesRejection>,
) -> Result<Json<Sending>, Problem> {
    let Query(For { board }) = wanted?;
    let program = sent.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(LARGEST_PROGRAM),
        _ => Problem::bad(rejection.body_text(), "send the whole program"),
    })?;
    let wanted = board_named(&board).ok_or_else(|| {
        Problem::bad(format!("there is no board `{board}`"), "boards are: pico, pico2, nucleo-f411, qemu, simulated")
    })?;
    if program.is_empty() {
        return Err(Problem::bad("there is no program in the request", "send the board's .bin as it is"));
    }
    let status = find(&shared, &id)?;
    if let Some(own) = status.look().hello.map(|hello| hello.board).filter(|own: &Board| *own != wanted) {
        let detail = format!("node `{id}` is a {}, and the program is for a {board}", board_name(own));
        return Err(Problem::conflict("other_board", detail, "send the program that is built for the node's board"));
    }
    let task = Task::Update { program: Arc::from(&*program), board: wanted };
    tell(&shared, &who, &id, task).await.map(|_| Json(Sending::done()))
}

fn find(shared: &Shared, called: &str) -> Result<Arc<NodeStatus>, Problem> {
    shared.state.nodes.find(called).ok_or_else(|| {
        let mend = "GET /api/v1/nodes lists them; `ninewatch node pair` adds one";
        Problem::not_found("no_node", format!("no node is called `{called}`"), mend)
    })
}

async fn tell(shared: &Shared, who: &Who, called: &str, task: Task) -> Result<String, Problem> {
    let status = find(shared, called)?;
    let said = shared.state.nodes.tell(&status, task).await;
    tracing::info!(account = who.account(), node = called, done = said.is_ok(), "told a node something");
    said.map_err(|why| {
        let mend = match why {
            NotDone::NoAnswer => "look at its power, its wiring and GET /api/v1/health, then try again",
            NotDone::CannotDo => {
                "GET /api/v1/nodes says which board it is, and whether it takes programs over the line"
            }
            NotDone::UnderWay => "wait for the end of it: GET /api/v1/nodes",
            NotDone::Malformed => "try again; if it comes again, look for what disturbs the line",
            NotDone::MemoryFailed => "replace the node",
        };
        Problem::conflict("node_refused", why.to_string(), mend)
    })
}
