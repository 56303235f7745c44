//! TLS against a real server, files that are not right, a peer that falls silent, and the pauses.

use mqtt_protocol_core::mqtt::packet::{Packet, v3_1_1, v5_0};
use mqtt_protocol_core::mqtt::result_code::{ConnectReasonCode, ConnectReturnCode};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::path::PathBuf;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::demo::city::endpoint::Endpoint;

fn server(url: String) -> MqttServer {
    MqttServer {
        name: "city".into(),
        url,
        username: None,
        password_file: None,
        ca: None,
        cert: None,
        key: None,
        subscribe: Vec::new(),
    }
}

/// A CA, a server that shows a certificate of it and wants one, and a client's files.
struct Tls {
    dir: tempfile::TempDir,
    acceptor: TlsAcceptor,
}

impl Tls {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let issue = |names: Vec<String>, usage| {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(names).unwrap();
            params.extended_key_usages = vec![usage];
            (params.signed_by(&key, &ca).unwrap(), key)
        };
        let (shown, shown_key) = issue(vec!["127.0.0.1".into()], ExtendedKeyUsagePurpose::ServerAuth);
        let (client, client_key) = issue(vec!["kaili-01".into()], ExtendedKeyUsagePurpose::ClientAuth);
        std::fs::write(dir.path().join("ca.pem"), ca.pem()).unwrap();
        std::fs::write(dir.path().join("client.pem"), client.pem()).unwrap();
        std::fs::write(dir.path().join("client.key"), client_key.serialize_pem()).unwrap();

        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone()).build().unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![shown.der().clone()], shown_key.into())
            .unwrap();
        Self { dir, acceptor: TlsAcceptor::from(Arc::new(config)) }
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        Some(self.dir.path().join(name))
    }

    /// Lets `client` connect once; what its event loop says.
    async fn connect(&self, mut client: MqttServer) -> anyhow::Result<rumqttc::Event> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        client.url = format!("mqtts://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let mut events = rumqttc::EventLoop::new(Access::read(&client)?.v4("nine"), 1);
        let serve = async {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(stream) = self.acceptor.accept(stream).await else { return };
            let mut endpoint = Endpoint::new(stream);
            let Ok(Some(Packet::V3_1_1Connect(_))) = endpoint.receive().await else { return };
            let connack = v3_1_1::Connack::builder().session_present(false);
            endpoint.send(connack.return_code(ConnectReturnCode::Accepted).build().unwrap()).await.unwrap();
        };
        let (event, ()) = tokio::join!(polled(KEEP_ALIVE, events.poll()), serve);
        event
    }
}

#[tokio::test]
async fn tls_proves_both_sides() {
    let tls = Tls::new();
    let mut client = server(String::new());
    (client.ca, client.cert, client.key) = (tls.file("ca.pem"), tls.file("client.pem"), tls.file("client.key"));
    let event = tls.connect(client.clone()).await.unwrap();
    assert!(matches!(event, rumqttc::Event::Incoming(rumqttc::Packet::ConnAck(_))));

    let other = Tls::new();
    client.ca = other.file("ca.pem");
    let error = tls.connect(client).await.unwrap_err();
    assert!(error.to_string().contains("invalid peer certificate"), "a server of another CA: {error}");
}

#[tokio::test]
async fn a_peer_that_reads_no_more_is_left() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let access = Access::read(&server(format!("mqtt://{}", listener.local_addr().unwrap()))).unwrap();
    let peer = tokio::spawn(async move {
        let mut endpoint = Endpoint::new(listener.accept().await.unwrap().0);
        endpoint.receive().await.unwrap();
        let connack = v5_0::Connack::builder().session_present(false).reason_code(ConnectReasonCode::Success);
        endpoint.send(connack.build().unwrap()).await.unwrap();
        endpoint
    });
    let (client, mut events) = v5::AsyncClient::new(access.v5("nine"), 16);
    events.poll().await.unwrap();
    let _peer = peer.await.unwrap();
    tokio::time::pause();
    // More than any socket buffers.
    for _ in 0..16 {
        client.try_publish("a", v5::mqttbytes::QoS::AtLeastOnce, false, vec![0; 4_000_000]).unwrap();
    }
    let error = loop {
        if let Err(error) = polled(KEEP_ALIVE, events.poll()).await {
            break error;
        }
    };
    assert_eq!(error.to_string(), "nothing got through for 75 s");
}

#[test]
fn what_is_not_right_is_named() {
    let tls = Tls::new();
    let password = tls.dir.path().join("password");
    std::fs::write(&password, "secret\r\n").unwrap();
    let url = "mqtts://127.0.0.1".to_owned();
    let mut good = server(url.clone());
    (good.username, good.password_file) = (Some("nine".into()), Some(password.clone()));
    good.ca = tls.file("ca.pem");
    assert_eq!(Access::read(&good).unwrap().login, Some(("nine".into(), "secret".into())));
    assert_eq!(Access::read(&good).unwrap().port, 8883);

    let wrong = |change: fn(&mut MqttServer), says: &str| {
        let mut server = good.clone();
        change(&mut server);
        let error = format!("{:#}", Access::read(&server).err().expect(says));
        assert!(error.contains(says), "{error}");
    };
    wrong(|server| server.url = "http://city".into(), "`http://city` is not an MQTT address");
    wrong(|server| server.url = "mqtt://city".into(), "mqtt:// does not use them");
    wrong(|server| server.username = None, "no `username`");
    wrong(|server| server.password_file = Some("/nowhere/password".into()), "/nowhere/password cannot be read");
    wrong(|server| server.ca = Some("/nowhere/ca.pem".into()), "/nowhere/ca.pem cannot be read");
    wrong(|server| server.ca = server.password_file.clone(), "holds no certificate");
    wrong(|server| (server.cert, server.key) = (server.ca.clone(), server.ca.clone()), "holds no private key");
}

#[test]
fn pauses_grow_to_a_limit_and_begin_anew_after_a_good_connection() {
    let mut backoff = Backoff::default();
    let pauses: Vec<f64> = (0..12).map(|_| backoff.pause(Duration::ZERO).as_secs_f64()).collect();
    for (pause, full) in pauses.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0].into_iter().chain(std::iter::repeat(30.0))) {
        assert!((full / 2.0..=full).contains(pause), "{pause} of {full}");
    }
    assert!(backoff.pause(Backoff::GOOD) <= Backoff::FIRST);
}
