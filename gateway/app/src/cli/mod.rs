//! What a person can say to `ninewatch`.

pub(crate) mod account;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod cert;
pub(crate) mod check;
pub(crate) mod doctor;
pub(crate) mod evidence;
pub(crate) mod flash;
pub(crate) mod host;
pub(crate) mod journal;
pub(crate) mod manual;
pub(crate) mod model;
pub(crate) mod node;
pub(crate) mod notify;
pub(crate) mod registry;
pub(crate) mod release;
pub(crate) mod replay;
pub(crate) mod retention;
pub(crate) mod rule;
pub(crate) mod run;
pub(crate) mod sensor;
pub(crate) mod support;
mod table;
pub(crate) mod update;
pub(crate) mod walk;
mod way;
mod what_if;

use clap::{Parser, Subcommand};

use crate::demo::DemoArgs;
use crate::lang::Lang;
use crate::logging::{self, LogFormat};
use crate::update::LaunchArgs;

/// 九哨社区物联网边缘网关 · An IoT edge gateway for smart communities
///
/// 先运行 `ninewatch demo` 看一看；安装时编辑 site.toml，然后 `ninewatch check`、`ninewatch run`。
/// Try `ninewatch demo` first; to install, write site.toml, then `ninewatch check` and `ninewatch run`.
#[derive(Debug, Parser)]
#[command(name = "ninewatch", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// 终端语言 · The terminal's language
    #[arg(long, global = true, value_enum, env = "NINEWATCH_LANG", default_value_t = Lang::Zh)]
    pub(crate) lang: Lang,
    /// 日志格式 · How the log is written; RUST_LOG says how much of it
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// 演示：一个模拟社区，无需任何其他服务 · Play a community on the real gateway; nothing else is needed
    Demo(DemoArgs),
    /// 运行网关 · Run the gateway
    Run(run::RunArgs),
    /// 检查 site.toml、登记表、设备类型、规则和模型 · Check everything that a person wrote
    Check(check::CheckArgs),
    /// 体检：哪里不对，怎么办 · What is wrong with this gateway, and how to mend it
    ///
    /// 检查配置、磁盘、时间、端口、上级平台和消息代理、供电和温度，并列出网关自身的未结预警。网关运行与否都可以用。
    /// 一切正常时退出码为 0。
    ///
    /// Looks at the files, disk, clock, ports, upstreams and brokers, power and heat, and lists the open alerts about the
    /// gateway itself. The gateway may be at work or not. It ends with 0 where all is well.
    #[command(after_help = "  sudo ninewatch doctor\n  ninewatch doctor --site site.toml --lang en")]
    Doctor(check::CheckArgs),
    /// 检查规则及其示例，列出规则 · Check rules and play their examples, show rules
    Rule(rule::RuleArgs),
    /// 模型：列出、对照影子、重新起用、测量 · Models: list, compare a shadow, take up again, measure
    Model(model::ModelArgs),
    /// 重新判断已记录的读数并打印预警 · Decide recorded readings again, and print the alerts
    Replay(replay::ReplayArgs),
    /// 导出模型预警的研判结论和读数 · Export what staff judged of the models' alerts
    Evidence(evidence::EvidenceArgs),
    /// 打印已记录的消息 · Print the recorded messages
    Journal(journal::JournalArgs),
    /// 打印未被采纳的消息及原因 · Print messages that could not be taken, and why
    Quarantine(journal::JournalArgs),
    /// 设备类型：检查、列出、查看 · Sensor types: check, list, show
    Sensor(sensor::SensorArgs),
    /// 管理场所 · Manage places
    Place(registry::PlaceArgs),
    /// 管理设备 · Manage devices
    Device(registry::DeviceArgs),
    /// 串行线路上的节点：配对、烧录、日志、升级 · The nodes on serial lines: pair, flash, logs, update
    Node(node::NodeArgs),
    /// 管理值班账号 · Manage who may log in
    Account(account::AccountArgs),
    /// 控制台 HTTPS 的 CA：生成、查看 · The CA of the console's HTTPS: make it, show it
    Cert(cert::CertArgs),
    /// 审计日志：校验、查询 · The audit log: check it, look into it
    Audit(audit::AuditArgs),
    /// 个人信息的留存：查看、到期删除、证明已删除 · What is held of persons: list it, delete what is over, prove it
    Retention(retention::RetentionArgs),
    /// 试一试通知通道 · Try out a notification channel
    Notify(notify::NotifyArgs),
    /// 走查证书 · Certificates of walk-tests
    Walk(walk::WalkArgs),
    /// 备份网关到一个文件，或检查备份 · Write the gateway to one file, or check such a file
    ///
    /// site.toml 的 [backup] 有口令时，备份用它加密。
    /// 网关无需停止。文件包含登记表、账号、设备密钥、审计日志、预警记录、最近的状态、保留的模型、site.toml 及其引用的证书、私钥和口令文件，
    /// 不包含更早的读数。文件与网关本身同样机密，只有属主可读。换机步骤见 docs/backup.md。
    ///
    /// The gateway may be at work. The file holds the registry, accounts, credentials, the audit log, the alert log, the newest state, the
    /// models kept, and site.toml with the certificates, private keys and passwords that it names; not the older readings.
    /// Where [backup] of site.toml has a passphrase, the file is sealed with it. Otherwise it is as secret as the box, and its owner alone may read it. How to move to a new box: docs/backup.md.
    #[command(after_help = "  ninewatch backup --to gateway.backup\n  ninewatch backup --check gateway.backup\n  \
        ninewatch backup --usb /media/nw-backup")]
    Backup(backup::BackupArgs),
    /// 从备份恢复网关 · Make a data folder of a backup
    ///
    /// 先完整校验备份，再写入数据文件夹；残缺或损坏的备份会被拒绝，原有内容不受影响。site.toml 在数据文件夹的 site 中。
    /// 启动前须关闭原网关。
    ///
    /// The backup is read through before anything is touched; one that is torn or damaged is refused. site.toml is then in
    /// the folder `site` of the data folder. The old box has to be off before this one starts.
    #[command(after_help = "  ninewatch restore gateway.backup --data-dir /var/lib/ninewatch")]
    Restore(backup::RestoreArgs),
    /// 烧录存储卡：写入、校验，并放入一台网关的身份 · Write a card, verify it, and make it a gateway of its own
    ///
    /// 写入镜像并从卡上读回逐字节比对，再放入检查过的 site.toml 及其引用的文件、本网关新生成的 CA 和首个账号、Wi-Fi、SSH 公钥和登记表，
    /// 并生成随箱单据（含二维码）。在用的磁盘、分区和不像存储卡的磁盘会被拒绝。哪张卡用了哪个凭据记在 flashed.csv 中，丢卡时据此吊销。
    /// 详见 docs/flash.md。
    ///
    /// Writes an image and reads it back from the card, byte by byte. Then puts in what makes it this gateway: site.toml, checked, with the
    /// files that it names; a CA and a first account, made for it; Wi-Fi, SSH keys, places and devices. A sheet with a QR code goes to the
    /// box. Disks in use, partitions, and what does not look like a card are refused. flashed.csv keeps which card has which credential,
    /// so that a lost one can be shut out. More: docs/flash.md.
    #[command(after_help = "  ninewatch flash --list
  \
        sudo ninewatch flash --image ninewatch-arm64.img.xz --device /dev/sdb --site site.toml --id kaili-07
  \
        ninewatch flash --image ninewatch-arm64.img.xz --file kaili-07.img --site site.toml --id kaili-07 \\
      \
        --wifi 社区 --wifi-password-file wifi.password --ssh-key ~/.ssh/id_ed25519.pub --registry registry.toml")]
    Flash(flash::FlashArgs),
    /// 支持包：一个可以交给厂商的文件，不含个人信息和口令 · A support bundle: one file for a vendor, without personal data and secrets
    ///
    /// 机器、自检、状态、指标、遮蔽后的 site.toml、每日预警数、网关自身告警和日志。人员、场所、设备名、地址、号码和口令不在其中；标识以仅用于
    /// 本文件的随机密钥替换。给出账号时还包含运行中网关的状态和指标。详见 docs/support.md。
    ///
    /// The machine, the doctor, health, metrics, site.toml masked, alerts by day, what ailed the gateway, and its log. No persons, places,
    /// devices' names, addresses, numbers and secrets: ids give way to marks by a key that is drawn for this file and thrown away. With an
    /// account the health and metrics of the running gateway are in it. More: docs/support.md.
    #[command(after_help = "  sudo ninewatch support --show
  \
        sudo ninewatch support --to support.html --account admin --password-file password")]
    Support(support::SupportArgs),
    /// 启动网关：已安装的版本，或更新得来的版本；试用新版本，不行则退回 · Start the gateway: the installed program or a newer one, on trial at first
    ///
    /// systemd 用它启动网关。新版本在试用期内未恢复原有工作的，自动退回并说明原因。详见 docs/update.md。
    ///
    /// What systemd starts. A newer program that does not do again what the former one did is gone back from by itself, and
    /// it is said why. More: docs/update.md.
    Launch(LaunchArgs),
    /// 更新：查看、立即更新、退回 · Updates: how they stand, now, back
    Update(update::UpdateArgs),
    /// 签名发布：密钥、加入软件包、按圈推送 · Publish signed packages: keys, packages, rings
    Release(release::ReleaseArgs),
    /// 本机名称和防火墙规则，取自 site.toml · The host's name and its firewall, out of site.toml
    Host(host::HostArgs),
    /// 生成手册页和命令补全 · Write man pages and shell completions
    #[command(hide = true)]
    Manual(manual::ManualArgs),
}

impl Cli {
    /// Begins to log, to standard error.
    pub(crate) fn log(&self) {
        // The demo shows its own story.
        let quiet = matches!(self.command, Command::Demo(_));
        let level = if quiet { "error" } else { "info" };
        logging::begin(self.log_format, level);
    }
}
