//! The disk is full, read-only, or gives back other bytes than were written.

use anyhow::Context;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ground::{Ground, now_ms, sos};
use super::volume::Volume;
use crate::device::Device;
use crate::gateway::{Gateway, Site};
use crate::mosquitto::Mosquitto;

const SMALL: &str = "[journal]\nsegment_mib = 0.5\nreadings_max_mib = 8\nalert_reserve_mib = 16\n";
/// The same with a ring, on a disk, that let go of nothing, however often the gateway starts.
const SMALL_SEGMENTS: &str = "[journal]\nsegment_mib = 0.5\nreadings_max_mib = 64\nalert_reserve_mib = 16\n";

pub(super) async fn full(times: u32) -> anyhow::Result<Value> {
    let (volume, mut ground) = match on_a_volume(128, SMALL).await? {
        Ok(there) => there,
        Err(why) => return Ok(json!({"skipped": why})),
    };
    ground.site.add_place("school", "school")?;
    let mut doors = ground.site.add_devices("ninewatch-door", &[("door".into(), "school".into())])?;
    let (door, door_secret) = doors.pop().context("a door")?;
    let mut gateway = ground.start()?;
    let mut least_reserve = f64::MAX;
    for round in 0..times {
        let load = ground.load(&gateway);
        ground.acknowledged(40).await?;
        volume.fill()?;
        // Under load and after it: alarms go on.
        ground.acknowledged(40).await?;
        load.end().await?;
        gateway.until_metric("ninewatch_disk_short", |short| short == 1.0).await?;
        let health = gateway.get("/api/v1/health")?.to_string();
        anyhow::ensure!(health.contains("the disk is full"), "it does not tell of its full disk: {health}");
        let mut sender = Device::connect(&door, &door_secret, gateway.sensor_port).await?;
        let at_s = crate::device::now_s();
        let reading = format!("[{{\"bn\":\"{door}/\",\"bt\":{at_s:.3},\"n\":\"open\",\"vb\":{}}}]", round % 2 == 0);
        let opened = tokio::spawn(async move { sender.publish(reading).await });
        gateway.until_metric("ninewatch_waiting_for_disk_messages", |deferred| deferred >= 1.0).await?;
        press(&ground, &gateway).await.context("on a full disk")?;
        least_reserve = least_reserve.min(gateway.metric("ninewatch_disk_reserve_bytes")?);
        anyhow::ensure!(!opened.is_finished(), "a reading that decides nothing was acknowledged on a full disk");
        if round % 2 == 0 {
            volume.free()?;
            // Without a restart.
            opened.await?.context("the reading that waited")?;
            gateway.until_metric("ninewatch_disk_short", |short| short == 0.0).await?;
            is_on_the_board(&ground, &gateway).await.context("after a full disk")?;
        } else {
            // Killed while it is full; a start needs room for the index.
            ground.kill(&mut gateway)?;
            opened.abort();
            volume.free()?;
            gateway = ground.start().context("after a full disk")?;
            press(&ground, &gateway).await.context("after a full disk")?;
        }
    }
    ground.kill(&mut gateway)?;
    // The ring yields to what matters more; the alerts are all to be there.
    let let_go = ground.let_go()?;
    let mut row = ground.reckon().await?;
    row["filled"] = times.into();
    row["readings_let_go"] = let_go.into();
    row["least_reserve_bytes"] = least_reserve.into();
    drop(volume);
    Ok(row)
}

/// A site whose data is on a disk of its own; or why there can be none.
async fn on_a_volume(mib: u64, journal: &str) -> anyhow::Result<Result<(Volume, Ground), String>> {
    let site = Site::new("")?;
    let volume = match Volume::new(site.folder(), &site.data(), mib)? {
        Ok(volume) => volume,
        Err(why) => return Ok(Err(why)),
    };
    let broker = Mosquitto::start()?;
    let port = broker.port;
    Ok(Ok((volume, Ground::behind(broker, port, site, journal).await?)))
}

/// Every button is pressed once, and acknowledged.
async fn press(ground: &Ground, gateway: &Gateway) -> anyhow::Result<()> {
    for (id, secret) in &ground.buttons {
        let mut button = Device::connect(id, secret, gateway.sensor_port).await?;
        for pressed in [false, true] {
            let at_ms = now_ms();
            button.publish(sos(id, at_ms, pressed)).await.with_context(|| format!("{id} has no acknowledgement"))?;
            if pressed {
                ground.ledger.note(id, at_ms);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    Ok(())
}

/// What was raised while the disk was full stands on the board again, without a restart.
async fn is_on_the_board(ground: &Ground, gateway: &Gateway) -> anyhow::Result<()> {
    const LATEST: usize = 50;
    gateway.until_metric("ninewatch_index_failing", |failing| failing == 0.0).await?;
    ground.delivered().await?;
    let changed = |(_, _, event): &(String, u64, Value)| event["data"]["alert"]["id"].as_str().map(str::to_owned);
    let latest: BTreeSet<String> =
        ground.upstream.look(|seen| seen.events.iter().rev().take(LATEST).filter_map(changed).collect());
    anyhow::ensure!(!latest.is_empty(), "no alert has reached the upstream");
    for id in latest {
        gateway.get(&format!("/api/v1/alerts/{id}")).with_context(|| format!("alert {id} is not on the board"))?;
    }
    Ok(())
}

pub(super) async fn read_only(times: u32) -> anyhow::Result<Value> {
    let (volume, mut ground) = match on_a_volume(512, SMALL_SEGMENTS).await? {
        Ok(there) => there,
        Err(why) => return Ok(json!({"skipped": why})),
    };
    for _ in 0..times {
        let mut gateway = ground.start()?;
        let load = ground.load(&gateway);
        ground.acknowledged(40).await?;
        volume.fail()?;
        // Nothing can be promised any more: it ends, and says why.
        let status = gateway.ended(Duration::from_secs(30))?;
        load.end().await?;
        anyhow::ensure!(!status.success(), "on a read-only disk it ended with {status}");
        let log = ground.site.log()?;
        anyhow::ensure!(log.contains("Read-only file system"), "it does not say why it ended: {log}");
        let refused = ground.start().err().context("it starts on a read-only disk")?;
        anyhow::ensure!(format!("{refused:#}").contains("Read-only file system"), "{refused:#}");
        drop(gateway);
        volume.repair()?;
    }
    let mut row = ground.reckon().await?;
    row["read_only"] = times.into();
    drop(volume);
    Ok(row)
}

pub(super) async fn damaged(times: u32) -> anyhow::Result<Value> {
    let mut ground = Ground::new("[journal]\nsegment_mib = 0.05\nreadings_max_mib = 64\n").await?;
    let (mut told, mut taken) = (0, 0);
    for round in 0..times {
        let mut gateway = ground.start()?;
        let load = ground.load(&gateway);
        ground.acknowledged(60).await?;
        load.end().await?;
        // What the log loses now has been seen by those who had to see it.
        ground.delivered().await?;
        ground.kill(&mut gateway)?;
        let before = ground.recorded()?;
        let place = damage(&ground.site.data().join("journal"), round)?;
        let after = ground.recorded()?;
        anyhow::ensure!(after.is_subset(&before), "damage brought readings that were never sent");
        let gone = before.difference(&after).cloned().collect::<Vec<_>>();
        // 64 bytes touch two records at most; what is cut off is gone.
        anyhow::ensure!(place.cut || gone.len() <= 2, "{} readings are gone by damage in {place:?}", gone.len());
        taken += gone.len();
        ground.damaged.extend(gone);
        drop(ground.start().with_context(|| format!("after damage in {place:?}"))?);
        told += u32::from(ground.site.log()?.contains("damaged"));
        let left = ground.recorded()?;
        anyhow::ensure!(after.is_subset(&left), "more is gone than the damage in {place:?} took");
    }
    let mut row = ground.reckon().await?;
    row["damaged"] = times.into();
    row["damage_told"] = told.into();
    row["readings_taken_by_damage"] = taken.into();
    Ok(row)
}

#[derive(Debug)]
#[allow(dead_code, reason = "told where something is wrong")]
struct Damaged {
    segment: PathBuf,
    offset: u64,
    cut: bool,
}

/// Flips, zeroes or cuts off, in turn, at a place that differs from round to round.
fn damage(journal: &Path, round: u32) -> anyhow::Result<Damaged> {
    let chance = u64::from(round).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let log = if round % 3 == 2 { "alerts" } else { "intake" };
    let mut segments: Vec<PathBuf> =
        std::fs::read_dir(journal.join(log))?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    segments.sort();
    let index = usize::try_from(chance >> 40)? % segments.len();
    let segment = segments.swap_remove(index);
    let bytes = std::fs::read(&segment)?;
    let offset = (chance >> 16) % (bytes.len() as u64).max(1);
    let mut file = OpenOptions::new().write(true).open(&segment)?;
    let end = bytes.len().min(usize::try_from(offset)? + 64);
    let hit = bytes.get(usize::try_from(offset)?..end).unwrap_or_default();
    let cut = round % 4 == 3;
    if cut {
        file.set_len(offset)?;
    } else {
        file.seek(SeekFrom::Start(offset))?;
        let other: Vec<u8> = hit.iter().map(|byte| if round.is_multiple_of(2) { !byte } else { 0 }).collect();
        file.write_all(&other)?;
    }
    Ok(Damaged { segment, offset, cut })
}
