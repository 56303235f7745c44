//! What all boards of a node share: the loop that runs the node, and what RAM keeps over a restart.
#![no_std]

pub mod last_words;

use embassy_futures::select::{Either, select};
use embassy_time::{Instant, Timer};
use ninewatch_node::board::Board;
use ninewatch_node::memory::{Memory, Unusable};
use ninewatch_node::node::{FIRMWARE, Mute, Node, Start};
use ninewatch_node::update::Slots;
use ninewatch_wire::frame::MAX_ON_LINE;
use ninewatch_wire::message::Reset;

/// The serial line to the gateway. Where it is RS-485, its driver is on only while the node speaks.
pub trait Line {
    /// Waits for bytes; gives how many came.
    fn read(&mut self, bytes: &mut [u8]) -> impl Future<Output = usize>;
    /// Sends an answer, and is done when its last bit is out.
    fn write(&mut self, bytes: &[u8]) -> impl Future<Output = ()>;
}

/// Starts the chip anew unless it is fed. It runs before anything else does.
pub trait Watchdog {
    /// What a loop must go round in, in ms.
    const PATIENCE_MS: u32 = 4_000;
    /// Feeds it.
    fn feed(&mut self);
}

/// How long a node whose memory fails shows that before it tries again.
const MUTE_MS: u64 = 10_000;

/// Runs the node. One loop looks after the line and the sensors, so the watchdog that it feeds sees both: neither
/// can hang without the other. Between two turns the processor sleeps.
pub async fn run<B: Board, M: Memory, S: Slots>(
    board: B,
    memory: M,
    slots: S,
    mut line: impl Line,
    mut watchdog: impl Watchdog,
    reset: Reset,
) -> ! {
    let panicked = last_words::take();
    let start = Start { firmware: FIRMWARE, reset, panicked: panicked.as_ref().map(last_words::Panicked::place) };
    let mut node = match Node::start(board, memory, slots, &start) {
        Ok(node) => node,
        Err(mute) => stay_mute(mute, watchdog).await,
    };
    let mut out = [0; MAX_ON_LINE];
    let mut heard = [0; 64];
    loop {
        watchdog.feed();
        let now_ms = Instant::now().as_millis();
        let next_ms = node.poll(now_ms);
        if node.wants_restart(now_ms) {
            last_words::restart();
        }
        match select(line.read(&mut heard), Timer::at(Instant::from_millis(next_ms))).await {
            Either::First(count) => {
                for byte in heard.iter().take(count) {
                    if let Some(answer) = node.hear(*byte, Instant::now().as_millis(), &mut out) {
                        line.write(answer).await;
                    }
                }
            }
            Either::Second(()) => {}
        }
    }
}

/// A memory that fails may do better after a restart; one that holds nothing will not.
async fn stay_mute<B: Board>(mut mute: Mute<B>, mut watchdog: impl Watchdog) -> ! {
    loop {
        watchdog.feed();
        let now_ms = Instant::now().as_millis();
        if mute.why == Unusable::Memory && now_ms >= MUTE_MS {
            last_words::restart();
        }
        Timer::at(Instant::from_millis(mute.poll(now_ms))).await;
    }
}
