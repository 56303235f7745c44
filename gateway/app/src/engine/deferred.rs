//! Messages that wait until the disk has room again. Nobody is told that they are durable, because they are not.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;

use super::{Acked, Fate, Inbound, Load};
use crate::metrics::Counters;

/// Beyond this, a message is let go: its connection ends, and who sent it sends it again on the next one.
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
        if self.bytes + bytes > MOST_BYTES {
            self.forget_the_gone(load);
        }
        let Some(ack) = message.ack.as_ref().filter(|_| self.bytes + bytes <= MOST_BYTES) else {
            if let Some(ack) = message.ack {
                let fate = if ack.can_refuse { Fate::Refused } else { Fate::LetGo };
                let _ = ack.to.send(Acked { token: ack.token, fate });
            }
            load.let_go();
            return;
        };
        if ack.to.is_closed() {
            load.let_go();
            return;
        }
        self.bytes += bytes;
        self.messages.push_back(message);
        counters.deferred.store(self.messages.len() as u64, Relaxed);
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The one that waits longest, and whose sender still waits for it.
    pub(super) fn next(&mut self, counters: &Counters, load: &Load) -> Option<Inbound> {
        let message = loop {
            let message = self.messages.pop_front()?;
            self.bytes -= size(&message);
            if !is_gone(&message) {
                break message;
            }
            load.let_go();
        };
        counters.deferred.store(self.messages.len() as u64, Relaxed);
        Some(message)
    }

    /// Who came again on another connection has sent it again there.
    fn forget_the_gone(&mut self, load: &Load) {
        let bytes = &mut self.bytes;
        self.messages.retain(|message| {
            let stays = !is_gone(message);
            if !stays {
                *bytes -= size(message);
                load.let_go();
            }
            stays
        });
    }
}

fn is_gone(message: &Inbound) -> bool {
    message.ack.as_ref().is_none_or(|ack| ack.to.is_closed())
}

fn size(message: &Inbound) -> usize {
    message.payload.len() + message.topic.len() + OVERHEAD
}
