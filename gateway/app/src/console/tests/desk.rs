//! A console at work, and the engine that is played for it.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

use ninewatch_core::ailment::Ailment;
use ninewatch_core::alert::{
    Acted, ActionError, Alert, AlertBook, AlertChange, AlertId, AlertSettings, Drill, DrillError, Finding, Matter,
    Regrade, Signal, StaffAction, Text, TurnError, WalkTurn,
};
use ninewatch_core::detect::DeviceStatus;
use ninewatch_core::fault::SourceFile;
use ninewatch_core::pipeline::Settings;
use ninewatch_core::site::Registry;
use ninewatch_core::time::{TimeMs, UtcOffset};

use super::client::Client;
use crate::audit::Recorder;
use crate::clock::Clock;
use crate::config::{ConsoleConfig, JournalConfig};
use crate::console::{Accounts, Console, ConsoleState, ConsoleStatus, Role, edit_accounts};
use crate::engine::{Command, Engine};
use crate::health::Part;
use crate::index::{Index, Progress};
use crate::journal::{DiskRoom, Journal};
use crate::metrics::Counters;
use crate::people::{People, PeopleConfig};
use crate::scorer::{Models, Sources};

/// Makes decisions durable and tells them, as the engine does: journal, index, listeners.
pub(super) struct Played {
    book: AlertBook,
    settings: AlertSettings,
    journal: Journal,
    index: Index,
    engine: Option<Engine>,
    pub(super) devices: Vec<DeviceStatus>,
    pub(super) last_change: Option<AlertChange>,
}

pub(super) const GATEWAY: &str = "kaili-01";

impl Played {
    /// Takes what detection found at `now`.
    pub(super) fn raise(&mut self, finding: Finding, now: TimeMs) -> Vec<AlertChange> {
        self.signal(Signal::Raise(Box::new(finding)), now)
    }

    pub(super) fn signal(&mut self, signal: Signal, now: TimeMs) -> Vec<AlertChange> {
        self.signals([signal], now)
    }

    /// Takes several signals and tells what followed all at once.
    pub(super) fn signals(&mut self, signals: impl IntoIterator<Item = Signal>, now: TimeMs) -> Vec<AlertChange> {
        let mut changes = Vec::new();
        for signal in signals {
            self.book.signal(GATEWAY, &self.settings, signal, now, &mut changes);
        }
        self.tell(changes)
    }

    /// The number of the last change.
    pub(super) fn last_seq(&self) -> u64 {
        self.book.last_seq()
    }

    /// Lets unaccepted alerts climb, each when it is due, until `now`.
    pub(super) fn escalate_until(&mut self, now: TimeMs) {
        while let Some(due) = self.book.next_due().filter(|due| *due <= now) {
            let mut changes = Vec::new();
            self.book.on_time(&self.settings, due, &mut changes);
            self.tell(changes);
        }
    }

    /// The open alert that holds this device and rule.
    pub(super) fn alert_of(&self, device: &str, rule: &str) -> AlertId {
        let holds =
            |alert: &&Alert| alert.devices.iter().any(|one| one == device) && alert.rules.iter().any(|one| one == rule);
        self.book.open().find(holds).map(|alert| alert.id.clone()).unwrap()
    }

    /// Takes a staff action at `now`.
    pub(super) fn act(
        &mut self,
        action: &StaffAction,
        now: TimeMs,
    ) -> Result<Acted, ninewatch_core::alert::ActionError> {
        let (acted, change) = self.book.act(&self.settings, action, now)?;
        self.tell(change.into_iter().collect());
        Ok(acted)
    }

    /// Begins a drill at `now`.
    pub(super) fn drill(&mut self, drill: &Drill, now: TimeMs) -> Result<AlertId, DrillError> {
        let change = self.book.drill(GATEWAY, &self.settings, drill, now)?;
        let id = change.alert.id.clone();
        self.tell(vec![change]);
        Ok(id)
    }

    /// Begins or ends a device's turn at `now`.
    pub(super) fn turn(&mut self, turn: &WalkTurn, now: TimeMs) -> Result<(), TurnError> {
        let mut changes = Vec::new();
        self.book.turn(&self.settings, turn, now, &mut changes)?;
        self.tell(changes);
        Ok(())
    }

    /// Takes what a resident reported at `now`.
    pub(super) fn report(&mut self, matter: &Matter, now: TimeMs) -> AlertId {
        let (alert, change) = self.book.report(GATEWAY, &self.settings, matter, now);
        self.tell(change.into_iter().collect());
        alert
    }

    /// Makes an alert graver at `now`.
    pub(super) fn regrade(&mut self, regrade: &Regrade, now: TimeMs) -> Result<(), ActionError> {
        let change = self.book.regrade(&self.settings, regrade, now)?;
        self.tell(change.into_iter().collect());
        Ok(())
    }

    fn tell(&mut self, changes: Vec<AlertChange>) -> Vec<AlertChange> {
        for change in &changes {
            self.journal.append_alert(change).unwrap();
        }
        self.journal.commit().unwrap();
        self.index.apply(&changes).unwrap();
        if let Some(engine) = &self.engine {
            changes.iter().for_each(|change| engine.announce(change.clone()));
        }
        self.last_change = changes.last().cloned().or(self.last_change.take());
        changes
    }
}

/// A console with everything around it.
pub(super) struct Desk {
    pub(super) client: Client,
    pub(super) password: String,
    pub(super) accounts: Accounts,
    pub(super) played: Arc<Mutex<Played>>,
    pub(super) engine: Engine,
    pub(super) settings: watch::Sender<Arc<Settings>>,
    pub(super) registry: watch::Sender<Arc<Registry>>,
    pub(super) audit: Recorder,
    /// While it is held the engine answers nothing.
    pub(super) hold: Arc<tokio::sync::Mutex<()>>,
    /// Told of each command that the engine has before it.
    pub(super) asked: Arc<Notify>,
    served: JoinHandle<()>,
    play: JoinHandle<()>,
    dir: TempDir,
}

/// A part that is as the test says.
pub(super) struct Broker(pub(super) Mutex<Vec<(Ailment, Text)>>);

impl Part for Broker {
    fn name(&self) -> String {
        "broker:mosquitto".into()
    }

    fn ails(&self) -> Vec<(Ailment, Text)> {
        self.0.lock().unwrap().clone()
    }

    fn metrics(&self, out: &mut String) {
        crate::metrics::header(out, "ninewatch_broker_messages_total", "counter", "Messages from brokers.");
        out.push_str("ninewatch_broker_messages_total{broker=\"mosquitto\"} 7\n");
    }
}

/// The store of what is of persons, on a disk with room.
pub(super) fn people(dir: &Path) -> Arc<People> {
    People::open(dir, PeopleConfig::default(), DiskRoom::with_free(1 << 30))
}

pub(super) fn settings(registry: Registry) -> Settings {
    Settings {
        gateway: GATEWAY.into(),
        utc_offset: UtcOffset::CHINA,
        alerts: AlertSettings::default(),
        registry,
        sensor_types: sensor_types(),
        rules: Vec::new(),
        models: Vec::new(),
        ladders: Vec::new(),
    }
}

/// The built-in ones.
fn sensor_types() -> Vec<SourceFile> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sensors");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|path| SourceFile { name: path.display().to_string(), text: std::fs::read_to_string(&path).unwrap() })
        .collect()
}

pub(super) fn text(zh: &str, en: &str) -> Text {
    Text { zh: zh.into(), en: en.into() }
}

impl Desk {
    /// A console on a free port.
    pub(super) fn open(registry: Registry) -> Self {
        Self::open_at("127.0.0.1:0", registry, Vec::new())
    }

    pub(super) fn open_at(listen: &str, registry: Registry, parts: Vec<Arc<dyn Part>>) -> Self {
        Self::open_with(&ConsoleConfig::plain(listen.parse().unwrap()), registry, parts)
    }

    /// A console of nothing that listens as `config` says.
    pub(super) fn open_as(config: &ConsoleConfig) -> Self {
        Self::open_with(config, Registry::default(), Vec::new())
    }

    fn open_with(config: &ConsoleConfig, registry: Registry, parts: Vec<Arc<dyn Part>>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let journal_dir = dir.path().join("journal");
        let (journal, _) = Journal::open(&journal_dir, &JournalConfig::default()).unwrap();
        let (index, _) = Index::open(&dir.path().join("index"), &journal_dir).unwrap();
        let (engine, inbox) = Engine::for_tests();
        let played = Arc::new(Mutex::new(Played {
            book: AlertBook::default(),
            settings: AlertSettings::default(),
            journal,
            index: index.clone(),
            engine: Some(engine.clone()),
            devices: Vec::new(),
            last_change: None,
        }));
        let (accounts, first) = Accounts::open(dir.path()).unwrap();
        let audit = Recorder::open(dir.path(), Clock::System).unwrap();
        let (hold, asked) = <(Arc<tokio::sync::Mutex<()>>, Arc<Notify>)>::default();
        let (registry_sender, registry_in_force) = watch::channel(Arc::new(registry.clone()));
        let (settings, in_force) = watch::channel(Arc::new(settings(registry)));
        let console = Console::bind(config, dir.path()).unwrap();
        let client = Client::new(console.address());
        let status = Arc::new(ConsoleStatus::default());
        let state = ConsoleState {
            engine: engine.clone(),
            index,
            journal_dir,
            settings: in_force,
            registry: registry_in_force,
            counters: Arc::new(Counters::default()),
            accounts: accounts.clone(),
            clock: Clock::System,
            parts: parts.into_iter().chain([status.clone() as Arc<dyn Part>]).collect(),
            status,
            models: Models::new(Sources::to_check(None, None)),
            downlinks: crate::downlink::Downlinks::default(),
            notify: crate::notify::Notify::default(),
            roster: crate::duty::RosterFile::empty(dir.path()),
            nodes: crate::intake::nodes::Nodes::none(),
            audit: audit.clone(),
            people: people(dir.path()),
            upstreams: Vec::new(),
            site_file: None,
            gateway: GATEWAY.into(),
            sensor_port: (None, "0.0.0.0:8883".parse().ok()),
            brokers: crate::brokers::Brokers::new(dir.path(), "kaili-01", Vec::new()),
            updates: crate::update::Updates::open(dir.path(), false),
        };
        Self {
            client,
            password: first.unwrap().password,
            accounts,
            engine,
            settings,
            registry: registry_sender,
            audit,
            served: tokio::spawn(async { console.serve(state).await.unwrap() }),
            play: tokio::spawn(play(inbox, played.clone(), hold.clone(), asked.clone())),
            hold,
            asked,
            played,
            dir,
        }
    }

    /// A program with the first account's password.
    pub(super) fn program(&self) -> Client {
        self.client.basic("duty", &self.password)
    }

    /// A browser with the first account's session.
    pub(super) async fn browser(&self) -> Client {
        self.client.browser("duty", &self.password).await
    }

    /// A program with a new account of this role.
    pub(super) fn program_of(&self, name: &str, role: Role, grids: &[&str]) -> Client {
        let grids: Vec<String> = grids.iter().map(|grid| (*grid).to_owned()).collect();
        let password = edit_accounts(self.data_dir(), |list| list.add(name, role, &grids)).unwrap();
        self.client.basic(name, password.shown())
    }

    pub(super) fn data_dir(&self) -> &Path {
        self.dir.path()
    }

    /// Ends the engine, as a failed disk does.
    pub(super) fn stop_engine(&self) {
        self.play.abort();
    }

    /// Lets go of the engine; returns once nobody else holds it either, as the real one then ends.
    pub(super) async fn engine_ends(self) {
        self.played.lock().unwrap().engine = None;
        drop(self.engine);
        let ended = tokio::time::timeout(Duration::from_secs(30), self.play).await;
        ended.expect("somebody still holds the engine").unwrap();
    }

    /// Ends the console, as the gateway does when it stops.
    pub(super) async fn stop(&mut self) {
        self.served.abort();
        let _ = (&mut self.served).await;
    }
}

async fn play(
    mut inbox: mpsc::Receiver<Command>,
    played: Arc<Mutex<Played>>,
    hold: Arc<tokio::sync::Mutex<()>>,
    asked: Arc<Notify>,
) {
    while let Some(command) = inbox.recv().await {
        asked.notify_one();
        let _free = hold.lock().await;
        let mut played = played.lock().unwrap();
        match command {
            Command::Act(action, reply) => _ = reply.send(played.act(&action, Clock::System.now_ms())),
            Command::Drill(drill, reply) => _ = reply.send(played.drill(&drill, Clock::System.now_ms())),
            Command::Turn(turn, reply) => _ = reply.send(played.turn(&turn, Clock::System.now_ms())),
            Command::Devices(reply) => _ = reply.send(played.devices.clone()),
            Command::Thresholds(reply) => _ = reply.send(Vec::new()),
            Command::Heard(_, reply) => _ = reply.send(None),
            Command::Regrade(regrade, reply) => _ = reply.send(played.regrade(&regrade, Clock::System.now_ms())),
            Command::Report(matter, reply) => _ = reply.send(played.report(&matter, Clock::System.now_ms())),
            Command::Messages(_) | Command::Configure(..) | Command::Complaints(..) => {
                panic!("the console asks for no such thing")
            }
        }
    }
}
