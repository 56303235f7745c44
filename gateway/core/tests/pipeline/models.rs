//! What models see, why they say yes, and what verdicts teach.

use ninewatch_core::alert::{AlertId, ChangeKind, Evidence, StaffAction, Verb, Verdict};
use ninewatch_core::detect::model::{Asked, ModelCard, ScoreError, Scorer};
use ninewatch_core::fault::SourceFile;
use ninewatch_core::pipeline::{Effects, Event, Message, Pipeline, Settings};
use ninewatch_core::replay::Recorded;
use ninewatch_core::site::{Device, PlaceKind};
use ninewatch_core::time::TimeMs;

use crate::detection::burst;
use crate::town::{HOUR, MIDNIGHT, MINUTE, payload, settings};

const DAY: i64 = 24 * HOUR;

/// Scores by a formula.
struct By<'a>(&'a dyn Fn(&Asked<'_>) -> f32);

impl Scorer for By<'_> {
    fn score(&mut self, asked: &Asked<'_>) -> Result<f32, ScoreError> {
        Ok((self.0)(asked))
    }
}

/// As the shipped routine model: half at the limit.
fn out_of_the_usual(asked: &Asked<'_>) -> f32 {
    let [minutes, usual, spread, least] = asked.features else { return 0.0 };
    let beyond = (minutes - (usual + 1.8 * spread).max(*least)) / spread;
    1.0 / (1.0 + (-beyond).exp())
}

/// A pipeline that writes down what a gateway's journal would.
struct Live {
    pipeline: Pipeline,
    begin: Vec<u8>,
    recorded: Vec<(TimeMs, String, Vec<u8>, Vec<f32>)>,
    found: Vec<(ChangeKind, Option<Evidence>, TimeMs)>,
}

impl Live {
    fn new(settings: Settings) -> Self {
        let (pipeline, faults) = Pipeline::new(settings, MIDNIGHT);
        assert_eq!(faults, []);
        let begin = pipeline.checkpoint().unwrap();
        Self { pipeline, begin, recorded: Vec::new(), found: Vec::new() }
    }

    fn note(&mut self, effects: &Effects) {
        let of = |change: &ninewatch_core::alert::AlertChange| (change.kind, change.evidence.clone(), change.at_ms);
        self.found.extend(effects.changes.iter().map(of));
    }

    fn tick(&mut self, now: TimeMs, by: &dyn Fn(&Asked<'_>) -> f32) {
        let effects = self.pipeline.step(Event::Tick, now, &mut By(by));
        self.note(&effects);
        if !effects.scores.is_empty() || !effects.changes.is_empty() {
            self.recorded.push((now, String::new(), Vec::new(), effects.scores));
        }
    }

    fn hear(&mut self, now: TimeMs, device: &str, records: &str, by: &dyn Fn(&Asked<'_>) -> f32) -> Vec<f32> {
        self.tick(now, by);
        let topic = format!("ninewatch/{device}/readings");
        let payload = payload(device, records, now).into_bytes();
        let message = Message { device: Some(device), topic: &topic, payload: &payload, redelivered: false };
        let effects = self.pipeline.step(Event::Message(message), now, &mut By(by));
        assert!(effects.intake.as_ref().unwrap().is_ok(), "{:?}", effects.intake);
        self.note(&effects);
        self.recorded.push((now, device.to_owned(), payload, effects.scores.clone()));
        effects.scores
    }

    /// What a rule has raised, as (minute since the first midnight, evidence).
    fn raised(&self, rule: &str) -> Vec<(i64, &Evidence)> {
        let of = |(_, evidence, at): &'_ (ChangeKind, Option<Evidence>, TimeMs)| evidence.as_ref().map(|_| *at);
        let found = self.found.iter().filter_map(|change| Some((of(change)?, change.1.as_ref()?)));
        found.filter(|(_, found)| found.rule == rule).map(|(at, found)| ((at - MIDNIGHT) / MINUTE, found)).collect()
    }

    /// Decides all of it again from what was written down.
    fn again(&self) -> Pipeline {
        let mut pipeline = Pipeline::restore(&self.begin).unwrap();
        for (now, device, payload, scores) in &self.recorded {
            let topic = format!("ninewatch/{device}/readings");
            let recorded = if device.is_empty() {
                Recorded::Tick { scores: scores.clone() }
            } else {
                Recorded::Message {
                    door: "test",
                    device: Some(device),
                    topic: &topic,
                    payload,
                    redelivered: false,
                    scores: scores.clone(),
                    rejected: None,
                }
            };
            pipeline.step_again(&recorded, *now).unwrap();
        }
        pipeline
    }
}

fn device(id: &str, sensor_type: &str, place: &str, spot: &str) -> Device {
    Device {
        id: id.into(),
        sensor_type: sensor_type.into(),
        place: place.into(),
        spot: spot.into(),
        known_as: String::new(),
        person: None,
        secret: String::new(),
    }
}

/// The shipped settings with other devices, and rules of these files only.
fn with(devices: Vec<Device>, rules: &[&str]) -> Settings {
    let mut settings = settings();
    settings.registry.devices = devices;
    settings.rules.retain(|file| rules.contains(&file.name.as_str()));
    for file in &mut settings.rules {
        let tables = file.text.split_inclusive("\n\n");
        file.text = tables.filter(|table| !table.trim_start().starts_with("[[rule.example]]")).collect();
    }
    settings
}

fn home() -> Live {
    let rooms = [("bed", "卧室"), ("bath", "卫生间"), ("kitchen", "厨房"), ("living", "客厅")];
    Live::new(with(rooms.map(|(id, spot)| device(id, "ninewatch-presence", "home", spot)).to_vec(), &["care.toml"]))
}

/// Who lives there is in one room at each moment: what all four sensors say, every five minutes.
fn live_through(live: &mut Live, from: i64, to: i64, room: impl Fn(i64, i64) -> &'static str) {
    for at in (from..to).step_by((5 * MINUTE) as usize) {
        let (day, minute) = ((at - MIDNIGHT).div_euclid(DAY), (at - MIDNIGHT).rem_euclid(DAY) / MINUTE);
        let here = room(day, minute);
        // Whoever is left tells first, as sensors do within seconds.
        for on in [false, true] {
            for sensor in ["bed", "bath", "kitchen", "living"].into_iter().filter(|sensor| (*sensor == here) == on) {
                let record = format!("{{\"n\":\"presence\",\"vb\":{on}}}");
                live.hear(at + 1000 * i64::from(on), sensor, &record, &out_of_the_usual);
            }
        }
    }
}

/// A day like all others: up at about seven.
fn usual(day: i64, minute: i64) -> &'static str {
    let late = day % 3 * 5;
    match minute {
        _ if minute < 415 + late => "bed",
        _ if minute < 425 + late => "bath",
        _ if minute < 450 + late => "kitchen",
        _ if minute < 1290 => "living",
        _ if minute < 1310 => "bath",
        _ => "bed",
    }
}

#[test]
fn a_home_is_learnt_and_what_is_out_of_its_usual_is_raised_once_with_why() {
    let mut live = home();
    let from = MIDNIGHT;
    live_through(&mut live, from, from + 10 * DAY, usual);
    assert_eq!(live.found, [], "ten usual days");
    // On the eleventh the bathroom is not left.
    live_through(&mut live, from + 10 * DAY, from + 10 * DAY + 11 * HOUR, |day, minute| {
        if minute >= 420 { "bath" } else { usual(day, minute) }
    });
    let [(minute, evidence)] = live.raised("routine-bathroom")[..] else { panic!("{:?}", live.found) };
    let stayed = minute - (10 * 1440 + 420);
    assert!((25..90).contains(&stayed), "after {stayed} min");
    assert!(
        evidence.reason.zh.contains("卫生间已") && evidence.reason.zh.contains("依据：已持续"),
        "{}",
        evidence.reason.zh
    );
    let score = evidence.score.as_ref().unwrap();
    assert_eq!(score.moved_by.iter().map(|by| by.input.as_str()).collect::<Vec<_>>(), ["minutes"]);
    // She comes out; that it is over is told.
    live_through(&mut live, from + 10 * DAY + 11 * HOUR, from + 10 * DAY + 13 * HOUR, usual);
    assert_eq!(live.found.iter().filter(|change| change.0 == ChangeKind::Recovered).count(), 1);

    let again = live.again();
    assert_eq!(again.checkpoint().unwrap(), live.pipeline.checkpoint().unwrap(), "decided again, it is the same");
}

#[test]
fn of_a_home_that_is_not_heard_as_a_whole_nothing_is_said() {
    let mut live = home();
    live_through(&mut live, MIDNIGHT, MIDNIGHT + 10 * DAY, usual);
    let until = MIDNIGHT + 11 * DAY;
    for at in (MIDNIGHT + 10 * DAY..until).step_by((5 * MINUTE) as usize) {
        // The bathroom's sensor has died, the others say nothing stirs.
        for sensor in ["bed", "kitchen", "living"] {
            live.hear(at, sensor, r#"{"n":"presence","vb":false}"#, &out_of_the_usual);
        }
    }
    for rule in ["routine-not-up", "routine-bathroom", "routine-wandering", "routine-no-meal"] {
        assert_eq!(live.raised(rule), [], "{rule}");
    }
}

#[test]
fn what_was_raised_of_a_home_is_not_over_because_it_is_out_of_sight() {
    let eleventh = MIDNIGHT + 10 * DAY;
    let recovered = |live: &Live| live.found.iter().filter(|change| change.0 == ChangeKind::Recovered).count();
    let mut live = home();
    let stays = |day, minute| if day == 10 && minute >= 420 { "bath" } else { usual(day, minute) };
    live_through(&mut live, MIDNIGHT, eleventh + 9 * HOUR, stays);
    assert_eq!((live.raised("routine-bathroom").len(), recovered(&live)), (1, 0));
    // The gateway was away for ten minutes; then no sensor says anything.
    let back = eleventh + 9 * HOUR + 10 * MINUTE;
    let effects = live.pipeline.step(Event::Start, back, &mut By(&out_of_the_usual));
    live.note(&effects);
    live.tick(back + 15 * MINUTE, &out_of_the_usual);
    assert_eq!(recovered(&live), 0, "nobody knows");
    // She is still there: it is the same matter.
    live_through(&mut live, back + 15 * MINUTE, back + 3 * HOUR, stays);
    assert_eq!((live.raised("routine-bathroom").len(), recovered(&live)), (1, 0));
    live_through(&mut live, back + 3 * HOUR, back + 4 * HOUR, |_, _| "living");
    assert_eq!(recovered(&live), 1, "she came out");
}

#[test]
fn a_sensor_that_was_silent_between_two_looks_at_the_home_leaves_nothing_known() {
    let seven = MIDNIGHT + 10 * DAY + 7 * HOUR;
    let mut live = home();
    live_through(&mut live, MIDNIGHT, seven, usual);
    // The home is asked every five minutes. The bathroom's sensor is silent from 07:21 to 07:24.
    for minute in [0, 1, 10, 19, 24] {
        let sensors: &[&str] = if minute % 24 == 1 { &["bath"] } else { &["bed", "kitchen", "living"] };
        for sensor in sensors.iter().chain((minute == 24).then_some(&"bath")) {
            let record = format!("{{\"n\":\"presence\",\"vb\":{}}}", minute == 1);
            live.hear(seven + minute * MINUTE, sensor, &record, &out_of_the_usual);
        }
    }
    live.tick(seven + 29 * MINUTE, &out_of_the_usual);
    let scored = live.recorded.iter().filter(|(at, .., scores)| *at > seven && !scores.is_empty());
    let minutes: Vec<i64> = scored.map(|(at, ..)| (at - seven) / MINUTE).collect();
    assert!(minutes.first().is_some_and(|first| *first < 20), "{minutes:?}");
    assert!(minutes.iter().all(|minute| *minute <= 21 || *minute == 24), "{minutes:?}");
}

fn card<'a>(settings: &'a mut Settings, name: &str) -> &'a mut ModelCard {
    settings.models.iter_mut().find(|card| card.name == name).unwrap()
}

/// Two rooms that should be empty at night.
fn rooms() -> Settings {
    let devices = vec![
        device("one", "ninewatch-presence", "shop", "店面"),
        device("other", "ninewatch-presence", "school", "教室"),
        device("wrist", "ninewatch-bracelet", "home", ""),
    ];
    let mut settings = with(devices, &["security.toml", "care.toml"]);
    let presence = card(&mut settings, "presence");
    (presence.threshold_most, presence.quiet) = (Some(0.9), ninewatch_core::time::Span::from_secs(3600));
    card(&mut settings, "fall").threshold_most = Some(0.99);
    settings
}

/// Closes the newest alert with this verdict.
fn close(live: &mut Live, at: TimeMs, verdict: Verdict) -> AlertId {
    let alert = live.pipeline.open_alerts().last().unwrap().id.clone();
    let verbs = [Verb::Accept, Verb::Dispatch { to: "wang".into() }, Verb::Handle, Verb::Close { verdict }];
    for (step, verb) in verbs.into_iter().enumerate() {
        let id = format!("{at}-{step}");
        let action = StaffAction::new(id, alert.clone(), "li", verb);
        let effects = live.pipeline.step(Event::Action(&action), at, &mut By(&|_| 0.0));
        assert!(effects.action.is_some_and(|acted| acted.is_ok_and(|acted| !acted.again)));
    }
    alert
}

/// Takes back the verdict that [`close`] gave at `at`, and gives another.
fn judge_anew(live: &mut Live, alert: AlertId, at: TimeMs, verdict: Verdict) {
    let undo = StaffAction::new("undo", alert.clone(), "li", Verb::Undo { action: format!("{at}-3") });
    let close = StaffAction::new("again", alert, "li", Verb::Close { verdict });
    for action in [undo, close] {
        let effects = live.pipeline.step(Event::Action(&action), at, &mut By(&|_| 0.0));
        assert!(effects.action.is_some_and(|acted| acted.is_ok()));
    }
}

#[test]
fn verdicts_raise_the_threshold_of_their_place_within_the_cards_bounds() {
    let mut live = Live::new(rooms());
    let night = |day: i64| MIDNIGHT + day * DAY + 23 * HOUR + 30 * MINUTE;
    let lit = r#"{"n":"light_lux","v":300}"#;
    let score = |score: f32| move |asked: &Asked<'_>| if asked.what_if { 0.0 } else { score };
    let raised = |live: &mut Live, day: i64, device: &str, value: f32| {
        let before = live.raised("room-occupied").len();
        live.hear(night(day), device, lit, &score(value));
        live.raised("room-occupied").len() > before
    };
    assert!(raised(&mut live, 0, "one", 0.55));
    let alert = close(&mut live, night(0) + MINUTE, Verdict::Nuisance);
    let [learnt] = &live.pipeline.thresholds()[..] else { panic!("{:?}", live.pipeline.thresholds()) };
    assert_eq!((learnt.place.as_str(), learnt.model.as_str()), ("shop", "presence"));
    assert!((learnt.threshold - 0.6).abs() < 1e-9, "{learnt:?}");
    judge_anew(&mut live, alert, night(0) + MINUTE, Verdict::FalseAlarm);
    let again = live.pipeline.thresholds()[0].threshold;
    assert!((again - 0.6).abs() < 1e-9, "what was taken back is not learnt twice: {again}");
    assert!(!raised(&mut live, 1, "one", 0.59), "the shop has learnt");
    assert!(raised(&mut live, 1, "other", 0.59), "the school has not");
    close(&mut live, night(1) + MINUTE, Verdict::Test);
    assert!(raised(&mut live, 2, "one", 0.95));
    close(&mut live, night(2) + MINUTE, Verdict::TrueAlarm);
    assert!((live.pipeline.thresholds()[0].threshold - 0.55).abs() < 1e-9, "a true alarm takes half of it back");
    for day in 3..40 {
        assert!(raised(&mut live, day, "one", 0.95), "day {day}: never beyond what the card allows");
        close(&mut live, night(day) + MINUTE, Verdict::FalseAlarm);
    }
    let thresholds = live.pipeline.thresholds();
    assert!(thresholds[0].threshold < 0.9 && thresholds.len() == 1, "{thresholds:?}");
}

/// A rule of the site's own.
fn own(id: &str, model: &str) -> SourceFile {
    let text = format!(
        "[[rule]]\nid = \"{id}\"\ntitle = {{ zh = \"有人\", en = \"Somebody\" }}\nscene = \"security\"\nseverity = \"minor\"\n\
         source = \"test\"\nreason = {{ zh = \"{{why}}\", en = \"{{why}}\" }}\nplaces = [\"shop\"]\nmodel = {model}\n"
    );
    SourceFile { name: "own.toml".into(), text }
}

#[test]
fn a_verdict_counts_once_however_many_rules_asked_the_model() {
    let mut settings = rooms();
    settings.rules.push(own("own", r#"{ name = "presence", fields = { light = "light_lux" } }"#));
    let mut live = Live::new(settings);
    let at = MIDNIGHT + 23 * HOUR + 30 * MINUTE;
    live.hear(at, "one", r#"{"n":"light_lux","v":300}"#, &|asked| if asked.what_if { 0.0 } else { 0.55 });
    assert_eq!((live.raised("room-occupied").len(), live.raised("own").len()), (1, 1));
    assert_eq!(live.pipeline.open_alerts().count(), 1);
    close(&mut live, at + MINUTE, Verdict::Nuisance);
    assert!((live.pipeline.thresholds()[0].threshold - 0.6).abs() < 1e-9, "{:?}", live.pipeline.thresholds());
}

#[test]
fn no_verdict_touches_a_rule_that_is_critical() {
    let mut live = Live::new(rooms());
    for day in 0..5 {
        let at = MIDNIGHT + day * DAY;
        live.hear(at, "wrist", &burst(), &|asked| if asked.what_if { 0.0 } else { 0.4 });
        assert_eq!(live.raised("fall").len(), usize::try_from(day).unwrap() + 1);
        close(&mut live, at + MINUTE, Verdict::FalseAlarm);
    }
    assert_eq!(live.pipeline.thresholds(), []);
}

#[test]
fn a_new_version_of_a_model_goes_on_with_what_was_learnt() {
    let cable = |day: i64, hour: i64| 40.0 + (day % 2) as f64 + hour as f64 / 10.0;
    let play = |swap: bool| {
        let settings = with(vec![device("cable", "ninewatch-electrical", "shop", "配电箱")], &["fire.toml"]);
        let mut live = Live::new(settings.clone());
        for step in 0..10 * 24 {
            let (day, hour) = (step / 24, step % 24);
            let record = format!("{{\"n\":\"cable_temperature_c\",\"v\":{}}}", cable(day, hour));
            let scores = live.hear(MIDNIGHT + step * HOUR, "cable", &record, &|_| 0.1);
            assert_eq!(
                scores.is_empty(),
                day < 8,
                "day {day}: seven days are learnt from, and the one after them waits"
            );
            if swap && step == 5 * 24 {
                let mut settings = settings.clone();
                card(&mut settings, "overheat").version = "2.0.0".into();
                live.pipeline.step(Event::Configure(&settings), MIDNIGHT + step * HOUR, &mut By(&|_| 0.0));
            }
        }
        let hot = live.hear(MIDNIGHT + 10 * DAY, "cable", r#"{"n":"cable_temperature_c","v":44}"#, &|asked| {
            asked.features[0].clamp(0.0, 0.9)
        });
        (hot[0], live.pipeline.settings().models.iter().find(|card| card.name == "overheat").unwrap().version.clone())
    };
    let (kept, swapped) = (play(false), play(true));
    assert_eq!((kept.0, swapped.0), (kept.0, kept.0));
    assert_eq!((kept.1 == swapped.1, swapped.1.as_str()), (false, "2.0.0"));
}

#[test]
fn a_model_is_not_shown_what_cannot_be_believed() {
    let settings = with(vec![device("smoke", "ninewatch-smoke", "shop", "后厨")], &["fire.toml"]);
    let mut live = Live::new(settings);
    let warming = |asked: &Asked<'_>| if asked.model == "smoke" { asked.features[1].clamp(0.0, 0.4) } else { 0.0 };
    for second in (0..1200).step_by(10) {
        // Once the sensor says what it says when its supply fails.
        let celsius = if second == 900 { 85 } else { 21 };
        let records = format!("{{\"n\":\"temperature_c\",\"v\":{celsius}}},{{\"n\":\"eco2_ppm\",\"v\":450}}");
        let scores = live.hear(MIDNIGHT + second * 1000, "smoke", &records, &warming);
        assert!(scores.iter().all(|score| *score < 0.1), "after {second} s: {scores:?}");
        assert!(second < 600 || !scores.is_empty());
    }
}

/// What the alert of a burst says moved a score that is made by `formula` of the differences to the usual.
fn moved_by(formula: &dyn Fn(&[f32]) -> f32) -> (Vec<String>, Vec<f32>, Vec<f32>) {
    let mut live = Live::new(rooms());
    let usual = live.pipeline.site().models.iter().find(|card| card.name == "fall").unwrap().usual_features();
    let by = |asked: &Asked<'_>| {
        let off: Vec<f32> = asked.features.iter().zip(&usual).map(|(now, usual)| (now - usual).abs()).collect();
        formula(&off)
    };
    live.hear(MIDNIGHT, "wrist", &burst(), &by);
    let found = live.raised("fall");
    let score = found[0].1.score.as_ref().unwrap();
    let (named, features): (Vec<String>, Vec<f32>) = (
        score.moved_by.iter().map(|by| by.input.clone()).collect(),
        score.features.iter().map(|(_, value)| *value as f32).collect(),
    );
    let mut off: Vec<f32> = features.iter().zip(&usual).map(|(now, usual)| (now - usual).abs()).collect();
    for by in &score.moved_by {
        off[score.features.iter().position(|(name, _)| *name == by.input).unwrap()] = 0.0;
        assert_eq!(by.score_without, f64::from(formula(&off)), "{by:?}: with those before it as usual");
    }
    (named, features, usual)
}

#[test]
fn the_inputs_that_are_named_are_those_without_which_it_was_no_yes() {
    let names: Vec<&str> =
        ninewatch_core::detect::features::of("wrist_motion_v1").iter().map(|known| known.name).collect();
    let index = |name: &str| names.iter().position(|other| *other == name).unwrap();
    // One matters by far.
    let (one, ..) = moved_by(&|off| (off[index("peak_mps2")] * 10.0).min(1.0));
    assert_eq!(one, ["peak_mps2"]);
    // Any of three is enough for a full score: none is missed as long as another is there.
    let three = ["rest_turn_radps", "tilt_end_deg", "peak_mps2"];
    let (mut any, ..) = moved_by(&|off| if three.iter().any(|name| off[index(name)] > 0.0) { 1.0 } else { 0.0 });
    any.sort();
    let mut wanted = three.map(str::to_owned);
    wanted.sort();
    assert_eq!(any, wanted);
    // What moves it most by itself may turn out not to be needed.
    let (needed, ..) = moved_by(&|off| match three.map(|name| off[index(name)] > 0.0) {
        [true, true, true] => 0.9,
        [false, true, true] | [true, false, true] => 0.5,
        [true, false, false] => 0.37,
        [true, true, false] => 0.3,
        _ => 0.0,
    });
    assert_eq!(needed, ["peak_mps2"]);
    // All of them a little: enough of them are named to take the yes away.
    let sum = |off: &[f32]| off.iter().map(|off| (off / (1.0 + off)) / 40.0).sum::<f32>();
    let (some, features, usual) = moved_by(&|off| sum(off));
    let off: Vec<f32> = features.iter().zip(&usual).map(|(now, usual)| (now - usual).abs()).collect();
    let mut without = off.clone();
    some.iter().for_each(|name| without[index(name)] = 0.0);
    assert!(sum(&off) >= 0.38 && sum(&without) < 0.38, "{some:?}");
}

#[test]
fn what_is_a_home_or_premises_rules_are_for_says_the_place() {
    let mut settings = with(vec![device("a", "ninewatch-presence", "shop", "卧室")], &["care.toml"]);
    settings.registry.places.iter_mut().for_each(|place| place.kind = PlaceKind::Shop);
    let mut live = Live::new(settings);
    for day in 0..9 {
        let scores = live.hear(MIDNIGHT + day * DAY, "a", r#"{"n":"presence","vb":true}"#, &|_| 1.0);
        assert_eq!(scores, Vec::<f32>::new(), "a shop has no routine that is watched");
    }
    assert!(live.recorded.iter().all(|(_, _, _, scores)| scores.is_empty()));
}

/// As the shipped model does, by and large: two signs at a time when nobody was here.
fn out_of_hours(asked: &Asked<'_>) -> f32 {
    let [open, weekday, _, _, _, _, signs] = asked.features else { return 0.0 };
    if *open < 0.2 && *weekday < 0.2 && *signs >= 2.0 { 0.9 } else { 0.1 }
}

#[test]
fn the_hours_of_a_place_are_learnt_and_somebody_out_of_hours_is_raised_once() {
    let devices =
        vec![device("door", "ninewatch-door", "shop", "店门"), device("inside", "ninewatch-presence", "shop", "店内")];
    let mut settings = with(devices, &["security.toml"]);
    settings.rules.push(own("own", r#"{ name = "night_entry", signs = ["open", "presence"] }"#));
    let mut live = Live::new(settings);
    let (open, presence) = (
        |on: bool| format!("{{\"n\":\"open\",\"vb\":{on}}}"),
        |on: bool| format!("{{\"n\":\"presence\",\"vb\":{on}}}"),
    );
    for day in 0..9 {
        // Of the ninth day, the night.
        for minute in (0..if day < 8 { 1440 } else { 120 }).step_by(5) {
            let at = MIDNIGHT + day * DAY + minute * MINUTE;
            let is_open = (480..1080).contains(&minute);
            live.hear(at, "inside", &presence(is_open), &out_of_hours);
            if minute % 30 == 0 {
                live.hear(at + MINUTE, "door", &open(is_open && minute % 60 == 0), &out_of_hours);
            }
        }
    }
    assert_eq!(live.raised("night-entry"), [], "eight days of business");
    let night = MIDNIGHT + 8 * DAY + 2 * HOUR;
    for (second, device, record) in [
        (0, "door", open(true)),
        (20, "door", open(false)),
        (70, "inside", presence(true)),
        (200, "inside", presence(true)),
        (400, "door", open(true)),
    ] {
        live.hear(night + second * 1000, device, &record, &out_of_hours);
    }
    let [(minute, evidence)] = live.raised("night-entry")[..] else { panic!("{:?}", live.raised("night-entry")) };
    assert_eq!(minute, 8 * 1440 + 121);
    assert_eq!(live.raised("own").len(), 1, "another rule asks, too");
    assert_eq!(
        (evidence.device.as_str(), evidence.reason.zh.starts_with("店内在平常无人的时间有动静")),
        ("inside", true)
    );
    let named: Vec<&str> = evidence.score.as_ref().unwrap().moved_by.iter().map(|by| by.input.as_str()).collect();
    assert!(!named.is_empty() && !named.contains(&"days"), "{named:?}");
    let again = live.again();
    assert_eq!(again.checkpoint().unwrap(), live.pipeline.checkpoint().unwrap(), "decided again, it is the same");
}
