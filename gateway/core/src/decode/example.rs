//! A sensor type's own test: captured messages, and what has to come of them.

use std::collections::BTreeMap;
use toml::Value as Toml;

use super::field::{Field, FieldKind};
use super::file::ExampleTable;
use super::message::{Said, Speaker};
use super::sensor_type::{Sample, SensorType};
use super::stamp::Arrival;
use super::unpack::hex_bytes;
use crate::decode::CODES;
use crate::reading::{Reading, Value};
use crate::time::{TimeMs, UtcOffset};

/// 2026-01-01T00:00:00+08:00
const ARRIVAL_MS: TimeMs = 1_767_196_800_000;

/// A key within the example, what is wrong there, and how to mend it.
type Problem = (String, String, &'static str);

const MEND: &str = "mend the type, or what the example expects";

/// What of an example does not come out as it says.
pub(super) fn check(sensor_type: &SensorType, table: &ExampleTable) -> Vec<Problem> {
    match prepare(table) {
        // As the gateway does: nothing is decided by what is not stored.
        Ok((payload, arrival)) => {
            let payload = sensor_type.without_discarded(&table.topic, &payload).unwrap_or(payload);
            outcome(sensor_type, table, &payload, arrival)
        }
        Err(problem) => vec![problem],
    }
}

/// The captured message of an example.
pub(super) fn sample(table: &ExampleTable) -> Option<Sample> {
    let (payload, _) = prepare(table).ok()?;
    Some(Sample { topic: table.topic.clone(), payload })
}

fn prepare(table: &ExampleTable) -> Result<(Vec<u8>, Arrival), Problem> {
    let payload = match (&table.payload, &table.payload_hex) {
        (Some(text), None) => text.as_bytes().to_vec(),
        (None, Some(hex)) => hex_bytes(hex).map_err(|problem| ("payload_hex".into(), problem, "give hex digits"))?,
        _ => return Err(("topic".into(), "has to have one payload".into(), "give `payload` or `payload_hex`")),
    };
    let at_ms = match &table.arrival {
        None => ARRIVAL_MS,
        Some(text) => time(text).ok_or_else(|| {
            ("arrival".into(), format!("`{text}` is no time"), "write it as 2026-01-01T00:00:00+08:00")
        })?,
    };
    Ok((payload, Arrival { at_ms, utc_offset: UtcOffset::CHINA }))
}

fn outcome(sensor_type: &SensorType, table: &ExampleTable, payload: &[u8], arrival: Arrival) -> Vec<Problem> {
    let problem = |key: &str, problem: String| vec![(key.to_owned(), problem, MEND)];
    for (key, code) in
        table.refused.iter().map(|code| ("refused", code)).chain(table.rejected.iter().map(|code| ("rejected", code)))
    {
        if !CODES.contains(&code.as_str()) {
            return vec![(
                key.to_owned(),
                format!("`{code}` is no code"),
                "see the last table of docs/sensor-types.md",
            )];
        }
    }
    if sensor_type.hears(&table.topic).is_none() {
        return problem("topic", format!("no message of the type comes on `{}`", table.topic));
    }
    let decoded = match (sensor_type.decode(&table.topic, payload, arrival), &table.rejected) {
        (Err(error), Some(code)) if error.code == code.as_str() => return Vec::new(),
        (Err(error), Some(_)) => return problem("rejected", format!("it is rejected for another reason: {error}")),
        (Err(error), None) => return problem("topic", format!("it is rejected: {error}")),
        (Ok(_), Some(_)) => return problem("rejected", "it is not rejected".to_owned()),
        (Ok(decoded), None) => decoded,
    };
    let refused: Vec<&str> = decoded.refused.iter().map(|error| error.code).collect();
    if refused != table.refused {
        let told: Vec<String> = decoded.refused.iter().map(ToString::to_string).collect();
        let key = if table.refused.is_empty() { "topic" } else { "refused" };
        return problem(key, format!("these values are refused: [{}]", told.join("; ")));
    }
    let said: Vec<(&Said<'_>, &Reading)> =
        decoded.said.iter().filter_map(|said| Some((said, said.reading.as_ref()?))).collect();
    if table.ignored != said.is_empty() {
        let what = if table.ignored { "it is not ignored" } else { "it is ignored" };
        return problem(if table.ignored { "ignored" } else { "topic" }, what.to_owned());
    }
    if said.len() != table.readings.len() {
        let there: Vec<String> = said.iter().map(|(said, reading)| shown(sensor_type, said, reading)).collect();
        let key = if table.readings.is_empty() { "topic" } else { "readings" };
        let what = format!("{} readings come of it, not {}: {}", there.len(), table.readings.len(), there.join(", "));
        return problem(key, what);
    }
    let mut problems = Vec::new();
    for (index, ((said, reading), expected)) in said.iter().zip(&table.readings).enumerate() {
        for (name, what) in differences(sensor_type, said, reading, expected, arrival) {
            let key = if name.is_empty() { format!("readings.{index}") } else { format!("readings.{index}.{name}") };
            problems.push((key, what, MEND));
        }
    }
    problems
}

/// Where a reading is not as expected: a key, and what is there instead.
fn differences(
    sensor_type: &SensorType,
    said: &Said<'_>,
    reading: &Reading,
    expected: &toml::Table,
    arrival: Arrival,
) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, wanted) in expected {
        let difference = match name.as_str() {
            "device" => {
                let there = device(said);
                (wanted.as_str() != Some(there)).then(|| format!("the device is `{there}`"))
            }
            "at" => {
                let at = reading.event_ms.unwrap_or(arrival.at_ms);
                let shown = || arrival.utc_offset.rfc3339(at);
                match wanted.as_str().and_then(time) {
                    Some(wanted) if wanted == at => None,
                    Some(_) => Some(format!("the time is \"{}\"", shown())),
                    None => Some(format!("{wanted} is no time; write it as \"{}\"", shown())),
                }
            }
            name => match sensor_type.fields.iter().position(|field| *field.name == *name) {
                None => Some(format!("the type has no field `{name}`")),
                Some(index) => match reading.values.get(index).and_then(Option::as_ref) {
                    None => Some(format!("there is no `{name}` in the reading")),
                    Some(value) if is(value, wanted) => None,
                    Some(value) => {
                        let there =
                            sensor_type.fields.get(index).map_or_else(String::new, |field| written(field, value));
                        Some(format!("`{name}` is {there}, not {wanted}"))
                    }
                },
            },
        };
        found.extend(difference.map(|what| (name.clone(), what)));
    }
    for (field, value) in sensor_type.fields.iter().zip(&reading.values) {
        if let Some(value) = value
            && !expected.contains_key(&*field.name)
        {
            found.push((String::new(), format!("`{} = {}` is not expected", field.name, written(field, value))));
        }
    }
    found
}

/// Whether a value is as a file expects it: to the ninth digit, for decimals are not exact.
fn is(value: &Value, wanted: &Toml) -> bool {
    let near = |given: f64, wanted: f64| (given - wanted).abs() <= 1e-9 * given.abs().max(1.0);
    #[allow(clippy::cast_precision_loss, reason = "numbers in files are small")]
    let number = |wanted: &Toml| match wanted {
        Toml::Integer(number) => Some(*number as f64),
        Toml::Float(number) => Some(*number),
        _ => None,
    };
    match (value, wanted) {
        (Value::Number(given), Toml::Boolean(on)) => near(*given, f64::from(u8::from(*on))),
        (Value::Number(given), wanted) => number(wanted).is_some_and(|wanted| near(*given, wanted)),
        (Value::Text(given), Toml::String(wanted)) => **given == **wanted,
        (Value::Burst(burst), Toml::Table(wanted)) => {
            wanted.iter().all(|(name, wanted)| match (name.as_str(), wanted) {
                ("samples", Toml::Integer(count)) => {
                    usize::try_from(*count).is_ok_and(|count| count * burst.channels == burst.samples.len())
                }
                ("rate_hz", wanted) => number(wanted).is_some_and(|wanted| near(f64::from(burst.rate_hz), wanted)),
                ("first", Toml::Array(first)) => {
                    first.len() <= burst.samples.len()
                        && burst.samples.iter().zip(first).all(|(given, wanted)| {
                            // Samples are single precision.
                            number(wanted).is_some_and(|wanted| {
                                (f64::from(*given) - wanted).abs() <= 1e-4 * wanted.abs().max(1.0)
                            })
                        })
                }
                _ => false,
            })
        }
        _ => false,
    }
}

fn device<'s>(said: &'s Said<'_>) -> &'s str {
    match &said.speaker {
        Speaker::Device(device) => device,
        Speaker::All => "*",
    }
}

/// A value as the file would write it.
fn written(field: &Field, value: &Value) -> String {
    match (value, &field.kind) {
        (Value::Number(number), FieldKind::State) => (*number > 0.5).to_string(),
        (Value::Number(number), _) => number.to_string(),
        (Value::Text(word), _) => format!("\"{word}\""),
        (Value::Burst(burst), _) => format!("{{ samples = {} }}", burst.samples.len() / burst.channels.max(1)),
    }
}

fn shown(sensor_type: &SensorType, said: &Said<'_>, reading: &Reading) -> String {
    let values: BTreeMap<&str, String> = sensor_type
        .fields
        .iter()
        .zip(&reading.values)
        .filter_map(|(field, value)| Some((&*field.name, written(field, value.as_ref()?))))
        .collect();
    let values: Vec<String> = values.into_iter().map(|(name, value)| format!("{name} = {value}")).collect();
    format!("{{ device = \"{}\", {} }}", device(said), values.join(", "))
}

fn time(text: &str) -> Option<TimeMs> {
    Some(text.parse::<jiff::Timestamp>().ok()?.as_millisecond())
}
