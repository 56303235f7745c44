//! What a reading costs the disk: bytes that the gateway had written, index and all, as the kernel counts them.

use anyhow::Context;
use serde_json::{Value, json};

use crate::device::{self, Device};
use crate::gateway::{Gateway, Site};

const DEVICES: usize = 50;
const ROUNDS: usize = 200;

/// Bytes written per reading where devices report one after the other, and where all report at once.
///
/// # Errors
/// Where a part cannot be started.
pub async fn wear() -> anyhow::Result<Value> {
    let site = Site::new("")?;
    site.add_place("kitchen", "restaurant")?;
    let rows: Vec<_> = (0..DEVICES).map(|index| (format!("gas-{index}"), "kitchen".to_owned())).collect();
    let secrets = site.add_devices("ninewatch-gas", &rows)?;
    let gateway = Gateway::start(&site)?;
    let mut devices = Vec::new();
    for (id, secret) in &secrets {
        devices.push((id.clone(), Device::connect(id, secret, gateway.sensor_port).await?));
    }
    let mut at_s = device::now_s() - 7200.0;
    let before = written(&gateway)?;
    for _ in 0..ROUNDS / 10 {
        at_s += 1.0;
        for (id, device) in &mut devices {
            device.publish(device::gas(id, at_s, 2.0)).await?;
        }
    }
    let one_by_one = written(&gateway)?;
    for _ in 0..ROUNDS {
        at_s += 1.0;
        let mut sending = tokio::task::JoinSet::new();
        for (id, mut device) in devices.drain(..) {
            sending.spawn(async move {
                device.publish(device::gas(&id, at_s, 2.0)).await?;
                anyhow::Ok((id, device))
            });
        }
        while let Some(sent) = sending.join_next().await {
            devices.push(sent??);
        }
    }
    let together = written(&gateway)?;
    #[allow(clippy::cast_precision_loss)]
    let each = |(bytes, journal): (u64, f64), (former, former_journal): (u64, f64), rounds: usize| {
        let readings = (rounds * DEVICES) as f64;
        json!({"written": ((bytes - former) as f64 / readings).round(), "journal": ((journal - former_journal) / readings).round()})
    };
    Ok(json!({
        "payload_bytes": device::gas("gas-0", at_s, 2.0).len(),
        "bytes_per_reading_one_by_one": each(one_by_one, before, ROUNDS / 10),
        "bytes_per_reading_50_at_once": each(together, one_by_one, ROUNDS),
    }))
}

/// Bytes that the process had the disk write, and those of them that went to the journal.
fn written(gateway: &Gateway) -> anyhow::Result<(u64, f64)> {
    let io = std::fs::read_to_string(format!("/proc/{}/io", gateway.pid()))?;
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).context("no write_bytes")?;
    Ok((line.trim().parse()?, gateway.metric("ninewatch_journal_bytes_total")?))
}
