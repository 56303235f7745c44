//! What goes to an upstream and comes from it, as CloudEvents 1.0 in structured JSON. The contract
//! is `docs/upstream.md`.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeSet;

use ninewatch_core::alert::{
    Acted, ActionError, AlertChange, AlertId, ChangeKind, Evidence, Outcome, StaffAction, TakenAction, Verb, Verdict,
};
use ninewatch_core::time::TimeMs;

use crate::epochs::Epochs;

/// MQTT 5's content type property of every event.
pub(crate) const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// The largest staff action taken: what people write is short, and it is kept for good.
const LARGEST_ACTION: usize = 16 << 10;

/// Whose events these are.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) gateway: String,
    pub(crate) epochs: Epochs,
}

#[derive(Serialize)]
struct Event<'a, D> {
    specversion: &'static str,
    id: &'a str,
    source: String,
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    /// Zero-padded, so that the order of the texts is that of the numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<String>,
    /// Under which the sequence counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<&'a str>,
    datacontenttype: &'static str,
    data: D,
}

impl<'a, D: Serialize> Event<'a, D> {
    fn new(gateway: &str, r#type: &'a str, id: &'a str, data: D) -> Self {
        Self {
            specversion: "1.0",
            id,
            source: format!("/ninewatch/{gateway}"),
            r#type,
            subject: None,
            time: None,
            sequence: None,
            epoch: None,
            datacontenttype: "application/json",
            data,
        }
    }

    fn json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }
}

/// An alert change. Evidence is left out where the event would be longer than `max_bytes`, and the
/// event says so.
///
/// # Errors
/// Where it cannot be serialised.
pub(crate) fn alert(source: &Source, change: &AlertChange, max_bytes: usize) -> serde_json::Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Data<'a> {
        alert: &'a ninewatch_core::alert::Alert,
        change: Change<'a>,
        evidence: Option<&'a Evidence>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        evidence_omitted: bool,
    }
    #[derive(Serialize)]
    struct Change<'a> {
        kind: ChangeKind,
        at_ms: TimeMs,
        by: Option<&'a str>,
        note: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        action: Option<&'a TakenAction>,
    }
    let id = source.id(change.alert.id.as_str(), change.seq);
    let kind = serde_json::to_value(change.kind)?;
    let r#type = format!("cn.ninewatch.alert.{}", kind.as_str().unwrap_or_default());
    let data = Data {
        alert: &change.alert,
        change: Change {
            kind: change.kind,
            at_ms: change.at_ms,
            by: change.by.as_deref(),
            note: change.note.as_deref(),
            action: change.action.as_ref(),
        },
        evidence: change.evidence.as_ref(),
        evidence_omitted: false,
    };
    let mut event = Event::new(&source.gateway, &r#type, &id, data);
    event.subject = Some(change.alert.id.as_str());
    event.time = jiff::Timestamp::from_millisecond(change.at_ms).ok().map(|time| format!("{time:.3}"));
    event.sequence = Some(sequence(change.seq));
    event.epoch = source.epochs.of(change.seq);
    let json = event.json()?;
    if json.len() <= max_bytes || event.data.evidence.is_none() {
        return Ok(json);
    }
    tracing::warn!(id, bytes = json.len(), max_bytes, "too long for the upstream's server: sent without its evidence");
    event.data.evidence = None;
    event.data.evidence_omitted = true;
    event.json()
}

/// To whom a message goes, beside what it tells.
#[derive(Serialize)]
pub(crate) struct Told<'a> {
    /// The rungs of the ladder on which it is told.
    pub(crate) rungs: &'a [u8],
    /// Ids of the roster.
    pub(crate) people: &'a [String],
}

/// An alert change for a program that calls people.
///
/// # Errors
/// Where it cannot be serialised.
pub(crate) fn told(source: &Source, change: &AlertChange, told: &Told<'_>) -> serde_json::Result<Vec<u8>> {
    let mut event: serde_json::Value = serde_json::from_slice(&alert(source, change, usize::MAX)?)?;
    event["data"]["told"] = serde_json::to_value(told)?;
    serde_json::to_vec(&event)
}

/// Stands for a change that the disk has damaged: the numbers have no gap for it.
///
/// # Errors
/// Where it cannot be serialised.
pub(crate) fn lost(source: &Source, seq: u64) -> serde_json::Result<Vec<u8>> {
    let id = source.id("lost", seq);
    let data = json!({"reason": "the record of this change is damaged on the gateway's disk"});
    let mut event = Event::new(&source.gateway, "cn.ninewatch.alert.lost", &id, data);
    event.sequence = Some(sequence(seq));
    event.epoch = source.epochs.of(seq);
    event.json()
}

/// Shows that a webhook works.
///
/// # Errors
/// Where it cannot be serialised.
pub(crate) fn channel_test(gateway: &str, id: &str, channel: &str) -> serde_json::Result<Vec<u8>> {
    Event::new(gateway, "cn.ninewatch.channel.test", id, json!({"channel": channel})).json()
}

/// The gateway is connected, and asks for a receipt that answers `id`.
///
/// # Errors
/// Where it cannot be serialised.
pub(crate) fn online(source: &Source, id: &str) -> serde_json::Result<Vec<u8>> {
    let epoch = source.epochs.current();
    let data = json!({"epoch": epoch.id, "first": epoch.first, "version": crate::update::version()});
    Event::new(&source.gateway, "cn.ninewatch.online", id, data).json()
}

/// The will of the connection that began with `online`'s `id`.
///
/// # Errors
/// Where it cannot be serialised.
pub(crate) fn offline(source: &Source, online: &str) -> serde_json::Result<Vec<u8>> {
    Event::new(&source.gateway, "cn.ninewatch.offline", &format!("{online}.end"), json!({})).json()
}

/// What became of a staff action: the same each time that it comes, once it was taken.
///
/// # Errors
/// Where it cannot be serialised.
pub(crate) fn answer(
    source: &Source,
    action: &StaffAction,
    result: &Result<Acted, ActionError>,
) -> serde_json::Result<Vec<u8>> {
    let (outcome, data) = match result {
        Ok(acted) => {
            let outcome = if acted.outcome == Outcome::Applied { "applied" } else { "already" };
            (outcome, json!({"id": action.id, "alert": action.alert, "change": sequence(acted.seq)}))
        }
        Err(error) => {
            let (reason, mend) = (error.reason(), error.mend());
            let data = json!({
                "id": action.id, "alert": action.alert, "code": error.code(), "reason": reason, "mend": mend,
            });
            ("refused", data)
        }
    };
    let (r#type, id) = (format!("cn.ninewatch.action.{outcome}"), format!("{}.{outcome}", action.id));
    let mut event = Event::new(&source.gateway, &r#type, &id, data);
    event.subject = Some(action.alert.as_str());
    event.json()
}

/// A staff action cannot be read.
///
/// # Errors
/// Where it cannot be serialised.
pub(crate) fn unreadable(source: &Source, action: &str, what: &str) -> serde_json::Result<Vec<u8>> {
    let data = json!({
        "id": action, "alert": null, "code": "unreadable",
        "reason": {"zh": format!("操作读不懂：{what}"), "en": format!("the action cannot be read: {what}")},
        "mend": {"zh": "按接口文档改正后重发", "en": "mend it as docs/upstream.md says, and send it again"},
    });
    Event::new(&source.gateway, "cn.ninewatch.action.refused", &format!("{action}.refused"), data).json()
}

impl Source {
    /// The same change always has the same id, and no other one has it.
    pub(crate) fn id(&self, of: &str, seq: u64) -> String {
        match self.epochs.of(seq) {
            Some(epoch) => format!("{of}.{seq}.{epoch}"),
            None => format!("{of}.{seq}"),
        }
    }
}

fn sequence(seq: u64) -> String {
    // u64::MAX has 20 digits.
    format!("{seq:020}")
}

/// What an upstream says it has stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Receipt {
    /// Every change up to this one.
    pub(crate) up_to: u64,
    /// And these beyond it.
    #[serde(default)]
    pub(crate) also: BTreeSet<u64>,
    /// Under which these numbers count: that of the last `online`.
    pub(crate) epoch: Option<String>,
    /// The `id` of the event that it answers, where the upstream tells.
    pub(crate) answers: Option<String>,
}

/// An event from an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Incoming {
    Receipt(Receipt),
    /// With the epoch of what it was made upon, where the upstream tells.
    Action(StaffAction, Option<String>),
    /// An action with this id that is not right, and why.
    Unreadable(String, String),
    /// Of a type that says nothing to this version.
    Other,
}

/// Reads an event from an upstream.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub(crate) fn read(payload: &[u8]) -> Result<Incoming, String> {
    #[derive(Deserialize)]
    struct Head {
        specversion: String,
        r#type: String,
    }
    let head: Head = serde_json::from_slice(payload).map_err(|error| format!("no CloudEvent in JSON: {error}"))?;
    if head.specversion != "1.0" {
        return Err(format!("`specversion` is `{}`; write 1.0", head.specversion));
    }
    match head.r#type.as_str() {
        "cn.ninewatch.receipt" => data(payload).map(Incoming::Receipt),
        "cn.ninewatch.action" if payload.len() > LARGEST_ACTION => {
            Err(format!("a staff action of {} bytes; {LARGEST_ACTION} is the most", payload.len()))
        }
        "cn.ninewatch.action" => {
            let read = data(payload).and_then(action);
            Ok(match (read, action_id(payload)) {
                (Ok((action, epoch)), _) => Incoming::Action(action, epoch),
                (Err(what), Some(id)) => Incoming::Unreadable(id, what),
                (Err(what), None) => return Err(what),
            })
        }
        _ => Ok(Incoming::Other),
    }
}

fn data<D: DeserializeOwned>(payload: &[u8]) -> Result<D, String> {
    #[derive(Deserialize)]
    struct Body<D> {
        data: D,
    }
    let body: Body<D> = serde_json::from_slice(payload).map_err(|error| format!("`data` is not right: {error}"))?;
    Ok(body.data)
}

/// The id by which whoever sent an action knows it.
fn action_id(payload: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Id {
        id: String,
    }
    data::<Id>(payload).ok().map(|data| data.id).filter(|id| !id.is_empty())
}

#[derive(Deserialize)]
struct ActionData {
    id: String,
    alert: String,
    by: String,
    verb: String,
    to: Option<String>,
    verdict: Option<Verdict>,
    action: Option<String>,
    note: Option<String>,
    made_at_ms: Option<TimeMs>,
    upon: Option<u64>,
    epoch: Option<String>,
}

fn action(data: ActionData) -> Result<(StaffAction, Option<String>), String> {
    let verb = match (data.verb.as_str(), data.to, data.verdict) {
        ("accept", ..) => Verb::Accept,
        ("dispatch", Some(to), _) if !to.is_empty() => Verb::Dispatch { to },
        ("dispatch", ..) => return Err("`data.verb` is dispatch: `data.to` has to say whom".to_owned()),
        ("handle", ..) => Verb::Handle,
        ("close", _, Some(verdict)) => Verb::Close { verdict },
        ("close", ..) => return Err("`data.verb` is close: `data.verdict` has to say how it is judged".to_owned()),
        ("undo", ..) => match data.action.filter(|action| !action.is_empty()) {
            Some(action) => Verb::Undo { action },
            None => return Err("`data.verb` is undo: `data.action` has to say which action is taken back".to_owned()),
        },
        ("note", ..) if data.note.as_ref().is_some_and(|note| !note.trim().is_empty()) => Verb::Note,
        ("note", ..) => return Err("`data.verb` is note: `data.note` has to say something".to_owned()),
        (other, ..) => {
            return Err(format!("`data.verb` is `{other}`; write accept, dispatch, handle, close, undo or note"));
        }
    };
    for (key, value) in [("id", &data.id), ("alert", &data.alert), ("by", &data.by)] {
        if value.is_empty() {
            return Err(format!("`data.{key}` is empty"));
        }
    }
    let action = StaffAction {
        note: data.note,
        made_at_ms: data.made_at_ms,
        upon: data.upon,
        ..StaffAction::new(data.id, AlertId::from(data.alert.as_str()), data.by, verb)
    };
    Ok((action, data.epoch))
}
