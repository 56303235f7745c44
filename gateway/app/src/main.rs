//! Ninewatch: an IoT edge gateway for smart communities.
#![allow(dead_code, reason = "the parts are being put together")]

mod clock;
mod config;
mod console;
mod engine;
mod index;
mod journal;
mod lang;
mod metrics;

fn main() {}
