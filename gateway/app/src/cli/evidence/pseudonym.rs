//! Places and devices leave by other names: always the same at one site, and nobody without its key can tell whose.

use anyhow::Context;
use sha2::{Digest, Sha256};
use std::io::ErrorKind;
use std::path::Path;

use crate::private;

const KEY_FILE: &str = "site.key";
/// 48 bits: no two of a site's devices meet by chance.
const DIGITS: usize = 12;

/// Makes pseudonyms.
pub(super) struct Pseudonyms {
    key: [u8; 32],
}

impl Pseudonyms {
    /// With the key of this data folder, which is made if absent.
    ///
    /// # Errors
    /// Where the key cannot be read or made.
    pub(super) fn open(data_dir: &Path) -> anyhow::Result<Self> {
        if let Some(found) = read(data_dir)? {
            return Ok(found);
        }
        // Two exports at once make one key.
        let _lock = private::lock(data_dir, "site.key.lock")?;
        if let Some(found) = read(data_dir)? {
            return Ok(found);
        }
        let key = private::random()?;
        private::replace(data_dir, KEY_FILE, &key)?;
        Ok(Self { key })
    }

    /// The pseudonym of a `place` or a `device`: the beginning of SHA-256 over key, kind and id.
    pub(super) fn of(&self, kind: &str, id: &str) -> String {
        let digest =
            Sha256::new().chain_update(self.key).chain_update(kind).chain_update([0]).chain_update(id).finalize();
        private::hex(&digest).chars().take(DIGITS).collect()
    }
}

fn read(data_dir: &Path) -> anyhow::Result<Option<Pseudonyms>> {
    let path = data_dir.join(KEY_FILE);
    match std::fs::read(&path) {
        Ok(bytes) => {
            let wrong = |_| {
                anyhow::anyhow!(
                    "{} is not a key of 32 bytes; put it back from a backup, or remove it: pseudonyms will be others then",
                    path.display()
                )
            };
            Ok(Some(Pseudonyms { key: bytes.try_into().map_err(wrong)? }))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(error).with_context(|| format!("{} cannot be read; run this as its owner or as root", path.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_site_keeps_its_pseudonyms_and_another_has_others() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let name = |folder: &tempfile::TempDir| Pseudonyms::open(folder.path()).unwrap().of("device", "band-1");
        let first = name(&one);
        assert!(first.len() == 12 && first.bytes().all(|digit| digit.is_ascii_hexdigit()), "{first}");
        assert_eq!(first, name(&one));
        assert_ne!(first, name(&two));
        assert_ne!(first, Pseudonyms::open(one.path()).unwrap().of("place", "band-1"));
        let key = one.path().join(KEY_FILE);
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&key, "short").unwrap();
        let error = Pseudonyms::open(one.path()).err().unwrap().to_string();
        assert!(error.contains("site.key is not a key of 32 bytes; put it back"), "{error}");
    }
}
