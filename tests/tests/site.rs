//! What a person writes: faults are named, what is broken is set aside, changes are taken while it runs.

use ninewatch_tests::device::{self, Device};
use ninewatch_tests::gateway::{Gateway, Site, ninewatch};
use serde_json::Value;

const GAS_TYPE: &str = include_str!("../../gateway/sensors/ninewatch-gas.toml");
const GAS_RULES: &str = include_str!("../../gateway/rules/gas.toml");

fn check(site: &Site) -> String {
    match ninewatch(&["--lang", "en", "check", "--site", &site.file().display().to_string()]) {
        Ok(said) => said,
        Err(error) => error.to_string(),
    }
}

#[test]
fn check_names_file_line_key_and_mend() -> anyhow::Result<()> {
    let site = Site::new("[files]\nsensors = \"sensors\"\nrules = \"rules\"\n")?;
    let write = |path: &str, text: &str| -> anyhow::Result<()> {
        let path = site.folder().join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(site.folder()))?;
        Ok(std::fs::write(path, text)?)
    };
    write("sensors/empty.txt", "")?;
    write("rules/empty.txt", "")?;
    let said = check(&site);
    let shipped = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../gateway/sensors"))?;
    let types =
        shipped.flatten().filter(|entry| entry.path().extension().is_some_and(|ending| ending == "toml")).count();
    assert!(said.contains(&format!("{types} sensor types")), "{said}");

    write("sensors/ninewatch-gas.toml", &GAS_TYPE.replace("unit = \"ppm\"", "unit = \"ppn\""))?;
    write("rules/gas.toml", &GAS_RULES.replacen("for = \"120m\"", "for = \"soon\"", 1))?;
    write("data/registry.toml", "[[device]]\nid = \"a b\"\ntype = \"ninewatch-gas\"\nplace = \"nowhere\"\n")?;
    let said = check(&site);
    for part in ["registry.toml:2", "`a b` is not an id", "registry.toml:4", "there is no place `nowhere`"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    write(
        "data/registry.toml",
        "[[place]]\nid = \"a\"\nname = \"a\"\nkind = \"shop\"\ngrid = \"g\"\n\
         [[device]]\nid = \"d\"\ntype = \"ninewatch-gas\"\nplace = \"a\"\n",
    )?;
    let said = check(&site);
    for part in [
        "ninewatch-gas.toml:15: `field.0.unit`",
        "the unit `ppn` is not known",
        "gas.toml:15: `for`",
        "`soon` is not a length of time",
        "no sensor type `ninewatch-gas` is in use",
    ] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }

    site.write(
        "[gateway]\nid = \"x\"\ndata_dir = \"data\"\n[sensor_port]\nlisten = \"127.0.0.1:0\"\nmax_conections = 9\n",
    )?;
    let said = check(&site);
    assert!(said.contains("site.toml:6: `max_conections`: unknown field"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_broken_type_is_set_aside_and_mended_while_it_runs() -> anyhow::Result<()> {
    let site = Site::new("[files]\nsensors = \"sensors\"\n")?;
    let file = site.folder().join("sensors/ninewatch-gas.toml");
    std::fs::create_dir_all(site.folder().join("sensors"))?;
    std::fs::write(&file, "id = \"ninewatch-gas\"\nclass = \"gass\"\n")?;
    site.add_place("home", "home")?;
    let sos = site.add_devices("ninewatch-sos", &[("sos-1".into(), "home".into())])?;
    let gas = site.add_devices("ninewatch-gas", &[("gas-1".into(), "home".into())])?;
    let gateway = Gateway::start(&site)?;
    let mut button = Device::connect(&sos[0].0, &sos[0].1, gateway.sensor_port).await?;
    button.publish(device::sos("sos-1", device::now_s(), true)).await?;
    gateway.until_alert(|change| change["alert"]["place"] == "home")?;

    let mut detector = Device::connect(&gas[0].0, &gas[0].1, gateway.sensor_port).await?;
    detector.publish(device::gas("gas-1", device::now_s(), 2.0)).await?;
    let kept = ninewatch(&["quarantine", &site.data().display().to_string()])?;
    let kept: Vec<Value> = kept.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert!(kept[0]["rejected"].as_str().is_some_and(|why| why.starts_with("unknown_type")), "{kept:?}");

    std::fs::write(&file, GAS_TYPE)?;
    // In force within a second or so; until then its readings go on into quarantine.
    let mut sent = 0.0;
    while gateway.metric("ninewatch_readings_total{class=\"gas\"}")? == 0.0 {
        sent += 1.0;
        detector.publish(device::gas("gas-1", device::now_s() + sent / 1000.0, 2.0)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_device_is_let_in_and_shut_out_while_it_runs() -> anyhow::Result<()> {
    let site = Site::new("")?;
    site.add_place("home", "home")?;
    let gateway = Gateway::start(&site)?;
    assert!(Device::connect("sos-1", "guess", gateway.sensor_port).await.is_err());
    let sos = site.add_devices("ninewatch-sos", &[("sos-1".into(), "home".into())])?;
    let mut button = loop {
        if let Ok(button) = Device::connect(&sos[0].0, &sos[0].1, gateway.sensor_port).await {
            break button;
        }
    };
    button.publish(device::sos("sos-1", device::now_s(), true)).await?;
    ninewatch(&["device", "--data-dir", &site.data().display().to_string(), "remove", "sos-1"])?;
    // The connection is cut when the change is in force.
    let mut sent = 1.0;
    while button.publish(device::sos("sos-1", device::now_s() + sent / 1000.0, false)).await.is_ok() {
        sent += 1.0;
    }
    assert!(Device::connect(&sos[0].0, &sos[0].1, gateway.sensor_port).await.is_err());
    Ok(())
}
