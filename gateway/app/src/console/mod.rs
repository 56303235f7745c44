//! The console: the pages that duty staff use, and the API behind them.
//!
//! ```text
//! connection ─▶ gate (who are you, may you, in time?) ─▶ alerts   what there is, and what is done about it
//!                                                        events   the live feed
//!                                                        site     places and devices
//!                                                        setup, registry how they are set up
//!                                                        readings what a device measured
//!                                                        plans    pictures under the places of a grid
//!                                                        handovers what one shift tells the next
//!                                                        nodes    how the nodes on serial lines are; orders to them
//!                                                        models   what scores, and how well
//!                                                        commands, downlink messages down to a device
//!                                                        roster, ladder, drills who is on duty, who is told next; playing it
//!                                                        notify   the channels that tell people, and trying them
//!                                                        photos, matters, grid_codes, residents, retention   what is of persons
//!                                                        health   is the gateway well? metrics
//!                                                        log_in   sessions
//!                                                        audit    who did what
//!                                                        assets   the pages
//! ```
//! Everything it shows comes from the index, the journal and the engine; it decides nothing itself.

mod accounts;
mod alerts;
mod assets;
mod audit;
mod authority;
mod body;
mod brokers;
mod commands;
mod connection;
mod credential;
mod downlink;
mod drills;
mod events;
mod gate;
mod grid_codes;
mod handovers;
mod health;
mod kept;
mod ladder;
mod log;
mod log_in;
mod matters;
mod models;
mod nodes;
mod notify;
mod photos;
mod plans;
mod problem;
mod proof;
mod readings;
mod registry;
mod report;
mod residents;
mod retention;
mod rights;
mod roster;
mod rules;
mod session;
mod setup;
mod sheet;
mod site;
mod status;
mod support;
mod throttle;
mod tls;
mod update;
mod walk_tests;

#[cfg(test)]
mod tests;

use anyhow::Context;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Extension};
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware;
use axum::routing::{self, MethodFilter};
use hyper_util::service::TowerToHyperService;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use ninewatch_core::pipeline::{Settings, Site};
use ninewatch_core::site::Registry;

use crate::audit::Recorder;
use crate::brokers::Brokers;
use crate::clock::Clock;
use crate::config::ConsoleConfig;
use crate::downlink::Downlinks;
use crate::duty::RosterFile;
use crate::engine::Engine;
use crate::forward::UpstreamStatus;
use crate::health::Part;
use crate::index::{AlertQuery, AlertRecord, Index};
use crate::intake::nodes::Nodes;
use crate::metrics::Counters;
use crate::notify::Notify;
use crate::people::People;
use crate::scorer::Models;
use crate::update::Updates;

pub(crate) use accounts::{AccountList, FIRST_ACCOUNT, edit as edit_accounts};
pub(crate) use authority::{AUTHORITY, Authority, fingerprint};
use connection::Peer;
pub(crate) use credential::{Accounts, FirstPassword};
pub(crate) use grid_codes::svg as qr_svg;
pub(crate) use handovers::HANDOVERS;
pub(crate) use plans::{PICTURES, PLANS};
use rights::OfPeople;
pub(crate) use rights::Role;
pub(crate) use status::ConsoleStatus;
use tls::Tls;
pub(crate) use walk_tests::{
    Certificate, KEY as WALK_TEST_KEY, Told, WALK_TESTS, WalkTestsDue, is_walked, overdue as walk_tests_overdue,
};

/// What the console stands on.
pub(crate) struct ConsoleState {
    pub(crate) engine: Engine,
    pub(crate) index: Index,
    pub(crate) journal_dir: PathBuf,
    /// What is in force.
    pub(crate) settings: watch::Receiver<Arc<Settings>>,
    /// The registry in force at the doors, with its secrets' hashes.
    pub(crate) registry: watch::Receiver<Arc<Registry>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) accounts: Accounts,
    pub(crate) clock: Clock,
    /// Every part that can be unwell, this console too.
    pub(crate) parts: Vec<Arc<dyn Part>>,
    pub(crate) status: Arc<ConsoleStatus>,
    pub(crate) models: Models,
    pub(crate) downlinks: Downlinks,
    pub(crate) notify: Notify,
    pub(crate) roster: RosterFile,
    pub(crate) nodes: Nodes,
    pub(crate) audit: Recorder,
    pub(crate) people: Arc<People>,
    pub(crate) upstreams: Vec<Arc<UpstreamStatus>>,
    /// What it was started with; the demo has none.
    pub(crate) site_file: Option<PathBuf>,
    /// The gateway's id.
    pub(crate) gateway: String,
    /// Where devices connect: in plain TCP, in TLS.
    pub(crate) sensor_port: (Option<SocketAddr>, Option<SocketAddr>),
    pub(crate) brokers: Brokers,
    pub(crate) updates: Arc<Updates>,
}

/// The console's port, listening.
pub(crate) struct Console {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
}

/// A browser takes up to six; beyond this, connections wait to be accepted.
const CONNECTIONS: usize = 512;

impl Console {
    /// Takes the port. Connections wait until [`Self::serve`].
    ///
    /// # Errors
    /// Where the address cannot be listened on, or the certificate not be used.
    pub(crate) fn bind(config: &ConsoleConfig, data_dir: &Path) -> anyhow::Result<Self> {
        let tls = config.https().map(|https| Tls::open(&https, data_dir)).transpose()?.map(Arc::new);
        let listener = TcpListener::bind(config.listen).with_context(|| {
            format!("the console cannot listen on {}; give another `console.listen` in site.toml", config.listen)
        })?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, tls })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it speaks HTTPS.
    pub(crate) fn is_https(&self) -> bool {
        self.tls.is_some()
    }

    /// SHA-256 of the CA to install, where its certificate is of the gateway's own.
    pub(crate) fn fingerprint(&self) -> Option<String> {
        Some(self.tls.as_ref()?.authority()?.fingerprint())
    }

    /// Serves until it is dropped; its connections end with it, and let go of the engine.
    ///
    /// # Errors
    /// Where the port is lost.
    pub(crate) async fn serve(self, state: ConsoleState) -> anyhow::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let tls = self.tls;
        let (router, _) = routes(Shared::new(state, self.address.port(), tls.clone()));
        let service = TowerToHyperService::new(router);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                    Ok((stream, from)) => _ = connections.spawn(connection::serve(stream, from, tls.clone(), service.clone())),
                    Err(error) => {
                        // Out of file descriptors, most likely: let some go.
                        tracing::warn!(%error, "the console cannot take a connection");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

/// What all requests share.
struct Shared {
    state: ConsoleState,
    sessions: session::Sessions,
    throttle: throttle::Throttle,
    sites: site::Sites,
    engine_health: health::EngineHealth,
    handovers: Arc<handovers::Handovers>,
    plans: Arc<plans::Plans>,
    walking: walk_tests::Walking,
    /// Questions to the index and the journal block a thread each.
    questions: Arc<Semaphore>,
    /// Looking through all that ever was takes long: one at a time, so that the board and an acceptance wait for none.
    looks_back: Arc<Semaphore>,
    /// Those who are not logged in ask one at a time, so that staff wait for none of them.
    strangers_questions: Arc<Semaphore>,
    /// Photos on their way in, of staff and of residents; each is in memory until it is kept.
    uploads: Semaphore,
    strangers_uploads: Semaphore,
    /// What those may send and ask who are not logged in.
    strangers: throttle::Throttle,
    tls: Option<Arc<Tls>>,
}

/// A small board has four cores; the engine needs one of them.
const QUESTIONS: usize = 3;

impl Shared {
    fn new(state: ConsoleState, port: u16, tls: Option<Arc<Tls>>) -> Arc<Self> {
        let data_dir = state.accounts.data_dir();
        Arc::new(Self {
            handovers: Arc::new(kept::Kept::new(data_dir.to_owned(), handovers::HANDOVERS)),
            plans: Arc::new(kept::Kept::new(data_dir.to_owned(), plans::PLANS)),
            walking: walk_tests::Walking::new(data_dir),
            sessions: session::Sessions::open(&state.accounts, port, Instant::now()),
            throttle: throttle::Throttle::default(),
            sites: site::Sites::default(),
            engine_health: health::EngineHealth::default(),
            questions: Arc::new(Semaphore::new(QUESTIONS)),
            looks_back: Arc::new(Semaphore::new(1)),
            strangers_questions: Arc::new(Semaphore::new(1)),
            uploads: Semaphore::new(photos::AT_ONCE),
            strangers_uploads: Semaphore::new(photos::AT_ONCE),
            strangers: throttle::Throttle::default(),
            tls,
            state,
        })
    }

    /// Looks through all alerts of a query, when its turn comes; tells besides whether any of them is of people.
    async fn look_back<T: Send + 'static>(
        &self,
        query: AlertQuery,
        look: impl FnOnce(&Site, &mut dyn Iterator<Item = AlertRecord>) -> T + Send + 'static,
    ) -> Result<(Option<Extension<OfPeople>>, T), problem::Problem> {
        let (index, site) = (self.state.index.clone(), self.site());
        let (shows_people, seen) = self
            .look_back_at(move || {
                let mut shows_people = false;
                let note = |record: &AlertRecord| shows_people |= rights::alert_is_of_people(&site, &record.alert);
                let seen = look(&site, &mut index.records(&query).inspect(note));
                (shows_people, seen)
            })
            .await?;
        Ok((rights::of_people(shows_people), seen))
    }

    /// Asks something that takes long, when its turn comes.
    async fn look_back_at<T: Send + 'static>(
        &self,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, problem::Problem> {
        self.ask_in_turn(&self.looks_back, look).await
    }

    /// Asks what somebody wants to know who is not logged in.
    async fn ask_for_stranger<T: Send + 'static>(
        &self,
        question: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, problem::Problem> {
        self.ask_in_turn(&self.strangers_questions, question).await
    }

    async fn ask_in_turn<T: Send + 'static>(
        &self,
        turns: &Arc<Semaphore>,
        question: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, problem::Problem> {
        let turn = turns.clone().acquire_owned().await.map_err(|_| problem::Problem::no_answer())?;
        self.ask(move || {
            let _turn = turn;
            question()
        })
        .await
    }

    /// Asks the index or the journal, off the threads that serve.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, problem::Problem> {
        let permit = self.questions.clone().acquire_owned().await.map_err(|_| problem::Problem::no_answer())?;
        let answer = tokio::task::spawn_blocking(move || {
            // Held to the end of the work, even where nobody waits for the answer any more.
            let _permit = permit;
            question()
        });
        answer.await.map_err(|_| problem::Problem::no_answer())
    }
}

/// All routes, and the list of them.
fn routes(shared: Arc<Shared>) -> (Router, Vec<(Method, &'static str)>) {
    let mut routes = Routes::default();
    routes.add(Method::GET, "/api/v1/alerts", alerts::list);
    routes.add(Method::GET, "/api/v1/alerts.csv", alerts::sheet);
    routes.add(Method::GET, "/api/v1/alerts/{id}", alerts::one);
    routes.add(Method::POST, "/api/v1/alerts/{id}/{verb}", alerts::act);
    routes.add(Method::POST, "/api/v1/alerts/{id}/severity", alerts::regrade);
    routes.add(Method::POST, "/api/v1/alerts/{id}/photos", photos::add);
    routes.add(Method::GET, "/api/v1/alerts/{id}/photos/{photo}", photos::one);
    routes.add(Method::GET, "/api/v1/alerts/{id}/matter", matters::of_alert);
    routes.add(Method::POST, "/api/v1/alerts/{id}/answer", matters::answer);
    routes.add(Method::GET, "/api/v1/grids", grid_codes::list);
    routes.add(Method::GET, "/api/v1/grids/{id}/code", grid_codes::one);
    routes.add(Method::POST, "/api/v1/grids/{id}/code", grid_codes::renew);
    routes.add(Method::DELETE, "/api/v1/grids/{id}/code", grid_codes::revoke);
    routes.add(Method::GET, "/api/v1/grids/{id}/code.svg", grid_codes::picture);
    routes.add(Method::GET, "/api/v1/grid-codes/{code}", matters::form);
    routes.add(Method::POST, "/api/v1/matters", matters::report);
    routes.add(Method::GET, "/api/v1/matters/{ticket}", matters::progress);
    routes.add(Method::POST, "/api/v1/matters/{ticket}/photos", matters::add_photo);
    routes.add(Method::GET, "/api/v1/residents", residents::list);
    routes.add(Method::POST, "/api/v1/residents", residents::add);
    routes.add(Method::PUT, "/api/v1/residents/{id}", residents::change);
    routes.add(Method::DELETE, "/api/v1/residents/{id}", residents::delete);
    routes.add(Method::GET, "/api/v1/places/{id}/residents", residents::of_place);
    routes.add(Method::GET, "/api/v1/retention", retention::look);
    routes.add(Method::GET, "/api/v1/log", log::look);
    routes.add(Method::PUT, "/api/v1/log", log::change);
    routes.add(Method::GET, "/api/v1/support", support::bundle);
    routes.add(Method::GET, "/api/v1/update", update::show);
    routes.add(Method::POST, "/api/v1/update/look", update::look);
    routes.add(Method::POST, "/api/v1/update/now", update::now);
    routes.add(Method::POST, "/api/v1/update/back", update::back);
    routes.add(Method::GET, "/api/v1/report", report::report);
    routes.add(Method::GET, "/api/v1/events", events::listen);
    routes.add(Method::GET, "/api/v1/devices", site::devices);
    routes.add(Method::GET, "/api/v1/devices/{id}/readings", readings::readings);
    routes.add(Method::GET, "/api/v1/devices/{id}/commands", commands::list);
    routes.add(Method::POST, "/api/v1/devices/{id}/commands/{name}", commands::send);
    routes.add(Method::POST, "/api/v1/devices/{id}/downlink", downlink::send);
    routes.add(Method::GET, "/api/v1/places", site::places);
    routes.add(Method::GET, "/api/v1/setup", setup::look);
    let largest_scan = DefaultBodyLimit::max(setup::LARGEST_PICTURE);
    routes.add(Method::POST, "/api/v1/setup/scan", setup::scan.layer(largest_scan));
    routes.add(Method::POST, "/api/v1/setup/code", setup::code);
    routes.add(Method::GET, "/api/v1/brokers", brokers::list);
    routes.add(Method::POST, "/api/v1/brokers", brokers::add);
    routes.add(Method::POST, "/api/v1/brokers/look", brokers::look);
    routes.add(Method::DELETE, "/api/v1/brokers/{name}", brokers::remove);
    routes.add(Method::POST, "/api/v1/places", registry::add_place);
    routes.add(Method::PUT, "/api/v1/places/{id}", registry::change_place);
    routes.add(Method::DELETE, "/api/v1/places/{id}", registry::remove_place);
    routes.add(Method::POST, "/api/v1/devices", registry::add_device);
    routes.add(Method::PUT, "/api/v1/devices/{id}", registry::change_device);
    routes.add(Method::DELETE, "/api/v1/devices/{id}", registry::remove_device);
    routes.add(Method::POST, "/api/v1/devices/{id}/secret", registry::renew_device);
    routes.add(Method::GET, "/api/v1/devices/{id}/label", registry::label);
    routes.add(Method::GET, "/api/v1/plans", plans::list);
    routes.add(Method::GET, "/api/v1/plans/{grid}/picture", plans::picture);
    let largest_picture = DefaultBodyLimit::max(plans::LARGEST_PICTURE);
    routes.add(Method::PUT, "/api/v1/plans/{grid}/picture", plans::put_picture.layer(largest_picture));
    routes.add(Method::DELETE, "/api/v1/plans/{grid}/picture", plans::remove_picture);
    routes.add(Method::PUT, "/api/v1/plans/{grid}/positions/{place}", plans::put_position);
    routes.add(Method::GET, "/api/v1/handovers", handovers::list);
    routes.add(Method::POST, "/api/v1/handovers", handovers::write);
    routes.add(Method::POST, "/api/v1/handovers/{id}/accept", handovers::accept);
    routes.add(Method::GET, "/api/v1/rules", rules::list);
    routes.add(Method::GET, "/api/v1/models", models::list);
    routes.add(Method::GET, "/api/v1/notify", notify::list);
    routes.add(Method::POST, "/api/v1/notify/{name}/test", notify::test);
    routes.add(Method::GET, "/api/v1/nodes", nodes::list);
    routes.add(Method::POST, "/api/v1/nodes/{id}/blink", nodes::blink);
    routes.add(Method::POST, "/api/v1/nodes/{id}/switch", nodes::switch);
    routes.add(Method::POST, "/api/v1/nodes/{id}/restart", nodes::restart);
    routes.add(Method::POST, "/api/v1/nodes/{id}/log", nodes::log);
    let largest_program = DefaultBodyLimit::max(nodes::LARGEST_PROGRAM);
    routes.add(Method::POST, "/api/v1/nodes/{id}/update", nodes::update.layer(largest_program));
    routes.add(Method::GET, "/api/v1/roster", roster::look);
    routes.add(Method::PUT, "/api/v1/roster", roster::change);
    routes.add(Method::POST, "/api/v1/drills", drills::begin);
    routes.add(Method::GET, "/api/v1/walk-tests", walk_tests::list);
    routes.add(Method::POST, "/api/v1/walk-tests", walk_tests::begin);
    routes.add(Method::GET, "/api/v1/walk-tests/{id}", walk_tests::one);
    routes.add(Method::POST, "/api/v1/walk-tests/{id}/devices/{device}", walk_tests::turn);
    routes.add(Method::POST, "/api/v1/walk-tests/{id}/finish", walk_tests::finish);
    routes.add(Method::GET, "/api/v1/walk-tests/{id}/code.svg", walk_tests::code);
    routes.add(Method::GET, "/api/v1/health", health::health);
    routes.add(Method::GET, "/api/v1/session", log_in::who);
    routes.add(Method::POST, "/api/v1/session", log_in::begin);
    routes.add(Method::DELETE, "/api/v1/session", log_in::end);
    routes.add(Method::GET, "/api/v1/audit", audit::list);
    routes.add(Method::GET, "/api/v1/audit/check", audit::check);
    routes.add(Method::GET, "/api/v1/openapi.json", assets::openapi);
    routes.add(Method::GET, "/ca.crt", assets::authority);
    routes.add(Method::GET, "/metrics", health::metrics);
    let router = routes
        .router
        .fallback(assets::page)
        .method_not_allowed_fallback(async || problem::Problem::wrong_method())
        .layer(DefaultBodyLimit::max(body::LARGEST))
        .layer(middleware::from_fn_with_state(shared.clone(), gate::gate))
        .layer(middleware::from_fn(gate::seal))
        .with_state(shared);
    (router, routes.list)
}

/// A router that knows its routes by name, so that a test can walk them all.
#[derive(Default)]
struct Routes {
    router: Router<Arc<Shared>>,
    list: Vec<(Method, &'static str)>,
}

impl Routes {
    fn add<T: 'static>(&mut self, method: Method, path: &'static str, handler: impl Handler<T, Arc<Shared>>) {
        // What nobody has a right to is not there.
        let has_rule = rights::rule_of(&method, path).is_some();
        if let Ok(filter) = MethodFilter::try_from(method.clone())
            && has_rule
        {
            self.router = std::mem::take(&mut self.router).route(path, routing::on(filter, handler));
            self.list.push((method, path));
        }
    }
}
