//! What a node and the gateway say to each other over a serial line. No std, no allocation, no clock, no I/O:
//! bytes and times come in, bytes go out. Both sides use this crate, so that they cannot come apart.
//!
//! ```text
//! gateway ── ask ──▶ [0] COBS( header ‖ sealed(Down) ‖ tag ‖ CRC-32 ) [0] ──▶ node
//!         ◀── answer ── [0] COBS( header ‖ sealed(Up) ‖ tag ‖ CRC-32 ) [0] ──
//! ```
//!
//! **Who speaks.** The gateway asks, one node after the other, and only who is asked answers. Many nodes share one
//! pair of RS-485 wires without ever speaking at once, a thousand of them that come back after a power cut make no
//! storm, and each round shows who is alive.
//!
//! **What arrives.** A [`Report`](message::Report) has a number in its lane and stays with the node until the
//! gateway has it on disk and says so. The urgent lane goes first.
//!
//! **Who it is.** Each node has its own 128-bit key (Ascon-AEAD128, NIST SP 800-232). A frame's nonce is its header:
//! direction, the gateway's session (drawn at each of its starts), the node's boot (counted in its memory) and the
//! frame's counter, which never repeat together. What was recorded and is played again is older than what was heard
//! last, and is refused; see [`node`] and [`gateway`].
//!
//! **What it costs.** 41 bytes a frame besides its payload; ask and answer take 9 ms at 115,200 baud.
#![cfg_attr(not(test), no_std)]

pub mod code;
pub mod frame;
pub mod gateway;
pub mod identity;
pub mod message;
pub mod node;
pub mod table;

#[cfg(test)]
mod tests;

/// The version of frames and messages. Another one is refused by name on both sides.
pub const VERSION: u8 = 1;
