//! JSON Pointers (RFC 6901) with a few additions, each because real payloads need it.

use std::borrow::Cow;

use super::node::Node;
use super::source::{Called, Capture, Scope, capture};
use super::topic::is_capture_name;

/// A JSON Pointer (RFC 6901), from somewhere.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pointer {
    from: From,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// The element of `each`, or the payload.
    Here,
    /// The payload.
    Root,
    /// So many levels above the element.
    Above(usize),
}

#[derive(Debug, Clone, PartialEq)]
enum Segment {
    /// Of an object the name, of a list the index.
    Name(String, Option<usize>),
    /// `-1` is the last.
    FromEnd(usize),
    /// The first element whose member is so.
    Where(String, String),
    Capture(Capture),
    /// Every element.
    Each,
}

impl Pointer {
    /// Reads a pointer.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str, names: &[String]) -> Result<Self, String> {
        let (from, rest) = match text.strip_prefix('$') {
            Some(rest) => (From::Root, rest),
            None => {
                let mut up = 0;
                let mut rest = text;
                while let Some(behind) = rest.strip_prefix("..") {
                    up += 1;
                    rest = match behind.strip_prefix('/') {
                        Some(next) if next.starts_with("..") => next,
                        _ => behind,
                    };
                }
                (if up == 0 { From::Here } else { From::Above(up) }, rest)
            }
        };
        if rest.is_empty() {
            return Ok(Self { from, segments: Vec::new() });
        }
        let rest = rest.strip_prefix('/').ok_or_else(|| format!("`{text}`: a pointer's segments begin with `/`"))?;
        let segments = segments(rest, names).map_err(|problem| format!("`{text}`: {problem}"))?;
        Ok(Self { from, segments })
    }

    /// Reads a pointer to one node.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse_one(text: &str, names: &[String]) -> Result<Self, String> {
        let pointer = Self::parse(text, names)?;
        if pointer.has_each() {
            return Err(format!("`{text}`: `*` stands in `each`, in the `at` of `unpack` and in `discard` only"));
        }
        Ok(pointer)
    }

    /// The node there.
    pub(super) fn find<'s>(&self, scope: &Scope<'s>) -> Option<&'s Node<'s>> {
        let node: &'s Node<'s> = match self.from {
            From::Here => scope.path.last()?,
            From::Root => scope.path.first()?,
            From::Above(up) => scope.path.get(scope.path.len().checked_sub(up + 1)?)?,
        };
        self.segments.iter().try_fold(node, |node, segment| match segment {
            Segment::Capture(capture) => {
                let name = scope.capture(*capture)?;
                match node {
                    Node::List(items) => items.get(name.parse::<usize>().ok()?),
                    node => node.member(&name),
                }
            }
            segment => segment.find(node),
        })
    }

    /// Whether it stands still: it has no capture and begins at the payload, as far as one can tell
    /// without `each`.
    pub(super) fn is_plain(&self) -> bool {
        !matches!(self.from, From::Above(_))
            && !self.segments.iter().any(|segment| matches!(segment, Segment::Capture(_)))
    }

    /// What leads from what `outer` names to what this names; `None` where it does not lie within.
    pub(super) fn within(&self, outer: &Self) -> Option<Self> {
        let segments = self.segments.strip_prefix(outer.segments.as_slice())?.to_vec();
        (!segments.is_empty()).then_some(Self { from: From::Here, segments })
    }

    /// Whether it has a `*`.
    pub(super) fn has_each(&self) -> bool {
        self.segments.contains(&Segment::Each)
    }

    /// Whether `inner` may lie within what this names.
    pub(super) fn holds(&self, inner: &Self) -> bool {
        inner.segments.starts_with(&self.segments) || self.has_each() || self.segments.starts_with(&inner.segments)
    }

    /// Calls `with` on every node there, of the payload `root`.
    ///
    /// # Errors
    /// The first of `with`.
    pub(super) fn for_each<'n, E>(
        &self,
        root: &mut Node<'n>,
        with: &mut impl FnMut(&mut Node<'n>) -> Result<(), E>,
    ) -> Result<(), E> {
        visit(root, &self.segments, with)
    }

    /// Every element there, each with the way to it and what it is called.
    pub(super) fn elements<'s>(&self, root: &'s Node<'s>) -> Option<Vec<Element<'s>>> {
        let mut found = Vec::new();
        let mut way = Element { path: vec![root], called: Vec::new() };
        gather(&mut way, &self.segments, &mut found).then_some(found)
    }

    /// Leaves of what it names in the payload `root` only that something is there; says whether
    /// anything was.
    pub(super) fn mask(&self, root: &mut Node<'_>) -> bool {
        let mut masked = false;
        let mut hide = |node: &mut Node<'_>| -> Result<(), std::convert::Infallible> {
            let empty = match node {
                Node::Null => true,
                Node::Text(text) => text.is_empty() || text == MASK,
                Node::List(items) => items.is_empty(),
                Node::Map(members) => members.is_empty(),
                Node::Bool(_) | Node::Int(_) | Node::Float(_) | Node::Bytes(_) => false,
            };
            if !empty {
                *node = Node::Text(Cow::Borrowed(MASK));
                masked = true;
            }
            Ok(())
        };
        let Ok(()) = self.for_each(root, &mut hide);
        masked
    }
}

/// What stands for something that must not be stored.
const MASK: &str = "*";

/// An element of `each`.
pub(super) struct Element<'s> {
    /// From the payload down to it.
    pub(super) path: Vec<&'s Node<'s>>,
    /// See [`Scope::called`].
    pub(super) called: Vec<Called<'s>>,
}

impl Element<'_> {
    /// How many there are in what holds it, itself included.
    pub(super) fn siblings(&self) -> usize {
        match self.path.len().checked_sub(2).and_then(|holder| self.path.get(holder)) {
            Some(Node::List(items)) => items.len(),
            Some(Node::Map(members)) => members.len(),
            _ => 1,
        }
    }
}

fn segments(text: &str, names: &[String]) -> Result<Vec<Segment>, String> {
    // A filter's text may hold a `/`.
    let mut parts: Vec<String> = Vec::new();
    for part in text.split('/') {
        match parts.last_mut() {
            Some(open) if open.starts_with('[') && open.contains('=') && !open.ends_with(']') => {
                open.push('/');
                open.push_str(part);
            }
            _ => parts.push(part.to_owned()),
        }
    }
    parts.iter().map(|part| Segment::parse(part, names)).collect()
}

impl Segment {
    fn parse(text: &str, names: &[String]) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Each);
        }
        if let Some(inner) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'))
            && is_capture_name(inner)
        {
            return capture(inner, names)
                .map(Self::Capture)
                .ok_or_else(|| format!("`{{{inner}}}` is no capture of the topic"));
        }
        if let Some(inner) = text.strip_prefix('[')
            && let Some((key, value)) = inner.split_once('=')
        {
            let value = value.strip_suffix(']').ok_or_else(|| format!("`{text}` lacks a `]`"))?;
            return Ok(Self::Where(unescape(key)?, unescape(value)?));
        }
        if let Some(back) = text.strip_prefix('-').and_then(|back| back.parse::<usize>().ok()).filter(|back| *back > 0)
        {
            return Ok(Self::FromEnd(back));
        }
        Ok(Self::Name(unescape(text)?, text.parse().ok()))
    }

    fn find<'s, 'n>(&self, node: &'s Node<'n>) -> Option<&'s Node<'n>> {
        match (self, node) {
            (Self::Name(name, _), Node::Map(_)) => node.member(name),
            // Some objects have such a name, too.
            (Self::FromEnd(back), Node::Map(_)) => node.member(&format!("-{back}")),
            (_, Node::List(items)) => items.get(self.index(items)?),
            _ => None,
        }
    }

    /// Which element of a list it names.
    fn index(&self, items: &[Node<'_>]) -> Option<usize> {
        match self {
            Self::Name(_, index) => *index,
            Self::FromEnd(back) => items.len().checked_sub(*back),
            Self::Where(key, text) => items
                .iter()
                .position(|item| item.member(key).and_then(Node::text).is_some_and(|there| there == text.as_str())),
            Self::Capture(_) | Self::Each => None,
        }
    }
}

/// RFC 6901, section 4.
fn unescape(text: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(text.len());
    let mut signs = text.chars();
    while let Some(sign) = signs.next() {
        plain.push(match sign {
            '~' => match signs.next() {
                Some('0') => '~',
                Some('1') => '/',
                _ => return Err("`~` stands before 0 (for `~`) or 1 (for `/`)".to_owned()),
            },
            sign => sign,
        });
    }
    Ok(plain)
}

fn visit<'n, E>(
    node: &mut Node<'n>,
    way: &[Segment],
    with: &mut impl FnMut(&mut Node<'n>) -> Result<(), E>,
) -> Result<(), E> {
    let Some((segment, rest)) = way.split_first() else { return with(node) };
    match (segment, node) {
        (Segment::Each, Node::List(items)) => items.iter_mut().try_for_each(|item| visit(item, rest, with)),
        (Segment::Each, Node::Map(members)) => members.iter_mut().try_for_each(|(_, item)| visit(item, rest, with)),
        // Also those that a later one of the name hides: they are written down with the rest.
        (Segment::Name(name, _), Node::Map(members)) => {
            members.iter_mut().filter(|(there, _)| there == name).try_for_each(|(_, item)| visit(item, rest, with))
        }
        (segment, Node::List(items)) => match segment.index(items).and_then(|index| items.get_mut(index)) {
            Some(item) => visit(item, rest, with),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Puts down every element that `way` leads to from the end of `from`; says whether there is a list
/// or an object at its end.
fn gather<'s>(from: &mut Element<'s>, way: &[Segment], found: &mut Vec<Element<'s>>) -> bool {
    let Some(node) = from.path.last().copied() else { return false };
    let each = match way.split_first() {
        None => None,
        Some((Segment::Each, rest)) => Some(rest),
        Some((segment, rest)) => {
            let Some(item) = segment.find(node) else { return false };
            from.path.push(item);
            let there = gather(from, rest, found);
            from.path.pop();
            return there;
        }
    };
    let mut visit = |called: Called<'s>, item: &'s Node<'s>| {
        from.path.push(item);
        from.called.push(called);
        let there = match each {
            Some(rest) => gather(from, rest, found),
            None => {
                found.push(Element { path: from.path.clone(), called: from.called.clone() });
                true
            }
        };
        from.path.pop();
        from.called.pop();
        there
    };
    match node {
        Node::List(items) => {
            let within = items
                .iter()
                .enumerate()
                .fold(false, |there, (index, item)| visit(Called { index, key: None }, item) || there);
            within || each.is_none() || items.is_empty()
        }
        Node::Map(members) => {
            let within = members.iter().enumerate().fold(false, |there, (index, (key, item))| {
                visit(Called { index, key: Some(key.as_ref()) }, item) || there
            });
            within || each.is_none() || members.is_empty()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::Source;
    use super::super::topic::Captured;
    use super::*;

    const PAYLOAD: &str = r#"{"a":{"b/c":1,"~":2},"list":[{"name":"t","v":21},{"name":"h","v":40}],
        "groups":[{"id":"g1","items":[{"v":1},{"v":2}]},{"id":"g2","items":[{"v":3}]}],"nil":null,"twice":1,"twice":2}"#;

    #[test]
    fn each_goes_over_lists_within_lists_and_back_up() {
        let root = Node::from_json(PAYLOAD.as_bytes()).unwrap();
        let each = Pointer::parse("/groups/*/items", &[]).unwrap();
        let elements = each.elements(&root).unwrap();
        let captured = Captured::default();
        let id = Source::parse("../../id", &[]).unwrap();
        let found: Vec<String> = elements
            .iter()
            .map(|element| {
                let scope = Scope { path: &element.path, captured: &captured, called: &element.called };
                let value =
                    Source::parse("{../index}.{index}:{/v}", &[]).unwrap().find_text(&scope).unwrap().into_owned();
                format!("{} {value}", id.find_text(&scope).unwrap())
            })
            .collect();
        assert_eq!(found, ["g1 0.0:1", "g1 0.1:2", "g2 1.0:3"]);
        assert!(Pointer::parse("/gone", &[]).unwrap().elements(&root).is_none());
        assert!(Pointer::parse("/twice", &[]).unwrap().elements(&root).is_none());
    }

    #[test]
    fn of_what_is_masked_only_that_it_is_there_is_left() {
        let mut root = Node::from_json(PAYLOAD.as_bytes()).unwrap();
        assert!(Pointer::parse("/groups/*/items/*/v", &[]).unwrap().mask(&mut root));
        assert!(Pointer::parse("/a", &[]).unwrap().mask(&mut root));
        assert!(!Pointer::parse("/gone", &[]).unwrap().mask(&mut root));
        assert!(!Pointer::parse("/nil", &[]).unwrap().mask(&mut root), "nothing was there");
        assert!(Pointer::parse("/twice", &[]).unwrap().mask(&mut root));
        let text = serde_json::to_string(&root).unwrap();
        let expected = r#"{"a":"*","list":[{"name":"t","v":21},{"name":"h","v":40}],"groups":[{"id":"g1","items":[{"v":"*"},{"v":"*"}]},{"id":"g2","items":[{"v":"*"}]}],"nil":null,"twice":"*","twice":"*"}"#;
        assert_eq!(text, expected);
    }
}
