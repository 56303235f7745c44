//! The demo, played fast: every incident is raised, and nothing else.

use anyhow::Context;
use ninewatch_tests::gateway::binary;
use serde_json::Value;
use std::process::Command;

#[test]
fn every_incident_of_the_demo_is_raised_and_nothing_else() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let report = dir.path().join("demo.json");
    let output = Command::new(binary())
        .args(["--lang", "en", "demo", "--speed", "600", "--once", "--console", "127.0.0.1:0", "--report"])
        .arg(&report)
        .output()
        .context("the binary is not there: run `make test`")?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report)?)?;
    let counts =
        |key: &str| report[key].as_object().map(|of| of.values().filter_map(Value::as_u64).collect::<Vec<_>>());
    let readings = counts("readings").context("readings by class")?;
    assert_eq!((readings.len(), readings.iter().all(|count| *count > 0)), (9, true), "{report}");
    for scene in ["security", "fire", "elder_care", "child_protection"] {
        assert!(report["alerts"][scene].as_u64() > Some(0), "{scene} is missing in {report}");
    }
    assert_eq!(report["upstream"]["sent"], report["upstream"]["receipts"], "{report}");
    Ok(())
}
