//! Which sensors are fitted to a node. The gateway has the table (an installer wrote it), the node keeps a copy.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::frame::crc32;

/// Channels of one node, at most.
pub const MAX_CHANNELS: usize = 12;
/// The longest table in postcard: it goes down in one frame.
pub const MAX_TABLE: usize = 160;

/// Which sensors are fitted, by channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// In order; a channel's number is its place.
    pub channels: Vec<Channel, MAX_CHANNELS>,
}

/// A sensor or an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// What is there.
    pub fitted: Fitted,
    /// Whether its reports go in the urgent lane.
    pub urgent: bool,
    /// How often it is measured, or told although it has not changed, in seconds; at least 1.
    pub every_s: u16,
}

/// What is fitted to a channel, and where. `input`, `output` and `adc` are numbers of the board's terminals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fitted {
    /// A dry contact.
    Contact {
        /// The terminal.
        input: u8,
        /// Whether it pulls to ground when made (the usual wiring), or to the supply.
        active_low: bool,
        /// How long a level must hold to count, in ms.
        settle_ms: u16,
    },
    /// Contacts on a line with a resistor at its end, measured.
    Line {
        /// The terminal.
        adc: u8,
    },
    /// A button: told when it goes down and when it comes up.
    Button {
        /// The terminal.
        input: u8,
        /// Whether it pulls to ground when pressed.
        active_low: bool,
    },
    /// A TMP102, TMP105 or TMP75.
    Thermometer {
        /// On the I²C bus, 0x48 to 0x4f.
        address: u8,
    },
    /// An SHT30, SHT31 or SHT35.
    Sht3x {
        /// On the I²C bus, 0x44 or 0x45.
        address: u8,
    },
    /// A gas sensor of the MQ family.
    Gas {
        /// The terminal.
        adc: u8,
        /// Which one.
        element: GasElement,
        /// The load resistor, in Ω.
        load_ohm: u32,
        /// The element's resistance in clean air, in Ω, as it was calibrated.
        r0_ohm: u32,
    },
    /// A current clamp.
    Current {
        /// The terminal.
        adc: u8,
        /// Turns of the clamp: 2000 for an SCT-013-000.
        turns: u16,
        /// The burden resistor, in tenths of an Ω.
        burden_decohm: u16,
    },
    /// An LD2410 radar on the board's second UART.
    Ld2410,
    /// A siren, a lamp or a relay.
    Output {
        /// The terminal.
        output: u8,
        /// Whether it is on at the low level.
        active_low: bool,
    },
}

/// A gas sensor of the MQ family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GasElement {
    /// Combustible gas and smoke.
    Mq2,
    /// Town gas, LPG.
    Mq5,
}

impl Table {
    /// As it goes over the line and into the node's memory; `None` where it is longer than [`MAX_TABLE`].
    pub fn encode<'a>(&self, out: &'a mut [u8; MAX_TABLE]) -> Option<&'a [u8]> {
        postcard::to_slice(self, out).ok().map(|written| &*written)
    }

    /// What [`encode`](Self::encode) made; `None` where it did not.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }

    /// By which both sides see that they have the same; 0 for one that cannot be encoded.
    pub fn crc(&self) -> u32 {
        self.encode(&mut [0; MAX_TABLE]).map_or(0, crc32)
    }
}
