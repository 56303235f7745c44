//! What a bundle says in figures: the machine, the disk, what happened and how often.

use rustix::fs::statvfs;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ninewatch_core::alert::{Alert, AlertChange, AlertId, ChangeKind, Scene};
use ninewatch_core::time::{TimeMs, UtcOffset};

use super::mask::Mask;
use crate::journal;

const DAY_MS: TimeMs = 86_400_000;
/// So far back alerts are counted day by day.
const DAYS: TimeMs = 90;
/// Of what ailed the gateway so many times are told.
const AILMENTS: usize = 500;

/// The machine, as the kernel tells of it.
pub(super) fn machine(data_dir: &Path) -> Value {
    let read = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim_matches(['\0', '\n', ' ']).to_owned());
    let of_memory = |name: &str| -> Option<u64> {
        let text = read("/proc/meminfo")?;
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().ok()
    };
    let os = read("/etc/os-release").unwrap_or_default();
    let os =
        os.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).map(|name| name.trim_matches('"').to_owned());
    let first = |text: Option<String>| text.and_then(|text| text.split_whitespace().next().map(str::to_owned));
    let disk = statvfs(data_dir).ok().map(|disk| {
        json!({
            "bytes": disk.f_blocks.saturating_mul(disk.f_frsize),
            "free_bytes": disk.f_bavail.saturating_mul(disk.f_frsize),
            "free_inodes": disk.f_favail,
        })
    });
    json!({
        "model": read("/proc/device-tree/model").or_else(|| read("/sys/class/dmi/id/product_name")),
        "architecture": std::env::consts::ARCH,
        "processors": std::thread::available_parallelism().ok().map(usize::from),
        "memory_kib": of_memory("MemTotal"),
        "memory_available_kib": of_memory("MemAvailable"),
        "swap_kib": of_memory("SwapTotal"),
        "load": read("/proc/loadavg"),
        "uptime_s": first(read("/proc/uptime")),
        "kernel": read("/proc/sys/kernel/osrelease"),
        "system": os,
        "heat_millidegrees_c": read("/sys/class/thermal/thermal_zone0/temp"),
        "throttled": read("/sys/devices/platform/soc/soc:firmware/get_throttled"),
        "disk": disk,
    })
}

/// How much there is of the journal and the index.
pub(super) fn stored(data_dir: &Path) -> Value {
    let folder = |name: &str| {
        let files = fs::read_dir(data_dir.join(name)).into_iter().flatten().flatten();
        let sizes: Vec<u64> = files
            .filter_map(|file| file.metadata().ok())
            .filter(|meta| meta.is_file())
            .map(|meta| meta.len())
            .collect();
        json!({ "files": sizes.len(), "bytes": sizes.iter().sum::<u64>() })
    };
    let mut all = Map::new();
    for name in ["journal/intake", "journal/alerts", "index", "walk-tests", "people/photos", "people/matters"] {
        all.insert(name.to_owned(), folder(name));
    }
    let oldest = journal::intake_segments(&data_dir.join("journal")).ok();
    let oldest = oldest.and_then(|segments| segments.first()?.begun_at_ms());
    all.insert("oldest_reading_ms".to_owned(), json!(oldest));
    Value::Object(all)
}

/// How many alerts were raised, by day, rule and severity as they were then; and what ailed the gateway itself, the newest first.
pub(super) fn alerts(data_dir: &Path, utc_offset: UtcOffset, now: TimeMs, mask: &Mask) -> [Value; 2] {
    let changes = match journal::read_alerts(&data_dir.join("journal"), 1) {
        Ok(changes) => changes,
        Err(error) => {
            let why = json!({ "not_in": mask.text(&error.to_string()) });
            return [why.clone(), why];
        }
    };
    let time = |at_ms| utc_offset.rfc3339(at_ms);
    let severity_of = |alert: &Alert| {
        let severity = serde_json::to_value(alert.severity).ok();
        severity.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let rule_of = |alert: &Alert| alert.rules.first().map_or_else(|| "-".to_owned(), |rule| mask.whole("rule", rule));
    // All that ever were would not fit into memory: those about the gateway are few.
    let mut of_gateway: BTreeMap<AlertId, Alert> = BTreeMap::new();
    let mut days: BTreeMap<String, BTreeMap<String, u32>> = BTreeMap::new();
    let (mut last_seq, mut raised, mut damaged) = (0, 0_u64, 0_u64);
    for change in changes {
        let Ok(AlertChange { seq, kind, alert, .. }) = change else {
            damaged += 1;
            continue;
        };
        last_seq = seq;
        if kind == ChangeKind::Raised {
            raised += 1;
            if alert.raised_at_ms > now - DAYS * DAY_MS {
                let day = time(alert.raised_at_ms).chars().take(10).collect();
                let what = format!("{} {}", rule_of(&alert), severity_of(&alert));
                *days.entry(day).or_default().entry(what).or_default() += 1;
            }
        }
        if alert.scene == Scene::Operations {
            of_gateway.insert(alert.id.clone(), alert);
        }
    }
    let mut ailments = Vec::new();
    for alert in of_gateway.values() {
        let parts = alert.devices.iter().map(|part| {
            let part = part.strip_prefix("gateway:").unwrap_or(part);
            part.split(':').map(|part| mask.whole("name", part)).collect::<Vec<_>>().join(":")
        });
        let told = json!({
            "rule": rule_of(alert),
            "severity": severity_of(alert),
            "parts": parts.collect::<Vec<_>>(),
            "raised": time(alert.raised_at_ms),
            "recovered": alert.recovered_at_ms.map(time),
            "status": alert.status,
            "occurrences": alert.occurrences,
            "said": mask.text(&alert.reason.en),
        });
        ailments.push((alert.raised_at_ms, told));
    }
    ailments.sort_by_key(|(raised, _)| std::cmp::Reverse(*raised));
    let ailments: Vec<Value> = ailments.into_iter().take(AILMENTS).map(|(_, told)| told).collect();
    let all = json!({ "last_seq": last_seq, "damaged_records": damaged, "raised": raised, "days": days });
    [all, Value::Array(ailments)]
}
