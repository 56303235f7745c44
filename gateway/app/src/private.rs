//! What only the gateway's user may read: files in the data folder, and secrets for people to type.

use anyhow::Context;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Makes the data folder, for its owner alone, if it is absent.
///
/// # Errors
/// Where it cannot be made.
pub(crate) fn make_data_dir(data_dir: &Path) -> anyhow::Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(data_dir);
    made.with_context(|| format!("the data folder {} cannot be made", data_dir.display()))
}

/// Waits for the lock `name` of the data folder, which is made if absent. Held until it is dropped.
///
/// # Errors
/// Where the folder cannot be written.
pub(crate) fn lock(data_dir: &Path, name: &str) -> anyhow::Result<File> {
    let unwritable = || format!("{} cannot be written; run this as its owner or as root", data_dir.display());
    make_data_dir(data_dir)?;
    let path = data_dir.join(name);
    let lock = File::create(&path).with_context(unwritable)?;
    give_to_owner(data_dir, &path).with_context(unwritable)?;
    lock.lock().with_context(unwritable)?;
    Ok(lock)
}

/// Puts a file that only the data folder's owner may read in the place of another: a reader sees the
/// former one or the new one, whole, also after a power cut.
///
/// # Errors
/// Where it cannot be written.
pub(crate) fn replace(data_dir: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let unwritable = || format!("{name} in {} cannot be written; run this as its owner or as root", data_dir.display());
    let new = data_dir.join(format!("{name}.new"));
    write(&new, bytes)?;
    give_to_owner(data_dir, &new).with_context(unwritable)?;
    fs::rename(&new, data_dir.join(name)).with_context(unwritable)?;
    File::open(data_dir).and_then(|dir| dir.sync_all()).with_context(unwritable)
}

/// Writes a file that only its owner can read, down to the disk.
///
/// # Errors
/// Where it cannot be written.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        // The mode above is only for a file that was not there.
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().with_context(|| format!("{} cannot be written", path.display()))
}

/// What root writes beside a person's files (by `sudo`) is that person's to read.
///
/// # Errors
/// Where the owner cannot be changed.
pub(crate) fn give_to_owner_of_folder(file: &Path) -> std::io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    give_to_owner(folder, file)
}

/// What root writes into the folder belongs to whom the folder belongs to: the gateway must read it.
pub(crate) fn give_to_owner(data_dir: &Path, file: &Path) -> std::io::Result<()> {
    let owner = fs::metadata(data_dir)?;
    if fs::metadata(file)?.uid() == owner.uid() {
        return Ok(());
    }
    std::os::unix::fs::chown(file, Some(owner.uid()), Some(owner.gid()))
}

/// Crockford's Base32: no letter can be taken for a digit.
const ALPHABET: [u8; 32] = *b"0123456789abcdefghjkmnpqrstvwxyz";
const GROUP: usize = 4;

/// Something random that a person can type: groups of four symbols, 20 bits each, as `k3x9-…`.
///
/// # Errors
/// Where the system has no randomness.
pub(crate) fn typable(groups: usize) -> anyhow::Result<String> {
    let group = || {
        let random: [u8; GROUP] = random()?;
        let symbol = |byte: u8| ALPHABET.get(usize::from(byte & 31)).map_or('0', |symbol| char::from(*symbol));
        anyhow::Ok(random.map(symbol).iter().collect::<String>())
    };
    Ok((0..groups).map(|_| group()).collect::<anyhow::Result<Vec<_>>>()?.join("-"))
}

/// Random bytes from the system.
///
/// # Errors
/// Where it has none.
pub(crate) fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))?;
    Ok(bytes)
}

/// Bytes as text, two digits each.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that [`hex`] wrote.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect()
}
