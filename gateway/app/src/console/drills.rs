//! Drills: a marked alert that goes through everything that a real one does.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use ninewatch_core::alert::{Alert, AlertId, ChangeKind, Drill, DrillError, Scene, Severity};
use ninewatch_core::time::TimeMs;

use super::Shared;
use super::alerts;
use super::body::Sent;
use super::gate::Who;
use super::problem::Problem;
use crate::index::AlertRecord;
use crate::notify::Notification;

/// `POST /drills`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    place: String,
    #[serde(default = "fire")]
    scene: Scene,
    #[serde(default = "critical")]
    severity: Severity,
    #[serde(default)]
    siren: bool,
    note: Option<String>,
}

fn fire() -> Scene {
    Scene::Fire
}

fn critical() -> Severity {
    Severity::Critical
}

/// The drill's alert.
#[derive(Debug, Serialize)]
pub(super) struct Begun {
    alert: Alert,
}

/// Answers `POST /drills`, when the alert is durable.
pub(super) async fn begin(
    State(shared): State<Arc<Shared>>,
    who: Who,
    Sent(wanted): Sent<Wanted>,
) -> Result<Json<Begun>, Problem> {
    let Wanted { place, scene, severity, siren, note } = wanted;
    let note = alerts::note(note)?;
    let drill = Drill { place, scene, severity, siren, by: who.account().to_owned(), note };
    let begun = shared.state.engine.drill(drill).await?;
    let id = begun.map_err(|error| refused(&error))?;
    tracing::info!(account = who.account(), alert = %id, siren, "a drill begins");
    let alert = alerts::find(&shared, &who, id).await?.alert;
    Ok(Json(Begun { alert }))
}

/// How a drill went, in the report of a shift.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct DrillReport {
    alert: AlertId,
    number: u64,
    place: String,
    scene: Scene,
    severity: Severity,
    raised_at_ms: TimeMs,
    by: Option<String>,
    /// From its beginning until a channel had told it; `null` where none has.
    told_ms: Option<TimeMs>,
    accepted_ms: Option<TimeMs>,
    closed_ms: Option<TimeMs>,
    /// How many it climbed before it was accepted.
    rungs: u8,
}

impl DrillReport {
    pub(super) fn of(record: &AlertRecord, notifications: &[Notification]) -> Self {
        let alert = &record.alert;
        let since_raised = |at: TimeMs| (at - alert.raised_at_ms).max(0);
        let first = |kind: ChangeKind| record.standing().find(|step| step.kind == kind);
        let after = |kind: ChangeKind| first(kind).map(|step| since_raised(step.at_ms));
        let told = notifications.iter().filter(|one| one.was_told()).map(|one| one.at_ms).min();
        Self {
            alert: alert.id.clone(),
            number: alert.number,
            place: alert.place.clone(),
            scene: alert.scene,
            severity: alert.severity,
            raised_at_ms: alert.raised_at_ms,
            by: first(ChangeKind::Raised).and_then(|step| step.by.clone()),
            told_ms: told.map(since_raised),
            accepted_ms: after(ChangeKind::Accepted),
            closed_ms: after(ChangeKind::Closed),
            rungs: alert.escalation,
        }
    }
}

fn refused(error: &DrillError) -> Problem {
    let detail = error.to_string();
    match error {
        DrillError::NoPlace(_) => Problem::not_found("no_place", detail, "GET /api/v1/places lists them"),
        DrillError::NotOfPlaces => Problem::bad(detail, "name a scene of places, such as fire"),
        DrillError::StillOpen(_) => Problem::conflict("drill_open", detail, "close that one first"),
    }
}
