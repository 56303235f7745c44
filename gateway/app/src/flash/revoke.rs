//! By what a card is known upstream, so that it can be shut out when it is lost; and the log of which card has what.

use anyhow::Context;
use argon2::Argon2;
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::config::MqttServer;
use crate::console::fingerprint;
use crate::lang::Lang;
use crate::{pem, private};

/// What lets a gateway in at an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credential {
    upstream: String,
    url: String,
    username: Option<String>,
    /// Of the client certificate, or of the password; `none` where there is neither.
    mark: String,
}

/// Makes marks of passwords that cannot be compared with anybody else's lists.
const SALT: &[u8] = b"ninewatch flashed.csv";

impl Credential {
    /// That of one upstream.
    ///
    /// # Errors
    /// Where its files cannot be read.
    pub(super) fn of(server: &MqttServer) -> anyhow::Result<Self> {
        let mark = match (&server.cert, &server.password_file) {
            (Some(cert), _) => {
                let first = pem::certificates(cert)?.into_iter().next().context("there is no certificate")?;
                format!("certificate {}", fingerprint(&first))
            }
            (None, Some(file)) => {
                let password = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
                // Slow on purpose, and cut: the log says whether two are equal, and helps nobody to guess one.
                let mut mark = [0; 6];
                let made = Argon2::default().hash_password_into(password.trim_ascii_end(), SALT, &mut mark);
                made.map_err(|error| anyhow::anyhow!("a password's mark: {error}"))?;
                format!("password {}", private::hex(&mark))
            }
            (None, None) => "none".to_owned(),
        };
        let (upstream, url, username) = (server.name.clone(), server.url.clone(), server.username.clone());
        Ok(Self { upstream, url, username, mark })
    }

    /// As the log has it.
    fn row(&self) -> String {
        format!("{} {} {}", self.upstream, self.username.as_deref().unwrap_or("-"), self.mark)
    }

    /// What is to be done at the upstream when the card is lost.
    pub(crate) fn revocation(&self, lang: Lang) -> String {
        let Self { upstream, url, username, mark } = self;
        let who = username.as_deref().unwrap_or_default();
        match (lang, mark.starts_with("certificate")) {
            (Lang::Zh, true) => format!("在上级 {upstream}（{url}）吊销客户端证书：{mark}"),
            (Lang::En, true) => format!("at the upstream {upstream} ({url}), revoke the client certificate: {mark}"),
            (Lang::Zh, false) => format!("在上级 {upstream}（{url}）停用用户 {who} 或更换其口令（{mark}）"),
            (Lang::En, false) => {
                format!("at the upstream {upstream} ({url}), disable user {who} or give it another password ({mark})")
            }
        }
    }
}

/// One card, and what it carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// RFC 3339.
    pub(crate) at: String,
    pub(crate) gateway: String,
    /// `begun` before anything of the gateway is on the card, `verified` when all of it is.
    pub(crate) state: String,
    pub(crate) card: String,
    pub(crate) console_fingerprint: String,
    /// Each as `name user mark`, separated by `; `.
    pub(crate) upstreams: String,
    pub(crate) image_sha256: String,
}

impl Row {
    /// What `credentials` have in common with another gateway's card.
    fn shares<'c>(&self, credentials: &'c [Credential]) -> Option<&'c str> {
        let theirs: Vec<&str> = self.upstreams.split("; ").collect();
        let is_theirs = |ours: &&Credential| ours.mark != "none" && theirs.contains(&ours.row().as_str());
        credentials.iter().find(is_theirs).map(|ours| ours.upstream.as_str())
    }
}

/// The credentials as the log has them.
pub(crate) fn row_of(credentials: &[Credential]) -> String {
    credentials.iter().map(Credential::row).collect::<Vec<_>>().join("; ")
}

/// `flashed.csv`, kept by whoever flashes.
pub(crate) struct FlashLog {
    path: PathBuf,
    rows: Vec<Row>,
}

impl FlashLog {
    /// Reads it; one that is not there yet is empty.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
        };
        let rows = csv::Reader::from_reader(text.as_slice()).into_deserialize().collect::<Result<Vec<Row>, _>>();
        let rows = rows.with_context(|| format!("{} is not as it was written; mend or rename it", path.display()))?;
        Ok(Self { path: path.to_owned(), rows })
    }

    /// The newest card of this gateway.
    pub(crate) fn last_of(&self, gateway: &str) -> Option<&Row> {
        self.rows.iter().rev().find(|row| row.gateway == gateway)
    }

    /// Another gateway that uses one of these credentials, and at which upstream.
    pub(crate) fn sharing<'l>(&'l self, gateway: &str, ours: &'l [Credential]) -> Option<(&'l str, &'l str)> {
        let others = self.rows.iter().filter(|row| row.gateway != gateway);
        others.filter_map(|row| Some((row.gateway.as_str(), row.shares(ours)?))).next()
    }

    /// Adds a row, down to the disk.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn add(&mut self, row: Row) -> anyhow::Result<()> {
        let add = || {
            let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
            let is_new = file.metadata()?.len() == 0;
            let mut out = csv::WriterBuilder::new().has_headers(is_new).from_writer(Vec::new());
            out.serialize(&row)?;
            let bytes = out.into_inner().map_err(|error| anyhow::anyhow!("{error}"))?;
            private::give_to_owner_of_folder(&self.path)?;
            (&file).write_all(&bytes)?;
            anyhow::Ok(file.sync_all()?)
        };
        add().with_context(|| {
            format!("{} cannot be written, and without it no card could be revoked", self.path.display())
        })?;
        self.rows.push(row);
        Ok(())
    }
}
