//! The gateway's own CA, so that the console speaks HTTPS on a local network that no public CA knows.
//!
//! It lies in `console-ca.toml` in the data folder, and can sign for nothing but this gateway's names and private
//! addresses: a phone that trusts it trusts it with no site of the internet, should the box be stolen.

use anyhow::{Context, ensure};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SanType, date_time_ymd,
};
use rustls::crypto::ring::sign::any_ecdsa_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::private::{self, hex};

/// In the data folder, and in a backup: the phones that trust it go on to.
pub(crate) const AUTHORITY: &str = "console-ca.toml";

/// The CA.
pub(crate) struct Authority {
    kept: Kept,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// As the file has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// What it may sign for, besides [`LOCAL_NAMES`] and [`LOCAL_NETWORKS`].
    names: Vec<String>,
    certificate: String,
    key: String,
}

/// Ends of names that no public CA signs for (RFC 6762, RFC 8375, and by the ICANN's word of 2024 `internal`).
const LOCAL_NAMES: [&str; 4] = ["local", "home.arpa", "internal", "lan"];
/// Private, link-local and loopback addresses (RFC 1918, RFC 3927, RFC 4193, RFC 4291).
const LOCAL_NETWORKS: [(&str, u8); 8] = [
    ("10.0.0.0", 8),
    ("172.16.0.0", 12),
    ("192.168.0.0", 16),
    ("169.254.0.0", 16),
    ("127.0.0.0", 8),
    ("fc00::", 7),
    ("fe80::", 10),
    ("::1", 128),
];

/// How long a server certificate is good for. Nobody has to do anything when it ends.
const GOOD_FOR: Duration = Duration::from_secs(90 * 24 * 3600);
/// Before its signing: clocks of phones are a little wrong.
pub(super) const GOOD_BEFORE: Duration = Duration::from_secs(24 * 3600);

impl Authority {
    /// The CA of this data folder; makes it where there is none.
    ///
    /// # Errors
    /// Where the file cannot be read or written, or may not sign for one of `names`.
    pub(crate) fn open(data_dir: &Path, names: &[String]) -> anyhow::Result<Self> {
        let path = data_dir.join(AUTHORITY);
        let _lock = private::lock(data_dir, "console-ca.lock")?;
        let authority = match fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(anyhow::Error::from).and_then(Self::of).with_context(|| {
                format!("{} is damaged; `ninewatch cert init --force` makes another CA", path.display())
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::make(data_dir, &here(names))?,
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
        };
        for name in names {
            ensure!(
                authority.may_sign_for(name),
                "the gateway's CA was made for other names and cannot sign for `{name}` of `console.tls.names`; \
                 `ninewatch cert init --force` makes another one, to be installed anew where the old one was"
            );
        }
        Ok(authority)
    }

    /// Makes another CA in the place of the one there is.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn renew(data_dir: &Path, names: &[String]) -> anyhow::Result<Self> {
        let _lock = private::lock(data_dir, "console-ca.lock")?;
        Self::make(data_dir, &here(names))
    }

    /// Makes the CA of another box, which calls itself by one of `names`.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn make(data_dir: &Path, names: &[String]) -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let certificate = params(&key, names)?.self_signed(&key)?.pem();
        let kept = Kept { names: names.to_vec(), certificate, key: key.serialize_pem() };
        private::replace(data_dir, AUTHORITY, toml::to_string(&kept)?.as_bytes())?;
        Self::of(kept)
    }

    fn of(kept: Kept) -> anyhow::Result<Self> {
        let key = KeyPair::from_pem(&kept.key)?;
        let certificate = CertificateDer::from_pem_slice(kept.certificate.as_bytes())?;
        let issuer = Issuer::new(params(&key, &kept.names)?, key);
        Ok(Self { kept, certificate, issuer })
    }

    /// Its certificate, as people install it.
    pub(crate) fn pem(&self) -> &str {
        &self.kept.certificate
    }

    /// SHA-256 of its certificate, as phones and PCs show it.
    pub(crate) fn fingerprint(&self) -> String {
        fingerprint(&self.certificate)
    }

    /// Whether a certificate for this name or address would be taken.
    pub(super) fn may_sign_for(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        let is_listed = || self.kept.names.iter().any(|one| one.to_lowercase() == name);
        match name.parse::<IpAddr>() {
            Ok(address) => is_listed() || is_local(address),
            Err(_) => is_listed() || LOCAL_NAMES.iter().any(|local| name.ends_with(&format!(".{local}"))),
        }
    }

    /// Signs a new key for these names and addresses, as far as it may; gives it with the chain.
    ///
    /// # Errors
    /// Where there is no name that it may sign for, or the system has no randomness.
    pub(super) fn sign(&self, names: &[String], now: SystemTime) -> anyhow::Result<CertifiedKey> {
        self.sign_for(names.iter().map(String::as_str).filter(|name| self.may_sign_for(name)), now)
    }

    /// Signs, whether that will be taken or not.
    pub(super) fn sign_for<'n>(
        &self,
        names: impl IntoIterator<Item = &'n str>,
        now: SystemTime,
    ) -> anyhow::Result<CertifiedKey> {
        let mut params = server(names)?;
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let epoch = date_time_ymd(1970, 1, 1);
        params.not_before = epoch + since_epoch.saturating_sub(GOOD_BEFORE);
        params.not_after = epoch + since_epoch + GOOD_FOR;
        let (signed, key) = self.issue(params)?;
        let private = any_ecdsa_type(&PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())))?;
        Ok(CertifiedKey::new(vec![signed.der().clone(), self.certificate.clone()], private))
    }

    /// Signs for the sensor port, for as long as this CA is good: devices and the box may have no clock, and nobody comes
    /// by to renew it. Gives the chain and the key in PEM.
    ///
    /// # Errors
    /// Where the system has no randomness, or a name is none.
    pub(crate) fn sign_for_devices(&self, names: &[String]) -> anyhow::Result<(String, String)> {
        let mut params = server(names.iter().map(String::as_str))?;
        for_all_time(&mut params);
        let (signed, key) = self.issue(params)?;
        Ok((format!("{}{}", signed.pem(), self.pem()), key.serialize_pem()))
    }

    fn issue(&self, params: CertificateParams) -> anyhow::Result<(Certificate, KeyPair)> {
        let key = KeyPair::generate()?;
        Ok((params.signed_by(&key, &self.issuer)?, key))
    }
}

/// SHA-256 of a certificate, as phones and PCs show it.
pub(crate) fn fingerprint(certificate: &[u8]) -> String {
    let digest = hex(&Sha256::digest(certificate)).to_uppercase();
    let (pairs, _) = digest.as_bytes().as_chunks::<2>();
    pairs.iter().map(|pair| String::from_utf8_lossy(pair)).collect::<Vec<_>>().join(":")
}

/// Names of this box, too.
fn here(names: &[String]) -> Vec<String> {
    names.iter().cloned().chain(host_name()).collect()
}

/// All of a server's certificate but its time and its key.
fn server<'n>(names: impl IntoIterator<Item = &'n str>) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::default();
    for name in names {
        params.subject_alt_names.push(match name.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.try_into()?),
        });
    }
    ensure!(!params.subject_alt_names.is_empty(), "the gateway has no name or address to make a certificate for");
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Ninewatch");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// All of a CA but its key. Its name comes of the key, so that two gateways' do not look alike on a phone.
fn params(key: &KeyPair, names: &[String]) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let mark = hex(Sha256::digest(key.public_key_raw()).get(..4).unwrap_or_default());
    params.distinguished_name.push(DnType::CommonName, format!("Ninewatch {mark}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    for_all_time(&mut params);
    let listed = names.iter().map(|name| match name.parse::<IpAddr>() {
        Ok(address) => network(address, if address.is_ipv4() { 32 } else { 128 }),
        Err(_) => GeneralSubtree::DnsName(name.clone()),
    });
    let local_names = LOCAL_NAMES.iter().map(|name| GeneralSubtree::DnsName((*name).to_owned()));
    let mut permitted_subtrees: Vec<_> = listed.chain(local_names).collect();
    for (address, prefix) in LOCAL_NETWORKS {
        permitted_subtrees.push(network(address.parse()?, prefix));
    }
    params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
    Ok(params)
}

/// Fixed: the clock of a box that is set up may be anything.
fn for_all_time(params: &mut CertificateParams) {
    (params.not_before, params.not_after) = (date_time_ymd(2025, 1, 1), date_time_ymd(2050, 1, 1));
}

fn network(address: IpAddr, prefix: u8) -> GeneralSubtree {
    GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, prefix))
}

fn is_local(address: IpAddr) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    let (given, width) = bits(address);
    LOCAL_NETWORKS.iter().any(|(network, prefix)| {
        let Ok((network, of)) = network.parse().map(bits) else { return false };
        of == width && (given ^ network) >> (128 - u32::from(*prefix)) == 0
    })
}

/// What the box calls itself, where that can stand in a certificate.
pub(super) fn host_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?.trim().to_lowercase();
    let is_label = |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    (name.split('.').all(is_label) && name.parse::<IpAddr>().is_err()).then_some(name)
}
