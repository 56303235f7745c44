//! What an integrator types, and what becomes of it.

use super::*;

fn say(command: SensorCommand) -> anyhow::Result<String> {
    let mut out = Vec::new();
    run_to(SensorArgs { command }, Lang::En, &mut out)?;
    Ok(String::from_utf8(out)?)
}

fn show(id: &str) -> anyhow::Result<String> {
    say(SensorCommand::Show { id: id.into(), own: OwnTypes { sensors: None } })
}

#[test]
fn a_shown_file_passes_its_check_and_a_broken_one_names_line_and_mend() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ninewatch-gas.toml");
    let text = show("ninewatch-gas").unwrap();
    std::fs::write(&path, &text).unwrap();
    let told = say(SensorCommand::Check { files: vec![dir.path().to_owned()] }).unwrap();
    assert!(
        told.ends_with("ninewatch-gas.toml: ninewatch-gas, 1 kinds of messages, 4 fields, 2 examples pass\n"),
        "{told}"
    );

    std::fs::write(&path, text.replace("co_ppm = 12", "co_ppm = 13")).unwrap();
    let line = 1 + text.lines().position(|line| line.contains("co_ppm = 12")).unwrap();
    let fault = say(SensorCommand::Check { files: vec![path.clone()] }).unwrap_err().to_string();
    let wanted = format!(
        "ninewatch-gas.toml:{line}: `example.0.readings.0.co_ppm`: `co_ppm` is 12, not 13; mend the type, or what the example expects"
    );
    assert!(fault.ends_with(&wanted), "{fault}");

    std::fs::write(dir.path().join("other.toml"), &text).unwrap();
    let fault = say(SensorCommand::Check { files: vec![dir.path().join("other.toml")] }).unwrap_err().to_string();
    assert!(fault.contains("there is another type `ninewatch-gas`"), "{fault}");
}

#[test]
fn what_is_not_there_is_told() {
    assert!(show("nothing").unwrap_err().to_string().contains("ninewatch sensor list"));
    let gone = say(SensorCommand::Check { files: vec!["/nowhere.toml".into()] }).unwrap_err();
    assert!(gone.to_string().contains("/nowhere.toml cannot be read"), "{gone}");
}

#[test]
fn the_schema_beside_the_types_is_the_programs_own() {
    let there = include_str!("../../../../sensors/sensor-type.schema.json");
    let own = say(SensorCommand::Schema).unwrap();
    assert_eq!(there, own, "write it anew: ninewatch sensor schema > gateway/sensors/sensor-type.schema.json");
}
