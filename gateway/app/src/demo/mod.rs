//! `ninewatch demo`: a played community on the real gateway, over real MQTT, with a little city
//! above it. Nothing else is needed.

mod bursts;
pub(crate) mod city;
mod community;
mod player;
mod report;
mod stage;
mod story;

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use ninewatch_core::alert::{AlertChange, ChangeKind};
use ninewatch_core::decode::SensorTypes;
use ninewatch_core::reading::SensorClass;
use ninewatch_core::site::{Device, Registry};
use ninewatch_core::time::{Span, TimeMs, UtcOffset};

use crate::config::{
    BackupConfig, Config, ConsoleConfig, FilesConfig, GatewayConfig, JournalConfig, MqttServer, SensorPortConfig,
};
use crate::gateway::Gateway;
use crate::lang::Lang;
use crate::people::PeopleConfig;
use crate::{private, registry_file, site_files};

use city::City;
use community::PlayedPlace;
use player::Player;
use report::{Published, Report, UpstreamReport, Watcher};
use story::{EXPECTED, TOLD_BY_MIN};

/// What the demo can be told.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// How many seconds of play pass in one real second, at the most: a slow machine plays slower
    #[arg(long, default_value_t = 80.0, value_parser = speed)]
    speed: f64,
    /// End by itself after this real time, such as 180s, and fail if an incident was missed or
    /// anything unexpected was raised
    #[arg(long, value_name = "TIME", value_parser = span)]
    exit_after: Option<Span>,
    /// End by itself when the story is told, and fail likewise
    #[arg(long)]
    once: bool,
    /// Write the report as JSON to this file
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Where the console listens; another port is taken if this one is in use
    #[arg(long, default_value = "127.0.0.1:8080")]
    console: SocketAddr,
    /// Keep the data in this folder, to look at or to replay; otherwise it is removed at the end
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

fn speed(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|speed| (1.0..=600.0).contains(speed)).ok_or_else(|| "give a number from 1 to 600".into())
}

fn span(text: &str) -> Result<Span, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

/// Plays until the time is up or Ctrl-C.
///
/// # Errors
/// Where the gateway cannot start, or the report is not good.
pub(crate) async fn run(args: DemoArgs, lang: Lang) -> anyhow::Result<()> {
    let scratch = Scratch::new(args.data_dir.clone())?;
    let places = community::community();
    let secrets = enrol(&places, &scratch.path)?;
    let city = City::start().await?;
    let clock = stage::clock(args.speed);
    let mut gateway = Gateway::start(config(&args, &scratch.path, &city)?, clock).await?;
    welcome(&gateway, &places, lang)?;

    let published = Arc::new(Published::default());
    let port = gateway.sensor_port.context("the demo's sensor port is plain TCP")?;
    let types = SensorTypes::compile(&site_files::sensor_types(site_files::BUILT_IN_ALONE)?).0;
    let mut players = BTreeMap::new();
    for device in places.iter().flat_map(|place| &place.devices) {
        let secret = secrets.get(&device.id).context("every played device has a secret")?;
        let cadence_ms = types.get(&community::sensor_type(device.class)).context("a native type")?.cadence.ms();
        let player = Player::connect(device, secret, port, cadence_ms, clock.now_ms(), published.clone());
        players.insert(device.id.clone(), player);
    }

    let bar = progress(&args);
    let mut watcher = Watcher::new(published.clone());
    let mut changes = gateway.engine.changes();
    let end = args.exit_after.map(Span::duration);
    let begun = Instant::now();
    let mut beat = tokio::time::interval(Duration::from_millis(50));
    let mut playing = Box::pin(stage::play(players, published, args.speed));
    loop {
        tokio::select! {
            never = &mut playing => match never {},
            _ = beat.tick() => {
                bar.set_position(u64::try_from(begun.elapsed().as_millis()).unwrap_or(0));
                bar.set_message(time_of_day(clock.now_ms()));
                if end.is_some_and(|end| begun.elapsed() >= end) || (args.once && stage::minute() >= TOLD_BY_MIN) {
                    break;
                }
            }
            change = changes.recv() => match change {
                Ok(change) => {
                    watcher.take(&change, Instant::now());
                    tell(&bar, &change, &places, lang)?;
                }
                Err(tokio::sync::broadcast::error::RecvError::Lagged(missed)) => {
                    anyhow::bail!("the demo fell {missed} alert changes behind: this machine is too slow for --speed");
                }
                Err(tokio::sync::broadcast::error::RecvError::Closed) => break,
            },
            stopped = gateway.stopped() => return stopped,
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    drop(playing);
    let played_min = stage::minute();
    while let Ok(change) = changes.try_recv() {
        watcher.take(&change, Instant::now());
    }
    city.settle(&gateway.upstreams, Duration::from_secs(5)).await;
    let readings = SensorClass::ALL.iter().map(|class| (class.name(), gateway.counters.readings(*class))).collect();
    let upstream = UpstreamReport {
        sent: gateway.upstreams.iter().map(|upstream| upstream.sent.load(Relaxed)).sum(),
        receipts: gateway.upstreams.iter().map(|upstream| upstream.receipted.load(Relaxed)).sum(),
        repeated: city.taken().repeated,
    };
    let report = watcher.report(played_min, readings, upstream);
    bar.finish_and_clear();
    gateway.stop().await?;
    conclude(&report, &args, lang)
}

/// Registers the community; gives each device's secret.
fn enrol(places: &[PlayedPlace], data_dir: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut secrets = BTreeMap::new();
    let mut registry = Registry::default();
    for place in places {
        registry.places.push(place.place.clone());
        for device in &place.devices {
            let secret = registry_file::Secret::generate()?;
            registry.devices.push(Device {
                id: device.id.clone(),
                sensor_type: community::sensor_type(device.class),
                place: place.place.id.clone(),
                spot: device.spot.to_owned(),
                known_as: String::new(),
                person: device.person,
                secret: secret.stored()?,
            });
            secrets.insert(device.id.clone(), secret.shown());
        }
    }
    registry_file::update(data_dir, |current| {
        *current = registry;
        Ok(())
    })?;
    Ok(secrets)
}

fn config(args: &DemoArgs, data_dir: &Path, city: &City) -> anyhow::Result<Config> {
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let taken = std::net::TcpListener::bind(args.console).is_err();
    let password_file = data_dir.join("city-password");
    let (username, password) = city.credential();
    private::write(&password_file, password.as_bytes())?;
    Ok(Config {
        update: None,
        people: PeopleConfig::default(),
        gateway: GatewayConfig { id: "kaili-demo".into(), data_dir: data_dir.to_owned(), utc_offset: UtcOffset::CHINA },
        sensor_port: Some(SensorPortConfig { listen: Some(anywhere), ..SensorPortConfig::default() }),
        brokers: Vec::new(),
        wired: Vec::new(),
        lines: Vec::new(),
        local_sign: None,
        journal: JournalConfig::default(),
        alerts: ninewatch_core::alert::AlertSettings::default(),
        console: Some(ConsoleConfig::plain(if taken { anywhere } else { args.console })),
        upstreams: vec![MqttServer {
            name: "city".into(),
            url: format!("mqtt://{}", city.address()),
            username: Some(username.to_owned()),
            password_file: Some(password_file),
            ca: None,
            cert: None,
            key: None,
            subscribe: Vec::new(),
        }],
        notify: Vec::new(),
        backup: BackupConfig::default(),
        read_from: None,
        files: FilesConfig::default(),
    })
}

fn welcome(gateway: &Gateway, places: &[PlayedPlace], lang: Lang) -> io::Result<()> {
    let mut out = io::stdout();
    let devices: usize = places.iter().map(|place| place.devices.len()).sum();
    let line = match lang {
        Lang::Zh => format!("九哨演示：{} 处场所、{devices} 台设备，全部通过 MQTT 上报。", places.len()),
        Lang::En => format!("Ninewatch demo: {devices} devices in {} places, all over MQTT.", places.len()),
    };
    writeln!(out, "\n  {line}")?;
    if let Some(console) = &gateway.console {
        writeln!(out, "  {}  {}", lang.pick("控制台", "Console"), console.url())?;
    }
    if let Some(first) = &gateway.first_password {
        let (account, password) = (lang.pick("账号", "Account"), lang.pick("密码", "Password"));
        writeln!(out, "  {account}  {}   {password}  {}", first.account, first.password)?;
    }
    writeln!(out, "  {}\n", lang.pick("按 Ctrl-C 结束。", "Ctrl-C ends it."))
}

fn progress(args: &DemoArgs) -> ProgressBar {
    let template = "  {msg} {bar:40.cyan/blue} {elapsed}";
    let bar = match args.exit_after {
        Some(span) => ProgressBar::new(u64::try_from(span.ms()).unwrap_or(0)),
        None => ProgressBar::new_spinner(),
    };
    let style = if args.exit_after.is_some() { template } else { "  {msg} {spinner} {elapsed}" };
    bar.with_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// A line for each step that a person would want to see.
fn tell(bar: &ProgressBar, change: &AlertChange, places: &[PlayedPlace], lang: Lang) -> io::Result<()> {
    let mark = match change.kind {
        ChangeKind::Raised => "●",
        ChangeKind::Joined => "+",
        // Nobody accepts anything here: the first rung says it.
        ChangeKind::Escalated if change.alert.escalation == 1 => "▲",
        ChangeKind::Recovered => "○",
        _ => return Ok(()),
    };
    let alert = &change.alert;
    let place = places
        .iter()
        .find(|place| place.place.id == alert.place)
        .map_or(alert.place.as_str(), |place| place.place.name.as_str());
    let time = time_of_day(change.at_ms);
    let reason = change.evidence.as_ref().map_or(&alert.reason, |evidence| &evidence.reason);
    let line = format!("  {time} {mark} #{} {place} · {} · {}", alert.number, lang.of(&alert.title), lang.of(reason));
    // Where the output is no terminal the bar is hidden, and would swallow the line.
    if bar.is_hidden() {
        return writeln!(io::stdout(), "{line}");
    }
    bar.println(line);
    Ok(())
}

/// Local hours and minutes, as `05:27`.
fn time_of_day(at_ms: TimeMs) -> String {
    let minute = UtcOffset::CHINA.minute_of_day(at_ms);
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

fn conclude(report: &Report, args: &DemoArgs, lang: Lang) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(report)?;
    if let Some(path) = &args.report {
        std::fs::write(path, format!("{json}\n")).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    let mut out = io::stdout();
    writeln!(out, "\n{json}")?;
    if report.is_good() {
        let (due, all) = (report.due, EXPECTED.len());
        match lang {
            Lang::Zh => writeln!(out, "\n  到结束时应有的 {due} 项（全剧共 {all} 项）均已预警，没有意外预警。")?,
            Lang::En => writeln!(
                out,
                "\n  All {due} findings due by then were raised ({all} in the whole play), and nothing else."
            )?,
        }
    } else if args.exit_after.is_some() || args.once {
        anyhow::bail!(
            "{} of {} findings missed, {} alerts unexpected; see the report above",
            report.missed.len(),
            report.due,
            report.unexpected.len()
        );
    }
    Ok(())
}

/// The demo's folder; removed at the end unless the user named it.
struct Scratch {
    path: PathBuf,
    keep: bool,
}

impl Scratch {
    fn new(wanted: Option<PathBuf>) -> anyhow::Result<Self> {
        let keep = wanted.is_some();
        let path =
            wanted.unwrap_or_else(|| std::env::temp_dir().join(format!("ninewatch-demo-{}", std::process::id())));
        if path.join("journal").exists() {
            anyhow::bail!("{} holds a journal already; name an empty folder", path.display());
        }
        std::fs::create_dir_all(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self { path, keep })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.keep {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
