//! A sensor type file as a person writes it, and what can be wrong in it.
//!
//! The types here are the file's form and its JSON Schema; `docs/sensor-types.md` explains each key.

mod command;
mod field;
mod message;
mod values;

use schemars::JsonSchema;
use serde::Deserialize;

use super::example;
use super::field::Field;
use super::sensor_type::SensorType;
use crate::alert::Text;
use crate::fault::{Fault, SourceFile};
use crate::reading::SensorClass;
use crate::site::is_id;
use crate::time::Span;

use command::CommandTable;
use field::FieldTable;
use message::MessageTable;
pub(super) use values::{Literals, Texts};

/// How one make and model of a sensor reports. See docs/sensor-types.md.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Ninewatch sensor type")]
pub(super) struct TypeFile {
    /// Unique: what a device's `type` names.
    id: String,
    /// Which of the nine classes it is of.
    class: SensorClass,
    /// As people call it.
    label: Text,
    /// How often a healthy device is heard: "90s", "10m", "1h30m".
    cadence: Span,
    /// After how long it is silent; at least the cadence.
    silent_after: Span,
    /// The kinds of messages that it sends.
    #[serde(rename = "message")]
    messages: Vec<MessageTable>,
    /// What it measures.
    #[serde(rename = "field")]
    fields: Vec<FieldTable>,
    /// What it can be told.
    #[serde(default, rename = "command")]
    commands: Vec<CommandTable>,
    /// Captured messages with what has to come of them: the file's own test.
    #[serde(default, rename = "example")]
    examples: Vec<ExampleTable>,
}

/// A captured message, and what has to come of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExampleTable {
    /// What it shows, for people.
    #[serde(default)]
    #[allow(dead_code, reason = "for whoever reads the file")]
    about: String,
    /// The topic on which it came.
    pub(super) topic: String,
    /// The payload, as text.
    pub(super) payload: Option<String>,
    /// The payload in hex, where it is no text.
    pub(super) payload_hex: Option<String>,
    /// When it came in (RFC 3339); left out: 2026-01-01T00:00:00+08:00.
    pub(super) arrival: Option<String>,
    /// The readings that it holds, in order: `device`, `at`, and every value by its field's name.
    #[serde(default)]
    #[schemars(with = "Vec<std::collections::BTreeMap<String, serde_json::Value>>")]
    pub(super) readings: Vec<toml::Table>,
    /// The codes of values that are refused beside them.
    #[serde(default)]
    pub(super) refused: Vec<String>,
    /// It is passed over.
    #[serde(default)]
    pub(super) ignored: bool,
    /// It is refused as a whole, with this code.
    pub(super) rejected: Option<String>,
}

/// The JSON Schema of a sensor type file, for editors.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(TypeFile).to_value()
}

/// Reads a sensor type file and runs its examples.
///
/// # Errors
/// Every fault in it, with its line.
pub(super) fn read(source: &SourceFile) -> Result<SensorType, Vec<Fault>> {
    let file: TypeFile = source.parse().map_err(|fault| vec![fault])?;
    let mut faults = Faults { source, list: Vec::new() };
    if !is_id(&file.id) {
        faults.at("id", format!("`{}` is not an id", file.id), "use 1 to 64 of A-Z a-z 0-9 . _ -");
    }
    if file.silent_after < file.cadence {
        faults.at("silent_after", "is shorter than the cadence", "give at least twice the cadence");
    }
    if file.cadence.ms() == 0 {
        faults.at("cadence", "is zero", "say how often a healthy device is heard");
    }
    for (table, none) in [
        ("message", file.messages.is_empty()),
        ("field", file.fields.is_empty()),
        ("example", file.examples.is_empty()),
    ] {
        if none {
            faults.at("id", format!("has no {table}"), &format!("add a [[{table}]] table"));
        }
    }
    check_names(&file.fields, &mut faults);
    let mut known = Known {
        captures: Vec::new(),
        senml: file.messages.iter().any(MessageTable::is_senml),
        senml_only: file.messages.iter().all(MessageTable::is_senml),
    };
    let topics: Vec<_> = file
        .messages
        .iter()
        .enumerate()
        .map(|(index, table)| message::topics(table, index, &mut known.captures, &mut faults))
        .collect();
    let compile = |(index, table)| field::compile(table, index, &known, &mut faults);
    let fields: Option<Vec<Field>> =
        file.fields.iter().enumerate().map(compile).collect::<Vec<_>>().into_iter().collect();
    // Where a field is wrong, its index in the others' is not known.
    let Some(fields) = fields else { return Err(faults.list) };
    let kinds: Vec<_> = file
        .messages
        .iter()
        .zip(topics)
        .enumerate()
        .filter_map(|(index, (table, topics))| message::compile(table, index, topics, &fields, &known, &mut faults))
        .collect();
    let commands: Vec<_> = file
        .commands
        .iter()
        .enumerate()
        .filter_map(|(index, table)| {
            command::compile(table, index, file.commands.get(..index).unwrap_or_default(), &known, &mut faults)
        })
        .collect();
    if !faults.list.is_empty() {
        return Err(faults.list);
    }
    let sensor_type = SensorType {
        id: file.id,
        class: file.class,
        label: file.label,
        examples: file.examples.iter().filter_map(example::sample).collect(),
        discards: kinds.iter().any(|kind| !kind.discard.is_empty()),
        captures: known.captures,
        online: fields.iter().position(|field| &*field.name == "online"),
        kinds,
        fields,
        commands,
        cadence: file.cadence,
        silent_after: file.silent_after,
    };
    for (index, table) in file.examples.iter().enumerate() {
        for (key, problem, mend) in example::check(&sensor_type, table) {
            faults.at(&format!("example.{index}.{key}"), problem, mend);
        }
    }
    for (index, table) in file.commands.iter().enumerate() {
        command::check_example(&sensor_type, table, index, &mut faults);
    }
    if faults.list.is_empty() { Ok(sensor_type) } else { Err(faults.list) }
}

fn check_names(fields: &[FieldTable], faults: &mut Faults<'_>) {
    for (index, field) in fields.iter().enumerate() {
        let twice = fields.iter().take(index).any(|other| other.name == field.name);
        let reserved = matches!(field.name.as_str(), "device" | "at");
        if twice || reserved || !is_field_name(&field.name) {
            let problem = if twice { "is there twice" } else { "is not a field's name" };
            let mend = "use a-z 0-9 _, each name once; `device` and `at` mean other things in examples";
            faults.at(&format!("field.{index}.name"), format!("`{}` {problem}", field.name), mend);
        }
    }
}

fn is_field_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// What all parts of a file may refer to.
struct Known {
    /// The names of the topics' captures.
    captures: Vec<String>,
    /// Whether a message is SenML: then a field's `from` may be a record's name.
    senml: bool,
    /// Whether all are: then a field has one source, its record.
    senml_only: bool,
}

/// What was found wrong so far.
struct Faults<'s> {
    source: &'s SourceFile,
    list: Vec<Fault>,
}

const SEE: &str = "see docs/sensor-types.md";

impl Faults<'_> {
    fn at(&mut self, key: &str, problem: impl Into<String>, mend: &str) {
        self.list.push(self.source.fault(key, problem, mend));
    }

    /// The value of `read`, or a fault at `key` with what is wrong with it.
    fn take<T>(&mut self, key: &str, read: Result<T, String>) -> Option<T> {
        read.map_err(|problem| self.at(key, problem, SEE)).ok()
    }
}
