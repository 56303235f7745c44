//! What a resident reports by a grid's code. It is an alert of its own from the first: no device's finding folds into it,
//! and it folds into none.

use serde::{Deserialize, Serialize};

use super::{Evidence, Finding, Scene, Severity, Text};
use crate::time::TimeMs;

/// What the place of a matter begins with: `grid:kaili-1`. The colon keeps it apart: ids of places have none.
pub const GRID: &str = "grid:";

/// What stands where alerts of devices have a device: `resident:` and the matter's id.
pub const RESIDENT: &str = "resident:";

/// The group of every matter, and its rule: by it one sees that a resident is the source.
pub const MATTER: &str = "resident";

/// A matter as the journal keeps it: what decisions need. What the resident wrote, and how to reach them, is not in it: the
/// journal is kept for good, and that is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matter {
    /// Unique; the same again does nothing.
    pub id: String,
    /// The grid whose code was scanned.
    pub grid: String,
    /// What it is about.
    pub scene: Scene,
}

impl Matter {
    /// What its alert has for a place.
    pub fn place(&self) -> String {
        format!("{GRID}{}", self.grid)
    }

    /// What its alert has for a device.
    pub fn device(&self) -> String {
        format!("{RESIDENT}{}", self.id)
    }

    /// Nobody has proved who they are, so it is never `critical`: what devices measure comes first.
    fn severity(&self) -> Severity {
        match self.scene {
            Scene::Employment | Scene::Operations => Severity::Minor,
            Scene::Security | Scene::Fire | Scene::ElderCare | Scene::ChildProtection => Severity::Major,
        }
    }

    pub(super) fn finding(&self, now: TimeMs) -> Finding {
        let (scene_zh, scene_en) = match self.scene {
            Scene::Security => ("安防", "security"),
            Scene::Fire => ("消防", "fire"),
            Scene::ElderCare => ("养老", "elder care"),
            Scene::ChildProtection => ("护苗", "child protection"),
            Scene::Employment => ("就业", "employment"),
            Scene::Operations => ("运维", "operations"),
        };
        let grid = &self.grid;
        Finding {
            place: self.place(),
            group: MATTER.into(),
            scene: self.scene,
            severity: self.severity(),
            lasting: false,
            title: Text { zh: format!("居民上报：{scene_zh}"), en: format!("Resident's report: {scene_en}") },
            evidence: Evidence {
                at_ms: now,
                device: self.device(),
                rule: MATTER.to_owned(),
                reason: Text {
                    zh: format!("有居民扫网格 {grid} 的二维码，上报了一件{scene_zh}事项；内容见“居民上报”"),
                    en: format!(
                        "A resident scanned the code of grid {grid} and reported a matter of {scene_en}; what they wrote \
                         is under “Resident's report”"
                    ),
                },
                series: Vec::new(),
                score: None,
            },
        }
    }
}
