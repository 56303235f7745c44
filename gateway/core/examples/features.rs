//! Features for training: bursts in by stdin, their features out by stdout, one JSON line each.
//!
//! `cargo run --example features -- wrist_motion_v1`; a burst is `{"rate_hz":50,"channels":6,"samples":[…]}`.
//! The first line out holds the names.

use ninewatch_core::detect::features;
use ninewatch_core::reading::Burst;
use std::error::Error;
use std::io::{BufRead, BufWriter, Write};

fn main() -> Result<(), Box<dyn Error>> {
    let kind = std::env::args().nth(1).ok_or("name the extraction, such as wrist_motion_v1")?;
    let names: Vec<&str> = features::of(&kind).iter().map(|feature| feature.name).collect();
    let mut out = BufWriter::new(std::io::stdout().lock());
    writeln!(out, "{}", serde_json::to_string(&names)?)?;
    for line in std::io::stdin().lock().lines() {
        let burst: Burst = serde_json::from_str(&line?)?;
        writeln!(out, "{}", serde_json::to_string(&features::extract(&kind, &burst)?)?)?;
    }
    Ok(out.flush()?)
}
