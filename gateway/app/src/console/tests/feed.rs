//! The live feed tells every change once, in order, whoever is late.

use axum::http::StatusCode;

use ninewatch_core::alert::{Scene, Severity, Signal};

use super::client::Client;
use super::desk::{Desk, text};
use super::sample;
use crate::clock::Clock;
use crate::console::accounts;
use crate::console::events::LISTENERS;

/// One more alert; gives the number of its change.
fn press(desk: &Desk) -> u64 {
    presses(desk, 1)
}

/// So many more alerts, told all at once.
fn presses(desk: &Desk, count: u64) -> u64 {
    let mut played = desk.played.lock().unwrap();
    let first = played.last_seq() + 1;
    let finding = |number: u64| {
        let rule = format!("sos-{number}");
        let reason = text("床头按钮被按下", "The button at the bed was pressed");
        let title = text("一键求助", "SOS pressed");
        sample::finding("home-wu-sos", &rule, Scene::ElderCare, Severity::Critical, title, reason)
    };
    let signals = (first..first + count).map(|number| Signal::Raise(Box::new(finding(number))));
    played.signals(signals, Clock::System.now_ms());
    played.last_seq()
}

#[tokio::test]
async fn a_listener_is_greeted_and_hears_what_happens_from_then_on() {
    let desk = Desk::open(sample::registry());
    press(&desk);
    let mut feed = desk.program().listen("").await;
    let hello = feed.next().await.unwrap();
    assert_eq!(hello.name, "hello");
    assert_eq!((&hello.data["gateway"], &hello.data["last_seq"]), (&"kaili-01".into(), &1.into()));
    for expected in 2..5 {
        press(&desk);
        assert_eq!(feed.seq().await, expected);
    }
}

#[tokio::test]
async fn who_comes_back_hears_what_was_missed_first() {
    let desk = Desk::open(sample::registry());
    presses(&desk, 10);
    let mut asked = desk.browser().await.listen("?from=4").await;
    // A browser that comes back repeats its first address; what it saw last counts more.
    let mut came_back = desk.program().with("last-event-id", "7").listen("?from=2").await;
    for (feed, first) in [(&mut asked, 4), (&mut came_back, 8)] {
        assert_eq!(feed.next().await.unwrap().name, "hello");
        for expected in first..=10 {
            assert_eq!(feed.seq().await, expected);
        }
    }
    press(&desk);
    assert_eq!(asked.seq().await, 11);
    assert_eq!(came_back.seq().await, 11);
}

#[tokio::test]
async fn who_saw_more_than_there_is_hears_what_is_new_all_the_same() {
    let desk = Desk::open(sample::registry());
    press(&desk);
    let mut feed = desk.program().with("last-event-id", "999").listen("").await;
    assert_eq!(feed.next().await.unwrap().data["last_seq"], 1);
    press(&desk);
    assert_eq!(feed.seq().await, 2);
}

/// All on one thread: while changes are told without a pause, the feed cannot keep up.
#[tokio::test(flavor = "current_thread")]
async fn a_listener_that_falls_behind_loses_nothing() {
    const MORE_THAN_IT_HOLDS: u64 = 3000;
    let desk = Desk::open(sample::registry());
    let mut feed = desk.program().listen("").await;
    assert_eq!(feed.next().await.unwrap().name, "hello");
    presses(&desk, MORE_THAN_IT_HOLDS);
    for expected in 1..=MORE_THAN_IT_HOLDS {
        assert_eq!(feed.seq().await, expected);
    }
    press(&desk);
    assert_eq!(feed.seq().await, MORE_THAN_IT_HOLDS + 1);
}

#[tokio::test]
async fn a_hole_in_the_log_does_not_stop_the_feed() {
    let desk = Desk::open(sample::registry());
    let mut feed = desk.program().listen("").await;
    feed.next().await.unwrap();
    press(&desk);
    assert_eq!(feed.seq().await, 1);
    // The disk took 2 and 3 away; 4 is told.
    let mut change = {
        let played = desk.played.lock().unwrap();
        played.last_change.clone().unwrap()
    };
    change.seq = 4;
    desk.engine.announce(change);
    assert_eq!(feed.seq().await, 4);
}

#[tokio::test]
async fn there_is_a_limit_to_listeners_and_who_leaves_makes_room() {
    let desk = Desk::open(sample::registry());
    let program = desk.program();
    let mut feeds = Vec::new();
    for _ in 0..LISTENERS {
        feeds.push(program.listen("").await);
    }
    let refused = program.get("/api/v1/events").await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "too_many_listeners"));
    feeds.pop();
    // The gateway notices as soon as the connection's end has come to it.
    while listeners(&program).await >= LISTENERS {}
    program.listen("").await;
}

async fn listeners(program: &Client) -> usize {
    let metrics = program.get("/metrics").await;
    let line = metrics.text().lines().find_map(|line| line.strip_prefix("ninewatch_console_listeners "));
    line.unwrap().parse().unwrap()
}

#[tokio::test]
async fn there_is_a_sign_of_life_and_who_is_out_hears_no_more() {
    let desk = Desk::open(sample::registry());
    let mut feed = desk.program().listen("").await;
    assert_eq!(feed.next().await.unwrap().name, "hello");
    assert!(feed.next_of_any().await.unwrap().comment);
    accounts::edit(desk.data_dir(), |list| list.set_password("duty")).unwrap();
    assert!(feed.next().await.is_none());
}

#[tokio::test]
async fn a_stopped_console_lets_go_of_the_engine_though_somebody_listens() {
    let mut desk = Desk::open(sample::registry());
    let mut feed = desk.program().listen("").await;
    assert_eq!(feed.next().await.unwrap().name, "hello");
    desk.stop().await;
    assert!(feed.next().await.is_none());
    desk.engine_ends().await;
}
