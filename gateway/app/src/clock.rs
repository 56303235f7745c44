//! The gateway's clock. Only the demo's runs at another speed.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ninewatch_core::time::TimeMs;

/// Tells the time that everything in the gateway goes by.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Clock {
    /// The machine's own.
    System,
    /// From `origin_ms` at `start`, `speed` times as fast: a day can be played in minutes.
    Played { start: Instant, origin_ms: TimeMs, speed: f64 },
    /// As a test sets it.
    #[cfg(test)]
    Set(&'static std::sync::atomic::AtomicI64),
}

impl Clock {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub(crate) fn now_ms(&self) -> TimeMs {
        match self {
            Self::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                TimeMs::try_from(since.as_millis()).unwrap_or(TimeMs::MAX)
            }
            #[allow(clippy::cast_possible_truncation, reason = "a played day is far below 2^53 ms")]
            Self::Played { start, origin_ms, speed } => {
                origin_ms + (start.elapsed().as_secs_f64() * speed * 1000.0) as TimeMs
            }
            #[cfg(test)]
            Self::Set(now_ms) => now_ms.load(std::sync::atomic::Ordering::Relaxed),
        }
    }

    /// How many of its milliseconds pass in one real one.
    pub(crate) fn speed(&self) -> f64 {
        match self {
            Self::Played { speed, .. } => *speed,
            _ => 1.0,
        }
    }
}
