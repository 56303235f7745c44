//! Who is told of an alert: ladders say in which order and through what, the roster who is on duty, quiet rules what can
//! wait for the morning.
//!
//! Only when a rung is climbed is a matter of alerts, so only ladders are among the settings. Who the people are stays out
//! of the journal.

mod ladder;
mod quiet;
mod roster;
mod week;

pub use ladder::{Ladder, Ladders, Rung};
pub use quiet::Quiet;
pub use roster::{Date, Person, Roster, Shift, Swap, Title};
pub use week::{Slot, Watch};

use serde::{Deserialize, Serialize};

use crate::hours::Hours;
use crate::time::{TimeMs, UtcOffset};

const DAY_MS: i64 = 86_400_000;

/// A day of the week, in the order of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each name says it all")]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Weekday {
    const ALL: [Self; 7] = [Self::Mon, Self::Tue, Self::Wed, Self::Thu, Self::Fri, Self::Sat, Self::Sun];

    /// That of a local day, counted from 1970-01-01, which was a Thursday.
    fn of(day: i64) -> Self {
        usize::try_from((day + 3).rem_euclid(7)).ok().and_then(|at| Self::ALL.get(at).copied()).unwrap_or(Self::Mon)
    }
}

/// The local day on which the hours began that `at` is in, counted from 1970-01-01; none where it is in none, or they
/// began on another day than those. What is past midnight belongs to the evening before. No hours: the whole day; no days:
/// each.
fn began_on(days: &[Weekday], hours: Option<Hours>, offset: UtcOffset, at: TimeMs) -> Option<i64> {
    let today = offset.local_ms(at).div_euclid(DAY_MS);
    let day = match hours {
        None => today,
        Some(hours) if !hours.contains(offset, at) => return None,
        Some(hours) => {
            let (from_min, to_min) = hours.ends();
            let is_past_midnight = from_min > to_min && offset.minute_of_day(at) < to_min;
            today - i64::from(is_past_midnight)
        }
    };
    (days.is_empty() || days.contains(&Weekday::of(day))).then_some(day)
}
