//! Whether the gateway is well, in words, and its metrics.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

use ninewatch_core::ailment::Ailment;
use ninewatch_core::alert::Text;

use super::Shared;
use super::gate::{MaybeWho, Who};
use crate::health;
use crate::metrics::header as introduce;

/// How well something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Wellness {
    Ok,
    Degraded,
    Down,
}

/// `GET /health`
#[derive(Debug, Serialize)]
struct Health {
    status: Wellness,
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<Vec<PartView>>,
}

/// A part of the gateway.
#[derive(Debug, Serialize)]
struct PartView {
    name: String,
    status: Wellness,
    /// What is wrong, where something is.
    text: Option<Text>,
    /// What else it tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    says: Option<Text>,
}

impl PartView {
    fn new(name: String, ails: &[(Ailment, Text)]) -> Self {
        let status = ails.iter().map(|(ailment, _)| wellness(*ailment)).max().unwrap_or(Wellness::Ok);
        let all = |pick: fn(&Text) -> &str, between: &str| {
            let texts: Vec<&str> = ails.iter().map(|(_, text)| pick(text)).collect();
            texts.join(between)
        };
        let text = Text { zh: all(|text| &text.zh, "；"), en: all(|text| &text.en, "; ") };
        Self { name, status, text: (!ails.is_empty()).then_some(text), says: None }
    }

    fn engine(failed: Option<Text>) -> Self {
        let status = if failed.is_some() { Wellness::Down } else { Wellness::Ok };
        Self { name: "engine".into(), status, text: failed, says: None }
    }
}

/// What does not work at all is down; what works, and not as it should, is degraded.
fn wellness(ailment: Ailment) -> Wellness {
    match ailment {
        Ailment::UpstreamDown
        | Ailment::BrokerDown
        | Ailment::LineDown
        | Ailment::NodeSilent
        | Ailment::DiskFailed
        | Ailment::AuditFailed => Wellness::Down,
        _ => Wellness::Degraded,
    }
}

/// Whether the engine decides. Asked at most once a second, however many want to know.
#[derive(Default)]
pub(super) struct EngineHealth(Mutex<Option<(Instant, Option<Text>)>>);

const ASKED_LATELY: Duration = Duration::from_secs(1);
/// It answers in milliseconds, or something is wrong.
const ENGINE_ANSWERS: Duration = Duration::from_secs(5);

impl EngineHealth {
    /// What is wrong, where something is.
    async fn now(&self, shared: &Shared) -> Option<Text> {
        let mut last = self.0.lock().await;
        if let Some((_, health)) = last.as_ref().filter(|(at, _)| at.elapsed() < ASKED_LATELY) {
            return health.clone();
        }
        let health = match tokio::time::timeout(ENGINE_ANSWERS, shared.state.engine.devices()).await {
            Ok(Ok(_)) => None,
            Ok(Err(_)) => Some(Text {
                zh: "决策引擎已停止，网关正在退出".into(),
                en: "the engine has stopped, the gateway is ending".into(),
            }),
            Err(_) => Some(Text {
                zh: "决策引擎 5 秒内没有应答".into(),
                en: "the engine has not answered for 5 s".into(),
            }),
        };
        *last = Some((Instant::now(), health.clone()));
        health
    }
}

/// Every part, the engine first.
async fn parts(shared: &Shared) -> Vec<PartView> {
    let engine = PartView::engine(shared.engine_health.now(shared).await);
    let view = |part: Arc<dyn health::Part>| PartView { says: part.says(), ..PartView::new(part.name(), &part.ails()) };
    let others = health::all(&shared.state.parts).map(view);
    std::iter::once(engine).chain(others).collect()
}

/// Without its engine the gateway is down; without anything else it is less than it should be.
fn overall(parts: &[PartView]) -> Wellness {
    match parts.split_first() {
        Some((engine, others)) if engine.status == Wellness::Ok => {
            others.iter().map(|part| part.status).max().unwrap_or(Wellness::Ok).min(Wellness::Degraded)
        }
        _ => Wellness::Down,
    }
}

/// How it is, as somebody is answered who is logged in.
pub(super) async fn told(shared: &Shared) -> serde_json::Value {
    let parts = parts(shared).await;
    serde_json::to_value(Health { status: overall(&parts), parts: Some(parts) }).unwrap_or_default()
}

/// Answers `GET /health`: the parts are for those who are logged in.
pub(super) async fn health(State(shared): State<Arc<Shared>>, MaybeWho(who): MaybeWho) -> Response {
    let parts = parts(&shared).await;
    let status = overall(&parts);
    let code = if status == Wellness::Down { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (code, Json(Health { status, parts: who.map(|_| parts) })).into_response()
}

/// Answers `GET /metrics`, for Prometheus.
pub(super) async fn metrics(State(shared): State<Arc<Shared>>, _: Who) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], rendered(&shared).await).into_response()
}

/// All metrics, in Prometheus' text format.
pub(super) async fn rendered(shared: &Shared) -> String {
    let mut out = shared.state.counters.render();
    for part in &shared.state.parts {
        part.metrics(&mut out);
    }
    introduce(&mut out, "ninewatch_part_up", "gauge", "1 where a part of the gateway is as it should be.");
    for part in parts(shared).await {
        let up = u8::from(part.status == Wellness::Ok);
        let _ = writeln!(out, "ninewatch_part_up{{part=\"{}\"}} {up}", part.name);
    }
    health::metrics(&shared.state.parts, &mut out);
    let name = "ninewatch_console_sessions";
    introduce(&mut out, name, "gauge", "Open sessions of browsers.");
    let _ = writeln!(out, "{name} {}", shared.sessions.count(Instant::now()));
    by_family(&out)
}

/// Puts the samples of each family together under one introduction, as the format wants it, though
/// several parts give the same family.
fn by_family(text: &str) -> String {
    let mut families: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut current = 0;
    for line in text.lines() {
        let name = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE "));
        if let Some(name) = name.and_then(|rest| rest.split(' ').next()) {
            current = families.iter().position(|(family, _)| *family == name).unwrap_or(families.len());
            if current == families.len() {
                families.push((name, Vec::new()));
            }
        }
        if let Some((_, lines)) = families.get_mut(current)
            && !(line.starts_with('#') && lines.contains(&line))
        {
            lines.push(line);
        }
    }
    let mut out = String::with_capacity(text.len());
    for line in families.iter().flat_map(|(_, lines)| lines) {
        out.push_str(line);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_introduced_once_whoever_gives_it() {
        let part = |name: &str, value: u8| {
            format!("# HELP sent_total Sent.\n# TYPE sent_total counter\nsent_total{{upstream=\"{name}\"}} {value}\n")
        };
        let text = format!("{}# HELP up Up.\n# TYPE up gauge\nup 1\n{}", part("city", 3), part("county", 4));
        let expected = "# HELP sent_total Sent.\n# TYPE sent_total counter\n\
                        sent_total{upstream=\"city\"} 3\nsent_total{upstream=\"county\"} 4\n\
                        # HELP up Up.\n# TYPE up gauge\nup 1\n";
        assert_eq!(by_family(&text), expected);
    }

    #[test]
    fn only_the_engine_can_take_the_gateway_down() {
        let text = || Text { zh: "坏".into(), en: "bad".into() };
        let parts = |engine, ails: &[(Ailment, Text)]| {
            overall(&[PartView::engine(engine), PartView::new("upstream:city".into(), ails)])
        };
        let (down, behind) = ((Ailment::UpstreamDown, text()), (Ailment::UpstreamBehind, text()));
        assert_eq!(parts(None, &[]), Wellness::Ok);
        assert_eq!(parts(None, std::slice::from_ref(&down)), Wellness::Degraded);
        assert_eq!(parts(Some(text()), &[]), Wellness::Down);
        let both = PartView::new("upstream:city".into(), &[behind, down]);
        assert_eq!((both.status, both.text.unwrap().en.as_str()), (Wellness::Down, "bad; bad"));
    }
}
