//! One sled database: opened with suspicion, and left alone once it has failed.

use anyhow::Context;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{AlertRecord, Delivered};

/// Where the last change applied stands among the upstreams' names.
pub(super) const LAST_SEQ: &[u8] = b"\0last_seq";
const CACHE_BYTES: u64 = 16 << 20;
/// The layout of values. Another one is rebuilt.
const VERSION: u8 = 1;

#[derive(Debug)]
pub(super) struct Store {
    db: sled::Db,
    /// Alert id → [`AlertRecord`].
    pub(super) alerts: sled::Tree,
    /// Ids of alerts that are not closed.
    pub(super) open: sled::Tree,
    /// Upstream name → [`Delivered`]; and under [`LAST_SEQ`] the last change applied.
    pub(super) state: sled::Tree,
    /// sled's own data file: its flush does not sync it.
    file: File,
    /// It could not be brought to disk, last time.
    failing: AtomicBool,
    /// sled has failed, and takes nothing more.
    broken: AtomicBool,
    /// One flush at a time.
    pub(super) flushing: Mutex<()>,
}

impl Store {
    /// Opens what is there and reads it all through once, so that damage shows now and not at night.
    pub(super) fn open(dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
        remove_half_snapshots(dir)?;
        // sled panics on some damage.
        let opened = catch_unwind(AssertUnwindSafe(|| -> anyhow::Result<Self> {
            let db = sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(None).open()?;
            let store = Self {
                alerts: db.open_tree("alerts")?,
                open: db.open_tree("open")?,
                state: db.open_tree("state")?,
                file: File::open(dir.join("db")).context("sled's data file")?,
                failing: AtomicBool::new(false),
                broken: AtomicBool::new(false),
                flushing: Mutex::new(()),
                db,
            };
            for entry in &store.alerts {
                unpack::<AlertRecord>(&entry?.1)?;
            }
            for entry in &store.state {
                unpack::<serde_json::Value>(&entry?.1)?;
            }
            for entry in &store.open {
                let (id, _) = entry?;
                anyhow::ensure!(store.alerts.contains_key(id)?, "an open alert is not there");
            }
            Ok(store)
        }));
        opened.unwrap_or_else(|_| anyhow::bail!("sled panicked"))
    }

    /// Whether it has never been opened. sled takes some damage for the end of what was written, and begins anew.
    pub(super) fn is_new(&self) -> anyhow::Result<bool> {
        let made = self.db.open_tree("made")?;
        Ok(made.insert(b"made", b"")?.is_none())
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Whether it could not be brought to disk, last time.
    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed) || self.is_broken()
    }

    /// Whether sled did it; where it did not, it is left alone from then on.
    pub(super) fn done<T>(&self, done: sled::Result<T>) -> anyhow::Result<T> {
        if done.is_err() {
            self.broken.store(true, Ordering::Relaxed);
        }
        Ok(done?)
    }

    pub(super) fn is_whole(&self) -> anyhow::Result<()> {
        anyhow::ensure!(!self.is_broken(), "sled has failed before");
        Ok(())
    }

    /// Puts a value.
    ///
    /// # Errors
    /// Where sled fails, or has failed.
    pub(super) fn put(&self, tree: &sled::Tree, key: &[u8], value: &impl Serialize) -> anyhow::Result<()> {
        self.is_whole()?;
        self.done(tree.insert(key, pack(value)?))?;
        Ok(())
    }

    pub(super) fn read<T: DeserializeOwned>(&self, tree: &sled::Tree, key: &[u8]) -> Option<T> {
        let value = tree.get(key).ok()??;
        unpack(&value).inspect_err(|error| tracing::error!("a value of the index is damaged: {error:#}")).ok()
    }

    /// sled's flush writes, but does not sync: that is done on a handle of our own.
    pub(super) fn bring_to_disk(&self) {
        let _turn = self.flushing.lock().unwrap_or_else(PoisonError::into_inner);
        let flushed = self.is_whole().and_then(|()| self.done(self.db.flush()));
        let done = flushed.and_then(|_| Ok(self.file.sync_data()?));
        // Said once.
        if let Err(error) = &done
            && !self.failing.load(Ordering::Relaxed)
        {
            tracing::error!("the index could not be brought to disk: {error:#}");
        }
        self.failing.store(done.is_err(), Ordering::Relaxed);
    }

    /// What upstreams have receipted.
    pub(super) fn cursors(&self) -> anyhow::Result<Vec<(String, Delivered)>> {
        let mut cursors = Vec::new();
        for entry in &self.state {
            let (upstream, delivered) = entry?;
            if upstream != LAST_SEQ {
                cursors.push((String::from_utf8_lossy(&upstream).into_owned(), unpack(&delivered)?));
            }
        }
        Ok(cursors)
    }
}

/// version | crc32 | JSON
fn pack(value: &impl Serialize) -> anyhow::Result<Vec<u8>> {
    let mut packed = vec![VERSION, 0, 0, 0, 0];
    serde_json::to_writer(&mut packed, value)?;
    let crc = crc32fast::hash(&packed[5..]);
    packed[1..5].copy_from_slice(&crc.to_le_bytes());
    Ok(packed)
}

pub(super) fn unpack<T: for<'a> Deserialize<'a>>(packed: &[u8]) -> anyhow::Result<T> {
    let (head, body) = packed.split_at_checked(5).context("a value is cut short")?;
    anyhow::ensure!(head[0] == VERSION, "a value of layout {}", head[0]);
    anyhow::ensure!(head[1..] == crc32fast::hash(body).to_le_bytes(), "a value's checksum is wrong");
    Ok(serde_json::from_slice(body)?)
}

/// A kill while sled opens leaves half a snapshot that it would take for the newest one, and then
/// refuse to open for ever.
fn remove_half_snapshots(dir: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
