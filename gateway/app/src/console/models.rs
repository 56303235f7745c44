//! The models in use: how each is doing, what verdicts have taught it by place, and which versions are refused.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Shared;
use super::problem::Problem;
use crate::scorer::{ModelReport, Refused};

/// `GET /models`
#[derive(Debug, Serialize)]
pub(super) struct ModelsView {
    models: Vec<ModelView>,
    /// Versions that went astray here.
    refused: Vec<Refused>,
}

#[derive(Debug, Serialize)]
struct ModelView {
    #[serde(flatten)]
    report: ModelReport,
    /// By place, the threshold that verdicts have led to.
    learnt_thresholds: BTreeMap<String, f64>,
}

/// Answers `GET /models`.
pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Result<Json<ModelsView>, Problem> {
    let thresholds = shared.state.engine.thresholds().await?;
    let view = |report: ModelReport| {
        let learnt = thresholds.iter().filter(|learnt| learnt.model == report.name);
        let learnt_thresholds = learnt.map(|learnt| (learnt.place.clone(), learnt.threshold)).collect();
        ModelView { report, learnt_thresholds }
    };
    let serving = shared.state.models.clone();
    let (reports, refused) = shared.ask(move || (serving.watch().report(), serving.refused())).await?;
    let models = reports.into_iter().map(view).collect();
    Ok(Json(ModelsView { models, refused }))
}
