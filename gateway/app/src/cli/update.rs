//! `ninewatch update`: how updates stand, and what a person wants of them. The gateway at work does it.

use anyhow::ensure;
use clap::{Args, Subcommand};
use std::io::Write as _;
use std::path::PathBuf;

use crate::audit::note_command;
use crate::config::Config;
use crate::journal;
use crate::lang::Lang;
use crate::update::{self, State, Version, Wish};

/// What `update` can be told.
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// The site file
    #[arg(long, value_name = "FILE", default_value = "/etc/ninewatch/site.toml", global = true)]
    site: PathBuf,
    #[command(subcommand)]
    command: UpdateCommand,
}

#[derive(Debug, Subcommand)]
enum UpdateCommand {
    /// 查看版本、试用、失败原因和历史 · Print versions, trial, what failed and why, and what was
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// 立即查看仓库 · Look into the repository now
    Look,
    /// 立即更新，不等安静时段 · Update now, without waiting for the quiet hours
    Now,
    /// 退回上一版本 · Go back to the former version
    Back,
}

/// Prints or asks.
///
/// # Errors
/// Where the site has no updates, or its data folder cannot be used.
pub(crate) fn run(args: &UpdateArgs, lang: Lang) -> anyhow::Result<()> {
    let config = Config::load(&args.site)?;
    let site = args.site.display();
    ensure!(config.update.is_some(), "{site} has no [update]: this gateway takes no updates; see docs/update.md");
    let data_dir = config.gateway.data_dir;
    let dir = update::dir(&data_dir);
    let (wish, deed) = match args.command {
        UpdateCommand::Status { json } => return print(&State::read(&dir)?, json, lang),
        UpdateCommand::Look => (Wish::Look, "update.look"),
        UpdateCommand::Now => (Wish::Now, "update.now"),
        UpdateCommand::Back => (Wish::Back, "update.back"),
    };
    note_command(&data_dir, deed, "", State::change(&dir, |state| state.wish = Some(wish)))?;
    if !journal::Journal::is_in_use(&data_dir.join("journal"))? {
        eprintln!("{}", lang.pick("网关未运行，启动后执行", "The gateway is not at work; it will be done once it is"));
    }
    Ok(())
}

fn print(state: &State, json: bool, lang: Lang) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    if json {
        return Ok(writeln!(out, "{}", serde_json::to_string_pretty(state)?)?);
    }
    let shown = |version: &Option<Version>| version.as_ref().map_or("-".to_owned(), Version::to_string);
    let trial = state.trial.as_ref().map(|trial| trial.version.clone());
    for (zh, en, version) in [
        ("已安装", "installed", &Some(Version::of_this_program())),
        ("已更新到", "updated to", &state.good),
        ("试用中", "on trial", &trial),
        ("待启用", "staged", &state.staged),
        ("仓库版本", "offered", &state.offered),
    ] {
        writeln!(out, "{}  {}", lang.pick(zh, en), shown(version))?;
    }
    for (kind, track) in &state.content {
        let name = if kind == "models" {
            lang.pick("模型", "models")
        } else {
            lang.pick("设备类型和规则", "types and rules")
        };
        let trial = track.trial.as_ref().map(|_| lang.pick("（试用中）", " (on trial)")).unwrap_or_default();
        let in_force = track.in_force().cloned();
        writeln!(out, "{name}  {}{trial}", shown(&in_force))?;
    }
    let unreachable = state.unreachable.as_deref();
    let lacks = state.trial.iter().flat_map(|trial| &trial.lacks);
    let said =
        state.trouble.iter().chain(&state.refused).chain(&state.waits_for).chain(lacks).map(|text| lang.of(text));
    for text in said.chain(unreachable) {
        writeln!(out, "! {text}")?;
    }
    for event in &state.history {
        let at = ninewatch_core::time::UtcOffset::CHINA.rfc3339(event.at_ms);
        let why = event.why.as_ref().map(|why| format!("  {}", lang.of(why))).unwrap_or_default();
        let kind = event.kind.as_ref().map(|kind| format!("{kind} ")).unwrap_or_default();
        writeln!(out, "{at}  {}  {kind}{}{why}", event.what, event.version)?;
    }
    Ok(())
}
