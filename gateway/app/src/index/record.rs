//! What the index holds of an alert.

use serde::{Deserialize, Serialize};
use std::collections::HashSet;

use ninewatch_core::alert::{Alert, AlertChange, ChangeKind, Evidence, TakenAction};
use ninewatch_core::time::TimeMs;

/// An alert with its life and evidence. Of an alert that repeats for hours it holds the beginning and
/// the latest; the journal has it all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct AlertRecord {
    pub(crate) alert: Alert,
    pub(crate) life: Vec<Step>,
    pub(crate) evidence: Vec<Evidence>,
}

impl AlertRecord {
    /// The steps of the life, without what staff took back.
    pub(crate) fn standing(&self) -> impl DoubleEndedIterator<Item = &Step> {
        let undone: HashSet<_> = self.life.iter().filter_map(Step::undoes).collect();
        self.life.iter().filter(move |step| {
            !step.action.as_ref().is_some_and(|action| undone.contains(&(action.via.as_deref(), action.id.as_str())))
        })
    }

    /// Takes a change, of this alert.
    pub(super) fn take(&mut self, change: &AlertChange) {
        self.alert = change.alert.clone();
        self.life.push(Step {
            seq: change.seq,
            at_ms: change.at_ms,
            kind: change.kind,
            by: change.by.clone(),
            note: change.note.clone(),
            action: change.action.clone(),
        });
        self.evidence.extend(change.evidence.clone());
        self.thin();
    }

    /// Keeps a value small: sled writes it whole at each change.
    fn thin(&mut self) {
        const FIRST: usize = 4;
        const EVIDENCE: usize = 24;
        const STEPS: usize = 200;
        if self.evidence.len() > EVIDENCE {
            self.evidence.remove(FIRST);
        }
        let comes_and_goes = |step: &Step| matches!(step.kind, ChangeKind::Repeated | ChangeKind::Recovered);
        while self.life.len() > STEPS
            && let Some(at) = self.life.iter().skip(FIRST).position(comes_and_goes)
        {
            self.life.remove(FIRST + at);
        }
    }
}

/// One step of an alert's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) seq: u64,
    pub(crate) at_ms: TimeMs,
    pub(crate) kind: ChangeKind,
    pub(crate) by: Option<String>,
    pub(crate) note: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) action: Option<TakenAction>,
}

impl Step {
    /// Whose action, by which id, it takes back.
    fn undoes(&self) -> Option<(Option<&str>, &str)> {
        let action = self.action.as_ref()?;
        Some((action.via.as_deref(), action.undoes.as_deref()?))
    }
}
