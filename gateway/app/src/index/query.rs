//! Which alerts somebody wants to see.

use std::collections::HashSet;

use ninewatch_core::alert::{Alert, AlertId, Scene, Severity, Status, Verdict};
use ninewatch_core::time::TimeMs;

/// Which alerts are wanted, newest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct AlertQuery {
    pub(crate) status: Option<Status>,
    /// Only those that are not closed.
    pub(crate) open_only: bool,
    pub(crate) scene: Option<Scene>,
    pub(crate) severity: Option<Severity>,
    pub(crate) place: Option<String>,
    /// Only at these, where not all may be seen.
    pub(crate) places: Option<HashSet<String>>,
    pub(crate) verdict: Option<Verdict>,
    /// Raised at or after.
    pub(crate) from_ms: Option<TimeMs>,
    /// Raised before.
    pub(crate) to_ms: Option<TimeMs>,
    pub(crate) says: Option<Says>,
    /// Only older ones than this.
    pub(crate) before: Option<AlertId>,
    pub(crate) limit: usize,
}

/// What is looked for in an alert's words.
#[derive(Debug, Clone, Default)]
pub(crate) struct Says {
    text: String,
    /// The places that are called so.
    places: Vec<String>,
}

impl Says {
    pub(crate) fn new(text: &str, places: Vec<String>) -> Self {
        Self { text: text.trim().to_lowercase(), places }
    }

    fn is_said_by(&self, alert: &Alert) -> bool {
        let words = [&alert.title.zh, &alert.title.en, &alert.reason.zh, &alert.reason.en, &alert.place];
        let people = [&alert.accepted_by, &alert.dispatched_to].into_iter().flatten();
        let mut all = words.into_iter().chain(people).chain(&alert.devices).chain(&alert.rules);
        self.places.contains(&alert.place)
            || self.text.parse() == Ok(alert.number)
            || all.any(|word| word.to_lowercase().contains(&self.text))
    }
}

impl AlertQuery {
    pub(super) fn wants(&self, alert: &Alert) -> bool {
        self.from_ms.is_none_or(|from| alert.raised_at_ms >= from)
            && self.to_ms.is_none_or(|to| alert.raised_at_ms < to)
            && self.verdict.is_none_or(|verdict| alert.verdict == Some(verdict))
            && self.says.as_ref().is_none_or(|says| says.is_said_by(alert))
            && self.status.is_none_or(|status| alert.status == status)
            && self.scene.is_none_or(|scene| alert.scene == scene)
            && self.severity.is_none_or(|severity| alert.severity == severity)
            && self.place.as_ref().is_none_or(|place| alert.place == *place)
            && self.places.as_ref().is_none_or(|places| places.contains(&alert.place))
    }
}
