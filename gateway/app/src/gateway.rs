//! The whole gateway, put together: doors in, engine, console and upstreams out.

use anyhow::Context;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::config::Config;
use crate::console::{self, Accounts, Console, FirstPassword};
use crate::engine::{Engine, Ground, Running};
use crate::forward::{self, JournalOutbox, UpstreamStatus};
use crate::intake::broker::{self, BrokerStatus};
use crate::intake::sensor_port::{PortCounters, SensorPort};
use crate::metrics::Counters;
use crate::scorer;
use crate::site_files::SiteFiles;

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
    tasks: JoinSet<anyhow::Result<()>>,
    stop: watch::Sender<bool>,
}
