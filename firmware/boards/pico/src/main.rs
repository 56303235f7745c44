//! A node on a Raspberry Pi Pico (RP2040) or Pico 2 (RP2350).
//!
//! | terminal | pins |
//! |--|--|
//! | line | TX GP0, RX GP1, RS-485 driver GP2; 115,200 baud |
//! | radar | TX GP4, RX GP5; 256,000 baud |
//! | inputs 0 to 5 | GP6 to GP11, pulled up |
//! | outputs 0 to 3 | GP12 to GP15 |
//! | I²C | SDA GP20, SCL GP21; 100 kHz |
//! | analogue 0 to 2 | GP26 to GP28 |
//! | lamp | GP25, on the board |
#![no_std]
#![no_main]

mod memory;
mod terminals;

use core::cell::RefCell;

use embassy_executor::Spawner;
use embassy_rp::adc::{Adc, Channel, Config as AdcConfig};
use embassy_rp::flash::Flash;
use embassy_rp::gpio::{Flex, Input, Level, Output, Pull};
use embassy_rp::i2c::{Config as BusConfig, I2c};
use embassy_rp::uart::{BufferedInterruptHandler, BufferedUart, Config as UartConfig};
use embassy_rp::watchdog::{ResetReason, Watchdog};
use embassy_rp::{bind_interrupts, pac, peripherals};
use embassy_sync::blocking_mutex::Mutex;
use embassy_time::Duration;
use ninewatch_board::last_words;
use ninewatch_node::update::{SlotFailed, Slots};
use ninewatch_wire::message::Reset;
use static_cell::StaticCell;

use crate::memory::{Sectors, Shared};
use crate::terminals::{Guarded, Rs485, Terminals};

bind_interrupts!(struct Interrupts {
    UART0_IRQ => BufferedInterruptHandler<peripherals::UART0>;
    UART1_IRQ => BufferedInterruptHandler<peripherals::UART1>;
});

const BAUD: u32 = 115_200;
const RADAR_BAUD: u32 = 256_000;

struct Dog(Watchdog);

impl Dog {
    const PATIENCE: Duration = Duration::from_millis(<Self as ninewatch_board::Watchdog>::PATIENCE_MS as u64);
}

impl ninewatch_board::Watchdog for Dog {
    fn feed(&mut self) {
        self.0.feed(Self::PATIENCE);
    }
}

fn uart(baud: u32) -> UartConfig {
    let mut config = UartConfig::default();
    config.baudrate = baud;
    config
}

/// Why the chip says that it starts.
fn chip_reset(watchdog: &mut Watchdog) -> Reset {
    match watchdog.reset_reason() {
        Some(ResetReason::TimedOut) => return Reset::Watchdog,
        Some(ResetReason::Forced) => return Reset::Software,
        None => {}
    }
    #[cfg(feature = "pico2")]
    if pac::POWMAN.chip_reset().read().had_bor() {
        return Reset::BrownOut;
    }
    // The RP2040 does not tell a brown-out from power that comes on.
    #[cfg(feature = "pico")]
    let had_power = pac::VREG_AND_CHIP_RESET.chip_reset().read().had_por();
    #[cfg(feature = "pico2")]
    let had_power = pac::POWMAN.chip_reset().read().had_por();
    if had_power { Reset::Power } else { Reset::Unknown }
}

#[embassy_executor::main]
async fn main(_spawner: Spawner) {
    let chip = embassy_rp::init(embassy_rp::config::Config::default());
    // Before anything can hang. Outputs drive nothing since the reset.
    let mut watchdog = Watchdog::new(chip.WATCHDOG);
    let reset = last_words::reset(chip_reset(&mut watchdog));
    watchdog.start(Dog::PATIENCE);

    static INPUTS: StaticCell<[Input<'static>; 6]> = StaticCell::new();
    static OUTPUTS: StaticCell<[RefCell<Flex<'static>>; 4]> = StaticCell::new();
    static BUFFERS: StaticCell<[[u8; 512]; 2]> = StaticCell::new();
    static RADAR_BUFFERS: StaticCell<([u8; 16], [u8; 128])> = StaticCell::new();
    let inputs = INPUTS.init([
        Input::new(chip.PIN_6, Pull::Up),
        Input::new(chip.PIN_7, Pull::Up),
        Input::new(chip.PIN_8, Pull::Up),
        Input::new(chip.PIN_9, Pull::Up),
        Input::new(chip.PIN_10, Pull::Up),
        Input::new(chip.PIN_11, Pull::Up),
    ]);
    let outputs = OUTPUTS.init([
        RefCell::new(Flex::new(chip.PIN_12)),
        RefCell::new(Flex::new(chip.PIN_13)),
        RefCell::new(Flex::new(chip.PIN_14)),
        RefCell::new(Flex::new(chip.PIN_15)),
    ]);
    let channels = [
        Channel::new_pin(chip.PIN_26, Pull::None),
        Channel::new_pin(chip.PIN_27, Pull::None),
        Channel::new_pin(chip.PIN_28, Pull::None),
    ];
    let [send, receive] = BUFFERS.init([[0; 512]; 2]);
    let (radar_send, radar_receive) = RADAR_BUFFERS.init(([0; 16], [0; 128]));
    let line = Rs485 {
        uart: BufferedUart::new(chip.UART0, chip.PIN_0, chip.PIN_1, Interrupts, send, receive, uart(BAUD)),
        speaks: Output::new(chip.PIN_2, Level::Low),
    };
    let radar = uart(RADAR_BAUD);
    let board = Terminals {
        inputs,
        outputs,
        bus: Guarded(I2c::new_blocking(chip.I2C0, chip.PIN_21, chip.PIN_20, BusConfig::default())),
        adc: Adc::new_blocking(chip.ADC, AdcConfig::default()),
        channels,
        radar: BufferedUart::new(chip.UART1, chip.PIN_4, chip.PIN_5, Interrupts, radar_send, radar_receive, radar),
        lamp: Output::new(chip.PIN_25, Level::Low),
    };
    // While the node speaks, the transceiver lets go of what it receives by, and a radar may be absent.
    for pin in [1, 5] {
        pac::PADS_BANK0.gpio(pin).modify(|pad| pad.set_pue(true));
    }
    static FLASH: StaticCell<Shared> = StaticCell::new();
    let flash = FLASH.init(Mutex::new(RefCell::new(Flash::new_blocking(chip.FLASH))));
    match slots(flash) {
        Ok(slots) => ninewatch_board::run(board, Sectors(flash), slots, line, Dog(watchdog), reset).await,
        Err(_) => last_words::restart(),
    }
}

/// As the boot loader has them: see `../pico-boot/src/main.rs`.
#[cfg(feature = "pico")]
fn slots(flash: &'static Shared) -> Result<impl Slots, SlotFailed> {
    use embassy_embedded_hal::flash::partition::BlockingPartition;
    static WORD: StaticCell<[u8; 1]> = StaticCell::new();
    let part = |from, to| BlockingPartition::new(flash, from, to - from);
    ninewatch_slots::TwoSlots::new(part(0x3_0000, 0x5_9000), part(0x7000, 0x8000), WORD.init([0]))
}

/// The RP2350 has no boot loader of ours.
#[cfg(feature = "pico2")]
fn slots(_: &'static Shared) -> Result<impl Slots, SlotFailed> {
    Ok(ninewatch_node::update::OneSlot)
}
