//! The support bundle, from the console.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use std::sync::Arc;

use super::Shared;
use super::gate::Who;
use super::health;
use super::problem::Problem;
use crate::lang::Lang;
use crate::support::{self, Live};

/// `GET /support`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Wanted {
    lang: Lang,
}

/// Answers `GET /support`: a page that the browser keeps as a file.
pub(super) async fn bundle(
    State(shared): State<Arc<Shared>>,
    _: Who,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(Wanted { lang }) = wanted?;
    let Some(site_file) = shared.state.site_file.clone() else {
        let detail = "this gateway was not started with a site file";
        return Err(Problem::conflict("no_site_file", detail, "start it as `ninewatch run --site FILE`"));
    };
    let live = Live { health: health::told(&shared).await, metrics: health::rendered(&shared).await };
    let gathered =
        shared.look_back_at(move || support::gather(&site_file, Some(live), support::own_log(), lang)).await?;
    let bundle = gathered
        .map_err(|error| Problem::unavailable("no_bundle", format!("{error:#}"), "mend the file, then try again"))?;
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"ninewatch-support.html\""),
    ];
    Ok((headers, bundle.page()).into_response())
}
