//! The whole gateway, put together: doors in, engine, console and upstreams out.

use anyhow::Context;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use ninewatch_core::alert::Text;

use crate::audit::{Deed, Importance, Recorder};
use crate::backup::{self, BackupHealth};
use crate::brokers::Brokers;
use crate::clock::Clock;
use crate::config::Config;
use crate::console::{Accounts, Console, ConsoleState, ConsoleStatus, FirstPassword, WalkTestsDue};
use crate::downlink::Downlinks;
use crate::duty::RosterFile;
use crate::engine::{Engine, Ground, Running};
use crate::forward::{self, Source, UpstreamStatus};
use crate::health::{self, ClockHealth, DiskHealth, IndexHealth, JournalHealth, Pace, Part, Sign, Undelivered};
use crate::intake::nodes::Nodes;
use crate::intake::sensor_port::SensorPort;
use crate::intake::wired::Wired;
use crate::metrics::Counters;
use crate::notify::{self, Lamps, Notify};
use crate::people::People;
use crate::private;
use crate::scorer::{Models, Shelf, Sources};
use crate::site_files::{SetAside, SiteFiles};
use crate::update::{self, Updates};

/// A gateway at work.
pub(crate) struct Gateway {
    pub(crate) engine: Engine,
    pub(crate) counters: Arc<Counters>,
    /// Where the sensor port listens in plain TCP.
    pub(crate) sensor_port: Option<SocketAddr>,
    /// Where it listens in TLS.
    pub(crate) sensor_port_tls: Option<SocketAddr>,
    pub(crate) console: Option<ConsoleAt>,
    /// Only at the very first start.
    pub(crate) first_password: Option<FirstPassword>,
    pub(crate) upstreams: Vec<Arc<UpstreamStatus>>,
    pub(crate) updates: Arc<Updates>,
    sign: Option<Arc<Sign>>,
    notify: Notify,
    running: Running,
    /// Follows the site's files, and holds what tells the doors of changes.
    follow: JoinHandle<()>,
    port: Option<JoinHandle<anyhow::Result<()>>>,
    tasks: JoinSet<anyhow::Result<()>>,
    engine_stopped: watch::Receiver<bool>,
}

/// Where the console is, and what a browser has to trust.
#[derive(Debug, Clone)]
pub(crate) struct ConsoleAt {
    pub(crate) address: SocketAddr,
    pub(crate) is_https: bool,
    /// SHA-256 of the gateway's own CA, where it speaks HTTPS by that.
    pub(crate) fingerprint: Option<String>,
}

impl ConsoleAt {
    /// As a browser takes it.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}/", if self.is_https { "https" } else { "http" }, self.address)
    }
}

/// How long the sensor port has to say good-bye to its devices.
const GOOD_BYE: Duration = Duration::from_secs(3);

impl Gateway {
    /// Recovers what was, opens the doors and goes to work.
    ///
    /// # Errors
    /// Where a port, a folder or a file that it needs cannot be used.
    pub(crate) async fn start(config: Config, clock: Clock) -> anyhow::Result<Self> {
        let data_dir = config.gateway.data_dir.clone();
        private::make_data_dir(&data_dir)?;
        backup::tell_origin(&data_dir);
        let backups = BackupHealth::new(&config, clock);

        // What can be refused is refused before anything is begun.
        let port = config.sensor_port.as_ref().map(SensorPort::bind).transpose()?;
        let sign = config.local_sign.as_ref().map(Sign::open).transpose()?.map(Arc::new);
        let console = config.console.as_ref().map(|console| Console::bind(console, &data_dir)).transpose();
        let console = or_last_word(console, sign.as_deref()).await?;
        let wired = Wired::open(&config.wired)?;
        let lamps = Lamps::open(&config.notify)?;
        let models = Models::new(Sources {
            models_dir: config.files.models.clone(),
            updates: config.files.delivered.clone(),
            library: config.files.onnxruntime.clone(),
            shelf: Some(Shelf::new(&data_dir)),
            clock,
        });
        if let Some(config) = &config.update {
            update::verify_content(&data_dir, config)?;
        }
        let mut files = SiteFiles::new(config.clone(), Vec::new());
        // Before they are read: what changes while the gateway starts is seen then.
        let seen = files.seen(&models);
        let trying = models.clone();
        let loaded = tokio::task::spawn_blocking(move || trying.load()).await?;
        files.models = loaded.cards;
        let (settings, registry) = files.read()?;
        let (accounts, first_password) = or_last_word(Accounts::open(&data_dir), sign.as_deref()).await?;
        let audit = or_last_word(Recorder::open(&data_dir, clock), sign.as_deref()).await?;
        audit.note(Deed::of_the_gateway("gateway.start", env!("CARGO_PKG_VERSION").into()), Importance::Action).await;
        if let Some(first) = &first_password {
            audit.note(Deed::of_the_gateway("account.add", first.account.clone()), Importance::Action).await;
        }

        let counters = Arc::new(Counters::default());
        let (stopped, engine_stopped) = watch::channel(false);
        let journal = config.journal.clone();
        let started = tokio::task::spawn_blocking({
            let (data_dir, counters) = (data_dir.clone(), counters.clone());
            move || {
                let ground = Ground {
                    data_dir: &data_dir,
                    journal: &journal,
                    settings,
                    serving: loaded.serving,
                    clock,
                    counters,
                };
                Engine::start(ground, move || _ = stopped.send(true))
            }
        })
        .await?;
        let (engine, running) = match started {
            Ok(started) => started,
            Err(error) => {
                // Another gateway that uses the folder, say, is no matter for a siren.
                if error.chain().any(|cause| cause.is::<std::io::Error>()) {
                    last_word(sign.as_deref()).await;
                }
                return Err(error);
            }
        };
        let set_aside = SetAside::default();
        let (roster, roster_faults) = RosterFile::open(&data_dir);
        let mut faults = running.in_force.faults.clone();
        faults.extend(roster_faults);
        faults.extend(files.unknown(&running.in_force.settings, &roster));
        set_aside.tell(faults);
        let settings = running.in_force.settings.clone();

        let models_followed = models.clone();
        let mut tasks = JoinSet::new();
        let pace = Arc::new(Pace::default());
        let status = Arc::new(ConsoleStatus::default());
        let updates = Updates::open(&data_dir, config.update.is_some());
        let mut parts: Vec<Arc<dyn Part>> = vec![
            updates.clone(),
            Arc::new(models.clone()),
            Arc::new(set_aside.clone()),
            engine.load(),
            pace.clone(),
            Arc::new(JournalHealth::new(running.damage.clone())),
            Arc::new(IndexHealth::new(running.index.clone(), running.index_opened.clone())),
            Arc::new(DiskHealth::new(data_dir.clone())),
            running.room.clone(),
            status.clone(),
            Arc::new(audit.clone()),
        ];
        if let Clock::System = clock {
            parts.push(Arc::new(ClockHealth::new(running.recorded_ms, config.gateway.utc_offset)));
        }
        parts.extend(backups.map(|backups| Arc::new(backups) as Arc<dyn Part>));
        if let Some(sign) = &sign {
            parts.push(sign.clone());
        }
        let people = People::open(&data_dir, config.people, running.room.clone());
        let (settings_sender, settings) = watch::channel(Arc::new(settings));
        let (registry_sender, registry) = watch::channel(Arc::new(registry));
        let walks = WalkTestsDue::new(data_dir.clone(), clock, settings.clone());
        parts.push(walks.clone());
        tasks.spawn(walks.follow());

        let (sensor_port, sensor_port_tls) = port.as_ref().map_or((None, None), |port| (port.plain(), port.tls()));
        let brokers = Brokers::new(&data_dir, &config.gateway.id, config.brokers.clone());
        let downlinks = Downlinks { port: port.as_ref().map(SensorPort::downlink), brokers: Some(brokers.clone()) };
        let port = port.map(|port| {
            parts.push(port.counters());
            tokio::spawn(port.serve(engine.clone(), registry.clone()))
        });
        tasks.spawn(brokers.start(engine.clone())?);
        parts.push(Arc::new(brokers.clone()));
        if !config.wired.is_empty() {
            parts.extend(wired.parts());
            tasks.spawn(wired.serve(engine.clone()));
        }
        let (nodes, lines) = Nodes::start(&config.lines, data_dir.clone(), &engine, clock);
        parts.extend(nodes.lines().map(|line| line.clone() as Arc<dyn Part>));
        parts.push(Arc::new(nodes.clone()));
        lines.into_iter().for_each(|line| _ = tasks.spawn(line));
        let journal_dir = data_dir.join("journal");
        let mut upstreams = Vec::new();
        for server in config.upstreams {
            let (journal_dir, index) = (journal_dir.clone(), running.index.clone());
            let source = Source { gateway: config.gateway.id.clone(), epochs: running.epochs.clone() };
            let (status, forwarding) = forward::start(server, source, journal_dir, engine.clone(), index)?;
            parts.push(status.clone());
            upstreams.push(status);
            tasks.spawn(forwarding);
        }
        let ground = notify::Ground {
            source: Source { gateway: config.gateway.id.clone(), epochs: running.epochs.clone() },
            channels: config.notify,
            brokers: config.brokers,
            lamps,
            data_dir: data_dir.clone(),
            engine: engine.clone(),
            index: running.index.clone(),
            settings: settings.clone(),
            roster: roster.clone(),
            clock,
        };
        let (notify, work) = Notify::start(ground)?;
        parts.extend(notify.channels.iter().map(|channel| channel.clone() as Arc<dyn Part>));
        work.into_iter().for_each(|work| _ = tasks.spawn(work));
        let undelivered = Undelivered {
            engine: engine.clone(),
            index: running.index.clone(),
            journal_dir: journal_dir.clone(),
            upstreams: upstreams.clone(),
            console: status.clone(),
            sign: sign.clone(),
        };
        tasks.spawn(undelivered.follow());
        tasks.spawn(health::watch(parts.clone(), engine.clone(), (clock, config.alerts), pace));
        if let Some(update) = config.update {
            let ground = update::Ground {
                config: update,
                data_dir: data_dir.clone(),
                offset: config.gateway.utc_offset,
                engine: engine.clone(),
                alerts: running.index.clone(),
                parts: parts.clone(),
                upstreams: upstreams.clone(),
                audit: audit.clone(),
                room: running.room.clone(),
                clock,
            };
            tasks.spawn(updates.clone().follow(ground));
        }
        let console = console.map(|console| {
            let at = ConsoleAt {
                address: console.address(),
                is_https: console.is_https(),
                fingerprint: console.fingerprint(),
            };
            let state = ConsoleState {
                engine: engine.clone(),
                index: running.index.clone(),
                journal_dir,
                settings,
                registry,
                counters: counters.clone(),
                accounts,
                clock,
                parts,
                status,
                models,
                downlinks,
                notify: notify.clone(),
                roster: roster.clone(),
                nodes,
                audit,
                people: people.clone(),
                upstreams: upstreams.clone(),
                site_file: config.read_from,
                gateway: config.gateway.id.clone(),
                sensor_port: (sensor_port, sensor_port_tls),
                brokers,
                updates: updates.clone(),
            };
            tasks.spawn(console.serve(state));
            at
        });
        tasks.spawn(people.look_after(engine.clone(), clock, running.recorded_ms));
        let follow = tokio::spawn(files.follow(
            seen,
            models_followed,
            engine.clone(),
            settings_sender,
            registry_sender,
            (set_aside, roster),
        ));
        Ok(Self {
            engine,
            counters,
            sensor_port,
            sensor_port_tls,
            console,
            first_password,
            upstreams,
            updates,
            sign,
            notify,
            running,
            follow,
            port,
            tasks,
            engine_stopped,
        })
    }

    /// Waits until the gateway cannot go on: its disk failed, or a door fell shut.
    ///
    /// # Errors
    /// Always: it says why.
    pub(crate) async fn stopped(&mut self) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                _ = self.engine_stopped.wait_for(|stopped| *stopped) => {
                    last_word(self.sign.as_deref()).await;
                    anyhow::bail!("the journal cannot be written: see the log; nothing since then was acknowledged");
                }
                Some(ended) = self.tasks.join_next() => ended.context("a part of the gateway ended")??,
                ended = port_ended(&mut self.port) => {
                    self.port = None;
                    ended?;
                    anyhow::bail!("the sensor port is closed");
                }
            }
        }
    }

    /// Closes the doors, makes everything durable that was handed in, and ends.
    ///
    /// # Errors
    /// Where the journal could not be written to the end.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        // Without a registry to follow the port lets its devices go.
        self.follow.abort();
        let _ = self.follow.await;
        if let Some(port) = self.port.take() {
            let _ = tokio::time::timeout(GOOD_BYE, port).await;
        }
        self.tasks.shutdown().await;
        self.notify.put_out();
        if let Some(sign) = &self.sign {
            sign.put_out().await;
        }
        // The engine ends when nobody can ask it any more.
        drop(self.engine);
        tokio::task::spawn_blocking(move || self.running.join()).await?
    }
}

/// Where the disk keeps the gateway from starting, the sign says so.
async fn or_last_word<T>(done: anyhow::Result<T>, sign: Option<&Sign>) -> anyhow::Result<T> {
    use std::io::ErrorKind::{ReadOnlyFilesystem, StorageFull};
    // 5: EIO, which has no kind.
    let is_of_the_disk = |error: &std::io::Error| {
        matches!(error.kind(), ReadOnlyFilesystem | StorageFull) || error.raw_os_error() == Some(5)
    };
    if let Err(error) = &done
        && error.chain().filter_map(|cause| cause.downcast_ref()).any(is_of_the_disk)
    {
        last_word(sign).await;
    }
    done
}

/// Where nothing can be written down any more, nobody is told but by the sign on the spot.
async fn last_word(sign: Option<&Sign>) {
    if let Some(sign) = sign {
        let why = Text {
            zh: "网关已停止：磁盘无法使用".into(),
            en: "the gateway has stopped: its disk cannot be used".into(),
        };
        sign.last_word(&why).await;
    }
}

/// Ends with the port's task; never where there is none.
async fn port_ended(port: &mut Option<JoinHandle<anyhow::Result<()>>>) -> anyhow::Result<()> {
    match port {
        Some(port) => port.await.context("the sensor port ended")?,
        None => std::future::pending().await,
    }
}
