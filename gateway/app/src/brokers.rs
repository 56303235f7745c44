//! The brokers that the gateway reads from: those of `site.toml`, and those that were added from the set-up page, which come
//! and go while it runs.

mod file;
mod look;

use rumqttc::{AsyncClient, Event, Packet};
use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use ninewatch_core::ailment::Ailment;
use ninewatch_core::alert::Text;

use crate::config::MqttServer;
use crate::engine::Engine;
use crate::health::Part;
use crate::intake::broker::{self, BrokerStatus};
use crate::mqtt_client::{Access, CONNECT_TIMEOUT, network_options};
use crate::site_files::fingerprint;

pub(crate) use file::{FILE, PASSWORDS, load};
pub(crate) use look::{Found, Zigbee, look};

/// How often the file is looked at; a change from the page is followed at once.
const EVERY: Duration = Duration::from_secs(1);

/// All of them. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Brokers(Arc<Inner>);

struct Inner {
    data_dir: PathBuf,
    gateway: String,
    fixed: Vec<MqttServer>,
    running: Mutex<BTreeMap<String, Running>>,
    /// What is wrong with the file as a whole.
    trouble: Mutex<Option<String>>,
    /// Counts up for whoever waits that a change is followed.
    asked: watch::Sender<u64>,
    followed: watch::Sender<u64>,
}

/// A broker at work.
struct Running {
    server: MqttServer,
    status: Arc<BrokerStatus>,
    /// `None` for one of `site.toml`: it ends with the gateway.
    task: Option<AbortHandle>,
}

/// A broker, for whoever looks at the list.
pub(crate) struct Listed {
    pub(crate) server: MqttServer,
    pub(crate) is_fixed: bool,
    pub(crate) status: Arc<BrokerStatus>,
}

type Reading = std::pin::Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

impl Brokers {
    /// None run yet.
    pub(crate) fn new(data_dir: &Path, gateway: &str, fixed: Vec<MqttServer>) -> Self {
        Self(Arc::new(Inner {
            data_dir: data_dir.to_owned(),
            gateway: gateway.to_owned(),
            fixed,
            running: Mutex::default(),
            trouble: Mutex::default(),
            asked: watch::Sender::default(),
            followed: watch::Sender::default(),
        }))
    }

    /// Starts reading from all of them. The future follows the file until the gateway stops.
    ///
    /// # Errors
    /// Where one of `site.toml` cannot be used.
    pub(crate) fn start(
        &self,
        engine: Engine,
    ) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + Send + use<>> {
        let mut readings: Vec<Reading> = Vec::new();
        for server in self.0.fixed.clone() {
            let (status, reading) = broker::start(server.clone(), &self.0.gateway, engine.clone())?;
            self.running().insert(server.name.clone(), Running { server, status, task: None });
            readings.push(Box::pin(reading));
        }
        Ok(self.clone().follow(engine, readings))
    }

    async fn follow(self, engine: Engine, readings: Vec<Reading>) -> anyhow::Result<()> {
        let mut tasks = JoinSet::new();
        readings.into_iter().for_each(|reading| _ = tasks.spawn(reading));
        let mut asked = self.0.asked.subscribe();
        let mut look = tokio::time::interval(EVERY);
        let mut seen = None;
        loop {
            let was_asked = tokio::select! {
                changed = asked.changed() => changed.is_ok(),
                _ = look.tick() => false,
                Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                    // One that was taken out is cancelled; one that ends by itself has seen the engine stop.
                    if let Ok(ended) = ended { ended? }
                    continue;
                }
            };
            let count = *asked.borrow_and_update();
            let now = fingerprint(vec![file::path(&self.0.data_dir)]);
            if was_asked || seen.as_ref() != Some(&now) {
                seen = Some(now);
                self.reconcile(&engine, &mut tasks);
            }
            self.0.followed.send_replace(count);
        }
    }

    /// Lets go of what the file has no more, and begins with what it has.
    fn reconcile(&self, engine: &Engine, tasks: &mut JoinSet<anyhow::Result<()>>) {
        let wanted = match file::load(&self.0.data_dir, &self.0.fixed) {
            Ok(wanted) => wanted,
            Err(error) => return self.complain(Some(format!("{error:#}"))),
        };
        let mut running = self.running();
        let gone: Vec<String> = running
            .iter()
            .filter(|(_, one)| one.task.is_some() && !wanted.contains(&one.server))
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            let Some(Running { server, task: Some(task), .. }) = running.remove(&name) else { continue };
            task.abort();
            tracing::info!("broker `{name}` is taken out");
            if !wanted.iter().any(|other| other.name == name)
                && let Ok(access) = Access::read(&server)
            {
                tasks.spawn(forget_session(access, broker::client_id(&self.0.gateway, &name)));
            }
        }
        let mut trouble = None;
        for server in wanted {
            if running.contains_key(&server.name) {
                continue;
            }
            match broker::start(server.clone(), &self.0.gateway, engine.clone()) {
                Ok((status, reading)) => {
                    let task = Some(tasks.spawn(reading));
                    running.insert(server.name.clone(), Running { server, status, task });
                }
                Err(error) => trouble = Some(format!("{error:#}")),
            }
        }
        drop(running);
        self.complain(trouble);
    }

    fn complain(&self, what: Option<String>) {
        let mut trouble = self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(what) = what.as_ref().filter(|what| trouble.as_ref() != Some(*what)) {
            tracing::error!("{}: {what}", file::FILE);
        }
        *trouble = what;
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<String, Running>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them, by name.
    pub(crate) fn list(&self) -> Vec<Listed> {
        let view = |one: &Running| Listed {
            server: one.server.clone(),
            is_fixed: one.task.is_none(),
            status: one.status.clone(),
        };
        self.running().values().map(view).collect()
    }

    /// How the one with this name is.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<BrokerStatus>> {
        self.running().get(name).map(|one| one.status.clone())
    }

    /// Adds one. Blocks.
    ///
    /// # Errors
    /// What is wrong with it; then nothing has changed.
    pub(crate) fn add(&self, server: MqttServer, password: Option<&str>) -> anyhow::Result<()> {
        file::add(&self.0.data_dir, &self.0.fixed, server, password)
    }

    /// Takes one out; says whether it was there. Blocks.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(crate) fn remove(&self, name: &str) -> anyhow::Result<bool> {
        file::remove(&self.0.data_dir, &self.0.fixed, name)
    }

    /// Deletes the password of one that was taken out, when its connection is gone. Blocks.
    pub(crate) fn forget_password(&self, name: &str) {
        if let Err(error) = file::forget_password(&self.0.data_dir, name) {
            tracing::error!("the password of the broker `{name}` stays: {error}");
        }
    }

    /// What is wrong with a broker that somebody is about to add, as (key, problem, mend).
    pub(crate) fn problems(&self, server: &MqttServer) -> Vec<(&'static str, String, &'static str)> {
        let others: Vec<MqttServer> = self.list().into_iter().map(|one| one.server).collect();
        server.problems(others.iter(), false)
    }

    /// Waits until the file as it stands is followed, for `limit` at most.
    pub(crate) async fn followed(&self, limit: Duration) {
        let mut followed = self.0.followed.subscribe();
        let mut mine = 0;
        self.0.asked.send_modify(|count| {
            *count += 1;
            mine = *count;
        });
        let _ = tokio::time::timeout(limit, followed.wait_for(|count| *count >= mine)).await;
    }
}

/// The broker keeps messages for a client that will not come again: it is told that it will not.
async fn forget_session(access: Access, client_id: String) -> anyhow::Result<()> {
    let mut options = access.v4(&client_id);
    options.set_clean_session(true);
    let (client, mut events) = AsyncClient::new(options, 1);
    events.set_network_options(network_options());
    let begun = Instant::now();
    while let Some(left) = CONNECT_TIMEOUT.checked_sub(begun.elapsed()) {
        match tokio::time::timeout(left, events.poll()).await {
            Ok(Ok(Event::Incoming(Packet::ConnAck(_)))) => _ = client.try_disconnect(),
            Ok(Ok(_)) => {}
            // It is away, or we have said good-bye.
            _ => break,
        }
    }
    Ok(())
}

impl Part for Brokers {
    fn name(&self) -> String {
        "brokers".into()
    }

    fn ails(&self) -> Vec<(Ailment, Text)> {
        let trouble = self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let text = trouble.map(|what| Text {
            zh: format!("{} 有误，改正前不生效：{what}", file::FILE),
            en: format!("{} has a fault, and does not count until it is mended: {what}", file::FILE),
        });
        text.map(|text| (Ailment::SiteFaults, text)).into_iter().collect()
    }

    fn metrics(&self, out: &mut String) {
        for one in self.running().values() {
            broker::render(&one.status, out);
        }
    }

    fn within(&self) -> Vec<Arc<dyn Part>> {
        self.running().values().map(|one| one.status.clone() as Arc<dyn Part>).collect()
    }
}
