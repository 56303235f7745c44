//! What an analogue input counts, in millivolts.

/// An analogue-to-digital converter: what its greatest count stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adc {
    /// The greatest count: 4095 of 12 bits.
    pub full_scale: u16,
    /// The voltage of the greatest count.
    pub reference_mv: u16,
}

impl Adc {
    /// The millivolts of a count, rounded down; a converter without a scale measures nothing.
    pub fn millivolts(&self, count: u16) -> u16 {
        let millivolts = u32::from(count.min(self.full_scale)) * u32::from(self.reference_mv);
        let millivolts = millivolts.checked_div(u32::from(self.full_scale)).unwrap_or(0);
        u16::try_from(millivolts).unwrap_or(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_become_millivolts() {
        let adc = Adc { full_scale: 4095, reference_mv: 3300 };
        assert_eq!([0, 1, 2048, 4095, u16::MAX].map(|count| adc.millivolts(count)), [0, 0, 1650, 3300, 3300]);
        assert_eq!(Adc { full_scale: 0, reference_mv: 3300 }.millivolts(7), 0, "no division by nothing");
    }
}
