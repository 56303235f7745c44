//! Browser sessions: a random token in a cookie, and a table of whom it stands for.
//!
//! The table outlives the program, as hashes: after a power cut the screen in the duty room must go
//! on by itself, and not wait for somebody to type a password.

use anyhow::Context;
use axum::http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::credential::{Accounts, Login};
use crate::private::{self, hex, random};

/// The open sessions.
pub(super) struct Sessions {
    data_dir: PathBuf,
    /// Cookies know no ports: two gateways on one machine would take each other's.
    cookie: String,
    table: Arc<Mutex<Table>>,
    /// Writers of the file take turns.
    writing: Arc<Mutex<()>>,
}

type Table = HashMap<SessionKey, Session>;

/// The SHA-256 of a token, hex. Who reads the table cannot act for those in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct SessionKey(Arc<str>);

struct Session {
    login: Login,
    opened: SystemTime,
    used: Instant,
}

/// A session as the file has it.
#[derive(Serialize, Deserialize)]
struct Kept {
    key: SessionKey,
    account: Arc<str>,
    /// The PHC string that the password was right for.
    password: Arc<str>,
    opened: SystemTime,
}

const FILE: &str = "sessions.json";
/// A page that is open counts as use.
const IDLE: Duration = Duration::from_secs(60 * 60);
/// A week of shifts on one screen.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const SESSIONS: usize = 1024;

impl Sessions {
    /// The sessions of the console on `port`, as the last run left them.
    pub(super) fn open(accounts: &Accounts, port: u16, now: Instant) -> Self {
        let data_dir = accounts.data_dir().to_owned();
        // Without the file everybody logs in anew, and that is all.
        let kept: Vec<Kept> = std::fs::read(data_dir.join(FILE))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let table = kept.into_iter().map(|kept| {
            let login = Login { account: kept.account, password: kept.password };
            (kept.key, Session { login, opened: kept.opened, used: now })
        });
        Self {
            data_dir,
            cookie: format!("ninewatch_{port}"),
            table: Arc::new(Mutex::new(table.collect())),
            writing: Arc::default(),
        }
    }

    /// Opens a session; gives the `Set-Cookie` that stands for it. What came by TLS is never sent without.
    pub(super) async fn begin(&self, login: Login, is_tls: bool, now: Instant) -> anyhow::Result<HeaderValue> {
        let token = hex(&random::<32>()?);
        {
            let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
            table.retain(|_, session| session.lives(now));
            if table.len() >= SESSIONS {
                let idlest = table.iter().min_by_key(|(_, session)| session.used).map(|(key, _)| key.clone());
                idlest.map(|key| table.remove(&key));
            }
            table.insert(key(&token), Session { login, opened: SystemTime::now(), used: now });
        }
        self.keep().await;
        self.set_cookie(&token, LONGEST, is_tls)
    }

    /// Whom a request's cookie stands for. It counts as use.
    pub(super) fn of(&self, headers: &HeaderMap, accounts: &Accounts, now: Instant) -> Option<(SessionKey, Login)> {
        let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
        let token = cookies
            .flat_map(|value| value.split(';'))
            .find_map(|pair| pair.trim().strip_prefix(&self.cookie)?.strip_prefix('='))?;
        let key = key(token);
        let login = self.touch(&key, accounts, now)?;
        Some((key, login))
    }

    /// Whom the session stands for, if it is still open. It counts as use.
    pub(super) fn touch(&self, key: &SessionKey, accounts: &Accounts, now: Instant) -> Option<Login> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let session = table.get_mut(key)?;
        if !session.lives(now) || accounts.rights(&session.login).is_none() {
            table.remove(key);
            return None;
        }
        session.used = now;
        Some(session.login.clone())
    }

    /// Ends a session; gives the `Set-Cookie` that takes it out of the browser.
    pub(super) async fn end(&self, key: &SessionKey) -> anyhow::Result<HeaderValue> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        self.keep().await;
        self.set_cookie("", Duration::ZERO, false)
    }

    /// How many are open, for the metrics.
    pub(super) fn count(&self, now: Instant) -> usize {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.values().filter(|session| session.lives(now)).count()
    }

    fn set_cookie(&self, token: &str, age: Duration, is_tls: bool) -> anyhow::Result<HeaderValue> {
        let secure = if is_tls { "; Secure" } else { "" };
        let (name, age) = (&self.cookie, age.as_secs());
        let cookie = format!("{name}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}{secure}");
        HeaderValue::from_str(&cookie).context("a cookie")
    }

    /// Writes the table down.
    async fn keep(&self) {
        let (data_dir, table, writing) = (self.data_dir.clone(), self.table.clone(), self.writing.clone());
        let written = tokio::task::spawn_blocking(move || {
            let _turn = writing.lock().unwrap_or_else(PoisonError::into_inner);
            let kept: Vec<Kept> =
                table.lock().unwrap_or_else(PoisonError::into_inner).iter().map(Session::kept).collect();
            private::replace(&data_dir, FILE, &serde_json::to_vec(&kept)?)
        });
        if let Ok(Err(error)) = written.await {
            tracing::warn!("sessions will not outlive this run: {error:#}");
        }
    }
}

impl Session {
    fn kept((key, session): (&SessionKey, &Self)) -> Kept {
        Kept {
            key: key.clone(),
            account: session.login.account.clone(),
            password: session.login.password.clone(),
            opened: session.opened,
        }
    }

    fn lives(&self, now: Instant) -> bool {
        // A clock that was set back makes an age negative: then the session is young.
        let age = self.opened.elapsed().unwrap_or_default();
        age < LONGEST && now.saturating_duration_since(self.used) < IDLE
    }
}

fn key(token: &str) -> SessionKey {
    SessionKey(hex(&Sha256::digest(token)).into())
}
