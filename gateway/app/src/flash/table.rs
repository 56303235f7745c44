//! The partition table at the beginning of an image: where the partition is that takes a gateway's files.

use anyhow::{Context, ensure};
use std::ops::Range;

const SECTOR: u64 = 512;
/// Types of a FAT partition.
const FAT: [u8; 6] = [0x01, 0x04, 0x06, 0x0b, 0x0c, 0x0e];
/// What stands there to keep programs off that know no GPT.
const PROTECTIVE: u8 = 0xee;

/// What an image's MBR says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// The bytes of the first partition.
    pub(super) fat: Range<u64>,
    /// Where the last partition ends, in bytes.
    pub(super) end: u64,
}

impl Table {
    /// Reads the first sector.
    ///
    /// # Errors
    /// Where it is none of an image for gateways.
    pub(super) fn read(sector: &[u8]) -> anyhow::Result<Self> {
        let no_image = "is no disk image of Ninewatch";
        ensure!(sector.get(510..512) == Some(&[0x55, 0xaa]), "{no_image}: it begins without a partition table");
        let entries = sector.get(446..510).context(no_image)?;
        let (entries, _) = entries.as_chunks::<16>();
        let (mut end, mut first) = (0, None);
        for (index, entry) in entries.iter().enumerate() {
            let [_, _, _, _, kind, _, _, _, a, b, c, d, e, f, g, h] = *entry;
            let start = u64::from(u32::from_le_bytes([a, b, c, d])) * SECTOR;
            let length = u64::from(u32::from_le_bytes([e, f, g, h])) * SECTOR;
            ensure!(kind != PROTECTIVE, "{no_image}: it has a GPT, and the Pi's boot program wants an MBR");
            if kind != 0 {
                end = end.max(start + length);
            }
            if index == 0 && FAT.contains(&kind) && start > 0 && length > 0 {
                first = Some(start..start + length);
            }
        }
        let fat = first.with_context(|| format!("{no_image}: its first partition is not FAT"))?;
        Ok(Self { fat, end })
    }
}
