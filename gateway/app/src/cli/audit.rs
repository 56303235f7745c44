//! `ninewatch audit`: is the audit log whole, and what is in it?

use anyhow::Context;
use clap::{Args, Subcommand};
use std::io::Write as _;
use std::path::PathBuf;

use ninewatch_core::time::{TimeMs, UtcOffset};

use super::replay::length_of_time;
use super::table;
use crate::audit::{self, Wanted};
use crate::clock::Clock;
use crate::lang::Lang;
use crate::private::unhex;

/// What `audit` can be told.
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// The gateway's data folder
    #[arg(long, value_name = "DIR", default_value = "/var/lib/ninewatch", global = true)]
    data_dir: PathBuf,
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Read the log through, and say whether it is as it was written; fails at the first entry that is not
    Verify {
        /// What an earlier `verify`, or the API, told and was noted elsewhere
        #[arg(long, value_name = "NUMBER:HASH", value_parser = parse_head)]
        head: Option<NotedHead>,
    },
    /// Print entries, oldest first
    List {
        /// From then on: a length of time back from now (7d), a day (2026-11-28) or a moment (2026-11-28T08:00:00+08:00)
        #[arg(long, value_name = "WHEN", value_parser = parse_since)]
        since: Option<TimeMs>,
        /// Only what this account did
        #[arg(long, value_name = "ACCOUNT")]
        who: Option<String>,
        /// Only such deeds: `alert` is also `alert.accept`
        #[arg(long, value_name = "DEED")]
        what: Option<String>,
        /// The newest so many
        #[arg(long, default_value_t = 1000)]
        limit: usize,
        /// A JSON object a line
        #[arg(long)]
        json: bool,
    },
}

type NotedHead = (u64, [u8; 32]);

fn parse_head(text: &str) -> Result<NotedHead, String> {
    let parse = || {
        let (number, hash) = text.split_once(':')?;
        Some((number.parse().ok()?, unhex(hash)?.try_into().ok()?))
    };
    parse().ok_or_else(|| "give a number and a hash, as `ninewatch audit verify` prints them: 57:ab12…".to_owned())
}

/// A moment in the gateway's usual time zone, where it names none.
fn parse_since(text: &str) -> Result<TimeMs, String> {
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Ok(moment.as_millisecond());
    }
    if let Ok(day) = format!("{text}T00:00:00+08:00").parse::<jiff::Timestamp>() {
        return Ok(day.as_millisecond());
    }
    let span = length_of_time(text).map_err(|_| "give 7d, 2026-11-28 or 2026-11-28T08:00:00+08:00".to_owned())?;
    Ok(Clock::System.now_ms() - span.ms())
}

/// Checks or prints the log.
///
/// # Errors
/// Where it is not as it was written, or cannot be read.
pub(crate) fn run(args: AuditArgs, lang: Lang) -> anyhow::Result<()> {
    match args.command {
        AuditCommand::Verify { head } => {
            let (head, torn) = audit::verify(&args.data_dir, head)
                .context(lang.pick("审计日志与写入时不符", "the audit log is not as it was written"))?;
            let line = match lang {
                Lang::Zh => format!("审计日志完整，共 {} 条", head.seq),
                Lang::En => format!("The audit log is whole: {} entries", head.seq),
            };
            eprintln!("{line}");
            if torn > 0 {
                match lang {
                    Lang::Zh => eprintln!("末尾有 {torn} 字节是断电时未写完的，下次写入时自动修复并记录"),
                    Lang::En => eprintln!(
                        "{torn} bytes at its end were half written when the power went; the next entry mends and notes that"
                    ),
                }
            }
            // For whoever keeps it elsewhere.
            writeln!(std::io::stdout(), "{}", head.shown())?;
        }
        AuditCommand::List { since, who, what, limit, json } => {
            let wanted = Wanted { since_ms: since, who, what, before: None, limit };
            let (entries, _) = audit::read(&args.data_dir, &wanted)?;
            let mut out = std::io::stdout().lock();
            if json {
                for entry in entries {
                    writeln!(out, "{}", serde_json::to_string(&entry)?)?;
                }
                return Ok(());
            }
            let header = match lang {
                Lang::Zh => ["序号", "时间", "谁", "从哪里", "做了什么", "对象", "结果"],
                Lang::En => ["NO.", "TIME", "WHO", "FROM", "DID", "TO WHAT", "RESULT"],
            };
            let rows = entries.into_iter().map(|entry| {
                let at = UtcOffset::CHINA.rfc3339(entry.at_ms);
                [entry.seq.to_string(), at, entry.who, entry.from, entry.what, entry.of, entry.result]
            });
            table::print(&mut out, header, rows)?;
        }
    }
    Ok(())
}
