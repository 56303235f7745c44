//! What one shift hands over to the next: written at the end of a shift, on the board until somebody of the next takes it
//! over by name.

use axum::Json;
use axum::extract::{Extension, Path, State};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use ninewatch_core::time::TimeMs;

use super::Shared;
use super::alerts::given_or_drawn;
use super::body::Sent;
use super::gate::Who;
use super::kept::Kept;
use super::problem::Problem;
use super::rights::{self, OfPeople};

/// In the data folder.
pub(crate) const HANDOVERS: &str = "handovers.json";

/// Kept for two shifts a day over half a year. The oldest go first, those that nobody has taken over last.
const KEPT: usize = 400;
const LONGEST_TEXT: usize = 4000;

/// A note from one shift to the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Handover {
    id: String,
    /// The shift that it is about.
    from_ms: TimeMs,
    to_ms: TimeMs,
    written_at_ms: TimeMs,
    by: String,
    text: String,
    /// Who of the next shift has taken it over, and when.
    accepted_by: Option<String>,
    accepted_at_ms: Option<TimeMs>,
}

/// Oldest first.
pub(super) type Handovers = Kept<Vec<Handover>>;

/// `GET /handovers`: newest first.
#[derive(Debug, Serialize)]
pub(super) struct List {
    handovers: Vec<Handover>,
}

/// One, as it is sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    id: Option<String>,
    from_ms: TimeMs,
    to_ms: TimeMs,
    text: String,
}

/// Nothing is sent to take it over.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// Answers `GET /handovers`.
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
) -> Result<(Option<Extension<OfPeople>>, Json<List>), Problem> {
    let kept = shared.handovers.clone();
    let handovers = shared.ask(move || kept.look(|list| list.iter().rev().cloned().collect::<Vec<_>>())).await??;
    // People write about people.
    Ok((rights::of_people(!handovers.is_empty()), Json(List { handovers })))
}

/// Answers `POST /handovers`. The same again, by its id, is kept once.
pub(super) async fn write(
    State(shared): State<Arc<Shared>>,
    who: Who,
    Sent(written): Sent<Written>,
) -> Result<Json<Handover>, Problem> {
    let text = written.text.trim().to_owned();
    if text.is_empty() || text.chars().count() > LONGEST_TEXT {
        return Err(Problem::bad("`text` is empty or too long", format!("write 1 to {LONGEST_TEXT} characters")));
    }
    if written.to_ms <= written.from_ms {
        return Err(Problem::bad("the shift is none", "give from_ms before to_ms"));
    }
    let id = given_or_drawn(written.id, "it")?;
    let handover = Handover {
        id,
        from_ms: written.from_ms,
        to_ms: written.to_ms,
        written_at_ms: shared.state.clock.now_ms(),
        by: who.account().to_owned(),
        text,
        accepted_by: None,
        accepted_at_ms: None,
    };
    let kept = shared.handovers.clone();
    let change = move |list: &mut Vec<Handover>| {
        if let Some(known) = list.iter().find(|known| known.id == handover.id) {
            return if known.by == handover.by && known.text == handover.text {
                Ok(known.clone())
            } else {
                Err(Problem::conflict("other_handover", "this id is another hand-over's", "give it an id of its own"))
            };
        }
        list.push(handover.clone());
        if list.len() > KEPT {
            let oldest = list.iter().position(|one| one.accepted_by.is_some()).unwrap_or(0);
            list.remove(oldest);
        }
        Ok(handover)
    };
    Ok(Json(shared.ask(move || kept.change(change)).await??))
}

/// Answers `POST /handovers/{id}/accept`. Whoever was first stands.
pub(super) async fn accept(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    who: Who,
    Sent(Nothing {}): Sent<Nothing>,
) -> Result<Json<Handover>, Problem> {
    let (kept, now, by) = (shared.handovers.clone(), shared.state.clock.now_ms(), who.account().to_owned());
    let change = move |list: &mut Vec<Handover>| {
        let Some(handover) = list.iter_mut().find(|one| one.id == id) else {
            let detail = format!("no hand-over has the id `{id}`");
            return Err(Problem::not_found("no_handover", detail, "GET /api/v1/handovers lists them"));
        };
        if handover.accepted_by.is_none() {
            (handover.accepted_by, handover.accepted_at_ms) = (Some(by), Some(now));
        }
        Ok(handover.clone())
    };
    Ok(Json(shared.ask(move || kept.change(change)).await??))
}
