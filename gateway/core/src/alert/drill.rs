//! Drills: marked test alerts that go through the whole chain, and join no other.

use serde::{Deserialize, Serialize};

use super::{Scene, Severity, Text};

/// A drill that somebody begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drill {
    /// Where it plays; a place of the registry.
    pub place: String,
    /// As what it plays.
    pub scene: Scene,
    /// How grave it plays to be.
    pub severity: Severity,
    /// Whether sirens and the local sign take part.
    pub siren: bool,
    /// Who began it.
    pub by: String,
    /// What they wrote.
    pub note: Option<String>,
}

/// Why a drill was not begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DrillError {
    /// The registry has no such place.
    #[error("there is no place `{0}`")]
    NoPlace(String),
    /// Drills are of places, and not of the gateway itself.
    #[error("a drill cannot be about the gateway itself")]
    NotOfPlaces,
    /// Another one there is not closed.
    #[error("drill no. {0} at this place is still open")]
    StillOpen(u64),
}

/// The groups of drills: no rule can have one, so nothing that is found joins a drill, nor a drill anything.
pub(super) const GROUP: &str = "drill";
const GROUP_WITH_SIREN: &str = "drill_with_siren";
/// What stands where alerts have a rule.
pub(super) const RULE: &str = "drill";

impl Drill {
    pub(super) fn group(&self) -> &'static str {
        if self.siren { GROUP_WITH_SIREN } else { GROUP }
    }

    pub(super) fn title(&self) -> Text {
        let (zh, en) = match self.scene {
            Scene::Fire => ("消防演练", "Fire drill"),
            Scene::ElderCare => ("养老照护演练", "Elder care drill"),
            Scene::ChildProtection => ("护苗演练", "Child protection drill"),
            Scene::Security | Scene::Employment | Scene::Operations => ("安防演练", "Security drill"),
        };
        Text { zh: zh.to_owned(), en: en.to_owned() }
    }

    /// Without a name: it may be told on a chat of a company.
    pub(super) fn reason() -> Text {
        Text {
            zh: "这是演练，不是真实警情。请按真实警情接警、派单、处置、办结".to_owned(),
            en: "This is a drill, nothing has happened. Accept, dispatch, handle and close it as if it were real"
                .to_owned(),
        }
    }
}

/// Whether a group is one of drills.
pub(crate) fn is_group(group: &str) -> bool {
    matches!(group, GROUP | GROUP_WITH_SIREN)
}

/// Whether an alert of this group may sound sirens: any that is no drill, and a drill for which that was asked.
pub(super) fn group_sounds(group: &str) -> bool {
    group != GROUP
}
