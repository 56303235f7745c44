//! What is asked of the running gateway, by its HTTP API and an account.

use anyhow::{Context, bail};
use axum::http::Method;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::way::Way;
use crate::lang::Lang;

/// A node, and how the gateway is reached.
#[derive(Debug, Args)]
pub(super) struct One {
    /// Its name or id
    node: String,
    #[command(flatten)]
    way: Way,
}

/// A new program for a node.
#[derive(Debug, Args)]
pub(super) struct UpdateArgs {
    #[command(flatten)]
    one: One,
    /// For which board it is: pico, pico2 or nucleo-f411
    #[arg(long)]
    board: String,
    /// The program, as `make firmware` lays it down: BOARD.bin
    #[arg(long, value_name = "FILE")]
    firmware: PathBuf,
}

/// How often it is asked how far it is.
const LOOK: Duration = Duration::from_millis(500);

/// Prints a node's log.
///
/// # Errors
/// What the gateway says.
pub(super) async fn log(site: &Path, one: &One) -> anyhow::Result<()> {
    let said = one.way.ask(site, Method::POST, &format!("/api/v1/nodes/{}/log", one.node), Vec::new()).await?;
    Ok(write!(std::io::stdout().lock(), "{}", said["log"].as_str().unwrap_or_default())?)
}

/// Tells a node something that has no answer.
///
/// # Errors
/// What the gateway says.
pub(super) async fn tell(site: &Path, one: &One, what: &str) -> anyhow::Result<()> {
    one.way.ask(site, Method::POST, &format!("/api/v1/nodes/{}/{what}", one.node), b"{}".to_vec()).await.map(drop)
}

/// Sends a node a new program, and shows how far it is.
///
/// # Errors
/// Where it does not run there in the end.
pub(super) async fn update(site: &Path, args: &UpdateArgs, lang: Lang) -> anyhow::Result<()> {
    let UpdateArgs { one, board, firmware } = args;
    let program = std::fs::read(firmware)
        .with_context(|| format!("{} cannot be read; `make firmware` builds it", firmware.display()))?;
    let path = format!("/api/v1/nodes/{}/update?board={board}", one.node);
    one.way.ask(site, Method::POST, &path, program).await?;
    let bar = ProgressBar::new(1);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes}") {
        bar.set_style(style);
    }
    loop {
        tokio::time::sleep(LOOK).await;
        let all = one.way.ask(site, Method::GET, "/api/v1/nodes", Vec::new()).await?;
        let is_it = |node: &&Value| node["name"] == one.node.as_str() || node["id"] == one.node.as_str();
        let node = all["nodes"].as_array().and_then(|nodes| nodes.iter().find(is_it)).context("the node is gone")?;
        let update = &node["update"];
        bar.set_length(update["of"].as_u64().unwrap_or(1));
        bar.set_position(update["bytes"].as_u64().unwrap_or(0));
        match update["state"].as_str() {
            Some("sending" | "restarting") => {}
            Some("done") => {
                bar.finish_and_clear();
                eprintln!("{}", lang.pick("新程序已运行", "The new program runs"));
                return Ok(());
            }
            _ => {
                bar.finish_and_clear();
                bail!("{}", update["why"].as_str().unwrap_or("the gateway no longer knows of the update"));
            }
        }
    }
}
