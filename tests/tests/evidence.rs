//! What staff judged of a model's alerts goes back to training, and nobody's name with it.

use anyhow::Context;
use ninewatch_tests::device::{self, Device};
use ninewatch_tests::gateway::{Gateway, Site, ninewatch};
use ninewatch_tests::{root, skipped_without};
use serde_json::{Value, json};
use std::path::Path;

fn lines(folder: &Path, file: &str) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(folder.join(file)).with_context(|| file.to_owned())?;
    Ok(text.lines().map(str::to_owned).collect())
}

#[tokio::test]
async fn judged_falls_are_exported_as_training_reads_them() -> anyhow::Result<()> {
    if skipped_without("ONNX Runtime", root().join("target/onnxruntime/libonnxruntime.so").is_file()) {
        return Ok(());
    }
    let site = Site::new("")?;
    for place in ["home-yang", "home-wu", "home-li"] {
        site.add_place(place, "home")?;
    }
    let bands = [("band-yang", "home-yang"), ("band-wu", "home-wu"), ("band-li", "home-li")];
    let secrets = site.add_devices("ninewatch-bracelet", &bands.map(|(id, place)| (id.into(), place.into())))?;
    let gateway = Gateway::start(&site)?;
    let close = |place: &str, verdict: &str| -> anyhow::Result<()> {
        let change =
            gateway.until_alert(|change| change["alert"]["place"] == place && change["evidence"]["rule"] == "fall")?;
        let alert = change["alert"]["id"].as_str().context("an id")?;
        let post = |verb: &str, body: Value| gateway.post(&format!("/api/v1/alerts/{alert}/{verb}"), &body);
        post("accept", json!({"note": "Mrs Yang again"}))?;
        if verdict == "true_alarm" {
            post("dispatch", json!({"to": "grid-3"}))?;
            post("handle", json!({"note": "helped up"}))?;
        }
        post("close", json!({"verdict": verdict}))?;
        Ok(())
    };
    for ((band, secret), verdict) in secrets.iter().zip(["true_alarm", "false_alarm", "test"]) {
        let mut bracelet = Device::connect(band, secret, gateway.sensor_port).await?;
        bracelet.publish(device::fall(band, device::now_s())?).await?;
        close(&band.replace("band", "home"), verdict)?;
    }

    let to = site.folder().join("evidence");
    let (site_file, to_text) = (site.file().display().to_string(), to.display().to_string());
    let export = || ninewatch(&["--lang", "en", "evidence", "export", "--site", &site_file, "--to", &to_text]);
    let said = export()?;
    let row = said.lines().find(|line| line.starts_with("fall")).context("a row of the model")?;
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["fall", "1", "1", "2"]);
    assert!(said.contains("alerts judged to be tests, left out: 1"), "{said}");

    let sheet = lines(&to, "evidence.csv")?;
    assert_eq!(sheet.len(), 3, "{sheet:?}");
    assert!(sheet[1].ends_with(",true_alarm,1,weda-fall/50Hz/F00/S01_R01_accel.csv,"), "{sheet:?}");
    assert!(sheet[2].ends_with(",false_alarm,0,weda-fall/50Hz/D00/S02_R01_accel.csv,"), "{sheet:?}");
    let accel = lines(&to, "weda-fall/50Hz/F00/S01_R01_accel.csv")?;
    assert_eq!((accel.len(), accel[0].as_str()), (301, "accel_time_list,accel_x_list,accel_y_list,accel_z_list"));
    assert!(accel[300].starts_with("5.980,"), "{}", accel[300]);
    let gyro = lines(&to, "weda-fall/50Hz/D00/S02_R01_gyro.csv")?;
    assert_eq!((gyro.len(), gyro[0].as_str()), (301, "gyro_time_list,gyro_x_list,gyro_y_list,gyro_z_list"));
    assert!(lines(&to, "weda-fall/fall_timestamps.csv")?[1].starts_with("F00/S01_R01,"));
    for secret in ["yang", "wu", "Yang", "grid-3", "helped"] {
        assert!(!sheet.join("\n").contains(secret), "{secret} stays at home");
    }

    // Once more, by the data folder: the same, under the same pseudonyms.
    let data = site.data().display().to_string();
    ninewatch(&["evidence", "export", &data, "--to", &to_text])?;
    assert_eq!(lines(&to, "evidence.csv")?, sheet);
    let refused = ninewatch(&["evidence", "export", &data, "--to", &data]).err().context("it holds other things")?;
    assert!(refused.to_string().contains("add `--force`"), "{refused}");
    Ok(())
}
