//! What goes to an upstream and comes from it, as CloudEvents 1.0 in structured JSON. The contract
//! is `docs/upstream.md`.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

use ninewatch_core::alert::{ActionError, AlertChange, AlertId, ChangeKind, Evidence, StaffAction, Verb, Verdict};
use ninewatch_core::time::TimeMs;

/// MQTT 5's content type property of every event.
pub(crate) const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// The largest staff action taken: what people write is short, and it is kept for good.
const LARGEST_ACTION: usize = 16 << 10;

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
pub(crate) fn alert(gateway: &str, change: &AlertChange, max_bytes: usize) -> serde_json::Result<Vec<u8>> {
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
    }
    let id = format!("{}.{}", change.alert.id, change.seq);
    let kind = serde_json::to_value(change.kind)?;
    let r#type = format!("cn.ninewatch.alert.{}", kind.as_str().unwrap_or_default());
    let data = Data {
        alert: &change.alert,
        change: Change {
            kind: change.kind,
            at_ms: change.at_ms,
            by: change.by.as_deref(),
            note: change.note.as_deref(),
        },
        evidence: change.evidence.as_ref(),
        evidence_omitted: false,
    };
    let mut event = Event::new(gateway, &r#type, &id, data);
    event.subject = Some(change.alert.id.as_str());
    event.time = jiff::Timestamp::from_millisecond(change.at_ms).ok().map(|time| format!("{time:.3}"));
    event.sequence = Some(sequence(change.seq));
    let json = event.json()?;
    if json.len() <= max_bytes || event.data.evidence.is_none() {
        return Ok(json);
    }
    tracing::warn!(id, bytes = json.len(), max_bytes, "too long for the upstream's server: sent without its evidence");
    event.data.evidence = None;
    event.data.evidence_omitted = true;
    event.json()
}

/// Stands for a change that the disk has damaged: the numbers have no gap for it.
///
/// # Errors
/// Where it cannot be serialised.
pub(crate) fn lost(gateway: &str, seq: u64) -> serde_json::Result<Vec<u8>> {
    let id = format!("lost.{seq}");
    let data = serde_json::json!({"reason": "the record of this change is damaged on the gateway's disk"});
    let mut event = Event::new(gateway, "cn.ninewatch.alert.lost", &id, data);
    event.sequence = Some(sequence(seq));
    event.json()
}

/// Shows that a webhook works.
///
/// # Errors
/// Where it cannot be serialised.
pub(crate) fn channel_test(gateway: &str, id: &str, channel: &str) -> serde_json::Result<Vec<u8>> {
    Event::new(gateway, "cn.ninewatch.channel.test", id, serde_json::json!({"channel": channel})).json()
}

/// The gateway is connected, and asks for a receipt that answers `id`.
///
/// # Errors
/// Where it cannot be serialised.
pub(crate) fn online(gateway: &str, id: &str) -> serde_json::Result<Vec<u8>> {
    Event::new(gateway, "cn.ninewatch.online", id, serde_json::json!({})).json()
}

/// The will of the connection that began with `online`'s `id`.
///
/// # Errors
/// Where it cannot be serialised.
pub(crate) fn offline(gateway: &str, online: &str) -> serde_json::Result<Vec<u8>> {
    Event::new(gateway, "cn.ninewatch.offline", &format!("{online}.end"), serde_json::json!({})).json()
}

/// A staff action was not taken, and why.
///
/// # Errors
/// Where it cannot be serialised.
pub(crate) fn refused(gateway: &str, action: &StaffAction, error: &ActionError) -> serde_json::Result<Vec<u8>> {
    let code = match error {
        ActionError::NotOpen(_) => "not_open",
        ActionError::WrongStatus { .. } => "wrong_status",
    };
    let data = serde_json::json!({
        "id": action.id, "alert": action.alert, "code": code, "reason": error.to_string(),
    });
    let id = format!("{}.refused", action.id);
    let mut event = Event::new(gateway, "cn.ninewatch.action.refused", &id, data);
    event.subject = Some(action.alert.as_str());
    event.json()
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
    /// The `id` of the event that it answers, where the upstream tells.
    pub(crate) answers: Option<String>,
}

/// An event from an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Incoming {
    Receipt(Receipt),
    Action(StaffAction),
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
        "cn.ninewatch.action" => action(data(payload)?).map(Incoming::Action),
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

#[derive(Deserialize)]
struct ActionData {
    id: String,
    alert: String,
    by: String,
    verb: String,
    to: Option<String>,
    verdict: Option<Verdict>,
    note: Option<String>,
}

fn action(data: ActionData) -> Result<StaffAction, String> {
    let verb = match (data.verb.as_str(), data.to, data.verdict) {
        ("accept", ..) => Verb::Accept,
        ("dispatch", Some(to), _) if !to.is_empty() => Verb::Dispatch { to },
        ("dispatch", ..) => return Err("`data.verb` is dispatch: `data.to` has to say whom".to_owned()),
        ("handle", ..) => Verb::Handle,
        ("close", _, Some(verdict)) => Verb::Close { verdict },
        ("close", ..) => return Err("`data.verb` is close: `data.verdict` has to say how it is judged".to_owned()),
        (other, ..) => return Err(format!("`data.verb` is `{other}`; write accept, dispatch, handle or close")),
    };
    for (key, value) in [("id", &data.id), ("alert", &data.alert), ("by", &data.by)] {
        if value.is_empty() {
            return Err(format!("`data.{key}` is empty"));
        }
    }
    Ok(StaffAction { id: data.id, alert: AlertId::from(data.alert.as_str()), by: data.by, verb, note: data.note })
}
