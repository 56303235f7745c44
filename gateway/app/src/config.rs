//! `site.toml`: what a person says about this gateway. Unknown keys are refused, defaults are
//! safe, secrets stand in files of their own.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ninewatch_core::alert::AlertSettings;
use ninewatch_core::fault::Fault;
use ninewatch_core::site::is_id;
use ninewatch_core::time::{Span, UtcOffset};

use crate::intake::nodes::LineConfig;
use crate::intake::wired::WiredInput;
use crate::notify::NotifyConfig;
use crate::people::PeopleConfig;
use crate::pins::Pin;
use crate::update::{self, Delivered, UpdateConfig};

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) gateway: GatewayConfig,
    #[serde(default)]
    pub(crate) sensor_port: Option<SensorPortConfig>,
    #[serde(default, rename = "broker")]
    pub(crate) brokers: Vec<MqttServer>,
    #[serde(default)]
    pub(crate) wired: Vec<WiredInput>,
    #[serde(default, rename = "line")]
    pub(crate) lines: Vec<LineConfig>,
    #[serde(default)]
    pub(crate) journal: JournalConfig,
    #[serde(default)]
    pub(crate) alerts: AlertSettings,
    #[serde(default)]
    pub(crate) console: Option<ConsoleConfig>,
    #[serde(default, rename = "upstream")]
    pub(crate) upstreams: Vec<MqttServer>,
    #[serde(default)]
    pub(crate) local_sign: Option<LocalSignConfig>,
    #[serde(default)]
    pub(crate) notify: Vec<NotifyConfig>,
    #[serde(default)]
    pub(crate) people: PeopleConfig,
    #[serde(default)]
    pub(crate) files: FilesConfig,
    #[serde(default)]
    pub(crate) backup: BackupConfig,
    /// Where it was read from.
    #[serde(skip)]
    pub(crate) read_from: Option<PathBuf>,
    pub(crate) update: Option<UpdateConfig>,
}

/// Who this gateway is and where it keeps things.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GatewayConfig {
    /// `[A-Za-z0-9._-]`, at most 64: a level of the upstream's topics.
    pub(crate) id: String,
    /// Journal, index, registry, accounts. Made if absent.
    pub(crate) data_dir: PathBuf,
    /// Local time, for rules with hours.
    #[serde(default = "china")]
    pub(crate) utc_offset: UtcOffset,
}

fn china() -> UtcOffset {
    UtcOffset::CHINA
}

/// The MQTT endpoint that devices connect to.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SensorPortConfig {
    /// Plain TCP; leave it out where devices speak TLS.
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) tls: Option<SensorPortTls>,
    pub(crate) max_connections: usize,
    /// Connections of one device at the same time.
    pub(crate) max_connections_per_device: usize,
    /// From the TCP connection to a CONNECT that is accepted.
    pub(crate) connect_timeout: Span,
    /// The largest packet taken.
    pub(crate) max_packet_bytes: u32,
    /// QoS 1 and 2 messages of one connection that may wait for their acknowledgement (MQTT 5's
    /// Receive Maximum; a 3.1.1 client that goes past it waits in TCP).
    pub(crate) receive_maximum: u16,
    /// The longest keep-alive; a client that asks for more or none gets this one.
    pub(crate) max_keep_alive: Span,
}

/// TLS for the sensor port.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SensorPortTls {
    pub(crate) listen: SocketAddr,
    /// PEM, the server's chain.
    pub(crate) cert: PathBuf,
    /// PEM, its key.
    pub(crate) key: PathBuf,
    /// PEM, the CA of device certificates: a client certificate with the device's id as common
    /// name then stands for its secret.
    pub(crate) client_ca: Option<PathBuf>,
}

impl Default for SensorPortConfig {
    fn default() -> Self {
        Self {
            listen: None,
            tls: None,
            max_connections: 6000,
            max_connections_per_device: 4,
            connect_timeout: Span::from_secs(10),
            max_packet_bytes: 64 * 1024,
            receive_maximum: 256,
            max_keep_alive: Span::from_secs(600),
        }
    }
}

/// An MQTT server that the gateway is a client of: a broker to read from, or an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MqttServer {
    /// Unique; shown in messages and metrics, names an upstream's delivery cursor.
    pub(crate) name: String,
    /// `mqtt://host:1883` or `mqtts://host:8883`.
    pub(crate) url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// A file that holds the password, and nothing else.
    pub(crate) password_file: Option<PathBuf>,
    /// PEM; without it the system's roots are trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<PathBuf>,
    /// PEM, a client certificate and its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cert: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<PathBuf>,
    /// For a broker: the topic filters to read.
    #[serde(default)]
    pub(crate) subscribe: Vec<String>,
}

/// What is kept of what came in, and how often the disk is asked to hold it.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct JournalConfig {
    /// The ring of readings. Alerts and staff actions are kept besides.
    pub(crate) readings_max_mib: u64,
    /// Readings that are older expire, by whole segments.
    pub(crate) readings_max_age: Span,
    /// The size at which a segment is full.
    pub(crate) segment_mib: f64,
    /// What is held back on the disk for alerts and the readings they follow from, should everything else be full. As
    /// much again is kept free.
    pub(crate) alert_reserve_mib: f64,
    /// How long a commit may wait for company on a slow disk. It waits half as long as the last
    /// one took, up to this.
    pub(crate) commit_wait: Span,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            readings_max_mib: 1024,
            readings_max_age: Span::from_secs(30 * 86_400),
            segment_mib: 16.0,
            // 100,000 readings of 300 bytes: 100 detectors that report each minute for half a day.
            alert_reserve_mib: 32.0,
            commit_wait: Span::from_ms(5),
        }
    }
}

impl JournalConfig {
    pub(crate) fn segment_bytes(&self) -> u64 {
        bytes(self.segment_mib)
    }

    pub(crate) fn reserve_bytes(&self) -> u64 {
        bytes(self.alert_reserve_mib)
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked when the file is read")]
fn bytes(mib: f64) -> u64 {
    (mib * f64::from(1 << 20)) as u64
}

/// The pages and the API.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConsoleConfig {
    pub(crate) listen: SocketAddr,
    /// Speaks plain HTTP to other machines too: a proxy in front does HTTPS.
    #[serde(default)]
    pub(crate) plain_http: bool,
    #[serde(default)]
    tls: Option<ConsoleTls>,
}

/// HTTPS for the console.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ConsoleTls {
    /// Names and addresses by which people reach it, besides the box's own.
    pub(crate) names: Vec<String>,
    /// PEM, a chain and its key in the place of the gateway's own CA.
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

impl ConsoleConfig {
    /// A console that speaks plain HTTP.
    pub(crate) fn plain(listen: SocketAddr) -> Self {
        Self { listen, plain_http: true, tls: None }
    }

    /// How it speaks HTTPS; `None` where it does not. What other machines can reach does, unless somebody says otherwise.
    pub(crate) fn https(&self) -> Option<ConsoleTls> {
        let is_local = self.listen.ip().is_loopback();
        self.tls.clone().or_else(|| (!is_local && !self.plain_http).then(ConsoleTls::default))
    }
}

/// Light and sound on the spot while critical alerts reach nobody: a command, a pin, or both.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LocalSignConfig {
    /// The program and its arguments; no shell looks at them. Run when the sign goes on, and again while it is.
    #[serde(default)]
    pub(crate) command: Vec<String>,
    /// The same, once, when it goes off.
    #[serde(default)]
    pub(crate) off_command: Vec<String>,
    /// What a light or a buzzer hangs on, by a relay or a transistor.
    pub(crate) gpio: Option<Pin>,
    /// How long a critical alert may be unheard. GB 26875.1 gives a fire alarm 10 s to reach the centre.
    #[serde(default = "ten_seconds")]
    pub(crate) after: Span,
    /// From the beginning of one run to that of the next.
    #[serde(default = "half_a_minute")]
    pub(crate) every: Span,
    /// Longer no run may take.
    #[serde(default = "half_a_minute")]
    pub(crate) time_limit: Span,
}

fn ten_seconds() -> Span {
    Span::from_secs(10)
}

fn half_a_minute() -> Span {
    Span::from_secs(30)
}

/// Backups.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BackupConfig {
    /// Whether one is written to each stick with the label `NW-BACKUP` that is put in, and then each night.
    pub(crate) usb: bool,
    /// A file that holds what backups are sealed with, and nothing else.
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Of how many days a stick keeps one.
    pub(crate) keep: usize,
}

impl Default for BackupConfig {
    fn default() -> Self {
        Self { usb: false, passphrase_file: None, keep: 7 }
    }
}

/// Files besides the built-in ones, and the ONNX Runtime.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct FilesConfig {
    /// Sensor types: a file here replaces the built-in one of the same name.
    pub(crate) sensors: Option<PathBuf>,
    /// Rules: a file here replaces the built-in one of the same name.
    pub(crate) rules: Option<PathBuf>,
    /// Folders with `model.toml`.
    pub(crate) models: Option<PathBuf>,
    /// `libonnxruntime.so`; found by itself in the usual places.
    pub(crate) onnxruntime: Option<PathBuf>,
    /// Where updates lay down sensor types, rules and models: between the built-in ones and those above.
    #[serde(skip)]
    pub(crate) delivered: Option<PathBuf>,
}

impl FilesConfig {
    /// The folders of sensor types, each over the ones before it.
    pub(crate) fn sensor_folders(&self) -> Vec<PathBuf> {
        self.delivered(Delivered::Sensors).into_iter().chain(self.sensors.clone()).collect()
    }

    /// The same for rules.
    pub(crate) fn rule_folders(&self) -> Vec<PathBuf> {
        self.delivered(Delivered::Rules).into_iter().chain(self.rules.clone()).collect()
    }

    fn delivered(&self, what: Delivered) -> Option<PathBuf> {
        what.folder(self.delivered.as_deref()?)
    }
}

impl Config {
    /// Reads and checks the file. Paths in it are relative to the file's own folder.
    ///
    /// # Errors
    /// A list of [`Fault`]s, or that the file cannot be read.
    pub(crate) fn load(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let source = std::fs::read_to_string(path)
            .with_context(|| format!("{name} cannot be read; `ninewatch run --site FILE` names the site file"))?;
        let mut config: Self =
            toml::from_str(&source).map_err(|error| Faults(vec![Fault::from_toml(&name, &source, &error)]))?;
        let faults = config.faults(&name, &source);
        if !faults.is_empty() {
            return Err(Faults(faults).into());
        }
        config.read_from = Some(std::path::absolute(path)?);
        config.resolve(path.parent().unwrap_or(Path::new(".")));
        Ok(config)
    }

    fn faults(&self, file: &str, source: &str) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut fault = |key: &str, problem: String, mend: &str| {
            faults.push(Fault::at_key(file, source, key, problem, mend));
        };
        if !is_id(&self.gateway.id) {
            fault("gateway.id", format!("`{}` is not an id", self.gateway.id), "use 1 to 64 of A-Z a-z 0-9 . _ -");
        }
        if let Some(port) = &self.sensor_port {
            if port.listen.is_none() && port.tls.is_none() {
                fault("sensor_port", "listens nowhere".into(), "give `listen`, or `[sensor_port.tls]`, or remove it");
            }
            if port.max_packet_bytes < 1024 {
                fault("sensor_port.max_packet_bytes", "is too small for a reading".into(), "give at least 1024");
            }
            if port.receive_maximum == 0 {
                fault("sensor_port.receive_maximum", "MQTT 5 forbids 0".into(), "give 1 to 65535");
            }
            if port.max_connections == 0 || port.max_connections_per_device == 0 {
                fault("sensor_port.max_connections", "lets nobody in".into(), "give at least 1");
            }
        }
        if let Some(tls) = self.console.as_ref().and_then(|console| console.tls.as_ref()) {
            if self.console.as_ref().is_some_and(|console| console.plain_http) {
                fault("console.plain_http", "does not go with `[console.tls]`".into(), "remove one of them");
            }
            if tls.cert.is_some() != tls.key.is_some() {
                fault("console.tls", "has one of `cert` and `key`".into(), "give both or none");
            }
            for name in &tls.names {
                let is_label = |label: &str| {
                    !label.is_empty() && label.chars().all(|sign| sign.is_ascii_alphanumeric() || sign == '-')
                };
                if name.parse::<std::net::IpAddr>().is_err() && !name.split('.').all(is_label) {
                    let mend = "write a host name or an address, without https:// and port";
                    fault("console.tls.names", format!("`{name}` is no name of a host"), mend);
                }
            }
        }
        let JournalConfig { readings_max_mib, readings_max_age, segment_mib, alert_reserve_mib, .. } = &self.journal;
        for (key, mib, range) in [
            ("journal.segment_mib", *segment_mib, 0.01..=512.0),
            ("journal.alert_reserve_mib", *alert_reserve_mib, 0.25..=65536.0),
        ] {
            if !range.contains(&mib) {
                let mend = format!("give {} to {}", range.start(), range.end());
                fault(key, format!("{mib} MiB cannot be used"), &mend);
            }
        }
        if readings_max_mib.saturating_mul(1 << 20) < 2 * self.journal.segment_bytes() {
            fault(
                "journal.readings_max_mib",
                format!("a ring needs at least two segments of {segment_mib} MiB"),
                "make it larger, or `segment_mib` smaller",
            );
        }
        if readings_max_age.ms() < 3_600_000 {
            fault("journal.readings_max_age", "is too short to see anything in".into(), "give at least 1h");
        }
        for (index, input) in self.wired.iter().enumerate() {
            for (key, problem, mend) in input.problems() {
                fault(&format!("wired.{index}.{key}"), problem, mend);
            }
        }
        for (key, pin) in self.pins_taken_twice() {
            fault(&key, format!("pin {pin} has another use already"), "give each thing a pin of its own");
        }
        if let Some(sign) = &self.local_sign {
            if sign.command.is_empty() && sign.gpio.is_none() {
                fault(
                    "local_sign",
                    "neither sounds nor lights anything".into(),
                    "give `command`, or `gpio`, or remove it",
                );
            }
            if sign.every.ms() == 0 || sign.time_limit.ms() == 0 {
                let mend = "give both at least a second";
                fault("local_sign.every", "`every` or `time_limit` is no time at all".into(), mend);
            }
        }
        for (table, servers) in [("broker", &self.brokers), ("upstream", &self.upstreams)] {
            for (index, server) in servers.iter().enumerate() {
                for (key, problem, mend) in server.problems(servers.iter().take(index), table == "upstream") {
                    fault(&format!("{table}.{index}.{key}"), problem, mend);
                }
            }
        }
        for (index, line) in self.lines.iter().enumerate() {
            for (key, problem, mend) in line.problems() {
                fault(&format!("line.{index}.{key}"), problem, mend);
            }
            if self.lines.iter().take(index).any(|other| other.name == line.name) {
                let mend = "give one another name";
                fault(&format!("line.{index}.name"), format!("`{}` is there twice", line.name), mend);
            }
        }
        if self.backup.usb && self.backup.passphrase_file.is_none() {
            let mend = "add `passphrase_file = \"FILE\"`, and keep what it holds where the stick is not";
            fault("backup.usb", "a stick walks away, and there is no passphrase".into(), mend);
        }
        if !(2..=366).contains(&self.backup.keep) {
            fault("backup.keep", format!("{} days cannot be kept", self.backup.keep), "give 2 to 366");
        }
        for (key, problem, mend) in self.people.problems() {
            fault(&format!("people.{key}"), problem, mend);
        }
        for (key, problem, mend) in self.update.iter().flat_map(UpdateConfig::problems) {
            fault(&format!("update.{key}"), problem, mend);
        }
        for (index, channel) in self.notify.iter().enumerate() {
            let mut fault = |key: &str, problem: String, mend: &str| {
                faults.push(Fault::at_key(file, source, &format!("notify.{index}.{key}"), problem, mend));
            };
            if self.notify.iter().take(index).any(|other| other.name == channel.name) {
                fault("name", format!("`{}` is there twice", channel.name), "give one another name");
            }
            for (key, problem, mend) in channel.problems(&self.brokers) {
                fault(key, problem, mend);
            }
        }
        faults
    }

    /// Every pin, with the table that names it.
    pub(crate) fn pins(&self) -> Vec<(String, Pin)> {
        let wired = self.wired.iter().enumerate().map(|(index, input)| (format!("wired.{index}.device"), input.pin()));
        let sign = self.local_sign.iter().map(|sign| ("local_sign.gpio".to_owned(), sign.gpio.clone()));
        let notify = self.notify.iter().enumerate();
        let notify = notify.map(|(index, channel)| (format!("notify.{index}.name"), channel.gpio.clone()));
        wired.chain(sign).chain(notify).filter_map(|(key, pin)| Some((key, pin?))).collect()
    }

    fn pins_taken_twice(&self) -> Vec<(String, u32)> {
        let real: Vec<(String, Pin)> = self.pins().into_iter().filter(|(_, pin)| pin.simulated.is_none()).collect();
        let is_taken = |before: &[(String, Pin)], pin: &Pin| {
            before.iter().any(|(_, other)| other.pin == pin.pin && other.chip == pin.chip)
        };
        let twice =
            real.iter().enumerate().filter(|(index, (_, pin))| is_taken(real.get(..*index).unwrap_or(&[]), pin));
        twice.map(|(_, (key, pin))| (key.clone(), pin.pin)).collect()
    }

    fn resolve(&mut self, base: &Path) {
        let join = |path: &mut PathBuf| *path = base.join(&*path);
        join(&mut self.gateway.data_dir);
        if let Some(tls) = self.sensor_port.as_mut().and_then(|port| port.tls.as_mut()) {
            join(&mut tls.cert);
            join(&mut tls.key);
            tls.client_ca.iter_mut().for_each(join);
        }
        if let Some(tls) = self.console.as_mut().and_then(|console| console.tls.as_mut()) {
            tls.cert.iter_mut().chain(&mut tls.key).for_each(join);
        }
        for server in self.brokers.iter_mut().chain(&mut self.upstreams) {
            for path in [&mut server.password_file, &mut server.ca, &mut server.cert, &mut server.key] {
                path.iter_mut().for_each(join);
            }
        }
        self.backup.passphrase_file.iter_mut().for_each(join);
        for channel in &mut self.notify {
            channel.paths().for_each(join);
        }
        self.wired.iter_mut().flat_map(WiredInput::paths).for_each(join);
        self.files.delivered = self.update.as_ref().map(|_| update::dir(&self.gateway.data_dir));
        self.local_sign.iter_mut().filter_map(|sign| sign.gpio.as_mut()?.simulated.as_mut()).for_each(join);
        self.update.iter_mut().for_each(|update| update.resolve(base));
        let files = &mut self.files;
        for path in [&mut files.sensors, &mut files.rules, &mut files.models, &mut files.onnxruntime] {
            path.iter_mut().for_each(join);
        }
    }
}

impl MqttServer {
    /// What is wrong with it, as (key, problem, mend); `others` have names already.
    pub(crate) fn problems<'o>(
        &self,
        mut others: impl Iterator<Item = &'o Self>,
        is_upstream: bool,
    ) -> Vec<(&'static str, String, &'static str)> {
        let mut problems = Vec::new();
        if !is_id(&self.name) || others.any(|other| other.name == self.name) {
            let mend = "use 1 to 64 of A-Z a-z 0-9 . _ -, each once";
            problems.push(("name", format!("`{}` is not a name of its own", self.name), mend));
        }
        if self.address().is_none() {
            let mend = "write mqtt://host:1883 or mqtts://host:8883";
            problems.push(("url", format!("`{}` is not an MQTT address", self.url), mend));
        }
        if self.cert.is_some() != self.key.is_some() {
            problems.push(("name", "has one of `cert` and `key`".into(), "give both or none"));
        }
        if self.subscribe.is_empty() != is_upstream {
            let mend = "a broker needs topic filters to read, an upstream takes none";
            problems.push(("name", "`subscribe` is not right".into(), mend));
        }
        if let Some(filter) = self.subscribe.iter().find(|filter| !rumqttc::valid_filter(filter)) {
            let mend = "`#` stands last, `+` alone in its level";
            problems.push(("subscribe", format!("`{filter}` is no topic filter"), mend));
        }
        problems
    }

    /// Host, port and whether it speaks TLS; `None` where the URL is not one of MQTT.
    pub(crate) fn address(&self) -> Option<(&str, u16, bool)> {
        let (rest, tls) = match self.url.strip_prefix("mqtts://") {
            Some(rest) => (rest, true),
            None => (self.url.strip_prefix("mqtt://")?, false),
        };
        let (host, port) = match rest.trim_end_matches('/').rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()?),
            None => (rest.trim_end_matches('/'), if tls { 8883 } else { 1883 }),
        };
        (!host.is_empty()).then_some((host.trim_matches(['[', ']']), port, tls))
    }
}

/// Everything that is wrong in what a person wrote, a line each.
#[derive(Debug)]
pub(crate) struct Faults(pub(crate) Vec<Fault>);

impl std::fmt::Display for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Faults {}
