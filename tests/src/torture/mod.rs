//! Real faults on the real binary: what was acknowledged has to be there, once, and in order.
//!
//! Each scenario has a gateway, a mosquitto and an upstream of its own, and SOS buttons that press and release as fast
//! as they get acknowledgements. When its faults are over, every acknowledged press has to be in the journal, each has
//! to have its alert change at the upstream, and no change may have come there twice or before an earlier one of its
//! alert.

mod clock;
mod disk;
mod ground;
mod kills;
mod large;
mod upstream;
mod volume;

use serde_json::{Value, json};
use std::time::Instant;

/// What is done to a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// SIGKILL under load: half while a PUBLISH is out and its PUBACK is not in, half right after a PUBACK.
    KillUnderLoad,
    /// SIGKILL before it is up.
    KillAtStart,
    /// SIGKILL when a segment has just begun.
    KillAtSegmentRoll,
    /// SIGKILL while it makes its index anew.
    KillAtIndexRebuild,
    /// SIGTERM under load: it ends with 0, soon.
    Terminate,
    /// Its index is deleted between two runs.
    IndexDeleted,
    /// Segments are overwritten, zeroed or cut short at random places between two runs.
    SegmentsDamaged,
    /// The upstream's mosquitto is killed and comes back.
    UpstreamKilled,
    /// The way to the upstream takes everything and brings nothing on, without an end of the connection.
    UpstreamHalfOpen,
    /// Others fill the disk, and free it again.
    DiskFull,
    /// The disk becomes read-only, and writable again.
    DiskReadOnly,
    /// The clock is set by an hour and by ten years, forth and back.
    ClockSet,
}

impl Scenario {
    /// All, the longest first.
    pub const ALL: [Self; 12] = [
        Self::KillUnderLoad,
        Self::KillAtStart,
        Self::KillAtSegmentRoll,
        Self::KillAtIndexRebuild,
        Self::Terminate,
        Self::IndexDeleted,
        Self::SegmentsDamaged,
        Self::UpstreamKilled,
        Self::UpstreamHalfOpen,
        Self::DiskFull,
        Self::DiskReadOnly,
        Self::ClockSet,
    ];

    /// Runs it, with `times` faults; gives its row. `skipped` in it says what this machine does not allow.
    ///
    /// # Errors
    /// Where a part cannot be started, the gateway does not do as it should, or the upstream does not get all.
    pub async fn run(self, times: u32) -> anyhow::Result<Value> {
        let begun = Instant::now();
        let mut row = match self {
            Self::KillUnderLoad => kills::under_load(times).await,
            Self::KillAtStart => kills::at_start(times).await,
            Self::KillAtSegmentRoll => kills::at_segment_roll(times).await,
            Self::KillAtIndexRebuild => kills::at_index_rebuild(times).await,
            Self::Terminate => kills::terminate(times).await,
            Self::IndexDeleted => kills::index_deleted(times).await,
            Self::SegmentsDamaged => disk::damaged(times).await,
            Self::UpstreamKilled => upstream::killed(times).await,
            Self::UpstreamHalfOpen => upstream::half_open().await,
            Self::DiskFull => disk::full(times).await,
            Self::DiskReadOnly => disk::read_only(times).await,
            Self::ClockSet => clock::set(times).await,
        }
        .map_err(|error| error.context(format!("{self:?}")))?;
        row["scenario"] = format!("{self:?}").into();
        row["took_s"] = begun.elapsed().as_secs().into();
        Ok(row)
    }
}

/// Runs all scenarios with `kills` kills in sum, or `only` one with its part of them, and with a journal of `journal_gib`
/// one start; gives the table.
///
/// # Errors
/// See [`Scenario::run`].
pub async fn torture(kills: u32, only: Option<&str>, journal_gib: f64) -> anyhow::Result<Value> {
    let mut rows = Vec::new();
    let wanted = |scenario: &Scenario| only.is_none_or(|only| only == format!("{scenario:?}"));
    for scenario in Scenario::ALL.into_iter().filter(wanted) {
        let times = match scenario {
            Scenario::KillUnderLoad => kills - 3 * (kills / 5),
            Scenario::KillAtStart | Scenario::KillAtSegmentRoll | Scenario::KillAtIndexRebuild => kills / 5,
            Scenario::UpstreamHalfOpen => 1,
            _ => (kills / 50).clamp(2, 20),
        };
        let row = scenario.run(times).await?;
        eprintln!("{row}");
        rows.push(row);
    }
    anyhow::ensure!(!rows.is_empty(), "there is no such scenario; there are {:?}", Scenario::ALL);
    let sum = |key: &str| rows.iter().filter_map(|row| row[key].as_u64()).sum::<u64>();
    let mut table = json!({
        "kills": sum("kills"), "acked": sum("acked"), "lost": sum("lost"), "doubled": sum("doubled"),
        "disordered": sum("disordered"),
        "slowest_start_ms": rows.iter().filter_map(|row| row["slowest_start_ms"].as_u64()).max(),
        "scenarios": rows,
    });
    if journal_gib > 0.0 {
        table["large_journal"] = large::start_after_a_kill(journal_gib).await?;
        eprintln!("{}", table["large_journal"]);
    }
    Ok(table)
}
