//! The gateway's own pins, with files in the place of hardware: from a press to the siren, and what is said of all that.

use ninewatch_tests::gateway::{Gateway, Site, ninewatch};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

const WIRED: &str = r#"
[[wired]]
device = "sos-1"
field = "sos"
button = { pin = 27, simulated = "button" }

[[wired]]
device = "smoke-1"
field = "temperature_c"
sht3x = { i2c_bus = 1, humidity = "humidity_percent", simulated = "climate" }

[[notify]]
name = "hall"
kind = "gpio_siren"
gpio = { pin = 24, simulated = "siren" }

[[notify]]
name = "fire-lamp"
kind = "gpio_siren"
scenes = ["fire"]
pattern = "blink"
gpio = { pin = 25, active = "low", simulated = "lamp" }
"#;

/// A site whose pins are files: a button that nobody presses, a cool room.
fn site() -> anyhow::Result<Site> {
    // Nothing climbs while a slow machine is at it.
    let site = Site::new(&format!("{WIRED}\n[alerts]\nescalate_critical = [\"1h\"]\n"))?;
    fs::write(site.folder().join("button"), "off")?;
    fs::write(site.folder().join("climate"), "21.5 40")?;
    site.add_place("home", "home")?;
    site.add_devices("ninewatch-sos", &[("sos-1".into(), "home".into())])?;
    site.add_devices("ninewatch-smoke", &[("smoke-1".into(), "home".into())])?;
    Ok(site)
}

/// Waits until a file says so.
fn until(file: &Path, word: &str) -> anyhow::Result<()> {
    let begun = Instant::now();
    while fs::read_to_string(file).unwrap_or_default().trim() != word {
        anyhow::ensure!(begun.elapsed() < LIMIT, "{} does not say {word}", file.display());
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn raised(gateway: &Gateway) -> anyhow::Result<Value> {
    gateway.until_alert(|change| change["kind"] == "raised" && change["alert"]["place"] == "home")
}

fn accept(gateway: &Gateway, alert: &Value) -> anyhow::Result<Value> {
    gateway.post(&format!("/api/v1/alerts/{}/accept", alert["alert"]["id"].as_str().unwrap_or_default()), &json!({}))
}

#[test]
fn a_press_sounds_the_siren_until_somebody_accepts_also_over_a_kill() -> anyhow::Result<()> {
    let site = site()?;
    let file = |name: &str| -> PathBuf { site.folder().join(name) };
    let mut gateway = Gateway::start(&site)?;
    until(&file("siren"), "off")?;
    fs::write(file("button"), "on")?;
    let alert = raised(&gateway)?;
    assert_eq!((&alert["alert"]["severity"], &alert["alert"]["devices"][0]), (&json!("critical"), &json!("sos-1")));
    until(&file("siren"), "on")?;
    assert_eq!(fs::read_to_string(file("lamp"))?, "off\n", "it is for fires");

    gateway.kill()?;
    assert_eq!(fs::read_to_string(file("siren"))?, "on\n", "one that dies leaves it as it was");
    let mut gateway = Gateway::start(&site)?;
    until(&file("siren"), "on")?;
    let told = gateway.get(&format!("/api/v1/alerts/{}", alert["alert"]["id"].as_str().unwrap_or_default()))?;
    assert_eq!(told["notifications"][0]["channel"], "hall", "{told}");

    // A test sounds in the place of what holds, which comes back.
    assert_eq!(gateway.post("/api/v1/notify/hall/test", &json!({}))?, json!({"sent": true}));
    accept(&gateway, &alert)?;
    until(&file("siren"), "off")?;
    assert_eq!(gateway.post("/api/v1/notify/hall/test", &json!({}))?, json!({"sent": true}));
    until(&file("siren"), "on")?;
    until(&file("siren"), "off")?;

    fs::write(file("button"), "off")?;
    fs::write(file("climate"), "95 10")?;
    let hot = gateway.until_alert(|change| {
        change["alert"]["scene"] == "fire"
            && change["alert"]["status"] == "raised"
            && change["alert"]["place"] == "home"
    })?;
    until(&file("lamp"), "on")?;
    until(&file("lamp"), "off")?;
    until(&file("lamp"), "on")?;
    assert!(hot["alert"]["severity"] == "critical", "{hot}");
    assert!(gateway.terminate(LIMIT)?.success());
    assert_eq!(fs::read_to_string(file("siren"))?, "off\n", "one that is told to stop leaves nothing on");
    assert_eq!(fs::read_to_string(file("lamp"))?, "off\n");
    Ok(())
}

#[test]
fn what_is_simulated_or_broken_is_said_wherever_somebody_looks() -> anyhow::Result<()> {
    let site = site()?;
    fs::write(site.folder().join("climate"), "warm")?;
    let file = site.file().display().to_string();
    let said = ninewatch(&["--lang", "en", "check", "--site", &file])?;
    for line in ["[[wired]] sos-1: simulated by the file", "[[notify]] hall: simulated by the file"] {
        assert!(said.contains(line), "{line} is not in: {said}");
    }
    let doctor = ninewatch(&["--lang", "zh", "doctor", "--site", &file]).map_err(|error| error.to_string());
    assert!(doctor.is_err(), "what is simulated is nothing to rely on: {doctor:?}");
    // Without a gateway at work the siren is tried from the command line.
    let ended = ninewatch(&["--lang", "en", "notify", "--site", &file, "test", "hall"]);
    ended.map_err(|error| error.context("the test of a siren"))?;
    until(&site.folder().join("siren"), "off")?;

    let gateway = Gateway::start(&site)?;
    let refused = ninewatch(&["--lang", "en", "notify", "--site", &file, "test", "hall"]).unwrap_err().to_string();
    assert!(refused.contains("the gateway is at work and has the pin"), "{refused}");
    let begun = Instant::now();
    let parts = loop {
        let health = gateway.get("/api/v1/health")?;
        let parts = health["parts"].as_array().cloned().unwrap_or_default();
        let of = |name: &str| parts.iter().find(|part| part["name"] == name).cloned().unwrap_or_default();
        let climate = of("wired:smoke-1:temperature_c")["text"]["en"].to_string();
        if climate.contains("`warm` is not a number for each of temperature_c, humidity_percent") {
            break [of("wired:sos-1:sos"), of("notify:hall")];
        }
        anyhow::ensure!(begun.elapsed() < LIMIT, "{parts:?}");
        std::thread::sleep(Duration::from_millis(20));
    };
    for part in parts {
        assert!(part["status"] == "degraded" && part["text"]["en"].to_string().contains("simulated"), "{part}");
    }
    gateway.until_alert(|change| change["alert"]["rules"][0] == "gateway-pin-simulated")?;
    let channels = gateway.get("/api/v1/notify")?;
    assert_eq!(
        (&channels["channels"][0]["name"], &channels["channels"][0]["simulated"]),
        (&json!("hall"), &json!(true))
    );
    let metrics = gateway.metrics()?;
    assert!(
        metrics.contains("ninewatch_wired_input_up{device=\"sos-1\",field=\"sos\",by=\"simulated by "),
        "{metrics}"
    );
    Ok(())
}

#[test]
fn what_does_not_fit_is_refused_with_its_mend() -> anyhow::Result<()> {
    let check = |more: &str| -> anyhow::Result<String> {
        let site = Site::new(more)?;
        site.add_place("home", "home")?;
        site.add_devices("ninewatch-sos", &[("sos-1".into(), "home".into())])?;
        let checked = ninewatch(&["--lang", "en", "check", "--site", &site.file().display().to_string()]);
        Ok(checked.unwrap_or_else(|error| error.to_string()))
    };
    let wired = |device: &str, field: &str, rest: &str| {
        format!("[[wired]]\ndevice = \"{device}\"\nfield = \"{field}\"\n{rest}\n")
    };
    let siren = |rest: &str| format!("[[notify]]\nname = \"hall\"\nkind = \"gpio_siren\"\n{rest}\n");
    for (more, part) in [
        (wired("sos-1", "sos", ""), "give one of `contact`, `button`, `thermometer`, `sht3x` and `ld2410`"),
        (wired("sos-9", "sos", "button = { pin = 4 }"), "`wired.0.device`: no device is called `sos-9`"),
        (wired("sos-1", "leak", "button = { pin = 4 }"), "`ninewatch-sos` has no field `leak`; name one of sos"),
        (wired("sos-1", "sos", "button = { pin = 4, settle = \"1s\" }"), "unknown field `settle`"),
        (wired("sos-1", "sos", "button = { pin = 4 }") + &siren("gpio = { pin = 4 }"), "pin 4 has another use already"),
        (siren(""), "`gpio_siren` needs `gpio`"),
        (siren("gpio = { pin = 4 }\ntopic = \"x\""), "`notify.0.topic`: is not for `gpio_siren`"),
        (siren("gpio = { pin = 4 }\nplaces = [\"hmoe\"]"), "no place has the id `hmoe`"),
    ] {
        let said = check(&more)?;
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    // One machine in a hundred that builds this has a chip; none has this one.
    let site = Site::new(&siren("gpio = { pin = 4, chip = \"/nowhere/gpiochip0\" }"))?;
    let refused = Gateway::start(&site).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(refused.contains("the pin of channel `hall` cannot be opened; mend [[notify]] in site.toml"), "{refused}");
    Ok(())
}
