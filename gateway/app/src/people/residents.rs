//! `residents.toml` in the data folder: whom a home is about, and whom to call. Only what somebody needs who is sent there.
//!
//! The API writes it, and so may a person: it is read each time it is asked for, and replaced as a whole.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ninewatch_core::fault::Fault;
use ninewatch_core::site::is_id;
use ninewatch_core::time::TimeMs;

use crate::config::Faults;
use crate::private::{lock, replace};

/// In the data folder.
pub(crate) const FILE: &str = "residents.toml";
const HEADER: &str =
    "# Residents' records; docs/privacy.md says what may stand here. Comments are lost at the next change.\n\n";

/// Somebody who may need help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resident {
    /// Drawn at random: in the proof of its deletion nobody can find the record again by trying names.
    pub(crate) id: String,
    /// The id of the home.
    pub(crate) place: String,
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) phone: String,
    /// What help is needed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) needs: Vec<Need>,
    /// What else whoever is sent must know: `钥匙在物业`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) note: String,
    /// The devices that are theirs, where others live in the same home.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) devices: Vec<String>,
    /// Since when they live here no more: the record is deleted some time later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) left_at_ms: Option<TimeMs>,
    /// Whom to call, in this order. Last, because TOML has tables behind all else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) contacts: Vec<Contact>,
}

/// Somebody to call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contact {
    pub(crate) name: String,
    /// As people say it: `女儿`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) relation: String,
    pub(crate) phone: String,
}

/// What help somebody needs when it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Need {
    Bedridden,
    Walking,
    Hearing,
    Sight,
    Speech,
    Memory,
    Oxygen,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Records {
    #[serde(default, rename = "resident")]
    residents: Vec<Resident>,
}

impl Resident {
    /// For lists: enough to know who is meant, not to call.
    pub(crate) fn masked(mut self) -> Self {
        let contacts = self.contacts.iter_mut().map(|contact| &mut contact.phone);
        std::iter::once(&mut self.phone).chain(contacts).for_each(|phone| *phone = masked(phone));
        self
    }

    /// What is wrong in it, as (key, problem, mend).
    pub(crate) fn problems(&self) -> Vec<(String, String, String)> {
        let mut problems = Vec::new();
        let mut line = |key: String, text: &str, longest: usize, may_be_empty: bool| {
            let is_line = text.trim() == text && !text.chars().any(char::is_control);
            if !is_line || text.chars().count() > longest || !may_be_empty && text.is_empty() {
                let problem = format!("`{text}` is not a line of at most {longest} characters");
                problems.push((key, problem, "write a short line of text".to_owned()));
            }
        };
        line("name".into(), &self.name, 40, false);
        line("note".into(), &self.note, 200, true);
        for (index, contact) in self.contacts.iter().enumerate() {
            line(format!("contacts.{index}.name"), &contact.name, 40, false);
            line(format!("contacts.{index}.relation"), &contact.relation, 20, true);
        }
        let phones = self.contacts.iter().enumerate().map(|(at, one)| (format!("contacts.{at}.phone"), &one.phone));
        for (key, phone) in phones.chain([("phone".to_owned(), &self.phone)]) {
            let is_left_out = phone.is_empty() && key == "phone";
            if !is_left_out && !is_phone(phone) {
                problems.push((key, format!("`{phone}` is no telephone number"), PHONE_MEND.to_owned()));
            }
        }
        for (key, id) in [("id", &self.id), ("place", &self.place)] {
            if !is_id(id) {
                problems.push((key.to_owned(), format!("`{id}` is not an id"), "use A-Z a-z 0-9 . _ -".to_owned()));
            }
        }
        if self.contacts.len() > 5 || self.devices.len() > 20 {
            let mend = "keep what whoever is sent needs: at most 5 contacts and 20 devices".to_owned();
            problems.push(("contacts".to_owned(), "there is more than a record holds".to_owned(), mend));
        }
        problems
    }
}

/// For people who write one.
pub(crate) const PHONE_MEND: &str = "write 3 to 20 digits; + - and spaces may stand between";

/// Whether it can be dialled.
pub(crate) fn is_phone(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    (3..=20).contains(&digits)
        && text.len() <= 30
        && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b' '))
}

/// The last digits only: `*******5678`.
fn masked(phone: &str) -> String {
    let count = phone.chars().count();
    let shown = if count >= 7 { 4 } else { 0 };
    phone.chars().enumerate().map(|(at, symbol)| if at + shown < count { '*' } else { symbol }).collect()
}

/// The records; none where there is no file.
///
/// # Errors
/// Where it cannot be read, or every fault in it.
pub(crate) fn load(data_dir: &Path) -> anyhow::Result<Vec<Resident>> {
    let path = path(data_dir);
    let name = path.display().to_string();
    let source = match fs::read_to_string(&path) {
        Ok(source) => source,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("{name} cannot be read")),
    };
    let records: Records =
        toml::from_str(&source).map_err(|error| Faults(vec![Fault::from_toml(&name, &source, &error)]))?;
    let faults: Vec<Fault> = faults(&records.residents)
        .into_iter()
        .map(|(key, problem, mend)| Fault::at_key(&name, &source, &key, problem, mend))
        .collect();
    if faults.is_empty() { Ok(records.residents) } else { Err(Faults(faults).into()) }
}

fn faults(residents: &[Resident]) -> Vec<(String, String, String)> {
    let mut ids = BTreeSet::new();
    let mut faults = Vec::new();
    for (index, resident) in residents.iter().enumerate() {
        let own = resident.problems().into_iter();
        faults.extend(own.map(|(key, problem, mend)| (format!("resident.{index}.{key}"), problem, mend)));
        if !ids.insert(&resident.id) {
            let problem = format!("resident `{}` is there twice", resident.id);
            faults.push((format!("resident.{index}.id"), problem, "remove one".to_owned()));
        }
    }
    faults
}

/// Changes the records: what `change` leaves is written, unless it fails. Two at once wait for each other.
///
/// # Errors
/// Those of `change`, or that the file cannot be read or written. Then nothing has changed.
pub(crate) fn update<T>(
    data_dir: &Path,
    change: impl FnOnce(&mut Vec<Resident>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let _lock = lock(data_dir, "residents.lock")?;
    let mut residents = load(data_dir)?;
    let before = residents.clone();
    let changed = change(&mut residents)?;
    if residents != before {
        let text = toml::to_string(&Records { residents })?;
        replace(data_dir, FILE, format!("{HEADER}{text}").as_bytes())?;
    }
    Ok(changed)
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE)
}
