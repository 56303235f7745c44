//! What the log of a shadow comes to.

use serde::Serialize;
use std::collections::BTreeMap;

use ninewatch_core::time::{Span, TimeMs};

use crate::scorer::shadow::Line;

/// Less is no basis for a change.
const FEWEST_SCORES: u64 = 200;
const DAY_MS: i64 = 86_400_000;
/// Below it a rate by day says nothing.
const SHORTEST_FOR_RATE_MS: i64 = 3_600_000;
const DEVICES_TOLD: usize = 5;
const MOMENTS_TOLD: usize = 3;

/// How a shadow compares with the model in use, both in the versions that they have now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Comparison {
    pub(super) active_version: String,
    pub(super) shadow_version: String,
    pub(super) from_ms: TimeMs,
    pub(super) to_ms: TimeMs,
    /// Devices or places that both were asked about.
    pub(super) devices: usize,
    /// Scores that both gave.
    pub(super) scores: u64,
    pub(super) both_yes: u64,
    pub(super) only_active_yes: u64,
    pub(super) only_shadow_yes: u64,
    /// Times when the shadow gave no score.
    pub(super) errors: u64,
    pub(super) mean_difference: f64,
    pub(super) most_difference: f64,
    /// None over too short a time.
    pub(super) active_alerts_per_device_day: Option<f64>,
    pub(super) shadow_alerts_per_device_day: Option<f64>,
    /// Where one said yes and the other no, most often first.
    pub(super) differing: Vec<Differing>,
    /// Scores of former versions, which do not count.
    pub(super) former: usize,
    pub(super) meaning: Meaning,
}

/// A device on which they differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Differing {
    pub(super) about: String,
    /// So often one said yes and the other no.
    pub(super) times: u64,
    /// The last of them.
    pub(super) last: Vec<Moment>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Moment {
    pub(super) at_ms: TimeMs,
    pub(super) active: f32,
    pub(super) shadow: f32,
}

/// What to think of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Meaning {
    /// The shadow failed.
    Fails,
    TooLittle,
    /// The same answers, every time.
    Same,
    /// The shadow would have alerted more often.
    Louder,
    /// The shadow would have alerted more rarely.
    Quieter,
    /// As often, and at other times.
    Other,
}

/// After a yes of a device its next ones are the same alert for so long.
#[derive(Debug, Clone, Copy)]
pub(super) struct OneAlert {
    pub(super) active: Span,
    pub(super) shadow: Span,
}

/// The alerts of one model.
#[derive(Default)]
struct Alerts<'a> {
    count: u64,
    quiet_until: BTreeMap<&'a str, TimeMs>,
}

impl<'a> Alerts<'a> {
    fn take(&mut self, line: &'a Line, yes: bool, one_alert: Span) {
        if yes && self.quiet_until.get(line.about.as_str()).is_none_or(|until| line.at_ms >= *until) {
            self.count += 1;
            self.quiet_until.insert(&line.about, line.at_ms.saturating_add(one_alert.ms()));
        }
    }
}

impl Comparison {
    /// Of a log, the oldest line first; none of an empty one.
    pub(super) fn of(log: &[Line], one_alert: OneAlert) -> Option<Self> {
        let last = log.last()?;
        let is_now =
            |line: &&Line| line.active_version == last.active_version && line.shadow_version == last.shadow_version;
        let lines: Vec<&Line> = log.iter().filter(is_now).collect();
        let (from_ms, to_ms) = (lines.first()?.at_ms, last.at_ms);
        let mut found = Self {
            active_version: last.active_version.clone(),
            shadow_version: last.shadow_version.clone(),
            from_ms,
            to_ms,
            devices: 0,
            scores: 0,
            both_yes: 0,
            only_active_yes: 0,
            only_shadow_yes: 0,
            errors: 0,
            mean_difference: 0.0,
            most_difference: 0.0,
            active_alerts_per_device_day: None,
            shadow_alerts_per_device_day: None,
            differing: Vec::new(),
            former: log.len() - lines.len(),
            meaning: Meaning::TooLittle,
        };
        let (mut active, mut shadow) = (Alerts::default(), Alerts::default());
        let mut differing: BTreeMap<&str, Vec<Moment>> = BTreeMap::new();
        for line in lines {
            let moments = differing.entry(&line.about).or_default();
            let active_yes = f64::from(line.active) >= line.active_threshold;
            active.take(line, active_yes, one_alert.active);
            let Some(score) = line.shadow else {
                found.errors += 1;
                continue;
            };
            let shadow_yes = f64::from(score) >= line.shadow_threshold;
            shadow.take(line, shadow_yes, one_alert.shadow);
            found.take(active_yes, shadow_yes, f64::from((line.active - score).abs()));
            if active_yes != shadow_yes {
                moments.push(Moment { at_ms: line.at_ms, active: line.active, shadow: score });
            }
        }
        found.devices = differing.len();
        found.active_alerts_per_device_day = found.per_device_day(active.count);
        found.shadow_alerts_per_device_day = found.per_device_day(shadow.count);
        found.meaning = found.meaning(active.count, shadow.count);
        found.differing = most_differing(differing);
        Some(found)
    }

    fn take(&mut self, active_yes: bool, shadow_yes: bool, difference: f64) {
        self.scores += 1;
        match (active_yes, shadow_yes) {
            (true, true) => self.both_yes += 1,
            (true, false) => self.only_active_yes += 1,
            (false, true) => self.only_shadow_yes += 1,
            (false, false) => {}
        }
        #[allow(clippy::cast_precision_loss, reason = "a count of scores")]
        let count = self.scores as f64;
        self.mean_difference += (difference - self.mean_difference) / count;
        self.most_difference = self.most_difference.max(difference);
    }

    #[allow(clippy::cast_precision_loss, reason = "alerts, devices and days of a log")]
    fn per_device_day(&self, alerts: u64) -> Option<f64> {
        let time_ms = self.to_ms - self.from_ms;
        let device_days = self.devices as f64 * time_ms as f64 / DAY_MS as f64;
        (time_ms >= SHORTEST_FOR_RATE_MS).then(|| alerts as f64 / device_days)
    }

    fn meaning(&self, active_alerts: u64, shadow_alerts: u64) -> Meaning {
        if self.errors > 0 {
            Meaning::Fails
        } else if self.scores < FEWEST_SCORES || self.to_ms - self.from_ms < DAY_MS {
            Meaning::TooLittle
        } else if self.only_active_yes + self.only_shadow_yes == 0 {
            Meaning::Same
        } else if shadow_alerts > active_alerts {
            Meaning::Louder
        } else if shadow_alerts < active_alerts {
            Meaning::Quieter
        } else {
            Meaning::Other
        }
    }
}

fn most_differing(by_device: BTreeMap<&str, Vec<Moment>>) -> Vec<Differing> {
    let mut differing: Vec<Differing> = by_device
        .into_iter()
        .filter(|(_, moments)| !moments.is_empty())
        .map(|(about, mut moments)| {
            let times = moments.len();
            let last = moments.split_off(times.saturating_sub(MOMENTS_TOLD));
            Differing { about: about.to_owned(), times: times as u64, last }
        })
        .collect();
    differing.sort_by_key(|device| std::cmp::Reverse(device.times));
    differing.truncate(DEVICES_TOLD);
    differing
}
