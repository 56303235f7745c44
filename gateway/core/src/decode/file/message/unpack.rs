//! `[[message.unpack]]`: steps that open what is packed.

use super::Compiler;
use super::tables::{EntryTable, FormWord, Length, PackedWord, TagTable, UnpackTable};
use crate::decode::binary::{Endian, Entry, Form, Layout, Tag};
use crate::decode::file::SEE;
use crate::decode::unpack::{Encoding, Packed, Unpack, hex_bytes};

impl Compiler<'_, '_> {
    pub(super) fn unpack(&mut self, number: usize, table: &UnpackTable) -> Option<Unpack> {
        let key = |name: &str| format!("unpack.{number}.{name}");
        let at = self.pointer(&key("at"), &table.at);
        let between = table.between.clone().filter(|between| !between.is_empty());
        let encoding = match table.packed {
            PackedWord::Base64 => Some(Encoding::Base64),
            PackedWord::Hex => Some(Encoding::Hex),
            PackedWord::Bytes => Some(Encoding::Bytes),
            PackedWord::Registers => Some(Encoding::Registers),
            PackedWord::Json | PackedWord::Pairs | PackedWord::List => None,
        };
        let binary =
            table.endian.is_some() || table.length.is_some() || !table.bytes.is_empty() || !table.tags.is_empty();
        if encoding.is_none() && binary {
            self.fault(&key("as"), "is no binary, so it has no `endian`, `length`, `bytes` or `tags`", "remove them");
        }
        let packed = match (table.packed, encoding) {
            (PackedWord::Pairs, _) => match (between, table.sign.clone().filter(|sign| !sign.is_empty())) {
                (Some(between), Some(sign)) => Packed::Pairs { between, sign },
                _ => return self.lacks(&key("as"), "pairs need `between` and `sign`"),
            },
            (PackedWord::List, _) => match between {
                Some(between) => Packed::List { between },
                None => return self.lacks(&key("as"), "a list needs `between`"),
            },
            (_, Some(encoding)) => Packed::Binary {
                encoding,
                layout: self.layout(&key(""), table)?,
                endian: table.endian.map(Endian::from).unwrap_or_default(),
                length: table.length.map(|length| match length {
                    Length::Exactly(length) => (length, length),
                    Length::Between(least, most) => (least, most),
                }),
            },
            (_, None) => Packed::Json,
        };
        Some(Unpack { at: at?, packed })
    }

    pub(super) fn lacks<T>(&mut self, key: &str, problem: &str) -> Option<T> {
        self.fault(key, problem, SEE);
        None
    }

    fn layout(&mut self, prefix: &str, table: &UnpackTable) -> Option<Layout> {
        if table.length_bytes.is_some_and(|length| table.tags.is_empty() || !(1..=4).contains(&length)) {
            return self.lacks(&format!("{prefix}length_bytes"), "goes with `tags`, from 1 to 4 bytes");
        }
        match (table.bytes.is_empty(), table.tags.is_empty()) {
            (true, true) => Some(Layout::Text),
            (false, true) => self.entries(&format!("{prefix}bytes"), &table.bytes).map(Layout::Table),
            (true, false) => {
                let tags: Option<Vec<Tag>> = table
                    .tags
                    .iter()
                    .enumerate()
                    .map(|(number, tag)| self.tag(&format!("{prefix}tags.{number}"), tag))
                    .collect();
                let tags = tags?;
                let length = tags.first().map_or(0, |tag| tag.tag.len());
                if tags.iter().any(|tag| tag.tag.len() != length) {
                    return self.lacks(&format!("{prefix}tags"), "has tags of different lengths");
                }
                Some(Layout::Tags { tags, length_bytes: table.length_bytes })
            }
            (false, false) => self.lacks(&format!("{prefix}tags"), "is there besides `bytes`"),
        }
    }

    fn entries(&mut self, key: &str, tables: &[EntryTable]) -> Option<Vec<Entry>> {
        let compile = |(number, table): (usize, &EntryTable)| {
            let key = format!("{key}.{number}");
            Some(Entry {
                name: table.name.clone(),
                offset: table.offset,
                form: self.form(&key, Some(table.form), table.size, &table.bytes)?,
                endian: table.endian.map(Endian::from),
                optional: table.optional,
            })
        };
        // All of them are looked at, that all faults are told.
        tables.iter().enumerate().map(compile).collect::<Vec<_>>().into_iter().collect()
    }

    fn tag(&mut self, key: &str, table: &TagTable) -> Option<Tag> {
        let tag = self.take(&format!("{key}.tag"), hex_bytes(&table.tag));
        if tag.as_ref().is_some_and(Vec::is_empty) {
            return self.lacks(&format!("{key}.tag"), "is empty");
        }
        let form = self.form(key, table.form, table.size, &table.bytes);
        let endian = table.endian.map(Endian::from);
        Some(Tag { tag: tag?, name: table.name.clone(), form: form?, endian, list: table.list })
    }

    fn form(&mut self, key: &str, word: Option<FormWord>, size: Option<usize>, bytes: &[EntryTable]) -> Option<Form> {
        let sized = size.filter(|size| (1..=4096).contains(size));
        let int = |bytes, signed| Some(Form::Int { bytes, signed });
        let Some(word) = word else {
            let Some(size) = sized else { return self.lacks(&format!("{key}.tag"), "needs a `type` or a `size`") };
            return Some(Form::Table(size, self.entries(&format!("{key}.bytes"), bytes)?));
        };
        let takes_size = matches!(word, FormWord::Bcd | FormWord::Text | FormWord::Hex | FormWord::Records);
        let to_the_end = size.is_none() && matches!(word, FormWord::Text | FormWord::Hex);
        if takes_size && sized.is_none() && !to_the_end {
            return self.lacks(&format!("{key}.type"), "needs a `size` from 1 to 4096");
        }
        if !takes_size && size.is_some() {
            return self.lacks(&format!("{key}.size"), "does not go with this type, which has its own");
        }
        if word != FormWord::Records && !bytes.is_empty() {
            return self.lacks(&format!("{key}.bytes"), "goes with `records`, or with a tag's `size`");
        }
        let size = sized.unwrap_or(1);
        match word {
            FormWord::U8 => int(1, false),
            FormWord::I8 => int(1, true),
            FormWord::U16 => int(2, false),
            FormWord::I16 => int(2, true),
            FormWord::U24 => int(3, false),
            FormWord::I24 => int(3, true),
            FormWord::U32 => int(4, false),
            FormWord::I32 => int(4, true),
            FormWord::U64 => int(8, false),
            FormWord::I64 => int(8, true),
            FormWord::F32 => Some(Form::F32),
            FormWord::F64 => Some(Form::F64),
            FormWord::Bcd if size > 8 => self.lacks(&format!("{key}.size"), "has more than the 16 digits of a number"),
            FormWord::Bcd => Some(Form::Bcd(size)),
            FormWord::Text => Some(Form::Text(sized)),
            FormWord::Hex => Some(Form::Hex(sized)),
            FormWord::Records => Some(Form::Records(size, self.entries(&format!("{key}.bytes"), bytes)?)),
        }
    }
}
