//! Sensor types: how one make and model reports, and the decoding of what it sent.

use std::borrow::Cow;

use super::command::Command;
use super::field::Field;
use super::file;
use super::message::{MessageKind, Payload, PayloadForm, Said, Taken};
use super::native;
use super::node::Node;
use super::pointer::Pointer;
use super::stamp::Arrival;
use super::topic::Captured;
use crate::alert::Text;
use crate::decode::DecodeError;
use crate::fault::{Fault, SourceFile};
use crate::reading::{Reading, SensorClass};
use crate::time::{Span, UtcOffset};

/// How one make and model reports.
#[derive(Debug, Clone, PartialEq)]
pub struct SensorType {
    /// Unique: what a device's `type` names.
    pub id: String,
    /// Its class.
    pub class: SensorClass,
    /// As people call it.
    pub label: Text,
    /// What it measures, in the order of [`Reading::values`](crate::reading::Reading::values).
    pub fields: Vec<Field>,
    /// What it can be told.
    pub commands: Vec<Command>,
    /// How often a healthy device is heard.
    pub cadence: Span,
    /// After how long unheard it counts as silent, and what it said last as unknown.
    pub silent_after: Span,
    /// The captured messages of its file; all come out as they should.
    pub examples: Vec<Sample>,
    /// The names of the topics' captures, as all parts of the type know them by index.
    pub(super) captures: Vec<String>,
    pub(super) kinds: Vec<MessageKind>,
    /// Whether its messages may have something that must not be stored.
    pub(crate) discards: bool,
    /// Which field says whether it is online.
    pub(super) online: Option<usize>,
}

/// A captured message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The topic on which it came.
    pub topic: String,
    /// What came.
    pub payload: Vec<u8>,
}

/// Whether a topic is of a type, and who speaks there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hears<'t> {
    /// The device that is called so.
    Device(Cow<'t, str>),
    /// The payload tells.
    PayloadTells,
}

/// What came out of a payload.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decoded<'a> {
    /// In the payload's order.
    pub said: Vec<Said<'a>>,
    /// Values that could not be taken. The others count all the same: a wild temperature must not
    /// take the alarm beside it away.
    pub refused: Vec<DecodeError>,
}

/// All sensor types that are in use.
#[derive(Debug, Clone, Default)]
pub struct SensorTypes {
    types: Vec<SensorType>,
}

impl SensorTypes {
    /// Compiles the files; one that has a fault or fails its own test is left out and told.
    pub fn compile(files: &[SourceFile]) -> (Self, Vec<Fault>) {
        let mut types: Vec<SensorType> = Vec::new();
        let mut faults = Vec::new();
        // An id belongs to the file that is called so: a copy under another name takes nothing from it.
        let (own, others): (Vec<_>, Vec<_>) =
            files.iter().map(|source| (source, file::read(source))).partition(|(source, read)| {
                read.as_ref().is_ok_and(|new| source.bare_name() == format!("{}.toml", new.id))
            });
        for (source, read) in own.into_iter().chain(others) {
            match read {
                Ok(new) if types.iter().any(|there| there.id == new.id) => {
                    let problem = format!("there is another type `{}`", new.id);
                    faults.push(source.fault("id", problem, "give it an id of its own"));
                }
                Ok(new) => types.push(new),
                Err(found) => faults.extend(found),
            }
        }
        types.sort_by(|a, b| a.id.cmp(&b.id));
        (Self { types }, faults)
    }

    /// The type with this id.
    pub fn get(&self, id: &str) -> Option<&SensorType> {
        let at = self.types.binary_search_by(|there| there.id.as_str().cmp(id)).ok()?;
        self.types.get(at)
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &SensorType> {
        self.types.iter()
    }
}

impl<'a> Decoded<'a> {
    fn of(mut said: Vec<Said<'a>>, refused: Vec<DecodeError>) -> Self {
        said.sort_by_key(|said| said.element);
        Self { said, refused }
    }
}

impl SensorType {
    /// Whether messages on `topic` may be of this type, and who speaks there. Devices of other types
    /// may use the same topic.
    pub fn hears<'t>(&self, topic: &'t str) -> Option<Hears<'t>> {
        let mut heard = None;
        for kind in &self.kinds {
            let Some(captured) = kind.captures_of(topic) else { continue };
            match kind.speaker_of(&captured) {
                None => return Some(Hears::PayloadTells),
                Some(device) => heard = heard.or(Some(Hears::Device(device))),
            }
        }
        heard
    }

    /// Turns a message into readings.
    ///
    /// # Errors
    /// Names what is wrong and where, if nothing in the payload counts.
    pub fn decode<'a>(&self, topic: &'a str, payload: &'a [u8], arrival: Arrival) -> Result<Decoded<'a>, DecodeError> {
        self.read(topic, payload, arrival, &mut |_| ())
    }

    /// The same; `took` is told the index of each kind that takes it or some of its elements.
    fn read<'a>(
        &self,
        topic: &'a str,
        payload: &'a [u8],
        arrival: Arrival,
        took: &mut impl FnMut(usize),
    ) -> Result<Decoded<'a>, DecodeError> {
        let mut payload = Payload::new(payload);
        let mut refused = Vec::new();
        let mut first_problem = None;
        // Kinds that go over the same elements share them.
        let mut shared: Option<(&Pointer, Vec<bool>)> = None;
        let mut said = Vec::new();
        for (index, kind) in self.kinds.iter().enumerate() {
            if shared.as_ref().is_some_and(|(each, _)| kind.each.as_ref() != Some(*each)) {
                continue;
            }
            let Some(captured) = kind.captures_of(topic) else { continue };
            let mut elements = shared.as_mut().map(|(_, taken)| std::mem::take(taken)).unwrap_or_default();
            let taken = if kind.payload == PayloadForm::Senml {
                native::take(self, kind, &captured, payload.bytes(), arrival.at_ms, &mut refused)
            } else {
                kind.take(&self.fields, &captured, &mut payload, arrival, &mut elements, &mut refused)
            };
            if !matches!(taken, Ok(Taken::NotThisKind(_))) {
                took(index);
            }
            match (taken?, &kind.each) {
                (Taken::Said(all), None) => return self.decoded(all, refused),
                (Taken::Said(some), Some(each)) => {
                    said.extend(some);
                    if elements.iter().all(|taken| *taken) {
                        let nothing_to_take = elements.is_empty() && refused.is_empty();
                        return if nothing_to_take {
                            Ok(Decoded::of(said, refused))
                        } else {
                            self.decoded(said, refused)
                        };
                    }
                    shared = Some((each, elements));
                }
                (Taken::NotThisKind(problem), _) => {
                    first_problem = first_problem.or(problem);
                    if let Some((_, taken)) = &mut shared {
                        *taken = elements;
                    }
                }
            }
        }
        if shared.is_some() {
            return self.decoded(said, refused);
        }
        Err(first_problem.unwrap_or_else(|| DecodeError {
            code: "not_this_kind",
            detail: format!("no [[message]] of `{}` takes it", self.id),
        }))
    }

    fn decoded<'a>(&self, said: Vec<Said<'a>>, mut refused: Vec<DecodeError>) -> Result<Decoded<'a>, DecodeError> {
        if said.is_empty() {
            return Err(refused.pop().unwrap_or_else(|| DecodeError {
                code: "no_known_field",
                detail: format!("nothing in it is a field of `{}`", self.id),
            }));
        }
        Ok(Decoded::of(said, refused))
    }

    /// The payload without what must not be stored; `None` where all of it may be. It is masked by
    /// what the kinds that take it say, or by what all kinds on its topic say where none does.
    pub fn without_discarded(&self, topic: &str, payload: &[u8]) -> Option<Vec<u8>> {
        if !self.discards {
            return None;
        }
        let here = || self.kinds.iter().filter(|kind| kind.captures_of(topic).is_some());
        if here().all(|kind| kind.discard.is_empty()) {
            return None;
        }
        let json = Node::from_json(payload).ok();
        let takers = self.takers(topic, payload, json.as_ref());
        let Some(mut root) = json else {
            // What cannot be looked into may hold it, unless a kind knows what it is.
            return takers.is_empty().then(Vec::new);
        };
        let kinds = if takers.is_empty() { here().collect() } else { takers };
        let masked = kinds.iter().filter(|kind| kind.mask(&mut root)).count();
        (masked > 0).then(|| serde_json::to_vec(&root).unwrap_or_default())
    }

    /// The kinds that take a message, as [`Self::read`] decides.
    fn takers(&self, topic: &str, payload: &[u8], json: Option<&Node<'_>>) -> Vec<&MessageKind> {
        let mut takers: Vec<&MessageKind> = Vec::new();
        let mut elements = Vec::new();
        for kind in &self.kinds {
            let shares = takers.first().is_none_or(|first| first.each.is_some() && first.each == kind.each);
            if let Some(captured) = kind.captures_of(topic).filter(|_| shares)
                && kind.selects(&captured, payload, json, &mut elements)
            {
                takers.push(kind);
            }
        }
        takers
    }

    /// Whether a reading says that the device cannot be reached.
    pub(crate) fn says_offline(&self, reading: &Reading) -> bool {
        self.online.and_then(|field| reading.number(field)) == Some(0.0)
    }

    /// The topics on which it is heard, as they stand in its file.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.kinds.iter().flat_map(|kind| kind.topics.iter().map(super::topic::Topic::text))
    }

    /// What of the file no example shows: kinds of messages by their number from 1, and fields by name.
    pub fn untested(&self) -> (Vec<usize>, Vec<&str>) {
        let (mut kinds, mut fields) = (vec![false; self.kinds.len()], vec![false; self.fields.len()]);
        let arrival = Arrival { at_ms: 0, utc_offset: UtcOffset::CHINA };
        for sample in &self.examples {
            let decoded = self.read(&sample.topic, &sample.payload, arrival, &mut |index| {
                if let Some(shown) = kinds.get_mut(index) {
                    *shown = true;
                }
            });
            let decoded = decoded.unwrap_or_default();
            for reading in decoded.said.iter().filter_map(|said| said.reading.as_ref()) {
                fields.iter_mut().zip(&reading.values).for_each(|(shown, value)| *shown |= value.is_some());
            }
        }
        let kinds = (1..).zip(kinds).filter(|(_, shown)| !shown).map(|(number, _)| number).collect();
        let fields =
            self.fields.iter().zip(fields).filter(|(_, shown)| !shown).map(|(field, _)| &*field.name).collect();
        (kinds, fields)
    }

    /// How many kinds of messages it has.
    pub fn messages(&self) -> usize {
        self.kinds.len()
    }

    /// The command with this name.
    pub fn command(&self, name: &str) -> Option<&Command> {
        self.commands.iter().find(|command| command.name == name)
    }

    /// The captures of `topic`, by name.
    pub fn captures_on<'t>(&self, topic: &'t str) -> impl Iterator<Item = (&str, &'t str)> {
        let captured: Captured<'t> = self.kinds.iter().find_map(|kind| kind.captures_of(topic)).unwrap_or_default();
        self.captures.iter().map(String::as_str).zip(captured).filter_map(|(name, value)| Some((name, value?)))
    }
}

#[cfg(test)]
mod tests;
