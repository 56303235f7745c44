//! What the gateway makes of the signs at a small place, for training and judging: recordings in by stdin, rows of
//! features out by stdout, one JSON line each.
//!
//! A recording is `[[at_ms,"door"],[at_ms,null],…]`, in order, in local time; null: sensors were silent until then.
//! What comes out is one row for each of them, `null` where too little has been learnt.

use ninewatch_core::detect::opening::{Event, LocalMs, Opening, Sign};
use std::error::Error;
use std::io::{BufRead, BufWriter, Write};

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let events: Vec<(LocalMs, Option<Sign>)> = serde_json::from_str(&line?)?;
        let mut place = Opening::default();
        let mut rows = Vec::new();
        for (at_ms, sign) in events {
            if sign.is_none() {
                place.forget_now();
            }
            rows.push(sign.and_then(|sign| place.push(&Event { at_ms, sign })));
        }
        writeln!(out, "{}", serde_json::to_string(&rows)?)?;
    }
    Ok(out.flush()?)
}
