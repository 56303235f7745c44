//! The heart: one event in, its effects out.
//!
//! Time moves only by the `now` of events. Whatever falls due before an event happens at its own
//! due time first, so it does not matter how often anybody calls: the same events at the same
//! times give the same alerts, whether they come in live, after a crash, or from a replay.

mod intake;
mod settings;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ailment::{Complaint, Complaints};
use crate::alert::walk_test::WalkState;
use crate::alert::{
    Acted, ActionError, Alert, AlertBook, AlertChange, AlertId, Drill, DrillError, Matter, Regrade, Scene, Signal,
    StaffAction, TurnError, WalkTurn,
};
use crate::detect::model::{Asked, ScoreError, Scorer, Sight};
use crate::detect::{Detector, DeviceStatus, LearntThreshold, Lesson, Placement};
use crate::fault::Fault;
use crate::time::TimeMs;

pub use intake::{Called, Heard, Intake, Message, Reject};
pub use settings::{Settings, Site};

/// What can happen.
#[derive(Debug)]
pub enum Event<'a> {
    /// The gateway began to listen, after a time when it did not.
    Start,
    /// A message came in.
    Message(Message<'a>),
    /// Time passed.
    Tick,
    /// A person acted.
    Action(&'a StaffAction),
    /// The site changed; see [`Settings::or_former`].
    Configure(&'a Settings),
    /// All that ails the gateway now; what is not among it is well.
    Complaints(&'a [Complaint]),
    /// A person begins a drill.
    Drill(&'a Drill),
    /// A resident reported something by a grid's code.
    Report(&'a Matter),
    /// A person makes an alert graver.
    Regrade(&'a Regrade),
    /// A person begins or ends a device's turn in a walk-test.
    Turn(&'a WalkTurn),
}

/// What follows from an event.
#[derive(Debug, Default)]
pub struct Effects {
    /// Alert changes, to be journaled in this order.
    pub changes: Vec<AlertChange>,
    /// Scores made, to be journaled with the event so that a replay needs no model.
    pub scores: Vec<f32>,
    /// What became of a message.
    pub intake: Option<Result<Intake, Reject>>,
    /// What became of an action.
    pub action: Option<Result<Acted, ActionError>>,
    /// Why a drill was not begun; one that was is among the changes.
    pub drill: Option<DrillError>,
    /// Why a turn of a walk-test did not begin.
    pub turn: Option<TurnError>,
    /// The alert of what a resident reported.
    pub reported: Option<AlertId>,
    /// Whether there was such an alert to be made graver.
    pub regraded: Option<Result<(), ActionError>>,
    /// Models that failed to score.
    pub score_errors: Vec<ScoreError>,
}

/// The state of all decisions of one gateway.
#[derive(Debug)]
pub struct Pipeline {
    settings: Settings,
    site: Site,
    state: State,
}

/// What a checkpoint holds besides the settings.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    now_ms: TimeMs,
    detector: Detector,
    book: AlertBook,
    complaints: Complaints,
}

/// Why a checkpoint cannot be used.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// The settings in it are not readable.
    #[error("the checkpoint's settings cannot be read: {0}")]
    Settings(#[from] serde_json::Error),
    /// The state in it is not readable.
    #[error("the checkpoint's state cannot be read: {0}")]
    State(#[from] postcard::Error),
}

impl Pipeline {
    /// A pipeline at the beginning of its life, and what of the settings was set aside.
    pub fn new(settings: Settings, now: TimeMs) -> (Self, Vec<Fault>) {
        let (site, faults) = Site::compile(&settings);
        let mut state = State { now_ms: now, ..State::default() };
        state.detector.start(now);
        state.detector.configure(&site, now, &mut Vec::new());
        (Self { settings, site, state }, faults)
    }

    /// The pipeline that [`Self::checkpoint`] wrote down.
    ///
    /// # Errors
    /// Where the bytes are not a checkpoint of this version.
    pub fn restore(checkpoint: &[u8]) -> Result<Self, CheckpointError> {
        let ((settings, mut state), behind): ((String, State), _) = postcard::take_from_bytes(checkpoint)?;
        let walk = if behind.is_empty() { WalkState::default() } else { postcard::from_bytes(behind)? };
        let settings: Settings = serde_json::from_str(&settings)?;
        let (site, _) = Site::compile(&settings);
        state.book = std::mem::take(&mut state.book).settled(walk);
        // The site is the same, so this only finds again what is not written down.
        state.detector.configure(&site, state.now_ms, &mut Vec::new());
        Ok(Self { settings, site, state })
    }

    /// All of it as bytes: what a replay can begin from.
    ///
    /// # Errors
    /// Where memory is short.
    pub fn checkpoint(&self) -> Result<Vec<u8>, CheckpointError> {
        let settings = serde_json::to_string(&self.settings)?;
        let state = postcard::to_allocvec(&(settings, &self.state))?;
        let walk = self.state.book.walk_state();
        Ok(if walk.is_empty() { state } else { postcard::to_extend(&walk, state)? })
    }

    /// What is in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What is in force, ready for use.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// The time of the last event.
    pub fn now_ms(&self) -> TimeMs {
        self.state.now_ms
    }

    /// The sequence number of the last alert change.
    pub fn last_seq(&self) -> u64 {
        self.state.book.last_seq()
    }

    /// Takes over an alert change that is in the journal while what led to it is not; see
    /// [`AlertBook::adopt`].
    pub fn adopt(&mut self, change: &AlertChange) {
        self.state.now_ms = self.state.now_ms.max(change.at_ms);
        self.state.book.adopt(&self.site.alerts, change);
    }

    /// Findings folded into an alert without a change of their own.
    pub fn folded(&self) -> u64 {
        self.state.book.folded()
    }

    /// The alerts that are not closed, oldest first.
    pub fn open_alerts(&self) -> impl Iterator<Item = &Alert> {
        self.state.book.open()
    }

    /// How each device is, in the registry's order.
    pub fn devices(&self) -> Vec<DeviceStatus> {
        (0..self.site.registry.devices.len())
            .filter_map(|device| self.state.detector.status(&self.site, device))
            .collect()
    }

    /// What verdicts have made of the models' thresholds.
    pub fn thresholds(&self) -> Vec<LearntThreshold> {
        self.state.detector.thresholds(&self.site)
    }

    /// Whether these complaints are known already: then telling them has no effect.
    pub fn knows(&self, complaints: &[Complaint]) -> bool {
        self.state.complaints.are(complaints)
    }

    /// Whether a critical rule looks at what the device `site.registry.devices[device]` reads.
    pub fn can_be_critical(&self, device: usize) -> bool {
        self.state.detector.can_be_critical(device)
    }

    /// Whether a message is of a device that can raise a critical alert by what it reads.
    pub fn message_can_be_critical(&self, message: &Message<'_>, now: TimeMs) -> bool {
        let Ok(understood) = intake::understand(&self.site, message, now) else { return false };
        understood.said.iter().any(|(device, ..)| self.can_be_critical(*device))
    }

    /// When time alone next has an effect.
    pub fn next_due(&self) -> Option<TimeMs> {
        let State { detector, book, complaints, .. } = &self.state;
        [detector.next_due(), book.next_due(), complaints.next_due(&self.site.alerts)].into_iter().flatten().min()
    }

    /// Takes one event that happened at `now` and says what follows. A `now` before the last one
    /// counts as the last one: time does not run backwards here.
    pub fn step(&mut self, event: Event<'_>, now: TimeMs, scorer: &mut dyn Scorer) -> Effects {
        let now = now.max(self.state.now_ms);
        let mut effects = Effects::default();
        if let Event::Start = event {
            self.state.detector.start(now);
            self.state.complaints.start();
        }
        let mut recorder = Recorder { scorer, scores: &mut effects.scores, errors: &mut effects.score_errors };
        self.pass_time(now, &mut recorder, &mut effects.changes);
        match event {
            Event::Start | Event::Tick => {}
            Event::Message(message) => {
                let mut signals = Vec::new();
                effects.intake = Some(self.take(message, now, &mut recorder, &mut signals));
                self.report(signals, now, &mut effects.changes);
            }
            Event::Action(action) => {
                let acted = self.state.book.act(&self.site.alerts, action, now);
                effects.action = Some(acted.map(|(acted, change)| {
                    if let (Some(lesson), Some(change)) = (Lesson::of(&acted), &change)
                        && !change.alert.drill
                        && change.alert.walk_test.is_none()
                    {
                        let alert = &change.alert;
                        self.state.detector.learn(&self.site, &alert.place, &alert.rules, lesson);
                    }
                    effects.changes.extend(change);
                    acted
                }));
            }
            Event::Report(matter) => {
                let (alert, change) = self.state.book.report(&self.site.gateway, &self.site.alerts, matter, now);
                effects.changes.extend(change);
                effects.reported = Some(alert);
            }
            Event::Regrade(regrade) => {
                let changed = self.state.book.regrade(&self.site.alerts, regrade, now);
                effects.regraded = Some(changed.map(|change| effects.changes.extend(change)));
            }
            Event::Configure(settings) => {
                let (site, _) = Site::compile(settings);
                self.settings = settings.clone();
                self.site = site;
                let mut signals = Vec::new();
                self.state.detector.configure(&self.site, now, &mut signals);
                self.report(signals, now, &mut effects.changes);
            }
            Event::Complaints(complaints) => {
                self.state.complaints.told(complaints, now);
                let mut signals = Vec::new();
                self.state.complaints.on_time(&self.site.gateway, &self.site.alerts, now, &mut signals);
                self.report(signals, now, &mut effects.changes);
            }
            Event::Drill(drill) => match self.drill(drill, now) {
                Ok(change) => effects.changes.push(change),
                Err(error) => effects.drill = Some(error),
            },
            Event::Turn(turn) => effects.turn = self.turn(turn, now, &mut effects.changes).err(),
        }
        effects
    }

    /// Lets everything happen that falls due up to `now`, each at its own time.
    fn pass_time(&mut self, now: TimeMs, scorer: &mut dyn Scorer, changes: &mut Vec<AlertChange>) {
        while let Some(due) = self.next_due().filter(|due| *due <= now) {
            let due = due.max(self.state.now_ms);
            self.state.now_ms = due;
            let mut signals = Vec::new();
            self.state.detector.on_time(&self.site, due, scorer, &mut signals);
            self.state.complaints.on_time(&self.site.gateway, &self.site.alerts, due, &mut signals);
            self.report(signals, due, changes);
            self.state.book.on_time(&self.site.alerts, due, changes);
        }
        self.state.now_ms = now;
    }

    fn take(
        &mut self,
        message: Message<'_>,
        now: TimeMs,
        scorer: &mut dyn Scorer,
        signals: &mut Vec<Signal>,
    ) -> Result<Intake, Reject> {
        let site = &self.site;
        let understood = intake::understand(site, &message, now)?;
        let mut intake = Intake { refused: understood.refused, ..Intake::default() };
        let (detector, again) = (&mut self.state.detector, message.redelivered);
        for (device, called, reading) in understood.said {
            let mut heard = Heard { device, called, new_reading: false };
            match &reading {
                None => detector.heard(site, device, now, signals),
                Some(reading) => {
                    match detector.reading(site, device, reading, again, now, scorer, signals, &mut intake.refused) {
                        Placement::Duplicate => intake.duplicates += 1,
                        Placement::Newest => heard.new_reading = true,
                        Placement::Late => {
                            heard.new_reading = true;
                            intake.late += 1;
                        }
                    }
                }
            }
            intake.readings += u32::from(heard.new_reading);
            intake.devices.push(heard);
        }
        Ok(intake)
    }

    fn drill(&mut self, drill: &Drill, now: TimeMs) -> Result<AlertChange, DrillError> {
        if drill.scene == Scene::Operations {
            return Err(DrillError::NotOfPlaces);
        }
        if self.site.registry.place(&drill.place).is_none() {
            return Err(DrillError::NoPlace(drill.place.clone()));
        }
        self.state.book.drill(&self.site.gateway, &self.site.alerts, drill, now)
    }

    fn turn(&mut self, turn: &WalkTurn, now: TimeMs, changes: &mut Vec<AlertChange>) -> Result<(), TurnError> {
        if self.site.registry.device(&turn.device).is_none() {
            return Err(TurnError::NoDevice(turn.device.clone()));
        }
        self.state.book.turn(&self.site.alerts, turn, now, changes)
    }

    fn report(&mut self, signals: Vec<Signal>, now: TimeMs, changes: &mut Vec<AlertChange>) {
        for signal in signals {
            self.state.book.signal(&self.site.gateway, &self.site.alerts, signal, now, changes);
        }
    }
}

/// Writes down every score on its way, so that it can be journaled. A score that failed is written
/// down as NaN: a replay must fail there too.
struct Recorder<'a> {
    scorer: &'a mut dyn Scorer,
    scores: &'a mut Vec<f32>,
    errors: &'a mut Vec<ScoreError>,
}

impl Scorer for Recorder<'_> {
    fn score(&mut self, asked: &Asked<'_>) -> Result<f32, ScoreError> {
        let result = self.scorer.score(asked).and_then(|score| {
            // NaN in gives NaN out without an error from the runtime.
            if score.is_finite() {
                Ok(score)
            } else {
                Err(ScoreError { model: asked.model.to_owned(), reason: "the score is not a number".to_owned() })
            }
        });
        self.scores.push(*result.as_ref().unwrap_or(&f32::NAN));
        if let Err(error) = &result {
            self.errors.push(error.clone());
        }
        result
    }

    fn look(&mut self, sight: &Sight<'_>) {
        self.scorer.look(sight);
    }
}
