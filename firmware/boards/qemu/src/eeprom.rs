//! The node's memory: an EEPROM of 16 KiB (AT24C128) at 0x50 on the I²C bus, which QEMU keeps in a file.
//!
//! `0x0000` identity, `0x1000` block A, `0x2000` block B.

use core::cell::RefCell;

use embedded_hal::i2c::I2c;
use ninewatch_node::memory::{Block, Memory, MemoryFailed, RECORD};
use ninewatch_wire::identity::IDENTITY;

use crate::i2c::Bus;

const ADDRESS: u8 = 0x50;
const PAGE: usize = 64;
/// A page is written within 5 ms, in which the part does not answer; it is asked until it does.
const TRIES: u32 = 2_000;

/// The EEPROM on the bus that it shares.
pub(crate) struct Eeprom(pub(crate) &'static RefCell<Bus>);

impl Eeprom {
    fn with_bus(&self, mut act: impl FnMut(&mut Bus) -> bool) -> Result<(), MemoryFailed> {
        let mut bus = self.0.try_borrow_mut().map_err(|_| MemoryFailed)?;
        (0..TRIES).any(|_| act(&mut bus)).then_some(()).ok_or(MemoryFailed)
    }

    fn read_at(&self, at: u16, bytes: &mut [u8]) -> Result<(), MemoryFailed> {
        self.with_bus(|bus| bus.write(ADDRESS, &at.to_be_bytes()).and_then(|()| bus.read(ADDRESS, bytes)).is_ok())
    }

    fn write_at(&self, at: u16, bytes: &[u8]) -> Result<(), MemoryFailed> {
        for (page, at) in bytes.chunks(PAGE).zip((at..).step_by(PAGE)) {
            let [high, low] = at.to_be_bytes();
            let mut message = [0; PAGE + 2];
            let all = [high, low].into_iter().chain(page.iter().copied());
            message.iter_mut().zip(all).for_each(|(slot, byte)| *slot = byte);
            let message = message.get(..page.len() + 2).ok_or(MemoryFailed)?;
            self.with_bus(|bus| bus.write(ADDRESS, message).is_ok())?;
        }
        Ok(())
    }
}

fn start(block: Block) -> u16 {
    match block {
        Block::A => 0x1000,
        Block::B => 0x2000,
    }
}

fn address(block: Block, place: u32) -> Result<u16, MemoryFailed> {
    if place >= Eeprom::RECORDS {
        return Err(MemoryFailed);
    }
    u16::try_from(place).map(|place| start(block) + place * RECORD as u16).map_err(|_| MemoryFailed)
}

impl Memory for Eeprom {
    const RECORDS: u32 = 16;

    fn identity(&mut self) -> Result<[u8; IDENTITY], MemoryFailed> {
        let mut identity = [0; IDENTITY];
        self.read_at(0, &mut identity)?;
        Ok(identity)
    }

    fn read(&mut self, block: Block, place: u32, record: &mut [u8; RECORD]) -> Result<(), MemoryFailed> {
        self.read_at(address(block, place)?, record)
    }

    fn write(&mut self, block: Block, place: u32, record: &[u8; RECORD]) -> Result<(), MemoryFailed> {
        self.write_at(address(block, place)?, record)
    }

    fn erase(&mut self, block: Block) -> Result<(), MemoryFailed> {
        (0..Self::RECORDS).try_for_each(|place| self.write(block, place, &[0xff; RECORD]))
    }
}
