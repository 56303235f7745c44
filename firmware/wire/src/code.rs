//! The code that is printed on a node: its id and its key, to be scanned or typed when it is paired.
//!
//! `3F7K-Q2M9-…`: nine groups of four symbols of Crockford's base 32 (no I, L, O, U), 20 bits each: 32 bits of id, 128
//! of key, 20 of checksum. Who types it may use small letters, leave out the strokes, and take O for 0 and I or L for 1.

use core::fmt;

use crate::frame::{Key, NodeId, crc32};
use crate::identity::Identity;

/// Symbols of a code.
const SYMBOLS: usize = 36;
/// Symbols that carry id and key.
const CARRYING: usize = 32;
/// Bytes of id and key.
const BYTES: usize = 20;
const GROUP: usize = 4;
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A node's id and key, in print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code(pub Identity);

/// What is wrong with a code that somebody typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeError {
    /// It has so many symbols, and not 36.
    Length(usize),
    /// This is none of the symbols.
    Symbol(char),
    /// Its checksum does not fit: a symbol is wrong, or two have changed places.
    Checksum,
}

impl fmt::Display for CodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(length) => write!(f, "the code has {length} symbols, not {SYMBOLS}"),
            Self::Symbol(symbol) => write!(f, "`{symbol}` is in no code"),
            Self::Checksum => f.write_str("the code's checksum does not fit: a symbol is wrong, or two changed places"),
        }
    }
}

impl core::error::Error for CodeError {}

impl Code {
    /// Reads what was scanned or typed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        let mut symbols = [0_u8; SYMBOLS];
        let mut length = 0;
        for symbol in text.chars().filter(|symbol| !matches!(symbol, '-' | ' ')) {
            let value = value(symbol).ok_or(CodeError::Symbol(symbol))?;
            if let Some(slot) = symbols.get_mut(length) {
                *slot = value;
            }
            length += 1;
        }
        if length != SYMBOLS {
            return Err(CodeError::Length(length));
        }
        let mut bytes = [0_u8; BYTES];
        // Five bytes are eight symbols.
        for (bytes, symbols) in bytes.chunks_exact_mut(5).zip(symbols.chunks_exact(8)) {
            let bits = symbols.iter().fold(0_u64, |bits, symbol| bits << 5 | u64::from(*symbol));
            bytes.iter_mut().zip(bits.to_be_bytes().into_iter().skip(3)).for_each(|(slot, byte)| *slot = byte);
        }
        let told = symbols.iter().skip(CARRYING).fold(0_u32, |bits, symbol| bits << 5 | u32::from(*symbol));
        let (Some(id), Some(key)) = (bytes.first_chunk(), bytes.last_chunk()) else { return Err(CodeError::Checksum) };
        if told != checksum(&bytes) {
            return Err(CodeError::Checksum);
        }
        Ok(Self(Identity { id: NodeId(u32::from_be_bytes(*id)), key: Key(*key) }))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; BYTES];
        let all = self.0.id.0.to_be_bytes().into_iter().chain(self.0.key.0);
        bytes.iter_mut().zip(all).for_each(|(slot, byte)| *slot = byte);
        let carried = bytes.chunks_exact(5).flat_map(|part| {
            let bits = part.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
            (0..8).rev().map(move |place| bits >> (5 * place))
        });
        let check = checksum(&bytes);
        let checks = (0..4).rev().map(|place| u64::from(check >> (5 * place)));
        for (place, symbol) in carried.chain(checks).enumerate() {
            if place > 0 && place % GROUP == 0 {
                f.write_str("-")?;
            }
            let symbol = ALPHABET.get((symbol & 31) as usize).map_or('0', |symbol| char::from(*symbol));
            fmt::Write::write_char(f, symbol)?;
        }
        Ok(())
    }
}

/// 20 bits.
fn checksum(bytes: &[u8; BYTES]) -> u32 {
    crc32(bytes) >> 12
}

fn value(symbol: char) -> Option<u8> {
    let symbol = match symbol.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    let place = ALPHABET.iter().position(|known| char::from(*known) == symbol)?;
    u8::try_from(place).ok()
}
