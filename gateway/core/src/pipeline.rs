//! The heart: one event in, its effects out.
//!
//! Time moves only by the `now` of events. Whatever falls due before an event happens at its own
//! due time first, so it does not matter how often anybody calls: the same events at the same
//! times give the same alerts, whether they come in live, after a crash, or from a replay.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use thiserror::Error;

use crate::alert::{ActionError, Alert, AlertBook, AlertChange, AlertSettings, Signal, StaffAction};
use crate::decode::{Arrival, DecodeError, Decoded, Hears, Said, SensorType, SensorTypes, Speaker};
use crate::detect::model::{ModelCard, ScoreError, Scorer};
use crate::detect::{Detector, DeviceStatus, Placement, Rules};
use crate::fault::{Fault, SourceFile};
use crate::reading::Reading;
use crate::site::{Place, Registry};
use crate::time::{TimeMs, UtcOffset};

/// All that decisions depend on besides readings. It is journaled, so that a replay needs nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// This gateway's id.
    pub gateway: String,
    /// Local time, for rules with hours.
    pub utc_offset: UtcOffset,
    /// How alerts fold, join and escalate.
    pub alerts: AlertSettings,
    /// Places and devices, without secrets.
    pub registry: Registry,
    /// Sensor type files.
    pub sensor_types: Vec<SourceFile>,
    /// Rule files.
    pub rules: Vec<SourceFile>,
    /// The models that can be scored.
    pub models: Vec<ModelCard>,
}

/// [`Settings`] made ready for use.
#[derive(Debug, Clone)]
pub struct Site {
    /// This gateway's id.
    pub gateway: String,
    /// Local time, for rules with hours.
    pub utc_offset: UtcOffset,
    /// How alerts fold, join and escalate.
    pub alerts: AlertSettings,
    /// Places and devices.
    pub registry: Registry,
    /// The sensor types without fault.
    pub sensor_types: SensorTypes,
    /// The rules without fault.
    pub rules: Rules,
    /// The models that can be scored.
    pub models: Vec<ModelCard>,
    device_index: HashMap<String, usize>,
    /// Devices by their ids and by what their own systems call them.
    called: HashMap<String, Vec<usize>>,
    /// The sensor types that devices are of.
    types_in_use: Vec<String>,
    /// Those of them that have something that must not be stored.
    discarding: Vec<String>,
    /// Where in the registry the place of each device is.
    device_places: Vec<Option<usize>>,
}

impl Site {
    /// Makes settings ready. What has a fault is set aside and told; the rest runs.
    pub fn compile(settings: &Settings) -> (Self, Vec<Fault>) {
        let (sensor_types, mut faults) = SensorTypes::compile(&settings.sensor_types);
        let (rules, rule_faults) = Rules::compile(&settings.rules, &sensor_types, &settings.models);
        faults.extend(rule_faults);
        faults.extend(untyped(&settings.registry, &sensor_types));
        let registry = settings.registry.clone();
        let device_index =
            registry.devices.iter().enumerate().map(|(index, device)| (device.id.clone(), index)).collect();
        let mut called: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, device) in registry.devices.iter().enumerate() {
            let known_as = (!device.known_as.is_empty() && device.known_as != device.id).then_some(&device.known_as);
            for name in std::iter::once(&device.id).chain(known_as) {
                called.entry(name.clone()).or_default().push(index);
            }
        }
        let mut types_in_use: Vec<String> = registry.devices.iter().map(|device| device.sensor_type.clone()).collect();
        types_in_use.sort_unstable();
        types_in_use.dedup();
        types_in_use.retain(|id| sensor_types.get(id).is_some());
        let discards = |id: &&String| sensor_types.get(id).is_some_and(SensorType::discards);
        let discarding = types_in_use.iter().filter(discards).cloned().collect();
        let places: HashMap<&str, usize> =
            registry.places.iter().enumerate().map(|(index, place)| (place.id.as_str(), index)).collect();
        let device_places = registry.devices.iter().map(|device| places.get(device.place.as_str()).copied()).collect();
        let site = Self {
            gateway: settings.gateway.clone(),
            utc_offset: settings.utc_offset,
            alerts: settings.alerts.clone(),
            registry,
            sensor_types,
            rules,
            models: settings.models.clone(),
            device_index,
            called,
            types_in_use,
            discarding,
            device_places,
        };
        (site, faults)
    }

    /// Where in the registry the device with this id is.
    pub fn device_index(&self, id: &str) -> Option<usize> {
        self.device_index.get(id).copied()
    }

    /// The place of the device `registry.devices[device]`.
    pub(crate) fn place_of(&self, device: usize) -> Option<&Place> {
        let place = *self.device_places.get(device)?;
        self.registry.places.get(place?)
    }

    /// Where in the registry the device of this type is that its own system calls so.
    fn device_called(&self, sensor_type: &SensorType, name: &str) -> Option<usize> {
        let is_of_type = |index: &&usize| {
            self.registry.devices.get(**index).is_some_and(|device| device.sensor_type == sensor_type.id)
        };
        self.called.get(name)?.iter().find(is_of_type).copied()
    }

    /// The payload of a message without what must not be stored; `None` where all of it may be.
    pub fn without_discarded(&self, message: Message<'_>) -> Option<Vec<u8>> {
        if self.discarding.is_empty() {
            return None;
        }
        let own = message.device.and_then(|id| self.registry.devices.get(self.device_index(id)?));
        let types = self.discarding.iter().filter(|id| own.is_none_or(|device| device.sensor_type == **id));
        types
            .filter_map(|id| self.sensor_types.get(id))
            .find_map(|sensor_type| sensor_type.without_discarded(message.topic, message.payload))
    }
}

/// A fault for each sensor type that devices name and that is not in use.
fn untyped(registry: &Registry, sensor_types: &SensorTypes) -> Vec<Fault> {
    let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for device in registry.devices.iter().filter(|device| sensor_types.get(&device.sensor_type).is_none()) {
        missing.entry(&device.sensor_type).or_default().push(&device.id);
    }
    let fault = |(sensor_type, devices): (&str, Vec<&str>)| Fault {
        file: "registry.toml".to_owned(),
        line: None,
        key: "device.type".to_owned(),
        problem: format!(
            "no sensor type `{sensor_type}` is in use, and nothing of {} devices is taken: {}",
            devices.len(),
            devices.join(", ")
        ),
        mend: "mend its file, or correct the devices' type".to_owned(),
    };
    missing.into_iter().map(fault).collect()
}

/// Bytes that came in by a door.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The device that proved to be itself; `None` at a broker, where the topic tells.
    pub device: Option<&'a str>,
    /// The MQTT topic.
    pub topic: &'a str,
    /// The payload.
    pub payload: &'a [u8],
    /// Whether the sender marked it as sent before (MQTT's DUP).
    pub redelivered: bool,
}

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
    /// The site changed.
    Configure(&'a Settings),
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
    /// What became of an action; `Ok(false)`: it had been taken before.
    pub action: Option<Result<bool, ActionError>>,
    /// What was set aside of a changed site.
    pub faults: Vec<Fault>,
    /// Models that failed to score.
    pub score_errors: Vec<ScoreError>,
}

/// What a message brought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Intake {
    /// Where its device is in the registry.
    pub device: usize,
    /// New readings.
    pub readings: u32,
    /// Readings that were there already.
    pub duplicates: u32,
    /// Readings placed before newer ones.
    pub late: u32,
    /// Values in it that could not be taken.
    pub refused: Vec<DecodeError>,
}

/// Why a message brought nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Reject {
    /// Nobody registered this device.
    #[error("unknown_device: no device is registered for topic `{0}`")]
    UnknownDevice(String),
    /// The device's type is not there, or was set aside for a fault.
    #[error("unknown_type: device `{device}` is of type `{sensor_type}`, which is not in use")]
    UnknownType {
        /// The device.
        device: String,
        /// Its type.
        sensor_type: String,
    },
    /// Devices of its type publish elsewhere.
    #[error("wrong_topic: device `{device}` sent to `{topic}`; its type publishes to `{wanted}`")]
    WrongTopic {
        /// The device.
        device: String,
        /// Where it published.
        topic: String,
        /// Where its type publishes.
        wanted: String,
    },
    /// The payload is not as the type says.
    #[error("device `{device}`: {error}")]
    Decode {
        /// The device.
        device: String,
        /// What is wrong.
        error: DecodeError,
    },
}

impl Reject {
    /// A short fixed word, for counting.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownDevice(_) => "unknown_device",
            Self::UnknownType { .. } => "unknown_type",
            Self::WrongTopic { .. } => "wrong_topic",
            Self::Decode { error, .. } => error.code,
        }
    }
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
        let (settings, mut state): (String, State) = postcard::from_bytes(checkpoint)?;
        let settings: Settings = serde_json::from_str(&settings)?;
        let (site, _) = Site::compile(&settings);
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
        Ok(postcard::to_allocvec(&(settings, &self.state))?)
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

    /// When time alone next has an effect.
    pub fn next_due(&self) -> Option<TimeMs> {
        [self.state.detector.next_due(), self.state.book.next_due()].into_iter().flatten().min()
    }

    /// Takes one event that happened at `now` and says what follows. A `now` before the last one
    /// counts as the last one: time does not run backwards here.
    pub fn step(&mut self, event: Event<'_>, now: TimeMs, scorer: &mut dyn Scorer) -> Effects {
        let now = now.max(self.state.now_ms);
        let mut effects = Effects::default();
        if let Event::Start = event {
            self.state.detector.start(now);
        }
        self.pass_time(now, &mut effects.changes);
        match event {
            Event::Start | Event::Tick => {}
            Event::Message(message) => {
                let mut recorder = Recorder { scorer, scores: &mut effects.scores, errors: &mut effects.score_errors };
                let mut signals = Vec::new();
                effects.intake = Some(self.take(message, now, &mut recorder, &mut signals));
                self.report(signals, now, &mut effects.changes);
            }
            Event::Action(action) => {
                let acted = self.state.book.act(action, now);
                effects.action = Some(acted.map(|change| {
                    let new = change.is_some();
                    effects.changes.extend(change);
                    new
                }));
            }
            Event::Configure(settings) => {
                let (site, faults) = Site::compile(settings);
                self.settings = settings.clone();
                self.site = site;
                let mut signals = Vec::new();
                self.state.detector.configure(&self.site, now, &mut signals);
                self.report(signals, now, &mut effects.changes);
                effects.faults = faults;
            }
        }
        effects
    }

    /// Lets everything happen that falls due up to `now`, each at its own time.
    fn pass_time(&mut self, now: TimeMs, changes: &mut Vec<AlertChange>) {
        while let Some(due) = self.next_due().filter(|due| *due <= now) {
            let due = due.max(self.state.now_ms);
            self.state.now_ms = due;
            let mut signals = Vec::new();
            self.state.detector.on_time(&self.site, due, &mut signals);
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
        let said = match message.device {
            Some(id) => understand(site, id, &message, now)?,
            None => understand_any(site, &message, now)?,
        };
        let mut intake = Intake { device: said.first, refused: said.refused, ..Intake::default() };
        let (detector, again) = (&mut self.state.detector, message.redelivered);
        for (index, reading) in said.readings {
            let Some(reading) = reading else {
                detector.heard(site, index, now, signals);
                continue;
            };
            match detector.reading(site, index, &reading, again, now, scorer, signals, &mut intake.refused) {
                Placement::Duplicate => intake.duplicates += 1,
                Placement::Newest => intake.readings += 1,
                Placement::Late => {
                    intake.readings += 1;
                    intake.late += 1;
                }
            }
        }
        Ok(intake)
    }

    fn report(&mut self, signals: Vec<Signal>, now: TimeMs, changes: &mut Vec<AlertChange>) {
        for signal in signals {
            self.state.book.signal(&self.site.gateway, &self.site.alerts, signal, now, changes);
        }
    }
}

/// What devices of the registry said in a message.
struct Understood {
    /// A device that it is of.
    first: usize,
    /// By device; without a reading it is a sign of life.
    readings: Vec<(usize, Option<Reading>)>,
    refused: Vec<DecodeError>,
}

/// Reads a message of the device that proved to be `id`: it speaks for itself alone.
fn understand(site: &Site, id: &str, message: &Message<'_>, now: TimeMs) -> Result<Understood, Reject> {
    let unknown = || Reject::UnknownDevice(message.topic.to_owned());
    let first = site.device_index(id).ok_or_else(unknown)?;
    let device = site.registry.devices.get(first).ok_or_else(unknown)?;
    let reject = |error| Reject::Decode { device: device.id.clone(), error };
    let sensor_type = site
        .sensor_types
        .get(&device.sensor_type)
        .ok_or_else(|| Reject::UnknownType { device: device.id.clone(), sensor_type: device.sensor_type.clone() })?;
    if sensor_type.hears(message.topic).is_none() {
        return Err(Reject::WrongTopic {
            device: device.id.clone(),
            topic: message.topic.to_owned(),
            wanted: sensor_type.topics().collect::<Vec<_>>().join(", "),
        });
    }
    let arrival = Arrival { at_ms: now, utc_offset: site.utc_offset };
    let Decoded { said, mut refused } = sensor_type.decode(message.topic, message.payload, arrival).map_err(reject)?;
    let mut readings = Vec::with_capacity(said.len());
    for Said { speaker, reading } in said {
        match speaker {
            Speaker::Device(name) if *name != *device.id && *name != *device.known_as => refused.push(DecodeError {
                code: "wrong_device",
                detail: format!("the message names the device `{name}`, its sender is `{id}`"),
            }),
            Speaker::Device(_) | Speaker::All => readings.push((first, reading)),
        }
    }
    if readings.is_empty()
        && let Some(error) = refused.pop()
    {
        return Err(reject(error));
    }
    Ok(Understood { first, readings, refused })
}

/// Reads a message from a broker, where topic and payload tell whose it is.
fn understand_any(site: &Site, message: &Message<'_>, now: TimeMs) -> Result<Understood, Reject> {
    let arrival = Arrival { at_ms: now, utc_offset: site.utc_offset };
    let mut first_reject = None;
    for sensor_type in site.types_in_use.iter().filter_map(|id| site.sensor_types.get(id)) {
        let device = match sensor_type.hears(message.topic) {
            None => continue,
            Some(Hears::PayloadTells) => None,
            Some(Hears::Device(name)) => match site.device_called(sensor_type, &name) {
                None => continue,
                known => known,
            },
        };
        match sensor_type.decode(message.topic, message.payload, arrival) {
            Ok(decoded) => {
                if let Some(understood) = attribute(site, sensor_type, decoded) {
                    return Ok(understood);
                }
            }
            Err(error) => {
                let named = device.and_then(|index| site.registry.devices.get(index));
                let device = named.map_or_else(|| format!("? ({})", sensor_type.id), |device| device.id.clone());
                first_reject = first_reject.or(Some(Reject::Decode { device, error }));
            }
        }
    }
    Err(first_reject.unwrap_or_else(|| Reject::UnknownDevice(message.topic.to_owned())))
}

/// Finds the devices that spoke in the registry; `None` where none of them is there.
fn attribute(site: &Site, sensor_type: &SensorType, decoded: Decoded<'_>) -> Option<Understood> {
    let mut readings = Vec::with_capacity(decoded.said.len());
    let mut refused = decoded.refused;
    for Said { speaker, reading } in decoded.said {
        match speaker {
            Speaker::All => {
                let all = site.registry.devices.iter().enumerate();
                let own = all.filter(|(_, device)| device.sensor_type == sensor_type.id);
                readings.extend(own.map(|(index, _)| (index, reading.clone())));
            }
            Speaker::Device(name) => match site.device_called(sensor_type, &name) {
                Some(index) => readings.push((index, reading)),
                None => refused.push(DecodeError {
                    code: "unknown_device",
                    detail: format!("no device of type `{}` is called `{name}`", sensor_type.id),
                }),
            },
        }
    }
    let first = readings.first()?.0;
    Some(Understood { first, readings, refused })
}

/// Writes down every score on its way, so that it can be journaled. A score that failed is written
/// down as NaN: a replay must fail there too.
struct Recorder<'a> {
    scorer: &'a mut dyn Scorer,
    scores: &'a mut Vec<f32>,
    errors: &'a mut Vec<ScoreError>,
}

impl Scorer for Recorder<'_> {
    fn score(&mut self, model: &str, features: &[f32]) -> Result<f32, ScoreError> {
        let result = self.scorer.score(model, features).and_then(|score| {
            // NaN in gives NaN out without an error from the runtime.
            if score.is_finite() {
                Ok(score)
            } else {
                Err(ScoreError { model: model.to_owned(), reason: "the score is not a number".to_owned() })
            }
        });
        self.scores.push(*result.as_ref().unwrap_or(&f32::NAN));
        if let Err(error) = &result {
            self.errors.push(error.clone());
        }
        result
    }
}
