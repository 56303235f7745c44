//! What a channel hears of, live and from the log.

use ninewatch_core::alert::{ChangeKind, Severity};

use super::change;
use crate::config::JournalConfig;
use crate::engine::Engine;
use crate::index::{Index, Progress};
use crate::journal::Journal;
use crate::notify::feed::Feed;

/// Else what is known would wait to be told until something new comes.
#[tokio::test]
async fn what_was_read_in_the_log_and_is_heard_once_more_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let journal_dir = dir.path().join("journal");
    let (mut journal, _) = Journal::open(&journal_dir, &JournalConfig::default()).unwrap();
    let (index, _) = Index::open(&dir.path().join("index"), &journal_dir).unwrap();
    let (engine, _commands) = Engine::for_tests();
    let changes = [1, 2, 3].map(|seq| change(seq, "sos", Severity::Critical, ChangeKind::Raised));
    changes.iter().for_each(|change| journal.append_alert(change).unwrap());
    journal.commit().unwrap();
    index.apply(&changes).unwrap();

    let mut feed = Feed::new(journal_dir, &engine, &index, 0);
    changes.iter().for_each(|change| engine.announce(change.clone()));
    let mut given = Vec::new();
    while feed.has_more() {
        given.push(feed.next().await.unwrap().seq);
    }
    assert_eq!(given, [1, 2, 3]);
    engine.announce(change(4, "sos", Severity::Critical, ChangeKind::Joined));
    assert!(feed.has_more());
    assert_eq!(feed.next().await.unwrap().seq, 4);
}
