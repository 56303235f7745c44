//! What a node keeps over power cuts: how often it has started, its panics, its table.
//!
//! The count of starts is part of every frame's nonce, so it may never repeat. Records are appended to one of two
//! blocks; when that is full, the other one is erased and goes on. A power cut in the middle of it damages the record
//! that is being written, or the block that is being erased, and neither is the newest good one. A start counts
//! when its record reads back as it was written; before that the node says nothing.

use ninewatch_wire::frame::crc32;
use ninewatch_wire::identity::{IDENTITY, Identity};
use ninewatch_wire::table::{MAX_TABLE, Table};

/// Bytes of a record: a page of flash.
pub const RECORD: usize = 256;
/// Places that one block has, at least.
pub const MIN_RECORDS: u32 = 2;

/// One of the two blocks that are erased as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// The first.
    A,
    /// The second.
    B,
}

impl Block {
    fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// Memory that keeps what it holds without power. Erased bytes are 0xff.
pub trait Memory {
    /// Records that a block takes, at least [`MIN_RECORDS`].
    const RECORDS: u32;

    /// The block that was written when the node was made.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn identity(&mut self) -> Result<[u8; IDENTITY], MemoryFailed>;
    /// The record at a place of a block.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn read(&mut self, block: Block, place: u32, record: &mut [u8; RECORD]) -> Result<(), MemoryFailed>;
    /// Writes a record to a place that is erased.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn write(&mut self, block: Block, place: u32, record: &[u8; RECORD]) -> Result<(), MemoryFailed>;
    /// Erases a block.
    ///
    /// # Errors
    /// Where it cannot be erased.
    fn erase(&mut self, block: Block) -> Result<(), MemoryFailed>;
}

/// The memory does not do as it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryFailed;

/// Why a node cannot speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// It was never given an id and a key.
    NoIdentity,
    /// The memory cannot be read or written.
    Memory,
    /// What is left in the memory does not tell how often the node has started. It has to be flashed anew.
    CountLost,
}

impl From<MemoryFailed> for Unusable {
    fn from(_: MemoryFailed) -> Self {
        Self::Memory
    }
}

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Starts, this one included.
    pub(crate) boot: u32,
    /// Panics, each of which was a restart.
    pub(crate) panics: u16,
    /// What is fitted; none before the gateway has told.
    pub(crate) table: Option<Table>,
}

/// The two blocks.
#[derive(Debug)]
pub(crate) struct Store<M> {
    memory: M,
    /// Of the newest record.
    sequence: u32,
    /// Where the next one goes; the other block, where that is behind the last place.
    block: Block,
    place: u32,
    kept: Kept,
}

impl<M: Memory> Store<M> {
    /// Reads what is there, and counts this start, and a panic before it.
    pub(crate) fn start(mut memory: M, has_panicked: bool) -> Result<(Identity, Self), Unusable> {
        let identity = Identity::decode(&memory.identity()?).ok_or(Unusable::NoIdentity)?;
        let mut newest: Option<(u32, Block, Kept)> = None;
        let mut first_free = [0; 2];
        let mut damaged = [0_u32; 2];
        for (block, (free, damaged)) in [Block::A, Block::B].into_iter().zip(first_free.iter_mut().zip(&mut damaged)) {
            for place in 0..M::RECORDS {
                let mut record = [0; RECORD];
                memory.read(block, place, &mut record)?;
                if record.iter().all(|byte| *byte == 0xff) {
                    continue;
                }
                *free = place + 1;
                match decode(&record) {
                    Some((sequence, kept)) => {
                        *damaged = 0;
                        if newest.as_ref().is_none_or(|(newest, ..)| sequence > *newest) {
                            newest = Some((sequence, block, kept));
                        }
                    }
                    None => *damaged += 1,
                }
            }
        }
        let [free_a, free_b] = first_free;
        let damaged_behind = match newest {
            Some((_, Block::A, _)) => damaged[0],
            Some((_, Block::B, _)) => damaged[1],
            // One record that was cut off while it was written: no start has counted yet.
            None if damaged.iter().sum::<u32>() <= 1 => 0,
            None => return Err(Unusable::CountLost),
        };
        let (sequence, block, mut kept) = newest.unwrap_or((0, Block::A, Kept::default()));
        let place = if block == Block::A { free_a } else { free_b };
        let mut store = Self { memory, sequence, block, place, kept: Kept::default() };
        // A damaged record behind the newest good one was cut off, or has rotted and was a start.
        kept.boot = kept.boot.saturating_add(damaged_behind).checked_add(1).ok_or(Unusable::CountLost)?;
        kept.panics = kept.panics.saturating_add(u16::from(has_panicked));
        store.put(kept)?;
        Ok((identity, store))
    }

    /// What is kept.
    pub(crate) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Keeps another table.
    pub(crate) fn set_table(&mut self, table: Table) -> Result<(), MemoryFailed> {
        self.put(Kept { table: Some(table), ..self.kept })
    }

    fn put(&mut self, kept: Kept) -> Result<(), MemoryFailed> {
        let sequence = self.sequence.checked_add(1).ok_or(MemoryFailed)?;
        let record = encode(sequence, &kept).ok_or(MemoryFailed)?;
        if self.place >= M::RECORDS {
            self.block = self.block.other();
            self.place = 0;
            self.memory.erase(self.block)?;
        }
        // Used up even where writing fails: nobody knows what it holds then.
        let place = self.place;
        self.place += 1;
        self.memory.write(self.block, place, &record)?;
        let mut written = [0; RECORD];
        self.memory.read(self.block, place, &mut written)?;
        if written != record {
            return Err(MemoryFailed);
        }
        self.sequence = sequence;
        self.kept = kept;
        Ok(())
    }
}

const CRC: usize = 4;
/// Sequence, boot, panics, length of the table.
const HEAD: usize = 11;
/// As the length of a table that there is not.
const NO_TABLE: u8 = 0xff;
const _: () = assert!(HEAD + MAX_TABLE + CRC <= RECORD);

fn encode(sequence: u32, kept: &Kept) -> Option<[u8; RECORD]> {
    let mut buffer = [0; MAX_TABLE];
    let (length, table) = match &kept.table {
        Some(table) => {
            let table = table.encode(&mut buffer)?;
            (u8::try_from(table.len()).ok()?, table)
        }
        None => (NO_TABLE, &buffer[..0]),
    };
    let head = sequence.to_le_bytes().into_iter().chain(kept.boot.to_le_bytes()).chain(kept.panics.to_le_bytes());
    let all = head.chain([length]).chain(table.iter().copied());
    let mut record = [0; RECORD];
    record.iter_mut().zip(all).for_each(|(slot, byte)| *slot = byte);
    let (body, crc) = record.split_last_chunk_mut::<CRC>()?;
    *crc = crc32(body).to_le_bytes();
    Some(record)
}

fn decode(record: &[u8; RECORD]) -> Option<(u32, Kept)> {
    let (body, crc) = record.split_last_chunk::<CRC>()?;
    (crc32(body) == u32::from_le_bytes(*crc)).then_some(())?;
    let (sequence, body) = body.split_first_chunk()?;
    let (boot, body) = body.split_first_chunk()?;
    let (panics, body) = body.split_first_chunk()?;
    let (length, body) = body.split_first()?;
    let table = match *length {
        NO_TABLE => None,
        length => Some(Table::decode(body.get(..length.into())?)?),
    };
    let kept = Kept { boot: u32::from_le_bytes(*boot), panics: u16::from_le_bytes(*panics), table };
    Some((u32::from_le_bytes(*sequence), kept))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulated::Flash;
    use ninewatch_wire::frame::{Key, NodeId};
    use ninewatch_wire::table::{Channel, Fitted};

    fn flash() -> Flash {
        Flash::new(&Identity { id: NodeId(1), key: Key([1; 16]) })
    }

    fn table(channels: u8) -> Table {
        let channel = |adc| Channel { fitted: Fitted::Line { adc }, urgent: true, every_s: 60 };
        Table { channels: (0..channels).map(channel).collect() }
    }

    #[test]
    fn each_start_counts_and_the_table_stays() {
        let flash = flash();
        for boot in 1..=200 {
            let (_, mut store) = Store::start(flash.clone(), boot % 10 == 0).unwrap();
            assert_eq!(store.kept().boot, boot);
            assert_eq!(u32::from(store.kept().panics), boot / 10);
            if boot == 7 {
                store.set_table(table(12)).unwrap();
            }
            assert_eq!(store.kept().table, (boot >= 7).then(|| table(12)));
        }
    }

    /// Wherever the power fails, the next start has a number that none had before, and a table that was whole.
    #[test]
    fn no_power_cut_repeats_a_start_or_loses_the_table() {
        // Everything from the middle of a record to the middle of the erasing of a block, and the record behind it.
        for bytes in (0..RECORD * 18).step_by(173) {
            let flash = flash();
            let mut used = 0;
            Store::start(flash.clone(), false).unwrap().1.set_table(table(3)).unwrap();
            for _ in 0..40 {
                flash.fail_after(Some(bytes));
                while let Ok((_, store)) = Store::start(flash.clone(), false) {
                    assert!(store.kept().boot > used, "{bytes}: {} after {used}", store.kept().boot);
                    used = store.kept().boot;
                    assert_eq!(store.kept().table, Some(table(3)));
                    if bytes < RECORD {
                        break;
                    }
                }
                flash.fail_after(None);
                let (_, store) = Store::start(flash.clone(), false).unwrap();
                assert!(store.kept().boot > used);
                used = store.kept().boot;
                assert_eq!(store.kept().table, Some(table(3)));
            }
        }
    }

    #[test]
    fn a_first_start_that_was_cut_off_is_a_first_start() {
        let flash = flash();
        flash.fail_after(Some(100));
        assert_eq!(Store::start(flash.clone(), false).err(), Some(Unusable::Memory));
        flash.fail_after(None);
        assert_eq!(Store::start(flash, false).unwrap().1.kept().boot, 1);
    }

    /// The newest record rots: it may have been a start that was heard.
    #[test]
    fn a_record_that_has_rotted_counts_as_a_start() {
        let mut flash = flash();
        for _ in 0..3 {
            Store::start(flash.clone(), false).unwrap();
        }
        flash.write(Block::A, 2, &[0; RECORD]).unwrap();
        assert_eq!(Store::start(flash.clone(), false).unwrap().1.kept().boot, 4);
        for place in 0..4 {
            flash.write(Block::A, place, &[0; RECORD]).unwrap();
        }
        assert_eq!(Store::start(flash, false).err(), Some(Unusable::CountLost), "rather silent than twice the same");
    }
}
