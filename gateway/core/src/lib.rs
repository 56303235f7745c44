//! The pure heart of Ninewatch: how a payload becomes a reading, and readings become alerts.
//!
//! Nothing here has a clock, I/O, async or threads. Time comes in with each event, and the same
//! events give the same alerts, always: see [`pipeline`].
//!
//! A reading's way: [`decode`] turns bytes into a [`reading::Reading`], [`detect`] keeps windows,
//! applies rules and scores models, [`alert`] folds, joins and carries the life. [`pipeline`] is the
//! one function that drives them, [`replay`] drives it again from what was recorded.

pub mod ailment;
pub mod alert;
pub mod decode;
pub mod detect;
pub mod duty;
pub mod fault;
pub mod hours;
pub mod pipeline;
pub mod reading;
pub mod replay;
pub mod site;
pub mod time;
