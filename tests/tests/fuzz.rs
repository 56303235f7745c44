//! Whatever comes to its doors, the gateway neither breaks nor swells, and serves the next one. `make fuzz` goes on for minutes.

use anyhow::{Context, ensure};
use ninewatch_tests::device::{self, Device};
use ninewatch_tests::fuzz::http::{Api, Came};
use ninewatch_tests::fuzz::mqtt::Visit;
use ninewatch_tests::fuzz::{Campaign, Dice, resident_kib};
use ninewatch_tests::gateway::{Gateway, Site};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinSet;

/// At rest it holds some 60 MiB.
const RESIDENT_LIMIT_KIB: u64 = 250 * 1024;
/// Cases at the same time.
const AT_ONCE: usize = 16;
/// Cases between two looks at whether all is well.
const LOOK: u64 = 320;

/// A small community, and (id, secret) of its devices.
fn community() -> anyhow::Result<(Site, Vec<(String, String)>)> {
    let site = Site::new("[journal]\nreadings_max_mib = 64\nsegment_mib = 4")?;
    site.add_place("home", "home")?;
    let rows = |kind: &str, count: usize| {
        (0..count).map(|index| (format!("{kind}-{index}"), "home".to_owned())).collect::<Vec<_>>()
    };
    let mut devices = site.add_devices("ninewatch-sos", &rows("sos", 3))?;
    devices.extend(site.add_devices("ninewatch-gas", &rows("gas", 5))?);
    Ok((site, devices))
}

/// What it said until now must not tell of a fault of its own.
fn is_sound(site: &Site, campaign: &Campaign) -> anyhow::Result<()> {
    let log = std::fs::read_to_string(site.folder().join("log.txt"))?;
    let fault = log.lines().find(|line| line.contains("panicked at") || line.contains("fault of the gateway"));
    ensure!(fault.is_none(), "{}: {}", campaign.at(), fault.unwrap_or_default());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_comes_to_the_sensor_port_the_next_device_is_served() -> anyhow::Result<()> {
    let (site, mut devices) = community()?;
    let gateway = Gateway::start(&site)?;
    let good = devices.pop().context("a device")?;
    let mut served = Device::connect(&good.0, &good.1, gateway.sensor_port).await?;
    let mut campaign = Campaign::begin("sensor_port", 4_000, RESIDENT_LIMIT_KIB)?;
    let mut visits: JoinSet<anyhow::Result<()>> = JoinSet::new();
    let mut count = 0_u64;
    while let Some(seed) = campaign.next_seed() {
        if visits.len() >= AT_ONCE {
            visits.join_next().await.context("a visit")??.with_context(|| campaign.at())?;
        }
        visits.spawn(Visit::new(&mut Dice::new(seed), &devices).pay(gateway.sensor_port));
        campaign.watch(|| resident_kib(Some(gateway.pid()))).with_context(|| campaign.at())?;
        count += 1;
        if count.is_multiple_of(LOOK) {
            served.publish(device::gas(&good.0, device::now_s(), 2.0)).await.with_context(|| campaign.at())?;
            is_sound(&site, &campaign)?;
        }
    }
    while let Some(visit) = visits.join_next().await {
        visit??;
    }
    served.publish(device::gas(&good.0, device::now_s(), 2.0)).await?;
    is_sound(&site, &campaign)?;
    if count > 1_000 {
        // That it was neither all noise nor all well-behaved.
        for ended in ["gone", "left", "protocol_error", "foreign_topic", "oversize", "taken_over"] {
            ensure!(
                gateway.metric(&format!("ninewatch_sensor_port_ended_total{{reason=\"{ended}\"}}"))? > 0.0,
                "none ended by {ended}"
            );
        }
        let readings = gateway.metric("ninewatch_readings_total")?;
        ensure!(readings > 20.0, "{readings} readings came through");
    }
    campaign.end("connections, up to 14 packets each")
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_asked_of_the_api_it_answers_and_goes_on() -> anyhow::Result<()> {
    let (site, devices) = community()?;
    let gateway = Gateway::start(&site)?;
    for (id, secret) in devices.iter().filter(|(id, _)| id.starts_with("sos")) {
        Device::connect(id, secret, gateway.sensor_port).await?.publish(device::sos(id, device::now_s(), true)).await?;
    }
    let alerts = gateway.get("/api/v1/alerts")?;
    let mut ids: Vec<String> = devices.iter().map(|(id, _)| id.clone()).collect();
    ids.insert(0, alerts["alerts"][0]["id"].as_str().context("an alert")?.to_owned());
    let address = gateway.console.trim_start_matches("http://").parse()?;
    let description = gateway.get("/api/v1/openapi.json")?;
    let mut api = Api::new(address, &description, ids, gateway.account.clone())?;
    let mut campaign = Campaign::begin("api", 3_000, RESIDENT_LIMIT_KIB)?;
    let mut asked: JoinSet<anyhow::Result<Came>> = JoinSet::new();
    let mut counts: BTreeMap<Came, u64> = BTreeMap::new();
    let mut count = 0_u64;
    while let Some(seed) = campaign.next_seed() {
        if asked.len() >= AT_ONCE {
            let came = asked.join_next().await.context("an answer")??.with_context(|| campaign.at())?;
            *counts.entry(came).or_default() += 1;
        }
        if count.is_multiple_of(LOOK) {
            // Whoever logs out ends the session for those behind.
            api.log_in().await.with_context(|| campaign.at())?;
            is_sound(&site, &campaign)?;
        }
        let request = api.request(&mut Dice::new(seed));
        asked.spawn(async move { request.ask(address).await.with_context(|| format!("seed {seed}")) });
        campaign.watch(|| resident_kib(Some(gateway.pid()))).with_context(|| campaign.at())?;
        count += 1;
    }
    while let Some(came) = asked.join_next().await {
        *counts.entry(came??).or_default() += 1;
    }
    is_sound(&site, &campaign)?;
    let lets_in = async {
        while !api.log_in().await? {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(60), lets_in).await.context("it lets nobody in any more")??;
    if count > 1_000 {
        for status in [200, 400, 401, 403, 404, 405, 413] {
            ensure!(counts.contains_key(&Came::To(status)), "no request came to {status}: {counts:?}");
        }
    }
    campaign.end(&format!("requests, {counts:?}"))
}
