//! What end-to-end tests, the torture and the benchmarks share: a gateway started as a user starts
//! it, devices as real MQTT clients, a real mosquitto, and an upstream that speaks the contract.

pub mod browsers;
pub mod card;
pub mod device;
pub mod emulated;
pub mod flood;
pub mod fuzz;
pub mod gateway;
pub mod line;
pub mod mosquitto;
pub mod nodes;
pub mod services;
pub mod storm;
pub mod torture;
pub mod upstream;
pub mod wear;

use std::path::{Path, PathBuf};

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// Whether a test must be skipped because `tool` is not on this machine. In CI it never is: there
/// the test fails instead.
///
/// # Panics
/// In CI, where the tool is absent.
pub fn skipped_without(tool: &str, found: bool) -> bool {
    if found {
        return false;
    }
    assert!(std::env::var_os("CI").is_none(), "{tool} is needed in CI");
    eprintln!("SKIPPED: {tool} is not on this machine");
    true
}

/// A free port on loopback, free a moment ago.
///
/// # Errors
/// Where loopback has none.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Writes a CA, a server's and a device's certificate with their keys into `dir` as PEM files:
/// `ca.pem`, `server.pem`, `server.key`, `device.pem`, `device.key`. The device's common name is `device`.
///
/// # Errors
/// Where they cannot be made or written.
pub fn certificates(dir: &Path, device: &str) -> anyhow::Result<()> {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    let mut ca = CertificateParams::new(Vec::<String>::new())?;
    ca.distinguished_name.push(DnType::CommonName, "Ninewatch test CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate()?;
    std::fs::write(dir.join("ca.pem"), ca.self_signed(&ca_key)?.pem())?;
    let issuer = Issuer::new(ca, ca_key);
    let here = || vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    for (name, common_name, hosts) in [("server", "localhost", here()), ("device", device, Vec::new())] {
        let mut params = CertificateParams::new(hosts)?;
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate()?;
        std::fs::write(dir.join(format!("{name}.pem")), params.signed_by(&key, &issuer)?.pem())?;
        std::fs::write(dir.join(format!("{name}.key")), key.serialize_pem())?;
    }
    Ok(())
}
