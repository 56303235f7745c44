//! Which disks may be written over.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::flash::disks::{Disk, Machine};

const GIB: u64 = 1 << 30;

/// A machine made of files, as `/sys` and `/proc` of a real one look.
struct Fake {
    dir: tempfile::TempDir,
    mounts: Vec<String>,
}

impl Fake {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("sys/block")).unwrap();
        fs::create_dir_all(dir.path().join("proc/self")).unwrap();
        let fake = Self { dir, mounts: vec!["20 1 0:19 / /proc rw - proc proc rw".into()] };
        fake.swaps("");
        fake.told()
    }

    fn told(self) -> Self {
        fs::write(self.dir.path().join("proc/self/mountinfo"), self.mounts.join("\n")).unwrap();
        self
    }

    fn swaps(&self, line: &str) {
        let header = "Filename Type Size Used Priority";
        fs::write(self.dir.path().join("proc/swaps"), format!("{header}\n{line}\n")).unwrap();
    }

    /// A disk at a bus, with files in its folder and partitions.
    fn disk(&self, name: &str, bus: &str, number: &str, gib: u64, files: &[(&str, &str)], parts: u32) -> PathBuf {
        let real = self.dir.path().join("sys/devices").join(bus).join("block").join(name);
        fs::create_dir_all(real.join("device")).unwrap();
        fs::create_dir_all(real.join("holders")).unwrap();
        let size = (gib * GIB / 512).to_string();
        let common = [("size", size.as_str()), ("removable", "0"), ("ro", "0"), ("dev", number)];
        for (file, text) in common.iter().chain(files) {
            fs::write(real.join(file), format!("{text}\n")).unwrap();
        }
        for part in 1..=parts {
            let folder = real.join(format!("{name}{part}"));
            fs::create_dir_all(folder.join("holders")).unwrap();
            let (major, minor) = number.split_once(':').unwrap();
            let number = format!("{major}:{}", minor.parse::<u32>().unwrap() + part);
            fs::write(folder.join("partition"), part.to_string()).unwrap();
            fs::write(folder.join("dev"), format!("{number}\n")).unwrap();
        }
        symlink(
            Path::new("../devices").join(bus).join("block").join(name),
            self.dir.path().join("sys/block").join(name),
        )
        .unwrap();
        real
    }

    fn mount(mut self, number: &str, place: &str, source: &str) -> Self {
        self.mounts.push(format!("30 1 {number} / {place} rw,relatime shared:1 - ext4 {source} rw"));
        self.told()
    }

    fn find(&self, device: &str) -> anyhow::Result<Disk> {
        Machine::at(self.dir.path()).find(Path::new(device))
    }

    fn refusal(&self, device: &str) -> String {
        let refused = self.find(device).and_then(|disk| disk.check(None));
        refused.unwrap_err().to_string()
    }
}

const USB: &str = "pci0/usb1/1-2/host6";

#[test]
fn a_card_in_a_reader_and_a_card_in_a_slot_may_be_written_over() {
    let fake = Fake::new();
    fake.disk(
        "sdb",
        USB,
        "8:16",
        32,
        &[("removable", "1"), ("device/vendor", "Generic"), ("device/model", "STORAGE")],
        2,
    );
    fake.disk("mmcblk0", "mmc_host/mmc0", "179:0", 16, &[("device/type", "SD"), ("device/name", "SC16G")], 0);
    let card = fake.find("/dev/sdb").unwrap();
    card.check(None).unwrap();
    assert_eq!((card.model.as_str(), card.bytes), ("Generic STORAGE", 32 * GIB));
    fake.find("/dev/mmcblk0").unwrap().check(None).unwrap();
    let names = Machine::at(fake.dir.path()).disks().unwrap();
    assert_eq!(names.iter().map(|disk| disk.name.as_str()).collect::<Vec<_>>(), ["mmcblk0", "sdb"]);
}

#[test]
fn a_disk_in_use_is_never_written_over_whatever_is_said() {
    let fake = Fake::new();
    fake.disk("sda", USB, "8:0", 32, &[], 3);
    let fake = fake.mount("8:2", "/", "/dev/sda2");
    assert!(fake.refusal("/dev/sda").contains("/dev/sda2 is mounted at /"), "{}", fake.refusal("/dev/sda"));
    assert!(fake.find("/dev/sda").unwrap().check(Some("sda")).is_err(), "naming it does not help");

    // A file system over several disks has a number of its own.
    fake.disk("sdb", USB, "8:16", 32, &[], 1);
    let fake = fake.mount("0:42", "/srv", "/dev/sdb1");
    assert!(fake.refusal("/dev/sdb").contains("/dev/sdb1 is mounted at /srv"));

    fake.disk("sdc", USB, "8:32", 32, &[], 1);
    fake.swaps("/dev/sdc1 partition 100 0 -2");
    assert!(fake.refusal("/dev/sdc").contains("/dev/sdc1 is swap space"));

    let real = fake.disk("sdd", USB, "8:48", 32, &[], 1);
    fs::create_dir(real.join("sdd1/holders/dm-0")).unwrap();
    assert!(fake.refusal("/dev/sdd").contains("/dev/sdd1 is part of dm-0"));
    for name in ["sdb", "sdc", "sdd"] {
        assert!(fake.find(&format!("/dev/{name}")).unwrap().check(Some(name)).is_err(), "{name}");
    }
}

#[test]
fn what_does_not_look_like_a_card_has_to_be_named() {
    let fake = Fake::new();
    fake.disk("nvme0n1", "pci0/nvme/nvme0", "259:0", 128, &[("device/model", "FAST")], 0);
    fake.disk("mmcblk1", "mmc_host/mmc1", "179:8", 32, &[("device/type", "MMC")], 0);
    fake.disk("sdb", USB, "8:16", 512, &[("removable", "1")], 0);
    for (name, word) in [("nvme0n1", "built in"), ("mmcblk1", "built in"), ("sdb", "larger than cards")] {
        let refusal = fake.refusal(&format!("/dev/{name}"));
        assert!(refusal.contains(word) && refusal.contains(&format!("--yes-this-disk {name}")), "{refusal}");
        let disk = fake.find(&format!("/dev/{name}")).unwrap();
        disk.check(Some(name)).unwrap();
        assert!(disk.check(Some("sda")).unwrap_err().to_string().contains("says `sda`"), "another one was meant");
    }
}

#[test]
fn no_disk_no_card_and_a_locked_card_are_told() {
    let fake = Fake::new();
    fake.disk("sdb", USB, "8:16", 32, &[], 2);
    fake.disk("sdc", USB, "8:32", 0, &[], 0);
    fake.disk("sdd", USB, "8:48", 8, &[("ro", "1")], 0);
    assert!(fake.refusal("/dev/sdb2").contains("give the whole disk: /dev/sdb"));
    assert!(fake.refusal("/dev/sdx").contains("--list"));
    assert!(fake.refusal("/").contains("--list"));
    assert!(fake.refusal("/dev/sdc").contains("no card in /dev/sdc"));
    assert!(fake.refusal("/dev/sdd").contains("LOCK"));
    fs::remove_file(fake.dir.path().join("proc/self/mountinfo")).unwrap();
    assert!(fake.refusal("/dev/sdb").contains("mountinfo cannot be read"), "not knowing is not free");
}
