//! The routine of somebody who lives alone: nights, bathroom, meals; and what is out of the usual.
//!
//! A [`Home`] takes events as they come and keeps a few numbers of each of the last [`DAYS`] days. After
//! [`LEARNING_MS`] it says, whenever asked, what is going on and what is usual in this home ([`Watch`]); a model
//! scores that. Nothing is compared with other homes. Nights need a sensor of the bed, or at least of the bedroom;
//! without either, only the bathroom is watched.

mod role;
#[cfg(test)]
mod tests;
mod usual;

pub use role::Role;

use serde::{Deserialize, Serialize};

use super::features::{Feature, name};
use usual::{Prior, TAIL, Usual, median};

/// Milliseconds of the home's own wall clock since 1970-01-01T00:00: routines follow local time.
pub type LocalMs = i64;

const MIN_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MIN_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
const DAY_MIN: f32 = 1440.0;

/// Before that nothing is said.
pub const LEARNING_MS: i64 = 7 * DAY_MS;
/// How many days are remembered: the routine may drift.
const DAYS: usize = 28;
/// Shorter rests are naps.
const NIGHT_MS: i64 = 3 * HOUR_MS;
/// Who is out of bed for so long has got up.
const UP_MS: i64 = 90 * MIN_MS;
/// Or for so long, and has eaten.
const BREAKFAST_MS: i64 = 20 * MIN_MS;
/// Back in bed before that, the night begins anew.
const SETTLED_MS: i64 = 60 * MIN_MS;
/// Who gets up again before that has not slept.
const DOZED_MS: i64 = 30 * MIN_MS;
/// Who has not moved for so long does not wander about.
const STILL_MS: i64 = 15 * MIN_MS;
/// A bed or seat that says for longer that it is taken is not believed.
const HELD_MS: i64 = 16 * HOUR_MS;
/// A bed or seat may notice so late that somebody has left it.
const LAG_MS: i64 = MIN_MS;

const NOT_UP: Prior = Prior { spread_min: 30.0, least_min: 240.0 };
const BATHROOM: Prior = Prior { spread_min: 10.0, least_min: 30.0 };
const WANDERING: Prior = Prior { spread_min: 10.0, least_min: 15.0 };
const NO_MEAL: Prior = Prior { spread_min: 20.0, least_min: 45.0 };

/// Of [`Watch::features`], in order.
pub(super) const FEATURES: &[Feature] = &[
    name("minutes", "min", "已持续", "lasts for"),
    name("usual_min", "min", "平常持续", "usually lasts for"),
    name("spread_min", "min", "平常的出入", "usual spread"),
    name("least_min", "min", "起算时间", "nothing is said before"),
];

/// What can be out of the usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Still in bed, or beside it: nothing but the bed has been heard since the night began.
    NotUp,
    /// The bathroom was the last that was heard.
    LongBathroom,
    /// Out of bed and about, in the middle of the night, and not just in the bathroom.
    NightWandering,
    /// Up, at home, and nothing eaten yet.
    NoMeal,
}

impl Kind {
    /// Whether it is over when somebody is noticed there, whatever was before.
    pub(super) const fn is_over_by(self, role: Role) -> bool {
        match self {
            Self::NotUp => !matches!(role, Role::Bed | Role::Bedroom),
            Self::LongBathroom => !matches!(role, Role::Bathroom),
            Self::NightWandering => matches!(role, Role::Bed | Role::Bedroom),
            Self::NoMeal => matches!(role, Role::Food | Role::Kitchen),
        }
    }
}

/// A sensor begins or ceases to report somebody. A bed or seat must tell both; of the others the beginning is enough.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at_ms: LocalMs,
    /// What the sensor tells.
    pub role: Role,
    /// Begins.
    pub on: bool,
}

/// Something that goes on, beside what is usual.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Watch {
    /// What.
    pub kind: Kind,
    /// Since when: the same for as long as it goes on.
    pub since_ms: LocalMs,
    /// How long it goes on, how long is usual, the spread of that, and under what nothing is said: all in minutes.
    pub features: [f32; 4],
}

impl Watch {
    /// The same as it usually is in this home: it has lasted for no longer than that.
    pub const fn usual_features(&self) -> [f32; 4] {
        let [minutes, usual_min, spread_min, least_min] = self.features;
        [if minutes < usual_min { minutes } else { usual_min }, usual_min, spread_min, least_min]
    }
}

/// What is known of a home.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Home {
    first_ms: Option<LocalMs>,
    last_ms: LocalMs,
    has: Has,
    stay: Option<Stay>,
    /// Since when the bed says that it is taken.
    bed_ms: Option<LocalMs>,
    /// The same of a seat.
    seat_ms: Option<LocalMs>,
    rest: Option<Rest>,
    day: Option<Day>,
    bathroom_day: Option<BathroomDay>,
    nights: Vec<Night>,
    bathrooms_min: Vec<f32>,
    meals_min: Vec<f32>,
}

/// Which sensors have been heard, so which are there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Has {
    bed: bool,
    food: bool,
}

/// Where somebody was heard last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Stay {
    role: Role,
    since_ms: LocalMs,
}

/// In bed, and out of it for a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Rest {
    since_ms: LocalMs,
    out: Option<Out>,
    /// The longest wandering about after which the bed was found again.
    roamed_min: f32,
}

/// Out of bed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Out {
    since_ms: LocalMs,
    /// Since when elsewhere than in the bathroom.
    roams_ms: Option<LocalMs>,
    moved_ms: LocalMs,
}

/// From getting up on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Day {
    since_ms: LocalMs,
    away_ms: i64,
    eaten: bool,
    first_meal_min: Option<f32>,
}

/// The longest stay of a day of the calendar.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct BathroomDay {
    day: i64,
    longest_min: f32,
}

/// A night that is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Night {
    /// Minute of the day.
    bed_min: f32,
    rest_min: f32,
    roamed_min: f32,
}

impl Home {
    /// Takes an event. One that comes late counts as if it came now.
    pub fn push(&mut self, event: &Event) {
        let now = event.at_ms.max(self.last_ms);
        self.first_ms.get_or_insert(now);
        self.pass_time(now);
        self.last_ms = now;
        match event.role {
            Role::Bed => self.bed_ms = event.on.then_some(now),
            Role::Seat => self.seat_ms = event.on.then_some(now),
            _ => {}
        }
        self.has.bed |= event.role == Role::Bed;
        self.has.food |= event.role == Role::Food;
        // That something ceases tells where somebody was, not where they are: sensors lag. Who gets up, though, was
        // there until now, whatever a motion sensor elsewhere has said meanwhile.
        let gets_up = !event.on && matches!(event.role, Role::Bed | Role::Seat);
        if gets_up && self.stay.as_ref().is_some_and(|stay| now - stay.since_ms >= LAG_MS) {
            self.stay = Some(Stay { role: event.role, since_ms: now });
        }
        if event.on {
            self.go(event.role, now);
            self.lie_or_move(event.role, now);
            self.eat(event.role, now);
        }
    }

    /// Sensors were not heard for a while: whatever was going on is not known any more.
    pub fn forget_now(&mut self) {
        (self.stay, self.bed_ms, self.seat_ms, self.rest, self.day) = (None, None, None, None, None);
    }

    /// What goes on and can be compared with what is usual.
    pub fn watch(&mut self, now: LocalMs) -> Vec<Watch> {
        let now = now.max(self.last_ms);
        self.pass_time(now);
        if self.first_ms.is_none_or(|first| now - first < LEARNING_MS) {
            return Vec::new();
        }
        [self.not_up(now), self.long_bathroom(now), self.night_wandering(now), self.no_meal(now)]
            .into_iter()
            .flatten()
            .collect()
    }

    /// What is over by now, without any event.
    fn pass_time(&mut self, now: LocalMs) {
        let out_ms = self.rest.as_ref().and_then(|rest| rest.out.as_ref()).map(|out| out.since_ms);
        if out_ms.is_some_and(|out_ms| now - out_ms >= UP_MS) {
            self.get_up();
        }
    }

    /// The rest ended when the bed was left; if it was a night's, it is remembered.
    fn get_up(&mut self) {
        let Some(rest) = self.rest.take() else { return };
        let Some(up_ms) = rest.out.map(|out| out.since_ms) else { return };
        if up_ms - rest.since_ms >= NIGHT_MS {
            let night = Night {
                bed_min: minute_of_day(rest.since_ms),
                rest_min: minutes(up_ms - rest.since_ms),
                roamed_min: rest.roamed_min,
            };
            remember(&mut self.nights, night);
        }
    }

    fn go(&mut self, role: Role, now: LocalMs) {
        let since_ms = match &self.stay {
            Some(stay) if stay.role == role => return,
            Some(stay) => stay.since_ms,
            None => now,
        };
        let left = self.stay.replace(Stay { role, since_ms: now }).map(|stay| stay.role);
        if left == Some(Role::Bathroom) && !self.is_held(since_ms) {
            self.learn_bathroom(now, minutes(now - since_ms));
        }
        if left == Some(Role::Door)
            && let Some(day) = &mut self.day
        {
            day.away_ms += now - since_ms.max(day.since_ms);
        }
    }

    fn learn_bathroom(&mut self, now: LocalMs, stay_min: f32) {
        let today = now.div_euclid(DAY_MS);
        match &mut self.bathroom_day {
            Some(day) if day.day == today => day.longest_min = day.longest_min.max(stay_min),
            day => {
                let over = day.replace(BathroomDay { day: today, longest_min: stay_min });
                self.bathrooms_min.extend(over.map(|day| day.longest_min));
                keep_last(&mut self.bathrooms_min);
            }
        }
    }

    fn lie_or_move(&mut self, role: Role, now: LocalMs) {
        let bed = if self.has.bed { Role::Bed } else { Role::Bedroom };
        if role == bed {
            self.lie_down(now);
        } else if role != Role::Bedroom && !self.lies(now) {
            self.move_about(role, now);
        }
    }

    fn lie_down(&mut self, now: LocalMs) {
        if self.has_had_breakfast(now) {
            self.get_up();
        }
        let rest = self.rest.get_or_insert(Rest { since_ms: now, out: None, roamed_min: 0.0 });
        let Some(out) = rest.out.take() else { return };
        // It was not morning yet.
        if self.day.as_ref().is_some_and(|day| day.since_ms == out.since_ms) {
            self.day = None;
        }
        if out.since_ms - rest.since_ms < SETTLED_MS {
            *rest = Rest { since_ms: now, out: None, roamed_min: 0.0 };
        } else if let Some(roams_ms) = out.roams_ms {
            rest.roamed_min = rest.roamed_min.max(minutes(out.moved_ms - roams_ms));
        }
    }

    /// Up in the morning, for a while, and fed: who lies down again takes a nap.
    fn has_had_breakfast(&self, now: LocalMs) -> bool {
        let Some(rest) = &self.rest else { return false };
        let is_fed = self.day.as_ref().is_some_and(|day| day.eaten && day.since_ms > rest.since_ms);
        let is_up = rest.out.as_ref().is_some_and(|out| now - out.since_ms >= BREAKFAST_MS);
        is_fed
            && is_up
            && self.until_morning_ms(rest.since_ms).is_none_or(|until| now >= rest.since_ms.saturating_add(until))
    }

    fn move_about(&mut self, role: Role, now: LocalMs) {
        let Some(rest) = &mut self.rest else { return };
        if rest.out.is_none() && now - rest.since_ms >= NIGHT_MS {
            let day = Day { since_ms: now, away_ms: 0, eaten: false, first_meal_min: None };
            let over = self.day.replace(day);
            self.meals_min.extend(over.and_then(|day| day.first_meal_min));
            keep_last(&mut self.meals_min);
        }
        let out = rest.out.get_or_insert(Out { since_ms: now, roams_ms: None, moved_ms: now });
        out.moved_ms = now;
        if role != Role::Bathroom {
            out.roams_ms.get_or_insert(now);
        }
    }

    fn eat(&mut self, role: Role, now: LocalMs) {
        let food = if self.has.food { Role::Food } else { Role::Kitchen };
        if role == food
            && let Some(day) = &mut self.day
            && !day.eaten
        {
            day.eaten = true;
            day.first_meal_min = Some(minutes(now - day.since_ms - day.away_ms));
        }
    }

    fn not_up(&self, now: LocalMs) -> Option<Watch> {
        let rest = self.rest.as_ref().filter(|rest| rest.out.is_none())?;
        let usual = self.usual_rest(rest.since_ms)?;
        Some(watch(Kind::NotUp, rest.since_ms, minutes(now - rest.since_ms), usual, &NOT_UP))
    }

    fn long_bathroom(&self, now: LocalMs) -> Option<Watch> {
        let stay = self.stay.as_ref().filter(|stay| stay.role == Role::Bathroom && !self.is_held(now))?;
        let usual = Usual::of(&self.bathrooms_min, &BATHROOM)?;
        Some(watch(Kind::LongBathroom, stay.since_ms, minutes(now - stay.since_ms), usual, &BATHROOM))
    }

    fn night_wandering(&self, now: LocalMs) -> Option<Watch> {
        let rest = self.rest.as_ref()?;
        let out = rest.out.as_ref()?;
        let roams_ms = out.roams_ms?;
        if out.since_ms - rest.since_ms < DOZED_MS || self.is_nap(rest.since_ms)? {
            return None;
        }
        let begins_ms = roams_ms.max(rest.since_ms.saturating_add(self.until_night_ms(rest.since_ms)?));
        let is_night = now < rest.since_ms.saturating_add(self.until_morning_ms(rest.since_ms)?);
        let is_about = now - out.moved_ms < STILL_MS || self.is_out();
        if !is_night || !is_about || now < begins_ms {
            return None;
        }
        let roamed: Vec<f32> = self.nights.iter().map(|night| night.roamed_min).collect();
        let usual = Usual::of(&roamed, &WANDERING)?;
        Some(watch(Kind::NightWandering, out.since_ms, minutes(now - begins_ms), usual, &WANDERING))
    }

    fn no_meal(&self, now: LocalMs) -> Option<Watch> {
        let day = self.day.as_ref().filter(|day| !day.eaten && !self.is_out())?;
        if self.rest.as_ref().is_some_and(|rest| rest.out.is_none()) {
            return None;
        }
        let usual = Usual::of(&self.meals_min, &NO_MEAL)?;
        Some(watch(Kind::NoMeal, day.since_ms, minutes(now - day.since_ms - day.away_ms), usual, &NO_MEAL))
    }

    /// How long somebody who went to bed at `since_ms` stays there. Some get up by the clock, some when they
    /// have slept enough, most by something of both: whichever has told best, told this.
    fn usual_rest(&self, since_ms: LocalMs) -> Option<Usual> {
        let beds = self.usual_bed_min()?;
        let by_clock: Vec<f32> = self.nights.iter().map(|night| from(beds, night.bed_min)).collect();
        let rests: Vec<f32> = self.nights.iter().map(|night| night.rest_min).collect();
        let late = from(beds, minute_of_day(since_ms));
        let shares: &[f32] = if self.is_nap(since_ms)? { &[0.0] } else { &[0.0, 0.5, 1.0] };
        let told = shares.iter().filter_map(|share| {
            let rests: Vec<f32> = rests.iter().zip(&by_clock).map(|(rest, late)| rest + share * late).collect();
            Usual::of(&rests, &NOT_UP).map(|usual| Usual { middle: usual.middle - share * late, ..usual })
        });
        told.min_by(|one, other| one.spread.total_cmp(&other.spread))
    }

    /// Far from the time when it is usual to go to bed: six hours.
    fn is_nap(&self, since_ms: LocalMs) -> Option<bool> {
        Some(from(self.usual_bed_min()?, minute_of_day(since_ms)).abs() > DAY_MIN / 4.0)
    }

    /// From going to bed to when it is usual; before 0 when that is past.
    fn until_night_ms(&self, since_ms: LocalMs) -> Option<i64> {
        Some(milliseconds(from(minute_of_day(since_ms), self.usual_bed_min()?)))
    }

    /// From going to bed to the earliest that is usual to get up.
    fn until_morning_ms(&self, since_ms: LocalMs) -> Option<i64> {
        let usual = self.usual_rest(since_ms)?;
        Some(milliseconds(usual.middle - TAIL * usual.spread))
    }

    /// When it is usual to go to bed, as a minute of the day; the median around any one of the nights, for
    /// midnight is no border.
    fn usual_bed_min(&self) -> Option<f32> {
        let any = self.nights.first()?.bed_min;
        let off: Vec<f32> = self.nights.iter().map(|night| from(any, night.bed_min)).collect();
        Some((any + median(&off)).rem_euclid(DAY_MIN))
    }

    fn is_out(&self) -> bool {
        self.stay.as_ref().is_some_and(|stay| stay.role == Role::Door)
    }

    fn lies(&self, now: LocalMs) -> bool {
        self.bed_ms.is_some_and(|since| (0..HELD_MS).contains(&(now - since)))
    }

    /// Somebody lies or sits, whatever a motion sensor elsewhere says.
    fn is_held(&self, now: LocalMs) -> bool {
        self.lies(now) || self.seat_ms.is_some_and(|since| (0..HELD_MS).contains(&(now - since)))
    }
}

fn watch(kind: Kind, since_ms: LocalMs, minutes: f32, usual: Usual, prior: &Prior) -> Watch {
    Watch { kind, since_ms, features: [minutes, usual.middle, usual.spread, prior.least_min] }
}

fn remember<T>(values: &mut Vec<T>, value: T) {
    values.push(value);
    keep_last(values);
}

fn keep_last<T>(values: &mut Vec<T>) {
    values.drain(..values.len().saturating_sub(DAYS));
}

#[allow(clippy::cast_precision_loss, reason = "days at most")]
fn minutes(span_ms: i64) -> f32 {
    span_ms as f32 / MIN_MS as f32
}

#[allow(clippy::cast_possible_truncation, reason = "days at most")]
fn milliseconds(minutes: f32) -> i64 {
    (minutes * 60_000.0) as i64
}

fn minute_of_day(at: LocalMs) -> f32 {
    minutes(at.rem_euclid(DAY_MS))
}

/// From one minute of the day to another, the shorter way: −720 to 720.
fn from(one: f32, other: f32) -> f32 {
    (other - one + DAY_MIN / 2.0).rem_euclid(DAY_MIN) - DAY_MIN / 2.0
}
