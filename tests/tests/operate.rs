//! What an operator asks of a gateway at work: a bundle for the vendor, and backups to a stick that it knows of.

use anyhow::Context;
use ninewatch_tests::gateway::{Gateway, Site, ninewatch};

const BACKUP: &str = "[backup]\nusb = true\npassphrase_file = \"words\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_of_a_gateway_at_work_has_its_health_and_none_of_its_names() -> anyhow::Result<()> {
    let site = Site::new("")?;
    site.add_place("qzplace", "home")?;
    site.add_devices("ninewatch-sos", &[("qzdevice".into(), "qzplace".into())])?;
    let gateway = Gateway::start(&site)?;
    let at = |name: &str| site.folder().join(name).display().to_string();
    let (file, password, site_file) = (at("support.html"), at("password"), site.file().display().to_string());
    std::fs::write(&password, &gateway.account.1)?;
    let account = ["--account", &gateway.account.0, "--password-file", &password, "--url", &gateway.console];
    ninewatch(&[&["--lang", "en", "support", "--site", &site_file, "--to", &file], &account[..]].concat())?;
    let by_command = std::fs::read_to_string(&file)?;
    let asked = ["-sf", "-u", &format!("{}:{}", gateway.account.0, gateway.account.1)].map(str::to_owned);
    let url = format!("{}/api/v1/support?lang=en", gateway.console.trim_end_matches('/'));
    let answered = std::process::Command::new("curl").args(asked).arg(url).output().context("curl")?;
    let by_api = String::from_utf8(answered.stdout)?;
    for page in [&by_command, &by_api] {
        let json =
            page.split("id=\"bundle\">").nth(1).and_then(|rest| rest.split("</script>").next()).context("JSON")?;
        let bundle: serde_json::Value = serde_json::from_str(json)?;
        assert_eq!(bundle["health"]["parts"][0]["name"], "engine");
        assert!(bundle["metrics"].as_array().is_some_and(|lines| lines.len() > 100));
        assert_eq!(bundle["in_force"]["devices"]["sos"], 1);
        assert!(!page.contains("qz"), "a name is in it");
    }
    let log = gateway.get("/api/v1/audit?what=support")?;
    assert_eq!(log["entries"].as_array().map(Vec::len), Some(2), "the audit log has both: {log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_at_work_is_backed_up_to_a_stick_and_knows_of_it() -> anyhow::Result<()> {
    let site = Site::new(BACKUP)?;
    site.add_place("shop", "shop")?;
    std::fs::write(site.folder().join("words"), "correct horse battery staple\n")?;
    let gateway = Gateway::start(&site)?;
    assert_eq!(gateway.metric("ninewatch_backup_last_success_timestamp_seconds")?, 0.0);
    let stick = site.folder().join("stick");
    std::fs::create_dir(&stick)?;
    let (stick, site_file) = (stick.display().to_string(), site.file().display().to_string());
    let said = ninewatch(&["--lang", "en", "backup", "--usb", &stick, "--site", &site_file])?;
    assert!(said.contains("A backup of gateway test"), "{said}");
    gateway.until_metric("ninewatch_backup_last_success_timestamp_seconds", |time| time > 1.7e9).await?;
    assert_eq!(gateway.metric("ninewatch_backup_failed")?, 0.0);
    let health = gateway.get("/api/v1/health")?;
    let part = health["parts"].as_array().and_then(|parts| parts.iter().find(|part| part["name"] == "backup"));
    let told = part.and_then(|part| part["says"]["en"].as_str()).context("health tells of it")?;
    assert!(told.starts_with("last backup ") && told.contains("1 days on the stick"), "{told}");
    let file = std::fs::read_dir(format!("{stick}/ninewatch-test"))?.next().context("a file")??.path();
    let (words, new) = (site.folder().join("words"), site.folder().join("new"));
    let [file, words, new] = [&file, &words, &new].map(|path| path.display().to_string());
    ninewatch(&["restore", &file, "--data-dir", &new, "--passphrase-file", &words])?;
    assert!(std::fs::read_to_string(format!("{new}/registry.toml"))?.contains("shop"));
    Ok(())
}
