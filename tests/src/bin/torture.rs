//! `make torture`: kills the gateway under load; see [`ninewatch_tests::torture`].

use anyhow::Context;
use std::path::PathBuf;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut kills = 400;
    let mut report = None;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().with_context(|| format!("{arg} needs a value"))?;
        match arg.as_str() {
            "--kills" => kills = value.parse().context("--kills takes a number")?,
            "--report" => report = Some(PathBuf::from(value)),
            _ => anyhow::bail!("unknown {arg}; there are --kills N and --report FILE"),
        }
    }
    let table = ninewatch_tests::torture::torture(kills).await?;
    println!("{}", serde_json::to_string_pretty(&table)?);
    if let Some(report) = report {
        std::fs::write(report, format!("{table}\n"))?;
    }
    anyhow::ensure!(table["lost"] == 0 && table["doubled"] == 0, "something was lost or doubled");
    Ok(())
}
