//! Residents' records: whom a home is about, and whom to call. Shown whole to those who answer alerts there, masked in lists.

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use ninewatch_core::pipeline::Site;
use ninewatch_core::time::TimeMs;

use super::Shared;
use super::body::Sent;
use super::gate::Who;
use super::problem::Problem;
use super::rights::{self, OfPeople};
use crate::people::residents::{self, Contact, Need, Resident};
use crate::people::retention;
use crate::private::typable;

/// `GET /residents`, `GET /places/{id}/residents`
#[derive(Debug, Serialize)]
pub(super) struct Residents {
    residents: Vec<Resident>,
}

type Shown = (Option<Extension<OfPeople>>, Json<Residents>);

/// Answers `GET /residents`: telephone numbers are masked.
pub(super) async fn list(State(shared): State<Arc<Shared>>, who: Who) -> Result<Shown, Problem> {
    let site = shared.site();
    let seen = load(&shared).await?.into_iter().filter(|one| who.rights.sees_place(&site, &one.place));
    Ok(shown(seen.map(Resident::masked).collect()))
}

/// Answers `GET /places/{id}/residents`: whole, for whoever is to call or to go there.
pub(super) async fn of_place(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    who: Who,
) -> Result<Shown, Problem> {
    let site = shared.site();
    if site.registry.place(&id).is_none() || !who.rights.sees_place(&site, &id) {
        let detail = format!("no place has the id `{id}`");
        return Err(Problem::not_found("no_place", detail, "GET /api/v1/places lists them"));
    }
    let live_here = |one: &Resident| one.place == id && one.left_at_ms.is_none();
    Ok(shown(load(&shared).await?.into_iter().filter(live_here).collect()))
}

fn shown(residents: Vec<Resident>) -> Shown {
    (rights::of_people(!residents.is_empty()), Json(Residents { residents }))
}

/// A record as an admin writes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    place: String,
    name: String,
    #[serde(default)]
    phone: String,
    #[serde(default)]
    contacts: Vec<Contact>,
    #[serde(default)]
    needs: Vec<Need>,
    #[serde(default)]
    note: String,
    #[serde(default)]
    devices: Vec<String>,
    #[serde(default)]
    left_at_ms: Option<TimeMs>,
}

impl Record {
    fn checked(self, id: String, site: &Site) -> Result<Resident, Problem> {
        let Self { place, name, phone, contacts, mut needs, note, devices, left_at_ms } = self;
        needs.sort_unstable();
        needs.dedup();
        let resident = Resident { id, place, name, phone, needs, note, devices, left_at_ms, contacts };
        if let Some((key, problem, mend)) = resident.problems().into_iter().next() {
            return Err(Problem::bad(format!("`{key}`: {problem}"), mend));
        }
        if site.registry.place(&resident.place).is_none() {
            let detail = format!("`place`: there is no place `{}`", resident.place);
            return Err(Problem::bad(detail, "GET /api/v1/places lists them"));
        }
        let is_elsewhere = |id: &&String| site.registry.device(id).is_none_or(|device| device.place != resident.place);
        if let Some(device) = resident.devices.iter().find(is_elsewhere) {
            let detail = format!("`devices`: `{device}` is not at `{}`", resident.place);
            return Err(Problem::bad(detail, "name devices of the same place"));
        }
        Ok(resident)
    }
}

/// Answers `POST /residents`.
pub(super) async fn add(
    State(shared): State<Arc<Shared>>,
    _who: Who,
    Sent(record): Sent<Record>,
) -> Result<(StatusCode, Json<Resident>), Problem> {
    /// Beyond it one box does not stand for one community any more.
    const MOST: usize = 20_000;
    let id = typable(4).map_err(|error| failed(&error))?;
    let resident = record.checked(id, &shared.site())?;
    let (people, added) = (shared.state.people.clone(), resident.clone());
    let change = move |all: &mut Vec<Resident>| {
        let has_room = all.len() < MOST;
        all.extend(has_room.then_some(added));
        Ok(has_room)
    };
    let is_added = shared.ask(move || residents::update(&people.data_dir, change)).await?;
    if !is_added.map_err(|error| failed(&error))? {
        return Err(Problem::conflict("enough", format!("there are {MOST} records"), "delete those who have left"));
    }
    Ok((StatusCode::CREATED, Json(resident)))
}

/// Answers `PUT /residents/{id}`.
pub(super) async fn change(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    _who: Who,
    Sent(record): Sent<Record>,
) -> Result<Json<Resident>, Problem> {
    let resident = record.checked(id.clone(), &shared.site())?;
    let (people, changed) = (shared.state.people.clone(), resident.clone());
    let change = move |all: &mut Vec<Resident>| {
        let known = all.iter_mut().find(|one| one.id == changed.id);
        Ok(known.map(|known| *known = changed).is_some())
    };
    let was_there = shared.ask(move || residents::update(&people.data_dir, change)).await?;
    if was_there.map_err(|error| failed(&error))? { Ok(Json(resident)) } else { Err(no_resident(&id)) }
}

/// Answers `DELETE /residents/{id}`: at once, with a proof in the audit log.
pub(super) async fn delete(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    _who: Who,
) -> Result<StatusCode, Problem> {
    let (people, clock, wanted) = (shared.state.people.clone(), shared.state.clock, id.clone());
    let deleted = shared.ask(move || retention::delete_resident(&people.data_dir, clock, &wanted)).await?;
    if deleted.map_err(|error| failed(&error))? { Ok(StatusCode::NO_CONTENT) } else { Err(no_resident(&id)) }
}

async fn load(shared: &Shared) -> Result<Vec<Resident>, Problem> {
    let people = shared.state.people.clone();
    shared.ask(move || residents::load(&people.data_dir)).await?.map_err(|error| failed(&error))
}

fn no_resident(id: &str) -> Problem {
    Problem::not_found("no_resident", format!("no record has the id `{id}`"), "GET /api/v1/residents lists them")
}

fn failed(error: &anyhow::Error) -> Problem {
    tracing::error!("the residents' records: {error:#}");
    let mend = "an admin sees in the log what is wrong in residents.toml";
    Problem::unavailable("unreadable", "the residents' records cannot be read or written", mend)
}
