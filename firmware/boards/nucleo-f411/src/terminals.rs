//! The terminals of a Nucleo, and their drivers.

use core::cell::RefCell;
use core::convert::Infallible;

use embassy_stm32::adc::{Adc, AnyAdcChannel, SampleTime};
use embassy_stm32::gpio::{Flex, Input, Output, Speed};
use embassy_stm32::i2c::{I2c, Master};
use embassy_stm32::mode::Blocking;
use embassy_stm32::peripherals::ADC1;
use embassy_stm32::usart::BufferedUart;
use embassy_time::{Duration, Timer};
use embedded_hal::digital::{ErrorType, InputPin, OutputPin};
use embedded_io_async::{Read as _, ReadReady as _, Write as _};
use ninewatch_board::Line;
use ninewatch_node::board::Board;
use ninewatch_wire::message;

/// What hangs on the pins.
pub(crate) struct Terminals {
    pub(crate) inputs: &'static [Input<'static>],
    pub(crate) outputs: &'static [RefCell<Flex<'static>>],
    pub(crate) bus: I2c<'static, Blocking, Master>,
    pub(crate) adc: Adc<'static, ADC1>,
    pub(crate) channels: [AnyAdcChannel<'static, ADC1>; 3],
    pub(crate) radar: BufferedUart<'static>,
    pub(crate) lamp: Output<'static>,
}

/// An input.
pub(crate) struct In(&'static Input<'static>);

/// An output.
pub(crate) struct Out(&'static RefCell<Flex<'static>>);

impl Board for Terminals {
    const KIND: message::Board = message::Board::NucleoF411;
    type Input = In;
    type Output = Out;
    type Bus = I2c<'static, Blocking, Master>;

    fn input(&mut self, terminal: u8) -> Option<In> {
        self.inputs.get(usize::from(terminal)).map(In)
    }
    fn output(&mut self, terminal: u8) -> Option<Out> {
        self.outputs.get(usize::from(terminal)).map(Out)
    }
    fn bus(&mut self) -> &mut Self::Bus {
        &mut self.bus
    }
    fn millivolts(&mut self, terminal: u8) -> Option<u16> {
        let channel = self.channels.get_mut(usize::from(terminal))?;
        // Long enough for the 10 kΩ of a divider.
        let count = self.adc.blocking_read(channel, SampleTime::CYCLES112);
        // 12 bits of 3.3 V.
        u16::try_from(u32::from(count) * 3_300 / 4_095).ok()
    }
    fn radar(&mut self) -> Option<u8> {
        let mut byte = [0];
        // A byte that came damaged is lost; the radar speaks again in 100 ms.
        let has_come = self.radar.read_ready().ok()? && embedded_io::Read::read(&mut self.radar, &mut byte).ok()? == 1;
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
            pin.set_as_output(Speed::Low);
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
    pub(crate) uart: BufferedUart<'static>,
    pub(crate) speaks: Output<'static>,
}

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
        // The driver's way of being done is that the last bit is out.
        let _ = self.uart.flush().await;
        self.speaks.set_low();
    }
}
