//! `registry.toml` in the data folder: places and devices, with the hashes of the devices' secrets.
//!
//! `ninewatch place`, `ninewatch device` and the console write it, the gateway reads it and follows its changes.
//! It is replaced as a whole, so that a reader sees the former one or the new one.

pub(crate) mod edit;

use anyhow::Context;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq;

use ninewatch_core::fault::Fault;
use ninewatch_core::site::Registry;

use crate::config::Faults;
use crate::private::{hex, lock, random, replace, typable, unhex};

const FILE: &str = "registry.toml";
const HEADER: &str = "# Written by `ninewatch place`, `ninewatch device` and the console; other comments are lost at the next change.\n\n";

/// The file in this data folder.
pub(crate) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE)
}

/// Reads the registry; one that is not there yet is empty.
///
/// # Errors
/// Where it cannot be read, or every fault in it.
pub(crate) fn load(data_dir: &Path) -> anyhow::Result<Registry> {
    let path = path(data_dir);
    let name = path.display().to_string();
    match fs::read_to_string(&path) {
        Ok(source) => Ok(Registry::parse(&name, &source).map_err(Faults)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Registry::default()),
        Err(error) => Err(error).with_context(|| format!("{name} cannot be read")),
    }
}

/// Changes the registry: what `change` leaves is written, unless it fails or leaves a fault.
/// Makes the data folder if it is absent. Two at once wait for each other.
///
/// # Errors
/// Those of `change`, every fault in what it left, or that the folder cannot be written. Then
/// nothing has changed.
pub(crate) fn update<T>(data_dir: &Path, change: impl FnOnce(&mut Registry) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let _lock = lock(data_dir, "registry.lock")?;
    let path = path(data_dir);
    let mut registry = load(data_dir)?;
    let result = change(&mut registry)?;
    let faults: Vec<Fault> = registry
        .problems()
        .into_iter()
        .map(|(key, problem, mend)| Fault {
            file: path.display().to_string(),
            line: None,
            key,
            problem,
            mend,
            former_goes_on: false,
        })
        .collect();
    if !faults.is_empty() {
        return Err(Faults(faults).into());
    }
    let text = format!("{HEADER}{}", toml::to_string(&registry)?);
    replace(data_dir, FILE, text.as_bytes())?;
    Ok(result)
}

/// A device's secret as it is told once, when it is made.
pub(crate) struct Secret(String);

/// Of four symbols and so 20 bits each: 140 bits, past what anybody can guess.
const GROUPS: usize = 7;

impl Secret {
    /// A new one from the system's randomness.
    ///
    /// # Errors
    /// Where the system has none.
    pub(crate) fn generate() -> anyhow::Result<Self> {
        Ok(Self(typable(GROUPS)?))
    }

    /// As it is typed into the device: seven groups of four, `k3x9-…`.
    pub(crate) fn shown(&self) -> String {
        self.0.clone()
    }

    /// As it stands in the registry: `sha256:<salt>:<hash>`, in hex.
    ///
    /// A fast hash is right here: it is slow hashes that protect what people think of, and this is
    /// 140 random bits. Thousands of devices may log in at once after a power cut.
    ///
    /// # Errors
    /// Where the system has no randomness.
    pub(crate) fn stored(&self) -> anyhow::Result<String> {
        let salt: [u8; 16] = random()?;
        Ok(format!("sha256:{}:{}", hex(&salt), hex(&hash(&salt, self.0.as_bytes()))))
    }
}

/// Whether `given` is the secret whose hash is `stored`. An empty or malformed `stored` fits nothing.
pub(crate) fn verify(stored: &str, given: &[u8]) -> bool {
    let parts = stored.strip_prefix("sha256:").and_then(|rest| rest.split_once(':'));
    let Some((Some(salt), Some(expected))) = parts.map(|(salt, hash)| (unhex(salt), unhex(hash))) else {
        return false;
    };
    hash(&salt, given).ct_eq(expected.as_slice()).into()
}

fn hash(salt: &[u8], secret: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(salt).chain_update(secret).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ninewatch_core::site::{Device, Place, PlaceKind};
    use std::os::unix::fs::PermissionsExt;

    fn place(id: &str) -> Place {
        Place { id: id.into(), name: "店".into(), kind: PlaceKind::Shop, grid: "g1".into(), address: String::new() }
    }

    fn device(id: &str, place: &str) -> Device {
        Device {
            id: id.into(),
            sensor_type: "smoke".into(),
            place: place.into(),
            spot: String::new(),
            known_as: String::new(),
            person: None,
            secret: String::new(),
        }
    }

    fn add(dir: &Path, new: Place) -> anyhow::Result<()> {
        update(dir, |registry| {
            registry.places.push(new);
            Ok(())
        })
    }

    #[test]
    fn what_is_written_is_read_again_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("deep/data");
        assert_eq!(load(&data).unwrap(), Registry::default(), "absent is empty");
        let count = update(&data, |registry| {
            registry.places.push(place("shop"));
            registry.devices.push(device("smoke-1", "shop"));
            Ok(registry.devices.len())
        });
        assert_eq!(count.unwrap(), 1);
        assert_eq!(load(&data).unwrap().devices, [device("smoke-1", "shop")]);
        assert_eq!(fs::metadata(path(&data)).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_change_that_fails_or_leaves_a_fault_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        add(dir.path(), place("shop")).unwrap();
        let before = fs::read_to_string(path(dir.path())).unwrap();
        let fault = update(dir.path(), |registry| {
            registry.devices.push(device("d", "nowhere"));
            Ok(())
        });
        let fault = fault.unwrap_err();
        assert!(fault.to_string().contains("there is no place `nowhere`"), "{fault}");
        let failed: anyhow::Result<()> = update(dir.path(), |registry| {
            registry.places.clear();
            anyhow::bail!("no")
        });
        failed.unwrap_err();
        assert_eq!(fs::read_to_string(path(dir.path())).unwrap(), before);
    }

    #[test]
    fn a_fault_in_the_file_is_named_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(path(dir.path()), "[[device]]\nid = \"d\"\ntype = \"smoke\"\nplace = \"gone\"\n").unwrap();
        let fault = load(dir.path()).unwrap_err().to_string();
        assert!(fault.contains("registry.toml:4: `device.0.place`"), "{fault}");
        let refused = update(dir.path(), |_| Ok(())).unwrap_err().to_string();
        assert_eq!(refused, fault, "a broken registry is not written over");
    }

    #[test]
    fn changes_at_the_same_time_are_all_kept() {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for number in 0..8 {
                let dir = dir.path();
                scope.spawn(move || add(dir, place(&format!("p{number}"))));
            }
        });
        assert_eq!(load(dir.path()).unwrap().places.len(), 8);
    }

    #[test]
    fn a_secret_opens_its_own_hash_only() {
        let (secret, other) = (Secret::generate().unwrap(), Secret::generate().unwrap());
        let stored = secret.stored().unwrap();
        assert!(verify(&stored, secret.shown().as_bytes()));
        assert!(!verify(&stored, other.shown().as_bytes()));
        assert!(!stored.contains(&secret.shown()));
        assert_ne!(stored, secret.stored().unwrap(), "salted");
        assert_eq!(secret.shown().len(), 34);
        for broken in ["", "sha256:", "sha256::", "sha256:zz:00", "md5:00:00", &stored[..stored.len() - 1]] {
            assert!(!verify(broken, b""), "{broken}");
            assert!(!verify(broken, secret.shown().as_bytes()), "{broken}");
        }
    }

    #[test]
    fn the_hash_is_salted_sha_256() {
        // printf '\x01\x02secret' | sha256sum
        let stored = "sha256:0102:b26e945daf312778c67a7da6ab61750877e57871a91304b1d945c2a4b084c5f8";
        assert!(verify(stored, b"secret"));
        assert!(!verify(stored, b"Secret"));
    }
}
