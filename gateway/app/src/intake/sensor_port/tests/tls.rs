//! TLS: the port's certificate, and certificates in place of secrets.

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, MqttOptions, Packet, QoS, TlsConfiguration, Transport,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;

use super::*;
use crate::config::{SensorPortConfig, SensorPortTls};

/// A CA and what it signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// A certificate with these names, and its key.
    fn sign(
        &self,
        common_name: &str,
        dns_names: &[&str],
        usage: ExtendedKeyUsagePurpose,
    ) -> (rcgen::Certificate, KeyPair) {
        let names: Vec<String> = dns_names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::OrganizationName, "Ninewatch");
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }
}

/// A port with TLS, the CA of both sides, and one that nobody knows.
struct Site {
    desk: Desk,
    ours: Authority,
    others: Authority,
    _folder: tempfile::TempDir,
}

fn write_server(folder: &Path, ours: &Authority) -> SensorPortTls {
    let (certificate, key) = ours.sign("gateway", &["localhost"], ExtendedKeyUsagePurpose::ServerAuth);
    let path = |name: &str, pem: String| {
        let path = folder.join(name);
        std::fs::write(&path, pem).unwrap();
        path
    };
    SensorPortTls {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        cert: path("cert.pem", certificate.pem()),
        key: path("key.pem", key.serialize_pem()),
        client_ca: Some(path("ca.pem", ours.certificate.pem())),
    }
}

impl Site {
    async fn new() -> Self {
        let (ours, others) = (Authority::new(), Authority::new());
        let folder = tempfile::tempdir().unwrap();
        let tls = Some(write_server(folder.path(), &ours));
        let desk = Desk::with(SensorPortConfig { tls, ..config() }, |_| {}).await;
        Self { desk, ours, others, _folder: folder }
    }

    /// Connects; the answer to the CONNECT.
    async fn connect(
        &self,
        login: Option<(&str, &str)>,
        certificate: Option<(rcgen::Certificate, KeyPair)>,
    ) -> Result<(AsyncClient, rumqttc::EventLoop), ConnectionError> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.ours.certificate.der().clone()).unwrap();
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match certificate {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
                config.with_client_auth_cert(chain, PrivateKeyDer::try_from(key.serialize_der()).unwrap()).unwrap()
            }
        };
        let mut options = MqttOptions::new("c", "localhost", self.desk.at_tls.unwrap().port());
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(config))));
        if let Some((user_name, password)) = login {
            options.set_credentials(user_name, password);
        }
        let (client, mut events) = AsyncClient::new(options, 10);
        match events.poll().await? {
            Event::Incoming(Packet::ConnAck(_)) => Ok((client, events)),
            other => panic!("{other:?}"),
        }
    }
}

fn device_auth() -> ExtendedKeyUsagePurpose {
    ExtendedKeyUsagePurpose::ClientAuth
}

fn code(refused: ConnectionError) -> ConnectReturnCode {
    let ConnectionError::ConnectionRefused(code) = refused else { panic!("{refused}") };
    code
}

#[tokio::test]
async fn a_secret_is_enough_over_tls() {
    let mut site = Site::new().await;
    let secret = site.desk.secret(GAS);
    let (client, mut events) = site.connect(Some((GAS, &secret)), None).await.unwrap();
    client.publish("ninewatch/gas-1/readings", QoS::AtLeastOnce, false, "x").await.unwrap();
    let acknowledged =
        tokio::spawn(
            async move { while !matches!(events.poll().await.unwrap(), Event::Incoming(Packet::PubAck(_))) {} },
        );
    assert_eq!(site.desk.take().await, "x");
    acknowledged.await.unwrap();
    let refused = site.connect(Some((GAS, "guess")), None).await.map(drop).unwrap_err();
    assert_eq!(code(refused), ConnectReturnCode::BadUserNamePassword);
}

#[tokio::test]
async fn a_certificate_with_the_devices_id_stands_for_the_secret() {
    let site = Site::new().await;
    let sign = |common_name: &str, dns_names: &[&str]| Some(site.ours.sign(common_name, dns_names, device_auth()));
    for certificate in [sign(GAS, &[]), sign("Gas detector", &["other", GAS])] {
        site.connect(None, certificate).await.map(drop).unwrap();
    }
    site.connect(Some((GAS, "")), sign(GAS, &[])).await.map(drop).unwrap();
    let refused = site.connect(None, sign("nobody", &[])).await.map(drop).unwrap_err();
    assert_eq!(code(refused), ConnectReturnCode::BadUserNamePassword);
    let refused = site.connect(Some((DOOR, "")), sign(GAS, &[])).await.map(drop).unwrap_err();
    assert_eq!(code(refused), ConnectReturnCode::BadUserNamePassword, "it is not the door's");
    site.desk.change(|devices| devices.clear());
    let refused = site.connect(None, sign(GAS, &[])).await.map(drop).unwrap_err();
    assert_eq!(code(refused), ConnectReturnCode::BadUserNamePassword, "it is no longer on the site");
}

#[tokio::test]
async fn a_certificate_of_another_ca_or_kind_comes_to_nothing() {
    let site = Site::new().await;
    let foreign = site.others.sign(GAS, &[], device_auth());
    site.connect(None, Some(foreign)).await.map(drop).unwrap_err();
    let for_servers = site.ours.sign(GAS, &[], ExtendedKeyUsagePurpose::ServerAuth);
    site.connect(None, Some(for_servers)).await.map(drop).unwrap_err();
    site.desk.refused("tls", 2).await;
}

#[tokio::test]
async fn a_secret_change_leaves_a_certificate_in_force_and_a_removal_does_not() {
    let site = Site::new().await;
    let (_client, mut events) = site.connect(None, Some(site.ours.sign(GAS, &[], device_auth()))).await.unwrap();
    site.desk.change(|devices| devices.iter_mut().for_each(|device| device.secret.clear()));
    site.desk.change(|devices| devices.clear());
    while events.poll().await.is_ok() {}
    assert_eq!(site.desk.counters.ended(), [("revoked", 1)].into());
}

#[tokio::test]
async fn plain_tcp_on_the_tls_port_comes_to_nothing() {
    let site = Site::new().await;
    let mut raw = Raw::open(site.desk.at_tls.unwrap()).await;
    raw.send(&raw::Hello::of(&site.desk, super::super::packets::Version::V5, "c", GAS).bytes()).await;
    site.desk.refused("tls", 1).await;
}

#[tokio::test]
async fn a_file_that_is_not_right_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let right = write_server(folder.path(), &Authority::new());
    let other = tempfile::tempdir().unwrap();
    let other = write_server(other.path(), &Authority::new());
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let told = |tls: SensorPortTls| {
        let config = SensorPortConfig { listen: None, tls: Some(tls), ..SensorPortConfig::default() };
        format!("{:#}", SensorPort::bind(&config).err().unwrap())
    };
    for (tls, says) in [
        (SensorPortTls { cert: empty.clone(), ..right.clone() }, "empty.pem holds no certificate in PEM"),
        (SensorPortTls { key: empty.clone(), ..right.clone() }, "empty.pem holds no private key in PEM"),
        (SensorPortTls { client_ca: Some(empty), ..right.clone() }, "empty.pem holds no certificate in PEM"),
        (SensorPortTls { cert: "gone.pem".into(), ..right.clone() }, "gone.pem cannot be read as certificates in PEM"),
        (SensorPortTls { key: other.key, ..right.clone() }, "do not fit"),
    ] {
        let told = told(tls);
        assert!(told.contains(says), "{told}");
    }
}
