//! A card that was flashed is a gateway: its first account, its devices and its upstream's file are in it, and nobody else's.

use anyhow::Context;
use ninewatch_tests::card;
use ninewatch_tests::device::{self, Device};
use ninewatch_tests::gateway::{Gateway, Site, binary, ninewatch};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// A site file that leaves the id open, an image, a registry.
fn prepare(dir: &Path) -> anyhow::Result<()> {
    std::fs::write(
        dir.join("site.toml"),
        "[gateway]\nid = \"{id}\"\ndata_dir = \"/var/lib/ninewatch\"\n\n[sensor_port]\nlisten = \"127.0.0.1:0\"\n\n\
         [sensor_port.tls]\nlisten = \"127.0.0.1:0\"\ncert = \"port.pem\"\nkey = \"port.key\"\n\n\
         [console]\nlisten = \"0.0.0.0:0\"\n\n[[upstream]]\nname = \"city\"\nurl = \"mqtt://127.0.0.1:1\"\n\
         username = \"{id}\"\npassword_file = \"city.password\"\n",
    )?;
    std::fs::write(dir.join("city.password"), "secret")?;
    std::fs::write(
        dir.join("registry.toml"),
        "[[place]]\nid = \"home\"\nname = \"201\"\nkind = \"home\"\ngrid = \"kaili-1\"\n\n\
         [[device]]\nid = \"sos-1\"\ntype = \"ninewatch-sos\"\nplace = \"home\"\n",
    )?;
    Ok(std::fs::write(dir.join("small.img"), card::image()?)?)
}

fn flash(dir: &Path, out: &str, more: &[&str]) -> anyhow::Result<String> {
    let path = |name: &str| dir.join(name).display().to_string();
    let (image, out, site, registry) = (path("small.img"), path(out), path("site.toml"), path("registry.toml"));
    let (secrets, sheet) = (path("secrets.csv"), path("kaili-07.html"));
    let mut args =
        vec!["--lang", "en", "flash", "--image", &image, "--file", &out, "--site", &site, "--id", "kaili-07"];
    args.extend(["--registry", &registry, "--secrets", &secrets, "--sheet", &sheet, "--port-certificate"]);
    args.extend(more);
    ninewatch(&args)
}

/// What stands in the sheet's `code` after a word.
fn on_sheet(sheet: &str, after: &str) -> anyhow::Result<String> {
    let rest = sheet.split_once(after).with_context(|| format!("no {after} on the sheet"))?.1;
    let code = rest.split_once("<code>").and_then(|(_, rest)| rest.split_once("</code>"));
    Ok(code.context("no code")?.0.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flashed_card_lets_in_who_has_the_sheet_and_the_devices_of_the_registry() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    prepare(dir.path())?;
    let told = flash(dir.path(), "card.img", &[])?;
    assert!(
        told.contains("Written and verified: gateway kaili-07") && told.contains("disable user kaili-07"),
        "{told}"
    );
    let sheet = std::fs::read_to_string(dir.path().join("kaili-07.html"))?;
    let (account, password) = (on_sheet(&sheet, "account")?, on_sheet(&sheet, "password")?);

    // As the image's first boot takes it in.
    let box_ = Site::new("")?;
    for (name, bytes) in card::folder(&std::fs::read(dir.path().join("card.img"))?, "ninewatch")? {
        let to = box_.folder().join(&name);
        std::fs::create_dir_all(to.parent().context("a folder")?)?;
        std::fs::write(to, bytes)?;
    }
    let site = std::fs::read_to_string(box_.file())?;
    assert!(site.contains("data_dir = \"/var/lib/ninewatch\""), "{site}");
    box_.write(&site.replace("/var/lib/ninewatch", &box_.data().display().to_string()))?;
    std::fs::write(box_.folder().join("account"), format!("{account}\n{password}"))?;
    let gateway = Gateway::start(&box_)?;
    assert!(!box_.log()?.contains(&password));
    let me: Value = gateway.get("/api/v1/session")?;
    assert_eq!((me["account"].as_str(), me["role"].as_str()), (Some("duty"), Some("admin")), "{me}");

    let secrets = std::fs::read_to_string(dir.path().join("secrets.csv"))?;
    let secret = secrets.lines().nth(1).and_then(|row| row.strip_prefix("sos-1,")).context("the device's secret")?;
    let mut button = Device::connect("sos-1", secret, gateway.sensor_port).await?;
    button.publish(device::sos("sos-1", device::now_s(), true)).await?;
    gateway.until_alert(|change| change["place"] == "home" || change["alert"]["place"] == "home")?;

    // Devices that trust the CA that came with the card find the port to be the gateway's.
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(dir.path().join("kaili-07.ca.crt"))?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut tls = rustls::ClientConnection::new(Arc::new(config), ServerName::try_from("ninewatch-kaili-07.local")?)?;
    let mut tcp = std::net::TcpStream::connect(gateway.sensor_port_tls.context("TLS")?)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut tcp)?;
    }
    Ok(())
}

#[test]
fn no_second_card_of_a_gateway_without_saying_so() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    prepare(dir.path())?;
    flash(dir.path(), "card.img", &[])?;
    let log = std::fs::read_to_string(dir.path().join("flashed.csv"))?;
    let states: Vec<bool> = log.lines().skip(1).map(|row| row.contains(",verified,")).collect();
    assert_eq!(states, [false, true], "{log}");
    let refused = flash(dir.path(), "second.img", &[]).unwrap_err().to_string();
    assert!(refused.contains("was flashed at") && refused.contains("--again"), "{refused}");
    assert!(!dir.path().join("second.img").exists());

    let first = std::fs::read_to_string(dir.path().join("kaili-07.html"))?;
    flash(dir.path(), "second.img", &["--again"])?;
    let second = std::fs::read_to_string(dir.path().join("kaili-07.html"))?;
    assert_ne!(on_sheet(&first, "password")?, on_sheet(&second, "password")?);
    assert_ne!(on_sheet(&first, "SHA-256")?, on_sheet(&second, "SHA-256")?);
    Ok(())
}

#[test]
fn what_fails_leaves_neither_a_sheet_nor_a_card() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    prepare(dir.path())?;
    let image = std::fs::read(dir.path().join("small.img"))?;
    std::fs::write(dir.path().join("small.img"), &image[..image.len() / 2])?;
    let refused = flash(dir.path(), "card.img", &[]).unwrap_err().to_string();
    assert!(refused.contains("cut short"), "{refused}");
    for name in ["card.img", "kaili-07.html", "kaili-07.ca.crt", "secrets.csv", "flashed.csv"] {
        assert!(!dir.path().join(name).exists(), "{name}");
    }
    let disk = ["flash", "--image", "a", "--site", "b", "--device", "/dev/null"];
    assert!(ninewatch(&disk).unwrap_err().to_string().contains("is no disk of this machine"));
    let both = std::process::Command::new(binary()).args(disk).args(["--file", "c"]).output()?;
    assert_eq!(both.status.code(), Some(2), "one of both");
    Ok(())
}
