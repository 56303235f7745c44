//! `ninewatch run`: the gateway, until it is told to stop.

use anyhow::Context;
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

use crate::clock::Clock;
use crate::config::Config;
use crate::gateway::{ConsoleAt, Gateway};
use crate::lang::Lang;
use crate::update;

/// What `run` can be told.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The site file
    #[arg(long, value_name = "FILE", default_value = "/etc/ninewatch/site.toml")]
    site: PathBuf,
    /// When everything listens, write where to this file, as JSON (and, at the very first start,
    /// the console's first account)
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

/// Runs until SIGTERM or Ctrl-C.
///
/// # Errors
/// Where the gateway cannot start or cannot go on.
pub(crate) async fn run(args: RunArgs, lang: Lang) -> anyhow::Result<()> {
    update::end_with_launcher()?;
    let config = Config::load(&args.site)?;
    let data_dir = config.gateway.data_dir.clone();
    let mut gateway = Gateway::start(config, Clock::System).await?;
    welcome(&gateway, lang);
    if let Some(path) = &args.ready_file {
        write_ready(path, &gateway)?;
    }
    update::tell_ready(&data_dir)?;
    // Outside systemd there is nobody to notify.
    let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Ready]);
    let relaunched = gateway.updates.clone();
    let mut term = signal(SignalKind::terminate())?;
    let mut watchdog = tokio::time::interval(watchdog_beat());
    loop {
        tokio::select! {
            _ = term.recv() => break,
            _ = tokio::signal::ctrl_c() => break,
            () = relaunched.relaunched() => break,
            stopped = gateway.stopped() => return stopped,
            _ = watchdog.tick() => {
                // The beat passes through the engine: a gateway that no longer decides is restarted.
                if gateway.engine.devices().await.is_ok() {
                    let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Watchdog]);
                }
            }
        }
    }
    tracing::info!("stopping");
    let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Stopping]);
    gateway.stop().await
}

/// Half of what systemd waits, or a minute where it does not.
fn watchdog_beat() -> Duration {
    let mut usec = 0;
    // On trial it is the launcher's id that systemd knows; what our launcher leaves in the environment is for us.
    let from_launcher = std::env::var_os("WATCHDOG_PID").is_none();
    let left: Option<u64> =
        std::env::var("WATCHDOG_USEC").ok().filter(|_| from_launcher).and_then(|usec| usec.parse().ok());
    if let Some(usec) = left {
        Duration::from_micros(usec / 2)
    } else if sd_notify::watchdog_enabled(false, &mut usec) {
        Duration::from_micros(usec / 2)
    } else {
        Duration::from_secs(60)
    }
}

fn welcome(gateway: &Gateway, lang: Lang) {
    let lines = [
        (lang.pick("传感端口", "Sensor port"), gateway.sensor_port.map(|at| format!("mqtt://{at}"))),
        (lang.pick("传感端口 (TLS)", "Sensor port (TLS)"), gateway.sensor_port_tls.map(|at| format!("mqtts://{at}"))),
        (lang.pick("控制台", "Console"), gateway.console.as_ref().map(ConsoleAt::url)),
    ];
    for (what, at) in lines {
        if let Some(at) = at {
            eprintln!("{what}  {at}");
        }
    }
    if let Some(fingerprint) = gateway.console.as_ref().and_then(|console| console.fingerprint.as_ref()) {
        let note = lang.pick(
            "手机和电脑须先安装本网关的 CA（控制台地址加 ca.crt），安装前核对指纹 SHA-256",
            "Phones and PCs first install the gateway's CA (ca.crt at the console's address); compare its SHA-256",
        );
        eprintln!("{note}  {fingerprint}");
    }
    if let Some(first) = &gateway.first_password {
        let note = lang.pick("首次登录（只显示这一次）", "First log-in (shown this once)");
        eprintln!("{note}  {}  {}", first.account, first.password);
    }
}

fn write_ready(path: &Path, gateway: &Gateway) -> anyhow::Result<()> {
    let ready = json!({
        "sensor_port": gateway.sensor_port,
        "sensor_port_tls": gateway.sensor_port_tls,
        "console": gateway.console.as_ref().map(|console| console.address),
        "console_ca_sha256": gateway.console.as_ref().and_then(|console| console.fingerprint.as_ref()),
        "account": gateway.first_password.as_ref().map(|first| &first.account),
        "password": gateway.first_password.as_ref().map(|first| &first.password),
    });
    // Whole or not at all: somebody may be waiting for it.
    let whole = path.with_extension("new");
    crate::private::write(&whole, ready.to_string().as_bytes())
        .and_then(|()| Ok(std::fs::rename(&whole, path)?))
        .with_context(|| format!("{} cannot be written", path.display()))
}
