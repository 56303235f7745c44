//! Ladders: who is told of an alert that nobody accepts, after how long, and through what. The file `ladders.toml`.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;

use super::{Quiet, Title};
use crate::alert::{Alert, GRID, Scene, Severity};
use crate::fault::{Fault, SourceFile};
use crate::site::{PlaceKind, Registry};
use crate::time::{Span, TimeMs, UtcOffset};

/// A ladder, for the alerts that it fits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ladder {
    /// As people call it.
    pub name: String,
    /// None: all.
    #[serde(default)]
    pub severities: Vec<Severity>,
    /// None: all.
    #[serde(default)]
    pub scenes: Vec<Scene>,
    /// None: all.
    #[serde(default)]
    pub grids: Vec<String>,
    /// None: all.
    #[serde(default)]
    pub kinds: Vec<PlaceKind>,
    /// The first is told when the alert is raised.
    #[serde(rename = "rung")]
    pub rungs: Vec<Rung>,
}

/// Whom a ladder tells at a time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rung {
    /// Since the alert was raised, or became graver.
    pub after: Span,
    /// Whoever is on duty as these for the place's grid.
    pub titles: Vec<Title>,
    /// Ids of the roster.
    pub people: Vec<String>,
    /// Through these. None: every channel that no rung of the ladder names, as its own keys say.
    pub channels: Vec<String>,
}

/// The ladders and quiet rules of a site, ready for use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ladders {
    ladders: Vec<Ladder>,
    quiet: Vec<Quiet>,
    places: HashMap<String, (String, PlaceKind)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "ladder")]
    ladders: Vec<toml::Value>,
    #[serde(default)]
    quiet: Vec<toml::Value>,
}

/// GB 26875.1 has a fire alarm acknowledged within minutes; who told nobody else for longer would not be a ladder.
const LATEST_SECOND_RUNG: Span = Span::from_secs(600);
const MOST_RUNGS: usize = 20;

impl Ladders {
    /// Makes the files ready. A ladder or rule that has a fault is set aside and told: its alerts are told as if there
    /// were no ladder, its quiet is none.
    pub fn compile(files: &[SourceFile], registry: &Registry) -> (Self, Vec<Fault>) {
        let places = registry.places.iter();
        let places = places.map(|place| (place.id.clone(), (place.grid.clone(), place.kind))).collect();
        let (mut ladders, mut faults) = (Self { places, ..Self::default() }, Vec::new());
        for source in files {
            let file: File = match source.parse() {
                Ok(file) => file,
                Err(fault) => {
                    faults.push(fault);
                    continue;
                }
            };
            for (index, value) in file.ladders.into_iter().enumerate() {
                let key = format!("ladder.{index}");
                match value.try_into::<Ladder>() {
                    Ok(ladder) => match ladder.problem() {
                        None => ladders.ladders.push(ladder),
                        Some((name, problem, mend)) => {
                            faults.push(source.fault(&format!("{key}.{name}"), problem, mend));
                        }
                    },
                    Err(error) => faults.push(source.fault(&format!("{key}.name"), error.message(), "")),
                }
            }
            for (index, value) in file.quiet.into_iter().enumerate() {
                let key = format!("quiet.{index}.hours");
                match value.try_into::<Quiet>() {
                    Ok(quiet) => match quiet.problem() {
                        None => ladders.quiet.push(quiet),
                        Some((problem, mend)) => faults.push(source.fault(&key, problem, mend)),
                    },
                    Err(error) => faults.push(source.fault(&key, error.message(), "")),
                }
            }
        }
        (ladders, faults)
    }

    /// All ladders, in the order in which they are tried.
    pub fn ladders(&self) -> &[Ladder] {
        &self.ladders
    }

    /// All quiet rules.
    pub fn quiet(&self) -> &[Quiet] {
        &self.quiet
    }

    /// The first ladder that fits the alert as it is now.
    pub fn of(&self, alert: &Alert) -> Option<&Ladder> {
        let (grid, place) = (self.grid(alert), self.places.get(&alert.place));
        self.ladders.iter().find(|ladder| {
            any_or(&ladder.severities, &alert.severity)
                && any_or(&ladder.scenes, &alert.scene)
                && (ladder.grids.is_empty() || grid.is_some_and(|grid| ladder.grids.iter().any(|one| one == grid)))
                && (ladder.kinds.is_empty() || place.is_some_and(|(_, kind)| ladder.kinds.contains(kind)))
        })
    }

    /// The grid of the alert's place, which is the grid itself where a resident reported it; none of the gateway itself,
    /// or where the place is not known any more.
    pub fn grid<'a>(&'a self, alert: &'a Alert) -> Option<&'a str> {
        let of_place = || self.places.get(&alert.place).map(|(grid, _)| grid.as_str());
        alert.place.strip_prefix(GRID).or_else(of_place)
    }

    /// Until when telling of the alert waits at `at`, if it does. Never for critical ones, whatever a rule says.
    pub fn quiet_until(&self, alert: &Alert, offset: UtcOffset, at: TimeMs) -> Option<TimeMs> {
        if alert.severity == Severity::Critical {
            return None;
        }
        let grid = self.grid(alert);
        let rules = self.quiet.iter().filter(|quiet| quiet.is_for(alert, grid));
        rules.filter_map(|quiet| quiet.until(offset, at)).max()
    }

    /// How many of both are in force.
    pub(crate) fn len(&self) -> usize {
        self.ladders.len() + self.quiet.len()
    }
}

pub(super) fn any_or<T: PartialEq>(wanted: &[T], of: &T) -> bool {
    wanted.is_empty() || wanted.contains(of)
}

impl Ladder {
    /// Whether any rung names the channel: then it is told on those rungs, and on no other.
    pub fn names(&self, channel: &str) -> bool {
        self.rungs.iter().any(|rung| rung.channels.iter().any(|one| one == channel))
    }

    fn problem(&self) -> Option<(String, String, &'static str)> {
        let rung = |index: usize, name: &str| format!("rung.{index}.{name}");
        if self.name.trim().is_empty() || self.name.chars().count() > 40 || self.name.chars().any(char::is_control) {
            return Some(("name".into(), "is not a name".into(), "give 1 to 40 characters"));
        }
        if self.rungs.is_empty() || self.rungs.len() > MOST_RUNGS {
            return Some(("rung".into(), "tells nobody, or too many times".into(), "give 1 to 20 [[ladder.rung]]"));
        }
        for (index, pair) in self.rungs.windows(2).enumerate() {
            if let [before, after] = pair
                && after.after <= before.after
            {
                let problem = format!("the rung is not after the one before it, {}", before.after);
                return Some((
                    rung(index + 1, "after"),
                    problem,
                    "let each `after` be longer; all count from the alert",
                ));
            }
        }
        if self.rungs.first().is_some_and(|first| first.after.ms() != 0) {
            let mend = "leave `after` out of the first rung";
            return Some((rung(0, "after"), "the first rung is told at once".into(), mend));
        }
        let is_for_critical = self.severities.is_empty() || self.severities.contains(&Severity::Critical);
        if is_for_critical && self.rungs.get(1).is_none_or(|second| second.after > LATEST_SECOND_RUNG) {
            let mend = "add a second rung, at most 10m after the alert; or give `severities` without critical";
            return Some(("rung".into(), "of a critical alert nobody else would be told".into(), mend));
        }
        None
    }
}

#[cfg(test)]
mod tests;
