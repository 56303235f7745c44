//! A sensor type file as a person writes it, and what can be wrong in it.

use serde::Deserialize;

use super::sensor_type::{BurstShape, Channel, Field, FieldKind, SensorType, Topic};
use super::units;
use crate::alert::Text;
use crate::fault::Fault;
use crate::fault::SourceFile;
use crate::reading::SensorClass;
use crate::site::is_id;
use crate::time::Span;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TypeFile {
    id: String,
    class: SensorClass,
    label: Text,
    topic: String,
    format: Format,
    cadence: Span,
    silent_after: Span,
    #[serde(rename = "field")]
    fields: Vec<FieldFile>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Format {
    Senml,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldFile {
    name: String,
    label: Text,
    #[serde(default)]
    kind: KindWord,
    #[serde(default)]
    unit: String,
    min: Option<f64>,
    max: Option<f64>,
    max_change_per_s: Option<f64>,
    #[serde(default)]
    words: Vec<String>,
    rate_hz: Option<f32>,
    max_samples: Option<usize>,
    #[serde(default)]
    channels: Vec<Channel>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KindWord {
    #[default]
    Measure,
    State,
    Word,
    Burst,
}

/// Reads a sensor type file.
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
    let Format::Senml = file.format;
    let topic = Topic::parse(&file.topic);
    if topic.is_none() {
        let mend = "write one `{device}` level, such as ninewatch/{device}/readings";
        faults.at("topic", format!("`{}` does not say where the device's id stands", file.topic), mend);
    }
    if file.fields.is_empty() {
        faults.at("id", "has no field", "add [[field]] tables");
    }
    let mut fields: Vec<Field> = Vec::new();
    for (index, field) in file.fields.into_iter().enumerate() {
        let twice = fields.iter().any(|other| *other.name == *field.name);
        if twice || !is_field_name(&field.name) {
            let problem = if twice { "is there twice" } else { "is not a field's name" };
            let mend = "use a-z 0-9 _, each name once";
            faults.at(&format!("field.{index}.name"), format!("`{}` {problem}", field.name), mend);
        }
        fields.extend(compile(field, index, &mut faults));
    }
    let Some(topic) = topic.filter(|_| faults.list.is_empty()) else { return Err(faults.list) };
    Ok(SensorType {
        id: file.id,
        class: file.class,
        label: file.label,
        topic,
        fields,
        cadence: file.cadence,
        silent_after: file.silent_after,
    })
}

fn compile(file: FieldFile, index: usize, faults: &mut Faults<'_>) -> Option<Field> {
    let key = |name: &str| format!("field.{index}.{name}");
    let foreign = [
        ("min", file.min.is_some(), KindWord::Measure),
        ("max", file.max.is_some(), KindWord::Measure),
        ("max_change_per_s", file.max_change_per_s.is_some(), KindWord::Measure),
        ("unit", !file.unit.is_empty(), KindWord::Measure),
        ("words", !file.words.is_empty(), KindWord::Word),
        ("rate_hz", file.rate_hz.is_some(), KindWord::Burst),
        ("max_samples", file.max_samples.is_some(), KindWord::Burst),
        ("channels", !file.channels.is_empty(), KindWord::Burst),
    ];
    for (name, given, of) in foreign {
        if given && of != file.kind {
            faults.at(&key(name), format!("does not go with kind {:?}", file.kind).to_lowercase(), "remove it");
        }
    }
    let kind = match file.kind {
        KindWord::State => FieldKind::State,
        KindWord::Word => FieldKind::Word { words: file.words.iter().map(|word| word.as_str().into()).collect() },
        KindWord::Measure => {
            let Some(unit) = units::find(&file.unit) else {
                let (at, problem) = match file.unit.as_str() {
                    "" => ("name", format!("the measure `{}` has no unit", file.name)),
                    unit => ("unit", format!("the unit `{unit}` is not known")),
                };
                faults.at(&key(at), problem, "see docs/sensor-types.md");
                return None;
            };
            let (min, max) = (file.min.unwrap_or(f64::MIN), file.max.unwrap_or(f64::MAX));
            if min.is_nan() || max.is_nan() || min >= max {
                faults.at(&key("min"), "is not below max", "swap them");
            }
            if file.max_change_per_s.is_some_and(|change| change.is_nan() || change <= 0.0) {
                faults.at(&key("max_change_per_s"), "is not above 0", "give what physics allows, or leave it out");
            }
            FieldKind::Measure { unit, min, max, max_change_per_s: file.max_change_per_s }
        }
        KindWord::Burst => {
            let rate_hz = file.rate_hz.filter(|rate| rate.is_finite() && *rate > 0.0);
            let (Some(rate_hz), Some(max_samples), false) = (rate_hz, file.max_samples, file.channels.is_empty())
            else {
                faults.at(&key("name"), "a burst needs `rate_hz`, `max_samples` and `channels`", "give all three");
                return None;
            };
            FieldKind::Burst(BurstShape { rate_hz, max_samples, channels: file.channels })
        }
    };
    Some(Field { name: file.name.into(), label: file.label, kind })
}

struct Faults<'s> {
    source: &'s SourceFile,
    list: Vec<Fault>,
}

impl Faults<'_> {
    fn at(&mut self, key: &str, problem: impl Into<String>, mend: &str) {
        self.list.push(self.source.fault(key, problem, mend));
    }
}

fn is_field_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}
