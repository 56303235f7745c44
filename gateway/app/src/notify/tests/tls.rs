//! Over TLS to a service whose CA is named, and to one whose is not.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use ninewatch_tests::services::{MAIL, Played, Service};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::notify::config::NotifyConfig;
use crate::notify::service::{self, Failure, Message};
use crate::pem;

/// TLS in front of a service that speaks none.
async fn front(dir: &Path, behind: SocketAddr) -> SocketAddr {
    ninewatch_tests::certificates(dir, "nobody").unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            pem::certificates(&dir.join("server.pem")).unwrap(),
            pem::private_key(&dir.join("server.key")).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut inside) = acceptor.accept(stream).await else { return };
                let mut outside = TcpStream::connect(behind).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
            });
        }
    });
    address
}

fn config(dir: &Path, toml: &str) -> NotifyConfig {
    let mut config: NotifyConfig = toml::from_str(toml).unwrap();
    assert!(config.problems(&[]).is_empty(), "{:?}", config.problems(&[]));
    config.paths().for_each(|path| *path = dir.join(&*path));
    config
}

fn message() -> Message {
    Message {
        id: "01K.7".into(),
        text: "【紧急】酸汤鱼馆：一氧化碳升高".into(),
        urgent: true,
        people: Vec::new(),
        event: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_behind_a_certificate_of_a_ca_that_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let robot = Played::start(Service::Wecom).unwrap();
    let port = front(dir.path(), robot.address).await.port();
    let url =
        robot.url().replace("http://", "https://").replace(&robot.address.to_string(), &format!("localhost:{port}"));
    std::fs::write(dir.path().join("url"), url).unwrap();
    let named = "name = \"a\"\nkind = \"wecom\"\nurl_file = \"url\"\n";
    let trusting = config(dir.path(), &format!("{named}ca = \"ca.pem\"\n"));
    service::send(&trusting, &message(), 0).await.unwrap();
    assert!(robot.look(|seen| seen.taken == ["【紧急】酸汤鱼馆：一氧化碳升高"] && seen.urgent == [true]));
    let other = tempfile::tempdir().unwrap();
    ninewatch_tests::certificates(other.path(), "nobody").unwrap();
    std::fs::copy(other.path().join("ca.pem"), dir.path().join("other.pem")).unwrap();
    let wary = config(dir.path(), &format!("{named}ca = \"other.pem\"\n"));
    let Err(Failure::Temporary(said)) = service::send(&wary, &message(), 0).await else { panic!("it was trusted") };
    assert!(said.contains("no TLS with localhost") && !said.contains("key="), "{said}");
    assert_eq!(robot.look(|seen| seen.taken.len()), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_goes_over_tls_with_its_log_in() {
    let dir = tempfile::tempdir().unwrap();
    let server = Played::start(Service::Mail).unwrap();
    let port = front(dir.path(), server.address).await.port();
    let mail = |password: &str| {
        std::fs::write(dir.path().join("password"), password).unwrap();
        let toml = format!(
            "name = \"a\"\nkind = \"email\"\nurl = \"smtps://localhost:{port}\"\nca = \"ca.pem\"\nusername = \"{}\"\n\
             password_file = \"password\"\nfrom = \"九哨 <gateway@example.cn>\"\nto = [\"duty@example.cn\"]\n",
            MAIL.0
        );
        config(dir.path(), &toml)
    };
    service::send(&mail(MAIL.1), &message(), 0).await.unwrap();
    let (text, id) = server.look(|seen| (seen.taken[0].clone(), seen.ids[0].clone()));
    assert!(text.starts_with("<duty@example.cn>\n") && text.contains("Subject: =?utf-8?b?"), "{text}");
    assert_eq!(id, "<01K.7@example.cn>");
    let refused = service::send(&mail("another"), &message(), 0).await;
    assert!(matches!(refused, Err(Failure::Refused(_))), "{refused:?}");
    server.answer_once(0, &[], "451 4.7.1 greylisted, come later");
    let later = service::send(&mail(MAIL.1), &message(), 0).await;
    assert!(matches!(later, Err(Failure::Temporary(_))), "{later:?}");
    // No STARTTLS, no password: this server offers none.
    let plain = mail(MAIL.1).url.unwrap().replace("smtps://", "smtp://");
    let mut upgrading = mail(MAIL.1);
    upgrading.url = Some(plain.replace(&port.to_string(), &server.address.port().to_string()));
    let refused = service::send(&upgrading, &message(), 0).await;
    assert!(refused.is_err() && server.look(|seen| seen.taken.len()) == 1, "{refused:?}");
}
