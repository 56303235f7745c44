//! Man pages and shell completions, out of the same description that parses the command line. A package's build asks
//! for them; so they cannot tell of a command that is not there.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::Shell;

use super::Cli;

/// `ninewatch manual`
#[derive(Debug, Args)]
pub(crate) struct ManualArgs {
    /// 写入此文件夹 · The folder to write them to, made if absent
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

/// Writes `man1/*.1` and what bash, zsh and fish complete by.
pub(crate) fn run(args: &ManualArgs) -> anyhow::Result<()> {
    let mut command = Cli::command();
    command.build();
    let pages = folder(&args.to, "man1")?;
    clap_mangen::generate_to(command, &pages)
        .with_context(|| format!("man pages cannot be written to {}", pages.display()))?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let into =
            folder(&args.to, &shell.to_possible_value().map_or_else(String::new, |it| it.get_name().to_owned()))?;
        clap_complete::generate_to(shell, &mut Cli::command(), "ninewatch", &into)
            .with_context(|| format!("completions cannot be written to {}", into.display()))?;
    }
    Ok(())
}

fn folder(parent: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let folder = parent.join(name);
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    Ok(folder)
}
