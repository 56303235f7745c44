//! What is usual, from a few days: a middle and a spread that one odd day does not move far.

/// What is believed before anything is seen, and how few values are too few.
pub(super) struct Prior {
    /// A home's usual spread from day to day, min.
    pub(super) spread_min: f32,
    /// Limits are never below.
    pub(super) least_min: f32,
}

/// As many days as the prior's spread counts for.
const PRIOR_DAYS: f32 = 2.0;
/// Fewer values say nothing.
const FEWEST: usize = 4;
/// Four kinds of alerts and at most one false a week leave each one day in 28: the upper 3.6 % of a normal
/// distribution begin here, in spreads.
pub(super) const TAIL: f32 = 1.8;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Usual {
    pub(super) middle: f32,
    /// Of the next value, so wider than the spread of those seen: as much as Student's distribution is wider at [`TAIL`].
    pub(super) spread: f32,
}

impl Usual {
    /// None where there are too few values.
    #[allow(clippy::cast_precision_loss, reason = "a few dozen values")]
    pub(super) fn of(values: &[f32], prior: &Prior) -> Option<Self> {
        if values.len() < FEWEST {
            return None;
        }
        let count = values.len() as f32;
        let middle = median(values);
        let off: Vec<f32> = values.iter().map(|value| (value - middle).abs()).collect();
        // An odd day counts as much as a day at the edge of what is plausible.
        let edge = 2.5 * (1.4826 * median(&off)).max(prior.spread_min);
        let squares: f32 = off.iter().map(|off| off.min(edge).powi(2)).sum();
        let freedom = PRIOR_DAYS + count - 1.0;
        let spread = ((PRIOR_DAYS * prior.spread_min.powi(2) + squares) / freedom).sqrt();
        let student = 1.0 + (TAIL.powi(2) + 1.0) / (4.0 * freedom);
        Some(Self { middle, spread: spread * student * (1.0 + 1.0 / count).sqrt() })
    }
}

/// 0 of nothing.
pub(super) fn median(values: &[f32]) -> f32 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    let at = |index: usize| sorted.get(index).copied().unwrap_or(0.0);
    f32::midpoint(at((sorted.len().max(1) - 1) / 2), at(sorted.len() / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIOR: Prior = Prior { spread_min: 10.0, least_min: 0.0 };

    #[test]
    fn one_odd_day_does_not_move_what_is_usual_far() {
        let week = [20.0, 25.0, 30.0, 22.0, 28.0, 24.0, 26.0];
        let odd = [20.0, 25.0, 30.0, 22.0, 28.0, 24.0, 600.0];
        let (week, odd) = (Usual::of(&week, &PRIOR).unwrap(), Usual::of(&odd, &PRIOR).unwrap());
        assert_eq!((week.middle, odd.middle), (25.0, 25.0));
        assert!(odd.spread < 2.5 * week.spread, "{odd:?}, {week:?}");
    }

    #[test]
    fn the_longer_it_is_watched_the_narrower_the_same_routine_gets() {
        let week = [20.0, 25.0, 30.0, 22.0, 28.0, 24.0, 26.0];
        let spread = |weeks| Usual::of(&week.repeat(weeks), &PRIOR).unwrap().spread;
        assert!(spread(4) < spread(2) && spread(2) < spread(1));
        assert_eq!(Usual::of(&week[..3], &PRIOR), None);
    }
}
