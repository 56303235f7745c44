//! HTTPS by the gateway's own CA, on the port that else speaks plain HTTP.

use axum::http::{Request, StatusCode};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::desk::Desk;
use crate::config::{Config, ConsoleConfig};
use crate::console::authority::{Authority, host_name};
use crate::console::connection::serve_https;
use crate::console::gate;
use crate::console::tls::{OwnCertificate, Tls};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn config(text: &str) -> ConsoleConfig {
    toml::from_str(text).unwrap()
}

fn roots(pem: &str) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    Arc::new(roots)
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Sends a request by TLS to somebody who has to prove to be `name`; gives the whole answer.
async fn ask(address: SocketAddr, name: &str, roots: &Arc<RootCertStore>, request: &str) -> anyhow::Result<String> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = tokio::net::TcpStream::connect(address).await?;
    let mut stream = connector.connect(ServerName::try_from(name.to_owned())?, stream).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn who_trusts_the_ca_is_served_under_every_name_of_the_gateway_and_no_other() {
    let desk = Desk::open_as(&config("listen = \"127.0.0.1:0\"\n[tls]\nnames = [\"gw.example.org\"]"));
    let address = desk.client.address;
    // On the box itself plain HTTP goes on.
    let ca = desk.client.get("/ca.crt").await;
    assert_eq!((ca.status, ca.header("content-type")), (StatusCode::OK, "application/x-x509-ca-cert"));
    let roots = roots(ca.text());
    let request = "GET /api/v1/health HTTP/1.1\r\nhost: gw\r\nconnection: close\r\n\r\n";
    let host = host_name().unwrap();
    for name in ["gw.example.org", "127.0.0.1", &host, &format!("{host}.local")] {
        let answer = ask(address, name, &roots, request).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("{\"status\":\"ok\"}"), "{name}: {answer}");
    }
    for name in ["www.example.org", "192.168.1.9"] {
        assert!(ask(address, name, &roots, request).await.is_err(), "{name} is not this gateway");
    }
    let (other, _) = authority(&[]);
    assert!(ask(address, "127.0.0.1", &self::roots(other.pem()), request).await.is_err());
}

#[tokio::test]
async fn a_session_that_began_by_tls_is_never_sent_without() {
    let desk = Desk::open_as(&config("listen = \"127.0.0.1:0\"\n[tls]"));
    let address = desk.client.address;
    let roots = roots(desk.client.get("/ca.crt").await.text());
    let body = format!("{{\"account\":\"duty\",\"password\":\"{}\"}}", desk.password);
    let request = format!(
        "POST /api/v1/session HTTP/1.1\r\nhost: 127.0.0.1\r\norigin: https://127.0.0.1\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = ask(address, "127.0.0.1", &roots, &request).await.unwrap();
    let cookie = answer.lines().find(|line| line.starts_with("set-cookie:")).unwrap();
    assert!(cookie.contains("; Secure"), "{cookie}");
    let login = serde_json::json!({"account": "duty", "password": desk.password});
    let plain = desk.client.post("/api/v1/session", &login).await;
    assert!(!plain.header("set-cookie").contains("Secure"), "a browser would not send it back");
}

#[tokio::test]
async fn plain_http_from_another_machine_is_shown_the_way_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let https = config("listen = \"127.0.0.1:0\"\n[tls]").https().unwrap();
    let tls = Tls::open(&https, dir.path()).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (client, server) =
        tokio::join!(tokio::net::TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let (mut client, (server, _)) = (client.unwrap(), server.unwrap());
    // The same service as always, behind: it must not be asked.
    let service = hyper_util::service::TowerToHyperService::new(axum::Router::new().fallback(async || "secret"));
    let serving =
        tokio::spawn(async move { serve_https(server, "192.0.2.7:4711".parse().unwrap(), &tls, service).await });
    client
        .write_all(b"GET /api/v1/alerts?open=true HTTP/1.1\r\nhost: gw:8080\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 307"), "{answer}");
    assert!(answer.contains("location: https://gw:8080/api/v1/alerts?open=true\r\n"), "{answer}");
    assert!(!answer.contains("secret"));
    serving.await.unwrap().unwrap();
    for request in [
        Request::post("/api/v1/session").header("host", "gw:8080").body(()).unwrap(),
        Request::get("/").body(()).unwrap(),
    ] {
        assert_eq!(gate::to_https(&request).status(), StatusCode::FORBIDDEN, "a password would go in the clear again");
    }
}

#[tokio::test]
async fn who_connects_and_says_nothing_or_nonsense_harms_nobody() {
    let desk = Desk::open_as(&config("listen = \"127.0.0.1:0\"\n[tls]"));
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(tokio::net::TcpStream::connect(desk.client.address).await.unwrap());
        let mut nonsense = tokio::net::TcpStream::connect(desk.client.address).await.unwrap();
        nonsense.write_all(&[0x16, 0x03, 0x01, 0xff, 0xff, 0x00]).await.unwrap();
    }
    assert_eq!(desk.client.get("/api/v1/health").await.status, StatusCode::OK);
}

fn authority(names: &[&str]) -> (Authority, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    (Authority::open(dir.path(), &names).unwrap(), dir)
}

/// Whether a browser that trusts the CA would take this chain, at this time, for this name.
fn is_taken(pem: &str, chain: &[CertificateDer<'static>], name: &str, at: SystemTime) -> bool {
    let verifier = WebPkiServerVerifier::builder_with_provider(roots(pem), provider()).build().unwrap();
    let at = UnixTime::since_unix_epoch(at.duration_since(SystemTime::UNIX_EPOCH).unwrap());
    let name = ServerName::try_from(name.to_owned()).unwrap();
    verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], at).is_ok()
}

#[test]
fn the_certificate_is_renewed_before_it_ends_and_whenever_the_clock_or_the_address_moves() {
    let (authority, _dir) = authority(&[]);
    let pem = authority.pem().to_owned();
    let own = OwnCertificate::new(authority, &[]).unwrap();
    let now = SystemTime::now();
    let at = |address: &str, time: SystemTime| {
        own.make_fit(address.parse().unwrap(), time).unwrap();
        own.chain()
    };
    let first = at("192.168.1.10", now);
    assert!(is_taken(&pem, &first, "192.168.1.10", now));
    assert_eq!(at("192.168.1.10", now + 29 * DAY), first, "it is not made anew without need");
    assert!(!is_taken(&pem, &first, "192.168.1.10", now + 91 * DAY));
    let later = at("192.168.1.10", now + 31 * DAY);
    assert!(later != first && is_taken(&pem, &later, "192.168.1.10", now + 120 * DAY));
    let set_back = at("192.168.1.10", now - 1000 * DAY);
    assert!(is_taken(&pem, &set_back, "192.168.1.10", now - 1000 * DAY));
    // The network gives another address; who still comes by the former one is served too.
    let moved = at("10.0.0.7", now - 1000 * DAY);
    assert!(["10.0.0.7", "192.168.1.10"].iter().all(|name| is_taken(&pem, &moved, name, now - 1000 * DAY)));
    for host in 0..200 {
        at(&format!("10.0.1.{host}"), now);
    }
    assert!(is_taken(&pem, &own.chain(), "10.0.1.199", now));
    assert!(!is_taken(&pem, &own.chain(), "10.0.1.1", now), "it does not grow for ever");
    // An address that the CA may not sign for is left out, and does not spoil the rest.
    let public = at("203.0.113.5", now);
    assert!(is_taken(&pem, &public, "10.0.1.199", now) && !is_taken(&pem, &public, "203.0.113.5", now));
}

#[test]
fn a_stolen_ca_signs_for_no_site_of_the_internet() {
    let (authority, _dir) = authority(&["gw.example.org", "203.0.113.5"]);
    let now = SystemTime::now();
    for (name, is_allowed) in [
        ("gw.example.org", true),
        ("203.0.113.5", true),
        ("box.local", true),
        ("172.31.0.1", true),
        ("fd00::1", true),
        ("www.bank.example", false),
        ("example.org", false),
        ("203.0.113.6", false),
        ("172.32.0.1", false),
        ("2001:db8::1", false),
    ] {
        assert_eq!(authority.may_sign_for(name), is_allowed, "{name}");
        // Not our good will, but what the certificate itself says.
        let signed = authority.sign_for([name], now).unwrap();
        assert_eq!(is_taken(authority.pem(), &signed.cert, name, now), is_allowed, "{name}");
    }
}

#[test]
fn the_ca_stays_until_somebody_wants_another_one() {
    let (made, dir) = authority(&["gw.example.org"]);
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let again = Authority::open(dir.path(), &names(&["gw.example.org", "other.local"])).unwrap();
    assert_eq!((again.fingerprint(), again.pem()), (made.fingerprint(), made.pem()));
    assert_eq!(made.fingerprint().len(), 95);
    let refused = Authority::open(dir.path(), &names(&["new.example.org"])).err().unwrap().to_string();
    assert!(refused.contains("new.example.org") && refused.contains("cert init --force"), "{refused}");
    let renewed = Authority::renew(dir.path(), &names(&["new.example.org"])).unwrap();
    assert_ne!(renewed.fingerprint(), made.fingerprint());
    std::fs::write(dir.path().join(crate::console::AUTHORITY), "names = 7").unwrap();
    assert!(format!("{:#}", Authority::open(dir.path(), &[]).err().unwrap()).contains("is damaged"));
}

#[test]
fn what_other_machines_reach_speaks_https_unless_somebody_says_otherwise() {
    for (text, is_https) in [
        ("listen = \"127.0.0.1:8080\"", false),
        ("listen = \"[::1]:8080\"", false),
        ("listen = \"0.0.0.0:8080\"", true),
        ("listen = \"192.168.1.10:8080\"", true),
        ("listen = \"0.0.0.0:8080\"\nplain_http = true", false),
        ("listen = \"127.0.0.1:8080\"\n[tls]", true),
    ] {
        assert_eq!(config(text).https().is_some(), is_https, "{text}");
    }
    let dir = tempfile::tempdir().unwrap();
    let faults = |console: &str| {
        let site = dir.path().join("site.toml");
        std::fs::write(&site, format!("[gateway]\nid = \"g\"\ndata_dir = \"data\"\n{console}")).unwrap();
        Config::load(Path::new(&site)).err().unwrap().to_string()
    };
    let both = faults("[console]\nlisten = \"0.0.0.0:8080\"\nplain_http = true\n[console.tls]");
    assert!(both.contains("does not go with"), "{both}");
    let half = faults("[console]\nlisten = \"0.0.0.0:8080\"\n[console.tls]\ncert = \"a.pem\"");
    assert!(half.contains("give both or none"), "{half}");
    let url = faults("[console]\nlisten = \"0.0.0.0:8080\"\n[console.tls]\nnames = [\"https://gw\"]");
    assert!(url.contains("without https://"), "{url}");
}

#[tokio::test]
async fn a_certificate_from_elsewhere_is_used_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let given = rcgen::generate_simple_self_signed(["box.local".to_owned()]).unwrap();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| dir.path().join(name));
    std::fs::write(&cert, given.cert.pem()).unwrap();
    std::fs::write(&key, given.signing_key.serialize_pem()).unwrap();
    let desk = Desk::open_as(&config(&format!("listen = \"127.0.0.1:0\"\n[tls]\ncert = {cert:?}\nkey = {key:?}")));
    let request = "GET /api/v1/health HTTP/1.1\r\nhost: gw\r\nconnection: close\r\n\r\n";
    assert!(
        ask(desk.client.address, "box.local", &roots(&given.cert.pem()), request).await.unwrap().contains("200 OK")
    );
    assert_eq!(desk.client.get("/ca.crt").await.code(), "no_ca");
}
