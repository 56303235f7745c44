//! A backup that only who knows the passphrase can read: a stick walks away.
//!
//! ```text
//! ninewatch sealed backup 1
//! {"salt":"…","memory_kib":65536,"passes":3}      how the key is made of the passphrase: Argon2id (RFC 9106)
//! … 64 KiB of the backup and 16 bytes of tag, again and again; the last may be shorter …
//! ```
//!
//! Each piece is sealed by ChaCha20-Poly1305 (RFC 8439) under a number that says which one it is and whether it is the last,
//! so none can be left out, moved or cut off; the two lines are sealed with each. The salt is drawn anew for each file, so
//! no key is used for two.

use anyhow::{Context, bail, ensure};
use argon2::{Algorithm, Argon2, Params, Version};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Read, Write};
use std::path::Path;

use crate::private::{self, hex, unhex};

const MAGIC: &str = "ninewatch sealed backup ";
const VERSION: u32 = 1;
const PIECE: usize = 64 << 10;
const TAG: usize = 16;
/// No line of ours is longer.
const LONGEST_LINE: u64 = 1 << 10;
/// What RFC 9106 has for machines with little memory: 64 MiB, three passes.
const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;
/// A file that somebody made up shall not take the machine down.
const MOST_MEMORY_KIB: u32 = 1 << 20;
const MOST_PASSES: u32 = 16;
/// Four words, or a line of what a password manager draws. Whoever has the stick can try for years.
const SHORTEST: usize = 16;

/// What a backup is sealed with. It is never shown.
pub(crate) struct Passphrase(String);

impl Passphrase {
    /// Takes what a person gave.
    ///
    /// # Errors
    /// Where it is too short.
    pub(crate) fn new(text: &str) -> anyhow::Result<Self> {
        let text = text.trim_end_matches(['\r', '\n']);
        ensure!(
            text.chars().count() >= SHORTEST,
            "the passphrase has less than {SHORTEST} characters; take four words or more"
        );
        Ok(Self(text.to_owned()))
    }

    /// Reads it from a file that holds nothing else.
    ///
    /// # Errors
    /// Where the file cannot be read, or what it holds is too short.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        Self::new(&text).with_context(|| path.display().to_string())
    }
}

/// How the key is made.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    salt: String,
    memory_kib: u32,
    passes: u32,
}

/// A key, and which piece is next.
struct Sealer {
    key: LessSafeKey,
    head: Vec<u8>,
    pieces: u64,
}

impl Sealer {
    fn new(passphrase: &Passphrase, head: &Head, bytes: Vec<u8>) -> anyhow::Result<Self> {
        let is_ours = head.memory_kib <= MOST_MEMORY_KIB && (1..=MOST_PASSES).contains(&head.passes);
        ensure!(is_ours, "its key would take more memory or time than any of ours; it is damaged or made up");
        let salt = unhex(&head.salt).context("its salt is damaged")?;
        let strange = |error: argon2::Error| anyhow::anyhow!("no key can be made for it: {error}");
        let params = Params::new(head.memory_kib, head.passes, 1, Some(32)).map_err(strange)?;
        let mut key = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.0.as_bytes(), &salt, &mut key)
            .map_err(strange)?;
        let key =
            UnboundKey::new(&CHACHA20_POLY1305, &key).map_err(|_| anyhow::anyhow!("no key can be made for it"))?;
        Ok(Self { key: LessSafeKey::new(key), head: bytes, pieces: 0 })
    }

    fn next(&mut self, is_last: bool) -> Nonce {
        let mut nonce = [0; 12];
        let number = self.pieces.to_be_bytes();
        for (to, from) in nonce.iter_mut().skip(3).zip(number.into_iter().chain([u8::from(is_last)])) {
            *to = from;
        }
        self.pieces += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

/// Seals what is written to it.
pub(super) struct Sealing<W> {
    to: W,
    sealer: Sealer,
    waiting: Vec<u8>,
}

impl<W: Write> Sealing<W> {
    pub(super) fn new(mut to: W, passphrase: &Passphrase) -> anyhow::Result<Self> {
        let salt = hex(&private::random::<16>()?);
        let head = Head { salt, memory_kib: MEMORY_KIB, passes: PASSES };
        let bytes = format!("{MAGIC}{VERSION}\n{}\n", serde_json::to_string(&head)?).into_bytes();
        to.write_all(&bytes)?;
        Ok(Self { to, sealer: Sealer::new(passphrase, &head, bytes)?, waiting: Vec::with_capacity(PIECE + TAG) })
    }

    fn seal(&mut self, is_last: bool) -> io::Result<()> {
        let nonce = self.sealer.next(is_last);
        let sealed = self.sealer.key.seal_in_place_append_tag(nonce, Aad::from(&self.sealer.head), &mut self.waiting);
        sealed.map_err(|_| io::Error::other("a piece of the backup cannot be sealed"))?;
        self.to.write_all(&self.waiting)?;
        self.waiting.clear();
        Ok(())
    }

    /// Seals the last piece; without it the file is torn.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        Ok(self.to)
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full piece waits for what follows: it may be the last.
        if self.waiting.len() == PIECE {
            self.seal(false)?;
        }
        let taken = bytes.len().min(PIECE - self.waiting.len());
        self.waiting.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Whether a file begins as a sealed backup does.
pub(super) fn is_sealed(from: &mut impl BufRead) -> io::Result<bool> {
    Ok(from.fill_buf()?.starts_with(MAGIC.as_bytes()))
}

/// Opens what was sealed, as it is read.
pub(super) struct Opening<R> {
    from: R,
    sealer: Sealer,
    piece: Vec<u8>,
    /// How much of the piece was read.
    at: usize,
    is_over: bool,
}

impl<R: BufRead> Opening<R> {
    /// # Errors
    /// Where the passphrase is another one, or the file is damaged or of another version.
    pub(super) fn new(mut from: R, passphrase: &Passphrase) -> anyhow::Result<Self> {
        let mut bytes = Vec::new();
        from.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes)?;
        let line = std::str::from_utf8(&bytes)?.trim_end();
        match line.strip_prefix(MAGIC).map(str::parse) {
            Some(Ok(VERSION)) => {}
            Some(Ok(version)) => {
                let version: u32 = version;
                bail!(
                    "it is a sealed backup of version {version}, and this program reads version {VERSION}; use the \
                     program that made it, or a newer one"
                )
            }
            _ => bail!("it does not begin as a sealed backup does"),
        }
        let first = bytes.len();
        from.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes)?;
        let head = bytes.get(first..).and_then(|line| serde_json::from_slice(line).ok());
        let head: Head = head.context("it is torn or damaged near its beginning")?;
        let sealer = Sealer::new(passphrase, &head, bytes)?;
        let mut opening = Self { from, sealer, piece: Vec::with_capacity(PIECE + TAG), at: 0, is_over: false };
        opening.next_piece().context("the passphrase is another one, or it is damaged near its beginning")?;
        Ok(opening)
    }

    fn next_piece(&mut self) -> io::Result<()> {
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "it is torn, or damaged in the middle");
        self.piece.clear();
        self.at = 0;
        self.from.by_ref().take((PIECE + TAG) as u64).read_to_end(&mut self.piece)?;
        self.is_over = self.from.fill_buf()?.is_empty();
        let nonce = self.sealer.next(self.is_over);
        let opened = self.sealer.key.open_in_place(nonce, Aad::from(&self.sealer.head), &mut self.piece);
        let length = opened.map_err(|_| damaged())?.len();
        self.piece.truncate(length);
        Ok(())
    }
}

impl<R: BufRead> Read for Opening<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            if self.is_over {
                return Ok(0);
            }
            self.next_piece()?;
        }
        let rest = self.piece.get(self.at..).unwrap_or_default();
        let taken = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..taken), rest.get(..taken)) {
            to.copy_from_slice(from);
        }
        self.at += taken;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passphrase() -> Passphrase {
        Passphrase::new("one two three four\n").unwrap()
    }

    fn sealed(plain: &[u8]) -> Vec<u8> {
        let mut sealing = Sealing::new(Vec::new(), &passphrase()).unwrap();
        sealing.write_all(plain).unwrap();
        sealing.finish().unwrap()
    }

    fn opened(sealed: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut plain = Vec::new();
        Opening::new(sealed, &passphrase())?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    #[test]
    fn what_is_sealed_is_opened_again_whatever_its_length_and_shows_nothing() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE] {
            let plain: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            assert!(opened(&sealed(&plain)).unwrap() == plain, "{length}");
        }
        let secret = b"a password of a broker".repeat(9);
        let sealed = sealed(&secret);
        assert!(!sealed.windows(8).any(|part| part == b"password"));
        assert!(is_sealed(&mut sealed.as_slice()).unwrap() && !is_sealed(&mut &b"ninewatch backup 1\n"[..]).unwrap());
    }

    #[test]
    fn another_passphrase_opens_nothing_and_a_short_one_is_refused() {
        let other = Passphrase::new("one two three five").unwrap();
        let error = Opening::new(sealed(b"x").as_slice(), &other).err().unwrap();
        assert!(error.to_string().contains("passphrase is another one"), "{error}");
        assert!(Passphrase::new("short").err().unwrap().to_string().contains("four words"));
    }

    #[test]
    fn what_is_torn_changed_swapped_or_made_up_is_refused() {
        let plain = vec![7; 3 * PIECE + 100];
        let whole = sealed(&plain);
        let head = whole.len() - (3 * (PIECE + TAG) + 100 + TAG);
        for length in [0, 10, head, head + 5, head + PIECE + TAG, head + 2 * (PIECE + TAG), whole.len() - 1] {
            assert!(opened(&whole[..length]).is_err(), "torn after {length}");
        }
        for at in [0, 30, head - 3, head, head + PIECE + TAG + 1, whole.len() - 1] {
            let mut other = whole.clone();
            other[at] ^= 1;
            assert!(opened(&other).is_err(), "changed at {at}");
        }
        let mut swapped = whole.clone();
        let (first, second) = swapped[head..].split_at_mut(PIECE + TAG);
        first.swap_with_slice(&mut second[..PIECE + TAG]);
        assert!(opened(&swapped).is_err());
        assert!(opened(&[whole.as_slice(), b"more"].concat()).is_err());
        let greedy = b"ninewatch sealed backup 1\n{\"salt\":\"00112233445566778899aabbccddeeff\",\"memory_kib\":4294967295,\"passes\":3}\nx";
        assert!(opened(greedy).unwrap_err().to_string().contains("more memory"));
        assert!(opened(b"ninewatch sealed backup 2\n{}\n").unwrap_err().to_string().contains("version 2"));
    }
}
