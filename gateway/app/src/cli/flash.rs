//! `ninewatch flash`: from a blank card to a gateway that nobody has to log in to.

use anyhow::{bail, ensure};
use clap::Args;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use ninewatch_core::time::UtcOffset;

use super::table;
use crate::clock::Clock;
use crate::flash::{self, Disk, FlashLog, Identity, Machine, Papers, Row, Step, Target, Wanted, Wifi};
use crate::lang::Lang;

/// What `flash` can be told.
#[derive(Debug, Args)]
pub(crate) struct FlashArgs {
    /// 列出可用的存储卡 · Show the cards of this machine
    #[arg(long)]
    list: bool,
    /// 镜像，可以是 .xz、.zst、.gz · The image, packed or not
    #[arg(long, value_name = "FILE", required_unless_present = "list")]
    image: Option<PathBuf>,
    /// 存储卡，整张卡会被覆盖 · The card; all on it goes
    #[arg(long, value_name = "DEVICE", conflicts_with = "file")]
    device: Option<PathBuf>,
    /// 写入文件而不是存储卡 · A file to write, in the place of a card
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// 站点文件；其中的 {id} 换成 --id，一个文件可用于多台网关 · The site file; {id} in it becomes --id, so that one file serves many
    #[arg(long, value_name = "FILE", required_unless_present = "list")]
    site: Option<PathBuf>,
    /// 网关编号 · The gateway's id
    #[arg(long)]
    id: Option<String>,
    /// 登记表：预先登记的场所和设备 · The registry: places and devices, registered beforehand
    #[arg(long, value_name = "FILE")]
    registry: Option<PathBuf>,
    /// 为没有密钥的设备生成密钥并写入此文件（id,secret）· Give devices that have no secret one, and write them here
    #[arg(long, value_name = "FILE", requires = "registry")]
    secrets: Option<PathBuf>,
    /// 用网关的 CA 生成传感器端口的证书和私钥，代替 sensor_port.tls 所指的文件 · Make the sensor port's certificate with the gateway's CA
    #[arg(long)]
    port_certificate: bool,
    /// Wi-Fi 名称 · The Wi-Fi network
    #[arg(long, value_name = "SSID", requires = "wifi_password_file")]
    wifi: Option<String>,
    /// 只含 Wi-Fi 口令的文件 · A file with its password and nothing else
    #[arg(long, value_name = "FILE", requires = "wifi")]
    wifi_password_file: Option<PathBuf>,
    /// 无线电管制国家 · The country whose radio rules hold
    #[arg(long, value_name = "CC", default_value = "CN")]
    wifi_country: String,
    /// 允许以 SSH 登录的公钥；不给则 SSH 关闭 · Public keys that may log in by SSH, which is else off
    #[arg(long, value_name = "FILE")]
    ssh_key: Option<PathBuf>,
    /// 随箱单据 · The sheet for the box [default: ID.html]
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
    /// 安装位置，印在单据上 · Where the box belongs, for the sheet
    #[arg(long, value_name = "TEXT")]
    at: Option<String>,
    /// 烧录记录 · The log of cards [default: flashed.csv beside the site file]
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// 该编号烧录过，新卡取代旧卡 · This id was flashed before; the new card takes the old one's place
    #[arg(long)]
    again: bool,
    /// 不再询问 · Do not ask
    #[arg(long)]
    yes: bool,
    /// 确认写入这块不像存储卡的磁盘 · Write to this disk although it does not look like a card
    #[arg(long, value_name = "NAME")]
    yes_this_disk: Option<String>,
}

/// Shows the cards, or makes one.
///
/// # Errors
/// What is wrong. Then the card must not be used, and there is no sheet.
pub(crate) fn run(args: &FlashArgs, lang: Lang) -> anyhow::Result<()> {
    if args.list {
        return list(lang);
    }
    let (Some(image), Some(site)) = (&args.image, &args.site) else { bail!("say `--image` and `--site`") };
    let target = target(args)?;
    let identity = Identity::make(&Wanted {
        site,
        id: args.id.as_deref(),
        registry: args.registry.as_deref(),
        device_secrets: args.secrets.is_some(),
        port_certificate: args.port_certificate,
        wifi: args.wifi.clone().zip(args.wifi_password_file.clone()).map(|(ssid, password_file)| Wifi {
            ssid,
            password_file,
            country: args.wifi_country.clone(),
        }),
        ssh_keys: args.ssh_key.as_deref(),
        lang,
    })?;
    let log_path = args.log.clone().unwrap_or_else(|| site.with_file_name("flashed.csv"));
    let mut log = FlashLog::open(&log_path)?;
    warn_of_earlier(&log, &log_path, &identity, args.again, lang)?;
    for note in &identity.notes {
        eprintln!("{} {note}", lang.pick("注意：", "Note:"));
    }
    confirm(&target, args.yes, lang)?;

    let made = UtcOffset::CHINA.rfc3339(Clock::System.now_ms());
    let sheet_path = args.sheet.clone().unwrap_or_else(|| PathBuf::from(format!("{}.html", identity.id)));
    let ca_path = sheet_path.with_extension("ca.crt");
    let sheet = flash::sheet(&identity, args.at.as_deref(), &made)?;
    let secrets = secrets_text(&identity);
    let mut papers: Vec<(&Path, &str)> = vec![(&sheet_path, &sheet)];
    papers.extend(identity.ca.as_deref().map(|ca| (ca_path.as_path(), ca)));
    papers.extend(args.secrets.as_deref().map(|path| (path, secrets.as_str())));
    let waiting = Papers::write(&papers, args.again)?;

    let mut row = Row {
        at: made,
        gateway: identity.id.clone(),
        state: "begun".to_owned(),
        card: called(&target),
        console_fingerprint: identity.fingerprint.clone().unwrap_or_default(),
        upstreams: flash::row_of(&identity.credentials),
        image_sha256: String::new(),
    };
    let begin = |sha256: &str| {
        sha256.clone_into(&mut row.image_sha256);
        log.add(row.clone())
    };
    flash::flash(image, &target, &identity, begin, |step| bar(step, lang))?;
    "verified".clone_into(&mut row.state);
    log.add(row)?;
    waiting.keep()?;
    let papers: Vec<&Path> = papers.iter().map(|(path, _)| *path).collect();
    tell(&identity, &target, &papers, &log_path, lang)
}

fn target(args: &FlashArgs) -> anyhow::Result<Target> {
    match (&args.device, &args.file) {
        (Some(device), None) => {
            let disk = Machine::this().find(device)?;
            disk.check(args.yes_this_disk.as_deref())?;
            Ok(Target::Disk(disk))
        }
        (None, Some(file)) => Ok(Target::File(file.clone())),
        _ => bail!(
            "say where to write: `--device /dev/sdX` (`ninewatch flash --list` shows the cards), or `--file FILE`"
        ),
    }
}

fn list(lang: Lang) -> anyhow::Result<()> {
    let header = match lang {
        Lang::Zh => ["设备", "大小", "型号", "可否烧录"],
        Lang::En => ["DEVICE", "SIZE", "MODEL", "CAN BE FLASHED"],
    };
    let rows = Machine::this().disks()?.into_iter().map(|disk| {
        let can = match disk.check(None) {
            Ok(()) => lang.pick("可以", "yes").to_owned(),
            Err(why) => format!("{}: {why}", lang.pick("否", "no")),
        };
        [disk.path().display().to_string(), HumanBytes(disk.bytes).to_string(), disk.model, can]
    });
    table::print(&mut std::io::stdout().lock(), header, rows)
}

/// Two cards of one gateway must not be about without anybody knowing.
fn warn_of_earlier(log: &FlashLog, path: &Path, ours: &Identity, again: bool, lang: Lang) -> anyhow::Result<()> {
    if let Some(former) = log.last_of(&ours.id) {
        let (id, at, card, state) = (&ours.id, &former.at, &former.card, &former.state);
        ensure!(
            again,
            "gateway `{id}` was flashed at {at} on {card} ({state}, {}). Two cards must never be one gateway: say \
             `--again` if this one takes the other's place, and destroy or revoke that one",
            path.display()
        );
        let kept = former.upstreams == flash::row_of(&ours.credentials) && !ours.credentials.is_empty();
        match (lang, kept) {
            (Lang::Zh, true) => {
                eprintln!("注意：{at} 的旧卡（{card}）用的是同一凭据。旧卡若丢失或可能被复制，先更换凭据再烧录。")
            }
            (Lang::En, true) => eprintln!(
                "Note: the former card of {at} ({card}) has the same credential. If it is lost or may have been copied, get another credential first."
            ),
            (Lang::Zh, false) => eprintln!("注意：请吊销 {at} 旧卡（{card}）的凭据：{}", former.upstreams),
            (Lang::En, false) => {
                eprintln!("Note: revoke what the former card of {at} ({card}) has: {}", former.upstreams)
            }
        }
    }
    if let Some((other, upstream)) = log.sharing(&ours.id, &ours.credentials) {
        match lang {
            Lang::Zh => eprintln!(
                "注意：上级 {upstream} 的凭据与网关 {other} 相同，吊销一个就断开两个；请各用各的（site.toml 中写 {{id}}）。"
            ),
            Lang::En => eprintln!(
                "Note: the credential for upstream {upstream} is that of gateway {other} too, and revoking one cuts off both; give each its own ({{id}} in site.toml)."
            ),
        }
    }
    Ok(())
}

fn confirm(target: &Target, yes: bool, lang: Lang) -> anyhow::Result<()> {
    let Target::Disk(Disk { name, .. }) = target else { return Ok(()) };
    if yes {
        return Ok(());
    }
    ensure!(std::io::stdin().is_terminal(), "nobody is there to ask; say `--yes` if all on /dev/{name} may go");
    let what = called(target);
    match lang {
        Lang::Zh => eprint!("{what} 上的全部内容将被覆盖。确认请输入 {name}："),
        Lang::En => eprint!("All on {what} goes. Type {name} to go on: "),
    }
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    ensure!(answer.trim() == name, "it was not confirmed; nothing was written");
    Ok(())
}

/// The target as people know it again.
fn called(target: &Target) -> String {
    match target {
        Target::Disk(disk) => disk.to_string(),
        Target::File(path) => path.display().to_string(),
    }
}

fn secrets_text(identity: &Identity) -> String {
    let rows = identity.device_secrets.iter().map(|(id, secret)| format!("{id},{secret}\n"));
    std::iter::once("id,secret\n".to_owned()).chain(rows).collect()
}

fn bar(step: Step, lang: Lang) -> ProgressBar {
    let what = match step {
        Step::Writing => lang.pick("写入", "writing"),
        Step::Verifying => lang.pick("从卡上读回校验", "reading the card back"),
        // A moment.
        Step::Identity => return ProgressBar::hidden(),
    };
    let style = ProgressStyle::with_template("  {bar:30.cyan/blue} {percent}%  {elapsed} / {eta}  {msg}");
    let bar = ProgressBar::new(0).with_message(what);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn tell(identity: &Identity, target: &Target, papers: &[&Path], log: &Path, lang: Lang) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    let (id, what, summary) = (&identity.id, called(target), &identity.summary);
    match lang {
        Lang::Zh => writeln!(out, "已写入并校验：网关 {id}，{what}（{summary}）")?,
        Lang::En => writeln!(out, "Written and verified: gateway {id}, {what} ({summary})")?,
    }
    for paper in papers {
        writeln!(out, "  {}", paper.display())?;
    }
    let secret = lang.pick(
        "单据含首个账号的口令，只此一份；卡片和单据请像钥匙一样保管。",
        "The sheet has the first account's password and is the only one; keep card and sheet like keys.",
    );
    writeln!(out, "{secret}")?;
    writeln!(
        out,
        "{}{}{}",
        lang.pick("卡片丢失或被复制时（", "Should the card be lost or copied ("),
        log.display(),
        lang.pick("）：", "):")
    )?;
    for credential in &identity.credentials {
        writeln!(out, "  {}", credential.revocation(lang))?;
    }
    let again = lang.pick(
        "换新凭据后重新烧录，新卡有新的 CA 和口令：",
        "flash anew with a new credential; the new card has another CA and password:",
    );
    writeln!(out, "  {again} ninewatch flash --again --id {id}")?;
    Ok(())
}
