//! One file that a vendor can look at: how this gateway is, without a person, a place, a name, an address or a secret.
//! The reasons are in `docs/decisions/0032-support-and-usb.md`.
//!
//! ```text
//! files, journal, health, log ─▶ facts ─▶ mask ─▶ JSON ─▶ a page of its own
//! ```

mod facts;
mod known;
mod looks;
mod mask;
mod site;
#[cfg(test)]
mod tests;

use anyhow::Context;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::backup;
use crate::cli::doctor;
use crate::clock::Clock;
use crate::config::Config;
use crate::lang::Lang;
use crate::scorer::{self, Sources};
use crate::site_files::SiteFiles;
use mask::Mask;

/// So many of the last lines of the log are in it.
const LINES: usize = 2000;

/// What only a gateway at work can tell.
pub(crate) struct Live {
    /// As `GET /health` answers.
    pub(crate) health: Value,
    /// In Prometheus' text format.
    pub(crate) metrics: String,
}

/// A bundle, masked.
pub(crate) struct Bundle(Value);

/// Gathers what there is to tell of the gateway of a site file, at work or not. `log` is its log of late, or why it is not in.
///
/// # Errors
/// Where site.toml has a fault, or data that must be read cannot be: then nobody knows what must not be in the bundle.
pub(crate) fn gather(
    site_file: &Path,
    live: Option<Live>,
    log: Result<String, String>,
    lang: Lang,
) -> anyhow::Result<Bundle> {
    let config = Config::load(site_file)?;
    let data_dir = config.gateway.data_dir.clone();
    let (utc_offset, now) = (config.gateway.utc_offset, Clock::System.now_ms());
    let mask = Mask::new(known::vocabulary(), known::words(site_file, &config)?)?;
    let source =
        std::fs::read_to_string(site_file).with_context(|| format!("{} cannot be read", site_file.display()))?;
    let models = Sources::to_check(config.files.models.as_deref(), config.files.onnxruntime.as_deref());
    let (settings, _) = SiteFiles::new(config, scorer::load(&models, None).cards).read()?;
    let [alerts, ailments] = facts::alerts(&data_dir, utc_offset, now, &mask);
    let findings: Vec<Value> = doctor::told(site_file, lang)
        .into_iter()
        .map(|(is_well, lines)| json!({ "well": is_well, "says": lines.iter().map(|line| mask.text(line)).collect::<Vec<_>>() }))
        .collect();
    let backups = backup::state(&data_dir).ok().flatten();
    let backups = backups.map(|state| {
        json!({
            "done_at_ms": state.done_at_ms,
            "bytes": state.bytes,
            "generations": state.generations,
            "failed": state.failed.map(|why| mask.text(&why)),
        })
    });
    let not_in = json!({ "not_in": "the gateway was not asked: take the bundle from the console, or name an account" });
    let (health, metrics) = match live {
        Some(live) => (
            texts(live.health, &|text| mask.text(text)),
            json!(mask.metrics(&live.metrics).lines().collect::<Vec<_>>()),
        ),
        None => (not_in.clone(), not_in),
    };
    let log = match log {
        Ok(log) => {
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default();
            json!(last.iter().map(|line| mask.log_line(line)).collect::<Vec<_>>())
        }
        // In our own words.
        Err(why) => json!({ "not_in": why }),
    };
    let mut all = Map::new();
    for (name, value) in [
        (
            "about",
            json!({ "program": "ninewatch", "version": env!("CARGO_PKG_VERSION"), "made": utc_offset.rfc3339(now) }),
        ),
        ("machine", facts::machine(&data_dir)),
        ("doctor", Value::Array(findings)),
        ("health", health),
        ("site", site::shown(&source, &mask)),
        ("in_force", site::counted(&settings, &mask)),
        ("alerts", alerts),
        ("ailments", ailments),
        ("stored", facts::stored(&data_dir)),
        ("backups", json!(backups)),
        ("metrics", metrics),
        ("log", log),
    ] {
        all.insert(name.to_owned(), value);
    }
    // Whatever way a known word has come in, it does not go out.
    Ok(Bundle(texts(Value::Object(all), &|text| mask.known(text))))
}

/// The gateway's log of late, where this user may read it.
///
/// # Errors
/// Why not, in words.
pub(crate) fn own_log() -> Result<String, String> {
    let lines = LINES.to_string();
    let journal = Command::new("journalctl")
        .args(["--unit", "ninewatch", "--lines", &lines, "--no-pager", "--quiet", "--output", "cat"])
        .stdin(Stdio::null())
        .output()
        .map_err(|_| "there is no journald to ask".to_owned())?;
    let text = String::from_utf8_lossy(&journal.stdout).into_owned();
    if !journal.status.success() || text.trim().is_empty() {
        let why = "journald has no line of the unit ninewatch that this user may read; sudo ninewatch support may have";
        return Err(why.to_owned());
    }
    Ok(text)
}

/// Every text in it as `of` has it.
fn texts(value: Value, of: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(of(&text)),
        Value::Array(list) => list.into_iter().map(|value| texts(value, of)).collect(),
        Value::Object(object) => object.into_iter().map(|(key, value)| (key, texts(value, of))).collect(),
        other => other,
    }
}

impl Bundle {
    /// As JSON, for people to read.
    pub(crate) fn json(&self) -> String {
        format!("{:#}", self.0)
    }

    /// As a page that any browser opens by itself, with the JSON in it for programs.
    pub(crate) fn page(&self) -> String {
        let mut out = String::from(HEAD);
        for (name, title) in TITLES {
            let Some(value) = self.0.get(name) else { continue };
            let open = if OPEN.contains(&name) { " open" } else { "" };
            let _ = writeln!(
                out,
                "<details{open}><summary>{}</summary><pre>{}</pre></details>",
                escaped(title),
                escaped(&plain(value))
            );
        }
        let json = self.0.to_string().replace('<', "\\u003c");
        let _ = writeln!(out, "<script type=\"application/json\" id=\"bundle\">{json}</script>");
        out
    }
}

/// Lines as lines, all else as JSON.
fn plain(value: &Value) -> String {
    let lines = value.as_array().filter(|list| list.iter().all(Value::is_string));
    lines.map_or_else(
        || format!("{value:#}"),
        |lines| lines.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n"),
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

const OPEN: [&str; 4] = ["about", "machine", "doctor", "health"];

const TITLES: [(&str, &str); 12] = [
    ("about", "这份文件 · This file"),
    ("machine", "机器 · Machine"),
    ("doctor", "自检 · Doctor"),
    ("health", "各部分状态 · Health"),
    ("site", "配置（已遮蔽）· site.toml, masked"),
    ("in_force", "设备、类型、规则、模型 · Devices, types, rules, models"),
    ("alerts", "每日预警数 · Alerts by day, rule and severity"),
    ("ailments", "网关自身告警 · What ailed the gateway"),
    ("stored", "存储 · Stored"),
    ("backups", "备份 · Backups"),
    ("metrics", "指标 · Metrics"),
    ("log", "日志 · Log"),
];

const HEAD: &str = "<!doctype html>
<html lang=\"zh-CN\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">
<title>Ninewatch support</title>
<style>body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}
summary{font-weight:600;padding:.4rem 0;cursor:pointer}pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#8881;padding:.6rem}
:root{color-scheme:light dark}</style>
<h1>九哨支持包 · Ninewatch support bundle</h1>
<p>不含人员、场所、名称、地址、号码和口令；标识以仅用于本文件的随机密钥替换，同一标识在文件内相同，在另一份文件中不同。</p>
<p>Without persons, places, names, addresses, numbers and secrets. A mark such as [device-…] is the same for the same thing within this file, and another one in the next.</p>
";
