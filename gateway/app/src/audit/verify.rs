//! Reading the audit log: is it whole, and what is in it?

use anyhow::{Context, bail, ensure};
use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;

use super::chain::{Found, Hash, Head, Lines};
use super::{Entry, LOG, read_head};
use crate::private::hex;
use ninewatch_core::time::TimeMs;

/// Reads the log through; gives where it stands, and how many bytes a crash left half written at its end (the next entry
/// mends that). `noted` is a head that was noted elsewhere, as number and hash.
///
/// # Errors
/// The first thing that is not as it was written, with its line.
pub(crate) fn verify(data_dir: &Path, noted: Option<(u64, Hash)>) -> anyhow::Result<(Head, u64)> {
    // First the head: what is added while this reads comes behind it.
    let told = read_head(data_dir)?.with_context(|| {
        format!("there is no audit.head in {}: it was removed, or this is no data folder", data_dir.display())
    })?;
    let path = data_dir.join(LOG);
    let file = File::open(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    let mut lines = Lines::behind(file, Head::default())?;
    let at = |lines: &Lines| format!("{}:{}", path.display(), lines.line);
    let mut torn: Option<(u64, String)> = None;
    let noted_seq = noted.map_or(0, |(seq, _)| seq);
    while let Some(found) = lines.next()? {
        if let Some((_, at)) = &torn {
            bail!("{at}: this line is no entry; it was changed or damaged");
        }
        let due = lines.head.seq;
        match found {
            Found::Whole(entry) if entry.what == "audit.lost" => bail!(
                "{}: entry {due} says that at its time entries were missing: {}; what follows is whole as far as its line",
                at(&lines),
                entry.of
            ),
            Found::Whole(_) => {}
            Found::Alien { entry, hash } => bail!(
                "{}: entry {} does not follow from the one before it (its hash is {}); this one or one before it was \
                 changed, removed or put in",
                at(&lines),
                entry.seq,
                hex(&hash)
            ),
            Found::Damaged => torn = Some((lines.to - lines.from, at(&lines))),
        }
        for (name, seq, hash) in
            [("audit.head", told.seq, told.hash), ("the noted head", noted_seq, noted.unwrap_or_default().1)]
        {
            ensure!(
                torn.is_some() || lines.head.seq != seq || lines.head.hash == hash,
                "{}: entry {seq} has the hash {}, but {name} says {}: the log was written anew",
                at(&lines),
                hex(&lines.head.hash),
                hex(&hash)
            );
        }
    }
    for (name, seq) in [("audit.head", told.seq), ("the noted head", noted_seq)] {
        ensure!(
            lines.head.seq >= seq,
            "{}: the log ends with entry {}, but {name} says that there are {seq}: it was cut off",
            at(&lines),
            lines.head.seq
        );
    }
    Ok((lines.head, torn.map_or(0, |(bytes, _)| bytes)))
}

/// Which entries are wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) since_ms: Option<TimeMs>,
    pub(crate) who: Option<String>,
    /// A deed, or the first part of its name: `alert` is also `alert.accept`.
    pub(crate) what: Option<String>,
    /// Only older ones than the entry with this number.
    pub(crate) before: Option<u64>,
    /// The newest so many.
    pub(crate) limit: usize,
}

impl Wanted {
    fn wants(&self, entry: &Entry) -> bool {
        let is_what = |what: &String| {
            entry.what.strip_prefix(what.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.since_ms.is_none_or(|since| entry.at_ms >= since)
            && self.who.as_ref().is_none_or(|who| entry.who == *who)
            && self.what.as_ref().is_none_or(is_what)
            && self.before.is_none_or(|before| entry.seq < before)
    }
}

/// The newest entries that are wanted, oldest first, and where the log stands. Lines that are no entries are passed over:
/// telling of them is [`verify`]'s task.
///
/// # Errors
/// Where the log cannot be read.
pub(crate) fn read(data_dir: &Path, wanted: &Wanted) -> anyhow::Result<(Vec<Entry>, Head)> {
    let path = data_dir.join(LOG);
    let file = File::open(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    let mut lines = Lines::behind(file, Head::default())?;
    let mut entries = VecDeque::new();
    while let Some(found) = lines.next()? {
        let (Found::Whole(entry) | Found::Alien { entry, .. }) = found else { continue };
        if wanted.wants(&entry) {
            entries.push_back(entry);
            if entries.len() > wanted.limit {
                entries.pop_front();
            }
        }
    }
    Ok((entries.into(), lines.head))
}
