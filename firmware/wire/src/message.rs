//! What is said: [`Down`] by the gateway, [`Up`] by a node. Encoded with postcard: fields in order, numbers as
//! varints. Fields and variants are only ever appended with a new [`VERSION`](crate::VERSION).

use heapless::Vec;
use serde::{Deserialize, Serialize};

/// Reports in one frame, at most.
pub const MAX_REPORTS: usize = 8;

/// Two queues of reports, each numbered for itself from 1 at each boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lane {
    /// Alarms, presses and their ends: sent first, never let go of.
    Urgent,
    /// Everything else: the oldest goes when the node's memory is full.
    Routine,
}

impl Lane {
    /// Its place in [`Down::acked`].
    pub fn index(self) -> usize {
        match self {
            Self::Urgent => 0,
            Self::Routine => 1,
        }
    }
}

/// What the gateway says when it asks a node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Down<'a> {
    /// The counter of the node's frame that was heard last, 0 for none. An older one than the node sent last: that
    /// one was lost, and is sent again.
    pub echo: u32,
    /// Of each lane, up to which number reports are on the gateway's disk.
    pub acked: [u32; 2],
    /// The Unix time, in ms, at which the node's uptime was 0; when it changes, and at the beginning.
    pub epoch_ms: Option<i64>,
    /// Something to do.
    #[serde(borrow)]
    pub order: Option<Order<'a>>,
}

/// Something to do, once: the node remembers the number of the last one and answers it with [`Up::done`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order<'a> {
    /// Counts the orders of a session, from 1.
    pub number: u16,
    /// What.
    #[serde(borrow)]
    pub what: What<'a>,
}

/// What a node can be told to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum What<'a> {
    /// Be fitted with these sensors from now on: a [`Table`](crate::table::Table) in postcard. Kept over a restart.
    Fit(&'a [u8]),
    /// Switch an output, of a channel of the table. It goes off by itself after `for_s` seconds; 0 is for good.
    Switch {
        /// Which channel.
        channel: u8,
        /// Whether it is to be on.
        on: bool,
        /// For how long, in seconds.
        for_s: u16,
    },
    /// Show where you are: blink for this many seconds.
    Blink(u8),
    /// Start anew.
    Restart,
    /// Say what is in your log.
    Log,
    /// Make room for a new program of `size` bytes whose CRC-32 is `crc`, for this board.
    UpdateBegin {
        /// In bytes.
        size: u32,
        /// Of all of it.
        crc: u32,
        /// For which board it is.
        board: Board,
    },
    /// A part of it.
    UpdatePart {
        /// Where it belongs, in bytes: parts come in order.
        offset: u32,
        /// At most [`MAX_PART`].
        bytes: &'a [u8],
    },
    /// Start the new program. If it does not hear from the gateway, the former one comes back.
    UpdateApply,
}

/// Bytes of a program in one frame, at most.
pub const MAX_PART: usize = 128;

/// What a node answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Up<'a> {
    /// Since its start, in ms.
    pub uptime_ms: u64,
    /// The last order, and what became of it.
    pub done: Option<Done>,
    /// What it has to say.
    #[serde(borrow)]
    pub body: Body<'a>,
}

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The order's number.
    pub number: u16,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It is done.
    Done,
    /// This node cannot: it has no such channel, no second slot, no such part.
    CannotDo,
    /// What came is not what was announced, or cannot be read.
    Malformed,
    /// Its memory cannot be written.
    MemoryFailed,
    /// Another part of the program is awaited: the one at this offset.
    Awaits(u32),
}

/// What a node has to say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Body<'a> {
    /// Who it is: the answer to a call.
    Hello(Hello),
    /// Nothing new: a sign of life, and how it is.
    Well(Health),
    /// What it has measured, of one lane, in order.
    Reports(Lane, Vec<Report, MAX_REPORTS>),
    /// A part of its log, oldest first; nothing where that was all.
    #[serde(borrow)]
    Log(&'a str),
}

/// Which board the program is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Board {
    /// LM3S6965 evaluation board, as QEMU has it; for tests.
    Lm3s6965,
    /// Raspberry Pi Pico (RP2040).
    Pico,
    /// Raspberry Pi Pico 2 (RP2350).
    Pico2,
    /// ST Nucleo-64 with an STM32F411RE.
    NucleoF411,
    /// A node that runs on a computer; for tests.
    Simulated,
}

/// Why the node has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reset {
    /// Power came on.
    Power,
    /// Power had sunk too low.
    BrownOut,
    /// The program did not feed its watchdog.
    Watchdog,
    /// It was told to, or was updated.
    Software,
    /// The chip does not tell.
    Unknown,
}

/// Who a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Its program: major, minor, patch.
    pub firmware: [u16; 3],
    /// What it runs on.
    pub board: Board,
    /// Why it started.
    pub reset: Reset,
    /// The CRC-32 of its table in postcard, see [`Table::crc`](crate::table::Table::crc); 0 where it has none.
    pub table_crc: u32,
    /// What it was told of the time in this boot.
    pub epoch_ms: Option<i64>,
    /// Whether it can take a new program and come back from a bad one.
    pub two_slots: bool,
    /// Whether this is the first start of a new program, which stays only if it hears from the gateway.
    pub on_trial: bool,
    /// How it is.
    pub health: Health,
}

/// How a node is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Routine reports that it had no room for, since its start.
    pub let_go: u32,
    /// Damaged frames that it has heard, since its start.
    pub damaged: u32,
    /// A bit for each channel whose sensor does not answer.
    pub failing: u16,
    /// A bit for each button that has been held so long that it is stuck.
    pub stuck: u16,
    /// Panics since it was made; each was a restart.
    pub panics: u16,
}

/// One thing that was measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Its number in its lane.
    pub number: u32,
    /// The channel of the table.
    pub channel: u8,
    /// When it was measured: Unix time in ms, reckoned from the uptime when it was first sent, and kept since.
    pub at_ms: i64,
    /// What.
    pub measure: Measure,
}

/// What a channel can measure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Measure {
    /// A dry contact is made (a smoke head's relay, a door's reed, a leak rope).
    Made(bool),
    /// A supervised line.
    Line(Line),
    /// A button is down.
    Pressed(bool),
    /// In °C.
    Temperature(f32),
    /// In % relative humidity.
    Humidity(f32),
    /// In ppm, by the sensor's curve.
    Gas(f32),
    /// In A, RMS.
    Current(f32),
    /// Somebody is there.
    Present(bool),
}

/// What a supervised line says: it has a resistor at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Line {
    /// The resistor is there, no contact is made.
    Normal,
    /// A contact is made.
    Alarm,
    /// The line is cut.
    Open,
    /// The line is shorted.
    Short,
}
