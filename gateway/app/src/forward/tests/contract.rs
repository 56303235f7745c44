//! `docs/upstream.md`, sentence by sentence.

use mqtt_protocol_core::mqtt::result_code::PubackReasonCode;
use serde_json::{Value, json};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use ninewatch_core::alert::Severity::{Critical, Minor};

use super::ground::{Ground, LIMIT, Upstream, sequence, server, within};
use crate::demo::city::{City, Taken};
use crate::epochs::Epochs;
use crate::forward::Patience;

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
    assert_eq!(online["data"], json!({"epoch": "e2", "first": 3, "version": env!("CARGO_PKG_VERSION")}));
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
