//! Who may do what: one table of routes and roles. A route that is not in it is not there for anybody.

use axum::extract::Extension;
use axum::http::Method;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::sync::Arc;

use ninewatch_core::alert::{Alert, GATEWAY, GRID};
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
    /// As the audit log calls it.
    pub(super) name: &'static str,
    pub(super) log: Log,
}

/// When the audit log gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Log {
    Never,
    /// Where the answer shows something of people: it is then marked by [`OfPeople`].
    People,
    Always,
}

/// On an answer that shows something of people.
#[derive(Debug, Clone, Copy)]
pub(super) struct OfPeople;

/// On an answer: what came to be by the request, where the path does not name it.
#[derive(Debug, Clone)]
pub(super) struct Made(pub(super) String);

/// Marks the answer where it is so.
pub(super) fn of_people(is_so: bool) -> Option<Extension<OfPeople>> {
    is_so.then_some(Extension(OfPeople))
}

use Role::{Admin, Duty, GridMember, Installer, Integrator};

const EVERYBODY: For = For::Roles(&[Duty, GridMember, Installer, Integrator, Admin]);
/// They see alerts, and with them people.
const RESPONDERS: For = For::Roles(&[Duty, GridMember, Admin]);
const DESK: For = For::Roles(&[Duty, Admin]);
/// They tell devices what the sensor type allows.
const TELLERS: For = For::Roles(&[Duty, Installer, Integrator, Admin]);
/// They see whether people are told of alerts, and try it out.
const TRIERS: For = For::Roles(&[Duty, Installer, Admin]);
/// They see who is on duty: whoever answers alerts, and whoever asks the desk for help with a device.
const ROSTERED: For = For::Roles(&[Duty, GridMember, Installer, Admin]);
const FITTERS: For = For::Roles(&[Installer, Integrator, Admin]);
/// They register places and devices, wire nodes and give them their programs.
const FITTERS_OF_NODES: For = For::Roles(&[Installer, Admin]);
const WATCHERS: For = For::Roles(&[Duty, Integrator, Admin]);
const ADMIN: For = For::Roles(&[Admin]);

/// The first line that fits counts. A path is compared as it was sent, before any `%41` in it is decoded: what is written
/// in a roundabout way falls to the line with the parameter, which is therefore never the laxer one.
#[rustfmt::skip]
static TABLE: &[Rule] = &[
    rule(Method::GET,    "/api/v1/alerts",                       RESPONDERS,  "alerts.look",     Log::People),
    rule(Method::GET,    "/api/v1/alerts.csv",                   RESPONDERS,  "alerts.export",   Log::People),
    rule(Method::GET,    "/api/v1/alerts/{id}",                  RESPONDERS,  "alert.look",      Log::People),
    rule(Method::POST,   "/api/v1/alerts/{id}/accept",           RESPONDERS,  "alert.accept",    Log::Always),
    rule(Method::POST,   "/api/v1/alerts/{id}/dispatch",         RESPONDERS,  "alert.dispatch",  Log::Always),
    rule(Method::POST,   "/api/v1/alerts/{id}/handle",           RESPONDERS,  "alert.handle",    Log::Always),
    rule(Method::POST,   "/api/v1/alerts/{id}/undo",             RESPONDERS,  "alert.undo",      Log::Always),
    rule(Method::POST,   "/api/v1/alerts/{id}/note",             RESPONDERS,  "alert.note",      Log::Always),
    // Closing is reviewing: who handled it does not judge it.
    rule(Method::POST,   "/api/v1/alerts/{id}/close",            DESK,        "alert.close",     Log::Always),
    rule(Method::POST,   "/api/v1/alerts/{id}/severity",         DESK,        "alert.regrade",   Log::Always),
    rule(Method::POST,   "/api/v1/alerts/{id}/photos",           RESPONDERS,  "photo.add",       Log::Always),
    rule(Method::GET,    "/api/v1/alerts/{id}/photos/{photo}",   RESPONDERS,  "photo.look",      Log::People),
    rule(Method::GET,    "/api/v1/alerts/{id}/matter",           RESPONDERS,  "matter.look",     Log::People),
    rule(Method::POST,   "/api/v1/alerts/{id}/answer",           RESPONDERS,  "matter.answer",   Log::Always),
    rule(Method::POST,   "/api/v1/alerts/{id}/{verb}",           DESK,        "alert.other",     Log::Always),
    rule(Method::GET,    "/api/v1/events",                       RESPONDERS,  "alerts.listen",   Log::People),
    rule(Method::GET,    "/api/v1/report",                       RESPONDERS,  "report.look",     Log::People),
    rule(Method::GET,    "/api/v1/devices",                      EVERYBODY,   "devices.look",    Log::People),
    rule(Method::GET,    "/api/v1/devices/{id}/readings",        EVERYBODY,   "readings.look",   Log::People),
    rule(Method::GET,    "/api/v1/devices/{id}/commands",        TELLERS,     "commands.look",   Log::Never),
    rule(Method::POST,   "/api/v1/devices/{id}/commands/{name}", TELLERS,     "device.command",  Log::Always),
    // Raw bytes, past what the sensor type allows.
    rule(Method::POST,   "/api/v1/devices/{id}/downlink",        FITTERS,     "device.downlink", Log::Always),
    rule(Method::GET,    "/api/v1/places",                       EVERYBODY,   "places.look",     Log::People),
    rule(Method::GET,    "/api/v1/plans",                        EVERYBODY,   "plans.look",      Log::People),
    rule(Method::GET,    "/api/v1/plans/{grid}/picture",         EVERYBODY,   "plans.look",      Log::Never),
    rule(Method::PUT,    "/api/v1/plans/{grid}/picture",         ADMIN,       "plan.picture",    Log::Always),
    rule(Method::DELETE, "/api/v1/plans/{grid}/picture",         ADMIN,       "plan.remove",     Log::Always),
    rule(Method::PUT,    "/api/v1/plans/{grid}/positions/{place}", ADMIN,     "plan.position",   Log::Always),
    rule(Method::GET,    "/api/v1/handovers",                    DESK,        "handovers.look",  Log::People),
    rule(Method::POST,   "/api/v1/handovers",                    DESK,        "handover.write",  Log::Always),
    rule(Method::POST,   "/api/v1/handovers/{id}/accept",        DESK,        "handover.accept", Log::Always),
    rule(Method::GET,    "/api/v1/rules",                        EVERYBODY,   "rules.look",      Log::Never),
    rule(Method::GET,    "/api/v1/models",                       WATCHERS,    "models.look",     Log::Never),
    rule(Method::GET,    "/api/v1/notify",                       TELLERS,     "channels.look",   Log::Never),
    rule(Method::POST,   "/api/v1/notify/{name}/test",           TRIERS,      "channel.test",    Log::Always),
    rule(Method::GET,    "/api/v1/nodes",                        TELLERS,     "node.look",       Log::Never),
    rule(Method::POST,   "/api/v1/nodes/{id}/blink",             TRIERS,      "node.blink",      Log::Always),
    rule(Method::POST,   "/api/v1/nodes/{id}/switch",            TRIERS,      "node.switch",     Log::Always),
    rule(Method::POST,   "/api/v1/nodes/{id}/restart",           FITTERS_OF_NODES, "node.restart", Log::Always),
    rule(Method::POST,   "/api/v1/nodes/{id}/log",               FITTERS_OF_NODES, "node.log",   Log::Always),
    rule(Method::POST,   "/api/v1/nodes/{id}/update",            FITTERS_OF_NODES, "node.update", Log::Always),
    rule(Method::GET,    "/api/v1/roster",                       ROSTERED,    "roster.look",     Log::People),
    rule(Method::PUT,    "/api/v1/roster",                       DESK,        "roster.change",   Log::Always),
    rule(Method::POST,   "/api/v1/drills",                       DESK,        "drill.begin",     Log::Always),
    rule(Method::GET,    "/api/v1/walk-tests",                   TELLERS,     "walk_tests.look", Log::People),
    rule(Method::POST,   "/api/v1/walk-tests",                   FITTERS,     "walk_test.begin", Log::Always),
    rule(Method::GET,    "/api/v1/walk-tests/{id}",              TELLERS,     "walk_test.look",  Log::People),
    rule(Method::POST,   "/api/v1/walk-tests/{id}/devices/{device}", FITTERS, "walk_test.turn",  Log::Always),
    rule(Method::POST,   "/api/v1/walk-tests/{id}/finish",       FITTERS,     "walk_test.finish", Log::Always),
    rule(Method::GET,    "/api/v1/walk-tests/{id}/code.svg",     TELLERS,     "walk_test.print", Log::Never),
    rule(Method::GET,    "/api/v1/grids",                        RESPONDERS,  "grid_codes.look", Log::Never),
    rule(Method::GET,    "/api/v1/grids/{id}/code",              RESPONDERS,  "grid_code.look",  Log::Never),
    rule(Method::POST,   "/api/v1/grids/{id}/code",              DESK,        "grid_code.renew", Log::Always),
    rule(Method::DELETE, "/api/v1/grids/{id}/code",              DESK,        "grid_code.revoke", Log::Always),
    rule(Method::GET,    "/api/v1/grids/{id}/code.svg",          RESPONDERS,  "grid_code.print", Log::Never),
    // Residents are not logged in: a code lets them report, a ticket lets them see how far it is. The journal has what came.
    rule(Method::GET,    "/api/v1/grid-codes/{code}",            For::Anyone, "matter.form",     Log::Never),
    rule(Method::POST,   "/api/v1/matters",                      For::Anyone, "matter.report",   Log::Never),
    rule(Method::GET,    "/api/v1/matters/{ticket}",             For::Anyone, "matter.progress", Log::Never),
    rule(Method::POST,   "/api/v1/matters/{ticket}/photos",      For::Anyone, "matter.photo",    Log::Never),
    rule(Method::GET,    "/api/v1/residents",                    RESPONDERS,  "residents.look",  Log::People),
    rule(Method::POST,   "/api/v1/residents",                    ADMIN,       "resident.add",    Log::Always),
    rule(Method::PUT,    "/api/v1/residents/{id}",               ADMIN,       "resident.change", Log::Always),
    rule(Method::DELETE, "/api/v1/residents/{id}",               ADMIN,       "resident.delete", Log::Always),
    rule(Method::GET,    "/api/v1/places/{id}/residents",        RESPONDERS,  "resident.look",   Log::People),
    rule(Method::GET,    "/api/v1/retention",                    ADMIN,       "retention.look",  Log::Never),
    rule(Method::GET,    "/api/v1/log",                          ADMIN,       "log.look",        Log::Never),
    rule(Method::PUT,    "/api/v1/log",                          ADMIN,       "log.change",      Log::Always),
    rule(Method::GET,    "/api/v1/support",                      ADMIN,       "support.make",    Log::Always),
    rule(Method::GET,    "/api/v1/setup",                        FITTERS_OF_NODES, "setup.look",   Log::Never),
    rule(Method::POST,   "/api/v1/setup/scan",                   FITTERS_OF_NODES, "setup.scan",   Log::Always),
    rule(Method::POST,   "/api/v1/setup/code",                   FITTERS_OF_NODES, "setup.code",   Log::Always),
    rule(Method::POST,   "/api/v1/places",                       FITTERS_OF_NODES, "place.add",    Log::Always),
    rule(Method::PUT,    "/api/v1/places/{id}",                  FITTERS_OF_NODES, "place.change", Log::Always),
    rule(Method::DELETE, "/api/v1/places/{id}",                  FITTERS_OF_NODES, "place.remove", Log::Always),
    rule(Method::POST,   "/api/v1/devices",                      FITTERS_OF_NODES, "device.add",   Log::Always),
    rule(Method::PUT,    "/api/v1/devices/{id}",                 FITTERS_OF_NODES, "device.change", Log::Always),
    rule(Method::DELETE, "/api/v1/devices/{id}",                 FITTERS_OF_NODES, "device.remove", Log::Always),
    rule(Method::POST,   "/api/v1/devices/{id}/secret",          FITTERS_OF_NODES, "device.renew", Log::Always),
    rule(Method::GET,    "/api/v1/devices/{id}/label",           FITTERS_OF_NODES, "device.label", Log::Never),
    // They hold passwords, and looking is done from inside the network.
    rule(Method::GET,    "/api/v1/brokers",                      FITTERS_OF_NODES, "broker.list",  Log::Never),
    rule(Method::POST,   "/api/v1/brokers",                      ADMIN,       "broker.add",      Log::Always),
    rule(Method::POST,   "/api/v1/brokers/look",                 ADMIN,       "broker.look",     Log::Always),
    rule(Method::DELETE, "/api/v1/brokers/{name}",               ADMIN,       "broker.remove",   Log::Always),
    rule(Method::GET,    "/api/v1/update",                       ADMIN,       "update.show",     Log::Never),
    rule(Method::POST,   "/api/v1/update/look",                  ADMIN,       "update.look",     Log::Always),
    rule(Method::POST,   "/api/v1/update/now",                   ADMIN,       "update.now",      Log::Always),
    rule(Method::POST,   "/api/v1/update/back",                  ADMIN,       "update.back",     Log::Always),
    rule(Method::GET,    "/api/v1/health",                       For::Anyone, "health.look",     Log::Never),
    rule(Method::GET,    "/api/v1/session",                      EVERYBODY,   "session.look",    Log::Never),
    // A log-in is noted where it is known whose it is.
    rule(Method::POST,   "/api/v1/session",                      For::Anyone, "session.begin",   Log::Never),
    rule(Method::DELETE, "/api/v1/session",                      EVERYBODY,   "session.end",     Log::Always),
    rule(Method::GET,    "/api/v1/audit",                        ADMIN,       "audit.look",      Log::Always),
    rule(Method::GET,    "/api/v1/audit/check",                  ADMIN,       "audit.check",     Log::Always),
    rule(Method::GET,    "/api/v1/openapi.json",                 EVERYBODY,   "openapi.look",    Log::Never),
    rule(Method::GET,    "/ca.crt",                              For::Anyone, "ca.look",         Log::Never),
    rule(Method::GET,    "/metrics",                             WATCHERS,    "metrics.look",    Log::Never),
];

/// Of what a path names, in the audit log.
const LONGEST_NAME: usize = 200;

const fn rule(method: Method, path: &'static str, is_for: For, name: &'static str, log: Log) -> Rule {
    Rule { method, path, is_for, name, log }
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
    /// What a path names by the parameters: `{id}/{name}`.
    pub(super) fn named_in(&self, path: &str) -> String {
        let parts = self.path.split('/').zip(path.split('/')).filter(|(template, _)| template.starts_with('{'));
        parts.map(|(_, part)| part).collect::<Vec<_>>().join("/").chars().take(LONGEST_NAME).collect()
    }

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
        !self.is_limited() || site.registry.grid_of(id).is_some_and(|grid| self.sees_grid(grid))
    }

    /// The places whose alerts may be seen; `None` where all may.
    pub(super) fn places(&self, site: &Site) -> Option<HashSet<String>> {
        let mine = || site.registry.places.iter().filter(|place| self.sees_grid(&place.grid));
        let matters = || self.grids.iter().map(|grid| format!("{GRID}{grid}"));
        self.is_limited().then(|| mine().map(|place| place.id.clone()).chain(matters()).collect())
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

/// Whether the alert is about a person: it is of a home, or of a device that is.
pub(super) fn alert_is_of_people(site: &Site, alert: &Alert) -> bool {
    if alert.place.starts_with(GATEWAY) {
        return false;
    }
    // What is not registered any more may have been anybody's.
    let is_home = site.registry.place(&alert.place).is_none_or(|place| place.kind == PlaceKind::Home);
    let mut devices = alert.devices.iter().map(|id| site.registry.device(id));
    is_home || devices.any(|device| device.is_none_or(|device| is_of_a_person(site, device)))
}

/// Whether what the device reports is about a person: it is worn, it stands in a home, or it looks at faces.
pub(super) fn is_of_a_person(site: &Site, device: &Device) -> bool {
    let is_home = site.registry.place(&device.place).is_some_and(|place| place.kind == PlaceKind::Home);
    let class = site.sensor_types.get(&device.sensor_type).map(|sensor_type| sensor_type.class);
    device.person.is_some() || is_home || class.is_none_or(|class| class == SensorClass::FaceCamera)
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
    fn whatever_changes_something_is_noted() {
        // A log-in is noted where it is known whose it is; what residents send stands in the journal.
        let elsewhere = ["session.begin", "matter.report", "matter.photo"];
        for rule in TABLE.iter().filter(|rule| rule.method != Method::GET && !elsewhere.contains(&rule.name)) {
            assert_eq!(rule.log, Log::Always, "{} {}", rule.method, rule.path);
        }
        let rule = rule_of(&Method::POST, "/api/v1/devices/siren-1/commands/on").unwrap();
        assert_eq!(rule.named_in("/api/v1/devices/siren-1/commands/on"), "siren-1/on");
    }

    #[test]
    fn what_is_in_no_line_is_for_nobody() {
        assert!(rule_of(&Method::PUT, "/api/v1/alerts").is_none());
        assert!(rule_of(&Method::GET, "/api/v1/people").is_none());
        assert!(rule_of(&Method::HEAD, "/api/v1/alerts").is_some());
    }
}
