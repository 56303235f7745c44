//! `[[message]]`: one kind of message.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

use super::field::{EndianWord, value};
use super::{Faults, Known, Literals, SEE, Texts};
use crate::decode::binary::{Endian, Entry, Form, Layout, Tag};
use crate::decode::convert::Literal;
use crate::decode::field::Field;
use crate::decode::message::{Asks, MessageKind, PayloadForm, SpeakerFrom, Test};
use crate::decode::source::{Pointer, Source};
use crate::decode::stamp::{Format, Interval, Stamp, Step, unit_ms};
use crate::decode::topic::Topic;
use crate::decode::unpack::{Encoding, Packed, Unpack, hex_bytes};
use crate::time::{Span, UtcOffset};

/// One kind of message that it sends.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MessageTable {
    /// Where it comes: a topic or several; `{name}` captures a level or a part of one, `{name...}` several levels.
    topic: Texts,
    /// How the payload is read.
    #[serde(default)]
    payload: PayloadWord,
    /// A source of the device's name; left out: the capture `{device}`. "*": it is about all devices of the type.
    device: Option<String>,
    /// When it was measured; left out: when it arrived.
    time: Option<TimeTable>,
    /// A pointer to a list or an object of which every element is a reading.
    each: Option<String>,
    /// Tests that must all hold.
    #[serde(default)]
    when: Vec<TestTable>,
    /// Tests of which one suffices for the message to be passed over.
    #[serde(default)]
    ignore: Vec<TestTable>,
    /// Steps that open what is packed in the payload.
    #[serde(default)]
    unpack: Vec<UnpackTable>,
    /// Where this kind has which field; left out: all that have a `from`.
    fields: Option<BTreeMap<String, Texts>>,
    /// What a message of this kind means by itself.
    #[serde(default)]
    set: BTreeMap<String, Literal>,
    /// Pointers to what is replaced by "*" before anything is stored or decided.
    #[serde(default)]
    discard: Vec<String>,
}

/// How a payload is read.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum PayloadWord {
    /// JSON.
    #[default]
    Json,
    /// All of it is one text.
    Text,
    /// Binary, for `unpack`.
    Bytes,
    /// SenML (RFC 8428) JSON.
    Senml,
}

/// When it was measured.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TimeTable {
    /// A source of the time; left out: the arrival, from which `step` goes.
    from: Option<String>,
    /// `s` `ms` `us` `ns` `rfc3339` `ago_s` `ago_ms`, or a pattern of strftime.
    format: Option<String>,
    /// What numbers count from, where it is not 1970 (RFC 3339).
    epoch: Option<String>,
    /// For a time without an offset: "+08:00"; left out: the site's.
    zone: Option<String>,
    /// What is added to it.
    plus: Option<LengthTable>,
    /// How far apart the elements of `each` are: "10s", or where the payload says it.
    step: Option<StepTable>,
    /// Whether the time is that of the first element or of the last.
    stamp: Option<StampWord>,
}

/// How far apart elements are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a length of time as \"10s\", or { from = \"/interval\", unit = \"ms\" }")]
enum StepTable {
    /// Always so.
    Fixed(Span),
    /// As the payload says.
    Sent(LengthTable),
}

/// A length of time that the payload tells.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LengthTable {
    /// A source of a number.
    from: String,
    /// Its unit: us, ms, s, min, h, d.
    unit: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum StampWord {
    /// The time is that of the first element.
    First,
    /// The time is that of the last element.
    Last,
}

/// A question to a message.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TestTable {
    /// A source.
    at: String,
    /// It is one of these.
    is: Option<Literals>,
    /// It is none of these, or not there.
    not: Option<Literals>,
    /// It is there, or not.
    exists: Option<bool>,
    /// A list has one of these, or a text has one as a part.
    has: Option<Literals>,
    /// It is a number from this on.
    at_least: Option<f64>,
    /// It is a number below this.
    below: Option<f64>,
}

/// A step that opens what is packed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UnpackTable {
    /// A pointer to it; "" is the whole payload.
    at: String,
    /// How it is packed.
    #[serde(rename = "as")]
    packed: PackedWord,
    /// What stands between the items of pairs or a list.
    between: Option<String>,
    /// What stands between the name and the value of a pair.
    sign: Option<String>,
    /// Which byte of a number comes first.
    endian: Option<EndianWord>,
    /// How many bytes it must have: a number, or [least, most].
    length: Option<Length>,
    /// Between tag and value stands how long the value is, in so many bytes.
    length_bytes: Option<usize>,
    /// What stands where.
    #[serde(default)]
    bytes: Vec<EntryTable>,
    /// What stands behind which tag.
    #[serde(default)]
    tags: Vec<TagTable>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum PackedWord {
    /// JSON in a text.
    Json,
    /// `T=21.5;H=40`
    Pairs,
    /// `21.5,40`
    List,
    /// Binary in base64.
    Base64,
    /// Binary in hex.
    Hex,
    /// Binary as it is, or a list of numbers from 0 to 255.
    Bytes,
    /// A list of numbers from 0 to 65535, each of two bytes, the highest first.
    Registers,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a number of bytes, or [least, most]")]
enum Length {
    /// So many.
    Exactly(usize),
    /// From the first to the second.
    Between(usize, usize),
}

/// A value in binary, at its place.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EntryTable {
    /// What pointers call it.
    name: String,
    /// Of its first byte, from 0; below 0: from the end.
    #[serde(default)]
    offset: isize,
    /// How it is written.
    #[serde(rename = "type")]
    form: FormWord,
    /// Which byte of a number comes first.
    endian: Option<EndianWord>,
    /// How many bytes it takes, or each record does.
    size: Option<usize>,
    /// A payload too short for it is no fault.
    #[serde(default)]
    optional: bool,
    /// What stands where within it.
    #[serde(default)]
    bytes: Vec<EntryTable>,
}

/// A value in binary, behind its tag.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TagTable {
    /// In hex.
    tag: String,
    /// What pointers call it; left out: it is passed over.
    name: Option<String>,
    /// How it is written.
    #[serde(rename = "type")]
    form: Option<FormWord>,
    /// Which byte of a number comes first.
    endian: Option<EndianWord>,
    /// How many bytes it takes.
    size: Option<usize>,
    /// What stands where within it.
    #[serde(default)]
    bytes: Vec<EntryTable>,
    /// It may come several times: all of them are a list.
    #[serde(default)]
    list: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum FormWord {
    U8,
    I8,
    U16,
    I16,
    U24,
    I24,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
    /// Two decimal digits a byte.
    Bcd,
    /// UTF-8 up to a zero byte.
    Text,
    /// As lower-case hex.
    Hex,
    /// A list to the end.
    Records,
}

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

    fn unpack(&mut self, number: usize, table: &UnpackTable) -> Option<Unpack> {
        let key = |name: &str| format!("unpack.{number}.{name}");
        let at = self.pointer(&key("at"), &table.at);
        let between = table.between.clone().filter(|between| !between.is_empty());
        let encoding = match table.packed {
            PackedWord::Base64 => Some(Encoding::Base64),
            PackedWord::Hex => Some(Encoding::Hex),
            PackedWord::Bytes => Some(Encoding::Bytes),
            PackedWord::Registers => Some(Encoding::Registers),
            PackedWord::Json | PackedWord::Pairs | PackedWord::List => None,
        };
        let binary =
            table.endian.is_some() || table.length.is_some() || !table.bytes.is_empty() || !table.tags.is_empty();
        if encoding.is_none() && binary {
            self.fault(&key("as"), "is no binary, so it has no `endian`, `length`, `bytes` or `tags`", "remove them");
        }
        let packed = match (table.packed, encoding) {
            (PackedWord::Pairs, _) => match (between, table.sign.clone().filter(|sign| !sign.is_empty())) {
                (Some(between), Some(sign)) => Packed::Pairs { between, sign },
                _ => return self.lacks(&key("as"), "pairs need `between` and `sign`"),
            },
            (PackedWord::List, _) => match between {
                Some(between) => Packed::List { between },
                None => return self.lacks(&key("as"), "a list needs `between`"),
            },
            (_, Some(encoding)) => Packed::Binary {
                encoding,
                layout: self.layout(&key(""), table)?,
                endian: table.endian.map(Endian::from).unwrap_or_default(),
                length: table.length.map(|length| match length {
                    Length::Exactly(length) => (length, length),
                    Length::Between(least, most) => (least, most),
                }),
            },
            (_, None) => Packed::Json,
        };
        Some(Unpack { at: at?, packed })
    }

    fn lacks<T>(&mut self, key: &str, problem: &str) -> Option<T> {
        self.fault(key, problem, SEE);
        None
    }

    fn layout(&mut self, prefix: &str, table: &UnpackTable) -> Option<Layout> {
        if table.length_bytes.is_some_and(|length| table.tags.is_empty() || !(1..=4).contains(&length)) {
            return self.lacks(&format!("{prefix}length_bytes"), "goes with `tags`, from 1 to 4 bytes");
        }
        match (table.bytes.is_empty(), table.tags.is_empty()) {
            (true, true) => Some(Layout::Text),
            (false, true) => self.entries(&format!("{prefix}bytes"), &table.bytes).map(Layout::Table),
            (true, false) => {
                let tags: Option<Vec<Tag>> = table
                    .tags
                    .iter()
                    .enumerate()
                    .map(|(number, tag)| self.tag(&format!("{prefix}tags.{number}"), tag))
                    .collect();
                let tags = tags?;
                let length = tags.first().map_or(0, |tag| tag.tag.len());
                if tags.iter().any(|tag| tag.tag.len() != length) {
                    return self.lacks(&format!("{prefix}tags"), "has tags of different lengths");
                }
                Some(Layout::Tags { tags, length_bytes: table.length_bytes })
            }
            (false, false) => self.lacks(&format!("{prefix}tags"), "is there besides `bytes`"),
        }
    }

    fn entries(&mut self, key: &str, tables: &[EntryTable]) -> Option<Vec<Entry>> {
        let compile = |(number, table): (usize, &EntryTable)| {
            let key = format!("{key}.{number}");
            Some(Entry {
                name: table.name.clone(),
                offset: table.offset,
                form: self.form(&key, Some(table.form), table.size, &table.bytes)?,
                endian: table.endian.map(Endian::from),
                optional: table.optional,
            })
        };
        // All of them are looked at, that all faults are told.
        tables.iter().enumerate().map(compile).collect::<Vec<_>>().into_iter().collect()
    }

    fn tag(&mut self, key: &str, table: &TagTable) -> Option<Tag> {
        let tag = self.take(&format!("{key}.tag"), hex_bytes(&table.tag));
        if tag.as_ref().is_some_and(Vec::is_empty) {
            return self.lacks(&format!("{key}.tag"), "is empty");
        }
        let form = self.form(key, table.form, table.size, &table.bytes);
        let endian = table.endian.map(Endian::from);
        Some(Tag { tag: tag?, name: table.name.clone(), form: form?, endian, list: table.list })
    }

    fn form(&mut self, key: &str, word: Option<FormWord>, size: Option<usize>, bytes: &[EntryTable]) -> Option<Form> {
        let sized = size.filter(|size| (1..=4096).contains(size));
        let int = |bytes, signed| Some(Form::Int { bytes, signed });
        let Some(word) = word else {
            let Some(size) = sized else { return self.lacks(&format!("{key}.tag"), "needs a `type` or a `size`") };
            return Some(Form::Table(size, self.entries(&format!("{key}.bytes"), bytes)?));
        };
        let takes_size = matches!(word, FormWord::Bcd | FormWord::Text | FormWord::Hex | FormWord::Records);
        let to_the_end = size.is_none() && matches!(word, FormWord::Text | FormWord::Hex);
        if takes_size && sized.is_none() && !to_the_end {
            return self.lacks(&format!("{key}.type"), "needs a `size` from 1 to 4096");
        }
        if !takes_size && size.is_some() {
            return self.lacks(&format!("{key}.size"), "does not go with this type, which has its own");
        }
        if word != FormWord::Records && !bytes.is_empty() {
            return self.lacks(&format!("{key}.bytes"), "goes with `records`, or with a tag's `size`");
        }
        let size = sized.unwrap_or(1);
        match word {
            FormWord::U8 => int(1, false),
            FormWord::I8 => int(1, true),
            FormWord::U16 => int(2, false),
            FormWord::I16 => int(2, true),
            FormWord::U24 => int(3, false),
            FormWord::I24 => int(3, true),
            FormWord::U32 => int(4, false),
            FormWord::I32 => int(4, true),
            FormWord::U64 => int(8, false),
            FormWord::I64 => int(8, true),
            FormWord::F32 => Some(Form::F32),
            FormWord::F64 => Some(Form::F64),
            FormWord::Bcd if size > 8 => self.lacks(&format!("{key}.size"), "has more than the 16 digits of a number"),
            FormWord::Bcd => Some(Form::Bcd(size)),
            FormWord::Text => Some(Form::Text(sized)),
            FormWord::Hex => Some(Form::Hex(sized)),
            FormWord::Records => Some(Form::Records(size, self.entries(&format!("{key}.bytes"), bytes)?)),
        }
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
