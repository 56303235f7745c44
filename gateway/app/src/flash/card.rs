//! What an image is written to: a card, or a file that stands for one.

use anyhow::{Context, bail, ensure};
use rustix::fs::{Advice, OFlags, fadvise, major, minor};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::disks::Disk;

/// Past the page cache, a disk wants place and length in these (4 KiB sectors are the largest there are).
pub(super) const BLOCK: usize = 4096;
/// Written and read at once: several erase blocks of a card, a few hundred milliseconds of a slow one.
pub(super) const CHUNK: usize = 4 << 20;

/// Something that keeps bytes. Places and lengths are multiples of [`BLOCK`], but at the end of a card that has none.
pub(super) trait Card {
    /// What it takes; `None` where there is no end.
    fn capacity(&self) -> Option<u64>;
    /// Writes, in the order of the calls.
    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Reads what the card has, not what this machine remembers of it.
    fn read(&mut self, at: u64, bytes: &mut [u8]) -> io::Result<()>;
    /// Comes back when all is on the card.
    fn sync(&mut self) -> io::Result<()>;
}

/// A disk or a file.
pub(super) struct Medium {
    path: PathBuf,
    file: File,
    capacity: Option<u64>,
    /// Whether the page cache is passed by. If not, it is told to forget.
    direct: bool,
    /// Where memory has to lie for a disk to read and write it itself.
    aligned: Aligned,
}

impl Medium {
    /// A disk, for this program alone.
    ///
    /// # Errors
    /// Where it cannot be had so.
    pub(super) fn disk(disk: &Disk) -> anyhow::Result<Self> {
        let path = disk.path();
        let shown = path.display();
        let flags = OFlags::DIRECT | OFlags::EXCL;
        let file = OpenOptions::new().read(true).write(true).custom_flags(bits(flags)).open(&path);
        let mut file = file.map_err(|error| {
            let why = match Errno::from_io_error(&error) {
                Some(Errno::ACCESS | Errno::PERM) => "only root may write disks; put `sudo` before the command",
                Some(Errno::BUSY) => {
                    "something on this machine is using it; close windows that show it, and `umount` it"
                }
                Some(Errno::ROFS) => "it is write-protected; move the slide at its edge away from LOCK",
                Some(Errno::NOMEDIUM) => "there is no card in it",
                _ => "it cannot be opened",
            };
            anyhow::Error::new(error).context(format!("{shown}: {why}"))
        })?;
        let meta = file.metadata()?;
        let number = format!("{}:{}", major(meta.rdev()), minor(meta.rdev()));
        ensure!(
            meta.file_type().is_block_device() && number == disk.number,
            "{shown} is no longer the disk that was looked at; put the card in and try again"
        );
        let capacity = Some(file.seek(SeekFrom::End(0))?);
        Ok(Self { path, file, capacity, direct: true, aligned: Aligned::new() })
    }

    /// A new file.
    ///
    /// # Errors
    /// Where there is one, or it cannot be made.
    pub(super) fn file(path: &Path) -> anyhow::Result<Self> {
        let make = |flags: OFlags| {
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).custom_flags(bits(flags)).open(path)
        };
        let (made, direct) = match make(OFlags::DIRECT) {
            // Some file systems have no such way.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => {
                let _ = std::fs::remove_file(path);
                (make(OFlags::empty()), false)
            }
            made => (made, true),
        };
        let file = match made {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                bail!("{} is there already; remove it, or name another file", path.display())
            }
            made => made.with_context(|| format!("{} cannot be made", path.display()))?,
        };
        Ok(Self { path: path.to_owned(), file, capacity: None, direct, aligned: Aligned::new() })
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn bits(flags: OFlags) -> i32 {
    // Flags are bits; none of them is the sign.
    i32::from_ne_bytes(flags.bits().to_ne_bytes())
}

impl Card for Medium {
    fn capacity(&self) -> Option<u64> {
        self.capacity
    }

    fn write(&mut self, mut at: u64, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(CHUNK) {
            let aligned = self.aligned.part(part.len())?;
            aligned.copy_from_slice(part);
            self.file.write_all_at(aligned, at)?;
            at += part.len() as u64;
        }
        Ok(())
    }

    fn read(&mut self, mut at: u64, bytes: &mut [u8]) -> io::Result<()> {
        for part in bytes.chunks_mut(CHUNK) {
            let aligned = self.aligned.part(part.len())?;
            self.file.read_exact_at(aligned, at)?;
            part.copy_from_slice(aligned);
            at += part.len() as u64;
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_all()?;
        if !self.direct {
            fadvise(&self.file, 0, None, Advice::DontNeed)?;
        }
        Ok(())
    }
}

/// Memory of which a part begins at a multiple of [`BLOCK`].
struct Aligned {
    memory: Vec<u8>,
    start: usize,
}

impl Aligned {
    fn new() -> Self {
        let memory = vec![0; CHUNK + BLOCK];
        let start = memory.as_ptr().align_offset(BLOCK);
        Self { memory, start }
    }

    fn part(&mut self, length: usize) -> io::Result<&mut [u8]> {
        self.memory.get_mut(self.start..self.start + length).ok_or_else(|| ErrorKind::InvalidInput.into())
    }
}

/// What a card's refusal means, for who stands before it.
pub(super) fn trouble(error: io::Error, doing: &str, at: u64) -> anyhow::Error {
    let mend = match Errno::from_io_error(&error) {
        Some(Errno::NODEV | Errno::NXIO | Errno::NOMEDIUM) => "it was pulled out; put it back and flash it again",
        Some(Errno::NOSPC) => {
            "it ends there: it is smaller than it says, or the disk of the file is full; take another"
        }
        Some(Errno::ROFS | Errno::PERM | Errno::ACCESS) => {
            "it is write-protected; move the slide at its edge away from LOCK, and flash it again"
        }
        Some(Errno::IO) => "it was pulled out, or is worn out; seat it firmly and flash it again, or take another card",
        _ if error.kind() == ErrorKind::UnexpectedEof => "it ends before that; take another card",
        _ => "flash it again, or take another card",
    };
    anyhow::Error::new(error).context(format!("the card failed at {doing} byte {at}, and must not be used: {mend}"))
}
