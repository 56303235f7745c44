//! The terminals of a Pico, and their drivers.

use core::cell::RefCell;
use core::convert::Infallible;

use embassy_rp::adc::{Adc, Blocking as AdcBlocking, Channel};
use embassy_rp::gpio::{Flex, Input, Output};
use embassy_rp::i2c::{Blocking, I2c};
use embassy_rp::pac;
use embassy_rp::peripherals::I2C0;
use embassy_rp::uart::BufferedUart;
use embassy_time::{Duration, Timer};
use embedded_hal::digital::{ErrorType, InputPin, OutputPin};
use embedded_hal::i2c::{self as hal, ErrorKind, Operation};
use embedded_io::ReadReady as _;
use embedded_io_async::{Read as _, Write as _};
use ninewatch_board::Line;
use ninewatch_node::board::Board;
use ninewatch_wire::message;

/// What hangs on the pins.
pub(crate) struct Terminals {
    pub(crate) inputs: &'static [Input<'static>],
    pub(crate) outputs: &'static [RefCell<Flex<'static>>],
    pub(crate) bus: Guarded,
    pub(crate) adc: Adc<'static, AdcBlocking>,
    pub(crate) channels: [Channel<'static>; 3],
    pub(crate) radar: BufferedUart,
    pub(crate) lamp: Output<'static>,
}

/// The bus. The driver waits for ever where something holds a wire down, and a thermometer with a short must not take
/// an SOS button along: so the wires are looked at before.
pub(crate) struct Guarded(pub(crate) I2c<'static, I2C0, Blocking>);

/// GP20 and GP21.
const WIRES: u32 = 0b11 << 20;

impl hal::ErrorType for Guarded {
    type Error = ErrorKind;
}

impl hal::I2c for Guarded {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        if pac::SIO.gpio_in(0).read() & WIRES != WIRES {
            return Err(ErrorKind::Bus);
        }
        hal::I2c::transaction(&mut self.0, address, operations).map_err(|error| hal::Error::kind(&error))
    }
}

/// An input.
pub(crate) struct In(&'static Input<'static>);

/// An output.
pub(crate) struct Out(&'static RefCell<Flex<'static>>);

impl Board for Terminals {
    #[cfg(feature = "pico")]
    const KIND: message::Board = message::Board::Pico;
    #[cfg(feature = "pico2")]
    const KIND: message::Board = message::Board::Pico2;
    type Input = In;
    type Output = Out;
    type Bus = Guarded;

    fn input(&mut self, terminal: u8) -> Option<In> {
        self.inputs.get(usize::from(terminal)).map(In)
    }
    fn output(&mut self, terminal: u8) -> Option<Out> {
        self.outputs.get(usize::from(terminal)).map(Out)
    }
    fn bus(&mut self) -> &mut Guarded {
        &mut self.bus
    }
    fn millivolts(&mut self, terminal: u8) -> Option<u16> {
        let count = self.adc.blocking_read(self.channels.get_mut(usize::from(terminal))?).ok()?;
        // 12 bits of 3.3 V.
        u16::try_from(u32::from(count) * 3_300 / 4_095).ok()
    }
    fn radar(&mut self) -> Option<u8> {
        let mut byte = [0];
        // A byte that came damaged is lost; the radar speaks again in 100 ms.
        let has_come = self.radar.read_ready().ok()? && self.radar.blocking_read(&mut byte).ok()? == 1;
        has_come.then_some(byte[0])
    }
    fn lamp(&mut self, on: bool) {
        self.lamp.set_level(on.into());
    }
}

impl ErrorType for In {
    type Error = Infallible;
}

impl InputPin for In {
    fn is_high(&mut self) -> Result<bool, Infallible> {
        Ok(self.0.is_high())
    }
    fn is_low(&mut self) -> Result<bool, Infallible> {
        Ok(self.0.is_low())
    }
}

impl ErrorType for Out {
    type Error = Infallible;
}

impl Out {
    fn set(&self, high: bool) {
        // Nobody else holds it: the node is one loop.
        if let Ok(mut pin) = self.0.try_borrow_mut() {
            pin.set_level(high.into());
            pin.set_as_output();
        }
    }
}

impl OutputPin for Out {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.set(false);
        Ok(())
    }
    fn set_high(&mut self) -> Result<(), Infallible> {
        self.set(true);
        Ok(())
    }
}

/// The line, through an RS-485 transceiver whose driver is on while `speaks` is high.
pub(crate) struct Rs485 {
    pub(crate) uart: BufferedUart,
    pub(crate) speaks: Output<'static>,
}

/// A byte takes 87 µs.
const BYTE: Duration = Duration::from_micros(87);
/// The other end has to let go of the wires before this one takes them: adapters do so by themselves, a byte or two late.
const TURN_ROUND: Duration = Duration::from_millis(2);

impl Line for Rs485 {
    async fn read(&mut self, bytes: &mut [u8]) -> usize {
        // What came damaged breaks its frame, which is sent again.
        self.uart.read(bytes).await.unwrap_or(0)
    }

    async fn write(&mut self, bytes: &[u8]) {
        Timer::after(TURN_ROUND).await;
        self.speaks.set_high();
        // It cannot fail: the UART takes whatever there is.
        let _ = self.uart.write_all(bytes).await;
        let _ = self.uart.flush().await;
        while self.uart.busy() {
            Timer::after(BYTE).await;
        }
        self.speaks.set_low();
    }
}
