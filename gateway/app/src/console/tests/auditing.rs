//! Every look at people's data and every action is in the audit log, before anybody has the answer.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

use ninewatch_core::alert::{Scene, Severity};

use super::client::Client;
use super::desk::{Desk, text};
use super::sample;
use crate::audit::{self, Wanted};
use crate::clock::Clock;
use crate::console::Role;

fn raise(desk: &Desk, device: &str) -> String {
    let (title, reason) = (text("一键求助", "SOS pressed"), text("按钮被按下", "The button was pressed"));
    let finding = sample::finding(device, "sos", Scene::ElderCare, Severity::Critical, title, reason);
    desk.played.lock().unwrap().raise(finding, Clock::System.now_ms())[0].alert.id.to_string()
}

/// What is on the disk, as (who, what, of, result); the log has to be whole. A look is written beside its answer: what was
/// noted after it comes behind it.
async fn noted(desk: &Desk) -> Vec<[String; 4]> {
    let waits = audit::Deed::of_the_gateway("gateway.start", "look".into());
    desk.audit.note(waits, audit::Importance::Action).await;
    audit::verify(desk.data_dir(), None).unwrap();
    let (entries, _) = audit::read(desk.data_dir(), &Wanted { limit: 1000, ..Wanted::default() }).unwrap();
    let of_people = entries.into_iter().filter(|entry| entry.who != "gateway");
    of_people.map(|entry| [entry.who, entry.what, entry.of, entry.result]).collect()
}

fn row(who: &str, what: &str, of: &str, result: &str) -> [String; 4] {
    [who, what, of, result].map(str::to_owned)
}

#[tokio::test]
async fn every_action_is_noted_with_what_came_of_it() {
    let desk = Desk::open(sample::registry());
    let id = raise(&desk, "home-wu-sos");
    let member = desk.program_of("zhao", Role::GridMember, &["kaili-2"]);
    let act = async |verb: &str, body: Value| member.post(&format!("/api/v1/alerts/{id}/{verb}"), &body).await.status;
    assert_eq!(act("accept", json!({})).await, StatusCode::OK);
    // On the disk when it is answered, without waiting for anything else.
    let (entries, _) = audit::read(desk.data_dir(), &Wanted { limit: 9, ..Wanted::default() }).unwrap();
    assert_eq!(entries.last().unwrap().what, "alert.accept");
    assert_eq!(entries.last().unwrap().from, "127.0.0.1");
    act("handle", json!({})).await;
    act("close", json!({"verdict": "false_alarm"})).await;
    act("clos%65", json!({"verdict": "false_alarm"})).await;
    let expected = [
        row("zhao", "alert.accept", &id, "ok"),
        row("zhao", "alert.handle", &id, "wrong_status"),
        row("zhao", "alert.close", "", "wrong_role"),
        row("zhao", "alert.other", "", "wrong_role"),
    ];
    assert_eq!(noted(&desk).await, expected);
    let siren = desk.program().post("/api/v1/devices/school-smoke/downlink", &json!({"payload": "on"})).await;
    assert_eq!(siren.status, StatusCode::CONFLICT);
    assert_eq!(*noted(&desk).await.last().unwrap(), row("duty", "device.downlink", "school-smoke", "not_listening"));
}

#[tokio::test]
async fn an_action_is_noted_also_where_whoever_did_it_is_gone() {
    let desk = Desk::open(sample::registry());
    let id = raise(&desk, "home-wu-sos");
    let program = desk.program();
    program.get("/api/v1/session").await;
    let held = desk.hold.lock().await;
    let path = format!("/api/v1/alerts/{id}/accept");
    let request = tokio::spawn(async move { program.post(&path, &json!({})).await });
    desk.asked.notified().await;
    request.abort();
    let _ = request.await;
    // The server has time to see that the connection is closed.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    drop(held);
    let accepted = row("duty", "alert.accept", &id, "ok");
    let is_noted = async {
        while !noted(&desk).await.contains(&accepted) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), is_noted).await.expect("nothing was noted");
}

#[tokio::test]
async fn who_looks_at_people_is_noted_and_who_looks_at_pumps_is_not() {
    let desk = Desk::open(sample::registry());
    desk.played.lock().unwrap().devices = sample::statuses(&sample::registry(), Clock::System.now_ms());
    let (home, works) = (raise(&desk, "home-wu-sos"), raise(&desk, "waterworks-hydrant"));
    let program = desk.program();
    program.get("/api/v1/alerts?place=waterworks").await;
    program.get("/api/v1/alerts.csv?place=waterworks").await;
    program.get("/api/v1/report?from_ms=0&to_ms=1").await;
    program.get("/api/v1/rules").await;
    let since = Clock::System.now_ms() - 60_000;
    program.get(&format!("/api/v1/alerts/{works}")).await;
    program.get("/api/v1/models").await;
    program.get("/api/v1/session").await;
    assert_eq!(noted(&desk).await, [[""; 4]; 0]);
    for _ in 0..2 {
        program.get("/api/v1/alerts").await;
        program.get("/api/v1/alerts.csv").await;
        program.get("/api/v1/report?from_ms=0&to_ms=1").await;
        program.get(&format!("/api/v1/report?from_ms={since}&to_ms={}", since + 3_600_000)).await;
        program.get(&format!("/api/v1/alerts/{home}")).await;
        program.get("/api/v1/devices").await;
        program.get("/api/v1/places").await;
        program.status(Method::GET, "/api/v1/events").await;
    }
    let expected = [
        row("duty", "alerts.look", "", "ok"),
        row("duty", "alerts.export", "", "ok"),
        row("duty", "report.look", "", "ok"),
        row("duty", "alert.look", &home, "ok"),
        row("duty", "devices.look", "", "ok"),
        row("duty", "places.look", "", "ok"),
        row("duty", "alerts.listen", "", "ok"),
    ];
    assert_eq!(noted(&desk).await, expected, "an open page that asks again is one look");
    // An installer is shown nothing of what devices report of people; where homes are, yes.
    let installer = desk.program_of("wu", Role::Installer, &[]);
    installer.get("/api/v1/devices").await;
    installer.get("/api/v1/places").await;
    assert_eq!(noted(&desk).await[7..], [row("wu", "places.look", "", "ok")]);
}

#[tokio::test]
async fn log_ins_are_noted_also_refused_ones_and_never_what_was_typed() {
    let desk = Desk::open(sample::registry());
    let browser = desk.browser().await;
    browser.send(Method::DELETE, "/api/v1/session", None).await;
    let log_in = async |account: &str| {
        desk.client.post("/api/v1/session", &json!({"account": account, "password": "Sommer-2026"})).await.code()
    };
    log_in("duty").await;
    log_in("my-password-typed-here").await;
    desk.client.basic("duty", "wrong").get("/api/v1/alerts").await;
    let expected = [
        row("duty", "session.begin", "", "ok"),
        row("duty", "session.end", "", "ok"),
        row("duty", "session.begin", "", "wrong_password"),
        row("?", "session.begin", "", "wrong_password"),
        row("duty", "session.begin", "", "wrong_password"),
    ];
    assert_eq!(noted(&desk).await, expected);
    while log_in("duty").await != "throttled" {}
    log_in("duty").await;
    let throttled = noted(&desk).await.into_iter().filter(|row| row[3] == "throttled").count();
    assert_eq!(throttled, 1, "a flood of tries does not fill the disk");
    let log = std::fs::read_to_string(desk.data_dir().join(audit::LOG)).unwrap();
    for secret in ["Sommer", "my-password", desk.password.as_str()] {
        assert!(!log.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn an_admin_reads_the_log_page_by_page_and_that_is_noted_too() {
    let desk = Desk::open(sample::registry());
    let id = raise(&desk, "home-wu-sos");
    let program: Client = desk.program();
    for verb in ["accept", "handle", "handle", "handle"] {
        program.post(&format!("/api/v1/alerts/{id}/{verb}"), &json!({})).await;
    }
    let page = program.get("/api/v1/audit?what=alert&limit=3").await.json();
    let results = |page: &Value| {
        let entries = page["entries"].as_array().unwrap().iter();
        entries.map(|entry| entry["result"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(results(&page), ["wrong_status"; 3]);
    let next = program.get(&format!("/api/v1/audit?what=alert&limit=3&before={}", page["next_before"])).await.json();
    assert_eq!((results(&next), &next["next_before"]), (vec!["ok".to_owned()], &Value::Null));
    let (seq, _) = next["head"].as_str().unwrap().split_once(':').unwrap();
    assert_eq!(seq.parse::<u64>().unwrap(), audit::verify(desk.data_dir(), None).unwrap().0.seq - 1);
    assert_eq!(noted(&desk).await.last().unwrap()[1], "audit.look");
    let nobody = program.get("/api/v1/audit?who=nobody").await.json();
    assert_eq!(nobody["entries"], json!([]));
    for wrong in ["?limit=0", "?limit=1001", "?colour=red"] {
        assert_eq!(program.get(&format!("/api/v1/audit{wrong}")).await.code(), "bad_request");
    }
}
