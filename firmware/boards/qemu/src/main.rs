//! A node on the LM3S6965 evaluation board, as QEMU has it, for tests.
//!
//! | terminal | there |
//! |--|--|
//! | line | UART0, 115,200 baud, without RS-485 |
//! | inputs 0 to 3 | port E, pins 0 to 3: the keys up, down, left, right |
//! | input 4 | port F, pin 1: the key ctrl |
//! | outputs 0 to 2 | port D, pins 0 to 2 |
//! | lamp | port F, pin 0 |
//! | I²C | bus 1; the memory at 0x50, thermometers from 0x48 on |
//! | radar | UART1, 256,000 baud |
#![no_std]
#![no_main]

mod chip;
mod eeprom;
mod i2c;
mod time;

use core::cell::RefCell;
use core::convert::Infallible;
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use cortex_m::peripheral::NVIC;
use embassy_executor::raw::Executor;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::pipe::Pipe;
use embedded_hal::digital::{ErrorType, InputPin, OutputPin};
use embedded_hal::i2c::{self as hal, ErrorKind, I2c, Operation};
use ninewatch_board::{Line, Watchdog as _, last_words};
use ninewatch_node::update::OneSlot;
use ninewatch_wire::message::{self, Reset};
use static_cell::StaticCell;

use crate::chip::{LINE, PORT_D, PORT_E, PORT_F, Port, RADAR, Watchdog};
use crate::eeprom::Eeprom;
use crate::i2c::Bus;

const BAUD: u32 = 115_200;
const RADAR_BAUD: u32 = 256_000;
const INPUTS: [(Port, u8); 5] = [(PORT_E, 0), (PORT_E, 1), (PORT_E, 2), (PORT_E, 3), (PORT_F, 1)];
const OUTPUTS: [(Port, u8); 3] = [(PORT_D, 0), (PORT_D, 1), (PORT_D, 2)];
const LAMP: (Port, u8) = (PORT_F, 0);

static HEARD: Pipe<CriticalSectionRawMutex, 512> = Pipe::new();
static SEEN: Pipe<CriticalSectionRawMutex, 128> = Pipe::new();

#[cortex_m_rt::entry]
fn main() -> ! {
    // Before anything can hang.
    let watchdog = Watchdog::start(Watchdog::PATIENCE_MS);
    LAMP.0.make_output(LAMP.1);
    INPUTS.iter().for_each(|(port, pin)| port.make_input(*pin));
    // The chip does not tell, but RAM does.
    let reset = last_words::reset(if last_words::was_cut_short() { Reset::Watchdog } else { Reset::Power });
    static BUS: StaticCell<RefCell<Bus>> = StaticCell::new();
    static EXECUTOR: StaticCell<Executor> = StaticCell::new();
    let (Some(bus), Some(executor), Some(mut core)) = (
        BUS.try_init(RefCell::new(Bus::start())),
        EXECUTOR.try_init(Executor::new(core::ptr::null_mut())),
        cortex_m::Peripherals::take(),
    ) else {
        last_words::restart()
    };
    let bus = &*bus;
    LINE.start(BAUD);
    RADAR.start(RADAR_BAUD);
    time::start(&mut core.SYST);
    // SAFETY: their handlers are in place, and there is no critical section to break.
    unsafe {
        NVIC::unmask(Interrupt(chip::UART0));
        NVIC::unmask(Interrupt(chip::UART1));
    }
    match node(Terminals { bus: Shared(bus) }, Eeprom(bus), watchdog, reset) {
        Ok(task) => executor.spawner().spawn(task),
        Err(_) => last_words::restart(),
    }
    loop {
        PENDED.store(false, Ordering::Release);
        // SAFETY: from here only, and not from within itself.
        unsafe { executor.poll() };
        cortex_m::interrupt::disable();
        if !PENDED.load(Ordering::Acquire) {
            // An interrupt ends it, though it is served only after `enable`.
            cortex_m::asm::wfi();
        }
        // SAFETY: they were enabled before, and no critical section is open.
        unsafe { cortex_m::interrupt::enable() };
    }
}

#[embassy_executor::task]
async fn node(board: Terminals, memory: Eeprom, watchdog: Watchdog, reset: Reset) {
    ninewatch_board::run(board, memory, OneSlot, Serial, watchdog, reset).await
}

/// The executor's own way of sleeping waits for events, which QEMU does by spinning.
static PENDED: AtomicBool = AtomicBool::new(false);

#[unsafe(export_name = "__pender")]
fn pend(_: *mut ()) {
    PENDED.store(true, Ordering::Release);
}

struct Serial;

impl Line for Serial {
    async fn read(&mut self, bytes: &mut [u8]) -> usize {
        HEARD.read(bytes).await
    }

    async fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| LINE.send(*byte));
    }
}

struct Terminals {
    bus: Shared,
}

/// The bus, of which the memory hangs as well.
struct Shared(&'static RefCell<Bus>);

/// A bit for each input that has been high. QEMU gives a key no level before it is moved: it is taken for up.
static HAVE_LEVEL: AtomicU8 = AtomicU8::new(0);

struct Key {
    port: Port,
    pin: u8,
    terminal: u8,
}

struct Pin(Port, u8);

impl ninewatch_node::board::Board for Terminals {
    const KIND: message::Board = message::Board::Lm3s6965;
    type Input = Key;
    type Output = Pin;
    type Bus = Shared;

    fn input(&mut self, terminal: u8) -> Option<Key> {
        INPUTS.get(usize::from(terminal)).map(|(port, pin)| Key { port: *port, pin: *pin, terminal })
    }
    fn output(&mut self, terminal: u8) -> Option<Pin> {
        OUTPUTS.get(usize::from(terminal)).map(|(port, pin)| Pin(*port, *pin))
    }
    fn bus(&mut self) -> &mut Shared {
        &mut self.bus
    }
    /// QEMU's converter has noise only.
    fn millivolts(&mut self, _: u8) -> Option<u16> {
        None
    }
    fn radar(&mut self) -> Option<u8> {
        let mut byte = [0];
        SEEN.try_read(&mut byte).ok().map(|_| byte[0])
    }
    fn lamp(&mut self, on: bool) {
        LAMP.0.set(LAMP.1, on);
    }
}

impl ErrorType for Pin {
    type Error = Infallible;
}

impl InputPin for Key {
    fn is_high(&mut self) -> Result<bool, Infallible> {
        self.is_low().map(|low| !low)
    }
    fn is_low(&mut self) -> Result<bool, Infallible> {
        let Self { port, pin, terminal } = *self;
        let has_level = HAVE_LEVEL.load(Ordering::Relaxed);
        if port.is_high(pin) {
            HAVE_LEVEL.store(has_level | 1 << terminal, Ordering::Relaxed);
            return Ok(false);
        }
        Ok(has_level & 1 << terminal != 0)
    }
}

impl ErrorType for Key {
    type Error = Infallible;
}

impl OutputPin for Pin {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.0.set(self.1, false);
        self.0.make_output(self.1);
        Ok(())
    }
    fn set_high(&mut self) -> Result<(), Infallible> {
        self.0.set(self.1, true);
        self.0.make_output(self.1);
        Ok(())
    }
}

impl hal::ErrorType for Shared {
    type Error = ErrorKind;
}

impl I2c for Shared {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        let mut bus = self.0.try_borrow_mut().map_err(|_| ErrorKind::Other)?;
        bus.transaction(address, operations)
    }
}

/// An interrupt by number.
#[derive(Clone, Copy)]
struct Interrupt(usize);

// SAFETY: the numbers are those of the chip.
unsafe impl cortex_m::interrupt::InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self.0 as u16
    }
}

extern "C" fn on_line() {
    drain(LINE, |byte| HEARD.try_write(byte).is_ok());
}

extern "C" fn on_radar() {
    drain(RADAR, |byte| SEEN.try_write(byte).is_ok());
}

/// What finds no room is lost, as on a line that nobody listens to: the frame is damaged, and sent again.
fn drain(uart: chip::Uart, keep: impl Fn(&[u8]) -> bool) {
    uart.clear();
    while let Some(byte) = uart.take() {
        keep(&[byte]);
    }
}

extern "C" fn on_other() {
    last_words::restart();
}

/// The chip's interrupts, behind the core's own at the beginning of flash.
#[used]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".vector_table.interrupts")]
static __INTERRUPTS: [extern "C" fn(); 44] = {
    let mut table: [extern "C" fn(); 44] = [on_other; 44];
    table[chip::UART0] = on_line;
    table[chip::UART1] = on_radar;
    table
};
