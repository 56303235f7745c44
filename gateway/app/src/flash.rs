//! A card for one gateway: the image, written and read back; then what makes it this gateway and no other; then a sheet for
//! its box, and a row in the log by which it can be shut out. The reasons are in `docs/decisions/0029-flash.md`.

mod card;
mod disks;
mod folder;
mod identity;
mod image;
mod join;
mod papers;
mod revoke;
mod sheet;
mod table;
#[cfg(test)]
mod tests;
mod write;

use indicatif::ProgressBar;
use std::path::{Path, PathBuf};

use card::{Card, Medium};
pub(crate) use disks::{Disk, Machine};
pub(crate) use identity::{Identity, Wanted, host_name};
pub(crate) use join::Wifi;
pub(crate) use papers::Papers;
pub(crate) use revoke::{FlashLog, Row, row_of};
pub(crate) use sheet::sheet;

/// Where it goes.
pub(crate) enum Target {
    /// A card, all of which is written over.
    Disk(Disk),
    /// A file that is not there yet.
    File(PathBuf),
}

/// What is being done, for whoever waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The image goes onto the card.
    Writing,
    /// The card is read, and compared with the image.
    Verifying,
    /// The gateway's own files go onto it and are read back.
    Identity,
}

/// Makes the card. `begin` hears the image's SHA-256 before anything of the gateway is on it; where it fails, nothing is.
///
/// # Errors
/// What is wrong with the image or the card. The card must not be used then; a file is removed.
pub(crate) fn flash(
    image: &Path,
    target: &Target,
    identity: &Identity,
    begin: impl FnOnce(&str) -> anyhow::Result<()>,
    step: impl FnMut(Step) -> ProgressBar,
) -> anyhow::Result<String> {
    let mut medium = match target {
        Target::Disk(disk) => Medium::disk(disk)?,
        Target::File(path) => Medium::file(path)?,
    };
    let done = onto(&mut medium, image, identity, begin, step);
    if done.is_err() && matches!(target, Target::File(_)) {
        let _ = std::fs::remove_file(medium.path());
    }
    done
}

fn onto(
    card: &mut dyn Card,
    image: &Path,
    identity: &Identity,
    begin: impl FnOnce(&str) -> anyhow::Result<()>,
    mut step: impl FnMut(Step) -> ProgressBar,
) -> anyhow::Result<String> {
    let bar = step(Step::Writing);
    let written = write::write(image, card, &bar)?;
    bar.finish_and_clear();
    let bar = step(Step::Verifying);
    write::verify(image, &written, card, &bar)?;
    bar.finish_and_clear();
    begin(&written.sha256)?;
    let bar = step(Step::Identity);
    folder::put(card, written.table.fat, &identity.files)?;
    bar.finish_and_clear();
    Ok(written.sha256)
}
