//! What the start found of journal and index, and whether the index still takes writes.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use ninewatch_core::ailment::Ailment;
use ninewatch_core::alert::Text;

use super::Part;
use crate::index::{Index, IndexOpened};
use crate::journal::Damage;
use crate::metrics::header;

/// For how long it is told that the index was rebuilt.
const TOLD: Duration = Duration::from_secs(3600);

/// The journal as the start found it. A journal that cannot be written stops the gateway.
#[derive(Debug)]
pub(crate) struct JournalHealth {
    damage: Vec<Damage>,
}

impl JournalHealth {
    pub(crate) fn new(damage: Vec<Damage>) -> Self {
        Self { damage }
    }
}

impl Part for JournalHealth {
    fn name(&self) -> String {
        "journal".into()
    }

    fn ails(&self) -> Vec<(Ailment, Text)> {
        let Some(first) = self.damage.first() else { return Vec::new() };
        let (count, file) = (self.damage.len(), first.segment.display());
        let text = Text {
            zh: format!("启动时发现日志有 {count} 处损坏，其余照常：{file}"),
            en: format!("the start found {count} damaged stretches in the journal, the rest goes on: {file}"),
        };
        vec![(Ailment::JournalDamaged, text)]
    }

    fn metrics(&self, out: &mut String) {
        let name = "ninewatch_journal_damaged_stretches";
        header(out, name, "gauge", "Damaged stretches that the start found in the journal.");
        let _ = writeln!(out, "{name} {}", self.damage.len());
    }
}

/// The index.
#[derive(Debug)]
pub(crate) struct IndexHealth {
    index: Index,
    opened: IndexOpened,
    at: Instant,
}

impl IndexHealth {
    pub(crate) fn new(index: Index, opened: IndexOpened) -> Self {
        Self { index, opened, at: Instant::now() }
    }
}

impl Part for IndexHealth {
    fn name(&self) -> String {
        "index".into()
    }

    fn ails(&self) -> Vec<(Ailment, Text)> {
        let mut ails = Vec::new();
        if self.opened.rebuilt && self.at.elapsed() < TOLD {
            let why = &self.opened.why;
            let text = Text {
                zh: format!("索引损坏，启动时已由日志重建：{why}"),
                en: format!("the index was damaged, and the start made it anew from the journal: {why}"),
            };
            ails.push((Ailment::IndexRebuilt, text));
        }
        if self.index.is_failing() {
            let text =
                Text { zh: "索引无法写入磁盘".into(), en: "the index cannot be written to the disk".into() };
            ails.push((Ailment::DiskFailed, text));
        }
        ails
    }

    fn metrics(&self, out: &mut String) {
        let name = "ninewatch_index_rebuilt";
        header(out, name, "gauge", "1 where the start had to make the index anew.");
        let _ = writeln!(out, "{name} {}", u8::from(self.opened.rebuilt));
        let name = "ninewatch_index_failing";
        header(out, name, "gauge", "1 while the index cannot be brought to disk, or waits to be made anew.");
        let _ = writeln!(out, "{name} {}", u8::from(self.index.is_failing()));
    }
}
