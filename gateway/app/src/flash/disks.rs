//! The disks of this machine, as Linux tells of them in `/sys` and `/proc`, and which of them may be written over.

use anyhow::{Context, bail, ensure};
use indicatif::HumanBytes;
use std::fs;
use std::path::{Path, PathBuf};

/// Cards for gateways are smaller. What is larger is more likely somebody's archive.
const LARGEST_CARD: u64 = 256 << 30;
/// Counted by these in `/sys`, whatever the disk's own are.
const SECTOR: u64 = 512;
/// Names of what is no disk to put into another machine.
const NO_CARDS: [&str; 8] = ["loop", "ram", "zram", "dm-", "md", "sr", "fd", "zd"];

/// Where `/sys` and `/proc` are.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    root: PathBuf,
}

/// A whole disk.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    /// As in `/dev`.
    pub(crate) name: String,
    pub(crate) bytes: u64,
    /// Maker and model, as far as it says.
    pub(crate) model: String,
    /// Its number in `/dev`, as `major:minor`.
    pub(super) number: String,
    /// Whether it is a card, a stick, or something else that comes and goes.
    portable: bool,
    read_only: bool,
    /// What it is used for at this moment, in words with the mend; empty where for nothing.
    in_use: Vec<String>,
}

impl Machine {
    /// This one.
    pub(crate) fn this() -> Self {
        Self { root: PathBuf::from("/") }
    }

    /// One whose `/sys` and `/proc` lie below a folder.
    #[cfg(test)]
    pub(super) fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// All disks that could be cards, by name.
    ///
    /// # Errors
    /// Where `/sys` or `/proc` cannot be read.
    pub(crate) fn disks(&self) -> anyhow::Result<Vec<Disk>> {
        let mut names: Vec<String> = children(&self.root.join("sys/block"))?;
        names.retain(|name| !NO_CARDS.iter().any(|no| name.starts_with(no)));
        names.sort();
        names.iter().map(|name| self.look(name)).collect()
    }

    /// The disk behind a path in `/dev`, links followed.
    ///
    /// # Errors
    /// Where it is no whole disk.
    pub(crate) fn find(&self, device: &Path) -> anyhow::Result<Disk> {
        let list = "`ninewatch flash --list` shows the cards";
        // A name that is not there yet may be a mistake, or of a disk that was pulled out.
        let real = device.canonicalize().unwrap_or_else(|_| device.to_owned());
        let name = real.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let block = self.root.join("sys/block");
        if !name.is_empty() && block.join(name).is_dir() {
            return self.look(name);
        }
        for disk in children(&block)? {
            if !name.is_empty() && block.join(&disk).join(name).join("partition").exists() {
                bail!("{} is a partition; give the whole disk: /dev/{disk}", device.display());
            }
        }
        bail!("{} is no disk of this machine; {list}", device.display())
    }

    fn look(&self, name: &str) -> anyhow::Result<Disk> {
        let folder = self.root.join("sys/block").join(name);
        let word = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default().trim().to_owned();
        let size = word("size");
        let sectors: u64 = size.parse().with_context(|| format!("/sys/block/{name}/size says `{size}`"))?;
        // A card in a slot of its own names itself `name`, all others `vendor` and `model`.
        let says = [word("device/vendor"), word("device/model"), word("device/name")];
        let model = says.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
        let bus = fs::read_link(&folder).unwrap_or_default().display().to_string();
        // "MMC" in the place of "SD" is soldered on.
        let portable = word("removable") == "1" || bus.contains("/usb") || word("device/type") == "SD";
        Ok(Disk {
            name: name.to_owned(),
            bytes: sectors.saturating_mul(SECTOR),
            model,
            number: word("dev"),
            portable,
            read_only: word("ro") == "1",
            in_use: self.uses(name, &folder)?,
        })
    }

    /// What a disk and its partitions are used for.
    fn uses(&self, disk: &str, folder: &Path) -> anyhow::Result<Vec<String>> {
        let is_partition = |name: &String| folder.join(name).join("partition").exists();
        let mut parts = vec![(disk.to_owned(), folder.to_owned())];
        parts.extend(children(folder)?.into_iter().filter(is_partition).map(|name| (name.clone(), folder.join(name))));
        let mounts = self.read("proc/self/mountinfo")?;
        let swaps = self.read("proc/swaps")?;
        let mut uses = Vec::new();
        for (name, folder) in parts {
            let number = fs::read_to_string(folder.join("dev")).unwrap_or_default();
            let device = format!("/dev/{name}");
            for place in mounts.lines().filter_map(|line| mounted(line, number.trim(), &device)) {
                uses.push(format!("{device} is mounted at {place}"));
            }
            if swaps.lines().skip(1).any(|line| line.split_whitespace().next() == Some(&device)) {
                uses.push(format!("{device} is swap space"));
            }
            for holder in children(&folder.join("holders")).unwrap_or_default() {
                uses.push(format!("{device} is part of {holder} (encryption, LVM or RAID)"));
            }
        }
        Ok(uses)
    }

    fn read(&self, file: &str) -> anyhow::Result<String> {
        // Names of files may be anything.
        let bytes = fs::read(self.root.join(file)).with_context(|| {
            format!("/{file} cannot be read, and without it nobody knows which disk is in use; flash on a usual Linux")
        })?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Disk {
    /// The path in `/dev`.
    pub(crate) fn path(&self) -> PathBuf {
        Path::new("/dev").join(&self.name)
    }

    /// Whether it may be written over. `named` is the disk that a person named as surely meant.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub(crate) fn check(&self, named: Option<&str>) -> anyhow::Result<()> {
        let name = &self.name;
        if let Some(yes) = named {
            ensure!(yes == name, "--yes-this-disk says `{yes}`, and the device is `{name}`; nothing was written");
        }
        ensure!(self.bytes > 0, "there is no card in /dev/{name}; put one in");
        if !self.in_use.is_empty() {
            bail!(
                "/dev/{name} is in use: {}. If it is the card, let go of it first (`umount`); if this machine needs \
                 it, it is not the card: `ninewatch flash --list`",
                self.in_use.join("; ")
            );
        }
        ensure!(
            !self.read_only,
            "/dev/{name} is write-protected; move the slide at the card's or adapter's edge away from LOCK"
        );
        if named.is_none() {
            let sure = format!("if it is surely the one, and all on it may go, say `--yes-this-disk {name}`");
            ensure!(self.portable, "{self} is built in and no card; {sure}");
            ensure!(self.bytes <= LARGEST_CARD, "{self} is larger than cards are; {sure}");
        }
        Ok(())
    }
}

impl std::fmt::Display for Disk {
    /// As people know it again: `/dev/sdb (Generic STORAGE, 29.72 GiB)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = [self.model.clone(), HumanBytes(self.bytes).to_string()];
        let what: Vec<String> = what.into_iter().filter(|part| !part.is_empty()).collect();
        write!(f, "{} ({})", self.path().display(), what.join(", "))
    }
}

/// Where `line` of mountinfo (proc(5)) says that this device is mounted, if it is the one.
fn mounted<'l>(line: &'l str, number: &str, device: &str) -> Option<&'l str> {
    let mut fields = line.split(' ');
    let (its_number, place) = (fields.nth(2)?, fields.nth(1)?);
    // File systems over several disks have a number of their own, and name one of the disks.
    let source = line.split_once(" - ").and_then(|(_, rest)| rest.split(' ').nth(1));
    ((!number.is_empty() && its_number == number) || source == Some(device)).then_some(place)
}

/// The names in a folder.
fn children(folder: &Path) -> anyhow::Result<Vec<String>> {
    let unreadable = || format!("{} cannot be read", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        names.extend(entry.with_context(unreadable)?.file_name().into_string());
    }
    Ok(names)
}
