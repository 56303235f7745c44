//! Messages that wait until the disk has room again. Nobody is told that they are durable, because they are not.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;

use super::{Inbound, Load};
use crate::metrics::Counters;

/// Beyond this, a message is let go: who sent it has no acknowledgement and sends it again on its next connection.
const MOST_BYTES: usize = 8 << 20;
/// What a message takes besides its payload and topic.
const OVERHEAD: usize = 128;

#[derive(Debug, Default)]
pub(super) struct Deferred {
    messages: VecDeque<Inbound>,
    bytes: usize,
}

impl Deferred {
    /// Keeps a message for later, if somebody waits for its acknowledgement and there is room in memory.
    pub(super) fn put_off(&mut self, message: Inbound, counters: &Counters, load: &Load) {
        let bytes = size(&message);
        if message.ack.is_none() || self.bytes + bytes > MOST_BYTES {
            load.let_go();
            return;
        }
        self.bytes += bytes;
        self.messages.push_back(message);
        counters.deferred.store(self.messages.len() as u64, Relaxed);
    }

    /// The one that waits longest.
    pub(super) fn next(&mut self, counters: &Counters) -> Option<Inbound> {
        let message = self.messages.pop_front()?;
        self.bytes -= size(&message);
        counters.deferred.store(self.messages.len() as u64, Relaxed);
        Some(message)
    }
}

fn size(message: &Inbound) -> usize {
    message.payload.len() + message.topic.len() + OVERHEAD
}
