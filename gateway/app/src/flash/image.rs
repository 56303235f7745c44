//! The image to be written, packed or not, as one stream of bytes.

use anyhow::{Context, bail};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

/// An image that is being read from its beginning.
pub(super) struct Image {
    path: PathBuf,
    /// The unpacking program reads by the same file position, which so says how far it is.
    file: File,
    unpacking: Option<Unpacking>,
}

struct Unpacking {
    program: &'static str,
    child: Child,
    out: ChildStdout,
    complaints: ChildStderr,
}

/// Programs that every Debian has or can have, by the end of the file's name: (end, program, package).
const PACKERS: [(&str, &str, &str); 3] = [("xz", "xz", "xz-utils"), ("zst", "zstd", "zstd"), ("gz", "gzip", "gzip")];

impl Image {
    /// Opens it.
    ///
    /// # Errors
    /// Where it cannot be read, or there is no program to unpack it.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("the image {} cannot be read", path.display()))?;
        let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
        let packer = PACKERS.iter().find(|(its_end, ..)| end.eq_ignore_ascii_case(its_end));
        let unpacking = packer.map(|packer| Unpacking::start(*packer, &file)).transpose()?;
        Ok(Self { path: path.to_owned(), file, unpacking })
    }

    /// Bytes of the file, packed as it is.
    pub(super) fn file_bytes(&self) -> anyhow::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// How many of them are read.
    pub(super) fn file_position(&mut self) -> anyhow::Result<u64> {
        Ok(self.file.stream_position()?)
    }

    /// Fills `chunk`; gives how much of it is filled, which is less than all at the end only.
    ///
    /// # Errors
    /// Where the file cannot be read, or is damaged.
    pub(super) fn fill(&mut self, chunk: &mut [u8]) -> anyhow::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = chunk.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let read = match &mut self.unpacking {
                Some(unpacking) => unpacking.out.read(rest),
                None => self.file.read(rest),
            };
            match read {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).with_context(|| format!("{} cannot be read", self.path.display())),
            }
        }
        if filled < chunk.len()
            && let Some(unpacking) = &mut self.unpacking
        {
            unpacking.end().with_context(|| format!("the image {} is damaged; fetch it anew", self.path.display()))?;
        }
        Ok(filled)
    }
}

impl Unpacking {
    fn start((_, program, package): (&str, &'static str, &str), file: &File) -> anyhow::Result<Self> {
        let child = Command::new(program)
            .args(["--decompress", "--stdout"])
            .stdin(file.try_clone()?)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = match child {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                bail!("`{program}` is needed to unpack the image: apt-get install {package}")
            }
            Err(error) => return Err(error).with_context(|| format!("`{program}` cannot be started")),
        };
        let (out, complaints) = (child.stdout.take(), child.stderr.take());
        let (out, complaints) = out.zip(complaints).with_context(|| format!("`{program}` has no output"))?;
        Ok(Self { program, child, out, complaints })
    }

    /// All was read: was it all there is?
    fn end(&mut self) -> anyhow::Result<()> {
        let mut said = String::new();
        self.complaints.read_to_string(&mut said)?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("{} ended with {status}: {}", self.program, said.trim());
        }
        Ok(())
    }
}

impl Drop for Unpacking {
    /// Whoever stops early does not leave it behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
