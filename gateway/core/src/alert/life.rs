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
//! What was undone is left out of that set. Where others have gone on from it, their steps stand, and with them who
//! accepted and who was sent: somebody acted upon that.
//!
//! First and last go by [`TakenAction::made_at_ms`]. A clock elsewhere is believed no further than this gateway's own
//! times allow: not before what the person had seen, not after the action came.

use serde::{Deserialize, Serialize};

use super::{
    Acted, ActionError, Alert, AlertChange, ChangeKind, Outcome, StaffAction, Status, TakenAction, UNDO_WITHIN, Verb,
    VerbName, Verdict,
};
use crate::time::{Span, TimeMs};

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
        Some(Acted { outcome: taken.outcome, seq: taken.seq, again: true, judged: None, withdrawn: None })
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
        let seen_at_ms = self.taken.iter().filter(|taken| taken.seq <= upon).map(|taken| taken.at_ms).max();
        let mut taken = Taken {
            id: action.id.clone(),
            via: action.via.clone(),
            by: action.by.clone(),
            verb: action.verb.clone(),
            made_at_ms: action.made_at_ms.unwrap_or(now).min(now).max(seen_at_ms.unwrap_or(alert.raised_at_ms)),
            upon,
            outcome: Outcome::Applied,
            seq: last_seq + 1,
            at_ms: now,
        };
        let kind = match &action.verb {
            Verb::Note => ChangeKind::Annotated,
            Verb::Undo { action } => self.undone_by(alert, &taken, action)?,
            Verb::Accept | Verb::Dispatch { .. } | Verb::Handle | Verb::Close { .. } => {
                self.carried_on_by(alert, &taken)?
            }
        };
        let is_advance = kind != ChangeKind::Noted && action.verb.name().step().is_some_and(|to| alert.status < to);
        if !is_advance && self.taken.len() >= MOST {
            return Err(ActionError::TooMany(self.taken.len()));
        }
        if kind == ChangeKind::Noted {
            taken.outcome = Outcome::Already;
        }
        let (outcome, in_change) = (taken.outcome, taken.in_change());
        self.taken.push(taken);
        self.merge_into(alert);
        Ok((kind, outcome, in_change))
    }

    /// What a step makes of the alert; `noted` where the life has gone beyond it.
    fn carried_on_by(&self, alert: &Alert, taken: &Taken) -> Result<ChangeKind, ActionError> {
        // Whoever has not seen that a step was undone goes on from it: that must not depend on which came first.
        let before = self.taken.iter().filter(|one| !self.is_undone(one, taken.upon)).filter_map(Taken::step).max();
        let seen = before.map_or(alert.status, |before| before.max(alert.status));
        seen.allows(&taken.verb)?;
        let advances = taken.step().is_some_and(|to| alert.status < to);
        // Somebody else is sent, unless another was sent later.
        let sends_anew = alert.status == Status::Dispatched
            && taken.verb.name() == VerbName::Dispatch
            && self.last_sent().is_none_or(|last| last.rank() < taken.rank());
        Ok(if advances || sends_anew { taken.verb.name().change() } else { ChangeKind::Noted })
    }

    /// What taking an action back makes of the alert; `noted` where others have gone on from it, or it counted for nothing.
    fn undone_by(&self, alert: &Alert, undo: &Taken, id: &str) -> Result<ChangeKind, ActionError> {
        let known = self.taken.iter().find(|taken| taken.id == id && taken.via == undo.via);
        let undone = known.filter(|taken| taken.step().is_some());
        let undone = undone.ok_or_else(|| ActionError::NoAction(id.to_owned()))?;
        if undone.by != undo.by {
            return Err(ActionError::NotYours { by: undone.by.clone() });
        }
        let ago = Span::from_ms(undo.made_at_ms - undone.made_at_ms);
        if ago >= UNDO_WITHIN {
            return Err(ActionError::TooLate { ago });
        }
        let mut after = alert.clone();
        let mut without = self.clone();
        without.taken.push(undo.clone());
        without.merge_into(&mut after);
        Ok(if after == *alert { ChangeKind::Noted } else { ChangeKind::Undone })
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

    /// Says of the alert what follows from the actions that stand.
    fn merge_into(&self, alert: &mut Alert) {
        let farthest = self.standing().filter_map(Taken::step).max().unwrap_or(Status::Raised);
        if self.taken.iter().any(|taken| taken.verb.name() == VerbName::Undo) {
            alert.status = farthest;
            (alert.accepted_by, alert.dispatched_to, alert.verdict) = (None, None, None);
        }
        // Nothing else goes back, also where damage has cost the log a step.
        alert.status = farthest.max(alert.status);
        if let Some(first) = self.counting(VerbName::Accept).min_by(|one, other| one.rank().cmp(&other.rank())) {
            alert.accepted_by = Some(first.by.clone());
        }
        if let Some(Taken { verb: Verb::Dispatch { to }, .. }) = self.last_sent() {
            alert.dispatched_to = Some(to.clone());
        }
        let judged = self.standing().filter_map(|taken| match taken.verb {
            Verb::Close { verdict } => Some((verdict == Verdict::TrueAlarm, taken.rank(), verdict)),
            _ => None,
        });
        if let Some((.., verdict)) = judged.max_by(|one, other| (one.0, one.1).cmp(&(other.0, other.1))) {
            alert.verdict = Some(verdict);
        }
    }

    fn last_sent(&self) -> Option<&Taken> {
        self.counting(VerbName::Dispatch).max_by(|one, other| one.rank().cmp(&other.rank()))
    }

    /// The actions that nobody took back.
    fn standing(&self) -> impl Iterator<Item = &Taken> {
        self.taken.iter().filter(|taken| !self.is_undone(taken, u64::MAX))
    }

    /// The actions of a verb: those that nobody took back; all, where none is left and somebody has gone on from one.
    fn counting(&self, verb: VerbName) -> impl Iterator<Item = &Taken> {
        let is_left = self.standing().any(|taken| taken.verb.name() == verb);
        let is_gone_on = self.standing().any(|taken| match verb {
            VerbName::Accept => taken.step() > Some(Status::Accepted),
            VerbName::Dispatch => taken.step() == Some(Status::Handled),
            _ => false,
        });
        let all = is_gone_on && !is_left;
        let of_verb = self.taken.iter().filter(move |taken| taken.verb.name() == verb);
        of_verb.filter(move |taken| all || !self.is_undone(taken, u64::MAX))
    }

    /// Whether somebody had taken it back, as far as whoever has seen the change `upon` knows.
    fn is_undone(&self, taken: &Taken, upon: u64) -> bool {
        let undoes = |undo: &Taken| matches!(&undo.verb, Verb::Undo { action } if *action == taken.id);
        self.taken.iter().any(|undo| undo.seq <= upon && undo.via == taken.via && undoes(undo))
    }
}

impl Taken {
    /// First and last go by it: by time, then by what was seen; the rest only makes it the same everywhere.
    fn rank(&self) -> (TimeMs, u64, Option<&str>, &str) {
        (self.made_at_ms, self.upon, self.via.as_deref(), &self.id)
    }

    fn step(&self) -> Option<Status> {
        self.verb.name().step()
    }

    fn in_change(&self) -> TakenAction {
        let (to, verdict, undoes) = match &self.verb {
            Verb::Dispatch { to } => (Some(to.clone()), None, None),
            Verb::Close { verdict } => (None, Some(*verdict), None),
            Verb::Undo { action } => (None, None, Some(action.clone())),
            Verb::Accept | Verb::Handle | Verb::Note => (None, None, None),
        };
        TakenAction {
            id: self.id.clone(),
            via: self.via.clone(),
            verb: self.verb.name(),
            to,
            verdict,
            undoes,
            made_at_ms: self.made_at_ms,
            upon: self.upon,
        }
    }
}

impl Status {
    /// Whether the life is far enough for `verb`.
    fn allows(self, verb: &Verb) -> Result<(), ActionError> {
        let least = match verb {
            Verb::Accept | Verb::Undo { .. } | Verb::Note => Self::Raised,
            Verb::Dispatch { .. } => Self::Accepted,
            Verb::Handle => Self::Dispatched,
            Verb::Close { verdict: Verdict::TrueAlarm } => Self::Handled,
            // Nobody had to go for what turned out to be nothing.
            Verb::Close { .. } => Self::Accepted,
        };
        if self < least { Err(ActionError::WrongStatus { status: self, verb: verb.name() }) } else { Ok(()) }
    }
}
