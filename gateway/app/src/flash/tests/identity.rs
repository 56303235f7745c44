//! What makes a card one gateway.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{made, site, wanted};
use crate::config::Config;
use crate::flash::identity::{Identity, Staging, Wanted, host_name};
use crate::flash::join::Wifi;
use crate::flash::{FlashLog, Papers, Row, row_of, sheet};
use crate::lang::Lang;
use crate::registry_file;

fn refusal(wanted: &Wanted<'_>) -> String {
    format!("{:#}", Identity::make(wanted).map(drop).unwrap_err())
}

#[test]
fn one_site_file_serves_many_gateways_each_with_its_own_credential() {
    let dir = tempfile::tempdir().unwrap();
    let one = made(dir.path()).unwrap();
    assert_eq!(one.id, "kaili-07");
    assert_eq!(one.address.as_deref(), Some("https://ninewatch-kaili-07.local:8080/"));
    assert_eq!(one.files["kaili-07.password"], b"correct horse\n");
    let text = String::from_utf8(one.files["site.toml"].clone()).unwrap();
    assert!(text.contains("data_dir = \"/var/lib/ninewatch\"") && text.contains("username = \"kaili-07\""), "{text}");
    fs::write(dir.path().join("taken.toml"), &text).unwrap();
    let config = Config::load(&dir.path().join("taken.toml")).unwrap();
    assert_eq!(config.upstreams[0].password_file.as_deref(), Some(dir.path().join("kaili-07.password").as_path()));
    assert!(!one.files.keys().any(|name| name.ends_with(".lock")), "{:?}", one.files.keys());

    fs::write(dir.path().join("secrets/kaili-08.password"), "another\n").unwrap();
    let site = dir.path().join("site.toml");
    let other = Identity::make(&Wanted { id: Some("kaili-08"), ..wanted(&site) }).unwrap();
    assert_ne!(one.fingerprint, other.fingerprint);
    assert_ne!(one.password, other.password);
    assert!(!other.files.contains_key("kaili-07.password"), "no card has another gateway's secret");
}

#[test]
fn nothing_secret_is_left_on_this_machine() {
    let staging = Staging::new().unwrap();
    let folder = staging.folder.clone();
    fs::write(folder.join("secret"), "x").unwrap();
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    drop(staging);
    assert!(!folder.exists());
}

#[test]
fn devices_that_have_no_secret_get_one_and_others_keep_theirs() {
    let dir = tempfile::tempdir().unwrap();
    let one = made(dir.path()).unwrap();
    let taken = tempfile::tempdir().unwrap();
    fs::write(registry_file::path(taken.path()), &one.files["data/registry.toml"]).unwrap();
    let registry = registry_file::load(taken.path()).unwrap();
    let (id, secret) = &one.device_secrets[0];
    assert_eq!(id, "gas-1");
    assert!(registry_file::verify(&registry.device("gas-1").unwrap().secret, secret.as_bytes()));
    assert_eq!(one.grids, ["kaili-1"]);

    // The same registry again, as it is on the card: nothing new.
    let (site, kept) = (dir.path().join("site.toml"), registry_file::path(taken.path()));
    let again = Identity::make(&Wanted { registry: Some(&kept), device_secrets: true, ..wanted(&site) }).unwrap();
    assert!(again.device_secrets.is_empty());
}

#[test]
fn the_ports_certificate_is_signed_by_the_gateways_ca_for_its_name() {
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};
    let dir = tempfile::tempdir().unwrap();
    let one = made(dir.path()).unwrap();
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&one.files["port.pem"]).collect::<Result<Vec<_>, _>>().unwrap();
    let ca = CertificateDer::from_pem_slice(one.ca.as_ref().unwrap().as_bytes()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
    let verify = |name: &'static str| {
        let name = ServerName::try_from(name).unwrap();
        verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], UnixTime::now())
    };
    verify("ninewatch-kaili-07.local").unwrap();
    assert!(verify("ninewatch-kaili-08.local").is_err());
    assert!(one.files["port.key"].starts_with(b"-----BEGIN PRIVATE KEY"));
}

#[test]
fn faults_are_told_by_the_files_that_the_person_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path());
    let name = site.display().to_string();
    assert!(refusal(&Wanted { id: None, ..wanted(&site) }).contains("say `--id`"));
    assert!(refusal(&Wanted { id: Some("a b"), ..wanted(&site) }).contains(&format!("{name}:2: `gateway.id`")));
    let missing = refusal(&Wanted { port_certificate: false, ..wanted(&site) });
    assert!(missing.contains("keys/port.") && missing.contains("cannot be read"), "{missing}");

    let good = fs::read_to_string(&site).unwrap();
    let with = |from: &str, to: &str| fs::write(&site, good.replace(from, to)).unwrap();
    with("{id}", "kaili-09");
    assert!(refusal(&wanted(&site)).contains("`gateway.id` is `kaili-09`, and --id says `kaili-07`"));
    with("secrets/{id}.password", "secrets/data");
    fs::write(dir.path().join("secrets/data"), "x").unwrap();
    assert!(refusal(&wanted(&site)).contains("`data`, which the site file names"));
    with("secrets/{id}.password", "secrets/a:b");
    assert!(refusal(&wanted(&site)).contains("cannot be called so on a card"));
    with("keys/port.key", "keys/PORT.pem");
    assert!(refusal(&wanted(&site)).contains("in case alone"));
    with("listen = \"0.0.0.0:8080\"", "listen = \"127.0.0.1:8080\"");
    assert!(refusal(&wanted(&site)).contains("has no CA"));
    fs::write(&site, &good).unwrap();
    fs::write(dir.path().join("our rules/bad.toml"), "nonsense = 1\n").unwrap();
    assert!(refusal(&wanted(&site)).contains("our rules/bad.toml"));
    fs::remove_file(dir.path().join("our rules/bad.toml")).unwrap();
    let registry = dir.path().join("registry.toml");
    fs::write(&registry, "[[device]]\nid = \"gas-1\"\ntype = \"ninewatch-gas\"\nplace = \"gone\"\n").unwrap();
    assert!(refusal(&Wanted { registry: Some(&registry), ..wanted(&site) }).contains("registry.toml:4"));
}

#[test]
fn a_console_for_the_box_alone_has_no_address_and_that_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path());
    let text = fs::read_to_string(&site).unwrap().replace("\"0.0.0.0:8080\"", "\"127.0.0.1:8080\"");
    fs::write(
        &site,
        text.replace(
            "[sensor_port.tls]\nlisten = \"0.0.0.0:8883\"\ncert = \"keys/port.pem\"\nkey = \"keys/port.key\"\n",
            "",
        ),
    )
    .unwrap();
    let one = Identity::make(&Wanted { port_certificate: false, ..wanted(&site) }).unwrap();
    assert_eq!((&one.address, &one.fingerprint), (&None, &None));
    assert!(one.notes[0].contains("0.0.0.0:8080"), "{:?}", one.notes);
    assert!(!sheet(&one, None, "now").unwrap().contains("<svg"));
}

#[test]
fn the_sheet_has_all_for_the_box_above_the_line_and_all_secrets_below() {
    let dir = tempfile::tempdir().unwrap();
    let mut one = made(dir.path()).unwrap();
    one.grids = vec!["<g&1>".into()];
    let page = sheet(&one, Some("文化北路 16 号"), "2026-11-28T21:00:00+08:00").unwrap();
    let (above, below) = page.split_once("<hr").unwrap();
    for word in ["<svg", "kaili-07", "文化北路 16 号", "&lt;g&amp;1&gt;", "https://ninewatch-kaili-07.local:8080/"]
    {
        assert!(above.contains(word), "{word}");
    }
    assert!(!above.contains(&one.password), "who passes by does not read it");
    let fingerprint = one.fingerprint.as_deref().unwrap();
    for word in ["duty", &one.password, fingerprint, "disable user kaili-07", "停用用户 kaili-07", "--again"] {
        assert!(below.contains(word), "{word}");
    }
}

#[test]
fn wifi_and_ssh_keys_lie_where_the_image_looks() {
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path());
    let (word, key) = (dir.path().join("word"), dir.path().join("key.pub"));
    fs::write(&word, "12345678").unwrap();
    fs::write(&key, "ssh-ed25519 AAAAC3 li\n").unwrap();
    let wifi = Wifi { ssid: "home".into(), password_file: word, country: "CN".into() };
    let one = Identity::make(&Wanted { wifi: Some(wifi), ssh_keys: Some(&key), ..wanted(&site) }).unwrap();
    assert!(one.files["wifi.conf"].starts_with(b"country=CN\n"));
    assert_eq!(one.files["authorized_keys"], b"ssh-ed25519 AAAAC3 li\n");
}

#[test]
fn every_id_gives_the_name_that_the_image_gives_the_box() {
    assert_eq!(host_name("Kaili_1.a"), "ninewatch-kaili-1-a");
    assert_eq!(host_name(&"x".repeat(64)).len(), 63);
    assert_eq!(host_name("..."), "ninewatch");
}

#[test]
fn the_log_knows_each_card_and_never_a_password() {
    let dir = tempfile::tempdir().unwrap();
    let one = made(dir.path()).unwrap();
    let path = dir.path().join("flashed.csv");
    let mut log = FlashLog::open(&path).unwrap();
    assert!(log.last_of("kaili-07").is_none());
    let row = Row {
        at: "2026-11-28T21:00:00+08:00".into(),
        gateway: one.id.clone(),
        state: "begun".into(),
        card: "/dev/sdb (Generic, STORAGE)".into(),
        console_fingerprint: one.fingerprint.clone().unwrap(),
        upstreams: row_of(&one.credentials),
        image_sha256: "00".into(),
    };
    log.add(row.clone()).unwrap();
    log.add(Row { state: "verified".into(), ..row.clone() }).unwrap();
    let log = FlashLog::open(&path).unwrap();
    assert_eq!(log.last_of("kaili-07"), Some(&Row { state: "verified".into(), ..row }));
    assert_eq!(log.sharing("kaili-07", &one.credentials), None, "it may share with itself");
    assert_eq!(log.sharing("kaili-08", &one.credentials), Some(("kaili-07", "city")), "revoking one cuts off both");
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains("correct horse") && !text.contains(&one.password), "{text}");
    assert!(one.credentials[0].revocation(Lang::Zh).contains("停用用户 kaili-07"));
    fs::write(&path, "a,b\n1,2\n").unwrap();
    assert!(FlashLog::open(&path).map(drop).unwrap_err().to_string().contains("not as it was written"));
}

#[test]
fn papers_get_their_names_only_with_a_whole_card() {
    let dir = tempfile::tempdir().unwrap();
    let (sheet, ca) = (dir.path().join("kaili-07.html"), dir.path().join("kaili-07.ca.crt"));
    let files = [(sheet.as_path(), "one"), (ca.as_path(), "ca")];
    drop(Papers::write(&files, false).unwrap());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "of a card that failed nothing is left");
    Papers::write(&files, false).unwrap().keep().unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    assert!(Papers::write(&files, false).map(drop).unwrap_err().to_string().contains("already"));
    drop(Papers::write(&[(sheet.as_path(), "two")], true).unwrap());
    assert_eq!(fs::read_to_string(&sheet).unwrap(), "one", "the former card's until the new one is whole");
}
