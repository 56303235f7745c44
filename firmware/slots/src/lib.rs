//! Two slots for a node's program, where the chip's flash has sectors of one size.
//!
//! The program runs in the first slot. A new one is written to the second; the boot loader (embassy-boot) swaps the
//! two at the next start, sector by sector, and goes on where it was if the power fails meanwhile. The new program is
//! then on trial: unless it says that it stays, the start after that swaps them back.
#![no_std]

use embassy_boot::{BlockingFirmwareState, State};
use embedded_storage::nor_flash::NorFlash;
use ninewatch_node::update::{SlotFailed, Slots};

/// The second slot, and what the boot loader and the program tell each other.
pub struct TwoSlots<SECOND: NorFlash, STATE: NorFlash> {
    second: SECOND,
    state: BlockingFirmwareState<'static, STATE>,
    on_trial: bool,
}

impl<SECOND: NorFlash, STATE: NorFlash> TwoSlots<SECOND, STATE> {
    /// The slots. `word` is as long as the flash writes at least. The second slot has one sector more than the first,
    /// for the swapping.
    ///
    /// # Errors
    /// Where the flash cannot be read, or has not been written that the former program is back.
    pub fn new(second: SECOND, state: STATE, word: &'static mut [u8]) -> Result<Self, SlotFailed> {
        if word.len() != STATE::WRITE_SIZE {
            return Err(SlotFailed);
        }
        let mut state = BlockingFirmwareState::new(state, word);
        let on_trial = match state.get_state().map_err(|_| SlotFailed)? {
            State::Swap => true,
            // The former program is back, for good.
            State::Revert => {
                state.mark_booted().map_err(|_| SlotFailed)?;
                false
            }
            State::Boot | State::DfuDetach => false,
        };
        Ok(Self { second, state, on_trial })
    }
}

impl<SECOND: NorFlash, STATE: NorFlash> Slots for TwoSlots<SECOND, STATE> {
    fn size(&self) -> u32 {
        let first = self.second.capacity().saturating_sub(SECOND::ERASE_SIZE);
        u32::try_from(first).unwrap_or_default()
    }

    fn write(&mut self, offset: u32, part: &[u8]) -> Result<(), SlotFailed> {
        // Until this program stays, the second slot holds the one that would come back.
        if self.on_trial {
            return Err(SlotFailed);
        }
        let sector = u32::try_from(SECOND::ERASE_SIZE).map_err(|_| SlotFailed)?;
        let end = u32::try_from(part.len()).ok().and_then(|length| offset.checked_add(length)).ok_or(SlotFailed)?;
        // Each sector is erased when the first byte of it comes.
        let mut erase = offset.next_multiple_of(sector);
        while erase < end {
            self.second.erase(erase, erase + sector).map_err(|_| SlotFailed)?;
            erase += sector;
        }
        self.second.write(offset, part).map_err(|_| SlotFailed)
    }

    fn read(&mut self, offset: u32, part: &mut [u8]) -> Result<(), SlotFailed> {
        self.second.read(offset, part).map_err(|_| SlotFailed)
    }

    fn try_next(&mut self) -> Result<(), SlotFailed> {
        self.state.mark_updated().map_err(|_| SlotFailed)
    }

    fn on_trial(&self) -> bool {
        self.on_trial
    }

    fn keep(&mut self) -> Result<(), SlotFailed> {
        self.state.mark_booted().map_err(|_| SlotFailed)?;
        self.on_trial = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
