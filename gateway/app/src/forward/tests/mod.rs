//! Forwarding, proven: against the demo's city, against an upstream that each test plays itself,
//! and over a real mosquitto.

mod acting;
mod contract;
mod ground;
mod over_mosquitto;
mod reading_the_log;
