//! An SOS button: wall button, pull cord or pendant receiver with a dry contact.
//!
//! A press is told as soon as it has settled, whatever becomes of it. That it is held, or stuck (a cord
//! that hangs, a button under a mattress), is told besides.

use embedded_hal::digital::InputPin;

use crate::contact::{Active, Contact};

/// How long a contact of a button must hold to count. Buttons bounce for up to 20 ms; the shortest
/// press of a hand is about 50 ms.
pub const SETTLE_MS: u32 = 25;
/// A press that lasts so long is meant.
pub const HELD_AFTER_MS: u64 = 3_000;
/// Nobody presses for so long: the button is stuck and would not be heard again.
pub const STUCK_AFTER_MS: u64 = 60_000;

/// What became of the button.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It was pressed: somebody calls. Also where it is found pressed at the start.
    Pressed,
    /// It is pressed for [`HELD_AFTER_MS`].
    Held,
    /// It is pressed for [`STUCK_AFTER_MS`]: a new press cannot be heard, so this is a fault as well.
    Stuck,
    /// It was let go.
    Released {
        /// How long it was pressed.
        after_ms: u64,
    },
}

/// The farthest that was told of a press.
#[derive(Debug, Clone, Copy)]
enum Told {
    Pressed,
    Held,
    Stuck,
}

/// An SOS button on a pin.
#[derive(Debug)]
pub struct SosButton<P> {
    contact: Contact<P>,
    /// Since when it is pressed, and what was told of that.
    press: Option<(u64, Told)>,
}

impl<P: InputPin> SosButton<P> {
    /// A button on `pin`.
    pub fn new(pin: P, active: Active) -> Self {
        Self { contact: Contact::new(pin, active, SETTLE_MS), press: None }
    }

    /// Looks at the pin at `now_ms`; wants to be called each 10 ms or so. One event at a time: what falls
    /// due together comes at the calls that follow, none is left out.
    ///
    /// # Errors
    /// Where the pin cannot be read.
    pub fn poll(&mut self, now_ms: u64) -> Result<Option<Event>, P::Error> {
        match self.contact.poll(now_ms)? {
            Some(true) => {
                self.press = Some((now_ms, Told::Pressed));
                return Ok(Some(Event::Pressed));
            }
            Some(false) => {
                let released = |(since_ms, _)| Event::Released { after_ms: now_ms.saturating_sub(since_ms) };
                return Ok(self.press.take().map(released));
            }
            None => {}
        }
        let Some((since_ms, told)) = &mut self.press else { return Ok(None) };
        let pressed_ms = now_ms.saturating_sub(*since_ms);
        let (next, event) = match told {
            Told::Pressed if pressed_ms >= HELD_AFTER_MS => (Told::Held, Event::Held),
            Told::Held if pressed_ms >= STUCK_AFTER_MS => (Told::Stuck, Event::Stuck),
            _ => return Ok(None),
        };
        *told = next;
        Ok(Some(event))
    }

    /// Whether its contact does not settle: a press could not be heard, so this is a fault.
    pub fn is_unsteady(&self, now_ms: u64) -> bool {
        self.contact.is_unsteady(now_ms)
    }

    /// Whether it is pressed now.
    pub fn is_pressed(&self) -> bool {
        self.press.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal_mock::eh1::digital::{Mock, State, Transaction};

    extern crate std;
    use State::{High, Low};
    use std::vec::Vec;

    /// The events of looks at the given times and levels, with their times.
    fn events(looks: &[(u64, State)]) -> Vec<(u64, Event)> {
        let mut pin = Mock::new(&looks.iter().map(|(_, level)| Transaction::get(*level)).collect::<Vec<_>>());
        let mut button = SosButton::new(pin.clone(), Active::Low);
        let events = looks.iter().filter_map(|(now_ms, _)| Some((*now_ms, button.poll(*now_ms).unwrap()?))).collect();
        pin.done();
        events
    }

    /// A look each 10 ms, pressed within the given times.
    fn looked(until_ms: u64, presses: &[(u64, u64)]) -> Vec<(u64, Event)> {
        let pressed = |now_ms| presses.iter().any(|(from_ms, to_ms)| (*from_ms..*to_ms).contains(&now_ms));
        let looks = (0..until_ms).step_by(10).map(|now_ms| (now_ms, if pressed(now_ms) { Low } else { High }));
        events(&looks.collect::<Vec<_>>())
    }

    #[test]
    fn a_short_press_is_told_at_once_and_once() {
        assert_eq!(looked(70_000, &[(100, 160)]), [(130, Event::Pressed), (190, Event::Released { after_ms: 60 })]);
    }

    #[test]
    fn a_press_that_is_held_was_told_long_before() {
        assert_eq!(
            looked(6_000, &[(100, 5_000)]),
            [(130, Event::Pressed), (3_130, Event::Held), (5_030, Event::Released { after_ms: 4_900 })]
        );
    }

    #[test]
    fn a_button_that_stays_pressed_is_stuck() {
        assert_eq!(
            looked(70_000, &[(0, 70_000)]),
            [(30, Event::Pressed), (3_030, Event::Held), (60_030, Event::Stuck)]
        );
    }

    #[test]
    fn each_press_counts_also_right_after_another() {
        let said = looked(1_000, &[(100, 200), (250, 350), (400, 500)]);
        assert_eq!(said.iter().filter(|(_, event)| *event == Event::Pressed).count(), 3);
    }

    #[test]
    fn bouncing_is_one_press() {
        let said = looked(1_000, &[(100, 110), (120, 130), (140, 300), (310, 320), (330, 340)]);
        assert_eq!(said, [(170, Event::Pressed), (370, Event::Released { after_ms: 200 })]);
    }

    #[test]
    fn a_button_that_only_bounces_is_a_fault() {
        let looks = (0..=1_000).map(|look| (look * 10, if look % 2 == 0 { Low } else { High }));
        let mut pin = Mock::new(&looks.clone().map(|(_, level)| Transaction::get(level)).collect::<Vec<_>>());
        let mut button = SosButton::new(pin.clone(), Active::Low);
        for (now_ms, _) in looks {
            assert_eq!(button.poll(now_ms), Ok(None));
            assert_eq!(button.is_unsteady(now_ms), now_ms == 10_000, "at {now_ms} ms");
        }
        pin.done();
    }

    #[test]
    fn a_late_look_leaves_nothing_out() {
        let said = events(&[(0, Low), (100_000, Low), (100_010, Low), (200_000, Low), (200_010, Low), (200_020, Low)]);
        assert_eq!(said, [(100_000, Event::Pressed), (200_000, Event::Held), (200_010, Event::Stuck)]);
    }
}
