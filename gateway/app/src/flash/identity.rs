//! What makes a card this gateway: its site file and all that it names, its CA, its first account, its places and
//! devices. Made in a folder laid out as on the box, so that what goes onto the card is what was checked.

use anyhow::{Context, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::folder::Files;
use super::join::{self, Wifi};
use super::revoke::Credential;
use crate::backup::site::{self, for_card};
use crate::cli::check::check;
use crate::clock::Clock;
use crate::config::{Config, Faults, SensorPortTls};
use crate::console::{Authority, FIRST_ACCOUNT, Role, edit_accounts, fingerprint};
use crate::lang::Lang;
use crate::pem;
use crate::private::{hex, make_data_dir, random, write};
use crate::registry_file::{self, Secret};

/// Where a gateway of the image keeps its data, and below which name that comes on the card.
const DATA_DIR: &str = "/var/lib/ninewatch";
const DATA: &str = "data";
/// Stands in a site file for the gateway's id, so that one file serves many.
const ID: &str = "{id}";
/// What lies on the card besides what a site file names.
const TAKEN: [&str; 6] = [CLOCK, DATA, WIFI, SSH_KEYS, "ssh", "REFUSED.txt"];
/// When the card was written, in seconds since 1970: a box without a clock of its own begins there, and what it signs
/// for browsers is good at once.
const CLOCK: &str = "clock";
const WIFI: &str = "wifi.conf";
const SSH_KEYS: &str = "authorized_keys";

/// What a person wants on the card.
pub(crate) struct Wanted<'a> {
    pub(crate) site: &'a Path,
    pub(crate) id: Option<&'a str>,
    pub(crate) registry: Option<&'a Path>,
    /// Gives devices of the registry that have no secret one.
    pub(crate) device_secrets: bool,
    /// Makes the certificate of the sensor port in the place of the files that the site file names.
    pub(crate) port_certificate: bool,
    pub(crate) wifi: Option<Wifi>,
    pub(crate) ssh_keys: Option<&'a Path>,
    pub(crate) lang: Lang,
}

/// A gateway that is not on any card yet.
pub(crate) struct Identity {
    pub(crate) id: String,
    /// Where its pages are; `None` where no other machine reaches them.
    pub(crate) address: Option<String>,
    /// Of the CA, or of the certificate that it was given, as a browser shows it; `None` without HTTPS.
    pub(crate) fingerprint: Option<String>,
    /// The CA's certificate, where it has one of its own.
    pub(crate) ca: Option<String>,
    pub(crate) account: &'static str,
    pub(crate) password: String,
    pub(crate) credentials: Vec<Credential>,
    /// Of the devices that got one now: id and secret.
    pub(crate) device_secrets: Vec<(String, String)>,
    pub(crate) grids: Vec<String>,
    /// How many of what it has, in words.
    pub(crate) summary: String,
    /// What is no fault and yet to be known.
    pub(crate) notes: Vec<String>,
    pub(super) files: Files,
}

impl Identity {
    /// Checks all that was written for a gateway, and makes what it lacks.
    ///
    /// # Errors
    /// Every fault, or what cannot be read.
    pub(crate) fn make(wanted: &Wanted<'_>) -> anyhow::Result<Self> {
        let source = site_text(wanted)?;
        let base = std::path::absolute(wanted.site)?.parent().map(Path::to_owned).unwrap_or_default();
        let staging = Staging::new()?;
        let site_file = staging.folder.join(site::FILE);
        let data_dir = staging.folder.join(DATA);
        let staged = for_card(&source, &base, DATA)?;
        names_fit(staged.named.keys())?;
        write(&site_file, staged.text.as_bytes())?;
        let mut config = Config::load(&site_file).map_err(|error| of_person(error, &staging, wanted))?;
        let id = config.gateway.id.clone();
        ensure!(
            wanted.id.is_none_or(|wanted| wanted == id),
            "{}: `gateway.id` is `{id}`, and --id says `{}`; write `id = \"{ID}\"` to use one file for several gateways",
            wanted.site.display(),
            wanted.id.unwrap_or_default()
        );
        let host = host_name(&id);
        make_data_dir(&data_dir)?;
        let https = config.console.as_ref().and_then(|console| console.https());
        let own = https.as_ref().filter(|https| https.cert.is_none());
        let ca = own.map(|https| {
            let names: Vec<String> = https.names.iter().cloned().chain([host.clone()]).collect();
            Authority::make(&data_dir, &names)
        });
        let ca = ca.transpose()?;
        let made = port_certificate(wanted, &config, ca.as_ref(), &host)?;
        for (name, path) in &staged.named {
            let to = staging.folder.join(name);
            match made.get(&to) {
                Some(text) => write(&to, text.as_bytes())?,
                None => copy(path, &to).with_context(|| {
                    format!("{} names {}, which cannot be read", wanted.site.display(), path.display())
                })?,
            }
        }
        let given = https.and_then(|https| https.cert).map(|file| pem::certificates(&file)).transpose()?;
        let shown = match &ca {
            Some(ca) => Some(ca.fingerprint()),
            None => given.iter().flatten().next().map(|one| fingerprint(one)),
        };
        let device_secrets =
            wanted.registry.map(|file| registry(file, &data_dir, wanted.device_secrets)).transpose()?;
        let password = edit_accounts(&data_dir, |list| list.add(FIRST_ACCOUNT, Role::Admin, &[]))?;
        let credentials = config.upstreams.iter().map(Credential::of).collect::<anyhow::Result<Vec<_>>>()?;
        let grids = registry_file::load(&data_dir)?.grids().into_iter().map(str::to_owned).collect();
        let address = address(&config, &host);
        let mut notes = notes(&config, wanted.lang);
        // The library is the box's, and may be none of this machine's.
        config.files.onnxruntime = None;
        let checked = check(&site_file, config, wanted.lang).map_err(|error| of_person(error, &staging, wanted))?;
        if !checked.faults.is_empty() {
            return Err(of_person(Faults(checked.faults).into(), &staging, wanted));
        }
        notes.extend(checked.holes);
        let mut files = Files::new();
        gather(&staging.folder, "", &mut files)?;
        files.insert(site::FILE.to_owned(), for_card(&source, &base, DATA_DIR)?.text.into_bytes());
        files.insert(CLOCK.to_owned(), format!("{}\n", Clock::System.now_ms() / 1000).into_bytes());
        if let Some(wifi) = &wanted.wifi {
            files.insert(WIFI.to_owned(), wifi.file()?.into_bytes());
        }
        if let Some(file) = wanted.ssh_keys {
            files.insert(SSH_KEYS.to_owned(), join::ssh_keys(file)?.into_bytes());
        }
        Ok(Self {
            id,
            address,
            fingerprint: shown,
            ca: ca.map(|ca| ca.pem().to_owned()),
            account: FIRST_ACCOUNT,
            password: password.shown().to_owned(),
            credentials,
            device_secrets: device_secrets.unwrap_or_default(),
            grids,
            summary: checked.summary,
            notes,
            files,
        })
    }
}

/// The site file with the gateway's id in it.
fn site_text(wanted: &Wanted<'_>) -> anyhow::Result<String> {
    let file = wanted.site.display();
    let source = fs::read_to_string(wanted.site).with_context(|| format!("the site file {file} cannot be read"))?;
    match wanted.id {
        Some(id) => Ok(source.replace(ID, id)),
        None if source.contains(ID) => {
            bail!("{file} leaves the gateway's id open (`{ID}`); say `--id`, such as `--id kaili-07`")
        }
        None => Ok(source),
    }
}

/// Whether all can lie side by side on FAT, which knows no case and fewer signs.
fn names_fit<'n>(names: impl Iterator<Item = &'n String>) -> anyhow::Result<()> {
    let mut seen = BTreeSet::new();
    for name in names {
        let lower = name.to_lowercase();
        ensure!(
            !TAKEN.iter().any(|taken| taken.eq_ignore_ascii_case(name)),
            "`{name}`, which the site file names, is called as something else on the card; give it another name"
        );
        ensure!(
            !name.chars().any(|sign| sign.is_control() || "\"*/:<>?\\|".contains(sign)),
            "`{name}`, which the site file names, cannot be called so on a card; give it another name"
        );
        ensure!(
            seen.insert(lower),
            "two files that the site file names differ from `{name}` in case alone; rename one"
        );
    }
    Ok(())
}

/// A label of RFC 1123 (letters, digits, hyphens; 63 at most) of the gateway's id, as the image gives it to the box.
pub(crate) fn host_name(id: &str) -> String {
    let plain = |sign: char| if sign.is_ascii_alphanumeric() { sign.to_ascii_lowercase() } else { '-' };
    let label: String = "ninewatch-".chars().chain(id.chars().map(plain)).take(63).collect();
    label.trim_end_matches('-').to_owned()
}

/// The sensor port's certificate and key, by the files that they are to be in.
fn port_certificate(
    wanted: &Wanted<'_>,
    config: &Config,
    ca: Option<&Authority>,
    host: &str,
) -> anyhow::Result<BTreeMap<PathBuf, String>> {
    if !wanted.port_certificate {
        return Ok(BTreeMap::new());
    }
    let file = wanted.site.display();
    let tls = config.sensor_port.as_ref().and_then(|port| port.tls.as_ref());
    let SensorPortTls { cert, key, .. } = tls.with_context(|| {
        format!("{file} has no `[sensor_port.tls]` to make a certificate for; add it, or leave --port-certificate out")
    })?;
    let ca = ca.with_context(|| {
        format!("the console of {file} has no CA that could sign for the sensor port; let it listen by HTTPS (docs/https.md)")
    })?;
    let (chain, private) = ca.sign_for_devices(&[format!("{host}.local"), host.to_owned()])?;
    Ok(BTreeMap::from([(cert.clone(), chain), (key.clone(), private)]))
}

/// Lays the registry down; gives new devices' secrets.
fn registry(file: &Path, data_dir: &Path, give_secrets: bool) -> anyhow::Result<Vec<(String, String)>> {
    let name = file.display().to_string();
    let source = fs::read_to_string(file).with_context(|| format!("the registry {name} cannot be read"))?;
    let read = ninewatch_core::site::Registry::parse(&name, &source).map_err(Faults)?;
    registry_file::update(data_dir, |registry| {
        *registry = read;
        let mut given = Vec::new();
        for device in registry.devices.iter_mut().filter(|device| give_secrets && device.secret.is_empty()) {
            let secret = Secret::generate()?;
            device.secret = secret.stored()?;
            given.push((device.id.clone(), secret.shown()));
        }
        Ok(given)
    })
}

fn address(config: &Config, host: &str) -> Option<String> {
    let console = config.console.as_ref().filter(|console| !console.listen.ip().is_loopback())?;
    let scheme = if console.https().is_some() { "https" } else { "http" };
    Some(format!("{scheme}://{host}.local:{}/", console.listen.port()))
}

fn notes(config: &Config, lang: Lang) -> Vec<String> {
    let mut notes = Vec::new();
    if config.console.as_ref().is_none_or(|console| console.listen.ip().is_loopback()) {
        notes.push(lang.pick(
            "控制台只在网关本机可用：其他设备要访问，请把 console.listen 改为 \"0.0.0.0:8080\"",
            "the console is for the box itself alone: for others to reach it, let `console.listen` be \"0.0.0.0:8080\"",
        ));
    }
    if config.upstreams.is_empty() {
        notes.push(lang.pick("没有上级平台：预警只在本网关上", "there is no upstream: alerts stay on this gateway"));
    }
    notes.into_iter().map(str::to_owned).collect()
}

/// Faults by the files that the person wrote.
fn of_person(error: anyhow::Error, staging: &Staging, wanted: &Wanted<'_>) -> anyhow::Error {
    match error.downcast::<Faults>() {
        Ok(Faults(mut faults)) => {
            for fault in &mut faults {
                let Ok(within) = Path::new(&fault.file).strip_prefix(&staging.folder) else { continue };
                fault.file = if within == Path::new(site::FILE) {
                    wanted.site.display().to_string()
                } else {
                    within.display().to_string()
                };
            }
            Faults(faults).into()
        }
        Err(error) => error,
    }
}

/// Copies a file, or a folder with all in it.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    if !from.is_dir() {
        return write(to, &fs::read(from)?);
    }
    make_data_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// All files below a folder.
fn gather(folder: &Path, name: &str, files: &mut Files) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let file_name = entry.file_name();
        let file_name = file_name.to_str().with_context(|| format!("{} is not UTF-8", entry.path().display()))?;
        let path = if name.is_empty() { file_name.to_owned() } else { format!("{name}/{file_name}") };
        if entry.file_type()?.is_dir() {
            gather(&entry.path(), &path, files)?;
        } else if !(name == DATA && file_name.ends_with(".lock")) {
            files.insert(path, fs::read(entry.path())?);
        }
    }
    Ok(())
}

/// A folder for this user alone, in memory where the machine has such. It goes before anything is written to a card.
pub(super) struct Staging {
    pub(super) folder: PathBuf,
}

impl Staging {
    /// Makes it.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub(super) fn new() -> anyhow::Result<Self> {
        let memory = Path::new("/dev/shm");
        let above = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = above.join(format!("ninewatch-flash-{}", hex(&random::<8>()?)));
        make_data_dir(&folder)?;
        Ok(Self { folder })
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
