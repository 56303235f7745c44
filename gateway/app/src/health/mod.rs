//! Whether the gateway is well.
//!
//! ```text
//! parts ─ what ails each ─┬─▶ engine: operator alerts    (here, once a second)
//!                         └─▶ console: /health, /metrics
//! changes, delivery ─▶ undelivered ─▶ local sign
//! ```
//! There is one list of parts, and whoever wants to know asks them. What counts as an alert of it, how grave and from when
//! on, [`ninewatch_core::ailment`] says.

mod clock;
mod disk;
mod pace;
mod refusals;
mod sign;
mod sign_hook;
mod storage;
mod undelivered;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ninewatch_core::ailment::{Ailment, Complaint};
use ninewatch_core::alert::{AlertSettings, Text};
use ninewatch_core::time::Span;

use crate::clock::Clock;
use crate::engine::{Engine, Stopped};
use crate::metrics::header;

pub(crate) use clock::ClockHealth;
pub(crate) use disk::DiskHealth;
pub(crate) use pace::Pace;
pub(crate) use refusals::Refusals;
pub(crate) use sign::Sign;
pub(crate) use storage::{IndexHealth, JournalHealth};
pub(crate) use undelivered::Undelivered;

/// A part of the gateway that can be well or not: a broker, an upstream, the sensor port, the models.
pub(crate) trait Part: Send + Sync {
    /// Unique, for people and metrics: `upstream:city`.
    fn name(&self) -> String;
    /// What ails it now, in words that do not count up; nothing where it is well. Must not block.
    fn ails(&self) -> Vec<(Ailment, Text)>;
    /// What people want to know of it while it is well, too. Must not block.
    fn says(&self) -> Option<Text> {
        None
    }
    /// Appends its metrics in Prometheus' text format. Parts of one kind may give the same family
    /// with different labels. Must not block.
    fn metrics(&self, out: &mut String);
    /// Parts of it that come and go while the gateway runs.
    fn within(&self) -> Vec<Arc<dyn Part>> {
        Vec::new()
    }
}

/// The parts, each with those within it.
pub(crate) fn all(parts: &[Arc<dyn Part>]) -> impl Iterator<Item = Arc<dyn Part>> {
    parts.iter().flat_map(|part| std::iter::once(part.clone()).chain(part.within()))
}

/// How often the parts are asked.
const EVERY: Duration = Duration::from_secs(1);

/// Tells the engine what the parts complain of, until it stops.
///
/// # Errors
/// It has none of its own.
pub(crate) async fn watch(
    parts: Vec<Arc<dyn Part>>,
    engine: Engine,
    (clock, settings): (Clock, AlertSettings),
    pace: Arc<Pace>,
) -> anyhow::Result<()> {
    let mut begun: BTreeMap<(Ailment, String), Instant> = BTreeMap::new();
    let mut look = tokio::time::interval(EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let now = Instant::now();
        let mut complaints = complaints(&parts);
        begun.retain(|(ailment, part), _| complaints.iter().any(|one| one.ailment == *ailment && one.part == *part));
        complaints.retain(|one| {
            let begun = *begun.entry((one.ailment, one.part.clone())).or_insert(now);
            now.duration_since(begun) >= held_back(one.ailment.holds(&settings), clock)
        });
        let asked = pace.ask();
        if let Err(Stopped) = engine.complain(complaints).await {
            return Ok(());
        }
        pace.answered(asked);
    }
}

/// What all parts complain of now.
pub(crate) fn complaints(parts: &[Arc<dyn Part>]) -> Vec<Complaint> {
    let of = |part: Arc<dyn Part>| {
        let name = part.name();
        part.ails().into_iter().map(move |(ailment, text)| Complaint { part: name.clone(), ailment, text })
    };
    all(parts).flat_map(of).collect()
}

/// The engine counts by the gateway's clock how long a complaint lasts. Where that one is played fast, what is left
/// of the real time passes here: a network is no faster for it.
fn held_back(holds: Span, clock: Clock) -> Duration {
    holds.duration().mul_f64(1.0 - 1.0 / clock.speed().max(1.0))
}

/// For each ailment, how many parts have it.
pub(crate) fn metrics(parts: &[Arc<dyn Part>], out: &mut String) {
    let complaints = complaints(parts);
    let name = "ninewatch_ailment";
    header(out, name, "gauge", "Parts of the gateway that have this ailment now.");
    for ailment in Ailment::ALL {
        let count = complaints.iter().filter(|one| one.ailment == ailment).count();
        let _ = writeln!(out, "{name}{{ailment=\"{}\"}} {count}", ailment.name());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_played_fast_makes_no_alert_of_a_hiccup() {
        let minute = Span::from_secs(60);
        assert_eq!(held_back(minute, Clock::System), Duration::ZERO);
        static NOW_MS: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);
        let played = Clock::Set { now_ms: &NOW_MS, speed: 80.0 };
        // 60 s of the played clock are 0.75 s.
        assert_eq!(held_back(minute, played), Duration::from_millis(59_250));
    }
}
