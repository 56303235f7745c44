//! The tables of a rule file, as they stand there.

use serde::Deserialize;
use std::collections::BTreeMap;

use crate::alert::{Scene, Severity, Text};
use crate::detect::example::ExampleTable;
use crate::detect::routine;
use crate::hours::Hours;
use crate::reading::SensorClass;
use crate::site::{PersonCategory, PlaceKind};
use crate::time::Span;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleFile {
    #[serde(rename = "rule")]
    pub(super) rules: Vec<RuleTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleTable {
    pub(super) id: String,
    pub(super) title: Text,
    pub(super) scene: Option<Scene>,
    pub(super) severity: Severity,
    pub(super) group: Option<String>,
    /// Where the limits come from: for whoever reads the file.
    pub(super) source: String,
    pub(super) reason: Text,
    #[serde(default)]
    pub(super) response: Vec<Text>,
    #[serde(default)]
    pub(super) classes: Vec<SensorClass>,
    #[serde(default)]
    pub(super) places: Vec<PlaceKind>,
    #[serde(default)]
    pub(super) persons: Vec<PersonCategory>,
    pub(super) hours: Option<Hours>,
    #[serde(default)]
    pub(super) level: Vec<LevelTable>,
    pub(super) state: Option<StateTable>,
    pub(super) rise: Option<RiseTable>,
    pub(super) bands: Option<BandsTable>,
    pub(super) event: Option<EventTable>,
    pub(super) inactive: Option<InactiveTable>,
    pub(super) silent: Option<SilentTable>,
    pub(super) model: Option<ModelTable>,
    #[serde(default, rename = "example")]
    pub(super) examples: Vec<ExampleTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LevelTable {
    pub(super) field: String,
    pub(super) above: Option<f64>,
    pub(super) below: Option<f64>,
    pub(super) clear: Option<f64>,
    #[serde(default, rename = "for")]
    pub(super) lasting: Span,
    pub(super) severity: Option<Severity>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StateTable {
    pub(super) field: String,
    pub(super) is: bool,
    #[serde(default, rename = "for")]
    pub(super) lasting: Span,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RiseTable {
    pub(super) field: String,
    pub(super) by: f64,
    pub(super) within: Span,
    #[serde(default)]
    pub(super) from: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BandsTable {
    pub(super) at_least: u32,
    #[serde(default, rename = "for")]
    pub(super) lasting: Span,
    #[serde(rename = "field")]
    pub(super) fields: Vec<BandsField>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BandsField {
    pub(super) name: String,
    pub(super) bands: Vec<BandTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BandTable {
    pub(super) to: Option<f64>,
    pub(super) points: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventTable {
    #[serde(rename = "where")]
    pub(super) clauses: Vec<ClauseTable>,
    #[serde(default = "once")]
    pub(super) times: usize,
    #[serde(default)]
    pub(super) within: Span,
}

const fn once() -> usize {
    1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClauseTable {
    pub(super) field: String,
    #[serde(default)]
    pub(super) words: Vec<String>,
    pub(super) becomes: Option<bool>,
    pub(super) above: Option<f64>,
    pub(super) below: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InactiveTable {
    pub(super) field: String,
    pub(super) is: bool,
    pub(super) between: Hours,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SilentTable {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelTable {
    pub(super) name: String,
    /// Of a model of bursts: the burst.
    pub(super) field: Option<String>,
    /// Of a model of readings: the field for each of its channels.
    #[serde(default)]
    pub(super) fields: BTreeMap<String, String>,
    /// The same, for channels that a device may lack.
    #[serde(default)]
    pub(super) also: BTreeMap<String, String>,
    /// Of a model of places: the fields that are signs of what goes on there.
    #[serde(default)]
    pub(super) signs: Vec<String>,
    /// Of a model of homes: what it is asked about.
    pub(super) watch: Option<routine::Kind>,
}
