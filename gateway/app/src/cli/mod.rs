//! What a person can say to `ninewatch`.

pub(crate) mod account;
pub(crate) mod check;
pub(crate) mod journal;
pub(crate) mod registry;
pub(crate) mod replay;
pub(crate) mod run;
