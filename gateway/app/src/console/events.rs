//! The live feed: Server-Sent Events, one for each alert change, in order and without gaps.
//!
//! A listener that comes back says what it saw last; one that falls behind is not waited for. Both
//! get what they miss from the alert log, so nobody misses anything.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use futures_util::stream::{self, Stream};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Interval, interval_at};

use ninewatch_core::alert::AlertChange;

use super::Shared;
use super::gate::Who;
use super::log_in::Here;
use super::problem::Problem;
use super::rights::OfPeople;
use crate::index::Progress;
use crate::journal;

/// Screens, phones and programs that listen at the same time.
pub(super) const LISTENERS: usize = 128;
/// Between signs of life while nothing happens. Tests have less patience.
const HEARTBEAT: Duration = if cfg!(test) { Duration::from_millis(200) } else { Duration::from_secs(15) };
/// Changes read from the log at a time.
const CHUNK: usize = 256;

/// Where to go on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    from: Option<u64>,
}

/// The first event.
#[derive(Serialize)]
struct Hello {
    #[serde(flatten)]
    here: Here,
    /// The newest change there is.
    last_seq: u64,
}

/// `GET /events`
pub(super) async fn listen(
    State(shared): State<Arc<Shared>>,
    who: Who,
    headers: HeaderMap,
    from: Result<Query<From>, QueryRejection>,
) -> Result<(Extension<OfPeople>, Sse<impl Stream<Item = Result<Event, axum::Error>>>), Problem> {
    let Query(From { from }) = from?;
    let last_seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse::<u64>().ok());
    let slot = shared.state.status.free.clone().try_acquire_owned().map_err(|_| {
        Problem::unavailable(
            "too_many_listeners",
            format!("{LISTENERS} listen already"),
            "close pages that nobody looks at",
        )
    })?;
    // First listen, then look: nothing falls in between.
    let changes = shared.state.engine.changes();
    let last_seq = shared.state.index.last_seq();
    // What a browser saw last is newer than what it asked for when it first came.
    let next = last_seen.map(|seen| seen.saturating_add(1)).or(from);
    let feed = Feed {
        // A listener may have seen more than there is: on another gateway, or before the disk was lost.
        next: next.unwrap_or(u64::MAX).clamp(1, last_seq + 1),
        behind: next.is_some_and(|next| next <= last_seq),
        read: VecDeque::new(),
        held: None,
        hello: Some(Hello { here: Here::of(&shared), last_seq }),
        changes,
        heartbeat: interval_at(tokio::time::Instant::now() + HEARTBEAT, HEARTBEAT),
        who,
        shared,
        _slot: slot,
    };
    Ok((Extension(OfPeople), Sse::new(stream::unfold(feed, Feed::step))))
}

/// One listener.
struct Feed {
    /// The change to be told next.
    next: u64,
    /// The log may hold changes from `next` on that the engine will not tell again.
    behind: bool,
    /// What was read from the log and not yet told.
    read: VecDeque<AlertChange>,
    /// What the engine told while there was a gap before it.
    held: Option<Arc<AlertChange>>,
    hello: Option<Hello>,
    changes: Receiver<Arc<AlertChange>>,
    heartbeat: Interval,
    who: Who,
    shared: Arc<Shared>,
    _slot: OwnedSemaphorePermit,
}

impl Feed {
    /// The next event; none where the feed has ended.
    async fn step(mut self) -> Option<(Result<Event, axum::Error>, Self)> {
        let event = match self.hello.take() {
            Some(hello) => Event::default().event("hello").json_data(hello),
            None => self.next_event().await?,
        };
        Some((event, self))
    }

    async fn next_event(&mut self) -> Option<Result<Event, axum::Error>> {
        loop {
            if let Some(change) = self.read.pop_front() {
                if self.is_wanted(&change) {
                    return Some(Self::tell(&change));
                }
            } else if self.behind {
                self.read = self.read_log().await?;
                self.behind = !self.read.is_empty();
            } else if let Some(change) = self.held.take() {
                if self.is_wanted(&change) {
                    return Some(Self::tell(&change));
                }
            } else {
                tokio::select! {
                    changed = self.changes.recv() => match changed {
                        Ok(change) => {
                            self.behind = change.seq > self.next;
                            self.held = Some(change);
                        }
                        Err(RecvError::Lagged(_)) => self.behind = true,
                        Err(RecvError::Closed) => return None,
                    },
                    _ = self.heartbeat.tick() => {
                        if !self.who.is_still_in(&self.shared) {
                            return None;
                        }
                        return Some(Ok(Event::default().comment("")));
                    }
                }
            }
        }
    }

    /// Whether it is news, and may be seen. What may not be is passed over.
    fn is_wanted(&mut self, change: &AlertChange) -> bool {
        let is_news = change.seq >= self.next;
        self.next = self.next.max(change.seq + u64::from(is_news));
        is_news && self.who.rights.sees_place(&self.shared.site(), &change.alert.place)
    }

    fn tell(change: &AlertChange) -> Result<Event, axum::Error> {
        Event::default().event("alert").id(change.seq.to_string()).json_data(change)
    }

    /// What the log holds from `next` on, a chunk of it.
    async fn read_log(&self) -> Option<VecDeque<AlertChange>> {
        let (dir, next) = (self.shared.state.journal_dir.clone(), self.next);
        let read = self.shared.ask(move || -> std::io::Result<VecDeque<AlertChange>> {
            // Damage was told when the journal was opened; it costs the changes in it, no more.
            Ok(journal::read_alerts(&dir, next)?.filter_map(Result::ok).take(CHUNK).collect())
        });
        match read.await {
            Ok(Ok(changes)) => Some(changes),
            Ok(Err(error)) => {
                tracing::error!(%error, "the alert log cannot be read; a listener is cut off and may come back");
                None
            }
            Err(_) => None,
        }
    }
}
