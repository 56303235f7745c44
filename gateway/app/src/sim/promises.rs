//! What the world was told, and whether it holds.

use anyhow::{Context, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ninewatch_core::alert::{AlertChange, AlertId, Severity, Status};

use super::platform::Platform;
use super::town::Sender;
use crate::index::Delivered;
use crate::journal;

/// What somebody outside has been told, or has read.
#[derive(Default)]
pub(super) struct Promises {
    /// The alert changes, the first being number 1.
    told: Vec<AlertChange>,
    /// Staff actions: how often the gateway said that it took this one.
    pub(super) actions: BTreeMap<String, Action>,
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

    /// An alert that can be acted on.
    pub(super) fn open_alerts(&self) -> Vec<AlertId> {
        let mut open = BTreeMap::new();
        for change in &self.told {
            open.insert(&change.alert.id, change.alert.status);
        }
        open.into_iter().filter(|(_, status)| *status != Status::Closed).map(|(id, _)| id.clone()).collect()
    }

    pub(super) fn action(&mut self, id: &str, result: Action) {
        let known = self.actions.entry(id.to_owned()).or_insert(Action::Asked);
        // One that was refused may be taken when it comes again, and stands then.
        if *known != Action::Taken {
            *known = result;
        }
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

    /// Each alarm that was acknowledged is an alert change, once.
    pub(super) fn keep_alarms(&self, senders: &[Sender]) -> anyhow::Result<()> {
        for sender in senders.iter().filter(|sender| sender.never_folded) {
            let told =
                |change: &&AlertChange| change.evidence.as_ref().is_some_and(|evidence| evidence.device == sender.id);
            let (alarms, changes) = (sender.acknowledged_alarms, self.told.iter().filter(told).count() as u64);
            ensure!(
                changes == alarms,
                "{alarms} alarms of {} were acknowledged, and there are {changes} alert changes for them",
                sender.id
            );
        }
        Ok(())
    }

    /// Everything has healed and come to rest.
    pub(super) fn keep(&self, platform: &Platform) -> anyhow::Result<()> {
        for (id, result) in &self.actions {
            let times = self.told.iter().filter(|change| change.note.as_deref() == Some(id)).count();
            ensure!(times <= 1, "the action {id} was taken {times} times");
            ensure!(*result != Action::Taken || times == 1, "the action {id} was acknowledged and not taken");
        }
        let missing = (1..=self.told.len() as u64).find(|seq| !platform.stored.contains_key(seq));
        ensure!(missing.is_none(), "change {} never came to the upstream", missing.unwrap_or_default());
        Ok(())
    }

    pub(super) fn count(&self) -> usize {
        self.told.len()
    }
}
