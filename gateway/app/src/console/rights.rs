//! Who may do what: one table of routes and roles. A route that is not in it is not there for anybody.

use axum::http::Method;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::sync::Arc;

use ninewatch_core::pipeline::Site;
use ninewatch_core::reading::SensorClass;
use ninewatch_core::site::{Device, PlaceKind};

/// What an account is for. It has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub(crate) enum Role {
    /// Answers alerts: sees all of them, and whom they are about
    Duty,
    /// Is sent: sees and handles what is in the grids of the account, and leaves the verdict to others
    GridMember,
    /// Puts devices up: sees that they report, not what they report of people
    Installer,
    /// Writes sensor types, watches the gateway: neither alerts nor what devices report of people
    Integrator,
    /// May do everything, and reads who did what
    Admin,
}

impl Role {
    /// As files, commands and the API call it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Duty => "duty",
            Self::GridMember => "grid_member",
            Self::Installer => "installer",
            Self::Integrator => "integrator",
            Self::Admin => "admin",
        }
    }
}

/// What somebody may do and see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rights {
    pub(super) role: Role,
    /// Of a grid member; all grids for everybody else.
    pub(super) grids: Arc<[String]>,
}

/// Whom a route is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum For {
    /// Also for those who are not logged in.
    Anyone,
    Roles(&'static [Role]),
}

/// A line of the table.
pub(super) struct Rule {
    pub(super) method: Method,
    /// `{…}` stands for anything.
    pub(super) path: &'static str,
    pub(super) is_for: For,
}

use Role::{Admin, Duty, GridMember, Installer, Integrator};

const EVERYBODY: For = For::Roles(&[Duty, GridMember, Installer, Integrator, Admin]);
/// They see alerts, and with them people.
const RESPONDERS: For = For::Roles(&[Duty, GridMember, Admin]);
const DESK: For = For::Roles(&[Duty, Admin]);

/// The first line that fits counts. A path is compared as it was sent, before any `%41` in it is decoded: what is written
/// in a roundabout way falls to the line with the parameter, which is therefore never the laxer one.
#[rustfmt::skip]
static TABLE: [Rule; 19] = [
    rule(Method::GET,    "/api/v1/alerts",                       RESPONDERS),
    rule(Method::GET,    "/api/v1/alerts/{id}",                  RESPONDERS),
    rule(Method::POST,   "/api/v1/alerts/{id}/accept",           RESPONDERS),
    rule(Method::POST,   "/api/v1/alerts/{id}/dispatch",         RESPONDERS),
    rule(Method::POST,   "/api/v1/alerts/{id}/handle",           RESPONDERS),
    // Closing is reviewing: who handled it does not judge it.
    rule(Method::POST,   "/api/v1/alerts/{id}/{verb}",           DESK),
    rule(Method::GET,    "/api/v1/events",                       RESPONDERS),
    rule(Method::GET,    "/api/v1/devices",                      EVERYBODY),
    rule(Method::GET,    "/api/v1/devices/{id}/commands",        For::Roles(&[Duty, Installer, Integrator, Admin])),
    rule(Method::POST,   "/api/v1/devices/{id}/commands/{name}", For::Roles(&[Duty, Installer, Integrator, Admin])),
    // Raw bytes, past what the sensor type allows.
    rule(Method::POST,   "/api/v1/devices/{id}/downlink",        For::Roles(&[Installer, Integrator, Admin])),
    rule(Method::GET,    "/api/v1/places",                       EVERYBODY),
    rule(Method::GET,    "/api/v1/models",                       For::Roles(&[Duty, Integrator, Admin])),
    rule(Method::GET,    "/api/v1/health",                       For::Anyone),
    rule(Method::GET,    "/api/v1/session",                      EVERYBODY),
    rule(Method::POST,   "/api/v1/session",                      For::Anyone),
    rule(Method::DELETE, "/api/v1/session",                      EVERYBODY),
    rule(Method::GET,    "/api/v1/openapi.json",                 EVERYBODY),
    rule(Method::GET,    "/metrics",                             For::Roles(&[Duty, Integrator, Admin])),
];

const fn rule(method: Method, path: &'static str, is_for: For) -> Rule {
    Rule { method, path, is_for }
}

/// The line of the table for a request. `HEAD` is `GET` without the answer.
pub(super) fn rule_of(method: &Method, path: &str) -> Option<&'static Rule> {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    TABLE.iter().find(|rule| rule.method == *method && fits(rule.path, path))
}

fn fits(template: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted == given || wanted.starts_with('{') => {}
            _ => return false,
        }
    }
}

impl Rule {
    /// Whether it is for somebody with this role; `None` is nobody in particular.
    pub(super) fn lets(&self, role: Option<Role>) -> bool {
        match (self.is_for, role) {
            (For::Anyone, _) => true,
            (For::Roles(roles), Some(role)) => roles.contains(&role),
            (For::Roles(_), None) => false,
        }
    }
}

impl Rights {
    /// Every line that lets this role, as `GET /api/v1/alerts`: what a page offers.
    pub(super) fn may(&self) -> Vec<String> {
        let rules = TABLE.iter().filter(|rule| rule.lets(Some(self.role)));
        rules.map(|rule| format!("{} {}", rule.method, rule.path)).collect()
    }

    /// Whether not all places may be seen.
    pub(super) fn is_limited(&self) -> bool {
        self.role == Role::GridMember
    }

    /// Whether what is in this grid may be seen.
    pub(super) fn sees_grid(&self, grid: &str) -> bool {
        !self.is_limited() || self.grids.iter().any(|one| one == grid)
    }

    /// Whether what is at this place may be seen. A place that is no longer registered is in no grid.
    pub(super) fn sees_place(&self, site: &Site, id: &str) -> bool {
        !self.is_limited() || site.registry.place(id).is_some_and(|place| self.sees_grid(&place.grid))
    }

    /// The places whose alerts may be seen; `None` where all may.
    pub(super) fn places(&self, site: &Site) -> Option<HashSet<String>> {
        let mine = || site.registry.places.iter().filter(|place| self.sees_grid(&place.grid));
        self.is_limited().then(|| mine().map(|place| place.id.clone()).collect())
    }

    /// Whether alerts may be seen, be it only how many there are.
    pub(super) fn sees_alerts(&self) -> bool {
        rule_of(&Method::GET, "/api/v1/alerts").is_some_and(|rule| rule.lets(Some(self.role)))
    }

    /// Whether what devices report of people may be seen: those who see no alerts need not.
    pub(super) fn sees_people(&self) -> bool {
        self.sees_alerts()
    }
}

/// Whether what the device reports is about a person: it is worn, it stands in a home, or it looks at faces.
pub(super) fn is_of_a_person(site: &Site, device: &Device) -> bool {
    let is_home = site.registry.place(&device.place).is_some_and(|place| place.kind == PlaceKind::Home);
    let class = site.sensor_types.get(&device.sensor_type).map(|sensor_type| sensor_type.class);
    device.person.is_some() || is_home || class == Some(SensorClass::FaceCamera)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_written_in_a_roundabout_way_gets_no_laxer_rule() {
        let lets = |path: &str| rule_of(&Method::POST, path).is_some_and(|rule| rule.lets(Some(Role::GridMember)));
        assert!(lets("/api/v1/alerts/1/accept"));
        for path in ["close", "clos%65", "%61ccept", "accept%2f..%2fclose", "ACCEPT", ""] {
            assert!(!lets(&format!("/api/v1/alerts/1/{path}")), "{path}");
        }
        assert!(rule_of(&Method::POST, "/api/v1/alerts/1/accept/").is_none());
        assert!(rule_of(&Method::POST, "/api/v1/alerts//1/accept").is_none());
    }

    #[test]
    fn what_is_in_no_line_is_for_nobody() {
        assert!(rule_of(&Method::PUT, "/api/v1/alerts").is_none());
        assert!(rule_of(&Method::GET, "/api/v1/people").is_none());
        assert!(rule_of(&Method::HEAD, "/api/v1/alerts").is_some());
    }
}
