//! How a number that was sent becomes one of the unit: makers send tenths, millivolts, pascals.

use super::field::Measure;
use super::names::{self, Known};

/// What the number is rather (its key alone says too little), scale, offset, and whether that is sure.
pub(super) fn of(known: &'static Known, key: &str, largest: f64, numbers: &[f64]) -> (&'static Known, f64, f64, bool) {
    let whole = numbers.iter().all(|number| number.fract() == 0.0);
    let rather = |name: &str| names::common(name).unwrap_or(known);
    let ends = |ending: &str| key.ends_with(ending);
    match known.name {
        "temperature_c" | "cable_temperature_c" | "body_temperature_c" => {
            let usual = if known.name == "cable_temperature_c" { 200.0 } else { 85.0 };
            match largest {
                _ if ends("f") || ends("fahrenheit") => (known, Measure::FAHRENHEIT.0, Measure::FAHRENHEIT.1, true),
                sent if sent <= usual => (known, 1.0, 0.0, true),
                sent if whole && sent <= 10.0 * usual => (known, 0.1, 0.0, false),
                sent if whole && sent <= 100.0 * usual => (known, 0.01, 0.0, false),
                _ => (known, 1.0, 0.0, false),
            }
        }
        "humidity_percent" | "spo2_percent" => match largest {
            sent if sent <= 100.0 => (known, 1.0, 0.0, true),
            sent if sent <= 1000.0 => (known, 0.1, 0.0, false),
            _ => (known, 0.01, 0.0, false),
        },
        "battery_percent" => match largest {
            _ if ends("mv") => (rather("battery_voltage_v"), 0.001, 0.0, true),
            sent if ends("v") && sent < 100.0 => (rather("battery_voltage_v"), 1.0, 0.0, true),
            sent if sent > 1500.0 => (rather("battery_voltage_v"), 0.001, 0.0, false),
            sent if sent > 100.0 => (known, 0.5, 0.0, false),
            sent if !whole && sent < 20.0 => (rather("battery_voltage_v"), 1.0, 0.0, false),
            _ => (known, 1.0, 0.0, true),
        },
        "battery_voltage_v" => match largest {
            sent if ends("mv") || sent > 1000.0 => (known, 0.001, 0.0, true),
            sent if whole && sent > 20.0 => (known, 0.1, 0.0, false),
            _ => (known, 1.0, 0.0, true),
        },
        "voltage_v" => match largest {
            sent if ends("mv") && sent < 30_000.0 => (rather("battery_voltage_v"), 0.001, 0.0, true),
            _ if ends("mv") => (known, 0.001, 0.0, true),
            // A lithium cell or two, in millivolts; a mains voltage in tenths looks the same.
            sent if whole && sent > 1500.0 && sent < 4300.0 => (rather("battery_voltage_v"), 0.001, 0.0, false),
            sent if sent < 20.0 && sent > 0.0 => (rather("battery_voltage_v"), 1.0, 0.0, true),
            sent if whole && sent > 1000.0 => (known, 0.1, 0.0, false),
            _ => (known, 1.0, 0.0, true),
        },
        "current_a" => match largest {
            _ if ends("ma") => (known, 0.001, 0.0, true),
            sent if whole && sent > 100.0 => (known, 0.001, 0.0, false),
            _ => (known, 1.0, 0.0, true),
        },
        "power_w" if ends("kw") => (known, 1000.0, 0.0, true),
        "energy_kwh" if ends("wh") && !ends("kwh") => (known, 0.001, 0.0, true),
        "pressure_mpa" => match largest {
            _ if ends("kpa") => (known, 0.001, 0.0, true),
            _ if ends("bar") => (known, 0.1, 0.0, true),
            sent if sent > 10.0 => (known, 0.001, 0.0, false),
            _ => (known, 1.0, 0.0, true),
        },
        "pressure_hpa" => match largest {
            sent if ends("mpa") || sent < 10.0 => (rather("pressure_mpa"), 1.0, 0.0, ends("mpa")),
            sent if sent > 10_000.0 => (known, 0.01, 0.0, true),
            sent if (800.0..1200.0).contains(&sent) => (known, 1.0, 0.0, true),
            sent if sent < 800.0 && ends("kpa") => (rather("pressure_mpa"), 0.001, 0.0, false),
            sent if (80.0..120.0).contains(&sent) => (known, 10.0, 0.0, false),
            _ => (rather("pressure_mpa"), 0.001, 0.0, false),
        },
        "distance_m" | "level_m" => match largest {
            _ if ends("mm") => (known, 0.001, 0.0, true),
            _ if ends("cm") => (known, 0.01, 0.0, true),
            sent if whole && sent > 500.0 => (known, 0.001, 0.0, false),
            sent if whole && sent > 20.0 => (known, 0.01, 0.0, false),
            // A level may well be a share of the tank.
            _ => (known, 1.0, 0.0, known.name == "distance_m" && !whole),
        },
        "lel_percent" | "obscuration_percent_m" | "flow_l_min" | "light_lux" => {
            // Gas sensors report anything from ppm to raw counts under these keys.
            (known, 1.0, 0.0, known.name == "light_lux" || ends("lel") || ends("percent"))
        }
        "signal_dbm" => (known, 1.0, 0.0, numbers.iter().all(|number| *number <= 0.0)),
        "tvoc_ppb" | "acceleration" => (known, 1.0, 0.0, false),
        _ => (known, 1.0, 0.0, true),
    }
}
