//! Alerts: something a person must look at, and its life.
//!
//! Findings come in from [`crate::detect`], the [`AlertBook`] makes alerts of them, and staff carry
//! each through raised → accepted → dispatched → handled → closed. Every step is an [`AlertChange`]
//! with a sequence number without gaps: the journal keeps them, the upstream receives them.

mod book;
pub(crate) mod drill;
mod life;
mod matter;
mod regrade;
mod staff;
pub(crate) mod walk_test;

pub use book::AlertBook;
pub use drill::{Drill, DrillError};
pub use matter::{GRID, MATTER, Matter, RESIDENT};
pub use regrade::{REGRADED, Regrade};
pub use staff::{Acted, ActionError, Outcome, StaffAction, TakenAction, UNDO_WITHIN, Verb, VerbName};
pub use walk_test::{LONGEST_TURN, QUIET_WITHIN, TurnError, TurnStep, WalkTurn};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

use crate::duty::Ladders;
use crate::time::{Span, TimeMs};

/// What an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each name says it all")]
pub enum Scene {
    Security,
    Fire,
    ElderCare,
    ChildProtection,
    Employment,
    /// The gateway itself, and never a place: no rule can have it.
    Operations,
}

impl Scene {
    /// The name in files, the API and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Security => "security",
            Self::Fire => "fire",
            Self::ElderCare => "elder_care",
            Self::ChildProtection => "child_protection",
            Self::Employment => "employment",
            Self::Operations => "operations",
        }
    }
}

/// What the place and the devices of alerts about the gateway itself begin with: `gateway:kaili-01`,
/// `gateway:upstream:city`.
pub const GATEWAY: &str = "gateway:";

/// How much it matters. The order is that of urgency: `Notice < Minor < Major < Critical`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each name says it all")]
pub enum Severity {
    Notice,
    Minor,
    Major,
    Critical,
}

impl Severity {
    /// The name in files, the API and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Minor => "minor",
            Self::Major => "major",
            Self::Critical => "critical",
        }
    }
}

/// Where in its life an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each name says it all")]
pub enum Status {
    Raised,
    Accepted,
    Dispatched,
    Handled,
    Closed,
}

/// How an alert was judged when it was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each name says it all")]
pub enum Verdict {
    TrueAlarm,
    FalseAlarm,
    Test,
    Nuisance,
}

/// A sentence for people, in both languages.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "both languages: { zh = \"…\", en = \"…\" }")]
pub struct Text {
    /// 中文
    pub zh: String,
    /// English
    pub en: String,
}

/// A ULID: unique for ever, sorts by the time of raising.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AlertId(Arc<str>);

impl AlertId {
    /// The id as text: 26 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The least that an alert raised at `at_ms` or later can have.
    pub fn least_at(at_ms: TimeMs) -> Self {
        // A ULID has 48 bits for the time.
        let ulid = ulid::Ulid::from_parts(u64::try_from(at_ms).unwrap_or(0).min((1 << 48) - 1), 0);
        Self(ulid.array_to_str(&mut [0; ulid::ULID_LEN]).to_owned().into())
    }
}

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for AlertId {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

/// One curve of the evidence: what a field did around the moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// The field of the sensor type, such as `co_ppm`, or a channel of a burst.
    pub field: String,
    /// The unit as people write it; empty for a switch.
    pub unit: String,
    /// (time, value), by time.
    pub points: Vec<(TimeMs, f64)>,
    /// The limit that was passed, to be drawn across.
    pub threshold: Option<f64>,
}

/// What a model said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The model's name.
    pub model: String,
    /// The model's version.
    pub version: String,
    /// 0 to 1.
    pub value: f64,
    /// At and above it the model says yes.
    pub threshold: f64,
    /// The inputs by name, as the model saw them.
    pub features: Vec<(String, f64)>,
    /// The inputs without which it would not have said yes, those that moved the score most first.
    #[serde(default)]
    pub moved_by: Vec<MovedBy>,
}

/// An input that moved a score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MovedBy {
    /// Its name among the features.
    pub input: String,
    /// What it is.
    pub label: Text,
    /// As people write it; empty for a count or a share.
    pub unit: String,
    /// What it was.
    pub value: f64,
    /// What it is where nothing is amiss.
    pub usual: f64,
    /// What the score would be if it, and those before it, were as usual.
    pub score_without: f64,
}

/// The readings, features, score and reason that made an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// When it was found.
    pub at_ms: TimeMs,
    /// Which device.
    pub device: String,
    /// Which rule.
    pub rule: String,
    /// Why, with the numbers.
    pub reason: Text,
    /// What the device measured.
    pub series: Vec<Series>,
    /// What a model said, where one did.
    pub score: Option<Score>,
}

/// What detection found on one device: the wish for an alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The device's place.
    pub place: String,
    /// Findings of one place and group are one alert: `fire`, `elder_care`, `device_health`, …
    pub group: Arc<str>,
    /// The scene.
    pub scene: Scene,
    /// The severity.
    pub severity: Severity,
    /// Whether it can be over (a level, a silence), rather than happen (a fall, a face).
    pub lasting: bool,
    /// A few words: `CO 高 / High CO`.
    pub title: Text,
    /// Why, from what, on which device, by which rule.
    pub evidence: Evidence,
}

/// What detection tells the alert book.
#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
    /// A rule's condition began to hold on a device.
    Raise(Box<Finding>),
    /// It holds no longer.
    Clear {
        /// The device.
        device: String,
        /// The rule.
        rule: Arc<str>,
    },
}

/// An alert as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Unique for ever.
    pub id: AlertId,
    /// Counts up on this gateway: what people say on the phone.
    pub number: u64,
    /// Which gateway.
    pub gateway: String,
    /// Which place.
    pub place: String,
    /// See [`Finding::group`].
    pub group: Arc<str>,
    /// The scene of the gravest finding.
    pub scene: Scene,
    /// The gravest severity so far.
    pub severity: Severity,
    /// Where in its life it is.
    pub status: Status,
    /// A few words.
    pub title: Text,
    /// The sentence of the gravest finding.
    pub reason: Text,
    /// When it was raised.
    pub raised_at_ms: TimeMs,
    /// When it last changed.
    pub updated_at_ms: TimeMs,
    /// Since when no condition holds any more.
    pub recovered_at_ms: Option<TimeMs>,
    /// The devices that joined, in the order of joining.
    pub devices: Vec<String>,
    /// The rules that found something.
    pub rules: Vec<String>,
    /// How many findings it holds, folded ones included.
    pub occurrences: u32,
    /// How many rungs of the ladder it has climbed unaccepted.
    pub escalation: u8,
    /// Who accepted it.
    pub accepted_by: Option<String>,
    /// Whom staff sent.
    pub dispatched_to: Option<String>,
    /// How it was judged.
    pub verdict: Option<Verdict>,
    /// When it climbs the next rung, unless somebody accepts it. A checkpoint has it elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "for_people")]
    pub next_rung_at_ms: Option<TimeMs>,
    /// Nothing has happened: it is a drill. A checkpoint tells by the group.
    #[serde(default, skip_serializing_if = "std::ops::Not::not", with = "for_people")]
    pub drill: bool,
    /// The walk-test in which the device raised it: a person tries the device out. A checkpoint has it elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "for_people")]
    pub walk_test: Option<Arc<str>>,
}

impl Alert {
    /// Whether sirens may sound for it: those of a drill only where that was asked for.
    pub fn may_sound(&self) -> bool {
        drill::group_sounds(&self.group)
    }
}

/// Fields that stand in JSON and not in a checkpoint, where they would be in the way of those from before there were such
/// fields: [`AlertBook::settled`] puts them in again.
mod for_people {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<T: Serialize, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { value.serialize(serializer) } else { serializer.serialize_unit() }
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: Deserialize<'de> + Default,
        D: Deserializer<'de>,
    {
        if deserializer.is_human_readable() {
            return T::deserialize(deserializer);
        }
        // Takes no byte.
        <()>::deserialize(deserializer)?;
        Ok(T::default())
    }
}

/// What happened to an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each name says it all")]
pub enum ChangeKind {
    Raised,
    /// A further device or rule of the place found something.
    Joined,
    /// The same rule on the same device found it again.
    Repeated,
    Recovered,
    Escalated,
    Accepted,
    Dispatched,
    Handled,
    Closed,
    /// Staff did something that the life had gone beyond already.
    Noted,
    /// Somebody took back what they had done; the alert is as if they had not.
    Undone,
    /// Somebody wrote something down.
    Annotated,
}

/// One step in an alert's life, with the alert after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertChange {
    /// 1, 2, 3 … on this gateway, without gaps.
    pub seq: u64,
    /// When.
    pub at_ms: TimeMs,
    /// What.
    pub kind: ChangeKind,
    /// Who: a staff account, or nobody for what the gateway did itself.
    pub by: Option<String>,
    /// What staff wrote.
    pub note: Option<String>,
    /// What staff did, where they did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<TakenAction>,
    /// The alert after the change.
    pub alert: Alert,
    /// What made it, for `raised` and `joined`, and for `repeated` unless it only says that what had
    /// been folded has stayed.
    pub evidence: Option<Evidence>,
}

/// How alerts fold, join and escalate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlertSettings {
    /// Findings of one place and group within this time of the last are one alert.
    pub join_window: Span,
    /// After how long unaccepted a critical alert climbs each rung.
    pub escalate_critical: Vec<Span>,
    /// The same for major alerts.
    pub escalate_major: Vec<Span>,
    /// The same for minor alerts.
    pub escalate_minor: Vec<Span>,
    /// How long there may be no connection to an upstream or a broker before that is an alert; it has recovered when
    /// there has been one for half as long.
    pub link_down_after: Span,
    /// What climbs in another way than the above; made of the files, see [`Ladders::compile`].
    #[serde(skip)]
    pub ladders: Ladders,
}

impl Default for AlertSettings {
    fn default() -> Self {
        Self {
            join_window: Span::from_secs(600),
            escalate_critical: [60, 180, 600].map(Span::from_secs).to_vec(),
            escalate_major: [300, 900].map(Span::from_secs).to_vec(),
            escalate_minor: [3600].map(Span::from_secs).to_vec(),
            link_down_after: Span::from_secs(60),
            ladders: Ladders::default(),
        }
    }
}

impl AlertSettings {
    /// After how long unaccepted the alert climbs to a rung, since it was raised or became graver; 0 is the first rung,
    /// which is there from the start. None where there is no such rung.
    pub fn after(&self, alert: &Alert, rung: u8) -> Option<Span> {
        if let Some(ladder) = self.ladders.of(alert) {
            return ladder.rungs.get(usize::from(rung)).map(|rung| rung.after);
        }
        let climbs = match alert.severity {
            Severity::Critical => &*self.escalate_critical,
            Severity::Major => &*self.escalate_major,
            Severity::Minor => &*self.escalate_minor,
            Severity::Notice => &[],
        };
        match rung.checked_sub(1) {
            None => Some(Span::default()),
            Some(climb) => climbs.get(usize::from(climb)).copied(),
        }
    }

    /// When an alert climbs from where it is, by when it was raised.
    fn rung_after_raising(&self, alert: &Alert) -> Option<TimeMs> {
        Some(alert.raised_at_ms + self.after(alert, alert.escalation.checked_add(1)?)?.ms())
    }

    /// When an alert climbs from where it is, if it was there since `at`.
    fn next_rung(&self, alert: &Alert, at: TimeMs) -> Option<TimeMs> {
        let here = self.after(alert, alert.escalation).unwrap_or_default();
        let next = self.after(alert, alert.escalation.checked_add(1)?)?;
        Some(at + (next.ms() - here.ms()).max(1))
    }
}
