//! `ninewatch check`: is everything that a person wrote as it should be?

use clap::Args;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use ninewatch_core::fault::{Fault, SourceFile};
use ninewatch_core::pipeline::Site;

use crate::backup::Passphrase;
use crate::brokers;
use crate::clock::Clock;
use crate::config::{Config, Faults};
use crate::duty::{self, RosterFile};
use crate::intake::nodes::list;
use crate::lang::Lang;
use crate::notify;
use crate::people::residents;
use crate::scorer::{self, Sources};
use crate::site_files::SiteFiles;

/// What `check` can be told.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The site file
    #[arg(long, value_name = "FILE", default_value = "/etc/ninewatch/site.toml")]
    pub(super) site: PathBuf,
}

/// What people wrote, and what is wrong with it.
pub(crate) struct Checked {
    /// How much there is of what, in words.
    pub(crate) summary: String,
    pub(crate) faults: Vec<Fault>,
    /// Times at which nobody is on duty. No fault: somebody may mean it so.
    pub(crate) holes: Vec<String>,
    /// What a file stands for in the place of hardware. No fault, and nothing to rely on.
    pub(crate) simulated: Vec<String>,
}

/// Checks the site file, the registry, residents' records, nodes, roster and ladders, every sensor type, rule and model.
///
/// # Errors
/// Every fault, a line each: file, line, key, problem, mend.
pub(crate) fn run(args: &CheckArgs, lang: Lang) -> anyhow::Result<()> {
    let checked = check(&args.site, Config::load(&args.site)?, lang)?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", checked.summary)?;
    for line in checked.simulated.iter().chain(&checked.holes) {
        writeln!(out, "{line}")?;
    }
    if checked.faults.is_empty() { Ok(()) } else { Err(Faults(checked.faults).into()) }
}

/// Reads all that `config`, which stands in the file `site`, names.
///
/// # Errors
/// Where something cannot be read at all.
pub(crate) fn check(site: &Path, config: Config, lang: Lang) -> anyhow::Result<Checked> {
    let unready = unready_channels(site, &config)?;
    let in_nodes = faults_in_nodes(&config)?;
    let passphrase = fault_of_passphrase(site, &config)?;
    let simulated = simulated(&config, lang);
    let named = config.clone();
    let records = faults_in_records(&config)?;
    let loaded =
        scorer::load(&Sources::to_check(config.files.models.as_deref(), config.files.onnxruntime.as_deref()), None);
    let data_dir = config.gateway.data_dir.clone();
    let files = SiteFiles::new(config, loaded.cards);
    let (settings, _) = files.read()?;
    let (compiled, mut faults) = Site::compile(&settings);
    faults.extend(loaded.faults);
    faults.extend(unready);
    faults.extend(unknown(site, &named, &compiled)?);
    let (roster, roster_faults) = RosterFile::open(&data_dir);
    faults.extend(roster_faults);
    faults.extend(files.unknown(&settings, &roster));
    faults.extend(records);
    faults.extend(in_nodes);
    faults.extend(passphrase);
    faults.extend(faults_in_brokers(&named)?);
    let (types, rules) = (compiled.sensor_types.iter().count(), compiled.rules.iter().count());
    let (places, devices) = (settings.registry.places.len(), settings.registry.devices.len());
    let models = settings.models.len();
    let summary = match lang {
        Lang::Zh => format!("场所 {places}，设备 {devices}，设备类型 {types}，规则 {rules}，模型 {models}"),
        Lang::En => {
            format!("{places} places, {devices} devices, {types} sensor types, {rules} rules, {models} models")
        }
    };
    let holes = duty::holes(&settings, &roster.in_force(), Clock::System.now_ms(), lang);
    Ok(Checked { summary, faults, holes, simulated })
}

/// What the site file names and the registry has not.
fn unknown(file: &Path, config: &Config, site: &Site) -> anyhow::Result<Vec<Fault>> {
    let source = SourceFile { name: file.display().to_string(), text: std::fs::read_to_string(file)? };
    let wired = config.wired.iter().enumerate().filter_map(|(index, input)| {
        let (problem, mend) = input.unknown(site)?;
        Some(source.fault(&format!("wired.{index}.device"), problem, mend))
    });
    let channels = config.notify.iter().enumerate().flat_map(|(index, channel)| {
        let unknown = channel.unknown(&site.registry).into_iter();
        unknown.map(move |(key, problem, mend)| (format!("notify.{index}.{key}"), problem, mend))
    });
    let channels = channels.map(|(key, problem, mend)| source.fault(&key, problem, mend));
    Ok(wired.chain(channels).collect())
}

fn simulated(config: &Config, lang: Lang) -> Vec<String> {
    let wired =
        config.wired.iter().filter_map(|input| Some((format!("[[wired]] {}", input.device), input.simulated()?)));
    let channels = config.notify.iter().map(|channel| (format!("[[notify]] {}", channel.name), channel.gpio.as_ref()));
    let sign = config.local_sign.iter().map(|sign| ("[local_sign]".to_owned(), sign.gpio.as_ref()));
    let pins = channels.chain(sign).filter_map(|(of, gpio)| Some((of, gpio?.simulated.as_deref()?)));
    let line = |(of, by): (String, &Path)| match lang {
        Lang::Zh => format!("{of}：由文件 {} 模拟，没有真实硬件", by.display()),
        Lang::En => format!("{of}: simulated by the file {}, nothing real hangs on it", by.display()),
    };
    wired.chain(pins).map(line).collect()
}

/// What is wrong in the residents' records, which people may write by hand.
fn faults_in_records(config: &Config) -> anyhow::Result<Vec<Fault>> {
    match residents::load(&config.gateway.data_dir) {
        Ok(_) => Ok(Vec::new()),
        Err(error) => error.downcast().map(|Faults(faults)| faults),
    }
}

/// Whether backups can be sealed.
fn fault_of_passphrase(site: &Path, config: &Config) -> anyhow::Result<Option<Fault>> {
    let Some(Err(error)) = config.backup.passphrase_file.as_deref().map(Passphrase::read) else { return Ok(None) };
    let source = SourceFile { name: site.display().to_string(), text: std::fs::read_to_string(site)? };
    let mend = "write a passphrase into that file: four words or more";
    Ok(Some(source.fault("backup.passphrase_file", format!("{error:#}"), mend)))
}

/// What is wrong in the list of nodes. Without a line nobody reads it.
fn faults_in_nodes(config: &Config) -> anyhow::Result<Vec<Fault>> {
    let lines: Vec<String> = config.lines.iter().map(|line| line.name.clone()).collect();
    if lines.is_empty() {
        return Ok(Vec::new());
    }
    match list::load(&config.gateway.data_dir, Some(&lines)) {
        Ok(_) => Ok(Vec::new()),
        Err(error) => error.downcast().map(|Faults(faults)| faults),
    }
}

/// What is wrong with the brokers that were added from the set-up page.
fn faults_in_brokers(config: &Config) -> anyhow::Result<Vec<Fault>> {
    match brokers::load(&config.gateway.data_dir, &config.brokers) {
        Ok(_) => Ok(Vec::new()),
        Err(error) => error.downcast().map(|Faults(faults)| faults),
    }
}

/// Channels whose files are not as they should be. The gateway runs without them, and says so.
fn unready_channels(site: &Path, config: &Config) -> anyhow::Result<Vec<Fault>> {
    let source = std::fs::read_to_string(site)?;
    let file = site.display().to_string();
    let faults = config.notify.iter().enumerate().filter_map(|(index, channel)| {
        let error = notify::check(channel, &config.brokers).err()?;
        let mend = "mend the file, then try it: ninewatch notify test NAME";
        Some(Fault::at_key(&file, &source, &format!("notify.{index}.name"), format!("{error:#}"), mend))
    });
    Ok(faults.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_in_the_list_of_nodes_is_told_with_its_line_and_key() {
        let folder = tempfile::tempdir().unwrap();
        let site = folder.path().join("site.toml");
        std::fs::write(
            &site,
            "[gateway]\nid = \"g\"\ndata_dir = \"data\"\n\n[[line]]\nname = \"east\"\nserial = \"/dev/ttyUSB0\"\n",
        )
        .unwrap();
        let faults = || {
            let checked = check(&site, Config::load(&site).unwrap(), Lang::En).unwrap();
            checked.faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(faults(), "", "no node is paired yet");
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let node =
            "[[node]]\nid = \"3f7a01bc\"\nkey = \"000102030405060708090a0b0c0d0e0f\"\nname = \"a\"\nline = \"west\"\n";
        std::fs::write(list::path(&folder.path().join("data")), node).unwrap();
        let said = faults();
        assert!(said.contains("nodes.toml:5") && said.contains("there is no line `west`"), "{said}");
        std::fs::write(&site, "[gateway]\nid = \"g\"\ndata_dir = \"data\"\n").unwrap();
        assert_eq!(faults(), "", "without a line nobody reads it");
    }
}
