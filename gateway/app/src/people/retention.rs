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
    /// From when its time counts; `None` where it has not begun to.
    pub(crate) since_ms: Option<TimeMs>,
    what: What,
}

enum What {
    Photo(photos::Kept),
    Matter(matters::Kept),
    /// By its id, and the hash.
    Resident(PathBuf, String, String),
}

impl Held {
    /// Of its bytes as they lie on the disk; of a photo with its alert before it, as the same may be another's, too.
    fn named(&self) -> anyhow::Result<String> {
        Ok(match &self.what {
            What::Photo(kept) => format!("{}/{}", kept.of, kept.sha256()?),
            What::Matter(kept) => kept.sha256.clone(),
            What::Resident(.., sha256) => sha256.clone(),
        })
    }

    fn erase(&self) -> anyhow::Result<()> {
        match &self.what {
            What::Photo(kept) => kept.erase(),
            What::Matter(kept) => kept.erase(),
            What::Resident(data_dir, id, _) => residents::update(data_dir, |all| {
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
            .map(|kept| Held { since_ms: Some(kept.at_ms), what: What::Photo(kept) })
            .collect(),
        Kind::Matters => matters::kept(&data_dir.join(MATTERS))?
            .into_iter()
            .map(|kept| Held { since_ms: Some(kept.at_ms), what: What::Matter(kept) })
            .collect(),
        Kind::Residents => {
            let mut held = Vec::new();
            for resident in residents::load(data_dir)? {
                let sha256 = sha256(&serde_json::to_vec(&resident)?);
                let what = What::Resident(data_dir.to_owned(), resident.id, sha256);
                held.push(Held { since_ms: resident.left_at_ms, what });
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
    // What cannot be deleted keeps nothing else from being.
    let mut failed = None;
    for kind in Kind::ALL {
        let keeps = kind.keeps(config);
        let is_over = |one: &Held| one.since_ms.is_some_and(|since| since.saturating_add(keeps.ms()) <= now);
        let held = held(data_dir, kind).unwrap_or_else(|error| {
            failed.get_or_insert(error);
            Vec::new()
        });
        let named = held.into_iter().filter(is_over).filter_map(|one| match one.named() {
            Ok(name) => Some((name, one)),
            Err(error) => {
                failed.get_or_insert(error);
                None
            }
        });
        let over: Vec<(String, Held)> = named.collect();
        for batch in over.chunks(TOGETHER) {
            let names: Vec<&str> = batch.iter().map(|(name, _)| name.as_str()).collect();
            let erase = |at: usize| batch.get(at).map_or(Ok(()), |(_, held)| held.erase());
            match erase_and_prove(data_dir, clock, kind, &format!("kept {keeps}"), &names, erase) {
                Ok(()) => *deleted.entry(kind.word()).or_default() += batch.len(),
                Err(error) => _ = failed.get_or_insert(error),
            }
        }
    }
    failed.map_or(Ok(deleted), Err)
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
    erase_and_prove(data_dir, clock, Kind::Residents, "asked for", &[&hash], |_| {
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
    names: &[&str],
    erase: impl Fn(usize) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let of = |names: &[&str]| format!("{} {} ({rule}) sha256 {}", names.len(), kind.word(), names.join(" "));
    let mut log = AuditLog::open(data_dir, clock)?;
    log.add(&[Deed::of_the_gateway(BEGIN, of(names))])?;
    let (mut erased, mut failed) = (Vec::new(), None);
    for (at, name) in names.iter().enumerate() {
        match erase(at) {
            Ok(()) => erased.push(*name),
            Err(error) => _ = failed.get_or_insert(error),
        }
    }
    if !erased.is_empty() {
        let proof = log.add(&[Deed::of_the_gateway(DELETE, of(&erased))]);
        proof.context("it is deleted, but the audit log does not have the proof")?;
    }
    failed.map_or(Ok(()), Err)
}

/// What has been deleted, by the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Proof {
    /// The entry's number.
    pub(crate) seq: u64,
    pub(crate) at_ms: TimeMs,
    pub(crate) what: String,
    pub(crate) sha256: Vec<String>,
    /// The same, with the alert where it has one.
    #[serde(skip)]
    named: Vec<String>,
}

impl Proof {
    fn of(entry: Entry) -> Self {
        let (what, hashes) = entry.of.split_once(" sha256 ").unwrap_or((&entry.of, ""));
        let named: Vec<String> = hashes.split(' ').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let sha256 = named.iter().map(|name| hash_of(name).to_owned()).collect();
        Self { seq: entry.seq, at_ms: entry.at_ms, what: what.to_owned(), sha256, named }
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
    let deleted: BTreeSet<&str> = proofs.iter().flat_map(|proof| &proof.named).map(String::as_str).collect();
    for kind in Kind::ALL {
        for held in held(data_dir, kind)? {
            let name = held.named()?;
            let hash = hash_of(&name);
            // Before a photo's alert was noted, too, a photo was deleted by its hash alone.
            if deleted.contains(name.as_str()) || deleted.contains(hash) {
                anyhow::bail!(
                    "of {} something is here again that was deleted (SHA-256 {hash}): a backup brought it back, most \
                     likely; `ninewatch retention run` deletes what is over",
                    kind.word(),
                );
            }
        }
    }
    Ok(proofs)
}

/// The hash of what is named with its alert.
fn hash_of(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, hash)| hash)
}
