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
use super::rights::Role;
use crate::private::{lock, random, replace, typable};

const FILE: &str = "accounts.toml";

/// The account that the very first start makes: an admin, since there is nobody else.
pub(crate) const FIRST_ACCOUNT: &str = "duty";

/// Somebody who may log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Account {
    /// `[A-Za-z0-9._-]`, at most 64.
    pub(crate) name: String,
    /// Argon2id as a PHC string.
    pub(crate) password: Arc<str>,
    pub(crate) role: Role,
    /// Of a grid member, at least one; of others none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) grids: Vec<String>,
}

/// The whole file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub(crate) struct AccountList {
    #[serde(rename = "account")]
    pub(crate) accounts: Vec<Account>,
}

/// The file as it may be found: up to version 0.1 there were no roles.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    #[serde(default, rename = "account")]
    accounts: Vec<StoredAccount>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredAccount {
    name: String,
    password: Arc<str>,
    role: Option<Role>,
    #[serde(default)]
    grids: Vec<String>,
}

impl From<Stored> for AccountList {
    /// Where nobody has a role yet, the first account goes on as admin: it is the one that the first start made. Whoever
    /// else has none goes on as duty officer.
    fn from(stored: Stored) -> Self {
        let nobody_has_one = stored.accounts.iter().all(|account| account.role.is_none());
        let role = |index| if index == 0 && nobody_has_one { Role::Admin } else { Role::Duty };
        let account = |(index, account): (usize, StoredAccount)| Account {
            name: account.name,
            password: account.password,
            role: account.role.unwrap_or(role(index)),
            grids: account.grids,
        };
        Self { accounts: stored.accounts.into_iter().enumerate().map(account).collect() }
    }
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
    /// Where the name is not one, or taken, or the role and the grids do not go together.
    pub(crate) fn add(&mut self, name: &str, role: Role, grids: &[String]) -> anyhow::Result<Password> {
        anyhow::ensure!(is_id(name), "`{name}` cannot name an account; use 1 to 64 of A-Z a-z 0-9 . _ -");
        anyhow::ensure!(self.find(name).is_none(), "there is an account `{name}` already; choose another name");
        fit(role, grids)?;
        let password = Password::generate()?;
        let hash = password.hash()?;
        self.accounts.push(Account { name: name.to_owned(), password: hash, role, grids: grids.to_vec() });
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

    /// Gives an account another role.
    ///
    /// # Errors
    /// Where there is no such account, or the role and the grids do not go together.
    pub(crate) fn set_role(&mut self, name: &str, role: Role, grids: &[String]) -> anyhow::Result<()> {
        fit(role, grids)?;
        let account = self.accounts.iter_mut().find(|account| account.name == name);
        let account = account.with_context(|| unknown(name))?;
        (account.role, account.grids) = (role, grids.to_vec());
        Ok(())
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

fn fit(role: Role, grids: &[String]) -> anyhow::Result<()> {
    if role == Role::GridMember {
        anyhow::ensure!(!grids.is_empty(), "a grid member has grids; name each with `--grid`");
    } else {
        anyhow::ensure!(
            grids.is_empty(),
            "only a grid member has grids; leave `--grid` out, or say `--role grid_member`"
        );
    }
    Ok(())
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
        let password = edit(dir.path(), |list| list.add("li-4", Role::Duty, &[])).unwrap();
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
        edit(dir.path(), |list| list.add("duty", Role::Duty, &[])).map(drop).unwrap();
        let before = fs::read(path(dir.path())).unwrap();
        let refusals = [
            edit(dir.path(), |list| list.add("duty", Role::Duty, &[])).map(drop).unwrap_err(),
            edit(dir.path(), |list| list.add("a:b", Role::Duty, &[])).map(drop).unwrap_err(),
            edit(dir.path(), |list| list.add("zhao", Role::GridMember, &[])).map(drop).unwrap_err(),
            edit(dir.path(), |list| list.set_role("duty", Role::Duty, &["kaili-1".to_owned()])).unwrap_err(),
            edit(dir.path(), |list| list.set_role("wang", Role::Duty, &[])).unwrap_err(),
            edit(dir.path(), |list| list.set_password("wang")).map(drop).unwrap_err(),
            edit(dir.path(), |list| list.remove("wang")).unwrap_err(),
            edit(dir.path(), |list| list.remove("duty")).unwrap_err(),
        ];
        let words =
            ["already", "A-Z a-z 0-9", "`--grid`", "leave `--grid` out", "list", "list", "list", "only account"];
        for (refusal, word) in refusals.iter().zip(words) {
            assert!(refusal.to_string().contains(word), "{refusal}");
        }
        assert_eq!(fs::read(path(dir.path())).unwrap(), before);
    }

    #[test]
    fn accounts_from_before_there_were_roles_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let old = "[[account]]\nname = \"duty\"\npassword = \"x\"\n[[account]]\nname = \"li\"\npassword = \"y\"\n";
        fs::write(path(dir.path()), old).unwrap();
        let roles = |dir| AccountList::load(dir).unwrap().accounts.iter().map(|one| one.role).collect::<Vec<_>>();
        assert_eq!(roles(dir.path()), [Role::Admin, Role::Duty]);
        edit(dir.path(), |list| list.set_role("duty", Role::Duty, &[])).unwrap();
        assert_eq!(roles(dir.path()), [Role::Duty, Role::Duty], "what was said stays");
        let new = "[[account]]\nname = \"duty\"\npassword = \"x\"\n[[account]]\nname = \"li\"\npassword = \"y\"\nrole = \"admin\"\n";
        fs::write(path(dir.path()), new).unwrap();
        assert_eq!(roles(dir.path()), [Role::Duty, Role::Admin], "nobody is made an admin beside one who is");
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
