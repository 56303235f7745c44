//! How updates stand, and what an admin wants of them.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

use ninewatch_core::alert::Text;
use ninewatch_core::time::TimeMs;

use super::Shared;
use super::gate::Who;
use super::problem::Problem;
use crate::update::{self, Event, Track, Updates, Version, Wish};

/// `GET /update`
#[derive(Debug, Serialize)]
pub(super) struct Update {
    /// The version at work.
    version: Version,
    offered: Option<Version>,
    staged: Option<Version>,
    trial: Option<OnTrial>,
    /// Sensor types with rules, and models: `types`, `models`.
    content: BTreeMap<String, Content>,
    waits_for: Option<Text>,
    /// Why the last version was gone back from, or what was offered was refused.
    trouble: Option<Text>,
    /// Why the repository cannot be read.
    unreachable: Option<String>,
    looked_at_ms: Option<TimeMs>,
    wish: Option<Wish>,
    history: Vec<Event>,
}

/// A kind of what is no program.
#[derive(Debug, Serialize)]
struct Content {
    /// In force, besides what is built in.
    version: Option<Version>,
    offered: Option<Version>,
    staged: Option<Version>,
    on_trial: bool,
}

/// What a version on trial still has to show.
#[derive(Debug, Serialize)]
struct OnTrial {
    version: Version,
    starts: u32,
    ready: bool,
    lacks: Vec<Text>,
}

impl Content {
    fn of(track: Track) -> Self {
        let (version, on_trial) = (track.in_force().cloned(), track.trial.is_some());
        Self { version, offered: track.offered, staged: track.staged, on_trial }
    }
}

impl Update {
    fn of(updates: &Updates) -> Self {
        let state = updates.state();
        let trial = state.trial.map(|trial| OnTrial {
            version: trial.version,
            starts: trial.starts,
            ready: trial.ready,
            lacks: trial.lacks,
        });
        Self {
            version: update::version(),
            offered: state.offered,
            staged: state.staged,
            trial,
            content: state.content.into_iter().map(|(kind, track)| (kind, Content::of(track))).collect(),
            waits_for: state.waits_for,
            trouble: state.trouble.or(state.refused),
            unreachable: state.unreachable,
            looked_at_ms: state.looked_ms,
            wish: state.wish,
            history: state.history,
        }
    }
}

/// Answers `GET /update`.
pub(super) async fn show(State(shared): State<Arc<Shared>>, _who: Who) -> Json<Update> {
    Json(Update::of(&shared.state.updates))
}

/// Answers `POST /update/look`.
pub(super) async fn look(State(shared): State<Arc<Shared>>, _who: Who) -> Result<Json<Update>, Problem> {
    wish(shared, Wish::Look).await
}

/// Answers `POST /update/now`.
pub(super) async fn now(State(shared): State<Arc<Shared>>, _who: Who) -> Result<Json<Update>, Problem> {
    wish(shared, Wish::Now).await
}

/// Answers `POST /update/back`.
pub(super) async fn back(State(shared): State<Arc<Shared>>, _who: Who) -> Result<Json<Update>, Problem> {
    wish(shared, Wish::Back).await
}

/// The gateway does it within a second; this only asks.
async fn wish(shared: Arc<Shared>, wish: Wish) -> Result<Json<Update>, Problem> {
    let updates = shared.state.updates.clone();
    if !updates.is_followed() {
        let mend = "add [update] to site.toml; docs/update.md says how";
        return Err(Problem::conflict("no_updates", "this gateway takes no updates", mend));
    }
    let asked = tokio::task::spawn_blocking(move || updates.wish(wish).map(|()| Update::of(&updates))).await;
    let asked = asked.map_err(anyhow::Error::from).and_then(|asked| asked).map_err(|error| {
        tracing::error!("what is asked of updates cannot be written: {error:#}");
        Problem::unavailable(
            "unreadable",
            "what is known of updates cannot be read or written",
            "look at the disk: GET /api/v1/health",
        )
    })?;
    Ok(Json(asked))
}
