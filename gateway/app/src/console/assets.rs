//! The pages, out of the binary. They hold no data: that comes by the API.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use std::sync::Arc;

use super::Shared;
use super::problem::Problem;
use crate::private::hex;

/// `gateway/app/console`. In a debug build the files are read from disk each time.
#[derive(RustEmbed)]
#[folder = "console"]
#[exclude = "tests/*"]
#[exclude = "package.json"]
struct Pages;

/// Whether there is a page of this path.
pub(super) fn is_page(path: &str) -> bool {
    Pages::get(file(path)).is_some()
}

fn file(path: &str) -> &str {
    match path.strip_prefix('/') {
        Some("") => "index.html",
        // Short, because it stands in the code of each poster.
        Some("r") => "resident.html",
        Some(file) => file,
        None => path,
    }
}

/// Answers with the page of this path, or that there is none.
pub(super) async fn page(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let file = file(uri.path());
    let Some(page) = Pages::get(file) else { return Problem::no_route().into_response() };
    if !method.is_safe() {
        return Problem::wrong_method().into_response();
    }
    // Asked for anew each time, and answered with the file only where it is another: after an update
    // every page is of one version.
    let tag = format!("\"{}\"", hex(&page.metadata.sha256_hash()[..16]));
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let unchanged = known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag));
    let mut response =
        if unchanged { StatusCode::NOT_MODIFIED.into_response() } else { Response::new(Body::from(page.data)) };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(file)));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.extend(HeaderValue::from_str(&tag).ok().map(|tag| (header::ETAG, tag)));
    response
}

fn media_type(file: &str) -> &'static str {
    match file.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("webmanifest") => "application/manifest+json",
        _ => "application/octet-stream",
    }
}

/// Answers `GET /ca.crt`: what phones and PCs have to install. Whether it is the right one, its fingerprint tells, which is
/// shown on the box.
pub(super) async fn authority(State(shared): State<Arc<Shared>>) -> Response {
    match shared.tls.as_ref().and_then(|tls| tls.authority()) {
        Some(authority) => {
            ([(header::CONTENT_TYPE, "application/x-x509-ca-cert")], authority.pem().to_owned()).into_response()
        }
        None => Problem::not_found(
            "no_ca",
            "this console has no CA of its own",
            "it speaks plain HTTP, or with a certificate that somebody gave it",
        )
        .into_response(),
    }
}

/// The API's description, OpenAPI 3.1.
pub(super) const OPENAPI: &str = include_str!("openapi.json");

/// Answers `GET /openapi.json`.
pub(super) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}
