//! Rules: what is looked for, in which devices, and what is said when it is found.

use std::sync::Arc;

use super::example::{Bench, ExampleCount};
use super::reason::Template;
use super::routine;
use super::rule_file;
use crate::alert::{Scene, Severity, Text};
use crate::decode::{SensorType, SensorTypes};
use crate::detect::model::ModelCard;
use crate::fault::Fault;
use crate::fault::SourceFile;
use crate::hours::Hours;
use crate::reading::SensorClass;
use crate::site::{Device, PersonCategory, Place, PlaceKind};

/// What is looked for, where, and what is said when it is found.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Unique: names the rule in evidence.
    pub id: Arc<str>,
    /// A few words on what it finds.
    pub title: Text,
    /// Where its limits come from.
    pub source: String,
    /// The scene of what it finds, where that is not the device's.
    pub scene: Option<Scene>,
    /// How grave what it finds is, where no step of it says otherwise.
    pub severity: Severity,
    /// What the finding is joined by; the scene's name where the file says nothing.
    pub(super) group: Option<Arc<str>>,
    pub(super) reason: Template,
    /// What whoever answers does, step by step.
    pub response: Vec<Text>,
    pub(super) classes: Vec<SensorClass>,
    pub(super) places: Vec<PlaceKind>,
    pub(super) persons: Vec<PersonCategory>,
    pub(super) hours: Option<Hours>,
    pub(super) condition: Condition<Arc<str>>,
}

/// What goes on in a home for hours is shown with hours.
const HOME_SHOWN_MS: i64 = 6 * 3_600_000;

/// A condition whose fields are named by `F`: by name in a rule, by their index for a sensor type.
#[derive(Debug, Clone)]
pub(super) enum Condition<F> {
    /// Something holds for a time.
    Lasting(Vec<Step<F>>),
    /// Something happens, perhaps several times.
    Event { clauses: Vec<Clause<F>>, times: usize, within_ms: i64 },
    /// Something did not happen in the hours.
    Inactive { field: F, is: f64, between: Hours },
    /// The device is unheard for longer than its type allows.
    Silent,
    /// A model says so of a burst.
    Burst { field: F, card: Arc<ModelCard> },
    /// A model says so of readings, one by one: an input for each channel of the model that is given.
    Series { inputs: Vec<Option<Input<F>>>, card: Arc<ModelCard> },
    /// A model says so of somebody at a place when nobody usually is, of whom these fields are signs.
    Place { signs: Vec<F>, card: Arc<ModelCard> },
    /// A model says so of what goes on in the home, of which these switches are signs.
    Home { signs: Vec<F>, watch: routine::Kind, card: Arc<ModelCard> },
}

/// A field as a model's channel wants it: `value · scale + offset`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Input<F> {
    pub(super) field: F,
    /// A device that lacks it is judged all the same.
    pub(super) may_lack: bool,
    pub(super) scale: f64,
    pub(super) offset: f64,
}

/// A test and how long it has to hold.
#[derive(Debug, Clone)]
pub(super) struct Step<F> {
    pub(super) test: Test<F>,
    pub(super) for_ms: i64,
    pub(super) severity: Severity,
}

/// A question that a reading answers with yes or no.
#[derive(Debug, Clone)]
pub(super) enum Test<F> {
    /// At or beyond `limit`; once there, until back past `clear`.
    Level { field: F, above: bool, limit: f64, clear: f64 },
    /// A switch is on or off.
    State { field: F, is: f64 },
    /// Grown by `by` within a time, and at least `from` now.
    Rise { field: F, by: f64, within_ms: i64, from: f64 },
    /// Points summed over the bands in which the newest values lie.
    Bands { fields: Vec<(F, Vec<Band>)>, at_least: u32 },
}

/// A band of a score such as NEWS2: up to `to`, and above the band before.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Band {
    pub(super) to: f64,
    pub(super) points: u32,
}

/// A part of what a reading must say to be an event.
#[derive(Debug, Clone)]
pub(super) struct Clause<F> {
    pub(super) field: F,
    pub(super) is: Is,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Is {
    /// One of these words.
    Word(Vec<Arc<str>>),
    /// A switch came to be on (1) or off (0).
    Becomes(f64),
    Above(f64),
    Below(f64),
}

/// A rule as it applies to a sensor type: fields by their index.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    pub(super) rule: Arc<Rule>,
    pub(super) condition: Condition<usize>,
}

impl Bound {
    /// Whether a reading can bring a critical finding.
    pub(super) fn is_critical(&self) -> bool {
        match &self.condition {
            Condition::Lasting(steps) => steps.iter().any(|step| step.severity == Severity::Critical),
            Condition::Silent | Condition::Inactive { .. } => false,
            _ => self.rule.severity == Severity::Critical,
        }
    }
}

/// The rules of a site, compiled.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    rules: Vec<Arc<Rule>>,
}

/// What came of one `[[rule]]` of a file.
#[derive(Debug, Clone)]
pub struct CheckedRule {
    /// The file's name.
    pub file: String,
    /// Which `[[rule]]` of the file, from 0.
    pub index: usize,
    /// The rule's id; empty where the file cannot be read at all.
    pub id: String,
    /// As far as it could be understood. With faults it is not in force all the same.
    pub rule: Option<Arc<Rule>>,
    /// How its examples came out.
    pub examples: ExampleCount,
    /// What is wrong.
    pub faults: Vec<Fault>,
}

impl CheckedRule {
    /// Whether it may be used. Of a shipped rule examples that come out otherwise here are told and take
    /// nothing away: they hold with the shipped sensor types, and a site that has others still wants the
    /// rule.
    pub fn is_in_force(&self) -> bool {
        let of_example = |fault: &Fault| fault.key.starts_with(&format!("rule.{}.example.", self.index));
        let is_shipped = self.file.starts_with(SourceFile::BUILT_IN);
        self.faults.is_empty() || (is_shipped && self.faults.iter().all(of_example))
    }

    pub(super) fn unreadable(source: &SourceFile, fault: Fault) -> Self {
        let file = source.name.clone();
        Self { file, index: 0, id: String::new(), rule: None, examples: ExampleCount::default(), faults: vec![fault] }
    }
}

impl Rules {
    /// Compiles rule files against the sensor types' fields and the models there are; a rule that
    /// has a fault is left out and told.
    pub fn compile(files: &[SourceFile], types: &SensorTypes, models: &[ModelCard]) -> (Self, Vec<Fault>) {
        let (mut rules, mut faults) = (Vec::new(), Vec::new());
        for checked in Self::check(files, types, models) {
            let in_force = checked.is_in_force();
            rules.extend(checked.rule.filter(|_| in_force));
            faults.extend(checked.faults);
        }
        (Self { rules }, faults)
    }

    /// The same for people: every rule of the files, with how its examples came out and what is
    /// wrong with it.
    pub fn check(files: &[SourceFile], types: &SensorTypes, models: &[ModelCard]) -> Vec<CheckedRule> {
        let mut bench = Bench::new(types);
        let mut all: Vec<CheckedRule> = Vec::new();
        // A rule of one's own takes no shipped one away by its id.
        let (shipped, own): (Vec<_>, Vec<_>) = files.iter().partition(|source| source.is_built_in());
        for source in shipped.into_iter().chain(own) {
            for mut checked in rule_file::read(source, types, models, &mut bench) {
                let same = all.iter().find(|there| there.id == checked.id && there.faults.is_empty());
                if let Some(there) = same.filter(|_| checked.faults.is_empty()) {
                    let problem = format!("there is another rule `{}`, in {}", checked.id, there.file);
                    let key = format!("rule.{}.id", checked.index);
                    checked.faults.push(source.fault(&key, problem, "give it another id"));
                }
                all.push(checked);
            }
        }
        all
    }

    /// One rule alone.
    pub(super) fn only(rule: Arc<Rule>) -> Self {
        Self { rules: vec![rule] }
    }

    /// The model that the rule with this id asks, if it does.
    pub fn model_of(&self, id: &str) -> Option<&str> {
        Some(self.get(id)?.condition.card()?.name.as_str())
    }

    /// The rule with this id.
    pub(super) fn get(&self, id: &str) -> Option<&Rule> {
        self.iter().find(|rule| *rule.id == *id)
    }

    /// All of them, by file and order in it.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(Arc::as_ref)
    }

    /// The rules for a device, with their fields found in its type.
    pub(super) fn bind(&self, device: &Device, place: &Place, sensor_type: &SensorType) -> Vec<Bound> {
        let applies = |rule: &&Arc<Rule>| {
            (rule.classes.is_empty() || rule.classes.contains(&sensor_type.class))
                && (rule.places.is_empty() || rule.places.contains(&place.kind))
                && (rule.persons.is_empty() || device.person.is_some_and(|person| rule.persons.contains(&person)))
        };
        let index = |name: &Arc<str>| sensor_type.fields.iter().position(|field| field.name == *name);
        let bind = |rule: &Arc<Rule>| Some(Bound { rule: rule.clone(), condition: rule.condition.bind(&index)? });
        self.rules.iter().filter(applies).filter_map(bind).collect()
    }
}

impl Rule {
    /// Whether the fields that it looks at are among those of `sensor_type`.
    pub(super) fn is_about(&self, sensor_type: &SensorType) -> bool {
        let index = |name: &Arc<str>| sensor_type.fields.iter().position(|field| field.name == *name);
        self.condition.bind(&index).is_some()
    }
}

impl<F> Condition<F> {
    /// The same with the fields found by `index`; `None` where one is not there.
    fn bind<G>(&self, index: &impl Fn(&F) -> Option<G>) -> Option<Condition<G>> {
        Some(match self {
            Self::Lasting(steps) => {
                let bind = |step: &Step<F>| {
                    Some(Step { test: step.test.bind(index)?, for_ms: step.for_ms, severity: step.severity })
                };
                Condition::Lasting(steps.iter().map(bind).collect::<Option<_>>()?)
            }
            Self::Event { clauses, times, within_ms } => {
                let bind = |clause: &Clause<F>| Some(Clause { field: index(&clause.field)?, is: clause.is.clone() });
                let clauses = clauses.iter().map(bind).collect::<Option<_>>()?;
                Condition::Event { clauses, times: *times, within_ms: *within_ms }
            }
            Self::Inactive { field, is, between } => {
                Condition::Inactive { field: index(field)?, is: *is, between: *between }
            }
            Self::Silent => Condition::Silent,
            Self::Burst { field, card } => Condition::Burst { field: index(field)?, card: card.clone() },
            Self::Series { inputs, card } => {
                let bind = |input: &Option<Input<F>>| match input {
                    None => Some(None),
                    Some(Input { field, may_lack, scale, offset }) => match index(field) {
                        None => may_lack.then_some(None),
                        Some(field) => Some(Some(Input { field, may_lack: *may_lack, scale: *scale, offset: *offset })),
                    },
                };
                Condition::Series { inputs: inputs.iter().map(bind).collect::<Option<_>>()?, card: card.clone() }
            }
            Self::Place { signs, card } => Condition::Place { signs: any(signs, index)?, card: card.clone() },
            Self::Home { signs, watch, card } => {
                Condition::Home { signs: any(signs, index)?, watch: *watch, card: card.clone() }
            }
        })
    }

    /// The fields that it looks at.
    pub(super) fn fields(&self) -> Vec<&F> {
        match self {
            Self::Lasting(steps) => steps.iter().flat_map(|step| step.test.fields()).collect(),
            Self::Event { clauses, .. } => clauses.iter().map(|clause| &clause.field).collect(),
            Self::Inactive { field, .. } | Self::Burst { field, .. } => vec![field],
            Self::Series { inputs, .. } => inputs.iter().flatten().map(|input| &input.field).collect(),
            Self::Home { signs, .. } | Self::Place { signs, .. } => signs.iter().collect(),
            Self::Silent => Vec::new(),
        }
    }

    /// The model that it asks, if it does.
    pub(super) fn card(&self) -> Option<&Arc<ModelCard>> {
        match self {
            Self::Burst { card, .. }
            | Self::Series { card, .. }
            | Self::Place { card, .. }
            | Self::Home { card, .. } => Some(card),
            Self::Lasting(_) | Self::Event { .. } | Self::Inactive { .. } | Self::Silent => None,
        }
    }

    /// How far back it looks.
    pub(super) fn reach_ms(&self) -> i64 {
        match self {
            Self::Lasting(steps) => {
                steps.iter().map(|step| step.for_ms.saturating_add(step.test.reach_ms())).max().unwrap_or(0)
            }
            Self::Event { within_ms, .. } => *within_ms,
            Self::Inactive { between, .. } => between.length_ms(),
            Self::Home { .. } => HOME_SHOWN_MS,
            Self::Silent | Self::Burst { .. } | Self::Series { .. } | Self::Place { .. } => 0,
        }
    }
}

/// Those that `index` finds; `None` where that is none.
fn any<F, G>(fields: &[F], index: &impl Fn(&F) -> Option<G>) -> Option<Vec<G>> {
    let found: Vec<G> = fields.iter().filter_map(index).collect();
    (!found.is_empty()).then_some(found)
}

impl<F> Test<F> {
    fn bind<G>(&self, index: &impl Fn(&F) -> Option<G>) -> Option<Test<G>> {
        Some(match self {
            Self::Level { field, above, limit, clear } => {
                Test::Level { field: index(field)?, above: *above, limit: *limit, clear: *clear }
            }
            Self::State { field, is } => Test::State { field: index(field)?, is: *is },
            Self::Rise { field, by, within_ms, from } => {
                Test::Rise { field: index(field)?, by: *by, within_ms: *within_ms, from: *from }
            }
            Self::Bands { fields, at_least } => {
                // A device that measures some of them is judged by those.
                let bind = |(field, bands): &(F, Vec<Band>)| Some((index(field)?, bands.clone()));
                let fields: Vec<_> = fields.iter().filter_map(bind).collect();
                (!fields.is_empty()).then_some(Test::Bands { fields, at_least: *at_least })?
            }
        })
    }

    pub(super) fn fields(&self) -> Vec<&F> {
        match self {
            Self::Level { field, .. } | Self::State { field, .. } | Self::Rise { field, .. } => vec![field],
            Self::Bands { fields, .. } => fields.iter().map(|(field, _)| field).collect(),
        }
    }

    fn reach_ms(&self) -> i64 {
        match self {
            Self::Rise { within_ms, .. } => *within_ms,
            _ => 0,
        }
    }
}
