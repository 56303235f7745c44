//! Opening what is packed in a payload: JSON in a text, pairs, lists, binary.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use std::borrow::Cow;

use super::binary::{Endian, Layout};
use super::node::Node;
use super::pointer::Pointer;
use crate::decode::DecodeError;

/// A step that opens what is packed; what comes out takes its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Unpack {
    pub(super) at: Pointer,
    pub(super) packed: Packed,
}

/// How it is packed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Packed {
    /// JSON in a text.
    Json,
    /// `T=21.5;H=40`
    Pairs {
        between: String,
        sign: String,
    },
    /// `21.5,40`
    List {
        between: String,
    },
    Binary {
        encoding: Encoding,
        layout: Layout,
        endian: Endian,
        length: Option<(usize, usize)>,
    },
}

/// How binary stands in the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Base64,
    Hex,
    /// As it is, or a list of numbers from 0 to 255.
    Bytes,
    /// A list of numbers from 0 to 65535, each of two bytes, the highest first: Modbus registers.
    Registers,
}

impl Unpack {
    /// Opens it in the payload `root`; values that cannot be taken are added to `refused`.
    ///
    /// # Errors
    /// Where it is there and not packed so.
    pub(super) fn open(&self, root: &mut Node<'_>, refused: &mut Vec<DecodeError>) -> Result<(), DecodeError> {
        self.at.for_each(root, &mut |node| {
            // A part that is absent in this message is not packed wrongly.
            if *node != Node::Null {
                *node = self.packed.open(node, refused)?;
            }
            Ok(())
        })
    }
}

impl Packed {
    fn open(&self, node: &Node<'_>, refused: &mut Vec<DecodeError>) -> Result<Node<'static>, DecodeError> {
        match self {
            // Some bridges open it already.
            Self::Json if !matches!(node, Node::Text(_)) => Ok(node.clone().into_owned()),
            Self::Json => {
                let text = text(node)?;
                let inner = Node::from_json(text.as_bytes());
                Ok(inner.map_err(|error| not_packed(format!("no JSON in the text: {}", error.detail)))?.into_owned())
            }
            Self::Pairs { between, sign } => {
                let text = text(node)?;
                let pair = |part: &str| {
                    let (name, value) = part.split_once(sign.as_str())?;
                    let value = Node::Text(Cow::Owned(value.trim().to_owned()));
                    Some((Cow::Owned(name.trim().to_owned()), value))
                };
                let pairs: Vec<_> = text.split(between.as_str()).filter_map(pair).collect();
                if pairs.is_empty() {
                    return Err(not_packed(format!("no pair with `{sign}` in `{}`", shortened(text))));
                }
                Ok(Node::Map(pairs))
            }
            Self::List { between } => {
                let item = |part: &str| Node::Text(Cow::Owned(part.trim().to_owned()));
                Ok(Node::List(text(node)?.split(between.as_str()).map(item).collect()))
            }
            Self::Binary { encoding, layout, endian, length } => {
                let bytes = encoding.bytes(node)?;
                if let Some((least, most)) = length
                    && !(*least..=*most).contains(&bytes.len())
                {
                    let wanted = if least == most { least.to_string() } else { format!("{least} to {most}") };
                    let detail = format!("{} bytes instead of {wanted}", bytes.len());
                    return Err(DecodeError { code: "wrong_length", detail });
                }
                layout.read(&bytes, *endian, refused)
            }
        }
    }
}

impl Encoding {
    /// The bytes of `node`.
    ///
    /// # Errors
    /// `not_packed` where it is not so encoded.
    pub(super) fn bytes<'n>(self, node: &'n Node<'_>) -> Result<Cow<'n, [u8]>, DecodeError> {
        match self {
            Self::Bytes => match node {
                Node::Bytes(bytes) => Ok(Cow::Borrowed(bytes)),
                Node::List(items) => {
                    let bytes: Option<Vec<u8>> = items.iter().map(|item| item.whole()?.try_into().ok()).collect();
                    bytes
                        .map(Cow::Owned)
                        .ok_or_else(|| not_packed("a list of other than numbers from 0 to 255".to_owned()))
                }
                other => Err(not_packed(format!("{} where bytes are wanted", other.kind()))),
            },
            Self::Registers => match node {
                Node::List(items) => {
                    let word = |item: &Node<'_>| -> Option<u16> { item.whole()?.try_into().ok() };
                    let words: Option<Vec<u16>> = items.iter().map(word).collect();
                    let words =
                        words.ok_or_else(|| not_packed("a list of other than numbers from 0 to 65535".to_owned()))?;
                    Ok(Cow::Owned(words.into_iter().flat_map(u16::to_be_bytes).collect()))
                }
                other => Err(not_packed(format!("{} where a list of registers is wanted", other.kind()))),
            },
            Self::Base64 => base64_bytes(text(node)?).map(Cow::Owned).map_err(|error| not_packed(error.to_string())),
            Self::Hex => hex_bytes(text(node)?).map(Cow::Owned).map_err(not_packed),
        }
    }
}

/// Both alphabets; padding as the sender likes.
pub(super) fn base64_bytes(text: &str) -> Result<Vec<u8>, base64::DecodeError> {
    const fn engine(alphabet: &alphabet::Alphabet) -> GeneralPurpose {
        let config = GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true);
        GeneralPurpose::new(alphabet, config)
    }
    const STANDARD: GeneralPurpose = engine(&alphabet::STANDARD);
    const URL_SAFE: GeneralPurpose = engine(&alphabet::URL_SAFE);
    if text.contains(['+', '/']) { STANDARD.decode(text) } else { URL_SAFE.decode(text) }
}

/// Hex digits; spaces, `:`, `-` and `0x` between them do not count.
pub(super) fn hex_bytes(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut high = None;
    for (part, prefix) in text.split([' ', ':', '-', ',']).map(|part| (part, part.get(..2))) {
        let digits = if matches!(prefix, Some("0x" | "0X")) { part.get(2..).unwrap_or_default() } else { part };
        for sign in digits.chars() {
            let digit = sign.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            let digit = digit.ok_or_else(|| format!("`{sign}` is no hex digit"))?;
            match high.take() {
                None => high = Some(digit),
                Some(high) => bytes.push(high << 4 | digit),
            }
        }
    }
    if high.is_some() { Err("an odd number of hex digits".to_owned()) } else { Ok(bytes) }
}

fn text<'n>(node: &'n Node<'_>) -> Result<&'n str, DecodeError> {
    match node {
        Node::Text(text) => Ok(text),
        other => Err(not_packed(format!("{} where a text is wanted", other.kind()))),
    }
}

fn not_packed(detail: String) -> DecodeError {
    DecodeError { code: "not_packed", detail }
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(at: &str, packed: Packed, payload: &str) -> Result<String, String> {
        let mut root = Node::from_json(payload.as_bytes()).unwrap();
        let step = Unpack { at: Pointer::parse(at, &[]).unwrap(), packed };
        step.open(&mut root, &mut Vec::new()).map_err(|error| error.to_string())?;
        Ok(format!("{:?}", root.member("p").unwrap_or(&root)))
    }

    #[test]
    fn texts_are_opened_where_they_stand() {
        let json = opened("/p", Packed::Json, r#"{"p":"{\"v\":21}"}"#).unwrap();
        assert_eq!(json, r#"Map([("v", Int(21))])"#);
        let each = opened("/p/*", Packed::Json, r#"{"p":["1","2"]}"#).unwrap();
        assert_eq!(each, "List([Int(1), Int(2)])");
        let pairs = Packed::Pairs { between: ";".into(), sign: "=".into() };
        let opened_pairs = opened("/p", pairs.clone(), r#"{"p":"T=21.5; H = 40;"}"#).unwrap();
        assert_eq!(opened_pairs, r#"Map([("T", Text("21.5")), ("H", Text("40"))])"#);
        let list = opened("/p", Packed::List { between: ",".into() }, r#"{"p":"1, 2"}"#).unwrap();
        assert_eq!(list, r#"List([Text("1"), Text("2")])"#);
        assert!(opened("/gone", Packed::Json, r#"{"p":1}"#).is_ok(), "what is absent is not wrong");
        assert_eq!(opened("/p", Packed::Json, r#"{"p":{"v":1}}"#).unwrap(), r#"Map([("v", Int(1))])"#, "open already");
        let registers =
            Packed::Binary { encoding: Encoding::Registers, layout: Layout::Text, endian: Endian::Big, length: None };
        assert_eq!(opened("/p", registers.clone(), r#"{"p":[28523,8448]}"#).unwrap(), r#"Text("ok!")"#);
        assert!(opened("/p", registers, r#"{"p":[70000]}"#).is_err());
        for (packed, payload) in [(Packed::Json, r#"{"p":"{"}"#), (pairs, r#"{"p":"nothing"}"#)] {
            assert!(opened("/p", packed, payload).unwrap_err().starts_with("not_packed"), "{payload}");
        }
    }

    #[test]
    fn hex_and_base64_are_taken_as_people_write_them() {
        for text in ["01ff0a", "01 FF 0A", "0x01 0xff 0x0a", "01:ff:0a", "0x01ff0a"] {
            assert_eq!(hex_bytes(text).unwrap(), [1, 255, 10], "{text}");
        }
        assert!(hex_bytes("01f").is_err() && hex_bytes("xy").is_err() && hex_bytes("é").is_err());
        for text in ["+/8=", "-_8", "+/8"] {
            assert_eq!(base64_bytes(text).unwrap(), [251, 255], "{text}");
        }
        assert!(base64_bytes("*").is_err());
    }
}
