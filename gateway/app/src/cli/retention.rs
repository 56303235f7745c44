//! `ninewatch retention`: what is held of persons and how long, deleting what is over, and proving that it is gone.

use anyhow::Context;
use clap::{Args, Subcommand};
use std::io::Write as _;
use std::path::PathBuf;

use ninewatch_core::time::UtcOffset;

use super::table;
use crate::clock::Clock;
use crate::config::Config;
use crate::lang::Lang;
use crate::people::retention::{self, Kind};

/// What `retention` can be told.
#[derive(Debug, Args)]
pub(crate) struct RetentionArgs {
    /// The site file
    #[arg(long, value_name = "FILE", default_value = "/etc/ninewatch/site.toml", global = true)]
    site: PathBuf,
    #[command(subcommand)]
    command: RetentionCommand,
}

#[derive(Debug, Subcommand)]
enum RetentionCommand {
    /// What is held of persons, how long, and when the next of it is over
    List,
    /// Delete what is over now; the gateway does it by itself each hour
    Run,
    /// Check that the audit log is whole and nothing is here that it says was deleted, and print the proofs
    Prove,
}

/// Runs `ninewatch retention`.
///
/// # Errors
/// Where something cannot be read or deleted, or is here that should not be.
pub(crate) fn run(args: &RetentionArgs, lang: Lang) -> anyhow::Result<()> {
    let config = Config::load(&args.site)?;
    let (data_dir, offset) = (&config.gateway.data_dir, config.gateway.utc_offset);
    anyhow::ensure!(data_dir.is_dir(), "{} is not there; the gateway has never run here", data_dir.display());
    let mut out = std::io::stdout().lock();
    match args.command {
        RetentionCommand::List => {
            let row = |kind: Kind| {
                let keeps = kind.keeps(&config.people);
                let held = retention::held(data_dir, kind)?;
                let next = held.iter().filter_map(|one| one.since_ms).min();
                let next = next.map_or("-".to_owned(), |since| minute(offset, since.saturating_add(keeps.ms())));
                Ok([kind.word().to_owned(), keeps.to_string(), held.len().to_string(), next])
            };
            let rows = Kind::ALL.into_iter().map(row).collect::<anyhow::Result<Vec<_>>>()?;
            let header = match lang {
                Lang::Zh => ["类别", "保留", "现有", "下次到期"],
                Lang::En => ["KIND", "KEPT", "HELD", "NEXT OVER"],
            };
            table::print(&mut out, header, rows.into_iter())?;
        }
        RetentionCommand::Run => {
            let deleted = retention::run(data_dir, &config.people, Clock::System.now_ms(), Clock::System)?;
            if deleted.is_empty() {
                writeln!(out, "{}", lang.pick("没有到期的内容。", "Nothing is over."))?;
            }
            for (kind, count) in deleted {
                writeln!(out, "{} {kind} {count}", lang.pick("已删除：", "deleted:"))?;
            }
        }
        RetentionCommand::Prove => {
            let proofs = retention::prove(data_dir).context(lang.pick("无法证明", "it cannot be proved"))?;
            for proof in &proofs {
                writeln!(out, "{} #{} {}", minute(offset, proof.at_ms), proof.seq, proof.what)?;
                proof.sha256.iter().try_for_each(|hash| writeln!(out, "    {hash}"))?;
            }
            let count = proofs.len();
            match lang {
                Lang::Zh => writeln!(out, "审计日志完整，{count} 次删除均已核实：被删除的内容均不在数据文件夹中。")?,
                Lang::En => {
                    writeln!(out, "The audit log is whole; of {count} deletions nothing is in the data folder.")?
                }
            }
        }
    }
    Ok(())
}

/// Local time to the minute.
fn minute(offset: UtcOffset, at_ms: i64) -> String {
    offset.rfc3339(at_ms).chars().take(16).collect::<String>().replace('T', " ")
}
