//! Plans: a picture laid under each grid's places, and where on it each place stands.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

use ninewatch_core::site::PlaceKind;

use super::Shared;
use super::body::Sent;
use super::gate::Who;
use super::kept::Kept;
use super::problem::Problem;
use super::rights::{self, OfPeople};
use crate::private::{self, hex};

/// In the data folder: the list, and the folder of the pictures.
pub(crate) const PLANS: &str = "plans.json";
pub(crate) const PICTURES: &str = "plans";

/// A floor plan or a map of a few streets; a phone's photograph is about as large.
pub(super) const LARGEST_PICTURE: usize = 4 << 20;

/// One grid's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// The picture's media type, and the file that it is in.
    picture: Option<Picture>,
    /// By place, from the left and from the top, 0 to 1 of the picture.
    positions: BTreeMap<String, Position>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Picture {
    kind: Kind,
    file: String,
}

/// Where a place stands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Position {
    x: f64,
    y: f64,
}

/// What a picture is, by its first bytes. No SVG: that can hold scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Png,
    Jpeg,
}

impl Kind {
    fn of(bytes: &[u8]) -> Option<Self> {
        // PNG (W3C), 5.2; JPEG (T.81), B.1.1.3: SOI and the marker behind it.
        match bytes {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Some(Self::Png),
            [0xFF, 0xD8, 0xFF, ..] => Some(Self::Jpeg),
            _ => None,
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
        }
    }
}

/// By grid.
pub(super) type Plans = Kept<BTreeMap<String, Plan>>;

/// `GET /plans`
#[derive(Debug, Serialize)]
pub(super) struct List {
    plans: Vec<PlanView>,
}

#[derive(Debug, Serialize)]
struct PlanView {
    grid: String,
    /// What tells this picture from another; `null` where there is none.
    picture: Option<String>,
    positions: BTreeMap<String, Position>,
}

/// Answers `GET /plans`: those of the grids that one sees.
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    who: Who,
) -> Result<(Option<Extension<OfPeople>>, Json<List>), Problem> {
    let kept = shared.plans.clone();
    let plans = shared.ask(move || kept.look(Clone::clone)).await??;
    let site = shared.site();
    let seen = plans.into_iter().filter(|(grid, _)| who.rights.sees_grid(grid));
    let view = |(grid, mut plan): (String, Plan)| {
        // A place may have moved to another grid, or be gone.
        plan.positions.retain(|place, _| site.registry.place(place).is_some_and(|place| place.grid == grid));
        PlanView { grid, picture: plan.picture.map(|picture| picture.file), positions: plan.positions }
    };
    let plans: Vec<PlanView> = seen.map(view).collect();
    let is_home = |place: &String| site.registry.place(place).is_some_and(|place| place.kind == PlaceKind::Home);
    let shows_homes = plans.iter().any(|plan| plan.positions.keys().any(is_home));
    Ok((rights::of_people(shows_homes), Json(List { plans })))
}

/// Answers `GET /plans/{grid}/picture`.
pub(super) async fn picture(
    State(shared): State<Arc<Shared>>,
    Path(grid): Path<String>,
    who: Who,
) -> Result<Response, Problem> {
    let no_picture =
        || Problem::not_found("no_plan_picture", "this grid has no picture", "GET /api/v1/plans lists them");
    if !who.rights.sees_grid(&grid) {
        return Err(no_picture());
    }
    let (kept, dir) = (shared.plans.clone(), shared.state.accounts.data_dir().join(PICTURES));
    let read = move || -> Result<_, Problem> {
        let picture = kept.look(|plans| plans.get(&grid).and_then(|plan| plan.picture.clone()))?;
        let picture = picture.ok_or_else(no_picture)?;
        let bytes = std::fs::read(dir.join(&picture.file)).map_err(|error| {
            Problem::unavailable("not_readable", format!("the picture cannot be read: {error}"), "send it anew")
        })?;
        Ok((picture.kind, bytes))
    };
    let (kind, bytes) = shared.ask(read).await??;
    Ok(([(header::CONTENT_TYPE, kind.media_type())], bytes).into_response())
}

/// Answers `PUT /plans/{grid}/picture`.
pub(super) async fn put_picture(
    State(shared): State<Arc<Shared>>,
    Path(grid): Path<String>,
    sent: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Problem> {
    let bytes = sent.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(LARGEST_PICTURE),
        _ => Problem::bad(rejection.body_text(), "send the whole picture"),
    })?;
    known(&shared, &grid)?;
    let kind = Kind::of(&bytes).ok_or_else(|| {
        Problem::bad("this is neither a PNG nor a JPEG picture", "send one of these; an SVG can hold scripts")
    })?;
    let file = hex(digest(&SHA256, &bytes).as_ref().get(..16).unwrap_or_default());
    let (kept, dir) = (shared.plans.clone(), shared.state.accounts.data_dir().join(PICTURES));
    let put = move || -> Result<(), Problem> {
        let not_kept =
            |error: anyhow::Error| Problem::unavailable("not_kept", format!("{error:#}"), "make room on the disk");
        private::make_data_dir(&dir).map_err(not_kept)?;
        private::replace(&dir, &file, &bytes).map_err(not_kept)?;
        let before = kept.change(|plans| {
            let plan = plans.entry(grid).or_default();
            Ok(plan.picture.replace(Picture { kind, file: file.clone() }))
        })?;
        forget(&kept, &dir, before)
    };
    shared.ask(put).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// Answers `DELETE /plans/{grid}/picture`. Where the places stand is kept.
pub(super) async fn remove_picture(
    State(shared): State<Arc<Shared>>,
    Path(grid): Path<String>,
) -> Result<StatusCode, Problem> {
    let (kept, dir) = (shared.plans.clone(), shared.state.accounts.data_dir().join(PICTURES));
    let remove = move || -> Result<(), Problem> {
        let before = kept.change(|plans| Ok(plans.get_mut(&grid).and_then(|plan| plan.picture.take())))?;
        if before.is_none() {
            return Err(Problem::not_found(
                "no_plan_picture",
                "this grid has no picture",
                "GET /api/v1/plans lists them",
            ));
        }
        forget(&kept, &dir, before)
    };
    shared.ask(remove).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a picture's file, where no grid has it any more.
fn forget(kept: &Plans, dir: &std::path::Path, before: Option<Picture>) -> Result<(), Problem> {
    let Some(before) = before else { return Ok(()) };
    let is_used = |plan: &Plan| plan.picture.as_ref().is_some_and(|picture| picture.file == before.file);
    if !kept.look(|plans| plans.values().any(is_used))?
        && let Err(error) = std::fs::remove_file(dir.join(&before.file))
    {
        tracing::warn!(%error, file = before.file, "a picture that no plan has any more stays in the data folder");
    }
    Ok(())
}

/// Answers `PUT /plans/{grid}/positions/{place}`.
pub(super) async fn put_position(
    State(shared): State<Arc<Shared>>,
    Path((grid, place)): Path<(String, String)>,
    Sent(position): Sent<Position>,
) -> Result<StatusCode, Problem> {
    known(&shared, &grid)?;
    if shared.site().registry.place(&place).is_none_or(|known| known.grid != grid) {
        let detail = format!("no place `{place}` is in this grid");
        return Err(Problem::not_found("no_place", detail, "GET /api/v1/places lists them"));
    }
    if ![position.x, position.y].iter().all(|at| (0.0..=1.0).contains(at)) {
        return Err(Problem::bad("it stands beside the picture", "give x and y from 0 to 1"));
    }
    let kept = shared.plans.clone();
    let put = move |plans: &mut BTreeMap<String, Plan>| {
        plans.entry(grid).or_default().positions.insert(place, position);
        Ok(())
    };
    shared.ask(move || kept.change(put)).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// # Errors
/// Where no place is in the grid: a mistyped one would be kept for ever.
fn known(shared: &Shared, grid: &str) -> Result<(), Problem> {
    let is_known = shared.site().registry.places.iter().any(|place| place.grid == grid);
    let unknown =
        || Problem::not_found("no_grid", format!("no place is in a grid `{grid}`"), "GET /api/v1/places lists them");
    is_known.then_some(()).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn a_picture_is_known_by_its_first_bytes() {
        assert_eq!(Kind::of(b"\x89PNG\r\n\x1a\n\0\0"), Some(Kind::Png));
        assert_eq!(Kind::of(b"\xff\xd8\xff\xe0"), Some(Kind::Jpeg));
        for other in [&b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>"[..], b"GIF89a", b"\x89PNG", b""] {
            assert_eq!(Kind::of(other), None);
        }
    }
}
