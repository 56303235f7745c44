//! How a command asks the running gateway: by its HTTP API and an account.

use anyhow::{Context, bail};
use axum::http::{Method, Uri};
use base64::Engine as _;
use clap::Args;
use serde_json::Value;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::notify::http_ask;

/// How the gateway is reached.
#[derive(Debug, Args)]
pub(super) struct Way {
    /// An account that may do it
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

/// The same, where the gateway is asked only if somebody wants that.
#[derive(Debug, Args)]
pub(super) struct MaybeWay {
    /// An account by which the running gateway is asked
    #[arg(long, requires = "password_file")]
    account: Option<String>,
    /// A file that holds its password and nothing else
    #[arg(long, value_name = "FILE", requires = "account")]
    password_file: Option<PathBuf>,
    /// The console's address; else as site.toml says
    #[arg(long, requires = "account")]
    url: Option<String>,
    /// The CA to trust, as `ninewatch cert show` prints it
    #[arg(long, value_name = "FILE", requires = "account")]
    ca: Option<PathBuf>,
}

impl MaybeWay {
    /// How it is asked, if it is.
    pub(super) fn way(self) -> Option<Way> {
        let Self { account, password_file, url, ca } = self;
        Some(Way { account: account?, password_file: password_file?, url, ca })
    }
}

impl Way {
    /// The same, to the console at this address.
    pub(super) fn at(self, base: String) -> Self {
        Self { url: Some(base), ..self }
    }

    /// Asks the gateway; gives what it answers, where that is JSON.
    ///
    /// # Errors
    /// Where it cannot be reached, or what it says.
    pub(super) async fn ask(&self, site: &Path, method: Method, path: &str, body: Vec<u8>) -> anyhow::Result<Value> {
        Ok(serde_json::from_slice(&self.fetch(site, method, path, body).await?).unwrap_or_default())
    }

    /// Asks the gateway; gives what it answers, byte by byte.
    ///
    /// # Errors
    /// Where it cannot be reached, or what it says.
    pub(super) async fn fetch(
        &self,
        site: &Path,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> anyhow::Result<Vec<u8>> {
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
        if !answer.status.is_success() {
            let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let (detail, mend) = (said["detail"].as_str(), said["mend"].as_str());
            bail!("{}; {}", detail.unwrap_or("the gateway refuses"), mend.unwrap_or(answer.status.as_str()));
        }
        Ok(answer.body)
    }
}
