//! TLS for the sensor port: its own certificate, and what a device's says.

use anyhow::Context;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::{ServerConfig, ServerConnection};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

use crate::config::SensorPortTls;
use crate::pem;

/// Reads the certificates and the key.
///
/// # Errors
/// Which file is not as it should be.
pub(super) fn acceptor(config: &SensorPortTls) -> anyhow::Result<TlsAcceptor> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = pem::certificates(&config.cert)?;
    let key = pem::private_key(&config.key)?;
    let verifier = match &config.client_ca {
        None => Arc::new(NoClientAuth),
        // A device without a certificate may still have a secret.
        Some(path) => WebPkiClientVerifier::builder_with_provider(Arc::new(pem::authorities(path)?), provider.clone())
            .allow_unauthenticated()
            .build()
            .with_context(|| format!("{} cannot be used", path.display()))?,
    };
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .with_context(|| format!("{} and {} do not fit", config.cert.display(), config.key.display()))?;
    Ok(TlsAcceptor::from(Arc::new(server)))
}

/// The names in the certificate that a device showed: the common name, then the DNS names.
pub(super) fn client_names(connection: &ServerConnection) -> Vec<String> {
    let shown = connection.peer_certificates().and_then(|chain| chain.first());
    // It has been verified, so it can be read.
    let Some(certificate) = shown.and_then(|der| webpki::EndEntityCert::try_from(der).ok()) else { return Vec::new() };
    let common_name = common_name(certificate.subject());
    common_name.into_iter().chain(certificate.valid_dns_names()).map(str::to_owned).collect()
}

/// The common name in the content of an X.501 Name: a sequence of sets of (type, value), in DER.
fn common_name(mut subject: &[u8]) -> Option<&str> {
    const SEQUENCE: u8 = 0x30;
    const SET: u8 = 0x31;
    const OBJECT_ID: u8 = 0x06;
    /// PrintableString, UTF8String: what RFC 5280, 4.1.2.4 asks for.
    const STRINGS: [u8; 2] = [0x13, 0x0c];
    /// 2.5.4.3
    const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

    while let Some((SET, mut attributes, rest)) = element(subject) {
        subject = rest;
        while let Some((SEQUENCE, attribute, rest)) = element(attributes) {
            attributes = rest;
            let Some((OBJECT_ID, kind, value)) = element(attribute) else { continue };
            if kind == COMMON_NAME
                && let Some((tag, text, _)) = element(value)
                && STRINGS.contains(&tag)
            {
                return std::str::from_utf8(text).ok();
            }
        }
    }
    None
}

/// The first element in DER: its tag, its content, and what is behind it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (length, content) = match der.get(1..)? {
        [length @ 0..=0x7f, content @ ..] => (usize::from(*length), content),
        [0x81, length, content @ ..] => (usize::from(*length), content),
        [0x82, high, low, content @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), content),
        _ => return None,
    };
    let (content, rest) = content.split_at_checked(length)?;
    Some((*der.first()?, content, rest))
}
