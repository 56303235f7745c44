//! Staff act at the console and upstream, cut off from each other and through kills: one life, on both sides the same.

use anyhow::Context;
use ninewatch_tests::device::{self, Device};
use ninewatch_tests::gateway::{Gateway, Site};
use ninewatch_tests::mosquitto::Mosquitto;
use ninewatch_tests::upstream::Upstream;
use ninewatch_tests::{mosquitto, skipped_without};
use serde_json::{Value, json};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// A gateway whose button was pressed, and the city that has heard of it.
struct Town {
    broker: Mosquitto,
    city: Upstream,
    site: Site,
    gateway: Gateway,
    alert: String,
    raised_at_ms: i64,
}

impl Town {
    async fn new() -> anyhow::Result<Self> {
        let broker = Mosquitto::start()?;
        let city = Upstream::start(broker.port, "test").await?;
        let site = Site::new(&format!("[[upstream]]\nname = \"city\"\nurl = \"mqtt://127.0.0.1:{}\"\n", broker.port))?;
        site.add_place("home", "home")?;
        let sos = site.add_devices("ninewatch-sos", &[("sos-1".into(), "home".into())])?;
        let gateway = Gateway::start(&site)?;
        let mut button = Device::connect(&sos[0].0, &sos[0].1, gateway.sensor_port).await?;
        button.publish(device::sos("sos-1", device::now_s(), true)).await?;
        city.until(LIMIT, |seen| seen.taken.len() == 1).await?;
        let raised = city.look(|seen| seen.events[0].2["data"]["alert"].clone());
        let alert = raised["id"].as_str().context("an id")?.to_owned();
        let raised_at_ms = raised["raised_at_ms"].as_i64().context("a time")?;
        Ok(Self { broker, city, site, gateway, alert, raised_at_ms })
    }

    /// Somebody in the city acts, upon the alert as it was raised.
    async fn city_acts(&self, id: &str, made_after_ms: i64, what: Value) -> anyhow::Result<()> {
        let made_at_ms = self.raised_at_ms + made_after_ms;
        let mut data =
            json!({"id": id, "alert": self.alert, "by": "officer-7", "note": id, "made_at_ms": made_at_ms, "upon": 1});
        data.as_object_mut().context("a table")?.extend(what.as_object().context("a table")?.clone());
        self.city.act(data).await
    }

    fn console_acts(&self, verb: &str, body: &Value) -> anyhow::Result<Value> {
        self.gateway.post(&format!("/api/v1/alerts/{}/{verb}", self.alert), body)
    }

    fn kill_and_restart(&mut self) -> anyhow::Result<()> {
        self.gateway.kill()?;
        self.gateway = Gateway::start(&self.site)?;
        Ok(())
    }

    fn record(&self) -> anyhow::Result<Value> {
        self.gateway.get(&format!("/api/v1/alerts/{}", self.alert))
    }

    /// The steps of staff in the alert's life, by the ids of their actions.
    fn steps(&self) -> anyhow::Result<Vec<(String, String)>> {
        let record = self.record()?;
        let steps = record["life"].as_array().context("a life")?.iter();
        let steps = steps.filter_map(|step| Some((step["action"]["id"].as_str()?, step["kind"].as_str()?)));
        Ok(steps.map(|(id, kind)| (id.to_owned(), kind.to_owned())).collect())
    }

    /// Waits until the city has all that the gateway has, and holds the two against each other.
    async fn are_one(&self) -> anyhow::Result<()> {
        let last = self.gateway.get("/api/v1/alerts")?["last_seq"].as_u64().context("a number")?;
        self.city.until(LIMIT, |seen| seen.taken.range(..=last).count() as u64 == last).await?;
        let there = self.city.look(|seen| {
            assert_eq!(seen.doubled(), Vec::<&str>::new());
            let newest = seen.events.iter().max_by_key(|(_, sequence, _)| *sequence);
            newest.map(|(.., event)| event["data"]["alert"].clone())
        });
        assert_eq!(there, Some(self.record()?["alert"].clone()), "the alert is the same on both sides");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_act_while_cut_off_and_it_is_one_life() -> anyhow::Result<()> {
    if skipped_without("mosquitto", mosquitto::find().is_some()) {
        return Ok(());
    }
    let mut town = Town::new().await?;
    town.broker.kill()?;
    town.city_acts("u-1", 1, json!({"verb": "accept"})).await?;
    town.city_acts("u-2", 2, json!({"verb": "dispatch", "to": "grid-3"})).await?;
    assert_eq!(town.console_acts("accept", &json!({"id": "c-1"}))?["outcome"], "applied");
    town.kill_and_restart()?;
    assert_eq!(town.console_acts("accept", &json!({"id": "c-1"}))?["again"], true, "what was acknowledged is known");
    assert_eq!(town.console_acts("close", &json!({"id": "c-2", "verdict": "false_alarm"}))?["outcome"], "applied");
    town.city_acts("u-3", 3, json!({"verb": "handle"})).await?;
    town.city_acts("u-4", 4, json!({"verb": "close", "verdict": "true_alarm"})).await?;
    town.kill_and_restart()?;
    town.broker.restart()?;

    for id in ["u-1", "u-2", "u-3", "u-4"] {
        town.city.until(LIMIT, |seen| seen.answers_to(id).contains(&"already")).await?;
    }
    town.are_one().await?;
    let alert = town.record()?["alert"].clone();
    let said = ["status", "accepted_by", "dispatched_to", "verdict"].map(|key| alert[key].clone());
    assert_eq!(said, ["closed", "officer-7", "grid-3", "true_alarm"].map(Value::from));
    let mut steps = town.steps()?;
    steps.sort();
    let wanted = [
        ("c-1", "accepted"),
        ("c-2", "closed"),
        ("u-1", "noted"),
        ("u-2", "noted"),
        ("u-3", "noted"),
        ("u-4", "noted"),
    ];
    assert_eq!(steps, wanted.map(|(id, kind)| (id.to_owned(), kind.to_owned())));

    // Once more, after all that: it does nothing, and is answered.
    let before = town.city.look(|seen| seen.answers_to("u-1").len());
    town.city_acts("u-1", 1, json!({"verb": "accept"})).await?;
    town.city.until(LIMIT, |seen| seen.answers_to("u-1").len() > before).await?;
    assert_eq!(town.steps()?.len(), wanted.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_under_way_in_a_kill_acts_once_and_is_answered() -> anyhow::Result<()> {
    if skipped_without("mosquitto", mosquitto::find().is_some()) {
        return Ok(());
    }
    let mut town = Town::new().await?;
    town.city_acts("u-0", 0, json!({"verb": "accept"})).await?;
    let rounds = 1..=8_u32;
    for round in rounds.clone() {
        let id = format!("u-{round}");
        let to = format!("grid-{round}");
        town.city_acts(&id, i64::from(round), json!({"verb": "dispatch", "to": to})).await?;
        // The kill comes before it, within it, or behind it: chance has it, but for every third.
        if round % 3 == 0 {
            town.city.until(LIMIT, |seen| !seen.answers_to(&id).is_empty()).await?;
        }
        town.kill_and_restart()?;
        town.city.until(LIMIT, |seen| seen.answers_to(&id).contains(&"applied")).await?;
    }
    town.are_one().await?;
    let ids: Vec<String> = town.steps()?.into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, (0..=8).map(|number| format!("u-{number}")).collect::<Vec<_>>(), "each once, in order");
    assert_eq!(town.record()?["alert"]["dispatched_to"], "grid-8");
    town.city.look(|seen| {
        for round in rounds {
            assert!(seen.answers_to(&format!("u-{round}")).iter().all(|outcome| *outcome == "applied"));
        }
    });
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_undone_here_is_undone_upstream_also_through_a_kill() -> anyhow::Result<()> {
    if skipped_without("mosquitto", mosquitto::find().is_some()) {
        return Ok(());
    }
    let mut town = Town::new().await?;
    town.console_acts("accept", &json!({"id": "c-1"}))?;
    town.kill_and_restart()?;
    let undo = json!({"id": "c-2", "action": "c-1"});
    assert_eq!(town.console_acts("undo", &undo)?["alert"]["status"], "raised");
    town.kill_and_restart()?;
    let again = town.console_acts("undo", &undo)?;
    assert_eq!(
        (&again["again"], &again["outcome"]),
        (&json!(true), &json!("applied")),
        "it was durable when it was answered"
    );
    let accepted_by = &again["alert"]["accepted_by"];
    assert_eq!(accepted_by, &Value::Null);
    town.are_one().await?;
    town.city.look(|seen| {
        let kinds: Vec<_> = seen.events.iter().map(|(.., event)| event["type"].as_str().unwrap_or_default()).collect();
        assert!(kinds.contains(&"cn.ninewatch.alert.undone"), "{kinds:?}");
    });
    // The city closes by mistake, and takes that back: the alert is open again on both sides.
    for (id, after, what) in [
        ("u-1", 3, json!({"verb": "accept"})),
        ("u-2", 4, json!({"verb": "close", "verdict": "nuisance"})),
        ("u-3", 5, json!({"verb": "undo", "action": "u-2"})),
        ("u-4", 6, json!({"verb": "note", "note": "wrong button"})),
    ] {
        town.city_acts(id, after, what).await?;
        town.city.until(LIMIT, |seen| seen.answers_to(id).contains(&"applied")).await?;
    }
    town.are_one().await?;
    let alert = town.record()?["alert"].clone();
    assert_eq!((&alert["status"], &alert["verdict"]), (&json!("accepted"), &Value::Null));
    let open = town.gateway.get("/api/v1/alerts?open=true")?;
    assert_eq!(open["alerts"].as_array().map(Vec::len), Some(1));
    town.city_acts("u-5", 7, json!({"verb": "undo", "action": "c-1"})).await?;
    town.city.until(LIMIT, |seen| seen.answers_to("u-5").contains(&"refused")).await?;
    Ok(())
}
