//! One kind of message: where it comes, who speaks in it, and which readings it holds.

use std::borrow::Cow;
use std::convert::Infallible;

use super::convert::{Found, Literal};
use super::field::Field;
use super::node::Node;
use super::pointer::{Element, Pointer};
use super::source::{Scope, Source};
use super::stamp::{Arrival, Stamp};
use super::topic::{Captured, Topic};
use super::unpack::Unpack;
use crate::decode::DecodeError;
use crate::reading::{Reading, Value};

/// Elements in one message. Each may be looked up among all others.
const MOST_ELEMENTS: usize = 2048;

/// One kind of message of a sensor type.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct MessageKind {
    pub(super) topics: Vec<Topic>,
    pub(super) payload: PayloadForm,
    pub(super) speaker: SpeakerFrom,
    pub(super) time: Option<Stamp>,
    pub(super) each: Option<Pointer>,
    pub(super) when: Vec<Test>,
    pub(super) ignore: Vec<Test>,
    pub(super) unpack: Vec<Unpack>,
    /// By the field's index, where this kind has it; `None`: where the field says.
    pub(super) fields: Vec<(usize, Option<Vec<Source>>)>,
    /// By the field's index, what a message of this kind means by itself.
    pub(super) set: Vec<(usize, Value)>,
    /// What is masked before anything is stored.
    pub(super) discard: Vec<Pointer>,
}

/// How a payload is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PayloadForm {
    Json,
    Text,
    Bytes,
    Senml,
}

/// Where it stands who speaks.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum SpeakerFrom {
    Source(Source),
    /// In the records' base names.
    Senml,
    /// It is about all devices of the type.
    All,
}

/// Who speaks in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Speaker<'a> {
    /// The device that is called so in its own system.
    Device(Cow<'a, str>),
    /// Nobody in particular: it is about all devices of the type.
    All,
}

/// A question to a message.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Test {
    pub(super) at: Source,
    pub(super) asks: Asks,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Asks {
    Is(Vec<Literal>),
    Not(Vec<Literal>),
    Exists(bool),
    Has(Vec<Literal>),
    AtLeast(f64),
    Below(f64),
}

/// A payload, read as each form at most once.
pub(super) struct Payload<'a> {
    bytes: &'a [u8],
    json: Option<Node<'a>>,
}

/// What a speaker said.
#[derive(Debug, Clone, PartialEq)]
pub struct Said<'a> {
    /// Who.
    pub speaker: Speaker<'a>,
    /// `None`: nothing but a sign of life.
    pub reading: Option<Reading>,
    /// Which element of the message says it.
    pub(super) element: usize,
}

/// Whether a message is of a kind, and what it says then.
pub(super) enum Taken<'a> {
    /// It is of another kind, perhaps for this reason.
    NotThisKind(Option<DecodeError>),
    Said(Vec<Said<'a>>),
}

impl<'a> Payload<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, json: None }
    }

    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    fn take(&mut self, form: PayloadForm) -> Result<Node<'a>, DecodeError> {
        match form {
            PayloadForm::Text => Node::from_text(self.bytes),
            PayloadForm::Bytes | PayloadForm::Senml => Ok(Node::Bytes(Cow::Borrowed(self.bytes))),
            PayloadForm::Json => self.json.take().map_or_else(|| Node::from_json(self.bytes), Ok),
        }
    }

    /// Takes back what was not changed, for the next kind.
    fn give_back(&mut self, form: PayloadForm, root: Node<'a>) {
        if form == PayloadForm::Json {
            self.json = Some(root);
        }
    }
}

impl Test {
    pub(super) fn holds(&self, scope: &Scope<'_>) -> bool {
        let node = self.at.find(scope);
        match (&self.asks, node.as_deref()) {
            (Asks::Exists(wanted), node) => node.is_some() == *wanted,
            (Asks::Not(values), Some(node)) => !values.iter().any(|value| value.is(node)),
            (Asks::Not(_), None) => true,
            (_, None) => false,
            (Asks::Is(values), Some(node)) => values.iter().any(|value| value.is(node)),
            (Asks::Has(values), Some(node)) => values.iter().any(|value| value.is_in(node)),
            (Asks::AtLeast(limit), Some(node)) => node.number().is_some_and(|number| number >= *limit),
            (Asks::Below(limit), Some(node)) => node.number().is_some_and(|number| number < *limit),
        }
    }
}

impl MessageKind {
    /// The captures of `topic`, if this kind comes there.
    pub(super) fn captures_of<'t>(&self, topic: &'t str) -> Option<Captured<'t>> {
        self.topics.iter().find_map(|known| known.captures(topic))
    }

    /// Who speaks on `topic`, where the topic alone tells.
    pub(super) fn speaker_of<'t>(&self, captured: &Captured<'t>) -> Option<Cow<'t, str>> {
        let SpeakerFrom::Source(source) = &self.speaker else { return None };
        source.is_of_topic().then(|| spoken(source, captured)).flatten()
    }

    /// Takes a message that came on a topic with these captures, but for the elements that are `taken`
    /// already; those that it takes are marked. What cannot be believed is added to `refused`.
    ///
    /// # Errors
    /// Where it is of this kind and nothing in it counts.
    pub(super) fn take<'a>(
        &self,
        types_fields: &[Field],
        captured: &Captured<'a>,
        payload: &mut Payload<'a>,
        arrival: Arrival,
        taken: &mut Vec<bool>,
        refused: &mut Vec<DecodeError>,
    ) -> Result<Taken<'a>, DecodeError> {
        let mut root = match payload.take(self.payload) {
            Ok(root) => root,
            Err(error) => return Ok(Taken::NotThisKind(Some(error))),
        };
        if !self.may_be(&root, captured) {
            payload.give_back(self.payload, root);
            return Ok(Taken::NotThisKind(None));
        }
        let told = refused.len();
        for step in &self.unpack {
            if let Err(error) = step.open(&mut root, refused) {
                refused.truncate(told);
                return Ok(Taken::NotThisKind(Some(error)));
            }
        }
        let said = match &self.each {
            None => {
                let path = [&root];
                let scope = Scope { path: &path, captured, called: &[] };
                self.take_element(types_fields, &scope, captured, 1, arrival, refused)?
                    .map(|said| said.into_iter().collect())
            }
            Some(each) => match each.elements(&root) {
                Some(elements) => self.take_elements(types_fields, &elements, captured, arrival, taken, refused)?,
                None => {
                    let detail = "what `each` names is not there, or is no list and no object".to_owned();
                    return Ok(Taken::NotThisKind(Some(DecodeError { code: "no_elements", detail })));
                }
            },
        };
        if said.is_none() {
            refused.truncate(told);
        }
        Ok(said.map_or(Taken::NotThisKind(None), Taken::Said))
    }

    /// Whether a message that came on a topic with these captures is of this kind, or some of the elements
    /// that are not `taken` already; they are marked. As [`Self::take`] decides, without reading values.
    pub(super) fn selects(
        &self,
        captured: &Captured<'_>,
        payload: &[u8],
        json: Option<&Node<'_>>,
        taken: &mut Vec<bool>,
    ) -> bool {
        let other;
        let root = match (self.payload, json) {
            (PayloadForm::Json, Some(json)) => json,
            (PayloadForm::Json, None) => return false,
            (form, _) => match Payload::new(payload).take(form) {
                Ok(root) => {
                    other = root;
                    &other
                }
                Err(_) => return false,
            },
        };
        if !self.may_be(root, captured) {
            return false;
        }
        let opened;
        let root = if self.unpack.is_empty() {
            root
        } else {
            let mut copy = root.clone();
            if self.unpack.iter().any(|step| step.open(&mut copy, &mut Vec::new()).is_err()) {
                return false;
            }
            opened = copy;
            &opened
        };
        let is_of_this_kind = |scope: &Scope<'_>| self.when.iter().all(|test| test.holds(scope));
        let Some(each) = &self.each else {
            return is_of_this_kind(&Scope { path: &[root], captured, called: &[] });
        };
        let Some(elements) = each.elements(root) else { return false };
        taken.resize(elements.len(), false);
        let mut selected = elements.is_empty();
        for (element, taken) in elements.iter().zip(taken).filter(|(_, taken)| !**taken) {
            *taken = is_of_this_kind(&Scope { path: &element.path, captured, called: &element.called });
            selected |= *taken;
        }
        selected
    }

    /// Takes those elements of a message that are of this kind; `None` where none is.
    fn take_elements<'a>(
        &self,
        types_fields: &[Field],
        elements: &[Element<'_>],
        captured: &Captured<'a>,
        arrival: Arrival,
        taken: &mut Vec<bool>,
        refused: &mut Vec<DecodeError>,
    ) -> Result<Option<Vec<Said<'a>>>, DecodeError> {
        if elements.len() > MOST_ELEMENTS {
            let detail = format!("{} elements; at most {MOST_ELEMENTS} are taken at once", elements.len());
            return Err(DecodeError { code: "too_many", detail });
        }
        if elements.is_empty() {
            // An empty list is a sign of life.
            let device = self.speaker_of(captured).map(Speaker::Device);
            return Ok(Some(device.map(|speaker| Said { speaker, reading: None, element: 0 }).into_iter().collect()));
        }
        taken.resize(elements.len(), false);
        let mut all = Vec::new();
        let mut of_this_kind = false;
        for (index, (element, taken)) in elements.iter().zip(taken).enumerate().filter(|(_, (_, taken))| !**taken) {
            let scope = Scope { path: &element.path, captured, called: &element.called };
            match self.take_element(types_fields, &scope, captured, element.siblings(), arrival, refused) {
                Ok(None) => continue,
                Ok(Some(said)) => all.extend(said.map(|said| Said { element: index, ..said })),
                // The others count all the same.
                Err(error) => refused.push(error),
            }
            *taken = true;
            of_this_kind = true;
        }
        Ok(of_this_kind.then_some(all))
    }

    /// Takes one element of so many, or the whole message; `None` where it is not of this kind.
    #[allow(clippy::option_option, reason = "of this kind or not, and then saying something or not")]
    fn take_element<'a>(
        &self,
        types_fields: &[Field],
        scope: &Scope<'_>,
        captured: &Captured<'a>,
        siblings: usize,
        arrival: Arrival,
        refused: &mut Vec<DecodeError>,
    ) -> Result<Option<Option<Said<'a>>>, DecodeError> {
        if !self.when.iter().all(|test| test.holds(scope)) {
            return Ok(None);
        }
        let speaker = self.speaker(scope, captured)?;
        if self.ignore.iter().any(|test| test.holds(scope)) {
            return Ok(Some(Some(Said { speaker, reading: None, element: 0 })));
        }
        let (values, absent) = self.values(types_fields, scope, refused);
        if values.iter().all(Option::is_none) {
            // One that says that it has no value lives.
            return Ok(Some(absent.then_some(Said { speaker, reading: None, element: 0 })));
        }
        let event_ms = match &self.time {
            None => None,
            Some(stamp) => stamp.time(scope, siblings, arrival).unwrap_or_else(|error| {
                refused.push(error);
                None
            }),
        };
        Ok(Some(Some(Said { speaker, reading: Some(Reading { event_ms, values }), element: 0 })))
    }

    /// Masks in the payload `root` what must not be stored, also within JSON in a text; says whether
    /// anything was there.
    pub(super) fn mask(&self, root: &mut Node<'_>) -> bool {
        let masks = |pointer: &&Pointer| {
            let packed = self.unpack.iter().find_map(|step| Some((&step.at, pointer.within(&step.at)?)));
            match packed {
                Some((at, inner)) => mask_within(root, at, &inner),
                None => pointer.mask(root),
            }
        };
        self.discard.iter().filter(masks).count() > 0
    }

    /// Whether the tests that can be asked before anything is opened hold.
    fn may_be(&self, root: &Node<'_>, captured: &Captured<'_>) -> bool {
        let path = [root];
        let scope = Scope { path: &path, captured, called: &[] };
        self.when.iter().filter(|test| self.is_early(test)).all(|test| test.holds(&scope))
    }

    fn is_early(&self, test: &Test) -> bool {
        self.each.is_none()
            && match test.at.pointer() {
                Some(pointer) => pointer.is_plain() && !self.unpack.iter().any(|step| step.at.holds(pointer)),
                None => test.at.is_of_topic(),
            }
    }

    fn speaker<'a>(&self, scope: &Scope<'_>, captured: &Captured<'a>) -> Result<Speaker<'a>, DecodeError> {
        let SpeakerFrom::Source(source) = &self.speaker else { return Ok(Speaker::All) };
        if source.is_of_topic()
            && let Some(device) = spoken(source, captured)
        {
            return Ok(Speaker::Device(device));
        }
        let device = source.find_text(scope).map(|device| Speaker::Device(Cow::Owned(device.trim().to_owned())));
        device.ok_or_else(|| DecodeError {
            code: "no_device",
            detail: "the message does not say which device it is of".to_owned(),
        })
    }

    /// The values of the fields, and whether one of them is said to be absent.
    fn values(
        &self,
        fields: &[Field],
        scope: &Scope<'_>,
        refused: &mut Vec<DecodeError>,
    ) -> (Vec<Option<Value>>, bool) {
        let mut absent = false;
        let mut values = vec![None; fields.len()];
        for (index, from) in &self.fields {
            let (Some(field), Some(slot)) = (fields.get(*index), values.get_mut(*index)) else { continue };
            match field.find(from.as_deref(), scope, refused) {
                Found::Value(value) => *slot = Some(value),
                Found::Absent => absent = true,
                Found::Nothing => {}
            }
        }
        for (index, value) in &self.set {
            if let Some(slot) = values.get_mut(*index) {
                *slot = Some(value.clone());
            }
        }
        (values, absent)
    }
}

/// Masks what `inner` names in the JSON that stands as a text at `at`, or is open there already.
fn mask_within(root: &mut Node<'_>, at: &Pointer, inner: &Pointer) -> bool {
    let mut masked = false;
    let mut open = |node: &mut Node<'_>| -> Result<(), Infallible> {
        let Node::Text(text) = node else {
            masked |= inner.mask(node);
            return Ok(());
        };
        let changed = match Node::from_json(text.as_bytes()) {
            Ok(mut json) => inner.mask(&mut json).then(|| serde_json::to_string(&json).unwrap_or_default()),
            // What cannot be looked into may hold it.
            Err(_) => Some(String::new()),
        };
        if let Some(changed) = changed {
            *node = Node::Text(Cow::Owned(changed));
            masked = true;
        }
        Ok(())
    };
    let Ok(()) = at.for_each(root, &mut open);
    masked
}

/// A source of the topic alone.
fn spoken<'t>(source: &Source, captured: &Captured<'t>) -> Option<Cow<'t, str>> {
    if let Some(index) = source.only_capture() {
        return captured.get(index).copied().flatten().map(Cow::Borrowed);
    }
    let scope = Scope { path: &[], captured, called: &[] };
    source.find_text(&scope).map(|text| Cow::Owned(text.into_owned()))
}
