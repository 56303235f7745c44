//! The upstream: a server that passes on in order, and a platform behind it that stores, receipts,
//! forgets to, and sends staff actions until they are acknowledged.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ninewatch_core::alert::{AlertId, StaffAction, Verb};

use super::chance::Chance;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manners {
    /// It answers each `online`, and sends receipts now and then.
    Answers,
    /// It leaves some `online` without an answer.
    Forgets,
    /// It has never heard of receipts.
    NoReceipts,
}

/// Nothing is restored here.
pub(super) const EPOCH: &str = "e";

pub(super) struct Platform {
    pub(super) manners: Manners,
    /// By number, what it was sent.
    pub(super) stored: BTreeMap<u64, Vec<u8>>,
    /// By alert, the number that came last for the first time.
    newest: BTreeMap<String, u64>,
    /// What it sends next, in order.
    out: VecDeque<Event>,
    /// Receipts that are still under way somewhere.
    late: Vec<Event>,
    /// Staff actions that it has sent.
    acted: Vec<Event>,
    /// Sent to the gateway on this connection and not acknowledged, by packet id.
    under_way: BTreeMap<u16, Event>,
    last_packet: u16,
}

/// What it sends.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) what: What,
    payload: Vec<u8>,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    /// The numbers that it speaks of.
    Receipt(BTreeSet<u64>),
    Action(String),
}

impl Platform {
    pub(super) fn new(chance: &mut Chance) -> Self {
        Self {
            manners: chance.pick(&[(5, Manners::Answers), (3, Manners::Forgets), (2, Manners::NoReceipts)]),
            stored: BTreeMap::new(),
            newest: BTreeMap::new(),
            out: VecDeque::new(),
            late: Vec::new(),
            acted: Vec::new(),
            under_way: BTreeMap::new(),
            last_packet: 0,
        }
    }

    /// Takes an alert change.
    pub(super) fn take(&mut self, seq: u64, payload: Vec<u8>) -> anyhow::Result<()> {
        let event: Value = serde_json::from_slice(&payload)?;
        let alert =
            event["subject"].as_str().with_context(|| format!("the upstream is told that change {seq} is lost"))?;
        if let Some(before) = self.stored.get(&seq) {
            ensure!(*before == payload, "change {seq} came to the upstream twice, and differs");
            return Ok(());
        }
        let newest = self.newest.entry(alert.to_owned()).or_default();
        ensure!(*newest < seq, "change {seq} of an alert came to the upstream after its change {newest}");
        *newest = seq;
        self.stored.insert(seq, payload);
        Ok(())
    }

    /// The last change of an alert that it has seen.
    pub(super) fn newest_of(&self, alert: &AlertId) -> Option<u64> {
        self.newest.get(alert.as_str()).copied()
    }

    /// Takes a status event: answers `online`.
    pub(super) fn status(&mut self, payload: &[u8], chance: &mut Chance) -> anyhow::Result<()> {
        let event: Value = serde_json::from_slice(payload)?;
        ensure!(event["type"] == "cn.ninewatch.online", "a status of {}", event["type"]);
        let answers = match self.manners {
            Manners::Answers => true,
            Manners::Forgets => chance.one_in(2),
            Manners::NoReceipts => false,
        };
        if answers {
            self.say_receipt(event["id"].as_str().context("an id")?);
        }
        Ok(())
    }

    /// Says what it has stored; or keeps that back for later, when it is old.
    pub(super) fn receipt(&mut self, chance: &mut Chance) {
        if self.manners == Manners::NoReceipts {
            return;
        }
        self.say_receipt("the last one");
        if chance.one_in(4) {
            self.late.extend(self.out.pop_back());
        } else if chance.one_in(4) && !self.late.is_empty() {
            let late = self.late.remove(chance.index(self.late.len()));
            self.out.push_back(late);
        } else if chance.one_in(4) {
            self.out.extend(self.out.back().cloned());
        }
    }

    fn say_receipt(&mut self, answers: &str) {
        let mut up_to = 0;
        while self.stored.contains_key(&(up_to + 1)) {
            up_to += 1;
        }
        let also: BTreeSet<u64> = self.stored.range(up_to + 1..).map(|(seq, _)| *seq).collect();
        let payload = json!({
            "specversion": "1.0", "id": "r", "source": "/city", "type": "cn.ninewatch.receipt",
            "data": {"epoch": EPOCH, "up_to": up_to, "also": also, "answers": answers},
        });
        let what = What::Receipt(self.stored.keys().copied().collect());
        self.out.push_back(Event { what, payload: payload.to_string().into_bytes() });
    }

    /// Sends a staff action, sooner or later. Those of different officers come in any order.
    pub(super) fn act(&mut self, action: &StaffAction, chance: &mut Chance) {
        let mut data = json!({
            "id": action.id, "alert": action.alert, "by": action.by, "note": action.note, "made_at_ms": action.made_at_ms,
            "upon": action.upon, "verb": action.verb.name(),
        });
        match &action.verb {
            Verb::Dispatch { to } => data["to"] = json!(to),
            Verb::Close { verdict } => data["verdict"] = json!(verdict),
            Verb::Undo { action } => data["action"] = json!(action),
            Verb::Accept | Verb::Handle | Verb::Note => {}
        }
        let payload = json!({
            "specversion": "1.0", "id": action.id, "source": "/city", "type": "cn.ninewatch.action", "data": data,
        });
        let what = What::Action(action.id.clone());
        self.acted.push(Event { what, payload: payload.to_string().into_bytes() });
        self.send_action(self.acted.len() - 1, chance);
    }

    /// Sends an action once more, as after a restart that forgot how far it was.
    pub(super) fn act_again(&mut self, chance: &mut Chance) {
        if !self.acted.is_empty() {
            self.send_action(chance.index(self.acted.len()), chance);
        }
    }

    fn send_action(&mut self, which: usize, chance: &mut Chance) {
        let at = if chance.one_in(3) { chance.index(self.out.len() + 1) } else { self.out.len() };
        self.out.insert(at, self.acted[which].clone());
    }

    /// The next packet to the gateway.
    pub(super) fn next(&mut self) -> Option<(u16, Vec<u8>)> {
        let event = self.out.pop_front()?;
        self.last_packet += 1;
        let payload = event.payload.clone();
        self.under_way.insert(self.last_packet, event);
        Some((self.last_packet, payload))
    }

    pub(super) fn has_more(&self) -> bool {
        !self.out.is_empty() || !self.under_way.is_empty()
    }

    /// The gateway is done with a packet.
    pub(super) fn acknowledged(&mut self, packet: u16) -> Option<What> {
        Some(self.under_way.remove(&packet)?.what)
    }

    /// The connection is gone: what was not acknowledged is sent again, first and in order.
    pub(super) fn disconnect(&mut self) {
        for event in std::mem::take(&mut self.under_way).into_values().rev() {
            self.out.push_front(event);
        }
    }
}
