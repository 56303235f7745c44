//! `make torture`: kills the gateway under load; see [`ninewatch_tests::torture`].

use anyhow::Context;
use std::path::PathBuf;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut kills = 1_000;
    let mut journal_gib = 1.0;
    let (mut report, mut only) = (None, None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().with_context(|| format!("{arg} needs a value"))?;
        match arg.as_str() {
            "--kills" => kills = value.parse().context("--kills takes a number")?,
            "--journal-gib" => {
                journal_gib = value.parse().context("--journal-gib takes a number; 0 leaves that out")?
            }
            "--only" => only = Some(value),
            "--report" => report = Some(PathBuf::from(value)),
            _ => {
                anyhow::bail!("unknown {arg}; there are --kills N, --only SCENARIO, --journal-gib N and --report FILE")
            }
        }
    }
    let table = ninewatch_tests::torture::torture(kills, only.as_deref(), journal_gib).await?;
    println!("{}", serde_json::to_string_pretty(&table)?);
    if let Some(report) = report {
        std::fs::write(report, format!("{table}\n"))?;
    }
    let is_whole = ["lost", "doubled", "disordered"].iter().all(|key| table[key] == 0);
    anyhow::ensure!(is_whole, "something was lost, doubled or out of order");
    Ok(())
}
