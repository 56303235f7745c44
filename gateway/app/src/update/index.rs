//! The repository's index and the signature on it: a DSSE envelope, Ed25519.

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

use ninewatch_core::alert::Text;
use ninewatch_core::time::TimeMs;

use super::{ARCH, Version};
use crate::private::hex;

const PAYLOAD_TYPE: &str = "application/vnd.ninewatch.releases+json";
const PREFIX: &str = "ed25519:";

/// The index's name in the repository, and in a slot.
pub(super) const INDEX: &str = "index.json";
/// Where the packages are in the repository.
pub(super) const PACKAGES: &str = "packages";

/// What a signature is checked by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicKey([u8; 32]);

impl PublicKey {
    /// `ed25519:` and Base64.
    ///
    /// # Errors
    /// Where it is something else.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let bytes = text.trim().strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok());
        let key = bytes.and_then(|bytes| bytes.try_into().ok());
        key.map(Self)
            .with_context(|| format!("`{text}` is no key: one begins with `{PREFIX}` and has 44 signs behind it"))
    }

    /// As it stands in a site file.
    pub(crate) fn text(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(self.0))
    }

    /// Tells keys apart.
    fn id(&self) -> String {
        hex(&Sha256::digest(self.0)).chars().take(16).collect()
    }
}

/// What signs.
pub(super) struct PrivateKey(Ed25519KeyPair);

impl PrivateKey {
    /// A new one, as PKCS#8 in PEM.
    pub(super) fn make() -> anyhow::Result<(Self, String)> {
        let Ok(der) = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()) else {
            bail!("the system gives no random numbers")
        };
        Ok((Self::of(der.as_ref())?, crate::pem::written("PRIVATE KEY", der.as_ref())))
    }

    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read(path).with_context(|| {
            format!("the key {} cannot be read; `ninewatch release key --to DIR` makes one", path.display())
        })?;
        let named = || format!("{} holds no private Ed25519 key", path.display());
        match PrivateKeyDer::from_pem_slice(&text) {
            Ok(PrivateKeyDer::Pkcs8(der)) => Self::of(der.secret_pkcs8_der()).with_context(named),
            _ => bail!(named()),
        }
    }

    fn of(der: &[u8]) -> anyhow::Result<Self> {
        Ed25519KeyPair::from_pkcs8(der).map(Self).map_err(|error| anyhow::anyhow!("this is no Ed25519 key: {error}"))
    }

    pub(super) fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(self.0.public_key().as_ref()).for_each(|(to, from)| *to = *from);
        PublicKey(bytes)
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload_type: String,
    payload: String,
    signatures: Vec<Signature>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Signature {
    keyid: String,
    sig: String,
}

/// What is signed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Index {
    /// Only ever rises.
    pub(crate) serial: u64,
    pub(crate) issued: TimeMs,
    pub(crate) releases: Vec<Release>,
    /// For each ring, which version of each kind is meant.
    pub(crate) rings: BTreeMap<String, BTreeMap<String, Version>>,
}

/// A package.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Release {
    /// `program`; a gateway passes over what it does not know.
    pub(crate) kind: String,
    pub(crate) version: Version,
    pub(crate) arch: String,
    pub(crate) file: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    /// The format of the journal that it reads and writes.
    pub(crate) journal: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) notes: Option<Text>,
    /// Every file that is in it: what is started is compared with this, not what was fetched.
    pub(crate) contents: Vec<Content>,
}

/// A file of a package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Content {
    pub(crate) path: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

/// The kind of the gateway's program.
pub(crate) const PROGRAM: &str = "program";
/// The architecture of what is no program.
pub(super) const ALL: &str = "all";

impl Index {
    /// Reads an index whose signature one of the keys bears out.
    ///
    /// # Errors
    /// Where none does, or it is no index.
    pub(super) fn open(text: &[u8], keys: &[PublicKey]) -> anyhow::Result<Self> {
        let envelope: Envelope = serde_json::from_slice(text).context("this is no signed index")?;
        if envelope.payload_type != PAYLOAD_TYPE {
            bail!("this is no index of releases but `{}`", envelope.payload_type);
        }
        let payload = STANDARD.decode(&envelope.payload).context("the index is not in Base64")?;
        let signed = pae(&payload);
        let bears = |signature: &Signature| {
            let Ok(bytes) = STANDARD.decode(&signature.sig) else { return false };
            keys.iter().any(|key| UnparsedPublicKey::new(&ED25519, key.0).verify(&signed, &bytes).is_ok())
        };
        if !envelope.signatures.iter().any(bears) {
            let by: Vec<&str> = envelope.signatures.iter().map(|one| one.keyid.as_str()).collect();
            let ours: Vec<String> = keys.iter().map(PublicKey::id).collect();
            bail!(
                "the index is not signed by a key that `update.key` names ({}), but by {}",
                ours.join(", "),
                by.join(", ")
            );
        }
        serde_json::from_slice(&payload)
            .context("the index cannot be understood; a newer program may have to be installed by hand")
    }

    /// Signs it.
    pub(super) fn seal(&self, key: &PrivateKey) -> anyhow::Result<Vec<u8>> {
        let payload = serde_json::to_vec(self)?;
        let signature =
            Signature { keyid: key.public().id(), sig: STANDARD.encode(key.0.sign(&pae(&payload)).as_ref()) };
        let payload = STANDARD.encode(payload);
        let envelope = Envelope { payload_type: PAYLOAD_TYPE.into(), payload, signatures: vec![signature] };
        Ok(serde_json::to_vec_pretty(&envelope)?)
    }

    /// The package of this version that this machine can use.
    pub(super) fn find(&self, kind: &str, version: &Version) -> Option<&Release> {
        let is_for_us = |arch: &str| arch == ARCH || arch == ALL;
        self.releases.iter().find(|one| one.kind == kind && one.version == *version && is_for_us(&one.arch))
    }

    /// The version of a kind that a ring means.
    pub(super) fn meant(&self, ring: &str, kind: &str) -> Option<&Version> {
        self.rings.get(ring)?.get(kind)
    }
}

/// What is signed of an envelope: DSSE's pre-authentication encoding.
fn pae(payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_known_key_has_signed_is_read() {
        let (key, pem) = PrivateKey::make().unwrap();
        let index = Index { serial: 3, ..Index::default() };
        let sealed = index.seal(&key).unwrap();
        let (other, _) = PrivateKey::make().unwrap();
        assert_eq!(Index::open(&sealed, &[other.public(), key.public()]).unwrap(), index, "a key may follow another");
        let error = Index::open(&sealed, &[other.public()]).unwrap_err().to_string();
        assert!(error.contains("update.key") && error.contains(&key.public().id()), "{error}");
        let mut envelope: Envelope = serde_json::from_slice(&sealed).unwrap();
        envelope.payload = STANDARD.encode(serde_json::to_vec(&Index { serial: 4, ..index }).unwrap());
        assert!(Index::open(&serde_json::to_vec(&envelope).unwrap(), &[key.public()]).is_err(), "not another text");
        assert_eq!(PublicKey::parse(&key.public().text()).unwrap(), key.public());
        assert!(PublicKey::parse("ed25519:abc").is_err());
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("k"), pem).unwrap();
        assert_eq!(PrivateKey::read(&dir.path().join("k")).unwrap().public(), key.public());
    }
}
