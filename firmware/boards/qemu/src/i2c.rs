//! The I²C master. QEMU knows no repeated START, so a STOP stands between a write and a read; thermometers and
//! memories of this kind keep their pointer over it.

use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};

use crate::chip::{CLOCK_HZ, Register};

const MASTER: u32 = 0x4002_1000;
const ADDRESS: Register = Register(MASTER);
const CONTROL: Register = Register(MASTER + 0x4);
const DATA: Register = Register(MASTER + 0x8);
const PERIOD: Register = Register(MASTER + 0xc);
const CONFIGURATION: Register = Register(MASTER + 0x20);

const RUN: u32 = 1;
const START: u32 = 2;
const STOP: u32 = 4;
const ACKNOWLEDGE: u32 = 8;

const BUSY: u32 = 1;
const FAILED: u32 = 2;
const NOT_THE_ADDRESS: u32 = 4;

/// The bus.
pub(crate) struct Bus;

impl Bus {
    pub(crate) fn start() -> Self {
        CONFIGURATION.write(0x10);
        // 100 kHz.
        PERIOD.write(CLOCK_HZ / (20 * 100_000) - 1);
        Self
    }

    fn step(&mut self, control: u32) -> Result<(), ErrorKind> {
        CONTROL.write(control);
        let status = loop {
            let status = CONTROL.read();
            if status & BUSY == 0 {
                break status;
            }
        };
        if status & FAILED == 0 {
            return Ok(());
        }
        CONTROL.write(STOP);
        let source =
            if status & NOT_THE_ADDRESS != 0 { NoAcknowledgeSource::Address } else { NoAcknowledgeSource::Data };
        Err(ErrorKind::NoAcknowledge(source))
    }
}

impl ErrorType for Bus {
    type Error = ErrorKind;
}

impl I2c for Bus {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        for operation in operations {
            match operation {
                Operation::Write(bytes) => {
                    ADDRESS.write(u32::from(address) << 1);
                    let last = bytes.len().saturating_sub(1);
                    for (place, byte) in bytes.iter().enumerate() {
                        DATA.write((*byte).into());
                        let start = if place == 0 { START } else { 0 };
                        let stop = if place == last { STOP } else { 0 };
                        self.step(RUN | start | stop)?;
                    }
                }
                Operation::Read(bytes) => {
                    ADDRESS.write(u32::from(address) << 1 | 1);
                    let last = bytes.len().saturating_sub(1);
                    for (place, slot) in bytes.iter_mut().enumerate() {
                        let start = if place == 0 { START } else { 0 };
                        let end = if place == last { STOP } else { ACKNOWLEDGE };
                        self.step(RUN | start | end)?;
                        *slot = DATA.read().to_le_bytes()[0];
                    }
                }
            }
        }
        Ok(())
    }
}
