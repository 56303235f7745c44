//! What the models saw around their findings: the recording is decided again, and what they look at is kept.

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::{BTreeMap, HashMap};

use ninewatch_core::detect::model::{ModelCard, Seen, Sight};
use ninewatch_core::detect::opening;
use ninewatch_core::detect::routine::Role;
use ninewatch_core::reading::Burst;
use ninewatch_core::time::{TimeMs, UtcOffset};

use super::findings::Matter;
use crate::engine;
use crate::journal::{self, SegmentInfo};
use crate::lang::Lang;

/// What was seen of each matter.
#[derive(Debug)]
pub(super) struct Windows<'m> {
    /// With their windows, as far as anything is left.
    matters: Vec<(&'m Matter, Option<Window>)>,
    /// By model and device.
    by_device: HashMap<(&'m str, &'m str), Vec<usize>>,
    /// By model and place.
    by_place: HashMap<(&'m str, &'m str), Vec<usize>>,
    /// Of each place whose routine a matter is about.
    homes: BTreeMap<&'m str, Vec<Sign>>,
    /// How far back the recording reaches.
    begins_ms: TimeMs,
    utc_offset: UtcOffset,
}

/// What a model saw of a matter.
#[derive(Debug)]
pub(super) struct Window {
    /// Which features the model has: they say what it looks at.
    pub(super) kind: String,
    /// For how long a yes is the same matter.
    pub(super) quiet_ms: i64,
    /// The recording does not reach as far back as the model looks.
    pub(super) is_short: bool,
    pub(super) kept: Kept,
}

/// What is kept, by time.
#[derive(Debug)]
pub(super) enum Kept {
    /// The bursts that were found to be something.
    Bursts(BTreeMap<TimeMs, Burst>),
    /// What each channel was.
    Readings(BTreeMap<TimeMs, Vec<Option<f64>>>),
    /// The signs are the place's; the first of them was then.
    Signs { first_ms: TimeMs },
}

/// A switch that told what went on in a home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sign {
    pub(super) at_ms: TimeMs,
    /// The device and its field.
    pub(super) switch: (String, String),
    pub(super) role: Role,
    pub(super) on: bool,
}

impl Window {
    fn new(card: &ModelCard, is_short: bool, kept: Kept) -> Self {
        Self { kind: card.features.clone(), quiet_ms: card.quiet.ms(), is_short, kept }
    }

    /// Whether what a finding at this time was made of is there.
    pub(super) fn reaches(&self, at_ms: TimeMs) -> bool {
        match &self.kept {
            Kept::Bursts(bursts) => bursts.contains_key(&at_ms),
            Kept::Readings(readings) => readings.range(..=at_ms).next().is_some(),
            Kept::Signs { first_ms } => *first_ms <= at_ms,
        }
    }
}

impl<'m> Windows<'m> {
    /// Nothing seen yet.
    pub(super) fn of(matters: &'m [Matter]) -> Self {
        let (mut by_device, mut by_place): (HashMap<_, Vec<_>>, HashMap<_, Vec<_>>) = Default::default();
        for (index, matter) in matters.iter().enumerate() {
            by_device.entry((matter.model.as_str(), matter.device.as_str())).or_default().push(index);
            by_place.entry((matter.model.as_str(), matter.place.as_str())).or_default().push(index);
        }
        let matters = matters.iter().map(|matter| (matter, None)).collect();
        let (begins_ms, utc_offset) = (TimeMs::MIN, UtcOffset::CHINA);
        Self { matters, by_device, by_place, homes: BTreeMap::new(), begins_ms, utc_offset }
    }

    /// Decides the recording again, from its first usable checkpoint on.
    ///
    /// # Errors
    /// Where what is recorded cannot be read.
    pub(super) fn gather(&mut self, segments: &[SegmentInfo], lang: Lang) -> anyhow::Result<()> {
        if self.matters.is_empty() {
            return Ok(());
        }
        let first = segments.iter().enumerate().find_map(|(index, segment)| Some((index, engine::restore(segment)?)));
        let Some((index, mut pipeline)) = first else {
            tracing::warn!(
                "no segment of the journal begins with a readable checkpoint: no readings are there to export"
            );
            return Ok(());
        };
        self.begin(pipeline.now_ms(), pipeline.site().utc_offset);
        let bar = progress(segments.iter().skip(index).map(|segment| segment.bytes).sum(), lang);
        for segment in segments.iter().skip(index) {
            let unreadable = || format!("in {}", segment.path.display());
            let mut frames = journal::read_intake(segment).with_context(unreadable)?;
            while let Some(frame) = frames.next() {
                let recorded = frame.recorded().with_context(unreadable)?;
                pipeline.step_again_looking(&recorded, frame.at_ms, &mut |sight| self.look(sight))?;
            }
            bar.inc(segment.bytes);
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// The recording begins then, at a site of this time zone.
    pub(super) fn begin(&mut self, begins_ms: TimeMs, utc_offset: UtcOffset) {
        (self.begins_ms, self.utc_offset) = (begins_ms, utc_offset);
    }

    /// Keeps what a model looks at, if a matter is about it.
    pub(super) fn look(&mut self, sight: &Sight<'_>) {
        let Sight { card, rule, at_ms, .. } = *sight;
        let is_of_place = matches!(sight.seen, Seen::Sign { .. } | Seen::Noticed(_));
        let (matters, subject) =
            if is_of_place { (&self.by_place, sight.place) } else { (&self.by_device, sight.device) };
        let Some(matters) = matters.get(&(card.name.as_str(), subject)) else { return };
        let mut home = None;
        for index in matters {
            let Some((matter, window)) = self.matters.get_mut(*index) else { continue };
            let (first_ms, last_ms) = matter.stretch(card.quiet.ms());
            let from_ms = first_ms.saturating_sub(reach_ms(card));
            let is_of_it = match sight.seen {
                Seen::Burst(_) => matter.rule == rule && matter.findings.iter().any(|found| found.at_ms == at_ms),
                Seen::Reading(_) => matter.rule == rule && (from_ms..=last_ms).contains(&at_ms),
                Seen::Sign { .. } | Seen::Noticed(_) => (from_ms..=last_ms).contains(&at_ms),
            };
            if !is_of_it {
                continue;
            }
            let is_short = from_ms < self.begins_ms && !matches!(sight.seen, Seen::Burst(_));
            let new = |kept| Window::new(card, is_short, kept);
            match sight.seen {
                Seen::Burst(burst) => {
                    let window = window.get_or_insert_with(|| new(Kept::Bursts(BTreeMap::new())));
                    if let Kept::Bursts(bursts) = &mut window.kept {
                        bursts.insert(at_ms, burst.clone());
                    }
                }
                Seen::Noticed(sign) => {
                    let window = window.get_or_insert_with(|| new(Kept::Readings(BTreeMap::new())));
                    if let Kept::Readings(readings) = &mut window.kept {
                        let is = |one: &opening::Sign| Some(f64::from(u8::from(*one == sign)));
                        readings.insert(at_ms, SIGNS.iter().map(is).collect());
                    }
                }
                Seen::Reading(values) => {
                    let window = window.get_or_insert_with(|| new(Kept::Readings(BTreeMap::new())));
                    if let Kept::Readings(readings) = &mut window.kept {
                        readings.insert(at_ms, values.to_vec());
                    }
                }
                Seen::Sign { .. } => {
                    let window = window.get_or_insert_with(|| new(Kept::Signs { first_ms: at_ms }));
                    if let Kept::Signs { first_ms } = &mut window.kept {
                        *first_ms = at_ms.min(*first_ms);
                    }
                    home = Some(matter.place.as_str());
                }
            }
        }
        if let (Some(home), Seen::Sign { field, role, on }) = (home, sight.seen) {
            let switch = (sight.device.to_owned(), field.to_owned());
            self.homes.entry(home).or_default().push(Sign { at_ms, switch, role, on });
        }
    }

    /// Each matter with what was seen of it.
    pub(super) fn of_matters(&self) -> impl Iterator<Item = (&'m Matter, Option<&Window>)> {
        self.matters.iter().map(|(matter, window)| (*matter, window.as_ref()))
    }

    /// What was seen of the home at this place.
    pub(super) fn signs(&self, place: &str) -> &[Sign] {
        self.homes.get(place).map_or(&[], Vec::as_slice)
    }

    /// The site's.
    pub(super) fn utc_offset(&self) -> UtcOffset {
        self.utc_offset
    }
}

/// What may notice somebody at a place, in the order of the columns.
const SIGNS: [opening::Sign; 3] = [opening::Sign::Door, opening::Sign::Presence, opening::Sign::Camera];

/// How far back the model looks.
#[allow(clippy::cast_possible_truncation, reason = "days at most; what is wild is cut")]
fn reach_ms(card: &ModelCard) -> i64 {
    card.input.as_ref().map_or(0, |input| (input.seconds.max(0.0) * 1000.0) as i64)
}

fn progress(bytes: u64, lang: Lang) -> ProgressBar {
    let bar = ProgressBar::new(bytes).with_message(lang.pick("读取日志", "reading the journal"));
    let style = ProgressStyle::with_template("  {bar:30.cyan/blue} {percent}%  {elapsed}  {msg}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
