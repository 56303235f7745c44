//! How the box gets into a wireless network, and who gets into the box: `wifi.conf` and `authorized_keys`.

use anyhow::{Context, ensure};
use ring::pbkdf2::{PBKDF2_HMAC_SHA1, derive};
use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use crate::private::hex;

/// A WPA2 network.
#[derive(Debug, Clone)]
pub(crate) struct Wifi {
    pub(crate) ssid: String,
    pub(crate) password_file: PathBuf,
    /// Two letters of ISO 3166: which channels may be used.
    pub(crate) country: String,
}

/// IEEE 802.11i, H.4.1.
const ROUNDS: NonZeroU32 = NonZeroU32::MIN.saturating_add(4095);

impl Wifi {
    /// As wpa_supplicant reads it. The password itself does not go onto the card.
    ///
    /// # Errors
    /// Where there is no such network, or no such password.
    pub(super) fn file(&self) -> anyhow::Result<String> {
        let Self { ssid, password_file, country } = self;
        let name = password_file.display();
        let password = fs::read_to_string(password_file).with_context(|| format!("{name} cannot be read"))?;
        let password = password.trim_end_matches(['\n', '\r']);
        ensure!((1..=32).contains(&ssid.len()), "`{ssid}` is no network's name: it has 1 to 32 bytes");
        ensure!(
            (8..=63).contains(&password.len()) && password.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "{name} holds no WPA2 password: it has 8 to 63 ASCII characters, in one line"
        );
        ensure!(
            country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase()),
            "`{country}` is no country; write two capital letters, such as CN"
        );
        let (network, key) = (hex(ssid.as_bytes()), hex(&key(ssid, password)));
        Ok(format!(
            "country={country}\nctrl_interface=/run/wpa_supplicant\nnetwork={{\n  ssid={network}\n  psk={key}\n  scan_ssid=1\n}}\n"
        ))
    }
}

fn key(ssid: &str, password: &str) -> [u8; 32] {
    let mut key = [0; 32];
    derive(PBKDF2_HMAC_SHA1, ROUNDS, ssid.as_bytes(), password.as_bytes(), &mut key);
    key
}

/// The public keys of a file.
///
/// # Errors
/// Where it holds none, or something else.
pub(super) fn ssh_keys(file: &Path) -> anyhow::Result<String> {
    let name = file.display();
    let text = fs::read_to_string(file).with_context(|| format!("{name} cannot be read"))?;
    ensure!(
        !text.contains("PRIVATE KEY"),
        "{name} is a private key, which stays with its owner; give the file that ends in .pub"
    );
    let mut keys = 0;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let is_kind =
            |word: &str| ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"].iter().any(|kind| word.starts_with(kind));
        let mut words = line.split_whitespace();
        let is_key = words.by_ref().any(is_kind) && words.next().is_some_and(|key| key.starts_with("AAAA"));
        ensure!(is_key, "{name}:{}: is no public key; such a line begins with ssh-ed25519 or the like", index + 1);
        keys += 1;
    }
    ensure!(keys > 0, "{name} holds no public key; `ssh-keygen -t ed25519` makes one");
    Ok(format!("{}\n", text.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_network_is_that_of_the_standard() {
        // IEEE 802.11i-2004, H.4.3.
        assert_eq!(hex(&key("IEEE", "password")), "f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e");
    }

    #[test]
    fn what_is_no_network_and_no_key_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let password_file = dir.path().join("word");
        let file = |ssid: &str, password: &str, country: &str| {
            fs::write(&password_file, password).unwrap();
            let wifi = Wifi { ssid: ssid.into(), password_file: password_file.clone(), country: country.into() };
            wifi.file()
        };
        let good = file("社区", "12345678\n", "CN").unwrap();
        assert!(good.contains("ssid=e7a4bee58cba\n") && !good.contains("12345678"), "{good}");
        for (ssid, password, country, word) in [
            ("", "12345678", "CN", "1 to 32"),
            ("home", "short", "CN", "8 to 63"),
            ("home", "two lines\nof it", "CN", "one line"),
            ("home", "12345678", "china", "country"),
        ] {
            let error = file(ssid, password, country).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        let keys = dir.path().join("keys");
        for (text, word) in [
            ("-----BEGIN OPENSSH PRIVATE KEY-----\n", ".pub"),
            ("", "ssh-keygen"),
            ("ssh-ed25519 AAAAC3 li\nnonsense\n", "keys:2"),
        ] {
            fs::write(&keys, text).unwrap();
            let error = ssh_keys(&keys).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        fs::write(&keys, "# ours\nfrom=\"10.0.0.0/8\" ssh-ed25519 AAAAC3 li").unwrap();
        assert_eq!(ssh_keys(&keys).unwrap(), "# ours\nfrom=\"10.0.0.0/8\" ssh-ed25519 AAAAC3 li\n");
    }
}
