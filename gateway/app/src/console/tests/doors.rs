//! Nobody gets in without a credential, and nobody is made to act for another site.

use axum::http::{Method, StatusCode};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::desk::Desk;
use super::{sample, schema};
use crate::console::accounts::{self, AccountList};
use crate::console::{ConsoleState, Role, Shared, rights, routes};
use crate::engine::Engine;

/// Every route there is, with something in place of its parameters.
pub(super) fn walk(desk: &Desk) -> Vec<(Method, &'static str, String)> {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("journal");
    let (_journal, _) = crate::journal::Journal::open(&journal, &crate::config::JournalConfig::default()).unwrap();
    let (index, _) = crate::index::Index::open(&dir.path().join("index"), &journal).unwrap();
    let state = ConsoleState {
        engine: Engine::for_tests().0,
        index,
        journal_dir: journal,
        settings: desk.settings.subscribe(),
        registry: desk.registry.subscribe(),
        counters: Arc::default(),
        accounts: desk.accounts.clone(),
        clock: crate::clock::Clock::System,
        parts: Vec::new(),
        status: Arc::default(),
        models: crate::scorer::Models::new(crate::scorer::Sources::to_check(None, None)),
        downlinks: crate::downlink::Downlinks::default(),
        notify: crate::notify::Notify::default(),
        roster: crate::duty::RosterFile::empty(dir.path()),
        nodes: crate::intake::nodes::Nodes::none(),
        audit: crate::audit::Recorder::open(dir.path(), crate::clock::Clock::System).unwrap(),
        people: super::desk::people(dir.path()),
        upstreams: Vec::new(),
        site_file: None,
        gateway: super::desk::GATEWAY.into(),
        sensor_port: (None, "0.0.0.0:8883".parse().ok()),
        brokers: crate::brokers::Brokers::new(dir.path(), "kaili-01", Vec::new()),
        updates: crate::update::Updates::open(dir.path(), false),
    };
    let (_, list) = routes(Shared::new(state, 0, None));
    let fill = |path: &str| {
        path.replace("{id}", "01KAQW3E5S0000000000000000")
            .replace("{verb}", "accept")
            .replace("{name}", "siren_on")
            .replace("{photo}", "0a")
            .replace("{code}", "0")
            .replace("{ticket}", "0")
            .replace("{device}", "workshop-smoke")
    };
    list.into_iter().map(|(method, path)| (method, path, fill(path))).collect()
}

fn is_open(method: &Method, path: &str) -> bool {
    rights::rule_of(method, path).is_some_and(|rule| rule.lets(None))
}

#[tokio::test]
async fn every_route_is_documented_and_every_documented_one_is_there() {
    let desk = Desk::open(sample::registry());
    let mut there: Vec<(Method, String)> =
        walk(&desk).into_iter().map(|(method, path, _)| (method, path.to_owned())).collect();
    let mut documented = schema::documented();
    for list in [&mut there, &mut documented] {
        list.sort_by_key(|(method, path)| (path.clone(), method.to_string()));
    }
    assert_eq!(there, documented);
    for (method, path) in &documented {
        assert_eq!(schema::is_open(method, path), is_open(method, path), "{method} {path}");
    }
}

#[tokio::test]
async fn every_route_is_shut_to_strangers_and_tells_them_nothing() {
    let desk = Desk::open(sample::registry());
    assert_eq!(desk.program().get("/api/v1/people").await.code(), "no_route");
    let strangers = [
        desk.client.clone(),
        desk.client.basic("duty", "wrong-password"),
        desk.client.basic("nobody", &desk.password),
        desk.client.with("authorization", "Bearer 123"),
        desk.client.with("cookie", format!("ninewatch_{}=00112233", desk.client.address.port())),
    ];
    for (method, template, path) in walk(&desk) {
        for (number, stranger) in strangers.iter().enumerate() {
            if is_open(&method, template) {
                continue;
            }
            let answer = stranger.send(method.clone(), &path, None).await;
            // Guessing gets slow before it gets anywhere.
            let shut = [StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS];
            assert!(shut.contains(&answer.status), "{method} {path} for stranger {number}: {}", answer.status);
            assert!(["unauthorized", "throttled"].contains(&answer.code().as_str()));
            assert_eq!(answer.header("cache-control"), "no-store");
            for word in ["kaili", "school", "alert"] {
                assert!(!answer.text().contains(word), "{method} {path} tells strangers of {word}");
            }
        }
    }
    // Paths that do not exist are as shut as those that do.
    assert_eq!(desk.client.get("/api/v1/people").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(desk.program().get("/api/v1/people").await.code(), "no_route");
    assert_eq!(desk.program().send(Method::PUT, "/api/v1/alerts", None).await.code(), "wrong_method");
}

#[tokio::test]
async fn health_tells_strangers_one_word() {
    let desk = Desk::open(sample::registry());
    assert_eq!(desk.client.get("/api/v1/health").await.json(), json!({"status": "ok"}));
    // A credential that is wrong is not a stranger's: whoever set it up should know.
    let wrong = desk.client.basic("duty", "wrong").get("/api/v1/health").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert!(wrong.header("www-authenticate").starts_with("Basic "));
}

#[tokio::test]
async fn a_browser_logs_in_and_out() {
    let desk = Desk::open(sample::registry());
    let login = json!({"account": "duty", "password": desk.password});
    let answer = desk.client.post("/api/v1/session", &login).await;
    let cookie = answer.header("set-cookie");
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert_eq!(answer.json()["account"], "duty");
    let kept = std::fs::read_to_string(desk.data_dir().join("sessions.json")).unwrap();
    let token = cookie.split(['=', ';']).nth(1).unwrap();
    assert_eq!(token.len(), 64);
    assert!(!kept.contains(token), "the token itself must not be on disk");

    let browser = desk.browser().await;
    assert_eq!(browser.get("/api/v1/session").await.json()["utc_offset"], "+08:00");
    assert_eq!(browser.send(Method::DELETE, "/api/v1/session", None).await.status, StatusCode::NO_CONTENT);
    let after = browser.get("/api/v1/session").await;
    assert_eq!(after.status, StatusCode::UNAUTHORIZED);
    assert!(!after.header("www-authenticate").contains("Basic"), "our pages have a log-in of their own");

    let wrong = desk.client.post("/api/v1/session", &json!({"account": "duty", "password": "x"})).await;
    assert_eq!((wrong.status, wrong.code().as_str()), (StatusCode::UNAUTHORIZED, "wrong_password"));
    assert_eq!(desk.client.post("/api/v1/session", &json!({"account": "duty"})).await.code(), "bad_request");
}

#[tokio::test]
async fn a_session_outlives_the_gateway_but_not_its_password() {
    let desk = Desk::open(sample::registry());
    let browser = desk.browser().await;
    let cookie = browser.headers.iter().find(|(name, _)| *name == "cookie").unwrap().1.clone();
    let port = desk.client.address.port();

    // Another run over the same folder.
    let (accounts, first) = crate::console::Accounts::open(desk.data_dir()).unwrap();
    assert!(first.is_none());
    let again = crate::console::session::Sessions::open(&accounts, port, Instant::now());
    let mut headers = axum::http::HeaderMap::new();
    headers.insert("cookie", cookie.parse().unwrap());
    assert!(again.of(&headers, &accounts, Instant::now()).is_some());
    let idle = Instant::now() + Duration::from_secs(3601);
    assert!(again.of(&headers, &accounts, idle).is_none(), "an hour without use ends it");

    let file = desk.data_dir().join("sessions.json");
    let mut kept: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    kept[0]["opened"]["secs_since_epoch"] = json!(kept[0]["opened"]["secs_since_epoch"].as_u64().unwrap() - 7 * 86_400);
    std::fs::write(&file, kept.to_string()).unwrap();
    let week_old = crate::console::session::Sessions::open(&accounts, port, Instant::now());
    assert!(week_old.of(&headers, &accounts, Instant::now()).is_none(), "so does a week");

    accounts::edit(desk.data_dir(), |list| list.set_password("duty")).unwrap();
    assert_eq!(browser.get("/api/v1/alerts").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_account_added_while_the_gateway_runs_may_log_in_and_a_removed_one_is_out() {
    let desk = Desk::open(sample::registry());
    let password = accounts::edit(desk.data_dir(), |list| list.add("li-4", Role::Duty, &[])).unwrap();
    let li = desk.client.browser("li-4", password.shown()).await;
    let program = desk.client.basic("li-4", password.shown());
    assert_eq!(li.get("/api/v1/session").await.json()["account"], "li-4");
    assert_eq!(program.get("/api/v1/alerts").await.status, StatusCode::OK);
    accounts::edit(desk.data_dir(), |list: &mut AccountList| list.remove("li-4")).unwrap();
    assert_eq!(li.get("/api/v1/alerts").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(program.get("/api/v1/alerts").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_change_with_a_session_must_come_from_our_own_page() {
    let desk = Desk::open(sample::registry());
    let browser = desk.browser().await;
    let cookie = browser.headers.iter().find(|(name, _)| *name == "cookie").unwrap().1.clone();
    let bare = desk.client.with("cookie", cookie);
    let basic = desk.program();
    let foreign = [
        bare.clone(),
        bare.with("origin", "http://evil.example"),
        bare.with("origin", "null"),
        bare.with("sec-fetch-site", "cross-site"),
        bare.with("sec-fetch-site", "same-site"),
        basic.with("origin", "http://evil.example"),
        basic.with("sec-fetch-site", "cross-site"),
    ];
    for (number, client) in foreign.iter().enumerate() {
        let answer = client.post("/api/v1/alerts/01KAQW3E5S0000000000000000/accept", &json!({})).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "cross_site"), "client {number}");
    }
    let log_in = json!({"account": "duty", "password": desk.password});
    let forced = desk.client.with("origin", "http://evil.example").post("/api/v1/session", &log_in).await;
    assert_eq!(forced.code(), "cross_site");
    for own in [browser, bare.with("sec-fetch-site", "same-origin"), basic] {
        let answer = own.post("/api/v1/alerts/01KAQW3E5S0000000000000000/accept", &json!({})).await;
        assert_eq!(answer.code(), "not_open");
    }
}

#[tokio::test]
async fn no_route_does_for_another_site_what_it_does_for_our_own() {
    let desk = Desk::open(sample::registry());
    let browser = desk.browser().await;
    let cookie = browser.headers.iter().find(|(name, _)| *name == "cookie").unwrap().1.clone();
    let bare = desk.client.with("cookie", cookie);
    let foreign = [
        bare.clone(),
        bare.with("origin", "http://evil.example"),
        bare.with("sec-fetch-site", "cross-site"),
        desk.program().with("origin", "http://evil.example"),
    ];
    let mut refused = 0;
    for (method, template, path) in walk(&desk).into_iter().filter(|(method, ..)| method != Method::GET) {
        for (number, client) in foreign.iter().enumerate() {
            let answer = client.send(method.clone(), &path, Some(&json!({}))).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {template} for client {number}");
            assert_eq!(answer.code(), "cross_site", "{method} {template} for client {number}");
            refused += 1;
        }
    }
    assert!(refused > 20, "only {refused} requests were refused");
    assert_eq!(browser.get("/api/v1/session").await.status, StatusCode::OK, "nobody was logged out by them");
}

#[tokio::test]
async fn guessing_is_slowed_down_and_does_not_lock_the_session_out() {
    let desk = Desk::open(sample::registry());
    let browser = desk.browser().await;
    let program = desk.program();
    assert_eq!(program.get("/api/v1/alerts").await.status, StatusCode::OK);
    let wrong = json!({"account": "duty", "password": "guess"});
    let mut refused = 0;
    let answer = loop {
        let answer = desk.client.post("/api/v1/session", &wrong).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            break answer;
        }
        assert_eq!(answer.code(), "wrong_password");
        refused += 1;
        assert!(refused <= 20, "nobody stops the guessing");
    };
    assert_eq!(answer.code(), "throttled");
    assert!((1..=10).contains(&answer.header("retry-after").parse::<u64>().unwrap()));
    // Who is in stays in.
    assert_eq!(browser.get("/api/v1/alerts").await.status, StatusCode::OK);
    assert_eq!(program.get("/api/v1/alerts").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_program_that_comes_by_many_connections_at_once_is_not_taken_for_a_guesser() {
    let desk = Desk::open(sample::registry());
    let asked: Vec<_> = (0..30)
        .map(|_| {
            let program = desk.program();
            tokio::spawn(async move { program.get("/api/v1/session").await.status })
        })
        .collect();
    for answer in asked {
        assert_eq!(answer.await.unwrap(), StatusCode::OK);
    }
}

#[tokio::test]
async fn what_is_too_large_or_no_json_is_refused_in_words() {
    let desk = Desk::open(sample::registry());
    let program = desk.program();
    let path = "/api/v1/alerts/01KAQW3E5S0000000000000000/handle";
    let large = json!({"note": "x".repeat(20_000)});
    assert_eq!(program.post(path, &large).await.code(), "too_large");
    let unmarked = program.send_bytes(Method::POST, path, b"{}".to_vec()).await;
    assert!(unmarked.json()["mend"].as_str().unwrap().contains("Content-Type: application/json"));
    let json = program.with("content-type", "application/json");
    assert_eq!(json.send_bytes(Method::POST, path, b"{\"note\": ".to_vec()).await.code(), "bad_request");
    assert_eq!(json.send_bytes(Method::POST, path, vec![0xff, 0xfe]).await.code(), "bad_request");
}

#[tokio::test]
async fn pages_are_served_to_anybody_with_their_types_and_seals() {
    let desk = Desk::open(sample::registry());
    for (path, media_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/style/base.css", "text/css; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let answer = desk.client.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_eq!(answer.header("content-type"), media_type);
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"));
        assert!(!answer.header("content-security-policy").contains("unsafe"));
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("cache-control"), "no-cache");
        let again = desk.client.with("if-none-match", answer.header("etag")).get(path).await;
        assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));
        let head = desk.client.send(Method::HEAD, path, None).await;
        assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    }
    for path in ["/tests/format.test.js", "/../Cargo.toml", "/%2e%2e/Cargo.toml", "//etc/passwd", "/app.js/"] {
        assert_eq!(desk.client.get(path).await.status, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(desk.program().get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(desk.program().send(Method::POST, "/app.js", None).await.code(), "wrong_method");
}
