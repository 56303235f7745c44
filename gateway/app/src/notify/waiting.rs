//! What waits to be told on one channel, and what goes out next.
//!
//! Of an alert that changes faster than it can be told, one message tells the newest state. Critical alerts come first and
//! each has a message of its own, as soon as the service takes one; when many others wait, one message tells of them all.

use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

use ninewatch_core::alert::{Alert, AlertChange, AlertId, ChangeKind, Scene, Severity, Status};
use ninewatch_core::time::TimeMs;

use super::config::{Kind, NotifyConfig};
use super::ledger::Place;
use super::pace::Pace;
use super::rungs::{self, Rungs};

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
    /// The rungs that tell of it here.
    pub(super) rungs: Vec<u8>,
    /// Ids of those whom the message calls.
    pub(super) people: Vec<String>,
    /// When the first change happened.
    since_ms: TimeMs,
    /// Until when it waits because of a quiet rule.
    quiet_until: Option<Instant>,
    /// It waited because of one.
    was_quiet: bool,
}

/// What goes out next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    One(AlertId),
    /// All that wait and are not announced, in one message.
    Digest,
    /// All that were quiet, in one message.
    AfterQuiet,
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
        rungs: Rungs<'_>,
        place: &Place,
    ) -> bool {
        if place.delivered.holds(change.seq) {
            return false;
        }
        let alert = &change.alert;
        let waits = self.alerts.get(&alert.id).map(|telling| telling.alert.severity);
        let known_as = place.told.get(&alert.id).copied().max(waits);
        let on_rung = rungs.tells(config, alert);
        // It has become graver: whoever was told of it has to know, on whatever rung.
        let is_graver = known_as.is_some_and(|known| alert.severity > known);
        let is_news = match change.kind {
            ChangeKind::Raised | ChangeKind::Escalated => on_rung,
            // Nobody has it any more, or it is not over: also where it was told to be.
            ChangeKind::Undone => alert.status != Status::Closed && (on_rung || known_as.is_some()),
            ChangeKind::Joined | ChangeKind::Repeated => {
                on_rung && known_as.is_none() || is_graver && (on_rung || config.wants(alert, &rungs.settings.registry))
            }
            // Whoever was told that it began is told that it is over.
            ChangeKind::Recovered | ChangeKind::Closed => known_as.is_some(),
            ChangeKind::Accepted | ChangeKind::Dispatched | ChangeKind::Handled => false,
            ChangeKind::Noted | ChangeKind::Annotated => false,
        };
        let telling = match self.alerts.get_mut(&alert.id) {
            // What waits tells the newest state, also that somebody has accepted it.
            Some(telling) => {
                telling.add(change);
                telling
            }
            None if is_news => self.alerts.entry(alert.id.clone()).or_insert_with(|| Telling::new(change)),
            None => return false,
        };
        // Whom its rung names is called also where nobody has it any more.
        let is_given_up = change.kind == ChangeKind::Undone && alert.status == Status::Raised;
        let climbs = matches!(change.kind, ChangeKind::Raised | ChangeKind::Escalated) || is_graver || is_given_up;
        if climbs && on_rung && !telling.rungs.contains(&alert.escalation) {
            telling.rungs.push(alert.escalation);
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
            let is_graver = telling.alert.severity > told.alert.severity;
            telling.rungs.retain(|rung| is_graver || !told.rungs.contains(rung));
            let climbed_here = !telling.rungs.is_empty();
            let is_news = |kind| match kind {
                ChangeKind::Escalated => climbed_here,
                kind => matches!(kind, ChangeKind::Recovered | ChangeKind::Closed | ChangeKind::Undone),
            };
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
        self.all(|telling| !telling.announced && !telling.is_quiet())
    }

    /// Those that waited for the end of the quiet, gravest first.
    pub(super) fn after_quiet(&self) -> Vec<Telling> {
        self.all(Telling::is_due_after_quiet)
    }

    fn all(&self, which: impl Fn(&Telling) -> bool) -> Vec<Telling> {
        let mut all: Vec<Telling> = self.alerts.values().filter(|telling| which(telling)).cloned().collect();
        all.sort_by_key(Telling::rank);
        all
    }

    /// Looks which of them are to wait at `now`: `until` says it of an alert at a time.
    pub(super) fn be_quiet(&mut self, until: impl Fn(&Alert, TimeMs) -> Option<Instant>, now: TimeMs) {
        for telling in self.alerts.values_mut() {
            telling.quiet_until = until(&telling.alert, now);
            telling.was_quiet = until(&telling.alert, telling.since_ms).is_some();
        }
    }

    /// What is not worth telling any more, where nothing gets through.
    pub(super) fn stale(&self, now_ms: TimeMs) -> Vec<Telling> {
        let stale =
            |telling: &&Telling| !telling.goes_first() && !telling.is_quiet() && now_ms - telling.at_ms > STALE_MS;
        self.alerts.values().filter(stale).cloned().collect()
    }

    /// What goes out next at `now`.
    pub(super) fn next(&self, kind: Kind, pace: &Pace, now: Instant) -> Next {
        let waits_until = |telling: &Telling| telling.not_before.max(telling.quiet_until);
        let ready = || self.alerts.values().filter(|telling| waits_until(telling).is_none_or(|at| at <= now));
        let Some(first) = ready().min_by_key(|telling| telling.rank()) else {
            return Next::Nothing(self.alerts.values().filter_map(waits_until).min());
        };
        if let Some(at) = pace.free_at(0, now) {
            return Next::Nothing(Some(at));
        }
        let id = || first.alert.id.clone();
        let unannounced = ready().filter(|telling| !telling.announced).count();
        let digests = kind != Kind::Webhook;
        if first.goes_first() {
            // The last one that the service takes tells of all.
            let last = digests && pace.free(now) == 1 && unannounced > 1;
            return if last { Next::Digest } else { Next::One(id()) };
        }
        let Some(more_at) = pace.free_at(pace.reserve(), now) else {
            let after_quiet = ready().filter(|telling| telling.is_due_after_quiet()).count();
            return if digests && after_quiet > 1 { Next::AfterQuiet } else { Next::One(id()) };
        };
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
            rungs: Vec::new(),
            people: Vec::new(),
            since_ms: change.at_ms,
            quiet_until: None,
            was_quiet: false,
        }
    }

    fn add(&mut self, change: &AlertChange) {
        self.alert = redacted(&change.alert);
        self.seq = change.seq;
        self.at_ms = change.at_ms;
        self.seqs.push(change.seq);
        self.kinds.push(change.kind);
    }

    /// Whether it goes before all that can wait.
    pub(super) fn goes_first(&self) -> bool {
        rungs::goes_first(&self.alert)
    }

    /// Whether a quiet rule holds it.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet_until.is_some()
    }

    fn is_due_after_quiet(&self) -> bool {
        self.was_quiet && !self.is_quiet() && !self.goes_first() && self.refusals == 0
    }

    /// What really happened before drills; then critical ones first, then the graver, then the older; those that were
    /// refused stand behind.
    fn rank(&self) -> (bool, std::cmp::Reverse<Severity>, u32, u64) {
        let Alert { drill, severity, .. } = self.alert;
        (drill, std::cmp::Reverse(severity), self.refusals, self.seqs.first().copied().unwrap_or(0))
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
