//! The rules in force: what each finds, how grave it is, and what to do then.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::sync::Arc;

use ninewatch_core::ailment::Ailment;
use ninewatch_core::alert::{Scene, Severity, Text};
use ninewatch_core::detect::Rule;

use super::Shared;

/// `GET /rules`
#[derive(Debug, Serialize)]
pub(super) struct RulesView {
    rules: Vec<RuleView>,
}

#[derive(Debug, Serialize)]
struct RuleView {
    id: String,
    title: Text,
    /// `null` where the device's class says it.
    scene: Option<Scene>,
    severity: Severity,
    /// Where its limits come from.
    source: String,
    response: Vec<Text>,
}

/// Answers `GET /rules`.
pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Json<RulesView> {
    let view = |rule: &Rule| RuleView {
        id: rule.id.to_string(),
        title: rule.title.clone(),
        scene: rule.scene,
        severity: rule.severity,
        source: rule.source.clone(),
        response: rule.response.clone(),
    };
    // What ails the gateway itself stands among an alert's rules, too.
    let of_gateway = |ailment: Ailment| RuleView {
        id: ailment.rule().to_owned(),
        title: ailment.title(),
        scene: Some(Scene::Operations),
        severity: ailment.severity(),
        source: "docs/health.md".to_owned(),
        response: vec![ailment.mend()],
    };
    let site = shared.site();
    let rules = site.rules.iter().map(view).chain(Ailment::ALL.into_iter().map(of_gateway));
    Json(RulesView { rules: rules.collect() })
}
