//! Ninewatch: an IoT edge gateway for smart communities.
#![allow(dead_code, reason = "the parts are being put together")]

mod cli {
    pub(crate) mod account;
    pub(crate) mod registry;
}
mod clock;
mod config;
mod console;
mod engine;
mod index;
mod intake;
mod journal;
mod lang;
mod metrics;
mod registry_file;
mod scorer;

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|command| command == scorer::CHECK_COMMAND) {
        return scorer::be_checked();
    }
    ExitCode::SUCCESS
}
