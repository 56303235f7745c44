//! The doors by which bytes come in. All are the same inside: an [`Inbound`](crate::engine::Inbound) to
//! the engine, and an acknowledgement to the sender when it is on disk.

pub(crate) mod broker;
pub(crate) mod nodes;
pub(crate) mod sensor_port;
pub(crate) mod wired;
