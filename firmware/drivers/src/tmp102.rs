//! TI TMP102, TMP105 and TMP75: digital thermometers on I²C, read with 12 bits.
//!
//! | | TMP102 (SBOS397) | TMP105 (SLLS648), TMP75 (SBOS288) |
//! |--|--|--|
//! | accuracy | ±2 °C from −25 to 85 °C, typically ±0.5 °C | the same |
//! | after power-up | 12 bits | **9 bits**, steps of 0.5 °C |
//! | a conversion of 12 bits | 26 ms, each 250 ms | 220 ms, at most 300 ms |
//! | addresses | 0x48 to 0x4B | 0x48 and 0x49; 0x48 to 0x4F |
//!
//! A count is 0.0625 °C ("Temperature Data Format", table 5 of SLLS648). Until the first conversion
//! is done after power-up they read 0 °C. These are not parts for a heat detector that is to be
//! certified (GB 4716, EN 54-5): the heat of a room reaches a board in a box late.

use core::fmt;

use embedded_hal::i2c::I2c;

/// The address with its address pins at ground.
pub const DEFAULT_ADDRESS: u8 = 0x48;

/// How long the first conversion takes after [`Tmp102::setup`].
pub const CONVERSION_MS: u32 = 300;

/// The pointers of the registers.
const TEMPERATURE: u8 = 0x00;
const CONFIGURATION: u8 = 0x01;
/// R1 and R0: 12 bits. The TMP102 has them set for good.
const RESOLUTION_12_BITS: u8 = 0x60;
/// SD: it does not measure.
const SHUT_DOWN: u8 = 0x01;
/// 12 bits, left-justified: the low four are 0.
const UNUSED_BITS: u32 = 4;
const C_PER_COUNT: f32 = 0.0625;

/// Why there is no temperature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error<E> {
    /// The bus failed, or nobody answered at the address.
    Bus(E),
    /// Something answered, but not as these parts do; this is what it said. All ones or all zeros
    /// are a line that hangs.
    NotAThermometer(u16),
}

impl<E: fmt::Debug> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bus(error) => write!(f, "no thermometer answers ({error:?}): check address and wiring"),
            Self::NotAThermometer(said) => {
                write!(f, "what answers is no TMP102, TMP105 or TMP75 (it said {said:#06x}): check address and wiring")
            }
        }
    }
}

impl<E: fmt::Debug> core::error::Error for Error<E> {}

/// A thermometer at an address of a bus.
#[derive(Debug)]
pub struct Tmp102<I> {
    bus: I,
    address: u8,
}

impl<I: I2c> Tmp102<I> {
    /// The thermometer at `address`. Nothing is asked yet; it measures by itself from power-up on.
    pub fn new(bus: I, address: u8) -> Self {
        Self { bus, address }
    }

    /// Sees that it is there, measures, and does so with 12 bits. Once at the start, and again after
    /// an error: a part that lost its power has forgotten. The first temperature is there
    /// [`CONVERSION_MS`] later.
    ///
    /// # Errors
    /// Where the bus fails, or what answers is no such part.
    pub fn setup(&mut self) -> Result<(), Error<I::Error>> {
        if self.is_set_up()? {
            return Ok(());
        }
        // One byte: all there is on a TMP105 and TMP75, and the one that matters on a TMP102.
        self.bus.write(self.address, &[CONFIGURATION, RESOLUTION_12_BITS]).map_err(Error::Bus)?;
        let said = self.configuration()?;
        if measures_12_bits(said) { Ok(()) } else { Err(Error::NotAThermometer(said.into())) }
    }

    /// Whether it measures with 12 bits, as after [`setup`](Self::setup).
    ///
    /// # Errors
    /// Where the bus fails.
    pub fn is_set_up(&mut self) -> Result<bool, Error<I::Error>> {
        self.configuration().map(measures_12_bits)
    }

    /// The temperature in °C, −128 to 127.9375.
    ///
    /// # Errors
    /// Where the bus fails, or what answers is no such part.
    pub fn read_c(&mut self) -> Result<f32, Error<I::Error>> {
        let mut register = [0; 2];
        self.read(TEMPERATURE, &mut register)?;
        let register = i16::from_be_bytes(register);
        if register.trailing_zeros() < UNUSED_BITS {
            return Err(Error::NotAThermometer(register.cast_unsigned()));
        }
        Ok(f32::from(register >> UNUSED_BITS) * C_PER_COUNT)
    }

    fn configuration(&mut self) -> Result<u8, Error<I::Error>> {
        let mut register = [0];
        self.read(CONFIGURATION, &mut register)?;
        Ok(register[0])
    }

    fn read(&mut self, pointer: u8, register: &mut [u8]) -> Result<(), Error<I::Error>> {
        // Two transactions with a STOP between them: some hosts cannot do a repeated START.
        self.bus.write(self.address, &[pointer]).map_err(Error::Bus)?;
        self.bus.read(self.address, register).map_err(Error::Bus)
    }
}

fn measures_12_bits(configuration: u8) -> bool {
    configuration & (RESOLUTION_12_BITS | SHUT_DOWN) == RESOLUTION_12_BITS
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal::i2c::{ErrorKind, NoAcknowledgeSource};
    use embedded_hal_mock::eh1::i2c::{Mock, Transaction};

    extern crate std;
    use std::string::ToString;
    use std::vec;
    use std::vec::Vec;

    fn asked(pointer: u8, says: &[u8]) -> [Transaction; 2] {
        [Transaction::write(DEFAULT_ADDRESS, vec![pointer]), Transaction::read(DEFAULT_ADDRESS, says.to_vec())]
    }

    /// What `act` makes of a part that is asked and answers so.
    fn with<T>(expected: &[Transaction], act: impl FnOnce(&mut Tmp102<Mock>) -> T) -> T {
        let mut bus = Mock::new(expected);
        let result = act(&mut Tmp102::new(bus.clone(), DEFAULT_ADDRESS));
        bus.done();
        result
    }

    /// Table 5 of the datasheet.
    #[test]
    fn counts_are_as_in_the_datasheet() {
        for (register, celsius) in [
            ([0x7f, 0xf0], 127.9375),
            ([0x19, 0x00], 25.0),
            ([0x00, 0x40], 0.25),
            ([0x00, 0x00], 0.0),
            ([0xff, 0xc0], -0.25),
            ([0xe7, 0x00], -25.0),
            ([0xc9, 0x00], -55.0),
            ([0x80, 0x00], -128.0),
        ] {
            assert_eq!(with(&asked(0, &register), Tmp102::read_c), Ok(celsius));
        }
    }

    #[test]
    fn a_tmp105_is_told_to_measure_with_12_bits() {
        let mut expected = Vec::from(asked(1, &[0x00]));
        expected.push(Transaction::write(DEFAULT_ADDRESS, vec![1, 0x60]));
        expected.extend(asked(1, &[0x60]));
        assert_eq!(with(&expected, Tmp102::setup), Ok(()));
    }

    #[test]
    fn a_tmp102_needs_no_telling() {
        assert_eq!(with(&asked(1, &[0x60]), Tmp102::setup), Ok(()));
    }

    #[test]
    fn one_that_was_shut_down_is_woken() {
        let mut expected = Vec::from(asked(1, &[0x61]));
        expected.push(Transaction::write(DEFAULT_ADDRESS, vec![1, 0x60]));
        expected.extend(asked(1, &[0x60]));
        assert_eq!(with(&expected, Tmp102::setup), Ok(()));
    }

    /// Else a hanging bus would be −0.0625 °C or 0 °C, and all well.
    #[test]
    fn a_line_that_hangs_is_no_temperature() {
        for hanging in [0x00, 0xff] {
            let mut expected = Vec::from(asked(1, &[hanging]));
            expected.push(Transaction::write(DEFAULT_ADDRESS, vec![1, 0x60]));
            expected.extend(asked(1, &[hanging]));
            assert_eq!(with(&expected, Tmp102::setup), Err(Error::NotAThermometer(hanging.into())));
        }
        let error = with(&asked(0, &[0xff, 0xff]), Tmp102::read_c).unwrap_err();
        assert_eq!(error, Error::NotAThermometer(0xffff));
        assert!(error.to_string().contains("0xffff"), "{error}");
    }

    #[test]
    fn one_that_does_not_answer_is_an_error_of_the_bus() {
        let missing = ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address);
        let unanswered = [Transaction::write(DEFAULT_ADDRESS, vec![0]).with_error(missing)];
        assert_eq!(with(&unanswered, Tmp102::read_c), Err(Error::Bus(missing)));
    }
}
