//! How the console itself is: who listens, and whether somebody tries passwords.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;
use tokio::sync::Semaphore;

use ninewatch_core::ailment::Ailment;
use ninewatch_core::alert::Text;

use super::events::LISTENERS;
use crate::health::{Part, Refusals};
use crate::metrics::header;

/// Shared by the console and those who want to know of it.
#[derive(Debug)]
pub(crate) struct ConsoleStatus {
    /// A permit for each listener that may still come.
    pub(super) free: Arc<Semaphore>,
    refused: AtomicU64,
    wrong_passwords: Refusals,
}

impl Default for ConsoleStatus {
    fn default() -> Self {
        Self {
            free: Arc::new(Semaphore::new(LISTENERS)),
            refused: AtomicU64::new(0),
            wrong_passwords: Refusals::default(),
        }
    }
}

impl ConsoleStatus {
    /// How many listen to the live feed: open pages, mostly.
    pub(crate) fn listeners(&self) -> usize {
        LISTENERS - self.free.available_permits()
    }

    /// Somebody gave a wrong password.
    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
        self.wrong_passwords.note(Instant::now());
    }
}

impl Part for ConsoleStatus {
    fn name(&self) -> String {
        "console".into()
    }

    fn ails(&self) -> Vec<(Ailment, Text)> {
        let many = self.wrong_passwords.are_many(Instant::now());
        let text = || Refusals::text("有人输入错误的控制台密码", "somebody gave a wrong password to the console");
        if many { vec![(Ailment::DoorRefused, text())] } else { Vec::new() }
    }

    fn metrics(&self, out: &mut String) {
        for (name, kind, help, value) in [
            ("ninewatch_console_listeners", "gauge", "Listeners of the live feed.", self.listeners() as u64),
            (
                "ninewatch_console_refused_log_ins_total",
                "counter",
                "Log-ins with a wrong password.",
                self.refused.load(Relaxed),
            ),
        ] {
            header(out, name, kind, help);
            let _ = writeln!(out, "{name} {value}");
        }
    }
}
