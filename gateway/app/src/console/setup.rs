//! The set-up page: what there is to choose from, and what codes on devices say.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use ninewatch_core::alert::Text;
use ninewatch_core::reading::SensorClass;

use super::Shared;
use super::body::Sent;
use super::gate::Who;
use super::problem::Problem;
use crate::setup::{LARGEST_SIDE, Means, codes_in, meaning};

/// `GET /setup`
#[derive(Debug, Serialize)]
pub(super) struct Setup {
    gateway: String,
    version: &'static str,
    /// Where devices connect, by port.
    sensor_port: Option<u16>,
    sensor_port_tls: Option<u16>,
    types: Vec<TypeView>,
}

/// A sensor type to choose.
#[derive(Debug, Serialize)]
struct TypeView {
    id: String,
    class: SensorClass,
    label: Text,
    /// Where its devices publish.
    topics: Vec<String>,
}

/// Answers `GET /setup`.
pub(super) async fn look(State(shared): State<Arc<Shared>>, _who: Who) -> Json<Setup> {
    let site = shared.site();
    let types = site.sensor_types.iter().map(|sensor_type| TypeView {
        id: sensor_type.id.clone(),
        class: sensor_type.class,
        label: sensor_type.label.clone(),
        topics: sensor_type.topics().map(str::to_owned).collect(),
    });
    let (plain, tls) = shared.state.sensor_port;
    Json(Setup {
        gateway: shared.state.gateway.clone(),
        version: env!("CARGO_PKG_VERSION"),
        sensor_port: plain.map(|address| address.port()),
        sensor_port_tls: tls.map(|address| address.port()),
        types: types.collect(),
    })
}

/// A picture's size, in pixels.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Size {
    width: usize,
    height: usize,
}

/// `POST /setup/scan`
#[derive(Debug, Serialize)]
pub(super) struct Scanned {
    codes: Vec<Means>,
}

/// As many bytes as such a picture has.
pub(super) const LARGEST_PICTURE: usize = LARGEST_SIDE * LARGEST_SIDE;

/// Answers `POST /setup/scan`. The picture is looked at and let go: it may show people.
pub(super) async fn scan(
    State(shared): State<Arc<Shared>>,
    size: Result<Query<Size>, QueryRejection>,
    _who: Who,
    sent: Result<Bytes, BytesRejection>,
) -> Result<Json<Scanned>, Problem> {
    let Query(Size { width, height }) = size?;
    let gray = sent.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(LARGEST_PICTURE),
        _ => Problem::bad(rejection.body_text(), "send the whole picture"),
    })?;
    let sides = 1..=LARGEST_SIDE;
    if !sides.contains(&width) || !sides.contains(&height) || gray.len() != width * height {
        let detail = format!("{} bytes are no picture of {width} by {height} gray pixels", gray.len());
        return Err(Problem::bad(detail, format!("send one byte a pixel, at most {LARGEST_SIDE} a side")));
    }
    let codes = shared.look_back_at(move || codes_in(width, height, &gray)).await?;
    Ok(Json(Scanned { codes: codes.iter().map(|text| meaning(text)).collect() }))
}

/// A code that was typed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Typed {
    text: String,
}

/// Answers `POST /setup/code`: what a code says that a scanner at hand has read, or somebody has typed.
pub(super) async fn code(_who: Who, Sent(Typed { text }): Sent<Typed>) -> Json<Scanned> {
    Json(Scanned { codes: vec![meaning(&text)] })
}
