//! A person who knows more than the devices makes an alert graver. Nobody makes one less grave: what turns out to be nothing
//! is closed as that.

use serde::{Deserialize, Serialize};

use super::{Alert, AlertId, Evidence, Finding, Severity, Text};
use crate::time::TimeMs;

/// The rule of what a person found.
pub const REGRADED: &str = "regraded";

/// An alert that is to be graver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Regrade {
    /// Which one.
    pub alert: AlertId,
    /// What it is from now on, at the least.
    pub severity: Severity,
    /// Who says so.
    pub by: String,
}

impl Regrade {
    /// It is one more finding: so it climbs its own ladder, sounds, and is to be seen by whoever closes the alert.
    pub(super) fn finding(&self, alert: &Alert, now: TimeMs) -> Finding {
        let zh = match self.severity {
            Severity::Critical => "紧急",
            Severity::Major => "重要",
            Severity::Minor => "一般",
            Severity::Notice => "提示",
        };
        // Not who: the change says so, and a channel that tells the reason tells no names.
        let en = self.severity.name();
        Finding {
            place: alert.place.clone(),
            group: alert.group.clone(),
            scene: alert.scene,
            severity: self.severity,
            lasting: false,
            title: alert.title.clone(),
            evidence: Evidence {
                at_ms: now,
                device: alert.devices.first().cloned().unwrap_or_default(),
                rule: REGRADED.to_owned(),
                reason: Text {
                    zh: format!("{}（人工提级为{zh}）", alert.reason.zh),
                    en: format!("{} (raised to {en} by staff)", alert.reason.en),
                },
                series: Vec::new(),
                score: None,
            },
        }
    }
}
