//! Certificates and keys in PEM files: what TLS needs on both sides.

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;

/// The certificates of a file, at least one.
///
/// # Errors
/// Where there is none, or the file cannot be read; the message names it. So it is with all here.
pub(crate) fn certificates(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let read = || CertificateDer::pem_file_iter(file)?.collect::<Result<Vec<_>, _>>();
    let certificates = read().with_context(|| format!("{} cannot be read as certificates in PEM", file.display()))?;
    if certificates.is_empty() {
        bail!("{} holds no certificate in PEM", file.display());
    }
    Ok(certificates)
}

/// The CAs of a file, at least one.
///
/// # Errors
/// Also where one of them cannot be a CA.
pub(crate) fn authorities(file: &Path) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).with_context(|| format!("{} is not a CA's certificate", file.display()))?;
    }
    Ok(roots)
}

/// Whom to trust: the CAs of a file, or where none is named, those of this system.
///
/// # Errors
/// Also where this system trusts nobody. `whose` server it is goes into the message.
pub(crate) fn trusted(ca: Option<&Path>, whose: &str) -> anyhow::Result<RootCertStore> {
    if let Some(file) = ca {
        return authorities(file);
    }
    let mut roots = RootCertStore::empty();
    // Some systems carry a broken certificate among the good ones.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        bail!("this system trusts no CA; name the one of `{whose}` as `ca`");
    }
    Ok(roots)
}

/// The first private key of a file.
///
/// # Errors
/// Where there is none.
pub(crate) fn private_key(file: &Path) -> anyhow::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(file).with_context(|| format!("{} holds no private key in PEM", file.display()))
}

/// Something in DER, as PEM.
pub(crate) fn written(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
