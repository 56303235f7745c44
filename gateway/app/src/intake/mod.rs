//! Intake: the doors by which readings come in.

pub(crate) mod broker;
