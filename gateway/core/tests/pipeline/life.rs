//! An alert's life: raised → accepted → dispatched → handled → closed, with who and when.

use ninewatch_core::alert::{
    Acted, ActionError, AlertChange, AlertId, ChangeKind, Outcome, Severity, StaffAction, Status, Verb, Verdict,
};
use ninewatch_core::time::{Span, TimeMs};
use proptest::prelude::*;

use crate::town::{MIDNIGHT, MINUTE, Town};

/// What became of it; `None` where it had been taken before.
fn act(town: &mut Town, id: &str, alert: &AlertId, verb: Verb, at: TimeMs) -> Result<Option<Outcome>, ActionError> {
    let action = StaffAction { note: Some("on the way".into()), ..StaffAction::new(id, alert.clone(), "li", verb) };
    let Acted { outcome, again, .. } = town.act(&action, at)?;
    Ok((!again).then_some(outcome))
}

fn pressed() -> (Town, AlertId) {
    let mut town = Town::new();
    town.switch(MIDNIGHT, "home-sos", "sos", true);
    let id = town.changes[0].alert.id.clone();
    (town, id)
}

const APPLIED: Result<Option<Outcome>, ActionError> = Ok(Some(Outcome::Applied));
const CLOSE: Verb = Verb::Close { verdict: Verdict::TrueAlarm };

#[test]
fn the_closed_loop_is_gone_through_step_by_step() {
    let (mut town, id) = pressed();
    let to = || Verb::Dispatch { to: "grid-3".into() };
    let wrong = |result: Result<_, ActionError>| matches!(result, Err(ActionError::WrongStatus { .. }));
    assert!(wrong(act(&mut town, "0", &id, to(), MIDNIGHT + 1)));
    assert_eq!(act(&mut town, "1", &id, Verb::Accept, MIDNIGHT + 2), APPLIED);
    assert!(wrong(act(&mut town, "2", &id, Verb::Handle, MIDNIGHT + 3)), "nobody went");
    assert!(wrong(act(&mut town, "3", &id, CLOSE, MIDNIGHT + 4)), "a true alarm is handled first");
    assert_eq!(act(&mut town, "4", &id, to(), MIDNIGHT + 5), APPLIED);
    assert_eq!(act(&mut town, "5", &id, Verb::Handle, MIDNIGHT + 6), APPLIED);
    assert_eq!(act(&mut town, "6", &id, CLOSE, MIDNIGHT + 7), APPLIED);
    assert_eq!(act(&mut town, "6", &id, CLOSE, MIDNIGHT + 8), Ok(None), "the same again does nothing");
    let other = AlertId::from("01KA0000000000000000000000");
    assert_eq!(act(&mut town, "7", &other, CLOSE, MIDNIGHT + 9), Err(ActionError::NotOpen(other)));
    use ChangeKind::{Accepted, Closed, Dispatched, Handled, Raised};
    assert_eq!(town.kinds(), [Raised, Accepted, Dispatched, Handled, Closed]);
    let last = town.changes.last().unwrap();
    assert_eq!((last.by.as_deref(), last.note.as_deref(), last.at_ms), (Some("li"), Some("on the way"), MIDNIGHT + 7));
    assert_eq!(last.alert.accepted_by.as_deref(), Some("li"));
    assert_eq!(last.alert.dispatched_to.as_deref(), Some("grid-3"));
    assert_eq!(last.alert.verdict, Some(Verdict::TrueAlarm));
    assert_eq!(town.pipeline.open_alerts().count(), 0);
}

fn undo(action: &str) -> Verb {
    Verb::Undo { action: action.into() }
}

const SECOND: TimeMs = 1_000;

#[test]
fn an_accept_that_is_taken_back_sounds_again_and_climbs_on() {
    let (mut town, id) = pressed();
    act(&mut town, "1", &id, Verb::Accept, MIDNIGHT + 20 * SECOND).unwrap();
    town.tick(MIDNIGHT + 70 * SECOND);
    assert_eq!(town.pipeline.open_alerts().next().unwrap().escalation, 0, "somebody has it");
    assert_eq!(act(&mut town, "2", &id, undo("1"), MIDNIGHT + 70 * SECOND), APPLIED);
    let undone = town.changes.last().unwrap();
    assert_eq!((undone.kind, undone.by.as_deref()), (ChangeKind::Undone, Some("li")));
    assert_eq!(undone.action.as_ref().unwrap().undoes.as_deref(), Some("1"));
    assert_eq!((undone.alert.status, &undone.alert.accepted_by), (Status::Raised, &None));
    assert_eq!(act(&mut town, "2", &id, undo("1"), MIDNIGHT + 71 * SECOND), Ok(None), "the same again does nothing");
    town.tick(MIDNIGHT + 60 * MINUTE);
    let climbed = town.changes.iter().filter(|change| change.kind == ChangeKind::Escalated);
    let climbed: Vec<_> = climbed.map(|change| change.at_ms - MIDNIGHT).collect();
    assert_eq!(climbed, [70 * SECOND, 3 * MINUTE, 10 * MINUTE], "the rung that is overdue comes at once");
    assert_eq!(act(&mut town, "3", &id, Verb::Accept, MIDNIGHT + 61 * MINUTE), APPLIED, "somebody else may have it");
}

#[test]
fn each_step_is_taken_back_to_where_the_life_was() {
    let (mut town, id) = pressed();
    let life = [Verb::Accept, Verb::Dispatch { to: "grid-3".into() }, Verb::Handle, CLOSE];
    for (step, verb) in life.into_iter().enumerate() {
        let before = town.changes.last().unwrap().alert.clone();
        let at = MIDNIGHT + (step as i64 + 1) * 50 * SECOND;
        let (one, back, again) = (format!("{step}"), format!("{step}-undo"), format!("{step}-again"));
        assert_eq!(act(&mut town, &one, &id, verb.clone(), at), APPLIED);
        assert_eq!(act(&mut town, &back, &id, undo(&one), at + 10 * SECOND), APPLIED);
        let mut after = town.changes.last().unwrap().alert.clone();
        after.updated_at_ms = before.updated_at_ms;
        after.escalation = before.escalation;
        assert_eq!(after, before, "as if nobody had done it");
        assert_eq!(town.pipeline.open_alerts().count(), 1);
        assert_eq!(act(&mut town, &again, &id, verb, at + 20 * SECOND), APPLIED);
    }
    assert_eq!(town.pipeline.open_alerts().count(), 0);
}

#[test]
fn what_is_taken_back_was_done_a_minute_ago_at_most_and_by_oneself() {
    let (mut town, id) = pressed();
    act(&mut town, "1", &id, Verb::Accept, MIDNIGHT).unwrap();
    let zhang = |action: &str| StaffAction::new("2", id.clone(), "zhang", undo(action));
    let theirs = town.act(&zhang("1"), MIDNIGHT + 1);
    assert_eq!(theirs, Err(ActionError::NotYours { by: "li".into() }));
    let upstream = StaffAction { via: Some("city".into()), ..StaffAction::new("3", id.clone(), "li", undo("1")) };
    assert_eq!(town.act(&upstream, MIDNIGHT + 2), Err(ActionError::NoAction("1".into())), "the ids of another side");
    let late = act(&mut town, "4", &id, undo("1"), MIDNIGHT + MINUTE);
    assert!(matches!(late, Err(ActionError::TooLate { .. })), "{late:?}");
    assert_eq!(
        act(&mut town, "5", &id, undo("1"), MIDNIGHT + MINUTE - 1),
        Err(ActionError::TooLate { ago: Span::from_ms(MINUTE) }),
        "time does not run back"
    );
    act(&mut town, "6", &id, Verb::Note, MIDNIGHT + MINUTE).unwrap();
    for not_undone in ["6", "nothing"] {
        let refused = act(&mut town, "7", &id, undo(not_undone), MIDNIGHT + MINUTE);
        assert_eq!(refused, Err(ActionError::NoAction(not_undone.into())));
    }
    act(&mut town, "8", &id, Verb::Dispatch { to: "grid-3".into() }, MIDNIGHT + MINUTE).unwrap();
    act(&mut town, "9", &id, undo("8"), MIDNIGHT + MINUTE).unwrap();
    let undo_of_undo = act(&mut town, "10", &id, undo("9"), MIDNIGHT + MINUTE);
    assert_eq!(undo_of_undo, Err(ActionError::NoAction("9".into())));
}

#[test]
fn what_is_closed_by_mistake_goes_on_with_all_that_happened_meanwhile() {
    let close = |town: &mut Town, id: &AlertId, at: TimeMs| {
        act(town, "a", id, Verb::Accept, at).unwrap();
        act(town, "b", id, Verb::Close { verdict: Verdict::Nuisance }, at + SECOND).unwrap();
    };
    let mut town = Town::new();
    town.switch(MIDNIGHT, "school-water", "leak", true);
    let id = town.changes[0].alert.id.clone();
    close(&mut town, &id, MIDNIGHT + SECOND);
    assert_eq!(town.pipeline.open_alerts().count(), 0);
    town.switch(MIDNIGHT + 10 * SECOND, "school-water", "leak", false);
    assert_eq!(town.changes.last().unwrap().kind, ChangeKind::Closed, "nothing is told of what is closed");
    act(&mut town, "c", &id, undo("b"), MIDNIGHT + 20 * SECOND).unwrap();
    let open = town.pipeline.open_alerts().next().unwrap();
    assert_eq!((open.status, open.verdict), (Status::Accepted, None));
    assert_eq!(open.recovered_at_ms, Some(MIDNIGHT + 10 * SECOND));
    // What comes now belongs to it.
    town.switch(MIDNIGHT + 30 * SECOND, "school-water", "leak", true);
    assert_eq!(town.changes.last().unwrap().alert.id, id);
    town.switch(MIDNIGHT + 40 * SECOND, "school-water", "leak", false);
    assert_eq!(town.changes.last().unwrap().kind, ChangeKind::Recovered);
    // A minute later it is done with, and what comes is another alert.
    act(&mut town, "d", &id, Verb::Close { verdict: Verdict::Nuisance }, MIDNIGHT + 50 * SECOND).unwrap();
    town.tick(MIDNIGHT + 111 * SECOND);
    town.switch(MIDNIGHT + 112 * SECOND, "school-water", "leak", true);
    assert_ne!(town.changes.last().unwrap().alert.id, id);
}

#[test]
fn a_note_stands_in_the_life_and_changes_nothing_else() {
    let (mut town, id) = pressed();
    assert_eq!(act(&mut town, "1", &id, Verb::Note, MIDNIGHT + SECOND), APPLIED);
    let note = town.changes.last().unwrap();
    assert_eq!((note.kind, note.alert.status), (ChangeKind::Annotated, Status::Raised));
    assert_eq!((note.by.as_deref(), note.note.as_deref()), (Some("li"), Some("on the way")));
    town.tick(MIDNIGHT + MINUTE);
    assert_eq!(town.changes.last().unwrap().kind, ChangeKind::Escalated, "nobody has it yet");
    act(&mut town, "2", &id, Verb::Accept, MIDNIGHT + 2 * MINUTE).unwrap();
    act(&mut town, "3", &id, Verb::Close { verdict: Verdict::Test }, MIDNIGHT + 2 * MINUTE).unwrap();
    assert_eq!(act(&mut town, "4", &id, Verb::Note, MIDNIGHT + 9 * MINUTE), APPLIED, "also when it is closed");
    assert_eq!(town.pipeline.open_alerts().count(), 0);
}

#[test]
fn nobody_has_to_go_for_what_turned_out_to_be_nothing() {
    let (mut town, id) = pressed();
    act(&mut town, "1", &id, Verb::Accept, MIDNIGHT + 1).unwrap();
    assert_eq!(act(&mut town, "2", &id, Verb::Close { verdict: Verdict::Test }, MIDNIGHT + 2), APPLIED);
}

#[test]
fn what_nobody_accepts_escalates_at_its_own_times_and_stops_when_somebody_does() {
    let (mut town, id) = pressed();
    town.tick(MIDNIGHT + 9 * MINUTE);
    let climbed: Vec<_> =
        town.changes.iter().filter(|change| change.kind == ChangeKind::Escalated).map(|change| change.at_ms).collect();
    assert_eq!(climbed, [MIDNIGHT + MINUTE, MIDNIGHT + 3 * MINUTE]);
    act(&mut town, "1", &id, Verb::Accept, MIDNIGHT + 9 * MINUTE).unwrap();
    town.tick(MIDNIGHT + 60 * MINUTE);
    assert_eq!(town.changes.iter().filter(|change| change.kind == ChangeKind::Escalated).count(), 2);
}

#[test]
fn a_critical_repeat_is_always_told_and_a_minor_one_folded() {
    let (mut town, _) = pressed();
    for press in 1..=20 {
        town.switch(MIDNIGHT + press * 2_000, "home-sos", "sos", false);
        town.switch(MIDNIGHT + press * 2_000 + 1_000, "home-sos", "sos", true);
    }
    assert_eq!(town.kinds().iter().filter(|kind| **kind == ChangeKind::Repeated).count(), 20);

    let mut town = Town::new();
    for splash in 0..40 {
        town.switch(MIDNIGHT + splash * 20_000, "school-water", "leak", true);
        town.switch(MIDNIGHT + splash * 20_000 + 10_000, "school-water", "leak", false);
    }
    let repeats = town.kinds().iter().filter(|kind| **kind == ChangeKind::Repeated).count();
    assert_eq!(repeats, 5, "told at 2, 4, 8, 16 and 32");
    assert_eq!(town.kinds().len(), 12, "each with its end");
    assert_eq!(town.pipeline.open_alerts().next().unwrap().occurrences, 40);
    assert_eq!(town.pipeline.folded(), 40 - 1 - 5);

    // The 41st is folded too, but it stays.
    town.switch(MIDNIGHT + 900_000, "school-water", "leak", true);
    town.tick(MIDNIGHT + 959_000);
    assert_eq!(town.kinds().len(), 12);
    town.tick(MIDNIGHT + 960_000);
    assert_eq!(town.kinds().len(), 13);
    assert_eq!(town.changes.last().unwrap().alert.recovered_at_ms, None);
}

/// Anything that can happen to the alerts of one home.
#[derive(Debug, Clone)]
enum Happening {
    Press,
    Release,
    Splash(bool),
    Act(usize, Verb),
    /// Somebody takes back what was done so many turns ago.
    Undo(usize),
    Wait(i64),
}

fn happening() -> impl Strategy<Value = Happening> {
    let verdict = prop_oneof![Just(Verdict::TrueAlarm), Just(Verdict::FalseAlarm), Just(Verdict::Test)];
    let verb = prop_oneof![
        Just(Verb::Accept),
        Just(Verb::Dispatch { to: "grid-3".into() }),
        Just(Verb::Handle),
        verdict.prop_map(|verdict| Verb::Close { verdict }),
        Just(Verb::Note),
    ];
    prop_oneof![
        Just(Happening::Press),
        Just(Happening::Release),
        any::<bool>().prop_map(Happening::Splash),
        (0_usize..4, verb).prop_map(|(which, verb)| Happening::Act(which, verb)),
        (1_usize..5).prop_map(Happening::Undo),
        (1_i64..40).prop_map(|minutes| Happening::Wait(minutes * MINUTE)),
    ]
}

fn is_step(before: Status, change: &AlertChange) -> bool {
    let after = change.alert.status;
    match change.kind {
        ChangeKind::Raised => false,
        ChangeKind::Joined | ChangeKind::Repeated | ChangeKind::Recovered => after == before,
        ChangeKind::Noted | ChangeKind::Annotated => after == before,
        ChangeKind::Undone => after <= before,
        ChangeKind::Escalated => before == Status::Raised && after == Status::Raised,
        ChangeKind::Accepted => (before, after) == (Status::Raised, Status::Accepted),
        ChangeKind::Dispatched => {
            (Status::Accepted..=Status::Dispatched).contains(&before) && after == Status::Dispatched
        }
        ChangeKind::Handled => (before, after) == (Status::Dispatched, Status::Handled),
        ChangeKind::Closed => before > Status::Raised && after == Status::Closed,
    }
}

proptest! {
    /// Whatever happens, numbers have no gaps, no alert goes back or comes back unless somebody undoes what they did,
    /// every critical finding is told, and what nobody has climbs.
    #[test]
    fn a_life_goes_back_only_where_somebody_undoes(happenings in proptest::collection::vec(happening(), 1..60)) {
        let mut town = Town::new();
        let mut now = MIDNIGHT;
        let (mut down, mut presses) = (false, 0);
        let mut acted = std::collections::BTreeMap::new();
        for (turn, happening) in happenings.into_iter().enumerate() {
            now += 1_000;
            match happening {
                Happening::Press => {
                    presses += usize::from(!down);
                    down = true;
                    town.switch(now, "home-sos", "sos", true);
                }
                Happening::Release => {
                    down = false;
                    town.switch(now, "home-sos", "sos", false);
                }
                Happening::Splash(on) => town.switch(now, "school-water", "leak", on),
                Happening::Wait(ms) => now += ms,
                Happening::Undo(ago) => {
                    let before = turn.wrapping_sub(ago);
                    if let Some(id) = acted.get(&before) {
                        let _ = act(&mut town, &turn.to_string(), id, undo(&before.to_string()), now);
                    }
                }
                Happening::Act(which, verb) => {
                    let id = town.pipeline.open_alerts().nth(which).map(|alert| alert.id.clone());
                    if let Some(id) = id {
                        let _ = act(&mut town, &turn.to_string(), &id, verb, now);
                        acted.insert(turn, id);
                    }
                }
            }
        }
        let mut alive: std::collections::BTreeMap<AlertId, Status> = Default::default();
        for (index, change) in town.changes.iter().enumerate() {
            prop_assert_eq!(change.seq, index as u64 + 1);
            match alive.insert(change.alert.id.clone(), change.alert.status) {
                None => prop_assert_eq!(change.kind, ChangeKind::Raised),
                Some(before) => prop_assert!(is_step(before, change), "{:?} after {:?}", change.kind, before),
            }
        }
        let open: Vec<_> = alive.iter().filter(|(_, status)| **status != Status::Closed).map(|(id, _)| id).collect();
        prop_assert_eq!(open, town.pipeline.open_alerts().map(|alert| &alert.id).collect::<Vec<_>>());
        prop_assert_eq!(town.found("sos").len(), presses, "every press is told");
        town.tick(now + 11 * MINUTE);
        let unheard = town.pipeline.open_alerts().find(|alert| {
            alert.severity == Severity::Critical && alert.status == Status::Raised && alert.escalation < 3
        });
        prop_assert_eq!(unheard, None, "what nobody has climbs its whole ladder, whatever was undone");
    }
}
