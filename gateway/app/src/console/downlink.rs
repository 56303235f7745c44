//! Messages down to a device: a siren to switch on, an interval to change.

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

use ninewatch_core::site::is_id;

use super::Shared;
use super::body::Sent;
use super::gate::Who;
use super::problem::Problem;

/// What a device is told.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Message {
    /// A level below `ninewatch/{id}/downlink`; none for that topic itself.
    to: String,
    /// A text goes as it is, anything else as JSON.
    payload: Value,
}

/// What became of it.
#[derive(Debug, Serialize)]
pub(super) struct Sending {
    /// Handed to a connection of the device. Whether the device heeds it, its next reading tells.
    sent: bool,
}

impl Sending {
    /// It was handed over.
    pub(super) const fn done() -> Self {
        Self { sent: true }
    }
}

/// `POST /devices/{id}/downlink`
pub(super) async fn send(
    State(shared): State<Arc<Shared>>,
    Path(device): Path<String>,
    who: Who,
    Sent(message): Sent<Message>,
) -> Result<Json<Sending>, Problem> {
    let site = shared.site();
    if site.registry.device(&device).is_none_or(|device| !who.rights.sees_place(&site, &device.place)) {
        return Err(Problem::no_device(&device));
    }
    if !message.to.is_empty() && !is_id(&message.to) {
        return Err(Problem::bad("`to` is not a topic level", "use 1 to 64 of A-Z a-z 0-9 . _ -"));
    }
    let payload = match message.payload {
        Value::String(text) => text.into_bytes(),
        Value::Null => return Err(Problem::bad("`payload` is missing", "say what the device is told")),
        json => json.to_string().into_bytes(),
    };
    let sent =
        shared.state.downlinks.port.as_ref().is_some_and(|downlink| downlink.send(&device, &message.to, &payload));
    if !sent {
        return Err(Problem::conflict(
            "not_listening",
            format!("device `{device}` is not connected to the sensor port, or has not subscribed"),
            "it subscribes to ninewatch/{id}/downlink; a message is not kept for later",
        ));
    }
    tracing::info!(account = who.account(), device, "sent a message down");
    Ok(Json(Sending::done()))
}
