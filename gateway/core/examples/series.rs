//! Features for training: series of readings in by stdin, their features out by stdout, one JSON line each.
//!
//! `cargo run --example series -- temperature_records_v1`; a series is `{"time_ms":[…],"values":[[21.5],…]}`, a value
//! that is not there is `null`. The first line out holds the names; then for each series a list with the features
//! after each reading, `null` while too little has been learnt.

use ninewatch_core::detect::features::{self, series::Series};
use serde::Deserialize;
use std::error::Error;
use std::io::{BufRead, BufWriter, Write};

#[derive(Deserialize)]
struct Readings {
    time_ms: Vec<i64>,
    values: Vec<Vec<Option<f64>>>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let kind = std::env::args().nth(1).ok_or("name the extraction, such as temperature_records_v1")?;
    let names: Vec<&str> = features::of(&kind).iter().map(|feature| feature.name).collect();
    let mut out = BufWriter::new(std::io::stdout().lock());
    writeln!(out, "{}", serde_json::to_string(&names)?)?;
    for line in std::io::stdin().lock().lines() {
        let readings: Readings = serde_json::from_str(&line?)?;
        let mut series = Series::new(&kind)?;
        let moments = readings.time_ms.iter().zip(&readings.values);
        let rows: Vec<_> = moments.map(|(at_ms, values)| series.push(*at_ms, values)).collect();
        writeln!(out, "{}", serde_json::to_string(&rows)?)?;
    }
    Ok(out.flush()?)
}
