//! The gateway's own side: looks into the repository, waits for the hour, and on trial shows that it delivers.

mod watch;

use anyhow::{Context, ensure};
use rustix::fs::statvfs;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use ninewatch_core::ailment::{Ailment, Complaint};
use ninewatch_core::alert::{Severity, Status, Text};
use ninewatch_core::time::{TimeMs, UtcOffset};

use super::content::KINDS;
use super::fetch::{self, Failure};
use super::index::{Index, PROGRAM, Release};
use super::trial::{Baseline, Regular};
use super::when::{Moment, hindrance};
use super::{LAUNCHED, State, TRIED_BY, UpdateConfig, Updates, Version, Wish, slot, version};
use crate::audit::{Deed, Importance, Recorder};
use crate::clock::Clock;
use crate::console::is_walked;
use crate::engine::Engine;
use crate::forward::UpstreamStatus;
use crate::health::{self, Part};
use crate::index::{AlertQuery, Index as Alerts};
use crate::journal::{DiskRoom, FORMAT};

/// What it looks at.
pub(crate) struct Ground {
    pub(crate) config: UpdateConfig,
    pub(crate) data_dir: PathBuf,
    pub(crate) offset: UtcOffset,
    pub(crate) engine: Engine,
    pub(crate) alerts: Alerts,
    pub(crate) parts: Vec<Arc<dyn Part>>,
    pub(crate) upstreams: Vec<Arc<UpstreamStatus>>,
    pub(crate) audit: Recorder,
    pub(crate) room: Arc<DiskRoom>,
    pub(crate) clock: Clock,
}

const TICK: Duration = Duration::from_millis(500);
/// From the start to the first look into the repository.
const FIRST_LOOK: Duration = Duration::from_secs(300);
/// For the engine to answer.
const PATIENCE: Duration = Duration::from_secs(5);

impl Updates {
    /// Follows the repository, until the gateway stops. What goes wrong is told, and tried again.
    ///
    /// # Errors
    /// It has none of its own.
    pub(crate) async fn follow(self: Arc<Self>, ground: Ground) -> anyhow::Result<()> {
        let mut following = Following::new(self.clone(), ground);
        let mut tick = tokio::time::interval(TICK);
        loop {
            tick.tick().await;
            self.ail(following.step().await.err().map(|error| format!("{error:#}")));
        }
    }
}

struct Following {
    updates: Arc<Updates>,
    ground: Ground,
    begun: Instant,
    begun_ms: TimeMs,
    next_look: Instant,
    regular: Regular,
    next_regular: Instant,
    /// Since when nothing lacks, on trial.
    well_since: Option<Instant>,
    swept: bool,
}

impl Following {
    fn new(updates: Arc<Updates>, ground: Ground) -> Self {
        let begun = Instant::now();
        Self {
            next_look: begun + ground.config.every.duration().min(FIRST_LOOK),
            begun_ms: ground.clock.now_ms(),
            regular: Regular::default(),
            next_regular: begun,
            well_since: None,
            swept: false,
            begun,
            updates,
            ground,
        }
    }

    async fn step(&mut self) -> anyhow::Result<()> {
        // A command may have changed it.
        let state = self.updates.change(|_| ())?;
        self.tell(&state).await?;
        let own = version();
        if state.wish == Some(Wish::Back) {
            let now = self.ground.clock.now_ms();
            let mut went = false;
            self.updates.change(|state| went = state.go_back(now))?;
            if went {
                self.updates.relaunch.notify_one();
            }
            return Ok(());
        }
        if std::env::var_os(TRIED_BY).is_some() && state.trial.as_ref().is_some_and(|trial| trial.version == own) {
            return self.show(&state).await;
        }
        if !self.swept {
            let state = self.updates.change(|state| state.forget_older(&own))?;
            let dir = self.updates.dir.clone();
            tokio::task::spawn_blocking(move || slot::sweep(&dir, &state)).await??;
            self.swept = true;
        }
        let now = Instant::now();
        if now >= self.next_regular {
            self.regular.look(self.heard().await.unwrap_or_default());
            self.next_regular = now + self.ground.config.trial.duration() / 3;
        }
        if now >= self.next_look || matches!(state.wish, Some(Wish::Look | Wish::Now)) && state.staged.is_none() {
            self.look().await?;
            self.next_look = Instant::now() + self.ground.config.every.duration();
        }
        self.switch().await
    }

    /// Tells the audit log what happened, also while nobody could.
    async fn tell(&self, state: &State) -> anyhow::Result<()> {
        let untold: Vec<_> = state.history.iter().filter(|event| !event.told).cloned().collect();
        if untold.is_empty() {
            return Ok(());
        }
        for event in untold {
            let what = match event.what.as_str() {
                "update.begin" => "update.begin",
                "update.good" => "update.good",
                _ => "update.rolled_back",
            };
            let why = event.why.map(|why| format!(": {}", why.en)).unwrap_or_default();
            let kind = event.kind.map(|kind| format!("{kind} ")).unwrap_or_default();
            let of = format!("{kind}{}{why}", event.version);
            tracing::info!("{what} {of}");
            let deed = Deed::of_the_gateway(what, of);
            self.ground.audit.note(deed, Importance::Action).await;
        }
        self.updates.change(|state| state.history.iter_mut().for_each(|event| event.told = true)).map(drop)
    }

    /// Looks into the repository, and fetches what it means for this gateway.
    async fn look(&self) -> anyhow::Result<()> {
        let looked = self.fetch().await;
        let now = self.ground.clock.now_ms();
        self.updates.change(|state| {
            state.looked_ms = Some(now);
            // There is nothing more that it could mean.
            state.wish.take_if(|wish| *wish == Wish::Look || state.staged.is_none());
            (state.unreachable, state.refused) = match &looked {
                Ok(()) => (None, None),
                Err(Failure::Unreachable(error)) => (Some(format!("{error:#}")), state.refused.take()),
                Err(Failure::Refused(error)) => {
                    let text = format!("{error:#}");
                    (
                        None,
                        Some(Text {
                            zh: format!("更新被拒绝：{text}"), en: format!("an update was refused: {text}")
                        }),
                    )
                }
            };
        })?;
        match looked {
            Err(Failure::Unreachable(error)) => tracing::warn!("the repository of updates cannot be read: {error:#}"),
            Err(Failure::Refused(error)) => tracing::error!("an update was refused: {error:#}"),
            Ok(()) => {}
        }
        Ok(())
    }

    async fn fetch(&self) -> Result<(), Failure> {
        let config = &self.ground.config;
        let text = fetch::index(config).await?;
        let (index, wanted) = self.judge(&text).map_err(Failure::Refused)?;
        let offered = index.meant(&config.ring, PROGRAM).cloned();
        let state = self.updates.change(|state| {
            state.serial = index.serial;
            state.offered = offered;
            for kind in KINDS {
                let offered = index.meant(&config.ring, kind).cloned();
                state.content.entry(kind.to_owned()).or_default().offered = offered;
            }
        });
        let state = state.map_err(Failure::Refused)?;
        for kind in KINDS {
            let Some(version) = index.meant(&config.ring, kind) else { continue };
            if !state.content.get(kind).is_none_or(|track| track.wants(version)) {
                continue;
            }
            let release = index.find(kind, version).cloned().with_context(|| format!("{kind} {version} are not there"));
            let staged = self.stage(release.map_err(Failure::Refused)?, &text).await?;
            let kept =
                self.updates.change(|state| state.content.entry(kind.to_owned()).or_default().staged = Some(staged));
            kept.map_err(Failure::Refused)?;
        }
        let Some(release) = wanted else { return Ok(()) };
        let is_staged = state.staged.as_ref() == Some(&release.version);
        if is_staged && slot::is_there(&self.updates.dir, PROGRAM, &release.version) {
            return Ok(());
        }
        let staged = self.stage(release, &text).await?;
        self.updates.change(|state| state.staged = Some(staged)).map_err(Failure::Refused)?;
        Ok(())
    }

    /// Fetches a release and unpacks it; gives its version.
    async fn stage(&self, release: Release, index: &[u8]) -> Result<Version, Failure> {
        let incoming = self.updates.dir.join("incoming");
        self.make_sure_of_room(&release).map_err(Failure::Refused)?;
        let package = fetch::package(&self.ground.config, &incoming, &release).await?;
        let (dir, index, version) = (self.updates.dir.clone(), index.to_owned(), release.version.clone());
        let unpack = move || {
            slot::unpack(&dir, &package, &release, &index)?;
            anyhow::Ok(std::fs::remove_dir_all(&incoming)?)
        };
        let unpacked = tokio::task::spawn_blocking(unpack).await;
        unpacked.map_err(anyhow::Error::from).and_then(|done| done).map_err(Failure::Refused)?;
        Ok(version)
    }

    /// Whether the index counts, and which package of it is wanted.
    fn judge(&self, text: &[u8]) -> anyhow::Result<(Index, Option<Release>)> {
        let index = Index::open(text, &self.ground.config.keys()?)?;
        let state = self.updates.state();
        let (serial, known) = (index.serial, state.serial);
        ensure!(
            serial >= known,
            "the index has the serial number {serial}, and {known} was seen already: somebody plays back an old one, or \
             the repository was restored from a backup (then sign it anew until its number is higher)"
        );
        let Some(meant) = index.meant(&self.ground.config.ring, PROGRAM) else { return Ok((index, None)) };
        if *meant <= version() || state.bad.contains_key(&meant.to_string()) {
            return Ok((index, None));
        }
        let release = index.find(PROGRAM, meant).cloned();
        let release = release.with_context(|| format!("version {meant} is not there for {}", super::ARCH))?;
        ensure!(
            release.journal == FORMAT,
            "version {meant} writes the journal in format {}, this one in {FORMAT}: there would be no way back; it has to \
             be installed by hand, after a backup",
            release.journal
        );
        Ok((index, Some(release)))
    }

    /// The reserve is the alerts', and as much again.
    fn make_sure_of_room(&self, release: &Release) -> anyhow::Result<()> {
        let stat = statvfs(&self.ground.data_dir)?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let unpacked: u64 = release.contents.iter().map(|one| one.bytes).sum();
        let wanted = release.bytes + unpacked + 2 * self.ground.room.reserve_bytes();
        let mib = |bytes: u64| bytes >> 20;
        ensure!(
            free >= wanted,
            "it needs {} MiB of the disk with what alerts need, and {} are free",
            mib(wanted),
            mib(free)
        );
        Ok(())
    }

    /// Makes room for what is staged, if it may be now.
    async fn switch(&self) -> anyhow::Result<()> {
        let state = self.updates.state();
        // One at a time: what goes wrong has one cause.
        if state.content.values().any(|track| track.trial.is_some()) {
            return self.watch(&state).await;
        }
        let content =
            KINDS.into_iter().find(|kind| state.content.get(*kind).is_some_and(|track| track.staged.is_some()));
        let program = state.staged.clone().filter(|staged| *staged > version());
        if content.is_none() && program.is_none() {
            return Ok(());
        }
        let now = self.ground.clock.now_ms();
        let query = AlertQuery {
            status: Some(Status::Raised),
            severity: Some(Severity::Critical),
            open_only: true,
            limit: 1,
            ..AlertQuery::default()
        };
        let moment = Moment {
            now,
            offset: self.ground.offset,
            quiet: self.ground.config.quiet,
            now_wanted: state.wish == Some(Wish::Now),
            launched: content.is_some() || std::env::var_os(LAUNCHED).is_some(),
            clock_trusted: !self.complaints().any(|one| one.ailment == Ailment::ClockWrong),
            critical_open: !self.ground.alerts.alerts(&query).is_empty(),
            walking: is_walked(&self.ground.data_dir, now)?,
        };
        if let Some(why) = hindrance(&moment) {
            self.updates.change(|state| state.waits_for = Some(why))?;
            return Ok(());
        }
        let baseline = Baseline {
            upstreams: self.upstreams(|status| status.has_receipted()),
            devices: self.regular.devices(),
            ailments: self.ailments().into_keys().collect(),
        };
        if let Some(kind) = content {
            tracing::info!(kind, "puts newer ones in force, on trial");
            self.updates.change(|state| state.try_content(kind, baseline, self.faults(), now))?;
            return Ok(());
        }
        let Some(staged) = program else { return Ok(()) };
        tracing::info!(version = %staged, ?baseline, "makes room for a newer program, on trial");
        self.updates.change(|state| state.begin_trial(&staged, baseline, now))?;
        self.updates.relaunch.notify_one();
        Ok(())
    }

    /// What is wrong with the site's files and with models, in English.
    fn faults(&self) -> BTreeSet<String> {
        let of_content = |one: &Complaint| matches!(one.ailment, Ailment::SiteFaults | Ailment::ModelDegraded);
        self.complaints().filter(of_content).map(|one| one.text.en).collect()
    }

    /// When each device was heard last; `None` where the engine has ended.
    async fn heard(&self) -> Option<Vec<(String, TimeMs)>> {
        let devices = self.ground.engine.devices().await.ok()?;
        Some(devices.into_iter().filter_map(|device| Some((device.device, device.seen_ms?))).collect())
    }

    /// The upstreams that are connected, each with what is asked of it.
    fn upstreams(&self, of: impl Fn(&UpstreamStatus) -> bool) -> BTreeMap<String, bool> {
        let connected = self.ground.upstreams.iter().filter(|status| status.link.watch().borrow().since.is_some());
        connected.map(|status| (status.link.name().to_owned(), of(status))).collect()
    }

    /// What ails the gateway, of what matters.
    fn ailments(&self) -> BTreeMap<(String, String), Text> {
        let is_grave = |one: &Complaint| matches!(one.ailment.severity(), Severity::Critical | Severity::Major);
        let grave = self.complaints().filter(is_grave);
        grave.map(|one| ((one.ailment.name().to_owned(), one.part), one.text)).collect()
    }

    fn complaints(&self) -> impl Iterator<Item = Complaint> + use<> {
        health::complaints(&self.ground.parts).into_iter()
    }
}

impl UpstreamStatus {
    /// Whether a receipt has come since the start.
    fn has_receipted(&self) -> bool {
        self.answered.load(Relaxed)
    }
}
