//! How lines and nodes are, for the console and for health: written by the line's task, read by anybody.

use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ninewatch_core::time::TimeMs;
use ninewatch_wire::frame::NodeId;
use ninewatch_wire::message::{Health, Hello, Line, Outcome};

/// A node that has not answered for so long is silent.
pub(super) const SILENT: Duration = Duration::from_secs(10);
/// What counted up is told for so long.
const OF_LATE: Duration = Duration::from_secs(3_600);
/// Over how many frames the share of damaged ones is taken.
const NOISE_WINDOW: u64 = 200;
/// One in ten is what resending copes with, and more than a good line ever has.
const NOISY: u64 = NOISE_WINDOW / 10;

/// A line.
#[derive(Debug, Default)]
pub(crate) struct LineStatus {
    pub(super) name: String,
    pub(super) asked: AtomicU64,
    pub(super) answered: AtomicU64,
    pub(super) damaged: AtomicU64,
    /// From one question to a node to the next one to it, of the node that was asked last.
    pub(super) round_us: AtomicU64,
    state: Mutex<LineState>,
}

#[derive(Debug, Default)]
struct LineState {
    /// Why it is not open; none where it is.
    down: Option<String>,
    is_open: bool,
    frames: u64,
    damaged: u64,
    noisy: bool,
}

impl LineStatus {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    pub(super) fn opened(&self) {
        self.with(|state| (state.is_open, state.down) = (true, None));
    }

    pub(super) fn cut(&self, why: String) {
        self.with(|state| (state.is_open, state.down) = (false, Some(why)));
    }

    /// A frame came, damaged or not.
    pub(super) fn frame(&self, is_damaged: bool) {
        self.damaged.fetch_add(u64::from(is_damaged), Relaxed);
        self.with(|state| {
            state.frames += 1;
            state.damaged += u64::from(is_damaged);
            if state.frames >= NOISE_WINDOW {
                state.noisy = state.damaged >= NOISY;
                (state.frames, state.damaged) = (0, 0);
            }
        });
    }

    /// Whether it is open, why it is not, and whether many frames come damaged.
    pub(crate) fn look(&self) -> (bool, Option<String>, bool) {
        self.with(|state| (state.is_open, state.down.clone(), state.noisy))
    }

    fn with<T>(&self, act: impl FnOnce(&mut LineState) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A node.
#[derive(Debug)]
pub(crate) struct NodeStatus {
    pub(crate) id: NodeId,
    pub(crate) name: String,
    pub(crate) line: String,
    state: Mutex<NodeState>,
}

/// What is known of a node since the gateway started.
#[derive(Debug, Clone, Default)]
pub(crate) struct NodeState {
    pub(crate) since: Option<Instant>,
    pub(crate) heard: Option<(Instant, TimeMs)>,
    pub(crate) boot: u32,
    pub(crate) hello: Option<Hello>,
    pub(crate) health: Health,
    pub(crate) refused: Option<Stranger>,
    /// What the node made of the table, where it did not take it.
    pub(crate) not_fitted: Option<Outcome>,
    /// Supervised lines that are broken, by channel.
    pub(crate) broken: BTreeMap<u8, Line>,
    /// When it panicked, and when it let go of reports, of late.
    panicked: Option<Instant>,
    let_go: Option<Instant>,
    pub(crate) update: Option<UpdateStatus>,
}

/// Why what answers is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stranger {
    /// Another key.
    WrongKey,
    /// Another version of the wire.
    OtherVersion(u8),
}

/// How a new program comes to a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct UpdateStatus {
    /// `sending`, `restarting`, `done` or `failed`.
    pub(crate) state: &'static str,
    /// Bytes that are there.
    pub(crate) bytes: u32,
    /// Of so many.
    pub(crate) of: u32,
    /// Why it failed, where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
}

impl NodeStatus {
    pub(super) fn new(id: NodeId, name: &str, line: &str) -> Self {
        let state = NodeState { since: Some(Instant::now()), ..NodeState::default() };
        Self { id, name: name.to_owned(), line: line.to_owned(), state: Mutex::new(state) }
    }

    pub(super) fn heard(&self, now_ms: TimeMs) {
        self.with(|state| {
            state.heard = Some((Instant::now(), now_ms));
            state.refused = None;
        });
    }

    pub(super) fn started(&self, boot: u32, hello: Hello) {
        self.with(|state| {
            (state.boot, state.hello) = (boot, Some(hello));
            state.broken.clear();
        });
        self.well(hello.health, true);
    }

    pub(super) fn well(&self, health: Health, is_new_boot: bool) {
        self.with(|state| {
            let before = state.health;
            // At the first sight of it nobody knows when that was.
            if state.heard.is_some() && health.panics > before.panics && before != Health::default() {
                state.panicked = Some(Instant::now());
            }
            if health.let_go > if is_new_boot { 0 } else { before.let_go } {
                state.let_go = Some(Instant::now());
            }
            state.health = health;
        });
    }

    pub(super) fn with<T>(&self, act: impl FnOnce(&mut NodeState) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is known of it.
    pub(crate) fn look(&self) -> NodeState {
        self.with(|state| state.clone())
    }
}

impl NodeState {
    /// Whether it has not answered for long.
    pub(crate) fn is_silent(&self) -> bool {
        let last = self.heard.map(|(at, _)| at).or(self.since);
        last.is_some_and(|at| at.elapsed() >= SILENT)
    }

    /// Whether it panicked, and whether it let go of reports, within the hour.
    pub(crate) fn of_late(&self) -> (bool, bool) {
        let is_late = |at: Option<Instant>| at.is_some_and(|at| at.elapsed() < OF_LATE);
        (is_late(self.panicked), is_late(self.let_go))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_noisy_by_the_share_of_its_frames_that_come_damaged() {
        let line = LineStatus::new("east");
        let play = |damaged: u64| {
            (0..NOISE_WINDOW).for_each(|frame| line.frame(frame < damaged));
            line.look().2
        };
        assert!(!play(NOISY - 1));
        assert!(play(NOISY));
        assert!(!play(0), "it is over");
    }

    #[test]
    fn panics_and_lost_reports_are_told_when_they_count_up() {
        let node = NodeStatus::new(NodeId(1), "kitchen", "east");
        let health = |panics, let_go| Health { panics, let_go, damaged: 1, ..Health::default() };
        node.well(health(3, 0), true);
        node.heard(1);
        assert_eq!(node.look().of_late(), (false, false), "that was before anybody looked");
        node.well(health(4, 0), true);
        node.well(health(4, 2), false);
        assert_eq!(node.look().of_late(), (true, true));
    }
}
