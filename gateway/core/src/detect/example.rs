//! Examples in a rule file: these readings over this time raise this, those do not.
//!
//! They are played through the detector itself, on one device in one place, so an example cannot
//! agree with a rule that the gateway would understand otherwise.

mod table;

use std::sync::Arc;

use super::Detector;
use super::model::{Asked, ScoreError, Scorer};
use super::rule::{Rule, Rules};
use crate::alert::{AlertSettings, Severity, Signal};
use crate::decode::{DecodeError, SensorType, SensorTypes};
use crate::pipeline::{Settings, Site};
use crate::reading::Reading;
use crate::site::{Device, Place, PlaceKind, Registry};
use crate::time::{Span, TimeMs, UtcOffset};
pub(super) use table::ExampleTable;
use table::Passage;

/// How the examples of a rule came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExampleCount {
    /// Those that raise something and should.
    pub raising: usize,
    /// Those that raise nothing and should not.
    pub quiet: usize,
    /// Those that came out otherwise.
    pub failed: usize,
}

impl ExampleCount {
    /// All of them.
    pub const fn total(self) -> usize {
        self.raising + self.quiet + self.failed
    }

    /// Those that came out as they should.
    pub const fn passed(self) -> usize {
        self.raising + self.quiet
    }
}

/// Why an example does not count.
#[derive(Debug)]
pub(super) struct Failure {
    /// Of the example.
    pub(super) key: &'static str,
    pub(super) problem: String,
    pub(super) mend: &'static str,
}

/// 00:00 on 2026-11-24 in China: rules know hours and no dates.
const MIDNIGHT: TimeMs = 1_795_449_600_000;
/// Examples are played whenever the file is read, so they have to be quick.
const MOST_READINGS: i64 = 10_000;
const LONGEST_MS: i64 = 31 * 86_400_000;

/// A place with one device, on which examples are played.
pub(super) struct Bench {
    site: Site,
}

impl Bench {
    /// With sensor types out of which each example gets its device.
    pub(super) fn new(types: &SensorTypes) -> Self {
        let place = Place {
            id: "place".into(),
            name: String::new(),
            kind: PlaceKind::Home,
            grid: String::new(),
            address: String::new(),
        };
        let device = Device {
            id: "device".into(),
            sensor_type: String::new(),
            place: place.id.clone(),
            spot: String::new(),
            known_as: String::new(),
            person: None,
            secret: String::new(),
        };
        let settings = Settings {
            gateway: "example".into(),
            utc_offset: UtcOffset::CHINA,
            alerts: AlertSettings::default(),
            registry: Registry { places: vec![place], devices: vec![device] },
            sensor_types: Vec::new(),
            rules: Vec::new(),
            models: Vec::new(),
            ladders: Vec::new(),
        };
        Self { site: Site::new(&settings, types.clone(), Rules::default()) }
    }

    /// Plays an example. Several sensor types may have its fields; one that bears it out is enough,
    /// so that a rule does not fall because somebody adds a type that reports at another pace.
    ///
    /// # Errors
    /// What came out instead.
    pub(super) fn try_out(&mut self, rule: &Arc<Rule>, example: &ExampleTable) -> Result<(), Failure> {
        let types = self.fitting(rule, example);
        self.site.rules = Rules::only(rule.clone());
        for place in &mut self.site.registry.places {
            place.kind = example.place.or_else(|| rule.places.first().copied()).unwrap_or(PlaceKind::Home);
        }
        let mut failure = None;
        for sensor_type in types {
            for device in &mut self.site.registry.devices {
                device.person = example.person.or_else(|| rule.persons.first().copied());
                device.sensor_type.clone_from(&sensor_type);
            }
            let played = self.play(rule, example).and_then(|outcome| example.bears_out(&outcome));
            match played {
                Ok(()) => return Ok(()),
                Err(why) => _ = failure.get_or_insert(why),
            }
        }
        Err(failure.unwrap_or_else(|| self.unreportable(rule, example)))
    }

    /// The ids of the types that can report what the example says, those first to which the rule applies.
    fn fitting(&self, rule: &Rule, example: &ExampleTable) -> Vec<String> {
        let can_report = |sensor_type: &&SensorType| {
            example.readings.iter().all(|passage| passage.values(sensor_type, rule).is_some())
        };
        let mut types: Vec<&SensorType> =
            self.site.sensor_types.iter().filter(|known| example.may_be(rule, known)).filter(can_report).collect();
        types.sort_by_key(|sensor_type| !rule.is_about(sensor_type));
        types.into_iter().map(|sensor_type| sensor_type.id.clone()).collect()
    }

    /// Why no type fits.
    fn unreportable(&self, rule: &Rule, example: &ExampleTable) -> Failure {
        let mut values = example.readings.iter().flat_map(Passage::each_value);
        let nowhere = |value: &Passage| {
            let classes = &self.site.sensor_types;
            !classes
                .iter()
                .any(|sensor_type| example.may_be(rule, sensor_type) && value.values(sensor_type, rule).is_some())
        };
        let problem = match values.find(nowhere) {
            Some(value) => format!("no sensor type that it may be about reports {value}"),
            None => "no sensor type that it may be about reports all of this".into(),
        };
        Failure { key: "readings", problem, mend: "use fields and values of one sensor type, or name another `class`" }
    }

    fn play(&self, rule: &Rule, example: &ExampleTable) -> Result<Outcome, Failure> {
        let named =
            self.site.registry.devices.first().and_then(|device| self.site.sensor_types.get(&device.sensor_type));
        let Some(sensor_type) = named else { return Ok(Outcome::default()) };
        let start = MIDNIGHT + i64::from(example.start.minute) * 60_000;
        let mut play = Play::new(&self.site, start);
        let mut readings = 0_i64;
        for passage in &example.readings {
            let times = passage.times(sensor_type.cadence);
            readings = readings.saturating_add(times.count);
            if readings > MOST_READINGS || times.lasting_ms > LONGEST_MS - (play.now - start) {
                return Err(Failure {
                    key: "readings",
                    problem: format!("is more than {MOST_READINGS} readings or a month"),
                    mend: "make it shorter, or `every` longer",
                });
            }
            let end = play.now + times.lasting_ms;
            if let Some((values, score)) = passage.values(sensor_type, rule) {
                let reading = Reading { event_ms: None, values };
                for number in 0..times.count {
                    play.pass_to(end.min(play.now + if number == 0 { 0 } else { times.every_ms }));
                    play.read(&reading, score);
                }
            }
            play.pass_to(end);
        }
        Ok(play.outcome(start))
    }
}

/// A detector on its way through an example.
struct Play<'a> {
    site: &'a Site,
    detector: Detector,
    now: TimeMs,
    signals: Vec<Signal>,
    refused: Vec<DecodeError>,
}

impl<'a> Play<'a> {
    fn new(site: &'a Site, now: TimeMs) -> Self {
        let mut play = Self { site, detector: Detector::default(), now, signals: Vec::new(), refused: Vec::new() };
        play.detector.start(now);
        play.detector.configure(site, now, &mut play.signals);
        play
    }

    /// As the pipeline does: whatever falls due happens at its own time.
    fn pass_to(&mut self, to: TimeMs) {
        while let Some(due) = self.detector.next_due().filter(|due| *due <= to) {
            self.now = self.now.max(due);
            self.detector.on_time(self.site, self.now, &mut Says(0.0), &mut self.signals);
        }
        self.now = to;
    }

    fn read(&mut self, reading: &Reading, score: f32) {
        let (signals, refused) = (&mut self.signals, &mut self.refused);
        self.detector.reading(self.site, 0, reading, false, self.now, &mut Says(score), signals, refused);
    }

    fn outcome(self, start: TimeMs) -> Outcome {
        let found = |signal: Signal| match signal {
            Signal::Raise(finding) => Some((finding.severity, Span::from_ms(finding.evidence.at_ms - start))),
            Signal::Clear { .. } => None,
        };
        let mut raised: Vec<(Severity, Span)> = self.signals.into_iter().filter_map(found).collect();
        // The gravest, and of those the first.
        raised.sort_by_key(|(severity, after)| (std::cmp::Reverse(*severity), *after));
        Outcome { raised: raised.into_iter().next(), refused: self.refused.into_iter().next() }
    }
}

/// What an example came to.
#[derive(Debug, Default)]
struct Outcome {
    /// The gravest that was raised, and how long after the start.
    raised: Option<(Severity, Span)>,
    /// A value that was not believed.
    refused: Option<DecodeError>,
}

/// Scores as the example says.
struct Says(f32);

impl Scorer for Says {
    fn score(&mut self, asked: &Asked<'_>) -> Result<f32, ScoreError> {
        // Any input is all of the reason.
        Ok(if asked.what_if { 0.0 } else { self.0 })
    }
}
