//! Room on the disk: what is kept free, and who is taken in where there is little.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::disk::Disk;

/// How the disk is, for those who decide what is taken in and those who tell it.
#[derive(Debug, Default)]
pub(crate) struct DiskRoom {
    short: AtomicBool,
    free_bytes: AtomicU64,
    reserve_bytes: AtomicU64,
}

impl DiskRoom {
    /// Only what can be a matter of life is taken in now.
    pub(crate) fn is_short(&self) -> bool {
        self.short.load(Relaxed)
    }

    /// What could still be written when it was looked at last.
    pub(crate) fn free_bytes(&self) -> u64 {
        self.free_bytes.load(Relaxed)
    }

    /// What the journal still has for itself, however full the disk is.
    pub(crate) fn reserve_bytes(&self) -> u64 {
        self.reserve_bytes.load(Relaxed)
    }
}

#[cfg(test)]
impl DiskRoom {
    /// A disk with so much free, and no reserve.
    pub(crate) fn with_free(bytes: u64) -> Arc<Self> {
        let room = Self::default();
        room.free_bytes.store(bytes, Relaxed);
        Arc::new(room)
    }

    /// Lets it be short, or not.
    pub(crate) fn set_short(&self, short: bool) {
        self.short.store(short, Relaxed);
    }
}

/// Watches the disk. The reserve itself is with the logs: blocks behind the end of the segments that are written, so
/// that nobody can take them. As much again is kept free besides, for the index and for what else the gateway writes.
#[derive(Debug)]
pub(super) struct Room {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    wanted: u64,
    told: Arc<DiskRoom>,
}

impl Room {
    pub(super) fn new(disk: Arc<dyn Disk>, dir: &Path, wanted: u64) -> Self {
        Self { disk, dir: dir.to_owned(), wanted, told: Arc::default() }
    }

    pub(super) fn told(&self) -> Arc<DiskRoom> {
        self.told.clone()
    }

    /// Makes room for `bytes` where the logs hold `held`: `let_go` removes what matters least, as long as it finds
    /// something. Whether the reserve may be made whole.
    pub(super) fn make(
        &mut self,
        bytes: u64,
        held: u64,
        mut let_go: impl FnMut() -> io::Result<bool>,
    ) -> io::Result<bool> {
        let low = self.wanted.saturating_add(bytes);
        let mut free = self.disk.free(&self.dir)?;
        while free < low && let_go()? {
            free = self.disk.free(&self.dir)?;
        }
        self.told.free_bytes.store(free, Relaxed);
        self.told.reserve_bytes.store(held, Relaxed);
        // A little more than it takes to become short: otherwise it would come and go.
        let plenty = low + self.wanted.saturating_sub(held) + self.wanted / 4;
        if free >= plenty {
            self.tell_short(false);
        } else if free < low || held < self.wanted / 4 {
            self.tell_short(true);
        }
        Ok(free >= plenty)
    }

    fn tell_short(&self, short: bool) {
        if self.told.short.swap(short, Relaxed) == short {
            return;
        }
        let (free_bytes, reserve_bytes) = (self.told.free_bytes(), self.told.reserve_bytes());
        if short {
            tracing::error!(
                free_bytes,
                reserve_bytes,
                "the disk is nearly full: the oldest readings were let go, and only devices that can raise a critical \
                 alert are taken in and acknowledged; free some disk, or make `journal.readings_max_mib` smaller"
            );
        } else {
            tracing::info!(free_bytes, "the disk has room again: everything is taken in");
        }
    }
}

/// Whether the disk, or the share of it that this program may use, is full.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
