//! `ninewatch replay`: decide recorded readings again, and print the alerts.

use anyhow::Context;
use clap::Args;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use ninewatch_core::pipeline::Pipeline;
use ninewatch_core::replay::Recorded;

use crate::engine;
use crate::journal;

/// What a replay can be told.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// A gateway's data folder, or the journal in it
    dir: PathBuf,
    /// Compare with the alerts that the gateway wrote down, and fail where they differ
    #[arg(long)]
    verify: bool,
}

/// Prints each alert change as a line of JSON.
///
/// # Errors
/// Where nothing is recorded, or `--verify` finds a difference.
pub(crate) fn run(args: &ReplayArgs) -> anyhow::Result<()> {
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
                    let there = written.next().transpose()?.map(|change| serde_json::to_string(&change)).transpose()?;
                    anyhow::ensure!(
                        there.as_deref() == Some(line.as_str()),
                        "change {} is not as the gateway wrote it:\n{}",
                        change.seq,
                        there.unwrap_or_else(|| "(nothing)".into())
                    );
                }
            }
        }
    }
    out.flush()?;
    Ok(())
}

/// Each segment begins with all state: deciding again must have come to the same.
fn check_state(pipeline: &Pipeline, state: &[u8], segment: &Path) -> anyhow::Result<()> {
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
