//! Over a real broker, to an upstream that is written from `docs/upstream.md` alone.

use ninewatch_tests::mosquitto::{self, Mosquitto};
use ninewatch_tests::skipped_without;
use ninewatch_tests::upstream::{Seen, Upstream};
use std::collections::BTreeMap;

use ninewatch_core::alert::Severity::{Critical, Minor};

use super::ground::{GATEWAY, Ground, LIMIT, server};
use crate::forward::Patience;

/// Forty changes of ten alerts, one of them critical.
fn load(round: u32) -> impl Iterator<Item = (String, ninewatch_core::alert::Severity)> {
    (0..40).map(move |n| (format!("{round}-{}", n % 10), if n % 10 == 3 { Critical } else { Minor }))
}

/// Whether each alert's changes came in order, counting each when it first came.
fn in_order(seen: &Seen) -> bool {
    let mut newest: BTreeMap<&str, u64> = BTreeMap::new();
    let mut known = std::collections::BTreeSet::new();
    seen.events.iter().filter(|(id, ..)| known.insert(id)).all(|(_, sequence, event)| {
        let before = newest.insert(event["subject"].as_str().unwrap(), *sequence);
        before.is_none_or(|before| before < *sequence)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_under_load_lose_nothing_and_double_nothing() {
    if skipped_without("mosquitto", mosquitto::find().is_some()) {
        return;
    }
    let broker = Mosquitto::start().unwrap();
    let upstream = Upstream::start(broker.port, GATEWAY).await.unwrap();
    let mut ground = Ground::new();
    for round in 0..4 {
        let forwarding = ground.forward_with(Patience::default(), server(broker.port));
        ground.announce(load(round));
        upstream.until(LIMIT, |seen| seen.taken.len() > 40 * round as usize + 15).await.unwrap();
        drop(forwarding);
    }
    let forwarding = ground.forward_with(Patience::default(), server(broker.port));
    forwarding.until_backlog(0).await;
    upstream.look(|seen| {
        assert_eq!(seen.taken, (1..=160).collect());
        assert_eq!(seen.doubled(), Vec::<&str>::new());
        assert!(in_order(seen));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_of_the_broker_loses_nothing() {
    if skipped_without("mosquitto", mosquitto::find().is_some()) {
        return;
    }
    let mut broker = Mosquitto::start().unwrap();
    let upstream = Upstream::start(broker.port, GATEWAY).await.unwrap();
    let mut ground = Ground::new();
    let forwarding = ground.forward_with(Patience::default(), server(broker.port));
    for round in 0..3 {
        ground.announce(load(round));
        upstream.until(LIMIT, |seen| seen.taken.len() > 40 * round as usize + 5).await.unwrap();
        broker.kill_and_restart().unwrap();
        ground.announce(load(round + 10));
    }
    forwarding.until_backlog(0).await;
    upstream.look(|seen| {
        assert_eq!(seen.taken, (1..=240).collect());
        assert!(in_order(seen));
    });
}
