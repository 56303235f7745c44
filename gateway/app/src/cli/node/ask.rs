//! What is asked of the running gateway, by its HTTP API and an account.

use anyhow::{Context, bail};
use axum::http::{Method, Uri};
use base64::Engine as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::Config;
use crate::lang::Lang;
use crate::notify::http_ask;

/// A node, and how the gateway is reached.
#[derive(Debug, Args)]
pub(super) struct One {
    /// Its name or id
    node: String,
    #[command(flatten)]
    way: Way,
}

/// How the gateway is reached.
#[derive(Debug, Args)]
struct Way {
    /// An account of the role installer or admin
    #[arg(long)]
    account: String,
    /// A file that holds its password and nothing else
    #[arg(long, value_name = "FILE")]
    password_file: PathBuf,
    /// The console's address; else as site.toml says
    #[arg(long)]
    url: Option<String>,
    /// The CA to trust, as `ninewatch cert show` prints it
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
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

impl Way {
    async fn ask(&self, site: &Path, method: Method, path: &str, body: Vec<u8>) -> anyhow::Result<Value> {
        let base = match &self.url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => {
                let console = Config::load(site)?.console.context("site.toml has no [console] to ask")?;
                let scheme = if console.https().is_some() { "https" } else { "http" };
                let port = console.listen.port();
                // What listens everywhere is reached here.
                let host = if console.listen.ip().is_unspecified() {
                    "127.0.0.1".into()
                } else {
                    console.listen.ip().to_string()
                };
                format!("{scheme}://{host}:{port}")
            }
        };
        let url: Uri = format!("{base}{path}").parse().with_context(|| format!("`{base}{path}` is no address"))?;
        let password = std::fs::read_to_string(&self.password_file)
            .with_context(|| format!("{} cannot be read", self.password_file.display()))?;
        let basic = format!("{}:{}", self.account, password.trim_end());
        let basic = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(basic));
        let content_type = if path.contains("/update?") { "application/octet-stream" } else { "application/json" };
        let headers = [("authorization", basic)];
        let answer = http_ask(method, &url, self.ca.as_deref(), content_type, &headers, body).await?;
        let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if !answer.status.is_success() {
            let (detail, mend) = (said["detail"].as_str(), said["mend"].as_str());
            bail!("{}; {}", detail.unwrap_or("the gateway refuses"), mend.unwrap_or(answer.status.as_str()));
        }
        Ok(said)
    }
}
