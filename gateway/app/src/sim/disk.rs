//! A disk whose power can go between any two steps, and that can be full.
//!
//! The files are real ones, so that all that reads the journal reads as ever; what of them would
//! be left after a power cut is noted here.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::chance::Chance;
use super::{Bug, planted};
use crate::journal::{Appending, Disk};

/// What a disk writes at once, or not at all.
const SECTOR: u64 = 512;

#[derive(Debug, Clone, Default)]
pub(super) struct SimDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<PathBuf, Extent>,
    /// Steps until the power goes.
    power_for: Option<u64>,
    off: bool,
    /// Bytes that still fit, where it is getting full.
    space: Option<u64>,
    /// What stood in the segments that the ring has let go, as far as it was synced.
    let_go: String,
}

#[derive(Debug, Default, Clone, Copy)]
struct Extent {
    written: u64,
    synced: u64,
    /// Behind what is written, and nobody else's.
    held: u64,
    name_synced: bool,
}

impl SimDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The power goes after so many steps more.
    pub(super) fn cut_power_after(&self, steps: u64) {
        self.state().power_for = Some(steps);
    }

    pub(super) fn go_off(&self) {
        self.state().off = true;
    }

    /// From now on the power stays; whether it has to come back first.
    pub(super) fn stays_on(&self) -> bool {
        let mut state = self.state();
        state.power_for = None;
        state.off
    }

    pub(super) fn is_off(&self) -> bool {
        self.state().off
    }

    /// How much still fits; `None` for as much as anybody wants.
    pub(super) fn set_space(&self, bytes: Option<u64>) {
        self.state().space = bytes;
    }

    pub(super) fn is_short(&self) -> bool {
        self.state().space.is_some()
    }

    /// Whether each log still holds more than a checkpoint takes.
    pub(super) fn has_reserve(&self) -> bool {
        let state = self.state();
        let holds = |log: &str| {
            let mut files = state.files.iter().filter(|(path, _)| path.parent().is_some_and(|dir| dir.ends_with(log)));
            files.next_back().is_some_and(|(_, extent)| extent.held >= 48 << 10)
        };
        holds("intake") && holds("alerts")
    }

    /// Whether a power cut now would leave these words in the newest files of `dir`, or they were there until the ring
    /// let them go.
    pub(super) fn would_keep(&self, dir: &Path, words: &[&str]) -> Vec<bool> {
        let state = self.state();
        let newest = state.files.iter().filter(|(path, _)| path.starts_with(dir)).rev().take(3);
        let texts: Vec<String> = newest
            .map(|(path, extent)| {
                let mut bytes = fs::read(path).unwrap_or_default();
                bytes.truncate(usize::try_from(extent.synced).unwrap());
                String::from_utf8_lossy(&bytes).into_owned()
            })
            .collect();
        words.iter().map(|word| texts.iter().chain([&state.let_go]).any(|text| text.contains(word))).collect()
    }

    /// Comes back after a power cut: what was not synced is there, or torn, or gone. Says so, and whether anything has holes.
    pub(super) fn come_back(&self, chance: &mut Chance) -> io::Result<(String, bool)> {
        let mut state = self.state();
        let (mut told, mut has_holes) = (String::new(), false);
        state.off = false;
        state.power_for = None;
        let mut gone = Vec::new();
        for (path, extent) in &mut state.files {
            if !extent.name_synced && chance.one_in(2) {
                fs::remove_file(path)?;
                gone.push(path.clone());
                continue;
            }
            let unsynced = extent.written - extent.synced;
            if unsynced > 0 {
                let file = OpenOptions::new().write(true).open(path)?;
                let kept = if chance.one_in(3) { unsynced } else { chance.below(unsynced + 1) };
                file.set_len(extent.synced + kept)?;
                let mut holes = 0;
                if chance.one_in(2) {
                    holes = lose_sectors(&file, extent.synced, extent.synced + kept, chance)?;
                }
                has_holes |= holes > 0;
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                told += &format!(" {name}: {kept} of {unsynced} unsynced bytes, {holes} sectors lost;");
                extent.written = extent.synced + kept;
            }
            *extent = Extent { synced: extent.written, name_synced: true, ..*extent };
        }
        for path in gone {
            told += &format!(" {} is gone;", path.file_name().unwrap_or_default().display());
            state.files.remove(&path);
        }
        Ok((told, has_holes))
    }
}

/// Sectors are written in any order: some of the last ones may be there while others before are not.
fn lose_sectors(file: &File, from: u64, to: u64, chance: &mut Chance) -> io::Result<u32> {
    use std::os::unix::fs::FileExt;
    let mut lost = 0;
    let mut at = from;
    while at < to {
        let end = ((at / SECTOR + 1) * SECTOR).min(to);
        if chance.one_in(4) {
            file.write_all_at(&vec![0; usize::try_from(end - at).unwrap()], at)?;
            lost += 1;
        }
        at = end;
    }
    Ok(lost)
}

impl State {
    /// One step of the disk; an error where the power is gone.
    fn step(&mut self) -> io::Result<()> {
        if let Some(left) = &mut self.power_for {
            self.off |= *left == 0;
            *left = left.saturating_sub(1);
        }
        if self.off { Err(io::Error::other("the power is gone")) } else { Ok(()) }
    }
}

impl Disk for SimDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Appending>> {
        let mut state = self.state();
        state.step()?;
        let file = OpenOptions::new().create_new(true).append(true).open(path)?;
        state.files.insert(path.to_owned(), Extent::default());
        Ok(Box::new(SimFile { disk: self.clone(), path: path.to_owned(), file }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Appending>> {
        self.state().step()?;
        let file = OpenOptions::new().append(true).open(path)?;
        Ok(Box::new(SimFile { disk: self.clone(), path: path.to_owned(), file }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let Extent { written, synced, held, .. } = state.files.remove(path).unwrap_or_default();
        state.space = state.space.map(|space| space + written + held);
        let mut bytes = fs::read(path)?;
        bytes.truncate(usize::try_from(synced).unwrap());
        state.let_go += &String::from_utf8_lossy(&bytes);
        fs::remove_file(path)
    }

    fn sync_names(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let inside = state.files.iter_mut().filter(|(path, _)| path.parent() == Some(dir));
        inside.for_each(|(_, extent)| extent.name_synced = true);
        Ok(())
    }

    fn free(&self, _: &Path) -> io::Result<u64> {
        let mut state = self.state();
        state.step()?;
        Ok(state.space.unwrap_or(u64::MAX))
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    path: PathBuf,
    file: File,
}

impl SimFile {
    fn write(&mut self, state: &mut State, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        let extent = state.files.entry(self.path.clone()).or_default();
        extent.written += bytes.len() as u64;
        extent.held = extent.held.saturating_sub(bytes.len() as u64);
        Ok(())
    }
}

impl Appending for SimFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let disk = self.disk.clone();
        let mut state = disk.state();
        if let Err(error) = state.step() {
            // It may have got as far as the disk all the same.
            self.write(&mut state, bytes)?;
            return Err(error);
        }
        let held = if planted(Bug::ReserveKept) { 0 } else { state.files.entry(self.path.clone()).or_default().held };
        let more = (bytes.len() as u64).saturating_sub(held);
        if let Some(space) = state.space
            && space < more
        {
            self.write(&mut state, &bytes[..usize::try_from(space + held).unwrap()])?;
            state.space = Some(0);
            return Err(ErrorKind::StorageFull.into());
        }
        state.space = state.space.map(|space| space - more);
        self.write(&mut state, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.step()?;
        if planted(Bug::SyncForgotten) {
            return Ok(());
        }
        let extent = state.files.entry(self.path.clone()).or_default();
        extent.synced = extent.written;
        Ok(())
    }

    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.step()?;
        self.file.set_len(bytes)?;
        let extent = state.files.entry(self.path.clone()).or_default();
        let freed = extent.written.saturating_sub(bytes) + extent.held;
        *extent = Extent { written: bytes, synced: bytes, held: 0, name_synced: extent.name_synced };
        state.space = state.space.map(|space| space + freed);
        Ok(())
    }

    fn hold(&mut self, from: u64, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.step()?;
        let Extent { written, held, .. } = state.files.get(&self.path).copied().unwrap_or_default();
        let more = (from + bytes).saturating_sub(written + held);
        if state.space.is_some_and(|space| space < more) {
            return Err(ErrorKind::StorageFull.into());
        }
        state.space = state.space.map(|space| space - more);
        state.files.entry(self.path.clone()).or_default().held += more;
        Ok(())
    }

    fn held_to(&self) -> io::Result<u64> {
        let extent = self.disk.state().files.get(&self.path).copied().unwrap_or_default();
        Ok(extent.written + extent.held)
    }
}
