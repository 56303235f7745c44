//! A channel at work: takes in the alert changes, says what is to be told, and holds on to what was not taken.

use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify as Wake, mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use ninewatch_core::alert::{AlertChange, AlertId, Status};
use ninewatch_core::time::TimeMs;

use super::config::NotifyConfig;
use super::feed::Feed;
use super::ledger::{Entry, Ledger, Notification, Outcome, Place};
use super::message::{Digest, test_message};
use super::pace::{Backoff, Pace};
use super::service::{self, Failure, Message};
use super::shared::Shared;
use super::waiting::{Next, Telling, Waiting};
use crate::engine::Stopped;
use crate::mqtt_client::Link;

/// The longest pause where it may go well the next time, and where a person has to mend something first.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
const SLOW: Duration = Duration::from_secs(300);
/// For a broker to take a test; the console's own patience is 20 s.
const SIREN_ANSWERS: Duration = Duration::from_secs(12);
/// How often the channel's place is written down while it tells nothing.
const KEEP_EVERY: Duration = Duration::from_secs(60);

/// A question whether a siren sounds, with the way to answer it.
pub(super) type SirenTest = oneshot::Sender<Result<(), Failure>>;

/// A channel, for all who want to know how it is.
pub(crate) struct Channel {
    pub(crate) config: NotifyConfig,
    pub(super) shared: Arc<Shared>,
    state: Mutex<State>,
    /// Something has been mended.
    wake: Wake,
    siren: Option<SirenWay>,
    counts: Counts,
}

/// The way to a siren.
pub(super) struct SirenWay {
    /// To its broker; one on a pin has none.
    pub(super) link: Option<Link>,
    pub(super) tests: mpsc::Sender<SirenTest>,
}

/// What a channel counts.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Messages that the service took.
    pub(crate) sent: AtomicU64,
    /// Those among them that told of many alerts.
    pub(crate) digests: AtomicU64,
    /// Attempts that failed in passing.
    pub(crate) failed: AtomicU64,
    /// Attempts that were too many.
    pub(crate) throttled: AtomicU64,
    /// Attempts that a person has to do something about.
    pub(crate) refused: AtomicU64,
}

/// What is wrong with a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// It will not go well until a person has mended something.
    pub(crate) refused: bool,
    /// In the service's words.
    pub(crate) said: String,
}

struct State {
    waiting: Waiting,
    pace: Pace,
    backoff: Backoff,
    hold_until: Option<Instant>,
    trouble: Option<Trouble>,
    last_sent_ms: Option<TimeMs>,
    /// The last change that was looked at.
    seen: u64,
}

/// What a channel does next.
enum Step {
    Say(Box<Saying>),
    Wait(Option<Instant>),
}

/// A message, and what it tells of.
struct Saying {
    message: Message,
    tellings: Vec<Telling>,
    digest: Option<Digest>,
}

impl Channel {
    pub(super) fn new(config: NotifyConfig, shared: Arc<Shared>, siren: Option<SirenWay>) -> Self {
        let (seen, ago) = {
            let place = shared.ledger.look(&config.name, |place| place.cloned()).unwrap_or_default();
            let now_ms = shared.clock.now_ms();
            let ago = place.sent_at.iter().map(|at| Duration::from_millis(u64::try_from(now_ms - at).unwrap_or(0)));
            (place.delivered.up_to, ago.collect::<Vec<_>>())
        };
        let pace = Pace::new(config.kind.limits(), ago, Instant::now());
        Self {
            state: Mutex::new(State {
                waiting: Waiting::default(),
                pace,
                backoff: Backoff::default(),
                hold_until: None,
                trouble: None,
                last_sent_ms: None,
                seen,
            }),
            config,
            shared,
            wake: Wake::new(),
            siren,
            counts: Counts::default(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.config.name
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it counts.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How many alerts wait to be told.
    pub(crate) fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    /// What is wrong, as far as it shows.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        match self.link() {
            Some(link) => {
                let state = link.watch().borrow().clone();
                let said = state.last_error.unwrap_or_else(|| "…".into());
                state.since.is_none().then_some(Trouble { refused: false, said })
            }
            None => self.state().trouble.clone(),
        }
    }

    /// When it last said something, since the gateway started.
    pub(crate) fn last_sent_ms(&self) -> Option<TimeMs> {
        self.state().last_sent_ms
    }

    /// What waits of an alert.
    pub(super) fn waits_for(&self, alert: &AlertId) -> Option<Notification> {
        let state = self.state();
        let telling = state.waiting.get(alert)?;
        Some(self.notification(telling, telling.at_ms, Outcome::Waiting))
    }

    /// Says that the channel works, or lets a siren sound for a moment.
    ///
    /// # Errors
    /// Why it does not.
    pub(crate) async fn test(&self) -> Result<(), Failure> {
        if let Some(SirenWay { tests, .. }) = &self.siren {
            let temporary = |said: &str| Failure::Temporary(said.into());
            if let Some(trouble) = self.trouble() {
                return Err(temporary(&trouble.said));
            }
            let (reply, answer) = oneshot::channel();
            tests.try_send(reply).map_err(|_| temporary("another test is going on"))?;
            return match tokio::time::timeout(SIREN_ANSWERS, answer).await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(temporary("the connection broke")),
                Err(_) => Err(temporary("the broker has not taken it")),
            };
        }
        // What is kept for critical alerts is not for a test.
        let is_full = {
            let state = self.state();
            state.pace.free_at(state.pace.reserve(), Instant::now()).is_some()
        };
        if is_full {
            return Err(Failure::Throttled(Duration::from_secs(60), "the minute is full".into()));
        }
        let message = test_message(&self.config, &self.shared.settings.borrow(), self.shared.clock.now_ms());
        let result = service::send(&self.config, &message, self.shared.clock.now_ms()).await;
        let mut state = self.state();
        match &result {
            Ok(()) => {
                state.went_well(self.shared.clock.now_ms());
                state.waiting.hurry();
                self.counts.sent.fetch_add(1, Relaxed);
                self.wake.notify_one();
            }
            Err(failure) => state.trouble = Some(Trouble::of(failure)),
        }
        result
    }

    /// Tells what is to be told until the gateway stops.
    ///
    /// # Errors
    /// None: what fails is tried again, and said.
    pub(super) async fn run(self: Arc<Self>, mut feed: Feed) -> anyhow::Result<()> {
        let mut kept = (self.state().seen, Instant::now());
        // What is quiet may not be so any more.
        let (mut settings, mut are_followed) = (self.shared.settings.clone(), true);
        loop {
            // All that is known decides what goes first.
            while feed.has_more() {
                match feed.next().await {
                    Ok(change) => self.take_in(&change),
                    Err(error) if error.is::<Stopped>() => return Ok(()),
                    Err(error) => {
                        tracing::error!("channel `{}`: {error:#}", self.name());
                        sleep(LONGEST_PAUSE).await;
                    }
                }
            }
            let until = match self.step() {
                Step::Say(saying) => {
                    let now = self.shared.clock.now_ms();
                    let result = service::send(&self.config, &saying.message, now).await;
                    self.settle(&saying, result).await;
                    continue;
                }
                Step::Wait(until) => until,
            };
            let up_to = self.state().settled_to();
            if up_to != kept.0 && kept.1.elapsed() >= KEEP_EVERY {
                kept = (up_to, Instant::now());
                self.write(move |ledger, channel| ledger.move_to(&channel, up_to)).await;
            }
            let keep_at = (up_to != kept.0).then_some(kept.1 + KEEP_EVERY);
            let wait = async {
                match [until, keep_at].into_iter().flatten().min() {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                change = feed.next() => match change {
                    Ok(change) => self.take_in(&change),
                    Err(error) if error.is::<Stopped>() => return Ok(()),
                    Err(error) => {
                        tracing::error!("channel `{}`: {error:#}", self.name());
                        sleep(LONGEST_PAUSE).await;
                    }
                },
                () = wait => {}
                () = self.wake.notified() => {}
                changed = settings.changed(), if are_followed => are_followed = changed.is_ok(),
            }
        }
    }

    fn take_in(&self, change: &AlertChange) {
        let mut state = self.state();
        self.shared.with_rungs(|rungs| {
            self.shared.ledger.look(self.name(), |place| {
                state.waiting.take_in(change, &self.config, rungs, place.unwrap_or(&Place::default()));
            });
        });
        state.seen = state.seen.max(change.seq);
    }

    fn step(&self) -> Step {
        let now = Instant::now();
        let mut state = self.state();
        if let Some(until) = state.hold_until.filter(|until| *until > now) {
            return Step::Wait(Some(until));
        }
        let State { waiting, pace, .. } = &mut *state;
        let (now_ms, speed) = (self.shared.clock.now_ms(), self.shared.clock.speed());
        self.shared.with_rungs(|rungs| {
            waiting.be_quiet(
                |alert, at_ms| {
                    let left_ms = u32::try_from(rungs.quiet_until(alert, at_ms)? - now_ms).unwrap_or(0);
                    Some(now + Duration::from_millis(u64::from(left_ms)).div_f64(speed))
                },
                now_ms,
            );
        });
        let next = waiting.next(self.config.kind, pace, now);
        let (mut tellings, digest) = match next {
            Next::Nothing(until) => return Step::Wait(until),
            Next::One(alert) => (waiting.get(&alert).cloned().into_iter().collect::<Vec<_>>(), None),
            Next::Digest => (waiting.digest(now), Some(Digest::Many)),
            Next::AfterQuiet => (waiting.after_quiet(), Some(Digest::AfterQuiet)),
        };
        drop(state);
        let message = self.message(&mut tellings, digest);
        Step::Say(Box::new(Saying { message, tellings, digest }))
    }

    async fn settle(&self, saying: &Saying, result: Result<(), Failure>) {
        let now_ms = self.shared.clock.now_ms();
        let mut entries = Vec::new();
        let up_to = {
            let mut state = self.state();
            match &result {
                Ok(()) => {
                    state.went_well(now_ms);
                    self.counts.sent.fetch_add(1, Relaxed);
                    self.counts.digests.fetch_add(u64::from(saying.digest.is_some()), Relaxed);
                    for telling in &saying.tellings {
                        if saying.digest.is_some() && telling.goes_first() && telling.alert.status != Status::Closed {
                            // It has a message of its own to come.
                            state.waiting.get_mut(&telling.alert.id).into_iter().for_each(|one| one.announced = true);
                            continue;
                        }
                        let mut told = telling.clone();
                        told.attempts += 1;
                        let outcome = if saying.digest.is_some() { Outcome::Digest } else { Outcome::Sent };
                        entries.push(self.entry(&told, now_ms, outcome));
                        state.waiting.settle(telling);
                    }
                }
                Err(failure) => {
                    self.fail(&mut state, saying, failure);
                    for stale in state.waiting.stale(now_ms) {
                        entries.push(self.entry(&stale, now_ms, Outcome::GivenUp));
                        state.waiting.settle(&stale);
                    }
                }
            }
            state.settled_to()
        };
        if !entries.is_empty() {
            self.write(move |ledger, _| ledger.tell(up_to, entries)).await;
        }
    }

    fn fail(&self, state: &mut State, saying: &Saying, failure: &Failure) {
        let now = Instant::now();
        let trouble = Trouble::of(failure);
        if state.trouble.as_ref() != Some(&trouble) {
            tracing::warn!("channel `{}` is not heard: {}", self.name(), trouble.said);
        }
        state.trouble = Some(trouble);
        let (count, hold) = match failure {
            Failure::Throttled(wait, _) => (&self.counts.throttled, *wait),
            Failure::Temporary(_) => (&self.counts.failed, state.backoff.pause(LONGEST_PAUSE)),
            Failure::Refused(_) => (&self.counts.refused, state.backoff.pause(SLOW)),
        };
        count.fetch_add(1, Relaxed);
        if matches!(failure, Failure::Throttled(..)) {
            state.pace.sent(now);
        }
        state.hold_until = Some(now + hold);
        for telling in &saying.tellings {
            let Some(telling) = state.waiting.get_mut(&telling.alert.id) else { continue };
            telling.attempts = telling.attempts.saturating_add(1);
            telling.error = Some(failure.said().to_owned());
            if matches!(failure, Failure::Refused(_)) {
                // It may be this message that is not liked: others have their turn before it.
                telling.refusals = telling.refusals.saturating_add(1);
                telling.not_before = Some(now + SLOW);
            }
        }
    }

    fn entry(&self, telling: &Telling, at_ms: TimeMs, outcome: Outcome) -> Entry {
        Entry {
            alert: telling.alert.id.clone(),
            severity: telling.alert.severity,
            seqs: telling.seqs.clone(),
            over: telling.alert.status == Status::Closed,
            notification: self.notification(telling, at_ms, outcome),
        }
    }

    fn notification(&self, telling: &Telling, at_ms: TimeMs, result: Outcome) -> Notification {
        Notification {
            channel: self.name().to_owned(),
            at_ms,
            told: telling.kinds.clone(),
            result,
            attempts: telling.attempts,
            error: telling.error.clone(),
            rungs: telling.rungs.clone(),
            people: telling.people.clone(),
            quiet: telling.is_quiet(),
        }
    }

    /// Writes to the ledger, off the threads that serve.
    pub(super) async fn write(&self, write: impl FnOnce(&Ledger, String) -> anyhow::Result<()> + Send + 'static) {
        let (shared, channel) = (self.shared.clone(), self.name().to_owned());
        let written = tokio::task::spawn_blocking(move || write(&shared.ledger, channel));
        if let Ok(Err(error)) = written.await {
            tracing::error!("channel `{}`: after a new start it may be told again: {error:#}", self.name());
        }
    }

    /// The line of a siren at a broker.
    pub(super) fn link(&self) -> Option<&Link> {
        self.siren.as_ref()?.link.as_ref()
    }

    /// Whether a siren's pin can be driven, and why not.
    pub(super) fn siren_works(&self, trouble: Option<String>) {
        let trouble = trouble.map(|said| Trouble { refused: false, said });
        let mut state = self.state();
        if let Some(trouble) = trouble.as_ref().filter(|new| state.trouble.as_ref() != Some(new)) {
            tracing::error!("channel `{}` cannot be switched: {}", self.name(), trouble.said);
        }
        state.trouble = trouble;
    }

    /// A siren has been heard, or is quiet.
    pub(super) fn siren_told(&self) {
        self.state().last_sent_ms = Some(self.shared.clock.now_ms());
        self.counts.sent.fetch_add(1, Relaxed);
    }
}

impl State {
    fn went_well(&mut self, now_ms: TimeMs) {
        self.pace.sent(Instant::now());
        self.backoff.reset();
        self.hold_until = None;
        self.trouble = None;
        self.last_sent_ms = Some(now_ms);
    }

    /// Up to which change nothing is left to be told.
    fn settled_to(&self) -> u64 {
        self.waiting.first_seq().map_or(self.seen, |first| first.saturating_sub(1))
    }
}

impl Trouble {
    fn of(failure: &Failure) -> Self {
        Self { refused: matches!(failure, Failure::Refused(_)), said: failure.said().to_owned() }
    }
}
