use std::sync::Arc;
use tokio::sync::{broadcast, mpsc};

use super::*;
use crate::engine::Ack;

/// An engine whose commands the test takes.
fn engine() -> (Engine, Inbox) {
    let (lanes, inbox) = Lanes::new(Arc::default());
    (Engine { lanes, changes: broadcast::channel(1).0 }, inbox)
}

fn message(topic: impl ToString, ack: Option<Ack>) -> Inbound {
    let topic = topic.to_string();
    Inbound { door: "test".into(), device: Some("door".into()), topic, payload: Vec::new(), redelivered: false, ack }
}

/// What the commands bring, by topic.
fn topics(commands: Vec<Command>) -> Vec<String> {
    let messages = commands.into_iter().flat_map(|command| match command {
        Command::Messages(messages) => messages,
        _ => Vec::new(),
    });
    messages.map(|message| message.topic).collect()
}

/// Fills the routine lane with messages `flood`.
async fn fill(engine: &Engine) {
    for _ in 0..ROUTINE {
        engine.entrance("door").submit(vec![message("flood", None)]).await.unwrap();
    }
}

/// Takes everything, a few commands at a time, and counts it as decided.
fn take_all(inbox: &mut Inbox, load: &Load) -> Vec<String> {
    let mut taken = Vec::new();
    loop {
        let mut commands = Vec::new();
        if !inbox.try_take(&mut commands, 5) {
            return taken;
        }
        let brought = topics(commands);
        brought.iter().for_each(|_| load.decided(super::super::load::Became::Quiet));
        taken.extend(brought);
    }
}

#[tokio::test]
async fn what_is_preferred_passes_a_flood_and_ends_the_batch() {
    let (engine, mut inbox) = engine();
    fill(&engine).await;
    engine.submit(vec![message("alarm", None)]).await.unwrap();
    let mut commands = Vec::new();
    inbox.take(&mut commands, 64).await;
    assert_eq!(topics(commands), ["alarm", "flood"], "one of the others at most is decided before it is written");
    let mut commands = Vec::new();
    inbox.take(&mut commands, 64).await;
    assert!(commands.len() <= ROUTINE_TAKE, "the preferred lane is looked at again after {} commands", commands.len());
}

#[tokio::test]
async fn a_flood_of_preferred_messages_starves_nobody() {
    let (engine, mut inbox) = engine();
    fill(&engine).await;
    for _ in 0..PREFERRED {
        engine.submit(vec![message("preferred", None)]).await.unwrap();
    }
    let taken = take_all(&mut inbox, &engine.load());
    assert_eq!(taken.len(), ROUTINE + PREFERRED);
    let first = taken.iter().position(|topic| topic == "flood").unwrap();
    assert_eq!(first, IN_A_ROW);
    assert!(taken[..PREFERRED].iter().filter(|topic| *topic == "flood").count() >= PREFERRED / (IN_A_ROW + 1));
}

#[tokio::test]
async fn a_devices_own_order_is_kept() {
    let (engine, mut inbox) = engine();
    engine.lanes.life_safety.0.write().map(|mut ids| *ids = Arc::new(["door".to_owned()].into())).unwrap();
    let mut entrance = engine.entrance("door");
    for topic in 0..100 {
        entrance.submit(vec![message(topic, None)]).await.unwrap();
    }
    let expected: Vec<String> = (0..100).map(|topic| topic.to_string()).collect();
    assert_eq!(take_all(&mut inbox, &engine.load()), expected);
}

/// Hands in `messages` while the routine lane is full, then empties it; gives what came in of them.
async fn submit_crowded(
    engine: &Engine,
    entrance: &mut Entrance,
    inbox: &mut Inbox,
    messages: Vec<Inbound>,
) -> Vec<String> {
    fill(engine).await;
    let (submitted, first) = tokio::join!(entrance.submit(messages), async {
        // It waits for a place: one command makes room.
        tokio::task::yield_now().await;
        let mut commands = Vec::new();
        inbox.take(&mut commands, 1).await;
        topics(commands).len()
    });
    submitted.unwrap();
    (0..first).for_each(|_| engine.load().decided(super::super::load::Became::Quiet));
    let mut taken = take_all(inbox, &engine.load());
    taken.retain(|topic| topic != "flood");
    taken
}

fn names(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|topic| topic.to_string()).collect()
}

#[tokio::test]
async fn what_is_shed_is_shed_in_the_stated_order_and_the_counts_balance() {
    let (engine, mut inbox) = engine();
    let (to, mut acks) = mpsc::unbounded_channel();
    let batch = |qos: u8, can_refuse: bool| -> Vec<Inbound> {
        let ack = |token: usize| Ack { to: to.clone(), token: token as u64, can_refuse };
        (0..2 * SHARE).map(|index| message(index, (qos > 0).then(|| ack(index)))).collect()
    };

    // With room nothing is shed, whatever it is.
    let mut qos_0 = engine.entrance("door");
    qos_0.submit(batch(0, false)).await.unwrap();
    assert_eq!(take_all(&mut inbox, &engine.load()), names(0..2 * SHARE));
    // First goes what nobody waits for an answer of, beyond the share.
    assert_eq!(submit_crowded(&engine, &mut qos_0, &mut inbox, batch(0, false)).await, names(0..SHARE));
    // Who can be told no is told only when it goes on and on.
    let mut mqtt_5 = engine.entrance("door");
    for _ in 0..TURNS {
        assert_eq!(submit_crowded(&engine, &mut mqtt_5, &mut inbox, batch(1, true)).await, names(0..2 * SHARE));
    }
    assert!(acks.try_recv().is_err());
    assert_eq!(submit_crowded(&engine, &mut mqtt_5, &mut inbox, batch(1, true)).await, names(0..SHARE));
    for token in SHARE..2 * SHARE {
        assert_eq!(acks.recv().await, Some(Acked { token: token as u64, fate: Fate::Refused }));
    }
    // One turn within its share, and it is trusted again.
    let one = batch(1, true).into_iter().take(1).collect();
    assert_eq!(submit_crowded(&engine, &mut mqtt_5, &mut inbox, one).await, names(0..1));
    assert_eq!(submit_crowded(&engine, &mut mqtt_5, &mut inbox, batch(1, true)).await, names(0..2 * SHARE));
    // Who waits for an answer and cannot be told no is never shed: it waits.
    let mut mqtt_3 = engine.entrance("door");
    for _ in 0..2 * TURNS {
        assert_eq!(submit_crowded(&engine, &mut mqtt_3, &mut inbox, batch(1, false)).await, names(0..2 * SHARE));
    }
    assert!(acks.try_recv().is_err());

    let (input, deferred, waiting, decided, refused, dropped) = engine.load().counts();
    assert_eq!((waiting, refused, dropped), (0, SHARE as u64, SHARE as u64));
    assert_eq!(input, decided + refused + dropped);
    assert!(deferred >= u64::from(3 * TURNS) * 2 * SHARE as u64);
    assert_eq!(engine.load().flood().map(|flood| flood.shed), Some(2 * SHARE as u64));
}
