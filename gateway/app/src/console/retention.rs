//! What is held of persons and how long, and the proofs of what was deleted.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::sync::Arc;

use ninewatch_core::time::TimeMs;

use super::Shared;
use super::gate::Who;
use super::problem::Problem;
use crate::people::retention::{self, Kind, Proof};

/// `GET /retention`
#[derive(Debug, Serialize)]
pub(super) struct Retention {
    rules: Vec<Rule>,
    /// The newest, oldest first.
    proofs: Vec<Proof>,
}

/// How long a kind is kept, and what is there of it.
#[derive(Debug, Serialize)]
struct Rule {
    kind: Kind,
    keeps_ms: i64,
    held: usize,
    /// When the next of them is over.
    next_ms: Option<TimeMs>,
}

/// Answers `GET /retention`.
pub(super) async fn look(State(shared): State<Arc<Shared>>, _who: Who) -> Result<Json<Retention>, Problem> {
    const PROOFS: usize = 50;
    let people = shared.state.people.clone();
    let look = move || -> anyhow::Result<Retention> {
        let rule = |kind: Kind| {
            let keeps_ms = kind.keeps(&people.config).ms();
            let held = retention::held(&people.data_dir, kind)?;
            let next_ms = held.iter().filter_map(|one| one.since_ms).min().map(|since| since.saturating_add(keeps_ms));
            anyhow::Ok(Rule { kind, keeps_ms, held: held.len(), next_ms })
        };
        let rules = Kind::ALL.into_iter().map(rule).collect::<anyhow::Result<_>>()?;
        Ok(Retention { rules, proofs: retention::proofs(&people.data_dir, PROOFS)? })
    };
    let looked = shared.look_back_at(look).await?.map_err(|error| {
        tracing::error!("what is held of persons cannot be read: {error:#}");
        Problem::unavailable("unreadable", "what is held of persons cannot be read", "try again; the log says more")
    })?;
    Ok(Json(looked))
}
