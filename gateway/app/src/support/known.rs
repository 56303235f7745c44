//! What must not be in a bundle, as far as the gateway's own files say it; and what is of the program and may.

use anyhow::Context;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use ninewatch_core::ailment::Ailment;
use ninewatch_core::decode::SensorTypes;
use ninewatch_core::reading::SensorClass;
use ninewatch_core::site::PlaceKind;

use crate::config::Config;
use crate::console::{HANDOVERS, PLANS, WALK_TESTS};
use crate::intake::nodes::list;
use crate::people::{self, grid_codes, residents};
use crate::{backup, duty, journal, registry_file, scorer, site_files};

/// Values of these say what kind something is, and are words of the program.
const KINDS: [&str; 22] = [
    "type",
    "kind",
    "class",
    "category",
    "person",
    "role",
    "scene",
    "severity",
    "status",
    "format",
    "verdict",
    "fitted",
    "sensor_type",
    "severities",
    "scenes",
    "classes",
    "language",
    "utc_offset",
    "title",
    "days",
    "active",
    "pull",
];
/// A password file is longer than any password; what is in a certificate is no word.
const LONGEST_SECRET: u64 = 4096;
/// Parts of the gateway and what else stands in metrics and complaints between colons.
const PROGRAM: [&str; 51] = [
    "engine",
    "models",
    "site_files",
    "load",
    "decisions",
    "journal",
    "index",
    "disk",
    "disk_room",
    "console",
    "audit",
    "clock",
    "local_sign",
    "sensor_port",
    "upstream",
    "broker",
    "notify",
    "nodes",
    "node",
    "line",
    "wired",
    "walk_tests",
    "walk_test",
    "backup",
    "gateway",
    "true",
    "false",
    "info",
    "warn",
    "error",
    "debug",
    "operations",
    "duty",
    "admin",
    "critical",
    "major",
    "minor",
    "notice",
    "raised",
    "accepted",
    "dispatched",
    "handled",
    "closed",
    "security",
    "fire",
    "elder_care",
    "child_protection",
    "employment",
    "ninewatch",
    "zh",
    "en",
];

/// What is never masked, in lower case.
pub(super) fn vocabulary() -> BTreeSet<String> {
    let mut words: BTreeSet<String> = PROGRAM.map(str::to_owned).into();
    words.extend(Ailment::ALL.iter().flat_map(|of| [of.name().to_owned(), of.rule().to_owned()]));
    words.extend(SensorClass::ALL.iter().map(|class| class.name().to_owned()));
    words.extend(PlaceKind::ALL.iter().filter_map(|kind| Some(serde_json::to_value(kind).ok()?.as_str()?.to_owned())));
    // What is built in can be read of without a folder, and without a fault.
    let types = site_files::sensor_types(site_files::BUILT_IN_ALONE).unwrap_or_default();
    words.extend(SensorTypes::compile(&types).0.iter().map(|known| known.id.to_lowercase()));
    words.extend(scorer::built_in_names().into_iter().map(|name| name.to_lowercase()));
    for file in site_files::rules(site_files::BUILT_IN_ALONE).unwrap_or_default() {
        let ids =
            toml::from_str::<toml::Table>(&file.text).ok().and_then(|table| table.get("rule")?.as_array().cloned());
        let ids = ids.unwrap_or_default();
        words.extend(ids.iter().filter_map(|rule| Some(rule.get("id")?.as_str()?.to_lowercase())));
    }
    words
}

/// Each word that names a person, a place or a thing of this site, or is a secret, with what it is.
///
/// # Errors
/// Where a file that is there cannot be read: what stands in it would not be masked.
pub(super) fn words(site_file: &Path, config: &Config) -> anyhow::Result<BTreeMap<String, &'static str>> {
    let mut found = Found::default();
    let data_dir = &config.gateway.data_dir;
    found.add("gateway", &config.gateway.id);
    found.add("host", &fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default());
    // With a fault in it, its words are found below all the same.
    if let Ok(registry) = registry_file::load(data_dir) {
        registry.devices.iter().for_each(|device| found.add("device", &device.id));
        for place in &registry.places {
            found.add("place", &place.id);
            found.add("place", &place.name);
            found.add("grid", &place.grid);
        }
    }
    // Whatever these are, their words are no business of others; what cannot be read is read as text.
    for (kind, name) in [
        ("name", "registry.toml"),
        ("account", "accounts.toml"),
        ("person", residents::FILE),
        ("person", duty::ROSTER),
        ("node", list::FILE),
        ("secret", grid_codes::FILE),
        ("text", HANDOVERS),
        ("text", PLANS),
        ("name", "restored.json"),
    ] {
        found.file(kind, &data_dir.join(name))?;
    }
    for (kind, folder) in [("resident", people::MATTERS), ("name", WALK_TESTS)] {
        for entry in fs::read_dir(data_dir.join(folder)).into_iter().flatten().flatten() {
            found.file(kind, &entry.path())?;
        }
    }
    found.file("name", site_file)?;
    if let Ok(named) = backup::site::read(site_file) {
        for path in
            named.named.values().filter(|path| fs::metadata(path).is_ok_and(|meta| meta.len() <= LONGEST_SECRET))
        {
            let text = fs::read_to_string(path).unwrap_or_default();
            text.lines().filter(|line| !line.starts_with("-----")).for_each(|line| found.add("secret", line));
        }
    }
    // Places and devices that are gone are still in what happened.
    if let Ok(changes) = journal::read_alerts(&data_dir.join("journal"), 1) {
        for change in changes.filter_map(Result::ok) {
            let alert = &change.alert;
            found.add("place", &alert.place);
            alert.devices.iter().for_each(|device| found.add("device", device));
            for who in [&change.by, &alert.accepted_by, &alert.dispatched_to].into_iter().flatten() {
                found.add("account", who);
            }
            change.note.iter().for_each(|note| found.add("text", note));
        }
    }
    Ok(found.words)
}

#[derive(Default)]
struct Found {
    words: BTreeMap<String, &'static str>,
}

impl Found {
    /// The first kind that a word is known as counts.
    fn add(&mut self, kind: &'static str, word: &str) {
        let word = word.trim();
        // `gateway:upstream:city` is no word of anybody, and `city` is.
        if let Ok(address) = word.parse::<std::net::SocketAddr>() {
            // Where everybody listens tells of nobody.
            let ip = address.ip();
            if !ip.is_loopback() && !ip.is_unspecified() {
                self.words.entry(ip.to_string()).or_insert(kind);
            }
            return;
        }
        for part in word.strip_prefix("gateway:").map_or(vec![word], |parts| parts.split(':').collect()) {
            if !part.is_empty() && !is_time(part) {
                self.words.entry(part.to_owned()).or_insert(kind);
            }
        }
        if let Some((_, rest)) = word.split_once("://") {
            let host = rest.split(['/', '?']).next().unwrap_or_default();
            self.add("address", host.rsplit_once(':').map_or(host, |(host, _)| host));
        }
    }

    fn file(&mut self, kind: &'static str, path: &Path) -> anyhow::Result<()> {
        let text = match fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                let mend = "run this as its owner or as root";
                return Err(error).with_context(|| format!("{} cannot be read; {mend}", path.display()));
            }
        };
        if let Ok(value) = toml::from_str::<toml::Value>(&text) {
            self.leaves(kind, "", &serde_json::to_value(value).unwrap_or_default());
        } else if let Ok(value) = serde_json::from_str(&text) {
            self.leaves(kind, "", &value);
        } else {
            text.lines().for_each(|line| self.add(kind, line));
        }
        Ok(())
    }

    fn leaves(&mut self, kind: &'static str, key: &str, value: &serde_json::Value) {
        use serde_json::Value;
        match value {
            Value::String(_) if KINDS.contains(&key) => {}
            Value::String(text) => match serde_json::from_str::<Value>(text) {
                // A certificate has its document as a text.
                Ok(within @ Value::Object(_)) => self.leaves(kind, key, &within),
                _ => self.add(kind, text),
            },
            Value::Array(list) => list.iter().for_each(|one| self.leaves(kind, key, one)),
            Value::Object(object) => {
                for (name, value) in object {
                    // Grids and places stand before what is of them.
                    let is_of_the_program =
                        name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
                    if !is_of_the_program {
                        self.add(kind, name);
                    }
                    self.leaves(kind, name, value);
                }
            }
            _ => {}
        }
    }
}

/// `30s`, `20:00-08:00`: how long or when, and nothing of anybody.
fn is_time(word: &str) -> bool {
    let is_span =
        word.len() < 8 && word.ends_with(['s', 'm', 'h', 'd']) && word.starts_with(|sign: char| sign.is_ascii_digit());
    is_span
        || (word.contains(':')
            && word.len() < 12
            && word.bytes().all(|byte| byte.is_ascii_digit() || b":-".contains(&byte)))
}
