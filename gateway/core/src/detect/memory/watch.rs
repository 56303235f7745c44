//! Where a rule stands on a device.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

use crate::detect::features::series::Series;
use crate::detect::rule::{Bound, Condition};
use crate::detect::stretch::Stretch;
use crate::pipeline::Site;
use crate::time::TimeMs;

/// Where a rule stands on a device.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::detect) enum Watch {
    /// One for each step.
    Lasting(Vec<Stretch>),
    /// When it happened, by time.
    Event(VecDeque<TimeMs>),
    Inactive {
        raised: bool,
        ends_ms: TimeMs,
    },
    Silent,
    Model {
        /// Until then a yes is the same matter.
        quiet_until_ms: TimeMs,
        /// Where the model sees readings one by one: what has been learnt of them.
        learnt: Option<Series>,
    },
    /// What is remembered is remembered of the place.
    Place,
}

impl Watch {
    pub(super) fn new(bound: &Bound, site: &Site, now: TimeMs) -> Self {
        match &bound.condition {
            Condition::Lasting(steps) => Self::Lasting(vec![Stretch::default(); steps.len()]),
            Condition::Event { .. } => Self::Event(VecDeque::new()),
            Condition::Inactive { between, .. } => {
                Self::Inactive { raised: false, ends_ms: between.next_end(site.utc_offset, now) }
            }
            Condition::Silent => Self::Silent,
            Condition::Burst { .. } => Self::Model { quiet_until_ms: TimeMs::MIN, learnt: None },
            Condition::Series { card, .. } => {
                Self::Model { quiet_until_ms: TimeMs::MIN, learnt: Series::new(&card.features).ok() }
            }
            Condition::Place { .. } | Condition::Home { .. } => Self::Place,
        }
    }

    pub(super) fn fits(&self, bound: &Bound) -> bool {
        match (self, &bound.condition) {
            (Self::Lasting(stretches), Condition::Lasting(steps)) => stretches.len() == steps.len(),
            (Self::Event(_), Condition::Event { .. })
            | (Self::Inactive { .. }, Condition::Inactive { .. })
            | (Self::Silent, Condition::Silent)
            | (Self::Model { learnt: None, .. }, Condition::Burst { .. })
            | (Self::Place, Condition::Place { .. } | Condition::Home { .. }) => true,
            // Another version of a model goes on with what was learnt, if it looks at the same.
            (Self::Model { learnt: Some(series), .. }, Condition::Series { card, .. }) => series.is_of(&card.features),
            _ => false,
        }
    }
}
