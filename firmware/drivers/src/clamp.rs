//! A current clamp: a split-core transformer around one conductor of the mains, as YHDC's SCT-013.
//!
//! ```text
//! clamp ──┬── burden ──┬──  ADC            amps = RMS of the voltage × turns / burden
//!         └── half of the reference (two resistors and a capacitor)
//! ```
//! SCT-013-000 (YHDC datasheet): 100 A gives 50 mA, that is 2,000 turns; ±3 % from 10 to 120 % of that. With
//! 22 Ω, 100 A peak at 1.56 V, which fits a 3.3 V converter. SCT-013-030 and the like have their burden
//! inside and give 1 V at their current. Never open a clamp's circuit while current flows: the burden is
//! soldered before the clamp goes on.
//!
//! The bias is removed as the mean of whole mains cycles, so it need not be known. A clamp that is pulled
//! out, or lies around both conductors, measures 0 A as an idle circuit does: that cannot be told here.

use core::fmt;

use libm::sqrtf;

use crate::adc::Adc;

/// The mains of China and Europe.
pub const MAINS_HZ: u32 = 50;
/// The least samples of a cycle: enough for the 7th harmonic of switched supplies.
pub const LEAST_PER_CYCLE: u32 = 16;

/// Where the mean must lie, in hundredths of full scale: half, and what resistors of 5 % make of it.
const BIAS_PERCENT: core::ops::RangeInclusive<u64> = 40..=60;
/// What part of full scale from either end counts as clipped: amplifiers end before their rails.
const CLIPPED_PART: u16 = 100;

/// How a clamp turns current into voltage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ratio {
    /// A current output into a burden.
    Turns {
        /// The turns of its secondary: 2,000 of the SCT-013-000.
        turns: u16,
        /// The burden.
        burden_ohm: f32,
    },
    /// A voltage output: 30 A at 1 V of the SCT-013-030.
    AmpsPerVolt(f32),
}

/// A clamp on an ADC.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clamp {
    adc: Adc,
    amps_per_volt: f32,
    sample_hz: u32,
}

/// A current.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Current {
    /// True RMS, whatever the shape.
    pub rms_a: f32,
    /// The peaks did not fit: it is more than that.
    pub clipped: bool,
}

/// Why there is no current.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// Turns, burden, amps a volt or full scale are 0 or no number.
    NotPositive,
    /// Fewer samples a cycle than [`LEAST_PER_CYCLE`].
    TooSlow,
    /// The samples are not of whole cycles, or none, or more than 65,535.
    NotWholeCycles,
    /// The mean is not near half of full scale: bias, burden or wire are broken.
    Bias {
        /// Where it is, in hundredths of full scale.
        percent: u8,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPositive => f.write_str("turns, burden and scale of a current clamp must be greater than 0"),
            Self::TooSlow => write!(f, "a current clamp wants {} samples a second or more", LEAST_PER_CYCLE * MAINS_HZ),
            Self::NotWholeCycles => f.write_str("the samples of a current clamp must be of whole mains cycles"),
            Self::Bias { percent } => {
                write!(
                    f,
                    "the clamp's mean is at {percent} % of the scale and not at half: check bias, burden and wires"
                )
            }
        }
    }
}

impl core::error::Error for Error {}

impl Clamp {
    /// A clamp that is sampled `sample_hz` times a second.
    ///
    /// # Errors
    /// [`Error::NotPositive`] or [`Error::TooSlow`].
    pub fn new(ratio: Ratio, adc: Adc, sample_hz: u32) -> Result<Self, Error> {
        let amps_per_volt = match ratio {
            Ratio::Turns { turns, burden_ohm } => f32::from(turns) / burden_ohm,
            Ratio::AmpsPerVolt(amps) => amps,
        };
        if !(amps_per_volt.is_finite() && amps_per_volt > 0.0) || adc.full_scale == 0 || adc.reference_mv == 0 {
            return Err(Error::NotPositive);
        }
        if sample_hz < LEAST_PER_CYCLE * MAINS_HZ {
            return Err(Error::TooSlow);
        }
        Ok(Self { adc, amps_per_volt, sample_hz })
    }

    /// The current of counts that were taken at the rate of the clamp, over whole mains cycles.
    ///
    /// # Errors
    /// [`Error::NotWholeCycles`] or [`Error::Bias`].
    pub fn current(&self, counts: &[u16]) -> Result<Current, Error> {
        let taken = u16::try_from(counts.len()).map_err(|_| Error::NotWholeCycles)?;
        let beyond_whole = (u64::from(taken) * u64::from(MAINS_HZ)).checked_rem(u64::from(self.sample_hz));
        if taken == 0 || beyond_whole != Some(0) {
            return Err(Error::NotWholeCycles);
        }
        let number = u64::from(taken);
        let sum: u64 = counts.iter().map(|count| u64::from(*count)).sum();
        // Below 2^48, and below 2^64 times the number: exact.
        let squares: u64 = counts.iter().map(|count| u64::from(*count) * u64::from(*count)).sum();
        let percent = (100 * sum).checked_div(number * u64::from(self.adc.full_scale)).unwrap_or(0);
        if !BIAS_PERCENT.contains(&percent) {
            return Err(Error::Bias { percent: u8::try_from(percent).unwrap_or(u8::MAX) });
        }
        let margin = self.adc.full_scale / CLIPPED_PART;
        let clipped = counts.iter().any(|count| *count <= margin || *count >= self.adc.full_scale - margin);
        let rms_counts = sqrtf((number * squares - sum * sum) as f32) / f32::from(taken);
        let volts_per_count = f32::from(self.adc.reference_mv) / 1000.0 / f32::from(self.adc.full_scale);
        Ok(Current { rms_a: rms_counts * volts_per_count * self.amps_per_volt, clipped })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    extern crate std;
    use std::string::ToString;
    use std::vec::Vec;

    const ADC: Adc = Adc { full_scale: 4095, reference_mv: 3300 };
    const SCT_013_000: Ratio = Ratio::Turns { turns: 2_000, burden_ohm: 22.0 };
    const SAMPLE_HZ: u32 = 2_000;

    fn clamp() -> Clamp {
        Clamp::new(SCT_013_000, ADC, SAMPLE_HZ).unwrap()
    }

    /// Counts of `cycles` in which the current is `amps(angle)`.
    fn counts(cycles: u32, bias_mv: f32, amps: impl Fn(f32) -> f32) -> Vec<u16> {
        let count = |sample: u32| {
            let angle = sample as f32 * std::f32::consts::TAU * MAINS_HZ as f32 / SAMPLE_HZ as f32;
            let mv = bias_mv + amps(angle) / 2_000.0 * 22.0 * 1_000.0;
            (mv / 3_300.0 * 4_095.0).round().clamp(0.0, 4_095.0) as u16
        };
        (0..cycles * SAMPLE_HZ / MAINS_HZ).map(count).collect()
    }

    fn sine(rms_a: f32) -> impl Fn(f32) -> f32 {
        move |angle| rms_a * std::f32::consts::SQRT_2 * (angle + 0.3).sin()
    }

    #[test]
    fn a_sine_is_measured_whatever_the_bias() {
        for bias_mv in [1_500.0, 1_650.0, 1_700.0] {
            for amps in [0.5, 5.0, 16.0, 63.0] {
                let current = clamp().current(&counts(10, bias_mv, sine(amps))).unwrap();
                assert!((current.rms_a - amps).abs() < 0.005 * amps + 0.005, "{current:?} of {amps} A at {bias_mv} mV");
                assert!(!current.clipped);
            }
        }
        assert_eq!(clamp().current(&[2_048; 400]), Ok(Current { rms_a: 0.0, clipped: false }));
    }

    /// A square wave of 10 A is 10 A; a phase-angle dimmer at half is the sine's over the root of 2.
    #[test]
    fn it_is_the_true_rms_of_any_shape() {
        let square =
            clamp().current(&counts(10, 1_650.0, |angle| if angle.sin() >= 0.0 { 10.0 } else { -10.0 })).unwrap();
        assert!((square.rms_a - 10.0).abs() < 0.05, "{square:?}");
        let dimmed = |angle: f32| if angle.sin() * angle.cos() < 0.0 { 20.0 * angle.sin() } else { 0.0 };
        let dimmed = clamp().current(&counts(10, 1_650.0, dimmed)).unwrap();
        assert!((dimmed.rms_a - 10.0).abs() < 0.3, "{dimmed:?}");
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let current = clamp().current(&counts(10, 1_650.0, sine(120.0))).unwrap();
        assert!(current.clipped && current.rms_a < 120.0, "{current:?}");
        assert!(!clamp().current(&counts(10, 1_650.0, sine(100.0))).unwrap().clipped);
        for bias_mv in [1_400.0, 1_900.0] {
            let current = clamp().current(&counts(10, bias_mv, sine(95.0))).unwrap();
            assert!(current.clipped, "at one end only, with the bias at {bias_mv} mV: {current:?}");
        }
    }

    #[test]
    fn a_broken_bias_is_no_current_of_zero() {
        assert_eq!(clamp().current(&[0; 400]), Err(Error::Bias { percent: 0 }));
        assert_eq!(clamp().current(&[4_095; 400]), Err(Error::Bias { percent: 100 }));
        let error = clamp().current(&counts(10, 600.0, sine(1.0))).unwrap_err();
        assert!(error.to_string().contains("at 18 % of the scale"), "{error}");
    }

    #[test]
    fn only_whole_cycles_are_taken() {
        for length in [0, 1, 39, 41, 401] {
            assert_eq!(clamp().current(&std::vec![2_048; length]), Err(Error::NotWholeCycles), "{length}");
        }
        assert_eq!(clamp().current(&std::vec![2_048; 80_000]), Err(Error::NotWholeCycles));
        assert!(clamp().current(&[2_048; 40]).is_ok());
    }

    #[test]
    fn the_greatest_counts_do_not_overflow() {
        let wide = Adc { full_scale: u16::MAX, reference_mv: 3_300 };
        let clamp = Clamp::new(Ratio::AmpsPerVolt(30.0), wide, 800).unwrap();
        let counts: Vec<_> = (0..65_520_u32).map(|sample| if sample % 2 == 0 { u16::MAX } else { 0 }).collect();
        let current = clamp.current(&counts).unwrap();
        assert!((current.rms_a - 49.5).abs() < 0.01 && current.clipped, "{current:?}");
    }

    #[test]
    fn settings_without_sense_are_refused() {
        for (ratio, adc, sample_hz, wrong) in [
            (Ratio::Turns { turns: 2_000, burden_ohm: 0.0 }, ADC, SAMPLE_HZ, Error::NotPositive),
            (Ratio::Turns { turns: 0, burden_ohm: 22.0 }, ADC, SAMPLE_HZ, Error::NotPositive),
            (Ratio::AmpsPerVolt(f32::NAN), ADC, SAMPLE_HZ, Error::NotPositive),
            (SCT_013_000, Adc { full_scale: 0, ..ADC }, SAMPLE_HZ, Error::NotPositive),
            (SCT_013_000, ADC, 799, Error::TooSlow),
        ] {
            assert_eq!(Clamp::new(ratio, adc, sample_hz), Err(wrong));
        }
    }
}
