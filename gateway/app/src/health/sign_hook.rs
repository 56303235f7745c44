//! The command of the local sign: run without a shell, with a time limit, told by its environment what there is to say.

use anyhow::{Context, bail};
use std::collections::BTreeSet;
use std::future::Future;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

use ninewatch_core::alert::{Alert, Text};

/// A command of [local_sign].
#[derive(Debug)]
pub(super) struct Hook {
    program: String,
    args: Vec<String>,
    time_limit: Duration,
}

/// What there is to say.
pub(super) struct Said {
    sign: &'static str,
    alerts: usize,
    text: Text,
}

const MOST_TITLES: usize = 20;

impl Said {
    /// These alerts reach nobody. Each title once, and not all of very many: the system takes no longer environment.
    pub(super) fn on(alerts: &[&Alert]) -> Self {
        let all = |pick: fn(&Text) -> &str, between: &str| {
            let titles: BTreeSet<&str> = alerts.iter().map(|alert| pick(&alert.title)).collect();
            titles.into_iter().take(MOST_TITLES).collect::<Vec<_>>().join(between)
        };
        let text = Text { zh: all(|title| &title.zh, "、"), en: all(|title| &title.en, ", ") };
        Self { sign: "on", alerts: alerts.len(), text }
    }

    pub(super) fn off() -> Self {
        Self { sign: "off", alerts: 0, text: Text::default() }
    }

    /// The gateway ends, and not because it was told to.
    pub(super) fn stopping(why: &Text) -> Self {
        Self { sign: "on", alerts: 0, text: why.clone() }
    }
}

impl Hook {
    /// `None` where no command is given.
    pub(super) fn new(command: &[String], time_limit: Duration) -> Option<Self> {
        let (program, args) = command.split_first()?;
        Some(Self { program: program.clone(), args: args.to_vec(), time_limit })
    }

    /// Runs it. When the future is dropped, or the time is up, the command and what it has begun are killed.
    ///
    /// # Errors
    /// Where it cannot be begun, fails, or takes too long.
    pub(super) fn run(&self, said: &Said) -> impl Future<Output = anyhow::Result<()>> + Send + use<> {
        let (program, limit) = (self.program.clone(), self.time_limit);
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .env("NINEWATCH_SIGN", said.sign)
            .env("NINEWATCH_ALERTS", said.alerts.to_string())
            .env("NINEWATCH_TEXT_ZH", &said.text.zh)
            .env("NINEWATCH_TEXT_EN", &said.text.en)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        async move {
            let mut group = Group(command.spawn().with_context(|| format!("`{program}` cannot be run"))?);
            match tokio::time::timeout(limit, group.0.wait()).await {
                Ok(Ok(status)) if status.success() => Ok(()),
                Ok(Ok(status)) => bail!("`{program}` ended with {status}"),
                Ok(Err(error)) => Err(error).with_context(|| format!("`{program}` is lost")),
                Err(_) => bail!("`{program}` took longer than {} s", limit.as_secs_f32()),
            }
        }
    }
}

/// A command with all that it has begun.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let id = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        // Nothing is left of it where it has ended.
        if let Some(id) = id {
            let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
        }
    }
}
