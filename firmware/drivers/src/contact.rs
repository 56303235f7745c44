//! A dry contact: the relay of a smoke head, a reed switch at a door, a leak rope, an SOS button.

use embedded_hal::digital::InputPin;

/// Which level of the pin means that the contact is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Active {
    /// The contact pulls the pin to ground, against a pull-up: the usual wiring.
    Low,
    /// The contact pulls the pin to the supply, against a pull-down.
    High,
}

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
}

impl<P: InputPin> Contact<P> {
    /// A contact on `pin`. Mechanical contacts bounce for 1 to 20 ms; long wires want more.
    pub fn new(pin: P, active: Active, settle_ms: u32) -> Self {
        Self { pin, active, settle_ms, made: None, settling: None }
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
        if self.made == Some(made) {
            self.settling = None;
            return Ok(None);
        }
        let since_ms = match self.settling {
            Some((level, since_ms)) if level == made => since_ms,
            _ => {
                self.settling = Some((made, now_ms));
                now_ms
            }
        };
        if now_ms.saturating_sub(since_ms) < u64::from(self.settle_ms) {
            return Ok(None);
        }
        self.made = Some(made);
        self.settling = None;
        Ok(Some(made))
    }

    /// Whether it is made; `None` before the first level has settled.
    pub fn is_made(&self) -> Option<bool> {
        self.made
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal_mock::eh1::digital::{Mock, State, Transaction};

    /// What `poll` says at each millisecond of the given levels.
    fn polled(levels: &[State], active: Active) -> [Option<bool>; 12] {
        let expected = levels.iter().map(|level| Transaction::get(*level));
        let mut pin = Mock::new(expected.collect::<std::vec::Vec<_>>().as_slice());
        let mut contact = Contact::new(pin.clone(), active, 3);
        let mut said = [None; 12];
        for (now_ms, (slot, _)) in (0..).zip(said.iter_mut().zip(levels)) {
            *slot = contact.poll(now_ms).unwrap();
        }
        pin.done();
        said
    }

    extern crate std;
    use State::{High, Low};

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
        assert_eq!(said.iter().flatten().collect::<std::vec::Vec<_>>(), [&false]);
    }
}
