//! `accounts.toml`: who may log in. Passwords are generated, shown once, and kept as Argon2id.

use anyhow::Context;
use argon2::password_hash::SaltString;
use argon2::{Argon2, PasswordHasher};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ninewatch_core::site::is_id;

use super::proof;
use crate::private::{lock, random, replace, typable};

const FILE: &str = "accounts.toml";

/// The account that the very first start makes.
pub(crate) const FIRST_ACCOUNT: &str = "duty";

/// Somebody who may log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Account {
    /// `[A-Za-z0-9._-]`, at most 64.
    pub(crate) name: String,
    /// Argon2id as a PHC string.
    pub(crate) password: Arc<str>,
}

/// The whole file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountList {
    #[serde(default, rename = "account")]
    pub(crate) accounts: Vec<Account>,
}

/// A password as its owner gets it. It is not kept anywhere.
pub(crate) struct Password(String);

impl Password {
    /// 80 random bits in four groups of letters and digits that nobody mistakes for one another.
    ///
    /// # Errors
    /// Where the system gives no randomness.
    pub(crate) fn generate() -> anyhow::Result<Self> {
        Ok(Self(typable(4)?))
    }

    /// To be shown once.
    pub(crate) fn shown(&self) -> &str {
        &self.0
    }

    /// As it is kept: a PHC string. Takes tens of milliseconds on purpose.
    fn hash(&self) -> anyhow::Result<Arc<str>> {
        let salt = SaltString::encode_b64(&random::<16>()?).map_err(|error| anyhow::anyhow!("a salt: {error}"))?;
        // The default is OWASP's first choice for Argon2id: 19 MiB, two passes, one lane.
        let hash = Argon2::default()
            .hash_password(self.0.as_bytes(), &salt)
            .map_err(|error| anyhow::anyhow!("the password cannot be hashed: {error}"))?;
        Ok(hash.to_string().into())
    }
}

impl Account {
    /// Whether this is its password. Takes tens of milliseconds on purpose.
    pub(super) fn verify(&self, password: &str) -> bool {
        proof::is_right(password, &self.password)
    }
}

impl AccountList {
    /// Reads the file in `data_dir`; nobody where there is none.
    ///
    /// # Errors
    /// Where it cannot be read or is not right.
    pub(crate) fn load(data_dir: &Path) -> anyhow::Result<Self> {
        let path = path(data_dir);
        match fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).with_context(|| {
                format!("{} is damaged; remove it, and the next start makes the first account anew", path.display())
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
        }
    }

    /// The account with this name.
    pub(crate) fn find(&self, name: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.name == name)
    }

    /// Adds an account and gives its password.
    ///
    /// # Errors
    /// Where the name is not one, or taken.
    pub(crate) fn add(&mut self, name: &str) -> anyhow::Result<Password> {
        anyhow::ensure!(is_id(name), "`{name}` cannot name an account; use 1 to 64 of A-Z a-z 0-9 . _ -");
        anyhow::ensure!(self.find(name).is_none(), "there is an account `{name}` already; choose another name");
        let password = Password::generate()?;
        self.accounts.push(Account { name: name.to_owned(), password: password.hash()? });
        Ok(password)
    }

    /// Gives an account a new password.
    ///
    /// # Errors
    /// Where there is no such account.
    pub(crate) fn set_password(&mut self, name: &str) -> anyhow::Result<Password> {
        let account = self.accounts.iter_mut().find(|account| account.name == name);
        let account = account.with_context(|| unknown(name))?;
        let password = Password::generate()?;
        account.password = password.hash()?;
        Ok(password)
    }

    /// Removes an account.
    ///
    /// # Errors
    /// Where there is no such account, or it is the last one.
    pub(crate) fn remove(&mut self, name: &str) -> anyhow::Result<()> {
        anyhow::ensure!(self.find(name).is_some(), unknown(name));
        anyhow::ensure!(
            self.accounts.len() > 1,
            "`{name}` is the only account, and nobody could log in then; add another one first"
        );
        self.accounts.retain(|account| account.name != name);
        Ok(())
    }
}

fn unknown(name: &str) -> String {
    format!("there is no account `{name}`; `ninewatch account list` names them")
}

/// Where the accounts of a gateway are.
pub(crate) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE)
}

/// Changes the accounts in `data_dir`, one editor at a time. A running gateway notices.
///
/// # Errors
/// Where `change` says so, or the file cannot be read or written; then it is as before.
pub(crate) fn edit<T>(
    data_dir: &Path,
    change: impl FnOnce(&mut AccountList) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let _lock = lock(data_dir, "accounts.lock")?;
    let mut list = AccountList::load(data_dir)?;
    let given = change(&mut list)?;
    replace(data_dir, FILE, toml::to_string(&list)?.as_bytes())?;
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_password_is_shown_once_and_kept_only_as_argon2id() {
        let dir = tempfile::tempdir().unwrap();
        let password = edit(dir.path(), |list| list.add("li-4")).unwrap();
        let text = fs::read_to_string(path(dir.path())).unwrap();
        assert!(text.contains("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        assert!(!text.contains(password.shown()));
        assert_eq!(fs::metadata(path(dir.path())).unwrap().permissions().mode() & 0o777, 0o600);
        let list = AccountList::load(dir.path()).unwrap();
        assert!(list.find("li-4").unwrap().verify(password.shown()));
        assert!(!list.find("li-4").unwrap().verify("0000-0000-0000-0000"));
    }

    #[test]
    fn an_edit_that_is_not_right_says_why_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        edit(dir.path(), |list| list.add("duty")).map(drop).unwrap();
        let before = fs::read(path(dir.path())).unwrap();
        let refusals = [
            edit(dir.path(), |list| list.add("duty")).map(drop).unwrap_err(),
            edit(dir.path(), |list| list.add("a:b")).map(drop).unwrap_err(),
            edit(dir.path(), |list| list.set_password("wang")).map(drop).unwrap_err(),
            edit(dir.path(), |list| list.remove("wang")).unwrap_err(),
            edit(dir.path(), |list| list.remove("duty")).unwrap_err(),
        ];
        for (refusal, word) in refusals.iter().zip(["already", "A-Z a-z 0-9", "list", "list", "only account"]) {
            assert!(refusal.to_string().contains(word), "{refusal}");
        }
        assert_eq!(fs::read(path(dir.path())).unwrap(), before);
    }

    #[test]
    fn passwords_differ_and_are_easy_to_read_out() {
        let (one, other) = (Password::generate().unwrap(), Password::generate().unwrap());
        assert_ne!(one.shown(), other.shown());
        assert_eq!(one.shown().len(), 19);
        assert!(
            one.shown().chars().all(|sign| sign == '-' || (sign.is_ascii_alphanumeric() && !"ilou".contains(sign)))
        );
    }
}
