//! Models at work: swapped while the gateway runs, compared as a shadow, gone back from when they alarm too often.

use anyhow::Context;
use ninewatch_tests::device::Device;
use ninewatch_tests::gateway::{Gateway, Site, ninewatch};
use ninewatch_tests::{device, root, skipped_without};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

/// Puts the shipped fall model there under another name or version.
fn give(folder: &Path, name: &str, version: &str, more: &str) -> anyhow::Result<()> {
    let shipped = root().join("models/fall");
    let line = |line: &str| match line.split_once(" = ") {
        Some(("name", _)) => format!("name = \"{name}\"\n"),
        Some(("version", _)) => format!("version = \"{version}\"\n{more}"),
        Some(("most_alerts_per_device_day", _)) => "most_alerts_per_device_day = 2.0\n".to_owned(),
        _ => format!("{line}\n"),
    };
    let card: String = std::fs::read_to_string(shipped.join("model.toml"))?.lines().map(line).collect();
    std::fs::create_dir_all(folder.join(name))?;
    // The card comes last: without it there is no model.
    std::fs::copy(shipped.join("fall.onnx"), folder.join(name).join("fall.onnx"))?;
    Ok(std::fs::write(folder.join(name).join("model.toml"), card)?)
}

/// Asks until it is so what `GET /models` says of `fall`, and which versions are refused.
async fn until(gateway: &Gateway, wanted: impl Fn(&Value, &Value) -> bool) -> anyhow::Result<Value> {
    let begun = Instant::now();
    loop {
        let told = gateway.get("/api/v1/models")?;
        let models = told["models"].as_array().context("models")?;
        let fall = models.iter().find(|model| model["name"] == "fall").context("fall")?;
        if wanted(fall, &told["refused"]) {
            return Ok(told);
        }
        anyhow::ensure!(begun.elapsed() < Duration::from_secs(60), "it did not come to be so: {told}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_model_is_swapped_shadowed_and_gone_back_from_while_the_gateway_runs() -> anyhow::Result<()> {
    if skipped_without("ONNX Runtime", root().join("target/onnxruntime/libonnxruntime.so").is_file()) {
        return Ok(());
    }
    let models = tempfile::tempdir()?;
    let site = Site::new(&format!("[files]\nmodels = {:?}\n", models.path()))?;
    site.add_place("home-yang", "home")?;
    let secrets = site.add_devices("ninewatch-bracelet", &[("band".into(), "home-yang".into())])?;
    let gateway = Gateway::start(&site)?;
    let told = until(&gateway, |fall, _| fall["version"] == "1.0.0").await?;
    assert_eq!(told["models"].as_array().map(Vec::len), Some(7), "{told}");
    let mut bracelet = Device::connect("band", &secrets[0].1, gateway.sensor_port).await?;

    // A shadow: asked the same, alerts nobody.
    give(models.path(), "next", "2.1.0", "shadow_of = \"fall\"\n")?;
    until(&gateway, |fall, _| fall["shadows"]["next"]["version"] == "2.1.0").await?;
    bracelet.publish(device::fall("band", device::now_s())?).await?;
    let change = gateway.until_alert(|change| change["evidence"]["rule"] == "fall")?;
    let score = &change["evidence"]["score"];
    assert_eq!(score["model"], "fall");
    let moved_by = score["moved_by"].as_array().context("why")?;
    let last = moved_by.last().and_then(|by| by["score_without"].as_f64()).context("an input")?;
    assert!(last < score["threshold"].as_f64().context("a threshold")?, "without these it is no fall: {score}");
    let said = change["evidence"]["reason"]["zh"].as_str().context("a sentence")?;
    let named = moved_by[0]["label"]["zh"].as_str().context("a name")?;
    assert!(said.contains(&format!("依据：{named} ")), "{said}");
    until(&gateway, |fall, _| fall["shadows"]["next"]["both_yes"] == 1).await?;

    // Another version: in use without a break, and gone back from once it alarms too often.
    give(models.path(), "fall", "2.0.0", "")?;
    std::fs::write(models.path().join("fall/fall.onnx"), another_file()?)?;
    let card = models.path().join("fall/model.toml");
    let text = std::fs::read_to_string(&card)?;
    let digest = text.lines().find(|line| line.starts_with("sha256")).context("a digest")?.to_owned();
    std::fs::write(&card, text.replace(&digest, &format!("sha256 = \"{}\"", sha256(&another_file()?))))?;
    until(&gateway, |fall, _| fall["version"] == "2.0.0").await?;
    for _ in 0..3 {
        bracelet.publish(device::fall("band", device::now_s())?).await?;
    }
    let told = until(&gateway, |fall, refused| fall["version"] == "1.0.0" && refused[0]["version"] == "2.0.0").await?;
    assert!(told["refused"][0]["why"].as_str().is_some_and(|why| why.contains("alerts in a day")), "{told}");
    let health = gateway.get("/api/v1/health")?;
    assert!(health.to_string().contains("fall 2.0.0"), "{health}");

    // Staff look, and let it try again.
    let site_file = site.file().display().to_string();
    let list = ninewatch(&["--lang", "en", "model", "list", "--site", &site_file])?;
    assert!(list.contains("shadow of fall") && list.contains("alerts in a day"), "{list}");
    let compared = ninewatch(&["--lang", "en", "model", "compare", "next", "--site", &site_file])?;
    assert!(compared.contains("2.1.0 beside"), "{compared}");
    ninewatch(&["model", "retry", "fall", "--site", &site_file])?;
    until(&gateway, |fall, refused| fall["version"] == "2.0.0" && refused == &serde_json::json!([])).await?;

    // A registry that nobody can read holds up no model.
    std::fs::write(site.data().join("registry.toml"), "[[place")?;
    std::fs::remove_dir_all(models.path().join("fall"))?;
    until(&gateway, |fall, _| fall["version"] == "1.0.0").await?;
    bracelet.publish(device::fall("band", device::now_s())?).await?;
    until(&gateway, |fall, _| fall["scores"] == 1).await?;
    Ok(())
}

/// The same model in another file: ONNX says nothing of a field that it does not know.
fn another_file() -> anyhow::Result<Vec<u8>> {
    let mut onnx = std::fs::read(root().join("models/fall/fall.onnx"))?;
    onnx.extend_from_slice(&[0xc2, 0xa9, 0x07, 0x01, 0x00]);
    Ok(onnx)
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
