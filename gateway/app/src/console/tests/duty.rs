//! The roster over the API, as far as each role sees it, and drills.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::Client;
use super::desk::Desk;
use super::sample;
use crate::audit::{self, Wanted};
use crate::console::Role;

const ROSTER: &str = "/api/v1/roster";

async fn version(client: &Client) -> Value {
    client.get(ROSTER).await.json()["version"].clone()
}

/// Two grid members and an officer.
async fn fill(desk: &Desk, client: &Client) -> StatusCode {
    let person = |id: &str, phone: &str| json!({"id": id, "name": id, "phone": phone, "wecom": format!("W{id}")});
    let shift = |title: &str, grids: Value, who: &str| json!({"title": title, "grids": grids, "people": [who]});
    let body = json!({
        "version": version(&desk.program()).await,
        "people": [person("zhao", "13800138000"), person("qian", "13900139000"), person("sun", "13700137000")],
        "shifts": [
            shift("grid_member", json!(["kaili-1"]), "zhao"),
            shift("grid_member", json!(["kaili-2"]), "qian"),
            shift("duty_officer", json!([]), "sun"),
        ],
        "swaps": [{"from": "2026-10-01", "to": "2026-10-03", "off": "zhao", "on": "qian"}],
    });
    client.send(Method::PUT, ROSTER, Some(&body)).await.status
}

fn names(roster: &Value) -> Vec<&str> {
    roster["people"].as_array().unwrap().iter().map(|person| person["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn each_role_sees_of_the_roster_what_it_is_for() {
    let desk = Desk::open(sample::registry());
    let officer = desk.program_of("li", Role::Duty, &[]);
    let member = desk.program_of("zhao", Role::GridMember, &["kaili-1"]);
    let installer = desk.program_of("fitter", Role::Installer, &[]);
    assert_eq!(fill(&desk, &member).await, StatusCode::FORBIDDEN);
    assert_eq!(fill(&desk, &officer).await, StatusCode::OK);

    let all = officer.get(ROSTER).await.json();
    assert_eq!(names(&all), ["zhao", "qian", "sun"]);
    assert_eq!(all["people"][0]["wecom"], "Wzhao");
    assert_eq!(all["on_duty"].as_array().unwrap().len(), 3);

    let own = member.get(ROSTER).await.json();
    assert_eq!(names(&own), ["zhao", "sun"], "whom to call in the own grid");
    assert_eq!(own["people"][0], json!({"id": "zhao", "name": "zhao", "phone": "13800138000"}));
    assert!(own["watches"].as_array().unwrap().iter().all(|watch| watch["grid"] != "kaili-2"));

    let bare = installer.get(ROSTER).await.json();
    assert_eq!(bare["people"][1], json!({"id": "qian", "name": "qian"}));
    // Looks at telephone numbers are noted, as the change is.
    let noted = || audit::read(desk.data_dir(), &Wanted { limit: 99, ..Wanted::default() }).unwrap().0;
    let of = |who: &str, what: &str| noted().iter().filter(|entry| entry.who == who && entry.what == what).count();
    assert_eq!(of("li", "roster.change"), 1);
    desk.audit.note(audit::Deed::of_the_gateway("gateway.start", "look".into()), audit::Importance::Action).await;
    assert_eq!((of("zhao", "roster.look"), of("fitter", "roster.look")), (1, 0));
}

#[tokio::test]
async fn what_is_wrong_in_a_roster_is_said_and_changes_nothing() {
    let desk = Desk::open(sample::registry());
    let program = desk.program();
    assert_eq!(fill(&desk, &program).await, StatusCode::OK);
    let before = program.get(ROSTER).await.json();
    let put = async |version: &Value, people: Value, shifts: Value| {
        let body = json!({"version": version, "people": people, "shifts": shifts, "swaps": []});
        program.send(Method::PUT, ROSTER, Some(&body)).await
    };
    let unknown = put(&before["version"], json!([]), json!([{"title": "guard", "people": ["nobody"]}])).await;
    assert_eq!((unknown.status, unknown.code().as_str()), (StatusCode::BAD_REQUEST, "bad_request"));
    assert!(unknown.text().contains("there is no person `nobody`"), "{}", unknown.text());
    let hours = json!([{"title": "guard", "hours": "8-20", "people": []}]);
    assert!(put(&before["version"], json!([]), hours).await.text().contains("are not hours of a day"));
    assert_eq!(put(&json!("old"), json!([]), json!([])).await.code(), "roster_changed");
    let file = desk.data_dir().join(crate::duty::ROSTER);
    std::fs::write(file, "[[person]").unwrap();
    assert_eq!(put(&before["version"], json!([]), json!([])).await.code(), "roster_broken");
    let after = program.get(ROSTER).await.json();
    assert!(after["version"].is_null() && after["faults"][0].as_str().unwrap().contains("roster.toml:1"), "{after}");
    assert_eq!(after["people"], before["people"], "the former one goes on");
}

#[tokio::test]
async fn a_drill_is_begun_at_the_desk_and_stands_apart_in_report_and_sheet() {
    let desk = Desk::open(sample::registry());
    let (program, member) = (desk.program(), desk.program_of("zhao", Role::GridMember, &["kaili-1"]));
    let begin = async |body: Value| program.post("/api/v1/drills", &body).await;
    assert_eq!(begin(json!({"place": "school", "severity": "grave"})).await.code(), "bad_request");
    assert_eq!(member.post("/api/v1/drills", &json!({"place": "school"})).await.code(), "wrong_role");
    let begun = begin(json!({"place": "school", "note": "季度演练"})).await.json()["alert"].clone();
    assert_eq!(
        (&begun["drill"], &begun["severity"], &begun["group"]),
        (&json!(true), &json!("critical"), &json!("drill"))
    );
    assert_eq!(begin(json!({"place": "school"})).await.code(), "drill_open");

    let id = begun["id"].as_str().unwrap();
    let seen = member.get(&format!("/api/v1/alerts/{id}")).await.json();
    assert_eq!((&seen["life"][0]["by"], &seen["life"][0]["note"]), (&json!("duty"), &json!("季度演练")));
    let rungs = seen["ladder"]["rungs"].as_array().unwrap();
    assert_eq!((rungs.len(), &rungs[1]["at_ms"]), (4, &begun["next_rung_at_ms"]));
    member.post(&format!("/api/v1/alerts/{id}/accept"), &json!({})).await;

    let now = begun["raised_at_ms"].as_i64().unwrap();
    let report = program.get(&format!("/api/v1/report?from_ms={}&to_ms={}", now - 1000, now + 86_400_000)).await.json();
    assert_eq!((&report["severities"], &report["people"], &report["devices"]), (&json!({}), &json!({}), &json!([])));
    let drill = &report["drills"][0];
    assert!(drill["accepted_ms"].is_i64() && drill["told_ms"].is_null() && drill["rungs"] == 0, "{drill}");
    let sheet = program.get("/api/v1/alerts.csv").await;
    assert!(sheet.text().lines().nth(1).unwrap().ends_with(",drill"), "{}", sheet.text());
}
