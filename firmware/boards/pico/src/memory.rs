//! The node's memory: the last three sectors of the first 2 MiB of flash, which no program is linked to.
//!
//! `0x1fd000` block A, `0x1fe000` block B, `0x1ff000` identity.

use core::cell::RefCell;

use embassy_rp::flash::{Blocking, ERASE_SIZE, Error, Flash};
use embassy_rp::peripherals::FLASH;
use embassy_sync::blocking_mutex::Mutex;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use ninewatch_node::memory::{Block, Memory, MemoryFailed, RECORD};
use ninewatch_wire::identity::IDENTITY;

/// That the node knows; a Pico 2 has more.
pub(crate) const SIZE: usize = 2 * 1024 * 1024;
const SECTOR: u32 = ERASE_SIZE as u32;
const BLOCK_A: u32 = 0x1f_d000;
const BLOCK_B: u32 = BLOCK_A + SECTOR;
const IDENTITY_AT: u32 = BLOCK_B + SECTOR;

/// All of it, which the memory shares with the slots.
pub(crate) type Shared = Mutex<NoopRawMutex, RefCell<Flash<'static, FLASH, Blocking, SIZE>>>;

/// Its last sectors. Interrupts wait for flash, some 50 ms when a sector is erased: once in 16 starts.
pub(crate) struct Sectors(pub(crate) &'static Shared);

impl Sectors {
    fn with<T>(
        &self,
        act: impl FnOnce(&mut Flash<'static, FLASH, Blocking, SIZE>) -> Result<T, Error>,
    ) -> Result<T, MemoryFailed> {
        self.0.lock(|flash| act(&mut *flash.try_borrow_mut().map_err(|_| MemoryFailed)?).map_err(|_| MemoryFailed))
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
        self.with(|flash| flash.blocking_read(IDENTITY_AT, &mut identity))?;
        Ok(identity)
    }

    fn read(&mut self, block: Block, place: u32, record: &mut [u8; RECORD]) -> Result<(), MemoryFailed> {
        let at = address(block, place)?;
        self.with(|flash| flash.blocking_read(at, record))
    }

    fn write(&mut self, block: Block, place: u32, record: &[u8; RECORD]) -> Result<(), MemoryFailed> {
        let at = address(block, place)?;
        self.with(|flash| flash.blocking_write(at, record))
    }

    fn erase(&mut self, block: Block) -> Result<(), MemoryFailed> {
        let start = start(block);
        self.with(|flash| flash.blocking_erase(start, start + SECTOR))
    }
}
