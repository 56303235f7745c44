//! Binary payloads by a table of what stands where, as LoRaWAN nodes and serial lines send them.

use std::borrow::Cow;

use super::node::Node;
use crate::decode::DecodeError;

/// What stands where.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Layout {
    /// Nothing is said: they are bytes.
    Opaque,
    Table(Vec<Entry>),
    /// Tag and value, again and again.
    Tags(Vec<Tag>),
}

/// Which byte of a number comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Endian {
    /// The highest.
    #[default]
    Big,
    /// The lowest.
    Little,
}

/// A value at its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) name: String,
    /// From the beginning, or below zero from the end.
    pub(super) offset: isize,
    pub(super) form: Form,
    pub(super) endian: Option<Endian>,
    pub(super) optional: bool,
}

/// A value behind its tag.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tag {
    pub(super) tag: Vec<u8>,
    /// `None`: it is passed over.
    pub(super) name: Option<String>,
    pub(super) form: Form,
    pub(super) endian: Option<Endian>,
}

/// How a value is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Form {
    Int {
        bytes: usize,
        signed: bool,
    },
    F32,
    F64,
    /// Two decimal digits a byte.
    Bcd(usize),
    /// UTF-8 up to a zero byte.
    Text(usize),
    Hex(usize),
    /// Values within so many bytes.
    Table(usize, Vec<Entry>),
    /// To the end, each of so many bytes.
    Records(usize, Vec<Entry>),
}

impl Layout {
    /// Reads `bytes`.
    ///
    /// # Errors
    /// `too_short`.
    pub(super) fn read(
        &self,
        bytes: &[u8],
        endian: Endian,
        refused: &mut Vec<DecodeError>,
    ) -> Result<Node<'static>, DecodeError> {
        match self {
            Self::Opaque => Ok(Node::Bytes(Cow::Owned(bytes.to_vec()))),
            Self::Table(entries) => read_table(entries, bytes, endian),
            Self::Tags(tags) => read_tags(tags, bytes, endian, refused),
        }
    }
}

fn read_table(entries: &[Entry], bytes: &[u8], endian: Endian) -> Result<Node<'static>, DecodeError> {
    let mut members = Vec::with_capacity(entries.len());
    for entry in entries {
        let endian = entry.endian.unwrap_or(endian);
        match entry.window(bytes) {
            Some(window) => members.push((Cow::Owned(entry.name.clone()), entry.form.read(window, endian)?)),
            None if entry.optional => {}
            None => return Err(too_short(&entry.name, entry.offset, bytes.len())),
        }
    }
    Ok(Node::Map(members))
}

fn read_tags(
    tags: &[Tag],
    bytes: &[u8],
    endian: Endian,
    refused: &mut Vec<DecodeError>,
) -> Result<Node<'static>, DecodeError> {
    let mut members = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some((tag, behind)) = tags.iter().find_map(|tag| Some((tag, rest.strip_prefix(tag.tag.as_slice())?)))
        else {
            let detail = format!("{} at byte {} is no tag of the list", hex(rest, 2), bytes.len() - rest.len());
            refused.push(DecodeError { code: "unknown_tag", detail });
            break;
        };
        let size = tag.form.size().unwrap_or(behind.len());
        let name = tag.name.as_deref().unwrap_or("passed over");
        let (value, behind) = behind
            .split_at_checked(size)
            .ok_or_else(|| too_short(name, isize::try_from(bytes.len() - behind.len()).unwrap_or(0), bytes.len()))?;
        if let Some(name) = &tag.name {
            let value = tag.form.read(value, tag.endian.unwrap_or(endian))?;
            members.push((Cow::Owned(name.clone()), value));
        }
        rest = behind;
    }
    Ok(Node::Map(members))
}

impl Entry {
    /// The bytes that are its own.
    fn window<'b>(&self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let from = match usize::try_from(self.offset) {
            Ok(offset) => offset,
            Err(_) => bytes.len().checked_sub(self.offset.unsigned_abs())?,
        };
        let rest = bytes.get(from..)?;
        match self.form.size() {
            Some(size) => rest.get(..size),
            None => Some(rest),
        }
    }
}

impl Form {
    /// How many bytes it takes; `None`: all there are.
    pub(super) fn size(&self) -> Option<usize> {
        match self {
            Self::Int { bytes, .. } => Some(*bytes),
            Self::F32 => Some(4),
            Self::F64 => Some(8),
            Self::Bcd(size) | Self::Text(size) | Self::Hex(size) | Self::Table(size, _) => Some(*size),
            Self::Records(..) => None,
        }
    }

    fn read(&self, bytes: &[u8], endian: Endian) -> Result<Node<'static>, DecodeError> {
        Ok(match self {
            Self::Int { signed, .. } => integer(bytes, endian, *signed),
            Self::F32 => Node::Float(f64::from(f32::from_bits(u32::try_from(unsigned(bytes, endian)).unwrap_or(0)))),
            Self::F64 => Node::Float(f64::from_bits(unsigned(bytes, endian))),
            Self::Bcd(_) => bcd(bytes, endian)?,
            Self::Text(_) => {
                let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
                Node::Text(Cow::Owned(String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()))
            }
            Self::Hex(_) => Node::Text(Cow::Owned(hex(bytes, bytes.len()))),
            Self::Table(_, entries) => read_table(entries, bytes, endian)?,
            Self::Records(size, entries) => {
                let records = bytes.chunks_exact(*size).map(|record| read_table(entries, record, endian));
                Node::List(records.collect::<Result<_, _>>()?)
            }
        })
    }
}

/// At most eight bytes as a number.
fn unsigned(bytes: &[u8], endian: Endian) -> u64 {
    let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    match endian {
        Endian::Big => bytes.iter().fold(0, add),
        Endian::Little => bytes.iter().rev().fold(0, add),
    }
}

#[allow(clippy::cast_possible_wrap, clippy::cast_precision_loss, reason = "two's complement is meant")]
fn integer(bytes: &[u8], endian: Endian, signed: bool) -> Node<'static> {
    let number = unsigned(bytes, endian);
    if signed {
        let unused = 64_usize.saturating_sub(8 * bytes.len());
        return Node::Int((number << unused) as i64 >> unused);
    }
    i64::try_from(number).map_or(Node::Float(number as f64), Node::Int)
}

fn bcd(bytes: &[u8], endian: Endian) -> Result<Node<'static>, DecodeError> {
    let mut digits = String::with_capacity(2 * bytes.len());
    let mut take = |byte: &u8| digits.push_str(&format!("{byte:02x}"));
    match endian {
        Endian::Big => bytes.iter().for_each(&mut take),
        Endian::Little => bytes.iter().rev().for_each(&mut take),
    }
    digits
        .parse()
        .map(Node::Int)
        .map_err(|_| DecodeError { code: "not_packed", detail: format!("`{digits}` are no decimal digits") })
}

/// The first `most` bytes as lower-case hex.
fn hex(bytes: &[u8], most: usize) -> String {
    bytes.iter().take(most).map(|byte| format!("{byte:02x}")).collect()
}

fn too_short(name: &str, offset: isize, length: usize) -> DecodeError {
    DecodeError { code: "too_short", detail: format!("`{name}` at byte {offset} is not within {length} bytes") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, offset: isize, form: Form) -> Entry {
        Entry { name: name.into(), offset, form, endian: None, optional: false }
    }

    fn int(bytes: usize, signed: bool) -> Form {
        Form::Int { bytes, signed }
    }

    fn number(node: &Node<'_>, name: &str) -> Option<i64> {
        match node.member(name) {
            Some(Node::Int(number)) => Some(*number),
            _ => None,
        }
    }

    #[test]
    fn a_table_says_what_stands_where() {
        let mut last = entry("last", -1, int(1, false));
        last.endian = Some(Endian::Little);
        let mut beyond = entry("beyond", 20, int(2, false));
        beyond.optional = true;
        let table = vec![
            entry("u16", 0, int(2, false)),
            entry("i16", 2, int(2, true)),
            entry("i24", 1, int(3, true)),
            entry("serial", 4, Form::Hex(2)),
            entry("bcd", 4, Form::Bcd(2)),
            entry("f32", 6, Form::F32),
            entry("text", 10, Form::Text(3)),
            last,
            beyond,
        ];
        let mut bytes = vec![0x12, 0x34, 0xff, 0xfe, 0x20, 0x26];
        bytes.extend(21.5_f32.to_be_bytes());
        bytes.extend(*b"ok\0\x07");
        let node = Layout::Table(table.clone()).read(&bytes, Endian::Big, &mut Vec::new()).unwrap();
        assert_eq!(number(&node, "u16"), Some(0x1234));
        assert_eq!(number(&node, "i16"), Some(-2));
        assert_eq!(number(&node, "i24"), Some(0x34_fffe));
        assert_eq!(number(&node, "bcd"), Some(2026));
        assert_eq!(node.member("serial").unwrap().text().unwrap(), "2026");
        assert_eq!(node.member("f32"), Some(&Node::Float(21.5)));
        assert_eq!(node.member("text").unwrap().text().unwrap(), "ok");
        assert_eq!(number(&node, "last"), Some(7));
        assert_eq!(node.member("beyond"), None);
        let short = Layout::Table(table).read(&bytes[..3], Endian::Big, &mut Vec::new()).unwrap_err();
        assert_eq!(short.to_string(), "too_short: `i16` at byte 2 is not within 3 bytes");
    }

    #[test]
    fn records_fill_the_rest() {
        let table = vec![entry("rows", 1, Form::Records(2, vec![entry("v", 0, int(2, true))]))];
        let node = Layout::Table(table).read(&[9, 1, 0, 2, 0, 3], Endian::Little, &mut Vec::new()).unwrap();
        let Some(Node::List(rows)) = node.member("rows") else { panic!("{node:?}") };
        assert_eq!(rows.iter().filter_map(|row| number(row, "v")).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn tags_are_read_until_one_is_not_known() {
        let tag = |tag: &[u8], name: Option<&str>, form| Tag {
            tag: tag.to_vec(),
            name: name.map(str::to_owned),
            form,
            endian: None,
        };
        let layout = Layout::Tags(vec![
            tag(&[1, 0x75], Some("battery"), int(1, false)),
            tag(&[3, 0x67], Some("temperature"), int(2, true)),
            tag(&[0xff, 0x0b], None, int(1, false)),
        ]);
        let mut refused = Vec::new();
        let bytes = [1, 0x75, 0x5c, 0xff, 0x0b, 0xff, 3, 0x67, 0x34, 0x01, 9, 9, 1];
        let node = layout.read(&bytes, Endian::Little, &mut refused).unwrap();
        assert_eq!((number(&node, "battery"), number(&node, "temperature")), (Some(92), Some(308)));
        assert_eq!(refused[0].to_string(), "unknown_tag: 0909 at byte 10 is no tag of the list");
        let cut = layout.read(&bytes[..9], Endian::Little, &mut refused).unwrap_err();
        assert_eq!(cut.code, "too_short");
    }
}
