//! A field as drafted, and the value that comes of what was sent.

use serde_json::Value;

use ninewatch_core::alert::Text;
use ninewatch_core::decode::convert_unit;

/// A field as drafted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) label: Text,
    pub(super) kind: Kind,
    /// What it is not sure of.
    pub(super) doubts: Vec<Doubt>,
    /// Some of what was sent, to ask about it.
    pub(super) seen: Vec<Value>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Measure(Measure),
    State(State),
    /// The words that may come, and what some of them stand for.
    Word {
        words: Vec<String>,
        map: Vec<(String, String)>,
    },
    /// A list of numbers, or of lists of them.
    Burst {
        samples: usize,
        channels: usize,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measure {
    pub(super) unit: String,
    /// What sensors of it can measure, where that is known.
    pub(super) range: Option<(f64, f64)>,
    pub(super) scale: f64,
    pub(super) offset: f64,
}

/// Which values mean on and off; all empty: the usual ones.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct State {
    pub(super) on: Vec<Value>,
    pub(super) off: Vec<Value>,
    pub(super) at_least: Option<f64>,
}

/// What a guess is not sure of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// What the key means at all.
    Meaning,
    /// How the number that was sent becomes one of the unit.
    Scale,
    /// Which values mean on.
    OnOff,
    /// True may mean that a contact is closed, or that a door is open.
    Contact,
    /// From which number on it is on.
    Threshold,
    /// Whether these are all words.
    Words,
    /// How many samples there are a second, and of what.
    Burst,
    /// Where the values stand in the bytes.
    Bytes,
}

impl State {
    /// Whether it takes what needs no saying: true and false, 1 and 0, on and off.
    pub(super) fn is_usual(&self) -> bool {
        self.on.is_empty() && self.off.is_empty() && self.at_least.is_none()
    }
}

impl Measure {
    /// Degrees Fahrenheit, as a scale and an offset to degrees Celsius.
    pub(super) const FAHRENHEIT: (f64, f64) = (1.0 / 1.8, -32.0 / 1.8);

    /// The value that is decoded of what was sent, or the code of its refusal.
    pub(super) fn of(&self, sent: &Value) -> Result<f64, &'static str> {
        let (number, unit) = quantity_in(sent).ok_or("wrong_type")?;
        let mut value = number * self.scale + self.offset;
        if !unit.is_empty() {
            value = convert_unit(value, unit, &self.unit).ok_or("wrong_unit")?;
        }
        match self.range {
            Some((min, max)) if !(min..=max).contains(&value) => Err("out_of_range"),
            _ => Ok(value),
        }
    }
}

/// Lists of samples, if all are of the same channels.
pub(super) fn burst(seen: &[Value]) -> Option<Kind> {
    let lists: Vec<&Vec<Value>> = seen.iter().map(Value::as_array).collect::<Option<_>>()?;
    let width = |sample: &Value| match sample {
        Value::Array(row) => row.iter().all(Value::is_number).then_some(row.len()),
        _ => sample.is_number().then_some(1),
    };
    let mut widths = lists.iter().flat_map(|list| list.iter()).map(|sample| (sample.is_array(), width(sample)));
    let first = widths.next()?;
    let channels = first.1.filter(|channels| *channels > 0)?;
    let samples = lists.iter().map(|list| list.len()).max()?;
    widths.all(|other| other == first).then_some(Kind::Burst { samples, channels })
}

/// Null and empty are no values.
pub(super) fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(str::is_empty)
}

/// A number, or a text that is one, with or without a unit behind it.
pub(super) fn number(value: &Value) -> Option<f64> {
    quantity_in(value).map(|(number, _)| number)
}

/// A number and the unit that is written behind it, if any: `21.5 °C`.
pub(super) fn quantity_in(value: &Value) -> Option<(f64, &str)> {
    let text = match value {
        Value::Number(number) => return Some((number.as_f64()?, "")),
        Value::String(text) => text.trim(),
        _ => return None,
    };
    let is_of_number = |sign: char| sign.is_ascii_digit() || "+-.".contains(sign);
    if !text.starts_with(is_of_number) {
        return None;
    }
    let (number, unit) = match text.parse::<f64>() {
        Ok(number) => (number, ""),
        Err(_) => {
            let (number, unit) = text.split_at_checked(text.find(|sign| !is_of_number(sign))?)?;
            (number.parse().ok()?, unit.trim())
        }
    };
    (number.is_finite() && (unit.is_empty() || is_unit(unit))).then_some((number, unit))
}

fn is_unit(symbol: &str) -> bool {
    convert_unit(1.0, symbol, symbol).is_some()
}

/// `doorState 2` as `door_state_2`.
pub(super) fn snake(key: &str) -> String {
    let mut name = String::new();
    let mut before = ' ';
    for sign in key.chars() {
        if sign.is_ascii_alphanumeric() {
            if sign.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit()) {
                name.push('_');
            }
            name.push(sign.to_ascii_lowercase());
        } else if !name.ends_with('_') {
            name.push('_');
        }
        before = sign;
    }
    let name = name.trim_matches('_');
    match name.chars().next() {
        None => "value".to_owned(),
        Some(first) if first.is_ascii_digit() => format!("value_{name}"),
        _ => name.chars().take(48).collect(),
    }
}
