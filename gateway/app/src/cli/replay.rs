//! `ninewatch replay`: decide recorded readings again, and print the alerts.

use anyhow::Context;
use clap::Args;
use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use ninewatch_core::alert::AlertChange;
use ninewatch_core::pipeline::Pipeline;
use ninewatch_core::replay::Recorded;
use ninewatch_core::time::Span;

use super::what_if;
use crate::engine;
use crate::journal;
use crate::lang::Lang;

/// What a replay can be told.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// A gateway's data folder, or the journal in it
    dir: PathBuf,
    /// Compare with the alerts that the gateway wrote down, and fail where they differ
    #[arg(long)]
    verify: bool,
    /// Count what these rule files (or folders of them) would have raised: each in place of the recorded one of its
    /// name, or besides
    #[arg(long, value_name = "PATH", num_args = 1.., conflicts_with = "verify")]
    rules: Vec<PathBuf>,
    /// With `--rules`: count only the last days (`7d`) or hours (`12h`) that are recorded
    #[arg(long, value_name = "TIME", requires = "rules", value_parser = length_of_time)]
    last: Option<Span>,
    /// With `--rules`: print JSON, the alerts of both sides included
    #[arg(long, requires = "rules")]
    json: bool,
}

/// Prints each alert change as a line of JSON; with other rules, how what they raise differs.
///
/// # Errors
/// Where nothing is recorded, or `--verify` finds a difference.
pub(crate) fn run(args: &ReplayArgs, lang: Lang) -> anyhow::Result<()> {
    if !args.rules.is_empty() {
        return what_if::run(&args.dir, &args.rules, args.last, args.json, lang);
    }
    let dir = journal_dir(&args.dir);
    let segments = journal::intake_segments(&dir)
        .with_context(|| format!("{} holds no journal; name a gateway's data folder", args.dir.display()))?;
    let first = segments.iter().enumerate().find_map(|(index, segment)| Some((index, engine::restore(segment)?)));
    let (index, mut pipeline) =
        first.with_context(|| format!("no segment in {} begins with a readable checkpoint", dir.display()))?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut written = args.verify.then(|| journal::read_alerts(&dir, pipeline.last_seq() + 1)).transpose()?;
    for segment in segments.iter().skip(index) {
        let mut frames = journal::read_intake(segment)?;
        while let Some(frame) = frames.next() {
            let recorded = frame.recorded().with_context(|| format!("in {}", segment.path.display()))?;
            if let Recorded::Checkpoint(state) = &recorded {
                check_state(&pipeline, state, &segment.path)?;
            }
            for change in pipeline.step_again(&recorded, frame.at_ms)?.changes {
                let line = serde_json::to_string(&change)?;
                writeln!(out, "{line}")?;
                if let Some(written) = &mut written {
                    let there = written.next().transpose()?;
                    anyhow::ensure!(
                        there.as_ref().is_some_and(|there| is_same(there, change.clone())),
                        "change {} is not as the gateway wrote it:\n{}",
                        change.seq,
                        there.map_or_else(|| Ok("(nothing)".into()), |there| serde_json::to_string(&there))?
                    );
                }
            }
        }
    }
    out.flush()?;
    Ok(())
}

/// Whether a change was decided again as it was written. Before alerts told when they climb next, that was not written.
fn is_same(written: &AlertChange, mut again: AlertChange) -> bool {
    if written.alert.next_rung_at_ms.is_none() {
        again.alert.next_rung_at_ms = None;
    }
    // As text: a number that is none differs from itself.
    serde_json::to_string(written).ok() == serde_json::to_string(&again).ok()
}

/// Days, which a length of time in a file does not have, or one as files have it.
pub(in crate::cli) fn length_of_time(text: &str) -> Result<Span, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u16>().ok());
    match days {
        Some(days) => Ok(Span::from_secs(i64::from(days) * 86_400)),
        None => Span::deserialize(StrDeserializer::<Error>::new(text)).map_err(|error| error.to_string()),
    }
}

/// Each segment begins with all state: deciding again must have come to the same.
pub(super) fn check_state(pipeline: &Pipeline, state: &[u8], segment: &Path) -> anyhow::Result<()> {
    if pipeline.checkpoint()? != state {
        tracing::warn!(
            segment = %segment.display(),
            "deciding again came to another state than the gateway had here: it ran another version, or readings are damaged"
        );
    }
    Ok(())
}

/// The journal's folder, whether the user named it or the data folder around it.
pub(crate) fn journal_dir(named: &Path) -> PathBuf {
    let inside = named.join("journal");
    if inside.is_dir() { inside } else { named.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_may_be_days() {
        assert_eq!(length_of_time("7d"), Ok(Span::from_secs(7 * 86_400)));
        assert_eq!(length_of_time("12h"), Ok(Span::from_secs(12 * 3600)));
        assert!(length_of_time("soon").is_err() && length_of_time("-1d").is_err() && length_of_time("99999d").is_err());
    }
}
