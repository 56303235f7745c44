//! Which alerts have not reached anybody: how old the oldest is that an upstream lacks, and which critical ones nobody
//! has been told of.
//!
//! Ages count from when this gateway saw the change, or started: its clock is not trusted.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use ninewatch_core::alert::{Alert, AlertChange, AlertId, Scene, Severity, Status};

use super::Sign;
use crate::console::ConsoleStatus;
use crate::engine::Engine;
use crate::forward::UpstreamStatus;
use crate::index::{AlertQuery, Delivered, Index, Progress};
use crate::journal;

/// Changes remembered at once, 32 bytes each. The oldest matter: beyond it, newer ones are passed over.
const REMEMBERED: usize = 100_000;
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Follows alert changes and what became of them.
pub(crate) struct Undelivered {
    pub(crate) engine: Engine,
    pub(crate) index: Index,
    pub(crate) journal_dir: PathBuf,
    pub(crate) upstreams: Vec<Arc<UpstreamStatus>>,
    pub(crate) console: Arc<ConsoleStatus>,
    pub(crate) sign: Option<Arc<Sign>>,
}

impl Undelivered {
    /// Tells upstreams how far they are behind, and the local sign what nobody knows of. Runs until the engine stops.
    ///
    /// # Errors
    /// Where the alert log cannot be read.
    pub(crate) async fn follow(self) -> anyhow::Result<()> {
        // First listen, then look: nothing falls in between.
        let Self { engine, index, journal_dir, upstreams, console, sign } = self;
        let mut changes = engine.changes();
        // It ends when nobody can ask it any more.
        drop(engine);
        let delivered = |index: &Index| -> Vec<Delivered> {
            upstreams.iter().map(|upstream| index.delivery(upstream.link.name())).collect()
        };
        let mut waiting = Waiting { known_to: index.last_seq(), ..Waiting::default() };
        waiting.begin(&index, &journal_dir, &delivered(&index)).await?;
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                change = next(&mut changes) => match change {
                    Some(Some(change)) if change.seq == waiting.known_to + 1 => waiting.take(&change, Instant::now()),
                    // Some were missed: the log has them.
                    Some(_) => waiting.catch_up(&journal_dir).await?,
                    None => return Ok(()),
                },
                _ = look.tick() => {
                    let (now, delivered) = (Instant::now(), delivered(&index));
                    waiting.forget(&delivered);
                    for (upstream, delivered) in upstreams.iter().zip(&delivered) {
                        upstream.lacks_since(waiting.oldest(delivered));
                    }
                    if let Some(sign) = &sign {
                        // Without an upstream the pages are how people are told.
                        let somebody_listens = upstreams.is_empty() && console.listeners() > 0;
                        let unheard = if somebody_listens { Vec::new() } else { waiting.unheard(sign.after(), now) };
                        sign.show(&unheard).await;
                    }
                }
            }
        }
    }
}

/// The next change; `Some(None)` where some were missed, `None` where there will be no more.
async fn next(changes: &mut Receiver<Arc<AlertChange>>) -> Option<Option<Arc<AlertChange>>> {
    match changes.recv().await {
        Ok(change) => Some(Some(change)),
        Err(RecvError::Lagged(_)) => Some(None),
        Err(RecvError::Closed) => None,
    }
}

/// What is not known to be delivered.
#[derive(Default)]
struct Waiting {
    /// The last change that was seen.
    known_to: u64,
    /// Changes that an upstream lacks, those about the gateway itself left out: an outage must not grow by its own alert.
    changes: VecDeque<(u64, Instant)>,
    /// Critical alerts that nobody has accepted, and of which no upstream has the newest that was seen.
    critical: BTreeMap<AlertId, Critical>,
}

struct Critical {
    /// The newest change.
    seq: u64,
    /// Since when the first one waits.
    since: Instant,
    alert: Alert,
}

impl Waiting {
    /// What waited when the gateway started.
    async fn begin(&mut self, index: &Index, journal_dir: &Path, delivered: &[Delivered]) -> anyhow::Result<()> {
        let now = Instant::now();
        let query = AlertQuery {
            status: Some(Status::Raised),
            severity: Some(Severity::Critical),
            limit: usize::MAX,
            ..AlertQuery::default()
        };
        let asked = index.clone();
        let open = tokio::task::spawn_blocking(move || {
            let records = asked.alerts(&query).into_iter().filter_map(|alert| asked.alert(&alert.id));
            records.filter_map(|record| Some((record.life.last()?.seq, record.alert))).collect::<Vec<_>>()
        });
        for (seq, alert) in open.await?.into_iter().filter(|(_, alert)| alert.may_sound()) {
            self.critical.insert(alert.id.clone(), Critical { seq, since: now, alert });
        }
        let Some(from) = delivered.iter().map(|delivered| delivered.up_to + 1).min() else { return Ok(()) };
        let to = self.known_to;
        for (seq, is_own) in read(journal_dir, from, |change| (change.seq, is_own(change))).await? {
            if seq <= to && !is_own {
                self.remember(seq, now);
            }
        }
        Ok(())
    }

    async fn catch_up(&mut self, journal_dir: &Path) -> anyhow::Result<()> {
        for change in read(journal_dir, self.known_to + 1, Clone::clone).await? {
            self.take(&change, Instant::now());
        }
        Ok(())
    }

    fn take(&mut self, change: &AlertChange, now: Instant) {
        if change.seq <= self.known_to {
            return;
        }
        self.known_to = change.seq;
        if !is_own(change) {
            self.remember(change.seq, now);
        }
        let alert = &change.alert;
        if alert.severity == Severity::Critical && alert.status == Status::Raised && alert.may_sound() {
            let new = || Critical { seq: 0, since: now, alert: alert.clone() };
            let critical = self.critical.entry(alert.id.clone()).or_insert_with(new);
            critical.seq = change.seq;
            critical.alert.clone_from(alert);
        } else {
            // Somebody has it.
            self.critical.remove(&alert.id);
        }
    }

    fn remember(&mut self, seq: u64, now: Instant) {
        if self.changes.len() < REMEMBERED {
            self.changes.push_back((seq, now));
        }
    }

    /// Forgets what all upstreams have, and the critical alerts that one has: somebody knows.
    fn forget(&mut self, delivered: &[Delivered]) {
        let is_known = |seq: u64| delivered.iter().all(|of| of.holds(seq));
        while self.changes.front().is_some_and(|(seq, _)| is_known(*seq)) {
            self.changes.pop_front();
        }
        if !delivered.is_empty() {
            self.critical.retain(|_, critical| !delivered.iter().any(|of| of.holds(critical.seq)));
        }
    }

    /// Since when the oldest waits that an upstream lacks.
    fn oldest(&self, delivered: &Delivered) -> Option<Instant> {
        let from = self.changes.partition_point(|(seq, _)| *seq <= delivered.up_to);
        self.changes.range(from..).find(|(seq, _)| !delivered.holds(*seq)).map(|(_, since)| *since)
    }

    /// The critical alerts that nobody has been told of for so long.
    fn unheard(&self, after: Duration, now: Instant) -> Vec<&Alert> {
        let old = self.critical.values().filter(|critical| now.saturating_duration_since(critical.since) >= after);
        old.map(|critical| &critical.alert).collect()
    }
}

fn is_own(change: &AlertChange) -> bool {
    change.alert.scene == Scene::Operations
}

/// Reads changes from the log; not more than are remembered.
async fn read<T: Send + 'static>(
    journal_dir: &Path,
    from: u64,
    take: impl Fn(&AlertChange) -> T + Send + 'static,
) -> anyhow::Result<Vec<T>> {
    let dir = journal_dir.to_owned();
    let read = tokio::task::spawn_blocking(move || -> io::Result<Vec<T>> {
        // Damage was told when the journal was opened.
        let changes = journal::read_alerts(&dir, from)?.filter_map(Result::ok);
        Ok(changes.take(REMEMBERED).map(|change| take(&change)).collect())
    });
    Ok(read.await??)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ninewatch_core::ailment::Ailment;
    use ninewatch_core::alert::{AlertBook, AlertSettings, Evidence, Finding, Signal, StaffAction, Text, Verb};

    use super::*;

    /// Changes as a book makes them.
    #[derive(Default)]
    struct Book(AlertBook);

    impl Book {
        fn raise(&mut self, place: &str, scene: Scene, severity: Severity) -> AlertChange {
            let evidence = Evidence {
                at_ms: 1,
                device: place.into(),
                rule: "r".into(),
                reason: Text::default(),
                series: Vec::new(),
                score: None,
            };
            let finding = Finding {
                place: place.into(),
                group: "g".into(),
                scene,
                severity,
                lasting: false,
                title: Text::default(),
                evidence,
            };
            let mut changes = Vec::new();
            self.0.signal("test", &AlertSettings::default(), Signal::Raise(Box::new(finding)), 1, &mut changes);
            changes.remove(0)
        }

        fn accept(&mut self, alert: &AlertId) -> AlertChange {
            let action = StaffAction::new("1", alert.clone(), "li", Verb::Accept);
            self.0.act(&AlertSettings::default(), &action, 2).unwrap().1.unwrap()
        }
    }

    fn has(up_to: u64, also: &[u64]) -> Delivered {
        Delivered { up_to, also: BTreeSet::from_iter(also.iter().copied()), receipted: true }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_critical_alert_is_unheard_until_one_upstream_has_it_or_somebody_accepts_it() {
        let (mut book, mut waiting, start) = (Book::default(), Waiting::default(), Instant::now());
        let unheard = |waiting: &Waiting, after: u32| -> Vec<String> {
            let alerts = waiting.unheard(10 * SECOND, start + after * SECOND);
            alerts.into_iter().map(|alert| alert.place.clone()).collect()
        };
        let raised = book.raise("one", Scene::Fire, Severity::Critical);
        waiting.take(&raised, start);
        waiting.take(&book.raise("two", Scene::Fire, Severity::Critical), start + 5 * SECOND);
        waiting.take(&book.raise("three", Scene::Fire, Severity::Major), start);
        assert_eq!(unheard(&waiting, 9), [""; 0]);
        assert_eq!(unheard(&waiting, 10), ["one"]);
        assert_eq!(unheard(&waiting, 15), ["one", "two"]);
        // It is told again, and has been unheard since the first time.
        waiting.take(&book.raise("one", Scene::Fire, Severity::Critical), start + 12 * SECOND);
        assert_eq!(unheard(&waiting, 13), ["one"]);
        waiting.forget(&[has(0, &[]), has(1, &[2])]);
        assert_eq!(
            unheard(&waiting, 20),
            ["one"],
            "one upstream of two has the other; of this one the last is missing"
        );
        waiting.take(&book.accept(&raised.alert.id), start);
        assert_eq!(unheard(&waiting, 20), [""; 0]);
        waiting.take(&book.raise("two", Scene::Fire, Severity::Critical), start + 20 * SECOND);
        assert_eq!(unheard(&waiting, 30), ["two"], "more of what was delivered is not");
        waiting.forget(&[]);
        assert_eq!(unheard(&waiting, 30), ["two"], "without an upstream nothing is delivered");
    }

    #[test]
    fn an_upstream_lacks_since_its_oldest_change_and_not_what_is_about_the_gateway() {
        let (mut book, mut waiting, start) = (Book::default(), Waiting::default(), Instant::now());
        let rule = Ailment::UpstreamDown.rule();
        waiting.take(&book.raise(rule, Scene::Operations, Severity::Major), start);
        assert_eq!(waiting.oldest(&has(0, &[])), None, "an outage does not grow by its own alert");
        for second in 1..=4 {
            waiting.take(&book.raise(&format!("p{second}"), Scene::Fire, Severity::Minor), start + second * SECOND);
        }
        let city = has(3, &[4]);
        assert_eq!(waiting.oldest(&city), Some(start + 4 * SECOND));
        assert_eq!(waiting.oldest(&has(5, &[])), None);
        waiting.forget(&[city.clone(), has(2, &[])]);
        assert_eq!(waiting.changes.len(), 3, "what one of them lacks is remembered");
        assert_eq!(waiting.oldest(&has(2, &[])), Some(start + 2 * SECOND));
        assert_eq!(waiting.oldest(&city), Some(start + 4 * SECOND));
    }
}
