//! `make storm`: the sensor port in a storm; see [`ninewatch_tests::storm`].

use anyhow::Context;
use ninewatch_tests::storm::{BOUND_KIB, Force, storm};
use std::path::PathBuf;

/// What a device may have to wait for its acknowledgement in it.
const P99_MS: f64 = 50.0;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut force = Force { held: 5_000, per_s: 500, seconds: 30 };
    let mut report = None;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().with_context(|| format!("{arg} needs a value"))?;
        let number = || value.parse::<u32>().with_context(|| format!("{arg} takes a number"));
        match arg.as_str() {
            "--held" => force.held = usize::try_from(number()?)?,
            "--per-s" => force.per_s = number()?.max(1),
            "--seconds" => force.seconds = u64::from(number()?),
            "--report" => report = Some(PathBuf::from(value)),
            _ => anyhow::bail!("unknown {arg}; there are --held N, --per-s N, --seconds N and --report FILE"),
        }
    }
    let table = storm(force).await?;
    println!("{}", serde_json::to_string_pretty(&table)?);
    if let Some(report) = report {
        std::fs::write(report, format!("{table}\n"))?;
    }
    let most = table["resident_kib"]["most"].as_u64().context("memory")?;
    let rest = table["resident_kib"]["at_rest"].as_u64().context("memory")?;
    anyhow::ensure!(most <= rest + BOUND_KIB * force.held as u64, "memory is not what the connections may take");
    let p99 = table["storm"]["p99_ms"].as_f64().context("a p99")?;
    anyhow::ensure!(p99 < P99_MS, "p99 is {p99} ms, {P99_MS} is promised");
    Ok(())
}
