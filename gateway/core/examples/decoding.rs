//! What decoding costs beside plain JSON parsing of the same bytes, for the types that most sites have.
//!
//! `cargo run --release --example decoding`: one JSON object on standard output. Each type's captured
//! messages are decoded into readings, and parsed by `serde_json` into a `Value`, in turn; a ratio is
//! of one turn, and what is told is the median, the least and the greatest of them. `mask_ns` is what it
//! costs besides to take out of a message what must not be stored.

use ninewatch_core::decode::{Arrival, Sample, SensorType, SensorTypes};
use ninewatch_core::fault::SourceFile;
use ninewatch_core::time::UtcOffset;
use serde_json::{Value, json};
use std::error::Error;
use std::hint::black_box;
use std::io::Write as _;
use std::time::{Duration, Instant};

/// Zigbee and native devices lead, then LoRaWAN, Wi-Fi, Bluetooth, cameras, Modbus.
const MOST_USED: [&str; 10] = [
    "ninewatch-gas",
    "zigbee2mqtt-smoke",
    "zigbee2mqtt-contact",
    "zigbee2mqtt-occupancy",
    "chirpstack-milesight-leak",
    "chirpstack-smoke",
    "tasmota-plug",
    "shelly-pm",
    "hikvision-face",
    "modbus-electrical-fire",
];
const TURNS: usize = 9;
const TURN: Duration = Duration::from_millis(60);

fn main() -> Result<(), Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../sensors"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            files.push(SourceFile { name: path.display().to_string(), text: std::fs::read_to_string(&path)? });
        }
    }
    let (types, faults) = SensorTypes::compile(&files);
    if let Some(fault) = faults.first() {
        return Err(fault.to_string().into());
    }
    let mut table = serde_json::Map::new();
    for id in MOST_USED {
        let sensor_type = types.get(id).ok_or_else(|| format!("there is no type {id}"))?;
        table.insert(id.to_owned(), measure(sensor_type)?);
    }
    Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&table)?)?)
}

/// JSON messages of the type that bring readings.
fn samples(sensor_type: &SensorType) -> Vec<&Sample> {
    let brings = |sample: &&Sample| {
        let decoded = sensor_type.decode(&sample.topic, &sample.payload, arrival());
        serde_json::from_slice::<Value>(&sample.payload).is_ok_and(|json| json.is_object() || json.is_array())
            && decoded.is_ok_and(|decoded| decoded.said.iter().any(|said| said.reading.is_some()))
    };
    sensor_type.examples.iter().filter(brings).collect()
}

fn arrival() -> Arrival {
    Arrival { at_ms: 1_795_467_300_000, utc_offset: UtcOffset::CHINA }
}

fn measure(sensor_type: &SensorType) -> Result<Value, Box<dyn Error>> {
    let samples = samples(sensor_type);
    if samples.is_empty() {
        return Err(format!("{} has no JSON example", sensor_type.id).into());
    }
    let decode = || {
        for sample in &samples {
            let _ = black_box(sensor_type.decode(&sample.topic, black_box(&sample.payload), arrival()));
        }
    };
    let parse = || {
        for sample in &samples {
            let _ = black_box(serde_json::from_slice::<Value>(black_box(&sample.payload)));
        }
    };
    let mask = || {
        for sample in &samples {
            let _ = black_box(sensor_type.without_discarded(&sample.topic, black_box(&sample.payload)));
        }
    };
    let mut turns: Vec<(f64, f64)> = (0..TURNS).map(|_| (time(&decode), time(&parse))).collect();
    turns.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
    let ratio = |turn: &(f64, f64)| (turn.0 / turn.1 * 100.0).round() / 100.0;
    let (least, median, greatest) = (&turns[0], &turns[TURNS / 2], &turns[TURNS - 1]);
    #[allow(clippy::cast_precision_loss, reason = "a few messages")]
    let messages = samples.len() as f64;
    let bytes: usize = samples.iter().map(|sample| sample.payload.len()).sum();
    Ok(json!({
        "bytes": bytes / samples.len(),
        "decode_ns": (median.0 / messages).round(),
        "serde_json_ns": (median.1 / messages).round(),
        "mask_ns": (time(&mask) / messages).round(),
        "ratio": ratio(median),
        "ratios": [ratio(least), ratio(greatest)],
    }))
}

/// Nanoseconds of one call.
fn time(work: &impl Fn()) -> f64 {
    let begun = Instant::now();
    let mut calls = 0_u32;
    while begun.elapsed() < TURN {
        for _ in 0..20 {
            work();
        }
        calls += 20;
    }
    begun.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
}
