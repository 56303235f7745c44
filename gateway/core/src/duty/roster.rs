//! The roster: who is on duty when, and how each is reached. The file `roster.toml`, and what the page writes.

use jiff::civil;
use jiff::tz::Offset;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::BTreeSet;
use std::fmt;

use super::{DAY_MS, Weekday, began_on};
use crate::fault::Fault;
use crate::hours::Hours;
use crate::site::is_id;
use crate::time::{TimeMs, UtcOffset};

/// As what somebody is on duty. A closed list, so that each has its word in both languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Title {
    /// 网格员
    GridMember,
    /// 值班员
    DutyOfficer,
    /// 保安
    Guard,
    /// 微型消防站
    FireTeam,
    /// 医护
    Medic,
    /// 带班领导
    Leader,
}

impl Title {
    /// The name in files and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GridMember => "grid_member",
            Self::DutyOfficer => "duty_officer",
            Self::Guard => "guard",
            Self::FireTeam => "fire_team",
            Self::Medic => "medic",
            Self::Leader => "leader",
        }
    }
}

/// Somebody who answers alerts, and how each service knows them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// Unique; what shifts and ladders call them.
    pub id: String,
    /// As people call them.
    pub name: String,
    /// For people, and for WeCom and DingTalk to call them by.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub phone: String,
    /// The user id of 企业微信; without it they are called by their phone.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub wecom: String,
    /// The user id of 钉钉; without it they are called by their phone.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub dingtalk: String,
    /// The open id (`ou_…`) or user id of 飞书.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub feishu: String,
    /// Where mails to them go.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub email: String,
}

/// Hours of days on which people are on duty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shift {
    /// As what.
    pub title: Title,
    /// None: for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grids: Vec<String>,
    /// On which it begins. None: on each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<Weekday>,
    /// Local; may go over midnight. None: the whole day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<Hours>,
    /// Ids.
    pub people: Vec<String>,
}

/// Somebody is off, and perhaps somebody else on instead: a holiday, an illness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Swap {
    /// The first day; shifts that begin on it count.
    pub from: Date,
    /// The last day.
    pub to: Date,
    /// Who is off.
    pub off: String,
    /// Who is on instead; without it nobody is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// Only of what they do as this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Title>,
}

/// Everything about who is on duty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roster {
    /// Those who answer alerts.
    #[serde(default, rename = "person", skip_serializing_if = "Vec::is_empty")]
    pub people: Vec<Person>,
    /// When they do.
    #[serde(default, rename = "shift", skip_serializing_if = "Vec::is_empty")]
    pub shifts: Vec<Shift>,
    /// When it is otherwise.
    #[serde(default, rename = "swap", skip_serializing_if = "Vec::is_empty")]
    pub swaps: Vec<Swap>,
}

/// As large as a community of tens of thousands needs, small enough to be looked through at each message.
const MOST: usize = 500;

impl Roster {
    /// Reads a roster and checks it.
    ///
    /// # Errors
    /// Every fault found, each with its line.
    pub fn parse(file: &str, source: &str) -> Result<Self, Vec<Fault>> {
        let roster: Self = toml::from_str(source).map_err(|error| vec![Fault::from_toml(file, source, &error)])?;
        let fault = |(key, problem, mend): (String, String, String)| Fault::at_key(file, source, &key, problem, mend);
        let faults: Vec<Fault> = roster.problems().into_iter().map(fault).collect();
        if faults.is_empty() { Ok(roster) } else { Err(faults) }
    }

    /// What is wrong in it, as (key, problem, mend). That nobody is on duty at some time is not: see [`Self::watches`].
    pub fn problems(&self) -> Vec<(String, String, String)> {
        let mut problems = Vec::new();
        let mut problem = |key: String, problem: String, mend: &str| problems.push((key, problem, mend.to_owned()));
        for (name, count) in [("person", self.people.len()), ("shift", self.shifts.len()), ("swap", self.swaps.len())] {
            if count > MOST {
                problem(name.into(), format!("there are {count}"), "keep at most 500 of each");
            }
        }
        let mut seen = BTreeSet::new();
        for (index, person) in self.people.iter().enumerate() {
            let key = |name: &str| format!("person.{index}.{name}");
            if !is_id(&person.id) {
                problem(key("id"), format!("`{}` is not an id", person.id), "use 1 to 64 of A-Z a-z 0-9 . _ -");
            } else if !seen.insert(person.id.as_str()) {
                problem(key("id"), format!("person `{}` is there twice", person.id), "remove one");
            }
            if !is_line(&person.name, 40) || person.name.is_empty() {
                problem(key("name"), "is not a name".into(), "give 1 to 40 characters, without line breaks");
            }
            let is_number = |sign: char| sign.is_ascii_digit();
            let digits = person.phone.strip_prefix('+').unwrap_or(&person.phone);
            let is_dialled = (3..=20).contains(&digits.len()) && digits.chars().all(is_number);
            if !person.phone.is_empty() && !is_dialled {
                problem(key("phone"), format!("`{}` is not a number", person.phone), "write it as 13800138000");
            }
            for (name, id) in [("wecom", &person.wecom), ("dingtalk", &person.dingtalk), ("feishu", &person.feishu)] {
                let is_sign = |sign: char| sign.is_ascii_alphanumeric() || "._-@".contains(sign);
                if id.len() > 64 || !id.chars().all(is_sign) || id == "all" || id == "@all" {
                    problem(key(name), format!("`{id}` names nobody there"), "copy the id as the service shows it");
                }
            }
            if !person.email.is_empty() && !is_email(&person.email) {
                problem(key("email"), format!("`{}` is not an e-mail address", person.email), "write duty@example.cn");
            }
        }
        for (index, _) in self.shifts.iter().enumerate().filter(|(_, shift)| shift.people.is_empty()) {
            let mend = "name who is on, or remove the shift";
            problem(format!("shift.{index}.people"), "nobody is on in this shift".into(), mend);
        }
        let mut known = |key: String, id: &str| {
            if !seen.contains(id) {
                problem(key, format!("there is no person `{id}`"), "add [[person]] with this id, or correct it");
            }
        };
        for (index, shift) in self.shifts.iter().enumerate() {
            shift.people.iter().for_each(|id| known(format!("shift.{index}.people"), id));
        }
        for (index, swap) in self.swaps.iter().enumerate() {
            known(format!("swap.{index}.off"), &swap.off);
            swap.on.iter().for_each(|id| known(format!("swap.{index}.on"), id));
        }
        for (index, swap) in self.swaps.iter().enumerate() {
            if swap.to < swap.from {
                problem(format!("swap.{index}.to"), "it ends before it begins".into(), "put the later day into `to`");
            }
        }
        problems
    }

    /// The person with this id.
    pub fn person(&self, id: &str) -> Option<&Person> {
        self.people.iter().find(|person| person.id == id)
    }

    /// Who is on duty as `title` for a grid at a time, in the order of the shifts; `None`: for any grid.
    pub fn on_duty(&self, title: Title, grid: Option<&str>, offset: UtcOffset, at: TimeMs) -> Vec<&Person> {
        let mut on: Vec<&Person> = Vec::new();
        for shift in self.shifts.iter().filter(|shift| shift.title == title && shift.is_for(grid)) {
            let Some(day) = began_on(&shift.days, shift.hours, offset, at) else { continue };
            for person in shift.people.iter().filter_map(|id| self.instead_of(id, title, day)) {
                if let Some(person) = self.person(person)
                    && !on.contains(&person)
                {
                    on.push(person);
                }
            }
        }
        on
    }

    /// Who does the duty of `id` in a shift that begins on this day. A swap of whoever is on instead counts no more: two
    /// who stand in for each other must not go round for ever.
    fn instead_of<'s>(&'s self, id: &'s str, title: Title, day: i64) -> Option<&'s str> {
        let swap = self.swaps.iter().find(|swap| {
            let is_then = swap.from.day() <= day && day <= swap.to.day();
            is_then && swap.off == id && swap.title.is_none_or(|only| only == title)
        });
        swap.map_or(Some(id), |swap| swap.on.as_deref())
    }
}

impl Shift {
    /// Whether it is for a grid; `None`: for any.
    pub(super) fn is_for(&self, grid: Option<&str>) -> bool {
        self.grids.is_empty() || grid.is_none_or(|grid| self.grids.iter().any(|one| one == grid))
    }
}

fn is_line(text: &str, longest: usize) -> bool {
    text.chars().count() <= longest && !text.chars().any(char::is_control)
}

fn is_email(text: &str) -> bool {
    let is_sign = |sign: char| sign.is_ascii_alphanumeric() || "._%+-".contains(sign);
    let is_domain = |domain: &str| {
        domain.contains('.')
            && domain
                .split('.')
                .all(|label| !label.is_empty() && label.chars().all(|sign| sign.is_ascii_alphanumeric() || sign == '-'))
    };
    let Some((name, domain)) = text.split_once('@') else { return false };
    let is_name = !name.starts_with('.') && !name.ends_with('.') && !name.contains("..");
    text.len() <= 254 && !name.is_empty() && is_name && name.chars().all(is_sign) && is_domain(domain)
}

/// A local day, written `2026-10-01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(civil::Date);

impl Date {
    /// Days since 1970-01-01.
    pub(super) fn day(self) -> i64 {
        // Every civil day has a midnight in UTC, but for the last ones of all years.
        let midnight = Offset::UTC.to_timestamp(self.0.to_datetime(civil::Time::midnight()));
        midnight.map_or(i64::MAX, |midnight| midnight.as_millisecond().div_euclid(DAY_MS))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let date = (text.len() == 10).then(|| text.parse().ok()).flatten();
        date.map(Self).ok_or_else(|| de::Error::custom(format!("`{text}` is not a day; write it like \"2026-10-01\"")))
    }
}
