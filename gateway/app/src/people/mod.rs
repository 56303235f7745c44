//! What the gateway holds of persons, apart from the journal: the journal is kept for good, and this is deleted when its
//! time is over. `docs/privacy.md` says what is kept how long; why it stands apart, decisions 18 and 19.
//!
//! ```text
//! people/photos/ALERT/HASH.jpg, HASH.json   what staff and residents photographed
//! people/matters/ID.json                    what a resident wrote, and how to reach them
//! residents.toml                            whom homes are about, and whom to call
//! grid_codes.json                           the codes on the grids' posters (of nobody)
//! ```

pub(crate) mod grid_codes;
mod matters;
mod photos;
mod picture;
pub(crate) mod residents;
pub(crate) mod retention;
#[cfg(test)]
mod tests;

use anyhow::Context;
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use ninewatch_core::time::{Span, TimeMs};

use crate::clock::Clock;
use crate::engine::Engine;
use crate::journal::DiskRoom;
use crate::private::hex;

pub(crate) use matters::{Answer, Matters, Reported, Written};
pub(crate) use photos::{Photo, Photos, Refusal};
pub(crate) use picture::picture;

/// Below the data folder.
pub(crate) const PHOTOS: &str = "people/photos";
pub(crate) const MATTERS: &str = "people/matters";

/// How much is kept of persons, and how long: `[people]` in site.toml.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PeopleConfig {
    /// All photos together; beyond it none is taken.
    pub(crate) photos_max_mib: u64,
    /// A photo is deleted so long after it was taken in.
    pub(crate) keep_photos: Span,
    /// What a resident wrote, with what they are answered, so long after they reported it.
    pub(crate) keep_matters: Span,
    /// A resident's record, so long after they have left.
    pub(crate) keep_residents: Span,
}

impl Default for PeopleConfig {
    fn default() -> Self {
        const DAY: i64 = 86_400;
        Self {
            photos_max_mib: 256,
            keep_photos: Span::from_secs(30 * DAY),
            keep_matters: Span::from_secs(90 * DAY),
            keep_residents: Span::from_secs(30 * DAY),
        }
    }
}

impl PeopleConfig {
    /// What is wrong in it, as (key, problem, mend).
    pub(crate) fn problems(&self) -> Vec<(&'static str, String, &'static str)> {
        let Self { photos_max_mib, keep_photos, keep_matters, keep_residents } = *self;
        let spans = [("keep_photos", keep_photos), ("keep_matters", keep_matters), ("keep_residents", keep_residents)];
        let short = spans.into_iter().filter(|(_, span)| span.ms() < 3_600_000);
        let mut problems: Vec<_> =
            short.map(|(key, span)| (key, format!("{span} is too short to work with"), "give at least 1h")).collect();
        if photos_max_mib > 65_536 {
            problems.push(("photos_max_mib", format!("{photos_max_mib} MiB cannot be used"), "give 0 to 65536"));
        }
        problems
    }
}

/// All of it, for the console.
pub(crate) struct People {
    pub(crate) data_dir: PathBuf,
    pub(crate) config: PeopleConfig,
    pub(crate) photos: Photos,
    pub(crate) matters: Matters,
    /// The newest time that was believed.
    newest_ms: AtomicI64,
}

impl People {
    /// Opens what there is. `room` tells whether the disk has any for it. A disk that cannot be read must not keep alerts
    /// from being raised: what residents write is refused until it can be read.
    pub(crate) fn open(data_dir: &Path, config: PeopleConfig, room: Arc<DiskRoom>) -> Arc<Self> {
        let photos = Photos::open(&data_dir.join(PHOTOS), config.photos_max_mib << 20, room.clone());
        let matters = Matters::open(&data_dir.join(MATTERS), room);
        Arc::new(Self { data_dir: data_dir.to_owned(), config, photos, matters, newest_ms: AtomicI64::new(0) })
    }

    /// When something is taken in that comes `now`: a clock that begins in 1970 must not make it look over.
    pub(crate) fn stamp(&self, now: TimeMs) -> TimeMs {
        now.max(self.newest_ms.load(Relaxed))
    }

    /// Hands in what a crash kept from the journal, then deletes what is over, now and each hour. `recorded_ms` is the last
    /// time that the journal knows of.
    ///
    /// # Errors
    /// Never: what fails is told and tried again.
    pub(crate) async fn look_after(
        self: Arc<Self>,
        engine: Engine,
        clock: Clock,
        recorded_ms: TimeMs,
    ) -> anyhow::Result<()> {
        let mut known = Known::before_the_start(recorded_ms);
        let mut is_handed_in = false;
        loop {
            let now = clock.now_ms();
            let is_believed = known.believes(now, Instant::now(), clock.speed());
            self.newest_ms.fetch_max(known.at_ms, Relaxed);
            if !is_handed_in {
                is_handed_in = self.hand_in(&engine).await;
            }
            if is_believed {
                self.delete_what_is_over(now, clock).await;
            } else {
                tracing::error!(
                    now,
                    last = known.at_ms,
                    "the clock has jumped: nothing that is held of persons is deleted until it has gone on steadily for \
                     six hours; set it if it is wrong, or say `ninewatch retention run` if it is right"
                );
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Takes away what a power cut left half written.
    fn clear_up(&self) -> anyhow::Result<()> {
        self.photos.clear_up()?;
        self.matters.clear_up()
    }

    /// Clears up after a crash and hands in what the journal may not have; tells whether that need not be tried again.
    async fn hand_in(self: &Arc<Self>, engine: &Engine) -> bool {
        let people = self.clone();
        let is_clear = off_the_threads("what a power cut left", move || people.clear_up()).await.is_some();
        let people = self.clone();
        let Some(left_over) = off_the_threads("what residents reported", move || people.matters.left_over()).await
        else {
            return false;
        };
        for reported in left_over {
            let Ok(alert) = engine.report(reported.matter()).await else { return false };
            let people = self.clone();
            off_the_threads("a matter's alert", move || people.matters.became(&reported.id, &alert)).await;
        }
        is_clear
    }

    async fn delete_what_is_over(self: &Arc<Self>, now: TimeMs, clock: Clock) {
        let people = self.clone();
        let delete = move || {
            let deleted = retention::run(&people.data_dir, &people.config, now, clock);
            people.matters.forget();
            deleted
        };
        if let Some(deleted) = off_the_threads("what is over", delete).await
            && !deleted.is_empty()
        {
            tracing::info!(?deleted, "deleted what was held of persons and is over");
        }
    }
}

/// Does what blocks, off the threads that serve. What fails is told, a panic too: it is tried again at the next look.
async fn off_the_threads<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> Option<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => return Some(done),
        Ok(Err(error)) => tracing::error!("{what} could not be looked after: {error:#}"),
        Err(error) => tracing::error!("{what} could not be looked after: {error}"),
    }
    None
}

/// The latest time that was believed.
struct Known {
    at_ms: TimeMs,
    /// When it was; `None`: before this start.
    seen: Option<Instant>,
    /// What the clock said when it was first not believed, and when that was.
    jumped: Option<(TimeMs, Instant)>,
}

impl Known {
    fn before_the_start(at_ms: TimeMs) -> Self {
        Self { at_ms, seen: None, jumped: None }
    }

    /// Whether it can be `now`: a clock that was set by years must not delete what is kept for months. One that goes on
    /// steadily from there was put right; `at` is of a clock that nobody sets.
    fn believes(&mut self, now: TimeMs, at: Instant, speed: f64) -> bool {
        const STEADY_FOR_MS: TimeMs = 6 * 3_600_000;
        let passed_ms = |since: Instant| {
            let passed = at.saturating_duration_since(since).mul_f64(speed);
            TimeMs::try_from(passed.as_millis()).unwrap_or(TimeMs::MAX)
        };
        if !self.is_plausible(now, self.seen.map_or(0, passed_ms)) {
            // A time server may still be drawing it near.
            let off_ms = Duration::from_secs(600).mul_f64(speed.max(1.0)).as_millis();
            let gone_on = self.jumped.map(|(said, since)| (now.saturating_sub(said), passed_ms(since)));
            let steadily = gone_on.filter(|(said, passed)| u128::from(said.abs_diff(*passed)) <= off_ms);
            match steadily {
                Some((_, passed)) if passed >= STEADY_FOR_MS => {}
                Some(_) => return false,
                None => {
                    self.jumped = Some((now, at));
                    return false;
                }
            }
        }
        self.jumped = None;
        // Set back, it is waited until it is there again: by the earlier time nothing is over too early.
        if now >= self.at_ms {
            (self.at_ms, self.seen) = (now, Some(at));
        }
        true
    }

    fn is_plausible(&self, now: TimeMs, passed_ms: TimeMs) -> bool {
        const DAY_MS: TimeMs = 86_400_000;
        /// No gateway is off for longer without somebody knowing.
        const LONGEST_OFF_MS: TimeMs = 60 * DAY_MS;
        let most = if self.seen.is_some() { DAY_MS } else { LONGEST_OFF_MS };
        self.at_ms == 0 || now.saturating_sub(self.at_ms) <= passed_ms.saturating_add(most)
    }
}

/// How often it is looked whether something is over.
const EVERY: Duration = Duration::from_secs(3600);

/// Whether there is room on the disk besides what alerts need: these bytes must not be theirs.
fn has_room(room: &DiskRoom, bytes: u64) -> bool {
    // As much as the journal holds is kept free besides; a quarter more, so that it is not this which makes it short.
    let reserve = room.reserve_bytes();
    !room.is_short() && room.free_bytes() >= reserve.saturating_add(reserve / 4).saturating_add(bytes)
}

/// The files in a folder whose names end so; none where there is no folder.
fn files(dir: &Path, ending: &str) -> anyhow::Result<Vec<PathBuf>> {
    let unreadable = || format!("{} cannot be read", dir.display());
    let found = match fs::read_dir(dir) {
        Ok(found) => found.collect::<Result<Vec<_>, _>>().with_context(unreadable)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(unreadable),
    };
    let mut paths: Vec<PathBuf> = found.into_iter().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|one| one == ending));
    paths.sort();
    Ok(paths)
}

/// Takes a file away, so that it is away after a power cut, too. One that is away already is no error.
fn erase(path: &Path) -> anyhow::Result<()> {
    let failed = || format!("{} cannot be deleted", path.display());
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).with_context(failed),
        _ => {}
    }
    let dir = path.parent().unwrap_or(path);
    fs::File::open(dir).and_then(|dir| dir.sync_all()).with_context(failed)
}

/// When a file was written.
fn written_ms(path: &Path) -> TimeMs {
    let written = fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let since = written.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    since.and_then(|since| TimeMs::try_from(since.as_millis()).ok()).unwrap_or(0)
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    hex(&Sha256::digest(bytes))
}
