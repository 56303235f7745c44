//! The book of alerts: folds repeats, joins the devices of one place, notices recovery, escalates
//! what nobody accepts, and takes what staff do.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::life::Life;
use super::{
    Acted, ActionError, Alert, AlertChange, AlertId, AlertSettings, ChangeKind, Evidence, Finding, Scene, Severity,
    Signal, StaffAction, Status,
};
use crate::time::{Span, TimeMs};

/// All alerts that are not closed, and the counters behind their ids.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AlertBook {
    last_seq: u64,
    last_number: u64,
    open: BTreeMap<AlertId, OpenAlert>,
    /// Alerts closed lately: what staff did to them elsewhere may still be under way.
    closed: VecDeque<(Alert, Life)>,
    /// Findings folded without a change of their own.
    folded: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct OpenAlert {
    alert: Alert,
    /// The (device, rule) pairs whose condition holds now.
    active: BTreeSet<(String, String)>,
    last_finding_ms: TimeMs,
    escalate_at_ms: Option<TimeMs>,
    /// Repeats are told at 2, 4, 8 … unless critical.
    tell_at: u32,
    /// Whether the last change said that a condition holds.
    told_active: bool,
    /// When it is to be said after all that one holds again.
    tell_active_at_ms: Option<TimeMs>,
    life: Life,
}

/// Some 1 KB each in a checkpoint.
const REMEMBERED_CLOSED: usize = 1024;
/// A repeat that is folded because it comes and goes is told if it stays for so long.
const STAYS_MS: i64 = 60_000;

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
        self.open.values().map(|open| &open.alert)
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
        let found = self
            .open
            .iter()
            .rev()
            .find(|(_, open)| open.takes(&finding, &pair, settings.join_window, now))
            .map(|(id, _)| id.clone());
        match found {
            Some(id) => self.join(settings, &id, pair, finding, now),
            None => Some(self.open_new(gateway, settings, pair, finding, now)),
        }
    }

    fn open_new(
        &mut self,
        gateway: &str,
        settings: &AlertSettings,
        pair: (String, String),
        finding: Finding,
        now: TimeMs,
    ) -> AlertChange {
        self.last_number += 1;
        let id = alert_id(gateway, self.last_number, now);
        let alert = Alert {
            id: id.clone(),
            number: self.last_number,
            gateway: gateway.to_owned(),
            place: finding.place,
            group: finding.group,
            scene: finding.scene,
            severity: finding.severity,
            status: Status::Raised,
            title: finding.title,
            reason: finding.evidence.reason.clone(),
            raised_at_ms: now,
            updated_at_ms: now,
            recovered_at_ms: None,
            devices: vec![pair.0.clone()],
            rules: vec![pair.1.clone()],
            occurrences: 1,
            escalation: 0,
            accepted_by: None,
            dispatched_to: None,
            verdict: None,
        };
        let open = OpenAlert {
            escalate_at_ms: settings.ladder(alert.severity).first().map(|span| now + span.ms()),
            alert: alert.clone(),
            active: finding.lasting.then_some(pair).into_iter().collect(),
            last_finding_ms: now,
            tell_at: 2,
            told_active: finding.lasting,
            tell_active_at_ms: None,
            life: Life::default(),
        };
        self.open.insert(id, open);
        self.change(ChangeKind::Raised, alert, now, Some(finding.evidence))
    }

    fn join(
        &mut self,
        settings: &AlertSettings,
        id: &AlertId,
        pair: (String, String),
        finding: Finding,
        now: TimeMs,
    ) -> Option<AlertChange> {
        let open = self.open.get_mut(id)?;
        let alert = &mut open.alert;
        let new_device = !alert.devices.contains(&pair.0);
        let new_rule = !alert.rules.contains(&pair.1);
        alert.occurrences = alert.occurrences.saturating_add(1);
        open.last_finding_ms = now;
        if finding.severity > alert.severity {
            alert.severity = finding.severity;
            alert.scene = finding.scene;
            alert.title = finding.title;
            alert.reason = finding.evidence.reason.clone();
            // A graver alert starts its own ladder, unless somebody already has it.
            if alert.status == Status::Raised {
                alert.escalation = 0;
                open.escalate_at_ms = settings.ladder(alert.severity).first().map(|span| now + span.ms());
            }
        }
        if new_device {
            alert.devices.push(pair.0.clone());
        }
        if new_rule {
            alert.rules.push(pair.1.clone());
        }
        if finding.lasting {
            open.active.insert(pair);
        }
        let kind = if new_device || new_rule {
            ChangeKind::Joined
        } else if finding.severity == Severity::Critical || alert.occurrences >= open.tell_at {
            open.tell_at = alert.occurrences.saturating_mul(2);
            ChangeKind::Repeated
        } else {
            self.folded += 1;
            if finding.lasting && !open.told_active {
                open.tell_active_at_ms.get_or_insert(now + STAYS_MS);
            }
            return None;
        };
        alert.updated_at_ms = now;
        alert.recovered_at_ms = None;
        open.told_active = !open.active.is_empty();
        open.tell_active_at_ms = None;
        let alert = alert.clone();
        Some(self.change(kind, alert, now, Some(finding.evidence)))
    }

    fn clear(&mut self, device: &str, rule: &str, now: TimeMs, changes: &mut Vec<AlertChange>) {
        let pair = (device.to_owned(), rule.to_owned());
        let mut recovered = Vec::new();
        for open in self.open.values_mut() {
            if open.active.remove(&pair) && open.active.is_empty() {
                open.alert.recovered_at_ms = Some(now);
                open.tell_active_at_ms = None;
                // What was not told to hold is not told to be over.
                if std::mem::take(&mut open.told_active) {
                    open.alert.updated_at_ms = now;
                    recovered.push(open.alert.clone());
                }
            }
        }
        for alert in recovered {
            changes.push(self.change(ChangeKind::Recovered, alert, now, None));
        }
    }

    /// Takes a staff action, made here or elsewhere, now or a while ago; see [`Life::take`]. No change follows where
    /// it had been taken before.
    ///
    /// # Errors
    /// [`ActionError`] where the life does not allow it; nothing has changed then.
    pub fn act(&mut self, action: &StaffAction, now: TimeMs) -> Result<(Acted, Option<AlertChange>), ActionError> {
        let last_seq = self.last_seq;
        let (alert, life) = match self.open.get_mut(&action.alert) {
            Some(open) => (&mut open.alert, &mut open.life),
            None => {
                let closed = self.closed.iter_mut().rev().find(|(alert, _)| alert.id == action.alert);
                let (alert, life) = closed.ok_or_else(|| ActionError::NotOpen(action.alert.clone()))?;
                (alert, life)
            }
        };
        if let Some(acted) = life.acted(action) {
            return Ok((acted, None));
        }
        let judged = alert.verdict;
        let (kind, outcome, taken) = life.take(alert, action, last_seq, now)?;
        alert.updated_at_ms = now;
        let alert = alert.clone();
        if let Some(open) = self.open.get_mut(&alert.id) {
            open.escalate_at_ms = None;
        }
        self.close(&alert);
        let judged = alert.verdict.filter(|verdict| judged != Some(*verdict));
        let mut change = self.change(kind, alert, now, None);
        change.by = Some(action.by.clone());
        change.note.clone_from(&action.note);
        change.action = Some(taken);
        Ok((Acted { outcome, seq: change.seq, again: false, judged }, Some(change)))
    }

    /// Puts an alert aside that is closed and still stands among the open ones.
    fn close(&mut self, alert: &Alert) {
        if alert.status == Status::Closed
            && let Some(open) = self.open.remove(&alert.id)
        {
            self.closed.push_back((alert.clone(), open.life));
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
        if let Some((closed, life)) = self.closed.iter_mut().find(|(closed, _)| closed.id == alert.id) {
            closed.clone_from(alert);
            life.adopt(change);
            return;
        }
        let rung = settings.ladder(alert.severity).get(usize::from(alert.escalation));
        let mut life = self.open.remove(&alert.id).map(|open| open.life).unwrap_or_default();
        life.adopt(change);
        let open = OpenAlert {
            active: BTreeSet::new(),
            last_finding_ms: change.at_ms,
            escalate_at_ms: rung.filter(|_| alert.status == Status::Raised).map(|span| alert.raised_at_ms + span.ms()),
            tell_at: alert.occurrences.saturating_mul(2),
            told_active: false,
            tell_active_at_ms: None,
            life,
            alert: alert.clone(),
        };
        self.open.insert(alert.id.clone(), open);
        self.close(alert);
    }

    /// When time alone next changes an alert.
    pub fn next_due(&self) -> Option<TimeMs> {
        self.open.values().filter_map(OpenAlert::next_due).min()
    }

    /// Says what the passing of time means at `now`: alerts that nobody accepts climb a rung, and
    /// what was folded and stayed is told.
    pub fn on_time(&mut self, settings: &AlertSettings, now: TimeMs, changes: &mut Vec<AlertChange>) {
        let mut due = Vec::new();
        for open in self.open.values_mut().filter(|open| open.next_due().is_some_and(|at| at <= now)) {
            let alert = &mut open.alert;
            alert.updated_at_ms = now;
            if open.tell_active_at_ms.take_if(|at| *at <= now).is_some() {
                alert.recovered_at_ms = None;
                open.told_active = true;
                due.push((ChangeKind::Repeated, alert.clone()));
            }
            if open.escalate_at_ms.is_some_and(|at| at <= now) {
                alert.escalation = alert.escalation.saturating_add(1);
                let rung = settings.ladder(alert.severity).get(usize::from(alert.escalation));
                open.escalate_at_ms = rung.map(|span| (alert.raised_at_ms + span.ms()).max(now + 1));
                due.push((ChangeKind::Escalated, alert.clone()));
            }
        }
        for (kind, alert) in due {
            changes.push(self.change(kind, alert, now, None));
        }
    }

    fn change(&mut self, kind: ChangeKind, alert: Alert, at_ms: TimeMs, evidence: Option<Evidence>) -> AlertChange {
        self.last_seq += 1;
        let change =
            AlertChange { seq: self.last_seq, at_ms, kind, by: None, note: None, action: None, alert, evidence };
        if let Some(open) = self.open.get_mut(&change.alert.id) {
            open.life.told(&change);
        }
        change
    }
}

impl OpenAlert {
    fn next_due(&self) -> Option<TimeMs> {
        [self.escalate_at_ms, self.tell_active_at_ms].into_iter().flatten().min()
    }

    /// Whether `finding` belongs into this alert rather than into one of its own.
    fn takes(&self, finding: &Finding, pair: &(String, String), window: Span, now: TimeMs) -> bool {
        let alert = &self.alert;
        // What somebody has in hand already must not swallow something graver unheard.
        let heard = finding.severity <= alert.severity || alert.status == Status::Raised;
        alert.place == finding.place
            && alert.group == finding.group
            && alert.status < Status::Handled
            && heard
            && (self.active.contains(pair)
                || now - self.last_finding_ms <= window.ms()
                // A line that fails every half hour is one thing to see to.
                || alert.scene == Scene::Operations)
    }
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
