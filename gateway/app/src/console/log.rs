//! How much the gateway logs, changed while it runs.

use axum::Json;
use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::body::Sent;
use super::gate::Who;
use super::problem::Problem;
use crate::logging::{self, Changed, Level};

/// A log that says more fills the disk.
const MOST_MINUTES: u64 = 60;

/// `GET /log`
#[derive(Debug, Serialize)]
pub(super) struct Log {
    /// `null`: as the start has it.
    changed: Option<Changed>,
}

/// `PUT /log`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    level: Level,
    minutes: u64,
}

/// Answers `GET /log`.
pub(super) async fn look(_who: Who) -> Json<Log> {
    Json(Log { changed: logging::changed() })
}

/// Answers `PUT /log`: for a while, then it is as usual by itself.
pub(super) async fn change(_who: Who, Sent(wanted): Sent<Wanted>) -> Result<Json<Log>, Problem> {
    if !(1..=MOST_MINUTES).contains(&wanted.minutes) {
        return Err(Problem::bad(
            format!("`minutes` is {}", wanted.minutes),
            format!("give 1 to {MOST_MINUTES}; it goes back by itself"),
        ));
    }
    let changed = logging::change(wanted.level, Duration::from_secs(wanted.minutes * 60));
    Ok(Json(Log { changed }))
}
