//! How much of what brought nothing is kept: samples, so that a device gone mad cannot push good
//! readings out of the ring.

use std::collections::HashMap;

use ninewatch_core::time::TimeMs;

/// Kept of one device and reason in an hour.
const PER_HOUR: u32 = 20;
/// Devices and reasons remembered at once; beyond it, all begin anew.
const MOST: usize = 4096;
const HOUR_MS: i64 = 3_600_000;

/// Counts what is kept by device and reason.
#[derive(Debug, Default)]
pub(super) struct Samples {
    hour: i64,
    kept: HashMap<(String, &'static str), u32>,
}

impl Samples {
    /// Whether another message of `device` (empty where it is not known) with `reason` is kept.
    pub(super) fn wants(&mut self, device: &str, reason: &'static str, now: TimeMs) -> bool {
        let hour = now.div_euclid(HOUR_MS);
        if hour != self.hour || self.kept.len() >= MOST {
            self.kept.clear();
            self.hour = hour;
        }
        let kept = self.kept.entry((device.to_owned(), reason)).or_default();
        *kept = kept.saturating_add(1);
        *kept <= PER_HOUR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_kept_by_device_reason_and_hour() {
        let mut samples = Samples::default();
        let kept = (0..100).filter(|_| samples.wants("d-1", "not_json", 0)).count();
        assert_eq!(kept, 20);
        assert!(samples.wants("d-1", "out_of_range", 0));
        assert!(samples.wants("d-2", "not_json", 0));
        assert!(samples.wants("d-1", "not_json", HOUR_MS));
    }
}
