//! The services that the gateway notifies, played: each holds a request against its own documentation, signatures included,
//! and answers, refuses and throttles as the real one does. Written from the services' pages alone: HMAC included.

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Which service is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// 企业微信
    Wecom,
    /// 钉钉, with a signing secret
    Dingtalk,
    /// 飞书, with a signing secret
    Feishu,
    /// Standard Webhooks
    Webhook,
    /// A mail server, without TLS, that wants a log-in.
    Mail,
}

/// The robot's key, in its address.
pub const KEY: &str = "693a91f6-7aoc-4bc4-97a0-0ec2sifa5aaa";
/// What requests are signed with.
pub const SECRET: &str = "SECf00dcafe";
/// The same for a webhook: 32 bytes.
pub const WEBHOOK_SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
/// The mail server's log-in.
pub const MAIL: (&str, &str) = ("ninewatch", "mail-password");

/// What the service has seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Texts, or events as JSON, that were taken, in order.
    pub taken: Vec<String>,
    /// Whether everybody was called, for each of them.
    pub urgent: Vec<bool>,
    /// Whom each of them called: ids and telephone numbers.
    pub called: Vec<Vec<String>>,
    /// The ids under which they came, where there are any.
    pub ids: Vec<String>,
    /// What it answered to what it did not take.
    pub refused: Vec<String>,
    times: Vec<Instant>,
    /// Answers to give instead, each once.
    instead: Vec<Answer>,
    /// Break off before the answer, as a kill of the network would, and how often.
    hang_up: usize,
}

/// Status, headers, body.
type Answer = (u16, Vec<(String, String)>, String);

/// A service on loopback.
pub struct Played {
    service: Service,
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<(Mutex<Seen>, Condvar)>,
    listening: Option<Arc<TcpListener>>,
}

impl Played {
    /// Starts one.
    ///
    /// # Errors
    /// Where loopback has no port.
    pub fn start(service: Service) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let mut played = Self { service, address, seen: Arc::default(), listening: None };
        played.listen(listener);
        Ok(played)
    }

    fn listen(&mut self, listener: TcpListener) {
        let listener = Arc::new(listener);
        self.listening = Some(listener.clone());
        let (seen, service) = (self.seen.clone(), self.service);
        std::thread::spawn(move || {
            // A service that is down still has its thread; nobody else has its listener then.
            while Arc::strong_count(&listener) > 1 {
                let Ok((stream, _)) = listener.accept() else { return };
                if Arc::strong_count(&listener) == 1 {
                    return;
                }
                let seen = seen.clone();
                std::thread::spawn(move || match service {
                    Service::Mail => drop(mail(stream, &seen)),
                    _ => drop(http(service, stream, &seen)),
                });
            }
        });
    }

    /// Closes the port.
    pub fn go_down(&mut self) {
        self.listening = None;
        // Lets the thread go that waits in accept.
        let _ = TcpStream::connect(self.address);
        while TcpListener::bind(self.address).is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Opens the same port again.
    ///
    /// # Errors
    /// Where another has taken it.
    pub fn come_up(&mut self) -> anyhow::Result<()> {
        self.listen(TcpListener::bind(self.address)?);
        Ok(())
    }

    /// The address as the service gives it to whoever makes a robot.
    pub fn url(&self) -> String {
        let path = match self.service {
            Service::Wecom => format!("cgi-bin/webhook/send?key={KEY}"),
            Service::Dingtalk => format!("robot/send?access_token={KEY}"),
            Service::Feishu => format!("open-apis/bot/v2/hook/{KEY}"),
            Service::Webhook => "hook".into(),
            Service::Mail => return format!("smtp+plain://{}", self.address),
        };
        format!("http://{}/{path}", self.address)
    }

    /// The next request gets this answer, whatever it is.
    pub fn answer_once(&self, status: u16, headers: &[(&str, &str)], body: &str) {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.lock().instead.push((status, headers, body.to_owned()));
    }

    /// The next request is taken, and the connection breaks before the answer.
    pub fn hang_up_once(&self) {
        self.lock().hang_up += 1;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at what it has seen.
    pub fn look<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.lock())
    }

    /// Waits until what it has seen is as wanted.
    ///
    /// # Errors
    /// Where it is not within half a minute.
    pub fn until(&self, wanted: impl Fn(&Seen) -> bool) -> anyhow::Result<()> {
        let limit = Instant::now() + Duration::from_secs(60);
        let mut seen = self.lock();
        while !wanted(&seen) {
            let left = limit.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("{:?} has seen only {seen:#?}", self.service);
            }
            seen = self.seen.1.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }
}

struct Request {
    path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

fn read_request(stream: &TcpStream) -> anyhow::Result<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().context("a method")?, words.next().context("a target")?);
    anyhow::ensure!(method == "POST", "{method}");
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length: usize = headers.get("content-length").context("a length")?.parse()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query =
        query.split('&').filter_map(|pair| pair.split_once('=')).map(|(key, value)| (key.into(), decoded(value)));
    Ok(Request { path: path.to_owned(), query: query.collect(), headers, body })
}

fn http(service: Service, mut stream: TcpStream, seen: &(Mutex<Seen>, Condvar)) -> anyhow::Result<()> {
    let request = read_request(&stream)?;
    let mut state = seen.0.lock().unwrap_or_else(PoisonError::into_inner);
    let judged = state.instead.is_empty();
    let (status, headers, body) = if judged {
        match judge(service, &request, &state.times) {
            Ok((text, called)) => {
                state.times.push(Instant::now());
                state.taken.push(text);
                let (all, called): (Vec<String>, _) = called.into_iter().partition(|one| one == ALL);
                state.urgent.push(!all.is_empty());
                state.called.push(called);
                state.ids.extend(request.headers.get("webhook-id").cloned());
                (200, Vec::new(), ok(service))
            }
            Err((status, body)) => {
                state.refused.push(body.clone());
                (status, Vec::new(), body)
            }
        }
    } else {
        let instead = state.instead.remove(0);
        state.refused.push(instead.2.clone());
        instead
    };
    let hangs_up = judged && state.hang_up > 0;
    state.hang_up -= usize::from(hangs_up);
    seen.1.notify_all();
    drop(state);
    if hangs_up {
        return Ok(());
    }
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(
        stream,
        "HTTP/1.1 {status} Answer\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{headers}Connection: close\r\n\r\n{body}",
        body.len()
    )?;
    Ok(())
}

fn ok(service: Service) -> String {
    match service {
        Service::Feishu => r#"{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}"#,
        Service::Webhook => "",
        _ => r#"{"errcode":0,"errmsg":"ok"}"#,
    }
    .to_owned()
}

/// Stands among those who are called for everybody.
const ALL: &str = "@all";

/// The words of a list, of each of several keys of an object.
fn words(of: &Value, keys: &[&str]) -> Vec<String> {
    let lists = keys.iter().filter_map(|key| of[*key].as_array());
    lists.flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect()
}

/// The text, and who is called; or the refusal.
fn judge(service: Service, request: &Request, times: &[Instant]) -> Result<(String, Vec<String>), (u16, String)> {
    let refused = |code: i64, said: &str| {
        let (code_name, said_name) = if service == Service::Feishu { ("code", "msg") } else { ("errcode", "errmsg") };
        Err((200, json!({code_name: code, said_name: said}).to_string()))
    };
    let within = |window: u64| times.iter().filter(|at| at.elapsed() < Duration::from_secs(window)).count();
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let is_json = request.headers.get("content-type").is_some_and(|value| value.starts_with("application/json"));
    match service {
        Service::Wecom => {
            if request.path != "/cgi-bin/webhook/send" || request.query.get("key").map(String::as_str) != Some(KEY) {
                return refused(93000, "invalid webhook url, hint: [1600000000]");
            }
            let content = body["text"]["content"].as_str().unwrap_or_default();
            if !is_json || body["msgtype"] != "text" || content.is_empty() {
                return refused(40008, "invalid message type");
            }
            if content.len() > 2048 {
                return refused(40058, "text.content exceed max length 2048");
            }
            if within(60) >= 20 {
                return refused(45009, "api freq out of limit");
            }
            Ok((content.to_owned(), words(&body["text"], &["mentioned_list", "mentioned_mobile_list"])))
        }
        Service::Dingtalk => {
            if request.path != "/robot/send" || request.query.get("access_token").map(String::as_str) != Some(KEY) {
                return refused(300_001, "token is not exist");
            }
            let timestamp = request.query.get("timestamp").cloned().unwrap_or_default();
            let age = timestamp.parse::<i64>().map_or(i64::MAX, |at| (now_ms() - at).abs());
            if age > 3_600_000 {
                return refused(
                    310_000,
                    "invalid timestamp, more: [https://ding-doc.dingtalk.com/doc#/serverapi2/qf2nxq]",
                );
            }
            let wanted = STANDARD.encode(hmac(SECRET.as_bytes(), format!("{timestamp}\n{SECRET}").as_bytes()));
            if request.query.get("sign") != Some(&wanted) {
                return refused(
                    310_000,
                    "sign not match, more: [https://ding-doc.dingtalk.com/doc#/serverapi2/qf2nxq]",
                );
            }
            let content = body["text"]["content"].as_str().unwrap_or_default();
            if !is_json || body["msgtype"] != "text" || content.is_empty() {
                return refused(400_105, "unsupported msgtype");
            }
            if within(60) >= 20 {
                return refused(130_101, "send too fast, exceed 20 times per minute");
            }
            // Only whoever stands in the text is called.
            let mut called = words(&body["at"], &["atUserIds", "atMobiles"]);
            called.retain(|one| content.contains(&format!("@{one}")));
            called.extend((body["at"]["isAtAll"] == true).then(|| ALL.to_owned()));
            Ok((content.to_owned(), called))
        }
        Service::Feishu => {
            if request.path != format!("/open-apis/bot/v2/hook/{KEY}") {
                return refused(19001, "param invalid: incoming webhook access token invalid");
            }
            let timestamp = body["timestamp"].as_str().unwrap_or_default();
            let age = timestamp.parse::<i64>().map_or(i64::MAX, |at| (now_ms() / 1000 - at).abs());
            let wanted = STANDARD.encode(hmac(format!("{timestamp}\n{SECRET}").as_bytes(), b""));
            if age > 3600 || body["sign"] != *wanted {
                return refused(19021, "sign match fail or timestamp is not within one hour from current time");
            }
            let text = body["content"]["text"].as_str().unwrap_or_default();
            if !is_json || body["msg_type"] != "text" || text.is_empty() || request.body.len() > 20_000 {
                return Err((400, json!({"code": 9499, "msg": "Bad Request", "data": {}}).to_string()));
            }
            if within(60) >= 100 || within(1) >= 5 {
                return refused(9499, "too many request");
            }
            let tags = text.split("<at user_id=\"").skip(1).filter_map(|rest| rest.split_once("\">"));
            let called = tags.map(|(id, _)| if id == "all" { ALL.to_owned() } else { id.to_owned() });
            Ok((text.to_owned(), called.collect()))
        }
        Service::Webhook => {
            let header = |name: &str| request.headers.get(name).cloned().unwrap_or_default();
            let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
            let key = STANDARD.decode(WEBHOOK_SECRET.trim_start_matches("whsec_")).unwrap_or_default();
            let mut signed = format!("{id}.{timestamp}.").into_bytes();
            signed.extend_from_slice(&request.body);
            let wanted = format!("v1,{}", STANDARD.encode(hmac(&key, &signed)));
            let age = timestamp.parse::<i64>().map_or(i64::MAX, |at| (now_ms() / 1000 - at).abs());
            if id.is_empty() || age > 300 || !header("webhook-signature").split(' ').any(|one| one == wanted) {
                return Err((401, String::new()));
            }
            let is_event = header("content-type").starts_with("application/cloudevents+json");
            if !is_event || body["specversion"] != "1.0" || body["id"] != *id {
                return Err((415, String::new()));
            }
            Ok((body.to_string(), words(&body["data"]["told"], &["people"])))
        }
        Service::Mail => Err((400, String::new())),
    }
}

/// RFC 5321 as far as a submission needs it, with AUTH PLAIN or LOGIN (RFC 4954).
fn mail(mut stream: TcpStream, seen: &(Mutex<Seen>, Condvar)) -> anyhow::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut say = |line: &str| stream.write_all(format!("{line}\r\n").as_bytes());
    let lock = || seen.0.lock().unwrap_or_else(PoisonError::into_inner);
    let mut next = || -> anyhow::Result<String> {
        let mut line = String::new();
        anyhow::ensure!(reader.read_line(&mut line)? > 0, "gone");
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    };
    say("220 mail.test ESMTP")?;
    let (mut is_in, mut readers) = (false, Vec::new());
    loop {
        let line = next()?;
        let verb = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => say("250-mail.test\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 AUTH PLAIN LOGIN")?,
            "AUTH" => {
                let given = line.split(' ').nth(2).unwrap_or_default();
                let wanted = format!("\0{}\0{}", MAIL.0, MAIL.1);
                is_in = STANDARD.decode(given).is_ok_and(|given| given == wanted.as_bytes());
                if !is_in {
                    lock().refused.push("535".into());
                    seen.1.notify_all();
                }
                say(if is_in { "235 2.7.0 in" } else { "535 5.7.8 authentication failed" })?;
            }
            "MAIL" if !is_in => say("530 5.7.0 authentication required")?,
            "MAIL" => {
                let instead = lock().instead.pop();
                match instead {
                    Some((_, _, said)) => {
                        lock().refused.push(said.clone());
                        seen.1.notify_all();
                        say(&said)?;
                    }
                    None => say("250 2.1.0 ok")?,
                }
            }
            "RCPT" => {
                readers.push(line.trim_start_matches("RCPT TO:").to_owned());
                say("250 2.1.5 ok")?;
            }
            "DATA" => {
                say("354 go ahead")?;
                let mut text = Vec::new();
                loop {
                    let line = next()?;
                    if line == "." {
                        break;
                    }
                    text.push(line.strip_prefix('.').map_or(line.clone(), str::to_owned));
                }
                let mut state = lock();
                state.ids.extend(text.iter().find_map(|line| line.strip_prefix("Message-ID: ")).map(str::to_owned));
                state.taken.push(format!("{}\n{}", readers.join(" "), text.join("\n")));
                readers.clear();
                seen.1.notify_all();
                drop(state);
                say("250 2.0.0 taken")?;
            }
            "QUIT" => {
                say("221 2.0.0 bye")?;
                return Ok(());
            }
            _ => say("250 2.0.0 ok")?,
        }
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Percent-decoding (RFC 3986).
fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let hex = |byte: Option<u8>| char::from(byte.unwrap_or(b'0')).to_digit(16).unwrap_or(0);
        let value = match byte {
            b'%' => u8::try_from(hex(bytes.next()) * 16 + hex(bytes.next())).unwrap_or(0),
            b'+' => b' ',
            other => other,
        };
        out.push(value);
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// HMAC-SHA256 (RFC 2104).
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    let short = if key.len() > 64 { Sha256::digest(key).to_vec() } else { key.to_vec() };
    block[..short.len()].copy_from_slice(&short);
    let pad = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}
