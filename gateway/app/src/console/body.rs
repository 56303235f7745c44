//! What a request's body says, as JSON; what is wrong with it, as a problem.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// A body is an action or a log-in, each a few short fields.
pub(super) const LARGEST: usize = 16 * 1024;

/// A JSON body. An empty one counts as `{}`.
pub(super) struct Sent<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_json = content_type.is_some_and(|value| {
            value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
        });
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(LARGEST),
            _ => Problem::bad(rejection.body_text(), "send the whole body"),
        })?;
        if !bytes.is_empty() && !is_json {
            return Err(Problem::bad("the body is not marked as JSON", "send it with Content-Type: application/json"));
        }
        let json: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(json)
            .map(Self)
            .map_err(|error| Problem::bad(error.to_string(), "GET /api/v1/openapi.json says which fields there are"))
    }
}
