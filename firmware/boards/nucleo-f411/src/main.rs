//! A node on an ST Nucleo-64 with an STM32F411RE.
//!
//! | terminal | pins |
//! |--|--|
//! | line | TX PA9 (D8), RX PA10 (D2), RS-485 driver PA8 (D7); 115,200 baud |
//! | radar | TX PC6, RX PC7 (D9); 256,000 baud |
//! | inputs 0 to 3 | PB3 (D3), PB5 (D4), PB4 (D5), PB10 (D6), pulled up |
//! | input 4 | PC13, the blue button |
//! | outputs 0 to 3 | PA6 (D12), PA7 (D11), PB6 (D10), PC1 (A4) |
//! | I²C | SCL PB8 (D15), SDA PB9 (D14); 100 kHz |
//! | analogue 0 to 2 | PA0 (A0), PA1 (A1), PA4 (A2) |
//! | lamp | PA5, on the board |
#![no_std]
#![no_main]

mod memory;
mod terminals;

use core::cell::RefCell;

use embassy_executor::Spawner;
use embassy_stm32::adc::{Adc, AdcChannel as _};
use embassy_stm32::gpio::{Flex, Input, Level, Output, Pull, Speed};
use embassy_stm32::i2c::{Config as BusConfig, I2c};
use embassy_stm32::usart::{BufferedInterruptHandler, BufferedUart, Config as UartConfig};
use embassy_stm32::wdg::IndependentWatchdog;
use embassy_stm32::{bind_interrupts, pac, peripherals};
use embassy_time::Duration;
use ninewatch_board::{Watchdog as _, last_words};
use ninewatch_node::update::OneSlot;
use ninewatch_wire::message::Reset;
use static_cell::StaticCell;

use crate::memory::Sectors;
use crate::terminals::{Rs485, Terminals};

bind_interrupts!(struct Interrupts {
    USART1 => BufferedInterruptHandler<peripherals::USART1>;
    USART6 => BufferedInterruptHandler<peripherals::USART6>;
});

const BAUD: u32 = 115_200;
const RADAR_BAUD: u32 = 256_000;
/// A sensor's few bytes take a millisecond; one that holds the bus down is given up.
const BUS_PATIENCE: Duration = Duration::from_millis(20);

struct Dog(IndependentWatchdog<'static, peripherals::IWDG>);

impl ninewatch_board::Watchdog for Dog {
    fn feed(&mut self) {
        self.0.pet();
    }
}

fn uart(baud: u32) -> UartConfig {
    let mut config = UartConfig::default();
    config.baudrate = baud;
    // While the node speaks, the transceiver lets go of it.
    config.rx_pull = Pull::Up;
    config
}

/// Why the chip says that it starts. It adds up until it is cleared.
fn chip_reset() -> Reset {
    let said = pac::RCC.csr().read();
    pac::RCC.csr().modify(|csr| csr.set_rmvf(true));
    if said.wdgrstf() || said.wwdgrstf() {
        Reset::Watchdog
    } else if said.sftrstf() {
        Reset::Software
    } else if said.porrstf() {
        Reset::Power
    } else if said.borrstf() {
        Reset::BrownOut
    } else {
        Reset::Unknown
    }
}

#[embassy_executor::main]
async fn main(_spawner: Spawner) {
    let chip = embassy_stm32::init(embassy_stm32::Config::default());
    // Before anything can hang. Outputs drive nothing since the reset.
    let mut watchdog = IndependentWatchdog::new(chip.IWDG, Dog::PATIENCE_MS * 1_000);
    watchdog.unleash();
    let reset = last_words::reset(chip_reset());

    static INPUTS: StaticCell<[Input<'static>; 5]> = StaticCell::new();
    static OUTPUTS: StaticCell<[RefCell<Flex<'static>>; 4]> = StaticCell::new();
    static BUFFERS: StaticCell<[[u8; 512]; 2]> = StaticCell::new();
    static RADAR_BUFFERS: StaticCell<([u8; 16], [u8; 128])> = StaticCell::new();
    let inputs = INPUTS.init([
        Input::new(chip.PB3, Pull::Up),
        Input::new(chip.PB5, Pull::Up),
        Input::new(chip.PB4, Pull::Up),
        Input::new(chip.PB10, Pull::Up),
        Input::new(chip.PC13, Pull::Up),
    ]);
    let outputs = OUTPUTS.init([
        RefCell::new(Flex::new(chip.PA6)),
        RefCell::new(Flex::new(chip.PA7)),
        RefCell::new(Flex::new(chip.PB6)),
        RefCell::new(Flex::new(chip.PC1)),
    ]);
    let [send, receive] = BUFFERS.init([[0; 512]; 2]);
    let (radar_send, radar_receive) = RADAR_BUFFERS.init(([0; 16], [0; 128]));
    let (Ok(line), Ok(radar)) = (
        BufferedUart::new(chip.USART1, chip.PA10, chip.PA9, send, receive, Interrupts, uart(BAUD)),
        BufferedUart::new(chip.USART6, chip.PC7, chip.PC6, radar_send, radar_receive, Interrupts, uart(RADAR_BAUD)),
    ) else {
        last_words::restart()
    };
    let mut bus = BusConfig::default();
    bus.timeout = BUS_PATIENCE;
    let board = Terminals {
        inputs,
        outputs,
        bus: I2c::new_blocking(chip.I2C1, chip.PB8, chip.PB9, bus),
        adc: Adc::new(chip.ADC1),
        channels: [chip.PA0.degrade_adc(), chip.PA1.degrade_adc(), chip.PA4.degrade_adc()],
        radar,
        lamp: Output::new(chip.PA5, Level::Low, Speed::Low),
    };
    let line = Rs485 { uart: line, speaks: Output::new(chip.PA8, Level::Low, Speed::Low) };
    ninewatch_board::run(board, Sectors::new(chip.FLASH), OneSlot, line, Dog(watchdog), reset).await
}
