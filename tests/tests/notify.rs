//! Notification channels, with the real binary against services that judge as the real ones do.

use ninewatch_tests::device::{self, Device};
use ninewatch_tests::gateway::{Gateway, Site, ninewatch};
use ninewatch_tests::mosquitto::{self, Mosquitto};
use ninewatch_tests::services::{MAIL, Played, SECRET, Service, WEBHOOK_SECRET};
use ninewatch_tests::skipped_without;
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use serde_json::{Value, json};
use std::time::Duration;

/// A site with `count` homes that have an SOS button and `more` TOML; gives each button's id and secret.
fn site(count: usize, more: &str) -> anyhow::Result<(Site, Vec<(String, String)>)> {
    // Nothing climbs while a slow machine is at it.
    let site = Site::new(&format!("{more}\n[alerts]\nescalate_critical = [\"1h\"]\n"))?;
    std::fs::write(site.folder().join("sign"), SECRET)?;
    std::fs::write(site.folder().join("hook-sign"), WEBHOOK_SECRET)?;
    let data = site.data().display().to_string();
    let places = site.folder().join("places.csv");
    let rows: String = (0..count).map(|n| format!("home-{n},住户{n},home,g{},\n", n % 2)).collect();
    std::fs::write(&places, format!("id,name,kind,grid,address\n{rows}"))?;
    ninewatch(&["place", "--data-dir", &data, "import", &places.display().to_string()])?;
    let buttons: Vec<_> = (0..count).map(|n| (format!("sos-{n}"), format!("home-{n}"))).collect();
    let secrets = site.add_devices("ninewatch-sos", &buttons)?;
    Ok((site, secrets))
}

fn channel(name: &str, kind: &str, url_file: &str, more: &str) -> String {
    format!("[[notify]]\nname = \"{name}\"\nkind = \"{kind}\"\nurl_file = \"{url_file}\"\n{more}\n")
}

async fn press(gateway: &Gateway, button: &(String, String)) -> anyhow::Result<Value> {
    let mut device = Device::connect(&button.0, &button.1, gateway.sensor_port).await?;
    device.publish(device::sos(&button.0, device::now_s(), true)).await?;
    let place = button.0.replace("sos", "home");
    gateway.until_alert(|change| change["kind"] == "raised" && change["alert"]["place"] == place.as_str())
}

/// Whether it says that the alert's beginning was told.
fn was_told(notification: &Value) -> bool {
    notification["result"] == "sent" && notification["told"] == json!(["raised"])
}

/// Waits until an alert's notifications are as wanted.
async fn until_told(gateway: &Gateway, alert: &Value, wanted: impl Fn(&[Value]) -> bool) -> anyhow::Result<Vec<Value>> {
    let path = format!("/api/v1/alerts/{}", alert["alert"]["id"].as_str().unwrap_or_default());
    let begun = std::time::Instant::now();
    loop {
        let told = gateway.get(&path)?["notifications"].as_array().cloned().unwrap_or_default();
        if wanted(&told) {
            return Ok(told);
        }
        anyhow::ensure!(begun.elapsed() < Duration::from_secs(60), "told is only {told:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_service_is_told_as_it_wants_and_the_timeline_shows_it() -> anyhow::Result<()> {
    let robots = [
        (Played::start(Service::Wecom)?, "wecom", ""),
        (Played::start(Service::Dingtalk)?, "dingtalk", "secret_file = \"sign\"\nlanguage = \"en\""),
        (Played::start(Service::Feishu)?, "feishu", "secret_file = \"sign\""),
        (Played::start(Service::Webhook)?, "webhook", "secret_file = \"hook-sign\""),
    ];
    let mail = Played::start(Service::Mail)?;
    let mut more = String::new();
    for (_, kind, keys) in &robots {
        more.push_str(&channel(kind, kind, &format!("{kind}.url"), keys));
    }
    more.push_str(&channel("other-grid", "wecom", "wecom.url", "grids = [\"g7\"]"));
    more.push_str(&format!(
        "[[notify]]\nname = \"mail\"\nkind = \"email\"\nurl = \"{}\"\nusername = \"{}\"\npassword_file = \"mail.password\"\n\
         from = \"九哨 <ninewatch@example.cn>\"\nto = [\"duty@example.cn\", \"站长 <head@example.cn>\"]\n",
        mail.url(),
        MAIL.0
    ));
    let (site, buttons) = site(1, &more)?;
    for (robot, kind, _) in &robots {
        std::fs::write(site.folder().join(format!("{kind}.url")), robot.url() + "\n")?;
    }
    std::fs::write(site.folder().join("mail.password"), MAIL.1)?;
    let gateway = Gateway::start(&site)?;
    let alert = press(&gateway, &buttons[0]).await?;
    let told =
        until_told(&gateway, &alert, |told| told.len() == 5 && told.iter().all(|one| one["result"] == "sent")).await?;
    let mut names: Vec<&str> = told.iter().filter_map(|one| one["channel"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["dingtalk", "feishu", "mail", "webhook", "wecom"]);
    assert!(told.iter().all(|one| one["told"] == json!(["raised"]) && one["attempts"] == 1 && one["error"].is_null()));

    let first = |played: &Played| played.look(|seen| seen.taken[0].lines().next().unwrap_or_default().to_owned());
    let [(wecom, ..), (dingtalk, ..), (feishu, ..), (webhook, ..)] = &robots;
    assert!(first(wecom).starts_with("【紧急】住户0：紧急求助（"), "{}", first(wecom));
    assert!(first(wecom).ends_with("）。请立即接警并派人到场！"), "{}", first(wecom));
    assert!(first(dingtalk).starts_with("[CRITICAL] 住户0: SOS"), "{}", first(dingtalk));
    for (played, ..) in &robots[..3] {
        assert!(played.look(|seen| seen.urgent[0] && seen.refused.is_empty() && seen.taken.len() == 1));
    }
    assert_eq!(first(feishu).lines().count(), 1);
    // What a program gets holds no more of persons than what people get.
    let event: Value = serde_json::from_str(&webhook.look(|seen| seen.taken[0].clone()))?;
    assert_eq!(event["type"], "cn.ninewatch.alert.raised");
    assert_eq!(event["data"]["alert"]["reason"], event["data"]["alert"]["title"]);
    assert_eq!(event["data"]["evidence"], Value::Null);
    let mail_text = mail.look(|seen| seen.taken[0].clone());
    assert!(mail_text.starts_with("<duty@example.cn> <head@example.cn>\n"), "{mail_text}");

    // Somebody accepts and closes it: those who were told that it began are told that it is over.
    let path = format!("/api/v1/alerts/{}", alert["alert"]["id"].as_str().unwrap_or_default());
    gateway.post(&format!("{path}/accept"), &json!({}))?;
    gateway.post(&format!("{path}/close"), &json!({"verdict": "false_alarm", "note": "张奶奶按错了"}))?;
    wecom.until(|seen| seen.taken.len() == 2)?;
    webhook.until(|seen| seen.taken.len() == 2)?;
    let over = wecom.look(|seen| (seen.taken[1].clone(), seen.urgent[1]));
    assert!(over.0.contains("已办结：误报。无须再处理。") && !over.1, "{}", over.0);
    for played in [wecom, webhook] {
        assert!(
            played.look(|seen| seen
                .taken
                .iter()
                .all(|text| !text.contains("张奶奶") && !text.contains(&gateway.account.0)))
        );
    }
    until_told(&gateway, &alert, |told| told.len() == 10).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_alerts_in_a_minute_are_twenty_messages_at_most_and_none_is_missing() -> anyhow::Result<()> {
    let mut robot = Played::start(Service::Wecom)?;
    let (site, buttons) =
        site(40, &channel("duty", "wecom", "duty.url", "severities = [\"critical\", \"major\", \"minor\"]"))?;
    std::fs::write(site.folder().join("duty.url"), robot.url())?;
    // Thirty leaks, which are minor; ten calls for help.
    let places: Vec<_> = (10..40).map(|n| (format!("water-{n}"), format!("home-{n}"))).collect();
    let sensors = site.add_devices("ninewatch-water", &places)?;
    let gateway = Gateway::start(&site)?;
    // However long it takes to raise them here, the service sees them all at once.
    robot.go_down();
    let at = device::now_s();
    for (id, secret) in &sensors {
        let mut sensor = Device::connect(id, secret, gateway.sensor_port).await?;
        sensor.publish(format!("[{{\"bn\":\"{id}/\",\"bt\":{at:.3},\"n\":\"leak\",\"vb\":true}}]")).await?;
    }
    for (id, secret) in &buttons[..10] {
        let mut button = Device::connect(id, secret, gateway.sensor_port).await?;
        button.publish(device::sos(id, device::now_s(), true)).await?;
    }
    gateway.until_metric("ninewatch_notify_waiting", |waiting| waiting == 40.0).await?;
    robot.come_up()?;
    gateway.post("/api/v1/notify/duty/test", &json!({}))?;
    let told = |seen: &ninewatch_tests::services::Seen, n: usize| {
        seen.taken.iter().any(|text| text.contains(&format!("】住户{n}：")))
    };
    robot.until(|seen| (0..40).all(|n| told(seen, n)))?;
    let (taken, refused) = robot.look(|seen| (seen.taken.clone(), seen.refused.clone()));
    assert!(taken.len() <= 20, "{} messages", taken.len());
    assert_eq!(refused, Vec::<String>::new(), "the service had to say no");
    let digests: Vec<&String> = taken.iter().filter(|text| text.starts_with("另有 ")).collect();
    assert!(!digests.is_empty() && digests.iter().any(|text| text.contains("一般 ")), "{taken:#?}");
    // Each call for help has a message of its own, before all others; the test came first.
    for n in 0..10 {
        let own = format!("【紧急】住户{n}：");
        assert!(taken[1..11].iter().any(|text| text.starts_with(&own)), "{own} is not in {taken:#?}");
    }
    assert_eq!(gateway.metric("ninewatch_notify_throttled_total{channel=\"duty\"}")?, 0.0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_down_is_told_later_and_once_also_over_kills() -> anyhow::Result<()> {
    let mut robot = Played::start(Service::Dingtalk)?;
    let (site, buttons) = site(3, &channel("duty", "dingtalk", "duty.url", "secret_file = \"sign\""))?;
    std::fs::write(site.folder().join("duty.url"), robot.url())?;
    let mut gateway = Gateway::start(&site)?;
    robot.go_down();
    let first = press(&gateway, &buttons[0]).await?;
    let waits = until_told(&gateway, &first, |told| told.iter().any(|one| !one["error"].is_null())).await?;
    assert_eq!((waits.len(), &waits[0]["result"]), (1, &json!("waiting")));
    let health = gateway.get("/api/v1/health")?;
    let part = health["parts"].as_array().and_then(|parts| parts.iter().find(|part| part["name"] == "notify:duty"));
    assert_eq!(part.map(|part| &part["status"]), Some(&json!("degraded")), "{health}");
    gateway.kill()?;

    let mut gateway = Gateway::start(&site)?;
    press(&gateway, &buttons[1]).await?;
    robot.come_up()?;
    robot.until(|seen| seen.taken.len() == 2)?;
    until_told(&gateway, &first, |told| told.iter().any(was_told)).await?;
    let second = gateway.until_alert(|change| change["alert"]["place"] == "home-1")?;
    until_told(&gateway, &second, |told| told.iter().any(was_told)).await?;
    gateway.kill()?;

    let gateway = Gateway::start(&site)?;
    press(&gateway, &buttons[2]).await?;
    robot.until(|seen| seen.taken.len() == 3)?;
    let texts = robot.look(|seen| seen.taken.clone());
    for n in 0..3 {
        assert_eq!(texts.iter().filter(|text| text.contains(&format!("住户{n}："))).count(), 1, "{texts:#?}");
    }
    // What was told before the kills is known.
    until_told(&gateway, &first, |told| told.len() == 1 && was_told(&told[0])).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_answer_was_lost_comes_again_under_the_same_id() -> anyhow::Result<()> {
    let hook = Played::start(Service::Webhook)?;
    let more = format!(
        "[[notify]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"{}\"\nsecret_file = \"hook-sign\"\n",
        hook.url()
    );
    let (site, buttons) = site(1, &more)?;
    let gateway = Gateway::start(&site)?;
    hook.answer_once(503, &[("Retry-After", "1")], "");
    hook.hang_up_once();
    let alert = press(&gateway, &buttons[0]).await?;
    hook.until(|seen| seen.taken.len() == 2)?;
    let ids = hook.look(|seen| seen.ids.clone());
    assert_eq!(ids[0], ids[1]);
    let told = until_told(&gateway, &alert, |told| told.iter().any(was_told)).await?;
    assert_eq!((told.len(), &told[0]["attempts"]), (1, &json!(3)));
    assert_eq!(gateway.metric("ninewatch_notify_throttled_total{channel=\"hook\"}")?, 1.0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_said_and_goes_well_once_it_is_mended() -> anyhow::Result<()> {
    let robot = Played::start(Service::Feishu)?;
    let (site, buttons) = site(1, &channel("duty", "feishu", "duty.url", "secret_file = \"sign\""))?;
    std::fs::write(site.folder().join("duty.url"), robot.url())?;
    std::fs::write(site.folder().join("sign"), "another")?;
    let file = site.file().display().to_string();
    let refusal = ninewatch(&["--lang", "en", "notify", "test", "duty", "--site", &file]);
    assert!(refusal.is_err_and(|error| error.to_string().contains("19021: sign match fail")));
    let gateway = Gateway::start(&site)?;
    let alert = press(&gateway, &buttons[0]).await?;
    robot.until(|seen| seen.refused.len() > 1)?;
    until_told(&gateway, &alert, |told| told.iter().any(|one| !one["error"].is_null())).await?;
    let health = gateway.get("/api/v1/health")?;
    let part = health["parts"].as_array().and_then(|parts| parts.iter().find(|part| part["name"] == "notify:duty"));
    assert_eq!(part.map(|part| &part["text"]["en"]), Some(&json!("what it tells is refused")), "{health}");
    assert_eq!(gateway.get("/api/v1/notify")?["channels"][0]["status"], "refused");
    assert!(gateway.metric("ninewatch_notify_refused_total{channel=\"duty\"}")? >= 1.0);
    assert!(gateway.post("/api/v1/notify/duty/test", &json!({})).is_err());
    assert!(gateway.post("/api/v1/notify/nobody/test", &json!({})).is_err());

    // The test says that it is mended, and what waits goes out at once rather than in five minutes.
    std::fs::write(site.folder().join("sign"), SECRET)?;
    assert_eq!(gateway.post("/api/v1/notify/duty/test", &json!({}))?, json!({"sent": true}));
    robot.until(|seen| seen.taken.len() == 2)?;
    assert!(robot.look(|seen| seen.taken[0].starts_with("【测试】九哨 test")));
    until_told(&gateway, &alert, |told| told.iter().any(was_told)).await?;
    let channels = gateway.get("/api/v1/notify")?;
    assert_eq!((&channels["channels"][0]["status"], &channels["channels"][0]["waiting"]), (&json!("ok"), &json!(0)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_siren_sounds_until_somebody_accepts() -> anyhow::Result<()> {
    if skipped_without("mosquitto", mosquitto::find().is_some()) {
        return Ok(());
    }
    let broker = Mosquitto::start_in_memory()?;
    let more = format!(
        "[[notify]]\nname = \"hall\"\nkind = \"mqtt_siren\"\nurl = \"mqtt://127.0.0.1:{}\"\ntopic = \"cmnd/siren/POWER\"\n",
        broker.port
    );
    let (site, buttons) = site(2, &more)?;
    let (client, mut events) = AsyncClient::new(MqttOptions::new("siren", "127.0.0.1", broker.port), 10);
    client.subscribe("cmnd/siren/POWER", QoS::AtLeastOnce).await?;
    while !matches!(events.poll().await?, Event::Incoming(Packet::SubAck(_))) {}
    // What the siren is told, up to a word.
    let mut until = async |word: &str| -> anyhow::Result<Vec<String>> {
        let mut heard = Vec::new();
        while heard.last().map(String::as_str) != Some(word) {
            if let Event::Incoming(Packet::Publish(publish)) =
                tokio::time::timeout(Duration::from_secs(60), events.poll()).await??
            {
                anyhow::ensure!(!publish.retain, "a siren must not be told of old alerts");
                heard.push(String::from_utf8(publish.payload.to_vec())?);
            }
        }
        Ok(heard)
    };
    let mut gateway = Gateway::start(&site)?;
    assert_eq!(until("OFF").await?, ["OFF"]);
    let first = press(&gateway, &buttons[0]).await?;
    assert_eq!(until("ON").await?, ["ON"]);
    let accept = |gateway: &Gateway, alert: &Value| {
        gateway
            .post(&format!("/api/v1/alerts/{}/accept", alert["alert"]["id"].as_str().unwrap_or_default()), &json!({}))
    };
    let second = press(&gateway, &buttons[1]).await?;
    accept(&gateway, &first)?;
    // It goes on for the other one, also over a kill.
    until_told(&gateway, &first, |told| told.len() == 2).await?;
    gateway.kill()?;
    let gateway = Gateway::start(&site)?;
    until_told(&gateway, &second, |told| told.iter().any(was_told)).await?;
    accept(&gateway, &second)?;
    let heard = until("OFF").await?;
    assert!(heard[..heard.len() - 1].iter().all(|word| word == "ON"), "{heard:?}");
    let is_over = |told: &[Value]| told.last().is_some_and(|last| last["told"] == json!(["accepted"]));
    until_told(&gateway, &second, is_over).await?;
    // The test sounds and is over.
    assert_eq!(gateway.post("/api/v1/notify/hall/test", &json!({}))?, json!({"sent": true}));
    assert_eq!(until("OFF").await?, ["ON", "OFF"]);
    Ok(())
}

#[test]
fn check_knows_channels() -> anyhow::Result<()> {
    let check = |more: &str| -> anyhow::Result<String> {
        let site = Site::new(more)?;
        std::fs::write(site.folder().join("short"), "whsec_c2hvcnQ=")?;
        std::fs::write(site.folder().join("plain.url"), "http://example.cn/robot?key=1")?;
        let checked = ninewatch(&["--lang", "en", "check", "--site", &site.file().display().to_string()]);
        Ok(checked.unwrap_or_else(|error| error.to_string()))
    };
    for (more, parts) in [
        (
            "[[notify]]\nname = \"a\"\nkind = \"wecom\"\n",
            vec!["site.toml:13: `notify.0.kind`: `wecom` needs `url_file`", "a file of its own"],
        ),
        (
            "[[notify]]\nname = \"a\"\nkind = \"wecom\"\nurl_file = \"gone\"\n",
            vec!["notify.0.name", "gone cannot be read", "notify test"],
        ),
        ("[[notify]]\nname = \"a\"\nkind = \"wecom\"\nurl_file = \"plain.url\"\n", vec!["anybody on the way can read"]),
        (
            "[[notify]]\nname = \"a\"\nkind = \"webhook\"\nurl = \"https://example.cn\"\nsecret_file = \"short\"\n",
            vec!["openssl rand -base64 32"],
        ),
        ("[[notify]]\nname = \"a\"\nkind = \"pager\"\n", vec!["site.toml:13", "unknown variant `pager`"]),
        ("[[notify]]\nname = \"a\"\nkind = \"wecom\"\nkey = \"1\"\n", vec!["site.toml:14: `key`: unknown field"]),
        (
            "[[notify]]\nname = \"a\"\nkind = \"mqtt_siren\"\nbroker = \"b\"\ntopic = \"x/#\"\n",
            vec!["no [[broker]] has this name", "`notify.0.topic`"],
        ),
        (
            "[[notify]]\nname = \"a\"\nkind = \"email\"\nurl = \"smtp+plain://example.cn\"\nfrom = \"x\"\nto = [\"y@z.cn\"]\n",
            vec!["`notify.0.url`", "`x` is not an e-mail address"],
        ),
    ] {
        let said = check(more)?;
        for part in parts {
            assert!(said.contains(part), "{part} is not in: {said}");
        }
        assert!(!said.contains("key=1"), "{said}");
    }
    Ok(())
}
