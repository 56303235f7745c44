//! What a node is told to do, one thing after the other, each until it says what became of it.

use std::collections::VecDeque;
use std::sync::Arc;
use thiserror::Error;
use tokio::sync::oneshot;

use ninewatch_core::time::TimeMs;
use ninewatch_wire::frame::crc32;
use ninewatch_wire::message::{Board, Done, Hello, MAX_PART, Outcome, What};

use super::status::{NodeStatus, UpdateStatus};

/// Something for a node to do, and whom to tell what came of it.
#[derive(Debug)]
pub(crate) struct Order {
    /// What.
    pub(crate) task: Task,
    /// For a log, its text; else an empty text.
    pub(crate) reply: oneshot::Sender<Result<String, NotDone>>,
}

/// What a node can be told by people.
#[derive(Debug, Clone)]
pub(crate) enum Task {
    /// Blink for so many seconds.
    Blink(u8),
    /// Switch the output of a channel.
    Switch(Switch),
    /// Start anew.
    Restart,
    /// Say what is in the log.
    Log,
    /// Take a new program. The answer comes when it is begun; how it goes on, the node's status tells.
    Update { program: Arc<[u8]>, board: Board },
}

/// How an output is to be: off again by itself after `for_s` seconds, where that is not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Switch {
    pub(crate) channel: u8,
    pub(crate) on: bool,
    pub(crate) for_s: u16,
}

/// Why a node has not done something.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum NotDone {
    /// It said so.
    #[error("the node cannot do it: it has no such output, no second slot, or is another board")]
    CannotDo,
    /// It could not read it.
    #[error("what came to the node is not what was announced")]
    Malformed,
    /// It could not keep it.
    #[error("the node's memory cannot be written")]
    MemoryFailed,
    /// It has not answered.
    #[error("the node does not answer")]
    NoAnswer,
    /// Another one is under way.
    #[error("a new program is on its way to the node already")]
    UnderWay,
}

/// A started node has this long to come back with its new program: a minute on trial, and half a minute before it to
/// hand over its alarms.
const COMES_BACK_MS: i64 = 90_000;
/// A part that is awaited again so often does not arrive whole.
const TRIES: u32 = 50;
/// Of a log, which is a few KiB in the node's memory.
const LONGEST_LOG: usize = 64 * 1024;

/// The orders of a node.
#[derive(Debug, Default)]
pub(super) struct Orders {
    table: Vec<u8>,
    table_crc: u32,
    /// As the node said.
    node_crc: Option<u32>,
    not_fitted: bool,
    firmware: [u16; 3],
    waiting: VecDeque<Order>,
    doing: Option<Doing>,
    number: u16,
    restarting: Option<Restarting>,
}

#[derive(Debug)]
struct Doing {
    number: u16,
    step: Step,
    reply: Option<oneshot::Sender<Result<String, NotDone>>>,
}

#[derive(Debug)]
enum Step {
    Fit,
    Blink(u8),
    Switch(Switch),
    Restart,
    Log(String),
    Update(Update),
}

#[derive(Debug)]
struct Update {
    program: Arc<[u8]>,
    board: Board,
    crc: u32,
    /// None before it is begun, the size once all is there.
    offset: Option<usize>,
    tries: u32,
}

/// A node that starts its new program.
#[derive(Debug)]
struct Restarting {
    since_ms: TimeMs,
    former: [u16; 3],
    bytes: u32,
}

impl Orders {
    /// What the node is to be fitted with.
    pub(super) fn set_table(&mut self, table: Vec<u8>, crc: u32) {
        if self.table != table {
            self.not_fitted = false;
        }
        (self.table, self.table_crc) = (table, crc);
    }

    /// Puts an order behind the others.
    pub(super) fn give(&mut self, order: Order, status: &NodeStatus) {
        if let Task::Update { program, .. } = &order.task {
            let under_way = self.restarting.is_some()
                || self.doing.as_ref().is_some_and(|doing| matches!(doing.step, Step::Update(_)))
                || self.waiting.iter().any(|waiting| matches!(waiting.task, Task::Update { .. }));
            if under_way {
                let _ = order.reply.send(Err(NotDone::UnderWay));
                return;
            }
            show(status, "sending", 0, size(program), None);
        }
        self.waiting.push_back(order);
    }

    /// Whether there is something to tell the node.
    pub(super) fn are_waiting(&self) -> bool {
        self.doing.is_some() || !self.waiting.is_empty() || self.wants_fit()
    }

    fn wants_fit(&self) -> bool {
        !self.not_fitted && self.node_crc.is_some_and(|crc| crc != self.table_crc)
    }

    /// Begins the next order, and sees whether a node that started a new program is late.
    pub(super) fn look_after(&mut self, status: &NodeStatus, now_ms: TimeMs) {
        if let Some(late) = self.restarting.take_if(|it| now_ms.saturating_sub(it.since_ms) > COMES_BACK_MS) {
            show(status, "failed", late.bytes, late.bytes, Some("it has not come back with its new program"));
        }
        // Who asked has given up: the node is not to do it when nobody waits for it any more.
        self.waiting.retain(|order| !order.reply.is_closed());
        if self.doing.is_some() {
            return;
        }
        let (step, reply) = if self.wants_fit() {
            (Step::Fit, None)
        } else if let Some(order) = self.waiting.pop_front() {
            let step = match order.task {
                Task::Blink(seconds) => Step::Blink(seconds),
                Task::Switch(switch) => Step::Switch(switch),
                Task::Restart => Step::Restart,
                Task::Log => Step::Log(String::new()),
                Task::Update { program, board } => {
                    Step::Update(Update { crc: crc32(&program), program, board, offset: None, tries: 0 })
                }
            };
            (step, Some(order.reply))
        } else {
            return;
        };
        let number = self.next_number();
        self.doing = Some(Doing { number, step, reply });
    }

    /// Counts from 1.
    fn next_number(&mut self) -> u16 {
        self.number = self.number.checked_add(1).unwrap_or(1);
        self.number
    }

    /// What the node is told with the next question.
    pub(super) fn current(&self) -> Option<ninewatch_wire::message::Order<'_>> {
        let doing = self.doing.as_ref()?;
        let what = match &doing.step {
            Step::Fit => What::Fit(&self.table),
            Step::Blink(seconds) => What::Blink(*seconds),
            Step::Switch(Switch { channel, on, for_s }) => What::Switch { channel: *channel, on: *on, for_s: *for_s },
            Step::Restart => What::Restart,
            Step::Log(_) => What::Log,
            Step::Update(update) => update.what(),
        };
        Some(ninewatch_wire::message::Order { number: doing.number, what })
    }

    /// The node has started, or is heard in another session: what it was told may be forgotten.
    pub(super) fn started(&mut self, hello: &Hello, status: &NodeStatus) {
        self.node_crc = Some(hello.table_crc);
        self.firmware = hello.firmware;
        if hello.table_crc == self.table_crc {
            status.with(|state| state.not_fitted = None);
        }
        self.not_fitted = false;
        if let Some(Restarting { former, bytes, .. }) = self.restarting.take() {
            if hello.on_trial || hello.firmware != former {
                show(status, "done", bytes, bytes, None);
            } else {
                show(status, "failed", bytes, bytes, Some("it came back with its former program"));
            }
        }
        match &mut self.doing {
            Some(Doing { step: Step::Restart, .. }) => self.finish(Ok(String::new())),
            Some(Doing { step: Step::Update(update), .. }) => {
                update.offset = None;
                self.renumber();
            }
            Some(Doing { step: Step::Log(text), .. }) => {
                text.clear();
                self.renumber();
            }
            _ => {}
        }
    }

    fn renumber(&mut self) {
        let number = self.next_number();
        if let Some(doing) = &mut self.doing {
            doing.number = number;
        }
    }

    /// The node says what became of an order.
    pub(super) fn done(&mut self, done: Done, status: &NodeStatus, now_ms: TimeMs) {
        let (table_crc, firmware) = (self.table_crc, self.firmware);
        let Some(doing) = self.doing.as_mut().filter(|doing| doing.number == done.number) else { return };
        match &mut doing.step {
            Step::Fit => {
                self.not_fitted = done.outcome != Outcome::Done;
                if done.outcome == Outcome::Done {
                    self.node_crc = Some(table_crc);
                }
                status.with(|state| state.not_fitted = Some(done.outcome).filter(|outcome| *outcome != Outcome::Done));
                self.doing = None;
            }
            Step::Log(_) if done.outcome == Outcome::Done => {}
            Step::Update(update) => match update.go_on(done.outcome) {
                Ok(Progress::Goes(offset)) => {
                    show(status, "sending", offset, size(&update.program), None);
                    if let Some(reply) = doing.reply.take() {
                        let _ = reply.send(Ok(String::new()));
                    }
                    self.renumber();
                }
                Ok(Progress::Applied) => {
                    let bytes = size(&update.program);
                    show(status, "restarting", bytes, bytes, None);
                    self.restarting = Some(Restarting { since_ms: now_ms, former: firmware, bytes });
                    self.finish(Ok(String::new()));
                }
                Err(why) => {
                    let at = u32::try_from(update.offset.unwrap_or(0)).unwrap_or(u32::MAX);
                    show(status, "failed", at, size(&update.program), Some(&why.to_string()));
                    self.finish(Err(why));
                }
            },
            _ => {
                let result = not_done(done.outcome).map_or(Ok(String::new()), Err);
                self.finish(result);
            }
        }
    }

    /// The node says a part of its log; nothing ends it.
    pub(super) fn log(&mut self, part: &str) {
        let Some(Doing { step: Step::Log(text), .. }) = &mut self.doing else { return };
        if part.is_empty() || text.len() + part.len() > LONGEST_LOG {
            let text = std::mem::take(text);
            self.finish(Ok(text));
        } else {
            text.push_str(part);
        }
    }

    fn finish(&mut self, result: Result<String, NotDone>) {
        if let Some(reply) = self.doing.take().and_then(|doing| doing.reply) {
            let _ = reply.send(result);
        }
    }
}

enum Progress {
    Goes(u32),
    Applied,
}

impl Update {
    fn what(&self) -> What<'_> {
        let Some(offset) = self.offset else {
            return What::UpdateBegin { size: size(&self.program), crc: self.crc, board: self.board };
        };
        let rest = self.program.get(offset..).unwrap_or_default();
        let part = rest.get(..MAX_PART).unwrap_or(rest);
        if part.is_empty() {
            return What::UpdateApply;
        }
        What::UpdatePart { offset: u32::try_from(offset).unwrap_or(u32::MAX), bytes: part }
    }

    fn go_on(&mut self, outcome: Outcome) -> Result<Progress, NotDone> {
        let is_applied = self.offset == Some(self.program.len());
        match outcome {
            Outcome::Done if is_applied => Ok(Progress::Applied),
            Outcome::Awaits(offset) => {
                let at =
                    usize::try_from(offset).ok().filter(|at| *at <= self.program.len()).ok_or(NotDone::Malformed)?;
                let goes_on = self.offset.is_none_or(|before| at > before);
                self.tries = if goes_on { 0 } else { self.tries + 1 };
                self.offset = Some(at);
                if self.tries > TRIES { Err(NotDone::Malformed) } else { Ok(Progress::Goes(offset)) }
            }
            other => Err(not_done(other).unwrap_or(NotDone::Malformed)),
        }
    }
}

fn not_done(outcome: Outcome) -> Option<NotDone> {
    match outcome {
        Outcome::Done => None,
        Outcome::CannotDo => Some(NotDone::CannotDo),
        Outcome::Malformed | Outcome::Awaits(_) => Some(NotDone::Malformed),
        Outcome::MemoryFailed => Some(NotDone::MemoryFailed),
    }
}

fn size(program: &[u8]) -> u32 {
    u32::try_from(program.len()).unwrap_or(u32::MAX)
}

fn show(status: &NodeStatus, state: &'static str, bytes: u32, of: u32, why: Option<&str>) {
    let update = UpdateStatus { state, bytes, of, why: why.map(str::to_owned) };
    status.with(|known| known.update = Some(update));
}
