//! The book of alerts: folds repeats, joins the devices of one place, notices recovery, escalates
//! what nobody accepts, and takes what staff do.

mod open;
#[cfg(test)]
mod tests;
mod turns;

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::drill::{self, Drill, DrillError};
use super::life::Life;
use super::walk_test::{Turns, WalkState};
use super::{
    Acted, ActionError, Alert, AlertChange, AlertId, AlertSettings, ChangeKind, Evidence, Finding, Matter, Regrade,
    Signal, StaffAction, Status, Text,
};
use crate::time::TimeMs;
use open::{OpenAlert, OpenAlerts, Pair};

/// All alerts that are not closed, and the counters behind their ids.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AlertBook {
    last_seq: u64,
    last_number: u64,
    open: OpenAlerts,
    /// Alerts closed lately: what staff did to them elsewhere may still be under way.
    closed: VecDeque<(Alert, Life)>,
    /// Findings folded without a change of their own.
    folded: u64,
    /// A checkpoint has them elsewhere: [`Self::walk_state`].
    #[serde(skip)]
    turns: Turns,
}

/// Some 1 KB each in a checkpoint.
const REMEMBERED_CLOSED: usize = 1024;

impl AlertBook {
    /// The sequence number of the last change made.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// How many findings were folded into an alert without a change of their own.
    pub fn folded(&self) -> u64 {
        self.folded
    }

    /// The alerts that are not closed, oldest first.
    pub fn open(&self) -> impl Iterator<Item = &Alert> {
        self.open.iter().map(|open| &open.alert).filter(|alert| alert.status != Status::Closed)
    }

    /// Takes in what detection found, at `now`.
    pub fn signal(
        &mut self,
        gateway: &str,
        settings: &AlertSettings,
        signal: Signal,
        now: TimeMs,
        changes: &mut Vec<AlertChange>,
    ) {
        match signal {
            Signal::Raise(finding) => changes.extend(self.raise(gateway, settings, *finding, now)),
            Signal::Clear { device, rule } => self.clear(&device, &rule, now, changes),
        }
    }

    fn raise(&mut self, gateway: &str, settings: &AlertSettings, finding: Finding, now: TimeMs) -> Option<AlertChange> {
        let pair = (finding.evidence.device.clone(), finding.evidence.rule.clone());
        let mark = self.turns.mark(&finding, now);
        match self.open.taker(&finding, &pair, mark.as_deref(), settings.join_window, now) {
            Some(id) => self.join(settings, &id, pair, finding, now),
            None => Some(self.open_new(gateway, settings, pair, (finding, mark), now)),
        }
    }

    /// Takes what a resident reported, as an alert of its own; gives that alert. No change follows where it had been taken
    /// before.
    pub fn report(
        &mut self,
        gateway: &str,
        settings: &AlertSettings,
        matter: &Matter,
        now: TimeMs,
    ) -> (AlertId, Option<AlertChange>) {
        let finding = matter.finding(now);
        let pair = (finding.evidence.device.clone(), finding.evidence.rule.clone());
        let is_it = |alert: &&Alert| alert.place == finding.place && alert.devices.contains(&pair.0);
        let closed = self.closed.iter().map(|(alert, _)| alert);
        if let Some(taken) = self.open.at_place(&finding.place).chain(closed).find(is_it) {
            return (taken.id.clone(), None);
        }
        let change = self.open_new(gateway, settings, pair, (finding, None), now);
        (change.alert.id.clone(), Some(change))
    }

    /// Makes an alert graver because a person says so. No change follows where it is as grave already.
    ///
    /// # Errors
    /// [`ActionError::NotOpen`] where no open alert has this id.
    pub fn regrade(
        &mut self,
        settings: &AlertSettings,
        regrade: &Regrade,
        now: TimeMs,
    ) -> Result<Option<AlertChange>, ActionError> {
        let is_it = |alert: &&Alert| alert.id == regrade.alert;
        let alert = self.open().find(is_it).ok_or_else(|| ActionError::NotOpen(regrade.alert.clone()))?;
        let finding = (alert.severity < regrade.severity).then(|| regrade.finding(alert, now));
        Ok(finding.and_then(|finding| {
            let pair = (finding.evidence.device.clone(), finding.evidence.rule.clone());
            let joined = self.join(settings, &regrade.alert, pair, finding, now);
            joined.map(|change| AlertChange { by: Some(regrade.by.clone()), ..change })
        }))
    }

    fn open_new(
        &mut self,
        gateway: &str,
        settings: &AlertSettings,
        pair: Pair,
        (finding, mark): (Finding, Option<Arc<str>>),
        now: TimeMs,
    ) -> AlertChange {
        let Finding { place, group, scene, severity, lasting, title, evidence } = finding;
        let about = About { place, group, scene, severity, title, reason: evidence.reason.clone() };
        let mut alert = self.new_alert(gateway, about, now);
        (alert.devices, alert.rules) = (vec![pair.0.clone()], vec![pair.1.clone()]);
        alert.walk_test = mark;
        self.insert(settings, alert, lasting.then_some(pair), Some(evidence), now)
    }

    /// Begins a drill at `now`: an alert of its own, whatever else there is at the place.
    ///
    /// # Errors
    /// Where another drill is going on there. Whether there is such a place is for the caller to know.
    pub fn drill(
        &mut self,
        gateway: &str,
        settings: &AlertSettings,
        drill: &Drill,
        now: TimeMs,
    ) -> Result<AlertChange, DrillError> {
        if let Some(other) = self.open().find(|alert| alert.drill && alert.place == drill.place) {
            return Err(DrillError::StillOpen(other.number));
        }
        let about = About {
            place: drill.place.clone(),
            group: drill.group().into(),
            scene: drill.scene,
            severity: drill.severity,
            title: drill.title(),
            reason: Drill::reason(),
        };
        let mut alert = self.new_alert(gateway, about, now);
        alert.rules = vec![drill::RULE.to_owned()];
        let mut change = self.insert(settings, alert, None, None, now);
        change.by = Some(drill.by.clone());
        change.note.clone_from(&drill.note);
        Ok(change)
    }

    fn new_alert(&mut self, gateway: &str, about: About, now: TimeMs) -> Alert {
        self.last_number += 1;
        let drill = drill::is_group(&about.group);
        Alert {
            id: alert_id(gateway, self.last_number, now),
            number: self.last_number,
            gateway: gateway.to_owned(),
            place: about.place,
            group: about.group,
            scene: about.scene,
            severity: about.severity,
            status: Status::Raised,
            title: about.title,
            reason: about.reason,
            raised_at_ms: now,
            updated_at_ms: now,
            recovered_at_ms: None,
            devices: Vec::new(),
            rules: Vec::new(),
            occurrences: 1,
            escalation: 0,
            accepted_by: None,
            dispatched_to: None,
            verdict: None,
            next_rung_at_ms: None,
            drill,
            walk_test: None,
        }
    }

    /// Takes a new alert in, and the pair that holds in it, where it lasts.
    fn insert(
        &mut self,
        settings: &AlertSettings,
        mut alert: Alert,
        holds: Option<Pair>,
        evidence: Option<Evidence>,
        now: TimeMs,
    ) -> AlertChange {
        alert.next_rung_at_ms = settings.next_rung(&alert, now);
        let open = OpenAlert {
            due_at_ms: alert.next_rung_at_ms,
            alert: alert.clone(),
            told_active: holds.is_some(),
            active: holds.into_iter().collect(),
            last_finding_ms: now,
            tell_at: 2,
            tell_active_at_ms: None,
            life: Life::default(),
        };
        self.open.insert(open);
        self.change(ChangeKind::Raised, alert, now, evidence)
    }

    fn join(
        &mut self,
        settings: &AlertSettings,
        id: &AlertId,
        pair: Pair,
        finding: Finding,
        now: TimeMs,
    ) -> Option<AlertChange> {
        if finding.lasting {
            self.open.hold(id, &pair);
        }
        let folded = &mut self.folded;
        let (kind, alert) = self.open.with(id, |open| {
            let kind = open.join(settings, &pair, &finding, now);
            *folded += u64::from(kind.is_none());
            Some((kind?, open.alert.clone()))
        })??;
        Some(self.change(kind, alert, now, Some(finding.evidence)))
    }

    fn clear(&mut self, device: &str, rule: &str, now: TimeMs, changes: &mut Vec<AlertChange>) {
        for id in self.open.let_go(&(device.to_owned(), rule.to_owned())) {
            if let Some(Some(alert)) = self.open.with(&id, |open| open.recover(now)) {
                changes.push(self.change(ChangeKind::Recovered, alert, now, None));
            }
        }
    }

    /// Takes a staff action, made here or elsewhere, now or a while ago; see [`Life::take`]. No change follows where
    /// it had been taken before.
    ///
    /// # Errors
    /// [`ActionError`] where the life does not allow it; nothing has changed then.
    pub fn act(
        &mut self,
        settings: &AlertSettings,
        action: &StaffAction,
        now: TimeMs,
    ) -> Result<(Acted, Option<AlertChange>), ActionError> {
        let last_seq = self.last_seq;
        let take = |alert: &mut Alert, life: &mut Life| {
            if let Some(acted) = life.acted(action) {
                return Ok(ControlFlow::Break(acted));
            }
            let before = alert.verdict;
            let (kind, outcome, taken) = life.take(alert, action, last_seq, now)?;
            alert.updated_at_ms = now;
            let judged = alert.verdict.filter(|verdict| before != Some(*verdict));
            let withdrawn = before.filter(|_| alert.verdict.is_none());
            Ok(ControlFlow::Continue((kind, outcome, taken, judged, withdrawn)))
        };
        let done = self.open.with(&action.alert, |open| {
            let before = open.alert.status;
            let done = take(&mut open.alert, &mut open.life)?;
            open.acted_upon(settings, before, now);
            Ok((done, open.alert.clone()))
        });
        let (done, alert) = done.unwrap_or_else(|| {
            let closed = self.closed.iter_mut().rev().find(|(alert, _)| alert.id == action.alert);
            let (alert, life) = closed.ok_or_else(|| ActionError::NotOpen(action.alert.clone()))?;
            Ok((take(alert, life)?, alert.clone()))
        })?;
        let (kind, outcome, taken, judged, withdrawn) = match done {
            ControlFlow::Break(acted) => return Ok((acted, None)),
            ControlFlow::Continue(done) => done,
        };
        let alert = self.reopen(settings, alert, now);
        let mut change = self.change(kind, alert, now, None);
        change.by = Some(action.by.clone());
        change.note.clone_from(&action.note);
        change.action = Some(taken);
        Ok((Acted { outcome, seq: change.seq, again: false, judged, withdrawn }, Some(change)))
    }

    /// Takes an alert back that was put aside, where its closing was undone: elsewhere, and it took its time to come.
    fn reopen(&mut self, settings: &AlertSettings, alert: Alert, now: TimeMs) -> Alert {
        let aside = self.closed.iter().rposition(|(closed, _)| closed.id == alert.id);
        let aside = aside.filter(|_| alert.status != Status::Closed).and_then(|index| self.closed.remove(index));
        let Some((alert, life)) = aside else { return alert };
        let open = OpenAlert::found_again(settings, alert, life, now);
        let alert = open.alert.clone();
        self.open.insert(open);
        alert
    }

    /// Puts an alert aside that is closed and still stands among the open ones.
    fn close(&mut self, id: &AlertId) {
        if let Some(open) = self.open.remove(id) {
            self.closed.push_back((open.alert, open.life));
            if self.closed.len() > REMEMBERED_CLOSED {
                self.closed.pop_front();
            }
        }
    }

    /// Takes over a change that the journal holds and this book has not made: what is left to do
    /// where the readings behind it are damaged or gone.
    pub fn adopt(&mut self, settings: &AlertSettings, change: &AlertChange) {
        if change.seq <= self.last_seq {
            return;
        }
        self.last_seq = change.seq;
        let alert = &change.alert;
        self.last_number = self.last_number.max(alert.number);
        let aside = self.closed.iter().position(|(closed, _)| closed.id == alert.id);
        let aside = aside.and_then(|index| self.closed.remove(index)).map(|(_, life)| life);
        let known = self.open.remove(&alert.id).map(|open| open.life);
        let mut life = known.or(aside).unwrap_or_default();
        life.adopt(change);
        self.open.insert(OpenAlert::found_again(settings, alert.clone(), life, change.at_ms));
        if alert.status == Status::Closed {
            self.close(&alert.id);
        }
    }

    /// The book as it was when it was written down: what a checkpoint does not say of an alert follows from the rest.
    #[must_use]
    pub(crate) fn settled(mut self, walk: WalkState) -> Self {
        self.open.settle();
        self.settle_marks(walk);
        self.closed.iter_mut().for_each(|(alert, _)| alert.drill = drill::is_group(&alert.group));
        self
    }

    /// When time alone next changes an alert.
    pub fn next_due(&self) -> Option<TimeMs> {
        [self.open.next_due(), self.turns.next_due()].into_iter().flatten().min()
    }

    /// Says what the passing of time means at `now`: alerts that nobody accepts climb a rung, what was folded and
    /// stayed is told, and what was closed a while ago is put aside.
    pub fn on_time(&mut self, settings: &AlertSettings, now: TimeMs, changes: &mut Vec<AlertChange>) {
        self.settle_turns(settings, now, changes);
        for id in self.open.due(now) {
            for (kind, alert) in self.open.with(&id, |open| open.on_time(settings, now)).unwrap_or_default() {
                changes.push(self.change(kind, alert, now, None));
            }
            if self.open.with(&id, |open| open.is_done(now)) != Some(true) {
                continue;
            }
            match self.turn_due(&id) {
                // Whether what still holds in it is real shows when the turn is over.
                Some(due) => _ = self.open.with(&id, |open| open.due_at_ms = Some(due)),
                None => self.close(&id),
            }
        }
    }

    fn change(&mut self, kind: ChangeKind, alert: Alert, at_ms: TimeMs, evidence: Option<Evidence>) -> AlertChange {
        self.last_seq += 1;
        let change =
            AlertChange { seq: self.last_seq, at_ms, kind, by: None, note: None, action: None, alert, evidence };
        self.open.with(&change.alert.id, |open| open.life.told(&change));
        change
    }
}

/// What a new alert is about.
struct About {
    place: String,
    group: Arc<str>,
    scene: super::Scene,
    severity: super::Severity,
    title: Text,
    reason: Text,
}

/// The id of alert `number` of `gateway`: a ULID whose random part is drawn from both, so that
/// deciding again gives the same id and no two gateways share one.
fn alert_id(gateway: &str, number: u64, raised_at_ms: TimeMs) -> AlertId {
    // FNV-1a, 64 bit: http://www.isthe.com/chongo/tech/comp/fnv/
    let hash = gateway
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let random = (u128::from(hash) << 16) ^ u128::from(number);
    let ulid = ulid::Ulid::from_parts(u64::try_from(raised_at_ms).unwrap_or(0), random);
    AlertId(ulid.array_to_str(&mut [0; ulid::ULID_LEN]).to_owned().into())
}
