//! Ninewatch: an IoT edge gateway for smart communities.

#![allow(dead_code)]

mod clock;
mod config;
mod engine;

fn main() {}
