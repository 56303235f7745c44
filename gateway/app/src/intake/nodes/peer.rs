//! A node as the gateway sees it: what to ask it, and what becomes of what it says. No I/O: frames and times come in.

use std::collections::VecDeque;
use std::sync::Arc;

use ninewatch_core::time::TimeMs;
use ninewatch_wire::frame::{Frame, MAX_ON_LINE, TooLong};
use ninewatch_wire::gateway::{GatewayEnd, Refused, Said};
use ninewatch_wire::message::{Body, Down, Hello, Lane, Measure, Report, Up};
use ninewatch_wire::table::MAX_TABLE;

use super::epoch::Epoch;
use super::list::NodeEntry;
use super::orders::{Order, Orders};
use super::reports::{Pack, packs};
use super::status::{NodeStatus, Stranger};
use crate::engine::Fate;

/// Refused so often in a row, something is wrong with the session: another one is begun.
const ANOTHER_SESSION: u32 = 5;

/// A node.
pub(super) struct Peer {
    pub(super) entry: Arc<NodeEntry>,
    pub(super) status: Arc<NodeStatus>,
    end: GatewayEnd,
    lanes: [Waiting; 2],
    epoch: Epoch,
    orders: Orders,
    refused: u32,
}

/// What came of a frame.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// For the engine, each with what it is acknowledged by.
    pub(super) packs: Vec<(Mark, Pack)>,
    /// Whether there is more to say at once, on either side.
    pub(super) has_more: bool,
}

/// By which a peer knows what was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    lane: usize,
    frame: u64,
}

/// The frames of one lane that wait to be on disk. A frame is acknowledged as a whole: what is sent again then comes in
/// the same frames, and the engine knows each reading again.
#[derive(Debug, Default)]
struct Waiting {
    acked: u32,
    frames: VecDeque<Kept>,
    /// Never begins anew: an acknowledgement of a former boot meets nothing.
    next: u64,
}

#[derive(Debug)]
struct Kept {
    frame: u64,
    up_to: u32,
    left: usize,
}

impl Peer {
    /// `session` is drawn at random.
    pub(super) fn new(entry: Arc<NodeEntry>, status: Arc<NodeStatus>, session: u32) -> Self {
        let end = GatewayEnd::new(entry.id, entry.key.clone(), session);
        let lanes = Default::default();
        let mut peer =
            Self { entry, status, end, lanes, epoch: Epoch::default(), orders: Orders::default(), refused: 0 };
        peer.set_table();
        peer
    }

    /// Takes what is said of it in a list that was read anew. Another key is another node: `None` then.
    pub(super) fn follow(mut self, entry: &Arc<NodeEntry>, status: Arc<NodeStatus>) -> Option<Self> {
        if self.entry.key != entry.key {
            return None;
        }
        self.entry = entry.clone();
        if self.status.name != status.name {
            status.with(|state| *state = self.status.look());
            self.status = status;
        }
        self.set_table();
        Some(self)
    }

    fn set_table(&mut self) {
        let mut out = [0; MAX_TABLE];
        let table = self.entry.table();
        self.orders.set_table(table.encode(&mut out).unwrap_or_default().to_vec(), table.crc());
    }

    /// Whether it was heard in this session.
    pub(super) fn is_known(&self) -> bool {
        self.end.is_known()
    }

    /// Gives it something to do. Whoever gave it is told by the order itself.
    pub(super) fn order(&mut self, order: Order) {
        self.orders.give(order, &self.status);
    }

    /// The next question to it.
    ///
    /// # Errors
    /// Where it does not fit into a frame.
    pub(super) fn ask<'a>(&mut self, now_ms: TimeMs, out: &'a mut [u8; MAX_ON_LINE]) -> Result<&'a [u8], TooLong> {
        self.orders.look_after(&self.status, now_ms);
        let down = Down {
            echo: 0,
            acked: [self.lanes[0].acked, self.lanes[1].acked],
            epoch_ms: self.epoch.get(),
            order: self.orders.current(),
        };
        self.end.ask(down, out)
    }

    /// Takes in a frame; `new_session` draws a number. What is not believed is told of in the node's status.
    pub(super) fn hear(
        &mut self,
        frame: Frame<'_>,
        now_ms: TimeMs,
        new_session: impl FnOnce() -> Option<u32>,
    ) -> Result<Heard, Refused> {
        match self.end.hear(frame) {
            Ok(said) => {
                self.refused = 0;
                Ok(take(
                    self.entry.clone(),
                    &self.status,
                    &mut self.lanes,
                    &mut self.epoch,
                    &mut self.orders,
                    said,
                    now_ms,
                ))
            }
            Err(refused) => {
                let stranger = match refused {
                    Refused::WrongKey => Some(Stranger::WrongKey),
                    Refused::OtherVersion(version) => Some(Stranger::OtherVersion(version)),
                    _ => None,
                };
                if stranger.is_some() {
                    self.status.with(|state| state.refused = stranger);
                }
                if matches!(refused, Refused::WrongKey | Refused::Replayed) {
                    self.refused += 1;
                    if self.refused >= ANOTHER_SESSION
                        && let Some(session) = new_session()
                    {
                        self.refused = 0;
                        tracing::debug!(node = self.entry.name, ?refused, "another session is begun with a node");
                        self.end = GatewayEnd::new(self.entry.id, self.entry.key.clone(), session);
                    }
                }
                Err(refused)
            }
        }
    }

    /// Takes what became of readings.
    pub(super) fn acked(&mut self, mark: Mark, fate: Fate) {
        if let Some(lane) = self.lanes.get_mut(mark.lane) {
            lane.acked(mark.frame, matches!(fate, Fate::Taken | Fate::Rejected));
        }
    }
}

/// What the node says, in the parts that it concerns.
fn take(
    entry: Arc<NodeEntry>,
    status: &NodeStatus,
    lanes: &mut [Waiting; 2],
    epoch: &mut Epoch,
    orders: &mut Orders,
    Said { up, boot, is_new_boot }: Said<'_>,
    now_ms: TimeMs,
) -> Heard {
    status.heard(now_ms);
    let Up { uptime_ms, done, body } = up;
    if is_new_boot {
        lanes.iter_mut().for_each(Waiting::begin);
    }
    let mut heard = Heard::default();
    match body {
        Body::Hello(hello) => {
            epoch.begin(now_ms, uptime_ms, hello.epoch_ms);
            tell(&entry, boot, &hello, is_new_boot);
            status.started(boot, hello);
            if is_new_boot {
                orders.started(&hello, status);
            }
            heard.has_more = true;
        }
        Body::Well(health) => status.well(health, false),
        Body::Reports(lane, reports) => {
            heard.has_more = true;
            watch_lines(status, &reports);
            if let Some(lane_kept) = lanes.get_mut(lane.index()) {
                heard.packs = lane_kept.take(lane, &reports, &entry);
            }
        }
        Body::Log(part) => {
            heard.has_more = true;
            orders.log(part);
        }
    }
    epoch.learn(now_ms, uptime_ms);
    if let Some(done) = done.filter(|_| !is_new_boot) {
        orders.done(done, status, now_ms);
    }
    heard.has_more |= orders.are_waiting();
    heard
}

fn tell(entry: &NodeEntry, boot: u32, hello: &Hello, is_new_boot: bool) {
    let [major, minor, patch] = hello.firmware;
    let (node, reset) = (&entry.name, hello.reset);
    if is_new_boot {
        tracing::info!(node, boot, ?reset, program = %format!("{major}.{minor}.{patch}"), "a node is here");
    }
}

/// A supervised line that is cut or shorted is no reading: it ails.
fn watch_lines(status: &NodeStatus, reports: &[Report]) {
    for report in reports {
        if let Measure::Line(line) = report.measure {
            status.with(|state| match line {
                ninewatch_wire::message::Line::Open | ninewatch_wire::message::Line::Short => {
                    state.broken.insert(report.channel, line);
                }
                _ => _ = state.broken.remove(&report.channel),
            });
        }
    }
}

impl Waiting {
    /// The node has started, or another session: its numbers begin anew.
    fn begin(&mut self) {
        self.acked = 0;
        self.frames.clear();
    }

    fn take(&mut self, lane: Lane, reports: &[Report], entry: &NodeEntry) -> Vec<(Mark, Pack)> {
        let handed = self.frames.back().map_or(self.acked, |last| last.up_to);
        let new: Vec<Report> = reports.iter().filter(|report| report.number > handed).copied().collect();
        let Some(last) = new.last() else { return Vec::new() };
        let frame = self.next;
        self.next += 1;
        let packs = packs(entry, &new);
        self.frames.push_back(Kept { frame, up_to: last.number, left: packs.len() });
        self.settle();
        packs.into_iter().map(|pack| (Mark { lane: lane.index(), frame }, pack)).collect()
    }

    fn acked(&mut self, frame: u64, is_on_disk: bool) {
        let Some(place) = self.frames.iter().position(|kept| kept.frame == frame) else { return };
        if is_on_disk {
            if let Some(kept) = self.frames.get_mut(place) {
                kept.left = kept.left.saturating_sub(1);
            }
            self.settle();
        } else {
            // The node sends it again, and what came after it.
            self.frames.truncate(place);
        }
    }

    fn settle(&mut self) {
        while let Some(first) = self.frames.front().filter(|first| first.left == 0) {
            self.acked = first.up_to;
            self.frames.pop_front();
        }
    }
}

impl Mark {
    /// As a token of the engine: which node has it, and of what.
    pub(super) fn token(self, slot: u32) -> u64 {
        let lane = u64::try_from(self.lane).unwrap_or(0);
        u64::from(slot) << 40 | lane << 39 | (self.frame & ((1 << 39) - 1))
    }

    /// What [`token`](Self::token) made.
    pub(super) fn of(token: u64) -> (u32, Self) {
        let slot = u32::try_from(token >> 40).unwrap_or(u32::MAX);
        (slot, Self { lane: usize::from(token & 1 << 39 != 0), frame: token & ((1 << 39) - 1) })
    }
}
