//! `ninewatch replay --rules`: what would other rules have raised from the same readings?

mod counted;
#[cfg(test)]
mod tests;

use anyhow::Context;
use std::path::{Path, PathBuf};

use ninewatch_core::pipeline::{Pipeline, Settings};
use ninewatch_core::replay::{Recorded, WhatIf};
use ninewatch_core::time::{Span, TimeMs};

use super::replay::{check_state, journal_dir};
use crate::config::Faults;
use crate::journal::{self, SegmentInfo};
use crate::lang::Lang;
use crate::{engine, site_files};
use counted::Counted;

/// Decides the recording on both sides and prints what came of it.
///
/// # Errors
/// Where nothing is recorded, or the rules have a fault.
pub(super) fn run(dir: &Path, rules: &[PathBuf], last: Option<Span>, json: bool, lang: Lang) -> anyhow::Result<()> {
    let with = site_files::read_named(rules)?;
    let change = |settings: &mut Settings| site_files::lay_over(&mut settings.rules, &with);
    let recording = Recording::open(dir, last)?;
    let utc_offset = recording.pipeline.site().utc_offset;
    let mut counted = Counted::new(recording.from_ms, recording.to_ms);
    let (mut what_if, faults) = WhatIf::new(recording.pipeline, change)?;
    if !faults.is_empty() {
        return Err(Faults(faults).into());
    }
    for segment in &recording.segments {
        let mut frames = journal::read_intake(segment)?;
        while let Some(frame) = frames.next() {
            let recorded = frame.recorded().with_context(|| format!("in {}", segment.path.display()))?;
            if let Recorded::Checkpoint(state) = &recorded {
                check_state(what_if.recorded(), state, &segment.path)?;
            }
            let both = what_if.step(&recorded, frame.at_ms)?;
            for fault in &both.faults {
                tracing::warn!(%fault, "from here on the recorded site has no use for this rule");
            }
            counted.take(&both.recorded, &both.changed);
        }
    }
    let mut out = std::io::stdout().lock();
    if json { counted.print_json(&mut out, utc_offset) } else { counted.print(&mut out, utc_offset, lang) }
}

/// What is to be decided again, and from when on it counts.
struct Recording {
    pipeline: Pipeline,
    segments: Vec<SegmentInfo>,
    from_ms: TimeMs,
    to_ms: TimeMs,
}

impl Recording {
    /// Begins at the last usable checkpoint before the time that is asked for, else at the first.
    fn open(dir: &Path, last: Option<Span>) -> anyhow::Result<Self> {
        let journal = journal_dir(dir);
        let mut segments = journal::intake_segments(&journal)
            .with_context(|| format!("{} holds no journal; name a gateway's data folder", dir.display()))?;
        let to_ms = segments.last().map(end_of).transpose()?.flatten().unwrap_or(TimeMs::MAX);
        let wanted_ms = last.map_or(TimeMs::MIN, |last| to_ms.saturating_sub(last.ms()));
        let usable = |(index, segment)| Some((index, engine::restore(segment)?));
        let reaches_back = |(_, segment): &(usize, &SegmentInfo)| begin_of(segment).is_some_and(|at| at <= wanted_ms);
        let late = last.and_then(|_| segments.iter().enumerate().rev().filter(reaches_back).find_map(usable));
        let begin = late.or_else(|| segments.iter().enumerate().find_map(usable));
        let (index, pipeline) =
            begin.with_context(|| format!("no segment in {} begins with a readable checkpoint", journal.display()))?;
        segments.drain(..index);
        let from_ms = wanted_ms.max(pipeline.now_ms());
        Ok(Self { pipeline, segments, from_ms, to_ms })
    }
}

/// The time of the first event.
fn begin_of(segment: &SegmentInfo) -> Option<TimeMs> {
    journal::read_intake(segment).ok()?.next().map(|frame| frame.at_ms)
}

/// The time of the last event.
fn end_of(segment: &SegmentInfo) -> anyhow::Result<Option<TimeMs>> {
    let mut frames = journal::read_intake(segment)?;
    let mut end = None;
    while let Some(frame) = frames.next() {
        end = Some(frame.at_ms);
    }
    Ok(end)
}
