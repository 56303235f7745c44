//! Who is on duty, as files say it: `roster.toml`, which the page writes too, and `ladders.toml`. Both in the data folder,
//! both followed while the gateway runs.

mod check;
mod roster_file;

pub(crate) use check::{holes, references, title};
pub(crate) use roster_file::{LADDERS, ROSTER, RosterFile, RosterRefused, ladders};
