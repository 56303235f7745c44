//! What a value means, out of its key and of what was seen of it.

use serde_json::Value;

use ninewatch_core::alert::Text;
use ninewatch_core::decode::convert_unit;

use super::field::{Doubt, Field, Kind, Measure, State, burst, is_nothing, number, quantity_in, snake};
use super::names::{self, Known, Means, compact};
use super::words;

/// The field of a key, by the values that were seen at it; `None` where they tell nothing.
pub(super) fn guess(path: &[String], values: &[Value]) -> Option<Field> {
    let mut seen: Vec<Value> = Vec::new();
    for value in values.iter().filter(|value| !is_nothing(value)) {
        if !seen.contains(value) {
            seen.push(value.clone());
        }
    }
    let first = seen.first()?;
    if first.is_array() {
        let burst = burst(&seen)?;
        let mut samples = field(path, None, burst, vec![Doubt::Burst], seen);
        let key = path.last().map(|key| compact(key)).unwrap_or_default();
        if ["acc", "accel", "acceleration", "accelerometer", "motion", "imu", "加速度"].contains(&key.as_str()) {
            samples.name = "motion".to_owned();
            samples.label = Text { zh: "运动".to_owned(), en: "Motion".to_owned() };
        }
        return Some(samples);
    }
    if seen.iter().all(Value::is_boolean) {
        return Some(boolean(path, seen));
    }
    let numbers: Option<Vec<f64>> = seen.iter().map(number).collect();
    match numbers {
        Some(numbers) => Some(numeric(path, &numbers, seen)),
        None => text(path, seen, values.len()),
    }
}

/// A known field, and whether only a part of the key names it.
#[derive(Clone, Copy)]
struct Named {
    known: &'static Known,
    loosely: bool,
}

impl Named {
    fn doubt(self) -> Option<Doubt> {
        self.loosely.then_some(Doubt::Meaning)
    }
}

fn named(path: &[String], wanted: fn(&Means) -> bool) -> Option<Named> {
    let exactly = names::find(path, wanted).map(|known| Named { known, loosely: false });
    exactly.or_else(|| names::find_loosely(path, wanted).map(|known| Named { known, loosely: true }))
}

fn boolean(path: &[String], seen: Vec<Value>) -> Field {
    let known = named(path, |means| *means == Means::State);
    // Who makes contacts reports `contact`: true is a door that is closed.
    let closed = path.iter().rev().take(2).any(|key| compact(key) == "contact");
    let state = if closed {
        State { on: vec![false.into()], off: vec![true.into()], at_least: None }
    } else {
        State::default()
    };
    let mut doubts = if closed { vec![Doubt::Contact] } else { Vec::new() };
    doubts.extend(known.and_then(|known| known.doubt()));
    field(path, known.map(|known| known.known), Kind::State(state), doubts, seen)
}

fn numeric(path: &[String], numbers: &[f64], seen: Vec<Value>) -> Field {
    let exact = |wanted: fn(&Means) -> bool| names::find(path, wanted);
    let (mut state, mut measure) = (exact(|means| *means == Means::State), exact(is_measure));
    let loosely = state.is_none() && measure.is_none();
    if loosely {
        measure = names::find_loosely(path, is_measure);
        state = names::find_loosely(path, |means| *means == Means::State).filter(|_| measure.is_none());
    }
    let mut guessed = numeric_as(path, state, measure, numbers, seen);
    if loosely && !guessed.doubts.contains(&Doubt::Meaning) {
        guessed.doubts.insert(0, Doubt::Meaning);
    }
    guessed
}

fn is_measure(means: &Means) -> bool {
    matches!(means, Means::Measure(..))
}

fn numeric_as(
    path: &[String],
    state: Option<&'static Known>,
    measure: Option<&'static Known>,
    numbers: &[f64],
    seen: Vec<Value>,
) -> Field {
    let is_switch = numbers.iter().all(|number| *number == 0.0 || *number == 1.0);
    match (state, measure) {
        (Some(known), _) if is_switch => {
            let as_texts = seen.iter().any(Value::is_string);
            let texts = State { on: vec!["1".into()], off: vec!["0".into()], at_least: None };
            let state = if as_texts { texts } else { State::default() };
            let doubts = if known.name == "open" { vec![Doubt::Contact] } else { Vec::new() };
            field(path, Some(known), Kind::State(state), doubts, seen)
        }
        (Some(known), None) => {
            let state = State { at_least: Some(1.0), ..State::default() };
            field(path, Some(known), Kind::State(state), vec![Doubt::Threshold], seen)
        }
        (_, Some(known)) => quantity(path, known, numbers, seen),
        (None, None) => {
            let measure =
                Measure { unit: unit_of(&seen).unwrap_or("/").to_owned(), range: None, scale: 1.0, offset: 0.0 };
            field(path, None, Kind::Measure(measure), vec![Doubt::Meaning], seen)
        }
    }
}

/// The unit that is written behind the numbers.
fn unit_of(seen: &[Value]) -> Option<&str> {
    seen.iter().find_map(|value| Some(quantity_in(value)?.1).filter(|unit| !unit.is_empty()))
}

fn quantity(path: &[String], known: &'static Known, numbers: &[f64], seen: Vec<Value>) -> Field {
    let key = path.last().map(|key| compact(key)).unwrap_or_default();
    let largest = numbers.iter().fold(0.0_f64, |most, number| most.max(number.abs()));
    let told = unit_of(&seen);
    // A number that comes with its unit needs no guess.
    let (known, scale, offset, sure) =
        if told.is_some() { (known, 1.0, 0.0, true) } else { super::scale::of(known, &key, largest, numbers) };
    let (unit, range) = match known.means {
        Means::Measure(unit, min, max) => (unit, Some((min, max))),
        _ => ("/", None),
    };
    let converts = told.is_none_or(|told| convert_unit(1.0, told, unit).is_some());
    let unit = told.filter(|_| !converts).unwrap_or(unit).to_owned();
    let mut measure = Measure { unit, range, scale, offset };
    let fits = seen.iter().all(|value| measure.of(value).is_ok());
    if !fits {
        measure.range = None;
    }
    let mut doubts = Vec::new();
    if !converts {
        return field(path, None, Kind::Measure(measure), vec![Doubt::Meaning], seen);
    }
    if !sure || !fits {
        doubts.push(Doubt::Scale);
    }
    // One letter says little, unless what stands above it says the rest.
    let says_little =
        key.len() == 1 && path.last().is_some_and(|last| names::find(std::slice::from_ref(last), is_measure).is_some());
    if says_little {
        doubts.push(Doubt::Meaning);
    }
    field(path, Some(known), Kind::Measure(measure), doubts, seen)
}

fn text(path: &[String], seen: Vec<Value>, times: usize) -> Option<Field> {
    let texts: Vec<&str> = seen.iter().map(Value::as_str).collect::<Option<_>>()?;
    let state = named(path, |means| *means == Means::State);
    let word = names::find(path, |means| *means == Means::Word);
    if word.is_none()
        && let Some(found) = words::on_and_off(&texts)
        && (state.is_some() || found.telling)
    {
        let mut doubts = Vec::new();
        // Who is online today is offline tomorrow.
        if !found.usual && !found.both && found.field != Some("online") {
            doubts.push(Doubt::OnOff);
        }
        doubts.extend(state.and_then(|state| state.doubt()));
        let known = state.map(|state| state.known).or_else(|| names::common(found.field?));
        let values = |texts: Vec<String>| texts.into_iter().map(Value::from).collect();
        let (on, off) = if found.usual { (Vec::new(), Vec::new()) } else { (values(found.on), values(found.off)) };
        return Some(field(path, known, Kind::State(State { on, off, at_least: None }), doubts, seen));
    }
    let words: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    let is_event = words::is_press(&texts);
    if word.is_some_and(|known| known.name == "person") {
        return Some(field(path, word, Kind::Word { words: Vec::new(), map: Vec::new() }, Vec::new(), seen));
    }
    // A text that is always the same says nothing, one that never is, is a message or a name.
    let tells = words.len() > 1 && words.len() <= 8 && words.len() * 2 <= times.max(4);
    let press = || names::common("press");
    match (word, is_event) {
        (Some(known), _) if known.name != "press" || is_event => {
            let map = words::cries(&words);
            Some(field(path, Some(known), Kind::Word { words, map }, vec![Doubt::Words], seen))
        }
        (_, true) => {
            let map = words::cries(&words);
            Some(field(path, press(), Kind::Word { words, map }, vec![Doubt::Words], seen))
        }
        _ if tells && words.iter().all(|word| word.chars().count() <= 24) => {
            Some(field(path, None, Kind::Word { words, map: Vec::new() }, vec![Doubt::Meaning, Doubt::Words], seen))
        }
        _ => None,
    }
}

fn field(path: &[String], known: Option<&Known>, kind: Kind, mut doubts: Vec<Doubt>, seen: Vec<Value>) -> Field {
    let (name, label) = match known {
        Some(known) => (known.name.to_owned(), Text { zh: known.zh.to_owned(), en: known.en.to_owned() }),
        None => {
            if !doubts.contains(&Doubt::Meaning) && !matches!(kind, Kind::Burst { .. }) {
                doubts.insert(0, Doubt::Meaning);
            }
            named_by_key(path)
        }
    };
    Field { name, label, kind, doubts, seen: seen.into_iter().take(6).collect() }
}

/// A name and a label out of a key that nobody knows.
fn named_by_key(path: &[String]) -> (String, Text) {
    let telling = path.iter().rev().find(|key| !names::is_empty_word(&compact(key)));
    let key = telling.or_else(|| path.last()).map_or("value", String::as_str);
    let name = snake(key);
    let mut english = name.replace('_', " ");
    if let Some(first) = english.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let zh = if key.is_ascii() { english.clone() } else { key.to_owned() };
    (name, Text { zh, en: english })
}
