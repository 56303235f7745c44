//! What a field did lately: points by their own time, whatever order they came in.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

use crate::time::TimeMs;

/// A device that reports faster than its rules need loses the oldest points first.
const MOST_POINTS: usize = 1024;

/// Points of one field, by time.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Window {
    points: VecDeque<(TimeMs, f64)>,
}

impl Window {
    /// Puts a point where it belongs; of points at one time the last to come stands last.
    pub(super) fn insert(&mut self, at: TimeMs, value: f64) {
        let index = match self.points.back() {
            Some((newest, _)) if *newest > at => self.points.partition_point(|(time, _)| *time <= at),
            _ => self.points.len(),
        };
        self.points.insert(index, (at, value));
        if self.points.len() > MOST_POINTS {
            self.points.pop_front();
        }
    }

    /// Forgets what is older than `oldest`, but for the last point before it: it may still hold.
    pub(super) fn trim(&mut self, oldest: TimeMs) {
        while self.points.get(1).is_some_and(|(time, _)| *time < oldest) {
            self.points.pop_front();
        }
    }

    /// The newest point.
    pub(super) fn newest(&self) -> Option<(TimeMs, f64)> {
        self.points.back().copied()
    }

    /// The last point at or before `at`.
    pub(super) fn at_or_before(&self, at: TimeMs) -> Option<(TimeMs, f64)> {
        match self.points.back() {
            Some(newest) if newest.0 <= at => Some(*newest),
            _ => {
                let index = self.points.partition_point(|(time, _)| *time <= at);
                self.points.get(index.checked_sub(1)?).copied()
            }
        }
    }

    /// The last point before `at`.
    pub(super) fn before(&self, at: TimeMs) -> Option<(TimeMs, f64)> {
        self.at_or_before(at - 1)
    }

    /// The points from `from` to `to`, both included.
    pub(super) fn between(&self, from: TimeMs, to: TimeMs) -> impl DoubleEndedIterator<Item = (TimeMs, f64)> {
        let begin = self.points.partition_point(|(time, _)| *time < from);
        let end = self.points.partition_point(|(time, _)| *time <= to).max(begin);
        self.points.range(begin..end).copied()
    }

    /// Whether something was heard at least every `gap_ms` from `from` to `to`.
    pub(super) fn is_known(&self, from: TimeMs, to: TimeMs, gap_ms: i64) -> bool {
        let mut known_until = self.at_or_before(from).map_or(TimeMs::MIN, |(time, _)| time + gap_ms);
        for (time, _) in self.between(from, to) {
            if time > known_until {
                return false;
            }
            known_until = time + gap_ms;
        }
        known_until >= to
    }
}

#[cfg(test)]
mod tests {
    use super::Window;
    use proptest::prelude::*;

    #[test]
    fn late_points_stand_where_they_belong() {
        let mut window = Window::default();
        for (at, value) in [(10, 1.0), (30, 3.0), (20, 2.0), (5, 0.5)] {
            window.insert(at, value);
        }
        assert_eq!(window.at_or_before(29), Some((20, 2.0)));
        assert_eq!(window.before(20), Some((10, 1.0)));
        assert_eq!(window.at_or_before(4), None);
        assert_eq!(window.between(6, 20).collect::<Vec<_>>(), [(10, 1.0), (20, 2.0)]);
        window.trim(25);
        assert_eq!(window.between(0, 24).collect::<Vec<_>>(), [(20, 2.0)], "what held at 25 is still there");
    }

    #[test]
    fn a_stretch_is_known_only_without_gaps() {
        let mut window = Window::default();
        for at in [0, 10, 20, 40] {
            window.insert(at, 0.0);
        }
        assert!(window.is_known(5, 25, 10));
        assert!(!window.is_known(5, 45, 10));
        assert!(window.is_known(5, 45, 20));
        assert!(!window.is_known(-5, 5, 10), "nothing was heard before");
    }

    proptest! {
        #[test]
        fn the_order_of_arrival_does_not_matter(mut points in proptest::collection::vec((0_i64..1000, 0.0..1.0), 1..80)) {
            points.sort_by_key(|(at, _)| *at);
            points.dedup_by_key(|(at, _)| *at);
            let mut shuffled = points.clone();
            shuffled.reverse();
            let mut window = Window::default();
            for (at, value) in shuffled {
                window.insert(at, value);
            }
            prop_assert_eq!(window.between(i64::MIN, i64::MAX).collect::<Vec<_>>(), points);
        }
    }
}
