//! The gate in front of every route: who asks, from where, and how long it may take.
//!
//! Closed unless opened: without a credential there is only what [`is_open`] says, with one what `rights` says of its role.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request as HttpRequest, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::credential::Login;
use super::problem::{Code, Problem};
use super::rights::{self, Log, Made, OfPeople, Rights, Rule};
use super::session::SessionKey;
use super::{Peer, Shared, assets};
use crate::audit::{Deed, Importance};

/// Somebody who proved to be who they are.
#[derive(Debug, Clone)]
pub(super) struct Who {
    pub(super) login: Login,
    pub(super) rights: Rights,
    /// `None` for a program that sends its password each time.
    pub(super) session: Option<SessionKey>,
}

impl Who {
    /// The account's name.
    pub(super) fn account(&self) -> &str {
        &self.login.account
    }

    /// Whether it is still so: not logged out, not removed, no new password, no other role. It counts as use.
    pub(super) fn is_still_in(&self, shared: &Shared) -> bool {
        let accounts = &shared.state.accounts;
        let is_in = |session| shared.sessions.touch(session, accounts, Instant::now()).is_some();
        self.session.as_ref().is_none_or(is_in) && accounts.rights(&self.login).as_ref() == Some(&self.rights)
    }
}

impl<S: Sync> FromRequestParts<S> for Who {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::unauthorized(challenge(&parts.headers)))
    }
}

/// For routes that answer more to those who are logged in.
pub(super) struct MaybeWho(pub(super) Option<Who>);

impl<S: Sync> FromRequestParts<S> for MaybeWho {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(parts.extensions.get::<Who>().cloned()))
    }
}

/// An answer that takes longer helps nobody. The live feed's answer is there at once; it then goes on.
const LONGEST_ANSWER: Duration = Duration::from_secs(20);

/// What may be had without a credential: the pages (which hold no data), and what is for anyone.
fn is_open(method: &Method, path: &str, rule: Option<&Rule>) -> bool {
    let is_page = || (method == Method::GET || method == Method::HEAD) && assets::is_page(path);
    rule.map_or_else(is_page, |rule| rule.lets(None))
}

/// Lets through who may, within the time there is.
pub(super) async fn gate(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let answered = tokio::time::timeout(LONGEST_ANSWER, async {
        let from = request.extensions().get::<Peer>().copied().ok_or_else(no_address)?;
        let who = identify(&shared, request.method(), request.headers(), from.address.ip()).await?;
        let (method, path) = (request.method(), request.uri().path());
        let rule = rights::rule_of(method, path);
        match who {
            None if is_open(method, path, rule) => {}
            None => return Err(Problem::unauthorized(challenge(request.headers()))),
            Some(who) => {
                // Where there is no rule there is no route either: that is said further in.
                let Some(rule) = rule else {
                    request.extensions_mut().insert(who);
                    return Ok(next.run(request).await);
                };
                let deed = Deed {
                    who: who.account().to_owned(),
                    from: from.address.ip().to_string(),
                    what: rule.name,
                    of: rule.named_in(path),
                    result: String::new(),
                };
                if !rule.lets(Some(who.rights.role)) {
                    let refused = Problem::wrong_role(who.rights.role);
                    // Not of what: who tries many ids is noted once.
                    let deed = Deed { of: String::new(), result: "wrong_role".into(), ..deed };
                    shared.state.audit.note(deed, Importance::Look).await;
                    return Err(refused);
                }
                request.extensions_mut().insert(who);
                let audit = shared.state.audit.clone();
                let done = async move {
                    let response = next.run(request).await;
                    if let Some((deed, importance)) = to_note(rule, deed, &response) {
                        // Before anybody hears that it was done.
                        audit.note(deed, importance).await;
                    }
                    response
                };
                if rule.log != Log::Always {
                    return Ok(done.await);
                }
                // It is carried through and noted also where whoever asked has gone, or does not wait so long.
                return tokio::spawn(done).await.map_err(|_| {
                    Problem::unavailable("stopping", "it is not known whether this was done", "look, and do it again")
                });
            }
        }
        Ok(next.run(request).await)
    });
    match answered.await {
        Ok(Ok(response)) => response,
        Ok(Err(problem)) => problem.into_response(),
        Err(_) => Problem::too_slow().into_response(),
    }
}

/// What the audit log gets of a request that was answered.
fn to_note(rule: &Rule, deed: Deed, response: &Response) -> Option<(Deed, Importance)> {
    let refused = response.extensions().get::<Code>().map(|code| code.0);
    let shows_people = response.extensions().get::<OfPeople>().is_some();
    let importance = match rule.log {
        Log::Always => Importance::Action,
        Log::People if shows_people => Importance::Look,
        Log::People | Log::Never => return None,
    };
    let of = response.extensions().get::<Made>().map_or(deed.of, |Made(of)| of.clone());
    Some((Deed { of, result: refused.unwrap_or("ok").to_owned(), ..deed }, importance))
}

/// Notes a log-in or a try of one. A name that is no account's is not noted: people type passwords there.
pub(super) async fn note_log_in(shared: &Shared, name: &str, address: IpAddr, result: &str, importance: Importance) {
    let who = if shared.state.accounts.knows(name) { name } else { "?" };
    let deed = Deed {
        who: who.to_owned(),
        from: address.to_string(),
        what: "session.begin",
        of: String::new(),
        result: result.to_owned(),
    };
    shared.state.audit.note(deed, importance).await;
}

/// Who asks, by Basic credential or session cookie; refused where a browser asks for another site.
async fn identify(
    shared: &Shared,
    method: &Method,
    headers: &HeaderMap,
    address: IpAddr,
) -> Result<Option<Who>, Problem> {
    let changes = !method.is_safe();
    let site = asking_site(headers);
    // Also with Basic: a browser sends a remembered password along by itself.
    if changes && site == Site::Other {
        return Err(Problem::cross_site());
    }
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let (name, password) = basic(value).ok_or_else(|| Problem::unauthorized(challenge(headers)))?;
        let login = log_in(shared, &name, &password, address, true).await?;
        let rights = login.as_ref().and_then(|login| shared.state.accounts.rights(login));
        return match login.zip(rights) {
            Some((login, rights)) => Ok(Some(Who { login, rights, session: None })),
            None => Err(Problem::unauthorized(challenge(headers))),
        };
    }
    let Some((session, login)) = shared.sessions.of(headers, &shared.state.accounts, Instant::now()) else {
        return Ok(None);
    };
    let Some(rights) = shared.state.accounts.rights(&login) else { return Ok(None) };
    // A cookie goes along by itself, so the request has to show that our own page made it. Browsers
    // state the origin of every request that is not a GET.
    if changes && site != Site::Own {
        return Err(Problem::cross_site());
    }
    Ok(Some(Who { login, rights, session: Some(session) }))
}

/// Puts a name and password to the proof, as often as the throttle allows.
pub(super) async fn log_in(
    shared: &Shared,
    name: &str,
    password: &str,
    address: IpAddr,
    remember: bool,
) -> Result<Option<Login>, Problem> {
    let accounts = &shared.state.accounts;
    let remembered = || if remember { accounts.remembered(name, password, Instant::now()) } else { None };
    if let Some(login) = remembered() {
        return Ok(Some(login));
    }
    let stopping = || Problem::unavailable("stopping", "nobody can log in now", "try again");
    let turn = accounts.turn().await.ok_or_else(stopping)?;
    // Who came first with the same credential has proved it for all.
    if let Some(login) = remembered() {
        return Ok(Some(login));
    }
    if let Err(wait) = shared.throttle.attempt(name, address, Instant::now()) {
        note_log_in(shared, name, address, "throttled", Importance::Look).await;
        return Err(Problem::throttled(wait));
    }
    let login = accounts.verify(name, password, turn).await;
    match &login {
        Some(login) => {
            shared.throttle.right(name, address, Instant::now());
            if remember {
                accounts.remember(login, password, Instant::now());
            }
        }
        None => {
            shared.state.status.refused();
            // Not the name: people type passwords there.
            tracing::warn!(%address, "a log-in was refused");
            note_log_in(shared, name, address, "wrong_password", Importance::Action).await;
        }
    }
    Ok(login)
}

fn no_address() -> Problem {
    Problem::unavailable("no_address", "the connection has no address", "connect by TCP")
}

/// `Basic` credentials (RFC 7617): name and password.
fn basic(value: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

/// Which site a browser says it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Site {
    Own,
    Other,
    /// No browser of these years.
    Unstated,
}

/// By Fetch Metadata where there is any (only over HTTPS and on loopback), else by `Origin` (RFC 6454).
fn asking_site(headers: &HeaderMap) -> Site {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if let Some(site) = text(HeaderName::from_static("sec-fetch-site")) {
        return if site == "same-origin" { Site::Own } else { Site::Other };
    }
    let Some(origin) = text(header::ORIGIN) else { return Site::Unstated };
    let origin_host = origin.split_once("://").map(|(_, host)| host);
    if origin_host.is_some() && origin_host == text(header::HOST) { Site::Own } else { Site::Other }
}

/// What a 401 asks for. A browser answers `Basic` with a dialog of its own, which is no use to our
/// pages: their requests carry `X-Requested-With`.
fn challenge(headers: &HeaderMap) -> &'static str {
    if headers.contains_key("x-requested-with") {
        "Session realm=\"ninewatch\""
    } else {
        "Basic realm=\"ninewatch\", charset=\"UTF-8\""
    }
}

/// The answer to plain HTTP from another machine. What changes something is not sent on: it would go in the clear again
/// before it came by TLS.
pub(super) fn to_https<B>(request: &HttpRequest<B>) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let place = host.and_then(|host| HeaderValue::from_str(&format!("https://{host}{path}")).ok());
    match place.filter(|_| request.method().is_safe()) {
        // Not for good: a browser must not keep somebody out who serves plain HTTP here later.
        Some(place) => {
            let no_store = HeaderValue::from_static("no-store");
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, place), (header::CACHE_CONTROL, no_store)])
                .into_response()
        }
        None => Problem::only_https().into_response(),
    }
}

/// On every answer, whoever gave it.
const SEALS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// Puts the security headers on; what says nothing else about being stored is not.
pub(super) async fn seal(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in SEALS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
