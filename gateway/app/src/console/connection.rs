//! A connection to the console: plain HTTP, or HTTPS and beside it the way there.

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

use super::gate;
use super::tls::Tls;

/// From a connection, or the last answer on it, to the end of the next request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Where a request came from, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    pub(super) is_tls: bool,
}

/// Serves a connection to its end.
pub(super) async fn serve(
    stream: tokio::net::TcpStream,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    service: TowerToHyperService<Router>,
) {
    // Alerts are small and urgent.
    let _ = stream.set_nodelay(true);
    let served = match tls {
        None => serve_http(stream, Peer { address, is_tls: false }, service).await,
        Some(tls) => serve_https(stream, address, &tls, service).await,
    };
    if let Err(error) = served {
        tracing::trace!(from = %address, "a connection to the console ended: {error:#}");
    }
}

/// A TLS record that begins a handshake; no request of HTTP begins so.
const HANDSHAKE: u8 = 0x16;

/// Serves HTTPS, and on the same port plain HTTP: to the box itself, and to others the way to HTTPS.
pub(super) async fn serve_https(
    stream: tokio::net::TcpStream,
    address: SocketAddr,
    tls: &Tls,
    service: TowerToHyperService<Router>,
) -> anyhow::Result<()> {
    let mut first = [0];
    tokio::time::timeout(HEAD_TIMEOUT, stream.peek(&mut first)).await??;
    if first == [HANDSHAKE] {
        let local = stream.local_addr()?;
        let stream = tokio::time::timeout(HEAD_TIMEOUT, tls.accept(stream, local)).await??;
        return serve_http(stream, Peer { address, is_tls: true }, service).await;
    }
    if address.ip().to_canonical().is_loopback() {
        return serve_http(stream, Peer { address, is_tls: false }, service).await;
    }
    let to_https =
        service_fn(|request: Request<Incoming>| std::future::ready(Ok::<_, Infallible>(gate::to_https(&request))));
    Ok(http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), to_https)
        .await?)
}

async fn serve_http(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    service: TowerToHyperService<Router>,
) -> anyhow::Result<()> {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        service.call(request)
    });
    Ok(http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await?)
}
