//! Alerts: which there are, how each came about, and what staff do about them.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use ninewatch_core::alert::{ActionError, Alert, AlertId, Scene, Severity, StaffAction, Status, Verb, Verdict};

use super::Shared;
use super::body::Sent;
use super::gate::Who;
use super::problem::Problem;
use crate::index::Progress;
use crate::index::{AlertQuery, AlertRecord};
use crate::notify::Notification;
use crate::private::{hex, random};

/// Which alerts are wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    status: Option<Status>,
    scene: Option<Scene>,
    severity: Option<Severity>,
    place: Option<String>,
    #[serde(default)]
    open: bool,
    before: Option<String>,
    limit: Option<usize>,
}

/// A page of alerts, newest first.
#[derive(Debug, Serialize)]
pub(super) struct Alerts {
    alerts: Vec<Alert>,
    /// Every change up to this one is in them: the live feed goes on behind it.
    last_seq: u64,
    /// The `before` of the next page, where there may be one.
    next_before: Option<AlertId>,
}

const PAGE: usize = 100;
const LARGEST_PAGE: usize = 500;

/// `GET /alerts`
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Alerts>, Problem> {
    let Query(wanted) = wanted?;
    let limit = wanted.limit.unwrap_or(PAGE);
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(Problem::bad(format!("limit is {limit}"), format!("give 1 to {LARGEST_PAGE}")));
    }
    let query = AlertQuery {
        status: wanted.status,
        open_only: wanted.open,
        scene: wanted.scene,
        severity: wanted.severity,
        place: wanted.place,
        before: wanted.before.as_deref().map(AlertId::from),
        limit,
    };
    let index = shared.state.index.clone();
    let (last_seq, alerts) = shared
        .ask(move || {
            // First the number: what changes while the alerts are read comes again on the feed.
            let last_seq = index.last_seq();
            (last_seq, index.alerts(&query))
        })
        .await?;
    let next_before = alerts.last().filter(|_| alerts.len() == limit).map(|alert| alert.id.clone());
    Ok(Json(Alerts { alerts, last_seq, next_before }))
}

/// An alert, its life and evidence, and who was told of it.
#[derive(Debug, Serialize)]
pub(super) struct AlertView {
    #[serde(flatten)]
    record: AlertRecord,
    /// Oldest first.
    notifications: Vec<Notification>,
}

/// `GET /alerts/{id}`
pub(super) async fn one(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Result<Json<AlertView>, Problem> {
    let record = find(&shared, AlertId::from(id.as_str())).await?;
    let notifications = shared.state.notify.notifications(&record.alert.id);
    Ok(Json(AlertView { record, notifications }))
}

async fn find(shared: &Shared, id: AlertId) -> Result<AlertRecord, Problem> {
    let (index, wanted) = (shared.state.index.clone(), id.clone());
    let found = shared.ask(move || index.alert(&wanted)).await?;
    found.ok_or_else(|| {
        Problem::not_found("no_alert", format!("no alert has the id `{id}`"), "GET /api/v1/alerts lists them")
    })
}

/// What staff do, as they send it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Action {
    id: Option<String>,
    to: Option<String>,
    verdict: Option<Verdict>,
    note: Option<String>,
}

/// What became of an action.
#[derive(Debug, Serialize)]
pub(super) struct Acted {
    /// `false`: the action with this id had been taken before.
    taken: bool,
    alert: Alert,
}

const LONGEST_ID: usize = 128;
const LONGEST_TO: usize = 200;
const LONGEST_NOTE: usize = 2000;

/// `POST /alerts/{id}/{verb}`
pub(super) async fn act(
    State(shared): State<Arc<Shared>>,
    Path((alert, verb)): Path<(String, String)>,
    who: Who,
    Sent(action): Sent<Action>,
) -> Result<Json<Acted>, Problem> {
    let action = action.checked(&verb, AlertId::from(alert.as_str()), who.account())?;
    let alert = action.alert.clone();
    let taken = shared.state.engine.act(action).await?.map_err(refused)?;
    tracing::info!(account = who.account(), verb, %alert, taken, "staff acted");
    let record = find(&shared, alert).await?;
    Ok(Json(Acted { taken, alert: record.alert }))
}

impl Action {
    fn checked(self, verb: &str, alert: AlertId, by: &str) -> Result<StaffAction, Problem> {
        let not_for = |field: &str| Problem::bad(format!("`{field}` is not for {verb}"), "leave it out");
        let verb = match (verb, self.to, self.verdict) {
            ("accept", None, None) => Verb::Accept,
            ("handle", None, None) => Verb::Handle,
            ("dispatch", Some(to), None) => Verb::Dispatch { to: line("to", &to, LONGEST_TO)? },
            ("dispatch", None, None) => {
                return Err(Problem::bad("`to` is missing", "say who is sent: {\"to\": \"…\"}"));
            }
            ("close", None, Some(verdict)) => Verb::Close { verdict },
            ("close", None, None) => {
                return Err(Problem::bad(
                    "`verdict` is missing",
                    "judge it: true_alarm, false_alarm, test or nuisance",
                ));
            }
            ("accept" | "handle" | "close", Some(_), _) => return Err(not_for("to")),
            ("accept" | "handle" | "dispatch", _, Some(_)) => return Err(not_for("verdict")),
            _ => {
                return Err(Problem::not_found(
                    "no_verb",
                    format!("nobody can {verb} an alert"),
                    "accept, dispatch, handle or close it",
                ));
            }
        };
        let id = match self.id {
            Some(id) => line("id", &id, LONGEST_ID)?,
            None => hex(&random::<16>().map_err(|error| {
                Problem::unavailable("no_randomness", error.to_string(), "give the action an `id`")
            })?),
        };
        let note = self.note.map(|note| note.trim().to_owned()).filter(|note| !note.is_empty());
        if note.as_ref().is_some_and(|note| note.chars().count() > LONGEST_NOTE) {
            return Err(Problem::bad("`note` is too long", format!("use at most {LONGEST_NOTE} characters")));
        }
        Ok(StaffAction { id, alert, by: by.to_owned(), verb, note })
    }
}

/// One line of text that says something.
fn line(field: &str, text: &str, longest: usize) -> Result<String, Problem> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > longest || text.chars().any(char::is_control) {
        return Err(Problem::bad(
            format!("`{field}` is not a line of text"),
            format!("give 1 to {longest} characters, without line breaks"),
        ));
    }
    Ok(text.to_owned())
}

fn refused(error: ActionError) -> Problem {
    let detail = error.to_string();
    match error {
        ActionError::NotOpen(_) => {
            Problem::not_found("not_open", detail, "GET /api/v1/alerts?open=true lists those that are")
        }
        ActionError::WrongStatus { mend, .. } => Problem::conflict("wrong_status", detail, mend),
    }
}
