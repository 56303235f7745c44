//! Who somebody is: accounts as a running gateway knows them, and passwords put to the proof.

use anyhow::Context;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::accounts::{self, Account, AccountList, FIRST_ACCOUNT};
use super::rights::{Rights, Role};
use crate::private::random;

/// The account and password that the very first start makes. To be shown once.
pub(crate) struct FirstPassword {
    pub(crate) account: String,
    pub(crate) password: String,
}

/// The accounts of a running gateway. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Accounts(Arc<Inner>);

struct Inner {
    data_dir: PathBuf,
    known: Mutex<Known>,
    /// Basic credentials that were right a moment ago, by [`Inner::mark`].
    remembered: Mutex<HashMap<[u8; 32], Remembered>>,
    /// Of this process: what it marks means nothing elsewhere.
    key: [u8; 32],
    verifying: Arc<Semaphore>,
}

struct Known {
    list: Arc<AccountList>,
    seen: Option<Fingerprint>,
}

/// What a file looks like from outside: a changed one differs, since it is replaced as a whole.
type Fingerprint = (u64, u64, i64, i64);

struct Remembered {
    login: Login,
    at: Instant,
}

/// Proof that somebody knew the password of an account. Void once the password or the account is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) account: Arc<str>,
    /// The PHC string that the password was right for.
    pub(super) password: Arc<str>,
}

/// The right to put one password to the proof.
pub(super) struct Turn(#[allow(dead_code, reason = "it is held, not read")] OwnedSemaphorePermit);

/// Argon2 takes 19 MiB and a core each: two at a time is what a small board can spare.
const VERIFYING: usize = 2;
/// How long a right Basic credential is not put to the proof again: a program that polls every few
/// seconds then costs one Argon2 a minute.
const REMEMBER: Duration = Duration::from_secs(60);
const REMEMBERED: usize = 64;
/// Longer ones are not passwords of ours.
const LONGEST_PASSWORD: usize = 256;

impl Accounts {
    /// Opens the accounts in `data_dir`; where there are none, makes the first one.
    ///
    /// # Errors
    /// Where the file cannot be read or written, or is not right.
    pub(crate) fn open(data_dir: &Path) -> anyhow::Result<(Self, Option<FirstPassword>)> {
        let mut first = None;
        if AccountList::load(data_dir)?.accounts.is_empty() {
            let password = accounts::edit(data_dir, |list| list.add(FIRST_ACCOUNT, Role::Admin, &[]))?;
            first = Some(FirstPassword { account: FIRST_ACCOUNT.to_owned(), password: password.shown().to_owned() });
        }
        // First the look, then the reading: a change in between is seen as one the next time.
        let seen = fingerprint(data_dir);
        let list = Arc::new(AccountList::load(data_dir)?);
        let inner = Inner {
            data_dir: data_dir.to_owned(),
            known: Mutex::new(Known { list, seen }),
            remembered: Mutex::default(),
            key: random().context("a key for credentials")?,
            verifying: Arc::new(Semaphore::new(VERIFYING)),
        };
        Ok((Self(Arc::new(inner)), first))
    }

    /// The folder that holds them.
    pub(super) fn data_dir(&self) -> &Path {
        &self.0.data_dir
    }

    /// The accounts as the file has them now.
    fn list(&self) -> Arc<AccountList> {
        let mut known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = fingerprint(&self.0.data_dir);
        if now != known.seen {
            known.seen = now;
            match AccountList::load(&self.0.data_dir) {
                Ok(list) => {
                    tracing::info!(accounts = list.accounts.len(), "the accounts changed");
                    known.list = Arc::new(list);
                }
                Err(error) => tracing::error!("the changed accounts are not in force, the former ones are: {error:#}"),
            }
        }
        known.list.clone()
    }

    /// What the account may do; nothing any more where it is gone or has another password.
    pub(super) fn rights(&self, login: &Login) -> Option<Rights> {
        let list = self.list();
        let account = list.find(&login.account).filter(|account| account.password == login.password)?;
        Some(Rights { role: account.role, grids: account.grids.as_slice().into() })
    }

    /// Whether there is an account of this name.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.list().find(name).is_some()
    }

    /// A right Basic credential of a moment ago.
    pub(super) fn remembered(&self, name: &str, password: &str, now: Instant) -> Option<Login> {
        let mark = self.0.mark(name, password);
        let remembered = self.0.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let found = remembered.get(&mark).filter(|found| now.duration_since(found.at) < REMEMBER)?;
        let login = found.login.clone();
        drop(remembered);
        self.rights(&login).is_some().then_some(login)
    }

    /// Lets [`Self::remembered`] find it for a while.
    pub(super) fn remember(&self, login: &Login, password: &str, now: Instant) {
        let mark = self.0.mark(&login.account, password);
        let mut remembered = self.0.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.retain(|_, other| now.duration_since(other.at) < REMEMBER);
        if remembered.len() < REMEMBERED {
            remembered.insert(mark, Remembered { login: login.clone(), at: now });
        }
    }

    /// Waits for one's turn to put a password to the proof.
    pub(super) async fn turn(&self) -> Option<Turn> {
        self.0.verifying.clone().acquire_owned().await.ok().map(Turn)
    }

    /// Puts a password to the proof. It takes as long for a name that is not there.
    pub(super) async fn verify(&self, name: &str, password: &str, turn: Turn) -> Option<Login> {
        let list = self.list();
        let (account, known): (Account, bool) = match list.find(name) {
            Some(account) => (account.clone(), true),
            None => (list.accounts.first()?.clone(), false),
        };
        if password.len() > LONGEST_PASSWORD {
            return None;
        }
        let password = password.to_owned();
        let verified = tokio::task::spawn_blocking(move || {
            // Held to the end of the work, even where nobody waits for the answer any more.
            let _turn = turn;
            (account.verify(&password), account)
        });
        let (right, account) = verified.await.ok()?;
        (right && known).then(|| Login { account: account.name.into(), password: account.password })
    }
}

impl Inner {
    /// A credential under this process's key: memory holds no password, and what it holds cannot be
    /// tried against a list of likely ones.
    fn mark(&self, name: &str, password: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update(password);
        hash.finalize().into()
    }
}

fn fingerprint(data_dir: &Path) -> Option<Fingerprint> {
    let meta = fs::metadata(accounts::path(data_dir)).ok()?;
    Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn verify(accounts: &Accounts, name: &str, password: &str) -> Option<Login> {
        accounts.verify(name, password, accounts.turn().await.unwrap()).await
    }

    #[tokio::test]
    async fn the_first_start_makes_one_account_and_later_ones_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let (accounts, first) = Accounts::open(dir.path()).unwrap();
        let first = first.unwrap();
        let login = verify(&accounts, &first.account, &first.password).await.unwrap();
        assert_eq!(&*login.account, FIRST_ACCOUNT);
        assert!(verify(&accounts, &first.account, "wrong").await.is_none());
        assert!(verify(&accounts, "nobody", &first.password).await.is_none());
        assert!(Accounts::open(dir.path()).unwrap().1.is_none());
    }

    #[tokio::test]
    async fn a_changed_file_is_in_force_at_once_and_a_broken_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (accounts, first) = Accounts::open(dir.path()).unwrap();
        let first = first.unwrap();
        let login = verify(&accounts, &first.account, &first.password).await.unwrap();
        accounts.remember(&login, &first.password, Instant::now());
        assert!(accounts.remembered(&first.account, &first.password, Instant::now()).is_some());

        let new = accounts::edit(dir.path(), |list| list.set_password(FIRST_ACCOUNT)).unwrap();
        assert_eq!(accounts.rights(&login), None);
        assert!(accounts.remembered(&first.account, &first.password, Instant::now()).is_none());
        let login = verify(&accounts, FIRST_ACCOUNT, new.shown()).await.unwrap();

        fs::write(accounts::path(dir.path()), "account = 7").unwrap();
        assert_eq!(accounts.rights(&login).unwrap().role, Role::Admin);
    }

    #[test]
    fn a_credential_is_remembered_for_a_while_only() {
        let dir = tempfile::tempdir().unwrap();
        let (accounts, first) = Accounts::open(dir.path()).unwrap();
        let password = first.unwrap().password;
        let list = accounts.list();
        let account = list.find(FIRST_ACCOUNT).unwrap();
        let login = Login { account: FIRST_ACCOUNT.into(), password: account.password.clone() };
        let now = Instant::now();
        accounts.remember(&login, &password, now);
        assert_eq!(accounts.remembered(FIRST_ACCOUNT, &password, now), Some(login));
        assert!(accounts.remembered(FIRST_ACCOUNT, "another", now).is_none());
        assert!(accounts.remembered(FIRST_ACCOUNT, &password, now + REMEMBER).is_none());
    }
}
