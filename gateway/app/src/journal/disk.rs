//! What the journal writes through, so that a test can take the power away between any two steps.

use rustix::fs::FallocateFlags;
use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A disk to write on. What was written is read as from any file.
pub(crate) trait Disk: Debug + Send + Sync {
    /// Makes a file to append to; it must not be there. Its name lasts after [`Self::sync_names`].
    fn create(&self, path: &Path) -> io::Result<Box<dyn Appending>>;
    /// Opens a file to append to.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Appending>>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names of the files in a folder durable.
    fn sync_names(&self, dir: &Path) -> io::Result<()>;
    /// Bytes that can still be written to the disk that `dir` is on.
    fn free(&self, dir: &Path) -> io::Result<u64>;
}

/// A file that grows at its end.
pub(crate) trait Appending: Debug + Send {
    /// Writes all of it.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes durable what was written.
    fn sync(&mut self) -> io::Result<()>;
    /// Leaves only the first bytes, with nothing held behind them, and makes that durable.
    fn cut(&mut self, bytes: u64) -> io::Result<()>;
    /// Gives the file `bytes` of the disk behind its first `from`, to be written later: nobody else can have them. Where
    /// they are not there, it may have got some all the same.
    fn hold(&mut self, from: u64, bytes: u64) -> io::Result<()>;
    /// Up to where the disk is the file's own.
    fn held_to(&self) -> io::Result<u64>;
}

/// The machine's own.
#[derive(Debug)]
pub(super) struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Appending>> {
        Ok(Box::new(OpenOptions::new().create_new(true).append(true).open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Appending>> {
        Ok(Box::new(OpenOptions::new().append(true).open(path)?))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_names(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn free(&self, dir: &Path) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(dir)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
}

impl Appending for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)?;
        self.sync_all()
    }

    fn hold(&mut self, from: u64, bytes: u64) -> io::Result<()> {
        rustix::fs::fallocate(&*self, FallocateFlags::KEEP_SIZE, from, bytes)?;
        self.sync_all()
    }

    fn held_to(&self) -> io::Result<u64> {
        let file = self.metadata()?;
        Ok(file.len().max(file.blocks() * 512))
    }
}
