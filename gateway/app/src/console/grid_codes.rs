//! The grids' codes and posters, for those who print and hang them.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use qrcodegen::{QrCode, QrCodeEcc};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::sync::Arc;

use ninewatch_core::time::TimeMs;

use super::Shared;
use super::gate::Who;
use super::problem::Problem;
use crate::people::grid_codes::{self, GridCode};

/// `GET /grids`
#[derive(Debug, Serialize)]
pub(super) struct Grids {
    grids: Vec<Grid>,
}

/// A grid, and since when its code is in force.
#[derive(Debug, Serialize)]
struct Grid {
    id: String,
    places: usize,
    code_since_ms: Option<TimeMs>,
}

/// Answers `GET /grids`.
pub(super) async fn list(State(shared): State<Arc<Shared>>, who: Who) -> Result<Json<Grids>, Problem> {
    let people = shared.state.people.clone();
    let codes = shared.ask(move || grid_codes::load(&people.data_dir)).await?.map_err(|error| failed(&error))?;
    let registry = &shared.site().registry;
    let grid = |id: &str| Grid {
        id: id.to_owned(),
        places: registry.places.iter().filter(|place| place.grid == id).count(),
        code_since_ms: codes.get(id).map(|code| code.since_ms),
    };
    let seen = registry.grids().into_iter().filter(|id| who.rights.sees_grid(id));
    Ok(Json(Grids { grids: seen.map(grid).collect() }))
}

/// A grid's code as its poster has it.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    grid: String,
    #[serde(flatten)]
    code: GridCode,
}

/// `GET /grids/{id}/code`
pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    who: Who,
) -> Result<Json<Shown>, Problem> {
    let code = code_of(&shared, &who, &id).await?;
    Ok(Json(Shown { grid: id, code }))
}

/// `POST /grids/{id}/code`
pub(super) async fn renew(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    who: Who,
) -> Result<Json<Shown>, Problem> {
    is_seen(&shared, &who, &id)?;
    let (people, now) = (shared.state.people.clone(), shared.state.clock.now_ms());
    let (grid, by) = (id.clone(), who.account().to_owned());
    let code = shared.ask(move || grid_codes::renew(&people.data_dir, &grid, &by, now)).await?;
    Ok(Json(Shown { grid: id, code: code.map_err(|error| failed(&error))? }))
}

/// `DELETE /grids/{id}/code`
pub(super) async fn revoke(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    who: Who,
) -> Result<StatusCode, Problem> {
    is_seen(&shared, &who, &id)?;
    let people = shared.state.people.clone();
    let grid = id.clone();
    let was_there = shared.ask(move || grid_codes::revoke(&people.data_dir, &grid)).await?;
    if was_there.map_err(|error| failed(&error))? { Ok(StatusCode::NO_CONTENT) } else { Err(no_grid_code(&id)) }
}

/// Under which name phones reach the console.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct At {
    pub(super) origin: String,
}

/// `GET /grids/{id}/code.svg`: the QR code of the poster.
pub(super) async fn picture(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    who: Who,
    at: Result<Query<At>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(At { origin }) = at?;
    let code = code_of(&shared, &who, &id).await?;
    // Behind the `#`, so that no browser sends the code along, and no log has it.
    let picture = code_of_address(&origin, &format!("/r#{}", code.code))?;
    Ok(([(header::CONTENT_TYPE, "image/svg+xml")], picture).into_response())
}

/// The QR code, as SVG, of what stands at a path under the address by which phones reach the console.
pub(super) fn code_of_address(origin: &str, path: &str) -> Result<String, Problem> {
    if !is_origin(origin) {
        return Err(Problem::bad(format!("`{origin}` is no origin"), "write https://host:port, without a path"));
    }
    let code = QrCode::encode_text(&format!("{origin}{path}"), QrCodeEcc::Quartile)
        .map_err(|_| Problem::bad("the address is too long for a code", "give the gateway a shorter name"))?;
    Ok(svg(&code))
}

fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']');
    host.is_some_and(|host| !host.is_empty() && host.len() <= 200 && host.bytes().all(is_sign))
}

/// ISO/IEC 18004 wants four modules of quiet around it.
const QUIET: i32 = 4;

/// The dark squares of a QR code, for whoever draws it.
#[derive(Debug, Serialize)]
pub(super) struct Squares {
    /// Of the whole, the quiet around it too.
    size: i32,
    /// As SVG has it.
    path: String,
}

impl Squares {
    pub(super) fn of(code: &QrCode) -> Self {
        let mut path = String::new();
        let all = (0..code.size()).flat_map(|y| (0..code.size()).map(move |x| (x, y)));
        for (x, y) in all.filter(|(x, y)| code.get_module(*x, *y)) {
            let _ = write!(path, "M{},{}h1v1h-1z", x + QUIET, y + QUIET);
        }
        Self { size: code.size() + 2 * QUIET, path }
    }
}

/// A QR code as a picture that is as large as it is made.
pub(crate) fn svg(code: &QrCode) -> String {
    let Squares { size, path } = Squares::of(code);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {size} {size}\" shape-rendering=\"crispEdges\">\
         <path fill=\"#fff\" d=\"M0,0h{size}v{size}h-{size}z\"/><path fill=\"#000\" d=\"{path}\"/></svg>"
    )
}

async fn code_of(shared: &Shared, who: &Who, id: &str) -> Result<GridCode, Problem> {
    is_seen(shared, who, id)?;
    let people = shared.state.people.clone();
    let codes = shared.ask(move || grid_codes::load(&people.data_dir)).await?;
    codes.map_err(|error| failed(&error))?.remove(id).ok_or_else(|| no_grid_code(id))
}

/// Whether there is such a grid, for whoever asks.
fn is_seen(shared: &Shared, who: &Who, id: &str) -> Result<(), Problem> {
    if shared.site().registry.grids().contains(id) && who.rights.sees_grid(id) {
        return Ok(());
    }
    Err(Problem::not_found("no_grid", format!("no place is in a grid `{id}`"), "GET /api/v1/grids lists them"))
}

fn no_grid_code(id: &str) -> Problem {
    Problem::not_found("no_grid_code", format!("the grid `{id}` has no code"), "POST /api/v1/grids/{id}/code makes one")
}

fn failed(error: &anyhow::Error) -> Problem {
    tracing::error!("the grids' codes: {error:#}");
    Problem::unavailable("unreadable", "the grids' codes cannot be read or written", "try again; the log says more")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_and_a_host_and_nothing_else() {
        for good in ["https://192.168.1.10:8443", "http://ninewatch.local", "https://[fd00::1]:8443"] {
            assert!(is_origin(good), "{good}");
        }
        for bad in
            ["", "https://", "ftp://a", "https://a/b", "https://a#b", "https://a?b", "javascript://a", "https://a b"]
        {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
