//! Life-safety comes first, and what cannot be taken is counted: the short form of `make bench`'s flood.

use ninewatch_tests::device::{self, Device};
use ninewatch_tests::flood::{Flood, Manner, settled};
use ninewatch_tests::gateway::{Gateway, Site};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn under_a_flood_alarms_come_through_readings_are_shed_and_the_counts_balance() -> anyhow::Result<()> {
    let site = Site::new("")?;
    site.add_place("pump-room", "workshop")?;
    site.add_place("home", "home")?;
    let rows: Vec<_> = (0..12).map(|index| (format!("water-{index}"), "pump-room".to_owned())).collect();
    let water = site.add_devices("ninewatch-water", &rows)?;
    let buttons = site.add_devices("ninewatch-sos", &[("sos".into(), "home".into())])?;
    let gateway = Gateway::start(&site)?;

    let manners = [Manner::Qos0, Manner::Qos0, Manner::Qos1, Manner::Qos1V5];
    let senders = water.into_iter().zip(manners.into_iter().cycle());
    let senders = senders.map(|((id, secret), manner)| (id, secret, manner)).collect();
    let flood = Flood::start(gateway.sensor_port, senders, None);
    gateway.until_metric("ninewatch_shed_messages_total{how=\"dropped\"}", |dropped| dropped > 0.0).await?;

    let mut button = Device::connect(&buttons[0].0, &buttons[0].1, gateway.sensor_port).await?;
    const PRESSES: u64 = 40;
    for press in 0..PRESSES {
        #[allow(clippy::cast_precision_loss)]
        let at = device::now_s() + press as f64 / 100.0;
        button.publish(device::sos("sos", at, press % 2 == 0)).await?;
    }
    let alert = gateway.until_alert(|change| change["alert"]["severity"] == "critical")?;
    assert_eq!(alert["alert"]["place"], "home");
    let health = gateway.get("/api/v1/health")?;
    let load = health["parts"].as_array().and_then(|parts| parts.iter().find(|part| part["name"] == "load"));
    let text = load.map(|load| load["text"].to_string()).unwrap_or_default();
    assert!(text.contains("舍弃"), "it says so: {health}");

    let sent = flood.stop().await?;
    let balance = settled(&gateway, Duration::from_secs(60)).await?;
    assert!(balance.holds(), "{balance:?}");
    let written = sent.written.load(Relaxed);
    assert_eq!(balance.input, written + PRESSES, "{balance:?}");
    assert_eq!((balance.preferred, balance.raised), (PRESSES, PRESSES), "{balance:?}");
    assert!(balance.dropped > 0 && balance.deferred > 0, "{balance:?}");
    assert_eq!(sent.refused.load(Relaxed), balance.refused, "each was told");
    // What was acknowledged as taken was decided, and what was decided is in the journal: no reading of it is missing.
    assert_eq!(balance.decided(), written + PRESSES - balance.refused - balance.dropped);
    assert!(sent.taken.load(Relaxed) <= balance.quiet);
    Ok(())
}
