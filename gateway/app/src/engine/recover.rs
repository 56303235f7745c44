//! Coming back after a stop of any kind: the last checkpoint, and what was recorded behind it.

use anyhow::Context;
use std::borrow::Cow;
use std::path::Path;

use ninewatch_core::alert::AlertChange;
use ninewatch_core::detect::model::{Asked, ScoreError, Scorer};
use ninewatch_core::fault::Fault;
use ninewatch_core::pipeline::{Event, Pipeline, Settings};
use ninewatch_core::replay::Recorded;
use ninewatch_core::time::TimeMs;

use crate::journal::{self, Damage, Journal, Opened, SegmentInfo};
#[cfg(test)]
use crate::sim::{Bug, planted};

/// What came back.
pub(super) struct Recovered {
    pub(super) pipeline: Pipeline,
    /// Of the settings that were to be put in force.
    pub(super) faults: Vec<Fault>,
    /// What was read on the way and is damaged.
    pub(super) damage: Vec<Damage>,
    /// The time of the last event before the start; 0 where there is none.
    pub(super) recorded_ms: TimeMs,
}

/// Brings the pipeline to where it was, completes the alert log, puts `settings` in force as far as
/// they are without fault, and begins a segment. Tells the faults, and `regained_to` the number of the last change that
/// was decided before this start.
///
/// The pipeline is deterministic, so the inputs behind the last checkpoint give again the alert
/// changes that a crash may have kept from the log: those get written now.
pub(super) fn recover(
    journal_dir: &Path,
    journal: &mut Journal,
    opened: &Opened,
    settings: Settings,
    now: TimeMs,
    regained_to: impl FnOnce(u64) -> anyhow::Result<()>,
) -> anyhow::Result<Recovered> {
    let segments = journal::intake_segments(journal_dir)?;
    let mut regained = Vec::new();
    let mut damage = opened.damage.clone();
    let restored = segments.iter().enumerate().rev().find_map(|(index, segment)| Some((index, restore(segment)?)));
    let from = restored.as_ref().map(|(index, _)| *index);
    let mut pipeline = match restored {
        Some((index, mut pipeline)) => {
            for segment in segments.iter().skip(index) {
                regained.extend(replay_segment(&mut pipeline, segment, &mut damage)?);
            }
            pipeline
        }
        None => Pipeline::new(settings.clone(), now).0,
    };
    let recorded_ms = if segments.is_empty() { 0 } else { pipeline.now_ms() };
    #[cfg(test)]
    if planted(Bug::DecisionsNotRegained) {
        regained.clear();
    }
    let mut written = opened.last_alert_seq;
    // The disk can have torn a change out of what was never synced, and left the next one: where all of them come out
    // again they are written anew. Other damage costs what it touches.
    if let Some(gap) = opened.gap
        && regained.first().is_some_and(|change| change.seq <= gap.after_seq + 1)
        && pipeline.last_seq() >= written
    {
        journal.cut_alerts(gap).context("the alert log cannot be mended")?;
        // It was never whole.
        damage.retain(|damage| !opened.damage.contains(damage));
        written = gap.after_seq;
    }
    regained.retain(|change| change.seq > written);
    if !regained.is_empty() {
        tracing::info!(changes = regained.len(), "regained alert changes from what was recorded before the stop");
    }
    for change in &regained {
        journal.append_alert(change)?;
    }
    // Damage can have taken inputs whose alerts are there: those alerts stand.
    let mut adopted = false;
    for change in journal::read_alerts(journal_dir, pipeline.last_seq() + 1)? {
        match change {
            Ok(change) => {
                pipeline.adopt(&change);
                adopted = true;
            }
            Err(found) => damage.push(found),
        }
    }
    regained_to(pipeline.last_seq())?;
    damage.sort_by(|one, other| (&one.segment, one.offset).cmp(&(&other.segment, other.offset)));
    damage.dedup();
    for damage in &damage {
        tracing::error!(%damage, "the journal is damaged");
    }
    let (settings, faults) = settings.or_former(pipeline.settings());
    let changed = pipeline.settings() != &settings;
    journal.commit().context("the journal cannot be written")?;
    if let Some(segment) = from.and_then(|index| segments.get(index)) {
        journal.recovered_from(segment.number);
    }
    let (mut first, mut begun) = (Vec::new(), Vec::new());
    // On a full disk there is no room for a checkpoint; what follows goes behind what was just decided again.
    let stays = journal.stays_in_segment() && from.is_some() && !adopted;
    if !stays {
        let state = pipeline.checkpoint()?;
        journal::encode(&mut first, pipeline.now_ms(), &Recorded::Checkpoint(Cow::Owned(state)))?;
    }
    let mut take = |event: Event<'_>, recorded: &Recorded<'_>| -> anyhow::Result<()> {
        begun.extend(pipeline.step(event, now, &mut NoModel).changes);
        Ok(journal::encode(&mut first, pipeline.now_ms(), recorded)?)
    };
    take(Event::Start, &Recorded::Start)?;
    if changed {
        let json = serde_json::to_string(&settings)?;
        take(Event::Configure(&settings), &Recorded::Configure(Cow::Owned(json)))?;
    }
    if !stays {
        journal.begin_segment(pipeline.now_ms()).context("the journal cannot begin a segment")?;
    }
    // What the start decided goes with the start: the log never holds a decision without its input.
    journal.append_intake(&first);
    begun.iter().try_for_each(|change| journal.append_alert(change))?;
    journal.commit().context("the journal cannot be written")?;
    Ok(Recovered { pipeline, faults, damage, recorded_ms })
}

/// The state that a segment begins with, if it is whole.
pub(crate) fn restore(segment: &SegmentInfo) -> Option<Pipeline> {
    let mut frames = journal::read_intake(segment).ok()?;
    let frame = frames.next()?;
    let Ok(Recorded::Checkpoint(state)) = frame.recorded() else { return None };
    match Pipeline::restore(&state) {
        Ok(pipeline) => Some(pipeline),
        Err(error) => {
            tracing::warn!(segment = %segment.path.display(), %error, "this checkpoint cannot be used");
            None
        }
    }
}

/// Decides a segment again; gives the alert changes.
fn replay_segment(
    pipeline: &mut Pipeline,
    segment: &SegmentInfo,
    damage: &mut Vec<Damage>,
) -> anyhow::Result<Vec<AlertChange>> {
    let mut changes = Vec::new();
    let mut frames = journal::read_intake(segment)?;
    while let Some(frame) = frames.next() {
        match frame.recorded() {
            Ok(recorded) => {
                let at_ms = frame.at_ms;
                #[cfg(test)]
                let at_ms = if planted(Bug::ReplayedLate) { at_ms + 60_000 } else { at_ms };
                match pipeline.step_again(&recorded, at_ms) {
                    Ok(effects) => changes.extend(effects.changes),
                    // What the files say is put in force at the end in any case; not to start would help nobody.
                    Err(error) => tracing::warn!(%error, "a recorded event is passed over"),
                }
            }
            Err(error) => tracing::warn!(%error, "a recorded event is not readable"),
        }
    }
    damage.extend_from_slice(frames.damage());
    Ok(changes)
}

/// A change of the site scores nothing.
struct NoModel;

impl Scorer for NoModel {
    fn score(&mut self, asked: &Asked<'_>) -> Result<f32, ScoreError> {
        Err(ScoreError { model: asked.model.to_owned(), reason: "the gateway is starting".to_owned() })
    }
}
