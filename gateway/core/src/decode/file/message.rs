//! `[[message]]`: one kind of message.

mod tables;
mod unpack;

use jiff::Timestamp;
use std::collections::BTreeMap;

use super::field::{EndianWord, value};
use super::{Faults, Known, SEE};
use crate::decode::binary::Endian;
use crate::decode::convert::Literal;
use crate::decode::field::Field;
use crate::decode::message::{Asks, MessageKind, PayloadForm, SpeakerFrom, Test};
use crate::decode::pointer::Pointer;
use crate::decode::source::Source;
use crate::decode::stamp::{Format, Interval, Stamp, Step, unit_ms};
use crate::decode::topic::Topic;
use crate::decode::unpack::{Packed, Unpack};
use crate::time::UtcOffset;
use tables::{LengthTable, PayloadWord, StampWord, StepTable, TestTable, TimeTable};

pub(super) use tables::MessageTable;

impl MessageTable {
    pub(super) fn is_senml(&self) -> bool {
        self.payload == PayloadWord::Senml
    }
}

/// The topics of a kind; their captures are added to `captures`.
pub(super) fn topics(
    table: &MessageTable,
    index: usize,
    captures: &mut Vec<String>,
    faults: &mut Faults<'_>,
) -> Vec<Topic> {
    let key = format!("message.{index}.topic");
    let parse = |text: &String| {
        let topic = Topic::parse(text, captures).map_err(|problem| format!("`{text}`: {problem}"));
        faults.take(&key, topic)
    };
    table.topic.0.iter().filter_map(parse).collect()
}

/// Makes a kind of message of a table.
pub(super) fn compile(
    table: &MessageTable,
    index: usize,
    topics: Vec<Topic>,
    fields: &[Field],
    known: &Known,
    faults: &mut Faults<'_>,
) -> Option<MessageKind> {
    let before = faults.list.len();
    let mut compiler = Compiler { index, fields, known, faults };
    let speaker = compiler.speaker(table, &topics);
    let payload = match table.payload {
        PayloadWord::Json => PayloadForm::Json,
        PayloadWord::Text => PayloadForm::Text,
        PayloadWord::Bytes => PayloadForm::Bytes,
        PayloadWord::Senml => PayloadForm::Senml,
    };
    compiler.check_senml(table);
    let time = table.time.as_ref().map(|time| compiler.time(time, table.each.is_some()));
    let each = table.each.as_ref().map(|each| compiler.pointer("each", each));
    let when = compiler.tests("when", &table.when);
    let ignore = compiler.tests("ignore", &table.ignore);
    let unpack =
        table.unpack.iter().enumerate().map(|(number, step)| compiler.unpack(number, step)).collect::<Vec<_>>();
    let places = compiler.places(table);
    let set = compiler.set(&table.set);
    let discard = table.discard.iter().map(|text| compiler.pointer("discard", text)).collect::<Vec<_>>();
    let opened = unpack.iter().flatten().filter(|step| step.packed != Packed::Json);
    let hidden = |step: &Unpack| discard.iter().flatten().any(|pointer| pointer.within(&step.at).is_some());
    if opened.clone().any(hidden) {
        let problem = "lies within what `unpack` opens, and only JSON can be masked there";
        compiler.fault("discard", problem, "discard all that is packed");
    }
    if !table.discard.is_empty() && payload != PayloadForm::Json {
        compiler.fault("discard", "goes with a JSON payload only", SEE);
    }
    if faults.list.len() > before {
        return None;
    }
    Some(MessageKind {
        topics,
        payload,
        speaker: speaker?,
        time: time.flatten(),
        each: each.flatten(),
        when,
        ignore,
        unpack: unpack.into_iter().flatten().collect(),
        fields: places,
        set,
        discard: discard.into_iter().flatten().collect(),
    })
}

struct Compiler<'c, 's> {
    /// Which `[[message]]` of the file.
    index: usize,
    fields: &'c [Field],
    known: &'c Known,
    faults: &'c mut Faults<'s>,
}

impl Compiler<'_, '_> {
    fn fault(&mut self, key: &str, problem: impl Into<String>, mend: &str) {
        self.faults.at(&format!("message.{}.{key}", self.index), problem, mend);
    }

    fn take<T>(&mut self, key: &str, read: Result<T, String>) -> Option<T> {
        self.faults.take(&format!("message.{}.{key}", self.index), read)
    }

    fn source(&mut self, key: &str, text: &str) -> Option<Source> {
        self.take(key, Source::parse(text, &self.known.captures))
    }

    fn pointer(&mut self, key: &str, text: &str) -> Option<Pointer> {
        let pointer = Pointer::parse(text, &[]);
        self.take(
            key,
            pointer.and_then(|pointer| {
                if pointer.is_plain() { Ok(pointer) } else { Err(format!("`{text}` has to begin at the payload")) }
            }),
        )
    }

    fn speaker(&mut self, table: &MessageTable, topics: &[Topic]) -> Option<SpeakerFrom> {
        let captured =
            topics.iter().all(|topic| topic.text().contains("{device}") || topic.text().contains("{device...}"));
        match table.device.as_deref() {
            Some("*") => Some(SpeakerFrom::All),
            Some(text) => self.source("device", text).map(SpeakerFrom::Source),
            None if captured => self.source("topic", "{device}").map(SpeakerFrom::Source),
            None if table.is_senml() => Some(SpeakerFrom::Senml),
            None => {
                let mend = "capture `{device}` in the topic, or say with `device` where the payload has it";
                self.fault("topic", "does not say which device it is of", mend);
                None
            }
        }
    }

    /// SenML says itself when and what; nothing else goes with it.
    fn check_senml(&mut self, table: &MessageTable) {
        if !table.is_senml() {
            return;
        }
        for (key, given) in [
            ("time", table.time.is_some()),
            ("each", table.each.is_some()),
            ("when", !table.when.is_empty()),
            ("ignore", !table.ignore.is_empty()),
            ("unpack", !table.unpack.is_empty()),
            ("fields", table.fields.is_some()),
            ("set", !table.set.is_empty()),
        ] {
            if given {
                self.fault(key, "does not go with SenML, which says it itself", "remove it");
            }
        }
    }

    fn time(&mut self, table: &TimeTable, has_each: bool) -> Option<Stamp> {
        let from = table.from.as_ref().map(|from| self.source("time.from", from));
        let format = match (&table.format, &table.from) {
            (Some(format), Some(_)) => self.take("time.format", Format::parse(format)),
            (None, None) if table.step.is_some() => Some(Format::Epoch(1.0)),
            _ => self.lacks("time", "needs `from` and `format`, or a `step` without both"),
        };
        let epoch = table.epoch.as_deref().map(|text| {
            let epoch = text.parse::<Timestamp>().map(Timestamp::as_millisecond);
            let epoch = epoch.map_err(|_| format!("`{text}` is no time such as \"2000-01-01T00:00:00Z\""));
            self.take("time.epoch", epoch)
        });
        let zone = table.zone.as_deref().map(|text| {
            let zone =
                UtcOffset::parse(text).ok_or_else(|| format!("`{text}` is no offset from UTC such as \"+08:00\""));
            self.take("time.zone", zone)
        });
        let plus = table.plus.as_ref().map(|plus| self.length("time.plus", plus));
        if (table.step.is_some() || table.stamp.is_some()) && !has_each {
            self.fault("time.step", "needs `each`: it is how far apart the elements are", "add `each`, or remove it");
        }
        if table.stamp.is_some() && table.step.is_none() {
            self.fault("time.stamp", "needs `step`", "say how far apart the elements are");
        }
        let step = table.step.as_ref().map(|step| {
            let ms = match step {
                StepTable::Fixed(span) => Interval::Fixed(span.ms()),
                StepTable::Sent(length) => {
                    let (source, unit_ms) = self.length("time.step", length)?;
                    Interval::Sent(source, unit_ms)
                }
            };
            Some(Step { ms, of_last: table.stamp == Some(StampWord::Last) })
        });
        Some(Stamp {
            from: from.flatten(),
            format: format?,
            epoch_ms: epoch.flatten().unwrap_or(0),
            zone: zone.flatten(),
            plus: plus.flatten(),
            step: step.flatten(),
        })
    }

    /// Where a length of time stands, and how many milliseconds its unit has.
    fn length(&mut self, key: &str, table: &LengthTable) -> Option<(Source, f64)> {
        let source = self.source(&format!("{key}.from"), &table.from);
        let unit = unit_ms(&table.unit).ok_or_else(|| format!("`{}` is no unit of time", table.unit));
        Some((source?, self.take(&format!("{key}.unit"), unit)?))
    }

    fn tests(&mut self, key: &str, tables: &[TestTable]) -> Vec<Test> {
        let compile = |(number, table): (usize, &TestTable)| {
            let key = |name: &str| format!("{key}.{number}.{name}");
            let at = self.source(&key("at"), &table.at);
            let given = [
                table.is.as_ref().map(|values| Asks::Is(values.0.clone())),
                table.not.as_ref().map(|values| Asks::Not(values.0.clone())),
                table.exists.map(Asks::Exists),
                table.has.as_ref().map(|values| Asks::Has(values.0.clone())),
                table.at_least.map(Asks::AtLeast),
                table.below.map(Asks::Below),
            ];
            let mut given = given.into_iter().flatten();
            let (Some(asks), None) = (given.next(), given.next()) else {
                self.fault(&key("at"), "has to ask one thing", "give one of is, not, exists, has, at_least, below");
                return None;
            };
            Some(Test { at: at?, asks })
        };
        tables.iter().enumerate().filter_map(compile).collect()
    }

    /// Where this kind has which field.
    fn places(&mut self, table: &MessageTable) -> Vec<(usize, Option<Vec<Source>>)> {
        let Some(places) = &table.fields else {
            let all = self.fields.iter().enumerate();
            return all.filter(|(_, field)| field.is_asked_for()).map(|(index, _)| (index, None)).collect();
        };
        let mut found = Vec::new();
        for (name, texts) in places {
            let key = format!("fields.{name}");
            let sources: Vec<Source> = texts.0.iter().filter_map(|text| self.source(&key, text)).collect();
            match self.fields.iter().position(|field| *field.name == **name) {
                Some(index) => found.push((index, Some(sources))),
                None => self.fault(&key, format!("there is no field `{name}`"), "add it as [[field]]"),
            }
        }
        found
    }

    fn set(&mut self, table: &BTreeMap<String, Literal>) -> Vec<(usize, crate::reading::Value)> {
        let mut found = Vec::new();
        for (name, literal) in table {
            let key = format!("set.{name}");
            let Some((index, field)) = self.fields.iter().enumerate().find(|(_, field)| *field.name == **name) else {
                self.fault(&key, format!("there is no field `{name}`"), "add it as [[field]]");
                continue;
            };
            if let Some(value) = self.take(&key, value(&field.kind, literal)) {
                found.push((index, value));
            }
        }
        found
    }
}

impl From<EndianWord> for Endian {
    fn from(word: EndianWord) -> Self {
        match word {
            EndianWord::Big => Self::Big,
            EndianWord::Little => Self::Little,
            EndianWord::BigSwapped => Self::BigSwapped,
            EndianWord::LittleSwapped => Self::LittleSwapped,
        }
    }
}
