//! HTTPS for the console: by the gateway's own CA, or with a certificate that somebody gave it.

use anyhow::Context;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio_rustls::TlsAcceptor;

use super::authority::{Authority, GOOD_BEFORE, host_name};
use crate::config::ConsoleTls;
use crate::pem;

/// The console's side of TLS.
pub(super) struct Tls {
    acceptor: TlsAcceptor,
    /// Where the certificate is of the gateway's own CA.
    own: Option<Arc<OwnCertificate>>,
}

impl Tls {
    /// Reads the certificate, or takes the CA of the data folder, which is made where there is none.
    ///
    /// # Errors
    /// Which file is not as it should be.
    pub(super) fn open(config: &ConsoleTls, data_dir: &Path) -> anyhow::Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?.with_no_client_auth();
        let (mut server, own) = match (&config.cert, &config.key) {
            (Some(cert), Some(key)) => {
                let server = builder
                    .with_single_cert(pem::certificates(cert)?, pem::private_key(key)?)
                    .with_context(|| format!("{} and {} do not fit", cert.display(), key.display()))?;
                (server, None)
            }
            _ => {
                let own = Arc::new(OwnCertificate::new(Authority::open(data_dir, &config.names)?, &config.names)?);
                (builder.with_cert_resolver(own.clone()), Some(own))
            }
        };
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(server)), own })
    }

    /// The CA to install on phones and PCs.
    pub(super) fn authority(&self) -> Option<&Authority> {
        self.own.as_ref().map(|own| &own.authority)
    }

    /// Shakes hands with somebody who reached the gateway at `local`.
    ///
    /// # Errors
    /// Where they do not agree.
    pub(super) async fn accept(
        &self,
        stream: tokio::net::TcpStream,
        local: SocketAddr,
    ) -> anyhow::Result<tokio_rustls::server::TlsStream<tokio::net::TcpStream>> {
        if let Some(own) = &self.own {
            own.make_fit(local.ip(), SystemTime::now())?;
        }
        Ok(self.acceptor.accept(stream).await?)
    }
}

/// A certificate for the gateway's names and for the addresses at which it was reached. It is made anew when an address is
/// new to it, and long before it ends; so nothing has to know which addresses the box has, or watch the calendar.
pub(super) struct OwnCertificate {
    authority: Authority,
    /// As site.toml says, and what the box calls itself.
    names: Vec<String>,
    current: Mutex<Current>,
}

struct Current {
    /// The last ones at which it was reached.
    addresses: Vec<IpAddr>,
    signed_at: SystemTime,
    key: Arc<CertifiedKey>,
}

/// A box has a few addresses; by IPv6 they change daily.
const ADDRESSES: usize = 16;
/// Then there are two months left, in which it may be switched off.
const RENEW_AFTER: Duration = Duration::from_secs(30 * 24 * 3600);

impl OwnCertificate {
    pub(super) fn new(authority: Authority, names: &[String]) -> anyhow::Result<Self> {
        let host = host_name().into_iter().flat_map(|host| [format!("{host}.local"), host]);
        let names: Vec<String> = names.iter().cloned().chain(host).chain(["localhost.local".to_owned()]).collect();
        let now = SystemTime::now();
        let key = Arc::new(authority.sign(&names, now)?);
        Ok(Self { authority, names, current: Mutex::new(Current { addresses: Vec::new(), signed_at: now, key }) })
    }

    /// Sees to it that the certificate is good for this address and at this time.
    pub(super) fn make_fit(&self, address: IpAddr, now: SystemTime) -> anyhow::Result<()> {
        let address = address.to_canonical();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        // The clock of a box may be set at any time, forwards and back.
        let is_fresh = match now.duration_since(current.signed_at) {
            Ok(age) => age < RENEW_AFTER,
            Err(ahead) => ahead.duration() < GOOD_BEFORE,
        };
        if is_fresh && current.addresses.contains(&address) {
            return Ok(());
        }
        if !current.addresses.contains(&address) && !self.authority.may_sign_for(&address.to_string()) {
            tracing::warn!(
                %address,
                "the console was reached at an address that its CA may not sign for, and browsers will not trust it there; \
                 add it to `console.tls.names`, and make another CA with `ninewatch cert init --force`"
            );
        }
        let mut addresses = current.addresses.clone();
        addresses.retain(|one| *one != address);
        addresses.push(address);
        let oldest = addresses.len().saturating_sub(ADDRESSES);
        addresses.drain(..oldest);
        let names: Vec<String> = self.names.iter().cloned().chain(addresses.iter().map(ToString::to_string)).collect();
        let key = Arc::new(self.authority.sign(&names, now)?);
        *current = Current { addresses, signed_at: now, key };
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn chain(&self) -> Vec<rustls::pki_types::CertificateDer<'static>> {
        self.current.lock().unwrap().key.cert.clone()
    }
}

impl ResolvesServerCert for OwnCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.lock().unwrap_or_else(PoisonError::into_inner).key.clone())
    }
}

impl std::fmt::Debug for OwnCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnCertificate").field("names", &self.names).finish_non_exhaustive()
    }
}
