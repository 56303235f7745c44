//! What the node's own lamp shows, to who stands before it.

/// What it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shows {
    /// All is well: a short flash every two seconds.
    Well,
    /// The gateway has not asked for ten seconds: on and off, half a second each.
    NotAsked,
    /// Somebody wants to know where this node is: five times a second.
    Here,
    /// A sensor does not answer, or a button is stuck: two short flashes every two seconds.
    Failing,
    /// The memory fails, or holds no identity: three short flashes every two seconds.
    Mute,
}

/// Shortest time that any of them holds, in ms.
const STEP_MS: u64 = 100;

/// When it may have to change.
pub(crate) fn next_ms(uptime_ms: u64) -> u64 {
    (uptime_ms / STEP_MS + 1) * STEP_MS
}

impl Shows {
    /// Whether it is on at `uptime_ms`.
    pub(crate) fn is_on(self, uptime_ms: u64) -> bool {
        let step = uptime_ms / STEP_MS;
        match self {
            Self::Well => step.is_multiple_of(20),
            Self::NotAsked => step % 10 < 5,
            Self::Here => step.is_multiple_of(2),
            Self::Failing => matches!(step % 20, 0 | 3),
            Self::Mute => matches!(step % 20, 0 | 3 | 6),
        }
    }
}
