//! How the API says no: RFC 9457 problem details, with a code to count by and what to do about it.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::time::Duration;

use super::rights::Role;
use crate::engine::Stopped;
use crate::people::Refusal;

/// A refused request.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    mend: String,
    also: Also,
}

/// A header that some problems carry.
#[derive(Debug)]
enum Also {
    Nothing,
    /// `WWW-Authenticate`
    Challenge(&'static str),
    /// `Retry-After`, in seconds
    RetryAfter(u64),
    /// No header: which field of what was sent it is about.
    Field(&'static str),
}

/// On the answer: the problem's code, for the audit log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Code(pub(super) &'static str);

/// What of it is sent.
#[derive(Serialize)]
struct Details<'a> {
    status: u16,
    /// From a short fixed list: pages translate by it.
    code: &'a str,
    title: &'a str,
    detail: &'a str,
    mend: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

impl Problem {
    fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { status, code, title, detail: detail.into(), mend: mend.into(), also: Also::Nothing }
    }

    /// 400: what was sent is not right.
    pub(super) fn bad(detail: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", "The request is not right", detail, mend)
    }

    /// 400: one field of what was sent is not right.
    pub(super) fn field(field: &'static str, problem: &str, mend: impl Into<String>) -> Self {
        let detail = format!("`{field}`: {problem}");
        let mut problem = Self::new(StatusCode::BAD_REQUEST, "wrong_field", "A field is not right", detail, mend);
        problem.also = Also::Field(field);
        problem
    }

    /// 401: nobody is logged in. `challenge` is what the `WWW-Authenticate` header asks for.
    pub(super) fn unauthorized(challenge: &'static str) -> Self {
        let mut problem = Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "Log-in needed",
            "there is no valid credential in the request",
            "log in with POST /api/v1/session, or send HTTP Basic; `ninewatch account` makes accounts",
        );
        problem.also = Also::Challenge(challenge);
        problem
    }

    /// 401: the log-in form was not right. No challenge: it was answered already.
    pub(super) fn wrong_password() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "wrong_password",
            "Not logged in",
            "account and password do not belong together",
            "type them again; `ninewatch account password NAME` makes a new password",
        )
    }

    /// 403: a browser sent it for another site.
    pub(super) fn cross_site() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "cross_site",
            "Not from this site",
            "a change with a browser's session must come from the console's own pages",
            "open the console itself, or use HTTP Basic from a program",
        )
    }

    /// 403: it is for other roles.
    pub(super) fn wrong_role(role: Role) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "wrong_role",
            "Not for this role",
            format!("an account with the role `{}` may not do this", role.word()),
            "log in with an account that may; `ninewatch account role NAME ROLE` changes what one may do",
        )
    }

    /// 403: plain HTTP from another machine.
    pub(super) fn only_https() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "only_https",
            "Only by HTTPS",
            "to other machines this console speaks HTTPS",
            "ask https:// at the same port; /ca.crt is the CA to trust",
        )
    }

    /// 404: no such route.
    pub(super) fn no_route() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no_route",
            "There is nothing here",
            "this path leads nowhere",
            "GET /api/v1/openapi.json lists what there is",
        )
    }

    /// 404: no such thing.
    pub(super) fn not_found(code: &'static str, detail: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, "There is no such thing", detail, mend)
    }

    /// 405
    pub(super) fn wrong_method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "wrong_method",
            "Not by this method",
            "this path is there, but not for this method",
            "GET /api/v1/openapi.json lists what there is",
        )
    }

    /// 408: the request did not come, or was not answered, in time.
    pub(super) fn too_slow() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "too_slow",
            "It took too long",
            "the request was not complete, or not answered, in time",
            "try again; if it goes on, look at GET /api/v1/health",
        )
    }

    /// 409: not in this state.
    pub(super) fn conflict(code: &'static str, detail: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, "Not in this state", detail, mend)
    }

    /// 413
    pub(super) fn too_large(limit_bytes: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            "The request is too large",
            format!("the body is larger than {limit_bytes} bytes"),
            "send less",
        )
    }

    /// 404: for whoever asks there is no such device.
    pub(super) fn no_device(id: &str) -> Self {
        Self::not_found("no_device", format!("no device has the id `{id}`"), "GET /api/v1/devices lists them")
    }

    /// 503: whoever was to find it out has ended.
    pub(super) fn no_answer() -> Self {
        Self::unavailable("no_answer", "the question could not be answered", "try again")
    }

    /// 422: what was sent cannot be used for this.
    pub(super) fn unusable(code: &'static str, detail: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, "It cannot be used", detail, mend)
    }

    /// 429: more than is taken of one kind.
    pub(super) fn shed(code: &'static str, wait: Duration, mend: impl Into<String>) -> Self {
        let seconds = wait.as_secs().max(1);
        let detail = format!("more comes in than is taken; the next counts in {seconds} s");
        let mut problem = Self::new(StatusCode::TOO_MANY_REQUESTS, code, "Too many at once", detail, mend);
        problem.also = Also::RetryAfter(seconds);
        problem
    }

    /// 429: too many attempts to log in.
    pub(super) fn throttled(wait: Duration) -> Self {
        let seconds = wait.as_secs().max(1);
        let mut problem = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "throttled",
            "Too many attempts to log in",
            format!("this account or this address has tried wrong passwords; the next try counts in {seconds} s"),
            "wait, then try the right password; `ninewatch account password NAME` makes a new one",
        );
        problem.also = Also::RetryAfter(seconds);
        problem
    }

    /// 503: not now.
    pub(super) fn unavailable(code: &'static str, detail: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, "Not now", detail, mend)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, code, title, detail, mend, also } = self;
        let field = if let Also::Field(field) = also { Some(field) } else { None };
        let details = Details { status: status.as_u16(), code, title, detail: &detail, mend: &mend, field };
        let mut response = (status, Json(details)).into_response();
        response.extensions_mut().insert(Code(code));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match also {
            Also::Nothing | Also::Field(_) => None,
            Also::Challenge(challenge) => headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge)),
            Also::RetryAfter(seconds) => headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds)),
        };
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::TooMany(many) => {
                Self::conflict("enough", format!("there are {many} of them, and no more are taken"), "leave it out")
            }
            Refusal::Full => Self::unavailable(
                "people_full",
                "all that may be kept is kept",
                "call the desk; `people.photos_max_mib` in site.toml says how much it is",
            ),
            Refusal::DiskShort => Self::unavailable(
                "disk_short",
                "the disk has room left for alerts only",
                "call the desk; somebody has to free some disk",
            ),
            Refusal::Failed(error) => {
                tracing::error!("what belongs to a person could not be kept: {error:#}");
                Self::unavailable("not_kept", "it could not be written to the disk", "try again; the log says more")
            }
        }
    }
}

impl From<Stopped> for Problem {
    fn from(stopped: Stopped) -> Self {
        Self::unavailable("stopping", stopped.to_string(), "try again when it has started anew")
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad(rejection.body_text(), "GET /api/v1/openapi.json lists the parameters and their words")
    }
}
