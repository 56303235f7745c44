//! A rule file as a person writes it, and what can be wrong in it.

mod tables;

use std::sync::Arc;

use super::example::ExampleTable;
use super::example::{Bench, ExampleCount};
use super::reason::Template;
use super::rule::{Band, CheckedRule, Clause, Condition, Input, Is, Rule, Step, Test};
use crate::alert::{Scene, Severity, Text, drill};
use crate::decode::{Field, FieldKind, SensorTypes, convert_unit};
use crate::detect::features::{self, Source, series};
use crate::detect::model::ModelCard;
use crate::fault::Fault;
use crate::fault::SourceFile;
use crate::site::is_id;
use crate::time::Span;
use tables::{BandsTable, ClauseTable, LevelTable, ModelTable, RuleFile, RuleTable, SilentTable};

/// Reads a rule file: each rule with what is wrong in it, its examples tried on `bench`.
pub(super) fn read(
    source: &SourceFile,
    types: &SensorTypes,
    models: &[ModelCard],
    bench: &mut Bench,
) -> Vec<CheckedRule> {
    let file: RuleFile = match source.parse() {
        Ok(file) => file,
        Err(fault) => return vec![CheckedRule::unreadable(source, fault)],
    };
    let mut checked = Vec::new();
    for (index, mut table) in file.rules.into_iter().enumerate() {
        let examples = std::mem::take(&mut table.examples);
        let id = table.id.clone();
        let mut compiler = Compiler { source, types, models, index, faults: Vec::new() };
        let rule = compiler.rule(table).filter(|_| compiler.faults.is_empty()).map(Arc::new);
        let count = rule.as_ref().map(|rule| compiler.examples(rule, &examples, bench)).unwrap_or_default();
        let faults = compiler.faults;
        checked.push(CheckedRule { file: source.name.clone(), index, id, rule, examples: count, faults });
    }
    checked
}

/// What a field must be for a condition.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Measure,
    State,
    Word,
    Burst,
}

struct Compiler<'a> {
    source: &'a SourceFile,
    types: &'a SensorTypes,
    models: &'a [ModelCard],
    /// Which `[[rule]]` of the file.
    index: usize,
    faults: Vec<Fault>,
}

impl Compiler<'_> {
    fn fault(&mut self, key: &str, problem: impl Into<String>, mend: impl Into<String>) {
        let key = format!("rule.{}.{key}", self.index);
        self.faults.push(self.source.fault(&key, problem, mend));
    }

    fn rule(&mut self, table: RuleTable) -> Option<Rule> {
        if !is_id(&table.id) {
            self.fault("id", format!("`{}` is not an id", table.id), "use 1 to 64 of A-Z a-z 0-9 . _ -");
        }
        if table.source.trim().is_empty() {
            self.fault("source", "is empty", "say where the limit comes from: a standard, a measurement, an order");
        }
        self.response(&table.response);
        if table.scene == Some(Scene::Operations) {
            self.fault(
                "scene",
                "`operations` is what ails the gateway itself",
                "give the scene of those whose matter it is",
            );
        }
        let (condition, facts) = self.condition(&table)?;
        let known = |name: &str| {
            name == "spot"
                || facts.contains(&name)
                || condition.fields().iter().any(|field| ***field == *name)
                || (facts.contains(&ANY_FIELD)
                    && self.types.iter().any(|known| known.fields.iter().any(|f| *f.name == *name)))
        };
        let reason = match Template::parse(&table.reason, &known) {
            Ok(reason) => reason,
            Err(problem) => {
                let there: Vec<String> = ["spot"].iter().chain(&facts).map(|name| format!("{{{name}}}")).collect();
                self.fault("reason", problem, format!("there are {}", there.join(" ")));
                return None;
            }
        };
        if facts.contains(&WHY) && !reason.says(WHY) {
            let mend = "put `{why}` into both sentences: the inputs that moved the score";
            self.fault("reason", "a model's alert says which inputs moved it", mend);
        }
        if table.group.as_deref().is_some_and(drill::is_group) {
            self.fault("group", "drills have this group to themselves", "give it another name");
            return None;
        }
        Some(Rule {
            id: table.id.into(),
            title: table.title,
            source: table.source,
            scene: table.scene,
            severity: table.severity,
            group: table.group.map(Arc::from),
            reason,
            response: table.response,
            classes: table.classes,
            places: table.places,
            persons: table.persons,
            hours: table.hours,
            condition,
        })
    }

    /// Somebody in a hurry reads it.
    fn response(&mut self, steps: &[Text]) {
        if steps.len() > MOST_STEPS {
            let mend = format!("keep the first {MOST_STEPS} that matter");
            self.fault("response", format!("{} steps are more than anybody reads", steps.len()), mend);
        }
        let is_empty = |step: &Text| step.zh.trim().is_empty() || step.en.trim().is_empty();
        if let Some(number) = steps.iter().position(is_empty) {
            self.fault(&format!("response.{number}"), "a language is empty", "say the step in zh and en");
        }
    }

    /// Tries the examples: each that comes out otherwise is a fault.
    fn examples(&mut self, rule: &Arc<Rule>, examples: &[ExampleTable], bench: &mut Bench) -> ExampleCount {
        let mut count = ExampleCount::default();
        for (number, example) in examples.iter().enumerate() {
            match bench.try_out(rule, example) {
                Ok(()) if example.wants_alert() => count.raising += 1,
                Ok(()) => count.quiet += 1,
                Err(failure) => {
                    count.failed += 1;
                    self.fault(&format!("example.{number}.{}", failure.key), failure.problem, failure.mend);
                }
            }
        }
        count
    }

    /// The one condition of a rule, and the facts that its sentence may use.
    fn condition(&mut self, table: &RuleTable) -> Option<(Condition<Arc<str>>, Vec<&'static str>)> {
        let lasting = |test, lasting: Span, severity| Step { test, for_ms: lasting.ms(), severity };
        let mut found = Vec::new();
        if !table.level.is_empty() {
            let steps: Option<Vec<_>> =
                table.level.iter().enumerate().map(|(index, level)| self.level(index, level, table.severity)).collect();
            found.push((Condition::Lasting(steps?), vec!["value", "limit", "for"]));
        }
        if let Some(state) = &table.state {
            let field = self.field("state.field", &state.field, Wanted::State)?;
            let step = lasting(Test::State { field, is: f64::from(u8::from(state.is)) }, state.lasting, table.severity);
            found.push((Condition::Lasting(vec![step]), vec!["for"]));
        }
        if let Some(rise) = &table.rise {
            if rise.by.is_nan() || rise.by <= 0.0 || rise.within.ms() == 0 {
                self.fault("rise.by", "a rise needs `by` above 0 and `within` a time", "give both");
            }
            let field = self.field("rise.field", &rise.field, Wanted::Measure)?;
            let test =
                Test::Rise { field, by: rise.by, within_ms: rise.within.ms(), from: rise.from.unwrap_or(f64::MIN) };
            found.push((
                Condition::Lasting(vec![lasting(test, Span::default(), table.severity)]),
                vec!["value", "rise", "within"],
            ));
        }
        if let Some(bands) = &table.bands {
            let test = self.bands(bands)?;
            let step = lasting(test, bands.lasting, table.severity);
            found.push((Condition::Lasting(vec![step]), vec!["points", "detail", "for"]));
        }
        if let Some(event) = &table.event {
            let clauses = event.clauses.iter().enumerate().map(|(index, clause)| self.clause(index, clause));
            let clauses = clauses.collect::<Option<Vec<_>>>()?;
            let counted = if event.times > 1 { event.within.ms() > 0 && event.times <= 64 } else { event.times == 1 };
            if clauses.is_empty() || !counted {
                let mend = "give `where`, and `times` from 2 to 64 with a time `within`, or neither";
                self.fault("event.where", "an event needs what it is, and how often within what time", mend);
            }
            let condition = Condition::Event { clauses, times: event.times, within_ms: event.within.ms() };
            found.push((condition, vec!["count", "within", ANY_FIELD]));
        }
        if let Some(inactive) = &table.inactive {
            let field = self.field("inactive.field", &inactive.field, Wanted::State)?;
            let is = f64::from(u8::from(inactive.is));
            found.push((Condition::Inactive { field, is, between: inactive.between }, vec!["hours"]));
        }
        if let Some(SilentTable {}) = table.silent {
            found.push((Condition::Silent, vec!["for"]));
        }
        if let Some(model) = &table.model {
            found.push(self.model(model)?);
        }
        if found.len() != 1 {
            let mend = "give one of level, state, rise, bands, event, inactive, silent, model";
            self.fault("id", format!("a rule has one condition, this one has {}", found.len()), mend);
            return None;
        }
        found.pop()
    }

    fn model(&mut self, model: &ModelTable) -> Option<(Condition<Arc<str>>, Vec<&'static str>)> {
        let Some(card) = self.models.iter().find(|card| card.name == model.name && card.shadow_of.is_none()) else {
            let mend = "see `ninewatch check` for why, or set `files.models`";
            self.fault("model.name", format!("the model `{}` is not in use", model.name), mend);
            return None;
        };
        let card = Arc::new(card.clone());
        let given = [model.field.is_some(), !model.fields.is_empty(), !model.signs.is_empty(), model.watch.is_some()];
        let source = features::source(&card.features)?;
        let wanted = match source {
            Source::Burst => ([true, false, false, false], "give `field`, the burst"),
            Source::Series => (
                [false, true, false, false],
                "give `fields`, one for each channel, and in `also` those that a device may lack",
            ),
            Source::Place => ([false, false, true, false], "give `signs`: the fields by which somebody is noticed"),
            Source::Home => ([false, false, true, true], "give `watch`, and `signs`: the switches that tell of it"),
        };
        if given != wanted.0 {
            self.fault("model.name", format!("`{}` is asked otherwise", model.name), wanted.1);
            return None;
        }
        let mut facts = vec!["score", "limit", WHY];
        let condition = match source {
            Source::Burst => {
                let field = self.field("model.field", model.field.as_deref()?, Wanted::Burst)?;
                Condition::Burst { field, card }
            }
            Source::Series => Condition::Series { inputs: self.inputs(model, &card)?, card },
            Source::Place => Condition::Place { signs: self.signs(model, &[Wanted::State, Wanted::Word])?, card },
            Source::Home => {
                facts.extend(["for", "usual"]);
                Condition::Home { signs: self.signs(model, &[Wanted::State])?, watch: model.watch?, card }
            }
        };
        Some((condition, facts))
    }

    /// The fields that are signs, each of one of these kinds.
    fn signs(&mut self, model: &ModelTable, kinds: &[Wanted]) -> Option<Vec<Arc<str>>> {
        let signs = model.signs.iter().enumerate();
        signs.map(|(at, sign)| self.field_of(&format!("model.signs.{at}"), sign, kinds)).collect()
    }

    /// The fields for the channels of a model of readings, in the channels' order and units.
    fn inputs(&mut self, model: &ModelTable, card: &ModelCard) -> Option<Vec<Option<Input<Arc<str>>>>> {
        let channels = series::channels(&card.features);
        let known = channels.iter().map(|channel| channel.name).collect::<Vec<_>>().join(", ");
        let given = model.fields.keys().chain(model.also.keys());
        if let Some(other) = given.into_iter().find(|name| !channels.iter().any(|channel| channel.name == **name)) {
            let problem = format!("`{}` has no channel of this name", model.name);
            self.fault(&format!("model.fields.{other}"), problem, format!("there are {known}"));
            return None;
        }
        if let Some(first) = channels.first().filter(|first| !model.fields.contains_key(first.name)) {
            self.fault(
                "model.fields",
                format!("`{}` needs the channel `{}`", model.name, first.name),
                "give its field",
            );
            return None;
        }
        let mut inputs = Vec::new();
        for channel in channels {
            let (table, name, may_lack) = match (model.fields.get(channel.name), model.also.get(channel.name)) {
                (Some(name), _) => ("fields", name, false),
                (None, Some(name)) => ("also", name, true),
                (None, None) => {
                    inputs.push(None);
                    continue;
                }
            };
            let key = format!("model.{table}.{}", channel.name);
            let field = self.field(&key, name, Wanted::Measure)?;
            let unit = self.fields_named(name).map(Field::unit).find(|unit| !unit.is_empty()).unwrap_or_default();
            let convert = |value| convert_unit(value, unit, channel.unit);
            let (Some(offset), Some(one)) = (convert(0.0), convert(1.0)) else {
                let problem = format!("`{name}` is in {unit}, and cannot be {}", channel.unit);
                self.fault(&key, problem, "name a field that measures the same");
                return None;
            };
            inputs.push(Some(Input { field, may_lack, scale: one - offset, offset }));
        }
        Some(inputs)
    }

    fn level(&mut self, index: usize, level: &LevelTable, severity: Severity) -> Option<Step<Arc<str>>> {
        let key = |name: &str| format!("level.{index}.{name}");
        let field = self.field(&key("field"), &level.field, Wanted::Measure)?;
        let (above, limit) = match (level.above, level.below) {
            (Some(limit), None) => (true, limit),
            (None, Some(limit)) => (false, limit),
            _ => {
                self.fault(&key("field"), "a level has one of `above` and `below`", "give one");
                return None;
            }
        };
        let clear = level.clear.unwrap_or(limit);
        if limit.is_nan() || clear.is_nan() || (above && clear > limit) || (!above && clear < limit) {
            let side = if above { "at or below" } else { "at or above" };
            self.fault(&key("clear"), "is on the wrong side of the limit", format!("put it {side} {limit}"));
        }
        let test = Test::Level { field, above, limit, clear };
        Some(Step { test, for_ms: level.lasting.ms(), severity: level.severity.unwrap_or(severity) })
    }

    fn bands(&mut self, table: &BandsTable) -> Option<Test<Arc<str>>> {
        let mut fields = Vec::new();
        for (index, field) in table.fields.iter().enumerate() {
            let name = self.field(&format!("bands.field.{index}.name"), &field.name, Wanted::Measure)?;
            let bands: Vec<Band> = field
                .bands
                .iter()
                .map(|band| Band { to: band.to.unwrap_or(f64::INFINITY), points: band.points })
                .collect();
            let rising = bands.is_sorted_by(|a, b| a.to < b.to);
            if !rising || bands.last().is_none_or(|last| last.to.is_finite()) {
                let mend = "order them by `to`, and leave `to` out of the last";
                self.fault(&format!("bands.field.{index}.bands"), "do not cover all values once", mend);
            }
            fields.push((name, bands));
        }
        if fields.is_empty() || table.at_least == 0 {
            self.fault("bands.at_least", "needs points and fields", "give at least 1, and [[rule.bands.field]]");
        }
        Some(Test::Bands { fields, at_least: table.at_least })
    }

    fn clause(&mut self, index: usize, table: &ClauseTable) -> Option<Clause<Arc<str>>> {
        let key = format!("event.where.{index}.field");
        let words = (!table.words.is_empty())
            .then(|| (Wanted::Word, Is::Word(table.words.iter().map(|word| word.as_str().into()).collect())));
        let given = [
            words,
            table.becomes.map(|on| (Wanted::State, Is::Becomes(f64::from(u8::from(on))))),
            table.above.map(|limit| (Wanted::Measure, Is::Above(limit))),
            table.below.map(|limit| (Wanted::Measure, Is::Below(limit))),
        ];
        let mut given = given.into_iter().flatten();
        let (Some((wanted, is)), None) = (given.next(), given.next()) else {
            self.fault(&key, "a clause has one of `words`, `becomes`, `above`, `below`", "give one");
            return None;
        };
        let field = self.field(&key, &table.field, wanted)?;
        if let Is::Word(words) = &is {
            let listed = self.fields_named(&table.field).any(|field| match &field.kind {
                FieldKind::Word { words: listed } => {
                    listed.is_empty() || words.iter().all(|word| listed.contains(word))
                }
                _ => false,
            });
            if !listed {
                self.fault(&key, "no sensor type has all of these words", "see `words` in the sensor type file");
            }
        }
        Some(Clause { field, is })
    }

    fn fields_named<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s Field> {
        self.types.iter().flat_map(|known| &known.fields).filter(move |field| *field.name == *name)
    }

    /// The field's name, if some sensor type has it as it is wanted.
    fn field(&mut self, key: &str, name: &str, wanted: Wanted) -> Option<Arc<str>> {
        self.field_of(key, name, &[wanted])
    }

    /// The same, of one of these kinds.
    fn field_of(&mut self, key: &str, name: &str, wanted: &[Wanted]) -> Option<Arc<str>> {
        let kind_of = |field: &Field| match field.kind {
            FieldKind::Measure { .. } => Wanted::Measure,
            FieldKind::State => Wanted::State,
            FieldKind::Word { .. } => Wanted::Word,
            FieldKind::Burst(_) => Wanted::Burst,
        };
        let found =
            self.fields_named(name).find(|field| wanted.contains(&kind_of(field))).map(|field| field.name.clone());
        if found.is_none() {
            let word = |kind: &Wanted| match kind {
                Wanted::Measure => "measure",
                Wanted::State => "state",
                Wanted::Word => "word",
                Wanted::Burst => "burst",
            };
            let kind = wanted.iter().map(word).collect::<Vec<_>>().join(" or ");
            let mend = "name one as the sensor type files do";
            self.fault(key, format!("no sensor type has a field `{name}` of kind {kind}"), mend);
        }
        found
    }
}

/// How many steps a response has at the most.
const MOST_STEPS: usize = 6;
/// The fact that every model's sentence has.
const WHY: &str = "why";
/// Stands among a condition's facts where every field of the reading may be named.
const ANY_FIELD: &str = "field name";
