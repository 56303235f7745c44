//! What a device can be told: a topic and a payload with what is put into them.

use std::collections::BTreeMap;
use thiserror::Error;

use crate::alert::Text;

/// What a device can be told.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Unique in its type.
    pub name: String,
    /// As people call it.
    pub label: Text,
    /// What it is told besides.
    pub parameters: Vec<Parameter>,
    pub(super) topic: Template,
    pub(super) payload: Template,
}

/// A value that a command takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Unique in its command.
    pub name: String,
    /// As people call it.
    pub label: Text,
    /// What may be given.
    pub accepts: Accepts,
    /// What it is where nothing is given.
    pub default: Option<Argument>,
}

/// What may be given for a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Accepts {
    /// A number from the first to the second.
    Number(f64, f64),
    /// One of these.
    Words(Vec<String>),
}

/// What is given for a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument {
    /// A number.
    Number(f64),
    /// A word.
    Word(String),
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Where.
    pub topic: String,
    /// What.
    pub payload: String,
}

/// Why a command cannot be sent so.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CommandError {
    /// It has no such parameter.
    #[error("the command has no parameter `{0}`")]
    Unknown(String),
    /// A parameter without a default is missing.
    #[error("the parameter `{0}` is missing")]
    Missing(String),
    /// The value does not go.
    #[error("`{parameter}` has to be {wanted}")]
    Wrong {
        /// Which parameter.
        parameter: String,
        /// What it takes.
        wanted: String,
    },
    /// A capture of the topic is not known, for the device was not heard on it yet.
    #[error("`{{{0}}}` is known when the device has been heard")]
    NotHeard(String),
    /// The device's name cannot stand there.
    #[error("`{0}` cannot stand in a message")]
    Unfit(String),
}

/// A text with places in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    /// A capture by its name, `device` among them.
    Capture(String),
    Parameter(usize),
}

impl Command {
    /// The message for `device`, with the captures of the topic on which it was heard.
    ///
    /// # Errors
    /// Why it cannot be sent so.
    pub fn render(
        &self,
        device: &str,
        captures: &BTreeMap<String, String>,
        arguments: &BTreeMap<String, Argument>,
    ) -> Result<Rendered, CommandError> {
        if let Some(name) = arguments.keys().find(|name| !self.parameters.iter().any(|known| known.name == **name)) {
            return Err(CommandError::Unknown(name.clone()));
        }
        let values: Vec<String> = self
            .parameters
            .iter()
            .map(|parameter| {
                let argument = arguments.get(&parameter.name).or(parameter.default.as_ref());
                parameter.text(argument.ok_or_else(|| CommandError::Missing(parameter.name.clone()))?)
            })
            .collect::<Result<_, _>>()?;
        let find = |name: &str| if name == "device" { Some(device) } else { captures.get(name).map(String::as_str) };
        let topic = self.topic.fill(&find, &values)?;
        // What a topic may not hold in a name that is published to.
        if topic.contains(['+', '#', '\0']) {
            return Err(CommandError::Unfit(topic));
        }
        Ok(Rendered { topic, payload: self.payload.fill(&find, &values)? })
    }
}

impl Parameter {
    fn text(&self, argument: &Argument) -> Result<String, CommandError> {
        let wrong = |wanted: String| CommandError::Wrong { parameter: self.name.clone(), wanted };
        match (&self.accepts, argument) {
            (Accepts::Number(min, max), Argument::Number(number)) if (min..=max).contains(&number) => {
                Ok(number.to_string())
            }
            (Accepts::Words(words), Argument::Word(word)) if words.contains(word) => Ok(word.clone()),
            (Accepts::Number(min, max), _) => Err(wrong(format!("a number from {min} to {max}"))),
            (Accepts::Words(words), _) => Err(wrong(format!("one of {}", words.join(", ")))),
        }
    }
}

impl Template {
    /// Reads a template. Braces that hold no name are text: JSON has many.
    ///
    /// # Errors
    /// Where a name is none of the captures or parameters.
    pub(super) fn parse(text: &str, captures: &[String], parameters: &[Parameter]) -> Result<Self, String> {
        let mut pieces = vec![Piece::Literal(String::new())];
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            let (before, behind) = rest.split_at(at);
            let name = behind[1..].split_once('}').map(|(name, _)| name).filter(|name| is_parameter_name(name));
            let literal = |pieces: &mut Vec<Piece>, text: &str| match pieces.last_mut() {
                Some(Piece::Literal(last)) => last.push_str(text),
                _ => pieces.push(Piece::Literal(text.to_owned())),
            };
            literal(&mut pieces, before);
            let Some(name) = name else {
                literal(&mut pieces, "{");
                rest = &behind[1..];
                continue;
            };
            let parameter = parameters.iter().position(|parameter| parameter.name == name);
            pieces.push(match parameter {
                Some(index) => Piece::Parameter(index),
                None if name == "device" || captures.iter().any(|there| there == name) => {
                    Piece::Capture(name.to_owned())
                }
                None => return Err(format!("`{{{name}}}` is no parameter and no capture of the topic")),
            });
            rest = &behind[name.len() + 2..];
        }
        pieces.push(Piece::Literal(rest.to_owned()));
        Ok(Self(pieces))
    }

    fn fill<'c>(&self, find: &impl Fn(&str) -> Option<&'c str>, values: &[String]) -> Result<String, CommandError> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Parameter(index) => text.push_str(values.get(*index).map_or("", String::as_str)),
                Piece::Capture(name) => {
                    let value = find(name).ok_or_else(|| CommandError::NotHeard(name.clone()))?;
                    // It may stand within a text of JSON.
                    if value.contains(['"', '\\']) || value.contains(char::is_control) {
                        return Err(CommandError::Unfit(value.to_owned()));
                    }
                    text.push_str(value);
                }
            }
        }
        Ok(text)
    }
}

/// Whether `name` may stand in a template's braces. JSON's own braces hold no such thing.
pub(super) fn is_parameter_name(name: &str) -> bool {
    name.starts_with(|sign: char| sign.is_ascii_lowercase()) && super::topic::is_capture_name(name)
}
