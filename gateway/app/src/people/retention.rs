//! What is held of persons is deleted when its time is over, and the audit log says so: which kind, by which rule, and the
//! hashes of what was deleted. Decision 19 has the reasons.

use anyhow::Context;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ninewatch_core::time::{Span, TimeMs};

use super::{MATTERS, PHOTOS, PeopleConfig, matters, photos, residents, sha256};
use crate::audit::{self, AuditLog, Deed, Entry, Wanted};
use crate::clock::Clock;

/// What can be deleted apart from the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Photos,
    Matters,
    Residents,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Photos, Self::Matters, Self::Residents];

    /// As the API and the audit log call it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Photos => "photos",
            Self::Matters => "matters",
            Self::Residents => "residents",
        }
    }

    /// How long it is kept.
    pub(crate) fn keeps(self, config: &PeopleConfig) -> Span {
        match self {
            Self::Photos => config.keep_photos,
            Self::Matters => config.keep_matters,
            Self::Residents => config.keep_residents,
        }
    }
}

/// Something that is held.
pub(crate) struct Held {
    /// Of its bytes as they lie on the disk.
    pub(crate) sha256: String,
    /// From when its time counts; `None` where it has not begun to.
    pub(crate) since_ms: Option<TimeMs>,
    what: What,
}

enum What {
    Photo(photos::Kept),
    Matter(matters::Kept),
    /// By its id.
    Resident(PathBuf, String),
}

impl Held {
    fn erase(&self) -> anyhow::Result<()> {
        match &self.what {
            What::Photo(kept) => kept.erase(),
            What::Matter(kept) => kept.erase(),
            What::Resident(data_dir, id) => residents::update(data_dir, |all| {
                // Somebody may have moved back in meanwhile.
                all.retain(|one| one.id != *id || one.left_at_ms.is_none());
                Ok(())
            }),
        }
    }
}

/// All that is held of a kind.
///
/// # Errors
/// Where it cannot be read.
pub(crate) fn held(data_dir: &Path, kind: Kind) -> anyhow::Result<Vec<Held>> {
    Ok(match kind {
        Kind::Photos => photos::kept(&data_dir.join(PHOTOS))?
            .into_iter()
            .map(|kept| Held { sha256: kept.sha256.clone(), since_ms: Some(kept.at_ms), what: What::Photo(kept) })
            .collect(),
        Kind::Matters => matters::kept(&data_dir.join(MATTERS))?
            .into_iter()
            .map(|kept| Held {
                sha256: kept.sha256.clone(),
                since_ms: Some(kept.reported.at_ms),
                what: What::Matter(kept),
            })
            .collect(),
        Kind::Residents => {
            let mut held = Vec::new();
            for resident in residents::load(data_dir)? {
                let sha256 = sha256(&serde_json::to_vec(&resident)?);
                let what = What::Resident(data_dir.to_owned(), resident.id);
                held.push(Held { sha256, since_ms: resident.left_at_ms, what });
            }
            held
        }
    })
}

/// Deletes what is over at `now`, and proves it; gives how many of each kind.
///
/// # Errors
/// Where something cannot be deleted, or the audit log not be written. What is over then is deleted the next time.
pub(crate) fn run(
    data_dir: &Path,
    config: &PeopleConfig,
    now: TimeMs,
    clock: Clock,
) -> anyhow::Result<BTreeMap<&'static str, usize>> {
    /// Of hashes, in an entry of the audit log.
    const TOGETHER: usize = 100;
    let mut deleted = BTreeMap::new();
    for kind in Kind::ALL {
        let keeps = kind.keeps(config);
        let is_over = |one: &Held| one.since_ms.is_some_and(|since| since.saturating_add(keeps.ms()) <= now);
        let over: Vec<Held> = held(data_dir, kind)?.into_iter().filter(is_over).collect();
        for batch in over.chunks(TOGETHER) {
            let hashes: Vec<&str> = batch.iter().map(|held| held.sha256.as_str()).collect();
            erase_and_prove(data_dir, clock, kind, &format!("kept {keeps}"), &hashes, || {
                batch.iter().try_for_each(Held::erase)
            })?;
            *deleted.entry(kind.word()).or_default() += batch.len();
        }
    }
    Ok(deleted)
}

/// Deletes one resident's record because somebody said so, and proves it; tells whether it was there.
///
/// # Errors
/// As [`run`].
pub(crate) fn delete_resident(data_dir: &Path, clock: Clock, id: &str) -> anyhow::Result<bool> {
    let Some(resident) = residents::load(data_dir)?.into_iter().find(|resident| resident.id == id) else {
        return Ok(false);
    };
    let hash = sha256(&serde_json::to_vec(&resident)?);
    erase_and_prove(data_dir, clock, Kind::Residents, "asked for", &[&hash], || {
        residents::update(data_dir, |all| {
            all.retain(|one| one.id != id);
            Ok(())
        })
    })?;
    Ok(true)
}

/// Before it is deleted, so that a crash in between leaves no deletion without a word; the proof itself comes behind it.
const BEGIN: &str = "retention.begin";
const DELETE: &str = "retention.delete";

fn erase_and_prove(
    data_dir: &Path,
    clock: Clock,
    kind: Kind,
    rule: &str,
    hashes: &[&str],
    erase: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let of = format!("{} {} ({rule}) sha256 {}", hashes.len(), kind.word(), hashes.join(" "));
    let mut log = AuditLog::open(data_dir, clock)?;
    log.add(&[Deed::of_the_gateway(BEGIN, of.clone())])?;
    erase()?;
    log.add(&[Deed::of_the_gateway(DELETE, of)]).context("it is deleted, but the audit log does not have the proof")
}

/// What has been deleted, by the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Proof {
    /// The entry's number.
    pub(crate) seq: u64,
    pub(crate) at_ms: TimeMs,
    pub(crate) what: String,
    pub(crate) sha256: Vec<String>,
}

impl Proof {
    fn of(entry: Entry) -> Self {
        let (what, hashes) = entry.of.split_once(" sha256 ").unwrap_or((&entry.of, ""));
        let sha256 = hashes.split(' ').filter(|hash| !hash.is_empty()).map(str::to_owned).collect();
        Self { seq: entry.seq, at_ms: entry.at_ms, what: what.to_owned(), sha256 }
    }
}

/// The newest proofs, oldest first.
///
/// # Errors
/// Where the audit log cannot be read.
pub(crate) fn proofs(data_dir: &Path, limit: usize) -> anyhow::Result<Vec<Proof>> {
    let wanted = Wanted { what: Some(DELETE.to_owned()), limit, ..Wanted::default() };
    Ok(audit::read(data_dir, &wanted)?.0.into_iter().map(Proof::of).collect())
}

/// Checks that the audit log is whole and nothing that it says was deleted is there; gives the proofs.
///
/// # Errors
/// The first thing that is not so.
pub(crate) fn prove(data_dir: &Path) -> anyhow::Result<Vec<Proof>> {
    audit::verify(data_dir, None)?;
    let proofs = proofs(data_dir, usize::MAX)?;
    let deleted: BTreeSet<&str> = proofs.iter().flat_map(|proof| &proof.sha256).map(String::as_str).collect();
    for kind in Kind::ALL {
        if let Some(back) = held(data_dir, kind)?.iter().find(|held| deleted.contains(held.sha256.as_str())) {
            anyhow::bail!(
                "of {} something is here again that was deleted (SHA-256 {}): a backup brought it back, most likely; \
                 `ninewatch retention run` deletes what is over",
                kind.word(),
                back.sha256
            );
        }
    }
    Ok(proofs)
}
