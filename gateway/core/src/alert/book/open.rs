//! The alerts that are not closed, with what finds the right ones among many without looking at all.

use serde::{Deserialize, Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::drill;
use super::super::life::Life;
use super::super::{Alert, AlertId, AlertSettings, ChangeKind, Finding, Scene, Severity, Status, UNDO_WITHIN};
use crate::time::{Span, TimeMs};

/// A device and a rule about it.
pub(super) type Pair = (String, String);

/// An alert that is not closed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct OpenAlert {
    pub(super) alert: Alert,
    /// The pairs whose condition holds now.
    pub(super) active: BTreeSet<Pair>,
    pub(super) last_finding_ms: TimeMs,
    /// When it climbs its next rung; of one that is closed, when it is put aside.
    pub(super) due_at_ms: Option<TimeMs>,
    /// Repeats are told at 2, 4, 8 … unless critical.
    pub(super) tell_at: u32,
    /// Whether the last change said that a condition holds.
    pub(super) told_active: bool,
    /// When it is to be said after all that one holds again.
    pub(super) tell_active_at_ms: Option<TimeMs>,
    pub(super) life: Life,
}

/// All of them by id, which is by age. Written down as that alone; the rest is found from it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(from = "BTreeMap<AlertId, OpenAlert>")]
pub(super) struct OpenAlerts {
    by_id: BTreeMap<AlertId, OpenAlert>,
    /// When time alone next changes each, where it does.
    due: BTreeSet<(TimeMs, AlertId)>,
    /// Those of a place.
    at_place: HashMap<String, BTreeSet<AlertId>>,
    /// Those in which a pair's condition holds.
    holding: HashMap<Pair, BTreeSet<AlertId>>,
}

/// A repeat that is folded because it comes and goes is told if it stays for so long.
const STAYS_MS: i64 = 60_000;

impl OpenAlerts {
    /// All, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &OpenAlert> {
        self.by_id.values()
    }

    /// Those of a place, oldest first.
    pub(super) fn at_place(&self, place: &str) -> impl Iterator<Item = &Alert> {
        let ids = self.at_place.get(place).into_iter().flatten();
        ids.filter_map(|id| self.by_id.get(id)).map(|open| &open.alert)
    }

    pub(super) fn insert(&mut self, open: OpenAlert) {
        let id = open.alert.id.clone();
        self.remove(&id);
        self.due.extend(open.next_due().map(|due| (due, id.clone())));
        self.at_place.entry(open.alert.place.clone()).or_default().insert(id.clone());
        for pair in &open.active {
            self.holding.entry(pair.clone()).or_default().insert(id.clone());
        }
        self.by_id.insert(id, open);
    }

    pub(super) fn remove(&mut self, id: &AlertId) -> Option<OpenAlert> {
        let open = self.by_id.remove(id)?;
        if let Some(due) = open.next_due() {
            self.due.remove(&(due, id.clone()));
        }
        forget(&mut self.at_place, &open.alert.place, id);
        open.active.iter().for_each(|pair| forget(&mut self.holding, pair, id));
        Some(open)
    }

    /// Changes an alert in anything but its place and what holds in it.
    pub(super) fn with<T>(&mut self, id: &AlertId, change: impl FnOnce(&mut OpenAlert) -> T) -> Option<T> {
        let open = self.by_id.get_mut(id)?;
        let before = open.next_due();
        let changed = change(open);
        let after = open.next_due();
        if before != after {
            before.map(|due| self.due.remove(&(due, id.clone())));
            self.due.extend(after.map(|due| (due, id.clone())));
        }
        Some(changed)
    }

    /// One of them.
    pub(super) fn get(&self, id: &AlertId) -> Option<&Alert> {
        self.by_id.get(id).map(|open| &open.alert)
    }

    /// Whether any condition holds in it.
    pub(super) fn is_active(&self, id: &AlertId) -> bool {
        self.by_id.get(id).is_some_and(|open| !open.active.is_empty())
    }

    /// Takes from an alert what holds in it; gives what holds in no other.
    pub(super) fn take_active(&mut self, id: &AlertId) -> BTreeSet<Pair> {
        let active = self.by_id.get_mut(id).map(|open| std::mem::take(&mut open.active)).unwrap_or_default();
        active.iter().for_each(|pair| forget(&mut self.holding, pair, id));
        active.into_iter().filter(|pair| !self.holding.contains_key(pair)).collect()
    }

    /// Notes that a pair's condition holds in an alert.
    pub(super) fn hold(&mut self, id: &AlertId, pair: &Pair) {
        if self.by_id.get_mut(id).is_some_and(|open| open.active.insert(pair.clone())) {
            self.holding.entry(pair.clone()).or_default().insert(id.clone());
        }
    }

    /// Notes that a pair's condition holds no more; gives the alerts in which it did, oldest first.
    pub(super) fn let_go(&mut self, pair: &Pair) -> BTreeSet<AlertId> {
        let held = self.holding.remove(pair).unwrap_or_default();
        for id in &held {
            self.by_id.get_mut(id).map(|open| open.active.remove(pair));
        }
        held
    }

    /// The newest alert that a finding belongs into.
    pub(super) fn taker(
        &self,
        finding: &Finding,
        pair: &Pair,
        mark: Option<&str>,
        window: Span,
        now: TimeMs,
    ) -> Option<AlertId> {
        let takes = |id: &&AlertId| {
            self.by_id
                .get(*id)
                .is_some_and(|open| open.is_marked_for(mark, &pair.0) && open.takes(finding, pair, window, now))
        };
        self.at_place.get(&finding.place)?.iter().rev().find(takes).cloned()
    }

    /// Puts in what a checkpoint does not say of each.
    pub(super) fn settle(&mut self) {
        for open in self.by_id.values_mut() {
            open.alert.drill = drill::is_group(&open.alert.group);
            open.alert.next_rung_at_ms = open.due_at_ms.filter(|_| open.alert.status == Status::Raised);
        }
    }

    /// When time alone next changes one.
    pub(super) fn next_due(&self) -> Option<TimeMs> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Those that time has changed at `now`, oldest first.
    pub(super) fn due(&self, now: TimeMs) -> BTreeSet<AlertId> {
        self.due.iter().take_while(|(due, _)| *due <= now).map(|(_, id)| id.clone()).collect()
    }
}

fn forget<K: std::hash::Hash + Eq>(index: &mut HashMap<K, BTreeSet<AlertId>>, key: &K, id: &AlertId) {
    if let Some(ids) = index.get_mut(key) {
        ids.remove(id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}

impl Serialize for OpenAlerts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.by_id.serialize(serializer)
    }
}

impl From<BTreeMap<AlertId, OpenAlert>> for OpenAlerts {
    fn from(by_id: BTreeMap<AlertId, OpenAlert>) -> Self {
        let mut open = Self::default();
        by_id.into_values().for_each(|alert| open.insert(alert));
        open
    }
}

impl OpenAlert {
    /// An alert as the log or those put aside have it: what holds in it now is not known.
    pub(super) fn found_again(settings: &AlertSettings, mut alert: Alert, life: Life, now: TimeMs) -> Self {
        // One from before changes told it has none.
        let rung = alert.next_rung_at_ms.or_else(|| settings.rung_after_raising(&alert));
        alert.next_rung_at_ms = rung.filter(|_| alert.status == Status::Raised);
        Self {
            active: BTreeSet::new(),
            last_finding_ms: now,
            due_at_ms: alert.next_rung_at_ms,
            tell_at: alert.occurrences.saturating_mul(2),
            told_active: false,
            tell_active_at_ms: None,
            life,
            alert,
        }
    }

    fn next_due(&self) -> Option<TimeMs> {
        [self.due_at_ms, self.tell_active_at_ms].into_iter().flatten().min()
    }

    /// A test joins nothing real, nor anything real a test; and each device that is tested has alerts of its own.
    fn is_marked_for(&self, mark: Option<&str>, device: &str) -> bool {
        let is_its_own = || self.alert.devices.iter().any(|one| one == device);
        self.alert.walk_test.as_deref() == mark && (mark.is_none() || is_its_own())
    }

    /// Whether `finding` belongs into this alert rather than into one of its own.
    fn takes(&self, finding: &Finding, pair: &Pair, window: Span, now: TimeMs) -> bool {
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

    /// Takes a finding in; `None` where it is folded without a word.
    pub(super) fn join(
        &mut self,
        settings: &AlertSettings,
        (device, rule): &Pair,
        finding: &Finding,
        now: TimeMs,
    ) -> Option<ChangeKind> {
        let alert = &mut self.alert;
        // A drill has none, also where a person makes it graver.
        let new_device = !device.is_empty() && !alert.devices.contains(device);
        let new_rule = !alert.rules.contains(rule);
        let is_graver = finding.severity > alert.severity;
        alert.occurrences = alert.occurrences.saturating_add(1);
        self.last_finding_ms = now;
        if is_graver {
            alert.severity = finding.severity;
            alert.scene = finding.scene;
            alert.title = finding.title.clone();
            alert.reason = finding.evidence.reason.clone();
            // A graver alert starts its own ladder, unless somebody already has it.
            if alert.status == Status::Raised {
                alert.escalation = 0;
                alert.next_rung_at_ms = settings.next_rung(alert, now);
                self.due_at_ms = alert.next_rung_at_ms;
            }
        }
        if new_device {
            alert.devices.push(device.clone());
        }
        if new_rule {
            alert.rules.push(rule.clone());
        }
        let kind = if new_device || new_rule {
            ChangeKind::Joined
        } else if is_graver || finding.severity == Severity::Critical || alert.occurrences >= self.tell_at {
            self.tell_at = alert.occurrences.saturating_mul(2);
            ChangeKind::Repeated
        } else {
            if finding.lasting && !self.told_active {
                self.tell_active_at_ms.get_or_insert(now + STAYS_MS);
            }
            return None;
        };
        alert.updated_at_ms = now;
        alert.recovered_at_ms = None;
        self.told_active = !self.active.is_empty();
        self.tell_active_at_ms = None;
        Some(kind)
    }

    /// Notes that nothing holds in it any more, where that is so; gives it where that is to be told.
    pub(super) fn recover(&mut self, now: TimeMs) -> Option<Alert> {
        if !self.active.is_empty() {
            return None;
        }
        self.alert.recovered_at_ms = Some(now);
        self.tell_active_at_ms = None;
        if self.alert.status == Status::Closed {
            self.told_active = false;
            return None;
        }
        // What was not told to hold is not told to be over.
        std::mem::take(&mut self.told_active).then(|| {
            self.alert.updated_at_ms = now;
            self.alert.clone()
        })
    }

    /// What follows for it from what staff did at `now`, where it was `before`.
    pub(super) fn acted_upon(&mut self, settings: &AlertSettings, before: Status, now: TimeMs) {
        let alert = &mut self.alert;
        if before != alert.status {
            // Whoever had it may have it no more: the ladder goes on where it would be; a rung that is overdue comes at once.
            let rung = settings.rung_after_raising(alert);
            alert.next_rung_at_ms = rung.filter(|_| alert.status == Status::Raised);
            self.due_at_ms = alert.next_rung_at_ms;
            if alert.status == Status::Closed {
                self.due_at_ms = Some(now + UNDO_WITHIN.ms());
                self.tell_active_at_ms = None;
            }
        }
        if before == Status::Closed && alert.status < Status::Closed && !self.active.is_empty() {
            // What came back meanwhile is told with it.
            alert.recovered_at_ms = None;
            self.told_active = true;
        }
    }

    /// Whether it is closed, and nobody can undo that any more.
    pub(super) fn is_done(&self, now: TimeMs) -> bool {
        self.alert.status == Status::Closed && self.due_at_ms.is_none_or(|at| at <= now)
    }

    /// What time has done to it at `now`.
    pub(super) fn on_time(&mut self, settings: &AlertSettings, now: TimeMs) -> Vec<(ChangeKind, Alert)> {
        let mut changes = Vec::new();
        let alert = &mut self.alert;
        if alert.status == Status::Closed {
            return changes;
        }
        alert.updated_at_ms = now;
        if self.tell_active_at_ms.take_if(|at| *at <= now).is_some() {
            alert.recovered_at_ms = None;
            self.told_active = true;
            changes.push((ChangeKind::Repeated, alert.clone()));
        }
        if alert.status == Status::Raised
            && let Some(at) = self.due_at_ms.take_if(|at| *at <= now)
        {
            alert.escalation = alert.escalation.saturating_add(1);
            alert.next_rung_at_ms = settings.next_rung(alert, at);
            self.due_at_ms = alert.next_rung_at_ms;
            changes.push((ChangeKind::Escalated, alert.clone()));
        }
        changes
    }
}
