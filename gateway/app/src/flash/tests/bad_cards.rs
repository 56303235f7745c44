//! A card that does not hold what it was given is never called good, whatever it does.

use indicatif::ProgressBar;
use ninewatch_tests::card;
use proptest::prelude::*;
use rustix::io::Errno;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

use crate::flash::card::Card;
use crate::flash::folder::Files;
use crate::flash::{folder, write};

/// What a card does wrong.
#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    /// An error at the byte.
    Write(usize, Errno),
    Read(usize, Errno),
    Sync(Errno),
    /// The byte is another one from the first writing on.
    Keeps(usize),
    /// The bytes from here on are those from the beginning: a small card that says it is large.
    Wraps(usize),
    /// It says so, too.
    Ends(usize),
}

struct Fake {
    bytes: Vec<u8>,
    fault: Fault,
}

impl Fake {
    fn new(fault: Fault) -> Self {
        Self { bytes: vec![0; 12 << 20], fault }
    }

    /// Where bytes from `at` on are kept, as (place, how many).
    fn places(&self, at: usize, length: usize) -> Vec<(usize, usize)> {
        let Fault::Wraps(end) = self.fault else { return vec![(at, length)] };
        let (mut places, mut done) = (Vec::new(), 0);
        while done < length {
            let place = (at + done) % end;
            let part = (end - place).min(length - done);
            places.push((place, part));
            done += part;
        }
        places
    }
}

impl Card for Fake {
    fn capacity(&self) -> Option<u64> {
        Some(if let Fault::Ends(end) = self.fault { end } else { self.bytes.len() } as u64)
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let at = usize::try_from(at).unwrap();
        let mut rest = bytes;
        for (place, part) in self.places(at, bytes.len()) {
            let (now, later) = rest.split_at(part);
            self.bytes[place..place + part].copy_from_slice(now);
            rest = later;
        }
        match self.fault {
            Fault::Write(bad, errno) if (at..at + bytes.len()).contains(&bad) => return Err(errno.into()),
            Fault::Keeps(bad) if (at..at + bytes.len()).contains(&bad) => self.bytes[bad] = !self.bytes[bad],
            _ => {}
        }
        Ok(())
    }

    fn read(&mut self, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        let at = usize::try_from(at).unwrap();
        match self.fault {
            Fault::Read(bad, errno) if (at..at + bytes.len()).contains(&bad) => return Err(errno.into()),
            _ => {}
        }
        let mut rest = &mut *bytes;
        for (place, part) in self.places(at, rest.len()) {
            let (now, later) = rest.split_at_mut(part);
            now.copy_from_slice(&self.bytes[place..place + part]);
            rest = later;
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if let Fault::Sync(errno) = self.fault { Err(errno.into()) } else { Ok(()) }
    }
}

fn image() -> &'static [u8] {
    static IMAGE: OnceLock<Vec<u8>> = OnceLock::new();
    IMAGE.get_or_init(|| card::image().unwrap())
}

fn flashed(path: &Path, fault: Fault) -> anyhow::Result<Vec<u8>> {
    let mut card = Fake::new(fault);
    let bar = ProgressBar::hidden();
    let written = write::write(path, &mut card, &bar)?;
    write::verify(path, &written, &mut card, &bar)?;
    let files =
        Files::from([("site.toml".into(), b"[gateway]".to_vec()), ("data/accounts.toml".into(), vec![7; 9000])]);
    folder::put(&mut card, written.table.fat, &files)?;
    Ok(card.bytes)
}

fn file(dir: &tempfile::TempDir, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// One of the errors that a card that goes away or wears out gives.
fn errno() -> impl Strategy<Value = Errno> {
    prop::sample::select(vec![Errno::IO, Errno::NODEV, Errno::NXIO, Errno::NOSPC, Errno::ROFS, Errno::NOMEDIUM])
}

fn fault() -> impl Strategy<Value = Fault> {
    let at = 0..card::BYTES;
    prop_oneof![
        (at.clone(), errno()).prop_map(|(at, errno)| Fault::Write(at, errno)),
        (at.clone(), errno()).prop_map(|(at, errno)| Fault::Read(at, errno)),
        errno().prop_map(Fault::Sync),
        at.clone().prop_map(Fault::Keeps),
        (1..card::BYTES).prop_map(Fault::Wraps),
        at.prop_map(Fault::Ends),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_card_that_fails_anywhere_is_never_called_good(fault in fault()) {
        let dir = tempfile::tempdir().unwrap();
        let path = file(&dir, "a.img", image());
        let error = flashed(&path, fault).map(drop).unwrap_err();
        let told = format!("{error:#}");
        prop_assert!(["card", "image"].iter().any(|word| told.contains(word)), "{}", told);
    }

    #[test]
    fn an_image_that_is_cut_anywhere_is_never_called_good(at in 0..card::BYTES) {
        let dir = tempfile::tempdir().unwrap();
        let path = file(&dir, "a.img", &image()[..at]);
        prop_assert!(flashed(&path, Fault::None).is_err());
    }
}

#[test]
fn a_good_card_has_the_image_and_the_files_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = flashed(&file(&dir, "a.img", image()), Fault::None).unwrap();
    assert!(bytes[..card::FAT.start] == image()[..card::FAT.start]);
    assert!(bytes[card::FAT.end..card::BYTES] == image()[card::FAT.end..]);
    let files = card::folder(&bytes, "ninewatch").unwrap();
    assert_eq!(files.keys().collect::<Vec<_>>(), ["data/accounts.toml", "site.toml"]);
    assert_eq!(files["data/accounts.toml"], vec![7; 9000]);
}

#[test]
fn other_systems_find_nothing_to_mend_on_any_kind_of_fat() {
    use fatfs::{FatType, FormatVolumeOptions};
    let fsck = Path::new("/usr/sbin/fsck.vfat");
    if ninewatch_tests::skipped_without("fsck.vfat (dosfstools)", fsck.exists()) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (kind, mib) in [(FatType::Fat12, 2), (FatType::Fat16, 12), (FatType::Fat32, 36)] {
        let mut card = Fake { bytes: vec![0; mib << 20], fault: Fault::None };
        let options = FormatVolumeOptions::new().fat_type(kind).bytes_per_cluster(512);
        fatfs::format_volume(io::Cursor::new(&mut card.bytes), options).unwrap();
        let names = ["site.toml", "data/accounts.toml", "our rules/深/a.toml", "models/fall/model.toml"];
        let files: Files = names.iter().map(|name| ((*name).to_owned(), name.repeat(300).into_bytes())).collect();
        let all = 0..card.bytes.len() as u64;
        folder::put(&mut card, all, &files).unwrap();
        let path = file(&dir, "fat.img", &card.bytes);
        let told = std::process::Command::new(fsck).args(["-n", "-v"]).arg(path).output().unwrap();
        assert!(told.status.success(), "{kind:?}: {}", String::from_utf8_lossy(&told.stdout));
    }
}

#[test]
fn the_first_byte_that_differs_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let told = flashed(&file(&dir, "a.img", image()), Fault::Keeps(5_000_001)).map(drop).unwrap_err().to_string();
    assert!(told.contains("byte 5000001 ") && told.contains("another card"), "{told}");
}

#[test]
fn each_failure_says_how_to_mend_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.img", image());
    for (fault, words) in [
        (Fault::Write(6_000_000, Errno::NODEV), "pulled out"),
        (Fault::Write(6_000_000, Errno::ROFS), "LOCK"),
        (Fault::Write(6_000_000, Errno::IO), "worn out"),
        (Fault::Read(6_000_000, Errno::NXIO), "pulled out"),
        (Fault::Sync(Errno::IO), "worn out"),
        (Fault::Ends(1 << 20), "too small"),
    ] {
        let told = format!("{:#}", flashed(&path, fault).map(drop).unwrap_err());
        assert!(told.contains(words), "{fault:?}: {told}");
    }
}

#[test]
fn what_is_no_image_is_refused_before_the_card_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    let mut gpt = image().to_vec();
    gpt[450] = 0xee;
    let mut linux = image().to_vec();
    linux[450] = 0x83;
    for (name, bytes, word) in [
        ("empty.img", &[][..], "no disk image"),
        ("text.img", &[b'x'; 4096][..], "without a partition table"),
        ("gpt.img", &gpt, "GPT"),
        ("linux.img", &linux, "not FAT"),
    ] {
        let path = file(&dir, name, bytes);
        let mut card = Fake::new(Fault::Write(0, Errno::IO));
        let told = format!("{:#}", write::write(&path, &mut card, &ProgressBar::hidden()).unwrap_err());
        assert!(told.contains(word) && !told.contains("failed at"), "{name}: {told}");
    }
}

#[test]
fn packed_images_are_unpacked_and_damaged_ones_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (program, end) in [("xz", "xz"), ("gzip", "gz"), ("zstd", "zst")] {
        let path = file(&dir, "a.img", image());
        let done = std::process::Command::new(program).args(["-1", "-q", "-k"]).arg(&path).status();
        if ninewatch_tests::skipped_without(program, done.is_ok_and(|status| status.success())) {
            continue;
        }
        let packed = dir.path().join(format!("a.img.{end}"));
        assert!(flashed(&packed, Fault::None).unwrap()[..card::FAT.start] == image()[..card::FAT.start]);
        let mut bytes = std::fs::read(&packed).unwrap();
        bytes.truncate(bytes.len() - 9);
        std::fs::write(&packed, &bytes).unwrap();
        let told = format!("{:#}", flashed(&packed, Fault::None).map(drop).unwrap_err());
        assert!(told.contains("damaged"), "{told}");
        // It stops in the middle, with the unpacking program still at work.
        assert!(flashed(&packed, Fault::Write(10, Errno::IO)).is_err());
    }
}
