//! From what a payload has to a value of a field.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::field::{Field, FieldKind};
use super::node::Node;
use super::source::{Scope, Source};
use super::units::{self, Unit};
use crate::decode::DecodeError;
use crate::reading::Value;

/// How a value is made out of what the payload has, in the order of these fields.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Conversion {
    /// Where the payload is asked for it, first to last.
    pub(super) from: Vec<Source>,
    /// What a SenML record may call it besides its own name.
    pub(super) senml_names: Vec<String>,
    /// What it is where the payload has none.
    pub(super) missing: Option<Value>,
    /// What is sent where there is no value.
    pub(super) absent: Vec<Literal>,
    /// Which of several sources counts.
    pub(super) pick: Pick,
    /// An integer of so many bits, in two's complement.
    pub(super) signed: Option<u32>,
    /// Of an integer, so many bits from this one on.
    pub(super) bits: Option<(u32, u32)>,
    /// Of an integer, these bits where they are.
    pub(super) mask: Option<i64>,
    /// By the text that was sent.
    pub(super) map: Vec<(String, Value)>,
    /// What any other value means.
    pub(super) otherwise: Option<Value>,
    /// What means on, and what off.
    pub(super) on: Vec<Literal>,
    pub(super) off: Vec<Literal>,
    /// On where one of these is in it.
    pub(super) has: Vec<Literal>,
    /// On from this number.
    pub(super) at_least: Option<f64>,
    /// On below this number.
    pub(super) below: Option<f64>,
    pub(super) scale: Option<f64>,
    pub(super) offset: Option<f64>,
    /// Straight lines between these points.
    pub(super) curve: Vec<(f64, f64)>,
    pub(super) sent_unit: Option<Unit>,
    pub(super) sent_unit_from: Option<Source>,
    /// What the payload calls a unit that is called otherwise here.
    pub(super) sent_unit_map: Vec<(String, Unit)>,
}

/// Which of several sources counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Pick {
    /// The first that is there.
    #[default]
    First,
    /// On where any is on.
    Any,
    /// The highest.
    Max,
    /// The lowest.
    Min,
}

/// A value as a file writes it down.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

impl fmt::Display for Literal {
    /// As a file writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(on) => write!(f, "`{on}`"),
            Self::Int(number) => write!(f, "`{number}`"),
            Self::Float(number) => write!(f, "`{number}`"),
            Self::Text(text) => write!(f, "`\"{text}\"`"),
        }
    }
}

impl Literal {
    /// Whether `node` is this very value.
    #[allow(clippy::float_cmp, clippy::cast_precision_loss, reason = "what a file names is meant exactly")]
    pub(super) fn is(&self, node: &Node<'_>) -> bool {
        match (self, node) {
            (Self::Bool(wanted), Node::Bool(given)) => wanted == given,
            (Self::Int(wanted), Node::Int(given)) => wanted == given,
            (Self::Int(wanted), Node::Float(given)) => *wanted as f64 == *given,
            (Self::Float(wanted), Node::Float(given)) => wanted == given,
            (Self::Float(wanted), Node::Int(given)) => *wanted == *given as f64,
            (Self::Text(wanted), Node::Text(given)) => wanted == given,
            _ => false,
        }
    }

    /// Whether `node` has it: a list as an element, a text as a part.
    pub(super) fn is_in(&self, node: &Node<'_>) -> bool {
        match (self, node) {
            (wanted, Node::List(items)) => items.iter().any(|item| wanted.is(item)),
            (Self::Text(part), Node::Text(text)) => text.contains(part.as_str()),
            (Self::Text(name), Node::Map(_)) => node.member(name).is_some(),
            (wanted, node) => wanted.is(node),
        }
    }
}

/// What a payload has for a field.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    Value(Value),
    /// It says that there is no value.
    Absent,
    /// Nothing, or nothing that can be taken.
    Nothing,
}

/// What came out, or nothing where it is an error, which is told.
fn told<T>(result: Result<T, DecodeError>, refused: &mut Vec<DecodeError>) -> Option<T> {
    result.map_err(|error| refused.push(error)).ok()
}

/// A number with the unit that stands behind it in a text.
pub(super) struct Sent {
    pub(super) number: f64,
    unit: Option<Unit>,
}

impl Field {
    /// Whether messages are asked for it where they do not say otherwise.
    pub(super) fn is_asked_for(&self) -> bool {
        let columns = matches!(&self.kind, FieldKind::Burst(shape) if !shape.columns.is_empty());
        columns || !self.conversion.from.is_empty()
    }

    /// The value that the payload has for it, looked up at `from`, or where the field itself says;
    /// `None` where the payload has none. What is wrong with what it has is added to `refused`.
    pub(super) fn find(&self, from: Option<&[Source]>, scope: &Scope<'_>, refused: &mut Vec<DecodeError>) -> Found {
        let from = from.unwrap_or(&self.conversion.from);
        if let FieldKind::Burst(shape) = &self.kind {
            let burst = told(self.find_burst(shape, from, scope), refused).flatten();
            return burst.map_or(Found::Nothing, Found::Value);
        }
        let mut absent = false;
        let mut there = |source: &Source| {
            let node = source.find(scope)?;
            let is_absent = self.is_absent(&node);
            absent |= is_absent;
            (!is_absent).then_some(node)
        };
        let mut nodes = from.iter().filter_map(&mut there);
        let Some(first) = nodes.next() else {
            return match &self.conversion.missing {
                Some(value) => Found::Value(value.clone()),
                None if absent => Found::Absent,
                None => Found::Nothing,
            };
        };
        let Some(unit) = told(self.sent_unit(scope), refused) else { return Found::Nothing };
        let mut value = |node: &Node<'_>| told(self.value(node, unit), refused);
        let number = |value: &Value| if let Value::Number(number) = value { *number } else { f64::NAN };
        let by_number = |one: &Value, other: &Value| number(one).total_cmp(&number(other));
        // A wrong one among several is told and does not take the others away.
        let value = match self.conversion.pick {
            Pick::First => value(&first),
            Pick::Any | Pick::Max => {
                std::iter::once(first).chain(nodes).filter_map(|node| value(&node)).max_by(by_number)
            }
            Pick::Min => std::iter::once(first).chain(nodes).filter_map(|node| value(&node)).min_by(by_number),
        };
        value.map_or(Found::Nothing, Found::Value)
    }

    /// Whether `node` says that there is no value.
    pub(super) fn is_absent(&self, node: &Node<'_>) -> bool {
        let empty =
            matches!((node, &self.kind), (Node::Text(text), FieldKind::Measure { .. }) if text.trim().is_empty());
        empty || self.conversion.absent.iter().any(|absent| absent.is(node))
    }

    /// The value of `node`, which is in `unit` where that is known.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn value(&self, node: &Node<'_>, unit: Option<Unit>) -> Result<Value, DecodeError> {
        let node = &*self.bits(node)?;
        match &self.kind {
            FieldKind::Measure { unit: own, min, max, .. } => {
                let sent = match self.mapped(node) {
                    Some(Value::Number(number)) => Sent { number, unit: None },
                    Some(other) => return Ok(other),
                    None if !self.conversion.map.is_empty() => return self.other(node),
                    None => match self.number(node) {
                        Err(error) => return self.conversion.otherwise.clone().ok_or(error),
                        Ok(sent) => sent,
                    },
                };
                self.measure(&sent, unit, *own, *min, *max)
            }
            FieldKind::State => self.state(node),
            FieldKind::Word { words } => self.word(node, words),
            FieldKind::Burst(shape) => self.burst(shape, node, shape.rate_hz),
        }
    }

    fn sent_unit(&self, scope: &Scope<'_>) -> Result<Option<Unit>, DecodeError> {
        let Conversion { sent_unit, sent_unit_from, sent_unit_map, .. } = &self.conversion;
        let symbol = sent_unit_from.as_ref().and_then(|source| source.find_text(scope));
        let Some(symbol) = symbol else { return Ok(*sent_unit) };
        match sent_unit_map.iter().find(|(called, _)| *called == symbol) {
            Some((_, unit)) => Ok(Some(*unit)),
            None => self.unit_named(symbol.trim()).map(Some),
        }
    }

    /// The unit with this symbol.
    ///
    /// # Errors
    /// `unknown_unit`
    pub(super) fn unit_named(&self, symbol: &str) -> Result<Unit, DecodeError> {
        units::find(symbol).ok_or_else(|| self.refuse("unknown_unit", &format!("the unit `{symbol}` is not known")))
    }

    /// What is left of an integer by `bits`, `mask` and `signed`; anything else as it is.
    fn bits<'n>(&self, node: &'n Node<'n>) -> Result<Cow<'n, Node<'n>>, DecodeError> {
        let Conversion { signed, bits, mask, .. } = &self.conversion;
        if signed.is_none() && bits.is_none() && mask.is_none() {
            return Ok(Cow::Borrowed(node));
        }
        let mut number = integer(node).ok_or_else(|| self.wrong_type("an integer, for its bits", node))?;
        if let Some((first, count)) = bits {
            let ones = if *count >= 63 { i64::MAX } else { (1 << count) - 1 };
            number = (number >> first.min(&63)) & ones;
        }
        if let Some(mask) = mask {
            number &= mask;
            if self.kind == FieldKind::State {
                number = i64::from(number != 0);
            }
        }
        if let Some(bits) = signed {
            let (unused, half) = (64_u32.saturating_sub(*bits).min(63), 1_i64 << bits.saturating_sub(1).min(62));
            if !(-half..half.saturating_mul(2)).contains(&number) {
                return Err(self.refuse("out_of_range", &format!("{number} is no integer of {bits} bits")));
            }
            number = (number << unused) >> unused;
        }
        Ok(Cow::Owned(Node::Int(number)))
    }

    fn mapped(&self, node: &Node<'_>) -> Option<Value> {
        let map = &self.conversion.map;
        if map.is_empty() {
            return None;
        }
        let sent = node.text()?;
        map.iter().find(|(text, _)| *text == sent).map(|(_, value)| value.clone())
    }

    /// A value that stands in no list of the file.
    fn other(&self, node: &Node<'_>) -> Result<Value, DecodeError> {
        self.conversion.otherwise.clone().ok_or_else(|| {
            let sent = node.text().unwrap_or(Cow::Borrowed(node.kind()));
            self.refuse("unknown_word", &format!("`{sent}` is not in its `map`"))
        })
    }

    #[allow(clippy::cast_precision_loss, reason = "no sensor counts past 2^53")]
    pub(super) fn number(&self, node: &Node<'_>) -> Result<Sent, DecodeError> {
        match node {
            Node::Int(number) => Ok(Sent { number: *number as f64, unit: None }),
            Node::Float(number) => Ok(Sent { number: *number, unit: None }),
            Node::Text(text) => {
                let (digits, symbol) = split_number(text.trim());
                let number = digits.parse().map_err(|_| self.wrong_type("a number", node))?;
                let like_unit =
                    |symbol: &str| !symbol.starts_with(|sign: char| sign.is_ascii_punctuation() && sign != '%');
                let unit = match symbol {
                    "" => None,
                    symbol if like_unit(symbol) => Some(self.unit_named(symbol)?),
                    _ => return Err(self.wrong_type("a number", node)),
                };
                Ok(Sent { number, unit })
            }
            _ => Err(self.wrong_type("a number", node)),
        }
    }

    fn measure(&self, sent: &Sent, given: Option<Unit>, own: Unit, min: f64, max: f64) -> Result<Value, DecodeError> {
        let Conversion { scale, offset, curve, .. } = &self.conversion;
        let mut value = sent.number * scale.unwrap_or(1.0) + offset.unwrap_or(0.0);
        if !curve.is_empty() {
            value = along(curve, value);
        }
        if let Some(unit) = given.or(sent.unit) {
            let wrong = || self.refuse("wrong_unit", &format!("`{}` does not convert to `{}`", unit.shown, own.shown));
            value = unit.convert(value, own).ok_or_else(wrong)?;
        }
        if (min..=max).contains(&value) {
            return Ok(Value::Number(value));
        }
        Err(self.refuse("out_of_range", &format!("{value} {} is not from {min} to {max}", own.shown)))
    }

    fn state(&self, node: &Node<'_>) -> Result<Value, DecodeError> {
        let Conversion { on, off, has, at_least, below, otherwise, .. } = &self.conversion;
        let switch = |on: bool| Ok(Value::Number(f64::from(u8::from(on))));
        if !has.is_empty() {
            if !matches!(node, Node::Text(_) | Node::List(_) | Node::Map(_)) {
                return otherwise.clone().ok_or_else(|| self.wrong_type("a list, a text or an object", node));
            }
            return switch(has.iter().any(|wanted| wanted.is_in(node)));
        }
        if at_least.is_some() || below.is_some() {
            return match self.number(node) {
                Ok(Sent { number, .. }) => {
                    switch(at_least.is_some_and(|limit| number >= limit) || below.is_some_and(|limit| number < limit))
                }
                Err(error) => otherwise.clone().ok_or(error),
            };
        }
        if on.iter().any(|wanted| wanted.is(node)) {
            return switch(true);
        }
        if off.iter().any(|wanted| wanted.is(node)) {
            return switch(false);
        }
        if on.is_empty()
            && off.is_empty()
            && let Some(on) = plain_switch(node)
        {
            return switch(on);
        }
        otherwise.clone().ok_or_else(|| match (node.text(), on.is_empty() && off.is_empty()) {
            (Some(sent), false) => self.refuse("unknown_word", &format!("`{sent}` is neither in `on` nor in `off`")),
            _ => self.wrong_type("true or false", node),
        })
    }

    fn word(&self, node: &Node<'_>, words: &[Arc<str>]) -> Result<Value, DecodeError> {
        const LONGEST: usize = 128;
        if let Some(word) = self.mapped(node) {
            return Ok(word);
        }
        if !self.conversion.map.is_empty() {
            return self.other(node);
        }
        let Some(sent) = node.text() else {
            return self.conversion.otherwise.clone().ok_or_else(|| self.wrong_type("a word", node));
        };
        match words.iter().find(|word| ***word == *sent) {
            Some(word) => Ok(Value::Text(word.clone())),
            None if words.is_empty() && sent.len() <= LONGEST => Ok(Value::Text(sent.as_ref().into())),
            None if words.is_empty() => Err(self.refuse("out_of_range", &format!("is longer than {LONGEST} bytes"))),
            None => self
                .conversion
                .otherwise
                .clone()
                .ok_or_else(|| self.refuse("unknown_word", &format!("`{sent}` is none of {}", words.join(", ")))),
        }
    }

    pub(super) fn wrong_type(&self, wanted: &str, given: &Node<'_>) -> DecodeError {
        let shown = match given {
            Node::Text(text) => format!("`{}`", text.chars().take(40).collect::<String>()),
            other => other.kind().to_owned(),
        };
        self.refuse("wrong_type", &format!("has to be {wanted}, not {shown}"))
    }
}

/// A number without a fraction, also one that was sent as a text.
fn integer(node: &Node<'_>) -> Option<i64> {
    match node {
        Node::Text(text) => text.trim().parse().ok(),
        node => node.whole(),
    }
}

/// What a switch means where the file says nothing of it.
fn plain_switch(node: &Node<'_>) -> Option<bool> {
    match node {
        Node::Bool(on) => Some(*on),
        Node::Int(1) => Some(true),
        Node::Int(0) => Some(false),
        #[allow(clippy::float_cmp, reason = "1.0 and 0.0 are exact")]
        Node::Float(number) if *number == 1.0 || *number == 0.0 => Some(*number == 1.0),
        Node::Text(text) => match text.as_ref() {
            "1" => Some(true),
            "0" => Some(false),
            text if text.eq_ignore_ascii_case("on") || text.eq_ignore_ascii_case("true") => Some(true),
            text if text.eq_ignore_ascii_case("off") || text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// A text into the number it begins with and the unit behind it.
fn split_number(text: &str) -> (&str, &str) {
    let mut end = 0;
    let mut before = ' ';
    for (at, sign) in text.char_indices() {
        let numeric = sign.is_ascii_digit()
            || sign == '.'
            || (matches!(sign, '+' | '-') && (at == 0 || matches!(before, 'e' | 'E')));
        // `2e3` is a number, `2 eV` is not.
        let exponent = matches!(sign, 'e' | 'E')
            && before.is_ascii_digit()
            && text[at + 1..].starts_with(|next: char| next.is_ascii_digit() || matches!(next, '+' | '-'));
        if !numeric && !exponent {
            break;
        }
        before = sign;
        end = at + sign.len_utf8();
    }
    let (digits, symbol) = text.split_at(end);
    (digits, symbol.trim())
}

/// The height at `x` of straight lines between `points`, flat beyond them.
fn along(points: &[(f64, f64)], x: f64) -> f64 {
    let after = points.partition_point(|(at, _)| *at < x);
    match (after.checked_sub(1).and_then(|before| points.get(before)), points.get(after)) {
        (Some((x0, y0)), Some((x1, y1))) => y0 + (y1 - y0) * (x - x0) / (x1 - x0),
        (Some((_, y)), None) | (None, Some((_, y))) => *y,
        (None, None) => x,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_have_their_unit_behind_them() {
        for (text, split) in [
            ("21.5", ("21.5", "")),
            ("-3e-2", ("-3e-2", "")),
            ("21.5 °C", ("21.5", "°C")),
            ("40%", ("40", "%")),
            ("2 eV", ("2", "eV")),
            ("nan", ("", "nan")),
            ("é", ("", "é")),
        ] {
            assert_eq!(split_number(text), split, "{text}");
        }
    }

    #[test]
    fn a_curve_is_straight_between_its_points_and_flat_beyond() {
        let points = [(2.7, 0.0), (3.0, 60.0), (3.3, 100.0)];
        for (x, y) in [(2.0, 0.0), (2.7, 0.0), (2.85, 30.0), (3.0, 60.0), (3.15, 80.0), (4.0, 100.0)] {
            assert!((along(&points, x) - y).abs() < 1e-9, "{x}");
        }
    }

    #[test]
    fn literals_are_what_was_sent_and_nothing_like_it() {
        let text = |text: &str| Node::Text(Cow::Owned(text.to_owned()));
        assert!(Literal::Int(1).is(&Node::Int(1)) && Literal::Int(1).is(&Node::Float(1.0)));
        assert!(!Literal::Int(1).is(&text("1")) && !Literal::Text("1".into()).is(&Node::Int(1)));
        assert!(!Literal::Bool(true).is(&Node::Int(1)));
        assert!(Literal::Text("smoke".into()).is_in(&Node::List(vec![text("heat"), text("smoke")])));
        assert!(Literal::Text("smoke".into()).is_in(&text("smoke,heat")));
        assert!(!Literal::Text("smoke".into()).is_in(&Node::List(vec![text("smoke test")])));
    }
}
