//! What the desk keeps beside the alerts: hand-overs from shift to shift, plans under places, and whether the log holds.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::Client;
use super::desk::Desk;
use super::sample;
use crate::console::Role;

const SHIFT: (i64, i64) = (1_795_467_300_000, 1_795_510_500_000);

fn handover(id: &str, text: &str) -> Value {
    json!({"id": id, "from_ms": SHIFT.0, "to_ms": SHIFT.1, "text": text})
}

async fn handovers(client: &Client) -> Vec<Value> {
    client.get("/api/v1/handovers").await.json()["handovers"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_shift_hands_over_and_the_next_takes_it_over_by_name() {
    let desk = Desk::open(sample::registry());
    let (li, zhang) = (desk.program_of("li", Role::Duty, &[]), desk.program_of("zhang", Role::Duty, &[]));
    let text = "学校烟感在换电池，8 点前有人去";
    for _ in 0..2 {
        let written = li.post("/api/v1/handovers", &handover("h-1", &format!(" {text}\n"))).await.json();
        assert_eq!(
            (&written["by"], &written["text"], &written["accepted_by"]),
            (&json!("li"), &json!(text), &Value::Null)
        );
    }
    assert_eq!(handovers(&zhang).await.len(), 1, "the same again is kept once");
    let other = zhang.post("/api/v1/handovers", &handover("h-1", "something else")).await;
    assert_eq!((other.status, other.code().as_str()), (StatusCode::CONFLICT, "other_handover"));
    for body in
        [handover("h-2", " "), handover("h-2", &"x".repeat(4001)), json!({"from_ms": 2, "to_ms": 1, "text": "x"})]
    {
        assert_eq!(li.post("/api/v1/handovers", &body).await.status, StatusCode::BAD_REQUEST);
    }
    let taken = zhang.post("/api/v1/handovers/h-1/accept", &json!({})).await.json();
    assert_eq!(taken["accepted_by"], "zhang");
    let late = li.post("/api/v1/handovers/h-1/accept", &json!({})).await.json();
    assert_eq!(late, taken, "whoever was first stands");
    assert_eq!(zhang.post("/api/v1/handovers/h-9/accept", &json!({})).await.code(), "no_handover");
    let kept = std::fs::read_to_string(desk.data_dir().join("handovers.json")).unwrap();
    assert!(kept.contains(text), "on the disk when it is answered");
    // What shifts write is about people: who handles alerts in a grid alone does not see it.
    let member = desk.program_of("zhao", Role::GridMember, &["kaili-1"]);
    assert_eq!(member.get("/api/v1/handovers").await.code(), "wrong_role");
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\nrest";

#[tokio::test]
async fn a_picture_lies_under_a_grid_and_its_places_stand_on_it() {
    let desk = Desk::open(sample::registry());
    let (admin, li) = (desk.program(), desk.program_of("li", Role::Duty, &[]));
    let put = async |client: &Client, path: &str, bytes: &[u8]| {
        client.send_bytes(Method::PUT, &format!("/api/v1/plans/{path}"), bytes.to_vec()).await
    };
    let place = async |grid: &str, place: &str, x: f64| {
        let at = json!({"x": x, "y": 0.25});
        admin.send(Method::PUT, &format!("/api/v1/plans/{grid}/positions/{place}"), Some(&at)).await
    };
    let plans = async |client: &Client| client.get("/api/v1/plans").await.json()["plans"].clone();
    assert_eq!(put(&li, "kaili-1/picture", PNG).await.code(), "wrong_role");
    assert_eq!(put(&admin, "nowhere/picture", PNG).await.code(), "no_grid");
    let svg = put(&admin, "kaili-1/picture", b"<svg onload=\"alert(1)\"/>").await;
    assert_eq!(svg.status, StatusCode::BAD_REQUEST);
    assert_eq!(put(&admin, "kaili-1/picture", PNG).await.status, StatusCode::NO_CONTENT);
    assert_eq!(put(&admin, "kaili-1/picture", &vec![0; (4 << 20) + 1]).await.code(), "too_large");
    let picture = li.get("/api/v1/plans/kaili-1/picture").await;
    assert_eq!((picture.header("content-type"), picture.body.as_slice()), ("image/png", PNG));
    assert_eq!(place("kaili-1", "school", 0.5).await.status, StatusCode::NO_CONTENT);
    assert_eq!(place("kaili-1", "workshop", 0.5).await.code(), "no_place");
    assert_eq!(place("kaili-1", "school", 1.5).await.code(), "bad_request");
    let listed = plans(&li).await;
    assert_eq!(
        (&listed[0]["grid"], &listed[0]["positions"]),
        (&json!("kaili-1"), &json!({"school": {"x": 0.5, "y": 0.25}}))
    );
    let member = desk.program_of("zhao", Role::GridMember, &["kaili-2"]);
    assert_eq!(plans(&member).await, json!([]), "other grids are not there");
    assert_eq!(member.get("/api/v1/plans/kaili-1/picture").await.code(), "no_plan_picture");
    // Another picture takes its place, and nothing is left of the first.
    put(&admin, "kaili-1/picture", b"\xff\xd8\xff\xe0rest").await;
    assert_eq!(li.get("/api/v1/plans/kaili-1/picture").await.header("content-type"), "image/jpeg");
    let remove = async || admin.send(Method::DELETE, "/api/v1/plans/kaili-1/picture", None).await;
    assert_eq!(remove().await.status, StatusCode::NO_CONTENT);
    assert_eq!(remove().await.code(), "no_plan_picture");
    assert_eq!(std::fs::read_dir(desk.data_dir().join("plans")).unwrap().count(), 0);
    assert_eq!(plans(&li).await[0]["positions"], json!({"school": {"x": 0.5, "y": 0.25}}), "where it stands is kept");
}

#[tokio::test]
async fn an_admin_sees_whether_the_log_holds() {
    let desk = Desk::open(sample::registry());
    let admin = desk.program();
    let check = async || admin.get("/api/v1/audit/check").await.json();
    check().await;
    let whole = check().await;
    assert_eq!((&whole["holds"], &whole["found"]), (&json!(true), &Value::Null));
    let log = desk.data_dir().join(crate::audit::LOG);
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::write(&log, text.replacen("audit.check", "audit.chuck", 1)).unwrap();
    let changed = check().await;
    assert_eq!((&changed["holds"], &changed["head"]), (&json!(false), &Value::Null));
    assert!(changed["found"].as_str().unwrap().contains("audit.log"), "{changed}");
}
