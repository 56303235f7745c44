//! The node's memory: the last three sectors of flash, 128 KiB each, which no program is linked to.
//!
//! `0x0802_0000` identity, `0x0804_0000` block A, `0x0806_0000` block B.

use embassy_stm32::Peri;
use embassy_stm32::flash::{Blocking, Flash};
use embassy_stm32::peripherals::FLASH;
use ninewatch_node::memory::{Block, Memory, MemoryFailed, RECORD};
use ninewatch_wire::identity::IDENTITY;

/// Of the beginning of flash.
const IDENTITY_AT: u32 = 0x2_0000;
const BLOCK_A: u32 = 0x4_0000;
const BLOCK_B: u32 = 0x6_0000;
const SECTOR: u32 = 0x2_0000;

/// Flash. While a sector is erased, for a second or two, nothing runs: once in 512 starts.
pub(crate) struct Sectors(Flash<'static, Blocking>);

impl Sectors {
    pub(crate) fn new(flash: Peri<'static, FLASH>) -> Self {
        Self(Flash::new_blocking(flash))
    }
}

fn start(block: Block) -> u32 {
    match block {
        Block::A => BLOCK_A,
        Block::B => BLOCK_B,
    }
}

fn address(block: Block, place: u32) -> Result<u32, MemoryFailed> {
    if place >= Sectors::RECORDS {
        return Err(MemoryFailed);
    }
    Ok(start(block) + place * RECORD as u32)
}

impl Memory for Sectors {
    const RECORDS: u32 = SECTOR / RECORD as u32;

    fn identity(&mut self) -> Result<[u8; IDENTITY], MemoryFailed> {
        let mut identity = [0; IDENTITY];
        self.0.blocking_read(IDENTITY_AT, &mut identity).map_err(|_| MemoryFailed)?;
        Ok(identity)
    }

    fn read(&mut self, block: Block, place: u32, record: &mut [u8; RECORD]) -> Result<(), MemoryFailed> {
        self.0.blocking_read(address(block, place)?, record).map_err(|_| MemoryFailed)
    }

    fn write(&mut self, block: Block, place: u32, record: &[u8; RECORD]) -> Result<(), MemoryFailed> {
        self.0.blocking_write(address(block, place)?, record).map_err(|_| MemoryFailed)
    }

    fn erase(&mut self, block: Block) -> Result<(), MemoryFailed> {
        let start = start(block);
        self.0.blocking_erase(start, start + SECTOR).map_err(|_| MemoryFailed)
    }
}
