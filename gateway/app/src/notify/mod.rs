//! Notify: tells people on the channels that they look at anyway: robots of chat groups, e-mail, a siren, a program.
//!
//! ```text
//! journal ─feed─▶ waiting (critical first, one message an alert) ─wording─▶ service, mail ─▶ ledger
//!                    ▲ pace (what the service takes)                 siren (a state, not a message)
//!                    ▲ rungs (which rung tells here, whom it calls, what waits for the morning)
//! ```
//! One task for each channel. What they tell, and how to set them up, is `docs/notify.md`; why it is as it is,
//! `docs/decisions/0015-notify.md`.

mod channel;
mod config;
mod feed;
mod http;
mod ledger;
mod mail;
mod message;
mod pace;
mod rungs;
mod service;
mod shared;
mod siren;
#[cfg(test)]
pub(crate) mod tests;
mod waiting;
mod wording;

use anyhow::Context;
use futures_util::future::BoxFuture;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

use ninewatch_core::alert::AlertId;
use ninewatch_core::pipeline::Settings;

use crate::clock::Clock;
use crate::config::{Config, MqttServer};
use crate::duty::RosterFile;
use crate::engine::Engine;
use crate::forward::Source;
use crate::index::{Index, Progress};
use crate::journal::Journal;
use crate::mqtt_client::{Access, Link};
use channel::SirenWay;
pub(crate) use channel::{Channel, Trouble};
pub(crate) use config::NotifyConfig;
use feed::Feed;
pub(crate) use http::{ask as http_ask, fetch as http_fetch};
use ledger::Ledger;
pub(crate) use ledger::{FORMER_LOG, LOG, Notification};
pub(crate) use service::Failure;
use shared::Shared;
pub(crate) use siren::Lamps;
use siren::{Siren, Way};

/// What the channels stand on.
pub(crate) struct Ground {
    pub(crate) source: Source,
    pub(crate) channels: Vec<NotifyConfig>,
    /// Where sirens may listen.
    pub(crate) brokers: Vec<MqttServer>,
    /// What hangs on pins.
    pub(crate) lamps: Lamps,
    pub(crate) data_dir: PathBuf,
    pub(crate) engine: Engine,
    pub(crate) index: Index,
    pub(crate) settings: watch::Receiver<Arc<Settings>>,
    pub(crate) roster: RosterFile,
    pub(crate) clock: Clock,
}

/// The channels, for those who want to know. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Notify {
    pub(crate) channels: Vec<Arc<Channel>>,
    shared: Option<Arc<Shared>>,
    lamps: Lamps,
}

/// The channels' work; each ends when the gateway stops.
pub(crate) type Work = Vec<BoxFuture<'static, anyhow::Result<()>>>;

impl Notify {
    /// Opens the channels at the place where each was left. A new one begins with what happens from now on.
    ///
    /// # Errors
    /// Where the ledger cannot be used.
    pub(crate) fn start(ground: Ground) -> anyhow::Result<(Self, Work)> {
        if ground.channels.is_empty() {
            return Ok((Self::default(), Vec::new()));
        }
        let Ground { source, channels, brokers, lamps, data_dir, engine, index, settings, roster, clock } = ground;
        let ledger = Ledger::open(&data_dir)?;
        let shared = Arc::new(Shared::new(source, settings, (roster, channels.clone()), clock, ledger));
        let mut notify = Self { channels: Vec::new(), shared: Some(shared.clone()), lamps: lamps.clone() };
        let mut work: Work = Vec::new();
        for of in channels {
            let after = shared.place_of(&of.name, index.last_seq())?;
            let way = of.siren_server(&brokers).map(Way::Broker).or_else(|| lamps.of(&of.name).map(Way::Pin));
            if let Some(way) = way {
                let (tester, tests) = mpsc::channel(1);
                let link = matches!(way, Way::Broker(_)).then(|| Link::new("notify", &of.name));
                let channel = Arc::new(Channel::new(of, shared.clone(), Some(SirenWay { link, tests: tester })));
                notify.channels.push(channel.clone());
                let siren = Siren { channel, way, engine: engine.clone(), index: index.clone(), tests };
                work.push(Box::pin(siren.run()));
            } else {
                let channel = Arc::new(Channel::new(of, shared.clone(), None));
                notify.channels.push(channel.clone());
                let feed = Feed::new(data_dir.join("journal"), &engine, &index, after);
                work.push(Box::pin(channel.run(feed)));
            }
        }
        Ok((notify, work))
    }

    /// The channel with this name.
    pub(crate) fn channel(&self, name: &str) -> Option<&Arc<Channel>> {
        self.channels.iter().find(|channel| channel.name() == name)
    }

    /// Turns off what hangs on pins: the gateway was told to stop.
    pub(crate) fn put_out(&self) {
        self.lamps.put_out();
    }

    /// What was told of an alert, oldest first, and what waits to be told.
    pub(crate) fn notifications(&self, alert: &AlertId) -> Vec<Notification> {
        let Some(shared) = &self.shared else { return Vec::new() };
        let told = shared.ledger.notifications(alert);
        told.into_iter().chain(self.channels.iter().filter_map(|channel| channel.waits_for(alert))).collect()
    }
}

impl Shared {
    /// Behind which change a channel begins.
    fn place_of(&self, channel: &str, last_seq: u64) -> anyhow::Result<u64> {
        match self.ledger.look(channel, |place| place.map(|place| place.delivered.up_to)) {
            Some(up_to) if up_to <= last_seq => Ok(up_to),
            found => {
                if let Some(up_to) = found {
                    tracing::warn!(
                        channel,
                        up_to,
                        last_seq,
                        "it was at another journal: it tells what happens from now on"
                    );
                }
                self.ledger.begin_at(channel, last_seq)?;
                Ok(last_seq)
            }
        }
    }
}

/// Whether a channel has the files that it needs.
///
/// # Errors
/// What is missing.
pub(crate) fn check(channel: &NotifyConfig, brokers: &[MqttServer]) -> anyhow::Result<()> {
    match channel.siren_server(brokers) {
        Some(server) => Access::read(&server).map(drop),
        // Whether its pin is to be had only the gateway that holds it can tell.
        None if channel.gpio.is_some() => Ok(()),
        None => service::check(channel),
    }
}

/// Says on a channel that it works, without a gateway at work.
///
/// # Errors
/// Where it does not.
pub(crate) async fn test(channel: &NotifyConfig, config: &Config, settings: &Settings) -> anyhow::Result<()> {
    if let Some(server) = channel.siren_server(&config.brokers) {
        let client_id = format!("ninewatch-{}-{}-test", config.gateway.id, channel.name);
        return siren::sound_once(channel, &server, &client_id).await;
    }
    if let Some(gpio) = &channel.gpio {
        let runs = Journal::is_in_use(&config.gateway.data_dir.join("journal"))?;
        anyhow::ensure!(!runs, "the gateway is at work and has the pin: try it on the console's page of the channels");
        return siren::light_once(channel, gpio).await;
    }
    let now = Clock::System.now_ms();
    let message = message::test_message(channel, settings, now);
    service::send(channel, &message, now)
        .await
        .map_err(|failure| anyhow::anyhow!("{}", failure.said()))
        .context("it was not taken")
}
