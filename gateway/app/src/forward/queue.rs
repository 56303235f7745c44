//! The order in which changes go out.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};

use ninewatch_core::alert::AlertId;

use crate::journal::Spot;
#[cfg(test)]
use crate::sim::{Bug, planted};

/// Changes that wait to be sent, by number and by where the log has them: those of critical alerts first, each alert's in
/// order and one at a time. Some 24 bytes for a change and 200 for an alert.
#[derive(Debug, Default)]
pub(super) struct Queue {
    alerts: HashMap<AlertId, Line>,
    /// The first number of each critical alert that has none under way.
    critical: BTreeMap<u64, AlertId>,
    /// The same for the others.
    others: BTreeMap<u64, AlertId>,
}

#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<(u64, Option<Spot>)>,
    critical: bool,
    under_way: bool,
}

impl Line {
    fn first(&self) -> Option<u64> {
        self.waiting.front().map(|(seq, _)| *seq)
    }
}

impl Queue {
    /// Puts a change behind all others of its alert. An alert that is critical once stays so, and
    /// takes its earlier changes along to the front.
    pub(super) fn push(&mut self, seq: u64, spot: Option<Spot>, alert: &AlertId, critical: bool) {
        #[cfg(test)]
        let critical = critical && !planted(Bug::CriticalLast);
        let line = self.alerts.entry(alert.clone()).or_default();
        line.waiting.push_back((seq, spot));
        let first = line.first();
        let turns_critical = critical && !line.critical;
        line.critical |= critical;
        if line.under_way {
            return;
        }
        if turns_critical && let Some(first) = first {
            self.others.remove(&first);
            self.critical.insert(first, alert.clone());
        } else if first == Some(seq) {
            self.heads(alert).insert(seq, alert.clone());
        }
    }

    /// The change to send next, and whether its alert is critical.
    pub(super) fn first(&self) -> Option<(u64, bool)> {
        let next = |heads: &BTreeMap<u64, AlertId>| heads.first_key_value().map(|(seq, _)| *seq);
        next(&self.critical).map(|seq| (seq, true)).or_else(|| next(&self.others).map(|seq| (seq, false)))
    }

    /// The changes that could be sent next, critical ones or others, and where the log has them.
    pub(super) fn firsts(&self, critical: bool) -> impl Iterator<Item = (u64, Option<Spot>)> {
        let heads = if critical { &self.critical } else { &self.others };
        heads.values().filter_map(|alert| self.alerts.get(alert)?.waiting.front().copied())
    }

    /// Whether this change could be sent next.
    pub(super) fn is_a_first(&self, seq: u64) -> bool {
        self.critical.contains_key(&seq) || self.others.contains_key(&seq)
    }

    /// Takes out what [`Self::first`] says. The alert's next change waits until [`Self::done`] or
    /// [`Self::put_back`].
    pub(super) fn take(&mut self) -> Option<(u64, Option<Spot>, AlertId)> {
        let (_, alert) = self.critical.pop_first().or_else(|| self.others.pop_first())?;
        let line = self.alerts.get_mut(&alert)?;
        line.under_way = true;
        let (seq, spot) = line.waiting.pop_front()?;
        Some((seq, spot, alert))
    }

    /// The alert's change that was under way has arrived.
    pub(super) fn done(&mut self, alert: &AlertId) {
        let Entry::Occupied(mut line) = self.alerts.entry(alert.clone()) else { return };
        line.get_mut().under_way = false;
        match line.get().first() {
            Some(next) => _ = self.heads(alert).insert(next, alert.clone()),
            None => _ = line.remove(),
        }
    }

    /// The alert's change that was under way has not arrived: it is the alert's first again.
    pub(super) fn put_back(&mut self, seq: u64, spot: Option<Spot>, alert: &AlertId) {
        let Some(line) = self.alerts.get_mut(alert) else { return };
        line.waiting.push_front((seq, spot));
        self.done(alert);
    }

    fn heads(&mut self, alert: &AlertId) -> &mut BTreeMap<u64, AlertId> {
        let critical = self.alerts.get(alert).is_some_and(|line| line.critical);
        if critical { &mut self.critical } else { &mut self.others }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drain(queue: &mut Queue) -> Vec<u64> {
        std::iter::from_fn(|| {
            let (seq, _, alert) = queue.take()?;
            queue.done(&alert);
            Some(seq)
        })
        .collect()
    }

    #[test]
    fn a_critical_alert_overtakes_and_takes_its_past_along() {
        let (a, b, c) = (AlertId::from("a"), AlertId::from("b"), AlertId::from("c"));
        let mut queue = Queue::default();
        for (seq, alert, critical) in [(1, &a, false), (2, &b, false), (3, &a, false), (4, &c, true), (5, &b, true)] {
            queue.push(seq, None, alert, critical);
        }
        assert_eq!(drain(&mut queue), [2, 4, 5, 1, 3]);
        assert_eq!(queue.alerts.len(), 0, "nothing is remembered of what is gone");
    }

    #[test]
    fn what_did_not_arrive_is_first_again() {
        let (a, b) = (AlertId::from("a"), AlertId::from("b"));
        let mut queue = Queue::default();
        queue.push(1, None, &a, false);
        queue.push(2, None, &a, false);
        queue.push(3, None, &b, false);
        let (seq, _, alert) = queue.take().unwrap();
        assert_eq!(queue.first(), Some((3, false)), "an alert has one change under way");
        queue.put_back(seq, None, &alert);
        assert_eq!(drain(&mut queue), [1, 2, 3]);
    }

    proptest! {
        /// Whatever comes, fails and arrives: each change goes out, an alert's in order, and no
        /// other goes before one of a critical alert that could go.
        #[test]
        fn order_holds(
            pushes in prop::collection::vec((0_u8..6, prop::bool::weighted(0.2)), 1..60),
            steps in prop::collection::vec(0_u8..4, 0..200),
        ) {
            let mut queue = Queue::default();
            let mut critical = std::collections::BTreeSet::new();
            let mut arrived: BTreeMap<AlertId, Vec<u64>> = BTreeMap::new();
            let mut under_way: Vec<(u64, AlertId)> = Vec::new();
            let pushed = pushes.len();
            let mut pushes = pushes.into_iter().enumerate();
            // Whatever chance leaves over is pushed, sent and arrives at the end.
            for step in steps.into_iter().chain([0; 60]).chain([2; 60]).chain([1, 2].repeat(60)) {
                match step {
                    0 => if let Some((index, (alert, is_critical))) = pushes.next() {
                        let alert = AlertId::from(format!("{alert}").as_str());
                        if is_critical {
                            critical.insert(alert.clone());
                        }
                        queue.push(index as u64 + 1, None, &alert, critical.contains(&alert));
                    },
                    1 => if let Some((seq, _, alert)) = queue.take() {
                        let waits = |other: &AlertId| {
                            queue.alerts.get(other).is_some_and(|line| !line.under_way && !line.waiting.is_empty())
                        };
                        prop_assert!(critical.contains(&alert) || !critical.iter().any(waits));
                        under_way.push((seq, alert));
                    },
                    2 => if let Some((seq, alert)) = under_way.pop() {
                        queue.done(&alert);
                        arrived.entry(alert).or_default().push(seq);
                    },
                    _ => if let Some((seq, alert)) = under_way.pop() {
                        queue.put_back(seq, None, &alert);
                    },
                }
            }
            prop_assert!(queue.alerts.is_empty());
            prop_assert_eq!(arrived.values().map(Vec::len).sum::<usize>(), pushed);
            for seqs in arrived.values() {
                prop_assert!(seqs.is_sorted());
            }
        }
    }
}
