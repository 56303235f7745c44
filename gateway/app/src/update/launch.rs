//! `ninewatch launch`: which program is the gateway, and whether a new one is good. The installed program, which stands on
//! a root that is only read, is the root of trust: it looks at everything that it starts.

use clap::Args;
use serde::Deserialize;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};
use tokio::process::Child;
use tokio::signal::unix::{SignalKind, signal};

use ninewatch_core::alert::Text;

use super::state::{STARTS, Start};
use super::{LAUNCHED, SLOT, State, TRIED_BY, UpdateConfig, Version, dir, slot};
use crate::clock::Clock;

/// What `launch` can be told: what `run` can.
#[derive(Debug, Args)]
pub(crate) struct LaunchArgs {
    /// The site file
    #[arg(long, value_name = "FILE", default_value = "/etc/ninewatch/site.toml")]
    site: PathBuf,
    /// As of `ninewatch run`
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

/// As much of the site file as the launcher needs. All else is the program's that it starts: a newer one knows more.
#[derive(Debug, Deserialize)]
struct Site {
    gateway: Gateway,
    update: Option<UpdateConfig>,
}

#[derive(Debug, Deserialize)]
struct Gateway {
    data_dir: PathBuf,
}

/// How a program on trial ended.
enum Ended {
    /// It was good, or told to stop: what comes next is not ours to say.
    ForGood(ExitStatus),
    Bad(Text),
}

const LOOK: Duration = Duration::from_millis(100);
/// A stop makes everything durable; then it is killed.
const GOOD_BYE: Duration = Duration::from_secs(10);

/// Becomes the gateway, or watches one that is on trial.
///
/// # Errors
/// Where nothing can be started.
pub(crate) fn run(args: &LaunchArgs) -> anyhow::Result<()> {
    match choose(args) {
        Ok(status) => std::process::exit(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))),
        Err(error) => {
            if let Some(error) = error {
                tracing::error!("the installed program is started: {error:#}");
            }
            let program = std::env::current_exe()?;
            Err(become_it(args, &program, None).into())
        }
    }
}

/// Starts what is to be started, if that is not the installed program. `Err(None)` where it is; with an error where
/// nothing else can be relied on.
fn choose(args: &LaunchArgs) -> Result<ExitStatus, Option<anyhow::Error>> {
    let site = read_site(&args.site).map_err(Some)?;
    let Some(update) = site.update else { return Err(None) };
    let dir = dir(&site.gateway.data_dir);
    let keys = update.keys().map_err(Some)?;
    let installed = Version::of_this_program();
    loop {
        let state = State::read(&dir).map_err(Some)?;
        let (version, why) = match state.start(&installed) {
            Start::Installed => return Err(None),
            Start::Good(version) => match slot::program(&dir, &version, &keys) {
                Ok(program) => {
                    let error = become_it(args, &program, Some(&version));
                    (version, told(&anyhow::anyhow!("it cannot be started: {error}")))
                }
                Err(error) => (version, told(&error)),
            },
            Start::Spent(version) => {
                let why = Text {
                    zh: format!("启动 {STARTS} 次均未确认正常"),
                    en: format!("it was started {STARTS} times and has never confirmed that it is well"),
                };
                (version, why)
            }
            Start::Trial(version) => match slot::program(&dir, &version, &keys) {
                Ok(program) => {
                    // Before it is started: what it may do to the machine is counted.
                    let counted = State::change(&dir, |state| {
                        if let Some(trial) = &mut state.trial {
                            trial.starts += 1;
                            trial.ready = false;
                            trial.lacks.clear();
                        }
                    });
                    counted.map_err(Some)?;
                    tracing::info!(%version, "a new program is on trial");
                    match attempt(args, &program, &version, &dir, &update).map_err(Some)? {
                        Ended::ForGood(status) => return Ok(status),
                        Ended::Bad(why) => (version, why),
                    }
                }
                Err(error) => (version, told(&error)),
            },
        };
        tracing::error!(%version, "gone back from: {}", why.en);
        let failed = State::change(&dir, |state| {
            // It may have been gone back from by a person.
            if state.is_used(&version) {
                state.fail(&version, why, Clock::System.now_ms());
            }
        });
        failed.map_err(Some)?;
        // The program before has the whole of systemd's patience.
        let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Watchdog]);
    }
}

fn read_site(path: &Path) -> anyhow::Result<Site> {
    let mut site: Site = toml::from_str(&std::fs::read_to_string(path)?)?;
    let base = path.parent().unwrap_or(Path::new("."));
    site.gateway.data_dir = base.join(&site.gateway.data_dir);
    Ok(site)
}

fn told(error: &anyhow::Error) -> Text {
    Text { zh: format!("{error:#}"), en: format!("{error:#}") }
}

fn command(args: &LaunchArgs, program: &Path, version: Option<&Version>) -> Command {
    let mut command = Command::new(program);
    command.arg("run").arg("--site").arg(&args.site);
    command.args(args.ready_file.iter().flat_map(|file| ["--ready-file".as_ref(), file.as_os_str()]));
    command.env(LAUNCHED, "1").env_remove(SLOT).env_remove(TRIED_BY);
    if let Some(version) = version {
        command.env(SLOT, version.to_string());
    }
    command
}

/// Comes back only where it cannot be started.
fn become_it(args: &LaunchArgs, program: &Path, version: Option<&Version>) -> std::io::Error {
    command(args, program, version).exec()
}

/// Starts a program on trial, and watches it until it has confirmed or failed.
fn attempt(
    args: &LaunchArgs,
    program: &Path,
    version: &Version,
    dir: &Path,
    limits: &UpdateConfig,
) -> anyhow::Result<Ended> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut command = command(args, program, Some(version));
        // systemd hears the child itself (NotifyAccess=all), and waits for it as long as it does for us.
        command.env(TRIED_BY, std::process::id().to_string()).env_remove("WATCHDOG_PID");
        let mut term = signal(SignalKind::terminate())?;
        let mut child = match tokio::process::Command::from(command).kill_on_drop(true).spawn() {
            Ok(child) => child,
            Err(error) => return Ok(Ended::Bad(told(&anyhow::anyhow!("it cannot be started: {error}")))),
        };
        let begun = Instant::now();
        let mut look = tokio::time::interval(LOOK);
        let mut confirmed = false;
        loop {
            tokio::select! {
                status = child.wait() => {
                    let status = status?;
                    if confirmed || State::read(dir)?.good.as_ref() == Some(version) {
                        return Ok(Ended::ForGood(status));
                    }
                    let why = Text { zh: format!("程序自行结束（{status}）"), en: format!("it ended by itself with {status}") };
                    return Ok(Ended::Bad(why));
                }
                _ = term.recv() => {
                    let status = end(&mut child).await?;
                    // A stop that somebody wanted says nothing about the program.
                    State::change(dir, |state| {
                        state.trial.iter_mut().for_each(|trial| trial.starts = trial.starts.saturating_sub(1));
                    })?;
                    return Ok(Ended::ForGood(if status.success() { status } else { ExitStatus::from_raw(0) }));
                }
                _ = look.tick(), if !confirmed => {
                    let state = State::read(dir)?;
                    confirmed = state.good.as_ref() == Some(version);
                    if confirmed {
                        continue;
                    }
                    let ready = state.trial.as_ref().is_some_and(|trial| trial.ready);
                    if !ready {
                        // systemd's patience with a start is shorter than ours with a new program.
                        let _ = sd_notify::notify(false, &[sd_notify::NotifyState::ExtendTimeoutUsec(30_000_000)]);
                    }
                    if let Some(why) = overdue(&state, begun.elapsed(), limits) {
                        end(&mut child).await?;
                        // It may have confirmed at the last moment.
                        if State::read(dir)?.good.as_ref() == Some(version) {
                            return Ok(Ended::ForGood(ExitStatus::from_raw(0)));
                        }
                        return Ok(Ended::Bad(why));
                    }
                }
            }
        }
    })
}

/// Why it has had its time, where it has.
fn overdue(state: &State, ran: Duration, limits: &UpdateConfig) -> Option<Text> {
    let ran = i64::try_from(ran.as_millis()).unwrap_or(i64::MAX);
    let (ready, lacks) = state.trial.as_ref().map_or((false, &[][..]), |trial| (trial.ready, trial.lacks.as_slice()));
    if !ready && ran >= limits.ready_within.ms() {
        let limit = limits.ready_within;
        return Some(Text { zh: format!("{limit} 内未就绪"), en: format!("it was not ready within {limit}") });
    }
    if ran < limits.trial.ms() {
        return None;
    }
    let join = |pick: fn(&Text) -> &str, between: &str| lacks.iter().map(pick).collect::<Vec<_>>().join(between);
    let limit = limits.trial;
    Some(Text {
        zh: format!("{limit} 内未确认正常：{}", join(|text| &text.zh, "；")),
        en: format!("it has not confirmed within {limit}: {}", join(|text| &text.en, "; ")),
    })
}

/// Asks a child to end, and kills it where it does not.
async fn end(child: &mut Child) -> anyhow::Result<ExitStatus> {
    if let Some(pid) = child.id().and_then(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?)) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    if let Ok(status) = tokio::time::timeout(GOOD_BYE, child.wait()).await {
        return Ok(status?);
    }
    child.kill().await?;
    Ok(child.wait().await?)
}
