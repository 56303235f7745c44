//! Sensirion SHT30, SHT31 and SHT35: a thermometer and hygrometer on I²C.
//!
//! Datasheet SHT3x-DIS, version 5 of May 2018: typically ±0.2 °C and ±2 %RH (SHT30 and SHT31; tables 1
//! and 2), at most 15.5 ms for a measurement of high repeatability (table 4), commands of table 9,
//! checksum of table 20, conversion of section 4.13.
//!
//! Single shots without clock stretching: many hosts stretch badly (the Raspberry Pi's I²C is known
//! for it), and a bus that is held for 15 ms is held for all parts on it. So: [`start`](Sht3x::start),
//! wait [`MEASURE_MS`], [`finish`](Sht3x::finish). Between shots it sleeps by itself.

use core::fmt;

use embedded_hal::i2c::{Error as _, ErrorKind, I2c};
use sensirion_i2c::{crc8, i2c};

/// The address with ADDR at ground.
pub const DEFAULT_ADDRESS: u8 = 0x44;
/// The address with ADDR at the supply.
pub const OTHER_ADDRESS: u8 = 0x45;

/// How long a measurement takes at most, at any supply.
pub const MEASURE_MS: u32 = 16;

/// A single shot: high repeatability, no clock stretching.
const SINGLE_SHOT: u16 = 0x2400;
const FULL_SCALE: f32 = 65535.0;

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Climate {
    /// −45 to 130 °C; the part is specified from −40 to 125 °C.
    pub temperature_c: f32,
    /// Relative humidity, 0 to 100 %.
    pub humidity_percent: f32,
}

/// Why nothing was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error<E> {
    /// The bus failed, or nobody answered at the address.
    Bus(E),
    /// A word came with a wrong checksum: a disturbed line. Ask again.
    Checksum,
    /// It does not answer yet: still measuring. Where this lasts, it is gone or was not started.
    Busy,
}

impl<E: fmt::Debug> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bus(error) => write!(f, "no SHT3x answers ({error:?}): check address and wiring"),
            Self::Checksum => {
                f.write_str("the checksum of the SHT3x is wrong: check the length and shield of its line")
            }
            Self::Busy => f.write_str("the SHT3x has nothing yet: it is still measuring, or gone"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for Error<E> {}

/// A thermometer and hygrometer at an address of a bus.
#[derive(Debug)]
pub struct Sht3x<I> {
    bus: I,
    address: u8,
}

impl<I: I2c> Sht3x<I> {
    /// The part at `address`. Nothing is asked yet.
    pub fn new(bus: I, address: u8) -> Self {
        Self { bus, address }
    }

    /// Begins a measurement, which takes [`MEASURE_MS`]. It also shows whether the part is there.
    ///
    /// # Errors
    /// Where the bus fails or nobody answers.
    pub fn start(&mut self) -> Result<(), Error<I::Error>> {
        i2c::write_command_u16(&mut self.bus, self.address, SINGLE_SHOT).map_err(Error::Bus)
    }

    /// What the measurement that was begun has found. It can be asked for once.
    ///
    /// # Errors
    /// [`Error::Busy`] before it is done, else as the variants say.
    pub fn finish(&mut self) -> Result<Climate, Error<I::Error>> {
        let mut words = [0; 6];
        self.bus.read(self.address, &mut words).map_err(|error| match error.kind() {
            ErrorKind::NoAcknowledge(_) => Error::Busy,
            _ => Error::Bus(error),
        })?;
        let [t_high, t_low, t_crc, rh_high, rh_low, rh_crc] = words;
        Ok(Climate {
            temperature_c: -45.0 + 175.0 * part_of_scale([t_high, t_low], t_crc)?,
            humidity_percent: 100.0 * part_of_scale([rh_high, rh_low], rh_crc)?,
        })
    }
}

/// A word as part of its scale, 0 to 1.
fn part_of_scale<E>(word: [u8; 2], crc: u8) -> Result<f32, Error<E>> {
    if crc8::calculate(&word) != crc {
        return Err(Error::Checksum);
    }
    Ok(f32::from(u16::from_be_bytes(word)) / FULL_SCALE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal::i2c::NoAcknowledgeSource;
    use embedded_hal_mock::eh1::i2c::{Mock, Transaction};

    extern crate std;
    use std::vec;

    fn finished(answer: Transaction) -> Result<Climate, Error<ErrorKind>> {
        let mut bus = Mock::new(&[Transaction::write(DEFAULT_ADDRESS, vec![0x24, 0x00]), answer]);
        let mut sht3x = Sht3x::new(bus.clone(), DEFAULT_ADDRESS);
        sht3x.start().unwrap();
        let result = sht3x.finish();
        bus.done();
        result
    }

    fn says(words: [u8; 6]) -> Transaction {
        Transaction::read(DEFAULT_ADDRESS, words.to_vec())
    }

    /// 0xBEEF with 0x92 is the example of the datasheet's table 20.
    #[test]
    fn words_become_degrees_and_percent() {
        for (words, temperature_c, humidity_percent) in [
            ([0x66, 0x66, 0x93, 0xbe, 0xef, 0x92], 25.0, 74.584),
            ([0x00, 0x00, 0x81, 0x00, 0x00, 0x81], -45.0, 0.0),
            ([0xff, 0xff, 0xac, 0xff, 0xff, 0xac], 130.0, 100.0),
        ] {
            let climate = finished(says(words)).unwrap();
            assert!((climate.temperature_c - temperature_c).abs() < 0.001, "{climate:?}");
            assert!((climate.humidity_percent - humidity_percent).abs() < 0.001, "{climate:?}");
        }
    }

    #[test]
    fn any_wrong_bit_is_noticed() {
        let right = [0x66, 0x66, 0x93, 0xbe, 0xef, 0x92];
        for bit in 0..48 {
            let mut wrong = right;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(finished(says(wrong)), Err(Error::Checksum), "bit {bit}");
        }
    }

    #[test]
    fn busy_and_a_failed_bus_are_told_apart() {
        let busy = ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address);
        assert_eq!(finished(says([0; 6]).with_error(busy)), Err(Error::Busy));
        assert_eq!(
            finished(says([0; 6]).with_error(ErrorKind::ArbitrationLoss)),
            Err(Error::Bus(ErrorKind::ArbitrationLoss))
        );
    }

    #[test]
    fn one_that_is_not_there_is_noticed_at_the_start() {
        let missing = ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address);
        let mut bus = Mock::new(&[Transaction::write(OTHER_ADDRESS, vec![0x24, 0x00]).with_error(missing)]);
        assert_eq!(Sht3x::new(bus.clone(), OTHER_ADDRESS).start(), Err(Error::Bus(missing)));
        bus.done();
    }
}
