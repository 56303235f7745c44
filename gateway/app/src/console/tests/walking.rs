//! Walk-tests over the API: turns, what came of them, and the certificate.

use axum::http::StatusCode;
use serde_json::{Value, json};

use ninewatch_core::alert::{Scene, Severity, Signal};

use super::client::Client;
use super::desk::{Desk, text};
use super::sample;
use crate::clock::Clock;
use crate::console::{Role, WALK_TESTS};

const WALKS: &str = "/api/v1/walk-tests";

async fn begin(client: &Client, places: &[&str]) -> Value {
    client.post(WALKS, &json!({"places": places})).await.json()
}

async fn step(client: &Client, test: &Value, device: &str, body: Value) -> super::client::Answer {
    let id = test["id"].as_str().unwrap();
    client.post(&format!("{WALKS}/{id}/devices/{device}"), &body).await
}

async fn seen(client: &Client, test: &Value) -> Value {
    client.get(&format!("{WALKS}/{}", test["id"].as_str().unwrap())).await.json()
}

fn of(test: &Value, device: &str) -> Value {
    test["devices"].as_array().unwrap().iter().find(|one| one["device"] == device).unwrap().clone()
}

/// The device's button is pressed; then it is quiet again.
fn press(desk: &Desk, device: &str) {
    let (title, reason) = (text("烟雾报警", "Smoke"), text("烟感报警", "The detector alarms"));
    let finding = sample::finding(device, "smoke-alarm", Scene::Fire, Severity::Critical, title, reason);
    let mut played = desk.played.lock().unwrap();
    played.raise(finding, Clock::System.now_ms());
    let quiet = Signal::Clear { device: device.into(), rule: "smoke-alarm".into() };
    played.signal(quiet, Clock::System.now_ms());
}

#[tokio::test]
async fn a_walk_from_device_to_device_ends_in_a_signed_certificate() {
    let desk = Desk::open(sample::registry());
    let (fitter, li) = (desk.program_of("fitter", Role::Installer, &[]), desk.program_of("li", Role::Duty, &[]));
    let test = begin(&fitter, &["school"]).await;
    assert_eq!(test["devices"].as_array().unwrap().len(), 4);

    let turn = step(&fitter, &test, "school-smoke", json!({"step": "begin"})).await.json();
    assert!(of(&turn, "school-smoke")["measured"]["alert"].is_null());
    press(&desk, "school-smoke");
    let alert = of(&seen(&fitter, &test).await, "school-smoke")["measured"]["alert"].clone();
    assert_eq!((&alert["severity"], &alert["status"]), (&json!("critical"), &json!("raised")));
    let path = format!("/api/v1/alerts/{}", alert["id"].as_str().unwrap());
    assert_eq!(li.get(&path).await.json()["alert"]["walk_test"], test["id"]);
    li.post(&format!("{path}/accept"), &json!({})).await;

    let ended = step(&fitter, &test, "school-smoke", json!({"step": "end"})).await.json();
    assert_eq!(
        (&of(&ended, "school-smoke")["passed"], &ended["duty_room"]["accepted_by"]),
        (&json!(true), &json!("li"))
    );
    assert!(of(&ended, "school-smoke")["measured"]["alert"]["ready_ms"].is_i64(), "{ended}");
    let closed = li.get(&path).await.json()["alert"].clone();
    assert_eq!((&closed["status"], &closed["verdict"]), (&json!("closed"), &json!("test")));
    assert!(li.get("/api/v1/alerts.csv").await.text().lines().nth(1).unwrap().ends_with(",walk_test"));
    let now = closed["raised_at_ms"].as_i64().unwrap();
    let report = li.get(&format!("/api/v1/report?from_ms={}&to_ms={}", now - 1000, now + 1000)).await.json();
    assert_eq!((&report["severities"], &report["walk_tests"]), (&json!({}), &json!(1)), "it is counted apart");

    // Not heard: it does not pass, and nothing is handed over before somebody says why.
    step(&fitter, &test, "school-door", json!({"step": "begin"})).await;
    let silent = step(&fitter, &test, "school-door", json!({"step": "end"})).await.json();
    assert_eq!(of(&silent, "school-door")["passed"], false);
    let finish = format!("{WALKS}/{}/finish", test["id"].as_str().unwrap());
    let early = fitter.post(&finish, &json!({})).await;
    assert_eq!((early.status, early.code().as_str()), (StatusCode::CONFLICT, "walk_unfinished"));
    assert!(early.text().contains("device:school-door"), "{}", early.text());
    for device in ["school-door", "school-camera", "school-power"] {
        let failed = step(&fitter, &test, device, json!({"step": "fail", "reason": "明天换新的"})).await;
        assert_eq!(failed.status, StatusCode::OK);
    }
    let done = fitter.post(&finish, &json!({})).await.json();
    assert_eq!((&done["valid"], &done["lacks"]), (&json!(true), &json!([])));
    let document: Value = serde_json::from_str(done["certificate"]["document"].as_str().unwrap()).unwrap();
    assert_eq!((&document["passed"], &document["finished_by"]), (&json!(false), &json!("fitter")));
    assert_eq!(of(&document, "school-door")["reason"], "明天换新的");
    assert_eq!(fitter.post(&finish, &json!({})).await.code(), "walk_finished");
    let code =
        fitter.get(&format!("{WALKS}/{}/code.svg?origin=https://gateway.local", test["id"].as_str().unwrap())).await;
    assert!(code.text().starts_with("<svg"));

    // Who writes in the file does not write in the certificate.
    let file = desk.data_dir().join(WALK_TESTS).join(format!("{}.json", test["id"].as_str().unwrap()));
    let forged = std::fs::read_to_string(&file).unwrap().replace(r#"\"passed\":false"#, r#"\"passed\":true"#);
    std::fs::write(&file, forged).unwrap();
    assert_eq!(seen(&fitter, &test).await["valid"], false);
}

#[tokio::test]
async fn what_cannot_be_is_said() {
    let desk = Desk::open(sample::registry());
    let fitter = desk.program_of("fitter", Role::Integrator, &[]);
    assert_eq!(fitter.post(WALKS, &json!({"places": ["nowhere"]})).await.code(), "no_place");
    assert_eq!(fitter.post(WALKS, &json!({"places": []})).await.code(), "bad_request");
    let (test, other) = (begin(&fitter, &["school"]).await, begin(&fitter, &["school", "clinic"]).await);
    for (device, body, code) in [
        ("school-smoke", json!({"step": "end"}), "no_turn"),
        ("school-smoke", json!({"step": "fail"}), "bad_request"),
        ("school-smoke", json!({"step": "begin", "reason": "x"}), "bad_request"),
        ("clinic-smoke", json!({"step": "begin"}), "no_device"),
    ] {
        assert_eq!(step(&fitter, &test, device, body.clone()).await.code(), code, "{device} {body}");
    }
    step(&fitter, &test, "school-smoke", json!({"step": "begin"})).await;
    assert_eq!(step(&fitter, &other, "school-smoke", json!({"step": "begin"})).await.code(), "other_walk");
    let id = other["id"].as_str().unwrap();
    assert_eq!(fitter.get(&format!("{WALKS}/{id}/code.svg?origin=https://a")).await.code(), "walk_unfinished");
    let finish = fitter.post(&format!("{WALKS}/{id}/finish"), &json!({"reasons": {"upstream:x": "y"}})).await;
    assert_eq!(finish.code(), "bad_request");
    assert_eq!(fitter.get(&format!("{WALKS}/..%2faccounts")).await.code(), "no_walk_test");
    let rows = fitter.get(WALKS).await.json()["walk_tests"].as_array().unwrap().clone();
    assert_eq!(rows.iter().map(|row| row["devices"].as_u64().unwrap()).max(), Some(8));
    // Whoever answers alerts sees walk-tests and runs none.
    let li = desk.program_of("li", Role::Duty, &[]);
    assert_eq!(li.post(WALKS, &json!({"places": ["school"]})).await.code(), "wrong_role");
    assert_eq!(li.get(&format!("{WALKS}/{id}")).await.status, StatusCode::OK);
    // A damaged file is said by name.
    std::fs::write(desk.data_dir().join(WALK_TESTS).join(format!("{id}.json")), "{").unwrap();
    let broken = li.get(&format!("{WALKS}/{id}")).await;
    assert!(broken.status == StatusCode::SERVICE_UNAVAILABLE && broken.text().contains(id), "{}", broken.text());
}
