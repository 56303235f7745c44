//! Logging in and out with a browser, and who one is.

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Instant;

use ninewatch_core::time::{TimeMs, UtcOffset};

use super::body::Sent;
use super::gate::{self, Who};
use super::problem::Problem;
use super::rights::{Rights, Role};
use super::{Peer, Shared};
use crate::audit::Importance;

/// Name and password, as a person gives them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Credential {
    account: String,
    password: String,
}

/// Who is logged in, and where.
#[derive(Debug, Serialize)]
pub(super) struct Session {
    account: String,
    role: Role,
    /// Of a grid member.
    grids: Arc<[String]>,
    /// What the account may do, as method and path.
    may: Vec<String>,
    #[serde(flatten)]
    here: Here,
}

/// Which gateway this is, and what time it is there.
#[derive(Debug, Serialize)]
pub(super) struct Here {
    gateway: String,
    now_ms: TimeMs,
    /// How many of its milliseconds pass in a real one: 1, but in a demo.
    speed: f64,
    utc_offset: UtcOffset,
}

impl Here {
    pub(super) fn of(shared: &Shared) -> Self {
        let state = &shared.state;
        let settings = state.settings.borrow();
        Self {
            gateway: settings.gateway.clone(),
            now_ms: state.clock.now_ms(),
            speed: state.clock.speed(),
            utc_offset: settings.utc_offset,
        }
    }
}

impl Session {
    fn of(shared: &Shared, account: &str, rights: &Rights) -> Json<Self> {
        Json(Self {
            account: account.to_owned(),
            role: rights.role,
            grids: rights.grids.clone(),
            may: rights.may(),
            here: Here::of(shared),
        })
    }
}

/// `GET /session`
pub(super) async fn who(State(shared): State<Arc<Shared>>, who: Who) -> Json<Session> {
    Session::of(&shared, who.account(), &who.rights)
}

/// `POST /session`
pub(super) async fn begin(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    Sent(credential): Sent<Credential>,
) -> Result<Response, Problem> {
    let from = peer.address.ip();
    let login = gate::log_in(&shared, &credential.account, &credential.password, from, false).await?;
    let login = login.ok_or_else(Problem::wrong_password)?;
    let rights = shared.state.accounts.rights(&login).ok_or_else(Problem::wrong_password)?;
    let account = login.account.clone();
    let cookie = shared.sessions.begin(login, peer.is_tls, Instant::now()).await.map_err(no_session)?;
    tracing::info!(%account, address = %from, "logged in");
    gate::note_log_in(&shared, &account, from, "ok", Importance::Action).await;
    Ok(([(header::SET_COOKIE, cookie)], Session::of(&shared, &account, &rights)).into_response())
}

/// `DELETE /session`
pub(super) async fn end(State(shared): State<Arc<Shared>>, who: Who) -> Result<Response, Problem> {
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Some(session) = &who.session {
        let cookie: HeaderValue = shared.sessions.end(session).await.map_err(no_session)?;
        response.headers_mut().insert(header::SET_COOKIE, cookie);
        tracing::info!(account = who.account(), "logged out");
    }
    Ok(response)
}

fn no_session(error: anyhow::Error) -> Problem {
    Problem::unavailable("no_session", format!("{error:#}"), "try again")
}
