//! The roster: who is on duty now and in the coming week, where nobody is, and changing it.

use axum::Json;
use axum::extract::{Extension, State};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

use ninewatch_core::duty::{Ladder, Person, Quiet, Roster, Shift, Swap, Title, Watch};
use ninewatch_core::pipeline::Site;
use ninewatch_core::time::TimeMs;

use super::Shared;
use super::body::Sent;
use super::gate::Who;
use super::problem::Problem;
use super::rights::{self, OfPeople, Role};
use crate::duty::RosterRefused;

/// The days of the week at a glance, the one that goes on among them.
const DAYS: i64 = 8;

/// `GET /roster`
#[derive(Debug, Serialize)]
pub(super) struct RosterView {
    /// Of the file: whoever changes it says which one they have seen. `null`: the file has a fault, and the former roster
    /// goes on.
    version: Option<String>,
    /// What is wrong with the file, a line each.
    faults: Vec<String>,
    people: Vec<Person>,
    shifts: Vec<Shift>,
    swaps: Vec<Swap>,
    /// Now.
    on_duty: Vec<OnDuty>,
    /// From the local midnight before now on.
    watches: Vec<Watch>,
    now_ms: TimeMs,
    ladders: Vec<LadderRow>,
    quiet: Vec<Quiet>,
}

/// Who is on duty now as something for a grid.
#[derive(Debug, Serialize)]
struct OnDuty {
    title: Title,
    grid: Option<String>,
    /// Ids. None: nobody is on duty.
    people: Vec<String>,
    /// `null`: longer than the watches reach.
    until_ms: Option<TimeMs>,
}

impl OnDuty {
    fn of(watch: &Watch, now_ms: TimeMs) -> Option<Self> {
        let at = watch.slots.iter().position(|slot| slot.from_ms <= now_ms && now_ms < slot.to_ms)?;
        let slot = watch.slots.get(at)?;
        let until_ms = (at + 1 < watch.slots.len()).then_some(slot.to_ms);
        Some(Self { title: watch.title, grid: watch.grid.clone(), people: slot.people.clone(), until_ms })
    }
}

/// A ladder as it stands in its file; of its times, milliseconds.
#[derive(Debug, Serialize)]
struct LadderRow {
    #[serde(flatten)]
    ladder: Ladder,
    after_ms: Vec<i64>,
}

/// Answers `GET /roster`.
pub(super) async fn look(
    State(shared): State<Arc<Shared>>,
    who: Who,
) -> Result<(Option<Extension<OfPeople>>, Json<RosterView>), Problem> {
    let file = shared.state.roster.clone();
    let stored = shared.ask(move || file.stored()).await?;
    let (version, faults) = match stored {
        Ok((_, version)) => (Some(version), Vec::new()),
        Err(faults) => (None, faults.iter().map(ToString::to_string).collect()),
    };
    let view = RosterView { version, faults, ..RosterView::of(&shared) }.for_whom(&who);
    let shows_phones = view.people.iter().any(|person| !person.phone.is_empty());
    Ok((rights::of_people(shows_phones), Json(view)))
}

/// `PUT /roster`: the whole of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Changed {
    version: String,
    people: Vec<Person>,
    shifts: Vec<Shift>,
    swaps: Vec<Swap>,
}

/// Answers `PUT /roster`, when it is on the disk and in force.
pub(super) async fn change(
    State(shared): State<Arc<Shared>>,
    who: Who,
    Sent(changed): Sent<Changed>,
) -> Result<Json<RosterView>, Problem> {
    let Changed { version, people, shifts, swaps } = changed;
    let roster = Roster { people, shifts, swaps };
    let file = shared.state.roster.clone();
    let version = shared.ask(move || file.change(&version, &roster)).await?.map_err(|refused| {
        let detail = refused.to_string();
        match refused {
            RosterRefused::Changed => {
                Problem::conflict("roster_changed", detail, "look at it anew, and change it again")
            }
            RosterRefused::Wrong(_) => Problem::bad(detail, "GET /api/v1/openapi.json says how each is written"),
            RosterRefused::Broken(_) => {
                Problem::conflict("roster_broken", detail, "mend roster.toml first; `ninewatch check` names its faults")
            }
            RosterRefused::Unwritable(_) => Problem::unavailable("not_written", detail, "look at the disk"),
        }
    })?;
    tracing::info!(account = who.account(), "the roster was changed");
    Ok(Json(RosterView { version: Some(version), ..RosterView::of(&shared) }))
}

impl RosterView {
    /// What is in force.
    fn of(shared: &Shared) -> Self {
        let (site, now_ms) = (shared.site(), shared.state.clock.now_ms());
        let roster = shared.state.roster.in_force();
        let ladders = site.alerts.ladders.ladders().iter().map(|ladder| LadderRow {
            after_ms: ladder.rungs.iter().map(|rung| rung.after.ms()).collect(),
            ladder: ladder.clone(),
        });
        let watches = roster.watches(&grids(&site), site.utc_offset, now_ms, DAYS);
        Self {
            version: None,
            faults: Vec::new(),
            people: roster.people.clone(),
            shifts: roster.shifts.clone(),
            swaps: roster.swaps.clone(),
            on_duty: watches.iter().filter_map(|watch| OnDuty::of(watch, now_ms)).collect(),
            watches,
            now_ms,
            ladders: ladders.collect(),
            quiet: site.alerts.ladders.quiet().to_vec(),
        }
    }

    /// What somebody may see of it: the desk all, a grid member whom to call in the own grids, others who is on duty.
    fn for_whom(mut self, who: &Who) -> Self {
        if matches!(who.rights.role, Role::Duty | Role::Admin) {
            return self;
        }
        let is_seen = |grid: &String| who.rights.sees_grid(grid);
        self.watches.retain(|watch| watch.grid.as_ref().is_none_or(is_seen));
        self.on_duty.retain(|on| on.grid.as_ref().is_none_or(is_seen));
        self.shifts.retain(|shift| shift.grids.is_empty() || shift.grids.iter().any(is_seen));
        let on: BTreeSet<&String> =
            self.watches.iter().flat_map(|watch| &watch.slots).flat_map(|slot| &slot.people).collect();
        self.people.retain(|person| on.contains(&person.id));
        let names: BTreeSet<&String> = self.people.iter().map(|person| &person.id).collect();
        self.swaps.retain(|swap| names.contains(&swap.off) || swap.on.as_ref().is_some_and(|id| names.contains(id)));
        (self.ladders, self.quiet) = (Vec::new(), Vec::new());
        let calls = who.rights.sees_alerts();
        for person in &mut self.people {
            let Person { id, name, phone, .. } = std::mem::take(person);
            *person = Person { id, name, phone: if calls { phone } else { String::new() }, ..Person::default() };
        }
        self
    }
}

fn grids(site: &Site) -> BTreeSet<String> {
    site.registry.places.iter().map(|place| place.grid.clone()).collect()
}
