//! The gateway starts and stops.

use anyhow::ensure;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::mpsc;

use ninewatch_core::pipeline::{Event, Pipeline};

use super::super::platform::EPOCH;
use super::super::town::{self, GATEWAY, Sender};
use super::{Engine, Forward, Gateway, NoModel, SETTINGS, SIZES, World};
use crate::clock::Clock;
use crate::epochs::Epochs;
use crate::forward::Source;
use crate::scorer::Serving;

impl World<'_> {
    pub(super) async fn start(&mut self) -> anyhow::Result<()> {
        self.note("the gateway starts");
        let serving = Serving { scorer: Box::new(NoModel), watch: Arc::default() };
        let settings = SETTINGS.with(|settings| settings.get_or_init(town::settings).clone());
        let (disk, progress) = (Arc::new(self.disk.clone()), self.progress.clone());
        let started = Engine::start(
            &self.dir,
            (disk, SIZES),
            settings,
            serving,
            Clock::Set { now_ms: self.clock, speed: 1.0 },
            |dir| progress.open(dir),
        );
        let engine = match started {
            Ok(engine) => engine,
            Err(error) => return self.fall(error).await,
        };
        self.promises.read_log(&self.dir)?;
        let changes = engine.engine.changes();
        let index = Arc::new(self.progress.clone());
        let source = Source { gateway: GATEWAY.into(), epochs: Epochs::one(EPOCH) };
        let forward = Forward::new("city", source, self.dir.clone(), engine.engine.clone(), index);
        let (ack, acks) = mpsc::unbounded_channel();
        self.gateway = Some(Gateway {
            engine,
            forward,
            connection: None,
            on_the_way: VecDeque::new(),
            changes,
            ack,
            acks,
            asked: Vec::new(),
        });
        Ok(())
    }

    /// The program has ended with an error, as it must where the disk fails, and only there.
    pub(super) async fn fall(&mut self, error: anyhow::Error) -> anyhow::Result<()> {
        // Where the run lies is not of the run.
        let error = format!("{error:#}").replace(&self.dir.display().to_string(), "the journal");
        let is_full = self.disk.is_short() && !self.disk.has_reserve();
        ensure!(self.disk.is_off() || is_full, "the gateway stops, and its disk is well or has a reserve: {error}");
        self.note(format!("the gateway stops: {error}"));
        self.stop().await
    }

    /// The program is gone; the power too, if it is off.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        self.take_acks()?;
        self.gateway = None;
        // Tasks that were cut off go when they are looked at next.
        tokio::time::sleep(Duration::from_millis(1)).await;
        if self.disk.is_off() {
            let (left, has_holes) = self.disk.come_back(&mut self.chance)?;
            self.note(format!("the power comes back:{left}"));
            if has_holes {
                self.senders.iter_mut().for_each(Sender::tear);
            }
        }
        self.progress.stop(&mut self.chance);
        self.platform.disconnect();
        self.promises.stopped();
        self.senders.iter_mut().for_each(Sender::disconnect);
        Ok(())
    }

    /// The power goes while everything decided is on disk: all state comes back, byte for byte.
    pub(super) async fn power_fails_at_rest(&mut self) -> anyhow::Result<()> {
        self.decide().await?;
        while self.write().await? {}
        let Some(gateway) = &self.gateway else { return Ok(()) };
        let before = gateway.engine.checkpoint()?;
        self.disk.go_off();
        self.stop().await?;
        self.start().await?;
        let Some(gateway) = &self.gateway else { return Ok(()) };
        let mut expected = Pipeline::restore(&before)?;
        expected.step(Event::Start, self.clock.load(Relaxed), &mut NoModel);
        let found = Pipeline::restore(&gateway.engine.checkpoint()?)?;
        // Time that passed without an effect is not recorded: a clock set back gives it once more.
        ensure!(
            expected.now_ms() != found.now_ms() || expected.checkpoint()? == found.checkpoint()?,
            "what is decided again after a crash is not what was decided"
        );
        Ok(())
    }
}
