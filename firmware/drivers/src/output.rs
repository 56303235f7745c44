//! A siren, lamp or relay: on, off or blinking, for a time or until told otherwise.
//!
//! It is off from construction on. What holds the pin while the program does not run (at power-up, after
//! a crash) is the board: give it a pull resistor to the inactive level.

use embedded_hal::digital::{OutputPin, PinState};

use crate::contact::Active;

/// What an output does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// Nothing.
    Off,
    /// On without a break.
    On,
    /// On and off in turns, beginning with on.
    Blink {
        /// How long it is on each time.
        on_ms: u32,
        /// How long it is off each time.
        off_ms: u32,
    },
}

impl Pattern {
    /// Whether it is on so long after it began.
    fn is_on(self, after_ms: u64) -> bool {
        match self {
            Self::Off => false,
            Self::On => true,
            Self::Blink { on_ms, off_ms } => {
                let turn_ms = u64::from(on_ms) + u64::from(off_ms);
                after_ms.checked_rem(turn_ms).is_some_and(|in_turn_ms| in_turn_ms < u64::from(on_ms))
            }
        }
    }
}

/// An output on a pin.
#[derive(Debug)]
pub struct Output<P> {
    pin: P,
    active: Active,
    pattern: Pattern,
    since_ms: u64,
    until_ms: Option<u64>,
    /// What the pin was last set to.
    on: bool,
}

impl<P: OutputPin> Output<P> {
    /// An output on `pin`, which is driven to off at once.
    ///
    /// # Errors
    /// Where the pin cannot be driven.
    pub fn new(mut pin: P, active: Active) -> Result<Self, P::Error> {
        pin.set_state(level(active, false))?;
        Ok(Self { pin, active, pattern: Pattern::Off, since_ms: 0, until_ms: None, on: false })
    }

    /// Begins a pattern at `now_ms`, for `for_ms` or until the next. The same pattern again lasts anew, and
    /// blinks on without a stumble.
    ///
    /// # Errors
    /// Where the pin cannot be driven; [`poll`](Self::poll) tries again.
    pub fn play(&mut self, pattern: Pattern, for_ms: Option<u32>, now_ms: u64) -> Result<(), P::Error> {
        if pattern != self.pattern {
            self.pattern = pattern;
            self.since_ms = now_ms;
        }
        self.until_ms = for_ms.map(|for_ms| now_ms.saturating_add(for_ms.into()));
        self.poll(now_ms).map(|_| ())
    }

    /// Drives the pin as the pattern has it at `now_ms`. `Some` when that has switched it on or off.
    ///
    /// # Errors
    /// Where the pin cannot be driven; the next call tries again.
    pub fn poll(&mut self, now_ms: u64) -> Result<Option<bool>, P::Error> {
        if self.until_ms.is_some_and(|until_ms| now_ms >= until_ms) {
            self.pattern = Pattern::Off;
        }
        let on = self.pattern.is_on(now_ms.saturating_sub(self.since_ms));
        if on == self.on {
            return Ok(None);
        }
        self.pin.set_state(level(self.active, on))?;
        self.on = on;
        Ok(Some(on))
    }

    /// Whether the pin is driven to on at this moment.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// What it does.
    pub fn pattern(&self) -> Pattern {
        self.pattern
    }
}

fn level(active: Active, on: bool) -> PinState {
    PinState::from(on == (active == Active::High))
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal_mock::eh1::MockError;
    use embedded_hal_mock::eh1::digital::{Mock, State, Transaction};

    extern crate std;
    use std::vec::Vec;

    const BLINK: Pattern = Pattern::Blink { on_ms: 200, off_ms: 300 };

    /// The pin is set to exactly these levels while `act` is done.
    fn sets<T>(levels: &[State], active: Active, act: impl FnOnce(&mut Output<Mock>) -> T) -> T {
        let expected: Vec<_> = levels.iter().map(|level| Transaction::set(*level)).collect();
        let mut pin = Mock::new(&expected);
        let result = act(&mut Output::new(pin.clone(), active).unwrap());
        pin.done();
        result
    }

    /// When it switches, looked at each 10 ms.
    fn switches(output: &mut Output<Mock>, from_ms: u64, to_ms: u64) -> Vec<(u64, bool)> {
        (from_ms..to_ms).step_by(10).filter_map(|now| Some((now, output.poll(now).unwrap()?))).collect()
    }

    #[test]
    fn it_is_off_from_the_first_moment() {
        sets(&[State::Low], Active::High, |output| assert!(!output.is_on()));
        sets(&[State::High], Active::Low, |output| assert!(!output.is_on()));
    }

    #[test]
    fn on_lasts_as_long_as_it_was_told() {
        sets(&[State::High, State::Low, State::High], Active::Low, |siren| {
            siren.play(Pattern::On, Some(5_000), 1_000).unwrap();
            assert!(siren.is_on());
            assert_eq!(switches(siren, 1_000, 20_000), [(6_000, false)]);
            assert_eq!(siren.pattern(), Pattern::Off);
        });
    }

    #[test]
    fn without_a_time_it_goes_on_until_told_otherwise() {
        sets(&[State::Low, State::High, State::Low], Active::High, |siren| {
            siren.play(Pattern::On, None, 0).unwrap();
            assert_eq!(siren.poll(u64::from(u32::MAX) * 2), Ok(None));
            siren.play(Pattern::Off, None, u64::from(u32::MAX) * 2).unwrap();
            assert!(!siren.is_on());
        });
    }

    #[test]
    fn blinking_keeps_its_turns_when_told_again() {
        let levels = [false, true, false, true, false, true, false, true, false]
            .map(|high| if high { State::High } else { State::Low });
        sets(&levels, Active::High, |lamp| {
            lamp.play(BLINK, Some(1_000), 0).unwrap();
            assert_eq!(switches(lamp, 0, 600), [(200, false), (500, true)]);
            lamp.play(BLINK, Some(1_000), 600).unwrap();
            let said = switches(lamp, 600, 5_000);
            assert_eq!(said, [(700, false), (1_000, true), (1_200, false), (1_500, true), (1_600, false)]);
            assert_eq!(lamp.pattern(), Pattern::Off, "1 s after it was told the second time");
        });
    }

    #[test]
    fn a_blink_of_no_length_is_off() {
        sets(&[State::Low], Active::High, |lamp| {
            lamp.play(Pattern::Blink { on_ms: 0, off_ms: 0 }, None, 0).unwrap();
            assert_eq!(switches(lamp, 0, 1_000), []);
        });
    }

    #[test]
    fn a_pin_that_fails_is_tried_again() {
        let failed = MockError::Io(std::io::ErrorKind::Other);
        let mut pin = Mock::new(&[
            Transaction::set(State::Low),
            Transaction::set(State::High).with_error(failed.clone()),
            Transaction::set(State::High),
        ]);
        let mut siren = Output::new(pin.clone(), Active::High).unwrap();
        assert_eq!(siren.play(Pattern::On, None, 0), Err(failed));
        assert!(!siren.is_on(), "what could not be set is not said to be");
        assert_eq!(siren.poll(10), Ok(Some(true)));
        pin.done();
    }
}
