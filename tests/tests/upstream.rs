//! Forwarding: alerts reach the city once and in order, its receipts and actions come back.

use ninewatch_tests::device::{self, Device};
use ninewatch_tests::gateway::{Gateway, Site};
use ninewatch_tests::mosquitto::Mosquitto;
use ninewatch_tests::upstream::Upstream;
use ninewatch_tests::{mosquitto, skipped_without};
use serde_json::json;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn alerts_go_up_and_actions_come_down() -> anyhow::Result<()> {
    if skipped_without("mosquitto", mosquitto::find().is_some()) {
        return Ok(());
    }
    let mut broker = Mosquitto::start()?;
    let city = Upstream::start(broker.port, "test").await?;
    let site = Site::new(&format!("[[upstream]]\nname = \"city\"\nurl = \"mqtt://127.0.0.1:{}\"\n", broker.port))?;
    site.add_place("home", "home")?;
    let sos = site.add_devices("ninewatch-sos", &[("sos-1".into(), "home".into())])?;
    let gateway = Gateway::start(&site)?;
    let mut button = Device::connect(&sos[0].0, &sos[0].1, gateway.sensor_port).await?;
    button.publish(device::sos("sos-1", device::now_s(), true)).await?;
    city.until(LIMIT, |seen| seen.taken.len() == 1).await?;
    let (event, alert) = city.look(|seen| {
        let event = seen.events[0].2.clone();
        let alert = event["subject"].as_str().unwrap_or_default().to_owned();
        (event, alert)
    });
    assert_eq!(event["type"], "cn.ninewatch.alert.raised");
    assert_eq!(event["specversion"], "1.0");
    assert!(event["data"]["evidence"]["reason"]["zh"].as_str().is_some_and(|reason| reason.contains("求助键")));

    let action = |id: &str, verb: &str| json!({"id": id, "alert": alert, "by": "officer-7", "verb": verb});
    city.act(action("a-1", "handle")).await?;
    city.until(LIMIT, |seen| seen.answers_to("a-1") == ["refused"]).await?;
    city.act(action("a-2", "accept")).await?;
    city.act(action("a-2", "accept")).await?;
    city.until(LIMIT, |seen| seen.taken.len() == 2 && seen.answers_to("a-2") == ["applied"; 2]).await?;
    let record = gateway.get(&format!("/api/v1/alerts/{alert}"))?;
    assert_eq!(record["alert"]["status"], "accepted");
    assert_eq!(record["alert"]["accepted_by"], "officer-7");

    // The broker goes away and comes back; what happened meanwhile follows, once.
    broker.kill_and_restart()?;
    for press in 0..10 {
        let at = device::now_s() + f64::from(press) / 100.0;
        button.publish(device::sos("sos-1", at, press % 2 == 1)).await?;
    }
    let last = gateway.get("/api/v1/alerts")?["last_seq"].as_u64().unwrap_or(0);
    assert!(last > 4);
    city.until(LIMIT, |seen| seen.taken.range(..=last).count() as u64 == last).await?;
    let (doubled, order) = city.look(|seen| {
        let order: Vec<u64> = seen.events.iter().map(|(_, sequence, _)| *sequence).collect();
        (seen.doubled().len(), order)
    });
    assert_eq!(doubled, 0);
    assert!(order.is_sorted(), "changes of one alert come in order: {order:?}");
    Ok(())
}
