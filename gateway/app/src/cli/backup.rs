//! `ninewatch backup` and `ninewatch restore`: a gateway moves to another box.

use anyhow::Context;
use clap::Args;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};

use ninewatch_core::time::UtcOffset;

use crate::audit::note_command;
use crate::backup::{self, About, Passphrase, Restored, Written};
use crate::config::Config;
use crate::lang::Lang;

/// What `backup` can be told.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The site file
    #[arg(long, value_name = "FILE", default_value = "/etc/ninewatch/site.toml")]
    site: PathBuf,
    /// The file to write, for its owner alone
    #[arg(long, value_name = "FILE", required_unless_present_any = ["check", "usb"])]
    to: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long, requires = "to")]
    force: bool,
    /// Only read this backup through, and say what it holds
    #[arg(long, value_name = "FILE", conflicts_with_all = ["to", "site"])]
    check: Option<PathBuf>,
    /// Write one more generation to the stick that is mounted there, if [backup] of the site file wants that
    #[arg(long, value_name = "DIR", conflicts_with_all = ["to", "check", "force"])]
    usb: Option<PathBuf>,
    /// With --check: what a sealed backup is opened with; asked for where it is left out
    #[arg(long, value_name = "FILE", requires = "check")]
    passphrase_file: Option<PathBuf>,
}

/// What `restore` can be told.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// A file that `ninewatch backup` wrote
    file: PathBuf,
    /// The data folder to make
    #[arg(long, value_name = "DIR", default_value = "/var/lib/ninewatch")]
    data_dir: PathBuf,
    /// If the folder holds a gateway, move it aside to DIR.before-TIME; it is not deleted
    #[arg(long)]
    force: bool,
    /// What a sealed backup is opened with; asked for where it is left out
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// Writes a backup, or checks one; tells what it holds.
///
/// # Errors
/// Where it cannot be made, or is not whole.
pub(crate) fn back_up(args: &BackupArgs, lang: Lang) -> anyhow::Result<()> {
    if let Some(file) = &args.check {
        let passphrase = passphrase(file, args.passphrase_file.as_deref(), lang)?;
        let checking = lang.pick("检查备份", "checking the backup");
        let (about, bytes) = shown(checking, |bar| backup::check(file, passphrase.as_ref(), bar))?;
        return tell(&about, bytes, lang);
    }
    if let Some(stick) = &args.usb {
        return to_stick(&args.site, stick, lang);
    }
    let Some(to) = &args.to else { anyhow::bail!("name the file to write with `--to`") };
    let config = Config::load(&args.site)?;
    let data_dir = config.gateway.data_dir;
    let made =
        shown(lang.pick("写入备份", "writing the backup"), |bar| backup::make(&args.site, to, args.force, bar));
    let (about, bytes) = note_command(&data_dir, "backup", &to.display().to_string(), made)?;
    tell(&about, bytes, lang)?;
    if config.backup.passphrase_file.is_some() {
        eprintln!(
            "{}",
            lang.pick("已用口令加密。没有口令无法恢复。", "It is sealed. Without the passphrase nobody restores it.")
        );
        return Ok(());
    }
    let secret = lang.pick(
        "文件含有密钥、口令和私钥，请像网关本身一样保管。",
        "It holds credentials, passwords and private keys: keep it as safe as the gateway itself.",
    );
    eprintln!("{secret}");
    Ok(())
}

/// Writes one more generation to a stick; tells what became of it.
fn to_stick(site: &Path, stick: &Path, lang: Lang) -> anyhow::Result<()> {
    let written = shown(lang.pick("写入备份", "writing the backup"), |bar| backup::to_stick(site, stick, bar));
    let of = stick.display().to_string();
    let data_dir = Config::load(site)?.gateway.data_dir;
    let Some(Written { about, bytes, file, generations, let_go }) =
        written.transpose().map(|done| note_command(&data_dir, "backup", &of, done)).transpose()?
    else {
        eprintln!(
            "{}",
            lang.pick(
                "site.toml 没有要求备份到 U 盘（[backup] usb）",
                "site.toml wants no backups to a stick ([backup] usb)"
            )
        );
        return Ok(());
    };
    tell(&about, bytes, lang)?;
    match lang {
        Lang::Zh => {
            eprintln!("已写入 {} 并读回核对；U 盘上有 {generations} 天的备份，删除了 {let_go} 份旧的。", file.display())
        }
        Lang::En => eprintln!(
            "Written to {} and read back; the stick has {generations} days, {let_go} older ones were let go.",
            file.display()
        ),
    }
    Ok(())
}

/// What opens this backup, where it is sealed.
fn passphrase(backup: &Path, file: Option<&Path>, lang: Lang) -> anyhow::Result<Option<Passphrase>> {
    if !backup::is_sealed(backup)? {
        return Ok(None);
    }
    match file {
        Some(file) => Passphrase::read(file).map(Some),
        None => ask(lang).map(Some),
    }
}

/// Asks a person, who does not see what they type.
fn ask(lang: Lang) -> anyhow::Result<Passphrase> {
    let stdin = std::io::stdin();
    let before = tcgetattr(&stdin).context("the backup is sealed; give its passphrase by `--passphrase-file FILE`")?;
    eprint!("{}", lang.pick("备份口令：", "Passphrase of the backup: "));
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &silent)?;
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    tcsetattr(&stdin, OptionalActions::Flush, &before)?;
    eprintln!();
    read?;
    Passphrase::new(&line)
}

/// Restores a backup, and says what comes next.
///
/// # Errors
/// Where the backup is not whole, or the folder cannot be used. Then all is as it was.
pub(crate) fn restore(args: &RestoreArgs, lang: Lang) -> anyhow::Result<()> {
    let passphrase = passphrase(&args.file, args.passphrase_file.as_deref(), lang)?;
    let Restored { about, bytes, data_dir, site_file, former } = shown(lang.pick("恢复", "restoring"), |bar| {
        backup::restore(&args.file, passphrase.as_ref(), &args.data_dir, args.force, bar)
    })?;
    note_command(&data_dir, "restore", &args.file.display().to_string(), Ok(()))?;
    tell(&about, bytes, lang)?;
    let (data_dir, site_file) = (data_dir.display(), site_file.display());
    if let Some(former) = former {
        eprintln!("{} {}", lang.pick("原有数据已移至", "What was there is now in"), former.display());
    }
    let id = about.gateway;
    match lang {
        Lang::Zh => eprintln!(
            "已恢复到 {data_dir}。接下来：\n\
             1. 确认原网关已关机：两台设备不能同时作为网关 {id} 运行。\n\
             2. 检查：ninewatch check --site {site_file}\n\
             3. 启动：ninewatch run --site {site_file}\n\
             \u{20}  或作为服务：sudo install -m 644 {site_file} /etc/ninewatch/site.toml && sudo systemctl restart ninewatch\n\
             4. 传感器须能以原地址访问到它。"
        ),
        Lang::En => eprintln!(
            "Restored to {data_dir}. Next:\n\
             1. See that the old box is off: two must never be gateway {id} at the same time.\n\
             2. Check: ninewatch check --site {site_file}\n\
             3. Start: ninewatch run --site {site_file}\n\
             \u{20}  or as the service: sudo install -m 644 {site_file} /etc/ninewatch/site.toml && sudo systemctl restart ninewatch\n\
             4. Devices have to find it at the old address."
        ),
    }
    Ok(())
}

/// Shows how far it is while it works.
fn shown<T>(what: &'static str, work: impl FnOnce(&ProgressBar) -> T) -> T {
    let style = ProgressStyle::with_template("  {bar:30.cyan/blue} {percent}%  {elapsed}  {msg}");
    let bar = ProgressBar::new(0).with_message(what);
    let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let done = work(&bar);
    bar.finish_and_clear();
    done
}

fn tell(about: &About, bytes: u64, lang: Lang) -> anyhow::Result<()> {
    let About { gateway, program, made_at_ms, places, devices, open_alerts, last_seq } = about;
    let made = UtcOffset::CHINA.rfc3339(*made_at_ms);
    let size = HumanBytes(bytes);
    let mut out = std::io::stdout();
    match lang {
        Lang::Zh => {
            writeln!(out, "网关 {gateway} 的备份（{made}，ninewatch {program}）")?;
            writeln!(out, "场所 {places}，设备 {devices}，未办结预警 {open_alerts}，最后序号 {last_seq}，{size}")?;
        }
        Lang::En => {
            writeln!(out, "A backup of gateway {gateway} ({made}, ninewatch {program})")?;
            let what = format!("{places} places, {devices} devices, {open_alerts} open alerts");
            writeln!(out, "{what}, last sequence number {last_seq}, {size}")?;
        }
    }
    Ok(())
}
