//! site.toml and what it names, without a name of a person, a place or a thing, without an address, and without a secret.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

use ninewatch_core::fault::SourceFile;
use ninewatch_core::pipeline::{Settings, Site};

use super::mask::Mask;
use crate::private::hex;

/// Values of these are of the program: a person has chosen among them.
const CHOSEN: [&str; 13] = [
    "kind",
    "utc_offset",
    "severity",
    "severities",
    "scene",
    "scenes",
    "classes",
    "class",
    "active",
    "pull",
    "parity",
    "min_severity",
    "lang",
];

/// The text of site.toml, masked. What is not in it is as this version of the program has it.
pub(super) fn shown(source: &str, mask: &Mask) -> Value {
    match toml::from_str::<toml::Table>(source) {
        Ok(table) => Value::Object(table.into_iter().map(|(key, value)| one(&key, value, mask)).collect()),
        Err(error) => json!({ "not_in": mask.text(error.message()) }),
    }
}

fn one(key: &str, value: toml::Value, mask: &Mask) -> (String, Value) {
    let is_ours = key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let shown_key = if is_ours { key.to_owned() } else { mask.whole("key", key) };
    let value = match value {
        toml::Value::String(text) => Value::String(text_of(key, &text, mask)),
        toml::Value::Integer(number) if key.ends_with("bytes") || number.abs() < 1_000_000 => json!(number),
        toml::Value::Integer(number) => Value::String(mask.mark("number", &number.to_string())),
        toml::Value::Float(number) => json!(number),
        toml::Value::Boolean(is_so) => json!(is_so),
        toml::Value::Datetime(time) => Value::String(mask.mark("time", &time.to_string())),
        toml::Value::Array(list) => list.into_iter().map(|value| one(key, value, mask).1).collect(),
        toml::Value::Table(table) => {
            Value::Object(table.into_iter().map(|(key, value)| one(&key, value, mask)).collect())
        }
    };
    (shown_key, value)
}

fn text_of(key: &str, text: &str, mask: &Mask) -> String {
    let is_duration = {
        let number = text.trim_end_matches(|sign: char| sign.is_ascii_lowercase());
        !number.is_empty() && text.len() < 12 && number.parse::<f64>().is_ok()
    };
    if CHOSEN.contains(&key) || (is_duration && text.ends_with(['s', 'm', 'h', 'd'])) {
        return text.to_owned();
    }
    if let Ok(address) = text.parse::<std::net::SocketAddr>() {
        let host = match address.ip() {
            ip if ip.is_loopback() => "localhost".to_owned(),
            ip if ip.is_unspecified() => "all".to_owned(),
            ip => mask.whole("ip", &ip.to_string()),
        };
        return format!("{host}:{}", address.port());
    }
    if let Some((scheme, rest)) = text.split_once("://")
        && let Some(scheme) =
            ["mqtt", "mqtts", "http", "https", "smtp", "smtps"].into_iter().find(|known| *known == scheme)
    {
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        let (host, port) = match host.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => (host, format!(":{port}")),
            _ => (host, String::new()),
        };
        return format!("{scheme}://{}{port}", mask.whole("address", host));
    }
    mask.whole("text", text)
}

/// What is in force: how many of which class and kind, and which types, rules and models, by hash where they are not built in.
pub(super) fn counted(settings: &Settings, mask: &Mask) -> Value {
    let (site, faults) = Site::compile(settings);
    let mut classes: BTreeMap<String, u32> = BTreeMap::new();
    let mut types: BTreeMap<String, u32> = BTreeMap::new();
    for device in &settings.registry.devices {
        let class = site.sensor_types.get(&device.sensor_type).map_or("unknown", |known| known.class.name());
        *classes.entry(class.to_owned()).or_default() += 1;
        *types.entry(mask.whole("type", &device.sensor_type)).or_default() += 1;
    }
    let mut kinds: BTreeMap<String, u32> = BTreeMap::new();
    for place in &settings.registry.places {
        let kind = serde_json::to_value(place.kind).ok().and_then(|kind| Some(kind.as_str()?.to_owned()));
        *kinds.entry(kind.unwrap_or_default()).or_default() += 1;
    }
    let own = |files: &[SourceFile]| -> Map<String, Value> {
        let own = files.iter().filter(|file| !file.is_built_in());
        own.map(|file| (mask.mark("file", file.bare_name()), json!(hex(&Sha256::digest(file.text.as_bytes())))))
            .collect()
    };
    let models: Vec<Value> = settings
        .models
        .iter()
        .map(|card| json!({ "name": mask.whole("model", &card.name), "version": card.version, "sha256": card.sha256 }))
        .collect();
    json!({
        "places": kinds,
        "devices": classes,
        "devices_by_type": types,
        "sensor_types": site.sensor_types.iter().count(),
        "own_sensor_types_sha256": own(&settings.sensor_types),
        "rules": site.rules.iter().count(),
        "own_rules_sha256": own(&settings.rules),
        "models": models,
        "faults": faults.len(),
    })
}
