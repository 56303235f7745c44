//! Who did what is in the audit log: of the console, of commands, over a kill; and a forger is found out.

use anyhow::Context;
use ninewatch_tests::device::{self, Device};
use ninewatch_tests::gateway::{Gateway, Site, ninewatch};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_in_the_audit_log_over_a_kill_and_a_forger_is_found_out() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let data = site.folder().join("data").display().to_string();
    let audit = |words: &[&str]| ninewatch(&[&["--lang", "en", "audit", "--data-dir", &data], words].concat());
    site.add_place("home", "home")?;
    let sos = site.add_devices("ninewatch-sos", &[("sos-1".into(), "home".into())])?;
    let mut gateway = Gateway::start(&site)?;
    let mut button = Device::connect(&sos[0].0, &sos[0].1, gateway.sensor_port).await?;
    button.publish(device::sos("sos-1", device::now_s(), true)).await?;
    let alert = gateway.until_alert(|change| change["kind"] == "raised")?["alert"]["id"].clone();
    let alert = alert.as_str().context("an id")?;
    gateway.post(&format!("/api/v1/alerts/{alert}/accept"), &json!({}))?;
    gateway.kill()?;

    let noted = audit(&["verify"])?.trim().to_owned();
    let listed = audit(&["list", "--since", "1d"])?;
    let has = |words: &[&str]| listed.lines().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(has(&["duty", "127.0.0.1", "alert.accept", alert, "ok"]), "{listed}");
    assert!(has(&["uid:", "cli", "place.add", "home", "ok"]), "{listed}");
    assert!(has(&["uid:", "cli", "device.import"]) && has(&["gateway.start"]), "{listed}");

    // A command and a new run go on with the same chain.
    ninewatch(&["account", "--data-dir", &data, "add", "zhao", "--role", "grid_member", "--grid", "kaili-1"])?;
    assert!(ninewatch(&["account", "--data-dir", &data, "add", "zhao"]).is_err());
    let again = Gateway::start(&site)?;
    let entries = again.get("/api/v1/audit?what=account")?["entries"].clone();
    assert_eq!((&entries[0]["result"], &entries[1]["of"]), (&json!("refused"), &json!("zhao grid_member kaili-1")));
    drop(again);
    audit(&["verify", "--head", &noted])?;

    // Somebody makes it look as if another had accepted it.
    let log = site.folder().join("data/audit.log");
    let text = std::fs::read_to_string(&log)?;
    let line = 1 + text.lines().position(|line| line.contains("alert.accept")).context("the entry")?;
    let accepted = text.lines().nth(line - 1).context("the entry")?;
    let forged = accepted.replace("\"who\":\"duty\"", "\"who\":\"zhao\"");
    std::fs::write(&log, text.replace(accepted, &forged))?;
    let told = audit(&["verify"]).expect_err("a forged entry passed").to_string();
    assert!(told.contains(&format!("audit.log:{line}: entry {line} does not follow")), "{told}");
    // Or the end is gone.
    std::fs::write(&log, text.lines().take(line).map(|line| format!("{line}\n")).collect::<String>())?;
    let told = audit(&["verify"]).expect_err("a log that was cut off passed").to_string();
    assert!(told.contains("it was cut off"), "{told}");
    Ok(())
}
