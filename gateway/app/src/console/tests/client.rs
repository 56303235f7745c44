//! A browser or a program that talks to the console.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use base64::Engine as _;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::net::SocketAddr;
use tokio_stream::StreamExt;

use super::schema;

/// Who talks, and what goes along with each request.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) address: SocketAddr,
    pub(super) headers: Vec<(&'static str, String)>,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The problem's code, where it is one.
    pub(super) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json");
        self.json()["code"].as_str().unwrap().to_owned()
    }
}

impl Client {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, headers: Vec::new() }
    }

    /// The same, with one more header.
    pub(super) fn with(&self, name: &'static str, value: impl Into<String>) -> Self {
        let mut client = self.clone();
        client.headers.push((name, value.into()));
        client
    }

    /// The same, with HTTP Basic.
    pub(super) fn basic(&self, account: &str, password: &str) -> Self {
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{account}:{password}"));
        self.with("authorization", format!("Basic {encoded}"))
    }

    /// A browser on our own pages, logged in.
    pub(super) async fn browser(&self, account: &str, password: &str) -> Self {
        let login = serde_json::json!({"account": account, "password": password});
        let answer = self.as_page().send(Method::POST, "/api/v1/session", Some(&login)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
        self.as_page().with("cookie", cookie)
    }

    fn as_page(&self) -> Self {
        self.with("origin", format!("http://{}", self.address)).with("x-requested-with", "ninewatch")
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Sends a request, and holds the answer against the API's description.
    pub(super) async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let sent = body.map_or_else(Vec::new, |body| serde_json::to_vec(body).unwrap());
        let client = if body.is_some() { self.with("content-type", "application/json") } else { self.clone() };
        client.send_bytes(method, path, sent).await
    }

    pub(super) async fn send_bytes(&self, method: Method, path: &str, body: Vec<u8>) -> Answer {
        let (parts, body) = self.ask(method.clone(), path, body).await.into_parts();
        let body = axum::body::to_bytes(Body::new(body), usize::MAX).await.unwrap().to_vec();
        let answer = Answer { status: parts.status, headers: parts.headers, body };
        schema::check(&method, path, answer.status.as_u16(), answer.header("content-type"), &answer.body);
        answer
    }

    /// Only how it is answered, for answers that do not end.
    pub(super) async fn status(&self, method: Method, path: &str) -> StatusCode {
        self.ask(method, path, Vec::new()).await.status()
    }

    async fn ask(&self, method: Method, path: &str, body: Vec<u8>) -> axum::http::Response<Incoming> {
        let stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, self.address.to_string());
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        sender.send_request(request.body(Body::from(body)).unwrap()).await.unwrap()
    }

    /// Opens the live feed.
    pub(super) async fn listen(&self, query: &str) -> Feed {
        let answer = self.ask(Method::GET, &format!("/api/v1/events{query}"), Vec::new()).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Feed { body: Body::new(answer.into_body()).into_data_stream(), bytes: Vec::new() }
    }
}

/// A live feed that is open.
pub(super) struct Feed {
    body: axum::body::BodyDataStream,
    bytes: Vec<u8>,
}

/// One event.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) data: Value,
    pub(super) comment: bool,
}

impl Feed {
    /// The next event that is no sign of life; none where the feed ended.
    pub(super) async fn next(&mut self) -> Option<Heard> {
        loop {
            let heard = self.next_of_any().await?;
            if !heard.comment {
                return Some(heard);
            }
        }
    }

    /// The next event, or sign of life; none where the feed ended.
    pub(super) async fn next_of_any(&mut self) -> Option<Heard> {
        let block = loop {
            if let Some(end) = self.bytes.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.bytes.drain(..end + 2).collect();
                break String::from_utf8(block).unwrap();
            }
            let bytes: Bytes = self.body.next().await?.ok()?;
            self.bytes.extend_from_slice(&bytes);
        };
        let mut heard = Heard::default();
        for line in block.trim_end().lines() {
            match line.split_once(':').unwrap() {
                ("event", name) => heard.name = name.trim().to_owned(),
                ("id", id) => heard.id = id.trim().to_owned(),
                ("data", data) => heard.data = serde_json::from_str(data).unwrap(),
                ("", _) => heard.comment = true,
                other => panic!("{other:?}"),
            }
        }
        match heard.name.as_str() {
            "hello" => schema::check_as("Hello", &heard.data),
            "alert" => schema::check_as("AlertChange", &heard.data),
            _ => assert!(heard.comment, "{heard:?}"),
        }
        Some(heard)
    }

    /// The next change's number.
    pub(super) async fn seq(&mut self) -> u64 {
        let heard = self.next().await.unwrap();
        assert_eq!(heard.name, "alert");
        assert_eq!(heard.id, heard.data["seq"].to_string());
        heard.data["seq"].as_u64().unwrap()
    }
}
