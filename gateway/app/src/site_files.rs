//! The files that say what a site is: sensor types, rules, the registry. Read at the start and
//! again whenever one of them changes.

use anyhow::Context;
use rust_embed::RustEmbed;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;

use ninewatch_core::detect::model::ModelCard;
use ninewatch_core::fault::Fault;
use ninewatch_core::fault::SourceFile;
use ninewatch_core::pipeline::Settings;
use ninewatch_core::site::Registry;

use crate::config::Config;
use crate::duty::{self, RosterFile};
use crate::engine::Engine;
use crate::registry_file;
use crate::scorer::Models;

#[derive(RustEmbed)]
#[folder = "../sensors"]
#[include = "*.toml"]
struct BuiltInSensors;

#[derive(RustEmbed)]
#[folder = "../rules"]
#[include = "*.toml"]
struct BuiltInRules;

/// What of the site's files has a fault and is not in force. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct SetAside(Arc<Mutex<Vec<Fault>>>);

impl SetAside {
    /// Takes what is set aside from now on, and tells it.
    pub(crate) fn tell(&self, faults: Vec<Fault>) {
        for fault in &faults {
            tracing::error!(%fault, "set aside");
        }
        if let Ok(mut kept) = self.0.lock() {
            *kept = faults;
        }
    }

    /// What is set aside.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        self.0.lock().map(|faults| faults.clone()).unwrap_or_default()
    }
}

/// Files, how long they are and when they were changed.
pub(crate) type Fingerprint = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

/// Of those of the files that are there.
pub(crate) fn fingerprint(paths: Vec<PathBuf>) -> Fingerprint {
    let of = |path: PathBuf| {
        let meta = std::fs::metadata(&path).ok()?;
        Some((path, (meta.len(), meta.modified().ok())))
    };
    paths.into_iter().filter_map(of).collect()
}

/// How long a model that the machine was too busy to try out waits for the next try.
const TRY_AGAIN: Duration = Duration::from_secs(60);

/// What the site's files looked like when they were read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    files: Fingerprint,
    models: Fingerprint,
}

/// Reads the site's files as `config` says.
#[derive(Debug, Clone)]
pub(crate) struct SiteFiles {
    config: Config,
    pub(crate) models: Vec<ModelCard>,
}

impl SiteFiles {
    pub(crate) fn new(config: Config, models: Vec<ModelCard>) -> Self {
        Self { config, models }
    }

    /// Everything that decisions depend on, and the registry with its secrets.
    ///
    /// # Errors
    /// Where a folder or the registry cannot be read. Faults inside sensor types and rules are
    /// found when they are compiled, and set aside one by one.
    pub(crate) fn read(&self) -> anyhow::Result<(Settings, Registry)> {
        let config = &self.config;
        let registry = registry_file::load(&config.gateway.data_dir)?;
        let mut shown = registry.clone();
        // Secrets decide nothing, and the journal is no place for them.
        shown.devices.iter_mut().for_each(|device| device.secret.clear());
        let settings = Settings {
            gateway: config.gateway.id.clone(),
            utc_offset: config.gateway.utc_offset,
            alerts: config.alerts.clone(),
            registry: shown,
            sensor_types: sensor_types(config.files.sensor_folders())?,
            rules: rules(config.files.rule_folders())?,
            models: self.models.clone(),
            ladders: duty::ladders(&config.gateway.data_dir),
        };
        Ok((settings, registry))
    }

    /// What all of them look like from outside.
    pub(crate) fn seen(&self, models: &Models) -> Seen {
        Seen { files: self.fingerprint(), models: models.fingerprint() }
    }

    /// What the ladders name and nobody knows. They are in force, and whole channels are told instead.
    pub(crate) fn unknown(&self, settings: &Settings, roster: &RosterFile) -> Vec<Fault> {
        let channels: Vec<String> = self.config.notify.iter().map(|channel| channel.name.clone()).collect();
        duty::references(settings, &roster.in_force(), &channels)
    }

    /// What the files look like from outside: it changes when one of them does.
    fn fingerprint(&self) -> Fingerprint {
        let files = &self.config.files;
        let folders = files.sensor_folders().into_iter().chain(files.rule_folders());
        let listed = folders.filter_map(|folder| std::fs::read_dir(folder).ok());
        let mut paths: Vec<PathBuf> = listed.flatten().flatten().map(|entry| entry.path()).collect();
        let data_dir = &self.config.gateway.data_dir;
        paths.push(registry_file::path(data_dir));
        paths.extend([duty::ROSTER, duty::LADDERS].map(|name| data_dir.join(name)));
        fingerprint(paths)
    }

    /// Puts every change of the files since `seen` in force, until the engine stops.
    pub(crate) async fn follow(
        mut self,
        mut seen: Seen,
        models: Models,
        engine: Engine,
        settings: watch::Sender<Arc<Settings>>,
        registry: watch::Sender<Arc<Registry>>,
        (set_aside, roster): (SetAside, RosterFile),
    ) {
        let mut look = tokio::time::interval(Duration::from_secs(1));
        let mut tried = Instant::now();
        loop {
            look.tick().await;
            models.refuse_astray();
            let now = self.seen(&models);
            let again = models.status().out_of_time && tried.elapsed() >= TRY_AGAIN;
            if now == seen && !again {
                continue;
            }
            let mut serving = None;
            if now.models != seen.models || again {
                let trying = models.clone();
                let Ok(loaded) = tokio::task::spawn_blocking(move || trying.load_anew()).await else { return };
                serving = loaded.map(|loaded| {
                    self.models = loaded.cards;
                    loaded.serving
                });
                tried = Instant::now();
            }
            seen = now;
            match self.read() {
                Ok((new, with_secrets)) => {
                    let Ok(in_force) = engine.configure(new, serving).await else { return };
                    let mut faults = in_force.faults;
                    faults.extend(roster.refresh());
                    faults.extend(self.unknown(&in_force.settings, &roster));
                    let devices = in_force.settings.registry.devices.len();
                    tracing::info!(devices, faults = faults.len(), "the site's files changed");
                    set_aside.tell(faults);
                    settings.send_replace(Arc::new(in_force.settings));
                    registry.send_replace(Arc::new(with_secrets));
                }
                // The folder, or the registry as a whole.
                Err(error) => {
                    if let Some(serving) = serving {
                        // Models do not wait for that to be mended, least of all where one is gone back from.
                        let mut former = (**settings.borrow()).clone();
                        former.models.clone_from(&self.models);
                        let Ok(in_force) = engine.configure(former, Some(serving)).await else { return };
                        settings.send_replace(Arc::new(in_force.settings));
                    }
                    set_aside.tell(vec![Fault {
                        file: "site".to_owned(),
                        line: None,
                        key: String::new(),
                        problem: format!("{error:#}"),
                        mend: String::new(),
                        former_goes_on: true,
                    }]);
                }
            }
        }
    }
}

/// The built-in sensor types and those of a folder, which win over built-in ones of their name.
pub(crate) fn sensor_types(folders: impl IntoIterator<Item = impl AsRef<Path>>) -> anyhow::Result<Vec<SourceFile>> {
    sources::<BuiltInSensors>(folders)
}

/// For [`sensor_types`] and [`rules`]: of nobody's own.
pub(crate) const BUILT_IN_ALONE: [&Path; 0] = [];

/// The same for rules.
pub(crate) fn rules(folders: impl IntoIterator<Item = impl AsRef<Path>>) -> anyhow::Result<Vec<SourceFile>> {
    sources::<BuiltInRules>(folders)
}

fn sources<BuiltIn: RustEmbed>(folders: impl IntoIterator<Item = impl AsRef<Path>>) -> anyhow::Result<Vec<SourceFile>> {
    let mut files: Vec<SourceFile> = BuiltIn::iter()
        .filter_map(|name| {
            let text = String::from_utf8_lossy(&BuiltIn::get(&name)?.data).into_owned();
            Some(SourceFile { name: format!("{}{name}", SourceFile::BUILT_IN), text })
        })
        .collect();
    for folder in folders {
        lay_over(&mut files, &sources_at(folder.as_ref())?);
    }
    Ok(files)
}

/// Lays files over others: each takes the place of the one of its file name, or is added.
pub(crate) fn lay_over(files: &mut Vec<SourceFile>, with: &[SourceFile]) {
    let mut by_name: BTreeMap<String, SourceFile> = BTreeMap::new();
    for file in files.drain(..).chain(with.iter().cloned()) {
        by_name.insert(file.bare_name().to_owned(), file);
    }
    files.extend(by_name.into_values());
}

/// Reads files that a person named, and those of the folders that they named.
///
/// # Errors
/// Where one cannot be read.
pub(crate) fn read_named(paths: &[PathBuf]) -> anyhow::Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    for path in paths {
        files.extend(sources_at(path)?);
    }
    let mut named: BTreeMap<&str, &SourceFile> = BTreeMap::new();
    for file in &files {
        if let Some(other) = named.insert(file.bare_name(), file).filter(|other| other.name != file.name) {
            let (one, two) = (&other.name, &file.name);
            anyhow::bail!("{one} and {two} have the same name, and one would take the place of the other; rename one");
        }
    }
    Ok(files)
}

/// The file at `path`, or every `.toml` of the folder there, by name. One of a folder that cannot be
/// read is told when it is compiled, like any other fault in it.
///
/// # Errors
/// Where the folder cannot be listed, or the file that was named cannot be read.
pub(crate) fn sources_at(path: &Path) -> anyhow::Result<Vec<SourceFile>> {
    if !path.is_dir() {
        return Ok(vec![read(path)?]);
    }
    let listed = std::fs::read_dir(path).with_context(|| format!("{} cannot be listed", path.display()))?;
    let mut paths: Vec<PathBuf> = listed.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    paths.sort();
    let read_or_say = |path: &PathBuf| {
        read(path).unwrap_or_else(|error| {
            SourceFile::unreadable(path.display().to_string(), &format!("{:#}", error.root_cause()))
        })
    };
    Ok(paths.iter().map(read_or_say).collect())
}

fn read(path: &Path) -> anyhow::Result<SourceFile> {
    let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let not_utf8 = |_| anyhow::anyhow!("it is not UTF-8; save it as UTF-8");
    let text = String::from_utf8(bytes).map_err(not_utf8).with_context(|| path.display().to_string())?;
    // Some editors put a byte order mark first.
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    Ok(SourceFile { name: path.display().to_string(), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_takes_the_place_of_the_one_of_its_name_wherever_that_was_read() {
        let file = |name: &str, text: &str| SourceFile { name: name.into(), text: text.into() };
        let mut files = vec![file("built-in gas.toml", "a"), file("/etc/ninewatch/rules/water.toml", "b")];
        lay_over(&mut files, &[file("my/water.toml", "c"), file("gas.toml", "d"), file("my/extra.toml", "e")]);
        assert_eq!(files, [file("my/extra.toml", "e"), file("gas.toml", "d"), file("my/water.toml", "c")]);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_one_fault_and_the_others_stand() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("gas.toml"), b"label = \"\xc9\xcc\xb5\xea\"").unwrap();
        std::fs::write(folder.path().join("mine.toml"), "\u{feff}id = 1").unwrap();
        let files = sources_at(folder.path()).unwrap();
        let fault = files[0].parse::<toml::Table>().unwrap_err().to_string();
        assert!(fault.ends_with("gas.toml: it is not UTF-8; save it as UTF-8"), "{fault}");
        assert_eq!(files[1].text, "id = 1", "without the mark that some editors put first");
        assert!(sources_at(&folder.path().join("gas.toml")).unwrap_err().to_string().contains("gas.toml"));
    }

    #[test]
    fn a_folder_gives_its_toml_files_and_wins_over_what_is_built_in() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("gas.toml"), "mine").unwrap();
        std::fs::write(folder.path().join("notes.txt"), "no rule").unwrap();
        let (own, built_in) = (rules(Some(folder.path())).unwrap(), rules(BUILT_IN_ALONE).unwrap());
        assert_eq!(own.len(), built_in.len());
        assert_eq!(own.iter().filter(|file| file.text == "mine").count(), 1);
        let missing = read_named(&[folder.path().join("none.toml")]).unwrap_err();
        assert!(missing.to_string().contains("none.toml cannot be read"), "{missing}");
        let copy = folder.path().join("copy");
        std::fs::create_dir(&copy).unwrap();
        std::fs::write(copy.join("gas.toml"), "other").unwrap();
        let twice = read_named(&[folder.path().to_owned(), copy]).unwrap_err();
        assert!(twice.to_string().contains("have the same name"), "{twice}");
    }
}
