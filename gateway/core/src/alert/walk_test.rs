//! Walk-tests: while it is a device's turn, what it raises is marked. The mark changes words and bookkeeping, never how
//! grave an alert is, whom it is told, or how it climbs.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{AlertId, Finding};
use crate::time::{Span, TimeMs};

/// What a person says of a device's turn in a walk-test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalkTurn {
    /// Which walk-test.
    pub walk_test: String,
    /// Whose turn; a device of the registry.
    pub device: String,
    /// Who says it.
    pub by: String,
    /// Whether it begins or is over.
    pub step: TurnStep,
}

/// A turn begins, or is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TurnStep {
    /// From now on, and for [`LONGEST_TURN`] at most, what the device raises is marked.
    Begin,
    /// What it raises from now on is real; what was marked is closed as a test as soon as it is quiet.
    End,
}

/// Why a turn does not begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TurnError {
    /// The registry has no such device.
    #[error("there is no device `{0}`")]
    NoDevice(String),
    /// It has its turn in another walk-test.
    #[error("it is the device's turn in the walk-test `{0}`")]
    OtherTest(String),
    /// What it raised in a turn before still holds.
    #[error("the device still alarms: alert no. {0} of its last turn holds")]
    StillAlarms(u64),
}

/// Somebody who presses a test button does it within minutes; whoever forgot leaves no device marked for longer.
pub const LONGEST_TURN: Span = Span::from_ms(5 * 60_000);
/// A detector whose button was pressed is quiet again within this time of its turn; what goes on for longer is real.
pub const QUIET_WITHIN: Span = Span::from_ms(2 * 60_000);

/// That a device is silent, or its battery low, is found by the way and is no test of it.
const OF_THE_DEVICE: &str = "device_health";

/// A device's turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Turn {
    pub(super) walk_test: Arc<str>,
    /// Until when what it raises is marked.
    until_ms: TimeMs,
    /// Who said that it is over; nobody, where its time runs out.
    pub(super) ended_by: Option<String>,
}

impl Turn {
    pub(super) fn beginning(turn: &WalkTurn, now: TimeMs) -> Self {
        Self { walk_test: turn.walk_test.as_str().into(), until_ms: now + LONGEST_TURN.ms(), ended_by: None }
    }

    pub(super) fn ended(turn: &WalkTurn, now: TimeMs) -> Self {
        Self { walk_test: turn.walk_test.as_str().into(), until_ms: now, ended_by: Some(turn.by.clone()) }
    }

    /// Whether what the device raises is marked.
    pub(super) fn marks(&self, now: TimeMs) -> bool {
        now < self.until_ms
    }

    /// When what is still marked is looked at.
    pub(super) fn due_ms(&self) -> TimeMs {
        self.until_ms + QUIET_WITHIN.ms()
    }
}

/// The turns that go on, or whose alerts are not settled, by device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Turns(pub(super) BTreeMap<String, Turn>);

impl Turns {
    /// The walk-test that a finding belongs to.
    pub(super) fn mark(&self, finding: &Finding, now: TimeMs) -> Option<Arc<str>> {
        let turn = self.0.get(&finding.evidence.device).filter(|turn| turn.marks(now))?;
        (*finding.group != *OF_THE_DEVICE).then(|| turn.walk_test.clone())
    }

    pub(super) fn next_due(&self) -> Option<TimeMs> {
        self.0.values().map(Turn::due_ms).min()
    }
}

/// What a checkpoint has of walk-tests. It stands behind all else, and only where there is something: checkpoints of before
/// there were walk-tests end there, and the former program does not read so far.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct WalkState {
    pub(super) turns: Turns,
    pub(super) marks: BTreeMap<AlertId, Arc<str>>,
}

impl WalkState {
    /// Whether there is nothing to write down.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
