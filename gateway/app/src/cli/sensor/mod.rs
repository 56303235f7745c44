//! `ninewatch sensor`: sensor type files, checked, listed, drafted.

mod learn;

use anyhow::Context;
use clap::{Args, Subcommand};
use std::io::Write;
use std::path::PathBuf;

use ninewatch_core::decode::{SensorType, SensorTypes, schema};
use ninewatch_core::fault::{Fault, SourceFile};

use super::table;
use crate::config::Faults;
use crate::lang::Lang;
use crate::site_files;

/// What `sensor` can be told.
#[derive(Debug, Args)]
pub(crate) struct SensorArgs {
    #[command(subcommand)]
    command: SensorCommand,
}

#[derive(Debug, Subcommand)]
enum SensorCommand {
    /// 检查设备类型文件并运行其中的示例 · Check sensor type files and run their examples
    Check {
        /// Files, or folders of them
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// 列出设备类型 · List the sensor types
    List {
        #[command(flatten)]
        own: OwnTypes,
    },
    /// 打印一个设备类型文件，可作为自己的起点 · Print a sensor type file, to begin your own from
    Show {
        /// The type's id
        id: String,
        #[command(flatten)]
        own: OwnTypes,
    },
    /// 从捕获的消息起草一个设备类型文件 · Draft a sensor type file out of captured messages
    Learn(learn::LearnArgs),
    /// 打印供编辑器使用的 JSON Schema · Print the JSON Schema of a sensor type file, for editors
    Schema,
}

#[derive(Debug, Args)]
struct OwnTypes {
    /// A folder of your own types besides the built-in ones: what `files.sensors` names
    #[arg(long, value_name = "DIR")]
    sensors: Option<PathBuf>,
}

/// Does what `ninewatch sensor` was told.
///
/// # Errors
/// Every fault of the files, or why it cannot be done.
pub(crate) fn run(args: SensorArgs, lang: Lang) -> anyhow::Result<()> {
    run_to(args, lang, &mut std::io::stdout().lock())
}

fn run_to(args: SensorArgs, lang: Lang, out: &mut impl Write) -> anyhow::Result<()> {
    match args.command {
        SensorCommand::Check { files } => check(&files, lang, out),
        SensorCommand::List { own } => {
            let (types, faults) = SensorTypes::compile(&site_files::sensor_types(own.sensors.as_deref())?);
            let header = match lang {
                Lang::Zh => ["编号", "类别", "名称", "主题"],
                Lang::En => ["ID", "CLASS", "NAME", "TOPIC"],
            };
            let row = |known: &SensorType| {
                let label = lang.pick(&known.label.zh, &known.label.en).to_owned();
                [known.id.clone(), known.class.to_string(), label, known.topics().next().unwrap_or_default().to_owned()]
            };
            table::print(out, header, types.iter().map(row))?;
            if faults.is_empty() { Ok(()) } else { Err(Faults(faults).into()) }
        }
        SensorCommand::Show { id, own } => {
            let files = site_files::sensor_types(own.sensors.as_deref())?;
            let is_it = |file: &&SourceFile| SensorTypes::compile(std::slice::from_ref(*file)).0.get(&id).is_some();
            let file = files.iter().find(is_it);
            let file = file.with_context(|| format!("there is no type `{id}`; `ninewatch sensor list` shows them"))?;
            Ok(out.write_all(file.text.as_bytes())?)
        }
        SensorCommand::Learn(args) => crate::block_on(learn::run(args, lang)),
        SensorCommand::Schema => Ok(writeln!(out, "{:#}", schema())?),
    }
}

/// Checks each file by itself and against the built-in ones.
fn check(paths: &[PathBuf], lang: Lang, out: &mut impl Write) -> anyhow::Result<()> {
    let mut faults: Vec<Fault> = Vec::new();
    let files = site_files::read_named(paths)?;
    anyhow::ensure!(!files.is_empty(), "there is no file that ends in .toml");
    for file in &files {
        let (types, found) = SensorTypes::compile(std::slice::from_ref(file));
        faults.extend(found);
        for known in types.iter() {
            let (messages, fields, examples) = (known.messages(), known.fields.len(), known.examples.len());
            let (id, name) = (&known.id, &file.name);
            match lang {
                Lang::Zh => writeln!(out, "✓ {name}：{id}，{messages} 种消息，{fields} 个字段，{examples} 个示例通过")?,
                Lang::En => {
                    writeln!(
                        out,
                        "✓ {name}: {id}, {messages} kinds of messages, {fields} fields, {examples} examples pass"
                    )?;
                }
            }
            tell_untested(known, lang, out)?;
        }
    }
    faults.extend(same_ids(&files)?);
    if faults.is_empty() { Ok(()) } else { Err(Faults(faults).into()) }
}

/// Tells what no example shows: a typing error there passes every test.
fn tell_untested(known: &SensorType, lang: Lang, out: &mut impl Write) -> anyhow::Result<()> {
    let (kinds, fields) = known.untested();
    for kind in kinds {
        match lang {
            Lang::Zh => writeln!(out, "  ! 第 {kind} 个 [[message]] 没有示例")?,
            Lang::En => writeln!(out, "  ! no example is of [[message]] number {kind}")?,
        }
    }
    for field in fields {
        match lang {
            Lang::Zh => writeln!(out, "  ! 没有示例给出字段 `{field}`")?,
            Lang::En => writeln!(out, "  ! no example gives the field `{field}`")?,
        }
    }
    Ok(())
}

/// Faults of files that have the id of another, given or built in. One that has a built-in one's name
/// replaces it.
fn same_ids(files: &[SourceFile]) -> anyhow::Result<Vec<Fault>> {
    let mut all: Vec<SourceFile> = site_files::sensor_types(site_files::BUILT_IN_ALONE)?;
    all.retain(|built_in| !files.iter().any(|file| file.bare_name() == built_in.bare_name()));
    let alone = |file: &&SourceFile| SensorTypes::compile(std::slice::from_ref(*file)).1.is_empty();
    all.extend(files.iter().filter(alone).cloned());
    Ok(SensorTypes::compile(&all).1)
}

#[cfg(test)]
mod tests;
