//! What the world was told, and whether it holds.

use anyhow::{Context, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

use ninewatch_core::alert::{AlertChange, AlertId, ChangeKind, Severity, StaffAction, Status, Verb, VerbName, Verdict};

use super::platform::Platform;
use super::town::Sender;
use crate::index::Delivered;
use crate::journal;

/// What somebody outside has been told, or has read.
#[derive(Default)]
pub(super) struct Promises {
    /// The alert changes, the first being number 1.
    told: Vec<AlertChange>,
    /// Staff actions, and what whoever asked for them knows.
    actions: BTreeMap<String, (StaffAction, Action)>,
    /// The changes whose receipt the gateway took, and those that it will still know after a stop.
    receipted: BTreeSet<u64>,
    receipted_for_good: BTreeSet<u64>,
    flushes: u64,
    /// Sent on this connection.
    sent: BTreeSet<u64>,
    /// Of these, those which the upstream's server has not acknowledged.
    in_flight: BTreeMap<u64, AlertId>,
    /// Those that the gateway has taken for delivered since its start.
    delivered: BTreeSet<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Nobody knows.
    Asked,
    Taken,
    Refused,
}

impl Promises {
    /// A change was announced, or is in the log after a start: from now on it is a fact.
    pub(super) fn tell(&mut self, change: AlertChange) -> anyhow::Result<()> {
        let last = self.told.len() as u64;
        if change.seq <= last {
            let before = &self.told[usize::try_from(change.seq - 1)?];
            ensure!(
                *before == change,
                "change {} is not what it was: {before:?} was told, it is {change:?}",
                change.seq
            );
            return Ok(());
        }
        ensure!(change.seq == last + 1, "the numbers have a gap: change {} comes after change {last}", change.seq);
        self.told.push(change);
        Ok(())
    }

    /// Holds the alert log against what was told.
    pub(super) fn read_log(&mut self, journal_dir: &Path) -> anyhow::Result<()> {
        let mut next = 1;
        for change in journal::read_alerts(journal_dir, 1)? {
            let change = change.context("the alert log is damaged")?;
            ensure!(change.seq == next, "the alert log has a gap: change {} stands where {next} should", change.seq);
            next += 1;
            self.tell(change)?;
        }
        ensure!(next > self.told.len() as u64, "changes from {next} on were told and are not in the alert log");
        Ok(())
    }

    /// The alerts, or those that are open.
    pub(super) fn alerts(&self, open_only: bool) -> Vec<AlertId> {
        let last = self.last_changes().into_iter();
        let wanted = last.filter(|(_, change)| !open_only || change.alert.status != Status::Closed);
        wanted.map(|(id, _)| id.clone()).collect()
    }

    /// Of each alert.
    fn last_changes(&self) -> BTreeMap<&AlertId, &AlertChange> {
        self.told.iter().map(|change| (&change.alert.id, change)).collect()
    }

    /// Somebody asks for an action, at the console or upstream.
    pub(super) fn asked(&mut self, action: &StaffAction) {
        self.actions.insert(action.id.clone(), (action.clone(), Action::Asked));
    }

    /// The last steps that were asked for on a side.
    pub(super) fn lately_asked(&self, via: Option<&str>) -> Vec<StaffAction> {
        let steps = self.actions.values().map(|(action, _)| action);
        let steps = steps.filter(|action| !matches!(action.verb, Verb::Undo { .. } | Verb::Note));
        let mut steps: Vec<_> = steps.filter(|action| action.via.as_deref() == via).collect();
        steps.sort_by_key(|action| (action.id.len(), &action.id));
        steps.into_iter().rev().take(4).cloned().collect()
    }

    /// Whoever asked was answered.
    pub(super) fn action(&mut self, id: &str, result: Action) -> anyhow::Result<()> {
        let (_, known) = self.actions.get_mut(id).context("nobody asked for it")?;
        // One that was refused may be taken when it comes again, and stands then.
        ensure!(*known != Action::Taken || result == Action::Taken, "the action {id} was taken and is now refused");
        *known = result;
        Ok(())
    }

    /// The upstream has the answer to an action: what it says is in the life, durable.
    pub(super) fn answer(&mut self, payload: &[u8]) -> anyhow::Result<()> {
        let answer: Value = serde_json::from_slice(payload)?;
        let id = answer["data"]["id"].as_str().context("whose answer?")?;
        let made = self.told.iter().find(|change| change.action.as_ref().is_some_and(|action| action.id == id));
        let outcome = answer["type"].as_str().and_then(|kind| kind.strip_prefix("cn.ninewatch.action."));
        match (outcome, made) {
            (Some("refused"), _) => self.action(id, Action::Refused),
            (Some(outcome @ ("applied" | "already")), Some(change)) => {
                let is_noted = change.kind == ChangeKind::Noted;
                ensure!(is_noted == (outcome == "already"), "{id} was {outcome}, and it is {change:?}");
                let seq = format!("{:020}", change.seq);
                ensure!(answer["data"]["change"] == seq.as_str(), "{id} is said to be another change than {seq}");
                self.action(id, Action::Taken)
            }
            _ => anyhow::bail!("{answer} came, and there is {made:?}"),
        }
    }

    /// An action was acknowledged to the upstream, which will not send it again by itself.
    pub(super) fn acknowledged(&self, id: &str) -> anyhow::Result<()> {
        let known = self.actions.get(id).map(|(_, known)| *known);
        ensure!(known != Some(Action::Asked), "the action {id} was acknowledged, and its answer is lost");
        Ok(())
    }

    /// The gateway has sent a change upstream.
    pub(super) fn sent(&mut self, seq: u64) -> anyhow::Result<()> {
        let change = self.told.get(usize::try_from(seq - 1)?);
        let change = change.with_context(|| format!("change {seq} went upstream before it was durable"))?;
        ensure!(!self.receipted.contains(&seq), "change {seq} went upstream again after its receipt");
        if !self.is_critical(&change.alert.id)
            && let Some(waits) = self.critical_waits()
        {
            anyhow::bail!("change {seq} went upstream while change {waits} of a critical alert waits");
        }
        self.in_flight.insert(seq, change.alert.id.clone());
        self.sent.insert(seq);
        Ok(())
    }

    fn is_critical(&self, alert: &AlertId) -> bool {
        self.told.iter().any(|change| change.alert.id == *alert && change.alert.severity == Severity::Critical)
    }

    /// A critical change that could have been sent.
    fn critical_waits(&self) -> Option<u64> {
        let mut waiting = self.told.iter().filter(|change| {
            change.alert.severity == Severity::Critical
                && !self.delivered.contains(&change.seq)
                && !self.sent.contains(&change.seq)
                && !self.in_flight.values().any(|alert| *alert == change.alert.id)
        });
        waiting.next().map(|change| change.seq)
    }

    /// The upstream's server has taken a change, or given it to nobody.
    pub(super) fn arrived(&mut self, seq: u64, taken: bool) {
        self.in_flight.remove(&seq);
        if !taken {
            self.sent.remove(&seq);
        }
    }

    /// Where the gateway's cursor stands: what it holds need not be sent before others.
    pub(super) fn cursor(&mut self, delivered: &Delivered) {
        self.delivered.extend((1..=self.told.len() as u64).filter(|seq| delivered.holds(*seq)));
    }

    pub(super) fn disconnect(&mut self) {
        self.sent.clear();
        self.in_flight.clear();
    }

    pub(super) fn receipt(&mut self, seqs: BTreeSet<u64>) {
        self.receipted.extend(seqs);
    }

    /// The index may have been flushed: then what it holds outlives a stop.
    pub(super) fn flushed(&mut self, flushes: u64) {
        if flushes != self.flushes {
            self.flushes = flushes;
            self.receipted_for_good.clone_from(&self.receipted);
        }
    }

    pub(super) fn stopped(&mut self) {
        self.disconnect();
        self.delivered.clear();
        self.receipted.clone_from(&self.receipted_for_good);
    }

    /// Each alarm that was acknowledged is an alert change, once; where a power cut tore out what lay between two, both
    /// may be one.
    pub(super) fn keep_alarms(&self, senders: &[Sender]) -> anyhow::Result<()> {
        for sender in senders.iter().filter(|sender| sender.never_folded) {
            // What goes on from a walk-test says again what was found in it, with no curve of its own.
            let told = |change: &&AlertChange| {
                let found = change.evidence.as_ref().filter(|evidence| !evidence.series.is_empty());
                found.is_some_and(|evidence| evidence.device == sender.id)
            };
            let (alarms, changes) = (sender.acknowledged_alarms, self.told.iter().filter(told).count() as u64);
            let least = if sender.torn { alarms.min(1) } else { alarms };
            ensure!(
                (least..=alarms).contains(&changes),
                "{alarms} alarms of {} were acknowledged, and there are {changes} alert changes for them",
                sender.id
            );
        }
        Ok(())
    }

    /// Everything has healed and come to rest.
    pub(super) fn keep(&self, platform: &Platform) -> anyhow::Result<()> {
        for (id, (action, result)) in &self.actions {
            let made: Vec<_> = self.told.iter().filter(|change| change.note.as_deref() == Some(id)).collect();
            let times = made.len();
            ensure!(times <= 1, "the action {id} was taken {times} times");
            ensure!(*result != Action::Taken || times == 1, "the action {id} was acknowledged and not taken");
            if let (Some(change), Some(upon), Verb::Close { .. }) = (made.first(), action.upon, &action.verb) {
                let mut found = self.told.iter().filter(|other| {
                    other.alert.id == action.alert && (upon + 1..change.seq).contains(&other.seq) && is_finding(other)
                });
                ensure!(found.next().is_none(), "{id} closes an alert over what its officer had not seen");
            }
        }
        for (id, last) in self.last_changes() {
            self.keep_one_life(id, last)?;
            let stored = platform.stored.get(&last.seq).context("the last change of an alert")?;
            let upstream: Value = serde_json::from_slice(stored)?;
            ensure!(upstream["data"]["alert"] == json!(last.alert), "alert {id} is not the same upstream");
        }
        let missing = (1..=self.told.len() as u64).find(|seq| !platform.stored.contains_key(seq));
        ensure!(missing.is_none(), "change {} never came to the upstream", missing.unwrap_or_default());
        Ok(())
    }

    /// What an alert says of its staff follows from what they did, in whatever order it came.
    fn keep_one_life(&self, id: &AlertId, last: &AlertChange) -> anyhow::Result<()> {
        let life = self.told.iter().filter(|change| change.alert.id == *id);
        let steps: Vec<_> = life.clone().map(|change| (change.kind, change.alert.status)).collect();
        let went_back = steps.windows(2).any(|pair| pair[1].1 < pair[0].1 && pair[1].0 != ChangeKind::Undone);
        ensure!(!went_back, "alert {id} went back, and nobody undid anything: {steps:?}");
        let mut done: Vec<_> =
            life.filter_map(|change| Some((change.action.as_ref()?, change.by.as_deref()))).collect();
        done.sort_by_key(|(action, _)| (action.made_at_ms, action.upon, action.via.clone(), action.id.clone()));
        let undone: BTreeSet<_> =
            done.iter().filter_map(|(action, _)| Some((&action.via, action.undoes.as_ref()?))).collect();
        let standing = |verb: VerbName| {
            let of_verb = done.iter().filter(move |(action, _)| action.verb == verb);
            of_verb.filter(|(action, _)| !undone.contains(&(&action.via, &action.id))).collect::<Vec<_>>()
        };
        let stands = |verbs: &[VerbName]| verbs.iter().any(|verb| !standing(*verb).is_empty());
        // Where others went on from what was undone, it counts.
        let counting = |verb: VerbName, gone_on: &[VerbName]| {
            let all = || done.iter().filter(|(action, _)| action.verb == verb).collect();
            if !stands(&[verb]) && stands(gone_on) { all() } else { standing(verb) }
        };
        use VerbName::{Accept, Close, Dispatch, Handle};
        let accepted_by = counting(Accept, &[Dispatch, Handle, Close]).first().and_then(|(_, by)| *by);
        let dispatched = counting(Dispatch, &[Handle]);
        let dispatched_to = dispatched.last().and_then(|(action, _)| action.to.as_deref());
        let verdicts: Vec<_> = standing(Close).into_iter().filter_map(|(action, _)| action.verdict).collect();
        let steps = [(Close, Status::Closed), (Handle, Status::Handled), (Dispatch, Status::Dispatched)];
        let farthest = steps.into_iter().chain([(Accept, Status::Accepted)]).find(|(verb, _)| stands(&[*verb]));
        let status = farthest.map_or(Status::Raised, |(_, status)| status);
        ensure!(last.alert.status == status, "alert {id} is {:?}, and {status:?} follows", last.alert.status);
        let is_true = verdicts.contains(&Verdict::TrueAlarm);
        let verdict = if is_true { Some(Verdict::TrueAlarm) } else { verdicts.last().copied() };
        let alert = &last.alert;
        let said = (alert.accepted_by.as_deref(), alert.dispatched_to.as_deref(), alert.verdict);
        let follows = (accepted_by, dispatched_to, verdict);
        ensure!(said == follows, "alert {id} says {said:?}, and {follows:?} follows from {done:?}");
        Ok(())
    }

    pub(super) fn count(&self) -> usize {
        self.told.len()
    }
}

fn is_finding(change: &AlertChange) -> bool {
    matches!(change.kind, ChangeKind::Raised | ChangeKind::Joined | ChangeKind::Repeated)
}
