//! The port under test: real sockets, real clients, and the test as the engine.

mod clients;
mod connect;
mod downlink;
mod fuzz;
mod publish;
mod raw;
mod tls;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use ninewatch_core::site::Device;

use super::*;
use crate::engine::{Acked, Command, Fate, Inbound};
use crate::registry_file::Secret;
use raw::Raw;

/// Two devices that are let in.
const GAS: &str = "gas-1";
const DOOR: &str = "door-1";

/// A port, and the test in the engine's place.
struct Desk {
    at: SocketAddr,
    at_tls: Option<SocketAddr>,
    secrets: HashMap<&'static str, Secret>,
    registry: watch::Sender<Arc<Registry>>,
    counters: Arc<PortCounters>,
    downlink: Downlink,
    commands: mpsc::Receiver<Command>,
    waiting: VecDeque<Inbound>,
    serving: JoinHandle<anyhow::Result<()>>,
}

fn config() -> SensorPortConfig {
    SensorPortConfig { listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))), ..SensorPortConfig::default() }
}

impl Desk {
    async fn new() -> Self {
        Self::with(config(), |_| {}).await
    }

    async fn with(config: SensorPortConfig, change: impl FnOnce(&mut Shared)) -> Self {
        let mut port = SensorPort::bind(&config).unwrap();
        change(Arc::get_mut(&mut port.shared).unwrap());
        let secrets: HashMap<_, _> = [GAS, DOOR].map(|id| (id, Secret::generate().unwrap())).into();
        let devices = secrets.iter().map(|(id, secret)| device(id, secret.stored().unwrap())).collect();
        let (registry, seen) = watch::channel(Arc::new(Registry { places: Vec::new(), devices }));
        let (engine, commands) = Engine::for_tests();
        Self {
            at: port.plain().unwrap_or_else(|| port.tls().unwrap()),
            at_tls: port.tls(),
            secrets,
            registry,
            counters: port.counters(),
            downlink: port.downlink(),
            commands,
            waiting: VecDeque::new(),
            serving: tokio::spawn(port.serve(engine, seen)),
        }
    }

    fn secret(&self, device: &str) -> String {
        self.secrets[device].shown()
    }

    /// The next message that the port hands in.
    async fn inbound(&mut self) -> Inbound {
        while self.waiting.is_empty() {
            match self.commands.recv().await {
                Some(Command::Messages(messages)) => self.waiting.extend(messages),
                _ => panic!("the port is gone"),
            }
        }
        self.waiting.pop_front().unwrap()
    }

    /// Takes the next message and says that it is durable; gives its payload.
    async fn take(&mut self) -> String {
        let inbound = self.inbound().await;
        acknowledge(&inbound, false);
        String::from_utf8(inbound.payload).unwrap()
    }

    /// Whether the port has handed in anything that was not taken.
    fn is_quiet(&mut self) -> bool {
        self.waiting.is_empty() && self.commands.try_recv().is_err()
    }

    /// Changes the registry under the running port.
    fn change(&self, change: impl FnOnce(&mut Vec<Device>)) {
        self.registry.send_modify(|registry| change(&mut Arc::make_mut(registry).devices));
    }

    /// Waits until `count` connections have ended for this reason.
    async fn ended(&self, reason: &str, count: u64) {
        until(|| self.counters.ended().get(reason) == Some(&count)).await;
    }

    /// Waits until `count` connections were refused for this reason.
    async fn refused(&self, reason: &str, count: u64) {
        until(|| self.counters.refused().get(reason) == Some(&count)).await;
    }
}

/// Waits for something that no one announces, as counters.
async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

/// Says that a message is durable.
fn acknowledge(inbound: &Inbound, rejected: bool) {
    let ack = inbound.ack.as_ref().expect("it wants to be told");
    let fate = if rejected { Fate::Rejected } else { Fate::Taken };
    ack.to.send(Acked { token: ack.token, fate }).unwrap();
}

fn device(id: &str, secret: String) -> Device {
    Device {
        id: id.to_owned(),
        sensor_type: "gas".to_owned(),
        place: "shop".to_owned(),
        spot: String::new(),
        known_as: String::new(),
        person: None,
        secret,
    }
}
