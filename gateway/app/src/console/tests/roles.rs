//! Everybody gets what the role is for, and nothing else.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use ninewatch_core::alert::{Scene, Severity};

use super::client::Client;
use super::desk::{Desk, text};
use super::{doors, sample, schema};
use crate::clock::Clock;
use crate::console::{Role, accounts};

const ROLES: [Role; 5] = [Role::Duty, Role::GridMember, Role::Installer, Role::Integrator, Role::Admin];
/// Of the sample's places `school` is in the first and `workshop` in the second.
const GRID: &str = "kaili-1";

fn of_each_role(desk: &Desk) -> Vec<(Role, Client)> {
    let grids = |role| if role == Role::GridMember { [GRID].as_slice() } else { &[] };
    ROLES.iter().map(|role| (*role, desk.program_of(&format!("a-{}", role.word()), *role, grids(*role)))).collect()
}

/// An alert at a place; gives its id.
fn raise(desk: &Desk, device: &str) -> String {
    let mut played = desk.played.lock().unwrap();
    let (title, reason) = (text("一键求助", "SOS pressed"), text("按钮被按下", "The button was pressed"));
    let finding = sample::finding(device, "sos", Scene::ElderCare, Severity::Critical, title, reason);
    let changes = played.raise(finding, Clock::System.now_ms());
    changes[0].alert.id.to_string()
}

#[tokio::test]
async fn every_route_lets_the_roles_that_the_description_names_and_no_other() {
    let desk = Desk::open(sample::registry());
    raise(&desk, "school-smoke");
    let accounts = of_each_role(&desk);
    let mut refused = 0;
    for (method, template, path) in doors::walk(&desk) {
        if schema::is_open(&method, template) {
            continue;
        }
        let verbs = if template.ends_with("{verb}") {
            &["accept", "dispatch", "handle", "close", "undo", "note"][..]
        } else {
            &["accept"]
        };
        for verb in verbs {
            let path = path.replace("/accept", &format!("/{verb}"));
            let roles = schema::roles(&method, template, verb);
            assert!(!roles.is_empty(), "{method} {path} names no role");
            assert_eq!(desk.client.status(method.clone(), &path).await, StatusCode::UNAUTHORIZED, "{method} {path}");
            for (role, client) in &accounts {
                if roles.iter().any(|one| one == role.word()) {
                    let status = client.status(method.clone(), &path).await;
                    let shut = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS];
                    assert!(!shut.contains(&status), "{method} {path} is shut to {role:?}: {status}");
                } else {
                    let answer = client.send(method.clone(), &path, None).await;
                    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path} is open to {role:?}");
                    assert_eq!(answer.code(), "wrong_role");
                    for word in ["kaili", "school", "SOS"] {
                        assert!(!answer.text().contains(word), "{method} {path} tells {role:?} of {word}");
                    }
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 20, "only {refused} refusals were seen");
}

/// Written by hand: were the table and the description wrong together, this is not.
#[tokio::test]
async fn the_roles_are_what_they_are_for() {
    let desk = Desk::open(sample::registry());
    let id = raise(&desk, "school-smoke");
    let accounts = of_each_role(&desk);
    let alert = format!("/api/v1/alerts/{id}");
    let [see, close, raw] = [alert.clone(), format!("{alert}/close"), "/api/v1/devices/school-smoke/downlink".into()];
    for (role, client) in accounts {
        let lets = async |method: Method, path: &str| client.status(method, path).await != StatusCode::FORBIDDEN;
        let may = (lets(Method::GET, &see).await, lets(Method::POST, &close).await, lets(Method::POST, &raw).await);
        let expected = match role {
            Role::Duty => (true, true, false),
            Role::GridMember => (true, false, false),
            Role::Installer | Role::Integrator => (false, false, true),
            Role::Admin => (true, true, true),
        };
        assert_eq!(may, expected, "{role:?}");
    }
}

fn ids(answer: &Value, list: &str) -> Vec<String> {
    answer[list].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_grid_member_finds_what_is_in_the_grid_and_the_rest_is_not_there() {
    let desk = Desk::open(sample::registry());
    let (mine, other) = (raise(&desk, "school-smoke"), raise(&desk, "workshop-smoke"));
    let member = desk.program_of("zhao", Role::GridMember, &[GRID]);
    let duty = desk.program_of("li", Role::Duty, &[]);

    let alerts =
        async |client: &Client, query: &str| ids(&client.get(&format!("/api/v1/alerts{query}")).await.json(), "alerts");
    assert_eq!(alerts(&duty, "").await.len(), 2);
    assert_eq!(alerts(&member, "").await, [mine.as_str()]);
    assert_eq!(alerts(&member, "?place=workshop").await, [""; 0]);
    assert_eq!(alerts(&member, "?says=SOS").await, [mine.as_str()]);
    assert_eq!(alerts(&member, "?open=true&limit=1").await, [mine.as_str()], "a page is full of what may be seen");

    let sheet = async |client: &Client| client.get("/api/v1/alerts.csv").await.text().to_owned();
    assert!(sheet(&duty).await.contains(&mine) && sheet(&duty).await.contains(&other));
    assert!(sheet(&member).await.contains(&mine) && !sheet(&member).await.contains("workshop"));
    let since = Clock::System.now_ms() - 60_000;
    let shift = format!("/api/v1/report?from_ms={since}&to_ms={}", since + 3_600_000);
    let raised = async |client: &Client| client.get(&shift).await.json()["severities"]["critical"]["raised"].clone();
    assert_eq!((raised(&duty).await, raised(&member).await), (json!(2), json!(1)));
    assert!(!member.get(&shift).await.text().contains("workshop"));

    for list in ["places", "devices"] {
        let path = format!("/api/v1/{list}");
        let (seen, all) = (member.get(&path).await.json(), duty.get(&path).await.json());
        assert!(seen[list].as_array().unwrap().len() < all[list].as_array().unwrap().len());
        assert!(ids(&seen, list).iter().any(|id| id.starts_with("school")));
        assert!(!seen.to_string().contains("workshop") && !seen.to_string().contains("kaili-2"), "{seen}");
    }

    let path = |id: &str, verb: &str| format!("/api/v1/alerts/{id}{verb}");
    assert_eq!(member.get(&path(&mine, "")).await.status, StatusCode::OK);
    assert_eq!(member.get(&path(&other, "")).await.code(), "no_alert");
    assert_eq!(member.post(&path(&other, "/accept"), &json!({})).await.code(), "no_alert");
    assert_eq!(duty.get(&path(&other, "")).await.json()["alert"]["status"], "raised", "and nothing has happened to it");
    assert_eq!(member.post(&path(&mine, "/accept"), &json!({})).await.status, StatusCode::OK);
}

#[tokio::test]
async fn no_route_shows_a_grid_member_another_grid() {
    let desk = Desk::open(sample::registry());
    desk.played.lock().unwrap().devices = sample::statuses(&sample::registry(), Clock::System.now_ms());
    let other = raise(&desk, "workshop-smoke");
    let member = desk.program_of("zhao", Role::GridMember, &[GRID]);
    let duty = desk.program_of("li", Role::Duty, &[]);
    let since = Clock::System.now_ms() - 60_000;
    let (mut seen_by_duty, mut hidden) = (0, 0);
    for (method, template, path) in doors::walk(&desk) {
        // The feed has no end; what it tells is the next test's.
        let is_for_members = schema::roles(&method, template, "accept").iter().any(|role| role == "grid_member");
        if !is_for_members || template.ends_with("/events") || method == Method::DELETE {
            continue;
        }
        let id = match template.split('/').nth(3) {
            Some("devices") => "workshop-smoke",
            Some("places") => "workshop",
            Some("grids") => "kaili-2",
            _ => &other,
        };
        let path = path.replace("01KAQW3E5S0000000000000000", id);
        let path = match template.rsplit('/').next() {
            Some("report" | "readings") => format!("{path}?from_ms={since}&to_ms={}", since + 3_600_000),
            Some("code.svg") => format!("{path}?origin=https://gateway.local"),
            _ => path,
        };
        let body = if template.ends_with("/answer") { json!({"text": "已处理"}) } else { json!({}) };
        let body = (method != Method::GET).then_some(body);
        let answer = member.send(method.clone(), &path, body.as_ref()).await;
        let tells = |text: &str| ["kaili-2", "银饰作坊", "workshop-smoke"].iter().any(|word| text.contains(word));
        if template.contains("{id}") {
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {template}");
            hidden += 1;
        } else {
            assert!(!tells(answer.text()), "{method} {template} tells of another grid");
            seen_by_duty += usize::from(tells(duty.send(method, &path, body.as_ref()).await.text()));
        }
    }
    assert!(hidden >= 2, "only {hidden} routes of one thing were tried");
    assert!(seen_by_duty >= 4, "only {seen_by_duty} lists have what is hidden");
}

#[tokio::test]
async fn a_grid_member_hears_of_the_grid_only_as_it_happens_and_of_what_was_missed() {
    let desk = Desk::open(sample::registry());
    raise(&desk, "workshop-smoke");
    raise(&desk, "school-smoke");
    let mut feed = desk.program_of("zhao", Role::GridMember, &[GRID]).listen("?from=1").await;
    assert_eq!(feed.next().await.unwrap().name, "hello");
    assert_eq!(feed.seq().await, 2, "from the log");
    raise(&desk, "workshop-power");
    raise(&desk, "school-power");
    assert_eq!(feed.seq().await, 4, "as it happens");
    // With another role the feed ends; who comes back gets what that one may see.
    accounts::edit(desk.data_dir(), |list| list.set_role("zhao", Role::Installer, &[])).unwrap();
    assert!(feed.next().await.is_none());
}

#[tokio::test]
async fn another_role_is_in_force_at_once() {
    let desk = Desk::open(sample::registry());
    let password = accounts::edit(desk.data_dir(), |list| list.add("li", Role::Duty, &[])).unwrap();
    let browser = desk.client.browser("li", password.shown()).await;
    let session = browser.get("/api/v1/session").await.json();
    let may = |session: &Value, what: &str| session["may"].as_array().unwrap().iter().any(|one| one == what);
    assert_eq!((&session["role"], &session["grids"]), (&json!("duty"), &json!([])));
    assert!(may(&session, "POST /api/v1/alerts/{id}/{verb}"));
    let grids = vec![GRID.to_owned()];
    accounts::edit(desk.data_dir(), |list| list.set_role("li", Role::GridMember, &grids)).unwrap();
    let session = browser.get("/api/v1/session").await.json();
    assert_eq!((&session["role"], &session["grids"]), (&json!("grid_member"), &json!([GRID])));
    assert!(!may(&session, "POST /api/v1/alerts/{id}/{verb}") && may(&session, "POST /api/v1/alerts/{id}/accept"));
}

#[tokio::test]
async fn who_puts_devices_up_sees_that_they_report_and_not_what_they_report_of_people() {
    let desk = Desk::open(sample::registry());
    desk.played.lock().unwrap().devices = sample::statuses(&sample::registry(), Clock::System.now_ms());
    raise(&desk, "home-wu-sos");
    let device = |answer: &Value, id: &str| {
        answer["devices"].as_array().unwrap().iter().find(|device| device["id"] == id).unwrap().clone()
    };
    let admin = desk.program().get("/api/v1/devices").await.json();
    assert_ne!(device(&admin, "home-wu-bracelet")["values"], json!([]));
    for role in [Role::Installer, Role::Integrator] {
        let client = desk.program_of(role.word(), role, &[]);
        let devices = client.get("/api/v1/devices").await.json();
        for id in ["home-wu-bracelet", "home-long-gas", "netbar-camera"] {
            let device = device(&devices, id);
            assert_eq!((&device["values"], &device["person"]), (&json!([]), &Value::Null), "{id}");
        }
        assert_ne!(device(&devices, "home-wu-bracelet")["seen_ms"], Value::Null);
        assert_ne!(device(&devices, "restaurant-gas")["values"], json!([]));
        let places = client.get("/api/v1/places").await.json();
        assert!(places["places"].as_array().unwrap().iter().all(|place| place["open_alerts"] == 0));
    }
}
