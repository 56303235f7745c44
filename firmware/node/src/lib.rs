//! The program of a node, without its board. No std, no allocation, no clock, no I/O: bytes, levels and times come
//! in, answers go out, so that a node on a bench, in an emulator and in a test on a computer is the same code.
//!
//! ```text
//! board ─ bytes of the line ─▶ Node::hear ─ answer ─▶ board           Store   boot count and table, over power cuts
//!       ─ its timer ─────────▶ Node::poll ─ Sensors ─▶ Outbox         Slots   where a new program goes
//! ```
//!
//! A board gives [`Board`](board::Board) (its terminals), [`Memory`](memory::Memory) and [`Slots`](update::Slots);
//! [`Node`](node::Node) is the rest.
#![no_std]

pub mod board;
mod lamp;
pub mod log;
pub mod memory;
pub mod node;
mod outbox;
mod sensors;
#[cfg(feature = "simulated")]
pub mod simulated;
pub mod update;

#[cfg(test)]
mod tests;
