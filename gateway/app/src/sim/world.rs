//! One run: a gateway, its disk, its clock and everybody around it, step by step.

mod power;
mod staff;
mod upstream;

use anyhow::ensure;
use std::cell::OnceCell;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinHandle;

use ninewatch_core::alert::{Acted, ActionError, AlertChange};
use ninewatch_core::detect::model::{Asked, ScoreError, Scorer};
use ninewatch_core::pipeline::Settings;
use ninewatch_core::time::TimeMs;

use super::chance::Chance;
use super::disk::SimDisk;
use super::platform::{Manners, Platform};
use super::progress::SimProgress;
use super::promises::Promises;
use super::town::{self, NOON, Sender};
use crate::engine::stepped::Stepped as Engine;
use crate::engine::{Ack, Acked, Fate, Inbound, Stopped};
use crate::forward::stepped::{Connection, Stepped as Forward};
use crate::journal::Sizes;

/// Small enough that a run fills several.
const SIZES: Sizes =
    Sizes { ring_bytes: 64 << 10, segment_bytes: 4 << 10, oldest_ms: 10 * 60_000, reserve_bytes: 256 << 10 };

thread_local! {
    /// The gateway's clock; runs of one thread come one after the other.
    static CLOCK: OnceCell<&'static AtomicI64> = const { OnceCell::new() };
    static SETTINGS: OnceCell<Settings> = const { OnceCell::new() };
}

/// What can happen next.
#[derive(Debug, Clone, Copy)]
enum Step {
    TimePasses,
    LongTimePasses,
    ClockIsSet,
    DeviceReads,
    DeviceSends,
    DeviceSendsAgain,
    DeviceReconnects,
    Decide,
    Write,
    ConsoleActs,
    InstallerWalks,
    UpstreamConnects,
    UpstreamIsCut,
    UpstreamTakes,
    UpstreamHasNoReader,
    PlatformReceipts,
    PlatformActs,
    PlatformActsAgain,
    PlatformSends,
    PowerFails,
    PowerFailsSoon,
    Kill,
    DiskFills,
    DiskIsFreed,
    AlarmOnFullDisk,
}

const STEPS: [(u64, Step); 25] = [
    (10, Step::TimePasses),
    (2, Step::LongTimePasses),
    (1, Step::ClockIsSet),
    (14, Step::DeviceReads),
    (16, Step::DeviceSends),
    (2, Step::DeviceSendsAgain),
    (3, Step::DeviceReconnects),
    (18, Step::Decide),
    (16, Step::Write),
    (4, Step::ConsoleActs),
    (2, Step::InstallerWalks),
    (6, Step::UpstreamConnects),
    (2, Step::UpstreamIsCut),
    (10, Step::UpstreamTakes),
    (1, Step::UpstreamHasNoReader),
    (4, Step::PlatformReceipts),
    (3, Step::PlatformActs),
    (1, Step::PlatformActsAgain),
    (6, Step::PlatformSends),
    (1, Step::PowerFails),
    (3, Step::PowerFailsSoon),
    (1, Step::Kill),
    (1, Step::DiskFills),
    (2, Step::DiskIsFreed),
    (4, Step::AlarmOnFullDisk),
];

struct World<'a> {
    chance: Chance,
    trace: bool,
    steps: &'a mut Vec<String>,
    dir: PathBuf,
    disk: SimDisk,
    progress: SimProgress,
    clock: &'static AtomicI64,
    /// What time it is, whatever the gateway's clock says.
    now_ms: TimeMs,
    /// How far that clock is ahead.
    ahead_ms: TimeMs,
    /// Devices' clocks are off, and the gateway's can be set back.
    odd_clocks: bool,
    promises: Promises,
    senders: Vec<Sender>,
    platform: Platform,
    gateway: Option<Gateway>,
    last_token: u64,
    last_action: u64,
    last_online: u64,
}

type Answer = Result<Result<Acted, ActionError>, Stopped>;

/// The program while it runs.
struct Gateway {
    engine: Engine,
    forward: Forward,
    connection: Option<Connection>,
    /// Sent by the gateway, and still on the way to the upstream's server.
    on_the_way: VecDeque<OnTheWay>,
    changes: broadcast::Receiver<Arc<AlertChange>>,
    ack: mpsc::UnboundedSender<Acked>,
    acks: mpsc::UnboundedReceiver<Acked>,
    /// Actions from the console that wait for their answer.
    asked: Vec<(String, JoinHandle<Answer>)>,
}

/// What the gateway has sent.
enum OnTheWay {
    Change(u64, Vec<u8>),
    Answer(u64, Vec<u8>),
}

pub(super) async fn run(seed: u64, trace: bool, steps: &mut Vec<String>) -> anyhow::Result<usize> {
    let dir = match tempfile::tempdir_in("/dev/shm") {
        Ok(dir) => dir,
        Err(_) => tempfile::tempdir()?,
    };
    let mut chance = Chance::new(seed);
    let odd_clocks = chance.one_in(4);
    let mut world = World {
        trace,
        steps,
        dir: dir.path().join("journal"),
        disk: SimDisk::default(),
        progress: SimProgress::default(),
        clock: CLOCK.with(|clock| *clock.get_or_init(|| Box::leak(Box::default()))),
        now_ms: NOON,
        ahead_ms: 0,
        promises: Promises::default(),
        odd_clocks,
        senders: town::senders(odd_clocks, &mut chance),
        platform: Platform::new(&mut chance),
        gateway: None,
        last_token: 0,
        last_action: 0,
        last_online: 0,
        chance,
    };
    world.pass(0).await;
    for _ in 0..50 + world.chance.below(150) {
        let step = world.chance.pick(&STEPS);
        world.step(step).await?;
    }
    world.heal().await?;
    world.promises.read_log(&world.dir)?;
    world.promises.keep(&world.platform)?;
    // An alarm can be lost between two readings whose order a new idea of the clock turns round: see the decision.
    if !odd_clocks {
        world.promises.keep_alarms(&world.senders)?;
    }
    Ok(world.promises.count())
}

impl World<'_> {
    fn note(&mut self, what: impl Into<String>) {
        let line = format!("{:>9} {}", self.now_ms - NOON, what.into());
        if self.trace {
            eprintln!("{line}");
        }
        self.steps.push(line);
    }

    async fn step(&mut self, step: Step) -> anyhow::Result<()> {
        if self.gateway.is_none() {
            self.start().await?;
        }
        self.note(format!("{step:?}"));
        match step {
            Step::TimePasses => {
                let ms = self.chance.below(3_000).cast_signed();
                self.pass(ms).await;
            }
            Step::LongTimePasses => {
                let ms = self.chance.below(10 * 60_000).cast_signed();
                self.pass(ms).await;
            }
            Step::ClockIsSet => {
                let by_ms = self.chance.below(2 * 3_600_000).cast_signed();
                self.ahead_ms = if self.odd_clocks { by_ms - 3_600_000 } else { self.ahead_ms + by_ms / 8 };
                self.note(format!("  it is {} ms ahead", self.ahead_ms));
                self.pass(0).await;
            }
            Step::DeviceReads => self.read(),
            Step::DeviceSends | Step::DeviceSendsAgain => {
                let at = self.chance.index(self.senders.len());
                self.send(at, matches!(step, Step::DeviceSendsAgain));
            }
            Step::DeviceReconnects => {
                let at = self.chance.index(self.senders.len());
                self.senders[at].disconnect();
            }
            Step::Decide => self.decide().await?,
            Step::Write => _ = self.write().await?,
            Step::ConsoleActs => self.console_acts(),
            Step::InstallerWalks => self.installer_walks(),
            Step::UpstreamConnects => self.connect().await?,
            Step::UpstreamIsCut => self.cut()?,
            Step::UpstreamTakes => {
                let most = self.chance.index(12) + 1;
                self.upstream_takes(most, true)?;
            }
            Step::UpstreamHasNoReader => self.upstream_takes(1, false)?,
            Step::PlatformReceipts => self.platform.receipt(&mut self.chance),
            Step::PlatformActs => self.platform_acts(),
            Step::PlatformActsAgain => self.platform.act_again(&mut self.chance),
            Step::PlatformSends => self.platform_sends(),
            Step::PowerFails => self.power_fails_at_rest().await?,
            Step::PowerFailsSoon => self.disk.cut_power_after(self.chance.below(12)),
            Step::Kill => self.stop().await?,
            Step::DiskFills => self.disk.set_space(Some(self.chance.below(2_000))),
            Step::DiskIsFreed => self.disk.set_space(None),
            Step::AlarmOnFullDisk => self.alarm_on_full_disk().await?,
        }
        self.settle().await
    }

    /// Lets time pass, for everybody.
    async fn pass(&mut self, ms: TimeMs) {
        self.now_ms += ms;
        self.clock.store(self.now_ms + self.ahead_ms, Relaxed);
        if ms > 0 {
            tokio::time::sleep(Duration::from_millis(ms.unsigned_abs())).await;
        }
    }

    fn read(&mut self) {
        let at = self.chance.index(self.senders.len());
        self.read_of(at);
    }

    fn read_of(&mut self, at: usize) {
        let sender = &mut self.senders[at];
        if sender.waiting.len() < 3 {
            self.last_token += 1;
            // Two alarms of one millisecond would be one.
            self.now_ms += 5;
            self.clock.store(self.now_ms + self.ahead_ms, Relaxed);
            sender.read(self.last_token, self.now_ms);
        }
    }

    /// As long as there is a reserve, whoever can raise a critical alert is acknowledged.
    async fn alarm_on_full_disk(&mut self) -> anyhow::Result<()> {
        let critical: Vec<usize> = (0..self.senders.len()).filter(|at| self.senders[*at].never_folded).collect();
        let at = critical[self.chance.index(critical.len())];
        if !self.disk.is_short() || self.senders[at].waiting.len() >= 3 {
            return Ok(());
        }
        self.read_of(at);
        self.senders[at].disconnect();
        self.send(at, false);
        self.decide().await?;
        while self.write().await? {}
        // It may have stopped, by a power cut or when nothing was left of the reserve: its stop is looked at there.
        ensure!(
            self.gateway.is_none() || self.senders[at].waiting.is_empty(),
            "the alarm of {} is not acknowledged on a full disk",
            self.senders[at].id
        );
        Ok(())
    }

    /// A device sends what it has, or once more what it was acknowledged, as when the PUBACK was lost.
    fn send(&mut self, at: usize, again: bool) {
        let Some(gateway) = &self.gateway else { return };
        let sender = &mut self.senders[at];
        let ack = |token| Some(Ack { to: gateway.ack.clone(), token, can_refuse: false });
        let inbound = |message: &town::Message, redelivered| Inbound {
            door: "sim".into(),
            device: Some(sender.id.into()),
            topic: format!("ninewatch/{}/readings", sender.id),
            payload: message.payload.clone().into_bytes(),
            redelivered,
            ack: ack(message.token),
        };
        let messages: Vec<Inbound> = if again {
            sender.last.iter().map(|message| inbound(message, true)).collect()
        } else {
            sender.waiting.iter().filter(|message| !message.under_way).map(|m| inbound(m, m.sent_before)).collect()
        };
        if !again {
            for message in &mut sender.waiting {
                message.under_way = true;
                message.sent_before = true;
            }
        }
        let sent: Vec<String> = messages.iter().map(|m| String::from_utf8_lossy(&m.payload).into_owned()).collect();
        gateway.engine.submit(messages);
        let from = sender.id;
        self.note(format!("  {from}: {}", sent.join(" ")));
    }

    async fn decide(&mut self) -> anyhow::Result<()> {
        let Some(gateway) = &mut self.gateway else { return Ok(()) };
        match gateway.engine.decide() {
            Ok(()) => Ok(()),
            Err(error) => self.fall(error).await,
        }
    }

    /// The writing thread's turn; whether it did something and lives.
    async fn write(&mut self) -> anyhow::Result<bool> {
        let most = self.chance.index(4) + 1;
        let Some(gateway) = &mut self.gateway else { return Ok(false) };
        let written = gateway.engine.write(most);
        let mut told = Vec::new();
        while let Ok(change) = gateway.changes.try_recv() {
            told.push(format!(
                "{} {:?} of {} by {:?}",
                change.seq,
                change.kind,
                change.alert.id,
                change.evidence.as_ref().map(|evidence| (&evidence.device, evidence.at_ms))
            ));
            self.promises.tell(AlertChange::clone(&change))?;
        }
        told.into_iter().for_each(|change| self.note(format!("  told: {change}")));
        self.promises.flushed(self.progress.flushes());
        self.take_acks()?;
        match written {
            Ok(any) => Ok(any),
            Err(error) => self.fall(error).await.map(|()| false),
        }
    }

    /// Devices take their acknowledgements: what they stand for has to be on disk.
    fn take_acks(&mut self) -> anyhow::Result<()> {
        let Some(gateway) = &mut self.gateway else { return Ok(()) };
        let mut payloads = Vec::new();
        while let Ok(acked) = gateway.acks.try_recv() {
            ensure!(acked.fate == Fate::Taken, "a message that brings a reading was rejected");
            // One that was sent again and is known is acknowledged again.
            let message = self.senders.iter_mut().find_map(|sender| sender.acknowledged(acked.token));
            payloads.extend(message.map(|message| message.payload.clone()));
        }
        if payloads.is_empty() {
            return Ok(());
        }
        let words: Vec<&str> = payloads.iter().map(String::as_str).collect();
        let kept = self.disk.would_keep(&self.dir.join("intake"), &words);
        let lost = kept.iter().position(|kept| !kept).map(|at| words[at]);
        ensure!(lost.is_none(), "a message was acknowledged before it was on disk: {}", lost.unwrap_or_default());
        Ok(())
    }

    /// Everything gets well, and comes to rest.
    async fn heal(&mut self) -> anyhow::Result<()> {
        self.note("everything heals");
        self.disk.set_space(None);
        if self.disk.stays_on() {
            self.stop().await?;
        }
        if self.platform.manners == Manners::Forgets {
            self.platform.manners = Manners::Answers;
        }
        for _ in 0..30 {
            if self.gateway.is_none() {
                self.start().await?;
            }
            self.pass(11_000).await;
            self.connect().await?;
            self.senders.iter_mut().for_each(Sender::disconnect);
            for at in 0..self.senders.len() {
                self.send(at, false);
            }
            for _ in 0..4 {
                self.platform_sends();
                self.settle().await?;
                self.decide().await?;
                while self.write().await? {}
                self.settle().await?;
                self.upstream_takes(usize::MAX, true)?;
                self.settle().await?;
            }
            if self.is_at_rest() {
                return Ok(());
            }
        }
        anyhow::bail!(
            "it does not come to rest: {} messages have no acknowledgement, the upstream has {} of {} changes",
            self.senders.iter().map(|sender| sender.waiting.len()).sum::<usize>(),
            self.platform.stored.len(),
            self.promises.count(),
        )
    }

    fn is_at_rest(&self) -> bool {
        self.senders.iter().all(|sender| sender.waiting.is_empty())
            && self.gateway.as_ref().is_some_and(|gateway| gateway.asked.is_empty())
            && !self.platform.has_more()
            && self.platform.stored.len() == self.promises.count()
    }
}

/// Nobody asks.
struct NoModel;

impl Scorer for NoModel {
    fn score(&mut self, asked: &Asked<'_>) -> Result<f32, ScoreError> {
        Err(ScoreError { model: asked.model.into(), reason: "there is none here".into() })
    }
}
