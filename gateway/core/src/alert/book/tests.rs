use proptest::prelude::*;
use std::sync::Arc;

use super::*;
use crate::alert::{Scene, Severity, Text, TurnStep, Verb, Verdict, WalkTurn};

fn text() -> Text {
    Text { zh: "报警".into(), en: "alarm".into() }
}

fn finding(place: u8, rule: u8, severity: Severity, lasting: bool, now: TimeMs) -> Signal {
    let device = format!("device-{place}");
    Signal::Raise(Box::new(Finding {
        place: format!("place-{}", place / 2),
        group: Arc::from("fire"),
        scene: Scene::Fire,
        severity,
        lasting,
        title: text(),
        evidence: Evidence {
            at_ms: now,
            device,
            rule: format!("rule-{rule}"),
            reason: text(),
            series: Vec::new(),
            score: None,
        },
    }))
}

/// What the orders say, found by looking at every alert.
fn by_looking(book: &AlertBook) -> (Option<TimeMs>, usize) {
    let due = |open: &OpenAlert| [open.due_at_ms, open.tell_active_at_ms].into_iter().flatten().min();
    let due = book.open.iter().filter_map(due).chain(book.turns.next_due()).min();
    (due, book.open.iter().map(|open| open.active.len()).sum())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens: what finds an alert among many is what looking at all of them would find.
    #[test]
    fn the_orders_follow_the_alerts(steps in prop::collection::vec((0_u8..8, 0_u8..8, 0_u8..3, 0_i64..90_000), 1..80)) {
        let settings = AlertSettings::default();
        let (mut book, mut now, mut changes) = (AlertBook::default(), 1_000_000, Vec::new());
        for (step, (what, place, rule, wait)) in steps.into_iter().enumerate() {
            now += wait;
            while let Some(due) = book.next_due().filter(|due| *due <= now) {
                let before = (changes.len(), book.open.iter().count() + book.turns.0.len());
                book.on_time(&settings, due, &mut changes);
                let after = (changes.len(), book.open.iter().count() + book.turns.0.len());
                prop_assert!(after.0 > before.0 || after.1 < before.1, "what is due at {due} changes something");
            }
            let newest = book.open().map(|alert| alert.id.clone()).nth(usize::from(place));
            match (what, newest) {
                (0..=2, _) => {
                    let severity = [Severity::Minor, Severity::Major, Severity::Critical][usize::from(rule)];
                    book.signal("g", &settings, finding(place, rule, severity, what < 2, now), now, &mut changes);
                }
                (3, _) => {
                    let clear = Signal::Clear { device: format!("device-{place}"), rule: format!("rule-{rule}").into() };
                    book.signal("g", &settings, clear, now, &mut changes);
                }
                (6..=7, _) => {
                    let step = if what == 6 { TurnStep::Begin } else { TurnStep::End };
                    let turn = WalkTurn { walk_test: "w".into(), device: format!("device-{place}"), by: "li".into(), step };
                    let _ = book.turn(&settings, &turn, now, &mut changes);
                }
                (_, Some(alert)) => {
                    let verb = [Verb::Accept, Verb::Close { verdict: Verdict::Nuisance }, Verb::Note]
                        [usize::from(rule)].clone();
                    let action = StaffAction::new(format!("{step}"), alert, "li", verb);
                    changes.extend(book.act(&settings, &action, now).ok().and_then(|(_, change)| change));
                    if let (true, Some(last)) = (wait % 2 == 0, changes.last()) {
                        let undo = Verb::Undo { action: format!("{step}") };
                        let undo = StaffAction::new(format!("{step}-undo"), last.alert.id.clone(), "li", undo);
                        changes.extend(book.act(&settings, &undo, now + 1).ok().and_then(|(_, change)| change));
                        now += 1;
                    }
                }
                (_, None) => {}
            }
            let (due, held) = by_looking(&book);
            prop_assert_eq!(book.next_due(), due);
            let again: AlertBook = postcard::from_bytes(&postcard::to_allocvec(&book).unwrap()).unwrap();
            let walk = postcard::from_bytes(&postcard::to_allocvec(&book.walk_state()).unwrap()).unwrap();
            prop_assert_eq!(&again.settled(walk), &book, "made anew from what is written down, with {} that hold", held);
        }
        prop_assert!(changes.iter().zip(1..).all(|(change, seq)| change.seq == seq));
    }
}
