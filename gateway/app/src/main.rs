//! Ninewatch: an IoT edge gateway for smart communities.
#![allow(dead_code, reason = "the parts are being put together")]

mod clock;
mod config;
mod demo {
    pub(crate) mod city;
}
mod engine;
mod forward;
mod index;
mod intake;
mod journal;
mod lang;
mod metrics;
mod mqtt_client;

fn main() {}
