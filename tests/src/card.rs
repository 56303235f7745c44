//! A small image as `make image` makes large ones, and a look into what was made of it.

use anyhow::Context;
use fatfs::{Dir, FatType, FileSystem, FormatVolumeOptions, FsOptions};
use std::collections::BTreeMap;
use std::io::{Cursor, Read};

const MIB: usize = 1 << 20;
/// Where the first partition is.
pub const FAT: std::ops::Range<usize> = MIB..3 * MIB;
/// How large the image is: no whole number of anything that programs write at once.
pub const BYTES: usize = 9 * MIB + 512;

/// An MBR, a FAT partition and another one, with bytes in it that look like nothing else.
///
/// # Errors
/// Where the file system cannot be made.
pub fn image() -> anyhow::Result<Vec<u8>> {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random.to_le_bytes()[3]
    };
    let mut image: Vec<u8> = (0..BYTES).map(|_| noise()).collect();
    image[446..510].fill(0);
    entry(&mut image, 446, 0x0c, FAT.start, FAT.end);
    entry(&mut image, 462, 0x83, FAT.end, BYTES);
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    let fat = &mut image[FAT];
    let options = FormatVolumeOptions::new().volume_label(*b"NW-BOOT    ").fat_type(FatType::Fat12);
    fatfs::format_volume(Cursor::new(&mut *fat), options)?;
    let fs = FileSystem::new(Cursor::new(fat), FsOptions::new())?;
    std::io::Write::write_all(&mut fs.root_dir().create_file("cmdline.txt")?, b"console=tty1")?;
    fs.unmount()?;
    Ok(image)
}

/// An entry of the partition table, from byte to byte.
fn entry(image: &mut [u8], at: usize, kind: u8, start: usize, end: usize) {
    let sectors = |bytes: usize| u32::try_from(bytes / 512).unwrap_or(u32::MAX).to_le_bytes();
    image[at + 4] = kind;
    image[at + 8..at + 12].copy_from_slice(&sectors(start));
    image[at + 12..at + 16].copy_from_slice(&sectors(end - start));
}

/// All files of a card's FAT partition below a folder, by their path in it.
///
/// # Errors
/// Where there is no such folder, or it cannot be read.
pub fn folder(card: &[u8], name: &str) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let fat = card.get(FAT).context("the card is short")?.to_vec();
    let fs = FileSystem::new(Cursor::new(fat), FsOptions::new())?;
    let mut files = BTreeMap::new();
    gather(&fs.root_dir().open_dir(name)?, "", &mut files)?;
    Ok(files)
}

fn gather(dir: &Dir<'_, Cursor<Vec<u8>>>, path: &str, files: &mut BTreeMap<String, Vec<u8>>) -> anyhow::Result<()> {
    for entry in dir.iter() {
        let entry = entry?;
        let name = entry.file_name();
        if name == "." || name == ".." {
            continue;
        }
        let path = format!("{path}{name}");
        if entry.is_dir() {
            gather(&entry.to_dir(), &format!("{path}/"), files)?;
        } else {
            let mut bytes = Vec::new();
            entry.to_file().read_to_end(&mut bytes)?;
            files.insert(path, bytes);
        }
    }
    Ok(())
}
