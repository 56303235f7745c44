//! Residents report by their grid's code: what is answered is there once, floods harm nobody, and what is of a person is
//! gone when its time is over.

use anyhow::{Context, ensure};
use ninewatch_tests::device::{self, Device};
use ninewatch_tests::gateway::{Gateway, Site, ninewatch};
use ninewatch_tests::mosquitto::Mosquitto;
use ninewatch_tests::upstream::Upstream;
use ninewatch_tests::{mosquitto, skipped_without};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const TEXT: &str = "楼道里停着电动车，正在飞线充电";
const PHONE: &str = "138-0000-1234";
const JPEG: &[u8] = include_bytes!("../../gateway/app/src/people/pictures/phone.jpg");

/// What somebody gets who is not logged in, as status and JSON.
fn ask(gateway: &Gateway, path: &str, body: Option<&[u8]>) -> anyhow::Result<(u16, Value)> {
    let agent = ureq::Agent::new_with_config(ureq::Agent::config_builder().http_status_as_error(false).build());
    let url = format!("{}{path}", gateway.console);
    let mut answer = match body {
        Some(body) => agent.post(url).header("Content-Type", "application/json").send(body)?,
        None => agent.get(url).call()?,
    };
    Ok((answer.status().as_u16(), answer.body_mut().read_json()?))
}

fn report(gateway: &Gateway, code: &str, key: &str) -> anyhow::Result<(u16, Value)> {
    let matter = json!({"code": code, "key": format!("{key:0>16}"), "scene": "fire", "text": TEXT, "phone": PHONE});
    ask(gateway, "/api/v1/matters", Some(&serde_json::to_vec(&matter)?))
}

/// Reports, as one that is taken; gives the ticket.
fn ticket_of(gateway: &Gateway, code: &str, key: &str) -> anyhow::Result<String> {
    let (status, answer) = report(gateway, code, key)?;
    ensure!(status == 201, "{status} {answer}");
    Ok(answer["ticket"].as_str().context("a ticket")?.to_owned())
}

fn code_of(gateway: &Gateway) -> anyhow::Result<String> {
    let code = gateway.post("/api/v1/grids/g1/code", &json!({}))?;
    Ok(code["code"].as_str().context("a code")?.to_owned())
}

fn matters(gateway: &Gateway) -> anyhow::Result<Vec<Value>> {
    let alerts = gateway.get("/api/v1/alerts?place=grid:g1")?["alerts"].clone();
    Ok(alerts.as_array().context("a list")?.clone())
}

/// Whether any file in a folder holds these bytes.
fn is_anywhere(dir: &Path, words: &[u8]) -> anyhow::Result<bool> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let is_there = if path.is_dir() {
            is_anywhere(&path, words)?
        } else {
            std::fs::read(&path)?.windows(words.len()).any(|window| window == words)
        };
        if is_there {
            return Ok(true);
        }
    }
    Ok(false)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_matter_is_seen_live_carried_upstream_without_what_is_the_residents_and_shown_by_its_ticket()
-> anyhow::Result<()> {
    if skipped_without("mosquitto", mosquitto::find().is_some()) {
        return Ok(());
    }
    let broker = Mosquitto::start()?;
    let city = Upstream::start(broker.port, "test").await?;
    let site = Site::new(&format!("[[upstream]]\nname = \"city\"\nurl = \"mqtt://127.0.0.1:{}\"\n", broker.port))?;
    site.add_place("home", "home")?;
    let mut gateway = Gateway::start(&site)?;
    let code = code_of(&gateway)?;
    let ticket = ticket_of(&gateway, &code, "1")?;
    let (status, _) = ask(&gateway, &format!("/api/v1/matters/{ticket}/photos"), Some(JPEG))?;
    assert_eq!(status, 201);
    let raised = gateway.until_alert(|change| change["alert"]["group"] == "resident")?;
    assert_eq!((&raised["kind"], &raised["alert"]["severity"]), (&json!("raised"), &json!("major")));
    let id = raised["alert"]["id"].as_str().context("an id")?.to_owned();

    let progress = |gateway: &Gateway| ask(gateway, &format!("/api/v1/matters/{ticket}"), None);
    assert_eq!(progress(&gateway)?.1["status"], "raised");
    let photos = gateway.get(&format!("/api/v1/alerts/{id}"))?["photos"].clone();
    for (verb, body) in [
        ("accept", json!({})),
        ("dispatch", json!({"to": "王敏"})),
        ("handle", json!({"note": "已搬走", "photos": [photos[0]["id"]]})),
        ("answer", json!({"text": "已处理，谢谢"})),
        ("close", json!({"verdict": "true_alarm"})),
    ] {
        gateway.post(&format!("/api/v1/alerts/{id}/{verb}"), &body)?;
    }
    let (_, shown) = progress(&gateway)?;
    assert_eq!((&shown["status"], &shown["answers"][0]["text"]), (&json!("closed"), &json!("已处理，谢谢")));
    assert!(!shown.to_string().contains("王敏") && !shown.to_string().contains("已搬走"), "{shown}");

    city.until(LIMIT, |seen| seen.events.iter().any(|event| event.2["data"]["alert"]["status"] == "closed")).await?;
    let told = city.look(|seen| seen.events.iter().map(|event| event.2.to_string()).collect::<String>());
    for theirs in [TEXT, PHONE, ticket.as_str(), "已处理，谢谢"] {
        assert!(!told.contains(theirs), "the city was told {theirs}");
    }
    gateway.terminate(LIMIT)?;
    for held in ["journal", "index"] {
        for theirs in [TEXT, PHONE, ticket.as_str()] {
            assert!(!is_anywhere(&site.data().join(held), theirs.as_bytes())?, "the {held} holds {theirs}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_right_after_the_ticket_leaves_the_matter_there_once() -> anyhow::Result<()> {
    let site = Site::new("")?;
    site.add_place("home", "home")?;
    let mut gateway = Gateway::start(&site)?;
    let code = code_of(&gateway)?;
    let mut tickets = Vec::new();
    for number in 0..3 {
        tickets.push(ticket_of(&gateway, &code, &number.to_string())?);
        gateway.kill()?;
        gateway = Gateway::start(&site)?;
        assert_eq!(matters(&gateway)?.len(), number + 1);
        // The phone did not get the answer, and sends it again.
        assert_eq!(ticket_of(&gateway, &code, &number.to_string())?, tickets[number]);
        assert_eq!(matters(&gateway)?.len(), number + 1);
    }
    for ticket in &tickets {
        assert_eq!(ask(&gateway, &format!("/api/v1/matters/{ticket}"), None)?.1["status"], "raised");
    }
    // A crash between the two: what is theirs is on the disk, and the journal does not know of it.
    gateway.kill()?;
    let folder = site.data().join("people/matters");
    let one = std::fs::read_dir(&folder)?.next().context("a matter")??.path();
    let mut torn: Value = serde_json::from_slice(&std::fs::read(one)?)?;
    torn["alert"] = Value::Null;
    torn["id"] = json!("00112233445566778899aabbccddeeff");
    torn["ticket"] = json!("aaaa-bbbb-cccc");
    std::fs::write(folder.join("00112233445566778899aabbccddeeff.json"), serde_json::to_vec(&torn)?)?;
    let gateway = Gateway::start(&site)?;
    gateway.until_alert(|change| change["alert"]["devices"][0] == "resident:00112233445566778899aabbccddeeff")?;
    assert_eq!(matters(&gateway)?.len(), 4);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_reports_is_shed_and_an_sos_passes_meanwhile() -> anyhow::Result<()> {
    let site = Site::new("")?;
    site.add_place("home", "home")?;
    let sos = site.add_devices("ninewatch-sos", &[("sos-1".into(), "home".into())])?;
    let gateway = Gateway::start(&site)?;
    let code = code_of(&gateway)?;
    let mut button = Device::connect(&sos[0].0, &sos[0].1, gateway.sensor_port).await?;
    let (mut taken, mut shed) = (0, 0);
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let (gateway, code) = (&gateway, code.as_str());
        let flood: Vec<_> = (0..8)
            .map(|thread| {
                let reports = move |number: i32| report(gateway, code, &format!("{thread}-{number}"));
                scope.spawn(move || (0..40).map(reports).collect::<anyhow::Result<Vec<_>>>())
            })
            .collect();
        // In the midst of it.
        wait_for(button.publish(device::sos("sos-1", device::now_s(), true)))?;
        let alert = gateway.until_alert(|change| change["alert"]["severity"] == "critical")?;
        assert_eq!((&alert["kind"], &alert["alert"]["place"]), (&json!("raised"), &json!("home")));
        for one in flood {
            for (status, answer) in one.join().map_err(|_| anyhow::anyhow!("a reporter panicked"))?? {
                match status {
                    201 => taken += 1,
                    429 => shed += 1,
                    other => anyhow::bail!("{other} {answer}"),
                }
            }
        }
        Ok(())
    })?;
    assert_eq!((taken, taken + shed), (5, 320), "an address has five, however many it sends");
    assert_eq!(matters(&gateway)?.len(), 5);
    Ok(())
}

/// Waits for a future where the thread may wait.
fn wait_for<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

/// Makes what a folder's notes say as old as this.
fn make_old(folder: &Path, at_ms: i64) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            make_old(&path, at_ms)?;
        } else if path.extension().is_some_and(|ending| ending == "json") {
            let mut note: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
            note["at_ms"] = json!(at_ms);
            std::fs::write(&path, serde_json::to_vec(&note)?)?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_is_deleted_really_proved_and_not_brought_back_by_a_backup() -> anyhow::Result<()> {
    let site = Site::new("[people]\nkeep_photos = \"2h\"\nkeep_matters = \"3h\"\n")?;
    site.add_place("home", "home")?;
    let mut gateway = Gateway::start(&site)?;
    let code = code_of(&gateway)?;
    let ticket = ticket_of(&gateway, &code, "1")?;
    ask(&gateway, &format!("/api/v1/matters/{ticket}/photos"), Some(JPEG))?;
    let id = matters(&gateway)?[0]["id"].as_str().context("an id")?.to_owned();
    gateway.kill()?;
    assert!(is_anywhere(&site.data(), TEXT.as_bytes())?);
    let people = site.data().join("people");
    let hour_ago = (device::now_s() * 1000.0) as i64 - 3_600_000;
    make_old(&people, hour_ago - 3 * 3_600_000)?;
    let file = site.folder().join("gateway.backup").display().to_string();
    let site_file = site.file().display().to_string();
    ninewatch(&["backup", "--site", &site_file, "--to", &file])?;

    let gone = |data: &Path| -> anyhow::Result<()> {
        let photo = std::fs::read_dir(data.join("people/photos"))?.count();
        ensure!(photo == 0, "a photo is still there");
        for theirs in [TEXT, PHONE, ticket.as_str()] {
            ensure!(!is_anywhere(data, theirs.as_bytes())?, "{theirs} is still there");
        }
        Ok(())
    };
    let until_gone = |gateway: &Gateway| -> anyhow::Result<Value> {
        let mut looks = 0;
        loop {
            let retention = gateway.get("/api/v1/retention")?;
            if retention["proofs"].as_array().is_some_and(|proofs| proofs.len() == 2) {
                return Ok(retention);
            }
            looks += 1;
            ensure!(looks < 500, "nothing is deleted: {retention}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let gateway = Gateway::start(&site)?;
    let retention = until_gone(&gateway)?;
    assert_eq!(retention["proofs"][0]["what"], "1 photos (kept 2h)");
    gone(&site.data())?;
    assert_eq!(ask(&gateway, &format!("/api/v1/matters/{ticket}"), None)?.0, 404);
    assert!(gateway.get(&format!("/api/v1/alerts/{id}/matter")).is_err());
    assert_eq!(gateway.get(&format!("/api/v1/alerts/{id}"))?["alert"]["group"], "resident", "the alert itself stays");
    drop(gateway);
    let data = site.data().display().to_string();
    ninewatch(&["audit", "--data-dir", &data, "verify"])?;
    let proved = ninewatch(&["--lang", "en", "retention", "--site", &site_file, "prove"])?;
    assert!(proved.contains("of 2 deletions nothing is in the data folder"), "{proved}");
    assert!(ninewatch(&["--lang", "en", "retention", "--site", &site_file, "list"])?.contains("photos     2h    0"));

    // The backup still has it; a gateway that is restored of it does not keep it.
    let restored = site.folder().join("restored");
    ninewatch(&["restore", &file, "--data-dir", &restored.display().to_string()])?;
    assert!(is_anywhere(&restored.join("people"), TEXT.as_bytes())?);
    let told = ninewatch(&["retention", "--site", &restored.join("site/site.toml").display().to_string(), "run"])?;
    assert!(told.contains("photos 1") && told.contains("matters 1"), "{told}");
    gone(&restored)
}
