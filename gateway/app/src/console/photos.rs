//! Photos of alerts: taken in, and shown to those who see the alert.

use axum::Json;
use axum::extract::{Extension, Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;
use std::time::Duration;

use ninewatch_core::alert::AlertId;

use super::Shared;
use super::alerts;
use super::gate::Who;
use super::problem::Problem;
use super::rights::{self, OfPeople};
use crate::people::{Photo, picture};

/// The page makes a picture smaller before it sends it: some 300 KB.
const LARGEST: usize = 2 << 20;
/// Each is in memory for a moment, on a box with little of it.
pub(super) const AT_ONCE: usize = 2;
/// For so long one may take to send it: others wait meanwhile.
const IN_TIME: Duration = Duration::from_secs(20);

/// `POST /alerts/{id}/photos`
pub(super) async fn add(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    who: Who,
    request: Request,
) -> Result<(StatusCode, Json<Photo>), Problem> {
    let alert = alerts::find(&shared, &who, AlertId::from(id.as_str())).await?.alert.id;
    let by = who.account().to_owned();
    Ok((StatusCode::CREATED, Json(take(&shared, request, alert, Some(by)).await?)))
}

/// Takes in the picture that a request's body is; it is on the disk when this returns.
pub(super) async fn take(
    shared: &Shared,
    request: Request,
    alert: AlertId,
    by: Option<String>,
) -> Result<Photo, Problem> {
    let failed = || Problem::unavailable("no_answer", "the photo could not be taken in", "try again");
    // Who sends slowly keeps those waiting who are not logged in either, and no staff.
    let turns = if by.is_some() { &shared.uploads } else { &shared.strangers_uploads };
    let _turn = turns.acquire().await.map_err(|_| failed())?;
    let reading = axum::body::to_bytes(request.into_body(), LARGEST);
    let slow = |_| Problem::unavailable("no_answer", "the photo did not arrive in time", "send it again");
    // It ends too early, or it is larger.
    let bytes = tokio::time::timeout(IN_TIME, reading).await.map_err(slow)?.map_err(|_| Problem::too_large(LARGEST))?;
    let people = shared.state.people.clone();
    let now = people.stamp(shared.state.clock.now_ms());
    let is_strangers = by.is_none();
    let keep = move || {
        let picture = picture(&bytes).map_err(|error| {
            let mend =
                "send a JPEG, PNG or WebP of at most 8192 pixels a side and 25 million in all, that does not move";
            Problem::unusable("no_picture", error.to_string(), mend)
        })?;
        Ok(people.photos.keep(&alert, &picture, by.as_deref(), now)?)
    };
    if is_strangers { shared.ask_for_stranger(keep).await? } else { shared.ask(keep).await? }
}

/// `GET /alerts/{id}/photos/{photo}`: the picture itself.
pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    Path((id, photo)): Path<(String, String)>,
    who: Who,
) -> Result<(Option<Extension<OfPeople>>, Response), Problem> {
    let alert = alerts::find(&shared, &who, AlertId::from(id.as_str())).await?.alert.id;
    let people = shared.state.people.clone();
    let wanted = photo.clone();
    let read = shared.ask(move || people.photos.read(&alert, &wanted)).await?.map_err(|error| unreadable(&error))?;
    let (media_type, bytes) = read.ok_or_else(|| no_photo(&photo))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        // A page shows it all the same; a browser that is led here by hand does not.
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"ninewatch-photo\"")),
    ];
    Ok((rights::of_people(true), (headers, bytes).into_response()))
}

/// The photos of an alert.
pub(super) async fn of(shared: &Shared, alert: &AlertId) -> Result<Vec<Photo>, Problem> {
    let (people, alert) = (shared.state.people.clone(), alert.clone());
    shared.ask(move || people.photos.of(&alert)).await?.map_err(|error| unreadable(&error))
}

/// The same, for the resident who reported it.
pub(super) async fn for_stranger(shared: &Shared, alert: &AlertId) -> Result<Vec<Photo>, Problem> {
    let (people, alert) = (shared.state.people.clone(), alert.clone());
    shared.ask_for_stranger(move || people.photos.of(&alert)).await?.map_err(|error| unreadable(&error))
}

/// That the alert has these photos.
pub(super) async fn are_of(shared: &Shared, alert: &AlertId, photos: &[String]) -> Result<(), Problem> {
    let there = of(shared, alert).await?;
    let missing = photos.iter().find(|id| !there.iter().any(|photo| photo.id == **id));
    missing.map_or(Ok(()), |missing| Err(no_photo(missing)))
}

/// Notes that photos belong to what was done. It is done: what fails here is told in the log alone.
pub(super) async fn belong_to(shared: &Shared, alert: &AlertId, photos: Vec<String>, action: String) {
    let (people, of) = (shared.state.people.clone(), alert.clone());
    match shared.ask(move || people.photos.belong_to(&of, &photos, &action)).await {
        Ok(Ok(None)) => {}
        Ok(Ok(Some(missing))) => tracing::warn!(%alert, missing, "a photo went away before it was noted whose it is"),
        Ok(Err(error)) => tracing::error!(%alert, "it could not be noted which action photos belong to: {error:#}"),
        Err(_) => tracing::error!(%alert, "it could not be noted which action photos belong to"),
    }
}

fn no_photo(id: &str) -> Problem {
    Problem::not_found(
        "no_photo",
        format!("the alert has no photo `{id}`, or its time is over"),
        "POST /api/v1/alerts/{id}/photos adds one",
    )
}

fn unreadable(error: &anyhow::Error) -> Problem {
    tracing::error!("photos cannot be read: {error:#}");
    Problem::unavailable("unreadable", "photos cannot be read from the disk", "try again; the log says more")
}
