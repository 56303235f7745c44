//! What the port counts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use super::ending::{End, Refused};
use crate::health::Refusals;
use crate::metrics::header;

/// Counters of the sensor port, written by its connections and read by anybody.
#[derive(Debug, Default)]
pub(crate) struct PortCounters {
    pub(super) connections: AtomicU64,
    pub(super) accepted: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) packets: AtomicU64,
    pub(super) foreign_topics: AtomicU64,
    pub(super) foreign_subscriptions: AtomicU64,
    pub(super) repeated: AtomicU64,
    pub(super) wills: AtomicU64,
    pub(super) downlinks: AtomicU64,
    /// Of late.
    pub(crate) wrong_credentials: Refusals,
    refused: Mutex<BTreeMap<&'static str, u64>>,
    ended: Mutex<BTreeMap<&'static str, u64>>,
}

impl PortCounters {
    pub(super) fn count_refused(&self, refused: Refused) {
        if refused == Refused::Credentials {
            self.wrong_credentials.note(Instant::now());
        }
        count(&self.refused, refused.label());
    }

    pub(super) fn count_ended(&self, end: End) {
        count(&self.ended, end.label());
    }

    /// Connections that were not let in, by reason.
    pub(crate) fn refused(&self) -> BTreeMap<&'static str, u64> {
        self.refused.lock().map(|counts| counts.clone()).unwrap_or_default()
    }

    /// Connections that were let in and are gone, by reason.
    pub(crate) fn ended(&self) -> BTreeMap<&'static str, u64> {
        self.ended.lock().map(|counts| counts.clone()).unwrap_or_default()
    }

    /// Adds Prometheus' text format to `out`.
    pub(crate) fn render(&self, out: &mut String) {
        let name = "ninewatch_sensor_port_connections";
        header(out, name, "gauge", "Devices connected now.");
        let _ = writeln!(out, "{name} {}", self.connections.load(Relaxed));
        let singles = [
            ("accepted", "Connections let in.", &self.accepted),
            ("bytes", "Bytes received from devices that were let in.", &self.bytes),
            ("packets", "MQTT packets received from them.", &self.packets),
            ("foreign_topics", "Messages refused because their topic is not the device's.", &self.foreign_topics),
            ("foreign_subscriptions", "Subscriptions refused for the same reason.", &self.foreign_subscriptions),
            ("repeated", "QoS 2 messages that came again and were not taken twice.", &self.repeated),
            ("wills", "Will messages taken for devices that went away without a word.", &self.wills),
            ("downlinks", "Messages sent to devices.", &self.downlinks),
        ];
        for (name, help, counter) in singles {
            let name = format!("ninewatch_sensor_port_{name}_total");
            header(out, &name, "counter", help);
            let _ = writeln!(out, "{name} {}", counter.load(Relaxed));
        }
        let families = [
            ("refused", "Connections not let in, by reason.", self.refused()),
            ("ended", "Connections gone, by reason.", self.ended()),
        ];
        for (name, help, counts) in families {
            let name = format!("ninewatch_sensor_port_{name}_total");
            header(out, &name, "counter", help);
            for (reason, count) in counts {
                let _ = writeln!(out, "{name}{{reason=\"{reason}\"}} {count}");
            }
        }
    }
}

fn count(counts: &Mutex<BTreeMap<&'static str, u64>>, reason: &'static str) {
    if let Ok(mut counts) = counts.lock() {
        *counts.entry(reason).or_default() += 1;
    }
}
