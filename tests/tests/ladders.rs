//! Ladders, rosters, quiet hours and drills, with the real binary against services that judge as the real ones do.

use anyhow::Context;
use ninewatch_tests::device::{self, Device};
use ninewatch_tests::gateway::{Gateway, Site, ninewatch};
use ninewatch_tests::mosquitto::{self, Mosquitto};
use ninewatch_tests::services::{Played, Service, WEBHOOK_SECRET};
use ninewatch_tests::skipped_without;
use ninewatch_tests::upstream::Upstream;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PEOPLE: &str = r#"
[[person]]
id = "zhao"
name = "赵敏"
phone = "13800138000"
[[person]]
id = "zhang"
name = "张主任"
wecom = "ZhangWei"
"#;
/// On duty at every time.
const SHIFTS: &str = r#"
[[shift]]
title = "grid_member"
grids = ["g1"]
people = ["zhao"]
"#;

/// A group for each rung.
struct Town {
    site: Site,
    grid: Played,
    head: Played,
    buttons: Vec<(String, String)>,
    leak: (String, String),
}

impl Town {
    /// `homes` homes with an SOS button each and a shop with a leak sensor, `ladders.toml`, and `more` TOML of the site.
    fn new(homes: usize, ladders: &str, more: &str) -> anyhow::Result<Self> {
        let (grid, head) = (Played::start(Service::Wecom)?, Played::start(Service::Wecom)?);
        let channel = |name: &str| {
            format!(
                "[[notify]]\nname = \"{name}\"\nkind = \"wecom\"\nurl_file = \"{name}.url\"\nmention_all = false\n\
                 severities = [\"critical\", \"major\", \"minor\"]\n"
            )
        };
        let site = Site::new(&format!("{}{}{more}", channel("grid"), channel("head")))?;
        for (name, played) in [("grid", &grid), ("head", &head)] {
            std::fs::write(site.folder().join(format!("{name}.url")), played.url())?;
        }
        for home in 0..homes {
            site.add_place(&format!("home-{home}"), "home")?;
        }
        site.add_place("shop", "shop")?;
        let buttons: Vec<_> = (0..homes).map(|home| (format!("sos-{home}"), format!("home-{home}"))).collect();
        let buttons = site.add_devices("ninewatch-sos", &buttons)?;
        let leak = site.add_devices("ninewatch-water", &[("water-0".into(), "shop".into())])?.remove(0);
        std::fs::write(site.data().join("roster.toml"), format!("{PEOPLE}{SHIFTS}"))?;
        std::fs::write(site.data().join("ladders.toml"), ladders)?;
        Ok(Self { site, grid, head, buttons, leak })
    }
}

/// Grid member first, then the head of the street office.
fn ladder(after: &str) -> String {
    format!(
        "[[ladder]]\nname = \"养老\"\nscenes = [\"elder_care\"]\n\
         [[ladder.rung]]\ntitles = [\"grid_member\"]\nchannels = [\"grid\"]\n\
         [[ladder.rung]]\nafter = \"{after}\"\npeople = [\"zhang\"]\nchannels = [\"head\"]\n"
    )
}

async fn press(gateway: &Gateway, button: &(String, String)) -> anyhow::Result<String> {
    let mut device = Device::connect(&button.0, &button.1, gateway.sensor_port).await?;
    device.publish(device::sos(&button.0, device::now_s(), true)).await?;
    let place = button.0.replace("sos", "home");
    let raised = gateway.until_alert(|change| {
        change["kind"] == "raised" && change["alert"]["place"] == place.as_str() && change["alert"]["drill"].is_null()
    })?;
    Ok(raised["alert"]["id"].as_str().context("an id")?.to_owned())
}

async fn leaks(gateway: &Gateway, sensor: &(String, String)) -> anyhow::Result<String> {
    let mut device = Device::connect(&sensor.0, &sensor.1, gateway.sensor_port).await?;
    let (id, at) = (&sensor.0, device::now_s());
    device.publish(format!("[{{\"bn\":\"{id}/\",\"bt\":{at:.3},\"n\":\"leak\",\"vb\":true}}]")).await?;
    let raised = gateway.until_alert(|change| change["kind"] == "raised" && change["alert"]["place"] == "shop")?;
    assert_eq!(raised["alert"]["severity"], "minor");
    Ok(raised["alert"]["id"].as_str().context("an id")?.to_owned())
}

fn look(gateway: &Gateway, alert: &str) -> anyhow::Result<Value> {
    gateway.get(&format!("/api/v1/alerts/{alert}"))
}

fn act(gateway: &Gateway, alert: &str, verb: &str, body: &Value) -> anyhow::Result<Value> {
    gateway.post(&format!("/api/v1/alerts/{alert}/{verb}"), body)
}

/// Waits until what is told of an alert is as wanted.
async fn until_told(gateway: &Gateway, alert: &str, wanted: impl Fn(&[Value]) -> bool) -> anyhow::Result<Vec<Value>> {
    let begun = Instant::now();
    loop {
        let told = look(gateway, alert)?["notifications"].as_array().cloned().unwrap_or_default();
        if wanted(&told) {
            return Ok(told);
        }
        anyhow::ensure!(begun.elapsed() < Duration::from_secs(150), "told is only {told:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How many messages of a channel have told of an alert.
fn of_channel(told: &[Value], channel: &str) -> usize {
    told.iter().filter(|one| one["channel"] == channel && one["result"] != "waiting").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_accepts_so_the_next_rung_is_told_and_accepting_ends_it() -> anyhow::Result<()> {
    let town = Town::new(3, &ladder("3s"), "")?;
    let gateway = Gateway::start(&town.site)?;
    let alert = press(&gateway, &town.buttons[0]).await?;
    town.grid.until(|seen| seen.taken.len() == 1)?;
    assert_eq!(town.grid.look(|seen| seen.called[0].clone()), ["13800138000"], "who is on duty is called");
    let seen = look(&gateway, &alert)?;
    assert_eq!(seen["ladder"]["name"], "养老");
    assert_eq!(seen["ladder"]["rungs"][1]["people"], json!(["张主任"]));

    town.head.until(|seen| seen.taken.len() == 1)?;
    assert_eq!(town.head.look(|seen| seen.called[0].clone()), ["ZhangWei"]);
    assert!(town.head.look(|seen| seen.taken[0].contains("无人接警，已第 1 次升级")));
    let told = until_told(&gateway, &alert, |told| of_channel(told, "head") == 1).await?;
    let by = |channel: &str| told.iter().find(|one| one["channel"] == channel).cloned().unwrap_or_default();
    assert_eq!((&by("grid")["rungs"], &by("grid")["people"]), (&json!([0]), &json!(["赵敏"])));
    assert_eq!((&by("head")["rungs"], &by("head")["people"]), (&json!([1]), &json!(["张主任"])));
    assert_eq!(look(&gateway, &alert)?["alert"]["next_rung_at_ms"], Value::Null, "it is at the top");

    // The second one is accepted before its rung, and a third that comes later climbs: by then the second would have.
    let second = press(&gateway, &town.buttons[1]).await?;
    act(&gateway, &second, "accept", &json!({}))?;
    let accepted = look(&gateway, &second)?;
    assert_eq!(
        (&accepted["alert"]["next_rung_at_ms"], &accepted["ladder"]["rungs"][1]["at_ms"]),
        (&Value::Null, &Value::Null)
    );
    let third = press(&gateway, &town.buttons[2]).await?;
    until_told(&gateway, &third, |told| of_channel(told, "head") == 1).await?;
    let told = look(&gateway, &second)?["notifications"].as_array().cloned().unwrap_or_default();
    assert_eq!(of_channel(&told, "head"), 0, "{told:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_two_rungs_repeats_none_and_skips_none() -> anyhow::Result<()> {
    let more = "[[ladder.rung]]\nafter = \"6s\"\ntitles = [\"grid_member\"]\nchannels = [\"grid\"]\n";
    let town = Town::new(2, &format!("{}{more}", ladder("3s")), "")?;
    let mut gateway = Gateway::start(&town.site)?;
    let first = press(&gateway, &town.buttons[0]).await?;
    until_told(&gateway, &first, |told| of_channel(told, "head") == 1).await?;
    gateway.kill()?;
    let mut gateway = Gateway::start(&town.site)?;
    let told = until_told(&gateway, &first, |told| of_channel(told, "grid") == 2).await?;
    assert_eq!((told.len(), &told[2]["rungs"]), (3, &json!([2])), "{told:?}");

    // Of another one all rungs come while nobody is at work.
    let second = press(&gateway, &town.buttons[1]).await?;
    until_told(&gateway, &second, |told| of_channel(told, "grid") == 1).await?;
    gateway.kill()?;
    let gateway = Gateway::start(&town.site)?;
    let told =
        until_told(&gateway, &second, |told| of_channel(told, "grid") == 2 && of_channel(told, "head") == 1).await?;
    assert_eq!(told.len(), 3, "{told:?}");
    let life = look(&gateway, &second)?["life"].as_array().cloned().unwrap_or_default();
    assert_eq!(life.iter().filter(|step| step["kind"] == "escalated").count(), 2);
    for (played, count) in [(&town.grid, 4), (&town.head, 2)] {
        assert_eq!(played.look(|seen| seen.taken.len()), count);
    }
    let data = town.site.data().display().to_string();
    ninewatch(&["replay", &data, "--verify"])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_critical_alert_passes_quiet_hours_and_a_minor_one_waits_for_their_end() -> anyhow::Result<()> {
    let minute = (device::now_s() / 60.0).floor() as i64;
    // They began an hour ago and end with the next minute that leaves time for the alerts to come in.
    let left_s = 60.0 - device::now_s() % 60.0;
    let ends = minute + if left_s > 20.0 { 1 } else { 2 };
    // Local time is UTC+08:00.
    let time = |minute: i64| {
        let local = (minute + 480).rem_euclid(1440);
        format!("{:02}:{:02}", local / 60, local % 60)
    };
    let quiet =
        format!("[[quiet]]\nhours = \"{}-{}\"\nseverities = [\"minor\", \"notice\"]\n", time(minute - 60), time(ends));
    let town = Town::new(1, &quiet, "")?;
    let mut gateway = Gateway::start(&town.site)?;
    let minor = leaks(&gateway, &town.leak).await?;
    let drill = json!({"place": "home-0", "severity": "minor", "scene": "security"});
    let drill = gateway.post("/api/v1/drills", &drill)?["alert"]["id"].as_str().context("an id")?.to_owned();
    let critical = press(&gateway, &town.buttons[0]).await?;
    until_told(&gateway, &critical, |told| of_channel(told, "head") == 1).await?;
    // It is an alert like any other, on the board; only telling waits, also over a kill.
    let waits = |told: &[Value]| told.len() == 2 && told.iter().all(|one| one["quiet"] == true);
    until_told(&gateway, &minor, waits).await?;
    gateway.kill()?;
    let gateway = Gateway::start(&town.site)?;
    assert!(town.head.look(|seen| seen.taken.iter().all(|text| text.starts_with("【紧急】"))));
    let told = until_told(&gateway, &minor, |told| of_channel(told, "head") == 1).await?;
    assert_eq!(told.iter().find(|one| one["channel"] == "head").map(|one| &one["result"]), Some(&json!("digest")));
    assert!((device::now_s() / 60.0) as i64 >= ends, "it was told before the quiet ended");
    until_told(&gateway, &drill, |told| of_channel(told, "head") == 1).await?;
    let last = town.head.look(|seen| seen.taken.last().cloned()).unwrap_or_default();
    assert!(last.starts_with("免打扰时段内有 2 条预警（一般 2）") && last.contains("【演练·一般】"), "{last}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_goes_through_the_whole_chain_marked_and_joins_nothing_real() -> anyhow::Result<()> {
    if skipped_without("mosquitto", mosquitto::find().is_some()) {
        return Ok(());
    }
    let broker = Mosquitto::start()?;
    let city = Upstream::start(broker.port, "test").await?;
    let hook = Played::start(Service::Webhook)?;
    let more = format!(
        "[[notify]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"{}\"\nsecret_file = \"sign\"\n\
         [[notify]]\nname = \"hall\"\nkind = \"mqtt_siren\"\nurl = \"mqtt://127.0.0.1:{}\"\ntopic = \"siren\"\n\
         [[upstream]]\nname = \"city\"\nurl = \"mqtt://127.0.0.1:{}\"\n",
        hook.url(),
        broker.port,
        broker.port
    );
    let town = Town::new(1, &ladder("3s"), &more)?;
    std::fs::write(town.site.folder().join("sign"), WEBHOOK_SECRET)?;
    let mut gateway = Gateway::start(&town.site)?;
    let begin = |place: &str| {
        gateway.post("/api/v1/drills", &json!({"place": place, "scene": "elder_care", "note": "季度演练"}))
    };
    assert!(begin("nowhere").is_err());
    let of_itself = json!({"place": "home-0", "scene": "operations"});
    assert!(gateway.post("/api/v1/drills", &of_itself).is_err(), "the gateway has no drill");
    let begun = begin("home-0")?["alert"].clone();
    let drill = begun["id"].as_str().context("an id")?.to_owned();
    assert!(begin("home-0").is_err(), "one at a time");
    assert_eq!((&begun["drill"], &begun["title"]["zh"]), (&json!(true), &json!("养老照护演练")));
    // It is rung out as a real one is, and climbs.
    until_told(&gateway, &drill, |told| of_channel(told, "head") == 1 && of_channel(told, "hook") >= 1).await?;
    assert!(town.grid.look(|seen| seen.taken[0].starts_with("【演练·紧急】home-0：养老照护演练（")));
    assert!(hook.look(|seen| seen.taken[0].contains("\"drill\":true")));
    city.until(Duration::from_secs(60), |seen| !seen.events.is_empty()).await?;
    assert_eq!(city.look(|seen| seen.events[0].2["data"]["alert"]["drill"].clone()), json!(true));

    // Somebody really presses the button: an alert of its own, told at once, with the siren.
    let real = press(&gateway, &town.buttons[0]).await?;
    assert_ne!(real, drill);
    until_told(&gateway, &real, |told| of_channel(told, "grid") == 1 && of_channel(told, "hall") == 1).await?;
    assert!(town.grid.look(|seen| seen.taken.iter().any(|text| text.starts_with("【紧急】home-0："))));
    let told = look(&gateway, &drill)?["notifications"].as_array().cloned().unwrap_or_default();
    assert_eq!(of_channel(&told, "hall"), 0, "nobody asked for the siren: {told:?}");
    for (verb, body) in [
        ("accept", json!({})),
        ("dispatch", json!({"to": "网格员"})),
        ("handle", json!({})),
        ("close", json!({"verdict": "test"})),
    ] {
        act(&gateway, &drill, verb, &body)?;
    }
    assert_eq!(look(&gateway, &real)?["alert"]["status"], "raised");

    // The report has its times, and counts it nowhere else.
    let now_ms = (device::now_s() * 1000.0) as i64;
    let report = gateway.get(&format!("/api/v1/report?from_ms={}&to_ms={}", now_ms - 3_600_000, now_ms + 3_600_000))?;
    let of = &report["drills"][0];
    assert_eq!((&of["alert"], &of["by"]), (&json!(drill), &json!(gateway.account.0)));
    assert!(["told_ms", "accepted_ms", "closed_ms"].iter().all(|time| of[*time].is_i64()) && of["rungs"] == 1, "{of}");
    assert_eq!(report["severities"]["critical"]["raised"], 1);
    assert_eq!(report["verdicts"], json!({}));

    // It is an input like any other: deciding again gives the same.
    let data = town.site.data().display().to_string();
    gateway.kill()?;
    let replayed = ninewatch(&["replay", &data, "--verify"])?;
    assert_eq!(replayed.lines().filter(|line| line.contains("\"drill\":true")).count(), 6, "{replayed}");
    let gateway = Gateway::start(&town.site)?;
    assert_eq!(look(&gateway, &drill)?["alert"]["drill"], true);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_roster_is_changed_at_the_desk_and_a_hole_in_it_is_told_to_all() -> anyhow::Result<()> {
    let town = Town::new(1, &ladder("5m"), "")?;
    let gateway = Gateway::start(&town.site)?;
    let roster = gateway.get("/api/v1/roster")?;
    assert_eq!(roster["watches"][0]["slots"][0]["people"], json!(["zhao"]));
    let on = json!([{"title": "grid_member", "grid": "g1", "people": ["zhao"], "until_ms": null}]);
    assert_eq!(roster["on_duty"], on);
    let change = |version: &Value, shifts: Value| {
        let body = json!({"version": version, "people": roster["people"], "shifts": shifts, "swaps": []});
        gateway.put("/api/v1/roster", &body)
    };
    assert!(change(&roster["version"], json!([{"title": "guard", "people": ["nobody"]}])).is_err());
    let changed = change(&roster["version"], json!([]))?;
    assert!(change(&roster["version"], json!([])).is_err(), "somebody else was faster");
    assert_eq!(changed["shifts"], json!([]));
    assert!(std::fs::read_to_string(town.site.data().join("roster.toml"))?.contains("赵敏"));

    // At once: nobody is on duty, so the message goes to the group and says so.
    press(&gateway, &town.buttons[0]).await?;
    town.grid.until(|seen| seen.taken.len() == 1)?;
    let (text, called) = town.grid.look(|seen| (seen.taken[0].clone(), seen.called[0].clone()));
    assert!(text.contains("此刻无人值班：网格员。") && called.is_empty(), "{text}");

    // And the other way: the file is followed.
    std::fs::write(town.site.data().join("roster.toml"), format!("{PEOPLE}{SHIFTS}"))?;
    let begun = Instant::now();
    while gateway.get("/api/v1/roster")?["shifts"] == json!([]) {
        anyhow::ensure!(begun.elapsed() < Duration::from_secs(60), "the file is not followed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[test]
fn check_names_holes_unknown_people_and_what_would_keep_a_critical_alert_quiet() -> anyhow::Result<()> {
    let town = Town::new(1, "[[quiet]]\nhours = \"22:00-07:00\"\nseverities = [\"critical\"]\n", "")?;
    let check = |lang: &str| {
        let file = town.site.file().display().to_string();
        ninewatch(&["--lang", lang, "check", "--site", &file]).unwrap_or_else(|error| error.to_string())
    };
    let said = check("en");
    assert!(said.contains("ladders.toml:2") && said.contains("nothing keeps a critical alert quiet"), "{said}");
    std::fs::write(
        town.site.data().join("ladders.toml"),
        ladder("5m").replace("\"zhang\"", "\"li\"").replace("[\"head\"]", "[\"heads\"]"),
    )?;
    let said = check("en");
    for part in ["the person `li`, whom nobody knows", "the channel `heads`, which there is not"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    std::fs::write(town.site.data().join("ladders.toml"), ladder("5m"))?;
    let night = "[[shift]]\ntitle = \"duty_officer\"\nhours = \"06:00-02:00\"\npeople = [\"zhao\"]\n";
    std::fs::write(town.site.data().join("roster.toml"), format!("{PEOPLE}{SHIFTS}{night}"))?;
    let said = check("zh");
    assert!(said.contains("值班员：星期三 02:00–06:00 无人值班"), "{said}");
    std::fs::write(town.site.data().join("roster.toml"), format!("{PEOPLE}{}", SHIFTS.replace("zhao", "wang")))?;
    let said = check("en");
    assert!(said.contains("roster.toml:") && said.contains("there is no person `wang`"), "{said}");
    Ok(())
}
