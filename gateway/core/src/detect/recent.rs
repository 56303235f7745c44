//! What a device sent lately, to know it when it comes again.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

use crate::reading::{Reading, Value};
use crate::time::TimeMs;

/// What came lately, to know it when it comes again.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Recent {
    /// (the device's own time, a hash of the values), by time.
    seen: VecDeque<(TimeMs, u64)>,
}

impl Recent {
    const KEPT: usize = 256;
    /// Of readings without a time of their own, only a repeat of one of the last can be told.
    const WITHOUT_TIME: usize = 16;

    /// Whether this reading, told to be of `told`, was noted before.
    pub(super) fn knows(&self, told: Option<TimeMs>, reading: &Reading, redelivered: bool) -> bool {
        match told {
            Some(event) => {
                if self.seen.back().is_none_or(|(newest, _)| *newest < event) {
                    return false;
                }
                let from = self.seen.partition_point(|(time, _)| *time < event);
                let mut same_time = self.seen.range(from..).take_while(|(time, _)| *time == event).peekable();
                same_time.peek().is_some() && {
                    let hash = fingerprint(reading);
                    same_time.any(|(_, seen)| *seen == hash)
                }
            }
            None => {
                redelivered && {
                    let hash = fingerprint(reading);
                    self.seen.iter().rev().take(Self::WITHOUT_TIME).any(|(_, seen)| *seen == hash)
                }
            }
        }
    }

    /// Remembers it.
    pub(super) fn note(&mut self, at: TimeMs, reading: &Reading) {
        let index = match self.seen.back() {
            Some((newest, _)) if *newest > at => self.seen.partition_point(|(time, _)| *time <= at),
            _ => self.seen.len(),
        };
        self.seen.insert(index, (at, fingerprint(reading)));
        if self.seen.len() > Self::KEPT {
            self.seen.pop_front();
        }
    }
}

/// FNV-1a over the values, 64 bit.
fn fingerprint(reading: &Reading) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut mix = |bits: u64| hash = (hash ^ bits).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    for value in &reading.values {
        match value {
            None => mix(1),
            Some(Value::Number(number)) => mix(number.to_bits()),
            Some(Value::Text(text)) => text.bytes().for_each(|byte| mix(u64::from(byte) + 2)),
            Some(Value::Burst(burst)) => burst.samples.iter().for_each(|sample| mix(u64::from(sample.to_bits()))),
        }
    }
    hash
}
