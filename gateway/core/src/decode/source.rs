//! Where a value stands: JSON Pointers with a few additions, captures, and texts made of both.

use std::borrow::Cow;

use super::node::Node;
use super::pointer::Pointer;
use super::topic::Captured;

/// A text that is put together.
const LONGEST_TEXT: usize = 1024;

/// Where a value stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Source {
    Pointer(Pointer),
    /// A text of pieces.
    Text(Vec<Piece>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Literal(String),
    Capture(Capture),
    Pointer(Pointer),
}

/// A capture of the topic, or what an element of `each` is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Capture {
    Topic(usize),
    /// Of the element, or of what holds it so many levels of `each` above.
    Index(usize),
    Key(usize),
}

/// What sources are looked up in.
#[derive(Clone, Copy)]
pub(super) struct Scope<'s> {
    /// From the payload down to the element.
    pub(super) path: &'s [&'s Node<'s>],
    pub(super) captured: &'s Captured<'s>,
    /// What the element is called at each level of `each`, the innermost last; empty without `each`.
    pub(super) called: &'s [Called<'s>],
}

/// What an element of a list or an object is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Called<'s> {
    pub(super) index: usize,
    /// Its name, where it is an object's member.
    pub(super) key: Option<&'s str>,
}

impl<'s> Scope<'s> {
    pub(super) fn capture(&self, capture: Capture) -> Option<Cow<'s, str>> {
        match capture {
            Capture::Topic(index) => self.captured.get(index).copied().flatten().map(Cow::Borrowed),
            Capture::Index(up) => self.called_above(up).map(|called| Cow::Owned(called.index.to_string())),
            Capture::Key(up) => self.called_above(up).and_then(|called| called.key).map(Cow::Borrowed),
        }
    }

    fn called_above(&self, up: usize) -> Option<Called<'s>> {
        self.called.get(self.called.len().checked_sub(up + 1)?).copied()
    }
}

impl Source {
    /// Reads a source; captures are those of `names`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str, names: &[String]) -> Result<Self, String> {
        if text.is_empty() || text.starts_with(['/', '$']) || text == ".." || text.starts_with("../") {
            return Pointer::parse_one(text, names).map(Self::Pointer);
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((literal, behind)) = rest.split_once('{') {
            let (inner, behind) = behind.split_once('}').ok_or_else(|| format!("`{text}` lacks a `}}`"))?;
            if !literal.is_empty() {
                pieces.push(Piece::Literal(literal.to_owned()));
            }
            pieces.push(match capture(inner, names) {
                Some(capture) => Piece::Capture(capture),
                None if inner.starts_with(['/', '$']) || inner.starts_with("..") => {
                    Piece::Pointer(Pointer::parse_one(inner, names)?)
                }
                None => return Err(format!("`{{{inner}}}` is no capture of the topic and no pointer")),
            });
            rest = behind;
        }
        if pieces.is_empty() {
            return Err(format!("`{text}` is no source: a pointer begins with `/`, a capture stands in braces"));
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(rest.to_owned()));
        }
        Ok(Self::Text(pieces))
    }

    /// What stands there; `None` where nothing does, or null.
    pub(super) fn find<'s>(&self, scope: &Scope<'s>) -> Option<Cow<'s, Node<'s>>> {
        match self {
            Self::Pointer(pointer) => pointer.find(scope).filter(|node| **node != Node::Null).map(Cow::Borrowed),
            Self::Text(pieces) => compose(pieces, scope).map(|text| Cow::Owned(Node::Text(text))),
        }
    }

    /// The same as a text; `None` where it is none, or empty.
    pub(super) fn find_text<'s>(&self, scope: &Scope<'s>) -> Option<Cow<'s, str>> {
        let text = match self.find(scope)? {
            Cow::Borrowed(node) => node.text()?,
            Cow::Owned(Node::Text(text)) => text,
            Cow::Owned(_) => return None,
        };
        (!text.is_empty()).then_some(text)
    }

    /// Whether it depends on the topic alone.
    pub(super) fn is_of_topic(&self) -> bool {
        match self {
            Self::Pointer(_) => false,
            Self::Text(pieces) => {
                pieces.iter().all(|piece| matches!(piece, Piece::Literal(_) | Piece::Capture(Capture::Topic(_))))
            }
        }
    }

    /// The capture of the topic that it is, if it is one and nothing else.
    pub(super) fn only_capture(&self) -> Option<usize> {
        match self {
            Self::Text(pieces) => match pieces.as_slice() {
                [Piece::Capture(Capture::Topic(index))] => Some(*index),
                _ => None,
            },
            Self::Pointer(_) => None,
        }
    }

    /// The pointer that it is, if it is one.
    pub(super) fn pointer(&self) -> Option<&Pointer> {
        match self {
            Self::Pointer(pointer) => Some(pointer),
            Self::Text(_) => None,
        }
    }
}

/// The text of `pieces`; `None` where one of them is not there.
fn compose<'s>(pieces: &[Piece], scope: &Scope<'s>) -> Option<Cow<'s, str>> {
    if let [Piece::Capture(only)] = pieces {
        return scope.capture(*only);
    }
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Literal(literal) => text.push_str(literal),
            Piece::Capture(capture) => text.push_str(&scope.capture(*capture)?),
            Piece::Pointer(pointer) => text.push_str(&pointer.find(scope)?.text()?),
        }
        // No name and no time is so long.
        if text.len() > LONGEST_TEXT {
            return None;
        }
    }
    Some(Cow::Owned(text))
}

/// The capture that is called so.
pub(super) fn capture(name: &str, names: &[String]) -> Option<Capture> {
    let bare = name.trim_start_matches("../");
    let up = (name.len() - bare.len()) / 3;
    match bare {
        "index" => Some(Capture::Index(up)),
        "key" => Some(Capture::Key(up)),
        _ if up > 0 => None,
        _ => names.iter().position(|there| there == name).map(Capture::Topic),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAYLOAD: &str = r#"{"a":{"b/c":1,"~":2},"list":[{"name":"t","v":21},{"name":"h","v":40}],
        "groups":[{"id":"g1","items":[{"v":1},{"v":2}]},{"id":"g2","items":[{"v":3}]}],"nil":null,"twice":1,"twice":2}"#;

    fn find(source: &str, names: &[&str], captured: &Captured<'_>) -> Option<String> {
        let root = Node::from_json(PAYLOAD.as_bytes()).unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let source = Source::parse(source, &names).unwrap();
        let path = [&root];
        source.find_text(&Scope { path: &path, captured, called: &[] }).map(Cow::into_owned)
    }

    #[test]
    fn pointers_filters_and_captures_find_values() {
        let mut captured = Captured::default();
        captured[0] = Some("h");
        captured[1] = Some("list");
        for (source, found) in [
            ("/a/b~1c", Some("1")),
            ("/a/~0", Some("2")),
            ("$/list/0/v", Some("21")),
            ("/list/-1/v", Some("40")),
            ("/list/[name=h]/v", Some("40")),
            ("/list/[name=x]/v", None),
            ("/{where}/0/name", Some("t")),
            ("{which}", Some("h")),
            ("{where}-{/list/0/v}", Some("list-21")),
            ("{where}-{/gone}", None),
            ("/nil", None),
            ("/twice", Some("2")),
            ("/list", None),
        ] {
            assert_eq!(find(source, &["which", "where"], &captured).as_deref(), found, "{source}");
        }
    }

    #[test]
    fn what_is_no_source_says_why() {
        for (source, part) in [
            ("temp", "begins with `/`"),
            ("{gone}", "no capture"),
            ("/a/{gone}", "no capture"),
            ("/a~2", "`~`"),
            ("/*/a", "only"),
            ("/[name=x", "lacks"),
            ("{a", "lacks"),
        ] {
            let problem = Source::parse(source, &[]).unwrap_err();
            assert!(problem.contains(part), "{source}: {problem}");
        }
    }
}
