//! The gateway's clock is set while it works, as where a battery is empty and the network brings the time later.
//!
//! A library of a few lines is preloaded between the gateway and the C library (`clock.c`): the program is the one that
//! ships, and no right to set the machine's clock is needed.

use anyhow::Context;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

use super::ground::{Ground, now_ms, sos};
use crate::device::Device;

const HOUR_S: i64 = 3600;
const TEN_YEARS_S: i64 = 3652 * 24 * HOUR_S;
/// Forth and back, and back and forth.
const OFFSETS_S: [i64; 8] = [HOUR_S, 0, -HOUR_S, 0, TEN_YEARS_S, 0, -TEN_YEARS_S, 0];

pub(super) async fn set(times: u32) -> anyhow::Result<Value> {
    let mut ground = Ground::new("").await?;
    let file = ground.site.folder().join("offset");
    let Some(library) = compile(ground.site.folder())? else {
        return Ok(json!({"skipped": "cc is not on this machine"}));
    };
    ground.site.environment =
        vec![("LD_PRELOAD".into(), library), ("CLOCK_OFFSET_FILE".into(), file.display().to_string())];
    tell(&file, 0)?;
    let mut gateway = ground.start()?;
    let mut sets = 0;
    for round in 0..times {
        for (index, offset) in OFFSETS_S.into_iter().enumerate() {
            tell(&file, offset)?;
            sets += 1;
            // Half of them over a kill: the state that was written down knows another time.
            if (index + usize::try_from(round)?).is_multiple_of(2) {
                ground.kill(&mut gateway)?;
                gateway = ground.start()?;
            }
            for (id, secret) in &ground.buttons {
                let mut button = Device::connect(id, secret, gateway.sensor_port).await?;
                for pressed in [false, true] {
                    let at_ms = now_ms();
                    button
                        .publish(sos(id, at_ms, pressed))
                        .await
                        .with_context(|| format!("{id}, clock {offset} s off"))?;
                    if pressed {
                        ground.ledger.note(id, at_ms);
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
            }
        }
    }
    ground.kill(&mut gateway)?;
    let mut row = ground.reckon_devices().await?;
    row["clock_sets"] = sets.into();
    Ok(row)
}

fn tell(file: &Path, seconds: i64) -> anyhow::Result<()> {
    let half = file.with_extension("half");
    std::fs::write(&half, seconds.to_string())?;
    Ok(std::fs::rename(half, file)?)
}

/// The library; `None` where there is no C compiler.
fn compile(folder: &Path) -> anyhow::Result<Option<String>> {
    let library = folder.join("clock.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/torture/clock.c");
    let compiled =
        Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o"]).arg(&library).arg(source).arg("-ldl").output();
    match compiled {
        Ok(output) => {
            anyhow::ensure!(output.status.success(), "cc: {}", String::from_utf8_lossy(&output.stderr));
            Ok(Some(library.display().to_string()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
