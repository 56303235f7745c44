//! A dry contact: the relay of a smoke head, a reed switch at a door, a leak rope, an SOS button.
//!
//! A wire that is cut looks like a contact that is open. Where that matters, as for smoke heads, take
//! a [`line`](crate::line) with an end-of-line resistor, or a contact that opens for its alarm.

use embedded_hal::digital::InputPin;

/// Which level of the pin means that a contact is made, or that an output is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Active {
    /// A contact that pulls the pin to ground, against a pull-up: the usual wiring. Of outputs: most
    /// relay boards with an optocoupler.
    Low,
    /// A contact that pulls the pin to the supply, against a pull-down. Of outputs: a transistor to
    /// ground.
    High,
}

/// What bounces for longer than this is no contact that bounces: a loose wire, or hum on a long one.
pub const UNSTEADY_AFTER_MS: u64 = 10_000;

/// A contact whose bouncing is waited out: a level counts when it has held for `settle_ms`.
#[derive(Debug)]
pub struct Contact<P> {
    pin: P,
    active: Active,
    settle_ms: u32,
    /// `None` until the first level has settled.
    made: Option<bool>,
    /// The level that is settling, since when.
    settling: Option<(bool, u64)>,
    /// When what is told last held, where the pin has not held any level since for long enough.
    unsteady_since: Option<u64>,
}

impl<P: InputPin> Contact<P> {
    /// A contact on `pin`. Mechanical contacts bounce for 1 to 20 ms; long wires want more.
    pub fn new(pin: P, active: Active, settle_ms: u32) -> Self {
        Self { pin, active, settle_ms, made: None, settling: None, unsteady_since: None }
    }

    /// Looks at the pin at `now_ms` of any clock that does not go back. `Some` when the contact has
    /// come to be made (true) or open (false), and at the first level that settles.
    ///
    /// # Errors
    /// Where the pin cannot be read. What was settling goes on settling.
    pub fn poll(&mut self, now_ms: u64) -> Result<Option<bool>, P::Error> {
        let made = match self.active {
            Active::Low => self.pin.is_low()?,
            Active::High => self.pin.is_high()?,
        };
        let since_ms = match self.settling {
            Some((level, since_ms)) if level == made => since_ms,
            _ => {
                self.settling = Some((made, now_ms));
                now_ms
            }
        };
        if now_ms.saturating_sub(since_ms) < u64::from(self.settle_ms) {
            self.unsteady_since.get_or_insert(since_ms);
            return Ok(None);
        }
        self.unsteady_since = None;
        let changed = self.made.replace(made) != Some(made);
        Ok(changed.then_some(made))
    }

    /// Whether it is made; `None` before the first level has settled.
    pub fn is_made(&self) -> Option<bool> {
        self.made
    }

    /// Whether no level has held for [`UNSTEADY_AFTER_MS`], as of the last [`poll`](Self::poll): what
    /// [`is_made`](Self::is_made) says is then not to be relied on.
    pub fn is_unsteady(&self, now_ms: u64) -> bool {
        self.unsteady_since.is_some_and(|since_ms| now_ms.saturating_sub(since_ms) >= UNSTEADY_AFTER_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal_mock::eh1::digital::{Mock, State, Transaction};

    extern crate std;
    use State::{High, Low};
    use std::vec::Vec;

    /// What `poll` says at each millisecond of the given levels.
    fn polled(levels: &[State], active: Active) -> Vec<Option<bool>> {
        let expected: Vec<_> = levels.iter().map(|level| Transaction::get(*level)).collect();
        let mut pin = Mock::new(&expected);
        let mut contact = Contact::new(pin.clone(), active, 3);
        let said = (0..).zip(levels).map(|(now_ms, _)| contact.poll(now_ms).unwrap()).collect();
        pin.done();
        said
    }

    #[test]
    fn bouncing_is_waited_out() {
        let said = polled(&[High, High, High, High, Low, High, Low, Low, Low, Low, Low, Low], Active::Low);
        assert_eq!(said[3], Some(false), "open, once that has settled");
        assert_eq!(said[9], Some(true), "made, 3 ms after the last bounce");
        assert_eq!(said.iter().flatten().count(), 2);
    }

    #[test]
    fn a_short_spike_is_nothing() {
        let said = polled(&[Low, Low, Low, Low, High, High, Low, Low, Low, Low, Low, Low], Active::High);
        assert_eq!(said.iter().flatten().collect::<Vec<_>>(), [&false]);
    }

    #[test]
    fn one_that_never_settles_is_not_told_as_fine() {
        let mut pin = Mock::new(&[Low, High, Low, High, High].map(Transaction::get));
        let mut contact = Contact::new(pin.clone(), Active::Low, 20);
        for (now_ms, unsteady) in [(0, false), (5_000, false), (9_990, false), (10_000, true)] {
            assert_eq!(contact.poll(now_ms), Ok(None));
            assert_eq!(contact.is_unsteady(now_ms), unsteady, "at {now_ms} ms");
        }
        assert_eq!(contact.poll(10_020), Ok(Some(false)));
        assert!(!contact.is_unsteady(10_020), "it has settled after all");
        pin.done();
    }
}
