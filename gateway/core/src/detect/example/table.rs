//! An example as it stands in a rule file, and what its words mean.

use serde::{Deserialize, Deserializer, de};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::{Failure, Outcome};
use crate::alert::Severity;
use crate::decode::{BurstShape, FieldKind, SensorType};
use crate::detect::rule::{Condition, Rule};
use crate::hours;
use crate::reading::{Burst, SensorClass, Value};
use crate::site::{PersonCategory, PlaceKind};
use crate::time::Span;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::detect) struct ExampleTable {
    /// For whoever reads the file.
    #[serde(default)]
    about: String,
    pub(super) class: Option<SensorClass>,
    pub(super) place: Option<PlaceKind>,
    pub(super) person: Option<PersonCategory>,
    #[serde(default)]
    pub(super) start: TimeOfDay,
    pub(super) readings: Vec<Passage>,
    raises: Raises,
    /// How long after the start it is raised.
    after: Option<Span>,
}

/// A local time, such as `22:50`.
#[derive(Debug)]
pub(super) struct TimeOfDay {
    pub(super) minute: u32,
}

impl Default for TimeOfDay {
    /// Noon.
    fn default() -> Self {
        Self { minute: 12 * 60 }
    }
}

/// What the device reports, for how long; or that it is not heard.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Passage {
    #[serde(default, rename = "for")]
    lasting: Span,
    /// As often as the type says, where the example does not.
    every: Option<Span>,
    silence: Option<Span>,
    /// What the rule's model says of each reading.
    model_says: Option<f32>,
    #[serde(flatten)]
    given: BTreeMap<String, Given>,
}

/// A measure, a switch, a word; of a burst, the score that the model makes of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Given {
    Number(f64),
    State(bool),
    Word(String),
}

/// What an example wants raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Raises {
    Nothing,
    Alert(Severity),
}

/// When a passage's readings come.
pub(super) struct Times {
    pub(super) count: i64,
    pub(super) every_ms: i64,
    pub(super) lasting_ms: i64,
}

impl Passage {
    /// For a device that is heard every `cadence`. The first reading is at the beginning, none at the end.
    pub(super) fn times(&self, cadence: Span) -> Times {
        let every_ms = self.every.unwrap_or(cadence).ms().max(1);
        let lasting_ms = self.lasting.ms().saturating_add(self.silence.unwrap_or_default().ms());
        let heard = !self.given.is_empty();
        // A reading stands for itself where it lasts no time.
        let count = if heard { ((self.lasting.ms() - 1).max(0) / every_ms).saturating_add(1) } else { 0 };
        Times { count, every_ms, lasting_ms }
    }

    /// Each of its values alone.
    pub(super) fn each_value(&self) -> impl Iterator<Item = Self> {
        let alone = |(name, given): (&String, &Given)| BTreeMap::from([(name.clone(), given.clone())]);
        self.given.iter().map(alone).map(|given| Self { given, ..Self::default() })
    }

    /// The values of its readings and the score of a burst among them; `None` where the type cannot
    /// report them.
    pub(super) fn values(&self, sensor_type: &SensorType, rule: &Rule) -> Option<(Vec<Option<Value>>, f32)> {
        let mut values = vec![None; sensor_type.fields.len()];
        let mut scored = self.model_says.unwrap_or_default();
        for (name, given) in &self.given {
            let index = sensor_type.fields.iter().position(|field| *field.name == **name)?;
            let value = match (&sensor_type.fields.get(index)?.kind, given) {
                (FieldKind::Measure { min, max, .. }, Given::Number(number)) => {
                    (*min..=*max).contains(number).then_some(Value::Number(*number))?
                }
                (FieldKind::State, Given::State(on)) => Value::Number(f64::from(u8::from(*on))),
                (FieldKind::Word { words }, Given::Word(word)) => {
                    let listed = words.iter().find(|listed| ***listed == **word).cloned();
                    Value::Text(if words.is_empty() { word.as_str().into() } else { listed? })
                }
                (FieldKind::Burst(shape), Given::Number(score)) => {
                    #[allow(clippy::cast_possible_truncation, reason = "scores are f32")]
                    let score = *score as f32;
                    scored = score;
                    Value::Burst(Arc::new(rest(shape, rule)))
                }
                _ => return None,
            };
            *values.get_mut(index)? = Some(value);
        }
        Some((values, scored))
    }
}

impl fmt::Display for Passage {
    /// Its values, as they stand in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, given)) in self.given.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            match given {
                Given::Number(number) => write!(f, "{comma}`{name} = {number}`")?,
                Given::State(on) => write!(f, "{comma}`{name} = {on}`")?,
                Given::Word(word) => write!(f, "{comma}`{name} = {word:?}`")?,
            }
        }
        Ok(())
    }
}

/// More than any model looks at.
const MOST_SAMPLES: usize = 10_000;

/// A burst at rest, of the shape that the rule's model is made for: its content does not matter, for
/// the example says what the model makes of it.
fn rest(shape: &BurstShape, rule: &Rule) -> Burst {
    let seconds = match &rule.condition {
        Condition::Burst { card, .. } => card.input.as_ref().map(|input| input.seconds),
        _ => None,
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by the type")]
    let samples = seconds.map_or(usize::MAX, |seconds| (seconds * f64::from(shape.rate_hz)) as usize);
    let channels = shape.channels.len();
    let values = samples.min(shape.max_samples).min(MOST_SAMPLES).saturating_mul(channels);
    Burst { rate_hz: shape.rate_hz, channels, samples: vec![0.0; values] }
}

impl ExampleTable {
    /// Whether its device may be of this type: of the class that it names, or else of one of the rule's.
    pub(super) fn may_be(&self, rule: &Rule, sensor_type: &SensorType) -> bool {
        match self.class {
            Some(class) => sensor_type.class == class,
            None => rule.classes.is_empty() || rule.classes.contains(&sensor_type.class),
        }
    }

    /// Whether it is one of those that raise something.
    pub(in crate::detect) fn wants_alert(&self) -> bool {
        self.raises != Raises::Nothing
    }

    /// Holds what came out against what the example says.
    pub(super) fn bears_out(&self, outcome: &Outcome) -> Result<(), Failure> {
        let fail = |key, wanted: String| {
            let came = match &outcome.raised {
                None => "it raises nothing".to_owned(),
                Some((severity, after)) => format!("it raises `{}` {}", severity.name(), Moment(*after)),
            };
            let refused = outcome.refused.as_ref().map(|error| format!(" (not believed: {error})")).unwrap_or_default();
            let about = if self.about.is_empty() { String::new() } else { format!(" ({})", self.about) };
            let problem = format!("{came}{refused}, {wanted}{about}");
            Err(Failure { key, problem, mend: "correct the rule, or the example" })
        };
        match (self.raises, outcome.raised, self.after) {
            (Raises::Nothing, None, None) => Ok(()),
            (Raises::Nothing, _, Some(_)) => Err(Failure {
                key: "after",
                problem: "nothing is to be raised, so there is no when".into(),
                mend: "leave it out, or say what is raised",
            }),
            (Raises::Nothing, Some(_), None) => fail("raises", "and should raise nothing".into()),
            (Raises::Alert(wanted), Some((severity, after)), when) if wanted == severity => match when {
                Some(when) if when != after => fail("after", format!("and should {}", Moment(when))),
                _ => Ok(()),
            },
            (Raises::Alert(wanted), ..) => fail("raises", format!("and should raise `{}`", wanted.name())),
        }
    }
}

/// How long after the start, in words.
struct Moment(Span);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.ms() == 0 { f.write_str("at once") } else { write!(f, "after {}", self.0) }
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || de::Error::custom(format!("`{text}` is not a time of day; write it like \"22:50\""));
        hours::minute(&text).map(|minute| Self { minute }).ok_or_else(wrong)
    }
}

impl<'de> Deserialize<'de> for Raises {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Raises;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"critical\", \"major\", \"minor\", \"notice\", or false for nothing")
            }

            fn visit_bool<E: de::Error>(self, raises: bool) -> Result<Raises, E> {
                if raises { Err(E::invalid_value(de::Unexpected::Bool(true), &self)) } else { Ok(Raises::Nothing) }
            }

            fn visit_str<E: de::Error>(self, severity: &str) -> Result<Raises, E> {
                let severity = Severity::deserialize(de::value::StrDeserializer::<E>::new(severity));
                severity.map(Raises::Alert)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
