//! The pipeline with the shipped sensor types and rules, spoken to in readings and answering in alerts.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it wants, and fails where it does not get it")]

mod ailments;
mod detection;
mod examples;
mod life;
mod looking;
mod matters;
mod merge;
mod models;
#[path = "../shipped/mod.rs"]
mod shipped;
mod time;
mod town;
mod walking;
mod what_if;
