//! `ninewatch notify`: the channels that tell people of alerts.

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use std::path::PathBuf;

use crate::config::Config;
use crate::lang::Lang;
use crate::notify;
use crate::site_files::SiteFiles;

/// What `notify` can be told.
#[derive(Debug, Args)]
pub(crate) struct NotifyArgs {
    /// The site file
    #[arg(long, value_name = "FILE", default_value = "/etc/ninewatch/site.toml", global = true)]
    site: PathBuf,
    #[command(subcommand)]
    command: NotifyCommand,
}

#[derive(Debug, Subcommand)]
enum NotifyCommand {
    /// 在通道上发一条测试消息，或让声光报警器响三秒 · Send a test message, or let a siren sound for three seconds
    ///
    /// 网关无需运行；通道须写在 site.toml 的 [[notify]] 中。
    /// The gateway need not be at work; the channel stands in site.toml as [[notify]].
    Test {
        /// The channel's name
        name: String,
    },
}

/// Tries a channel out.
///
/// # Errors
/// Where there is no such channel, or it is not heard.
pub(crate) async fn run(args: NotifyArgs, lang: Lang) -> anyhow::Result<()> {
    let NotifyCommand::Test { name } = args.command;
    let config = Config::load(&args.site)?;
    let Some(channel) = config.notify.iter().find(|channel| channel.name == name) else {
        let names: Vec<&str> = config.notify.iter().map(|channel| channel.name.as_str()).collect();
        bail!("no [[notify]] in {} is called `{name}`; there are: {}", args.site.display(), names.join(", "));
    };
    let (settings, _) = SiteFiles::new(config.clone(), Vec::new()).read()?;
    notify::test(channel, &config, &settings).await.with_context(|| format!("`{name}`"))?;
    eprintln!(
        "{}",
        lang.pick("已送达：请到群里、邮箱或现场看一看", "It was taken: look into the group, the mailbox, or listen")
    );
    Ok(())
}
