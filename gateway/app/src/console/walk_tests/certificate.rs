//! What a finished walk-test says, and the gateway's signature on it: Ed25519 (RFC 8032) over the text itself, so that
//! nobody has to write JSON in one way.

use anyhow::{Context, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use ninewatch_core::time::TimeMs;

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

/// A certificate that somebody brings.
pub(crate) struct Certificate(Signed);

/// What a certificate says that is as it was signed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) gateway: String,
    pub(crate) id: String,
    pub(crate) finished_by: String,
    pub(crate) finished_at_ms: TimeMs,
    pub(crate) due_at_ms: TimeMs,
    pub(crate) passed: bool,
    /// How many passed, of how many.
    pub(crate) devices: (usize, usize),
    pub(crate) places: Vec<String>,
    /// Of the document, in hexadecimal.
    pub(crate) sha256: String,
    /// SHA-256 of the key that signed it, as a SubjectPublicKeyInfo.
    pub(crate) key: String,
}

impl Certificate {
    /// Reads what `GET /walk-tests/{id}` answers, or the `certificate` in it.
    ///
    /// # Errors
    /// Where there is none in it.
    pub(crate) fn read(text: &str) -> anyhow::Result<Self> {
        let json: Value = serde_json::from_str(text).context("it is not JSON; GET /api/v1/walk-tests/{id} gives it")?;
        let signed = match json.get("certificate") {
            Some(Value::Null) => bail!("this walk-test is not finished: there is no certificate yet"),
            Some(certificate) => certificate.clone(),
            None => json,
        };
        let signed = serde_json::from_value(signed).context("there is no walk-test's certificate in it")?;
        Ok(Self(signed))
    }

    /// Checks it by the key that is known to be the gateway's, or else by the one that it brings itself.
    ///
    /// # Errors
    /// Where it was changed, was signed by another key, or says nothing that can be read.
    pub(crate) fn verify(&self, known: Option<&str>) -> anyhow::Result<Told> {
        let Signed { document, sha256, signature, public_key } = &self.0;
        let key = public(known.unwrap_or(public_key)).context(if known.is_some() {
            "the key that was given is no public key in PEM, as `public_key` of a certificate is"
        } else {
            "the key in the certificate cannot be read"
        })?;
        let is_signed = STANDARD.decode(signature).is_ok_and(|signature| {
            UnparsedPublicKey::new(&ED25519, &key).verify(document.as_bytes(), &signature).is_ok()
        });
        if !is_signed {
            match known {
                Some(_) if Self::verify(self, None).is_ok() => {
                    bail!("NOT VALID: it was signed by another key than the one that was given")
                }
                _ => bail!("NOT VALID: it is not as it was signed"),
            }
        }
        let hash = hex(&Sha256::digest(document.as_bytes()));
        if *sha256 != hash {
            bail!("NOT VALID: the hash beside it is of another document");
        }
        let says: Says = serde_json::from_str(document).context("it is signed, and no walk-test's certificate")?;
        Ok(Told {
            devices: (says.devices.iter().filter(|one| one.passed == Some(true)).count(), says.devices.len()),
            places: says.places.into_iter().map(|one| one.name).collect(),
            gateway: says.gateway,
            id: says.id,
            finished_by: says.finished_by,
            finished_at_ms: says.finished_at_ms,
            due_at_ms: says.due_at_ms,
            passed: says.passed,
            sha256: hash,
            key: hex(&Sha256::digest([&SPKI, key.as_slice()].concat())),
        })
    }
}

/// What is read of a document.
#[derive(Deserialize)]
struct Says {
    gateway: String,
    id: String,
    finished_by: String,
    finished_at_ms: TimeMs,
    due_at_ms: TimeMs,
    passed: bool,
    places: Vec<Name>,
    devices: Vec<Passed>,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

#[derive(Deserialize)]
struct Passed {
    passed: Option<bool>,
}

/// The 32 bytes of an Ed25519 key in PEM.
fn public(pem: &str) -> anyhow::Result<Vec<u8>> {
    let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).map_err(|error| anyhow!("{error}"))?;
    let key = der.as_ref().strip_prefix(&SPKI).filter(|key| key.len() == 32);
    Ok(key.context("it is not of Ed25519")?.to_vec())
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

    #[test]
    fn a_certificate_is_verified_elsewhere_by_the_key_that_was_noted_down() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let document = r#"{"gateway":"g","id":"5f","finished_by":"li","finished_at_ms":1,"due_at_ms":2,"passed":true,
            "places":[{"name":"School"}],"devices":[{"passed":true},{"passed":false}]}"#;
        let signed = Signed::sign(dir.path(), document.into()).unwrap();
        let whole = serde_json::json!({ "id": "5f", "certificate": &signed }).to_string();
        let certificate = Certificate::read(&whole).unwrap();
        let told = certificate.verify(Some(&signed.public_key)).unwrap();
        assert_eq!((told.gateway.as_str(), told.devices, told.passed), ("g", (1, 2), true));
        assert_eq!((told.places.as_slice(), &told.sha256), (&["School".to_owned()][..], &signed.sha256));
        assert_eq!(certificate.verify(None).unwrap(), told);
        let alone = Certificate::read(&serde_json::to_string(&signed).unwrap()).unwrap();
        assert!(alone.verify(None).is_ok());

        let refused =
            |signed: &Signed, key: Option<&str>| Certificate(signed.clone()).verify(key).unwrap_err().to_string();
        // Forged whole, with a key of the forger's: only the key that was noted down tells.
        let forged = Signed::sign(other.path(), document.replace("\"g\"", "\"h\"")).unwrap();
        assert!(Certificate(forged.clone()).verify(None).is_ok());
        assert!(refused(&forged, Some(&signed.public_key)).contains("another key"));
        let changed = Signed { document: document.replace("false", "true"), ..signed.clone() };
        assert!(refused(&changed, None).contains("not as it was signed"));
        assert!(refused(&changed, Some(&signed.public_key)).contains("not as it was signed"));
        assert!(refused(&Signed { sha256: "00".into(), ..signed.clone() }, None).contains("hash"));
        assert!(refused(&signed, Some("x")).contains("no public key"));
        let unfinished = Certificate::read(r#"{"id":"5f","certificate":null}"#).err().unwrap().to_string();
        assert!(unfinished.contains("not finished"), "{unfinished}");
        assert!(Certificate::read("{}").is_err() && Certificate::read("x").is_err());
    }
}
