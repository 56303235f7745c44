//! What `docs/upstream.md` says of staff actions, sentence by sentence.

use serde_json::{Value, json};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::mpsc;

use ninewatch_core::alert::{Acted, ActionError, AlertId, Outcome, StaffAction, Verb};

use super::ground::{EPOCH, Forwarding, Ground, Line, Upstream};
use crate::engine::Command;
use crate::epochs::Epochs;
use crate::forward::render;

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
            Ok(Acted { outcome, seq, again: before.is_some(), judged: None, withdrawn: None })
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
