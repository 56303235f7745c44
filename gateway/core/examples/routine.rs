//! What the gateway knows of a home's routine, for training and judging: recordings in by stdin, what was watched
//! out by stdout, one JSON line each.
//!
//! A recording is `{"events":[[at_ms,"Fridge","Magnetic","Kitchen",true],…],"from_ms":…,"until_ms":…}`, in order,
//! in local time. What comes out is `[[at_ms,kind,since_ms,[features]],…]`, every five minutes of that time.

use ninewatch_core::detect::routine::{Event, Home, LocalMs, Role};
use serde::Deserialize;
use std::error::Error;
use std::io::{BufRead, BufWriter, Write};

const EVERY_MS: usize = 300_000;

#[derive(Deserialize)]
struct Recording {
    events: Vec<(LocalMs, String, String, String, bool)>,
    from_ms: LocalMs,
    until_ms: LocalMs,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let recording: Recording = serde_json::from_str(&line?)?;
        let mut home = Home::default();
        let mut events = recording.events.iter().peekable();
        let mut watched = Vec::new();
        for now in (recording.from_ms..recording.until_ms).step_by(EVERY_MS) {
            while let Some((at_ms, location, kind, room, on)) = events.next_if(|event| event.0 <= now) {
                home.push(&Event { at_ms: *at_ms, role: Role::of(location, kind, room), on: *on });
            }
            watched.extend(home.watch(now).into_iter().map(|seen| (now, seen.kind, seen.since_ms, seen.features)));
        }
        writeln!(out, "{}", serde_json::to_string(&watched)?)?;
    }
    Ok(out.flush()?)
}
