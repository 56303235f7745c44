//! The slots and the boot loader on a flash in memory, whose power fails.

extern crate std;

use core::cell::RefCell;
use std::boxed::Box;
use std::vec;
use std::vec::Vec;

use embassy_boot::{BootLoader, BootLoaderConfig};
use embassy_embedded_hal::flash::partition::BlockingPartition;
use embassy_sync::blocking_mutex::Mutex;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};

use super::*;

const SECTOR: usize = 4_096;
const SECTORS: u32 = 3;
const SLOT: u32 = SECTORS * SECTOR as u32;
const STATE_AT: u32 = 0;
const FIRST_AT: u32 = SECTOR as u32;
const SECOND_AT: u32 = FIRST_AT + SLOT;
const END: u32 = SECOND_AT + SLOT + SECTOR as u32;

/// NOR flash: erasing sets all bits of a sector, writing clears some. The power fails after so many of either.
struct Flash {
    bytes: Vec<u8>,
    power: Option<u32>,
}

impl Flash {
    fn use_power(&mut self) -> Result<(), NorFlashErrorKind> {
        match &mut self.power {
            Some(0) => Err(NorFlashErrorKind::Other),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.copy_from_slice(&self.bytes[offset as usize..][..bytes.len()]);
        Ok(())
    }
    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = SECTOR;
    fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        assert!((from as usize).is_multiple_of(SECTOR) && (to as usize).is_multiple_of(SECTOR));
        self.use_power()?;
        self.bytes[from as usize..to as usize].fill(0xff);
        Ok(())
    }
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        self.use_power()?;
        for (slot, byte) in self.bytes[offset as usize..].iter_mut().zip(bytes) {
            assert_eq!(*slot & byte, *byte, "it was not erased before");
            *slot &= byte;
        }
        Ok(())
    }
}

type Shared = Mutex<NoopRawMutex, RefCell<Flash>>;
type Part = BlockingPartition<'static, NoopRawMutex, Flash>;

fn flash(program: &[u8]) -> &'static Shared {
    let mut bytes = vec![0xff; END as usize];
    bytes[FIRST_AT as usize..][..program.len()].copy_from_slice(program);
    Box::leak(Box::new(Mutex::new(RefCell::new(Flash { bytes, power: None }))))
}

fn parts(flash: &'static Shared) -> [Part; 3] {
    let part = |from, to| BlockingPartition::new(flash, from, to - from);
    [part(STATE_AT, FIRST_AT), part(FIRST_AT, SECOND_AT), part(SECOND_AT, END)]
}

/// The boot loader, and the program that it then starts; none where the power failed.
fn boot(flash: &'static Shared) -> Option<Vec<u8>> {
    let [state, active, dfu] = parts(flash);
    let mut loader = BootLoader::new(BootLoaderConfig { active, dfu, state });
    loader.prepare_boot(&mut [0; SECTOR]).ok()?;
    Some(flash.lock(|flash| flash.borrow().bytes[FIRST_AT as usize..SECOND_AT as usize].to_vec()))
}

fn slots(flash: &'static Shared) -> TwoSlots<Part, Part> {
    let [state, _, second] = parts(flash);
    TwoSlots::new(second, state, Box::leak(Box::new([0]))).unwrap()
}

fn power(flash: &'static Shared, left: Option<u32>) {
    flash.lock(|flash| flash.borrow_mut().power = left);
}

fn program(of: u8) -> Vec<u8> {
    (0..SLOT).map(|place| of ^ place as u8).collect()
}

/// Writes a program into the second slot as it comes over the line, and has it tried.
fn update(flash: &'static Shared, program: &[u8]) {
    let mut slots = slots(flash);
    assert_eq!(slots.size(), SLOT);
    for (part, offset) in program.chunks(100).zip((0..).step_by(100)) {
        slots.write(offset, part).unwrap();
    }
    let mut back = vec![0; program.len()];
    slots.read(0, &mut back).unwrap();
    assert_eq!(back, program);
    slots.try_next().unwrap();
}

#[test]
fn a_new_program_that_stays_stays() {
    let flash = flash(&program(1));
    assert_eq!(boot(flash), Some(program(1)));
    update(flash, &program(2));
    assert_eq!(boot(flash), Some(program(2)));
    let mut running = slots(flash);
    assert!(running.on_trial());
    assert_eq!(running.write(0, &[0]), Err(SlotFailed), "the former one is still there");
    running.keep().unwrap();
    assert!(!running.on_trial());
    assert_eq!(boot(flash), Some(program(2)));
    assert!(!slots(flash).on_trial());
    update(flash, &program(3));
    assert_eq!(boot(flash), Some(program(3)), "and another one after it");
}

#[test]
fn a_new_program_that_does_not_stay_gives_way_and_the_next_is_taken() {
    let flash = flash(&program(1));
    update(flash, &program(2));
    assert_eq!(boot(flash), Some(program(2)));
    assert!(slots(flash).on_trial());
    assert_eq!(boot(flash), Some(program(1)), "it was started anew without a word");
    assert!(!slots(flash).on_trial());
    assert_eq!(boot(flash), Some(program(1)));
    update(flash, &program(3));
    assert_eq!(boot(flash), Some(program(3)));
}

/// Wherever the power fails while the two are swapped, and swapped back, a whole program is started in the end.
#[test]
fn no_power_cut_while_swapping_leaves_half_a_program() {
    for cut in 0..60 {
        let flash = flash(&program(1));
        update(flash, &program(2));
        power(flash, Some(cut));
        let first = boot(flash);
        power(flash, None);
        let second = boot(flash).unwrap();
        match first {
            None => assert_eq!(second, program(2), "cut {cut}: it goes on where it was"),
            Some(first) => {
                assert_eq!(first, program(2), "cut {cut}");
                assert_eq!(second, program(1), "cut {cut}: it did not stay");
            }
        }
        let flash = self::flash(&program(1));
        update(flash, &program(2));
        boot(flash).unwrap();
        power(flash, Some(cut));
        let _ = boot(flash);
        power(flash, None);
        assert_eq!(boot(flash), Some(program(1)), "cut {cut} while it is swapped back");
    }
}
