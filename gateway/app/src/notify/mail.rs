//! Messages by e-mail: SMTP submission with TLS.

use anyhow::{Context, bail};
use lettre::message::{Mailbox, header::ContentType};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use std::time::Duration;

use super::config::NotifyConfig;
use super::service::{Failure, Message, is_here};
use crate::mqtt_client::password;

/// For each command; and for the whole, below the console's own patience.
const ANSWER: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(15);

type Transport = AsyncSmtpTransport<Tokio1Executor>;

/// Sends it to everybody at once.
///
/// # Errors
/// Why it was not taken.
pub(super) async fn send(config: &NotifyConfig, message: &Message) -> Result<(), Failure> {
    let refused = |error: anyhow::Error| Failure::Refused(format!("{error:#}"));
    let mail = mail(config, message).map_err(refused)?;
    let transport = transport(config).map_err(refused)?;
    match tokio::time::timeout(PATIENCE, transport.send(mail)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) if error.is_permanent() => Err(Failure::Refused(error.to_string())),
        Ok(Err(error)) => Err(Failure::Temporary(error.to_string())),
        Err(_) => Err(Failure::Temporary(format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

/// Whether all is there that a mail needs.
///
/// # Errors
/// What is not.
pub(super) fn check(config: &NotifyConfig) -> anyhow::Result<()> {
    let message =
        Message { id: "check".into(), text: "check".into(), urgent: false, people: Vec::new(), event: Vec::new() };
    mail(config, &message)?;
    transport(config).map(drop)
}

fn mail(config: &NotifyConfig, message: &Message) -> anyhow::Result<lettre::Message> {
    let from: Mailbox = mailbox(config.from.as_deref().context("there is no `from`")?)?;
    let domain = from.email.domain().to_owned();
    let mut mail = lettre::Message::builder().from(from);
    let mut readers: Vec<Mailbox> = config.to.iter().map(|to| mailbox(to)).collect::<anyhow::Result<_>>()?;
    for person in &message.people {
        // The roster has looked at it; who is not reachable keeps the mail from nobody else.
        let Ok(reader) = mailbox(&person.email) else { continue };
        if !readers.iter().any(|other| other.email == reader.email) {
            readers.push(reader);
        }
    }
    for reader in readers {
        mail = mail.to(reader);
    }
    let subject = message.text.lines().next().unwrap_or_default();
    // Of several copies of one mail, a reader shows one.
    let mail = mail.message_id(Some(format!("<{}@{domain}>", message.id))).subject(subject);
    Ok(mail.header(ContentType::TEXT_PLAIN).body(message.text.clone())?)
}

/// Reads `name <box@domain>`.
///
/// # Errors
/// Where it is no address.
pub(super) fn mailbox(text: &str) -> anyhow::Result<Mailbox> {
    text.parse().with_context(|| format!("`{text}` is not an e-mail address"))
}

/// How a mail server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Security {
    /// TLS from the first byte (RFC 8314).
    Wrapped,
    /// STARTTLS, and nothing before it.
    Upgraded,
    /// None: a relay on this machine.
    None,
}

/// Host, port and security of `smtps://host:465`, `smtp://host:587` or `smtp+plain://localhost:25`.
fn server(url: &str) -> Option<(&str, u16, Security)> {
    let (scheme, rest) = url.split_once("://")?;
    let (security, usual) = match scheme {
        "smtps" => (Security::Wrapped, 465),
        "smtp" => (Security::Upgraded, 587),
        "smtp+plain" => (Security::None, 25),
        _ => return None,
    };
    let (host, port) = match rest.trim_end_matches('/').rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (rest.trim_end_matches('/'), usual),
    };
    (!host.is_empty() && (is_here(host) || security != Security::None)).then_some((host, port, security))
}

/// Whether it is the address of a mail server that may be given a password.
pub(super) fn is_server(url: &str) -> bool {
    server(url).is_some()
}

fn transport(config: &NotifyConfig) -> anyhow::Result<Transport> {
    let url = config.url.as_deref().unwrap_or_default();
    let (host, port, security) = server(url).with_context(|| format!("`{url}` is not a mail server"))?;
    let parameters = || -> anyhow::Result<TlsParameters> {
        let mut parameters = TlsParameters::builder(host.to_owned());
        if let Some(file) = &config.ca {
            parameters = parameters.certificate_store(CertificateStore::None);
            for authority in crate::pem::certificates(file)? {
                parameters = parameters.add_root_certificate(Certificate::from_der(authority.to_vec())?);
            }
        }
        Ok(parameters.build()?)
    };
    let tls = match security {
        Security::Wrapped => Tls::Wrapper(parameters()?),
        Security::Upgraded => Tls::Required(parameters()?),
        Security::None => Tls::None,
    };
    let mut transport = Transport::builder_dangerous(host).port(port).tls(tls).timeout(Some(ANSWER));
    match (&config.username, &config.password_file) {
        (Some(username), Some(file)) => {
            transport = transport.credentials(Credentials::new(username.clone(), password(file)?));
        }
        (None, None) => {}
        _ => bail!("`username` and `password_file` belong together"),
    }
    Ok(transport.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_goes_to_a_server_that_hides_it() {
        assert_eq!(server("smtps://smtp.example.cn"), Some(("smtp.example.cn", 465, Security::Wrapped)));
        assert_eq!(server("smtp://smtp.example.cn"), Some(("smtp.example.cn", 587, Security::Upgraded)));
        assert_eq!(server("smtp+plain://localhost:2525"), Some(("localhost", 2525, Security::None)));
        for wrong in ["smtp+plain://smtp.example.cn", "https://example.cn", "smtps://", "smtps://host:port"] {
            assert_eq!(server(wrong), None, "{wrong}");
        }
    }
}
