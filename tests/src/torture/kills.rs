//! The process ends: by SIGKILL at the worst moments, by SIGTERM, and without its index.

use anyhow::Context;
use serde_json::Value;
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use super::ground::Ground;
use crate::gateway::Starting;

/// Segments so small that one begins every few dozen messages, and a ring that lets go of none: each begins with all open
/// alerts.
const SMALL: &str = "[journal]\nsegment_mib = 0.02\nreadings_max_mib = 16384\n";

pub(super) async fn under_load(kills: u32) -> anyhow::Result<Value> {
    let mut ground = Ground::new("").await?;
    for round in 0..kills {
        let mut gateway = ground.start()?;
        let load = ground.load(&gateway);
        // Some load first, of a length that differs from round to round.
        ground.acknowledged(5 + u64::from(round.wrapping_mul(7919) % 60)).await?;
        let begun = Instant::now();
        while round.is_multiple_of(2)
            && ground.ledger.out.load(SeqCst) == 0
            && begun.elapsed() < Duration::from_secs(10)
        {
            tokio::task::yield_now().await;
        }
        ground.kill(&mut gateway)?;
        load.end().await?;
        if round % 20 == 19 {
            eprintln!("  {}/{kills} kills, {} acknowledged", round + 1, ground.ledger.acks.load(SeqCst));
        }
    }
    ground.reckon().await
}

/// Of three kills one comes under load, so that there is something to recover, and two while it recovers.
pub(super) async fn at_start(kills: u32) -> anyhow::Result<Value> {
    let mut ground = Ground::new("").await?;
    let mut start = Duration::from_millis(300);
    while ground.kills < kills {
        let begun = Instant::now();
        let mut gateway = ground.start()?;
        start = begun.elapsed();
        let load = ground.load(&gateway);
        ground.acknowledged(30).await?;
        ground.kill(&mut gateway)?;
        load.end().await?;
        for _ in 0..2 {
            kill_within(&mut ground, start).await?;
        }
    }
    let mut row = ground.reckon().await?;
    row["usual_start_ms"] = u64::try_from(start.as_millis())?.into();
    Ok(row)
}

/// Starts the gateway and kills it after a part of `time`, which differs from kill to kill.
async fn kill_within(ground: &mut Ground, time: Duration) -> anyhow::Result<()> {
    let mut starting = Starting::spawn(&ground.site)?;
    let share = f64::from(ground.kills.wrapping_mul(7919) % 100) / 100.0;
    tokio::time::sleep(time.mul_f64(share)).await;
    ground.kills += 1;
    starting.kill()
}

pub(super) async fn at_segment_roll(kills: u32) -> anyhow::Result<Value> {
    let mut ground = Ground::new(SMALL).await?;
    let mut rolls = 0;
    for _ in 0..kills {
        let mut gateway = ground.start()?;
        let load = ground.load(&gateway);
        let intake = ground.site.data().join("journal/intake");
        let newest = newest_segment(&intake)?;
        let begun = Instant::now();
        while newest_segment(&intake)? == newest {
            anyhow::ensure!(begun.elapsed() < Duration::from_secs(60), "no segment begins");
            tokio::task::yield_now().await;
        }
        ground.kill(&mut gateway)?;
        rolls += 1;
        load.end().await?;
    }
    let mut row = ground.reckon().await?;
    row["rolls"] = rolls.into();
    Ok(row)
}

fn newest_segment(intake: &Path) -> anyhow::Result<Option<std::ffi::OsString>> {
    Ok(std::fs::read_dir(intake)?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<std::io::Result<Vec<_>>>()?
        .into_iter()
        .max())
}

pub(super) async fn at_index_rebuild(kills: u32) -> anyhow::Result<Value> {
    let mut ground = Ground::new("").await?;
    while ground.kills < kills {
        let begun = Instant::now();
        let gateway = ground.start()?;
        let start = begun.elapsed();
        let load = ground.load(&gateway);
        ground.acknowledged(30).await?;
        load.end().await?;
        let mut gateway = gateway;
        ground.kill(&mut gateway)?;
        std::fs::remove_dir_all(ground.site.data().join("index"))?;
        // What is half made is gone on with, or made anew.
        for _ in 0..2 {
            kill_within(&mut ground, start).await?;
        }
    }
    ground.reckon().await
}

pub(super) async fn terminate(times: u32) -> anyhow::Result<Value> {
    let mut ground = Ground::new("").await?;
    let mut slowest = Duration::ZERO;
    for _ in 0..times {
        let mut gateway = ground.start()?;
        let load = ground.load(&gateway);
        ground.acknowledged(40).await?;
        let begun = Instant::now();
        let status = gateway.terminate(Duration::from_secs(20))?;
        slowest = slowest.max(begun.elapsed());
        anyhow::ensure!(status.success(), "after SIGTERM it ended with {status}: {}", ground.site.log()?);
        load.end().await?;
    }
    let mut row = ground.reckon().await?;
    row["terminated"] = times.into();
    row["slowest_end_ms"] = u64::try_from(slowest.as_millis())?.into();
    Ok(row)
}

pub(super) async fn index_deleted(times: u32) -> anyhow::Result<Value> {
    let mut ground = Ground::new("").await?;
    for _ in 0..times {
        let mut gateway = ground.start()?;
        let load = ground.load(&gateway);
        ground.acknowledged(40).await?;
        ground.kill(&mut gateway)?;
        load.end().await?;
        std::fs::remove_dir_all(ground.site.data().join("index"))?;
        let gateway = ground.start()?;
        let alerts = gateway.get("/api/v1/alerts?limit=1")?;
        let first = alerts["alerts"].get(0).context("no alert is shown after the index was deleted")?;
        anyhow::ensure!(first["id"].is_string(), "{alerts}");
    }
    let mut row = ground.reckon().await?;
    row["deleted"] = times.into();
    Ok(row)
}
