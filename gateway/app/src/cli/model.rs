//! `ninewatch model`: which models there are, how a shadow compares, what is refused, what a score takes.

mod bench;
mod compare;
mod comparison;
mod list;
#[cfg(test)]
mod tests;

use anyhow::Context;
use clap::{Args, Subcommand};
use std::io::Write;
use std::path::{Path, PathBuf};

use ninewatch_core::time::UtcOffset;

use crate::clock::Clock;
use crate::config::Config;
use crate::lang::Lang;
use crate::scorer::{Shelf, Sources};

const USUAL_SITE: &str = "/etc/ninewatch/site.toml";

/// What `model` can be told.
#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// The site file; left out: /etc/ninewatch/site.toml, or the built-in models alone where that is not there
    #[arg(long, value_name = "FILE", global = true)]
    site: Option<PathBuf>,
    #[command(subcommand)]
    command: ModelCommand,
}

#[derive(Debug, Subcommand)]
enum ModelCommand {
    /// 列出模型：版本、指标，在用、影子、停用（及原因）或有误 · List the models: versions, figures, in use, shadow, refused (why) or
    /// broken
    List {
        /// Print JSON, the whole of each card that people read included
        #[arg(long)]
        json: bool,
    },
    /// 影子模型与在用模型的对照 · How a shadow compares with the model in use
    Compare {
        /// The shadow's name; its card names the other as `shadow_of`
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// 重新起用已停用的模型版本 · Take up again what is refused; a running gateway does so within a second
    Retry {
        /// The model's name
        name: String,
    },
    /// 测量每次评分的时间和每个模型的内存 · Measure what a score takes, and a model's memory
    Bench {
        /// Those to measure; left out: all
        names: Vec<String>,
        /// For how long each
        #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=60))]
        seconds: u64,
        /// Print JSON, with what was asked
        #[arg(long)]
        json: bool,
    },
}

/// # Errors
/// Where the site file has a fault, or what is named is not there.
pub(crate) fn run(args: &ModelArgs, lang: Lang) -> anyhow::Result<()> {
    run_to(args, lang, &mut std::io::stdout().lock())
}

fn run_to(args: &ModelArgs, lang: Lang, out: &mut impl Write) -> anyhow::Result<()> {
    let site = Site::read(args.site.as_deref())?;
    match &args.command {
        ModelCommand::List { json } => list::run(&site, *json, lang, out),
        ModelCommand::Compare { name, json } => compare::run(site.config()?, name, *json, lang, out),
        ModelCommand::Retry { name } => retry(site.config()?, name, lang, out),
        ModelCommand::Bench { names, seconds, json } => bench::run(&site, names, *seconds, *json, lang, out),
    }
}

/// Whose models it is about; without a configuration, the built-in ones.
struct Site(Option<Config>);

impl Site {
    fn read(named: Option<&Path>) -> anyhow::Result<Self> {
        let usual = || Some(Path::new(USUAL_SITE)).filter(|path| path.exists());
        Ok(Self(named.or_else(usual).map(Config::load).transpose()?))
    }

    fn config(&self) -> anyhow::Result<&Config> {
        self.0.as_ref().with_context(|| format!("{USUAL_SITE} is not there; --site FILE names the site file"))
    }

    /// Of the models as a gateway sees them.
    fn sources(&self) -> Sources {
        let files = self.0.as_ref().map(|config| config.files.clone()).unwrap_or_default();
        Sources {
            models_dir: files.models,
            updates: files.delivered,
            library: files.onnxruntime,
            shelf: self.0.as_ref().map(|config| Shelf::new(&config.gateway.data_dir)),
            clock: Clock::System,
        }
    }

    fn utc_offset(&self) -> UtcOffset {
        self.0.as_ref().map_or(UtcOffset::CHINA, |config| config.gateway.utc_offset)
    }
}

fn retry(config: &Config, name: &str, lang: Lang, out: &mut impl Write) -> anyhow::Result<()> {
    let shelf = Shelf::new(&config.gateway.data_dir);
    let refused: Vec<_> = shelf.refused().into_iter().filter(|refused| refused.name == name).collect();
    anyhow::ensure!(
        !refused.is_empty(),
        "no version of `{name}` is refused; `ninewatch model list` shows those that are"
    );
    shelf.forgive(name)?;
    for refused in refused {
        let version = refused.version;
        match lang {
            Lang::Zh => writeln!(out, "{name} {version} 不再停用；运行中的网关一秒内重新起用它")?,
            Lang::En => {
                writeln!(out, "{name} {version} is refused no more; a running gateway takes it up within a second")?
            }
        }
    }
    Ok(())
}
