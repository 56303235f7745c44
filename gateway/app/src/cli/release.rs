//! `ninewatch release`: what an operator publishes for gateways.

use anyhow::Context;
use clap::{Args, Subcommand};
use std::io::Write as _;
use std::path::PathBuf;

use crate::lang::Lang;
use crate::update::release::{self, Repository};
use crate::update::{PublicKey, Version};

/// What `release` can be told.
#[derive(Debug, Args)]
pub(crate) struct ReleaseArgs {
    #[command(subcommand)]
    command: ReleaseCommand,
}

#[derive(Debug, Subcommand)]
enum ReleaseCommand {
    /// 生成签名密钥；私钥请离线保管 · Make a key to sign with; keep the private one off line
    #[command(after_help = "  ninewatch release key --to keys")]
    Key {
        /// The folder for both keys
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// 把软件包加入仓库 · Add packages to a repository; no gateway takes them before a ring names them
    #[command(
        after_help = "  ninewatch release add --repo /srv/ninewatch --key keys/release-key.pem ninewatch_1.4.2_arm64.deb"
    )]
    Add {
        #[command(flatten)]
        repository: RepositoryArgs,
        /// Packages of `make deb`; types-VERSION.tar.xz (sensors/, rules/); models-VERSION.tar.xz (a folder for each model)
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// 指定某一圈的网关应使用的版本 · Say which version the gateways of a ring are meant to have
    #[command(
        after_help = "  ninewatch release ring --repo /srv/ninewatch --key keys/release-key.pem test program=1.4.2"
    )]
    Ring {
        #[command(flatten)]
        repository: RepositoryArgs,
        /// As `update.ring` of site files names it
        ring: String,
        #[arg(value_name = "KIND=VERSION", value_parser = kind_and_version)]
        meant: (String, Version),
    },
    /// 查看仓库 · Print what is in a repository
    Show {
        /// The repository's folder
        #[arg(long, value_name = "DIR")]
        repo: PathBuf,
        /// The public key, as `release key` prints it
        #[arg(long, value_name = "KEY")]
        key: String,
    },
}

#[derive(Debug, Args)]
struct RepositoryArgs {
    /// The repository's folder, which a web server serves
    #[arg(long, value_name = "DIR")]
    repo: PathBuf,
    /// The private key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

fn kind_and_version(text: &str) -> Result<(String, Version), String> {
    let parse = || {
        let (kind, version) = text.split_once('=')?;
        Some((kind.to_owned(), Version::parse(version)?))
    };
    parse().ok_or_else(|| "write a kind and a version: program=1.4.2".to_owned())
}

/// Does what was asked for.
///
/// # Errors
/// What keeps it from being done.
pub(crate) fn run(args: &ReleaseArgs, lang: Lang) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    match &args.command {
        ReleaseCommand::Key { to } => {
            let key = release::make_key(to)?;
            eprintln!("{}", lang.pick("写入各网关的 site.toml：", "For the site.toml of each gateway:"));
            writeln!(out, "[update]\nkey = \"{}\"", key.text())?;
        }
        ReleaseCommand::Add { repository, files } => {
            let mut repo = Repository::open(&repository.repo, &repository.key)?;
            for file in files {
                let added = repo.add(file)?;
                writeln!(out, "{} {} {}  {}", added.kind, added.version, added.arch, added.sha256)?;
            }
        }
        ReleaseCommand::Ring { repository, ring, meant: (kind, version) } => {
            Repository::open(&repository.repo, &repository.key)?.promote(ring, kind, version)?;
            writeln!(out, "{ring}: {kind} {version}")?;
        }
        ReleaseCommand::Show { repo, key } => {
            let index = release::read(repo, &PublicKey::parse(key).context("--key")?)?;
            writeln!(out, "{} {}", lang.pick("序号", "serial"), index.serial)?;
            for one in &index.releases {
                writeln!(out, "{} {} {}  {} B  {}", one.kind, one.version, one.arch, one.bytes, one.file)?;
            }
            for (ring, meant) in &index.rings {
                for (kind, version) in meant {
                    writeln!(out, "{ring}: {kind} {version}")?;
                }
            }
        }
    }
    Ok(())
}
