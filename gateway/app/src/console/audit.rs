//! The audit log, for admins.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use ninewatch_core::time::TimeMs;

use super::Shared;
use super::problem::Problem;
use crate::audit::{self, Entry, Wanted};

/// Which entries are wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    since_ms: Option<TimeMs>,
    who: Option<String>,
    what: Option<String>,
    before: Option<u64>,
    limit: Option<usize>,
}

/// A page of the log, newest first.
#[derive(Debug, Serialize)]
pub(super) struct Entries {
    entries: Vec<Entry>,
    /// Where the log stands, as number and hash: noted elsewhere, it proves later what was there now.
    head: String,
    /// The `before` of the next page, where there may be one.
    next_before: Option<u64>,
}

/// Whether the log is as it was written.
#[derive(Debug, Serialize)]
pub(super) struct Checked {
    holds: bool,
    /// Where it stands, where it holds.
    head: Option<String>,
    /// The first thing that is not as it was written.
    found: Option<String>,
}

/// `GET /audit/check`: reads the whole log through.
pub(super) async fn check(State(shared): State<Arc<Shared>>) -> Result<Json<Checked>, Problem> {
    let data_dir = shared.state.accounts.data_dir().to_owned();
    let checked = shared.look_back_at(move || audit::verify(&data_dir, None)).await?;
    Ok(Json(match checked {
        Ok((head, _)) => Checked { holds: true, head: Some(head.shown()), found: None },
        Err(error) => Checked { holds: false, head: None, found: Some(format!("{error:#}")) },
    }))
}

const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1000;

/// `GET /audit`
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Entries>, Problem> {
    let Query(Asked { since_ms, who, what, before, limit }) = asked?;
    let limit = limit.unwrap_or(PAGE);
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(Problem::bad(format!("limit is {limit}"), format!("give 1 to {LARGEST_PAGE}")));
    }
    let wanted = Wanted { since_ms, who, what, before, limit };
    let data_dir = shared.state.accounts.data_dir().to_owned();
    let read = shared.ask(move || audit::read(&data_dir, &wanted)).await?;
    let (mut entries, head) = read.map_err(|error| {
        Problem::unavailable("no_audit", format!("{error:#}"), "`ninewatch audit verify` says what is wrong")
    })?;
    entries.reverse();
    let next_before = entries.last().filter(|_| entries.len() == limit).map(|entry| entry.seq);
    Ok(Json(Entries { entries, head: head.shown(), next_before }))
}
