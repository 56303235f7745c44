//! Residents report by their grid's code and see how far it is; photos and records are for those who see the alert.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use ninewatch_core::alert::{Scene, Severity};

use super::client::{Answer, Client};
use super::desk::{Desk, text};
use super::sample;
use crate::audit::{self, Wanted};
use crate::clock::Clock;
use crate::console::Role;

const JPEG: &[u8] = include_bytes!("../../people/pictures/phone.jpg");
const GRID: &str = "kaili-1";

async fn code(desk: &Desk, grid: &str) -> String {
    let answer = desk.program().post(&format!("/api/v1/grids/{grid}/code"), &json!({})).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()["code"].as_str().unwrap().to_owned()
}

fn matter(code: &str, key: &str) -> Value {
    json!({"code": code, "key": format!("{key:0>16}"), "scene": "fire", "text": "楼道里停着电动车\n正在充电", "phone": "138 0000 1234"})
}

async fn report(desk: &Desk, code: &str, key: &str) -> Answer {
    desk.client.post("/api/v1/matters", &matter(code, key)).await
}

async fn only_alert(client: &Client) -> Value {
    let alerts = client.get("/api/v1/alerts?open=true").await.json()["alerts"].clone();
    assert_eq!(alerts.as_array().unwrap().len(), 1, "{alerts}");
    alerts[0].clone()
}

#[tokio::test]
async fn a_resident_reports_and_sees_how_far_it_is_and_nothing_else() {
    let desk = Desk::open(sample::registry());
    let code = code(&desk, GRID).await;
    let form = desk.client.get(&format!("/api/v1/grid-codes/{code}")).await.json();
    assert_eq!(form, json!({"grid": GRID, "gateway": "kaili-01", "keeps_days": 90, "keeps_photos_days": 30}));
    let answer = report(&desk, &code, "1").await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let ticket = answer.json()["ticket"].as_str().unwrap().to_owned();
    assert_eq!(ticket.len(), 14, "short enough to note down");
    assert_eq!(report(&desk, &code, "1").await.json()["ticket"], ticket.as_str(), "sent again it is the same");

    let program = desk.program();
    let alert = only_alert(&program).await;
    let id = alert["id"].as_str().unwrap().to_owned();
    assert_eq!((&alert["place"], &alert["severity"]), (&json!("grid:kaili-1"), &json!("major")));
    let record = program.get(&format!("/api/v1/alerts/{id}")).await.text().to_owned();
    for theirs in ["电动车", "1234", &ticket] {
        assert!(!record.contains(theirs), "the alert itself has {theirs}");
    }
    let act = async |verb: &str, body: Value| {
        assert_eq!(program.post(&format!("/api/v1/alerts/{id}/{verb}"), &body).await.status, StatusCode::OK);
    };
    let graver = format!("/api/v1/alerts/{id}/severity");
    let member = desk.program_of("zhao", Role::GridMember, &[GRID]);
    assert_eq!(member.post(&graver, &json!({"severity": "critical"})).await.code(), "wrong_role");
    assert_eq!(program.post(&graver, &json!({"severity": "minor"})).await.code(), "not_graver");
    assert_eq!(program.post(&graver, &json!({"severity": "critical"})).await.json()["severity"], "critical");
    let progress = async || desk.client.get(&format!("/api/v1/matters/{}", ticket.to_uppercase())).await.json();
    assert_eq!(progress().await["status"], "raised");
    act("accept", json!({"note": "先给物业打电话"})).await;
    act("dispatch", json!({"to": "王敏"})).await;
    act("handle", json!({"note": "已搬走"})).await;
    act("answer", json!({"text": "电动车已搬走，谢谢您"})).await;
    let progress = progress().await;
    assert_eq!(
        (&progress["status"], &progress["answers"][0]["text"]),
        (&json!("handled"), &json!("电动车已搬走，谢谢您"))
    );
    for inside in ["duty", "王敏", "物业", "已搬走\""] {
        assert!(!progress.to_string().replace("电动车已搬走", "").contains(inside), "{progress} tells of {inside}");
    }
    let report = program.get("/api/v1/report?from_ms=1&to_ms=9999999999999").await;
    assert_eq!(report.code(), "bad_request", "a year at the most");
    let since = Clock::System.now_ms() - 3_600_000;
    let report = program.get(&format!("/api/v1/report?from_ms={since}&to_ms={}", since + 7_200_000)).await.json();
    assert_eq!((&report["matters"]["fire"]["raised"], &report["devices"]), (&json!(1), &json!([])));
    let theirs = program.get(&format!("/api/v1/alerts/{id}/matter")).await.json();
    assert_eq!((&theirs["text"], &theirs["phone"]), (&json!("楼道里停着电动车\n正在充电"), &json!("138 0000 1234")));
}

#[tokio::test]
async fn who_has_no_code_in_force_gets_nowhere() {
    let desk = Desk::open(sample::registry());
    let old = code(&desk, GRID).await;
    let new = code(&desk, GRID).await;
    let other = code(&desk, "kaili-2").await;
    for wrong in [old.as_str(), "aaaa-bbbb-cccc-dddd-eeee", "0"] {
        assert_eq!(report(&desk, wrong, "1").await.code(), "no_code", "{wrong}");
        assert_eq!(desk.client.get(&format!("/api/v1/grid-codes/{wrong}")).await.code(), "no_code");
    }
    assert_eq!(
        desk.program().send(Method::DELETE, "/api/v1/grids/kaili-2/code", None).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(report(&desk, &other, "1").await.code(), "no_code");
    assert_eq!(desk.program().post("/api/v1/grids/kaili-9/code", &json!({})).await.code(), "no_grid");
    assert_eq!(desk.client.get("/api/v1/matters/aaaa-bbbb-cccc").await.code(), "no_ticket");
    assert!(desk.program().get("/api/v1/alerts").await.json()["alerts"].as_array().unwrap().is_empty());
    assert_eq!(report(&desk, &new, "1").await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn what_a_resident_writes_is_checked_in_words() {
    let desk = Desk::open(sample::registry());
    let code = code(&desk, GRID).await;
    for (field, value, says) in [
        ("text", json!("  "), "text"),
        ("text", json!("a".repeat(1001)), "text"),
        ("text", json!("a\u{7}"), "text"),
        ("phone", json!("call me"), "phone"),
        ("scene", json!("operations"), "scene"),
        ("scene", json!("flood"), "flood"),
        ("key", json!("1"), "key"),
        ("severity", json!("critical"), "severity"),
    ] {
        let mut wrong = matter(&code, "1");
        wrong[field] = value;
        let answer = desk.client.post("/api/v1/matters", &wrong).await;
        assert_eq!(answer.code(), "bad_request");
        assert!(answer.json()["detail"].as_str().unwrap().contains(says), "{}", answer.text());
    }
    let elsewhere = desk.client.with("origin", "https://evil.example");
    assert_eq!(elsewhere.post("/api/v1/matters", &matter(&code, "1")).await.code(), "cross_site");
}

#[tokio::test]
async fn a_flood_of_reports_is_shed_and_told_so() {
    let desk = Desk::open(sample::registry());
    let code = code(&desk, GRID).await;
    let mut taken = 0;
    for number in 0..12 {
        let answer = report(&desk, &code, &number.to_string()).await;
        if answer.status == StatusCode::CREATED {
            taken += 1;
        } else {
            assert_eq!(answer.code(), "too_many_reports");
            assert!(answer.header("retry-after").parse::<u64>().unwrap() > 60);
            assert!(answer.json()["mend"].as_str().unwrap().contains("119"));
        }
    }
    assert_eq!(taken, 5);
}

#[tokio::test]
async fn a_photo_is_shown_to_those_who_see_the_alert_without_where_it_was_taken_and_each_look_is_noted() {
    let desk = Desk::open(sample::registry());
    let finding = sample::finding(
        "home-wu-sos",
        "sos",
        Scene::ElderCare,
        Severity::Critical,
        text("求助", "SOS"),
        text("按下", "pressed"),
    );
    let id = desk.played.lock().unwrap().raise(finding, Clock::System.now_ms())[0].alert.id.to_string();
    let path = format!("/api/v1/alerts/{id}/photos");
    let member = desk.program_of("zhao", Role::GridMember, &["kaili-2"]);
    let sent = member.send_bytes(Method::POST, &path, JPEG.to_vec()).await;
    assert_eq!(sent.status, StatusCode::CREATED, "{}", sent.text());
    let photo = sent.json();
    let one = format!("{path}/{}", photo["id"].as_str().unwrap());
    let shown = desk.program().get(&one).await;
    assert_eq!((shown.header("content-type"), shown.header("x-content-type-options")), ("image/jpeg", "nosniff"));
    assert!(
        shown.header("content-disposition").starts_with("attachment") && shown.header("cache-control") == "no-store"
    );
    assert!(!shown.body.windows(11).any(|window| window == b"SecretPhone"));

    let stranger = desk.program_of("qian", Role::GridMember, &["kaili-1"]);
    assert_eq!(stranger.get(&one).await.code(), "no_alert");
    assert_eq!(desk.program_of("sun", Role::Installer, &[]).get(&one).await.code(), "wrong_role");
    assert_eq!(desk.client.get(&one).await.code(), "unauthorized");
    let not_one = member.send_bytes(Method::POST, &path, b"<svg/>".to_vec()).await;
    assert_eq!((not_one.status, not_one.code().as_str()), (StatusCode::UNPROCESSABLE_ENTITY, "no_picture"));
    let large = member.send_bytes(Method::POST, &path, vec![0; (2 << 20) + 1]).await;
    assert_eq!((large.status, large.code().as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "too_large"));

    let act = async |verb: &str, body: Value| member.post(&format!("/api/v1/alerts/{id}/{verb}"), &body).await;
    act("accept", json!({})).await;
    act("dispatch", json!({"to": "王敏"})).await;
    assert_eq!(act("handle", json!({"photos": ["0a"]})).await.code(), "no_photo");
    assert_eq!(act("accept", json!({"photos": [photo["id"]]})).await.code(), "bad_request");
    assert_eq!(act("handle", json!({"id": "h1", "photos": [photo["id"]]})).await.status, StatusCode::OK);
    let record = desk.program().get(&format!("/api/v1/alerts/{id}")).await.json();
    assert_eq!((&record["photos"][0]["action"], &record["photos"][0]["by"]), (&json!("h1"), &json!("zhao")));
    let (entries, _) =
        audit::read(desk.data_dir(), &Wanted { what: Some("photo".into()), limit: 99, ..Wanted::default() }).unwrap();
    let noted: Vec<_> = entries.iter().map(|entry| (&*entry.who, &*entry.what, &*entry.result)).collect();
    assert!(noted.contains(&("duty", "photo.look", "ok")) && noted.contains(&("zhao", "photo.add", "ok")), "{noted:?}");
}

#[tokio::test]
async fn a_residents_photo_comes_with_the_matter_and_only_for_a_while() {
    let desk = Desk::open(sample::registry());
    let code = code(&desk, GRID).await;
    let ticket = report(&desk, &code, "1").await.json()["ticket"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/matters/{ticket}/photos");
    let sent = desk.client.send_bytes(Method::POST, &path, JPEG.to_vec()).await;
    assert_eq!((sent.status, &sent.json()["photos"]), (StatusCode::CREATED, &json!(1)));
    let id = only_alert(&desk.program()).await["id"].as_str().unwrap().to_owned();
    let record = desk.program().get(&format!("/api/v1/alerts/{id}")).await.json();
    assert_eq!(record["photos"][0]["by"], Value::Null);
    assert_eq!(
        desk.client.send_bytes(Method::POST, "/api/v1/matters/0/photos", JPEG.to_vec()).await.code(),
        "no_ticket"
    );
}

#[tokio::test]
async fn a_record_is_whole_for_those_who_go_there_masked_in_lists_and_not_there_for_others() {
    let desk = Desk::open(sample::registry());
    let record = json!({
        "place": "home-yang", "name": "杨秀英", "phone": "13987654321", "needs": ["hearing"],
        "contacts": [{"name": "杨梅", "relation": "女儿", "phone": "13700000001"}], "devices": ["home-yang-sos"],
    });
    let admin = desk.program();
    let added = admin.post("/api/v1/residents", &record).await;
    assert_eq!(added.status, StatusCode::CREATED, "{}", added.text());
    let id = added.json()["id"].as_str().unwrap().to_owned();
    for (field, value) in
        [("place", json!("nowhere")), ("phone", json!("x")), ("devices", json!(["school-smoke"])), ("name", json!(""))]
    {
        let mut wrong = record.clone();
        wrong[field] = value;
        let answer = admin.post("/api/v1/residents", &wrong).await;
        assert!(answer.code() == "bad_request" && answer.json()["detail"].as_str().unwrap().contains(field));
    }
    let grid = sample::registry().place("home-yang").unwrap().grid.clone();
    let other = if grid == "kaili-1" { "kaili-2" } else { "kaili-1" };
    let (mine, elsewhere) =
        (desk.program_of("zhao", Role::GridMember, &[&grid]), desk.program_of("qian", Role::GridMember, &[other]));
    let whole = mine.get("/api/v1/places/home-yang/residents").await.json();
    assert_eq!(whole["residents"][0]["phone"], "13987654321");
    assert_eq!(mine.get("/api/v1/residents").await.json()["residents"][0]["phone"], "*******4321");
    assert_eq!(elsewhere.get("/api/v1/places/home-yang/residents").await.code(), "no_place");
    assert!(elsewhere.get("/api/v1/residents").await.json()["residents"].as_array().unwrap().is_empty());
    let duty = desk.program_of("li", Role::Duty, &[]);
    assert_eq!(duty.post("/api/v1/residents", &record).await.code(), "wrong_role");
    assert_eq!(desk.program_of("sun", Role::Installer, &[]).get("/api/v1/residents").await.code(), "wrong_role");

    let mut left = record.clone();
    left["left_at_ms"] = json!(1);
    assert_eq!(admin.send(Method::PUT, &format!("/api/v1/residents/{id}"), Some(&left)).await.status, StatusCode::OK);
    assert!(mine.get("/api/v1/places/home-yang/residents").await.json()["residents"].as_array().unwrap().is_empty());
    assert_eq!(admin.get("/api/v1/retention").await.json()["rules"][2]["held"], 1);
    assert_eq!(
        admin.send(Method::DELETE, &format!("/api/v1/residents/{id}"), None).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(admin.send(Method::DELETE, &format!("/api/v1/residents/{id}"), None).await.code(), "no_resident");
    let retention = admin.get("/api/v1/retention").await.json();
    assert_eq!(
        (&retention["rules"][2]["held"], &retention["proofs"][0]["what"]),
        (&json!(0), &json!("1 residents (asked for)"))
    );
    let (entries, _) =
        audit::read(desk.data_dir(), &Wanted { what: Some("resident".into()), limit: 99, ..Wanted::default() })
            .unwrap();
    assert!(
        entries.iter().any(|entry| entry.what == "resident.look" && entry.of == "home-yang" && entry.who == "zhao")
    );
    assert!(!entries.iter().any(|entry| entry.of.contains("杨")), "the log itself says no names");
}

#[tokio::test]
async fn a_posters_code_is_a_picture_that_leads_to_the_page() {
    let desk = Desk::open(sample::registry());
    code(&desk, GRID).await;
    let path = format!("/api/v1/grids/{GRID}/code.svg?origin=");
    let svg = desk.program().get(&format!("{path}https://192.168.1.10:8443")).await;
    assert_eq!(svg.header("content-type"), "image/svg+xml");
    assert!(svg.text().starts_with("<svg ") && svg.text().matches('M').count() > 200);
    assert_eq!(desk.program().get(&format!("{path}https://a/b")).await.code(), "bad_request");
    let member = desk.program_of("zhao", Role::GridMember, &["kaili-2"]);
    assert_eq!(member.get(&format!("{path}https://a")).await.code(), "no_grid");
    assert_eq!(member.post(&format!("/api/v1/grids/{GRID}/code"), &json!({})).await.code(), "wrong_role");
}
