//! Being a client of an MQTT server that is not ours and may be away: what the broker door and the
//! upstreams share.
//!
//! Each connection begins with a new rumqttc event loop. rumqttc 0.25 can carry one over, but then
//! it also carries over events that it has read and not given out, and acknowledgements that were
//! queued: a packet id would be acknowledged on a connection where it means another message.

#[cfg(test)]
mod tests;

use anyhow::{Context, anyhow, bail};
use rumqttc::{TlsConfiguration, Transport, v5};
use rustls::ClientConfig;
use std::fmt::Write as _;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

use crate::config::MqttServer;
use crate::metrics::header;
use crate::pem;

/// A dead peer is noticed within two of these.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// TCP, TLS and CONNACK together; mobile links take seconds for each.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// Where a server is and what lets us in: an [`MqttServer`] with its files read.
pub(crate) struct Access {
    host: String,
    port: u16,
    transport: Transport,
    login: Option<(String, String)>,
}

impl Access {
    /// Reads what `server` names. Done for each connection, so that a renewed password or
    /// certificate is used without a restart.
    ///
    /// # Errors
    /// Where a file is missing or does not hold what it should; the message names it.
    pub(crate) fn read(server: &MqttServer) -> anyhow::Result<Self> {
        let name = &server.name;
        let (host, port, tls) = server
            .address()
            .with_context(|| format!("`{name}`: `{}` is not an MQTT address; write mqtts://host:8883", server.url))?;
        let login = match (&server.username, &server.password_file) {
            (Some(username), Some(file)) => Some((username.clone(), password(file)?)),
            (Some(username), None) => Some((username.clone(), String::new())),
            (None, Some(_)) => bail!("`{name}` has a `password_file` and no `username`; MQTT wants both"),
            (None, None) => None,
        };
        let transport = if tls {
            Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(tls_config(server)?)))
        } else if server.ca.is_some() || server.cert.is_some() || server.key.is_some() {
            bail!("`{name}` has certificates, but mqtt:// does not use them; write mqtts://");
        } else {
            Transport::tcp()
        };
        Ok(Self { host: host.to_owned(), port, transport, login })
    }

    /// The same, by what somebody has typed.
    pub(crate) fn with_login(self, login: Option<(String, String)>) -> Self {
        Self { login, ..self }
    }

    /// For a connection that speaks MQTT 3.1.1.
    pub(crate) fn v4(self, client_id: &str) -> rumqttc::MqttOptions {
        let mut options = rumqttc::MqttOptions::new(client_id, self.host, self.port);
        options.set_transport(self.transport).set_keep_alive(KEEP_ALIVE);
        if let Some((username, password)) = self.login {
            options.set_credentials(username, password);
        }
        options
    }

    /// For a connection that speaks MQTT 5.
    pub(crate) fn v5(self, client_id: &str) -> v5::MqttOptions {
        let mut options = v5::MqttOptions::new(client_id, self.host, self.port);
        options.set_transport(self.transport).set_keep_alive(KEEP_ALIVE);
        options.set_connection_timeout(CONNECT_TIMEOUT.as_secs()).set_network_options(network_options());
        if let Some((username, password)) = self.login {
            options.set_credentials(username, password);
        }
        options
    }
}

/// The TCP side, the same for both versions of the protocol.
pub(crate) fn network_options() -> rumqttc::NetworkOptions {
    let mut options = rumqttc::NetworkOptions::new();
    options.set_tcp_nodelay(true);
    options.set_connection_timeout(CONNECT_TIMEOUT.as_secs());
    options
}

/// What a file holds that holds one line: a password.
///
/// # Errors
/// Where it cannot be read; the message names it.
pub(crate) fn password(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("the password file {} cannot be read", file.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn tls_config(server: &MqttServer) -> anyhow::Result<ClientConfig> {
    let roots = pem::trusted(server.ca.as_deref(), &server.name)?;
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    match (&server.cert, &server.key) {
        (Some(cert), Some(key)) => config
            .with_client_auth_cert(pem::certificates(cert)?, pem::private_key(key)?)
            .with_context(|| format!("{} and {} do not belong together", cert.display(), key.display())),
        _ => Ok(config.with_no_client_auth()),
    }
}

/// Waits for a poll of an event loop, which comes back at least once each `keep_alive`: if only to
/// say that it pings. When it does not, it hangs in a write to a peer that is gone.
///
/// # Errors
/// What the poll says, or that it hangs.
pub(crate) async fn polled<T, E>(keep_alive: Duration, poll: impl Future<Output = Result<T, E>>) -> anyhow::Result<T>
where
    E: std::error::Error,
{
    let limit = 2 * keep_alive + CONNECT_TIMEOUT;
    match tokio::time::timeout(limit, poll).await {
        // rumqttc's errors say their cause themselves.
        Ok(event) => event.map_err(|error| anyhow!("{error}")),
        Err(_) => bail!("nothing got through for {} s", limit.as_secs()),
    }
}

/// How a connection to a server stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct LinkState {
    /// Since when it is connected.
    pub(crate) since: Option<Instant>,
    /// How often it has been.
    pub(crate) connections: u64,
    /// What went wrong last; kept while all is well again.
    pub(crate) last_error: Option<String>,
}

/// A connection that is to be kept up.
#[derive(Debug)]
pub(crate) struct Link {
    /// `broker` or `upstream`, and the server's name.
    kind: &'static str,
    name: String,
    state: watch::Sender<LinkState>,
}

impl Link {
    pub(crate) fn new(kind: &'static str, name: &str) -> Self {
        Self { kind, name: name.to_owned(), state: watch::Sender::default() }
    }

    /// The server's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How it stands, now and later.
    pub(crate) fn watch(&self) -> watch::Receiver<LinkState> {
        self.state.subscribe()
    }

    /// The server has let us in, and we read what we should.
    pub(crate) fn up(&self) {
        tracing::info!("{} `{}` is connected", self.kind, self.name);
        self.state.send_modify(|state| {
            state.since = Some(Instant::now());
            state.connections += 1;
        });
    }

    /// Says what is wrong, once as long as it stays the same.
    pub(crate) fn complain(&self, what: &str) {
        if self.state.borrow().last_error.as_deref() != Some(what) {
            tracing::warn!("{} `{}`: {what}", self.kind, self.name);
            self.state.send_modify(|state| state.last_error = Some(what.to_owned()));
        }
    }

    /// Runs one `connection` after the other, with growing pauses, until one says that the gateway
    /// is stopping: `Ok(())`.
    pub(crate) async fn keep_up<F>(&self, connection: impl Fn() -> F)
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        let mut backoff = Backoff::default();
        loop {
            let begun = Instant::now();
            let Err(error) = connection().await else { return };
            self.state.send_modify(|state| state.since = None);
            self.complain(&format!("{error:#}"));
            tokio::time::sleep(backoff.pause(begun.elapsed())).await;
        }
    }
}

/// Adds one metric of a link in Prometheus' text format.
pub(crate) fn metric(out: &mut String, name: &str, r#type: &str, help: &str, link: &Link, value: u64) {
    header(out, name, r#type, help);
    let _ = writeln!(out, "{name}{{{}=\"{}\"}} {value}", link.kind, link.name);
}

/// Adds how a link stands, in the same format.
pub(crate) fn link_metrics(out: &mut String, link: &Link) {
    let LinkState { since, connections, .. } = *link.state.borrow();
    let kind = link.kind;
    let up = u64::from(since.is_some());
    metric(out, &format!("ninewatch_{kind}_connected"), "gauge", "Whether there is a connection.", link, up);
    metric(out, &format!("ninewatch_{kind}_connections_total"), "counter", "Connections made.", link, connections);
}

/// Pauses between attempts: they double, and hundreds of gateways do not come back in step.
#[derive(Debug, Default)]
struct Backoff {
    failures: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(30);
    /// A connection that lasted this long was a good one.
    const GOOD: Duration = Duration::from_secs(10);

    /// The pause after a connection that lasted `lasted`: the upper half of it is chance.
    fn pause(&mut self, lasted: Duration) -> Duration {
        if lasted >= Self::GOOD {
            self.failures = 0;
        }
        let full = (Self::FIRST * 2_u32.pow(self.failures.min(8))).min(Self::LONGEST);
        self.failures = self.failures.saturating_add(1);
        let chance = f64::from(getrandom::u32().unwrap_or(0)) / f64::from(u32::MAX);
        full.div_f64(2.0) + full.div_f64(2.0).mul_f64(chance)
    }
}
