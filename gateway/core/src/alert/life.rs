//! One life out of what staff do at the console, upstream, and on both sides while these cannot hear of each other.
//!
//! What an alert says of its staff (how far it is, who accepted it, who is sent, how it is judged) is a function of the
//! *set* of actions taken, so it does not matter which of two that were made apart comes first:
//!
//! * how far: the farthest step that any of them takes
//! * `accepted_by`: whoever accepted first
//! * `dispatched_to`: whoever was sent last
//! * `verdict`: a true alarm before anything else, then the last one
//!
//! First and last go by [`TakenAction::made_at_ms`]. A clock elsewhere is believed no further than this gateway's own
//! times allow: not before what the person had seen, not after the action came.

use serde::{Deserialize, Serialize};

use super::{
    Acted, ActionError, Alert, AlertChange, ChangeKind, Outcome, StaffAction, Status, TakenAction, Verb, VerbName,
    Verdict,
};
use crate::time::TimeMs;

/// What staff have done to an alert, in the order in which it came.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Life {
    taken: Vec<Taken>,
    /// The last change that told of a finding.
    found_seq: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Taken {
    id: String,
    via: Option<String>,
    by: String,
    verb: Verb,
    made_at_ms: TimeMs,
    upon: u64,
    outcome: Outcome,
    /// The change that it made, and when.
    seq: u64,
    at_ms: TimeMs,
}

/// More than this is no longer people at work: a platform that answers each change by an action would go on for ever.
const MOST: usize = 64;

impl Life {
    /// What became of this action, if it has been taken.
    pub(super) fn acted(&self, action: &StaffAction) -> Option<Acted> {
        let taken = self.taken.iter().find(|taken| taken.id == action.id && taken.via == action.via)?;
        Some(Acted { outcome: taken.outcome, seq: taken.seq, again: true, judged: None })
    }

    /// Takes an action as the change after `last_seq`, and carries the alert on as far as it does.
    ///
    /// # Errors
    /// Where the alert is not so far, whoever closes it has not seen all of it, or nobody would read it any more.
    pub(super) fn take(
        &mut self,
        alert: &mut Alert,
        action: &StaffAction,
        last_seq: u64,
        now: TimeMs,
    ) -> Result<(ChangeKind, Outcome, TakenAction), ActionError> {
        let upon = action.upon.unwrap_or(last_seq).min(last_seq);
        // Before all else: whether it counts must not depend on what else has come.
        if action.verb.name() == VerbName::Close && upon < self.found_seq {
            return Err(ActionError::Unseen { found_seq: self.found_seq });
        }
        let step = alert.status.after(&action.verb)?;
        let seen_at_ms = self.taken.iter().filter(|taken| taken.seq <= upon).map(|taken| taken.at_ms).max();
        let mut taken = Taken {
            id: action.id.clone(),
            via: action.via.clone(),
            by: action.by.clone(),
            verb: action.verb.clone(),
            made_at_ms: action.made_at_ms.unwrap_or(now).min(now).max(seen_at_ms.unwrap_or(alert.raised_at_ms)),
            upon,
            outcome: Outcome::Already,
            seq: last_seq + 1,
            at_ms: now,
        };
        // Somebody else is sent, unless another was sent later.
        let sends_anew =
            step.is_some() && alert.status == Status::Dispatched && action.verb.name() == VerbName::Dispatch;
        let is_overtaken = sends_anew && self.last_sent().is_some_and(|last| last.rank() > taken.rank());
        let step = step.filter(|_| !is_overtaken);
        if (step.is_none() || sends_anew) && self.taken.len() >= MOST {
            return Err(ActionError::TooMany(self.taken.len()));
        }
        let (kind, outcome) = match step {
            Some((status, kind)) => {
                alert.status = status;
                (kind, Outcome::Applied)
            }
            None => (ChangeKind::Noted, Outcome::Already),
        };
        taken.outcome = outcome;
        let in_change = taken.in_change();
        self.taken.push(taken);
        self.merge_into(alert);
        Ok((kind, outcome, in_change))
    }

    /// Takes note of a change of the alert.
    pub(super) fn told(&mut self, change: &AlertChange) {
        if matches!(change.kind, ChangeKind::Raised | ChangeKind::Joined | ChangeKind::Repeated) {
            self.found_seq = change.seq;
        }
    }

    /// Takes over a change that the journal holds and this book has not made.
    pub(super) fn adopt(&mut self, change: &AlertChange) {
        self.told(change);
        let Some(action) = &change.action else { return };
        let (Some(verb), Some(by)) = (action.verb(), change.by.clone()) else { return };
        self.taken.push(Taken {
            id: action.id.clone(),
            via: action.via.clone(),
            by,
            verb,
            made_at_ms: action.made_at_ms,
            upon: action.upon,
            outcome: if change.kind == ChangeKind::Noted { Outcome::Already } else { Outcome::Applied },
            seq: change.seq,
            at_ms: change.at_ms,
        });
    }

    fn merge_into(&self, alert: &mut Alert) {
        let accepted = self.taken.iter().filter(|taken| taken.verb == Verb::Accept);
        if let Some(first) = accepted.min_by(|one, other| one.rank().cmp(&other.rank())) {
            alert.accepted_by = Some(first.by.clone());
        }
        if let Some(Taken { verb: Verb::Dispatch { to }, .. }) = self.last_sent() {
            alert.dispatched_to = Some(to.clone());
        }
        let judged = self.taken.iter().filter_map(|taken| match taken.verb {
            Verb::Close { verdict } => Some((verdict == Verdict::TrueAlarm, taken.rank(), verdict)),
            _ => None,
        });
        if let Some((.., verdict)) = judged.max_by(|one, other| (one.0, one.1).cmp(&(other.0, other.1))) {
            alert.verdict = Some(verdict);
        }
    }

    fn last_sent(&self) -> Option<&Taken> {
        let sent = self.taken.iter().filter(|taken| taken.verb.name() == VerbName::Dispatch);
        sent.max_by(|one, other| one.rank().cmp(&other.rank()))
    }
}

impl Taken {
    /// First and last go by it: by time, then by what was seen; the rest only makes it the same everywhere.
    fn rank(&self) -> (TimeMs, u64, Option<&str>, &str) {
        (self.made_at_ms, self.upon, self.via.as_deref(), &self.id)
    }

    fn in_change(&self) -> TakenAction {
        let (to, verdict) = match &self.verb {
            Verb::Dispatch { to } => (Some(to.clone()), None),
            Verb::Close { verdict } => (None, Some(*verdict)),
            Verb::Accept | Verb::Handle => (None, None),
        };
        TakenAction {
            id: self.id.clone(),
            via: self.via.clone(),
            verb: self.verb.name(),
            to,
            verdict,
            made_at_ms: self.made_at_ms,
            upon: self.upon,
        }
    }
}

impl Status {
    /// The step that `verb` takes from here; `None` where the life has gone beyond it.
    fn after(self, verb: &Verb) -> Result<Option<(Self, ChangeKind)>, ActionError> {
        let nothing_happened = matches!(verb, Verb::Close { verdict } if *verdict != Verdict::TrueAlarm);
        match (verb.name(), self) {
            (VerbName::Accept, Self::Raised) => Ok(Some((Self::Accepted, ChangeKind::Accepted))),
            (VerbName::Dispatch, Self::Accepted | Self::Dispatched) => {
                Ok(Some((Self::Dispatched, ChangeKind::Dispatched)))
            }
            (VerbName::Handle, Self::Dispatched) => Ok(Some((Self::Handled, ChangeKind::Handled))),
            (VerbName::Close, Self::Handled) => Ok(Some((Self::Closed, ChangeKind::Closed))),
            // Nobody had to go for what turned out to be nothing.
            (VerbName::Close, Self::Accepted | Self::Dispatched) if nothing_happened => {
                Ok(Some((Self::Closed, ChangeKind::Closed)))
            }
            (VerbName::Accept, _)
            | (VerbName::Dispatch | VerbName::Handle, Self::Handled | Self::Closed)
            | (VerbName::Close, Self::Closed) => Ok(None),
            (verb, status) => Err(ActionError::WrongStatus { status, verb }),
        }
    }
}
