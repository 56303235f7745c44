//! What happens in the played community, and which alerts have to come of it.
//!
//! Times are minutes of play since 04:55 local time. Everything that a rule should raise is
//! [`EXPECTED`]; anything else that is raised is a fault of the gateway or of this script.

/// What a device is made to do.
#[derive(Clone, Copy)]
pub(super) enum Act {
    /// A field takes this value and is reported at once.
    Set(&'static str, f64),
    /// A field moves to this value within so many minutes.
    Ramp(&'static str, f64, f64),
    /// A switch flips on and off so many times, a change each 10 s.
    Chatter(&'static str, u32),
    /// A face is seen: how it matches, and an estimated age.
    Face(&'static str, f64),
    /// The wrist feels a fall.
    Fall,
    /// The wrist feels a hand clap and sitting down: no fall.
    Knock,
    /// The device is heard no more.
    Vanish,
}

/// One moment of the story.
pub(super) struct Step {
    pub(super) at_min: f64,
    pub(super) device: &'static str,
    pub(super) act: Act,
}

const fn at(at_min: f64, device: &'static str, act: Act) -> Step {
    Step { at_min, device, act }
}

use Act::{Chatter, Face, Fall, Knock, Ramp, Set, Vanish};

/// The story, in order.
pub(super) const STORY: &[Step] = &[
    // 05:05, somebody comes in by the shop's shutter.
    at(10.0, "shop-door", Set("open", 1.0)),
    at(12.0, "shop-presence", Set("presence", 1.0)),
    at(16.0, "shop-presence", Set("presence", 0.0)),
    at(17.0, "shop-door", Set("open", 0.0)),
    // 05:20, Mrs Yang claps her hands, later falls.
    at(25.0, "home-yang-bracelet", Knock),
    at(26.0, "home-yang-presence", Set("presence", 1.0)),
    at(32.0, "home-yang-bracelet", Fall),
    // 05:35, charcoal in the restaurant's kitchen.
    at(40.0, "restaurant-gas", Ramp("co_ppm", 160.0, 12.0)),
    at(72.0, "restaurant-gas", Ramp("co_ppm", 3.0, 6.0)),
    // 06:00, the family Long get up; Mr Wu does not.
    at(65.0, "home-long-presence", Set("presence", 1.0)),
    at(75.0, "home-long-presence", Set("presence", 0.0)),
    // 06:15, the workshop burns: smoke, then heat.
    at(80.0, "workshop-smoke", Ramp("obscuration_percent_m", 9.0, 4.0)),
    at(83.0, "workshop-smoke", Set("smoke_alarm", 1.0)),
    at(83.0, "workshop-smoke", Ramp("temperature_c", 74.0, 6.0)),
    at(84.0, "workshop-smoke-2", Set("smoke_alarm", 1.0)),
    // 06:35, a cable in the karaoke bar overheats.
    at(100.0, "ktv-power", Ramp("cable_temperature_c", 96.0, 15.0)),
    // 06:45, the boiler's gas sensor is unplugged.
    at(105.0, "bath-gas", Vanish),
    // 06:55, the hydrant at the waterworks loses pressure.
    at(120.0, "waterworks-hydrant", Ramp("pressure_mpa", 0.05, 4.0)),
    // 07:05, Mrs Long needs help.
    at(130.0, "home-long-sos", Set("sos", 1.0)),
    at(133.0, "home-long-sos", Set("sos", 0.0)),
    // 07:15, grown-ups and then two pupils in the internet cafe.
    at(140.0, "netbar-camera", Face("known", 31.0)),
    at(142.0, "netbar-camera", Face("known", 14.0)),
    at(143.0, "netbar-camera", Face("known", 15.0)),
    // 07:25, the leak rope in the boiler room gets splashed again and again.
    at(150.0, "bath-water", Chatter("leak", 40)),
    // 07:50, a listed person at the waterworks.
    at(175.0, "waterworks-camera", Face("listed", 40.0)),
    // 08:30, Mr Wu has not been up: the rule says so by itself.
];

/// An alert that has to come.
pub(super) struct Expected {
    /// What it is, for the report.
    pub(super) incident: &'static str,
    pub(super) rule: &'static str,
    pub(super) device: &'static str,
    /// By when, in minutes of play.
    pub(super) by_min: f64,
    /// Whether a reading decides it (and how fast is worth measuring), rather than time.
    pub(super) by_reading: bool,
}

const fn expect(incident: &'static str, rule: &'static str, device: &'static str, by_min: f64) -> Expected {
    Expected { incident, rule, device, by_min, by_reading: true }
}

/// When time itself decides.
const fn in_time(expected: Expected) -> Expected {
    Expected { by_reading: false, ..expected }
}

/// Everything that has to be raised.
pub(super) const EXPECTED: &[Expected] = &[
    expect("night entry: door", "night-door", "shop-door", 11.0),
    expect("night entry: somebody there", "night-presence", "shop-presence", 13.0),
    expect("fall", "fall", "home-yang-bracelet", 33.0),
    in_time(expect("CO rising", "co-curve", "restaurant-gas", 60.0)),
    in_time(expect("smoke rising", "smoke-rising", "workshop-smoke", 87.0)),
    expect("smoke", "smoke-alarm", "workshop-smoke", 84.0),
    expect("smoke spreading", "smoke-alarm", "workshop-smoke-2", 85.0),
    expect("rapid heating", "heat-rise", "workshop-smoke", 90.0),
    expect("heat", "heat", "workshop-smoke", 90.0),
    in_time(expect("overheating cable", "cable-temperature", "ktv-power", 118.0)),
    in_time(expect("silent sensor", "silent-lifesafety", "bath-gas", 112.0)),
    in_time(expect("low hydrant pressure", "hydrant-pressure", "waterworks-hydrant", 137.0)),
    expect("SOS", "sos", "home-long-sos", 131.0),
    expect("minors in an internet cafe", "minor-admitted", "netbar-camera", 143.0),
    expect("burst of nuisance", "leak", "bath-water", 151.0),
    expect("listed person", "listed-person", "waterworks-camera", 176.0),
    in_time(expect("does not get up", "not-up", "home-wu-presence", 216.0)),
];

/// When the story is told, in minutes of play: nothing is expected any more.
pub(super) const TOLD_BY_MIN: f64 = 217.0;

/// The local time at which the play begins: 2026-11-24, a Tuesday, 04:55 in China.
pub(super) const BEGINS_AT_MS: i64 = 1_795_467_300_000;
