//! Binary payloads by a table of what stands where, as LoRaWAN nodes and serial lines send them.

use std::borrow::Cow;

use super::node::Node;
use crate::decode::DecodeError;

/// Values in one payload. Records may overlap, so its length alone is no limit.
const MOST_VALUES: usize = 16_384;

/// What stands where.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Layout {
    /// UTF-8.
    Text,
    Table(Vec<Entry>),
    /// Tag and value, again and again; between them perhaps how long the value is, in so many bytes.
    Tags {
        tags: Vec<Tag>,
        length_bytes: Option<usize>,
    },
}

/// Which byte of a number comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Endian {
    /// The highest.
    #[default]
    Big,
    /// The lowest.
    Little,
    /// Words of two bytes in reverse order, the highest byte of each first: CDAB.
    BigSwapped,
    /// Words in order, the lowest byte of each first: BADC.
    LittleSwapped,
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
    /// It may come several times: all of them are a list.
    pub(super) list: bool,
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
    /// UTF-8 up to a zero byte; of so many bytes, or to the end.
    Text(Option<usize>),
    Hex(Option<usize>),
    /// Values within so many bytes.
    Table(usize, Vec<Entry>),
    /// To the end, each of so many bytes.
    Records(usize, Vec<Entry>),
}

impl Layout {
    /// Reads `bytes`.
    ///
    /// # Errors
    /// `too_short`, `too_many`, `not_packed`.
    pub(super) fn read(
        &self,
        bytes: &[u8],
        endian: Endian,
        refused: &mut Vec<DecodeError>,
    ) -> Result<Node<'static>, DecodeError> {
        match self {
            Self::Text => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Node::Text(Cow::Owned(text.trim_end_matches('\0').to_owned()))),
                Err(error) => Err(DecodeError { code: "not_packed", detail: format!("no text in it: {error}") }),
            },
            Self::Table(entries) => read_table(entries, bytes, endian, &mut { MOST_VALUES }),
            Self::Tags { tags, length_bytes } => read_tags(tags, *length_bytes, bytes, endian, refused),
        }
    }
}

/// Reads a table; of values there may be `left` more.
fn read_table(entries: &[Entry], bytes: &[u8], endian: Endian, left: &mut usize) -> Result<Node<'static>, DecodeError> {
    let mut members = Vec::with_capacity(entries.len());
    for entry in entries {
        *left = left.checked_sub(1).ok_or_else(|| DecodeError {
            code: "too_many",
            detail: format!("more than {MOST_VALUES} values in one payload"),
        })?;
        let endian = entry.form.endian(entry.endian, endian);
        match entry.window(bytes) {
            Some(window) => members.push((Cow::Owned(entry.name.clone()), entry.form.read(window, endian, left)?)),
            None if entry.optional => {}
            None => return Err(too_short(&entry.name, entry.offset, bytes.len())),
        }
    }
    Ok(Node::Map(members))
}

fn read_tags(
    tags: &[Tag],
    length_bytes: Option<usize>,
    bytes: &[u8],
    endian: Endian,
    refused: &mut Vec<DecodeError>,
) -> Result<Node<'static>, DecodeError> {
    let tag_length = tags.first().map_or(0, |tag| tag.tag.len());
    let mut members: Vec<(Cow<'static, str>, Node<'static>)> = Vec::new();
    let mut rest = bytes;
    let mut left = MOST_VALUES;
    while !rest.is_empty() {
        let at = bytes.len() - rest.len();
        let taken = split_tag(tags, tag_length, length_bytes, rest, endian);
        let (tag, value, behind) = match taken {
            Ok(taken) => taken,
            // What came before it counts.
            Err(error) if !members.is_empty() || error.code == "unknown_tag" => {
                refused.push(error.at(at));
                break;
            }
            Err(error) => return Err(error.at(at)),
        };
        rest = behind;
        let Some((tag, name)) = tag.and_then(|tag| Some((tag, tag.name.as_deref()?))) else { continue };
        if value.is_empty() {
            continue;
        }
        let node = tag.form.read(value, tag.form.endian(tag.endian, endian), &mut left)?;
        match members.iter_mut().find(|(there, _)| there == name) {
            Some((_, Node::List(items))) if tag.list => items.push(node),
            Some((_, there)) => *there = node,
            None => {
                let node = if tag.list { Node::List(vec![node]) } else { node };
                members.push((Cow::Owned(name.to_owned()), node));
            }
        }
    }
    Ok(Node::Map(members))
}

/// A tag of the list (`None` where it is not and its length is known), its value, and what follows.
type Tagged<'t, 'b> = (Option<&'t Tag>, &'b [u8], &'b [u8]);

/// Splits `rest` behind its first tag and value.
fn split_tag<'t, 'b>(
    tags: &'t [Tag],
    tag_length: usize,
    length_bytes: Option<usize>,
    rest: &'b [u8],
    endian: Endian,
) -> Result<Tagged<'t, 'b>, BadTag> {
    let short = |what: String| BadTag { code: "too_short", what: format!("`{what}` is cut off") };
    let (head, behind) = rest.split_at_checked(tag_length).ok_or_else(|| short("a tag".to_owned()))?;
    let tag = tags.iter().find(|tag| tag.tag == head);
    let name = || tag.and_then(|tag| tag.name.clone()).unwrap_or_else(|| format!("tag {}", hex(head)));
    let (size, behind) = match (length_bytes, tag) {
        (Some(length), _) => {
            let (size, behind) = behind.split_at_checked(length).ok_or_else(|| short(name()))?;
            (usize::try_from(unsigned(size, endian)).unwrap_or(usize::MAX), behind)
        }
        (None, Some(tag)) => (tag.form.size().unwrap_or(behind.len()), behind),
        (None, None) => {
            return Err(BadTag { code: "unknown_tag", what: format!("{} is no tag of the list", hex(head)) });
        }
    };
    let (value, behind) = behind.split_at_checked(size).ok_or_else(|| short(name()))?;
    // Integers and texts may be sent shorter or longer than their type; anything else has its size.
    let fits = match tag.map(|tag| &tag.form) {
        None => true,
        Some(Form::Int { .. }) => value.len() <= 8,
        Some(Form::Text(_) | Form::Hex(_) | Form::Records(..)) => true,
        Some(form) => form.size().is_none_or(|size| size == value.len()) || value.is_empty(),
    };
    if fits { Ok((tag, value, behind)) } else { Err(short(name())) }
}

/// What is wrong with a tag or its value.
struct BadTag {
    code: &'static str,
    what: String,
}

impl BadTag {
    fn at(self, byte: usize) -> DecodeError {
        DecodeError { code: self.code, detail: format!("{}, at byte {byte}", self.what) }
    }
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
            Self::Bcd(size) | Self::Table(size, _) => Some(*size),
            Self::Text(size) | Self::Hex(size) => *size,
            Self::Records(..) => None,
        }
    }

    /// The order of its bytes: its own, or the step's. Hex is shown as it was sent unless it says so itself.
    fn endian(&self, own: Option<Endian>, of_step: Endian) -> Endian {
        own.unwrap_or(if matches!(self, Self::Hex(_)) { Endian::Big } else { of_step })
    }

    fn read(&self, bytes: &[u8], endian: Endian, left: &mut usize) -> Result<Node<'static>, DecodeError> {
        Ok(match self {
            Self::Int { signed, .. } => integer(bytes, endian, *signed),
            #[allow(clippy::cast_possible_truncation, reason = "four bytes")]
            Self::F32 => Node::Float(f64::from(f32::from_bits(unsigned(bytes, endian) as u32))),
            Self::F64 => Node::Float(f64::from_bits(unsigned(bytes, endian))),
            Self::Bcd(_) => bcd(bytes, endian)?,
            Self::Text(_) => {
                let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
                Node::Text(Cow::Owned(String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()))
            }
            Self::Hex(_) => Node::Text(Cow::Owned(hex(&ordered(bytes, endian)))),
            Self::Table(_, entries) => read_table(entries, bytes, endian, left)?,
            Self::Records(size, entries) => {
                let records = bytes.chunks_exact(*size).map(|record| read_table(entries, record, endian, left));
                Node::List(records.collect::<Result<_, _>>()?)
            }
        })
    }
}

/// The bytes with the highest first.
fn ordered(bytes: &[u8], endian: Endian) -> Vec<u8> {
    match endian {
        Endian::Big => bytes.to_vec(),
        Endian::Little => bytes.iter().rev().copied().collect(),
        Endian::BigSwapped => bytes.rchunks(2).flatten().copied().collect(),
        Endian::LittleSwapped => bytes.chunks(2).flat_map(|word| word.iter().rev()).copied().collect(),
    }
}

/// At most eight bytes as a number.
fn unsigned(bytes: &[u8], endian: Endian) -> u64 {
    ordered(bytes, endian).iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[allow(clippy::cast_possible_wrap, reason = "two's complement is meant")]
fn integer(bytes: &[u8], endian: Endian, signed: bool) -> Node<'static> {
    let number = unsigned(bytes, endian);
    if signed {
        let unused = 64 - 8 * bytes.len().clamp(1, 8);
        return Node::Int((number << unused) as i64 >> unused);
    }
    i64::try_from(number).map_or_else(|_| Node::Text(Cow::Owned(number.to_string())), Node::Int)
}

/// Decimal digits as a text: an address keeps its leading zeros, and a number may be sent as a text.
fn bcd(bytes: &[u8], endian: Endian) -> Result<Node<'static>, DecodeError> {
    let digits = hex(&ordered(bytes, endian));
    if digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Ok(Node::Text(Cow::Owned(digits)));
    }
    Err(DecodeError { code: "not_packed", detail: format!("`{digits}` are no decimal digits") })
}

/// As lower-case hex.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
            entry("serial", 4, Form::Hex(Some(2))),
            entry("bcd", 4, Form::Bcd(2)),
            entry("f32", 6, Form::F32),
            entry("text", 10, Form::Text(Some(3))),
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
        assert_eq!(node.member("bcd").unwrap().text().unwrap(), "2026");
        assert_eq!(node.member("serial").unwrap().text().unwrap(), "2026");
        assert_eq!(node.member("f32"), Some(&Node::Float(21.5)));
        assert_eq!(node.member("text").unwrap().text().unwrap(), "ok");
        assert_eq!(number(&node, "last"), Some(7));
        assert_eq!(node.member("beyond"), None);
        let short = Layout::Table(table).read(&bytes[..3], Endian::Big, &mut Vec::new()).unwrap_err();
        assert_eq!(short.to_string(), "too_short: `i16` at byte 2 is not within 3 bytes");
    }

    #[test]
    fn bytes_come_in_four_orders() {
        for (endian, bytes) in [
            (Endian::Big, [1, 2, 3, 4]),
            (Endian::Little, [4, 3, 2, 1]),
            (Endian::BigSwapped, [3, 4, 1, 2]),
            (Endian::LittleSwapped, [2, 1, 4, 3]),
        ] {
            assert_eq!(unsigned(&bytes, endian), 0x0102_0304, "{endian:?}");
        }
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
            list: false,
        };
        let layout = |length_bytes, tags| Layout::Tags { tags, length_bytes };
        let layout = layout(
            None,
            vec![
                tag(&[1, 0x75], Some("battery"), int(1, false)),
                tag(&[3, 0x67], Some("temperature"), int(2, true)),
                tag(&[0xff, 0x0b], None, int(1, false)),
            ],
        );
        let mut refused = Vec::new();
        let bytes = [1, 0x75, 0x5c, 0xff, 0x0b, 0xff, 3, 0x67, 0x34, 0x01, 9, 9, 1];
        let node = layout.read(&bytes, Endian::Little, &mut refused).unwrap();
        assert_eq!((number(&node, "battery"), number(&node, "temperature")), (Some(92), Some(308)));
        assert_eq!(refused[0].to_string(), "unknown_tag: 0909 is no tag of the list, at byte 10");
        let mut listed = tag(&[5], Some("v"), int(1, false));
        listed.list = true;
        let layout_with_lengths = Layout::Tags { tags: vec![listed], length_bytes: Some(1) };
        let node = layout_with_lengths.read(&[5, 1, 7, 9, 2, 0, 0, 5, 1, 8], Endian::Big, &mut refused).unwrap();
        assert_eq!(node.member("v"), Some(&Node::List(vec![Node::Int(7), Node::Int(8)])), "9 is passed over");
        let float = Layout::Tags { tags: vec![tag(&[1], Some("f"), Form::F32)], length_bytes: Some(1) };
        let longer = float.read(&[1, 8, 0x40, 0x6b, 0x80, 0, 0, 0, 0, 0], Endian::Big, &mut refused);
        assert_eq!(longer.unwrap_err().code, "too_short", "a double is no float");
        refused.clear();
        let cut = layout.read(&bytes[..9], Endian::Little, &mut refused).unwrap();
        assert_eq!(number(&cut, "battery"), Some(92), "what came before counts");
        assert_eq!(refused[0].to_string(), "too_short: `temperature` is cut off, at byte 6");
    }
}
