//! The node's memory: the last three sectors of the first 2 MiB of flash, which no program is linked to.
//!
//! `0x1fd000` block A, `0x1fe000` block B, `0x1ff000` identity.

use embassy_rp::Peri;
use embassy_rp::flash::{Blocking, ERASE_SIZE, Flash};
use embassy_rp::peripherals::FLASH;
use ninewatch_node::memory::{Block, Memory, MemoryFailed, RECORD};
use ninewatch_wire::identity::IDENTITY;

const SIZE: usize = 2 * 1024 * 1024;
const SECTOR: u32 = ERASE_SIZE as u32;
const BLOCK_A: u32 = 0x1f_d000;
const BLOCK_B: u32 = BLOCK_A + SECTOR;
const IDENTITY_AT: u32 = BLOCK_B + SECTOR;

/// Flash, while nothing else uses it. Interrupts wait for it, some 50 ms when a sector is erased: once in 16 starts.
pub(crate) struct Sectors(Flash<'static, FLASH, Blocking, SIZE>);

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
