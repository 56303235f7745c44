//! Nodes on the gateway's serial lines, of the binary and of the nodes' real program: no press is lost, none is told
//! twice, and nobody else is believed.

use ninewatch_tests::gateway::{Gateway, Site, ninewatch};
use ninewatch_tests::nodes::{NodeLine, entry, identity};
use ninewatch_wire::code::Code;
use serde_json::Value;
use std::time::{Duration, Instant};

/// A site with one line and its nodes, each with a button and a thermometer in one shop.
fn site(line: &NodeLine, numbers: &[u32]) -> anyhow::Result<Site> {
    let site = Site::new(&format!(
        "[[line]]\nname = \"east\"\ntcp = \"{}\"\npoll_every = \"20ms\"\nanswer_within = \"60ms\"\n",
        line.address
    ))?;
    site.add_place("shop", "shop")?;
    let devices = |kind: &str| -> Vec<(String, String)> {
        numbers.iter().map(|number| (format!("{kind}-{number}"), "shop".to_owned())).collect()
    };
    site.add_devices("ninewatch-sos", &devices("sos"))?;
    site.add_devices("ninewatch-smoke", &devices("climate"))?;
    let list: String = numbers.iter().map(|number| entry(*number, "east", "1s")).collect();
    std::fs::write(site.data().join("nodes.toml"), list)?;
    Ok(site)
}

fn presses(gateway: &Gateway) -> anyhow::Result<u64> {
    let found = gateway.get("/api/v1/alerts?limit=100")?;
    let alerts = found["alerts"].as_array().cloned().unwrap_or_default();
    let of_buttons = |alert: &&Value| alert["devices"].to_string().contains("sos-");
    Ok(alerts.iter().filter(of_buttons).map(|alert| alert["occurrences"].as_u64().unwrap_or(1)).sum())
}

/// Waits until something is so.
fn until(what: &str, mut is_so: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !is_so()? {
        anyhow::ensure!(begun.elapsed() < Duration::from_secs(60), "{what} does not come about");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn node(gateway: &Gateway, number: u32) -> anyhow::Result<Value> {
    let all = gateway.get("/api/v1/nodes")?;
    let name = format!("node-{number}");
    let found =
        all["nodes"].as_array().and_then(|nodes| nodes.iter().find(|node| node["name"] == name.as_str()).cloned());
    found.ok_or_else(|| anyhow::anyhow!("no {name} in {all}"))
}

fn until_status(gateway: &Gateway, number: u32, status: &str) -> anyhow::Result<()> {
    until(
        &format!("node-{number} is {status}"),
        || Ok(node(gateway, number).is_ok_and(|node| node["status"] == status)),
    )
}

/// A press long enough to be seen.
fn press(line: &NodeLine, place: usize) -> anyhow::Result<()> {
    line.press(place, true)?;
    std::thread::sleep(Duration::from_millis(200));
    line.press(place, false)
}

#[test]
fn a_press_while_the_line_is_cut_is_an_alert_once_when_it_is_mended() -> anyhow::Result<()> {
    let line = NodeLine::start([1])?;
    let site = site(&line, &[1])?;
    let gateway = Gateway::start(&site)?;
    until_status(&gateway, 1, "ok")?;
    line.cut(true);
    until("the line is down", || Ok(gateway.metric("ninewatch_line_open")? == 0.0))?;
    press(&line, 0)?;
    assert_eq!(presses(&gateway)?, 0);
    line.cut(false);
    until("the press arrives", || Ok(presses(&gateway)? > 0))?;
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(presses(&gateway)?, 1, "once");
    Ok(())
}

#[test]
fn a_press_outlives_the_gateway_and_is_told_once() -> anyhow::Result<()> {
    let line = NodeLine::start([2])?;
    let site = site(&line, &[2])?;
    for round in 0..4_u64 {
        let mut gateway = Gateway::start(&site)?;
        until_status(&gateway, 2, "ok")?;
        line.press(0, true)?;
        // Killed somewhere between the report and its acknowledgement, or before, or after.
        std::thread::sleep(Duration::from_millis(30 * round + 10));
        gateway.kill()?;
        std::thread::sleep(Duration::from_millis(200));
        line.press(0, false)?;
        let gateway = Gateway::start(&site)?;
        until("the press arrives", || Ok(presses(&gateway)? > round))?;
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(presses(&gateway)?, round + 1, "of round {round}, once");
    }
    Ok(())
}

#[test]
fn a_fifth_of_all_frames_damaged_loses_nothing_and_doubles_nothing() -> anyhow::Result<()> {
    let line = NodeLine::start([3, 4, 5])?;
    let site = site(&line, &[3, 4, 5])?;
    let gateway = Gateway::start(&site)?;
    [3, 4, 5].iter().try_for_each(|number| until_status(&gateway, *number, "ok"))?;
    line.damage(200);
    for round in 0..6_u64 {
        for place in 0..3 {
            press(&line, place)?;
        }
        until("all presses arrive", || Ok(presses(&gateway)? >= 3 * (round + 1)))?;
    }
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(presses(&gateway)?, 18);
    assert!(line.damaged() > 50, "{} frames were damaged", line.damaged());
    assert!(gateway.metric("ninewatch_line_damaged_total")? > 10.0);
    Ok(())
}

#[test]
fn a_node_with_another_key_is_refused_and_said_in_health() -> anyhow::Result<()> {
    let line = NodeLine::start([6])?;
    let site = site(&line, &[6])?;
    let list = std::fs::read_to_string(site.data().join("nodes.toml"))?;
    std::fs::write(site.data().join("nodes.toml"), list.replace("05050505\"", "05050506\""))?;
    let gateway = Gateway::start(&site)?;
    until_status(&gateway, 6, "refused")?;
    press(&line, 0)?;
    let health = gateway.get("/api/v1/health")?;
    let part =
        health["parts"].as_array().and_then(|parts| parts.iter().find(|part| part["name"] == "node:node-6").cloned());
    let said = part.map(|part| part["text"]["en"].to_string()).unwrap_or_default();
    assert!(said.contains("another key than it was paired with"), "{health}");
    assert_eq!(presses(&gateway)?, 0);
    // Whoever mends the list need not start anything anew.
    std::fs::write(site.data().join("nodes.toml"), list)?;
    until_status(&gateway, 6, "ok")?;
    press(&line, 0)?;
    until("the press arrives", || Ok(presses(&gateway)? == 1))?;
    Ok(())
}

#[test]
fn a_node_without_power_is_a_complaint() -> anyhow::Result<()> {
    let line = NodeLine::start([7, 8])?;
    let site = site(&line, &[7, 8])?;
    let gateway = Gateway::start(&site)?;
    [7, 8].iter().try_for_each(|number| until_status(&gateway, *number, "ok"))?;
    line.kill(0)?;
    until_status(&gateway, 7, "silent")?;
    let found = gateway.until_alert(|change| {
        change["kind"] == "raised" && change["alert"]["rules"].to_string().contains("gateway-node-silent")
    })?;
    assert!(found["alert"]["devices"].to_string().contains("node:node-7"), "{found}");
    assert_eq!(node(&gateway, 8)?["status"], "ok", "the other one is asked as before");
    Ok(())
}

#[test]
fn a_node_tells_its_log_and_takes_a_new_program() -> anyhow::Result<()> {
    let line = NodeLine::start([9])?;
    let site = site(&line, &[9])?;
    let gateway = Gateway::start(&site)?;
    until_status(&gateway, 9, "ok")?;
    let said = gateway.post("/api/v1/nodes/node-9/log", &serde_json::json!({}))?;
    assert!(said["log"].as_str().is_some_and(|log| log.contains("fitted with 2 channels")), "{said}");
    gateway.post(&format!("/api/v1/nodes/{}/blink", identity(9).id), &serde_json::json!({"seconds": 2}))?;
    let program = vec![0x5a; 20_000];
    gateway.post_bytes("/api/v1/nodes/node-9/update?board=simulated", &program)?;
    until("the program is there", || Ok(node(&gateway, 9)?["update"]["state"] == "done"))?;
    assert_eq!(node(&gateway, 9)?["boot"], 2);
    assert!(gateway.post_bytes("/api/v1/nodes/node-9/update?board=pico", &program).is_err());
    Ok(())
}

#[test]
fn a_node_is_paired_by_the_code_on_it_while_the_gateway_runs() -> anyhow::Result<()> {
    let line = NodeLine::start([10])?;
    let site = site(&line, &[10])?;
    std::fs::remove_file(site.data().join("nodes.toml"))?;
    let gateway = Gateway::start(&site)?;
    let code = Code(identity(10)).to_string();
    let (file, name) = (site.file().display().to_string(), "node-10");
    let mut args = vec!["--lang", "en", "node", "--site", &file, "pair", &code, "--name", name];
    let channel = "button:4 device=sos-10 field=sos every=1s";
    let wrong = ninewatch(&[&args[..], &["--channel", "button:4 device=sos-99 field=sos"]].concat());
    assert!(wrong.is_err_and(|error| error.to_string().contains("no device `sos-99`")));
    args.extend(["--channel", channel]);
    ninewatch(&args)?;
    assert!(ninewatch(&args).is_err_and(|error| error.to_string().contains("paired already")));
    until_status(&gateway, 10, "ok")?;
    press(&line, 0)?;
    until("the press arrives", || Ok(presses(&gateway)? == 1))?;
    ninewatch(&["node", "--site", &file, "unpair", name])?;
    until("it is gone", || Ok(gateway.get("/api/v1/nodes")?["nodes"] == serde_json::json!([])))?;
    Ok(())
}

/// Figures: `cargo test --release -p ninewatch-tests --test nodes -- --ignored --nocapture`.
#[test]
#[ignore = "a thousand nodes take a machine of their own for a minute"]
fn a_thousand_nodes_on_forty_lines_lose_no_press() -> anyhow::Result<()> {
    const LINES: u32 = 40;
    const EACH: u32 = 25;
    let lines: Vec<NodeLine> = (0..LINES)
        .map(|line| NodeLine::start(1_000 + line * EACH..1_000 + (line + 1) * EACH))
        .collect::<Result<_, _>>()?;
    let mut text = String::new();
    let (mut list, mut buttons, mut thermometers) = (String::new(), Vec::new(), Vec::new());
    for (number, line) in (0..LINES).zip(&lines) {
        text.push_str(&format!(
            "[[line]]\nname = \"line-{number}\"\ntcp = \"{}\"\nanswer_within = \"1s\"\n",
            line.address
        ));
        for node in 1_000 + number * EACH..1_000 + (number + 1) * EACH {
            list.push_str(&entry(node, &format!("line-{number}"), "60s"));
            buttons.push((format!("sos-{node}"), "shop".to_owned()));
            thermometers.push((format!("climate-{node}"), "shop".to_owned()));
        }
    }
    let site = Site::new(&text)?;
    site.add_place("shop", "shop")?;
    site.add_devices("ninewatch-sos", &buttons)?;
    site.add_devices("ninewatch-smoke", &thermometers)?;
    std::fs::write(site.data().join("nodes.toml"), list)?;
    let gateway = Gateway::start(&site)?;
    until("all nodes are heard", || {
        let all = gateway.get("/api/v1/nodes")?;
        let is_ok = |node: &&Value| node["status"] == "ok";
        Ok(all["nodes"].as_array().is_some_and(|nodes| nodes.iter().filter(is_ok).count() == 1_000))
    })?;
    let cpu = || -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", gateway.pid()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |place: usize| fields.get(place).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
        Ok((ticks(11) + ticks(12)) / 100.0)
    };
    let (begun, before, asked) = (Instant::now(), cpu()?, gateway.metric("ninewatch_line_asked_total")?);
    std::thread::sleep(Duration::from_secs(10));
    let seconds = begun.elapsed().as_secs_f64();
    let busy = (cpu()? - before) / seconds * 100.0;
    let rate = (gateway.metric("ninewatch_line_asked_total")? - asked) / seconds;
    let round_ms = gateway.metric("ninewatch_line_round_seconds")? / f64::from(LINES) * 1_000.0;
    let pressed = Instant::now();
    for line in &lines {
        (0..EACH as usize).try_for_each(|place| line.press(place, true))?;
    }
    until("all presses arrive", || Ok(presses(&gateway)? >= 1_000))?;
    let took = pressed.elapsed();
    assert_eq!(presses(&gateway)?, 1_000, "each once");
    println!(
        "1,000 nodes on 40 lines: {busy:.1} % of a core, {} MiB, {rate:.0} questions/s, a round takes {round_ms:.0} ms; \
         1,000 presses at once are alerts in {:.2} s",
        gateway.resident_kib()? / 1_024,
        took.as_secs_f64()
    );
    Ok(())
}
