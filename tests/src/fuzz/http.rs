//! What may be asked of the API: every route of its description, with all that can be wrong about a request.

use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Dice;

/// What a request can be made of.
pub struct Api {
    /// (path template, method, parameters in the query)
    routes: Vec<(String, String, Vec<String>)>,
    /// What stands for `{id}`, `{verb}`, `{name}`: what is there, and what is not.
    ids: Vec<String>,
    account: (String, String),
    /// A browser's session, if there is one.
    cookie: Option<String>,
    address: SocketAddr,
}

/// A request, and what is known of it.
pub struct Request {
    bytes: Vec<u8>,
    /// It is HTTP and whole: it must be answered.
    intact: bool,
    /// The answer never ends.
    endless: bool,
}

/// Longer than any answer may take.
const PATIENCE: Duration = Duration::from_secs(40);
/// What any answer but the live feed stays below.
const LONGEST: usize = 8 << 20;

impl Api {
    /// By its description; `ids` are of things that are there.
    ///
    /// # Errors
    /// Where the description has no routes.
    pub fn new(
        address: SocketAddr,
        description: &Value,
        mut ids: Vec<String>,
        account: (String, String),
    ) -> anyhow::Result<Self> {
        let mut routes = Vec::new();
        for (path, item) in description["paths"].as_object().context("paths")? {
            for (method, operation) in item.as_object().context("methods")? {
                let parameters = operation["parameters"].as_array().into_iter().flatten();
                let names = parameters.filter(|one| one["in"] == "query").filter_map(|one| one["name"].as_str());
                routes.push((path.clone(), method.to_uppercase(), names.map(str::to_owned).collect()));
            }
        }
        ensure!(routes.len() > 10, "the description has {} routes", routes.len());
        ids.extend(
            ["accept", "dispatch", "handle", "close", "01J00000000000000000000000", "..", "%2e%2e", "%00", "%ff", "家"]
                .map(String::from),
        );
        Ok(Self { routes, ids, account, cookie: None, address })
    }

    /// Logs in as a browser does. Says whether it could: who has tried wrong passwords waits.
    ///
    /// # Errors
    /// Where it is refused for another reason.
    pub async fn log_in(&mut self) -> anyhow::Result<bool> {
        let (account, password) = &self.account;
        let body = serde_json::json!({"account": account, "password": password}).to_string();
        let head = format!(
            "POST /api/v1/session HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        let request = Request { bytes: (head + &body).into_bytes(), intact: true, endless: false };
        let answer = request.send(self.address).await?;
        if request.judge(&answer)? == Came::To(429) {
            return Ok(false);
        }
        let text = String::from_utf8_lossy(&answer);
        let cookie = text.lines().find_map(|line| line.strip_prefix("set-cookie: "));
        let cookie = cookie.with_context(|| format!("no cookie in {text:.500}"))?;
        self.cookie = cookie.split(';').next().map(str::to_owned);
        Ok(true)
    }

    /// Makes a request.
    pub fn request(&self, dice: &mut Dice) -> Request {
        let (template, method, parameters) = dice.pick(&self.routes).clone();
        let method = if dice.once_in(8) {
            (*dice.pick(&["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"])).to_owned()
        } else {
            method
        };
        let mut path: Vec<String> = template
            .split('/')
            .map(|level| if level.starts_with('{') { dice.pick(&self.ids).clone() } else { level.to_owned() })
            .collect();
        if dice.once_in(12) {
            let at = dice.below(path.len());
            path[at] = (*dice.pick(&["..", "%2e%2e%2f", "", "index.html", "%c0%ae", "model"])).to_owned();
        }
        let mut target = path.join("/");
        if !target.starts_with('/') {
            target.insert(0, '/');
        }
        let query = self.query(dice, &parameters);
        if !query.is_empty() {
            target = format!("{target}?{query}");
        }
        // A changed byte in a password is a wrong password, and those are throttled: the rest would come to nothing but 429.
        let torn = dice.once_in(6);
        let mut intact = !torn;
        if target.chars().any(|character| !character.is_ascii_graphic()) {
            // No server has to take it.
            intact = false;
        }
        let body = self.body(dice);
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        for line in self.headers(dice, body.len(), &mut intact) {
            if torn && line.starts_with("authorization: Basic") {
                continue;
            }
            head.push_str(&line);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        let endless = template.ends_with("/events") && method == "GET";
        let mut bytes = [head.as_bytes(), &body].concat();
        if torn {
            for _ in 0..=dice.below(3) {
                dice.mutate(&mut bytes);
            }
        }
        Request { bytes, intact, endless }
    }

    fn query(&self, dice: &mut Dice, parameters: &[String]) -> String {
        let mut query = Vec::new();
        while dice.once_in(2) {
            let name = if parameters.is_empty() || dice.once_in(8) { "else" } else { dice.pick(parameters) };
            let any = dice.any().to_string();
            let values = [
                "",
                "1",
                "0",
                "-1",
                "501",
                "true",
                "raised",
                "fire",
                "critical",
                "1e999",
                "%00",
                "%e5%ae%b6",
                "18446744073709551616",
                &any,
                &self.ids[0],
            ];
            let value = dice.pick(&values);
            query.push(format!("{name}={value}"));
        }
        query.join("&")
    }

    fn body(&self, dice: &mut Dice) -> Vec<u8> {
        let id = dice.below(40);
        let mut body = match dice.below(9) {
            0 | 1 => Vec::new(),
            2 => format!("{{\"id\":\"a-{id}\",\"to\":\"张三\",\"note\":\"x\"}}").into_bytes(),
            3 => format!("{{\"id\":\"a-{id}\",\"verdict\":\"true_alarm\"}}").into_bytes(),
            4 => b"{\"payload\":{\"relay\":true},\"to\":\"set\"}".to_vec(),
            5 => b"{\"on\":\"true\",\"level\":1e308}".to_vec(),
            6 => "[".repeat(dice.below(15_000)).into_bytes(),
            7 => format!("{{\"note\":\"{}\"}}", "长".repeat(dice.below(8_000))).into_bytes(),
            _ => dice.bytes(200),
        };
        if dice.once_in(3) {
            dice.mutate(&mut body);
        }
        body
    }

    fn headers(&self, dice: &mut Dice, body: usize, intact: &mut bool) -> Vec<String> {
        let mut lines = vec![format!("host: {}", self.address), "connection: close".to_owned()];
        if body > 0 || dice.once_in(2) {
            lines.push(format!("content-length: {body}"));
        }
        if body > 0 && !dice.once_in(10) {
            lines.push(format!(
                "content-type: {}",
                dice.pick(&["application/json", "application/json; charset=utf-8", "text/plain", ""])
            ));
        }
        match dice.below(10) {
            0 => {}
            1 => lines.extend(self.cookie.iter().map(|cookie| format!("cookie: {cookie}"))),
            // Each costs the gateway an Argon2, and the throttle sees to it that they are few.
            2 if dice.once_in(400) => lines.push(basic(&self.account.0, &dice.any().to_string())),
            3 if dice.once_in(4) => lines.push(format!(
                "authorization: {}",
                dice.pick(&["Basic", "Basic ====", "Basic /w==", "Bearer x", "basic YQ=="])
            )),
            _ => lines.push(basic(&self.account.0, &self.account.1)),
        }
        if dice.once_in(3) {
            let own = format!("origin: http://{}", self.address);
            lines.push(
                dice.pick(&[
                    own,
                    "origin: http://evil.example".into(),
                    "origin: null".into(),
                    "sec-fetch-site: same-origin".into(),
                    "sec-fetch-site: cross-site".into(),
                ])
                .clone(),
            );
        }
        if dice.once_in(8) {
            lines.push(format!("last-event-id: {}", dice.pick(&["0", "-1", "x", "18446744073709551615"])));
        }
        if dice.once_in(20) {
            *intact = false;
            let long = "x".repeat(dice.below(600_000));
            lines.push(
                dice.pick(&[
                    format!("x-long: {long}"),
                    "content-length: 7".into(),
                    "transfer-encoding: chunked".into(),
                    "expect: 100-continue".into(),
                    "upgrade: h2c".into(),
                    "cookie: ninewatch_1=a; ninewatch_1=b".into(),
                ])
                .clone(),
            );
        }
        lines
    }
}

fn basic(account: &str, password: &str) -> String {
    format!(
        "authorization: Basic {}",
        base64::engine::general_purpose::STANDARD.encode(format!("{account}:{password}"))
    )
}

/// What a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Came {
    /// An answer with this status.
    To(u16),
    /// The connection was closed; only what is not intact may come to that.
    Nothing,
}

impl Request {
    async fn send(&self, at: SocketAddr) -> anyhow::Result<Vec<u8>> {
        let stream = timeout(PATIENCE, TcpStream::connect(at)).await.context("it takes no connection")??;
        let (mut reader, mut writer) = stream.into_split();
        let mut answer = Vec::new();
        let (intact, endless) = (self.intact, self.endless);
        let sending = async {
            // It may have had enough.
            let _ = writer.write_all(&self.bytes).await;
            if !intact {
                let _ = writer.shutdown().await;
            }
            writer
        };
        let reading = async {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(count @ 1..) = reader.read(&mut buffer).await {
                answer.extend(&buffer[..count]);
                ensure!(answer.len() <= LONGEST, "the answer is longer than {LONGEST} bytes");
                if endless && answer.windows(4).any(|window| window == b"\r\n\r\n") {
                    break;
                }
            }
            anyhow::Ok(())
        };
        let both = async { tokio::join!(sending, reading).1 };
        timeout(PATIENCE, both).await.context("it does not answer")??;
        Ok(answer)
    }

    /// Asks, and judges the answer.
    ///
    /// # Errors
    /// Where it is none that a server that is well may give.
    pub async fn ask(&self, at: SocketAddr) -> anyhow::Result<Came> {
        self.judge(&self.send(at).await?)
            .with_context(|| format!("asked {:?}", String::from_utf8_lossy(&self.bytes[..self.bytes.len().min(2_000)])))
    }

    fn judge(&self, answer: &[u8]) -> anyhow::Result<Came> {
        if answer.is_empty() {
            ensure!(!self.intact, "a whole request came to nothing");
            return Ok(Came::Nothing);
        }
        let text = String::from_utf8_lossy(answer);
        let status: u16 = text
            .strip_prefix("HTTP/1.1 ")
            .or_else(|| text.strip_prefix("HTTP/1.0 "))
            .and_then(|rest| rest.get(..3)?.parse().ok())
            .with_context(|| format!("not an answer: {text:.200}"))?;
        if status >= 500 {
            // Stated in the description: a part is down, or there is no room now. It says which.
            let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            let said: Value = serde_json::from_str(body).unwrap_or_default();
            if status != 503 || (said["code"].is_null() && said["status"].is_null()) {
                bail!("answered {text:.500}");
            }
        }
        Ok(Came::To(status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_a_server_may_not_give_are_told_from_others() {
        let request = |intact| Request { bytes: b"GET / HTTP/1.1\r\n\r\n".to_vec(), intact, endless: false };
        let judge = |answer: &str, intact| request(intact).judge(answer.as_bytes()).ok();
        assert_eq!(judge("HTTP/1.1 404 Not Found\r\n\r\n", true), Some(Came::To(404)));
        assert_eq!(judge("HTTP/1.1 500 Internal Server Error\r\n\r\n", false), None);
        assert_eq!(judge("HTTP/1.1 503 Service Unavailable\r\n\r\n", true), None, "it does not say what is down");
        let stated = "HTTP/1.1 503 Service Unavailable\r\n\r\n{\"code\":\"no_answer\"}";
        assert_eq!(judge(stated, true), Some(Came::To(503)));
        assert_eq!(judge("", true), None, "a whole request is answered");
        assert_eq!(judge("", false), Some(Came::Nothing));
        assert_eq!(judge("SSH-2.0", false), None);
    }
}
