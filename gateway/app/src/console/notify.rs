//! The channels that tell people: how each is, and trying it out.

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use std::sync::Arc;

use ninewatch_core::time::TimeMs;

use super::Shared;
use super::downlink::Sending;
use super::gate::Who;
use super::problem::Problem;
use crate::notify::{Channel, Failure};

/// `GET /notify`
#[derive(Debug, Serialize)]
pub(super) struct Channels {
    channels: Vec<ChannelView>,
}

/// A channel and how it is.
#[derive(Debug, Serialize)]
struct ChannelView {
    name: String,
    kind: &'static str,
    /// A file stands in the place of its pin: nothing sounds.
    simulated: bool,
    status: &'static str,
    /// What the service said last, where something is wrong.
    error: Option<String>,
    /// Alerts that wait to be told.
    waiting: usize,
    /// When something was told last, since the gateway started.
    last_sent_ms: Option<TimeMs>,
}

impl From<&Arc<Channel>> for ChannelView {
    fn from(channel: &Arc<Channel>) -> Self {
        let trouble = channel.trouble();
        let status = match &trouble {
            None => "ok",
            Some(trouble) if trouble.refused => "refused",
            Some(_) => "failing",
        };
        Self {
            name: channel.name().to_owned(),
            kind: channel.config.kind.name(),
            simulated: channel.config.is_simulated(),
            status,
            error: trouble.map(|trouble| trouble.said),
            waiting: channel.waiting(),
            last_sent_ms: channel.last_sent_ms(),
        }
    }
}

/// Answers `GET /notify`.
pub(super) async fn list(State(shared): State<Arc<Shared>>, _: Who) -> Json<Channels> {
    Json(Channels { channels: shared.state.notify.channels.iter().map(ChannelView::from).collect() })
}

/// Answers `POST /notify/{name}/test`, when the service has.
pub(super) async fn test(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    who: Who,
) -> Result<Json<Sending>, Problem> {
    let channel = shared.state.notify.channel(&name).ok_or_else(|| {
        let mend = "GET /api/v1/notify lists them; they stand in site.toml as [[notify]]";
        Problem::not_found("no_channel", format!("no channel is called `{name}`"), mend)
    })?;
    let tested = channel.test().await;
    tracing::info!(account = who.account(), channel = name, taken = tested.is_ok(), "a channel was tried out");
    tested.map_err(|failure| {
        let mend = match failure {
            Failure::Throttled(..) => "the service takes no more for now: try again in a minute",
            Failure::Temporary(_) => "look at the network, then try again",
            Failure::Refused(_) => "look at the channel's address and secret in site.toml and the files that it names",
        };
        Problem::conflict("not_taken", failure.said(), mend)
    })?;
    Ok(Json(Sending::done()))
}
