//! The places whose last walk-test is older than a quarter: each is a part of the gateway that ails until somebody has
//! walked there again, and all of them together are one alert.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

use ninewatch_core::ailment::Ailment;
use ninewatch_core::alert::Text;
use ninewatch_core::pipeline::Settings;
use ninewatch_core::site::PlaceKind;
use ninewatch_core::time::TimeMs;

use super::kept::{WALK_TESTS, WalkTests};
use crate::clock::Clock;
use crate::health::Part;
use crate::metrics::header;

/// How often the folder is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// When the places that have been walked are to be walked again.
///
/// # Errors
/// Where the walk-tests cannot be read.
pub(super) fn all(data_dir: &Path) -> anyhow::Result<BTreeMap<String, TimeMs>> {
    let mut due = BTreeMap::new();
    // The newest comes first, and counts.
    for test in WalkTests::new(data_dir).list()?.iter().filter(|test| test.certificate.is_some()) {
        for place in &test.places {
            due.entry(place.id.clone()).or_insert(super::due(test));
        }
    }
    Ok(due)
}

/// Knows which places are overdue, and says so.
pub(crate) struct WalkTestsDue {
    data_dir: PathBuf,
    clock: Clock,
    settings: watch::Receiver<Arc<Settings>>,
    due: Mutex<BTreeMap<String, TimeMs>>,
}

impl WalkTestsDue {
    /// Of the walk-tests in this data folder; it knows of none before [`Self::follow`] has looked.
    pub(crate) fn new(data_dir: PathBuf, clock: Clock, settings: watch::Receiver<Arc<Settings>>) -> Arc<Self> {
        Arc::new(Self { data_dir, clock, settings, due: Mutex::default() })
    }

    /// Looks again whenever the folder changes.
    ///
    /// # Errors
    /// It has none of its own: what cannot be read is told to the log, and what was known goes on.
    pub(crate) async fn follow(self: Arc<Self>) -> anyhow::Result<()> {
        let mut look = tokio::time::interval(LOOK);
        let mut seen = None;
        loop {
            look.tick().await;
            let looking = self.clone();
            seen = tokio::task::spawn_blocking(move || looking.look(seen)).await?;
        }
    }

    /// Reads the walk-tests, unless the folder is as it was; gives how it is.
    fn look(&self, seen: Option<SystemTime>) -> Option<SystemTime> {
        // Each change renames a file into the folder.
        let now = std::fs::metadata(self.data_dir.join(WALK_TESTS)).and_then(|folder| folder.modified()).ok();
        if now != seen {
            match all(&self.data_dir) {
                Ok(due) => *self.due.lock().unwrap_or_else(PoisonError::into_inner) = due,
                Err(error) => tracing::warn!("the walk-tests cannot be read: {error:#}"),
            }
        }
        now
    }

    /// Each place that is there still and overdue: its id, as people call it, and since when.
    fn overdue(&self) -> Vec<(String, String, TimeMs)> {
        let (now, settings) = (self.clock.now_ms(), self.settings.borrow().clone());
        let due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |(id, due): (&String, &TimeMs)| {
            let place = settings.registry.places.iter().find(|place| place.id == *id)?;
            // Alerts about the gateway go upstream, and a home may be called by who lives there.
            let called = if place.kind == PlaceKind::Home { id } else { &place.name };
            Some((id.clone(), called.clone(), *due))
        };
        due.iter().filter(|(_, due)| **due < now).filter_map(of).collect()
    }
}

impl Part for WalkTestsDue {
    fn name(&self) -> String {
        "walk_tests".into()
    }

    fn ails(&self) -> Vec<(Ailment, Text)> {
        Vec::new()
    }

    fn metrics(&self, out: &mut String) {
        let name = "ninewatch_walk_tests_overdue";
        header(out, name, "gauge", "Places whose last walk-test is older than a quarter.");
        let _ = writeln!(out, "{name} {}", self.overdue().len());
    }

    fn within(&self) -> Vec<Arc<dyn Part>> {
        let utc_offset = self.settings.borrow().utc_offset;
        let part = |(id, called, due): (String, String, TimeMs)| {
            let day: String = utc_offset.rfc3339(due).chars().take(10).collect();
            Arc::new(Overdue {
                name: format!("walk_test:{id}"),
                text: Text {
                    zh: format!("{called} 的设备走查已于 {day} 到期"),
                    en: format!("the walk-test of {called} was due on {day}"),
                },
            }) as Arc<dyn Part>
        };
        self.overdue().into_iter().map(part).collect()
    }
}

/// A place that is overdue.
struct Overdue {
    name: String,
    text: Text,
}

impl Part for Overdue {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn ails(&self) -> Vec<(Ailment, Text)> {
        vec![(Ailment::WalkOverdue, self.text.clone())]
    }

    fn metrics(&self, _: &mut String) {}
}

#[cfg(test)]
mod tests {
    use super::super::AGAIN_AFTER_MS;
    use super::super::certificate::Signed;
    use super::super::kept::{Site, WalkTest};
    use super::*;
    use crate::health;
    use ninewatch_core::alert::AlertSettings;
    use ninewatch_core::site::{Place, Registry};
    use ninewatch_core::time::UtcOffset;
    use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

    static NOW_MS: AtomicI64 = AtomicI64::new(0);
    const NOON: TimeMs = 1_795_000_000_000;

    fn walked(data_dir: &Path, id: &str, at: TimeMs, places: &[&str], is_finished: bool) {
        let place =
            |id: &&str| Site { id: (*id).to_owned(), name: String::new(), grid: String::new(), address: String::new() };
        let test = WalkTest {
            id: id.to_owned(),
            begun_at_ms: at,
            by: "li".into(),
            places: places.iter().map(place).collect(),
            devices: Vec::new(),
            certificate: is_finished.then(|| Signed::sign(data_dir, "{}".into()).unwrap()),
        };
        assert!(WalkTests::new(data_dir).add(&test).is_ok());
    }

    #[test]
    fn a_place_ails_from_its_day_on_until_it_is_walked_again_to_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let place = |id: &str, kind| Place {
            id: id.into(),
            kind,
            name: format!("{id} of Wang"),
            grid: "g1".into(),
            address: String::new(),
        };
        let registry = Registry {
            places: vec![place("school", PlaceKind::School), place("home-1", PlaceKind::Home)],
            ..Registry::default()
        };
        let settings = Settings {
            gateway: "g".into(),
            utc_offset: UtcOffset::CHINA,
            alerts: AlertSettings::default(),
            registry,
            sensor_types: Vec::new(),
            rules: Vec::new(),
            models: Vec::new(),
            ladders: Vec::new(),
        };
        let (_sender, settings) = watch::channel(Arc::new(settings));
        let clock = Clock::Set { now_ms: &NOW_MS, speed: 1.0 };
        let due = WalkTestsDue::new(dir.path().to_owned(), clock, settings);
        let mut seen = None;
        let mut ails = |now| {
            NOW_MS.store(now, Relaxed);
            seen = due.look(seen);
            let parts = [due.clone() as Arc<dyn Part>];
            let ails = health::all(&parts).flat_map(|part| part.ails()).map(|(_, text)| text.en);
            ails.collect::<Vec<_>>()
        };
        assert_eq!(ails(NOON), [""; 0], "nothing was ever walked: nobody is reminded of it");
        walked(dir.path(), "a1", NOON, &["school", "home-1", "gone"], true);
        assert_eq!(ails(NOON + AGAIN_AFTER_MS), [""; 0]);
        let said = ails(NOON + AGAIN_AFTER_MS + 1);
        assert!(said.len() == 2 && said[0].contains("home-1 was due on 2027-02-1"), "{said:?}");
        assert!(said[1].contains("school of Wang") && !said[0].contains("Wang"), "{said:?}");
        walked(dir.path(), "a2", NOON + AGAIN_AFTER_MS, &["school"], false);
        assert_eq!(ails(NOON + AGAIN_AFTER_MS + 2).len(), 2, "one that was only begun is none");
        walked(dir.path(), "a3", NOON + AGAIN_AFTER_MS, &["school"], true);
        assert_eq!(ails(NOON + AGAIN_AFTER_MS + 3).len(), 1);
    }
}
