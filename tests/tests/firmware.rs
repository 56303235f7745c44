//! The node's firmware on an emulated board, its serial line tied to the real gateway. `make test-firmware` builds the
//! firmware and runs these.

use anyhow::Context;
use ninewatch_tests::emulated::{Emulated, Key as Button, new_memory};
use ninewatch_tests::gateway::{Gateway, Site, ninewatch};
use ninewatch_tests::line::HeldLine;
use ninewatch_wire::frame::{Key, NodeId};
use ninewatch_wire::identity::Identity;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const HOME: &str = "0a0b0c0d";

/// A node in QEMU behind a line that the test holds, and the gateway's site.
struct Ground {
    node: Option<Emulated>,
    line: HeldLine,
    site: Site,
    memory: PathBuf,
    _folder: tempfile::TempDir,
}

fn identity() -> Identity {
    Identity { id: NodeId(0x0a0b_0c0d), key: Key([5; 16]) }
}

impl Ground {
    /// `key` is that of `nodes.toml`.
    async fn new(key: Key) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let memory = folder.path().join("node.memory");
        new_memory(&memory, &identity())?;
        let mut node = Emulated::start(&memory, None)?;
        node.warm(21.5)?;
        let line = HeldLine::new(node.line).await?;
        let site = site(line.address, &key)?;
        Ok(Self { node: Some(node), line, site, memory, _folder: folder })
    }

    fn node(&mut self) -> anyhow::Result<&mut Emulated> {
        self.node.as_mut().context("the node has no power")
    }

    /// The power is cut; it comes back with [`power_up`](Self::power_up).
    fn power_down(&mut self) -> anyhow::Result<SocketAddr> {
        let node = self.node.take().context("the node has no power")?;
        let line = node.line;
        node.kill()?;
        Ok(line)
    }

    fn power_up(&mut self, line: SocketAddr) -> anyhow::Result<()> {
        self.node = Some(Emulated::start(&self.memory, Some(line))?);
        Ok(())
    }

    async fn press(&mut self, times: usize) -> anyhow::Result<()> {
        for _ in 0..times {
            for down in [true, false] {
                self.node()?.press(Button::Ctrl, down)?;
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        }
        Ok(())
    }
}

fn site(line: SocketAddr, key: &Key) -> anyhow::Result<Site> {
    let site = Site::new(&format!(
        "[[line]]\nname = \"riser\"\ntcp = \"{line}\"\npoll_every = \"50ms\"\nanswer_within = \"500ms\"\n"
    ))?;
    site.add_place("home", "home")?;
    site.add_devices("ninewatch-sos", &[("sos".into(), "home".into())])?;
    site.add_devices("ninewatch-smoke", &[("heat".into(), "home".into())])?;
    let key: String = key.0.iter().map(|byte| format!("{byte:02x}")).collect();
    let nodes = format!(
        r#"
[[node]]
id = "{HOME}"
key = "{key}"
name = "kitchen"
line = "riser"
[[node.channel]]
fitted = {{ button = {{ input = 4, active_low = true }} }}
device = "sos"
field = "sos"
every = "1h"
[[node.channel]]
fitted = {{ thermometer = {{ address = 72 }} }}
device = "heat"
field = "temperature_c"
every = "1s"
[[node.channel]]
fitted = {{ output = {{ output = 1, active_low = false }} }}
device = "siren"
"#
    );
    std::fs::write(site.data().join("nodes.toml"), nodes)?;
    Ok(site)
}

async fn until(gateway: &Gateway, is_so: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
    let begun = Instant::now();
    loop {
        let nodes = gateway.get("/api/v1/nodes")?;
        let found = nodes["nodes"].as_array().and_then(|nodes| nodes.iter().find(|node| node["id"] == HOME));
        if let Some(node) = found.filter(|node| is_so(node)) {
            return Ok(node.clone());
        }
        anyhow::ensure!(begun.elapsed() < Duration::from_secs(60), "it stays {nodes}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the line has answered so often again: what would come twice has come.
async fn answers_on(gateway: &Gateway, more: f64) -> anyhow::Result<()> {
    let answered = "ninewatch_line_answered_total{line=\"riser\"}";
    let before = gateway.metric(answered)?;
    gateway.until_metric(answered, |count| count >= before + more).await
}

fn is_well(node: &Value) -> bool {
    node["status"] == "ok"
}

/// Times at which the button went down, as the journal has them.
fn presses(site: &Site) -> anyhow::Result<Vec<f64>> {
    let recorded = ninewatch(&["journal", "--device", "sos", &site.data().display().to_string()])?;
    let payloads = recorded.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        match &message["payload"] {
            Value::String(text) => serde_json::from_str::<Value>(text).ok(),
            payload => Some(payload.clone()),
        }
    });
    Ok(payloads.filter(|payload| payload[0]["vb"] == true).filter_map(|payload| payload[0]["t"].as_f64()).collect())
}

async fn until_presses(site: &Site, wanted: usize) -> anyhow::Result<Vec<f64>> {
    let begun = Instant::now();
    loop {
        let told = presses(site)?;
        if told.len() >= wanted {
            return Ok(told);
        }
        anyhow::ensure!(begun.elapsed() < Duration::from_secs(60), "{} of {wanted} presses are recorded", told.len());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the firmware and QEMU: make test-firmware"]
async fn heat_at_the_sensor_is_an_alert_and_the_siren_sounds() -> anyhow::Result<()> {
    let mut ground = Ground::new(identity().key).await?;
    let gateway = Gateway::start(&ground.site)?;
    let node = until(&gateway, is_well).await?;
    assert_eq!(node["board"], "qemu", "{node}");
    ground.node()?.warm(71.0)?;
    let begun = Instant::now();
    let raised = gateway.until_alert(|change| change["alert"]["scene"] == "fire")?;
    assert_eq!(raised["alert"]["devices"], json!(["heat"]), "{raised}");
    eprintln!("heat is an alert after {:.1} s, measured each second", begun.elapsed().as_secs_f64());
    gateway.post(&format!("/api/v1/nodes/{HOME}/switch"), &json!({"channel": 2, "on": true}))?;
    assert!(ground.node()?.is_high(1)?, "the siren is on");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the firmware and QEMU: make test-firmware"]
async fn a_press_while_the_line_is_cut_is_one_alert_once_it_heals() -> anyhow::Result<()> {
    let mut ground = Ground::new(identity().key).await?;
    let gateway = Gateway::start(&ground.site)?;
    until(&gateway, is_well).await?;
    ground.line.cut(true);
    gateway.until_metric("ninewatch_line_open", |open| open == 0.0).await?;
    ground.press(1).await?;
    let pressed_s = ninewatch_tests::device::now_s();
    ground.line.cut(false);
    let raised =
        gateway.until_alert(|change| change["kind"] == "raised" && change["alert"]["scene"] == "elder_care")?;
    assert_eq!(raised["alert"]["severity"], "critical", "{raised}");
    let told = until_presses(&ground.site, 1).await?;
    answers_on(&gateway, 20.0).await?;
    assert_eq!(presses(&ground.site)?.len(), 1, "once");
    assert!((told[0] - pressed_s).abs() < 3.0, "when it was pressed: {told:?}, {pressed_s}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the firmware and QEMU: make test-firmware"]
async fn a_node_that_is_killed_is_a_silent_sensor_and_comes_back() -> anyhow::Result<()> {
    let mut ground = Ground::new(identity().key).await?;
    let gateway = Gateway::start(&ground.site)?;
    let boot = until(&gateway, is_well).await?["boot"].as_u64().context("a boot")?;
    let line = ground.power_down()?;
    let raised = gateway.until_alert(|change| change["alert"]["rules"][0] == "gateway-node-silent")?;
    assert!(raised["alert"]["devices"].to_string().contains("kitchen"), "{raised}");
    ground.power_up(line)?;
    let node = until(&gateway, is_well).await?;
    assert_eq!(node["boot"].as_u64(), Some(boot + 1), "it has counted its start");
    ground.press(1).await?;
    until_presses(&ground.site, 1).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the firmware and QEMU: make test-firmware"]
async fn with_every_fifth_frame_damaged_nothing_is_lost_or_doubled() -> anyhow::Result<()> {
    const TIMES: usize = 20;
    let mut ground = Ground::new(identity().key).await?;
    ground.line.damage(20);
    let gateway = Gateway::start(&ground.site)?;
    until(&gateway, |node| node["heard_ms"].is_i64()).await?;
    ground.press(TIMES).await?;
    until_presses(&ground.site, TIMES).await?;
    answers_on(&gateway, 20.0).await?;
    let mut told = presses(&ground.site)?;
    assert_eq!(told.len(), TIMES);
    told.sort_by(f64::total_cmp);
    told.dedup();
    assert_eq!(told.len(), TIMES, "each at a time of its own");
    eprintln!("{} frames were damaged", ground.line.damaged());
    assert!(ground.line.damaged() > 20);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the firmware and QEMU: make test-firmware"]
async fn a_wrong_key_is_refused_and_reported() -> anyhow::Result<()> {
    let mut ground = Ground::new(Key([6; 16])).await?;
    let gateway = Gateway::start(&ground.site)?;
    ground.press(1).await?;
    let raised = gateway.until_alert(|change| change["alert"]["rules"][0] == "gateway-node-refused")?;
    let reason = raised["alert"]["reason"]["en"].as_str().unwrap_or_default();
    assert!(reason.contains("another key than it was paired with"), "{raised}");
    assert_eq!(presses(&ground.site)?.len(), 0, "nothing that it says is believed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the firmware and QEMU: make test-firmware"]
async fn a_gateway_that_is_killed_hears_what_it_had_not_acknowledged() -> anyhow::Result<()> {
    let mut ground = Ground::new(identity().key).await?;
    let mut gateway = Gateway::start(&ground.site)?;
    until(&gateway, is_well).await?;
    ground.press(2).await?;
    gateway.kill()?;
    ground.press(3).await?;
    let gateway = Gateway::start(&ground.site)?;
    until(&gateway, is_well).await?;
    until_presses(&ground.site, 5).await?;
    let mut told = presses(&ground.site)?;
    told.sort_by(f64::total_cmp);
    told.dedup();
    assert_eq!(told.len(), 5, "what is sent again is the same reading");
    Ok(())
}
