//! Who writes a rule hears from the command line what the gateway would say to it.

use anyhow::Context;
use ninewatch_tests::gateway::{Site, ninewatch};

const COLD_STORE: &str = r#"
[[rule]]
id = "cold-store"
title = { zh = "冷库升温", en = "Cold store warming" }
severity = "major"
source = "HACCP plan of the store, 4.2"
reason = { zh = "{spot}温度 {value}", en = "{spot} is at {value}" }
level = [{ field = "temperature_c", above = -15, clear = -17, for = "10m" }]

[[rule.example]]
about = "the door was left open"
readings = [{ temperature_c = -20, for = "1h" }, { temperature_c = -14, for = "15m" }]
raises = "major"
after = "1h10m"
"#;

#[test]
fn a_rule_is_checked_with_its_examples_before_a_gateway_sees_it() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let file = site.folder().join("cold.toml");
    let path = file.display().to_string();
    let check = || ninewatch(&["--lang", "en", "rule", "check", &path]);

    std::fs::write(&file, COLD_STORE)?;
    let said = check()?;
    assert!(said.lines().any(|line| line.ends_with("1 passed, none that does not raise it")), "{said}");
    assert!(!said.contains("co-curve"), "only what was named is shown: {said}");

    std::fs::write(&file, COLD_STORE.replace("\"15m\"", "\"8m\""))?;
    let fault = check().err().context("an example fails")?.to_string();
    assert!(fault.contains("cold.toml:13: `rule.0.example.0.raises`: it raises nothing"), "{fault}");

    std::fs::write(&file, COLD_STORE.replace("cold-store", "co-curve"))?;
    let fault = check().err().context("the id is taken")?.to_string();
    assert!(fault.contains("there is another rule `co-curve`"), "{fault}");
    Ok(())
}

#[test]
fn the_rules_of_a_site_are_listed_and_shown_as_they_stand() -> anyhow::Result<()> {
    let site = Site::new("[files]\nrules = \"rules\"")?;
    std::fs::create_dir(site.folder().join("rules"))?;
    std::fs::write(site.folder().join("rules/cold.toml"), COLD_STORE)?;
    let site_file = site.file().display().to_string();
    let rule = |args: &[&str]| ninewatch(&[&["rule", "--site", &site_file], args].concat());

    let listed = rule(&["list"])?;
    assert!(
        listed.lines().any(|line| line.starts_with("cold-store ") && line.ends_with("rules/cold.toml")),
        "{listed}"
    );
    assert!(listed.contains("built-in gas.toml"), "{listed}");
    let shown = rule(&["show", "cold-store"])?;
    assert!(shown.ends_with(COLD_STORE), "{shown}");
    assert!(rule(&["show", "none"]).is_err());
    rule(&["check"]).map(drop)
}

#[test]
fn the_rule_that_the_documentation_shows_is_sound_and_so_are_its_examples() -> anyhow::Result<()> {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/rules.md"))?;
    let (_, behind) = docs.split_once("```toml\n").context("a rule")?;
    let (shown, _) = behind.split_once("```").context("its end")?;
    let site = Site::new("")?;
    let file = site.folder().join("cold-store.toml");
    std::fs::write(&file, shown)?;
    let said = ninewatch(&["--lang", "en", "rule", "check", &file.display().to_string()])?;
    let printed = "cold-store  Cold store warming  2 passed";
    assert!(said.contains(printed) && docs.contains(printed), "{said}");
    Ok(())
}
