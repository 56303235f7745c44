//! The outbox over a real journal.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ninewatch_core::alert::AlertId;
use ninewatch_core::alert::Severity::{Critical, Minor};

use super::ground::{Ground, within};
use crate::forward::cloudevent::Receipt;
use crate::forward::outbox::JournalOutbox;

/// What it gives next, taken by the next hop at once.
async fn give(outbox: &mut JournalOutbox, count: usize) -> Vec<u64> {
    let mut given = Vec::new();
    while given.len() < count {
        let outgoing = within(outbox.next(false)).await.unwrap();
        assert_eq!(outgoing.change.expect("nothing is lost").seq, outgoing.seq);
        outbox.arrived(outgoing.seq);
        given.push(outgoing.seq);
    }
    given
}

#[tokio::test]
async fn critical_alerts_overtake_a_backlog_of_many_pages() {
    let mut ground = Ground::new();
    ground.write((0..3000).map(|n| {
        let critical = n % 100 == 99;
        if critical { (format!("fire-{}", n / 1000), Critical) } else { (format!("door-{}", n % 500), Minor) }
    }));
    ground.write([("gas", Minor), ("gas", Critical)]);
    let mut outbox = ground.outbox();
    let critical: Vec<u64> = (1..=30).map(|n| n * 100).chain([3001, 3002]).collect();
    assert_eq!(give(&mut outbox, 32).await, critical);
    let others: Vec<u64> = (1..=3000).filter(|n| n % 100 != 0).collect();
    assert_eq!(give(&mut outbox, 1000).await, others[..1000]);
    ground.announce([("sos", Critical)]);
    assert_eq!(give(&mut outbox, 1).await, [3003], "one that is raised now goes before the rest of the backlog");
    assert_eq!(give(&mut outbox, 1970).await, others[1000..]);
    assert_eq!(ground.backlog(), 0);
}

#[tokio::test]
async fn while_others_wait_for_receipts_critical_alerts_are_given_out() {
    let mut ground = Ground::new();
    ground.write((0..1000).map(|n| (format!("door-{n}"), Minor)));
    let mut outbox = ground.outbox();
    give(&mut outbox, 10).await;
    let nothing = tokio::time::timeout(Duration::from_millis(50), outbox.next(true)).await;
    assert!(nothing.is_err(), "the others wait");
    ground.announce((0..600).map(|n| (format!("water-{n}"), Minor)).chain([("sos".to_owned(), Critical)]));
    assert_eq!(within(outbox.next(true)).await.unwrap().seq, 1601);
    assert_eq!(give(&mut outbox, 3).await, [11, 12, 13], "and they go on after it");
}

#[tokio::test]
async fn what_the_live_feed_missed_comes_from_the_log() {
    let mut ground = Ground::new();
    let mut outbox = ground.outbox();
    ground.write([("a", Minor), ("a", Minor)]);
    ground.announce([("b", Minor)]);
    assert_eq!(give(&mut outbox, 3).await, [1, 2, 3], "two were not announced");
    // More than the feed holds.
    ground.announce((0..3000).map(|n| (format!("c-{}", n % 500), Minor)));
    assert_eq!(give(&mut outbox, 3000).await, (4..=3003).collect::<Vec<_>>());
}

#[tokio::test]
async fn it_goes_on_where_it_was_left() {
    let mut ground = Ground::new();
    ground.write((0..10).map(|_| ("a", Minor)));
    give(&mut ground.outbox(), 4).await;
    let mut outbox = ground.outbox();
    assert_eq!(ground.backlog(), 6);
    outbox.restate(Receipt { epoch: None, up_to: 5, also: [8].into(), answers: None });
    outbox.rewind();
    assert_eq!(give(&mut outbox, 4).await, [6, 7, 9, 10]);
    assert_eq!(ground.backlog(), 4, "with receipts, having sent is not having delivered");
    assert_eq!(outbox.receipt(Receipt { epoch: None, up_to: 10, also: [].into(), answers: None }), 4);
    assert_eq!(ground.backlog(), 0);
}

#[tokio::test]
async fn a_receipt_beyond_the_journal_is_not_believed() {
    let mut ground = Ground::new();
    ground.write([("a", Minor)]);
    let mut outbox = ground.outbox();
    assert_eq!(outbox.restate(Receipt { epoch: None, up_to: 500, also: [].into(), answers: None }), 0);
    outbox.rewind();
    assert_eq!(give(&mut outbox, 1).await, [1]);
}

#[tokio::test]
async fn a_damaged_record_is_told_as_lost() {
    let mut ground = Ground::new();
    ground.write([("a", Minor), ("b", Minor), ("c", Minor)]);
    let segment = ground.journal_dir().join("alerts/00000000000000000001.log");
    let mut bytes = std::fs::read(&segment).unwrap();
    let second = bytes.windows(9).position(|window| window == b"\"seq\":2,\"").unwrap();
    bytes[second + 30] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let mut outbox = ground.outbox();
    let mut given = Vec::new();
    for _ in 0..3 {
        let outgoing = within(outbox.next(false)).await.unwrap();
        given.push((outgoing.seq, outgoing.change.is_some()));
    }
    assert_eq!(given, [(1, true), (2, false), (3, true)]);
}

#[tokio::test]
async fn a_critical_alert_that_is_raised_now_does_not_wait_until_the_log_is_read() {
    let mut ground = Ground::new();
    ground.write((0..100).map(|n| (format!("door-{n}"), Minor)).chain([("stove".to_owned(), Minor)]));
    let mut outbox = ground.outbox();
    ground.announce([("sos", Critical), ("door-1", Minor), ("stove", Critical), ("sos", Critical)]);
    // What cannot be read yet cannot be waited for.
    let segment = ground.journal_dir().join("alerts/00000000000000000001.log");
    let aside = segment.with_extension("aside");
    std::fs::rename(&segment, &aside).unwrap();
    assert_eq!(give(&mut outbox, 2).await, [102, 105], "all that there is of this alert");
    std::fs::rename(&aside, &segment).unwrap();
    assert_eq!(give(&mut outbox, 2).await, [101, 104], "this one had begun before");
    assert_eq!(give(&mut outbox, 101).await, (1..=100).chain([103]).collect::<Vec<_>>());
    assert_eq!(ground.backlog(), 0);
}

#[tokio::test]
async fn a_log_that_cannot_be_read_now_is_not_told_as_lost() {
    let mut ground = Ground::new();
    ground.write([("a", Minor), ("b", Minor)]);
    let mut outbox = ground.outbox();
    let segment = ground.journal_dir().join("alerts/00000000000000000001.log");
    let aside = segment.with_extension("aside");
    std::fs::rename(&segment, &aside).unwrap();
    std::fs::create_dir(&segment).unwrap();
    let error = within(outbox.next(false)).await.unwrap_err();
    assert!(format!("{error:#}").starts_with("the alert log cannot be read"), "{error:#}");
    std::fs::remove_dir(&segment).unwrap();
    std::fs::rename(&aside, &segment).unwrap();
    outbox.rewind();
    assert_eq!(give(&mut outbox, 2).await, [1, 2]);
}

/// Chance that is the same each time: a linear congruential generator with Knuth's factors.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

#[tokio::test]
async fn whatever_happens_each_change_comes_whole_and_in_order() {
    for seed in 0..4 {
        let mut chance = Chance(seed);
        let mut ground = Ground::new();
        let mut outbox = ground.outbox();
        let (mut written, mut taken, mut under_way) = (0, BTreeMap::<AlertId, Vec<u64>>::new(), Vec::new());
        while written < 4000 || !under_way.is_empty() || taken.values().flatten().count() < written {
            let changes = chance.below(400) as usize;
            match chance.below(8) {
                0 if written < 4000 => {
                    written += changes;
                    let new: Vec<_> = (0..changes).map(|_| chance.below(900)).collect();
                    // Alerts 0 to 9 are critical from the start, and some that come later; the others never.
                    let new = new.iter().map(|n| match *n {
                        ..10 => (n.to_string(), Critical),
                        10..60 => (format!("later-{}", written / 1000 * 10 + *n as usize % 10), Critical),
                        _ => (n.to_string(), Minor),
                    });
                    if chance.below(2) == 0 {
                        ground.announce(new)
                    } else {
                        _ = ground.write(new)
                    }
                    // Without an announcement nobody looks.
                    ground.announce([("again", Minor)]);
                    written += 1;
                }
                1 => {
                    for (seq, _) in under_way.drain(under_way.len() / 2..) {
                        outbox.put_back(seq);
                    }
                }
                2..5 => {
                    for (seq, alert) in under_way.drain(..) {
                        outbox.arrived(seq);
                        taken.entry(alert).or_default().push(seq);
                    }
                }
                _ => {
                    for _ in 0..changes {
                        if under_way.len() + taken.values().flatten().count() == written {
                            break;
                        }
                        // It may have to read first, or to wait until something of an alert arrives.
                        let Ok(outgoing) = tokio::time::timeout(Duration::ZERO, outbox.next(false)).await else {
                            break;
                        };
                        let change = outgoing.unwrap().change.expect("nothing is lost");
                        under_way.push((change.seq, change.alert.id.clone()));
                    }
                }
            }
        }
        assert_eq!(taken.values().flatten().collect::<BTreeSet<_>>().len(), written);
        assert!(taken.values().all(|seqs| seqs.is_sorted()), "seed {seed}");
    }
}
