//! What a reading says to a condition.

use super::rule::{Band, Clause, Is, Test};
use super::window::Window;
use crate::reading::{Reading, Value};
use crate::time::TimeMs;

impl Test<usize> {
    /// Whether the reading carries anything that it asks for.
    pub(super) fn asks_for(&self, reading: &Reading) -> bool {
        let carries = |field: &usize| reading.values.get(*field).is_some_and(Option::is_some);
        match self {
            Self::Level { field, .. } | Self::State { field, .. } | Self::Rise { field, .. } => carries(field),
            Self::Bands { fields, .. } => fields.iter().any(|(field, _)| carries(field)),
        }
    }

    /// Whether it holds at `at`, by what the windows hold up to then. `None` where nothing was read
    /// then that it asks for. `held`: whether it held before, for the hysteresis.
    pub(super) fn holds(&self, windows: &[Window], at: TimeMs, held: bool, gap_ms: i64) -> Option<bool> {
        let newest = |field: &usize| windows.get(*field)?.at_or_before(at);
        let read = |field: &usize| newest(field).filter(|(time, _)| *time == at).map(|(_, value)| value);
        match self {
            Self::Level { field, above: true, limit, clear } => {
                read(field).map(|value| value >= if held { *clear } else { *limit })
            }
            Self::Level { field, above: false, limit, clear } => {
                read(field).map(|value| value <= if held { *clear } else { *limit })
            }
            #[allow(clippy::float_cmp, reason = "a switch is 0 or 1")]
            Self::State { field, is } => read(field).map(|value| value == *is),
            Self::Rise { field, by, within_ms, from } => {
                let value = read(field)?;
                let lowest = lowest(windows.get(*field)?, at - within_ms, at);
                let risen = value - lowest;
                // Half of it is the hysteresis: a rise that slows down is still one.
                Some(if held { risen >= by / 2.0 } else { risen >= *by && value >= *from })
            }
            Self::Bands { fields, at_least } => {
                let known = |field: &usize| newest(field).filter(|(time, _)| at - time <= gap_ms);
                let anything_new = fields.iter().any(|(field, _)| read(field).is_some());
                let points = fields.iter().filter_map(|(field, bands)| Some(points(bands, known(field)?.1)));
                anything_new.then(|| points.sum::<u32>() >= *at_least)
            }
        }
    }
}

/// The lowest value from `from` to `to`.
pub(super) fn lowest(window: &Window, from: TimeMs, to: TimeMs) -> f64 {
    window.between(from, to).map(|(_, value)| value).fold(f64::INFINITY, f64::min)
}

/// The points of the band in which `value` lies.
pub(super) fn points(bands: &[Band], value: f64) -> u32 {
    bands.iter().find(|band| value <= band.to).map_or(0, |band| band.points)
}

impl Clause<usize> {
    /// Whether `reading`, made at `at`, says so.
    #[allow(clippy::float_cmp, reason = "a switch is 0 or 1")]
    pub(super) fn says(&self, reading: &Reading, windows: &[Window], at: TimeMs) -> bool {
        match (&self.is, reading.values.get(self.field)) {
            (Is::Word(words), Some(Some(Value::Text(word)))) => words.contains(word),
            (Is::Above(limit), Some(Some(Value::Number(value)))) => value >= limit,
            (Is::Below(limit), Some(Some(Value::Number(value)))) => value < limit,
            (Is::Becomes(state), Some(Some(Value::Number(value)))) => {
                let before = windows.get(self.field).and_then(|window| window.before(at));
                value == state && before.is_none_or(|(_, before)| before != *state)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(points: &[(TimeMs, f64)]) -> Window {
        let mut window = Window::default();
        points.iter().for_each(|(at, value)| window.insert(*at, *value));
        window
    }

    #[test]
    fn a_level_has_hysteresis() {
        let test = Test::Level { field: 0, above: true, limit: 54.0, clear: 50.0 };
        let windows = [window(&[(1, 53.0), (2, 54.0)])];
        assert_eq!(test.holds(&windows, 1, false, 10), Some(false));
        assert_eq!(test.holds(&windows, 1, true, 10), Some(true));
        assert_eq!(test.holds(&windows, 2, false, 10), Some(true));
        assert_eq!(test.holds(&windows, 3, false, 10), None, "nothing was read then");
    }

    #[test]
    fn a_rise_is_against_the_lowest_lately() {
        let test = Test::Rise { field: 0, by: 10.0, within_ms: 120, from: 30.0 };
        let windows = [window(&[(0, 25.0), (60, 24.0), (120, 33.0), (180, 34.5), (300, 35.0)])];
        assert_eq!(test.holds(&windows, 120, false, 600), Some(false));
        assert_eq!(test.holds(&windows, 180, false, 600), Some(true));
        assert_eq!(test.holds(&windows, 300, false, 600), Some(false), "by then it is two degrees");
    }

    #[test]
    fn bands_sum_what_is_known() {
        let bands = |tos: &[(f64, u32)]| tos.iter().map(|(to, points)| Band { to: *to, points: *points }).collect();
        let fields = vec![
            (0, bands(&[(90.0, 0), (130.0, 2), (f64::INFINITY, 3)])),
            (1, bands(&[(91.0, 3), (f64::INFINITY, 0)])),
        ];
        let test = Test::Bands { fields, at_least: 5 };
        let windows = [window(&[(100, 120.0)]), window(&[(90, 90.0)])];
        assert_eq!(test.holds(&windows, 100, false, 60), Some(true));
        assert_eq!(test.holds(&windows, 100, false, 5), Some(false), "the second is too old to be known");
        assert_eq!(test.holds(&windows, 101, false, 60), None);
    }
}
