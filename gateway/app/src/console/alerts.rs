//! Alerts: which there are, how each came about, and what staff do about them.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use ninewatch_core::alert::{
    ActionError, Alert, AlertId, Outcome, Regrade, Scene, Severity, StaffAction, Status, Verb, Verdict,
};

use ninewatch_core::site::Place;
use ninewatch_core::time::TimeMs;

use super::Shared;
use super::body::Sent;
use super::gate::Who;
use super::ladder::{self, LadderView};
use super::photos;
use super::problem::Problem;
use super::rights::{self, OfPeople};
use super::sheet;
use crate::index::Progress;
use crate::index::{AlertQuery, AlertRecord, Says};
use crate::notify::Notification;
use crate::people::Photo;
use crate::private::{hex, random};

/// Which alerts are wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    status: Option<Status>,
    scene: Option<Scene>,
    severity: Option<Severity>,
    place: Option<String>,
    verdict: Option<Verdict>,
    raised_from_ms: Option<TimeMs>,
    raised_to_ms: Option<TimeMs>,
    says: Option<String>,
    #[serde(default)]
    open: bool,
    before: Option<String>,
    limit: Option<usize>,
}

impl Wanted {
    fn query(self, shared: &Shared, who: &Who) -> Result<AlertQuery, Problem> {
        let limit = self.limit.unwrap_or(PAGE);
        if !(1..=LARGEST_PAGE).contains(&limit) {
            return Err(Problem::bad(format!("limit is {limit}"), format!("give 1 to {LARGEST_PAGE}")));
        }
        let says = self.says.map(|says| line("says", &says, LONGEST_TO)).transpose()?;
        let says = says.map(|says| {
            let lower = says.to_lowercase();
            let is_called =
                |place: &&Place| [&place.name, &place.grid].iter().any(|of| of.to_lowercase().contains(&lower));
            let places = shared.site().registry.places.iter().filter(is_called).map(|place| place.id.clone()).collect();
            Says::new(&says, places)
        });
        Ok(AlertQuery {
            status: self.status,
            open_only: self.open,
            scene: self.scene,
            severity: self.severity,
            place: self.place,
            places: who.rights.places(&shared.site()),
            verdict: self.verdict,
            from_ms: self.raised_from_ms,
            to_ms: self.raised_to_ms,
            says,
            before: self.before.as_deref().map(AlertId::from),
            limit,
        })
    }
}

/// Answers `GET /alerts.csv`: all that is wanted, not a page of it.
pub(super) async fn sheet(
    State(shared): State<Arc<Shared>>,
    who: Who,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(wanted) = wanted?;
    let query = AlertQuery { before: None, ..wanted.query(&shared, &who)? };
    let (shown, sheet) = shared.look_back(query, |site, records| sheet::write(site, records)).await?;
    let sheet = sheet
        .map_err(|error| Problem::bad(error.to_string(), "ask for a shorter time: raised_from_ms, raised_to_ms"))?;
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"ninewatch-alerts.csv\""),
    ];
    Ok((shown, headers, sheet).into_response())
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
    who: Who,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<(Option<Extension<OfPeople>>, Json<Alerts>), Problem> {
    let Query(wanted) = wanted?;
    let site = shared.site();
    let query = wanted.query(&shared, &who)?;
    let limit = query.limit;
    let index = shared.state.index.clone();
    let (last_seq, alerts) = shared
        .ask(move || {
            // First the number: what changes while the alerts are read comes again on the feed.
            let last_seq = index.last_seq();
            (last_seq, index.alerts(&query))
        })
        .await?;
    let next_before = alerts.last().filter(|_| alerts.len() == limit).map(|alert| alert.id.clone());
    let shown = rights::of_people(alerts.iter().any(|alert| rights::alert_is_of_people(&site, alert)));
    Ok((shown, Json(Alerts { alerts, last_seq, next_before })))
}

/// An alert, its life and evidence, and who was told of it.
#[derive(Debug, Serialize)]
pub(super) struct AlertView {
    #[serde(flatten)]
    record: AlertRecord,
    /// Oldest first.
    notifications: Vec<Notification>,
    ladder: LadderView,
    /// Oldest first.
    photos: Vec<Photo>,
}

/// `GET /alerts/{id}`
pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    who: Who,
) -> Result<(Option<Extension<OfPeople>>, Json<AlertView>), Problem> {
    let record = find(&shared, &who, AlertId::from(id.as_str())).await?;
    let site = shared.site();
    let shown = rights::of_people(rights::alert_is_of_people(&site, &record.alert));
    let roster = shared.state.roster.in_force();
    let notifications = ladder::with_names(&roster, shared.state.notify.notifications(&record.alert.id));
    let ladder = LadderView::of(&site, &roster, &record.alert, shared.state.clock.now_ms());
    let photos = photos::of(&shared, &record.alert.id).await?;
    Ok((shown, Json(AlertView { record, notifications, ladder, photos })))
}

/// The alert; one that may not be seen is not there.
pub(super) async fn find(shared: &Shared, who: &Who, id: AlertId) -> Result<AlertRecord, Problem> {
    let (index, wanted) = (shared.state.index.clone(), id.clone());
    let found = shared.ask(move || index.alert(&wanted)).await?;
    let found = found.filter(|record| who.rights.sees_place(&shared.site(), &record.alert.place));
    found.ok_or_else(|| {
        Problem::not_found("no_alert", format!("no alert has the id `{id}`"), "GET /api/v1/alerts lists them")
    })
}

/// How grave an alert is from now on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Graver {
    severity: Severity,
}

/// `POST /alerts/{id}/severity`: a person knows more than the devices, or than a resident could say.
pub(super) async fn regrade(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    who: Who,
    Sent(Graver { severity }): Sent<Graver>,
) -> Result<Json<Alert>, Problem> {
    let before = find(&shared, &who, AlertId::from(id.as_str())).await?.alert;
    if severity < before.severity {
        return Err(Problem::conflict(
            "not_graver",
            format!("the alert is {}, and nobody makes one less grave", before.severity.name()),
            "close it with its verdict where it turns out to be nothing",
        ));
    }
    let regrade = Regrade { alert: before.id.clone(), severity, by: who.account().to_owned() };
    shared.state.engine.regrade(regrade).await?.map_err(|error| refused(&error))?;
    Ok(Json(find(&shared, &who, before.id).await?.alert))
}

/// What staff do, as they send it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Action {
    id: Option<String>,
    to: Option<String>,
    verdict: Option<Verdict>,
    action: Option<String>,
    note: Option<String>,
    upon: Option<u64>,
    /// What shows it: photos that were added to the alert before.
    #[serde(default)]
    photos: Vec<String>,
}

/// What became of an action.
#[derive(Debug, Serialize)]
pub(super) struct Acted {
    outcome: Outcome,
    /// The action with this id had been taken before: the outcome is that of then.
    again: bool,
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
    Sent(mut action): Sent<Action>,
) -> Result<Json<Acted>, Problem> {
    let photos = std::mem::take(&mut action.photos);
    if !photos.is_empty() && verb != "handle" {
        return Err(Problem::bad(format!("`photos` is not for {verb}"), "leave it out"));
    }
    let action = action.checked(&verb, AlertId::from(alert.as_str()), who.account())?;
    let alert = action.alert.clone();
    if who.rights.is_limited() || !photos.is_empty() {
        find(&shared, &who, alert.clone()).await?;
    }
    if !photos.is_empty() {
        photos::are_of(&shared, &alert, &photos).await?;
    }
    let id = action.id.clone();
    let acted = shared.state.engine.act(action).await?.map_err(|error| refused(&error))?;
    tracing::info!(account = who.account(), verb, %alert, outcome = ?acted.outcome, acted.again, "staff acted");
    if !photos.is_empty() {
        photos::belong_to(&shared, &alert, photos, id).await;
    }
    let record = find(&shared, &who, alert).await?;
    Ok(Json(Acted { outcome: acted.outcome, again: acted.again, alert: record.alert }))
}

impl Action {
    fn checked(self, verb: &str, alert: AlertId, by: &str) -> Result<StaffAction, Problem> {
        let not_for = |field: &str| Problem::bad(format!("`{field}` is not for {verb}"), "leave it out");
        if self.action.is_some() && matches!(verb, "accept" | "dispatch" | "handle" | "close" | "note") {
            return Err(not_for("action"));
        }
        let note = note(self.note)?;
        let verb = match (verb, self.to, self.verdict) {
            ("accept", None, None) => Verb::Accept,
            ("handle", None, None) => Verb::Handle,
            ("note", None, None) if note.is_some() => Verb::Note,
            ("note", None, None) => return Err(Problem::bad("`note` is missing", "write what there is to say")),
            ("undo", None, None) => {
                let missing = || Problem::bad("`action` is missing", "give the id of your action that is taken back");
                Verb::Undo { action: line("action", &self.action.ok_or_else(missing)?, LONGEST_ID)? }
            }
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
            ("accept" | "handle" | "close" | "undo" | "note", Some(_), _) => return Err(not_for("to")),
            ("accept" | "handle" | "dispatch" | "undo" | "note", _, Some(_)) => return Err(not_for("verdict")),
            _ => {
                return Err(Problem::not_found(
                    "no_verb",
                    format!("nobody can {verb} an alert"),
                    "accept, dispatch, handle, close, undo or note",
                ));
            }
        };
        let id = given_or_drawn(self.id, "the action")?;
        let upon = self.upon;
        Ok(StaffAction { note, upon, ..StaffAction::new(id, alert, by, verb) })
    }
}

/// By which the same that is sent again is known: the id that was given to `what`, or one of its own.
pub(super) fn given_or_drawn(id: Option<String>, what: &str) -> Result<String, Problem> {
    if let Some(id) = id {
        return line("id", &id, LONGEST_ID);
    }
    let drawn = random::<16>()
        .map_err(|error| Problem::unavailable("no_randomness", error.to_string(), format!("give {what} an `id`")))?;
    Ok(hex(&drawn))
}

/// What somebody wrote besides; nothing where that says nothing.
pub(super) fn note(note: Option<String>) -> Result<Option<String>, Problem> {
    let note = note.map(|note| note.trim().to_owned()).filter(|note| !note.is_empty());
    if note.as_ref().is_some_and(|note| note.chars().count() > LONGEST_NOTE) {
        return Err(Problem::bad("`note` is too long", format!("use at most {LONGEST_NOTE} characters")));
    }
    Ok(note)
}

/// One line of text that says something.
pub(super) fn line(field: &str, text: &str, longest: usize) -> Result<String, Problem> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > longest || text.chars().any(char::is_control) {
        return Err(Problem::bad(
            format!("`{field}` is not a line of text"),
            format!("give 1 to {longest} characters, without line breaks"),
        ));
    }
    Ok(text.to_owned())
}

fn refused(error: &ActionError) -> Problem {
    let (code, detail, mend) = (error.code(), error.to_string(), error.mend().en);
    match error {
        ActionError::NotOpen(_) | ActionError::NoAction(_) => Problem::not_found(code, detail, mend),
        ActionError::WrongStatus { .. }
        | ActionError::Unseen { .. }
        | ActionError::TooMany(_)
        | ActionError::NotYours { .. }
        | ActionError::TooLate { .. } => Problem::conflict(code, detail, mend),
    }
}
