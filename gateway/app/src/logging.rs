//! How much is logged, to standard error; changed while the gateway runs, and back by itself.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tracing_subscriber::EnvFilter;

use ninewatch_core::time::TimeMs;

use crate::clock::Clock;

/// How the log is written.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people and journald
    Text,
    /// A JSON object a line
    Json,
}

/// How much the program says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    Warn,
    Info,
    Debug,
    Trace,
}

/// What was asked for while it runs, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Changed {
    pub(crate) level: Level,
    pub(crate) until_ms: TimeMs,
}

type Reload = Box<dyn Fn(EnvFilter) -> bool + Send + Sync>;

struct Log {
    reload: Reload,
    /// As the start has it.
    usual: String,
    changed: Mutex<Option<Changed>>,
    /// Which change is in force: a later one is not ended by the end of an earlier one.
    changes: AtomicU64,
}

static LOG: OnceLock<Log> = OnceLock::new();

/// Begins to log: what `RUST_LOG` says, or `level`.
pub(crate) fn begin(format: LogFormat, level: &str) {
    let usual = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|filter| EnvFilter::try_new(filter).is_ok());
    let usual = usual.unwrap_or_else(|| level.to_owned());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&usual))
        .with_writer(std::io::stderr)
        .with_target(false);
    let reload: Reload = match format {
        LogFormat::Text => {
            let builder = builder.with_filter_reloading();
            let handle = builder.reload_handle();
            builder.init();
            Box::new(move |filter| handle.reload(filter).is_ok())
        }
        LogFormat::Json => {
            let builder = builder.json().with_filter_reloading();
            let handle = builder.reload_handle();
            builder.init();
            Box::new(move |filter| handle.reload(filter).is_ok())
        }
    };
    let log = Log { reload, usual, changed: Mutex::default(), changes: AtomicU64::new(0) };
    // Once a program.
    _ = LOG.set(log);
}

/// What was asked for, while that holds.
pub(crate) fn changed() -> Option<Changed> {
    *LOG.get()?.changed.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has the program say so much of itself for a while; nothing where it does not log.
pub(crate) fn change(level: Level, lasts: Duration) -> Option<Changed> {
    let log = LOG.get()?;
    let word = match level {
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    };
    // Libraries stay as they are: what they say at `trace` holds payloads and credentials.
    let filter = format!("{},ninewatch={word},ninewatch_core={word}", log.usual);
    (log.reload)(EnvFilter::new(filter)).then_some(())?;
    let lasts_ms = i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX);
    let changed = Changed { level, until_ms: Clock::System.now_ms().saturating_add(lasts_ms) };
    *log.changed.lock().unwrap_or_else(PoisonError::into_inner) = Some(changed);
    let number = log.changes.fetch_add(1, Ordering::Relaxed) + 1;
    tokio::spawn(async move {
        tokio::time::sleep(lasts).await;
        if log.changes.load(Ordering::Relaxed) == number {
            (log.reload)(EnvFilter::new(&log.usual));
            *log.changed.lock().unwrap_or_else(PoisonError::into_inner) = None;
            tracing::info!("the log is as usual again");
        }
    });
    Some(changed)
}
