//! A gateway's files into the FAT partition of a card. What the file system changes is gathered, written in order, and
//! read back from the card like the image itself.

use anyhow::{Context, ensure};
use fatfs::{FileSystem, FsOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;

use super::card::{BLOCK, Card, trouble};
use super::write::same;

/// The folder on the card's first partition, which a gateway takes in at its first boot.
pub(super) const FOLDER: &str = "ninewatch";

/// Files by their path in [`FOLDER`].
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// Puts the files into the folder, and comes back when they are on the card and were read back.
///
/// # Errors
/// Where the card does not take them, or the partition is not FAT or has no room.
pub(super) fn put(card: &mut dyn Card, partition: Range<u64>, files: &Files) -> anyhow::Result<()> {
    let mut gathered = Gathered { card, partition, at: 0, blocks: BTreeMap::new(), changed: BTreeSet::new() };
    lay(&mut gathered, files).context("the gateway's files cannot be put on the card")?;
    gathered.write_out()
}

fn lay(partition: &mut Gathered<'_>, files: &Files) -> anyhow::Result<()> {
    folders(partition, files)?;
    // Until here nothing but folders and their allocation was changed: what looks like a folder's beginning is one.
    partition.mend_folders()?;
    // Without a clock, so that equal files make equal cards.
    let fat = FileSystem::new(&mut *partition, FsOptions::new())?;
    {
        let folder = fat.root_dir().open_dir(FOLDER)?;
        for (path, bytes) in files {
            let put = || {
                let mut file = folder.create_file(path)?;
                file.truncate()?;
                file.write_all(bytes)?;
                file.flush()
            };
            put().with_context(|| format!("{path}: is the first partition full, or the name not one of FAT's?"))?;
        }
    }
    fat.unmount().context("the first partition cannot be finished")
}

/// Makes the folders for the files.
fn folders(partition: &mut Gathered<'_>, files: &Files) -> anyhow::Result<()> {
    let fat = FileSystem::new(partition, FsOptions::new()).context("the first partition is not FAT")?;
    {
        let folder = fat.root_dir().create_dir(FOLDER)?;
        for path in files.keys() {
            for (end, _) in path.match_indices('/') {
                folder.create_dir(path.get(..end).unwrap_or_default())?;
            }
        }
    }
    Ok(fat.unmount()?)
}

/// A partition of a card with what was changed in it since.
struct Gathered<'c> {
    card: &'c mut dyn Card,
    partition: Range<u64>,
    /// From the partition's beginning.
    at: u64,
    /// By their place on the card, in blocks.
    blocks: BTreeMap<u64, Vec<u8>>,
    changed: BTreeSet<u64>,
}

impl Gathered<'_> {
    /// The block around a place on the card, and where in it that is.
    fn block(&mut self, place: u64) -> io::Result<(&mut Vec<u8>, usize)> {
        let number = place / BLOCK as u64;
        let within = usize::try_from(place % BLOCK as u64).unwrap_or(0);
        if !self.blocks.contains_key(&number) {
            let mut block = vec![0; BLOCK];
            self.card.read(number * BLOCK as u64, &mut block)?;
            self.blocks.insert(number, block);
        }
        self.blocks.get_mut(&number).map(|block| (block, within)).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// `fatfs` 0.3 gives the entries `.` and `..` long names, and lets `..` of a folder in FAT32's root name the root's
    /// cluster; both are against the specification, and fsck at the first boot would take such a folder apart.
    fn mend_folders(&mut self) -> anyhow::Result<()> {
        let mut boot = [0; 512];
        self.seek(SeekFrom::Start(0))?;
        self.read_exact(&mut boot)?;
        let root = root_cluster(&boot);
        for number in &self.changed {
            let block = self.blocks.get_mut(number).map(Vec::as_mut_slice).unwrap_or_default();
            let (sectors, _) = block.as_chunks_mut::<512>();
            sectors.iter_mut().for_each(|sector| mend_folder(sector, root));
        }
        // Whoever opens it next begins at its beginning.
        self.seek(SeekFrom::Start(0))?;
        Ok(())
    }

    /// How much of `wanted` is left in the partition.
    fn left(&self, wanted: usize) -> usize {
        let left = (self.partition.end - self.partition.start).saturating_sub(self.at);
        wanted.min(usize::try_from(left).unwrap_or(usize::MAX))
    }

    fn write_out(self) -> anyhow::Result<()> {
        let of = |number: &u64| (number * BLOCK as u64, self.blocks.get(number).map(Vec::as_slice).unwrap_or_default());
        for (at, block) in self.changed.iter().map(of) {
            self.card.write(at, block).map_err(|error| trouble(error, "writing", at))?;
        }
        self.card.sync().map_err(|error| trouble(error, "the last writing before", self.partition.end))?;
        let mut found = vec![0; BLOCK];
        for (at, block) in self.changed.iter().map(of) {
            ensure!(block.len() == BLOCK, "block {at} was lost");
            self.card.read(at, &mut found).map_err(|error| trouble(error, "reading", at))?;
            same(at, block, &found)?;
        }
        Ok(())
    }
}

impl Read for Gathered<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let wanted = self.left(into.len());
        let (block, within) = self.block(self.partition.start + self.at)?;
        let there = block.get(within..).unwrap_or_default();
        let length = wanted.min(there.len());
        for (into, byte) in into.iter_mut().zip(there).take(length) {
            *into = *byte;
        }
        self.at += length as u64;
        Ok(length)
    }
}

impl Write for Gathered<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (wanted, place) = (self.left(bytes.len()), self.partition.start + self.at);
        let (block, within) = self.block(place)?;
        let there = block.get_mut(within..).unwrap_or_default();
        let length = wanted.min(there.len());
        for (there, byte) in there.iter_mut().zip(bytes).take(length) {
            *there = *byte;
        }
        self.changed.insert(place / BLOCK as u64);
        self.at += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Gathered<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let from = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => (self.partition.end - self.partition.start).checked_add_signed(by),
        };
        self.at = from.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// The cluster where FAT32's root begins; FAT12's and FAT16's has none.
fn root_cluster(boot: &[u8; 512]) -> Option<u32> {
    let sectors_per_fat_16 = boot.get(22..24)?;
    let root: [u8; 4] = boot.get(44..48)?.try_into().ok()?;
    (sectors_per_fat_16 == [0, 0]).then_some(u32::from_le_bytes(root))
}

/// Attributes of an entry that is a part of a long name, and of one that is a folder.
const LONG_NAME: u8 = 0x0f;
const IS_FOLDER: u8 = 0x10;
const DELETED: u8 = 0xe5;

/// Makes a folder's beginning in this sector, if one is, what the specification says: `.`, then `..`.
fn mend_folder(sector: &mut [u8; 512], root: Option<u32>) {
    let (entries, _) = sector.as_chunks_mut::<32>();
    let [long_dot, dot, long_dots, dots, ..] = entries else { return };
    let is = |entry: &[u8; 32], name: &[u8], attributes| entry.starts_with(name) && entry.get(11) == Some(&attributes);
    let is_begun = is(long_dot, b"", LONG_NAME)
        && is(dot, b".          ", IS_FOLDER)
        && is(long_dots, b"", LONG_NAME)
        && is(dots, b"..         ", IS_FOLDER);
    if !is_begun {
        return;
    }
    *long_dot = *dot;
    *dot = *dots;
    let [.., high_0, high_1, _, _, _, _, low_0, low_1, _, _, _, _] = dot;
    if root == Some(u32::from_le_bytes([*low_0, *low_1, *high_0, *high_1])) {
        (*high_0, *high_1, *low_0, *low_1) = (0, 0, 0, 0);
    }
    for gone in [long_dots, dots] {
        *gone = [0; 32];
        gone[0] = DELETED;
    }
}
