//! Staff act at the console and upstream while these cannot hear of each other: it comes to one life.

use ninewatch_core::alert::{
    ActionError, Alert, AlertId, ChangeKind, Outcome, StaffAction, Status, TakenAction, Verb, Verdict,
};
use ninewatch_core::time::TimeMs;
use proptest::prelude::*;
use std::collections::BTreeMap;

use crate::town::{MIDNIGHT, MINUTE, Town};

/// All that is made apart has come by then; nothing of it comes before.
const CUT_OFF_UNTIL: TimeMs = MIDNIGHT + 30 * MINUTE;

fn pressed() -> (Town, AlertId) {
    let mut town = Town::new();
    town.switch(MIDNIGHT, "home-sos", "sos", true);
    let id = town.changes[0].alert.id.clone();
    (town, id)
}

/// An action of the console, or of an upstream, made upon the alert as it was raised.
fn apart(via: Option<&str>, id: &str, alert: &AlertId, verb: Verb, made_at_ms: TimeMs) -> StaffAction {
    StaffAction {
        id: id.into(),
        alert: alert.clone(),
        by: via.map_or("li", |_| "officer-7").into(),
        verb,
        note: Some(format!("note {id}")),
        via: via.map(str::to_owned),
        made_at_ms: Some(made_at_ms),
        upon: Some(1),
    }
}

fn dispatch(to: &str) -> Verb {
    Verb::Dispatch { to: to.into() }
}

fn close(verdict: Verdict) -> Verb {
    Verb::Close { verdict }
}

#[test]
fn two_lives_made_apart_are_one_with_nothing_lost() {
    let (mut town, id) = pressed();
    let at = |minute: i64| MIDNIGHT + minute * MINUTE;
    let console = [(Verb::Accept, 0), (close(Verdict::FalseAlarm), 28)];
    for (number, (verb, minute)) in console.into_iter().enumerate() {
        let action = apart(None, &format!("c{number}"), &id, verb, at(minute));
        assert_eq!(town.act(&action, at(minute)).unwrap().outcome, Outcome::Applied);
    }
    let city = [(Verb::Accept, 1), (dispatch("grid-3"), 2), (Verb::Handle, 20), (close(Verdict::TrueAlarm), 25)];
    let mut answers = Vec::new();
    for (number, (verb, minute)) in city.into_iter().enumerate() {
        let action = apart(Some("city"), &format!("u{number}"), &id, verb, at(minute));
        let acted = town.act(&action, CUT_OFF_UNTIL).unwrap();
        assert_eq!((acted.outcome, acted.again), (Outcome::Already, false));
        // Sent again it does nothing, and is answered the same.
        let again = town.act(&action, CUT_OFF_UNTIL + 1).unwrap();
        assert_eq!((again.outcome, again.seq, again.again), (acted.outcome, acted.seq, true));
        answers.push(acted.judged);
    }
    assert_eq!(answers, [None, None, None, Some(Verdict::TrueAlarm)], "a verdict is learnt from once");
    use ChangeKind::{Accepted, Closed, Noted, Raised};
    assert_eq!(town.kinds(), [Raised, Accepted, Closed, Noted, Noted, Noted, Noted]);
    let last = town.changes.last().unwrap();
    assert_eq!((last.by.as_deref(), last.note.as_deref()), (Some("officer-7"), Some("note u3")));
    let action = last.action.as_ref().unwrap();
    assert_eq!((action.id.as_str(), action.via.as_deref(), action.made_at_ms), ("u3", Some("city"), at(25)));
    assert_eq!(last.alert.status, Status::Closed);
    assert_eq!(last.alert.accepted_by.as_deref(), Some("li"), "the first who accepted");
    assert_eq!(last.alert.dispatched_to.as_deref(), Some("grid-3"));
    assert_eq!(last.alert.verdict, Some(Verdict::TrueAlarm), "whoever saw that it was real stands");
}

#[test]
fn who_closes_has_seen_all_that_was_found() {
    for console_closed_before in [false, true] {
        let (mut town, id) = pressed();
        town.act(&apart(Some("city"), "u0", &id, Verb::Accept, MIDNIGHT + 1), MIDNIGHT + 1).unwrap();
        town.switch(MIDNIGHT + MINUTE, "home-sos", "sos", false);
        town.switch(MIDNIGHT + 2 * MINUTE, "home-sos", "sos", true);
        let found = town.changes.last().unwrap();
        assert_eq!(found.kind, ChangeKind::Repeated);
        let found_seq = found.seq;
        if console_closed_before {
            let mut here = apart(None, "c0", &id, close(Verdict::Nuisance), MIDNIGHT + 3 * MINUTE);
            here.upon = None;
            town.act(&here, MIDNIGHT + 3 * MINUTE).unwrap();
        }
        let mut blind = apart(Some("city"), "u1", &id, close(Verdict::Test), MIDNIGHT + 90_000);
        let refused = town.act(&blind, CUT_OFF_UNTIL);
        assert_eq!(refused, Err(ActionError::Unseen { found_seq }));
        blind.upon = Some(found_seq);
        town.act(&blind, CUT_OFF_UNTIL + 1).unwrap();
        assert_eq!(town.changes.last().unwrap().alert.status, Status::Closed);
    }
}

#[test]
fn a_clock_elsewhere_is_believed_within_this_gateways_own_times() {
    let (mut town, id) = pressed();
    let made = |town: &mut Town, action: &StaffAction, at| {
        town.act(action, at).unwrap();
        town.changes.last().unwrap().action.as_ref().unwrap().made_at_ms
    };
    let before_it_was_raised = apart(Some("city"), "u0", &id, Verb::Accept, 0);
    assert_eq!(made(&mut town, &before_it_was_raised, MIDNIGHT + 10), MIDNIGHT);
    let years_ahead = apart(Some("city"), "u1", &id, dispatch("grid-9"), MIDNIGHT + 9_000_000 * MINUTE);
    assert_eq!(made(&mut town, &years_ahead, MIDNIGHT + 20), MIDNIGHT + 20);
    // Whoever has seen somebody sent and sends another wins, however slow their clock.
    let mut later = apart(Some("slow"), "u2", &id, dispatch("grid-3"), MIDNIGHT + 5);
    later.upon = Some(town.changes.last().unwrap().seq);
    assert_eq!(made(&mut town, &later, MIDNIGHT + 30), MIDNIGHT + 20);
    assert_eq!(town.changes.last().unwrap().alert.dispatched_to.as_deref(), Some("grid-3"));
    assert_eq!(town.changes.last().unwrap().kind, ChangeKind::Dispatched);
    // Who has not seen it, and made it before, is noted.
    let earlier = apart(None, "c0", &id, dispatch("grid-5"), MIDNIGHT + 15);
    assert_eq!(made(&mut town, &earlier, MIDNIGHT + 40), MIDNIGHT + 15);
    assert_eq!(town.changes.last().unwrap().alert.dispatched_to.as_deref(), Some("grid-3"));
    assert_eq!(town.changes.last().unwrap().kind, ChangeKind::Noted);
}

#[test]
fn the_same_id_on_two_sides_is_two_actions() {
    let (mut town, id) = pressed();
    for via in [None, Some("city"), Some("province")] {
        assert!(!town.act(&apart(via, "1", &id, Verb::Accept, MIDNIGHT), CUT_OFF_UNTIL).unwrap().again);
    }
    assert_eq!(town.changes.iter().filter(|change| change.action.is_some()).count(), 3);
}

#[test]
fn who_acts_upon_each_change_is_stopped_and_people_are_not() {
    let (mut town, id) = pressed();
    let accept = |n: usize| apart(Some("city"), &n.to_string(), &id, Verb::Accept, MIDNIGHT);
    let taken = (0..1000).take_while(|n| town.act(&accept(*n), CUT_OFF_UNTIL).is_ok()).count();
    assert_eq!(taken, 64);
    assert_eq!(town.act(&accept(64), CUT_OFF_UNTIL), Err(ActionError::TooMany(64)));
    assert!(town.act(&accept(63), CUT_OFF_UNTIL).unwrap().again, "what was taken is known");
    town.act(&apart(None, "c", &id, close(Verdict::Test), MIDNIGHT), CUT_OFF_UNTIL).unwrap();
    assert_eq!(town.pipeline.open_alerts().count(), 0);
}

#[test]
fn what_the_alert_log_alone_gives_back_still_acts_once() {
    let (mut town, id) = pressed();
    let actions = [
        apart(Some("city"), "u0", &id, Verb::Accept, MIDNIGHT + 5),
        apart(None, "c0", &id, Verb::Accept, MIDNIGHT + 3),
        apart(None, "c1", &id, close(Verdict::Test), MIDNIGHT + 8),
        apart(Some("city"), "u1", &id, dispatch("grid-3"), MIDNIGHT + 9),
        apart(Some("city"), "u3", &id, Verb::Undo { action: "u1".into() }, MIDNIGHT + 10),
        apart(None, "c2", &id, Verb::Note, MIDNIGHT + 10),
        apart(None, "c3", &id, Verb::Undo { action: "c1".into() }, MIDNIGHT + 10),
        apart(Some("city"), "u4", &id, dispatch("grid-4"), MIDNIGHT + 11),
    ];
    let first: Vec<_> = actions.iter().map(|action| town.act(action, CUT_OFF_UNTIL).unwrap()).collect();
    let mut regained = Town::new();
    town.changes.iter().for_each(|change| regained.pipeline.adopt(change));
    for (action, first) in actions.iter().zip(first) {
        let again = regained.act(action, CUT_OFF_UNTIL + 1).unwrap();
        assert_eq!((again.outcome, again.seq, again.again), (first.outcome, first.seq, true));
    }
    let mut more = apart(Some("city"), "u2", &id, Verb::Handle, MIDNIGHT + 10);
    more.upon = None;
    town.act(&more, CUT_OFF_UNTIL + 2).unwrap();
    regained.act(&more, CUT_OFF_UNTIL + 2).unwrap();
    assert_eq!(regained.changes.last(), town.changes.last());
}

#[test]
fn what_is_undone_here_while_the_city_went_on_stands() {
    let at = |minute: i64| MIDNIGHT + minute * MINUTE;
    let undo = Verb::Undo { action: "c0".into() };
    let undo = |id: &AlertId| apart(None, "c1", id, undo.clone(), at(1) + 30_000);
    let went_on =
        |id: &AlertId| StaffAction { upon: Some(2), ..apart(Some("city"), "u0", id, dispatch("grid-3"), at(2)) };
    for city_first in [false, true] {
        let (mut town, id) = pressed();
        town.act(&apart(None, "c0", &id, Verb::Accept, at(1)), at(1)).unwrap();
        // The city has seen that it is accepted, and not that this was taken back.
        let (undo, went_on) = (undo(&id), went_on(&id));
        let order = if city_first { [&went_on, &undo] } else { [&undo, &went_on] };
        let outcomes = order.map(|action| town.act(action, CUT_OFF_UNTIL).unwrap().outcome);
        let wanted = if city_first { [Outcome::Applied, Outcome::Already] } else { [Outcome::Applied; 2] };
        assert_eq!(outcomes, wanted);
        let alert = town.changes.last().unwrap().alert.clone();
        assert_eq!((alert.status, alert.dispatched_to.as_deref()), (Status::Dispatched, Some("grid-3")));
        assert_eq!(alert.accepted_by.as_deref(), Some("li"), "the city relied on it");
    }
    // Whoever has seen that it was taken back accepts first.
    let (mut town, id) = pressed();
    town.act(&apart(None, "c0", &id, Verb::Accept, at(1)), at(1)).unwrap();
    town.act(&undo(&id), at(2)).unwrap();
    let blind = StaffAction { upon: None, ..went_on(&id) };
    assert!(matches!(town.act(&blind, at(3)), Err(ActionError::WrongStatus { .. })));
}

#[test]
fn a_close_that_the_city_undid_comes_late_and_opens_the_alert_again() {
    let (mut town, id) = pressed();
    let city = |id_: &str, verb, at| apart(Some("city"), id_, &id, verb, MIDNIGHT + at);
    town.act(&city("u0", Verb::Accept, 10), CUT_OFF_UNTIL).unwrap();
    town.act(&city("u1", close(Verdict::Test), 20), CUT_OFF_UNTIL).unwrap();
    town.tick(CUT_OFF_UNTIL + 5 * MINUTE);
    assert_eq!(town.pipeline.open_alerts().count(), 0);
    let undo = city("u2", Verb::Undo { action: "u1".into() }, 30);
    assert_eq!(town.act(&undo, CUT_OFF_UNTIL + 6 * MINUTE).unwrap().outcome, Outcome::Applied);
    assert_eq!(town.pipeline.open_alerts().next().unwrap().status, Status::Accepted);
    let again = town.act(&undo, CUT_OFF_UNTIL + 7 * MINUTE).unwrap();
    assert!(again.again && town.changes.last().unwrap().kind == ChangeKind::Undone, "it acts once");
}

/// What staff of one side do, one after the other, each upon what they did before.
fn a_side() -> impl Strategy<Value = Vec<Verb>> {
    let verdict = prop_oneof![Just(Verdict::FalseAlarm), Just(Verdict::Test), Just(Verdict::Nuisance)];
    let sent = proptest::collection::vec("grid-[1-4]", 0..3);
    (sent, any::<bool>(), any::<bool>(), verdict, any::<bool>()).prop_map(|(sent, handles, closes, verdict, real)| {
        let mut verbs = vec![Verb::Accept];
        verbs.extend(sent.iter().map(|to| dispatch(to)));
        if handles && !sent.is_empty() {
            verbs.push(Verb::Handle);
        }
        if closes {
            let is_handled = verbs.last() == Some(&Verb::Handle);
            verbs.push(close(if real && is_handled { Verdict::TrueAlarm } else { verdict }));
        }
        verbs
    })
}

/// The actions of all sides: a side's own in its order, with times that rise within the cut.
fn actions(alert: &AlertId, sides: &[Vec<Verb>], mut times: Vec<TimeMs>) -> Vec<Vec<StaffAction>> {
    const NAMES: [Option<&str>; 3] = [None, Some("city"), Some("province")];
    let mut all = Vec::new();
    for (via, verbs) in NAMES.into_iter().zip(sides) {
        let mut own: Vec<_> = times.drain(..verbs.len()).collect();
        own.sort_unstable();
        let numbered = verbs.iter().zip(own).enumerate();
        let made = numbered.map(|(n, (verb, at))| apart(via, &n.to_string(), alert, verb.clone(), MIDNIGHT + at));
        let made = made.flat_map(|action| {
            // Now and then somebody takes it back within the minute, and does it again.
            let Some(back_ms) = action.made_at_ms.filter(|made| made % 3 == 0) else { return vec![action] };
            let undo = Verb::Undo { action: action.id.clone() };
            let undo = apart(via, &format!("{}-undo", action.id), alert, undo, back_ms + 1);
            let again = apart(via, &format!("{}-again", action.id), alert, action.verb.clone(), back_ms + 2);
            vec![action, undo, again]
        });
        all.push(made.collect());
    }
    all
}

/// What people read of the life: each action, once, with who, what and when.
type Timeline = BTreeMap<(Option<String>, String), (Option<String>, Option<String>, TakenAction)>;

/// Lets the actions come as `turns` says, some of them twice; gives what is left.
fn live(sides: &[Vec<StaffAction>], turns: &[(usize, bool)]) -> Result<(Alert, Timeline), TestCaseError> {
    let (mut town, _) = pressed();
    let mut next = vec![0; sides.len()];
    let mut now = CUT_OFF_UNTIL;
    // What the turns leave over comes at the end, one side after the other.
    let rest = (0..sides.len()).flat_map(|side| vec![(side, false); sides[side].len()]);
    for (side, again) in turns.iter().copied().chain(rest) {
        let side = side % sides.len();
        now += 1_000;
        let at = if again && next[side] > 0 { next[side] - 1 } else { next[side] };
        let Some(action) = sides[side].get(at) else { continue };
        let known = at < next[side];
        let acted = town.act(action, now);
        let acted = acted.map_err(|error| TestCaseError::fail(format!("{action:?} is refused: {error}")))?;
        prop_assert_eq!(acted.again, known);
        next[side] = next[side].max(at + 1);
    }
    let mut timeline = Timeline::new();
    for change in &town.changes {
        let Some(action) = change.action.clone() else { continue };
        let key = (action.via.clone(), action.id.clone());
        let twice = timeline.insert(key, (change.by.clone(), change.note.clone(), action));
        prop_assert!(twice.is_none(), "an action stands twice in the life");
    }
    let mut alert = town.changes.last().unwrap().alert.clone();
    alert.updated_at_ms = 0;
    Ok((alert, timeline))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// However the actions of three sides come between each other, and however often: the alert and its life are the same.
    #[test]
    fn it_does_not_matter_which_side_comes_first(
        sides in proptest::collection::vec(a_side(), 3),
        times in proptest::collection::vec(1_i64..30 * MINUTE, 18),
        one in proptest::collection::vec((0_usize..3, proptest::bool::weighted(0.3)), 0..30),
        other in proptest::collection::vec((0_usize..3, proptest::bool::weighted(0.3)), 0..30),
    ) {
        let (_, alert) = pressed();
        let sides = actions(&alert, &sides, times);
        let (one, life) = live(&sides, &one)?;
        let (other, other_life) = live(&sides, &other)?;
        prop_assert_eq!(one, other);
        prop_assert_eq!(&life, &other_life);
        prop_assert_eq!(life.len(), sides.iter().map(Vec::len).sum::<usize>(), "nothing is lost");
    }
}
