//! The sensors and outputs of a table, and what they have to say.
//!
//! What changes is told at once, in the channel's lane; a state that stays is told again each `every_s`, in the
//! routine lane. A sensor that does not answer says nothing, and has its bit in `failing`.

mod sensor;

use heapless::Vec;
use ninewatch_drivers::sos;
use ninewatch_wire::message::{Lane, Measure};
use ninewatch_wire::table::{Channel, MAX_CHANNELS, Table};

use self::sensor::{Sensor, State};
use crate::board::Board;
use crate::log::Log;

/// A sensor that has not answered is asked again after this, or sooner where it is due sooner.
const RETRY_MS: u64 = 5_000;

/// Takes what was measured.
pub(crate) type File<'a> = &'a mut dyn FnMut(Lane, u8, Measure);

/// What is fitted.
pub(crate) struct Sensors<B: Board> {
    fitted: Vec<Seat<B>, MAX_CHANNELS>,
}

impl<B: Board> Default for Sensors<B> {
    fn default() -> Self {
        Self { fitted: Vec::new() }
    }
}

/// A channel and what is there.
struct Seat<B: Board> {
    channel: Channel,
    sensor: Sensor<B>,
    /// When it is to be measured, or told again.
    due_ms: u64,
    is_failing: bool,
    is_stuck: bool,
}

impl<B: Board> Sensors<B> {
    /// Fits what the table says. Outputs go off.
    pub(crate) fn fit(&mut self, table: &Table, board: &mut B, now_ms: u64) {
        self.fitted = table.channels.iter().map(|channel| Seat::new(*channel, board, now_ms)).collect();
    }

    /// Looks at all that is due; gives when the next is.
    pub(crate) fn poll(&mut self, board: &mut B, log: &mut Log, now_ms: u64, file: File<'_>) -> u64 {
        let mut next_ms = u64::MAX;
        for (number, seat) in (0_u8..).zip(&mut self.fitted) {
            let (was_failing, was_stuck) = (seat.is_failing, seat.is_stuck);
            next_ms = next_ms.min(seat.poll(board, now_ms, &mut |lane, measure| file(lane, number, measure)));
            if was_failing != seat.is_failing {
                let what = if seat.is_failing { "does not answer" } else { "answers again" };
                log.line(now_ms, format_args!("channel {number} {what}: {:?}", seat.channel.fitted));
            }
            if was_stuck != seat.is_stuck {
                let what = if seat.is_stuck { "is stuck" } else { "is free again" };
                log.line(now_ms, format_args!("channel {number} {what}"));
            }
        }
        next_ms
    }

    /// Switches an output; false where there is none.
    pub(crate) fn switch(&mut self, channel: u8, on: bool, for_s: u16, now_ms: u64) -> bool {
        let seat = self.fitted.get_mut(usize::from(channel));
        seat.is_some_and(|seat| seat.sensor.switch(on, for_s, now_ms))
    }

    /// A bit for each channel whose sensor does not answer.
    pub(crate) fn failing(&self) -> u16 {
        self.bits(|seat| seat.is_failing)
    }

    /// A bit for each button that is stuck.
    pub(crate) fn stuck(&self) -> u16 {
        self.bits(|seat| seat.is_stuck)
    }

    fn bits(&self, is_set: impl Fn(&Seat<B>) -> bool) -> u16 {
        self.fitted.iter().zip(0..).filter(|(seat, _)| is_set(seat)).fold(0, |bits, (_, place)| bits | 1 << place)
    }

    /// What an installer who calibrates gas elements wants to know.
    pub(crate) fn describe(&self, board: &mut B, log: &mut Log, now_ms: u64) {
        for (number, seat) in self.fitted.iter().enumerate() {
            if let Some(ohm) = seat.sensor.element_ohm(board) {
                log.line(now_ms, format_args!("channel {number}: the element has {ohm:.0} ohm"));
            }
        }
    }
}

impl<B: Board> Seat<B> {
    fn new(channel: Channel, board: &mut B, now_ms: u64) -> Self {
        let sensor = Sensor::new(channel.fitted, board, now_ms).unwrap_or(Sensor::None);
        // That a button is up is known once it would have been heard.
        let is_button = matches!(sensor, Sensor::Button(_));
        let due_ms = if is_button { now_ms + 2 * u64::from(sos::SETTLE_MS) } else { now_ms };
        Self { channel, sensor, due_ms, is_failing: false, is_stuck: false }
    }

    fn poll(&mut self, board: &mut B, now_ms: u64, file: &mut dyn FnMut(Lane, Measure)) -> u64 {
        let lane = if self.channel.urgent { Lane::Urgent } else { Lane::Routine };
        let every_ms = u64::from(self.channel.every_s.max(1)) * 1_000;
        let is_due = now_ms >= self.due_ms;
        let found = self.sensor.look(board, now_ms, is_due);
        if let Some(is_stuck) = found.is_stuck {
            self.is_stuck = is_stuck;
        }
        match found.state {
            State::Nothing => {
                // It needs that long, whoever else has the node look about meanwhile.
                if let Some(next_ms) = found.next_ms.filter(|_| is_due) {
                    self.due_ms = next_ms;
                }
            }
            State::Failing => {
                self.is_failing = true;
                if is_due {
                    self.due_ms = now_ms + every_ms.min(RETRY_MS);
                }
            }
            State::Again(measure) => {
                self.is_failing = false;
                if is_due {
                    self.due_ms = now_ms + every_ms;
                    file(Lane::Routine, measure);
                }
            }
            State::New(measure, other) => {
                self.is_failing = false;
                self.due_ms = now_ms + every_ms;
                file(lane, measure);
                if let Some(other) = other {
                    file(lane, other);
                }
            }
        }
        found.next_ms.unwrap_or(self.due_ms).max(now_ms + 1)
    }
}
