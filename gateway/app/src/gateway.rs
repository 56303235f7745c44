//! The whole gateway, put together: doors in, engine, console and upstreams out.

use anyhow::Context;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::backup;
use crate::clock::Clock;
use crate::config::Config;
use crate::console::{Accounts, Console, ConsoleState, FirstPassword, Part};
use crate::downlink::Downlinks;
use crate::engine::{Engine, Ground, Running};
use crate::forward::{self, UpstreamStatus};
use crate::intake::broker;
use crate::intake::sensor_port::SensorPort;
use crate::intake::wired::Wired;
use crate::metrics::Counters;
use crate::notify::{self, Notify};
use crate::private;
use crate::scorer::{Models, Shelf, Sources};
use crate::site_files::{SetAside, SiteFiles};

/// A gateway at work.
pub(crate) struct Gateway {
    pub(crate) engine: Engine,
    pub(crate) counters: Arc<Counters>,
    /// Where the sensor port listens in plain TCP.
    pub(crate) sensor_port: Option<SocketAddr>,
    /// Where it listens in TLS.
    pub(crate) sensor_port_tls: Option<SocketAddr>,
    pub(crate) console: Option<SocketAddr>,
    /// Only at the very first start.
    pub(crate) first_password: Option<FirstPassword>,
    pub(crate) upstreams: Vec<Arc<UpstreamStatus>>,
    running: Running,
    /// Follows the site's files, and holds what tells the doors of changes.
    follow: JoinHandle<()>,
    port: Option<JoinHandle<anyhow::Result<()>>>,
    tasks: JoinSet<anyhow::Result<()>>,
    engine_stopped: watch::Receiver<bool>,
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

        // What can be refused is refused before anything is begun.
        let port = config.sensor_port.as_ref().map(SensorPort::bind).transpose()?;
        let console = config.console.as_ref().map(Console::bind).transpose()?;
        let wired = Wired::open(&config.wired)?;
        let models = Models::new(Sources {
            models_dir: config.files.models.clone(),
            library: config.files.onnxruntime.clone(),
            shelf: Some(Shelf::new(&data_dir)),
            clock,
        });
        let mut files = SiteFiles::new(config.clone(), Vec::new());
        // Before they are read: what changes while the gateway starts is seen then.
        let seen = files.seen(&models);
        let trying = models.clone();
        let loaded = tokio::task::spawn_blocking(move || trying.load()).await?;
        files.models = loaded.cards;
        let (settings, registry) = files.read()?;
        let (accounts, first_password) = Accounts::open(&data_dir)?;

        let counters = Arc::new(Counters::default());
        let (stopped, engine_stopped) = watch::channel(false);
        let journal = config.journal.clone();
        let (engine, running) = tokio::task::spawn_blocking({
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
        .await??;
        let set_aside = SetAside::default();
        set_aside.tell(running.in_force.faults.clone());
        let settings = running.in_force.settings.clone();

        let models_followed = models.clone();
        let mut tasks = JoinSet::new();
        let mut parts: Vec<Arc<dyn Part>> = vec![Arc::new(models.clone()), Arc::new(set_aside.clone())];
        let (settings_sender, settings) = watch::channel(Arc::new(settings));
        let (registry_sender, registry) = watch::channel(Arc::new(registry));

        let (sensor_port, sensor_port_tls) = port.as_ref().map_or((None, None), |port| (port.plain(), port.tls()));
        let mut downlinks = Downlinks { port: port.as_ref().map(SensorPort::downlink), brokers: Vec::new() };
        let port = port.map(|port| {
            parts.push(port.counters());
            tokio::spawn(port.serve(engine.clone(), registry))
        });
        for server in config.brokers.clone() {
            let (status, reading) = broker::start(server, &config.gateway.id, engine.clone())?;
            parts.push(status.clone());
            downlinks.brokers.push(status);
            tasks.spawn(reading);
        }
        if !config.wired.is_empty() {
            let serving = wired.serve(engine.clone());
            tasks.spawn(async move { Ok(serving.await?) });
        }
        let journal_dir = data_dir.join("journal");
        let mut upstreams = Vec::new();
        for server in config.upstreams {
            let (journal_dir, index) = (journal_dir.clone(), running.index.clone());
            let (status, forwarding) = forward::start(server, &config.gateway.id, journal_dir, engine.clone(), index)?;
            parts.push(status.clone());
            upstreams.push(status);
            tasks.spawn(forwarding);
        }
        let ground = notify::Ground {
            gateway: config.gateway.id.clone(),
            channels: config.notify,
            brokers: config.brokers,
            data_dir: data_dir.clone(),
            engine: engine.clone(),
            index: running.index.clone(),
            settings: settings.clone(),
            clock,
        };
        let (notify, work) = Notify::start(ground)?;
        parts.extend(notify.channels.iter().map(|channel| channel.clone() as Arc<dyn Part>));
        work.into_iter().for_each(|work| _ = tasks.spawn(work));
        let console = console.map(|console| {
            let address = console.address();
            let state = ConsoleState {
                engine: engine.clone(),
                index: running.index.clone(),
                journal_dir,
                settings,
                counters: counters.clone(),
                accounts,
                clock,
                parts,
                models,
                downlinks,
                notify,
            };
            tasks.spawn(console.serve(state));
            address
        });
        let follow = tokio::spawn(files.follow(
            seen,
            models_followed,
            engine.clone(),
            settings_sender,
            registry_sender,
            set_aside,
        ));
        Ok(Self {
            engine,
            counters,
            sensor_port,
            sensor_port_tls,
            console,
            first_password,
            upstreams,
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
        // The engine ends when nobody can ask it any more.
        drop(self.engine);
        tokio::task::spawn_blocking(move || self.running.join()).await?
    }
}

/// Ends with the port's task; never where there is none.
async fn port_ended(port: &mut Option<JoinHandle<anyhow::Result<()>>>) -> anyhow::Result<()> {
    match port {
        Some(port) => port.await.context("the sensor port ended")?,
        None => std::future::pending().await,
    }
}
