//! `[[notify]]` of `site.toml`: a channel, and what is told on it.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

use ninewatch_core::alert::{Alert, Scene, Severity};
use ninewatch_core::site::{Registry, is_id};

use super::mail;
use crate::config::MqttServer;
use crate::lang::Lang;
use crate::pins::Pin;

/// Which service a channel speaks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A group robot of 企业微信.
    Wecom,
    /// A custom robot of 钉钉.
    Dingtalk,
    /// A custom robot of 飞书.
    Feishu,
    /// A program that takes CloudEvents, signed as Standard Webhooks has it.
    Webhook,
    Email,
    /// On while an alert waits for somebody to accept it.
    MqttSiren,
    /// The same of a siren, lamp or relay on the gateway's own pins.
    GpioSiren,
}

impl Kind {
    /// The name in files and the API.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Wecom => "wecom",
            Self::Dingtalk => "dingtalk",
            Self::Feishu => "feishu",
            Self::Webhook => "webhook",
            Self::Email => "email",
            Self::MqttSiren => "mqtt_siren",
            Self::GpioSiren => "gpio_siren",
        }
    }

    /// Whether it tells a state, on or off, and not messages.
    pub(crate) const fn is_siren(self) -> bool {
        matches!(self, Self::MqttSiren | Self::GpioSiren)
    }
}

/// A channel.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NotifyConfig {
    /// Unique; shown in messages and metrics, names the channel's place in the log.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Of a webhook, a mail server or a broker.
    pub(crate) url: Option<String>,
    /// A file that holds the address: a robot's is its key.
    pub(crate) url_file: Option<PathBuf>,
    /// A file that holds what requests are signed with, and nothing else.
    pub(crate) secret_file: Option<PathBuf>,
    /// PEM; without it the system's roots are trusted.
    pub(crate) ca: Option<PathBuf>,
    pub(crate) username: Option<String>,
    pub(crate) password_file: Option<PathBuf>,
    /// What is told; by default `critical` and `major`, for a siren `critical`.
    severities: Option<Vec<Severity>>,
    /// None: all.
    #[serde(default)]
    scenes: Vec<Scene>,
    /// None: all.
    #[serde(default)]
    grids: Vec<String>,
    /// None: all.
    #[serde(default)]
    places: Vec<String>,
    /// Of alerts, as `fire` or `device_health`. None: all.
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    pub(crate) language: Lang,
    /// Whether a critical alert calls everybody in the group.
    #[serde(default = "yes")]
    pub(crate) mention_all: bool,
    /// A mail's sender.
    pub(crate) from: Option<String>,
    /// A mail's readers.
    #[serde(default)]
    pub(crate) to: Vec<String>,
    /// The `[[broker]]` that a siren listens at.
    pub(crate) broker: Option<String>,
    /// What a siren listens to.
    pub(crate) topic: Option<String>,
    /// What turns it on.
    #[serde(default = "on")]
    pub(crate) on: String,
    /// What turns it off.
    #[serde(default = "off")]
    pub(crate) off: String,
    /// What a siren, lamp or relay hangs on.
    pub(crate) gpio: Option<Pin>,
    /// How that is on.
    pub(crate) pattern: Option<Manner>,
}

/// How something is on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Manner {
    #[default]
    Steady,
    Blink,
}

fn yes() -> bool {
    true
}

fn on() -> String {
    "ON".into()
}

fn off() -> String {
    "OFF".into()
}

impl NotifyConfig {
    /// Whether alerts like this one are told here, as they now are.
    pub(crate) fn wants(&self, alert: &Alert, registry: &Registry) -> bool {
        let by_default: &[Severity] = match self.kind {
            kind if kind.is_siren() => &[Severity::Critical],
            _ => &[Severity::Critical, Severity::Major],
        };
        let severities = self.severities.as_deref().unwrap_or(by_default);
        // A place that is not known any more may be in any grid.
        let grid = registry.grid_of(&alert.place);
        severities.contains(&alert.severity)
            && (self.scenes.is_empty() || self.scenes.contains(&alert.scene))
            && (self.places.is_empty() || self.places.contains(&alert.place))
            && (self.groups.is_empty() || self.groups.iter().any(|one| **one == *alert.group))
            && (self.grids.is_empty() || grid.is_none_or(|grid| self.grids.iter().any(|one| one == grid)))
    }

    /// What it names and the site has not, as (key, problem, mend): it would be silent for a slip of the pen.
    pub(crate) fn unknown(&self, registry: &Registry) -> Vec<(&'static str, String, &'static str)> {
        let places = self.places.iter().filter(|id| !registry.places.iter().any(|place| place.id == **id));
        let places =
            places.map(|id| ("places", format!("no place has the id `{id}`"), "`ninewatch place list` names them"));
        let grids = self.grids.iter().filter(|id| !registry.places.iter().any(|place| place.grid == **id));
        let grids = grids.map(|id| ("grids", format!("no place is in the grid `{id}`"), "correct it, or add a place"));
        places.chain(grids).collect()
    }

    /// Whether a file stands in the place of its pin.
    pub(crate) fn is_simulated(&self) -> bool {
        self.gpio.as_ref().is_some_and(|gpio| gpio.simulated.is_some())
    }

    /// The broker of a siren; none of any other kind.
    pub(crate) fn siren_server(&self, brokers: &[MqttServer]) -> Option<MqttServer> {
        if self.kind != Kind::MqttSiren {
            return None;
        }
        match (&self.broker, &self.url) {
            (Some(name), None) => brokers.iter().find(|broker| broker.name == *name).cloned(),
            (None, Some(url)) => Some(MqttServer {
                name: self.name.clone(),
                url: url.clone(),
                username: self.username.clone(),
                password_file: self.password_file.clone(),
                ca: self.ca.clone(),
                cert: None,
                key: None,
                subscribe: Vec::new(),
            }),
            _ => None,
        }
    }

    /// Every path in it.
    pub(crate) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let simulated = self.gpio.as_mut().map(|gpio| &mut gpio.simulated);
        let files = [&mut self.url_file, &mut self.secret_file, &mut self.ca, &mut self.password_file];
        files.into_iter().chain(simulated).flatten()
    }

    /// What is wrong in it, as (key, problem, mend).
    pub(crate) fn problems(&self, brokers: &[MqttServer]) -> Vec<(&'static str, String, &'static str)> {
        let mut problems = Vec::new();
        if !is_id(&self.name) {
            let mend = "use 1 to 64 of A-Z a-z 0-9 . _ -, each once";
            problems.push(("name", format!("`{}` is not a name of its own", self.name), mend));
        }
        let kind = self.kind.name();
        for (key, there) in self.keys() {
            let (needed, allowed) = needs(self.kind, key);
            if there && !allowed {
                problems.push((key, format!("is not for `{kind}`"), "leave it out"));
            } else if needed && !there {
                problems.push(("kind", format!("`{kind}` needs `{key}`"), mend(key)));
            }
        }
        let url = self.url.as_deref();
        match self.kind {
            Kind::Webhook if url.is_some() == self.url_file.is_some() => {
                problems.push((
                    "kind",
                    "a webhook has one address".into(),
                    "give `url`, or `url_file` where it is secret",
                ));
            }
            Kind::Email if url.is_some_and(|url| !mail::is_server(url)) => {
                let mend = "write smtps://host:465 or smtp://host:587; smtp+plain:// only on this machine";
                problems.push(("url", "is not the address of a mail server".into(), mend));
            }
            Kind::MqttSiren if self.broker.is_some() == url.is_some() => {
                problems.push((
                    "kind",
                    "a siren listens at one broker".into(),
                    "give `broker`, the name of one, or `url`",
                ));
            }
            Kind::MqttSiren => match self.siren_server(brokers) {
                None => problems.push(("broker", "no [[broker]] has this name".into(), "name one, or give `url`")),
                Some(server) if server.address().is_none() => {
                    problems.push((
                        "url",
                        "is not an MQTT address".into(),
                        "write mqtt://host:1883 or mqtts://host:8883",
                    ));
                }
                Some(_) => {}
            },
            _ => {}
        }
        if self.topic.as_deref().is_some_and(|topic| topic.is_empty() || topic.contains(['#', '+', '\0'])) {
            problems.push(("topic", "is no topic to publish on".into(), "leave out # and +"));
        }
        for (key, address) in self.from.iter().map(|from| ("from", from)).chain(self.to.iter().map(|to| ("to", to))) {
            if mail::mailbox(address).is_err() {
                problems.push((key, format!("`{address}` is not an e-mail address"), "write duty@example.cn"));
            }
        }
        if self.severities.as_ref().is_some_and(Vec::is_empty) {
            problems.push(("severities", "tells nothing".into(), "name some, or leave it out"));
        }
        problems
    }

    /// The keys that are not for every kind, and whether they are given.
    fn keys(&self) -> [(&'static str, bool); 11] {
        [
            ("url", self.url.is_some()),
            ("url_file", self.url_file.is_some()),
            ("secret_file", self.secret_file.is_some()),
            ("username", self.username.is_some()),
            ("password_file", self.password_file.is_some()),
            ("from", self.from.is_some()),
            ("to", !self.to.is_empty()),
            ("broker", self.broker.is_some()),
            ("topic", self.topic.is_some()),
            ("gpio", self.gpio.is_some()),
            ("pattern", self.pattern.is_some()),
        ]
    }
}

/// Whether a kind needs a key, and whether it may have it.
fn needs(kind: Kind, key: &str) -> (bool, bool) {
    let (needed, also): (&[&str], &[&str]) = match kind {
        Kind::Wecom => (&["url_file"], &[]),
        Kind::Dingtalk | Kind::Feishu => (&["url_file"], &["secret_file"]),
        Kind::Webhook => (&["secret_file"], &["url", "url_file"]),
        Kind::Email => (&["url", "from", "to"], &["username", "password_file"]),
        Kind::MqttSiren => (&["topic"], &["broker", "url", "username", "password_file"]),
        Kind::GpioSiren => (&["gpio"], &["pattern"]),
    };
    (needed.contains(&key), needed.contains(&key) || also.contains(&key))
}

fn mend(key: &str) -> &'static str {
    match key {
        "url_file" => "put the robot's whole address into a file of its own and name that",
        "secret_file" => "put `whsec_` and 32 random bytes in Base64 into a file of its own and name that",
        "topic" => "write the topic that the siren listens to",
        "gpio" => "write gpio = { pin = 24 }, the pin that it hangs on",
        _ => "add it",
    }
}
