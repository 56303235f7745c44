//! What waits to be told on one channel, and what goes out next.
//!
//! Of an alert that changes faster than it can be told, one message tells the newest state. Critical alerts come first and
//! each has a message of its own, as soon as the service takes one; when many others wait, one message tells of them all.

use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

use ninewatch_core::alert::{Alert, AlertChange, AlertId, ChangeKind, Scene, Severity, Status};
use ninewatch_core::site::Registry;
use ninewatch_core::time::TimeMs;

use super::config::{Kind, NotifyConfig};
use super::ledger::Place;
use super::pace::Pace;

/// Between messages that tell of many, unless critical alerts wait.
const DIGEST_EVERY: Duration = Duration::from_secs(60);
/// News of an alert that is not critical is worth nothing after this time.
const STALE_MS: TimeMs = 24 * 3600 * 1000;

/// An alert of which something is to be told.
#[derive(Debug, Clone)]
pub(super) struct Telling {
    /// As it stands, without what does not leave the house.
    pub(super) alert: Alert,
    /// The newest change.
    pub(super) seq: u64,
    pub(super) at_ms: TimeMs,
    /// All that is told by it.
    pub(super) seqs: Vec<u64>,
    pub(super) kinds: Vec<ChangeKind>,
    pub(super) attempts: u32,
    pub(super) refusals: u32,
    pub(super) not_before: Option<Instant>,
    /// A message about many has named it; its own follows.
    pub(super) announced: bool,
    /// What the service said last.
    pub(super) error: Option<String>,
}

/// What goes out next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    One(AlertId),
    /// All that wait and are not announced, in one message.
    Digest,
    /// Nothing before this time, or before something happens.
    Nothing(Option<Instant>),
}

#[derive(Debug, Default)]
pub(super) struct Waiting {
    alerts: BTreeMap<AlertId, Telling>,
    last_digest: Option<Instant>,
}

impl Waiting {
    /// Takes note of a change, if it is to be told.
    pub(super) fn take_in(
        &mut self,
        change: &AlertChange,
        config: &NotifyConfig,
        registry: &Registry,
        place: &Place,
    ) -> bool {
        if place.delivered.holds(change.seq) {
            return false;
        }
        let alert = &change.alert;
        let waits = self.alerts.get(&alert.id).map(|telling| telling.alert.severity);
        let known_as = place.told.get(&alert.id).copied().max(waits);
        let is_news = match change.kind {
            ChangeKind::Raised | ChangeKind::Escalated => config.wants(alert, registry),
            // Nobody has it any more, or it is not over: also where it was told to be.
            ChangeKind::Undone => alert.status != Status::Closed && config.wants(alert, registry),
            // It has become graver.
            ChangeKind::Joined | ChangeKind::Repeated => {
                known_as.is_none_or(|known| alert.severity > known) && config.wants(alert, registry)
            }
            // Whoever was told that it began is told that it is over.
            ChangeKind::Recovered | ChangeKind::Closed => known_as.is_some(),
            ChangeKind::Accepted | ChangeKind::Dispatched | ChangeKind::Handled => false,
            ChangeKind::Noted | ChangeKind::Annotated => false,
        };
        match self.alerts.get_mut(&alert.id) {
            // What waits tells the newest state, also that somebody has accepted it.
            Some(telling) => telling.add(change),
            None if is_news => _ = self.alerts.insert(alert.id.clone(), Telling::new(change)),
            None => return false,
        }
        true
    }

    /// How many alerts there are of which something is to be told.
    pub(super) fn len(&self) -> usize {
        self.alerts.len()
    }

    pub(super) fn get(&self, alert: &AlertId) -> Option<&Telling> {
        self.alerts.get(alert)
    }

    pub(super) fn get_mut(&mut self, alert: &AlertId) -> Option<&mut Telling> {
        self.alerts.get_mut(alert)
    }

    /// It has been told as it was in `told`; what came since then goes on waiting.
    pub(super) fn settle(&mut self, told: &Telling) {
        if let Some(telling) = self.alerts.get_mut(&told.alert.id) {
            telling.seqs.retain(|seq| !told.seqs.contains(seq));
            telling.kinds.drain(..told.kinds.len().min(telling.kinds.len()));
            // What came while it was said may be nothing that is told by itself: that somebody has it now.
            let is_news = |kind| {
                matches!(kind, ChangeKind::Escalated | ChangeKind::Recovered | ChangeKind::Closed | ChangeKind::Undone)
            };
            let is_graver = telling.alert.severity > told.alert.severity;
            if !is_graver && !telling.kinds.iter().any(|kind| is_news(*kind)) {
                self.alerts.remove(&told.alert.id);
                return;
            }
            (telling.attempts, telling.refusals) = (0, 0);
            telling.error = None;
            telling.announced = false;
        }
    }

    /// Nothing has to wait for its next attempt.
    pub(super) fn hurry(&mut self) {
        self.alerts.values_mut().for_each(|telling| telling.not_before = None);
    }

    /// The first change that waits.
    pub(super) fn first_seq(&self) -> Option<u64> {
        self.alerts.values().filter_map(|telling| telling.seqs.first().copied()).min()
    }

    /// Those that a message about many tells of, gravest first.
    pub(super) fn digest(&mut self, now: Instant) -> Vec<Telling> {
        self.last_digest = Some(now);
        let mut all: Vec<Telling> = self.alerts.values().filter(|telling| !telling.announced).cloned().collect();
        all.sort_by_key(Telling::rank);
        all
    }

    /// What is not worth telling any more, where nothing gets through.
    pub(super) fn stale(&self, now_ms: TimeMs) -> Vec<Telling> {
        let stale = |telling: &&Telling| !telling.is_critical() && now_ms - telling.at_ms > STALE_MS;
        self.alerts.values().filter(stale).cloned().collect()
    }

    /// What goes out next at `now`.
    pub(super) fn next(&self, kind: Kind, pace: &Pace, now: Instant) -> Next {
        let ready = || self.alerts.values().filter(|telling| telling.not_before.is_none_or(|at| at <= now));
        let Some(first) = ready().min_by_key(|telling| telling.rank()) else {
            return Next::Nothing(self.alerts.values().filter_map(|telling| telling.not_before).min());
        };
        if let Some(at) = pace.free_at(0, now) {
            return Next::Nothing(Some(at));
        }
        let id = || first.alert.id.clone();
        let unannounced = ready().filter(|telling| !telling.announced).count();
        let digests = kind != Kind::Webhook;
        if first.is_critical() {
            // The last one that the service takes tells of all.
            let last = digests && pace.free(now) == 1 && unannounced > 1;
            return if last { Next::Digest } else { Next::One(id()) };
        }
        let Some(more_at) = pace.free_at(pace.reserve(), now) else { return Next::One(id()) };
        let digest_at = self.last_digest.map_or(now, |last| last + DIGEST_EVERY);
        match (digests && digest_at <= now, unannounced) {
            (true, 1) => Next::One(id()),
            (true, _) => Next::Digest,
            (false, _) if digests => Next::Nothing(Some(more_at.min(digest_at))),
            (false, _) => Next::Nothing(Some(more_at)),
        }
    }
}

impl Telling {
    fn new(change: &AlertChange) -> Self {
        Self {
            alert: redacted(&change.alert),
            seq: change.seq,
            at_ms: change.at_ms,
            seqs: vec![change.seq],
            kinds: vec![change.kind],
            attempts: 0,
            refusals: 0,
            not_before: None,
            announced: false,
            error: None,
        }
    }

    fn add(&mut self, change: &AlertChange) {
        self.alert = redacted(&change.alert);
        self.seq = change.seq;
        self.at_ms = change.at_ms;
        self.seqs.push(change.seq);
        self.kinds.push(change.kind);
    }

    pub(super) fn is_critical(&self) -> bool {
        self.alert.severity == Severity::Critical
    }

    /// Critical ones first, then the graver, then the older; those that were refused stand behind.
    fn rank(&self) -> (std::cmp::Reverse<Severity>, u32, u64) {
        (std::cmp::Reverse(self.alert.severity), self.refusals, self.seqs.first().copied().unwrap_or(0))
    }
}

/// An alert as it may be told to a company's server: of things what was measured, of persons only that and where something
/// is the matter. Who of the staff has it stays here, too.
fn redacted(alert: &Alert) -> Alert {
    let mut alert = alert.clone();
    if alert.scene != Scene::Fire {
        alert.reason = alert.title.clone();
    }
    alert.accepted_by = None;
    alert.dispatched_to = None;
    alert
}
