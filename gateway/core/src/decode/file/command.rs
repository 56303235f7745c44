//! `[[command]]`: what a device can be told.

use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

use super::{Faults, Known};
use crate::alert::Text;
use crate::decode::command::is_parameter_name;
use crate::decode::command::{Accepts, Argument, Command, Parameter, Template};
use crate::decode::convert::Literal;
use crate::decode::sensor_type::SensorType;
use crate::decode::topic::is_capture_name;

/// What it can be told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CommandTable {
    /// a-z 0-9 _, unique.
    name: String,
    /// As people call it.
    label: Text,
    /// Where it is sent; `{device}`, captures and parameters stand in braces.
    topic: String,
    /// What is sent, with the same.
    payload: String,
    /// What may be given with it.
    #[serde(default)]
    parameters: Vec<ParameterTable>,
    /// What has to come of it: `topic`, `payload`, and by their names `device`, captures and parameters.
    example: BTreeMap<String, Literal>,
}

/// A value that a command takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ParameterTable {
    /// a-z 0-9 _, unique in its command.
    name: String,
    /// As people call it.
    label: Text,
    /// The least number.
    min: Option<f64>,
    /// The greatest number.
    max: Option<f64>,
    /// The words of which it is one, instead of a number.
    #[serde(default)]
    words: Vec<String>,
    /// What it is where nothing is given.
    default: Option<Literal>,
}

/// Makes a command of a table.
pub(super) fn compile(
    table: &CommandTable,
    index: usize,
    earlier: &[CommandTable],
    known: &Known,
    faults: &mut Faults<'_>,
) -> Option<Command> {
    let key = |name: &str| format!("command.{index}.{name}");
    if !is_capture_name(&table.name) || earlier.iter().any(|other| other.name == table.name) {
        faults.at(
            &key("name"),
            format!("`{}` is no command's name, or there twice", table.name),
            "use a-z 0-9 _, each once",
        );
    }
    let mut parameters: Vec<Parameter> = Vec::new();
    for (number, parameter) in table.parameters.iter().enumerate() {
        let key = |name: &str| format!("command.{index}.parameters.{number}.{name}");
        let taken = matches!(parameter.name.as_str(), "device" | "topic" | "payload")
            || known.captures.contains(&parameter.name)
            || parameters.iter().any(|other| other.name == parameter.name);
        if taken || !is_parameter_name(&parameter.name) {
            faults.at(
                &key("name"),
                format!("`{}` means something else or nothing", parameter.name),
                "use a-z first, then a-z 0-9 _",
            );
        }
        let accepts = match (parameter.min, parameter.max, parameter.words.is_empty()) {
            (Some(min), Some(max), true) if min <= max => Accepts::Number(min, max),
            (None, None, false) => Accepts::Words(parameter.words.clone()),
            _ => {
                faults.at(&key("name"), "has to say what it takes", "give `min` and `max`, or `words`");
                return None;
            }
        };
        let default = parameter.default.as_ref().map(argument);
        let fits = match (&default, &accepts) {
            (None, _) => true,
            (Some(Some(Argument::Number(number))), Accepts::Number(min, max)) => (min..=max).contains(&number),
            (Some(Some(Argument::Word(word))), Accepts::Words(words)) => words.contains(word),
            _ => false,
        };
        if !fits {
            faults.at(&key("default"), "is nothing that it takes", "give a default within its limits or words");
        }
        let (name, label) = (parameter.name.clone(), parameter.label.clone());
        parameters.push(Parameter { name, label, accepts, default: default.flatten() });
    }
    let topic = faults.take(&key("topic"), Template::parse(&table.topic, &known.captures, &parameters));
    let payload = faults.take(&key("payload"), Template::parse(&table.payload, &known.captures, &parameters));
    Some(Command { name: table.name.clone(), label: table.label.clone(), parameters, topic: topic?, payload: payload? })
}

/// Whether the example comes out as it says.
pub(super) fn check_example(sensor_type: &SensorType, table: &CommandTable, index: usize, faults: &mut Faults<'_>) {
    let Some(command) = sensor_type.commands.get(index) else { return };
    let (mut texts, mut arguments) = (BTreeMap::new(), BTreeMap::new());
    for (name, literal) in &table.example {
        let is_parameter = command.parameters.iter().any(|parameter| parameter.name == *name);
        match (is_parameter, argument(literal)) {
            (true, Some(argument)) => _ = arguments.insert(name.clone(), argument),
            (false, Some(Argument::Word(text))) => _ = texts.insert(name.clone(), text),
            _ => {
                let problem = format!("`{name}` is no parameter, and no text");
                faults.at(&format!("command.{index}.example.{name}"), problem, "see docs/sensor-types.md");
                return;
            }
        }
    }
    let (topic, payload) = (texts.remove("topic"), texts.remove("payload"));
    let device = texts.remove("device").unwrap_or_default();
    let rendered = match command.render(&device, &texts, &arguments) {
        Ok(rendered) => rendered,
        Err(error) => {
            let mend = "give the parameters, `device` and the captures by their names";
            return faults.at(&format!("command.{index}.example"), error.to_string(), mend);
        }
    };
    for (name, wanted, given) in [("topic", topic, rendered.topic), ("payload", payload, rendered.payload)] {
        if wanted.as_ref() != Some(&given) {
            let problem = format!("the {name} comes out as `{given}`");
            faults.at(&format!("command.{index}.example.{name}"), problem, "mend the command, or the example");
        }
    }
}

fn argument(literal: &Literal) -> Option<Argument> {
    match literal {
        #[allow(clippy::cast_precision_loss, reason = "numbers in files are small")]
        Literal::Int(number) => Some(Argument::Number(*number as f64)),
        Literal::Float(number) if number.is_finite() => Some(Argument::Number(*number)),
        Literal::Text(text) => Some(Argument::Word(text.clone())),
        Literal::Float(_) | Literal::Bool(_) => None,
    }
}
