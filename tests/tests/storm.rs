//! The sensor port in a storm, in short: `make storm` blows harder, and times it.

use ninewatch_tests::storm::{BOUND_KIB, Force, storm};

#[tokio::test(flavor = "multi_thread")]
async fn devices_are_served_and_memory_is_bounded_while_others_come_and_go_and_stick() -> anyhow::Result<()> {
    let force = Force { held: 200, per_s: 100, seconds: 4 };
    let table = storm(force).await?;
    eprintln!("{table}");
    let (rest, most) = (&table["resident_kib"]["at_rest"], &table["resident_kib"]["most"]);
    // Besides the connections: what 290 devices are to the engine, and a window of readings of 50 of them.
    let bound = rest.as_u64().map(|rest| rest + BOUND_KIB * force.held as u64 + 32 * 1024);
    assert!(most.as_u64() <= bound, "{table}");
    assert!(table["refused"].as_f64() >= Some(100.0), "it was a storm: {table}");
    assert!(table["storm"]["acknowledged"].as_u64() > Some(100), "{table}");
    Ok(())
}
