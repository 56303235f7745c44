//! A supervised line: contacts on two wires with a resistor at the far end, measured by an ADC.
//!
//! ```text
//! supply ── pull-up ──┬──────────┬── wires ──┬─────────────┐
//!                    ADC         │      alarm resistor   end-of-line
//!                               ...      and contact      resistor
//! ground ─────────────┴──────────┴── wires ──┴─────────────┘
//! ```
//! As fire lines are wired (class B of NFPA 72; EN 54-2 and GB 4717 want a fault told within 100 s): the
//! end-of-line resistor is what a healthy line measures, a contact that closes adds its alarm resistor
//! beside it, a cut line measures nothing, a crushed one a short. Put the end-of-line resistor into the
//! last device, not into the box: what lies behind it is not watched. Usual: 4.7 kΩ at the end, 680 Ω
//! or 1 kΩ in each contact, 4.7 kΩ as pull-up.
//!
//! The limit between healthy and alarm is the geometric mean of their resistances, that to cut halfway to the
//! supply. Several contacts at once measure less than one; all down to a tenth of one count as alarm, and only
//! below that is a short. What chatters between conditions is told as unsteady, a fault, also where one of them
//! is the alarm.

use core::fmt;

use libm::sqrtf;

/// What a line is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wiring {
    /// The voltage that feeds the pull-up.
    pub supply_mv: u16,
    /// The resistor between supply and line.
    pub pull_up_ohm: f32,
    /// The resistor at the far end.
    pub end_of_line_ohm: f32,
    /// The resistor in series with each contact.
    pub alarm_ohm: f32,
}

/// How a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The end-of-line resistor, no contact made.
    Normal,
    /// A contact is made.
    Alarm,
    /// Cut, or the end-of-line resistor is gone: no alarm would be heard.
    Open,
    /// Shorted: no alarm would be heard. Who wires contacts without an alarm resistor means an alarm.
    Short,
    /// It has not held any condition for [`UNSTEADY_AFTER_MS`]: a loose contact or wire.
    Unsteady,
}

impl Condition {
    /// Whether an alarm could not be heard: a fault to be told.
    pub fn is_fault(self) -> bool {
        matches!(self, Self::Open | Self::Short | Self::Unsteady)
    }
}

/// After how long a line that holds no condition is told as a fault.
pub const UNSTEADY_AFTER_MS: u64 = 10_000;

/// The least distance of two limits, in parts of the supply, that an ADC and 5 % resistors can tell apart.
const LEAST_APART: f32 = 0.05;
/// Below this part of one alarm resistor it is a short.
const SHORT_PART: f32 = 0.1;

/// Resistors that cannot be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadWiring {
    /// A value is zero, negative or no number.
    NotPositive,
    /// The voltages of healthy and alarm, alarm and short, or cut and healthy are too close.
    TooClose,
}

impl fmt::Display for BadWiring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotPositive => "supply and resistors of a line must be greater than 0",
            Self::TooClose => {
                "alarm, healthy, cut and short of this line are too close to tell apart: \
                 take 4.7 kΩ as pull-up and end of line, and 680 Ω to 1 kΩ in each contact"
            }
        })
    }
}

impl core::error::Error for BadWiring {}

/// A line whose condition must hold for `settle_ms` to count.
#[derive(Debug)]
pub struct Line {
    /// Below them it is a short, an alarm, normal; above the last it is open.
    limits_mv: [u16; 3],
    settle_ms: u32,
    condition: Option<Condition>,
    settling: Option<(Condition, u64)>,
    unsteady_since: Option<u64>,
}

impl Line {
    /// A line of the given wiring.
    ///
    /// # Errors
    /// Where its conditions could not be told apart.
    pub fn new(wiring: Wiring, settle_ms: u32) -> Result<Self, BadWiring> {
        let Wiring { supply_mv, pull_up_ohm, end_of_line_ohm, alarm_ohm } = wiring;
        let positive = |value: f32| value.is_finite() && value > 0.0;
        if supply_mv == 0 || ![pull_up_ohm, end_of_line_ohm, alarm_ohm].into_iter().all(positive) {
            return Err(BadWiring::NotPositive);
        }
        let part = |ohm: f32| ohm / (pull_up_ohm + ohm);
        let one_alarm_ohm = end_of_line_ohm * alarm_ohm / (end_of_line_ohm + alarm_ohm);
        let shorted = part(one_alarm_ohm * SHORT_PART);
        let (alarm, normal, open) = (part(one_alarm_ohm), part(end_of_line_ohm), 1.0);
        if alarm - shorted < LEAST_APART || normal - alarm < 2.0 * LEAST_APART || open - normal < 2.0 * LEAST_APART {
            return Err(BadWiring::TooClose);
        }
        // Towards open there is no resistance to take a mean with: halfway, in volts.
        let limits = [shorted, part(sqrtf(one_alarm_ohm * end_of_line_ohm)), f32::midpoint(normal, open)];
        let limits_mv = limits.map(|part| (part * f32::from(supply_mv)) as u16);
        Ok(Self { limits_mv, settle_ms, condition: None, settling: None, unsteady_since: None })
    }

    /// Takes what the line measures at `now_ms`. `Some` when its condition has changed, and at the first
    /// that settles.
    pub fn poll(&mut self, line_mv: u16, now_ms: u64) -> Option<Condition> {
        let measured = self.measured(line_mv);
        let since_ms = match self.settling {
            Some((condition, since_ms)) if condition == measured => since_ms,
            _ => {
                self.settling = Some((measured, now_ms));
                now_ms
            }
        };
        let holds = now_ms.saturating_sub(since_ms) >= u64::from(self.settle_ms);
        let condition = if holds {
            self.unsteady_since = None;
            measured
        } else {
            let unsteady_since = *self.unsteady_since.get_or_insert(since_ms);
            if now_ms.saturating_sub(unsteady_since) < UNSTEADY_AFTER_MS {
                return None;
            }
            Condition::Unsteady
        };
        let changed = self.condition.replace(condition) != Some(condition);
        changed.then_some(condition)
    }

    /// Its condition; `None` before the first has settled.
    pub fn condition(&self) -> Option<Condition> {
        self.condition
    }

    fn measured(&self, line_mv: u16) -> Condition {
        let [short, alarm, normal] = self.limits_mv;
        match line_mv {
            mv if mv <= short => Condition::Short,
            mv if mv <= alarm => Condition::Alarm,
            mv if mv <= normal => Condition::Normal,
            _ => Condition::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    extern crate std;
    use std::format;
    use std::vec::Vec;

    const USUAL: Wiring = Wiring { supply_mv: 3300, pull_up_ohm: 4700.0, end_of_line_ohm: 4700.0, alarm_ohm: 1000.0 };

    /// What the ADC sees of resistances beside each other, behind some ohms of cable.
    fn measures(cable_ohm: f32, beside: &[f32]) -> u16 {
        let conductance: f32 = beside.iter().map(|ohm| 1.0 / ohm).sum();
        let ohm = cable_ohm + 1.0 / conductance;
        let part = if ohm.is_infinite() { 1.0 } else { ohm / (USUAL.pull_up_ohm + ohm) };
        (part * f32::from(USUAL.supply_mv)).round() as u16
    }

    fn settled(line_mv: u16) -> Condition {
        let mut line = Line::new(USUAL, 100).unwrap();
        assert_eq!(line.poll(line_mv, 0), None);
        assert_eq!(line.poll(line_mv, 99), None);
        let told = line.poll(line_mv, 100).unwrap();
        assert_eq!(line.condition(), Some(told));
        told
    }

    #[test]
    fn healthy_alarm_cut_and_short_are_told_apart() {
        for tolerance in [0.95, 1.0, 1.05] {
            for cable_ohm in [0.0, 20.0, 100.0] {
                let (end, contact) = (4700.0 * tolerance, 1000.0 / tolerance);
                assert_eq!(settled(measures(cable_ohm, &[end])), Condition::Normal);
                assert_eq!(settled(measures(cable_ohm, &[end, contact])), Condition::Alarm);
                assert_eq!(settled(measures(cable_ohm, &[])), Condition::Open, "cut, nothing beyond");
                assert_eq!(
                    settled(measures(cable_ohm, &[contact])),
                    Condition::Alarm,
                    "cut behind a contact that is made"
                );
            }
        }
        assert_eq!(settled(measures(20.0, &[0.001])), Condition::Short);
        assert_eq!(settled(0), Condition::Short);
        assert_eq!(settled(u16::MAX), Condition::Open);
    }

    #[test]
    fn many_heads_at_once_are_an_alarm_and_no_short() {
        for heads in 1..=8 {
            let beside: Vec<f32> = [4700.0].into_iter().chain((0..heads).map(|_| 1000.0)).collect();
            assert_eq!(settled(measures(0.0, &beside)), Condition::Alarm, "{heads} heads");
        }
    }

    #[test]
    fn a_cut_line_is_told_and_its_mending_too() {
        let (healthy, cut) = (measures(0.0, &[4700.0]), 3300);
        let mut line = Line::new(USUAL, 100).unwrap();
        let told: Vec<_> = (0..)
            .step_by(50)
            .zip([healthy, healthy, healthy, cut, healthy, healthy, cut, cut, cut, healthy, healthy, healthy])
            .filter_map(|(now_ms, line_mv)| Some((now_ms, line.poll(line_mv, now_ms)?)))
            .collect();
        assert_eq!(told, [(100, Condition::Normal), (400, Condition::Open), (550, Condition::Normal)]);
        assert!(Condition::Open.is_fault() && !Condition::Alarm.is_fault());
    }

    #[test]
    fn a_loose_wire_does_not_look_healthy() {
        let (healthy, cut) = (measures(0.0, &[4700.0]), 3300);
        let mut line = Line::new(USUAL, 100).unwrap();
        let told: Vec<_> = (0..30_000)
            .step_by(10)
            .filter_map(|now_ms| {
                let line_mv = if now_ms < 1_000 || now_ms / 50 % 2 == 0 { healthy } else { cut };
                Some((now_ms, line.poll(line_mv, now_ms)?))
            })
            .collect();
        assert_eq!(told, [(100, Condition::Normal), (11_050, Condition::Unsteady)]);
        assert_eq!(line.poll(healthy, 30_100), None);
        assert_eq!(line.poll(healthy, 30_200), Some(Condition::Normal), "held at last");
    }

    #[test]
    fn what_cannot_be_told_apart_is_refused() {
        for (wiring, wrong) in [
            (Wiring { alarm_ohm: 100_000.0, ..USUAL }, BadWiring::TooClose),
            (Wiring { end_of_line_ohm: 100_000.0, ..USUAL }, BadWiring::TooClose),
            (Wiring { alarm_ohm: 10.0, ..USUAL }, BadWiring::TooClose),
            (Wiring { pull_up_ohm: 0.0, ..USUAL }, BadWiring::NotPositive),
            (Wiring { end_of_line_ohm: f32::NAN, ..USUAL }, BadWiring::NotPositive),
            (Wiring { supply_mv: 0, ..USUAL }, BadWiring::NotPositive),
        ] {
            assert_eq!(Line::new(wiring, 100).err(), Some(wrong), "{wiring:?}");
        }
        assert!(format!("{}", BadWiring::TooClose).contains("4.7 kΩ"));
    }
}
