//! Quiet rules: what is told only in the morning. It is an alert all the same, on the board at once.

use serde::{Deserialize, Serialize};

use super::ladder::any_or;
use super::{Weekday, began_on};
use crate::alert::{Alert, Scene, Severity};
use crate::hours::Hours;
use crate::time::{TimeMs, UtcOffset};

/// Hours in which telling of some alerts waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quiet {
    /// Local; may go over midnight.
    pub hours: Hours,
    /// On which they begin. None: on each.
    #[serde(default)]
    pub days: Vec<Weekday>,
    /// `critical` is refused. None: all others.
    #[serde(default)]
    pub severities: Vec<Severity>,
    /// None: all.
    #[serde(default)]
    pub scenes: Vec<Scene>,
    /// Ids. None: all.
    #[serde(default)]
    pub places: Vec<String>,
    /// None: all.
    #[serde(default)]
    pub grids: Vec<String>,
}

impl Quiet {
    pub(super) fn problem(&self) -> Option<(&'static str, &'static str)> {
        self.severities
            .contains(&Severity::Critical)
            .then_some(("nothing keeps a critical alert quiet", "take `critical` out of its `severities`"))
    }

    pub(super) fn is_for(&self, alert: &Alert, grid: Option<&str>) -> bool {
        // Said once more here, so that no way of making a rule can get round it.
        alert.severity != Severity::Critical
            && any_or(&self.severities, &alert.severity)
            && any_or(&self.scenes, &alert.scene)
            && any_or(&self.places, &alert.place)
            && (self.grids.is_empty() || grid.is_some_and(|grid| self.grids.iter().any(|one| one == grid)))
    }

    /// Until when it is quiet at `at`, if it is.
    pub(super) fn until(&self, offset: UtcOffset, at: TimeMs) -> Option<TimeMs> {
        began_on(&self.days, Some(self.hours), offset, at).map(|_| self.hours.next_end(offset, at))
    }
}
