//! The gateway's clock. Only the demo's and the tests' is not the machine's.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use ninewatch_core::time::TimeMs;

/// Tells the time that everything in the gateway goes by.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Clock {
    /// The machine's own.
    System,
    /// Somebody sets it forward, in the mean `speed` times as fast as the machine's: a day can be played in minutes.
    Set { now_ms: &'static AtomicI64, speed: f64 },
}

impl Clock {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub(crate) fn now_ms(&self) -> TimeMs {
        match self {
            Self::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                TimeMs::try_from(since.as_millis()).unwrap_or(TimeMs::MAX)
            }
            Self::Set { now_ms, .. } => now_ms.load(Relaxed),
        }
    }

    /// How many of its milliseconds pass in one real one.
    pub(crate) fn speed(&self) -> f64 {
        match self {
            Self::Set { speed, .. } => *speed,
            Self::System => 1.0,
        }
    }
}
