//! `ninewatch journal` and `ninewatch quarantine`: what came in, as it came.

use clap::Args;
use serde_json::json;
use std::collections::VecDeque;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use ninewatch_core::replay::Recorded;
use ninewatch_core::time::UtcOffset;

use super::replay::journal_dir;
use crate::journal;

/// What both can be told.
#[derive(Debug, Args)]
pub(crate) struct JournalArgs {
    /// A gateway's data folder, or the journal in it
    dir: PathBuf,
    /// Only messages of this device
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    /// Only the last so many
    #[arg(long, value_name = "N")]
    last: Option<usize>,
}

/// Prints the recorded messages as lines of JSON; for the quarantine, those that brought nothing.
///
/// # Errors
/// Where nothing is recorded there.
pub(crate) fn run(args: &JournalArgs, rejected_only: bool) -> anyhow::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut last = VecDeque::new();
    for segment in journal::intake_segments(&journal_dir(&args.dir))? {
        let mut frames = journal::read_intake(&segment)?;
        while let Some(frame) = frames.next() {
            let Ok(Recorded::Message { door, device, topic, payload, rejected, .. }) = frame.recorded() else {
                continue;
            };
            let wanted = args.device.as_deref().is_none_or(|wanted| device == Some(wanted) || topic.contains(wanted));
            if !wanted || (rejected_only && rejected.is_none()) {
                continue;
            }
            let line = json!({
                "at": UtcOffset::CHINA.rfc3339(frame.at_ms),
                "door": door,
                "device": device,
                "topic": topic,
                "payload": String::from_utf8_lossy(payload),
                "rejected": rejected,
            });
            match args.last {
                None => writeln!(out, "{line}")?,
                Some(count) => {
                    last.push_back(line);
                    if last.len() > count {
                        last.pop_front();
                    }
                }
            }
        }
    }
    for line in last {
        writeln!(out, "{line}")?;
    }
    Ok(out.flush()?)
}
