//! What residents report by a grid's code, how far it is by their ticket, and what staff see and answer.

use axum::Json;
use axum::extract::{Extension, Path, Request, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use ninewatch_core::alert::{AlertId, MATTER, RESIDENT, Scene, Status};
use ninewatch_core::time::{Span, TimeMs};

use super::alerts::{find, line};
use super::body::Sent;
use super::gate::Who;
use super::photos;
use super::problem::Problem;
use super::rights::{self, OfPeople};
use super::{Peer, Shared};
use crate::people::residents::{PHONE_MEND, is_phone};
use crate::people::{Answer, Reported, Written, grid_codes};

const LONGEST_TEXT: usize = 1000;
const LONGEST_PLACE: usize = 100;
const LONGEST_ANSWER: usize = 500;
/// For so long a resident may add photos to what they reported.
const PHOTOS_FOR_MS: TimeMs = 3_600_000;

/// What a code leads to.
#[derive(Debug, Serialize)]
pub(super) struct Form {
    grid: String,
    gateway: String,
    /// How many days what is written here is kept.
    keeps_days: i64,
    /// The same of photos.
    keeps_photos_days: i64,
}

/// `GET /grid-codes/{code}`
pub(super) async fn form(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    Path(code): Path<String>,
) -> Result<Json<Form>, Problem> {
    may_ask(&shared, peer.address.ip())?;
    let grid = grid_of(&shared, code).await?;
    let config = &shared.state.people.config;
    let days = |span: Span| (span.ms() + 86_399_999) / 86_400_000;
    let (keeps_days, keeps_photos_days) = (days(config.keep_matters), days(config.keep_photos));
    Ok(Json(Form { grid, gateway: shared.site().gateway.clone(), keeps_days, keeps_photos_days }))
}

/// The grid of a code that is in force. A grid that no place is in any more has none.
async fn grid_of(shared: &Shared, code: String) -> Result<String, Problem> {
    let people = shared.state.people.clone();
    let codes = shared
        .ask_for_stranger(move || grid_codes::load(&people.data_dir))
        .await?
        .map_err(|error| unreadable(&error))?;
    let grid = grid_codes::grid_of(&codes, &code).filter(|grid| shared.site().registry.grids().contains(grid));
    grid.map(str::to_owned).ok_or_else(|| {
        Problem::not_found(
            "no_code",
            "no grid has this code",
            "scan the poster of the grid; if it is an old one, call the desk for a new one",
        )
    })
}

/// What a resident sends.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Report {
    code: String,
    key: String,
    scene: Scene,
    text: String,
    #[serde(default)]
    place: String,
    #[serde(default)]
    phone: String,
}

/// How far a matter is, for whoever reported it: no names, and no notes but what is an answer to them.
#[derive(Debug, Serialize)]
pub(super) struct Progress {
    ticket: String,
    grid: String,
    scene: Scene,
    at_ms: TimeMs,
    status: Status,
    changed_at_ms: TimeMs,
    photos: usize,
    answers: Vec<ForResident>,
}

/// An answer without who wrote it.
#[derive(Debug, Serialize)]
struct ForResident {
    at_ms: TimeMs,
    text: String,
}

/// `POST /matters`
pub(super) async fn report(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    Sent(report): Sent<Report>,
) -> Result<(StatusCode, Json<Progress>), Problem> {
    let address = peer.address.ip();
    may_ask(&shared, address)?;
    let grid = grid_of(&shared, report.code.clone()).await?;
    let written = report.checked(grid)?;
    let (people, key) = (shared.state.people.clone(), written.key.clone());
    // Sent again because the answer did not come: it costs nothing.
    if !shared.ask_for_stranger(move || people.matters.knows(&key)).await? {
        shared.strangers.report(&written.grid, address, Instant::now()).map_err(|wait| {
            Problem::shed("too_many_reports", wait, "in danger call 119, 110 or 120; otherwise wait, or call the desk")
        })?;
    }
    let people = shared.state.people.clone();
    let (now, grids) = (people.stamp(shared.state.clock.now_ms()), shared.site().registry.grids().len());
    // What is theirs first: an alert without it would say nothing. A crash in between is mended at the next start.
    let reported = shared.ask_for_stranger(move || people.matters.keep(written, now, grids)).await??;
    let reported = if reported.alert.is_some() { reported } else { taken_in(&shared, reported).await? };
    Ok((StatusCode::CREATED, Json(progress_of(&shared, reported).await?)))
}

/// Hands a matter in; its alert is durable when this returns.
async fn taken_in(shared: &Shared, reported: Reported) -> Result<Reported, Problem> {
    let alert = shared.state.engine.report(reported.matter()).await?;
    let (people, id, became) = (shared.state.people.clone(), reported.id.clone(), alert.clone());
    // The journal has it: what fails here is made good at the next start.
    if let Err(error) = shared.ask_for_stranger(move || people.matters.became(&id, &became)).await? {
        tracing::error!("a matter's alert could not be noted: {error:#}");
    }
    tracing::info!(%alert, grid = reported.grid, "a resident reported a matter");
    Ok(Reported { alert: Some(alert), ..reported })
}

impl Report {
    fn checked(self, grid: String) -> Result<Written, Problem> {
        let Self { code: _, key, scene, text, place, phone } = self;
        if scene == Scene::Operations {
            let mend = "security, fire, elder_care, child_protection or employment";
            return Err(Problem::bad("`scene` is the gateway's own", mend));
        }
        let key = line("key", &key, 64)?;
        if key.len() < 16 {
            return Err(Problem::bad("`key` can be guessed", "draw 16 random bytes and send them as hex"));
        }
        let text = text.trim().to_owned();
        let is_text = |symbol: char| symbol == '\n' || !symbol.is_control();
        if text.is_empty() || text.chars().count() > LONGEST_TEXT || !text.chars().all(is_text) {
            let mend = format!("write what is the matter, in at most {LONGEST_TEXT} characters");
            return Err(Problem::bad("`text` is empty, too long, or no text", mend));
        }
        let may_be_empty = |field, text: &str, longest| {
            if text.trim().is_empty() { Ok(String::new()) } else { line(field, text, longest) }
        };
        let place = may_be_empty("place", &place, LONGEST_PLACE)?;
        let phone = may_be_empty("phone", &phone, 30)?;
        if !phone.is_empty() && !is_phone(&phone) {
            return Err(Problem::bad("`phone` is no telephone number", PHONE_MEND));
        }
        Ok(Written { key, grid, scene, text, place, phone })
    }
}

/// `GET /matters/{ticket}`
pub(super) async fn progress(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    Path(ticket): Path<String>,
) -> Result<Json<Progress>, Problem> {
    may_ask(&shared, peer.address.ip())?;
    let reported = of_ticket(&shared, ticket).await?;
    Ok(Json(progress_of(&shared, reported).await?))
}

/// `POST /matters/{ticket}/photos`
pub(super) async fn add_photo(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    Path(ticket): Path<String>,
    request: Request,
) -> Result<(StatusCode, Json<Progress>), Problem> {
    may_ask(&shared, peer.address.ip())?;
    let reported = of_ticket(&shared, ticket).await?;
    let alert = reported.alert.clone().ok_or_else(not_yet)?;
    if shared.state.clock.now_ms().saturating_sub(reported.at_ms) > PHOTOS_FOR_MS {
        return Err(Problem::conflict(
            "enough",
            "it was reported long ago",
            "report a new matter if something else has happened",
        ));
    }
    photos::take(&shared, request, alert, None).await?;
    Ok((StatusCode::CREATED, Json(progress_of(&shared, reported).await?)))
}

async fn of_ticket(shared: &Shared, ticket: String) -> Result<Reported, Problem> {
    let people = shared.state.people.clone();
    let found = shared.ask_for_stranger(move || people.matters.of_ticket(&ticket)).await?.map_err(|error| {
        tracing::error!("what residents reported cannot be read: {error:#}");
        Problem::unavailable("unreadable", "what was reported cannot be read", "try again; the log says more")
    })?;
    found.ok_or_else(|| {
        Problem::not_found("no_ticket", "no matter has this ticket, or its time is over", "look at what was noted down")
    })
}

async fn progress_of(shared: &Shared, reported: Reported) -> Result<Progress, Problem> {
    let alert = reported.alert.clone().ok_or_else(not_yet)?;
    let (index, wanted) = (shared.state.index.clone(), alert.clone());
    let record = shared.ask_for_stranger(move || index.alert(&wanted)).await?.ok_or_else(not_yet)?;
    let photos = photos::for_stranger(shared, &alert).await?.iter().filter(|photo| photo.by.is_none()).count();
    let answers = reported.answers.into_iter().map(|Answer { at_ms, text, .. }| ForResident { at_ms, text });
    Ok(Progress {
        ticket: reported.ticket,
        grid: reported.grid,
        scene: reported.scene,
        at_ms: reported.at_ms,
        status: record.alert.status,
        changed_at_ms: record.alert.updated_at_ms,
        photos,
        answers: answers.collect(),
    })
}

/// What a resident reported, as staff see it.
#[derive(Debug, Serialize)]
pub(super) struct MatterView {
    text: String,
    place: String,
    phone: String,
    at_ms: TimeMs,
    /// When it is deleted.
    kept_until_ms: TimeMs,
    answers: Vec<Answer>,
}

impl MatterView {
    fn new(shared: &Shared, reported: Reported) -> Self {
        let Reported { text, place, phone, at_ms, answers, .. } = reported;
        let kept_until_ms = at_ms.saturating_add(shared.state.people.config.keep_matters.ms());
        Self { text, place, phone, at_ms, kept_until_ms, answers }
    }
}

type Shown = (Option<Extension<OfPeople>>, Json<MatterView>);

/// `GET /alerts/{id}/matter`
pub(super) async fn of_alert(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    who: Who,
) -> Result<Shown, Problem> {
    let matter = matter_of(&shared, &who, &id).await?;
    let people = shared.state.people.clone();
    let reported = shared.ask(move || people.matters.of(&matter)).await?.ok_or_else(no_matter)?;
    Ok((rights::of_people(true), Json(MatterView::new(&shared, reported))))
}

/// What staff let the resident read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAnswer {
    text: String,
}

/// `POST /alerts/{id}/answer`
pub(super) async fn answer(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    who: Who,
    Sent(answer): Sent<NewAnswer>,
) -> Result<Shown, Problem> {
    let matter = matter_of(&shared, &who, &id).await?;
    let text = line("text", &answer.text, LONGEST_ANSWER)?;
    let answer = Answer { at_ms: shared.state.clock.now_ms(), by: who.account().to_owned(), text };
    let people = shared.state.people.clone();
    let reported = shared.ask(move || people.matters.answer(&matter, answer)).await??.ok_or_else(no_matter)?;
    Ok((rights::of_people(true), Json(MatterView::new(&shared, reported))))
}

/// The id of the matter that an alert is.
async fn matter_of(shared: &Shared, who: &Who, id: &str) -> Result<String, Problem> {
    let alert = find(shared, who, AlertId::from(id)).await?.alert;
    let first = alert.devices.first().and_then(|device| device.strip_prefix(RESIDENT));
    first.filter(|_| *alert.group == *MATTER).map(str::to_owned).ok_or_else(no_matter)
}

fn no_matter() -> Problem {
    Problem::not_found(
        "no_matter",
        "no resident reported this alert, or what they wrote has been deleted",
        "GET /api/v1/retention says what is kept how long",
    )
}

fn not_yet() -> Problem {
    Problem::unavailable("not_yet", "the matter is being taken in", "ask again in a moment")
}

fn may_ask(shared: &Shared, address: IpAddr) -> Result<(), Problem> {
    let asked = shared.strangers.ask(address, Instant::now());
    asked.map_err(|wait| Problem::shed("too_often", wait, "wait, then ask again"))
}

fn unreadable(error: &anyhow::Error) -> Problem {
    tracing::error!("the grids' codes cannot be read: {error:#}");
    Problem::unavailable("unreadable", "the grids' codes cannot be read", "try again; the log says more")
}
