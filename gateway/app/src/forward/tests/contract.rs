//! `docs/upstream.md`, sentence by sentence.

use mqtt_protocol_core::mqtt::result_code::PubackReasonCode;
use serde_json::{Value, json};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::mpsc;

use ninewatch_core::alert::Severity::{Critical, Minor};
use ninewatch_core::alert::{Acted, ActionError, AlertId, Outcome, StaffAction, Verb};

use super::ground::{EPOCH, Forwarding, Ground, LIMIT, Line, Upstream, sequence, server, within};
use crate::demo::city::{City, Taken};
use crate::engine::Command;
use crate::epochs::Epochs;
use crate::forward::{Patience, render};

#[tokio::test]
async fn the_city_gets_each_change_once_over_all_restarts() {
    let mut ground = Ground::new();
    ground.write((0..500).map(|n| (format!("a-{}", n % 100), if n % 7 == 0 { Critical } else { Minor })));
    let city = City::start().await.unwrap();
    let password = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(password.path(), format!("{}\n", city.credential().1)).unwrap();
    let mut access = server(city.address().port());
    access.username = Some(city.credential().0.to_owned());
    access.password_file = Some(password.path().to_owned());
    for round in 0..3 {
        let forwarding = ground.forward_with(Patience::default(), access.clone());
        ground.announce((0..50).map(|n| (format!("b-{round}-{}", n % 10), Minor)));
        assert!(city.settle(std::slice::from_ref(&forwarding.status), LIMIT).await);
        assert_eq!(city.taken(), Taken { changes: 550 + round * 50, repeated: 0 });
    }
}

#[tokio::test]
async fn a_wrong_password_shows_and_is_tried_again() {
    let ground = Ground::new();
    let city = City::start().await.unwrap();
    let mut access = server(city.address().port());
    access.username = Some("kaili-demo".into());
    let forwarding = ground.forward_with(Patience::default(), access);
    let mut link = forwarding.status.link.watch();
    let state = within(link.wait_for(|state| state.last_error.is_some())).await.unwrap().clone();
    let error = state.last_error.unwrap();
    assert!(error.contains("BadUserNamePassword"), "{error}");
    assert_eq!((state.since, state.connections), (None, 0));
}

#[tokio::test]
async fn an_alert_is_a_cloud_event_with_all_that_the_contract_says() {
    let mut ground = Ground::new();
    ground.write([("01KA", Critical)]);
    let upstream = Upstream::open().await;
    let _forwarding = ground.forward(upstream.port);
    let (mut line, online) = upstream.connected().await;
    line.receipt(0, &[], Some(&online)).await;
    let publish = line.publish().await;
    assert_eq!(publish.topic_name(), "ninewatch/v1/kaili-01/alerts");
    let properties = format!("{:?}", publish.props());
    assert!(properties.contains("application/cloudevents+json; charset=utf-8"), "{properties}");
    let event: Value = serde_json::from_slice(publish.payload().as_slice()).unwrap();
    let data = &event["data"];
    let attributes = json!({
        "specversion": "1.0", "id": "01KA.1.e1", "source": "/ninewatch/kaili-01", "type": "cn.ninewatch.alert.raised",
        "subject": "01KA", "time": "2026-11-23T20:55:00.001Z", "sequence": "00000000000000000001",
        "epoch": "e1",
        "datacontenttype": "application/json", "data": data,
    });
    assert_eq!(event, attributes);
    assert_eq!(data["alert"]["severity"], "critical");
    assert_eq!(data["change"], json!({"kind": "raised", "at_ms": 1_795_467_300_001_i64, "by": null, "note": null}));
    assert_eq!(data["evidence"]["reason"]["en"], "CO at 160 ppm");
}

#[tokio::test]
async fn an_event_too_long_for_the_server_comes_without_evidence() {
    let mut ground = Ground::new();
    ground.write([("a", Minor)]);
    let upstream = Upstream::open().await;
    let _forwarding = ground.forward(upstream.port);
    let mut line = upstream.accepted(Some(1000)).await;
    let online = line.event().await["id"].as_str().unwrap().to_owned();
    line.receipt(0, &[], Some(&online)).await;
    let event = line.event().await;
    assert_eq!((&event["data"]["evidence"], &event["data"]["evidence_omitted"]), (&Value::Null, &json!(true)));
}

#[tokio::test]
async fn a_kill_between_publish_and_receipt_doubles_nothing() {
    let mut ground = Ground::new();
    ground.write([("a", Minor), ("b", Minor), ("c", Minor)]);
    let upstream = Upstream::open().await;
    let forwarding = ground.forward(upstream.port);
    let (mut line, online) = upstream.connected().await;
    line.receipt(0, &[], Some(&online)).await;
    assert_eq!(line.changes(3).await, [1, 2, 3]);
    drop(forwarding);
    let _forwarding = ground.forward(upstream.port);
    let (mut line, online) = upstream.connected().await;
    // The receipts of before the kill arrive only now, one of them without saying what it answers.
    line.receipt(1, &[], Some("a.1")).await;
    line.receipt(2, &[], None).await;
    line.receipt(3, &[], Some(&online)).await;
    ground.announce([("d", Minor)]);
    assert_eq!(line.changes(1).await, [4]);
}

#[tokio::test]
async fn without_telling_what_it_answers_the_last_receipt_counts() {
    let mut ground = Ground::new();
    ground.write([("a", Minor), ("b", Minor), ("c", Minor)]);
    let upstream = Upstream::open().await;
    let _forwarding = ground.forward(upstream.port);
    let (mut line, _) = upstream.connected().await;
    line.receipt(1, &[], None).await;
    line.receipt(1, &[3], None).await;
    ground.announce([("d", Minor)]);
    assert_eq!(line.changes(2).await, [2, 4]);
}

#[tokio::test]
async fn what_comes_up_while_the_upstream_is_away_follows_when_it_is_back() {
    let mut ground = Ground::new();
    ground.write([("a", Minor)]);
    let upstream = Upstream::open().await;
    let forwarding = ground.forward(upstream.port);
    let (mut line, online) = upstream.connected().await;
    line.receipt(0, &[], Some(&online)).await;
    assert_eq!(line.changes(1).await, [1]);
    // The receipt is lost with the connection.
    drop(line);
    let mut link = forwarding.status.link.watch();
    within(link.wait_for(|state| state.since.is_none())).await.unwrap();
    ground.announce([("a", Minor), ("b", Critical)]);
    let (mut line, online) = upstream.connected().await;
    line.receipt(1, &[], Some(&online)).await;
    assert_eq!(line.changes(2).await, [3, 2]);
    line.receipt(3, &[], Some("a.2")).await;
    forwarding.until_backlog(0).await;
    assert_eq!(forwarding.status.receipted.load(Relaxed), 3);
    assert_eq!(link.borrow().connections, 2);
}

#[tokio::test]
async fn a_lost_receipt_costs_nothing() {
    let mut ground = Ground::new();
    ground.write([("a", Minor), ("b", Minor)]);
    let upstream = Upstream::open().await;
    let forwarding = ground.forward(upstream.port);
    let (mut line, online) = upstream.connected().await;
    line.receipt(0, &[], Some(&online)).await;
    assert_eq!(line.changes(2).await, [1, 2]);
    ground.announce([("c", Minor)]);
    assert_eq!(line.changes(1).await, [3]);
    // Those for 1 and 2 never came.
    line.receipt(3, &[], Some("c.3")).await;
    forwarding.until_backlog(0).await;
    assert_eq!(forwarding.status.sent.load(Relaxed), 3);
}

#[tokio::test]
async fn what_the_upstream_has_lost_it_gets_again() {
    let mut ground = Ground::new();
    ground.write([("a", Minor), ("b", Minor), ("c", Minor)]);
    let upstream = Upstream::open().await;
    let forwarding = ground.forward(upstream.port);
    let (mut line, online) = upstream.connected().await;
    line.receipt(3, &[], Some(&online)).await;
    forwarding.until_backlog(0).await;
    drop(line);
    // It was set back to a backup.
    let (mut line, online) = upstream.connected().await;
    line.receipt(1, &[], Some(&online)).await;
    assert_eq!(line.changes(2).await, [2, 3]);
}

#[tokio::test]
async fn a_change_that_receipts_pass_over_is_asked_about_and_sent_again() {
    let mut ground = Ground::new();
    ground.write([("a", Minor), ("b", Minor)]);
    let upstream = Upstream::open().await;
    let _forwarding = ground.forward(upstream.port);
    let (mut line, online) = upstream.connected().await;
    line.receipt(0, &[], Some(&online)).await;
    assert_eq!(line.changes(2).await, [1, 2]);
    // The first got lost in a full queue on the way.
    line.last_receipt(0, &[2]).await;
    let (mut line, online) = upstream.connected().await;
    line.receipt(0, &[2], Some(&online)).await;
    assert_eq!(line.changes(1).await, [1]);
}

#[tokio::test]
async fn no_more_is_sent_than_the_servers_queue_holds_until_receipts_come() {
    let mut ground = Ground::new();
    ground.write((0..700).map(|n| (format!("a-{n}"), Minor)));
    let upstream = Upstream::open().await;
    let _forwarding = ground.forward(upstream.port);
    let (mut line, online) = upstream.connected().await;
    line.receipt(0, &[], Some(&online)).await;
    let mut came = line.changes(500).await;
    while let Ok(more) = tokio::time::timeout(Duration::from_millis(200), line.changes(1)).await {
        came.extend(more);
    }
    assert!(came.len() < 500 + 32, "{}", came.len());
    line.receipt(500, &[], Some("a-499.500")).await;
    came.extend(line.changes(700 - came.len()).await);
    assert_eq!(came, (1..=700).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_upstream_that_never_answers_gets_everything_and_not_again() {
    let mut ground = Ground::new();
    ground.write([("a", Minor), ("a", Minor), ("b", Critical)]);
    let upstream = Upstream::open().await;
    let patience = Patience { first_answer: Duration::from_millis(100), answer: LIMIT, ..Patience::default() };
    let forwarding = ground.forward_with(patience, server(upstream.port));
    let (mut line, _) = upstream.connected().await;
    assert_eq!(line.changes(2).await, [3, 1]);
    // Its server does not take the third.
    assert_eq!(sequence(&serde_json::from_slice(line.publish().await.payload().as_slice()).unwrap()), 2);
    forwarding.until_backlog(1).await;
    drop((forwarding, line));
    let forwarding = ground.forward_with(patience, server(upstream.port));
    let (mut line, _) = upstream.connected().await;
    assert_eq!(line.changes(1).await, [2]);
    forwarding.until_backlog(0).await;
    // From its first receipt on, receipts rule.
    ground.announce([("c", Minor)]);
    assert_eq!(line.changes(1).await, [4]);
    forwarding.until_backlog(0).await;
    line.receipt(3, &[], Some("c.4")).await;
    forwarding.until_backlog(1).await;
}

#[tokio::test]
async fn what_the_server_gave_to_nobody_is_kept_and_sent_again_in_order() {
    let mut ground = Ground::new();
    ground.write([("a", Minor), ("a", Minor)]);
    let upstream = Upstream::open().await;
    let forwarding = ground.forward(upstream.port);
    let (mut line, online) = upstream.connected().await;
    line.receipt(0, &[], Some(&online)).await;
    let publish = line.publish().await;
    line.acknowledge(&publish, PubackReasonCode::NoMatchingSubscribers).await;
    assert_eq!(line.changes(2).await, [1, 2]);
    let error = forwarding.status.link.watch().borrow().last_error.clone().unwrap();
    assert_eq!(error, "nobody there reads ninewatch/v1/kaili-01/alerts");
}

#[tokio::test]
async fn after_a_restore_numbers_count_under_their_epoch() {
    let mut ground = Ground::new();
    ground.write([("a", Minor), ("a", Minor), ("b", Minor), ("b", Minor)]);
    ground.epochs = Epochs::two(&[("e1", 1)], ("e2", 3));
    let upstream = Upstream::open().await;
    let forwarding = ground.forward(upstream.port);
    let mut line = upstream.accepted(None).await;
    let online = line.event().await;
    assert_eq!(online["data"], json!({"epoch": "e2", "first": 3}));
    let answer = |epoch: Value, up_to: u64| {
        let data = json!({"epoch": epoch, "up_to": up_to, "answers": online["id"]});
        json!({"specversion": "1.0", "id": "r", "source": "/city", "type": "cn.ninewatch.receipt", "data": data})
    };
    // The box that the backup is of gave the numbers 3 and 4 to other changes.
    line.send(answer(json!("e1"), 4)).await;
    line.send(answer(Value::Null, 4)).await;
    assert_eq!(forwarding.status.backlog(), 4, "these count for nothing");
    line.send(answer(json!("e2"), 1)).await;
    let (second, third) = (line.event().await, line.event().await);
    let named = |event: &Value| (event["id"].clone(), event["epoch"].clone());
    assert_eq!(named(&second), (json!("a.2.e1"), json!("e1")), "the same change under the same id");
    assert_eq!(named(&third), (json!("b.3.e2"), json!("e2")));
}

#[tokio::test]
async fn what_was_seen_under_another_epoch_is_something_else() {
    let mut ground = Ground::new();
    ground.epochs = Epochs::two(&[("e0", 1)], (EPOCH, 3));
    let (_upstream, _forwarding, mut line, mut taken) = acting(&mut ground).await;
    for (id, epoch, upon, taken_upon) in [("1", "e0", 9, 2), ("2", EPOCH, 9, 9), ("3", "e0", 1, 1)] {
        line.act(action(id, "a", json!({"verb": "accept", "upon": upon, "epoch": epoch}))).await;
        assert_eq!(taken.try_recv().unwrap().upon, Some(taken_upon));
    }
}

fn action(id: &str, alert: &str, rest: Value) -> Value {
    let mut data = json!({"id": id, "alert": alert, "by": "officer-7"});
    data.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    json!({"specversion": "1.0", "id": id, "source": "/city", "type": "cn.ninewatch.action", "data": data})
}

/// Plays the engine: what is done to alert `a` is taken, once.
async fn play_engine(mut commands: mpsc::Receiver<Command>, taken: mpsc::UnboundedSender<StaffAction>) {
    let mut known = Vec::new();
    while let Some(command) = commands.recv().await {
        let Command::Act(action, reply) = command else { panic!("only actions come") };
        let before = known.iter().position(|id| *id == action.id);
        let result = if action.alert == AlertId::from("a") {
            let seq = before.unwrap_or(known.len()) as u64 + 7;
            let outcome = if seq == 7 { Outcome::Applied } else { Outcome::Already };
            if before.is_none() {
                known.push(action.id.clone());
            }
            Ok(Acted { outcome, seq, again: before.is_some(), judged: None })
        } else {
            Err(ActionError::NotOpen(action.alert.clone()))
        };
        taken.send(action).unwrap();
        let _ = reply.send(result);
    }
}

/// An upstream that acts on the played engine.
async fn acting(ground: &mut Ground) -> (Upstream, Forwarding, Line, mpsc::UnboundedReceiver<StaffAction>) {
    let commands = std::mem::replace(&mut ground.commands, mpsc::channel(1).1);
    let (to, taken) = mpsc::unbounded_channel();
    tokio::spawn(play_engine(commands, to));
    let upstream = Upstream::open().await;
    let forwarding = ground.forward(upstream.port);
    let (mut line, online) = upstream.connected().await;
    line.receipt(0, &[], Some(&online)).await;
    (upstream, forwarding, line, taken)
}

#[tokio::test]
async fn staff_actions_are_taken_repeated_refused_and_answered() {
    let mut ground = Ground::new();
    let (_upstream, forwarding, mut line, mut taken) = acting(&mut ground).await;

    let dispatch = json!({"verb": "dispatch", "to": "grid-3", "note": "on the way", "made_at_ms": 5, "upon": 3});
    let dispatch = action("a-1", "a", dispatch);
    let answer = line.act(&dispatch).await;
    let first = taken.try_recv().expect("answered before it was taken");
    assert_eq!(first.verb, Verb::Dispatch { to: "grid-3".into() });
    assert_eq!((first.by.as_str(), first.note.as_deref()), ("officer-7", Some("on the way")));
    assert_eq!((first.via.as_deref(), first.made_at_ms, first.upon), (Some("city"), Some(5), Some(3)));
    let data = json!({"id": "a-1", "alert": "a", "change": "00000000000000000007"});
    assert_eq!(
        answer,
        json!({
            "specversion": "1.0", "id": "a-1.applied", "source": "/ninewatch/kaili-01",
            "type": "cn.ninewatch.action.applied", "subject": "a", "datacontenttype": "application/json", "data": data,
        })
    );
    assert_eq!(line.act(&dispatch).await, answer, "the same again is answered the same");
    assert_eq!(taken.try_recv().unwrap(), first);
    let already = line.act(action("a-2", "a", json!({"verb": "accept"}))).await;
    assert_eq!((&already["type"], &already["data"]["id"]), (&json!("cn.ninewatch.action.already"), &json!("a-2")));

    let refusal = line.act(action("a-5", "b", json!({"verb": "accept"}))).await;
    assert_eq!((&refusal["type"], &refusal["id"]), (&json!("cn.ninewatch.action.refused"), &json!("a-5.refused")));
    assert_eq!(refusal["data"]["code"], "not_open");
    for text in ["reason", "mend"] {
        let (zh, en) = (&refusal["data"][text]["zh"], &refusal["data"][text]["en"]);
        assert!(zh.as_str().is_some_and(|zh| !zh.is_empty()) && en.as_str().is_some_and(|en| !en.is_empty()));
    }
    let mut text = String::new();
    render(&forwarding.status, &mut text);
    for line in [
        "ninewatch_upstream_connected{upstream=\"city\"} 1",
        "ninewatch_upstream_actions_total{upstream=\"city\"} 3",
        "ninewatch_upstream_actions_refused_total{upstream=\"city\"} 1",
        "ninewatch_upstream_malformed_total{upstream=\"city\"} 0",
    ] {
        assert!(text.lines().any(|there| there == line), "{line} in\n{text}");
    }
    assert_eq!(text.matches("# TYPE ninewatch_upstream_connected gauge").count(), 1);
}

#[tokio::test]
async fn what_cannot_be_read_is_counted_and_where_it_has_an_id_refused() {
    let mut ground = Ground::new();
    let (_upstream, forwarding, mut line, _taken) = acting(&mut ground).await;
    for (malformed, what) in [
        ("{".to_owned(), "not JSON"),
        (json!({"type": "cn.ninewatch.action"}).to_string(), "no CloudEvent"),
        (action("", "a", json!({"verb": "accept"})).to_string(), "no id"),
        (action("a-4", "a", json!({"verb": "accept", "note": "x".repeat(20_000)})).to_string(), "too long"),
        (json!({"specversion": "1.0", "type": "cn.ninewatch.receipt", "data": {"up_to": -1}}).to_string(), "below 0"),
    ] {
        let before = forwarding.status.malformed.load(Relaxed);
        line.send(malformed).await;
        assert_eq!(forwarding.status.malformed.load(Relaxed), before + 1, "{what}");
    }
    for (id, rest, word) in [
        ("a-2", json!({"verb": "dispatch"}), "`data.to` has to say whom"),
        ("a-3", json!({"verb": "close", "verdict": "boring"}), "boring"),
    ] {
        let refusal = line.act(action(id, "a", rest)).await;
        assert_eq!((&refusal["data"]["id"], &refusal["data"]["code"]), (&json!(id), &json!("unreadable")));
        assert!(refusal["data"]["reason"]["en"].as_str().unwrap().contains(word), "{refusal}");
    }
    assert_eq!(forwarding.status.malformed.load(Relaxed), 7);
    line.send(json!({"specversion": "1.0", "type": "cn.example.weather"})).await;
    assert_eq!(forwarding.status.malformed.load(Relaxed), 7);
}

#[tokio::test]
async fn an_action_is_acknowledged_once_its_answer_has_arrived_and_comes_again_otherwise() {
    let mut ground = Ground::new();
    let (upstream, _forwarding, mut line, mut taken) = acting(&mut ground).await;
    let accept = action("a-1", "a", json!({"verb": "accept"}));
    line.send_only(&accept).await;
    let unacknowledged = line.publish().await;
    // What comes behind it waits too: acknowledgements keep the order.
    let behind = line.send_only(json!({"specversion": "1.0", "type": "cn.example.weather"})).await;
    let too_early = tokio::time::timeout(Duration::from_millis(200), line.until_acknowledged(behind)).await;
    assert!(too_early.is_err(), "it was acknowledged without its answer");
    // The answer is lost with the connection, and the server sends the action again.
    drop((line, unacknowledged));
    let (mut line, online) = upstream.connected().await;
    line.receipt(0, &[], Some(&online)).await;
    assert_eq!(line.act(&accept).await["id"], "a-1.applied");
    assert_eq!(taken.recv().await, taken.recv().await, "it came twice");
}
