//! Promise 1 under real faults, in short: `make torture` does the same for longer.

use ninewatch_tests::torture::Scenario;
use ninewatch_tests::{mosquitto, skipped_without};

async fn holds(scenario: Scenario, times: u32) -> anyhow::Result<()> {
    if skipped_without("mosquitto", mosquitto::find().is_some()) {
        return Ok(());
    }
    let row = scenario.run(times).await?;
    if let Some(why) = row["skipped"].as_str() {
        // Not even in CI is everybody allowed to mount a disk.
        eprintln!("SKIPPED: {scenario:?}: {why}");
        return Ok(());
    }
    assert!(row["acked"].as_u64() > Some(20), "{row}");
    for key in ["lost", "doubled", "disordered"] {
        assert_eq!(row[key], 0, "{row}");
    }
    Ok(())
}

macro_rules! scenarios {
    ($($name:ident: $scenario:ident, $times:literal;)*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() -> anyhow::Result<()> {
            holds(Scenario::$scenario, $times).await
        })*
    };
}

scenarios! {
    killed_under_load: KillUnderLoad, 16;
    killed_while_it_starts: KillAtStart, 6;
    killed_when_a_segment_begins: KillAtSegmentRoll, 6;
    killed_while_the_index_is_made_anew: KillAtIndexRebuild, 6;
    told_to_end: Terminate, 2;
    its_index_deleted: IndexDeleted, 2;
    its_segments_damaged: SegmentsDamaged, 4;
    its_upstream_killed: UpstreamKilled, 2;
    its_upstream_half_open: UpstreamHalfOpen, 1;
    its_disk_full: DiskFull, 2;
    its_disk_read_only: DiskReadOnly, 1;
    its_clock_set: ClockSet, 1;
}
