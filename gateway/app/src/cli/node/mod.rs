//! `ninewatch node`: the nodes on the gateway's serial lines.

mod ask;
mod channel;
mod flash;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use std::path::PathBuf;

use ninewatch_core::decode::SensorTypes;
use ninewatch_core::site::Registry;
use ninewatch_wire::code::Code;

use super::table;
use crate::audit::note_command;
use crate::config::Config;
use crate::intake::nodes::list::{self, ChannelEntry, NodeEntry};
use crate::lang::Lang;
use crate::registry_file;
use crate::site_files::sensor_types;

/// What `node` can be told.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// The site file
    #[arg(long, value_name = "FILE", default_value = "/etc/ninewatch/site.toml", global = true)]
    site: PathBuf,
    #[command(subcommand)]
    command: NodeCommand,
}

#[derive(Debug, Subcommand)]
enum NodeCommand {
    /// 列出已配对的节点 · List the nodes that are paired
    List,
    /// 按节点上的编码配对 · Pair a node by the code that is printed on it
    ///
    /// 网关无需停止。通道写成“种类:端子 device=设备 field=字段”，种类见 docs/lines.md；之后可直接编辑数据文件夹中的 nodes.toml。
    /// The gateway may be at work. A channel is `KIND:TERMINAL device=ID field=FIELD`; the kinds are contact, line, button,
    /// thermometer, sht3x, mq2, mq5, clamp, ld2410 and output (docs/lines.md). Later edit nodes.toml in the data folder.
    #[command(after_help = "  ninewatch node pair 3F7K-Q2M9-… --name kitchen --line east \\\n      \
        --channel 'contact:2 device=smoke-1 field=smoke_alarm' \\\n      \
        --channel 'sht3x:0x44 device=climate-1 field=temperature_c humidity=humidity_percent every=30s'")]
    Pair {
        /// As it is printed or scanned: nine groups of four
        code: String,
        /// As people call it; 1 to 64 of A-Z a-z 0-9 . _ -
        #[arg(long)]
        name: String,
        /// The [[line]] that it hangs on; may be left out where there is one
        #[arg(long)]
        line: Option<String>,
        /// What is fitted, in the order of the node's channels; may be given again
        #[arg(long = "channel", value_name = "CHANNEL")]
        channels: Vec<String>,
    },
    /// 解除配对 · Take a node out; it is no longer asked
    Unpair {
        /// Its name or id
        node: String,
    },
    /// 为新节点生成身份并写入程序 · Give a new node its identity and its program
    Flash(flash::FlashArgs),
    /// 读取节点日志 · Read a node's log
    Logs(ask::One),
    /// 让节点的灯闪烁 · Let a node's lamp blink
    Blink(ask::One),
    /// 重启节点 · Start a node anew, once it has handed over its alarms
    Restart(ask::One),
    /// 经线路升级节点程序 · Give a node a new program over its line
    ///
    /// 新程序无法工作时，节点自动恢复原程序。A program that does not run gives way to the former one.
    Update(ask::UpdateArgs),
}

/// Does what `ninewatch node` was told.
///
/// # Errors
/// What is wrong with it. Then nothing has changed.
pub(crate) async fn run(args: NodeArgs, lang: Lang) -> anyhow::Result<()> {
    match args.command {
        NodeCommand::Flash(flash) => flash::run(&flash, lang),
        NodeCommand::List => show(&Config::load(&args.site)?, lang),
        NodeCommand::Pair { code, name, line, channels } => {
            let config = Config::load(&args.site)?;
            let paired = pair(&config, &code, &name, line, &channels);
            note_command(&config.gateway.data_dir, "node.pair", &name, paired)?;
            let said = lang.pick("已配对；节点接上线路后几秒内应答", "Paired; on its line it answers within seconds");
            eprintln!("{said}");
            Ok(())
        }
        NodeCommand::Unpair { node } => {
            let config = Config::load(&args.site)?;
            let data_dir = &config.gateway.data_dir;
            let out = list::update(data_dir, None, |nodes| {
                let id = nodes.find(&node).map(|entry| entry.id);
                let id = id.with_context(|| format!("no node is called `{node}`; `ninewatch node list` shows them"))?;
                nodes.nodes.retain(|entry| entry.id != id);
                Ok(())
            });
            note_command(data_dir, "node.unpair", &node, out)
        }
        NodeCommand::Logs(one) => ask::log(&args.site, &one).await,
        NodeCommand::Blink(one) => ask::tell(&args.site, &one, "blink").await,
        NodeCommand::Restart(one) => ask::tell(&args.site, &one, "restart").await,
        NodeCommand::Update(update) => ask::update(&args.site, &update, lang).await,
    }
}

fn lines(config: &Config) -> Vec<String> {
    config.lines.iter().map(|line| line.name.clone()).collect()
}

fn show(config: &Config, lang: Lang) -> anyhow::Result<()> {
    let header = match lang {
        Lang::Zh => ["名称", "编号", "线路", "设备"],
        Lang::En => ["NAME", "ID", "LINE", "DEVICES"],
    };
    let lines = lines(config);
    let row = |node: NodeEntry| {
        let line = node.line.or_else(|| lines.first().cloned()).unwrap_or_default();
        let devices: Vec<String> = node.channels.into_iter().map(|channel| channel.device).collect();
        [node.name, node.id.to_string(), line, devices.join(", ")]
    };
    let nodes = list::load(&config.gateway.data_dir, Some(&lines))?.nodes;
    table::print(&mut std::io::stdout().lock(), header, nodes.into_iter().map(row))
}

fn pair(config: &Config, code: &str, name: &str, line: Option<String>, channels: &[String]) -> anyhow::Result<()> {
    let Code(identity) = Code::parse(code).with_context(|| format!("`{code}`"))?;
    let lines = lines(config);
    if lines.is_empty() {
        bail!("site.toml has no [[line]] for nodes to hang on; docs/lines.md says how to write one");
    }
    let registry = registry_file::load(&config.gateway.data_dir)?;
    let (types, _) = SensorTypes::compile(&sensor_types(config.files.sensor_folders())?);
    let channels: Vec<ChannelEntry> = channels
        .iter()
        .map(|words| {
            let channel = channel::parse(words).with_context(|| format!("the channel `{words}`"))?;
            check(&channel, &registry, &types).with_context(|| format!("the channel `{words}`"))?;
            Ok(channel)
        })
        .collect::<anyhow::Result<_>>()?;
    list::update(&config.gateway.data_dir, Some(&lines), |nodes| {
        if let Some(known) = nodes.nodes.iter().find(|node| node.id == identity.id) {
            bail!(
                "this node is paired already, as `{}`; `ninewatch node unpair {}` takes it out",
                known.name,
                known.name
            );
        }
        let (id, key, name) = (identity.id, identity.key.clone(), name.to_owned());
        nodes.nodes.push(NodeEntry { id, key, name, line, channels });
        Ok(())
    })
}

/// Whether there is such a device, and whether its type has such fields.
fn check(channel: &ChannelEntry, registry: &Registry, types: &SensorTypes) -> anyhow::Result<()> {
    let id = &channel.device;
    let device = registry.device(id);
    let device = device.with_context(|| format!("there is no device `{id}`; add it with `ninewatch device add`"))?;
    let known = types.get(&device.sensor_type);
    let known = known.with_context(|| format!("the type `{}` of `{id}` is not in use", device.sensor_type))?;
    for field in [&channel.field, &channel.humidity_field].into_iter().flatten() {
        if !known.fields.iter().any(|there| *there.name == **field) {
            let there: Vec<&str> = known.fields.iter().map(|field| &*field.name).collect();
            bail!("the type `{}` has no field `{field}`; it has {}", known.id, there.join(", "));
        }
    }
    Ok(())
}
