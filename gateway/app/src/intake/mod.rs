//! The doors by which messages come in.

pub(crate) mod sensor_port;
