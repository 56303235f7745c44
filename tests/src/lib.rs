//! What end-to-end tests, the torture and the benchmarks share: a gateway started as a user starts
//! it, devices as real MQTT clients, a real mosquitto, and an upstream that speaks the contract.

pub mod device;
pub mod gateway;
pub mod mosquitto;
pub mod upstream;

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
