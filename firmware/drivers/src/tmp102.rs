//! TI TMP102 (and TMP105, TMP75 in 12-bit mode): a digital thermometer on I²C.
//!
//! Datasheet SBOS397: ±0.5 °C from −25 to 85 °C, 0.0625 °C a count, a conversion each 250 ms after
//! power-up. Address 0x48 to 0x4B by the ADD0 pin.

use embedded_hal::i2c::I2c;

/// The address with ADD0 at ground.
pub const DEFAULT_ADDRESS: u8 = 0x48;

/// The pointer of the temperature register.
const TEMPERATURE: u8 = 0x00;
/// 12 bits, left-justified: the low four are not part of it.
const UNUSED_BITS: u32 = 4;
const C_PER_COUNT: f32 = 0.0625;

/// A thermometer at an address of a bus.
#[derive(Debug)]
pub struct Tmp102<I> {
    bus: I,
    address: u8,
}

impl<I: I2c> Tmp102<I> {
    /// The thermometer at `address`; it measures by itself from power-up on.
    pub fn new(bus: I, address: u8) -> Self {
        Self { bus, address }
    }

    /// The temperature in °C, −128 to 127.9375.
    ///
    /// # Errors
    /// Where the bus or the chip does not answer.
    pub fn read_c(&mut self) -> Result<f32, I::Error> {
        let mut register = [0; 2];
        // Two transactions with a STOP between them: some hosts cannot do a repeated START.
        self.bus.write(self.address, &[TEMPERATURE])?;
        self.bus.read(self.address, &mut register)?;
        let count = i16::from_be_bytes(register) >> UNUSED_BITS;
        Ok(f32::from(count) * C_PER_COUNT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal_mock::eh1::i2c::{Mock, Transaction};

    extern crate std;
    use std::vec;

    /// Table 5 of the datasheet.
    #[test]
    fn counts_are_as_in_the_datasheet() {
        for (register, celsius) in [
            ([0x7f, 0xf0], 127.9375),
            ([0x19, 0x00], 25.0),
            ([0x00, 0x40], 0.25),
            ([0xff, 0xc0], -0.25),
            ([0xc9, 0x00], -55.0),
        ] {
            let mut bus = Mock::new(&[
                Transaction::write(DEFAULT_ADDRESS, vec![0]),
                Transaction::read(DEFAULT_ADDRESS, register.to_vec()),
            ]);
            assert_eq!(Tmp102::new(bus.clone(), DEFAULT_ADDRESS).read_c().unwrap(), celsius);
            bus.done();
        }
    }
}
