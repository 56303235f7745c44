//! A simulated world around the real gateway: pipeline, engine, journal, outbox and upstream session.
//!
//! Everything that happens is drawn from a seed, time included: the same seed is the same run. The
//! world's [`promises`] are what `docs/promises.md` says, held against the run as it goes and when
//! everything has healed. `docs/decisions/0008-simulation.md` says what is real here and what is not.

mod chance;
mod disk;
mod platform;
mod progress;
mod promises;
mod tests;
mod town;
mod world;

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Bugs that the simulation has to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A PUBACK goes out before the journal is on disk.
    AckBeforeSync,
    /// The journal writes, and does not sync.
    SyncForgotten,
    /// A message is acknowledged although the disk was full.
    FullDiskAcknowledges,
    /// What is held on the disk is not written to.
    ReserveKept,
    /// A full disk puts off an alarm like any reading.
    FullDiskDefersAlarms,
    /// After a crash nobody writes the changes that it kept from the alert log.
    DecisionsNotRegained,
    /// What is decided again is decided by another clock.
    ReplayedLate,
    /// A change gets no place in the alert log.
    ChangeLost,
    /// A staff action that comes again is taken again.
    ActionTwice,
    /// An action of an upstream is acknowledged before the answer to it has arrived.
    AnswerForgotten,
    /// What whoever closes has seen is not looked at.
    ClosedUnseen,
    /// What an upstream has is not remembered.
    CursorForgotten,
    /// What is sent next counts as delivered already.
    CursorAhead,
    /// A critical alert waits like any other.
    CriticalLast,
}

impl Bug {
    const ALL: [Self; 14] = [
        Self::AckBeforeSync,
        Self::SyncForgotten,
        Self::FullDiskAcknowledges,
        Self::ReserveKept,
        Self::FullDiskDefersAlarms,
        Self::DecisionsNotRegained,
        Self::ReplayedLate,
        Self::ChangeLost,
        Self::ActionTwice,
        Self::AnswerForgotten,
        Self::ClosedUnseen,
        Self::CursorForgotten,
        Self::CursorAhead,
        Self::CriticalLast,
    ];
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Whether this thread's run has the bug.
pub(crate) fn planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// A promise was broken.
struct Broken {
    seed: u64,
    promise: String,
    /// What happened last.
    steps: Vec<String>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}\nthe last steps:", self.seed, self.promise)?;
        let last = self.steps.len().saturating_sub(12);
        self.steps.iter().skip(last).try_for_each(|step| writeln!(f, "  {step}"))?;
        write!(f, "replay it: make sim SEEDS={} TRACE=1", self.seed)
    }
}

/// Runs the world of a seed; gives how many alert changes there were.
fn run(seed: u64, bug: Option<Bug>, trace: bool) -> Result<usize, Broken> {
    PLANTED.set(bug);
    let mut steps = Vec::new();
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
        runtime.block_on(world::run(seed, trace, &mut steps))
    }));
    PLANTED.set(None);
    let promise = match ran {
        Ok(Ok(changes)) => return Ok(changes),
        Ok(Err(broken)) => format!("{broken:#}"),
        Err(_) => "it panicked, as told above".to_owned(),
    };
    Err(Broken { seed, promise, steps })
}
