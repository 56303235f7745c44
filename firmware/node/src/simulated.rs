//! A node that runs on a computer, for tests: levels and temperatures are set from outside, its flash outlives it.

extern crate std;

use core::convert::Infallible;
use std::boxed::Box;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::vec::Vec;

use embedded_hal::digital::{ErrorType, InputPin, OutputPin};
use embedded_hal::i2c::{self, ErrorKind, I2c, NoAcknowledgeSource, Operation};
use ninewatch_wire::identity::{IDENTITY, Identity};
use ninewatch_wire::message;

use crate::memory::{Block, Memory, MemoryFailed, RECORD, Unusable};
use crate::node::{FIRMWARE, Node, Start};
use crate::update::{SlotFailed, Slots};

/// A simulated node.
pub type SimulatedNode = Node<Board, Flash, Flash>;

/// Terminals of each kind.
const TERMINALS: usize = 16;

/// What stands around a node. Clones are the same place.
#[derive(Debug, Clone, Default)]
pub struct Surroundings(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Whether the level is low: a contact is made.
    low: [bool; TERMINALS],
    outputs: [bool; TERMINALS],
    millivolts: [Option<u16>; TERMINALS],
    /// In 1/256 °C; none where no thermometer is fitted.
    thermometers: [Option<i16>; 8],
    radar: VecDeque<u8>,
    lamp: bool,
}

impl Surroundings {
    /// Makes or opens the contact at an input; it pulls to ground.
    pub fn close(&self, input: u8, closed: bool) {
        self.with(|state| set(&mut state.low, input, closed));
    }

    /// Gives the thermometer at `address` a temperature, or takes it away.
    pub fn warm(&self, address: u8, celsius: Option<f32>) {
        #[expect(clippy::cast_possible_truncation, reason = "as the part does it")]
        let register = celsius.map(|celsius| ((celsius * 16.0) as i16) << 4);
        self.with(|state| set(&mut state.thermometers, address.wrapping_sub(0x48), register));
    }

    /// Sets the voltage at an analogue terminal; none breaks it.
    pub fn apply(&self, adc: u8, millivolts: Option<u16>) {
        self.with(|state| set(&mut state.millivolts, adc, millivolts));
    }

    /// Bytes that come from the radar.
    pub fn radar(&self, bytes: &[u8]) {
        self.with(|state| state.radar.extend(bytes));
    }

    /// Whether an output is at the high level.
    pub fn is_high(&self, output: u8) -> bool {
        self.with(|state| state.outputs.get(usize::from(output)).copied().unwrap_or_default())
    }

    /// Whether the node's lamp is on.
    pub fn lamp(&self) -> bool {
        self.with(|state| state.lamp)
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn set<T, const N: usize>(slots: &mut [T; N], place: u8, value: T) {
    if let Some(slot) = slots.get_mut(usize::from(place)) {
        *slot = value;
    }
}

/// A board of its surroundings.
#[derive(Debug, Clone)]
pub struct Board(Surroundings);

/// A terminal of it; also its bus.
#[derive(Debug, Clone)]
pub struct Terminal(Surroundings, u8);

impl crate::board::Board for Board {
    const KIND: message::Board = message::Board::Simulated;
    type Input = Terminal;
    type Output = Terminal;
    type Bus = Self;

    fn input(&mut self, terminal: u8) -> Option<Terminal> {
        (usize::from(terminal) < TERMINALS).then(|| Terminal(self.0.clone(), terminal))
    }
    fn output(&mut self, terminal: u8) -> Option<Terminal> {
        self.input(terminal)
    }
    fn bus(&mut self) -> &mut Self {
        self
    }
    fn millivolts(&mut self, terminal: u8) -> Option<u16> {
        self.0.with(|state| state.millivolts.get(usize::from(terminal)).copied().flatten())
    }
    fn radar(&mut self) -> Option<u8> {
        self.0.with(|state| state.radar.pop_front())
    }
    fn lamp(&mut self, on: bool) {
        self.0.with(|state| state.lamp = on);
    }
}

impl ErrorType for Terminal {
    type Error = Infallible;
}

impl InputPin for Terminal {
    fn is_high(&mut self) -> Result<bool, Infallible> {
        self.is_low().map(|low| !low)
    }
    fn is_low(&mut self) -> Result<bool, Infallible> {
        Ok(self.0.with(|state| state.low.get(usize::from(self.1)).copied().unwrap_or_default()))
    }
}

impl OutputPin for Terminal {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.0.with(|state| set(&mut state.outputs, self.1, false));
        Ok(())
    }
    fn set_high(&mut self) -> Result<(), Infallible> {
        self.0.with(|state| set(&mut state.outputs, self.1, true));
        Ok(())
    }
}

impl i2c::ErrorType for Board {
    type Error = ErrorKind;
}

/// Thermometers only; their pointer is taken from the write before.
impl I2c for Board {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        let nobody = ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address);
        let place = usize::from(address.wrapping_sub(0x48));
        let register = self.0.with(|state| state.thermometers.get(place).copied().flatten()).ok_or(nobody)?;
        for operation in operations {
            match operation {
                Operation::Write(_) => {}
                // A configuration is read as one byte: 12 bits, measuring.
                Operation::Read([one]) => *one = 0x60,
                Operation::Read(bytes) => {
                    bytes.iter_mut().zip(register.to_be_bytes()).for_each(|(slot, byte)| *slot = byte);
                }
            }
        }
        Ok(())
    }
}

/// A node's flash: identity, records and the second slot. Clones are the same flash.
#[derive(Debug, Clone)]
pub struct Flash(Arc<Mutex<Chip>>);

#[derive(Debug)]
struct Chip {
    identity: [u8; IDENTITY],
    blocks: [Box<[[u8; RECORD]; RECORDS]>; 2],
    second: Vec<u8>,
    trial: Trial,
    /// Bytes that can still be written before the power fails; none is for ever.
    power: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trial {
    None,
    /// The second slot is started with the next start.
    Next,
    /// It runs, and is not kept yet.
    Runs,
}

const RECORDS: usize = 16;
const SLOT: u32 = 512 * 1024;

impl Flash {
    /// As it is when the node was made.
    pub fn new(identity: &Identity) -> Self {
        let erased = || Box::new([[0xff; RECORD]; RECORDS]);
        Self(Arc::new(Mutex::new(Chip {
            identity: identity.encode(),
            blocks: [erased(), erased()],
            second: Vec::new(),
            trial: Trial::None,
            power: None,
        })))
    }

    /// As it is before the node was given an id and a key.
    pub fn forget_identity(&self) {
        self.with(|chip| chip.identity = [0xff; IDENTITY]);
    }

    /// The power fails after so many more bytes were written, in the middle of whatever it is; `None` mends it.
    pub fn fail_after(&self, bytes: Option<usize>) {
        self.with(|chip| chip.power = bytes);
    }

    /// Takes the program that was applied, if it is to run at the next start: the boot loader's part. A program on
    /// trial that was not kept is given up.
    pub fn boot(&self) -> Option<Vec<u8>> {
        self.with(|chip| {
            let (next, program) = match chip.trial {
                Trial::Next => (Trial::Runs, Some(chip.second.clone())),
                Trial::Runs | Trial::None => (Trial::None, None),
            };
            chip.trial = next;
            program
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Chip) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Chip {
    fn place(&mut self, block: Block, place: u32) -> Result<&mut [u8; RECORD], MemoryFailed> {
        let [a, b] = &mut self.blocks;
        let block = if block == Block::A { a } else { b };
        block.get_mut(place as usize).ok_or(MemoryFailed)
    }

    /// How many of `length` bytes still get written.
    fn written(&mut self, length: usize) -> usize {
        let Some(left) = &mut self.power else { return length };
        let written = length.min(*left);
        *left -= written;
        written
    }
}

impl Memory for Flash {
    #[expect(clippy::cast_possible_truncation, reason = "16")]
    const RECORDS: u32 = RECORDS as u32;

    fn identity(&mut self) -> Result<[u8; IDENTITY], MemoryFailed> {
        Ok(self.with(|chip| chip.identity))
    }

    fn read(&mut self, block: Block, place: u32, record: &mut [u8; RECORD]) -> Result<(), MemoryFailed> {
        self.with(|chip| {
            *record = *chip.place(block, place)?;
            Ok(())
        })
    }

    fn write(&mut self, block: Block, place: u32, record: &[u8; RECORD]) -> Result<(), MemoryFailed> {
        self.with(|chip| {
            let written = chip.written(RECORD);
            // Flash only ever clears bits.
            let slots = chip.place(block, place)?.iter_mut().zip(record);
            slots.take(written).for_each(|(slot, byte)| *slot &= byte);
            if written == RECORD { Ok(()) } else { Err(MemoryFailed) }
        })
    }

    fn erase(&mut self, block: Block) -> Result<(), MemoryFailed> {
        self.with(|chip| {
            let bytes = chip.written(RECORDS * RECORD);
            let [a, b] = &mut chip.blocks;
            let block = if block == Block::A { a } else { b };
            block.iter_mut().flatten().take(bytes).for_each(|byte| *byte = 0xff);
            if bytes == RECORDS * RECORD { Ok(()) } else { Err(MemoryFailed) }
        })
    }
}

impl Slots for Flash {
    fn size(&self) -> u32 {
        SLOT
    }
    fn write(&mut self, offset: u32, part: &[u8]) -> Result<(), SlotFailed> {
        self.with(|chip| {
            chip.second.truncate(offset as usize);
            if chip.second.len() != offset as usize {
                return Err(SlotFailed);
            }
            chip.second.extend_from_slice(part);
            Ok(())
        })
    }
    fn read(&mut self, offset: u32, part: &mut [u8]) -> Result<(), SlotFailed> {
        self.with(|chip| {
            let from = chip.second.get(offset as usize..).and_then(|rest| rest.get(..part.len())).ok_or(SlotFailed)?;
            part.copy_from_slice(from);
            Ok(())
        })
    }
    fn try_next(&mut self) -> Result<(), SlotFailed> {
        self.with(|chip| chip.trial = Trial::Next);
        Ok(())
    }
    fn on_trial(&self) -> bool {
        self.with(|chip| chip.trial == Trial::Runs)
    }
    fn keep(&mut self) -> Result<(), SlotFailed> {
        self.with(|chip| chip.trial = Trial::None);
        Ok(())
    }
}

/// Starts a node on its flash, in its surroundings.
///
/// # Errors
/// Why it cannot speak.
pub fn start(surroundings: &Surroundings, flash: &Flash, reset: message::Reset) -> Result<SimulatedNode, Unusable> {
    let start = Start { firmware: FIRMWARE, reset, panicked: None };
    Node::start(Board(surroundings.clone()), flash.clone(), flash.clone(), &start).map_err(|mute| mute.why)
}
