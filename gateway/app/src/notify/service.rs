//! The services that take messages: how each wants to be asked, and what its answers mean.
//!
//! Secrets are read from their files at each message: a mended one is used without a restart, and none lies in memory.

use anyhow::{Context, bail};
use axum::http::{StatusCode, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::{Value, json};
use std::time::Duration;

use ninewatch_core::duty::Person;
use ninewatch_core::time::TimeMs;

use super::config::{Kind, NotifyConfig};
use super::http::{self, Answer};
use super::mail;
use crate::forward::cloudevent::CONTENT_TYPE as CLOUDEVENT;
use crate::mqtt_client::password;

/// Something to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// The same for each attempt.
    pub(super) id: String,
    /// The first line says it all.
    pub(super) text: String,
    /// Whether everybody in the group is to be called.
    pub(super) urgent: bool,
    /// Those who are to be called by themselves, each of whom the service can call.
    pub(super) people: Vec<Person>,
    /// The CloudEvent, where a program is told.
    pub(super) event: Vec<u8>,
}

/// Why it was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Too much at once: not before this time has passed.
    Throttled(Duration, String),
    /// It may go well the next time.
    Temporary(String),
    /// It will not go well until a person has mended something.
    Refused(String),
}

impl Failure {
    /// In the service's words.
    pub(crate) fn said(&self) -> &str {
        match self {
            Self::Throttled(_, said) | Self::Temporary(said) | Self::Refused(said) => said,
        }
    }
}

/// What a service takes, by its own pages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) per_minute: Option<usize>,
    pub(super) per_second: Option<usize>,
    /// Of the text, in UTF-8.
    pub(super) bytes: usize,
}

/// Where a service does not say for how long. WeCom lets nothing through for a minute (its page on rates).
const A_MINUTE: Duration = Duration::from_secs(60);
/// Nobody is believed who wants to be left alone for longer.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

impl Kind {
    pub(super) fn limits(self) -> Limits {
        let (per_minute, per_second, bytes) = match self {
            // developer.work.weixin.qq.com/document/path/91770: 20 a minute, a text of 2048 bytes.
            Self::Wecom => (Some(20), None, 2048),
            // open.dingtalk.com, custom robots: 20 a minute, beyond it nothing for ten; a body of 20,000 bytes.
            Self::Dingtalk => (Some(20), None, 16_000),
            // open.feishu.cn/document/client-docs/bot-v3/add-custom-bot: 100 a minute, 5 a second, a body of 20 KB.
            Self::Feishu => (Some(100), Some(5), 16_000),
            // Mail services count by the hour and tell nobody; a mailbox is no place for more.
            Self::Email => (Some(10), None, 64_000),
            // A program reads it.
            Self::Webhook | Self::MqttSiren | Self::GpioSiren => (None, None, 64_000),
        };
        Limits { per_minute, per_second, bytes }
    }
}

/// Says it once.
///
/// # Errors
/// Why it was not taken.
pub(super) async fn send(config: &NotifyConfig, message: &Message, now: TimeMs) -> Result<(), Failure> {
    let refused = |error: anyhow::Error| Failure::Refused(format!("{error:#}"));
    if config.kind == Kind::Email {
        return mail::send(config, message).await;
    }
    let request = Request::new(config, message, now).map_err(refused)?;
    let answer = http::post(&request.url, config.ca.as_deref(), request.content_type, &request.headers, request.body);
    let answer = answer.await.map_err(|error| Failure::Temporary(format!("{error:#}")))?;
    config.kind.judge(&answer)
}

/// Whether everything is there that the channel needs to speak.
///
/// # Errors
/// What is not.
pub(super) fn check(config: &NotifyConfig) -> anyhow::Result<()> {
    let message =
        Message { id: "check".into(), text: String::new(), urgent: false, people: Vec::new(), event: Vec::new() };
    match config.kind {
        Kind::Email => mail::check(config),
        _ => Request::new(config, &message, 0).map(drop),
    }
}

struct Request {
    url: Uri,
    content_type: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Request {
    fn new(config: &NotifyConfig, message: &Message, now: TimeMs) -> anyhow::Result<Self> {
        let url = match (&config.url, &config.url_file) {
            (Some(url), _) => url.clone(),
            (None, Some(file)) => password(file)?,
            (None, None) => bail!("there is no address"),
        };
        let secret = config.secret_file.as_deref().map(password).transpose()?;
        let (url, headers, body) = match (config.kind, secret) {
            (Kind::Dingtalk, Some(secret)) => {
                let sign = sign(secret.as_bytes(), format!("{now}\n{secret}").as_bytes());
                let url = format!("{url}&timestamp={now}&sign={}", url_encoded(&sign));
                (url, Vec::new(), body(config.kind, message).to_string().into_bytes())
            }
            (Kind::Feishu, secret) => {
                let mut body = body(config.kind, message);
                if let Some(secret) = secret {
                    let seconds = now / 1000;
                    // The key is what is signed elsewhere, and nothing is signed: so its page says.
                    body["timestamp"] = seconds.to_string().into();
                    body["sign"] = sign(format!("{seconds}\n{secret}").as_bytes(), b"").into();
                }
                (url, Vec::new(), body.to_string().into_bytes())
            }
            (Kind::Webhook, secret) => {
                let secret = secret.context("a webhook needs a `secret_file`")?;
                (url, standard_webhook(&secret, message, now / 1000)?, message.event.clone())
            }
            _ => (url, Vec::new(), body(config.kind, message).to_string().into_bytes()),
        };
        let content_type = if config.kind == Kind::Webhook { CLOUDEVENT } else { "application/json; charset=utf-8" };
        Ok(Self { url: address(&url)?, content_type, headers, body })
    }
}

/// Whether a host is this machine, and not only called like it.
pub(super) fn is_here(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// An address that a secret may be sent to.
fn address(url: &str) -> anyhow::Result<Uri> {
    // The address holds the robot's key: it is not repeated.
    let mend = "write the whole address, https://…";
    let Ok(uri) = url.trim().parse::<Uri>() else { bail!("the address is none of HTTP; {mend}") };
    let host = uri.host().unwrap_or_default();
    let is_here = is_here(host);
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if is_here => Ok(uri),
        Some("http") => bail!("the address is http://, which anybody on the way can read; {mend}"),
        _ => bail!("the address is none of HTTP; {mend}"),
    }
}

fn sign(key: &[u8], message: &[u8]) -> String {
    STANDARD.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message))
}

/// Base64 as part of a query.
fn url_encoded(base64: &str) -> String {
    base64.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
}

/// Of people who can be called by an id of the service, or else by their phones: the ids, and the phones of the others.
fn ids_and_phones<'p>(people: &'p [Person], id: impl Fn(&'p Person) -> &'p str) -> (Vec<&'p str>, Vec<&'p str>) {
    let ids = people.iter().map(&id).filter(|id| !id.is_empty()).collect();
    let others = people.iter().filter(|person| id(person).is_empty());
    (ids, others.map(|person| person.phone.as_str()).filter(|phone| !phone.is_empty()).collect())
}

/// What a robot is asked to say.
pub(super) fn body(kind: Kind, message: &Message) -> Value {
    match kind {
        Kind::Dingtalk => dingtalk(message),
        Kind::Feishu => feishu(message),
        _ => wecom(message),
    }
}

/// Text and not Markdown: only with text everybody can be called, and it is shown in WeChat as well.
fn wecom(message: &Message) -> Value {
    let mut text = json!({"content": message.text});
    let (mut ids, phones) = ids_and_phones(&message.people, |person| &person.wecom);
    if message.urgent {
        ids.push("@all");
    }
    if !ids.is_empty() {
        text["mentioned_list"] = json!(ids);
    }
    if !phones.is_empty() {
        text["mentioned_mobile_list"] = json!(phones);
    }
    json!({"msgtype": "text", "text": text})
}

/// Whom it calls has to stand in the text too; members see a name there.
fn dingtalk(message: &Message) -> Value {
    let (ids, phones) = ids_and_phones(&message.people, |person| &person.dingtalk);
    let named: Vec<String> = ids.iter().chain(&phones).map(|one| format!("@{one}")).collect();
    let text = if named.is_empty() { message.text.clone() } else { format!("{}\n{}", message.text, named.join(" ")) };
    let mut at = json!({"isAtAll": message.urgent});
    if !ids.is_empty() {
        at["atUserIds"] = json!(ids);
    }
    if !phones.is_empty() {
        at["atMobiles"] = json!(phones);
    }
    json!({"msgtype": "text", "text": {"content": text}, "at": at})
}

fn feishu(message: &Message) -> Value {
    // A name must not be taken for a tag.
    let mut text = message.text.replace('<', "＜").replace('>', "＞");
    // The service puts the name in by itself: none leaves the house.
    let people = message.people.iter().map(|person| (person.feishu.as_str(), "值班人员"));
    let everybody = message.urgent.then_some(("all", "所有人"));
    let tags: Vec<String> =
        people.chain(everybody).map(|(id, name)| format!("<at user_id=\"{id}\">{name}</at>")).collect();
    if !tags.is_empty() {
        text.push('\n');
        text.push_str(&tags.join(" "));
    }
    json!({"msg_type": "text", "content": {"text": text}})
}

/// Standard Webhooks 1.0: three headers, HMAC-SHA256 over `id.timestamp.body`.
fn standard_webhook(secret: &str, message: &Message, seconds: i64) -> anyhow::Result<Vec<(&'static str, String)>> {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(secret)).ok();
    let key = key.filter(|key| (24..=64).contains(&key.len()));
    let key =
        key.context("the secret is not `whsec_` and 24 to 64 bytes in Base64; `openssl rand -base64 32` makes one")?;
    let mut signed = format!("{}.{seconds}.", message.id).into_bytes();
    signed.extend_from_slice(&message.event);
    Ok(vec![
        ("webhook-id", message.id.clone()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", format!("v1,{}", sign(&key, &signed))),
    ])
}

impl Kind {
    fn judge(self, answer: &Answer) -> Result<(), Failure> {
        let Answer { status, retry_after, body } = answer;
        let wait = retry_after.map(|wait| wait.clamp(Duration::from_secs(1), LONGEST_WAIT));
        let body: Option<Value> = serde_json::from_slice(body).ok();
        let (code, said) = match self {
            Self::Feishu => ("code", "msg"),
            _ => ("errcode", "errmsg"),
        };
        if self != Self::Webhook
            && let Some(body) = &body
            && let Some(code) = body[code].as_i64()
        {
            let said = format!("{code}: {}", body[said].as_str().unwrap_or_default());
            return self.judge_code(code, wait, said);
        }
        let said = format!("HTTP {status}");
        match *status {
            status if status.is_success() && self == Self::Webhook => Ok(()),
            // A log-in page on the way, most likely.
            status if status.is_success() => Err(Failure::Temporary("the answer is not the service's own".into())),
            StatusCode::TOO_MANY_REQUESTS => Err(Failure::Throttled(wait.unwrap_or(A_MINUTE), said)),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => Err(Failure::Temporary(said)),
            status if status.is_server_error() => match wait {
                Some(wait) => Err(Failure::Throttled(wait, said)),
                None => Err(Failure::Temporary(said)),
            },
            _ => Err(Failure::Refused(said)),
        }
    }

    fn judge_code(self, code: i64, wait: Option<Duration>, said: String) -> Result<(), Failure> {
        let throttled = |otherwise| Err(Failure::Throttled(wait.unwrap_or(otherwise), said.clone()));
        match (self, code) {
            (_, 0) => Ok(()),
            // Busy.
            (_, -1) => Err(Failure::Temporary(said)),
            // Called too often; too many at the same time.
            (Self::Wecom, 45009 | 45033) => throttled(A_MINUTE),
            // Sent too fast, in the older words and the newer.
            (Self::Dingtalk, 130_101 | 410_100) => throttled(A_MINUTE),
            // The whole platform is under load, as at each full hour; the general limit.
            (Self::Feishu, 11232) => throttled(Duration::from_secs(5)),
            (Self::Feishu, 99_991_400) => throttled(A_MINUTE),
            // One code for a request too many and for one that is wrong.
            (Self::Feishu, 9499) if said.to_lowercase().contains("too many") => throttled(A_MINUTE),
            _ => Err(Failure::Refused(said)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(kind: Kind, status: u16, retry_after: Option<u64>, body: &str) -> Result<(), Failure> {
        let retry_after = retry_after.map(Duration::from_secs);
        kind.judge(&Answer { status: StatusCode::from_u16(status).unwrap(), retry_after, body: body.into() })
    }

    #[test]
    fn answers_mean_what_the_services_say() {
        use Failure::{Refused, Temporary, Throttled};
        let is = |found: Result<(), Failure>, wanted: &str| {
            let word = match &found {
                Ok(()) => "ok",
                Err(Throttled(..)) => "throttled",
                Err(Temporary(_)) => "temporary",
                Err(Refused(_)) => "refused",
            };
            assert_eq!(word, wanted, "{found:?}");
        };
        is(judged(Kind::Wecom, 200, None, r#"{"errcode":0,"errmsg":"ok"}"#), "ok");
        is(judged(Kind::Wecom, 200, None, r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#), "throttled");
        is(judged(Kind::Wecom, 200, None, r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#), "refused");
        is(judged(Kind::Wecom, 200, None, "<html>log in to the hotel's network</html>"), "temporary");
        is(judged(Kind::Dingtalk, 200, None, r#"{"errcode":310000,"errmsg":"sign not match"}"#), "refused");
        let fast = r#"{"errcode":130101,"errmsg":"send too fast, exceed 20 times per minute"}"#;
        is(judged(Kind::Dingtalk, 200, None, fast), "throttled");
        is(judged(Kind::Dingtalk, 200, None, r#"{"errcode":-1,"errmsg":"system busy"}"#), "temporary");
        is(judged(Kind::Feishu, 200, None, r#"{"code":0,"msg":"success","data":{}}"#), "ok");
        is(judged(Kind::Feishu, 200, None, r#"{"code":11232,"msg":"frequency limited"}"#), "throttled");
        is(judged(Kind::Feishu, 400, None, r#"{"code":9499,"msg":"too many request"}"#), "throttled");
        is(judged(Kind::Feishu, 400, None, r#"{"code":9499,"msg":"Bad Request"}"#), "refused");
        is(judged(Kind::Feishu, 200, None, r#"{"code":19021,"msg":"sign match fail"}"#), "refused");
        is(judged(Kind::Webhook, 204, None, ""), "ok");
        is(judged(Kind::Webhook, 410, None, ""), "refused");
        is(judged(Kind::Webhook, 500, None, ""), "temporary");
        assert_eq!(
            judged(Kind::Webhook, 503, Some(7), ""),
            Err(Throttled(Duration::from_secs(7), "HTTP 503 Service Unavailable".into()))
        );
        let years = judged(Kind::Webhook, 429, Some(u64::MAX), "");
        assert_eq!(years, Err(Throttled(LONGEST_WAIT, "HTTP 429 Too Many Requests".into())));
    }

    #[test]
    fn signatures_are_those_of_the_published_examples() {
        // standard-webhooks/standard-webhooks, the example in its libraries' tests.
        let message = Message {
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek".into(),
            text: String::new(),
            urgent: false,
            people: Vec::new(),
            event: br#"{"test": 2432232314}"#.to_vec(),
        };
        let headers = standard_webhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &message, 1_614_265_330).unwrap();
        assert_eq!(headers[2].1, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(standard_webhook("short", &message, 0).is_err());
        assert_eq!(url_encoded("a+b/c=="), "a%2Bb%2Fc%3D%3D");
    }

    #[test]
    fn a_secret_is_sent_only_where_nobody_can_read_it() {
        assert!(address("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=1").is_ok());
        assert!(address("http://127.0.0.1:8080/hook").is_ok());
        for wrong in ["http://example.cn/hook", "ftp://example.cn", "key", ""] {
            let error = address(wrong).unwrap_err().to_string();
            assert!(!error.contains("example"), "{error}");
        }
    }
}
