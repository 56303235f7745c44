//! What there is to see: alerts, devices, places, health, metrics.

use axum::http::StatusCode;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

use ninewatch_core::ailment::Ailment;

use super::client::Client;
use super::desk::{Broker, Desk, settings, text};
use super::sample;
use crate::clock::Clock;

fn filled() -> Desk {
    let desk = Desk::open(sample::registry());
    let now = Clock::System.now_ms();
    {
        let mut played = desk.played.lock().unwrap();
        played.devices = sample::statuses(&sample::registry(), now);
        sample::fill(&mut played, now);
    }
    desk
}

async fn numbers(client: &Client, query: &str) -> Vec<u64> {
    let answer = client.get(&format!("/api/v1/alerts{query}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let alerts = answer.json()["alerts"].as_array().unwrap().clone();
    alerts.iter().map(|alert| alert["number"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn alerts_come_newest_first_by_what_is_wanted_page_by_page() {
    let desk = filled();
    let program = desk.program();
    let all = numbers(&program, "").await;
    assert!(all.len() > 20);
    assert!(all.is_sorted_by(|newer, older| newer > older));

    let open = numbers(&program, "?open=true").await;
    let closed = numbers(&program, "?status=closed").await;
    assert_eq!(open.len() + closed.len(), all.len());
    let critical = program.get("/api/v1/alerts?severity=critical&scene=fire&open=true").await.json();
    assert!(critical["alerts"].as_array().unwrap().iter().all(|alert| alert["scene"] == "fire"));
    assert_eq!(numbers(&program, "?place=workshop").await.len(), 1);

    let mut paged = Vec::new();
    let mut query = "?limit=7".to_owned();
    loop {
        let page = program.get(&format!("/api/v1/alerts{query}")).await.json();
        paged.extend(page["alerts"].as_array().unwrap().iter().map(|alert| alert["number"].as_u64().unwrap()));
        let Some(before) = page["next_before"].as_str() else { break };
        query = format!("?limit=7&before={before}");
    }
    assert_eq!(paged, all);
    for wrong in ["?status=asleep", "?limit=0", "?limit=501", "?open=perhaps", "?colour=red"] {
        assert_eq!(program.get(&format!("/api/v1/alerts{wrong}")).await.code(), "bad_request", "{wrong}");
    }
}

#[tokio::test]
async fn the_past_is_looked_for_by_words_time_and_verdict_and_comes_as_a_sheet() {
    let desk = filled();
    let program = desk.program();
    let all = program.get("/api/v1/alerts").await.json()["alerts"].as_array().unwrap().clone();
    let count = |fits: &dyn Fn(&Value) -> bool| all.iter().filter(|alert| fits(alert)).count();
    let workshop = count(&|alert| alert["place"] == "workshop");
    assert_eq!(numbers(&program, "?says=%E9%93%B6%E9%A5%B0").await.len(), workshop, "by the place's name, 银饰");
    assert_eq!(numbers(&program, "?says=WORKSHOP-SMOKE").await.len(), 1, "by a device");
    assert_eq!(numbers(&program, "?says=nowhere").await, [0_u64; 0]);
    let nuisances = count(&|alert| alert["verdict"] == "nuisance");
    assert!(nuisances > 0);
    assert_eq!(numbers(&program, "?verdict=nuisance").await.len(), nuisances);
    let middle = all[all.len() / 2]["raised_at_ms"].as_i64().unwrap();
    let before = numbers(&program, &format!("?raised_to_ms={middle}")).await.len();
    let after = numbers(&program, &format!("?raised_from_ms={middle}")).await.len();
    assert_eq!((before, after), (count(&|alert| alert["raised_at_ms"].as_i64().unwrap() < middle), all.len() - before));

    let sheet = program.get("/api/v1/alerts.csv?place=workshop").await;
    let text = sheet.text();
    let mut rows = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let column = rows.headers().unwrap().iter().position(|name| name == "place_name").unwrap();
    let rows: Vec<_> = rows.records().map(|row| row.unwrap()[column].to_owned()).collect();
    assert_eq!(rows, vec!["银饰作坊"; workshop]);
}

#[tokio::test]
async fn a_report_counts_what_the_alerts_say() {
    let desk = filled();
    let program = desk.program();
    let all = program.get("/api/v1/alerts").await.json()["alerts"].as_array().unwrap().clone();
    let now = Clock::System.now_ms();
    let report = program.get(&format!("/api/v1/report?from_ms=0&to_ms={}", 86_400_000)).await.json();
    assert_eq!(report["severities"], json!({}), "nothing then");
    let report = program.get(&format!("/api/v1/report?from_ms={}&to_ms={}", now - 86_400_000, now + 1)).await.json();
    for (severity, seen) in report["severities"].as_object().unwrap() {
        let of: Vec<_> = all.iter().filter(|alert| alert["severity"] == **severity).collect();
        assert_eq!(seen["raised"], of.len(), "{severity}");
        assert_eq!(seen["closed"], of.iter().filter(|alert| alert["status"] == "closed").count(), "{severity}");
        assert!(seen["accept_median_ms"].as_i64() <= seen["accept_slowest_ms"].as_i64());
    }
    let judged: u64 = report["verdicts"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert_eq!(judged as usize, all.iter().filter(|alert| !alert["verdict"].is_null()).count());
    let wolves: Vec<_> = report["devices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|device| device["false_alarms"].as_u64().unwrap() + device["nuisances"].as_u64().unwrap())
        .collect();
    assert!(wolves.is_sorted_by(|more, less| more >= less) && wolves[0] > 0);
    for wrong in ["", "?from_ms=2&to_ms=1", "?from_ms=0&to_ms=99999999999999"] {
        assert_eq!(program.get(&format!("/api/v1/report{wrong}")).await.code(), "bad_request", "{wrong}");
    }
}

#[tokio::test]
async fn a_list_and_the_feed_behind_it_fit_together() {
    let desk = filled();
    let last_seq = desk.program().get("/api/v1/alerts?open=true").await.json()["last_seq"].as_u64().unwrap();
    let mut feed = desk.program().listen(&format!("?from={}", last_seq + 1)).await;
    assert_eq!(feed.next().await.unwrap().data["last_seq"], last_seq);
}

#[tokio::test]
async fn devices_say_how_they_are() {
    let desk = filled();
    let answer = desk.program().get("/api/v1/devices").await.json();
    let devices = answer["devices"].as_array().unwrap();
    assert_eq!(devices.len(), sample::registry().devices.len());
    let device = |id: &str| devices.iter().find(|device| device["id"] == id).unwrap();
    assert_eq!(device("bath-gas")["silent"], true);
    assert_eq!(device("hotel-smoke")["battery_percent"], 8.0);
    assert_eq!(device("ktv-power")["skew_ms"], -94_000);
    assert_eq!(device("clinic-water")["seen_ms"], Value::Null);
    assert_eq!(device("home-wu-bracelet")["person"], "elder_alone");
    let values = device("restaurant-gas")["values"].as_array().unwrap();
    let co = values.iter().find(|value| value["field"] == "co_ppm").unwrap();
    assert_eq!((&co["label"]["zh"], &co["unit"], &co["value"]), (&json!("一氧化碳"), &json!("ppm"), &json!(2.1)));
    assert_eq!(device("restaurant-gas")["class"], "gas");
}

#[tokio::test]
async fn places_are_told_at_a_glance_and_follow_the_site() {
    let desk = filled();
    let program = desk.program();
    let answer = program.get("/api/v1/places").await.json();
    let place = |id: &str| answer["places"].as_array().unwrap().iter().find(|place| place["id"] == id).unwrap().clone();
    let workshop = place("workshop");
    assert_eq!((&workshop["worst_severity"], &workshop["open_alerts"]), (&json!("critical"), &json!(1)));
    assert_eq!(
        (&workshop["grid"], &workshop["kind"], &workshop["devices"]),
        (&json!("kaili-2"), &json!("workshop"), &json!(4))
    );
    assert_eq!(place("bath")["silent_devices"], 1);
    assert_eq!(place("clinic")["worst_severity"], Value::Null);

    let mut smaller = sample::registry();
    smaller.devices.clear();
    smaller.places.truncate(1);
    desk.settings.send_replace(Arc::new(settings(smaller)));
    let places = program.get("/api/v1/places").await.json();
    assert_eq!(places["places"].as_array().unwrap().len(), 1);
    assert_eq!(program.get("/api/v1/devices").await.json(), json!({"devices": []}));
}

#[tokio::test]
async fn rules_say_what_to_do() {
    let desk = filled();
    let mut shipped = settings(sample::registry());
    shipped.rules = crate::site_files::rules(crate::site_files::BUILT_IN_ALONE).unwrap();
    desk.settings.send_replace(Arc::new(shipped));
    let answer = desk.program().get("/api/v1/rules").await.json();
    let rule = |id: &str| answer["rules"].as_array().unwrap().iter().find(|rule| rule["id"] == id).unwrap().clone();
    assert_eq!(rule("smoke-alarm")["severity"], "critical");
    assert!(rule("smoke-alarm")["response"][0]["zh"].as_str().unwrap().contains("119"));
    assert_eq!(rule("gateway-disk-full")["scene"], "operations");
}

#[tokio::test]
async fn a_part_that_is_not_well_shows_in_health_and_metrics() {
    let broker = Arc::new(Broker(Mutex::default()));
    let desk = Desk::open_at("127.0.0.1:0", sample::registry(), vec![broker.clone()]);
    assert_eq!(desk.client.get("/api/v1/health").await.json(), json!({"status": "ok"}));
    *broker.0.lock().unwrap() = vec![(Ailment::BrokerDown, text("连不上", "cannot connect"))];
    assert_eq!(desk.client.get("/api/v1/health").await.json(), json!({"status": "degraded"}));
    let parts = desk.program().get("/api/v1/health").await.json();
    assert_eq!(parts["parts"][0], json!({"name": "engine", "status": "ok", "text": null}));
    let expected =
        json!({"name": "broker:mosquitto", "status": "down", "text": {"zh": "连不上", "en": "cannot connect"}});
    assert_eq!(parts["parts"][1], expected);

    let metrics = desk.program().get("/metrics").await;
    for line in [
        "ninewatch_part_up{part=\"engine\"} 1",
        "ninewatch_part_up{part=\"broker:mosquitto\"} 0",
        "ninewatch_broker_messages_total{broker=\"mosquitto\"} 7",
        "ninewatch_readings_total{class=\"gas\"} 0",
        "ninewatch_console_refused_log_ins_total 0",
        "ninewatch_ailment{ailment=\"broker_down\"} 1",
        "ninewatch_ailment{ailment=\"upstream_down\"} 0",
    ] {
        assert!(metrics.text().lines().any(|one| one == line), "{line} is not in\n{}", metrics.text());
    }
    for family in metrics.text().lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        assert_eq!(metrics.text().matches(&format!("# TYPE {family}\n")).count(), 1, "{family}");
    }
}

#[tokio::test]
async fn an_engine_that_is_gone_takes_the_gateway_down() {
    let desk = Desk::open(sample::registry());
    desk.stop_engine();
    let mut answer = desk.client.get("/api/v1/health").await;
    // The engine's end has to come through first.
    while answer.status == StatusCode::OK {
        answer = desk.client.get("/api/v1/health").await;
    }
    assert_eq!((answer.status, answer.json()), (StatusCode::SERVICE_UNAVAILABLE, json!({"status": "down"})));
    assert_eq!(desk.program().get("/api/v1/devices").await.code(), "stopping");
}
