//! An image onto a card, in order, and back again to see that it is there.

use anyhow::{Context, ensure};
use indicatif::ProgressBar;
use sha2::{Digest, Sha256};
use std::path::Path;

use super::card::{BLOCK, CHUNK, Card, trouble};
use super::image::Image;
use super::table::Table;
use crate::private::hex;

/// What was written.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) table: Table,
    /// Of the image, unpacked.
    pub(super) sha256: String,
    bytes: u64,
}

/// Writes the image, and comes back when all of it is on the card.
///
/// # Errors
/// Where the image is not whole or is none, or the card does not take it.
pub(super) fn write(path: &Path, card: &mut dyn Card, progress: &ProgressBar) -> anyhow::Result<Written> {
    let mut image = Image::open(path)?;
    progress.set_length(image.file_bytes()?);
    let mut chunk = vec![0; CHUNK];
    let mut digest = Sha256::new();
    let (mut at, mut table) = (0, None);
    loop {
        let filled = image.fill(&mut chunk)?;
        if table.is_none() {
            let read = Table::read(chunk.get(..filled).unwrap_or_default());
            let read = read.with_context(|| format!("{} cannot be flashed", path.display()))?;
            fits(card, read.end)?;
            table = Some(read);
        }
        if filled == 0 {
            break;
        }
        digest.update(chunk.get(..filled).unwrap_or_default());
        fits(card, at + filled as u64)?;
        let padded = padded(&mut chunk, filled, card, at);
        card.write(at, padded).map_err(|error| trouble(error, "writing", at))?;
        at += filled as u64;
        progress.set_position(image.file_position()?);
        if filled < CHUNK {
            break;
        }
    }
    card.sync().map_err(|error| trouble(error, "the last writing before", at))?;
    let table = table.with_context(|| format!("{} is empty", path.display()))?;
    ensure!(
        at >= table.end,
        "the image {} is cut short: it has {at} of {} bytes; fetch it anew",
        path.display(),
        table.end
    );
    Ok(Written { table, sha256: hex(&digest.finalize()), bytes: at })
}

/// Reads the card and compares it with the image.
///
/// # Errors
/// The first byte that differs.
pub(super) fn verify(
    path: &Path,
    written: &Written,
    card: &mut dyn Card,
    progress: &ProgressBar,
) -> anyhow::Result<()> {
    let mut image = Image::open(path)?;
    progress.set_length(image.file_bytes()?);
    let (mut wanted, mut found) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut at = 0;
    loop {
        let filled = image.fill(&mut wanted)?;
        let wanted = padded(&mut wanted, filled, card, at);
        let found = found.get_mut(..wanted.len()).unwrap_or_default();
        card.read(at, found).map_err(|error| trouble(error, "reading", at))?;
        same(at, wanted, found)?;
        at += filled as u64;
        progress.set_position(image.file_position()?);
        if filled < CHUNK {
            break;
        }
    }
    ensure!(at == written.bytes, "the image {} changed while it was written; flash it again", path.display());
    Ok(())
}

/// What was to be at `at`, and what the card gives back.
pub(super) fn same(at: u64, wanted: &[u8], found: &[u8]) -> anyhow::Result<()> {
    if wanted == found {
        return Ok(());
    }
    let differs = wanted.iter().zip(found).enumerate().find(|(_, (wanted, found))| wanted != found);
    let (index, (wanted, found)) = differs.with_context(|| format!("the card gives back too little at byte {at}"))?;
    anyhow::bail!(
        "the card does not keep what is written: byte {} is {found:#04x} and was written as {wanted:#04x}. It must not \
         be used; take another card",
        at + index as u64
    )
}

fn fits(card: &dyn Card, bytes: u64) -> anyhow::Result<()> {
    let capacity = card.capacity().unwrap_or(u64::MAX);
    ensure!(
        bytes <= capacity,
        "the card is too small: it takes {capacity} bytes, and the image has {bytes}; take a larger one"
    );
    Ok(())
}

/// What is filled of a chunk, and zeros up to the next block or the card's end.
fn padded<'c>(chunk: &'c mut [u8], filled: usize, card: &dyn Card, at: u64) -> &'c [u8] {
    let left = card.capacity().map_or(usize::MAX, |all| usize::try_from(all.saturating_sub(at)).unwrap_or(usize::MAX));
    let length = filled.next_multiple_of(BLOCK).min(left).max(filled).min(chunk.len());
    if let Some(rest) = chunk.get_mut(filled..length) {
        rest.fill(0);
    }
    chunk.get(..length).unwrap_or_default()
}
