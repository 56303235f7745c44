//! `[[field]]`: one thing that a sensor type measures.

mod tables;

use std::sync::Arc;

use super::{Faults, Known, SEE};
use crate::decode::convert::{Conversion, Literal, Pick};
use crate::decode::field::{BurstShape, Channel, Field, FieldKind, SentAs};
use crate::decode::source::Source;
use crate::decode::units;
use crate::reading::Value;
use tables::{ChannelTable, KindWord, PickWord, SentAsWord};

pub(super) use tables::{EndianWord, FieldTable};

impl KindWord {
    const fn name(self) -> &'static str {
        match self {
            Self::Measure => "measure",
            Self::State => "state",
            Self::Word => "word",
            Self::Burst => "burst",
        }
    }
}

/// Makes a field of a table.
pub(super) fn compile(table: &FieldTable, index: usize, known: &Known, faults: &mut Faults<'_>) -> Option<Field> {
    use KindWord::{Burst, Measure, State, Word};
    let before = faults.list.len();
    let key = |name: &str| format!("field.{index}.{name}");
    let given: [(&str, bool, &[KindWord]); 31] = [
        ("unit", !table.unit.is_empty(), &[Measure]),
        ("min", table.min.is_some(), &[Measure]),
        ("max", table.max.is_some(), &[Measure]),
        ("max_change_per_s", table.max_change_per_s.is_some(), &[Measure]),
        ("scale", table.scale.is_some(), &[Measure]),
        ("offset", table.offset.is_some(), &[Measure]),
        ("curve", !table.curve.is_empty(), &[Measure]),
        ("sent_unit", table.sent_unit.is_some(), &[Measure]),
        ("sent_unit_from", table.sent_unit_from.is_some(), &[Measure]),
        ("sent_unit_map", !table.sent_unit_map.is_empty(), &[Measure]),
        ("absent", !table.absent.0.is_empty(), &[Measure, State, Word]),
        ("signed", table.signed.is_some(), &[Measure]),
        ("mask", table.mask.is_some(), &[Measure, State, Word]),
        ("below", table.below.is_some(), &[State]),
        ("pick", table.pick == PickWord::Any && table.kind != State, &[State]),
        ("words", !table.words.0.is_empty(), &[Word]),
        ("map", !table.map.is_empty(), &[Measure, Word]),
        ("else", table.otherwise.is_some(), &[Measure, State, Word]),
        ("missing", table.missing.is_some(), &[Measure, State, Word]),
        ("bit", table.bit.is_some(), &[Measure, State, Word]),
        ("bits", table.bits.is_some(), &[Measure, State, Word]),
        ("on", !table.on.0.is_empty(), &[State]),
        ("off", !table.off.0.is_empty(), &[State]),
        ("has", !table.has.0.is_empty(), &[State]),
        ("at_least", table.at_least.is_some(), &[State]),
        ("rate_hz", table.rate_hz.is_some(), &[Burst]),
        ("rate_from", table.rate_from.is_some(), &[Burst]),
        ("max_samples", table.max_samples.is_some(), &[Burst]),
        ("sent_as", table.sent_as.is_some(), &[Burst]),
        ("endian", table.endian.is_some(), &[Burst]),
        ("channels", !table.channels.is_empty(), &[Burst]),
    ];
    for (name, given, of) in given {
        if given && !of.contains(&table.kind) {
            faults.at(&key(name), format!("does not go with kind {}", table.kind.name()), "remove it");
        }
    }
    for (name, given) in [("pick", table.pick != PickWord::First), ("missing", table.missing.is_some())] {
        if given && known.senml_only {
            faults.at(&key(name), "does not go with SenML, of which each record is a value", "remove it");
        }
    }
    check_numbers(table, &key, faults);
    let kind = match table.kind {
        State => FieldKind::State,
        Word => FieldKind::Word { words: table.words.0.iter().map(|word| word.as_str().into()).collect() },
        Measure => measure(table, &key, faults)?,
        Burst => FieldKind::Burst(burst(table, &key, known, faults)?),
    };
    let conversion = conversion(table, &kind, &key, known, faults);
    (faults.list.len() == before).then(|| Field {
        name: table.name.as_str().into(),
        label: table.label.clone(),
        kind,
        conversion,
    })
}

fn check_numbers(table: &FieldTable, key: &impl Fn(&str) -> String, faults: &mut Faults<'_>) {
    let numbers = [("scale", table.scale), ("offset", table.offset), ("at_least", table.at_least)];
    for (name, number) in numbers {
        if number.is_some_and(|number| !number.is_finite()) || (name == "scale" && number == Some(0.0)) {
            faults.at(&key(name), "is no number to convert by", "give a finite one; a scale is not 0");
        }
    }
    if matches!(table.pick, PickWord::Max | PickWord::Min) && table.kind != KindWord::Measure {
        faults.at(&key("pick"), "picks among numbers, so it goes with a measure", "use `any` for a state");
    }
    if table.signed.is_some_and(|bits| !(2..=63).contains(&bits)) {
        faults.at(&key("signed"), "is no number of bits from 2 to 63", "a 16-bit register has 16");
    }
    if let Some(both) = table.on.0.iter().find(|on| table.off.0.contains(on)) {
        faults.at(&key("off"), format!("has {both}, which is in `on`, too"), "a value means one thing");
    }
    if !table.sent_unit_map.is_empty() && table.sent_unit_from.is_none() {
        faults.at(&key("sent_unit_map"), "needs `sent_unit_from`", "say where the payload has its unit");
    }
    if !table.curve.is_empty() && (table.curve.len() < 2 || !table.curve.is_sorted_by(|a, b| a.0 < b.0)) {
        faults.at(&key("curve"), "does not rise point by point", "give two points or more, ordered by what is sent");
    }
    if table.bit.is_some_and(|bit| bit > 62)
        || table.bits.is_some_and(|(first, count)| count == 0 || first.saturating_add(count) > 63)
    {
        let name = if table.bit.is_some() { "bit" } else { "bits" };
        faults.at(&key(name), "is beyond the 63 bits of an integer", "0 is the lowest bit");
    }
    if table.bit.is_some() && table.bits.is_some() {
        faults.at(&key("bits"), "is there besides `bit`", "give one");
    }
    let ways = [
        ("has", !table.has.0.is_empty()),
        ("at_least", table.at_least.is_some()),
        ("below", table.below.is_some()),
        ("on", !(table.on.0.is_empty() && table.off.0.is_empty())),
    ];
    let mut ways = ways.into_iter().filter(|(_, given)| *given);
    if let (Some(_), Some((second, _))) = (ways.next(), ways.next()) {
        faults.at(
            &key(second),
            "is a second way to tell on from off",
            "give `on` and `off`, `has`, `at_least`, or `below`",
        );
    }
}

fn measure(table: &FieldTable, key: &impl Fn(&str) -> String, faults: &mut Faults<'_>) -> Option<FieldKind> {
    let Some(unit) = units::find(&table.unit) else {
        let (at, problem) = match table.unit.as_str() {
            "" => ("name", format!("the measure `{}` has no unit", table.name)),
            unit => ("unit", format!("the unit `{unit}` is not known")),
        };
        faults.at(&key(at), problem, SEE);
        return None;
    };
    let (min, max) = (table.min.unwrap_or(f64::MIN), table.max.unwrap_or(f64::MAX));
    if min.is_nan() || max.is_nan() || min >= max {
        faults.at(&key("min"), "is not below max", "swap them");
    }
    if table.max_change_per_s.is_some_and(|change| change.is_nan() || change <= 0.0) {
        faults.at(&key("max_change_per_s"), "is not above 0", "give what physics allows, or leave it out");
    }
    if let Some(symbol) = &table.sent_unit
        && units::find(symbol).is_none_or(|sent| sent.convert(1.0, unit).is_none())
    {
        let problem = format!("the unit `{symbol}` does not convert to `{}`", table.unit);
        faults.at(&key("sent_unit"), problem, SEE);
    }
    Some(FieldKind::Measure { unit, min, max, max_change_per_s: table.max_change_per_s })
}

fn burst(
    table: &FieldTable,
    key: &impl Fn(&str) -> String,
    known: &Known,
    faults: &mut Faults<'_>,
) -> Option<BurstShape> {
    let rate_hz = table.rate_hz.filter(|rate| rate.is_finite() && *rate > 0.0);
    let (Some(rate_hz), Some(max_samples), false) = (rate_hz, table.max_samples, table.channels.is_empty()) else {
        faults.at(&key("name"), "a burst needs `rate_hz`, `max_samples` and `channels`", "give all three");
        return None;
    };
    let columns = table.channels.iter().filter(|channel| channel.from.is_some()).count();
    if columns != 0 && columns != table.channels.len() {
        faults.at(&key("channels"), "only some channels have a `from`", "give each its own, or none");
    }
    if matches!(table.endian, Some(EndianWord::BigSwapped | EndianWord::LittleSwapped)) {
        faults.at(&key("endian"), "is for numbers of more than two bytes", "int16 are big or little");
    }
    let big_endian = table.endian == Some(EndianWord::Big);
    let sent_as = match table.sent_as.unwrap_or(SentAsWord::Base64) {
        SentAsWord::Base64 => SentAs::Base64 { big_endian },
        SentAsWord::Hex => SentAs::Hex { big_endian },
        SentAsWord::List => SentAs::List,
    };
    let channel = |channel: &ChannelTable| Channel {
        name: channel.name.clone(),
        unit: channel.unit.clone(),
        per_count: channel.per_count,
    };
    let channels = table.channels.iter().map(channel).collect();
    let columns = table.channels.iter().enumerate().filter_map(|(number, channel)| {
        faults.take(&key(&format!("channels.{number}.from")), Source::parse(channel.from.as_deref()?, &known.captures))
    });
    let columns = columns.collect();
    let rate_from = table.rate_from.as_ref();
    let rate_from = rate_from.and_then(|text| faults.take(&key("rate_from"), Source::parse(text, &known.captures)));
    Some(BurstShape { rate_hz, rate_from, max_samples, channels, sent_as, columns })
}

fn conversion(
    table: &FieldTable,
    kind: &FieldKind,
    key: &impl Fn(&str) -> String,
    known: &Known,
    faults: &mut Faults<'_>,
) -> Conversion {
    let (senml_names, from) = table.from.0.iter().partition(|text| known.senml && is_senml_name(text));
    let sources: Vec<&String> = from;
    let names: Vec<&String> = senml_names;
    let from = sources.into_iter().filter_map(|text| faults.take(&key("from"), Source::parse(text, &known.captures)));
    let from = from.collect();
    let unit_from = table.sent_unit_from.as_ref();
    let sent_unit_from =
        unit_from.and_then(|text| faults.take(&key("sent_unit_from"), Source::parse(text, &known.captures)));
    let mut sent_unit_map = Vec::new();
    for (called, symbol) in &table.sent_unit_map {
        let unit = units::find(symbol).ok_or_else(|| format!("the unit `{symbol}` is not known"));
        sent_unit_map
            .extend(faults.take(&key(&format!("sent_unit_map.{called}")), unit).map(|unit| (called.clone(), unit)));
    }
    let mut meant = |name: &str, literal: &Literal| {
        let value = value(kind, literal);
        if let Err(problem) = &value {
            faults.at(&key(name), problem.clone(), SEE);
        }
        value.ok()
    };
    Conversion {
        from,
        senml_names: names.into_iter().cloned().collect(),
        missing: table.missing.as_ref().and_then(|literal| meant("missing", literal)),
        absent: table.absent.0.clone(),
        pick: match table.pick {
            PickWord::First => Pick::First,
            PickWord::Any => Pick::Any,
            PickWord::Max => Pick::Max,
            PickWord::Min => Pick::Min,
        },
        signed: table.signed,
        mask: table.mask,
        bits: table.bits.or(table.bit.map(|bit| (bit, 1))),
        map: table
            .map
            .iter()
            .filter_map(|(sent, literal)| Some((sent.clone(), meant(&format!("map.{sent}"), literal)?)))
            .collect(),
        otherwise: table.otherwise.as_ref().and_then(|literal| meant("else", literal)),
        on: table.on.0.clone(),
        off: table.off.0.clone(),
        has: table.has.0.clone(),
        at_least: table.at_least,
        below: table.below,
        scale: table.scale,
        offset: table.offset,
        curve: table.curve.clone(),
        sent_unit: table.sent_unit.as_deref().and_then(units::find),
        sent_unit_from,
        sent_unit_map,
    }
}

/// Whether `text` is what a SenML record may be called, and no source.
fn is_senml_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(['/', '{', '}', '$', ':'])
}

/// What a value in the file means for a field of this kind.
///
/// # Errors
/// Why it means nothing.
#[allow(clippy::cast_precision_loss, reason = "numbers in files are small")]
pub(super) fn value(kind: &FieldKind, literal: &Literal) -> Result<Value, String> {
    match (kind, literal) {
        (FieldKind::Measure { .. }, Literal::Int(number)) => Ok(Value::Number(*number as f64)),
        (FieldKind::Measure { .. }, Literal::Float(number)) if number.is_finite() => Ok(Value::Number(*number)),
        (FieldKind::State, Literal::Bool(on)) => Ok(Value::Number(f64::from(u8::from(*on)))),
        (FieldKind::Word { words }, Literal::Text(text)) => match words.iter().find(|word| ***word == **text) {
            Some(word) => Ok(Value::Text(word.clone())),
            None if words.is_empty() => Ok(Value::Text(Arc::from(text.as_str()))),
            None => Err(format!("`{text}` is none of its `words`")),
        },
        (FieldKind::Measure { .. }, _) => Err("has to be a number".to_owned()),
        (FieldKind::State, _) => Err("has to be true or false".to_owned()),
        (FieldKind::Word { .. }, _) => Err("has to be a word".to_owned()),
        (FieldKind::Burst(_), _) => Err("does not go with a burst".to_owned()),
    }
}
