//! One request to a robot or a webhook: a connection of its own, HTTP/1.1, TLS by rustls. A channel speaks a few times a
//! minute, so nothing is kept open. Redirections are not followed: the address is a secret.

use anyhow::{Context, bail};
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, Response, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::pem;

/// From the name to the end of the answer. The console's own patience is 20 s.
const PATIENCE: Duration = Duration::from_secs(12);
/// An answer says in a line how it went; that of our own API may be a list of a thousand nodes.
const LARGEST_ANSWER: usize = 1 << 20;

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// How long the other side wants to be left alone.
    pub(super) retry_after: Option<Duration>,
    pub(crate) body: Vec<u8>,
}

/// POSTs JSON.
///
/// # Errors
/// Where no whole answer came. The message does not hold the address.
pub(super) async fn post(
    url: &Uri,
    ca: Option<&Path>,
    content_type: &str,
    headers: &[(&str, String)],
    body: Vec<u8>,
) -> anyhow::Result<Answer> {
    let asked = tokio::time::timeout(PATIENCE, ask(Method::POST, url, ca, content_type, headers, body));
    asked.await.unwrap_or_else(|_| bail!("no answer within {} s", PATIENCE.as_secs()))
}

/// Asks anything, without a limit of time.
///
/// # Errors
/// Where no whole answer came.
pub(crate) async fn ask(
    method: Method,
    url: &Uri,
    ca: Option<&Path>,
    content_type: &str,
    headers: &[(&str, String)],
    body: Vec<u8>,
) -> anyhow::Result<Answer> {
    let request = request(method, url, content_type, headers, body)?;
    over(url, ca, request, |answer| async move {
        let (parts, body) = answer.into_parts();
        let retry_after = parts.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let body = to_bytes(body, LARGEST_ANSWER).await.context("the answer cannot be read")?;
        Ok(Answer {
            status: parts.status,
            // The other form, a date, would need a clock that is right.
            retry_after: retry_after.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs),
            body: body.to_vec(),
        })
    })
    .await
}

/// GETs what may be large: `take` reads the answer as it comes.
///
/// # Errors
/// Where there is no answer, and what `take` says.
pub(crate) async fn fetch<T, F: Future<Output = anyhow::Result<T>>>(
    url: &Uri,
    ca: Option<&Path>,
    headers: &[(&str, String)],
    take: impl FnOnce(Response<Body>) -> F,
) -> anyhow::Result<T> {
    let request = request(Method::GET, url, "application/octet-stream", headers, Vec::new())?;
    over(url, ca, request, take).await
}

fn request(
    method: Method,
    url: &Uri,
    content_type: &str,
    headers: &[(&str, String)],
    body: Vec<u8>,
) -> anyhow::Result<Request<Body>> {
    let host = url.host().context("the address has no host")?;
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let authority = url.authority().map(|authority| authority.as_str()).unwrap_or(host);
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, authority)
        .header(header::CONTENT_TYPE, content_type)
        .header(header::USER_AGENT, concat!("ninewatch/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    request.body(Body::from(body)).map_err(|_| anyhow::anyhow!("the request cannot be made"))
}

/// Sends a request over a connection of its own.
async fn over<T, F: Future<Output = anyhow::Result<T>>>(
    url: &Uri,
    ca: Option<&Path>,
    request: Request<Body>,
    take: impl FnOnce(Response<Body>) -> F,
) -> anyhow::Result<T> {
    let host = url.host().context("the address has no host")?;
    let is_tls = url.scheme_str() == Some("https");
    let port = url.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let bare = host.trim_matches(['[', ']']);
    let stream = TcpStream::connect((bare, port)).await.with_context(|| format!("{bare}:{port} cannot be reached"))?;
    if is_tls {
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(pem::trusted(ca, bare)?)
            .with_no_client_auth();
        let name = ServerName::try_from(bare.to_owned()).context("the host has no name that a certificate can bear")?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        exchange(stream.with_context(|| format!("no TLS with {bare}"))?, request, take).await
    } else {
        exchange(stream, request, take).await
    }
}

async fn exchange<T, F: Future<Output = anyhow::Result<T>>>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Body>,
    take: impl FnOnce(Response<Body>) -> F,
) -> anyhow::Result<T> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let answered = async move { take(sender.send_request(request).await?.map(Body::new)).await };
    // The connection moves while the answer is waited for, and goes with it.
    tokio::pin!(answered);
    tokio::select! {
        answer = &mut answered => answer,
        ended = connection => match ended {
            Ok(()) => answered.await,
            Err(error) => Err(error).context("the connection broke"),
        },
    }
}
