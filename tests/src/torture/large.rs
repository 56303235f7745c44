//! A start after a kill with a journal of a given size.

use anyhow::Context;
use rumqttc::{AsyncClient, Event, Packet, QoS};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

use crate::device;
use crate::gateway::{Gateway, Site};

const GAS: usize = 50;
/// Open alerts, one at each button's home.
const OPEN: usize = 2_000;
const ROUND: usize = 2_000;
const STARTS: usize = 5;

pub(super) async fn start_after_a_kill(gib: f64) -> anyhow::Result<Value> {
    let site = Site::new("[journal]\nreadings_max_mib = 65536\n")?;
    let mut rows = Vec::new();
    site.add_place("kitchen", "restaurant")?;
    rows.extend((0..GAS).map(|index| (format!("gas-{index}"), "kitchen".to_owned())));
    let gas = site.add_devices("ninewatch-gas", &rows)?;
    let places: String = (0..OPEN).map(|index| format!("home-{index},home-{index},home,g1,\n")).collect();
    let list = site.folder().join("places.csv");
    std::fs::write(&list, format!("id,name,kind,grid,address\n{places}"))?;
    let data = site.data().display().to_string();
    crate::gateway::ninewatch(&["place", "--data-dir", &data, "import", &list.display().to_string()])?;
    let rows: Vec<_> = (0..OPEN).map(|index| (format!("sos-{index}"), format!("home-{index}"))).collect();
    let buttons = site.add_devices("ninewatch-sos", &rows)?;
    let mut gateway = Gateway::start(&site)?;
    for (id, secret) in &buttons {
        let mut button = device::Device::connect(id, secret, gateway.sensor_port).await?;
        button.publish(device::sos(id, device::now_s(), true)).await?;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let wanted = (gib * f64::from(1 << 30)) as u64;
    let mut base = device::now_s() - 86_400.0;
    while size(&site.data().join("journal"))? < wanted {
        let senders: Vec<_> = gas
            .iter()
            .map(|(id, secret)| tokio::spawn(send(id.clone(), secret.clone(), gateway.sensor_port, base)))
            .collect();
        for sender in senders {
            sender.await??;
        }
        #[allow(clippy::cast_precision_loss)]
        let passed = ROUND as f64 / 100.0;
        base += passed;
    }
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        gateway.kill()?;
        let begun = Instant::now();
        gateway = Gateway::start(&site)?;
        starts.push(u64::try_from(begun.elapsed().as_millis())?);
    }
    let alerts = gateway.get("/api/v1/alerts?limit=500")?["alerts"].as_array().map_or(0, Vec::len);
    anyhow::ensure!(alerts == 500, "{alerts} alerts are shown");
    Ok(json!({
        "journal_bytes": size(&site.data().join("journal"))?, "open_alerts": OPEN,
        "start_ms": starts, "slowest_start_ms": starts.iter().max(),
    }))
}

/// One detector's readings, each of a time of its own.
async fn send(id: String, secret: String, port: std::net::SocketAddr, base: f64) -> anyhow::Result<()> {
    let mut options = device::options(&id, &secret, port);
    options.set_inflight(100);
    let (client, mut events) = AsyncClient::new(options, ROUND + 1);
    let topic = device::topic(&id);
    for index in 0..ROUND {
        #[allow(clippy::cast_precision_loss)]
        let payload = device::gas(&id, base + index as f64 / 100.0, 2.0);
        client.publish(topic.as_str(), QoS::AtLeastOnce, false, payload).await?;
    }
    let mut acked = 0;
    while acked < ROUND {
        let event = tokio::time::timeout(Duration::from_secs(60), events.poll()).await.context("no PUBACK")??;
        acked += usize::from(matches!(event, Event::Incoming(Packet::PubAck(_))));
    }
    Ok(())
}

fn size(folder: &std::path::Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        bytes += if meta.is_dir() { size(&entry.path())? } else { meta.len() };
    }
    Ok(bytes)
}
