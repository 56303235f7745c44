//! What a device measured, read again out of recorded messages, each reading at the time that the pipeline gave it.

use super::skew::{self, Skew};
use crate::pipeline::{Message, Site};
use crate::reading::Reading;
use crate::time::TimeMs;

/// One device's readings, out of messages in the order in which they came.
#[derive(Debug)]
pub struct Past<'s> {
    site: &'s Site,
    device: usize,
    skew: Skew,
}

impl<'s> Past<'s> {
    /// Of the device `site.registry.devices[device]`.
    pub fn new(site: &'s Site, device: usize) -> Self {
        Self { site, device, skew: Skew::default() }
    }

    /// Its readings in a message that came at `now`, with when each was made; none where it is not of this device, or not
    /// readable as its type is now.
    pub fn readings(&mut self, message: &Message<'_>, now: TimeMs) -> Vec<(TimeMs, Reading)> {
        let readings = self.site.readings_of(self.device, message, now);
        let placed = readings.into_iter().map(|reading| {
            let told = reading.event_ms.filter(|event| skew::is_set(*event));
            let made = told.map_or(now, |event| {
                self.skew.learn(event, now, message.redelivered);
                event - self.skew.ahead_ms()
            });
            (made, reading)
        });
        placed.collect()
    }
}
