//! The stage: the play goes on only when the gateway has decided what was played, so that a slow machine
//! plays slower and never differently.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use ninewatch_core::time::TimeMs;

use super::player::Player;
use super::report::Published;
use super::story::{Act, BEGINS_AT_MS, STORY};
use crate::clock::Clock;

/// The time of the play.
static NOW_MS: AtomicI64 = AtomicI64::new(BEGINS_AT_MS);
/// What passes of it at once.
const STEP_MS: TimeMs = 1000;

/// The play's clock; at most `speed` times as fast as the machine's.
pub(super) fn clock(speed: f64) -> Clock {
    Clock::Set { now_ms: &NOW_MS, speed }
}

/// Minutes of play so far.
#[allow(clippy::cast_precision_loss, reason = "minutes of play")]
pub(super) fn minute() -> f64 {
    (NOW_MS.load(Relaxed) - BEGINS_AT_MS) as f64 / 60_000.0
}

/// Plays the story with these devices, without end.
pub(super) async fn play(mut players: BTreeMap<String, Player>, published: Arc<Published>, speed: f64) -> Infallible {
    #[allow(clippy::cast_precision_loss, reason = "a second")]
    let mut beat = tokio::time::interval(Duration::from_secs_f64(STEP_MS as f64 / 1000.0 / speed));
    let mut steps = STORY.iter().peekable();
    loop {
        beat.tick().await;
        let now_ms = NOW_MS.load(Relaxed);
        while let Some(step) = steps.next_if(|step| step.at_min <= minute()) {
            let Some(player) = players.get_mut(step.device) else { continue };
            let done = player.act(step.act, now_ms).await;
            if done.is_err() || matches!(step.act, Act::Vanish) {
                players.remove(step.device);
            }
        }
        let mut gone = Vec::new();
        for (id, player) in &mut players {
            if let Err(error) = player.play(now_ms).await {
                tracing::warn!(device = id, "a played device could not report: {error:#}");
                gone.push(id.clone());
            }
        }
        players.retain(|id, _| !gone.contains(id));
        published.acknowledged().await;
        NOW_MS.fetch_add(STEP_MS, Relaxed);
    }
}
