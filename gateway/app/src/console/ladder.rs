//! Where an alert is on its ladder, and who is told next.

use serde::Serialize;
use std::collections::BTreeSet;

use ninewatch_core::alert::{Alert, Status};
use ninewatch_core::duty::{Roster, Title};
use ninewatch_core::pipeline::Site;
use ninewatch_core::time::TimeMs;

use crate::notify::Notification;

/// The ladder of an alert.
#[derive(Debug, Serialize)]
pub(super) struct LadderView {
    /// `null`: no ladder fits it, and it climbs as `[alerts]` of `site.toml` says.
    name: Option<String>,
    /// The rung on which it is; 0 is the first.
    rung: u8,
    rungs: Vec<RungView>,
}

/// A rung, and whom it tells.
#[derive(Debug, Serialize)]
struct RungView {
    rung: u8,
    after_ms: TimeMs,
    /// When it will be climbed, if nobody accepts the alert.
    at_ms: Option<TimeMs>,
    titles: Vec<Title>,
    /// Names of those whom it tells: who is on duty then, and whom it names.
    people: Vec<String>,
    /// As these nobody is on duty then: whole channels are told.
    unmanned: Vec<Title>,
    /// None: every channel, as its own keys say.
    channels: Vec<String>,
}

impl LadderView {
    /// As it is at `now`.
    pub(super) fn of(site: &Site, roster: &Roster, alert: &Alert, now: TimeMs) -> Self {
        let ladder = site.alerts.ladders.of(alert);
        let afters = (0..=u8::MAX).map_while(|rung| Some((rung, site.alerts.after(alert, rung)?.ms())));
        let next = alert.next_rung_at_ms.filter(|_| alert.status == Status::Raised);
        let next_after = alert.escalation.checked_add(1).and_then(|next| site.alerts.after(alert, next));
        let view = |(rung, after_ms): (u8, TimeMs)| {
            let at_ms = next
                .filter(|_| rung > alert.escalation)
                .map(|at| at + after_ms - next_after.map_or(0, |next| next.ms()));
            let told = ladder.and_then(|ladder| ladder.rungs.get(usize::from(rung))).cloned().unwrap_or_default();
            let (mut people, mut unmanned) = (Vec::new(), Vec::new());
            for title in &told.titles {
                let on = roster.on_duty(*title, site.alerts.ladders.grid(alert), site.utc_offset, at_ms.unwrap_or(now));
                if on.is_empty() {
                    unmanned.push(*title);
                }
                people.extend(on.into_iter().map(|person| person.name.clone()));
            }
            people.extend(told.people.iter().map(|id| name(roster, id)));
            let mut seen = BTreeSet::new();
            people.retain(|name| seen.insert(name.clone()));
            RungView { rung, after_ms, at_ms, titles: told.titles, people, unmanned, channels: told.channels }
        };
        Self {
            name: ladder.map(|ladder| ladder.name.clone()),
            rung: alert.escalation,
            rungs: afters.map(view).collect(),
        }
    }
}

/// What people call somebody of the roster; the id of who is not in it any more.
fn name(roster: &Roster, id: &str) -> String {
    roster.person(id).map_or_else(|| id.to_owned(), |person| person.name.clone())
}

/// Notifications as people read them: with names.
pub(super) fn with_names(roster: &Roster, mut notifications: Vec<Notification>) -> Vec<Notification> {
    for person in notifications.iter_mut().flat_map(|notification| &mut notification.people) {
        *person = name(roster, person);
    }
    notifications
}
