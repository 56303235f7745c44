//! What a board has: terminals by number, as its page in the docs numbers them.

use embedded_hal::digital::{InputPin, OutputPin};
use embedded_hal::i2c::I2c;
use ninewatch_wire::message;

/// A board's terminals. Each is asked for by its number; `None` where there is none of that number.
pub trait Board {
    /// Which board.
    const KIND: message::Board;
    /// A handle of an input: whoever holds one reads the level, so that a table may be fitted again and again.
    type Input: InputPin;
    /// A handle of an output, likewise.
    type Output: OutputPin;
    /// The I²C bus.
    type Bus: I2c;

    /// An input, pulled up.
    fn input(&mut self, terminal: u8) -> Option<Self::Input>;
    /// An output. It drives nothing until its first level is set: which level is off, only the table knows.
    fn output(&mut self, terminal: u8) -> Option<Self::Output>;
    /// The bus.
    fn bus(&mut self) -> &mut Self::Bus;
    /// The voltage at an analogue terminal, in mV.
    fn millivolts(&mut self, terminal: u8) -> Option<u16>;
    /// A byte that came on the second UART.
    fn radar(&mut self) -> Option<u8>;
    /// Turns the node's own lamp on or off.
    fn lamp(&mut self, on: bool);
}
