//! A new program comes over the line into the second slot, is checked there, and is started on trial.

use ninewatch_wire::message::{self, MAX_PART, Outcome};

/// Where a new program goes. A board that has no second slot says that its size is 0.
pub trait Slots {
    /// Bytes that the second slot takes.
    fn size(&self) -> u32;
    /// Writes a part of the new program. Parts come in order, without gaps, from 0; what has to be erased for them
    /// is erased here.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn write(&mut self, offset: u32, part: &[u8]) -> Result<(), SlotFailed>;
    /// Reads what was written.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn read(&mut self, offset: u32, part: &mut [u8]) -> Result<(), SlotFailed>;
    /// The next start is the new program's, on trial.
    ///
    /// # Errors
    /// Where that cannot be noted.
    fn try_next(&mut self) -> Result<(), SlotFailed>;
    /// Whether this program is on trial: without [`keep`](Self::keep), the next start is the former one's.
    fn on_trial(&self) -> bool;
    /// This program stays.
    ///
    /// # Errors
    /// Where that cannot be noted.
    fn keep(&mut self) -> Result<(), SlotFailed>;
}

/// The slot does not do as it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotFailed;

/// A board without a second slot.
#[derive(Debug, Clone, Copy, Default)]
pub struct OneSlot;

impl Slots for OneSlot {
    fn size(&self) -> u32 {
        0
    }
    fn write(&mut self, _: u32, _: &[u8]) -> Result<(), SlotFailed> {
        Err(SlotFailed)
    }
    fn read(&mut self, _: u32, _: &mut [u8]) -> Result<(), SlotFailed> {
        Err(SlotFailed)
    }
    fn try_next(&mut self) -> Result<(), SlotFailed> {
        Err(SlotFailed)
    }
    fn on_trial(&self) -> bool {
        false
    }
    fn keep(&mut self) -> Result<(), SlotFailed> {
        Ok(())
    }
}

/// A program that is coming.
#[derive(Debug, Default)]
pub(crate) struct Update {
    coming: Option<Coming>,
}

#[derive(Debug)]
struct Coming {
    size: u32,
    crc: u32,
    /// How much of it is there.
    has: u32,
}

impl Update {
    /// Makes room. The same program once more goes on where it was: its announcement was sent twice, or the gateway
    /// has started anew.
    pub(crate) fn begin(
        &mut self,
        slots: &impl Slots,
        own: message::Board,
        size: u32,
        crc: u32,
        board: message::Board,
    ) -> Outcome {
        if board != own || size == 0 || size > slots.size() {
            return Outcome::CannotDo;
        }
        match &self.coming {
            Some(coming) if (coming.size, coming.crc) == (size, crc) => Outcome::Awaits(coming.has),
            _ => {
                self.coming = Some(Coming { size, crc, has: 0 });
                Outcome::Awaits(0)
            }
        }
    }

    /// Takes a part, if it is the next one.
    pub(crate) fn part(&mut self, slots: &mut impl Slots, offset: u32, bytes: &[u8]) -> Outcome {
        let Some(coming) = &mut self.coming else { return Outcome::CannotDo };
        if offset != coming.has {
            return Outcome::Awaits(coming.has);
        }
        let has = u32::try_from(bytes.len()).ok().and_then(|length| coming.has.checked_add(length));
        let Some(has) = has.filter(|has| *has <= coming.size && bytes.len() <= MAX_PART) else {
            return Outcome::Malformed;
        };
        if slots.write(offset, bytes).is_err() {
            // What is half written cannot be written over.
            self.coming = None;
            return Outcome::MemoryFailed;
        }
        coming.has = has;
        Outcome::Awaits(has)
    }

    /// Checks what has come, and starts it with the next start.
    pub(crate) fn apply(&mut self, slots: &mut impl Slots) -> Outcome {
        let Some(Coming { size, crc, has }) = self.coming else { return Outcome::CannotDo };
        if has < size {
            return Outcome::Awaits(has);
        }
        // Read back: what counts is what the slot holds.
        let mut digest = ninewatch_wire::frame::Crc32::default();
        let mut offset = 0;
        while offset < size {
            let mut buffer = [0; MAX_PART];
            let length = (size - offset).min(MAX_PART as u32);
            let Some(part) = buffer.get_mut(..length as usize) else { return Outcome::MemoryFailed };
            if slots.read(offset, part).is_err() {
                return Outcome::MemoryFailed;
            }
            digest.update(part);
            offset += length;
        }
        self.coming = None;
        if digest.finish() != crc {
            return Outcome::Malformed;
        }
        match slots.try_next() {
            Ok(()) => Outcome::Done,
            Err(SlotFailed) => Outcome::MemoryFailed,
        }
    }
}
