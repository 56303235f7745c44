//! The boot loader of a node on a Raspberry Pi Pico (RP2040).
//!
//! | flash | there |
//! |--|--|
//! | `0x000000` | this |
//! | `0x007000` | what it and the program tell each other |
//! | `0x008000` | the program, 160 KiB |
//! | `0x030000` | the second slot, and a sector for swapping |
//! | `0x1fd000` | the node's memory: see `../../pico/src/memory.rs` |
#![no_std]
#![no_main]

use core::cell::RefCell;

use cortex_m_rt::entry;
use embassy_boot_rp::{BootLoader, BootLoaderConfig, WatchdogFlash};
use embassy_embedded_hal::flash::partition::BlockingPartition;
use embassy_rp::flash::FLASH_BASE;
use embassy_sync::blocking_mutex::Mutex;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_time::Duration;

const FLASH: usize = 2 * 1024 * 1024;
const STATE_AT: u32 = 0x7000;
const PROGRAM_AT: u32 = 0x8000;
const SECOND_AT: u32 = 0x3_0000;
const END: u32 = 0x5_9000;
/// Fed with each sector that is erased or written: whatever else takes so long hangs.
const PATIENCE: Duration = Duration::from_secs(4);

#[entry]
fn main() -> ! {
    let chip = embassy_rp::init(embassy_rp::config::Config::default());
    let flash = WatchdogFlash::<FLASH>::start(chip.FLASH, chip.WATCHDOG, PATIENCE);
    let flash = Mutex::<NoopRawMutex, _>::new(RefCell::new(flash));
    let part = |from, to| BlockingPartition::new(&flash, from, to - from);
    let config = BootLoaderConfig {
        active: part(PROGRAM_AT, SECOND_AT),
        dfu: part(SECOND_AT, END),
        state: part(STATE_AT, PROGRAM_AT),
    };
    match BootLoader::<4096>::try_prepare(config) {
        // SAFETY: a program is linked to there, and nothing of this one runs on.
        Ok(loader) => unsafe { loader.load(FLASH_BASE as u32 + PROGRAM_AT) },
        Err(_) => cortex_m::peripheral::SCB::sys_reset(),
    }
}

/// The next start goes on where this one was.
#[panic_handler]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
    cortex_m::peripheral::SCB::sys_reset()
}
