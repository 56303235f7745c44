//! What a device measured in the last hours comes out of the journal: also after a restart, in few points, with its peaks.

use anyhow::Context;
use ninewatch_tests::device::{self, Device};
use ninewatch_tests::gateway::{Gateway, Site};
use serde_json::Value;

fn now_ms() -> i64 {
    #[allow(clippy::cast_possible_truncation, reason = "the year is not 292 million")]
    let now = (device::now_s() * 1000.0) as i64;
    now
}

fn readings(gateway: &Gateway, device: &str, field: &str, from_ms: i64) -> anyhow::Result<(Vec<(i64, f64)>, Value)> {
    let field = if field.is_empty() { String::new() } else { format!("&field={field}") };
    let to_ms = now_ms() + 1_000;
    let answer = gateway.get(&format!("/api/v1/devices/{device}/readings?from_ms={from_ms}&to_ms={to_ms}{field}"))?;
    let points = answer["series"][0]["points"].as_array().cloned().unwrap_or_default();
    let point = |point: &Value| Some((point[0].as_f64()? as i64, point[1].as_f64()?));
    Ok((points.iter().filter_map(point).collect(), answer))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_hour_of_a_device_is_a_curve_with_its_peak_in_it() -> anyhow::Result<()> {
    let site = Site::new("")?;
    site.add_place("shop", "shop")?;
    let devices =
        site.add_devices("ninewatch-gas", &[("gas-1".into(), "shop".into()), ("gas-2".into(), "shop".into())])?;
    let mut gateway = Gateway::start(&site)?;
    let begun_s = device::now_s() - 3_600.0;
    let mut first = Device::connect(&devices[0].0, &devices[0].1, gateway.sensor_port).await?;
    let mut second = Device::connect(&devices[1].0, &devices[1].1, gateway.sensor_port).await?;
    // A backlog of an hour: each reading lies where it was made. One of them is a peak.
    for reading in 0..1_200 {
        let co_ppm = if reading == 777 { 43.5 } else { f64::from(reading % 10) };
        first.publish(device::gas("gas-1", begun_s + 3.0 * f64::from(reading), co_ppm)).await?;
    }
    second.publish(device::gas("gas-2", device::now_s(), 1.0)).await?;
    #[allow(clippy::cast_possible_truncation, reason = "as above")]
    let begun_ms = (begun_s * 1000.0) as i64;
    for restarted in [false, true] {
        if restarted {
            gateway.kill()?;
            gateway = Gateway::start(&site)?;
        }
        let (points, answer) = readings(&gateway, "gas-1", "co_ppm", begun_ms - 1_000)?;
        assert!((100..=600).contains(&points.len()), "{} points", points.len());
        let peak = points.iter().max_by(|one, other| one.1.total_cmp(&other.1)).context("a peak")?;
        assert!((peak.1 - 43.5).abs() < 1e-9 && (peak.0 - begun_ms - 777 * 3_000).abs() <= 1, "{peak:?}");
        assert!(points.is_sorted_by_key(|point| point.0));
        assert_eq!((&answer["series"][0]["unit"], answer["series"].as_array().map(Vec::len)), (&"ppm".into(), Some(1)));
    }
    let (_, all) = readings(&gateway, "gas-2", "", begun_ms)?;
    let fields: Vec<_> =
        all["series"].as_array().context("curves")?.iter().map(|curve| curve["field"].clone()).collect();
    assert_eq!(fields.len(), 4, "{all}");
    assert!(
        all["series"]
            .as_array()
            .context("curves")?
            .iter()
            .all(|curve| curve["points"].as_array().map(Vec::len) == Some(1))
    );
    Ok(())
}
