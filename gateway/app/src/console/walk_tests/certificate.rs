//! What a finished walk-test says, and the gateway's signature on it: Ed25519 (RFC 8032) over the text itself, so that
//! nobody has to write JSON in one way.

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::pem;
use crate::private::{self, hex};

/// The gateway's key, in the data folder and in a backup.
pub(crate) const KEY: &str = "walk-test-key.pem";

/// A document with its signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Signed {
    /// JSON. What is signed is this text, byte by byte.
    pub(super) document: String,
    /// Of the document, in hexadecimal.
    pub(super) sha256: String,
    /// Ed25519, in Base64.
    pub(super) signature: String,
    /// PEM, as `openssl pkeyutl -verify` takes it.
    pub(super) public_key: String,
}

/// An Ed25519 key as SubjectPublicKeyInfo begins so (RFC 8410, 4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

impl Signed {
    /// Signs with the gateway's key; makes that where there is none.
    ///
    /// # Errors
    /// Where the key cannot be read or written.
    pub(super) fn sign(data_dir: &Path, document: String) -> anyhow::Result<Self> {
        let key = match read_key(data_dir)? {
            Some(key) => key,
            None => make_key(data_dir)?,
        };
        let sha256 = hex(&Sha256::digest(document.as_bytes()));
        let signature = STANDARD.encode(key.sign(document.as_bytes()).as_ref());
        let public = [&SPKI, key.public_key().as_ref()].concat();
        Ok(Self { document, sha256, signature, public_key: pem::written("PUBLIC KEY", &public) })
    }

    /// Whether it is as this gateway has signed it.
    ///
    /// # Errors
    /// Where the gateway's key cannot be read.
    pub(super) fn is_valid(&self, data_dir: &Path) -> anyhow::Result<bool> {
        let Some(key) = read_key(data_dir)? else { return Ok(false) };
        let Ok(signature) = STANDARD.decode(&self.signature) else { return Ok(false) };
        let public = UnparsedPublicKey::new(&ED25519, key.public_key().as_ref());
        Ok(public.verify(self.document.as_bytes(), &signature).is_ok()
            && self.sha256 == hex(&Sha256::digest(self.document.as_bytes())))
    }
}

/// The gateway's key, where it has one.
fn read_key(data_dir: &Path) -> anyhow::Result<Option<Ed25519KeyPair>> {
    let path = data_dir.join(KEY);
    match fs::read(&path) {
        Ok(text) => match PrivateKeyDer::from_pem_slice(&text) {
            Ok(PrivateKeyDer::Pkcs8(der)) => pair(der.secret_pkcs8_der()).map(Some),
            _ => bail!("{} holds no private key; put it back from a backup", path.display()),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

fn make_key(data_dir: &Path) -> anyhow::Result<Ed25519KeyPair> {
    let Ok(der) = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()) else {
        bail!("the system gives no random numbers")
    };
    private::replace(data_dir, KEY, pem::written("PRIVATE KEY", der.as_ref()).as_bytes())?;
    pair(der.as_ref())
}

fn pair(der: &[u8]) -> anyhow::Result<Ed25519KeyPair> {
    Ed25519KeyPair::from_pkcs8(der)
        .map_err(|error| anyhow::anyhow!("{KEY} is no Ed25519 key: {error}; put it back from a backup"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_holds_after_a_restart_and_nothing_else_does() {
        let dir = tempfile::tempdir().unwrap();
        let signed = Signed::sign(dir.path(), "{\"passed\":false}".into()).unwrap();
        assert!(signed.is_valid(dir.path()).unwrap());
        let forged = Signed {
            document: "{\"passed\":true}".into(),
            sha256: hex(&Sha256::digest(b"{\"passed\":true}")),
            ..signed.clone()
        };
        assert!(!forged.is_valid(dir.path()).unwrap());
        let other = tempfile::tempdir().unwrap();
        let by_other = Signed::sign(other.path(), signed.document.clone()).unwrap();
        assert!(!by_other.is_valid(dir.path()).unwrap(), "another gateway's signature is not ours");
        assert_eq!(Signed::sign(dir.path(), signed.document.clone()).unwrap(), signed);
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(dir.path().join(KEY)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "nobody else reads the key");
        fs::remove_file(other.path().join(KEY)).unwrap();
        assert!(!by_other.is_valid(other.path()).unwrap() && !other.path().join(KEY).exists(), "a look makes no key");
        fs::write(dir.path().join(KEY), "x").unwrap();
        let error = Signed::sign(dir.path(), "{}".into()).unwrap_err().to_string();
        assert!(error.contains(KEY) && error.contains("backup"), "{error}");
    }
}
