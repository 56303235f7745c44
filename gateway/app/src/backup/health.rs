//! Whether backups to a stick are made, where site.toml wants them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use ninewatch_core::ailment::Ailment;
use ninewatch_core::alert::Text;
use ninewatch_core::time::{TimeMs, UtcOffset};

use super::stick::{State, keep, state};
use crate::clock::Clock;
use crate::config::Config;
use crate::health::Part;
use crate::metrics::header;

/// A stick that was forgotten over a week-end is no alert.
const OVERDUE_MS: TimeMs = 3 * 86_400_000;

/// The part of the gateway that looks whether backups are made.
pub(crate) struct BackupHealth {
    data_dir: PathBuf,
    utc_offset: UtcOffset,
    clock: Clock,
}

impl BackupHealth {
    /// Where site.toml wants backups; from the first time on it counts how long there was none.
    pub(crate) fn new(config: &Config, clock: Clock) -> Option<Self> {
        if !config.backup.usb {
            return None;
        }
        let data_dir = config.gateway.data_dir.clone();
        if let Ok(None) = state(&data_dir)
            && let Err(error) = keep(&data_dir, &State { wanted_since_ms: clock.now_ms(), ..State::default() })
        {
            tracing::warn!("nobody will be told of missing backups: {error:#}");
        }
        Some(Self { data_dir, utc_offset: config.gateway.utc_offset, clock })
    }
}

/// What is wrong with the backups of this data folder at `now`, if anything is.
pub(crate) fn overdue(data_dir: &Path, utc_offset: UtcOffset, now: TimeMs) -> Option<Text> {
    let state = match state(data_dir) {
        Ok(Some(state)) => state,
        // The gateway has not run since they are wanted.
        Ok(None) => return None,
        Err(error) => {
            return Some(Text {
                zh: format!("备份状态无法读取：{error:#}"),
                en: format!("how backups go cannot be read: {error:#}"),
            });
        }
    };
    let last = state.done_at_ms.unwrap_or(state.wanted_since_ms);
    if now - last <= OVERDUE_MS {
        return None;
    }
    let day: String = utc_offset.rfc3339(last).chars().take(10).collect();
    let (zh, en) = match state.done_at_ms {
        Some(_) => (format!("上次完好的备份在 {day}"), format!("the last good backup is of {day}")),
        None => (format!("自 {day} 起尚无完好的备份"), format!("there has been no good backup since {day}")),
    };
    let (why_zh, why_en) = state
        .failed
        .map(|why| (format!("，最近一次失败：{why}"), format!("; the last try failed: {why}")))
        .unwrap_or_default();
    Some(Text { zh: zh + &why_zh, en: en + &why_en })
}

impl Part for BackupHealth {
    fn name(&self) -> String {
        "backup".into()
    }

    fn ails(&self) -> Vec<(Ailment, Text)> {
        let text = overdue(&self.data_dir, self.utc_offset, self.clock.now_ms());
        text.map(|text| (Ailment::BackupOverdue, text)).into_iter().collect()
    }

    fn says(&self) -> Option<Text> {
        let state = state(&self.data_dir).ok().flatten()?;
        let Some(done) = state.done_at_ms else {
            return Some(Text { zh: "尚无备份".into(), en: "no backup yet".into() });
        };
        let minute: String = self.utc_offset.rfc3339(done).chars().take(16).collect();
        let (minute, days, mib) = (minute.replace('T', " "), state.generations, state.bytes.div_ceil(1 << 20));
        let failed = state.failed.map(|why| (format!("；其后一次失败：{why}"), format!("; one since failed: {why}")));
        let (zh, en) = failed.unwrap_or_default();
        Some(Text {
            zh: format!("上次备份 {minute}，{mib} MiB，U 盘上有 {days} 天{zh}"),
            en: format!("last backup {minute}, {mib} MiB, {days} days on the stick{en}"),
        })
    }

    fn metrics(&self, out: &mut String) {
        let Ok(Some(state)) = state(&self.data_dir) else { return };
        let done_s = state.done_at_ms.unwrap_or(0) / 1000;
        for (name, help, value) in [
            (
                "ninewatch_backup_last_success_timestamp_seconds",
                "When the last backup to a stick was whole; 0: never.",
                done_s,
            ),
            (
                "ninewatch_backup_failed",
                "1 where the last try of a backup to a stick failed.",
                i64::from(state.failed.is_some()),
            ),
            (
                "ninewatch_backup_bytes",
                "Size of the last backup to a stick.",
                i64::try_from(state.bytes).unwrap_or(i64::MAX),
            ),
            (
                "ninewatch_backup_generations",
                "Days of which a whole backup was on the stick.",
                i64::try_from(state.generations).unwrap_or(i64::MAX),
            ),
        ] {
            header(out, name, "gauge", help);
            let _ = writeln!(out, "{name} {value}");
        }
    }
}
