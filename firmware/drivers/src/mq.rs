//! MQ-2 and MQ-5 (Hanwei, Winsen): heated tin dioxide elements whose resistance falls with combustible gas.
//!
//! ```text
//! supply 5 V ── element Rs ──┬── load resistor ── ground      Rs = load × (supply − V) / V
//!                            └── V, to the ADC (through a divider where it bears less than 5 V)
//! ```
//! | datasheet of Hanwei | MQ-2 | MQ-5 |
//! |--|--|--|
//! | range (table C) | LPG 200 to 5,000 ppm | LPG and natural gas 200 to 10,000 ppm |
//! | R0 | Rs in 1,000 ppm of hydrogen | the same |
//! | Rs/R0 in clean air (its figure of sensitivity) | 9.8 | 6.5 |
//! | heated before it is measured by (table C) | over 24 h | over 24 h |
//!
//! embedded-hal 1.0 has no trait for an ADC: what goes in is the voltage at the load, see [`adc`](crate::adc).
//!
//! **What such an element can claim.** It notices combustible gas, and roughly how much: the figures are of one
//! gas in laboratory air (20 °C, 65 %RH); another gas, humidity, temperature and age each shift it by a factor
//! of 1.5 to 2. It hears alcohol, paint and frying too. It is no certified gas alarm (GB 15322, EN 50194) and
//! does not replace one. There is none for carbon monoxide here on purpose: MQ-7 and MQ-9 want their heater
//! switched between 5 and 1.4 V, and cannot tell doses that kill in a night from the smoke of a kitchen. For
//! that take a certified alarm (GB 15322, EN 50291) and wire its relay as a [`contact`](crate::contact).
//!
//! **Heater.** The divider sees the element, not its heater. A heater that is open leaves the element cold,
//! which then measures far more than in clean air: [`Air::Cold`]. A shorted heater takes down the supply that
//! it shares with the element, and ends as cold too. A shorted element cannot be told from very much gas, and
//! is told as gas.

use core::fmt;

use libm::{logf, powf};

/// How long an element is not believed after its heater was switched on: it begins by measuring gas that
/// is not there. The datasheets give no number for it; the modules' makers speak of minutes.
pub const WARM_UP_MS: u64 = 180_000;
/// How long it is heated before R0 is taken: "over 24 hour" (table C).
pub const FIRST_HEAT_MS: u64 = 24 * 3_600_000;
/// How much more than in clean air a cold element measures. Weather and age make 2 of it.
const COLD_FACTOR: f32 = 10.0;

/// An element and the gas that it is read for: two points of its curve in the datasheet's figure of
/// sensitivity, where it is straight on logarithmic axes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gas {
    /// Rs/R0 in clean air.
    pub clean_air_ratio: f32,
    /// ppm and Rs/R0 of two points, less gas first.
    pub curve: [(f32, f32); 2],
    /// The least and most that it measures.
    pub range_ppm: (f32, f32),
}

/// MQ-2 for LPG.
pub const MQ2_LPG: Gas =
    Gas { clean_air_ratio: 9.8, curve: [(200.0, 1.62), (10_000.0, 0.26)], range_ppm: (200.0, 5_000.0) };
/// MQ-5 for LPG.
pub const MQ5_LPG: Gas =
    Gas { clean_air_ratio: 6.5, curve: [(200.0, 0.70), (10_000.0, 0.145)], range_ppm: (200.0, 10_000.0) };
/// MQ-5 for natural gas (methane), which explodes from 50,000 ppm on.
pub const MQ5_METHANE: Gas =
    Gas { clean_air_ratio: 6.5, curve: [(200.0, 0.95), (10_000.0, 0.204)], range_ppm: (200.0, 10_000.0) };

impl Gas {
    /// The ppm at a ratio Rs/R0, along the line through the two points.
    fn ppm(&self, ratio: f32) -> f32 {
        let [(ppm, at), (more_ppm, less)] = self.curve;
        ppm * powf(ratio / at, logf(more_ppm / ppm) / logf(less / at))
    }
}

/// The divider that an element stands in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Divider {
    /// The voltage over element and load.
    pub supply_mv: u16,
    /// The load resistor: 5 to 20 kΩ as the datasheets have it. Cheap modules carry 1 kΩ.
    pub load_ohm: f32,
}

impl Divider {
    /// The resistance of the element: without end at 0 mV, nothing at the supply and above.
    pub fn element_ohm(&self, load_mv: u16) -> f32 {
        let over_element_mv = self.supply_mv.saturating_sub(load_mv);
        if load_mv == 0 { f32::INFINITY } else { self.load_ohm * f32::from(over_element_mv) / f32::from(load_mv) }
    }
}

/// What is in the air, or why that is not known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Air {
    /// Not known: the heater was switched on a moment ago.
    WarmingUp {
        /// How long until it is believed.
        left_ms: u64,
    },
    /// Not known: heater, element or wire is open, or the supply is gone. A fault.
    Cold,
    /// Less than it can measure.
    Below,
    /// So much, roughly.
    Ppm(f32),
    /// More than it can measure, or a shorted element: take it for gas.
    Above,
}

/// An element whose R0 is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mq {
    gas: Gas,
    divider: Divider,
    r0_ohm: f32,
    heated_since_ms: u64,
}

impl Mq {
    /// An element with the R0 that [`Calibration`] has found, heated since `heated_since_ms`.
    pub fn new(gas: Gas, divider: Divider, r0_ohm: f32, heated_since_ms: u64) -> Self {
        Self { gas, divider, r0_ohm, heated_since_ms }
    }

    /// What the voltage at the load says of the air.
    pub fn air(&self, load_mv: u16, now_ms: u64) -> Air {
        let element_ohm = self.divider.element_ohm(load_mv);
        let ratio = element_ohm / self.r0_ohm;
        let heated_ms = now_ms.saturating_sub(self.heated_since_ms);
        if heated_ms < WARM_UP_MS {
            return Air::WarmingUp { left_ms: WARM_UP_MS - heated_ms };
        }
        // With an R0 that is no number nothing is known either.
        if ratio.is_nan() || ratio >= self.gas.clean_air_ratio * COLD_FACTOR {
            return Air::Cold;
        }
        let (least_ppm, most_ppm) = self.gas.range_ppm;
        match self.gas.ppm(ratio) {
            ppm if ppm < least_ppm => Air::Below,
            ppm if ppm <= most_ppm => Air::Ppm(ppm),
            _ => Air::Above,
        }
    }

    /// The value to send: nothing as 0, too much as the end of the range. None where the air is not known,
    /// so that whoever waits for it notices.
    pub fn ppm(&self, load_mv: u16, now_ms: u64) -> Option<f32> {
        match self.air(load_mv, now_ms) {
            Air::WarmingUp { .. } | Air::Cold => None,
            Air::Below => Some(0.0),
            Air::Ppm(ppm) => Some(ppm),
            Air::Above => Some(self.gas.range_ppm.1),
        }
    }
}

/// How many voltages R0 is taken from.
pub const SAMPLES: u16 = 60;
/// How far they may lie apart, as part of their mean: it must be the air that stands still.
const STEADY: f32 = 0.1;

/// Takes R0 in clean air: outdoors or in an aired room, after a day of heating, one voltage a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    gas: Gas,
    divider: Divider,
    heated_since_ms: u64,
    samples: u16,
    sum_ohm: f32,
    least_ohm: f32,
    most_ohm: f32,
}

/// Why there is no R0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotCalibrated {
    /// It has not been heated for [`FIRST_HEAT_MS`].
    TooEarly {
        /// How long it is still to be heated.
        left_ms: u64,
    },
    /// Not [`SAMPLES`] yet.
    TooFew {
        /// How many more there must be.
        missing: u16,
    },
    /// They lie too far apart: there is gas or a draught.
    Unsteady,
    /// The voltage is that of an open or shorted element.
    Fault,
}

impl fmt::Display for NotCalibrated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooEarly { left_ms } => {
                write!(
                    f,
                    "the gas element is to be heated for {} min more before it is calibrated",
                    left_ms / 60_000 + 1
                )
            }
            Self::TooFew { missing } => write!(f, "{missing} more voltages are needed to calibrate the gas element"),
            Self::Unsteady => {
                f.write_str("the air is not steady: air the room, wait, and calibrate the gas element again")
            }
            Self::Fault => f.write_str("the gas element is open or shorted: check its heater, supply and wires"),
        }
    }
}

impl core::error::Error for NotCalibrated {}

impl Calibration {
    /// Begins; the heater is on since `heated_since_ms`.
    pub fn new(gas: Gas, divider: Divider, heated_since_ms: u64) -> Self {
        let (sum_ohm, least_ohm, most_ohm) = (0.0, f32::INFINITY, 0.0);
        Self { gas, divider, heated_since_ms, samples: 0, sum_ohm, least_ohm, most_ohm }
    }

    /// Takes one voltage; those beyond [`SAMPLES`] are left out.
    pub fn add(&mut self, load_mv: u16) {
        if self.samples < SAMPLES {
            let element_ohm = self.divider.element_ohm(load_mv);
            self.samples += 1;
            self.sum_ohm += element_ohm;
            self.least_ohm = self.least_ohm.min(element_ohm);
            self.most_ohm = self.most_ohm.max(element_ohm);
        }
    }

    /// R0, as of `now_ms`.
    ///
    /// # Errors
    /// As [`NotCalibrated`] says.
    pub fn r0_ohm(&self, now_ms: u64) -> Result<f32, NotCalibrated> {
        let heated_ms = now_ms.saturating_sub(self.heated_since_ms);
        if heated_ms < FIRST_HEAT_MS {
            return Err(NotCalibrated::TooEarly { left_ms: FIRST_HEAT_MS - heated_ms });
        }
        if self.samples < SAMPLES {
            return Err(NotCalibrated::TooFew { missing: SAMPLES - self.samples });
        }
        if !self.sum_ohm.is_finite() || self.least_ohm <= 0.0 {
            return Err(NotCalibrated::Fault);
        }
        let mean_ohm = self.sum_ohm / f32::from(SAMPLES);
        if self.most_ohm - self.least_ohm > STEADY * mean_ohm {
            return Err(NotCalibrated::Unsteady);
        }
        Ok(mean_ohm / self.gas.clean_air_ratio)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    extern crate std;
    use std::string::ToString;

    const DIVIDER: Divider = Divider { supply_mv: 5_000, load_ohm: 20_000.0 };
    const R0_OHM: f32 = 20_000.0;
    const WARM_MS: u64 = 1_000 + WARM_UP_MS;

    /// The voltage at the load with the element at a ratio Rs/R0.
    fn load_mv(ratio: f32) -> u16 {
        (5_000.0 * DIVIDER.load_ohm / (DIVIDER.load_ohm + ratio * R0_OHM)).round() as u16
    }

    fn element(gas: Gas) -> Mq {
        Mq::new(gas, DIVIDER, R0_OHM, 1_000)
    }

    /// Points read off the figures, between and at those that the line is drawn through.
    #[test]
    fn ratios_become_ppm_as_in_the_datasheets_figures() {
        for (gas, ratio, ppm) in [
            (MQ5_LPG, 0.68, 210.0),
            (MQ5_LPG, 0.355, 1_000.0),
            (MQ5_LPG, 0.189, 5_000.0),
            (MQ5_METHANE, 0.515, 1_000.0),
            (MQ5_METHANE, 0.275, 5_000.0),
            (MQ2_LPG, 0.78, 1_000.0),
        ] {
            let Air::Ppm(measured) = element(gas).air(load_mv(ratio), WARM_MS) else { panic!("{ratio} is in range") };
            assert!((measured / ppm - 1.0).abs() < 0.15, "{measured} ppm for {ppm}");
        }
    }

    #[test]
    fn more_gas_never_reads_as_less() {
        let mq = element(MQ5_METHANE);
        let ppm = (200..=5_000).map(|mv| mq.ppm(mv, WARM_MS).unwrap());
        assert!(ppm.clone().zip(ppm.skip(1)).all(|(less, more)| less <= more));
    }

    #[test]
    fn clean_air_is_below_and_too_much_is_above() {
        for gas in [MQ2_LPG, MQ5_LPG, MQ5_METHANE] {
            let mq = element(gas);
            assert_eq!(mq.air(load_mv(gas.clean_air_ratio), WARM_MS), Air::Below);
            assert_eq!(mq.ppm(load_mv(gas.clean_air_ratio), WARM_MS), Some(0.0));
            for much in [load_mv(0.05), 5_000, u16::MAX] {
                assert_eq!(mq.air(much, WARM_MS), Air::Above, "{much} mV: gas or a short, and no fault to be ignored");
                assert_eq!(mq.ppm(much, WARM_MS), Some(gas.range_ppm.1));
            }
        }
    }

    #[test]
    fn it_is_not_believed_before_it_is_warm() {
        let mq = element(MQ5_LPG);
        assert_eq!(mq.air(load_mv(0.3), 1_000), Air::WarmingUp { left_ms: WARM_UP_MS });
        assert_eq!(mq.air(load_mv(0.3), WARM_MS - 1), Air::WarmingUp { left_ms: 1 });
        assert_eq!(mq.ppm(load_mv(0.3), WARM_MS - 1), None);
        assert!(matches!(mq.air(0, 1_000), Air::WarmingUp { .. }), "a heater that begins is no open one");
        assert!(matches!(mq.air(load_mv(0.3), WARM_MS), Air::Ppm(_)));
    }

    #[test]
    fn an_open_heater_is_not_clean_air() {
        let mq = element(MQ5_LPG);
        for cold in [0, 1, load_mv(MQ5_LPG.clean_air_ratio * 11.0)] {
            assert_eq!(mq.air(cold, WARM_MS), Air::Cold, "{cold} mV");
            assert_eq!(mq.ppm(cold, WARM_MS), None);
        }
        assert_eq!(mq.air(load_mv(MQ5_LPG.clean_air_ratio * 2.0), WARM_MS), Air::Below, "weather and age");
        assert_eq!(Mq::new(MQ5_LPG, DIVIDER, f32::NAN, 0).air(2_500, WARM_MS), Air::Cold);
        assert_eq!(Mq::new(MQ5_LPG, DIVIDER, 0.0, 0).air(2_500, WARM_MS), Air::Cold);
    }

    fn calibrated(millivolts: impl Iterator<Item = u16>, now_ms: u64) -> Result<f32, NotCalibrated> {
        let mut calibration = Calibration::new(MQ5_LPG, DIVIDER, 1_000);
        millivolts.for_each(|mv| calibration.add(mv));
        calibration.r0_ohm(now_ms)
    }

    #[test]
    fn r0_is_found_in_clean_air() {
        let clean = load_mv(MQ5_LPG.clean_air_ratio);
        let r0_ohm = calibrated((0..SAMPLES).map(|n| clean + n % 3), 1_000 + FIRST_HEAT_MS).unwrap();
        assert!((r0_ohm / R0_OHM - 1.0).abs() < 0.01, "{r0_ohm}");
    }

    #[test]
    fn r0_is_not_taken_of_anything_else() {
        let clean = load_mv(MQ5_LPG.clean_air_ratio);
        let of = |mv: u16, count: u16| std::iter::repeat_n(mv, count.into());
        let late = 1_000 + FIRST_HEAT_MS;
        assert_eq!(calibrated(of(clean, 60), 1_000), Err(NotCalibrated::TooEarly { left_ms: FIRST_HEAT_MS }));
        assert_eq!(calibrated(of(clean, 59), late), Err(NotCalibrated::TooFew { missing: 1 }));
        assert_eq!(calibrated(of(clean, 59).chain(of(clean + 100, 1)), late), Err(NotCalibrated::Unsteady));
        assert_eq!(calibrated(of(0, 60), late), Err(NotCalibrated::Fault));
        assert_eq!(calibrated(of(5_000, 60), late), Err(NotCalibrated::Fault));
        assert!(NotCalibrated::TooEarly { left_ms: FIRST_HEAT_MS }.to_string().contains("1441 min"));
    }
}
