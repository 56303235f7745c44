//! What came in, what became of it, and whether the gateway can keep up. Every message is counted once as coming in
//! and once by its fate:
//!
//! `input = raised + folded + quiet + rejected + refused + dropped + disk_full + waiting`

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Inbound;
use super::lanes::Lane;
use crate::metrics::header;

/// After so long without shedding the flood is over.
const OVER: Duration = Duration::from_secs(60);

/// What became of a message that was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Became {
    /// It changed an alert, or raised one.
    Raised,
    /// What it found is in an alert already that says so.
    Folded,
    /// There was nothing to find.
    Quiet,
    /// It brought no reading.
    Rejected,
}

/// How a message is shed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shed {
    /// Its sender was told no.
    Refused,
    /// Its sender asked for no answer and gets none.
    Dropped,
    /// The disk is full, and memory has no room for it either: its sender gets no acknowledgement.
    DiskFull,
}

/// Counters of the doors taken together.
#[derive(Debug, Default)]
pub(crate) struct Load {
    input: [AtomicU64; 2],
    deferred: [AtomicU64; 2],
    waiting: AtomicU64,
    became: [AtomicU64; 4],
    shed: [AtomicU64; 3],
    flood: Mutex<Option<Flood>>,
}

/// A time in which messages are shed.
#[derive(Debug, Clone)]
pub(crate) struct Flood {
    begun: Instant,
    last: Instant,
    /// How many were shed.
    pub(crate) shed: u64,
    /// Whose was the last.
    pub(crate) device: Arc<str>,
}

const LANES: [(Lane, &str); 2] = [(Lane::Preferred, "preferred"), (Lane::Routine, "routine")];
const BECAME: [(Became, &str); 4] =
    [(Became::Raised, "raised"), (Became::Folded, "folded"), (Became::Quiet, "quiet"), (Became::Rejected, "rejected")];
const SHED: [(Shed, &str); 3] = [(Shed::Refused, "refused"), (Shed::Dropped, "dropped"), (Shed::DiskFull, "disk_full")];

fn add(counter: Option<&AtomicU64>, count: usize) {
    if let Some(counter) = counter {
        counter.fetch_add(count as u64, Relaxed);
    }
}

impl Load {
    /// Messages came in by a lane.
    pub(super) fn come_in(&self, lane: Lane, messages: usize) {
        add(self.input.get(lane as usize), messages);
        self.waiting.fetch_add(messages as u64, Relaxed);
    }

    /// Messages found the lane full and wait for their turn.
    pub(super) fn defer(&self, lane: Lane, messages: usize) {
        add(self.deferred.get(lane as usize), messages);
    }

    /// A message was decided.
    pub(super) fn decided(&self, became: Became) {
        self.waiting.fetch_sub(1, Relaxed);
        add(self.became.get(became as usize), 1);
    }

    /// A message was let go because the disk is full, which is no flood.
    pub(super) fn let_go(&self) {
        self.waiting.fetch_sub(1, Relaxed);
        add(self.shed.get(Shed::DiskFull as usize), 1);
    }

    /// A message was shed in a flood.
    pub(super) fn shed(&self, how: Shed, message: &Inbound) {
        self.waiting.fetch_sub(1, Relaxed);
        add(self.shed.get(how as usize), 1);
        let now = Instant::now();
        let device = message.device.as_ref().unwrap_or(&message.door);
        let mut flood = self.lock();
        match &mut *flood {
            Some(flood) => {
                flood.last = now;
                flood.shed += 1;
                if flood.device != *device {
                    flood.device = device.clone();
                }
            }
            None => {
                tracing::warn!(
                    %device,
                    "more comes in than the gateway can take: readings of routine devices that send more than their \
                     share are shed. No smoke, gas, SOS or bracelet device is concerned, nor what was acknowledged"
                );
                *flood = Some(Flood { begun: now, last: now, shed: 1, device: device.clone() });
            }
        }
    }

    /// The flood that there is, if there is one; says when it is over.
    pub(crate) fn flood(&self) -> Option<Flood> {
        let mut flood = self.lock();
        if let Some(over) = flood.take_if(|flood| flood.last.elapsed() >= OVER) {
            let lasted_s = over.last.duration_since(over.begun).as_secs();
            tracing::warn!(over.shed, lasted_s, "the flood is over");
        }
        flood.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Flood>> {
        self.flood.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds Prometheus' text format to `out`.
    pub(crate) fn render(&self, out: &mut String) {
        let by_lane = [
            ("ninewatch_input_messages_total", "Messages that came in, by lane.", &self.input),
            (
                "ninewatch_deferred_messages_total",
                "Of them, how many found their lane full and waited.",
                &self.deferred,
            ),
        ];
        for (name, help, counters) in by_lane {
            header(out, name, "counter", help);
            for ((_, lane), counter) in LANES.iter().zip(counters) {
                let _ = writeln!(out, "{name}{{lane=\"{lane}\"}} {}", counter.load(Relaxed));
            }
        }
        let name = "ninewatch_decided_messages_total";
        header(out, name, "counter", "Messages decided, by what became of them.");
        for ((_, became), counter) in BECAME.iter().zip(&self.became) {
            let _ = writeln!(out, "{name}{{became=\"{became}\"}} {}", counter.load(Relaxed));
        }
        let name = "ninewatch_shed_messages_total";
        header(
            out,
            name,
            "counter",
            "Messages shed because more came in than could be taken (`refused` were told), or the disk is full.",
        );
        for ((_, how), counter) in SHED.iter().zip(&self.shed) {
            let _ = writeln!(out, "{name}{{how=\"{how}\"}} {}", counter.load(Relaxed));
        }
        let name = "ninewatch_waiting_messages";
        header(out, name, "gauge", "Messages that came in and are not decided yet.");
        let _ = writeln!(out, "{name} {}", self.waiting.load(Relaxed));
    }
}

#[cfg(test)]
impl Load {
    /// (input, deferred, waiting, decided, refused, dropped)
    pub(super) fn counts(&self) -> (u64, u64, u64, u64, u64, u64) {
        let sum = |counters: &[AtomicU64]| counters.iter().map(|counter| counter.load(Relaxed)).sum();
        let shed = |how: Shed| self.shed[how as usize].load(Relaxed);
        (
            sum(&self.input),
            sum(&self.deferred),
            self.waiting.load(Relaxed),
            sum(&self.became),
            shed(Shed::Refused),
            shed(Shed::Dropped),
        )
    }
}
