//! `ninewatch rule`: are rules as they should be, do their examples come out, what rules are there?

use anyhow::Context;
use clap::{Args, Subcommand};
use std::io::Write;
use std::path::PathBuf;

use ninewatch_core::decode::SensorTypes;
use ninewatch_core::detect::{CheckedRule, ExampleCount, Rules};
use ninewatch_core::fault::{Fault, SourceFile};

use super::table;
use crate::config::{Config, Faults, FilesConfig};
use crate::lang::{self, Lang};
use crate::{scorer, site_files};

/// What `rule` can be told.
#[derive(Debug, Args)]
pub(crate) struct RuleArgs {
    #[command(flatten)]
    around: Around,
    #[command(subcommand)]
    command: RuleCommand,
}

/// What rules are read against, besides what is built in.
#[derive(Debug, Args)]
struct Around {
    /// A site file: its rules, sensor types and models count too
    #[arg(long, value_name = "FILE", global = true)]
    site: Option<PathBuf>,
    /// A folder of sensor types of your own
    #[arg(long, value_name = "DIR", global = true)]
    sensors: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum RuleCommand {
    /// 检查规则并运行其示例；不指定文件时检查全部 · Check rules and play their examples; without a file, all rules
    Check {
        /// Rule files, or folders of them
        files: Vec<PathBuf>,
    },
    /// 列出规则 · List the rules
    List,
    /// 打印一条规则的原文 · Print a rule as it stands in its file
    Show {
        /// Its id
        id: String,
    },
}

/// # Errors
/// Where a file cannot be read, and for `check` every fault: file, line, key, problem, mend.
pub(crate) fn run(args: RuleArgs, lang: Lang) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let named = match &args.command {
        RuleCommand::Check { files } => site_files::read_named(files)?,
        RuleCommand::List | RuleCommand::Show { .. } => Vec::new(),
    };
    let rules = AllRules::read(&args.around, &named)?;
    match args.command {
        RuleCommand::Check { .. } => check(&mut out, rules, &named, lang),
        RuleCommand::List => list(&mut out, &rules, lang),
        RuleCommand::Show { id } => show(&mut out, &rules, &id),
    }
}

/// All rules, as a gateway would read them.
struct AllRules {
    files: Vec<SourceFile>,
    checked: Vec<CheckedRule>,
    /// What is wrong with the sensor types.
    faults: Vec<Fault>,
}

impl AllRules {
    fn read(around: &Around, named: &[SourceFile]) -> anyhow::Result<Self> {
        let of_site = around.site.as_deref().map(Config::load).transpose()?;
        let of_site = of_site.map_or_else(FilesConfig::default, |config| config.files);
        let sensors = around.sensors.as_deref().or(of_site.sensors.as_deref());
        let (types, faults) = SensorTypes::compile(&site_files::sensor_types(sensors)?);
        let mut files = site_files::rules(of_site.rules.as_deref())?;
        site_files::lay_over(&mut files, named);
        let checked = Rules::check(&files, &types, &scorer::cards(of_site.models.as_deref()));
        Ok(Self { files, checked, faults })
    }
}

fn check(out: &mut impl Write, rules: AllRules, named: &[SourceFile], lang: Lang) -> anyhow::Result<()> {
    let wanted = |checked: &&CheckedRule| {
        !checked.id.is_empty() && (named.is_empty() || named.iter().any(|file| file.name == checked.file))
    };
    let row = |checked: &CheckedRule| {
        let title = checked.rule.as_ref().map(|rule| lang.of(&rule.title).to_owned()).unwrap_or_default();
        [checked.id.clone(), title, verdict(checked, lang)]
    };
    let header = match lang {
        Lang::Zh => ["规则", "名称", "示例"],
        Lang::En => ["RULE", "TITLE", "EXAMPLES"],
    };
    table::print(out, header, rules.checked.iter().filter(wanted).map(row))?;
    // A file can take the id of a rule in another one: then the fault is there.
    let mut faults = rules.faults;
    faults.extend(rules.checked.into_iter().flat_map(|checked| checked.faults));
    if faults.is_empty() { Ok(()) } else { Err(Faults(faults).into()) }
}

fn list(out: &mut impl Write, rules: &AllRules, lang: Lang) -> anyhow::Result<()> {
    let row = |checked: &CheckedRule| {
        let rule = checked.rule.as_ref().filter(|_| checked.is_in_force())?;
        let title = lang.of(&rule.title).to_owned();
        Some([checked.id.clone(), lang::severity(rule.severity, lang).to_owned(), title, checked.file.clone()])
    };
    let header = match lang {
        Lang::Zh => ["规则", "级别", "名称", "文件"],
        Lang::En => ["RULE", "SEVERITY", "TITLE", "FILE"],
    };
    table::print(out, header, rules.checked.iter().filter_map(row))
}

fn show(out: &mut impl Write, rules: &AllRules, id: &str) -> anyhow::Result<()> {
    let checked = rules.checked.iter().find(|checked| checked.id == id);
    let file = checked.and_then(|checked| rules.files.iter().find(|file| file.name == checked.file));
    let (checked, file) =
        checked.zip(file).with_context(|| format!("there is no rule `{id}`; `ninewatch rule list` shows them"))?;
    let line = |index: usize| file.line_of(&format!("rule.{index}"));
    let from = line(checked.index).unwrap_or(1);
    // The last one reaches to the end.
    let to = line(checked.index + 1).filter(|next| *next > from).unwrap_or(usize::MAX);
    writeln!(out, "# {}:{from}", file.name)?;
    let lines: Vec<&str> = file.text.lines().take(to - 1).skip(from - 1).collect();
    Ok(writeln!(out, "{}", lines.join("\n").trim_end())?)
}

/// How a rule's examples came out, and which are missing.
fn verdict(checked: &CheckedRule, lang: Lang) -> String {
    let ExampleCount { raising, quiet, failed } = checked.examples;
    let passed = checked.examples.passed();
    if checked.rule.is_none() {
        return lang.pick("未试：规则有误", "not played: the rule has a fault").to_owned();
    }
    let mut said = vec![match lang {
        Lang::Zh => format!("{passed} 个通过"),
        Lang::En => format!("{passed} passed"),
    }];
    if failed > 0 {
        said.push(match lang {
            Lang::Zh => format!("{failed} 个不符"),
            Lang::En => format!("{failed} failed"),
        });
    } else {
        let missing = [
            (raising, "缺会触发的示例", "none that raises it"),
            (quiet, "缺不触发的示例", "none that does not raise it"),
        ];
        said.extend(missing.iter().filter(|(count, ..)| *count == 0).map(|(_, zh, en)| lang.pick(zh, en).to_owned()));
    }
    said.join(lang.pick("，", ", "))
}
