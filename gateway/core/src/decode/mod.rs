//! From bytes to readings, by the device's sensor type.
//!
//! A sensor type file ([`file`]) becomes kinds of messages ([`message`]). A message's [`topic`] gives
//! captures, its payload a tree ([`node`]) of which packed parts are opened ([`unpack`], [`binary`]);
//! a [`source`] ([`pointer`]) says where in it a value stands, [`convert`] makes a field's value of it, and
//! [`stamp`] its time. What a file's examples say is checked whenever it is read ([`example`]).

mod binary;
mod bulk;
mod burst;
mod command;
mod convert;
mod example;
mod field;
mod file;
mod message;
mod native;
mod node;
mod pointer;
mod senml;
mod sensor_type;
mod source;
mod stamp;
mod topic;
mod units;
mod unpack;

pub use bulk::without_bulk;
pub use command::{Accepts, Argument, Command, CommandError, Parameter, Rendered};
pub use field::{BurstShape, Channel, Field, FieldKind};
pub use file::schema;
pub use message::{Said, Speaker};
pub use sensor_type::{Decoded, Hears, Sample, SensorType, SensorTypes};
pub use stamp::Arrival;
pub use units::convert_unit;

use thiserror::Error;

/// Every code of a [`DecodeError`] that a payload alone can have: what examples may name.
pub(crate) const CODES: [&str; 21] = [
    "bad_time",
    "no_device",
    "no_elements",
    "no_known_field",
    "not_base64",
    "not_hex",
    "not_json",
    "not_packed",
    "not_senml",
    "not_text",
    "not_this_kind",
    "out_of_range",
    "too_many",
    "too_short",
    "unknown_tag",
    "unknown_unit",
    "unknown_word",
    "wrong_device",
    "wrong_length",
    "wrong_type",
    "wrong_unit",
];

/// Why a payload, or one value in it, could not be taken. The payload is kept: see the quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{code}: {detail}")]
pub struct DecodeError {
    /// For counting, from a short fixed list: `not_json`, `unknown_unit`, `out_of_range`, …
    pub code: &'static str,
    /// What and where, for a person.
    pub detail: String,
}
