//! What becomes of the alerts that devices raise in a walk-test.

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use super::super::walk_test::{Turn, WalkState};
use super::super::{
    Alert, AlertChange, AlertId, AlertSettings, ChangeKind, Evidence, StaffAction, Status, TurnError, TurnStep, Verb,
    Verdict, WalkTurn,
};
use super::{About, AlertBook};
use crate::time::TimeMs;

impl AlertBook {
    /// Takes what a person says of a device's turn. Whether there is such a device is for the caller to know.
    ///
    /// # Errors
    /// [`TurnError`] where a turn does not begin; nothing has changed then.
    pub fn turn(
        &mut self,
        settings: &AlertSettings,
        turn: &WalkTurn,
        now: TimeMs,
        changes: &mut Vec<AlertChange>,
    ) -> Result<(), TurnError> {
        match turn.step {
            TurnStep::Begin => {
                if let ControlFlow::Break(error) = self.may_begin(turn, now) {
                    return Err(error);
                }
                if let Some(former) = self.turns.0.get(&turn.device).filter(|one| *one.walk_test != turn.walk_test) {
                    let former = former.clone();
                    self.settle_turn(settings, &turn.device, &former, now, changes);
                }
                self.turns.0.insert(turn.device.clone(), Turn::beginning(turn, now));
            }
            TurnStep::End => {
                let other = self.turns.0.get(&turn.device).is_some_and(|one| *one.walk_test != turn.walk_test);
                let ended = Turn::ended(turn, now);
                let holds = self.marked(&turn.device, &ended).iter().any(|id| self.open.is_active(id));
                if holds && !other {
                    let going = self.turns.0.entry(turn.device.clone()).or_insert_with(|| ended.clone());
                    // Saying it again does not make it last longer.
                    if going.ended_by.is_none() {
                        *going = ended;
                    }
                } else {
                    self.settle_turn(settings, &turn.device, &ended, now, changes);
                    if !other {
                        self.turns.0.remove(&turn.device);
                    }
                }
            }
        }
        Ok(())
    }

    fn may_begin(&self, turn: &WalkTurn, now: TimeMs) -> ControlFlow<TurnError> {
        let going = self.turns.0.get(&turn.device).filter(|going| going.marks(now));
        if let Some(going) = going.filter(|going| *going.walk_test != turn.walk_test) {
            return ControlFlow::Break(TurnError::OtherTest(going.walk_test.to_string()));
        }
        let marked = self.open.iter().filter(|open| open.alert.walk_test.is_some() && !open.active.is_empty());
        match marked.map(|open| &open.alert).find(|alert| alert.devices.contains(&turn.device)) {
            Some(alert) => ControlFlow::Break(TurnError::StillAlarms(alert.number)),
            None => ControlFlow::Continue(()),
        }
    }

    /// Settles the turns whose time is over at `now`.
    pub(super) fn settle_turns(&mut self, settings: &AlertSettings, now: TimeMs, changes: &mut Vec<AlertChange>) {
        let due = |turn: &Turn| turn.due_ms() <= now;
        let over: Vec<String> = self.turns.0.iter().filter(|(_, turn)| due(turn)).map(|(id, _)| id.clone()).collect();
        for device in over {
            if let Some(turn) = self.turns.0.remove(&device) {
                self.settle_turn(settings, &device, &turn, now, changes);
            }
        }
    }

    /// What is still marked of a turn that is over. Where a person has said so, it is closed as a test, and what does not
    /// stop is a new alert, a real one, that everybody hears. Where nobody has, and nobody has it in hand, it is none any more.
    fn settle_turn(
        &mut self,
        settings: &AlertSettings,
        device: &str,
        turn: &Turn,
        now: TimeMs,
        changes: &mut Vec<AlertChange>,
    ) {
        for id in self.marked(device, turn) {
            let Some(alert) = self.open.get(&id).cloned() else { continue };
            if turn.ended_by.is_none() && alert.status == Status::Raised {
                let unmarked = self.open.with(&id, |open| {
                    (open.alert.walk_test, open.alert.updated_at_ms) = (None, now);
                    open.alert.clone()
                });
                changes.extend(unmarked.map(|alert| self.change(ChangeKind::Repeated, alert, now, None)));
                continue;
            }
            changes.extend(self.goes_on(settings, &alert, now));
            if let Some(by) = &turn.ended_by {
                self.close_as_test(settings, &alert, by, now, changes);
            }
        }
    }

    /// What holds in a marked alert when its turn is over, as a new one.
    fn goes_on(&mut self, settings: &AlertSettings, marked: &Alert, now: TimeMs) -> Option<AlertChange> {
        let mut pairs = self.open.take_active(&marked.id).into_iter();
        let first = pairs.next()?;
        let about = About {
            place: marked.place.clone(),
            group: marked.group.clone(),
            scene: marked.scene,
            severity: marked.severity,
            title: marked.title.clone(),
            reason: marked.reason.clone(),
        };
        let (device, rule) = first.clone();
        let evidence =
            Evidence { at_ms: now, device, rule, reason: marked.reason.clone(), series: Vec::new(), score: None };
        let mut alert = self.new_alert(&marked.gateway, about, now);
        let id = alert.id.clone();
        let rest: Vec<_> = pairs.collect();
        alert.devices.clone_from(&marked.devices);
        alert.rules = [&first].into_iter().chain(&rest).map(|(_, rule)| rule.clone()).collect();
        let change = self.insert(settings, alert, Some(first), Some(evidence), now);
        rest.iter().for_each(|pair| self.open.hold(&id, pair));
        Some(change)
    }

    fn close_as_test(
        &mut self,
        settings: &AlertSettings,
        alert: &Alert,
        by: &str,
        now: TimeMs,
        changes: &mut Vec<AlertChange>,
    ) {
        let steps = [
            ("accept", Status::Raised, Verb::Accept),
            ("close", Status::Handled, Verb::Close { verdict: Verdict::Test }),
        ];
        for (name, latest, verb) in steps {
            if alert.status <= latest {
                // Its own id, so that it is known from what people of the duty room do.
                let action = StaffAction::new(format!("walk-test:{}:{name}", alert.id), alert.id.clone(), by, verb);
                changes.extend(self.act(settings, &action, now).ok().and_then(|(_, change)| change));
            }
        }
    }

    /// The alerts that a device has raised in a walk-test and that stand among the open ones.
    fn marked(&self, device: &str, turn: &Turn) -> Vec<AlertId> {
        let is_of = |alert: &&Alert| {
            alert.walk_test.as_ref() == Some(&turn.walk_test) && alert.devices.iter().any(|one| one == device)
        };
        self.open.iter().map(|open| &open.alert).filter(is_of).map(|alert| alert.id.clone()).collect()
    }

    /// When a closed alert that still holds is looked at because of its turn.
    pub(super) fn turn_due(&self, id: &AlertId) -> Option<TimeMs> {
        let alert = self.open.get(id).filter(|alert| alert.walk_test.is_some() && self.open.is_active(id))?;
        let turns = alert.devices.iter().filter_map(|device| self.turns.0.get(device));
        turns.filter(|turn| Some(&turn.walk_test) == alert.walk_test.as_ref()).map(Turn::due_ms).max()
    }

    /// What a checkpoint says of walk-tests.
    pub(crate) fn walk_state(&self) -> WalkState {
        let all = self.open.iter().map(|open| &open.alert).chain(self.closed.iter().map(|(alert, _)| alert));
        let marks = all.filter_map(|alert| Some((alert.id.clone(), alert.walk_test.clone()?))).collect();
        WalkState { turns: self.turns.clone(), marks }
    }

    pub(super) fn settle_marks(&mut self, walk: WalkState) {
        let WalkState { turns, mut marks } = walk;
        self.turns = turns;
        self.closed.iter_mut().for_each(|(alert, _)| alert.walk_test = marks.remove(&alert.id));
        for (id, mark) in marks {
            self.open.with(&id, |open| open.alert.walk_test = Some(mark));
        }
    }
}
