use super::*;
use crate::config::JournalConfig;
use crate::journal::Journal;
use ninewatch_core::alert::{ChangeKind, Severity};

struct Ground {
    journal: Journal,
    index: Index,
    dir: tempfile::TempDir,
}

impl Ground {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let journal_dir = dir.path().join("journal");
        let (journal, _) = Journal::open(&journal_dir, &JournalConfig::default()).unwrap();
        let (index, _) = Index::open(&dir.path().join("index"), &journal_dir).unwrap();
        Self { journal, index, dir }
    }

    /// Raises alerts as the writer does: first the journal, then the index, whether that takes it or not.
    fn raise(&mut self, seqs: impl IntoIterator<Item = u64>) {
        for seq in seqs {
            let change = crate::notify::tests::change(seq, &format!("a{seq}"), Severity::Critical, ChangeKind::Raised);
            self.journal.append_alert(&change).unwrap();
            self.journal.commit().unwrap();
            let _ = self.index.apply(&[change]);
        }
    }

    fn raised(&self) -> usize {
        self.index.alerts(&AlertQuery { open_only: true, limit: usize::MAX, ..AlertQuery::default() }).len()
    }

    fn breaks(&self) {
        let failed = Err::<(), _>(sled::Error::ReportableBug(String::new()));
        assert!(self.index.store().done(failed).is_err());
    }

    fn opens_again(self) -> Self {
        let Self { journal, index, dir } = self;
        drop(index);
        let (index, opened) = Index::open(&dir.path().join("index"), &dir.path().join("journal")).unwrap();
        assert!(!opened.rebuilt, "{opened:?}");
        Self { journal, index, dir }
    }

    fn folders(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.starts_with("index")).collect();
        names.sort();
        names
    }
}

/// sled once waited for ever for what a full disk had not taken, and every acknowledgement with it.
#[test]
fn nobody_waits_for_a_flush_that_does_not_end() {
    let ground = Ground::new();
    let store = ground.index.store();
    let _does_not_end = store.flushing.lock().unwrap();
    *ground.index.0.flushed.lock().unwrap() = Instant::now().checked_sub(FLUSH_EVERY).unwrap();
    ground.index.maintain();
}

#[test]
fn once_sled_has_failed_it_is_left_alone_and_that_is_told() {
    let Ground { index, .. } = &Ground::new();
    index.flush();
    assert!(!index.is_failing());
    let failed = Err::<(), _>(sled::Error::ReportableBug(String::new()));
    assert!(index.store().done(failed).is_err());
    assert!(index.is_failing());
    assert_eq!(index.apply(&[]).unwrap_err().to_string(), "sled has failed before");
    index.set_delivery("city", &Delivered { up_to: 7, ..Delivered::default() });
    index.flush();
    assert_eq!((index.delivery("city"), index.is_failing()), (Delivered::default(), true));
}

#[test]
fn an_index_that_failed_is_made_anew_from_the_journal_while_the_gateway_runs() {
    let mut ground = Ground::new();
    ground.raise(1..=3);
    let delivered = Delivered { up_to: 2, ..Delivered::default() };
    ground.index.set_delivery("city", &delivered);
    ground.index.flush();
    ground.breaks();
    ground.raise(4..=5);
    assert_eq!(ground.raised(), 3, "what it had is still shown");
    ground.index.0.renew(1).unwrap();
    assert_eq!((ground.raised(), ground.index.is_failing()), (5, false));
    assert_eq!(ground.index.delivery("city"), delivered);
    ground.raise(6..=6);
    assert_eq!(ground.raised(), 6);
    ground.index.flush();

    assert_eq!(ground.folders(), ["index", "index.1"]);
    let mut ground = ground.opens_again();
    assert_eq!((ground.raised(), ground.folders()), (6, vec!["index".to_owned()]), "a start has one again");
    ground.raise(7..=7);
    assert_eq!(ground.raised(), 7);
}

#[test]
fn it_is_tried_again_less_and_less_often() {
    let ground = Ground::new();
    ground.breaks();
    for tries in 0..3 {
        let mut renewal = ground.index.0.renewal.lock().unwrap();
        assert_eq!(renewal.tries, tries);
        renewal.next = Instant::now();
        drop(renewal);
        ground.index.begin_renewal();
        ground.index.begin_renewal();
        let renewal = ground.index.0.renewal.lock().unwrap();
        assert_eq!(renewal.tries, tries + 1, "once at a time");
        let wait = renewal.next.saturating_duration_since(Instant::now());
        assert!(wait > FIRST_RENEWAL * 2_u32.pow(tries) / 2, "{wait:?}");
        drop(renewal);
        // Whether or not it has been made anew by now.
        ground.breaks();
    }
}
