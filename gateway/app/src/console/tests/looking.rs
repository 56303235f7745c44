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
