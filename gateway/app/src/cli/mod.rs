//! What a person can say to `ninewatch`.

pub(crate) mod account;
pub(crate) mod check;
pub(crate) mod evidence;
pub(crate) mod journal;
pub(crate) mod model;
pub(crate) mod registry;
pub(crate) mod replay;
pub(crate) mod rule;
pub(crate) mod run;
pub(crate) mod sensor;
mod table;
mod what_if;

use clap::{Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::demo::DemoArgs;
use crate::lang::Lang;

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
    /// 管理值班账号 · Manage who may log in
    Account(account::AccountArgs),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    /// For people and journald
    Text,
    /// A JSON object a line
    Json,
}

impl Cli {
    /// Begins to log, to standard error.
    pub(crate) fn log(&self) {
        // The demo shows its own story.
        let quiet = matches!(self.command, Command::Demo(_));
        let level = if quiet { "error" } else { "info" };
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
        match self.log_format {
            LogFormat::Text => log.init(),
            LogFormat::Json => log.json().init(),
        }
    }
}
