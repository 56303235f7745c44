//! A gateway with names, numbers, addresses and secrets everywhere they can stand, and not one of them in its bundle.

use std::fs;
use std::path::Path;

use super::*;
use crate::config::JournalConfig;
use crate::journal::Journal;
use ninewatch_core::alert::AlertChange;

/// What must not be in a bundle, each where it stands.
const SECRETS: [&str; 61] = [
    // site.toml
    "qzgate-07",
    "qzcity",
    "qzcity.gov.example",
    "10.77.1.2",
    "qzuser",
    "qzpassfile",
    "qzpassword-of-city",
    "qzbroker",
    "qz/topic",
    "qzmail",
    "qzsmtp.example",
    "qzfrom@example.org",
    "qzto@example.org",
    "qzmailpass",
    "10.77.3.4",
    "qzpassphrase file",
    "qzlamp words in a file",
    // registry.toml
    "qzhome-3",
    "QZ王桂兰家",
    "qzgrid-1",
    "QZ幸福路",
    "QZ幸福路88号502室",
    "qzdev-smoke",
    "QZ主卧床头",
    "a4:c1:38:77:77:77",
    "00112233445566778899aabbccddeeff",
    // residents.toml, roster.toml, accounts.toml, grid_codes.json, nodes.toml
    "QZ王桂兰",
    "13877770001",
    "QZ钥匙在物业",
    "QZ王小明",
    "13877770002",
    "qzres1",
    "QZ赵敏",
    "13877770003",
    "qzzhao",
    "qzaccount",
    "$argon2id$qz",
    "qzcode-9999",
    "qzby",
    "0f0e0d0c0b0a09080706050403020177",
    "qznode",
    // matters, hand-overs, plans, walk-tests
    "QZ楼道有烟味",
    "QZ三单元门口",
    "13877770004",
    "QZticket77",
    "QZ已联系物业",
    "QZ张三交班",
    "QZ平面图",
    "QZ走查人",
    // the alert log
    "qzgone-device",
    "qzgone-place",
    "QZ派李四去",
    "QZ李四",
    "qzwang",
    // the log
    "10.77.9.9",
    "fd77::77",
    "13877770005",
    "qz.person@example.org",
    "/home/qzli/x",
    "qzstranger",
    "mqtt://qzhost.example",
];

fn write(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

const SITE: &str = r#"
[gateway]
id = "qzgate-07"
data_dir = "data"

[console]
listen = "10.77.3.4:8443"

[[upstream]]
name = "qzcity"
url = "mqtts://qzcity.gov.example:8883"
username = "qzuser"
password_file = "qzpassfile"

[[broker]]
name = "qzbroker"
url = "mqtt://10.77.1.2:1883"
subscribe = ["qz/topic/#"]

[[notify]]
name = "qzmail"
kind = "email"
url = "smtps://qzsmtp.example:465"
from = "qzfrom@example.org"
to = ["qzto@example.org"]
username = "qzuser"
password_file = "mailpass"
severities = ["critical"]

[alerts]
join_window = "7m"

[backup]
usb = true
passphrase_file = "words"
"#;

const REGISTRY: &str = r#"
[[place]]
id = "qzhome-3"
name = "QZ王桂兰家"
kind = "home"
grid = "qzgrid-1"
address = "QZ幸福路88号502室"

[[device]]
id = "qzdev-smoke"
type = "ninewatch-smoke"
place = "qzhome-3"
spot = "QZ主卧床头"
known_as = "a4:c1:38:77:77:77"
secret = "sha256:00112233445566778899aabbccddeeff:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
"#;

const LOG: &str = "2026-11-29T03:00:00.123Z  INFO a device is in device=qzdev-smoke from=10.77.9.9:4711
2026-11-29T03:00:01Z  WARN who is refused: account=\"qzstranger\" at fd77::77, call 138-7777-0005 or 13877770005
2026-11-29T03:00:02Z  WARN mail to qz.person@example.org failed: /home/qzli/x is not there
2026-11-29T03:00:03Z  INFO QZ王桂兰 of QZ幸福路88号502室 pressed; topic=qz/topic/1 to mqtt://qzhost.example:1883
2026-11-29T03:00:04Z ERROR no device `qzgone-device` at \"qzgone-place\"; took 12.5 s, 4096 bytes";

/// A gateway of which every file holds something that is nobody's business.
fn gateway() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    write(at, "site.toml", SITE);
    write(at, "qzpassfile", "qzpassword-of-city\n");
    write(at, "mailpass", "qzmailpass\n");
    write(at, "words", "qzlamp words in a file\n");
    write(at, "data/registry.toml", REGISTRY);
    write(
        at,
        "data/residents.toml",
        "[[resident]]\nid = \"qzres1\"\nplace = \"qzhome-3\"\nname = \"QZ王桂兰\"\nphone = \"13877770001\"\nnote = \"QZ钥匙在物业\"\n\
         [[resident.contacts]]\nname = \"QZ王小明\"\nrelation = \"son\"\nphone = \"13877770002\"\n",
    );
    write(at, "data/roster.toml", "[[person]]\nid = \"qzzhao\"\nname = \"QZ赵敏\"\nphone = \"13877770003\"\n");
    write(
        at,
        "data/accounts.toml",
        "[[account]]\nname = \"qzaccount\"\nrole = \"admin\"\npassword = \"$argon2id$qz\"\n",
    );
    write(at, "data/grid_codes.json", "{\"qzgrid-1\":{\"code\":\"qzcode-9999\",\"since_ms\":1,\"by\":\"qzby\"}}");
    write(
        at,
        "data/nodes.toml",
        "[[node]]\nid = \"3f7a01bc\"\nkey = \"0f0e0d0c0b0a09080706050403020177\"\nname = \"qznode\"\n",
    );
    write(
        at,
        "data/people/matters/a1.json",
        "{\"id\":\"a1\",\"ticket\":\"QZticket77\",\"text\":\"QZ楼道有烟味\",\"place\":\"QZ三单元门口\",\"phone\":\"13877770004\",\
         \"answers\":[{\"text\":\"QZ已联系物业\"}]}",
    );
    write(at, "data/handovers.json", "[{\"text\":\"QZ张三交班\"}]");
    write(at, "data/plans.json", "{\"qzgrid-1\":{\"name\":\"QZ平面图\"}}");
    write(at, "data/walk-tests/5f.json", "{\"certificate\":{\"document\":\"{\\\"begun_by\\\":\\\"QZ走查人\\\"}\"}}");
    let (mut journal, _) = Journal::open(&at.join("data/journal"), &JournalConfig::default()).unwrap();
    for (seq, severity, rule, scene) in
        [(1, "critical", "smoke-alarm", "fire"), (2, "major", "gateway-upstream-down", "operations")]
    {
        let (place, device) = match scene {
            "fire" => ("qzgone-place", "qzgone-device"),
            _ => ("gateway:qzgate-07", "gateway:upstream:qzcity"),
        };
        let change: AlertChange = serde_json::from_value(json!({
            "seq": seq, "at_ms": 1_795_000_000_000_i64, "kind": "raised", "by": "qzwang", "note": "QZ派李四去",
            "evidence": null,
            "alert": {
                "id": format!("a{seq}"), "number": seq, "gateway": "qzgate-07", "place": place, "group": rule,
                "scene": scene, "severity": severity, "status": "dispatched",
                "title": { "zh": "报警", "en": "Alarm" },
                "reason": { "zh": "QZ王桂兰家", "en": "not connected: 10.77.1.2 by QZ王桂兰" },
                "raised_at_ms": Clock::System.now_ms(), "updated_at_ms": 1_795_000_000_000_i64, "recovered_at_ms": null,
                "devices": [device], "rules": [rule], "occurrences": 1, "escalation": 0,
                "accepted_by": "qzwang", "dispatched_to": "QZ李四", "verdict": null,
            },
        }))
        .unwrap();
        journal.append_alert(&change).unwrap();
    }
    journal.commit().unwrap();
    dir
}

fn live() -> Live {
    let metrics = "# HELP x Of qzcity.\nninewatch_upstream_connected{upstream=\"qzcity\"} 1\n\
                   ninewatch_part_up{part=\"node:qznode\"} 0\nninewatch_disk_bytes 12345678901\n";
    let text = json!({ "zh": "未连接：10.77.9.9", "en": "not connected: qzcity.gov.example" });
    let parts = json!([{ "name": "upstream:qzcity", "status": "down", "text": text }]);
    Live { health: json!({ "status": "degraded", "parts": parts }), metrics: metrics.into() }
}

#[test]
fn nothing_of_a_person_a_place_an_address_or_a_secret_is_in_a_bundle() {
    let dir = gateway();
    for lang in [Lang::Zh, Lang::En] {
        let bundle = gather(&dir.path().join("site.toml"), Some(live()), Ok(LOG.into()), lang).unwrap();
        for text in [bundle.json(), bundle.page()] {
            let lower = text.to_lowercase();
            for secret in SECRETS {
                assert!(!lower.contains(&secret.to_lowercase()), "`{secret}` is in it:\n{}", around(&lower, secret));
            }
            assert!(!lower.contains("qz"), "{}", around(&lower, "qz"));
        }
    }
}

fn around(text: &str, word: &str) -> String {
    let at = text.find(&word.to_lowercase()).unwrap();
    text.lines()
        .scan(0, |begin, line| {
            let here = *begin..*begin + line.len() + 1;
            *begin = here.end;
            Some((here, line))
        })
        .find(|(here, _)| here.contains(&at))
        .map(|(_, line)| line.chars().take(400).collect())
        .unwrap_or_default()
}

#[test]
fn what_a_vendor_needs_is_in_it_and_one_thing_has_one_mark() {
    let dir = gateway();
    let bundle = gather(&dir.path().join("site.toml"), Some(live()), Ok(LOG.into()), Lang::En).unwrap().0;
    assert_eq!(bundle["about"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(bundle["machine"]["memory_kib"].as_u64().is_some_and(|kib| kib > 0));
    assert!(bundle["machine"]["disk"]["free_bytes"].is_u64() && bundle["machine"]["kernel"].is_string());
    assert_eq!(bundle["in_force"]["places"]["home"], 1);
    assert_eq!(bundle["in_force"]["devices"]["smoke"], 1, "{}", bundle["in_force"]);
    assert!(bundle["in_force"]["models"].as_array().is_some_and(|models| models.len() > 3));
    let days = bundle["alerts"]["days"].as_object().unwrap();
    let of_today = days.values().next().unwrap();
    assert_eq!((&of_today["gateway-upstream-down major"], &of_today["smoke-alarm critical"]), (&json!(1), &json!(1)));
    let ailment = &bundle["ailments"][0];
    assert_eq!(ailment["rule"], "gateway-upstream-down");
    let part = ailment["parts"][0].as_str().unwrap();
    assert!(part.starts_with("upstream:["), "{part}");
    assert_eq!(bundle["health"]["parts"][0]["name"], part, "the same upstream in health");
    assert_eq!(bundle["site"]["upstream"][0]["name"], part.trim_start_matches("upstream:"), "and in site.toml");
    assert!(bundle["site"]["upstream"][0]["url"].as_str().unwrap().ends_with(":8883"));
    assert_eq!(bundle["site"]["alerts"]["join_window"], "7m");
    assert_eq!(bundle["site"]["notify"][0]["severities"][0], "critical");
    assert!(bundle["metrics"][3] == "ninewatch_disk_bytes 12345678901", "{}", bundle["metrics"]);
    let log = bundle["log"].as_array().unwrap();
    assert_eq!(log.len(), 5);
    assert!(log[0].as_str().unwrap().starts_with("2026-11-29T03:00:00.123Z  INFO a device is in device=[device-"));
    assert!(log[4].as_str().unwrap().ends_with("took 12.5 s, 4096 bytes"), "{}", log[4]);
    assert!(bundle["doctor"].as_array().unwrap().iter().any(|found| found["well"] == false), "{}", bundle["doctor"]);
}

#[test]
fn what_is_not_in_it_says_so_and_a_broken_site_file_makes_no_bundle() {
    let dir = gateway();
    let site = dir.path().join("site.toml");
    let bundle = gather(&site, None, Err("journald lets nobody".into()), Lang::En).unwrap().0;
    assert_eq!(bundle["log"]["not_in"], "journald lets nobody");
    assert!(bundle["health"]["not_in"].is_string() && bundle["metrics"]["not_in"].is_string());
    fs::write(&site, "[gateway").unwrap();
    assert!(gather(&site, None, Ok(String::new()), Lang::En).is_err());
}

#[test]
fn the_page_holds_the_json_and_runs_nothing() {
    let bundle = Bundle(json!({ "log": ["</script><img src=x onerror=alert(1)>", "b & c"] }));
    let page = bundle.page();
    assert!(!page.contains("<img") && page.contains("&lt;img") && page.contains("b &amp; c"), "{page}");
    let json = page.split("id=\"bundle\">").nth(1).unwrap().split("</script>").next().unwrap();
    assert_eq!(serde_json::from_str::<Value>(json).unwrap(), bundle.0);
}
