//! Promise 1, in short: `make torture` does the same for longer.

use ninewatch_tests::{mosquitto, skipped_without, torture};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_or_doubled_by_kill_9() -> anyhow::Result<()> {
    if skipped_without("mosquitto", mosquitto::find().is_some()) {
        return Ok(());
    }
    let table = torture::torture(24).await?;
    assert!(table["acked"].as_u64() > Some(100), "{table}");
    assert_eq!((table["lost"].as_u64(), table["doubled"].as_u64()), (Some(0), Some(0)), "{table}");
    Ok(())
}
