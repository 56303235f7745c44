//! `ninewatch support`: one file for a vendor, without a person, a place, an address or a secret.

use clap::Args;
use std::io::Write as _;
use std::path::PathBuf;

use axum::http::Method;

use super::way::MaybeWay;
use crate::audit::note_command;
use crate::config::Config;
use crate::lang::Lang;
use crate::private;
use crate::support::{self, Live};

/// What `support` can be told.
#[derive(Debug, Args)]
pub(crate) struct SupportArgs {
    /// The site file
    #[arg(long, value_name = "FILE", default_value = "/etc/ninewatch/site.toml")]
    site: PathBuf,
    /// The file to write: a page that any browser opens, such as support.html
    #[arg(long, value_name = "FILE", required_unless_present = "show")]
    to: Option<PathBuf>,
    /// Only show what would be in it
    #[arg(long, conflicts_with = "to")]
    show: bool,
    #[command(flatten)]
    way: MaybeWay,
}

/// Gathers the bundle, and writes or shows it.
///
/// # Errors
/// Where site.toml has a fault, the gateway that is asked says no, or the file cannot be written.
pub(crate) async fn run(args: SupportArgs, lang: Lang) -> anyhow::Result<()> {
    let live = match args.way.way() {
        Some(way) => {
            let health = way.ask(&args.site, Method::GET, "/api/v1/health", Vec::new()).await?;
            let metrics = way.fetch(&args.site, Method::GET, "/metrics", Vec::new()).await?;
            Some(Live { health, metrics: String::from_utf8_lossy(&metrics).into_owned() })
        }
        None => None,
    };
    let site = args.site.clone();
    let gathering = move || support::gather(&site, live, support::own_log(), lang);
    let bundle = tokio::task::spawn_blocking(gathering).await??;
    let Some(to) = args.to else { return Ok(writeln!(std::io::stdout().lock(), "{}", bundle.json())?) };
    let data_dir = Config::load(&args.site)?.gateway.data_dir;
    let written =
        private::write(&to, bundle.page().as_bytes()).and_then(|()| Ok(private::give_to_owner_of_folder(&to)?));
    note_command(&data_dir, "support", &to.display().to_string(), written)?;
    match lang {
        Lang::Zh => eprintln!("已写入 {}，请先用浏览器打开看一遍，再交给厂商。", to.display()),
        Lang::En => {
            eprintln!("Written to {}. Open it in a browser and look through it before you hand it on.", to.display())
        }
    }
    Ok(())
}
