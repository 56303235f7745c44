//! Staff carry an alert through its life over the API.

use axum::http::StatusCode;
use serde_json::json;

use ninewatch_core::alert::{Scene, Severity};

use super::desk::{Desk, text};
use super::sample;
use crate::clock::Clock;
use crate::console::Role;

fn raise(desk: &Desk) -> String {
    let finding = sample::finding(
        "home-wu-sos",
        "sos",
        Scene::ElderCare,
        Severity::Critical,
        text("一键求助", "SOS pressed"),
        text("床头按钮被按下", "The button at the bed was pressed"),
    );
    let changes = desk.played.lock().unwrap().raise(finding, Clock::System.now_ms());
    changes[0].alert.id.to_string()
}

#[tokio::test]
async fn a_whole_life_and_what_stands_in_it() {
    let desk = Desk::open(sample::registry());
    let id = raise(&desk);
    let browser = desk.browser().await;
    let act = async |verb: &str, body| browser.post(&format!("/api/v1/alerts/{id}/{verb}"), &body).await;

    let accepted = act("accept", json!({})).await.json();
    assert_eq!((&accepted["outcome"], &accepted["again"]), (&json!("applied"), &json!(false)));
    assert_eq!((&accepted["alert"]["status"], &accepted["alert"]["accepted_by"]), (&json!("accepted"), &json!("duty")));
    act("dispatch", json!({"to": " 第 1 网格 · 李强 ", "note": "请带上氧气"})).await;
    act("handle", json!({"note": "老人平安"})).await;
    let closed = act("close", json!({"verdict": "true_alarm"})).await.json();
    assert_eq!((&closed["alert"]["status"], &closed["alert"]["verdict"]), (&json!("closed"), &json!("true_alarm")));

    let record = browser.get(&format!("/api/v1/alerts/{id}")).await.json();
    assert_eq!(record["alert"]["dispatched_to"], "第 1 网格 · 李强");
    let life: Vec<_> = record["life"].as_array().unwrap().iter().map(|step| step["kind"].as_str().unwrap()).collect();
    assert_eq!(life, ["raised", "accepted", "dispatched", "handled", "closed"]);
    assert_eq!(record["life"][2]["note"], "请带上氧气");
    assert_eq!(record["life"][3]["by"], "duty");
    assert_eq!(record["evidence"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_the_life_does_not_allow_is_answered_with_the_way_out() {
    let desk = Desk::open(sample::registry());
    let id = raise(&desk);
    let program = desk.program();
    let act = async |verb: &str, body| program.post(&format!("/api/v1/alerts/{id}/{verb}"), &body).await;

    let early = act("handle", json!({})).await;
    assert_eq!((early.status, early.code().as_str()), (StatusCode::CONFLICT, "wrong_status"));
    assert_eq!(early.json()["mend"], "dispatch somebody first");
    for (verb, body, word) in [
        ("dispatch", json!({}), "`to` is missing"),
        ("dispatch", json!({"to": "  "}), "`to` is not a line of text"),
        ("dispatch", json!({"to": "a\nb"}), "`to` is not a line of text"),
        ("dispatch", json!({"to": "x".repeat(201)}), "`to` is not a line of text"),
        ("close", json!({}), "`verdict` is missing"),
        ("close", json!({"verdict": "maybe"}), "maybe"),
        ("accept", json!({"to": "li"}), "`to` is not for accept"),
        ("handle", json!({"verdict": "test"}), "`verdict` is not for handle"),
        ("handle", json!({"note": "x".repeat(2001)}), "`note` is too long"),
        ("undo", json!({}), "`action` is missing"),
        ("undo", json!({"action": "a", "to": "li"}), "`to` is not for undo"),
        ("accept", json!({"action": "a"}), "`action` is not for accept"),
        ("note", json!({"note": " "}), "`note` is missing"),
        ("accept", json!({"id": ""}), "`id` is not a line of text"),
        ("accept", json!({"by": "somebody-else"}), "by"),
    ] {
        let answer = act(verb, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{verb}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(word), "{}", answer.text());
    }
    assert_eq!(act("applaud", json!({})).await.code(), "no_verb");
    let nowhere = program.post("/api/v1/alerts/nope/accept", &json!({})).await;
    assert_eq!((nowhere.status, nowhere.code().as_str()), (StatusCode::NOT_FOUND, "not_open"));
    assert_eq!(program.get("/api/v1/alerts/nope").await.code(), "no_alert");
    let record = program.get(&format!("/api/v1/alerts/{id}")).await.json();
    assert_eq!(record["life"].as_array().unwrap().len(), 1, "nothing of this counted");
}

#[tokio::test]
async fn the_same_action_twice_counts_once() {
    let desk = Desk::open(sample::registry());
    let id = raise(&desk);
    let program = desk.program();
    let path = format!("/api/v1/alerts/{id}/accept");
    let tap = async |id: &str| {
        let answer = program.post(&path, &json!({"id": id})).await.json();
        (answer["outcome"].clone(), answer["again"].clone())
    };
    assert_eq!(tap("tap-1").await, (json!("applied"), json!(false)));
    assert_eq!(tap("tap-1").await, (json!("applied"), json!(true)));
    // Another who accepts it too is told so, and it stands in the life.
    assert_eq!(tap("tap-2").await, (json!("already"), json!(false)));
    let life = program.get(&format!("/api/v1/alerts/{id}")).await.json()["life"].clone();
    let kinds: Vec<_> = life.as_array().unwrap().iter().map(|step| step["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["raised", "accepted", "noted"]);
    assert_eq!(life[2]["action"]["verb"], "accept");
}

#[tokio::test]
async fn nobody_closes_over_what_they_have_not_seen() {
    let desk = Desk::open(sample::registry());
    let id = raise(&desk);
    let program = desk.program();
    let path = |verb: &str| format!("/api/v1/alerts/{id}/{verb}");
    program.post(&path("accept"), &json!({})).await;
    assert_eq!(raise(&desk), id, "pressed once more");
    let close = |upon: u64| json!({"verdict": "test", "upon": upon});
    let blind = program.post(&path("close"), &close(2)).await;
    assert_eq!((blind.status, blind.code().as_str()), (StatusCode::CONFLICT, "unseen"));
    assert_eq!(blind.json()["mend"], "look at what was found, then close it again");
    assert_eq!(program.post(&path("close"), &close(3)).await.json()["alert"]["status"], "closed");
}

#[tokio::test]
async fn who_did_it_takes_it_back_and_nobody_else_does() {
    let desk = Desk::open(sample::registry());
    let id = raise(&desk);
    let (li, zhang) = (desk.program_of("li", Role::Duty, &[]), desk.program_of("zhang", Role::Duty, &[]));
    let path = |verb: &str| format!("/api/v1/alerts/{id}/{verb}");
    li.post(&path("accept"), &json!({"id": "a-1"})).await;
    let undo = json!({"id": "a-2", "action": "a-1"});
    let theirs = zhang.post(&path("undo"), &undo).await;
    assert_eq!((theirs.status, theirs.code().as_str()), (StatusCode::CONFLICT, "not_yours"));
    let nothing = li.post(&path("undo"), &json!({"action": "a-9"})).await;
    assert_eq!((nothing.status, nothing.code().as_str()), (StatusCode::NOT_FOUND, "no_action"));
    let undone = li.post(&path("undo"), &undo).await.json();
    assert_eq!((&undone["outcome"], &undone["alert"]["status"]), (&json!("applied"), &json!("raised")));
    zhang.post(&path("accept"), &json!({"note": "我来"})).await;
    li.post(&path("note"), &json!({"note": " 家属电话 139…，已告知 "})).await;
    let record = li.get(&format!("/api/v1/alerts/{id}")).await.json();
    assert_eq!((&record["alert"]["status"], &record["alert"]["accepted_by"]), (&json!("accepted"), &json!("zhang")));
    let steps: Vec<_> = record["life"].as_array().unwrap().iter().map(|step| step["kind"].clone()).collect();
    assert_eq!(steps, ["raised", "accepted", "undone", "accepted", "annotated"]);
    assert_eq!(
        (&record["life"][2]["action"]["undoes"], &record["life"][4]["note"]),
        (&json!("a-1"), &json!("家属电话 139…，已告知"))
    );
    // What was taken back counts for nobody.
    let now = Clock::System.now_ms();
    let shift = format!("/api/v1/report?from_ms={}&to_ms={}", now - 3_600_000, now + 3_600_000);
    let people = li.get(&shift).await.json()["people"].clone();
    assert_eq!((&people["li"]["accepted"], &people["zhang"]["accepted"]), (&json!(0), &json!(1)));
}
